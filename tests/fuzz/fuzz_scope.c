/* SPDX-License-Identifier: MIT
 *
 * Coroutines and step tasks that sleep, wait for futures, spawn, enter scopes and leave them, and
 * cancel and reschedule those of others, as the bytes decide. The model keeps the tree of scopes and
 * what happened to each; it knows of every start, wait and leave what it must return.
 *
 * One thing it is told: that a deadline has passed, which it learns when it next looks. Scopes whose
 * deadlines passed since then expired in the order of these.
 */
#include "model.h"

enum { ACTORS = 12, SCOPES = 24, FUTURES = 3, DEFERS = 3, DEPTH = 4 };

struct place;

/* A scope. */
struct place {
    jg_scope scope;
    struct place *parent;
    bool open, shield, cancelled, expired, failed, cut, won, cleaning;
    jg_policy policy;
    jg_time deadline;
    long order; /* of setting that */
    int error;  /* the first of a task */
    int running;
    int status;     /* of its body */
    int results[2]; /* that leaving it may have; the same, as a rule */
    int defer_count;
    jg_defer defers[DEFERS];
};

/* A task. */
struct actor {
    struct place *home, *inner;
    bool running, waits; /* for an op that can be cancelled */
    bool doomed;         /* and that was */
    int depth;
    jg_task *task;
    jg_task step;
    jg_sleeper sleeper;
    jg_time until; /* of a wait, at least; if it was doomed, just */
};

static struct {
    jg_loop *loop;
    struct decisions decisions;
    long order;
    struct place places[SCOPES]; /* the first is the root */
    struct actor actors[ACTORS];
    jg_future futures[FUTURES];
    int future_status[FUTURES];
    bool future_set[FUTURES];
    bool left;
} model;

static unsigned below(unsigned limit)
{
    return decide(&model.decisions, limit);
}

static jg_time now(void)
{
    return jg_loop_time(model.loop);
}

/* ---------------------------------------------------------------- the model */

static bool stops(const struct place *place)
{
    if (place->cleaning)
        return false;
    return place->cancelled || (place->parent && !place->shield && stops(place->parent));
}

/* Somebody in it was given -ECANCELED. */
static void note_cut(struct place *place)
{
    for (; place && stops(place); place = place->parent) {
        place->cut = true;
        if (place->shield)
            break;
    }
}

static bool is_inside(const struct place *place, const struct place *outer)
{
    while (place && place != outer)
        place = place->parent;
    return place == outer;
}

/* A scope is cancelled: who waits where that is new is given -ECANCELED, but for those whose op has
   completed. `did` says that the library has done it, else it is about to. */
static void cancel(struct place *place, bool did)
{
    bool stopped[SCOPES];

    if (place->cancelled || place->cleaning || !place->open)
        return;
    for (int i = 0; i < SCOPES; i++)
        stopped[i] = stops(&model.places[i]);
    place->cancelled = true;
    for (int i = 0; i < ACTORS; i++) {
        struct actor *actor = &model.actors[i];

        if (!actor->waits || !is_inside(actor->inner, place) || !stops(actor->inner) ||
            stopped[actor->inner - model.places])
            continue;
        if (did) {
            model_check(!jg_op_pending(jg_task_op(actor->task)));
            actor->doomed = jg_op_status(jg_task_op(actor->task)) == -ECANCELED;
        } else {
            actor->doomed = jg_op_pending(jg_task_op(actor->task));
        }
        actor->waits = false;
        if (!actor->doomed)
            continue;
        actor->until = did ? place->deadline : now();
        note_cut(actor->inner);
    }
}

/* The scope that expired first of those that did since the model last looked. */
static struct place *next_expired(void)
{
    struct place *next = NULL;

    for (int i = 0; i < SCOPES; i++) {
        struct place *place = &model.places[i];

        if (!place->open || place->cleaning || stops(place) || place->deadline > now())
            continue;
        if (next && (next->deadline < place->deadline ||
                     (next->deadline == place->deadline && next->order < place->order)))
            continue;
        if (jg_scope_cancelled(&place->scope))
            next = place;
    }
    return next;
}

/* Learn of what expired, and compare. */
static void look(void)
{
    struct place *place;

    while ((place = next_expired()) != NULL) {
        place->expired = true;
        cancel(place, true);
    }
    for (int i = 0; i < SCOPES; i++) {
        place = &model.places[i];
        if (!place->open)
            continue;
        model_check(jg_scope_cancelled(&place->scope) == stops(place));
        model_check(stops(place) || place->cleaning || place->deadline >= now());
    }
}

/* What leaving a scope returns. */
static int result_of(const struct place *place, int status)
{
    bool cut = place->cut || status == -ECANCELED;
    int plain = status > 0 ? status : 0;

    if (place->error < 0 && place->policy != JG_KEEP_GOING && !place->won)
        return place->error;
    if (status < 0 && status != -ECANCELED)
        return status;
    if (place->won)
        return plain;
    if (cut && place->parent && !place->shield && stops(place->parent))
        return -ECANCELED;
    if (cut && place->expired)
        return -ETIMEDOUT;
    if (cut && place->cancelled && !place->failed)
        return plain;
    return status;
}

/* A scope is left: from here on nothing cuts it. Whether its deadline passed in this very turn, after
   its last task had ended, cannot be seen. */
static void conclude(struct place *place)
{
    bool expires = !stops(place) && place->deadline <= now();

    model_check(place->running == 0);
    place->cleaning = true;
    look();
    place->results[0] = result_of(place, place->status);
    place->expired |= expires;
    place->cancelled |= expires;
    place->results[1] = result_of(place, place->status);
    if (place->deadline < now())
        place->results[0] = place->results[1];
}

static void task_ended(struct actor *actor, int status)
{
    struct place *home = actor->home;
    bool failed = status < 0 && status != -ECANCELED;

    look();
    model_check(actor->inner == home && actor->depth == 0);
    actor->running = false;
    model_check(home->running > 0);
    home->running--;
    if (failed && home->error == 0)
        home->error = status;
    if (failed && home->policy == JG_FAIL_FAST)
        cancel(home, false);
    if (status >= 0 && home->policy == JG_FIRST_WINS && !home->won) {
        home->won = true;
        cancel(home, false);
    }
}

/* ---------------------------------------------------------------- what actors do */

static int some_status(void)
{
    unsigned choice = below(8);

    return choice < 4 ? 0 : choice < 6 ? (int)choice : -2000 - (int)below(50);
}

static struct place *some_place(void)
{
    struct place *place = &model.places[below(SCOPES)];

    return place->open ? place : &model.places[0];
}

/* An actor is about to wait, until a time, if it is not refused. */
static bool begin_wait(struct actor *actor, bool cancellable, jg_time until)
{
    look();
    actor->doomed = stops(actor->inner);
    if (actor->doomed)
        note_cut(actor->inner);
    actor->waits = cancellable && !actor->doomed;
    actor->until = actor->doomed ? now() : until;
    return !actor->doomed;
}

static void end_wait(struct actor *actor, int status, int expected)
{
    look();
    actor->waits = false;
    model_check(status == (actor->doomed ? -ECANCELED : expected));
    model_check(actor->doomed ? now() == actor->until : now() >= actor->until);
    actor->doomed = false;
}

static int nap(struct actor *actor)
{
    jg_time delay = (jg_time)below(20) - 1;
    int r;

    (void)begin_wait(actor, delay > 0, now() + delay);
    r = jg_sleep(delay);
    end_wait(actor, r, 0);
    return r;
}

static void set_future(void)
{
    unsigned index = below(FUTURES);
    int status = some_status();

    look();
    model_check(jg_future_set(&model.futures[index], status) ==
                (model.future_set[index] ? -EALREADY : 0));
    if (!model.future_set[index])
        model.future_status[index] = status;
    model.future_set[index] = true;
}

static int wait_for_future(struct actor *actor)
{
    unsigned index = below(FUTURES);
    int r;

    (void)begin_wait(actor, true, 0);
    r = jg_future_wait(&model.futures[index]);
    end_wait(actor, r, model.future_status[index]);
    return r;
}

static int live(void *arg);
static int step(jg_task *task, void *arg, int status);

static void spawn(void)
{
    struct place *place = some_place();
    struct actor *actor = &model.actors[below(ACTORS)];
    bool refused;
    int r;

    if (actor->running || actor->step.home)
        return;
    look();
    refused = stops(place) || place->cleaning;
    *actor = (struct actor){.home = place, .inner = place};
    if (below(3)) {
        r = jg_spawn(&place->scope, live, actor, NULL);
    } else {
        jg_task_init(&actor->step, "step", step, actor);
        r = jg_task_spawn(&place->scope, &actor->step, NULL);
    }
    model_check(r == (refused ? -ECANCELED : 0));
    if (refused)
        note_cut(place);
    actor->running = !refused;
    place->running += !refused;
}

static void on_defer(void *arg)
{
    struct place *place = arg;
    struct actor *actor = NULL;

    for (int i = 0; i < ACTORS; i++) {
        if (model.actors[i].running && model.actors[i].task == jg_task_current())
            actor = &model.actors[i];
    }
    model_check(actor && actor->inner == place && place->defer_count > 0);
    if (!place->cleaning)
        conclude(place);
    place->defer_count--;
    while (below(3) == 0)
        (void)nap(actor);
}

/* One function for each, so that their order shows. */
static void on_defer_0(void *arg)
{
    on_defer(arg);
    model_check(((struct place *)arg)->defer_count == 0);
}

static void on_defer_1(void *arg)
{
    on_defer(arg);
    model_check(((struct place *)arg)->defer_count == 1);
}

static void on_defer_2(void *arg)
{
    on_defer(arg);
    model_check(((struct place *)arg)->defer_count == 2);
}

static int act(struct actor *actor);

static void defer(struct actor *actor)
{
    static const jg_call_fn functions[DEFERS] = {on_defer_0, on_defer_1, on_defer_2};
    struct place *place = actor->inner;
    int index = place->defer_count;

    if (actor->depth == 0 || index == DEFERS || place->cleaning)
        return;
    place->defer_count++;
    jg_scope_defer(&place->scope, &place->defers[index], functions[index], place);
}

static int leave(struct actor *actor, int status)
{
    struct place *place = actor->inner;
    int r;

    look();
    place->status = status;
    if (status < 0 && place->policy != JG_KEEP_GOING) {
        place->failed |= !stops(place);
        cancel(place, false);
    }
    r = jg_scope_leave(&place->scope, status);
    if (!place->cleaning)
        conclude(place);
    model_check(r == place->results[0] || r == place->results[1]);
    model_check(place->running == 0 && place->defer_count == 0);
    place->open = false;
    actor->inner = place->parent;
    return r;
}

static int enter(struct actor *actor)
{
    struct place *place = NULL;
    jg_scope_options options = {.policy = (jg_policy)below(3), .shield = below(4) == 0};
    int r;

    for (int i = 1; i < SCOPES && !place; i++)
        place = model.places[i].open ? NULL : &model.places[i];
    if (!place || actor->depth == DEPTH)
        return 0;
    if (below(3) == 0)
        options.timeout = (jg_time)below(30) - 1;
    look();
    *place = (struct place){.parent = actor->inner,
                            .open = true,
                            .shield = options.shield,
                            .policy = options.policy,
                            .deadline = JG_FOREVER,
                            .order = ++model.order};
    if (options.timeout > 0)
        place->deadline = now() + options.timeout;
    place->expired = place->cancelled = options.timeout < 0;
    actor->inner = place;
    actor->depth++;
    jg_scope_enter(&place->scope, &options);
    r = leave(actor, act(actor));
    actor->depth--;
    return r;
}

static void reschedule(void)
{
    struct place *place = some_place();
    jg_time deadline = below(4) ? now() + (jg_time)below(30) - 5 : JG_FOREVER;

    look();
    jg_scope_reschedule(&place->scope, deadline);
    if (place->expired || place->cleaning)
        return;
    /* One that has passed is seen in the next turn. */
    place->deadline = deadline > now() ? deadline : now();
    place->order = ++model.order;
}

static void cancel_some(void)
{
    struct place *place = some_place();

    look();
    if (place == &model.places[0] && below(8))
        return;
    cancel(place, false);
    jg_scope_cancel(&place->scope);
    look();
}

/* A few things, and then a status to end with. */
static int act(struct actor *actor)
{
    int r = 0;

    while (!decisions_over(&model.decisions)) {
        switch (below(12)) {
        case 0:
        case 1:
        case 2:
            r = nap(actor);
            break;
        case 3:
            r = wait_for_future(actor);
            break;
        case 4:
            set_future();
            break;
        case 5:
        case 6:
            spawn();
            break;
        case 7:
            r = enter(actor);
            break;
        case 8:
            cancel_some();
            break;
        case 9:
            reschedule();
            break;
        case 10:
            defer(actor);
            break;
        default:
            return below(2) ? r : some_status();
        }
    }
    return r;
}

static int live(void *arg)
{
    struct actor *actor = arg;
    int status;

    actor->task = jg_task_current();
    status = act(actor);
    task_ended(actor, status);
    return status;
}

static int step(jg_task *task, void *arg, int status)
{
    struct actor *actor = arg;
    jg_time delay = (jg_time)below(20) - 1;
    int r;

    if (actor->task)
        end_wait(actor, status, 0);
    actor->task = task;
    while (!decisions_over(&model.decisions) && below(4)) {
        (void)begin_wait(actor, true, now() + delay);
        r = jg_sleep_start(&actor->sleeper, delay, jg_task_op(task));
        model_check(r == (actor->doomed ? -ECANCELED : 0));
        if (r == 0)
            return JG_PENDING;
        end_wait(actor, r, 0);
    }
    status = some_status();
    task_ended(actor, status);
    return status;
}

/* ---------------------------------------------------------------- the run */

static void on_left(void *arg)
{
    *(bool *)arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct place *root = &model.places[0];
    jg_task_counters counters;
    jg_op op;

    memset(&model, 0, sizeof(model));
    model.decisions = decisions_of_bytes(data, size);
    model.loop = model_loop();
    *root = (struct place){.open = true, .deadline = JG_FOREVER, .policy = (jg_policy)below(3)};
    jg_scope_open(&root->scope, model.loop, NULL, &(jg_scope_options){.policy = root->policy});
    for (int i = 0; i < 4; i++)
        spawn();

    while (root->running > 0) {
        model_check(jg_loop_run_once(model.loop, JG_FOREVER) >= 0);
        if (!jg_loop_alive(model.loop)) { /* all wait for futures */
            for (int i = 0; i < FUTURES; i++) {
                if (!model.future_set[i])
                    model_check(jg_future_set(&model.futures[i], 0) == 0);
                model.future_set[i] = true;
            }
            model_check(root->running == 0 || jg_loop_alive(model.loop));
        }
    }
    look();
    jg_op_init(&op, model.loop, on_left, &model.left);
    jg_scope_close(&root->scope, 0, &op);
    model_check(jg_loop_run(model.loop) == 0 && model.left);
    model_check(jg_op_status(&op) == result_of(root, 0));
    for (int i = 1; i < SCOPES; i++)
        model_check(!model.places[i].open);
    counters = jg_loop_task_counters(model.loop);
    model_check(counters.spawned == counters.ended && counters.stacks == 0);
    model_check(jg_loop_free(model.loop) == 0);
    return 0;
}
