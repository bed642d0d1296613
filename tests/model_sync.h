/* SPDX-License-Identifier: MIT
 *
 * Random operations on a lock, two conditions, a semaphore, an event and a barrier by coroutines,
 * step tasks and callbacks, which are cancelled at random points, compared with a model that is
 * correct by being trivial.
 *
 * The model keeps who waits for what in arrays, and one line of who was told what and has yet to
 * run. Each wait that ends must be the first in that line, with that status: so nothing is lost,
 * duplicated or overtaken. Every other run shuffles what is ready: then they run in any order, but
 * who is told what is still to the letter.
 */
#ifndef JG_TESTS_MODEL_SYNC_H
#define JG_TESTS_MODEL_SYNC_H

#include "model.h"

enum { ACTORS = 16, PERMITS = 3, PARTIES = 3 };

/* What can be waited for. NOTHING: asleep, or running. */
enum thing { NOTHING, LOCK, FIRST, SECOND, SEMAPHORE, EVENT, BARRIER, THINGS };

enum form { CALLBACK, STEP, COROUTINE };

struct model;

struct actor {
    struct model *model;
    enum form form;
    enum thing waits;    /* in the model */
    bool told;           /* it is in the line */
    bool cancelled;      /* its scope is */
    bool holds, relocks; /* the lock; it waits for that after a condition, to be told `status` */
    int permits, status, actions;
    jg_scope scope;
    jg_op op, left;
    jg_task task;
    jg_sleeper sleeper;
};

struct told {
    struct actor *actor;
    int status;
};

struct list {
    struct actor *actors[ACTORS];
    int count;
};

struct model {
    jg_loop *loop;
    struct decisions decisions;
    long steps, total, waits[THINGS], cut[THINGS];
    struct actor actors[ACTORS];
    struct list waiting[THINGS];
    struct told line[ACTORS];
    int line_count;
    bool locked, set, broken, shuffled;
    unsigned value;
    int lives;   /* of actors that have not ended */
    long drives; /* when all should have */

    jg_lock lock;
    jg_condition first, second;
    jg_semaphore semaphore;
    jg_event event;
    jg_barrier barrier;
    jg_timer driver;
};

static unsigned model_random(struct model *model, unsigned below)
{
    return decide(&model->decisions, below);
}

/* Whether there is time left to begin anything. */
static bool model_goes_on(const struct model *model)
{
    return model->steps < model->total && !decisions_over(&model->decisions);
}

/* ------------------------------------------------------------ the model */

static void list_add(struct list *list, struct actor *actor)
{
    list->actors[list->count++] = actor;
}

static bool list_remove(struct list *list, const struct actor *actor)
{
    for (int i = 0; i < list->count; i++) {
        if (list->actors[i] != actor)
            continue;
        list->count--;
        memmove(&list->actors[i], &list->actors[i + 1],
                (size_t)(list->count - i) * sizeof(list->actors[0]));
        return true;
    }
    return false;
}

static struct actor *list_first(struct list *list)
{
    struct actor *actor = list->actors[0];

    model_check(list_remove(list, actor));
    return actor;
}

static void tell(struct actor *actor, int status)
{
    struct model *model = actor->model;

    model_check(!actor->told);
    actor->told = true;
    model->line[model->line_count++] = (struct told){actor, status};
}

/* An actor gets the lock, or waits for it, to be told `status` with it. */
static void model_lock(struct actor *actor, int status)
{
    struct model *model = actor->model;

    actor->status = status;
    if (model->locked) {
        list_add(&model->waiting[LOCK], actor);
    } else {
        model->locked = true;
        tell(actor, status);
    }
}

static void model_unlock(struct model *model)
{
    model_check(model->locked);
    if (model->waiting[LOCK].count > 0) {
        struct actor *next = list_first(&model->waiting[LOCK]);

        tell(next, next->status);
    } else {
        model->locked = false;
    }
}

static void model_notify(struct model *model, enum thing condition, unsigned n)
{
    for (; n > 0 && model->waiting[condition].count > 0; n--) {
        struct actor *actor = list_first(&model->waiting[condition]);

        actor->relocks = true;
        model_lock(actor, 0);
    }
}

static void model_break(struct model *model)
{
    while (model->waiting[BARRIER].count > 0)
        tell(list_first(&model->waiting[BARRIER]), JG_EBROKEN);
}

static void model_arrive(struct actor *actor)
{
    struct model *model = actor->model;

    if (model->broken) {
        tell(actor, JG_EBROKEN);
        return;
    }

    list_add(&model->waiting[BARRIER], actor);
    if (model->waiting[BARRIER].count == PARTIES)
        for (int i = 0; i < PARTIES; i++)
            tell(list_first(&model->waiting[BARRIER]), i);
}

/* An actor that is not cancelled begins to wait. */
static void model_wait(struct actor *actor, enum thing thing)
{
    struct model *model = actor->model;

    actor->waits = thing;
    model->waits[thing]++;
    switch (thing) {
    case LOCK:
        model_lock(actor, 0);
        break;
    case FIRST:
    case SECOND:
        model_check(actor->holds);
        actor->holds = false;
        list_add(&model->waiting[thing], actor);
        model_unlock(model);
        break;
    case SEMAPHORE:
        if (model->value > 0) {
            model->value--;
            tell(actor, 0);
        } else {
            list_add(&model->waiting[thing], actor);
        }
        break;
    case EVENT:
        if (model->set)
            tell(actor, 0);
        else
            list_add(&model->waiting[thing], actor);
        break;
    case BARRIER:
        model_arrive(actor);
        break;
    default:
        break;
    }
}

/* What an actor waits for, if anything, is to end early. */
static void model_cancel(struct actor *actor)
{
    struct model *model = actor->model;
    enum thing thing = actor->waits;

    if (thing == NOTHING || actor->told || actor->relocks)
        return;

    model_check(list_remove(&model->waiting[thing], actor));
    model->cut[thing]++;
    if (thing == FIRST || thing == SECOND) {
        actor->relocks = true;
        model_lock(actor, -ECANCELED);
    } else {
        tell(actor, -ECANCELED);
    }
}

/* A wait has ended: as it was told, and in its turn. A coroutine that found its thing free need not
   have waited for those before it. */
static void model_ended(struct actor *actor, int status, bool at_once)
{
    struct model *model = actor->model;
    enum thing thing = actor->waits;
    int place = 0;

    model_check(actor->told);
    while ((at_once || model->shuffled) && model->line[place].actor != actor)
        place++;
    model_check(model->line[place].actor == actor);
    model_check(model->line[place].status == status);
    model->line_count--;
    memmove(&model->line[place], &model->line[place + 1],
            (size_t)(model->line_count - place) * sizeof(model->line[0]));

    actor->told = actor->relocks = false;
    actor->waits = NOTHING;
    if (thing == SEMAPHORE && status == 0)
        actor->permits++;
    if ((thing == LOCK && status == 0) || thing == FIRST || thing == SECOND) {
        for (int i = 0; i < ACTORS; i++)
            model_check(!model->actors[i].holds);
        actor->holds = true;
    }
}

/* The library agrees with the model on what can be seen. */
static void model_compare(struct model *model)
{
    model_check(jg_lock_locked(&model->lock) == model->locked);
    model_check(jg_semaphore_value(&model->semaphore) == model->value);
    model_check(jg_event_is_set(&model->event) == model->set);
    model_check(jg_barrier_waiting(&model->barrier) == (unsigned)model->waiting[BARRIER].count);
    model_check(jg_barrier_broken(&model->barrier) == model->broken);
}

/* ----------------------------------------------------------- operations */

static void release_lock(struct actor *actor)
{
    actor->holds = false;
    model_unlock(actor->model);
    jg_lock_release(&actor->model->lock);
}

static void release_permit(struct actor *actor)
{
    struct model *model = actor->model;

    actor->permits--;
    if (model->waiting[SEMAPHORE].count > 0)
        tell(list_first(&model->waiting[SEMAPHORE]), 0);
    else
        model->value++;
    jg_semaphore_release(&model->semaphore);
}

static void notify(struct actor *actor)
{
    struct model *model = actor->model;
    bool first = model_random(model, 2);
    jg_condition *condition = first ? &model->first : &model->second;
    unsigned n = model_random(model, 3);

    model_notify(model, first ? FIRST : SECOND, n ? n : ACTORS);
    if (n)
        jg_condition_notify(condition, n);
    else
        jg_condition_notify_all(condition);
}

static void cancel(struct actor *actor)
{
    if (actor->form == CALLBACK) {
        model_cancel(actor);
        jg_op_cancel(&actor->op);
    } else if (!actor->cancelled) {
        actor->cancelled = true;
        model_cancel(actor);
        jg_scope_cancel(&actor->scope);
    }
}

static void touch_barrier(struct model *model)
{
    model_break(model);
    model->broken = model_random(model, 3) == 0;
    if (model->broken)
        jg_barrier_abort(&model->barrier);
    else
        jg_barrier_reset(&model->barrier);
}

static void touch_event(struct model *model)
{
    model->set = model_random(model, 2);
    if (model->set) {
        while (model->waiting[EVENT].count > 0)
            tell(list_first(&model->waiting[EVENT]), 0);
        jg_event_set(&model->event);
    } else {
        jg_event_clear(&model->event);
    }
}

static void try_both(struct actor *actor)
{
    struct model *model = actor->model;

    if (jg_lock_try_acquire(&model->lock) == 0) {
        model_check(!model->locked);
        model->locked = actor->holds = true;
    } else {
        model_check(model->locked);
    }
    if (jg_semaphore_try_acquire(&model->semaphore) == 0) {
        model_check(model->value > 0);
        model->value--;
        actor->permits++;
    } else {
        model_check(model->value == 0);
    }
}

static void instant(struct actor *actor)
{
    struct model *model = actor->model;

    switch (model_random(model, 8)) {
    case 0:
        cancel(&model->actors[model_random(model, ACTORS)]);
        break;
    case 1:
        touch_event(model);
        break;
    case 2:
        if (model_random(model, 4) == 0)
            touch_barrier(model);
        break;
    case 3:
        try_both(actor);
        break;
    case 4:
    case 5:
        if (actor->holds)
            notify(actor);
        break;
    case 6:
        if (actor->holds)
            release_lock(actor);
        break;
    case 7:
        if (actor->permits > 0)
            release_permit(actor);
        break;
    }
    model_compare(model);
}

/* ---------------------------------------------------------- their lives */

static int thing_start(struct actor *actor, enum thing thing, jg_op *op)
{
    struct model *model = actor->model;

    switch (thing) {
    case LOCK:
        return jg_lock_acquire_start(&model->lock, op);
    case FIRST:
        return jg_condition_wait_start(&model->first, op);
    case SECOND:
        return jg_condition_wait_start(&model->second, op);
    case SEMAPHORE:
        return jg_semaphore_acquire_start(&model->semaphore, op);
    case EVENT:
        return jg_event_wait_start(&model->event, op);
    case BARRIER:
        return jg_barrier_wait_start(&model->barrier, op);
    default:
        return jg_sleep_start(&actor->sleeper, (jg_time)model_random(model, 4), op);
    }
}

static int thing_wait(struct actor *actor, enum thing thing)
{
    struct model *model = actor->model;

    switch (thing) {
    case LOCK:
        return jg_lock_acquire(&model->lock);
    case FIRST:
        return jg_condition_wait(&model->first);
    case SECOND:
        return jg_condition_wait(&model->second);
    case SEMAPHORE:
        return jg_semaphore_acquire(&model->semaphore);
    case EVENT:
        return jg_event_wait(&model->event);
    case BARRIER:
        return jg_barrier_wait(&model->barrier);
    default:
        return jg_sleep((jg_time)model_random(model, 4));
    }
}

/* Do a few things that do not wait, and choose what to wait for. */
static enum thing actor_choose(struct actor *actor)
{
    static const enum thing without_lock[] = {NOTHING, LOCK, LOCK, SEMAPHORE, EVENT, BARRIER};
    static const enum thing with_lock[] = {NOTHING, NOTHING, FIRST, SECOND};
    struct model *model = actor->model;

    while (model_random(model, 3) > 0)
        instant(actor);
    model->steps++;
    actor->actions--;
    return actor->holds ? with_lock[model_random(model, 4)] : without_lock[model_random(model, 6)];
}

/* Whether an actor has come to its end; it then has nothing any more. */
static bool actor_ends(struct actor *actor)
{
    if (!actor->cancelled && actor->actions > 0 && model_goes_on(actor->model))
        return false;

    if (actor->holds)
        release_lock(actor);
    while (actor->permits > 0)
        release_permit(actor);
    return true;
}

static int actor_coro(void *arg)
{
    struct actor *actor = arg;

    while (!actor_ends(actor)) {
        enum thing thing = actor_choose(actor);
        bool at_once;
        int r;

        if (actor->cancelled) {
            model_check(thing_wait(actor, thing) == -ECANCELED);
            continue;
        }
        model_wait(actor, thing);
        at_once = actor->told;
        r = thing_wait(actor, thing);
        if (thing != NOTHING)
            model_ended(actor, r, at_once);
    }
    return 0;
}

/* Start the next wait. Returns false when there is none. */
static bool actor_next(struct actor *actor, jg_op *op)
{
    while (!actor_ends(actor)) {
        enum thing thing = actor_choose(actor);

        if (actor->cancelled) {
            model_check(thing_start(actor, thing, op) == -ECANCELED);
            continue;
        }
        model_wait(actor, thing);
        model_check(thing_start(actor, thing, op) == 0);
        return true;
    }
    return false;
}

static int actor_step(jg_task *task, void *arg, int status)
{
    struct actor *actor = arg;

    if (actor->waits != NOTHING)
        model_ended(actor, status, false);
    return actor_next(actor, jg_task_op(task)) ? JG_PENDING : 0;
}

static void actor_begin(struct actor *actor);

static void actor_over(void *arg)
{
    struct actor *actor = arg;
    struct model *model = actor->model;

    model->lives--;
    if (model_goes_on(model))
        actor_begin(actor);
}

static void actor_called(void *arg)
{
    struct actor *actor = arg;

    if (actor->waits != NOTHING)
        model_ended(actor, jg_op_status(&actor->op), false);
    if (!actor_next(actor, &actor->op))
        actor_over(actor);
}

static void actor_begin(struct actor *actor)
{
    struct model *model = actor->model;

    model->lives++;
    actor->form = (enum form)model_random(model, 3);
    actor->actions = 1 + (int)model_random(model, 50);
    actor->cancelled = false;
    if (actor->form == CALLBACK) {
        jg_op_init(&actor->op, model->loop, actor_called, actor);
        model_check(jg_sleep_start(&actor->sleeper, 0, &actor->op) == 0);
        return;
    }

    jg_scope_open(&actor->scope, model->loop, NULL, NULL);
    jg_op_init(&actor->left, model->loop, actor_over, actor);
    if (actor->form == STEP) {
        jg_task_init(&actor->task, "step", actor_step, actor);
        model_check(jg_task_spawn(&actor->scope, &actor->task, NULL) == 0);
    } else {
        model_check(jg_spawn(&actor->scope, actor_coro, actor, NULL) == 0);
    }
    jg_scope_close(&actor->scope, 0, &actor->left);
}

/* Cancels somebody now and then, so that no jam stays. */
static void drive(void *arg)
{
    struct model *model = arg;

    cancel(&model->actors[model_random(model, ACTORS)]);
    model_compare(model);
    if (!model_goes_on(model))
        model_check(model->drives++ < 10000); /* else somebody waits who cannot be cancelled */
    if (model->lives > 0)
        jg_call_later(model->loop, &model->driver, 1 + (jg_time)model_random(model, 8));
}

/* So many steps at most, on a loop, which may be shuffled. The model has to stay that long. */
static void model_run(struct model *model, jg_loop *loop, struct decisions decisions, long total,
                      bool shuffled)
{
    int order[ACTORS];

    *model = (struct model){.decisions = decisions,
                            .total = total,
                            .shuffled = shuffled,
                            .value = PERMITS,
                            .loop = loop};
    if (shuffled)
        jg_test_shuffle(loop, decisions.random | 1);
    jg_condition_init(&model->first, &model->lock);
    jg_condition_init(&model->second, &model->lock);
    jg_semaphore_init(&model->semaphore, PERMITS, PERMITS);
    jg_barrier_init(&model->barrier, PARTIES);
    for (int i = 0; i < ACTORS; i++) {
        int other = (int)model_random(model, (unsigned)i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    for (int i = 0; i < ACTORS; i++) {
        model->actors[order[i]].model = model;
        actor_begin(&model->actors[order[i]]);
    }
    jg_timer_init(&model->driver, drive, model);
    jg_call_later(model->loop, &model->driver, 1);
    model_check(jg_loop_run(model->loop) == 0);

    model_check(model->lives == 0);
    model_check(model->line_count == 0);
    model_check(!model->locked);
    model_check(model->value == PERMITS);
    model_compare(model);
    for (enum thing thing = LOCK; thing < THINGS; thing++) {
        model_check(model->waiting[thing].count == 0);
    }
}

#endif
