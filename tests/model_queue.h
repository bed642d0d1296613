/* SPDX-License-Identifier: MIT
 *
 * Random use of queues by coroutines and step tasks, with cancellation and shutdown at any moment,
 * compared with a model that is correct by being trivial.
 *
 * The model: the accepted items in the order they came, and who waits, in the order they came.
 * Since items are handed over inside the calls, it knows for each operation how it must end at the
 * moment that is decided, and each actor compares when it gets to know.
 */
#ifndef JG_TESTS_MODEL_QUEUE_H
#define JG_TESTS_MODEL_QUEUE_H

#include "model.h"

enum { ACTORS = 12, ROUND = 500, MOST_ITEMS = 2 * ROUND };

enum what { PUT, GET, JOIN };

struct item {
    int rank;
    int id; /* each is used once */
    uint64_t check;
};

/* A task that does a few things with the queue, one after the other, in a scope of its own. */
struct actor {
    bool running, cancelled, started;
    int left; /* operations to do */
    enum what what;
    struct item item; /* put, or got */
    int expected;     /* how the operation must end, once that is decided */
    int expected_id;  /* of the item got */
    jg_task task;
    jg_scope scope;
    jg_op joined;
};

/* Actors that wait, the longest first. */
struct line {
    int count;
    struct actor *actors[ACTORS];
};

struct model {
    jg_loop *loop;
    struct decisions decisions;
    long operations, delivered, cut;
    struct actor actors[ACTORS];

    jg_queue queue;
    jg_queue_order order;
    size_t limit;
    bool shut;
    int last_id;
    struct item items[MOST_ITEMS];
    size_t size, unfinished, accepted, got, dropped;
    struct line getters, putters, joiners;
};

static struct model model;

static unsigned random_below(unsigned below)
{
    return decide(&model.decisions, below);
}

static struct item new_item(void)
{
    struct item item = {.rank = (int)random_below(5), .id = ++model.last_id};

    item.check = (uint64_t)item.id * 2654435761u;
    return item;
}

static void line_add(struct line *line, struct actor *actor)
{
    line->actors[line->count++] = actor;
}

static bool line_remove(struct line *line, const struct actor *actor)
{
    for (int i = 0; i < line->count; i++) {
        if (line->actors[i] == actor) {
            line->count--;
            memmove(&line->actors[i], &line->actors[i + 1],
                    (size_t)(line->count - i) * sizeof(struct actor *));
            return true;
        }
    }
    return false;
}

static struct actor *line_pop(struct line *line)
{
    struct actor *first = line->actors[0];

    (void)line_remove(line, first);
    return first;
}

static void line_end(struct line *line, int status)
{
    while (line->count > 0)
        line_pop(line)->expected = status;
}

static size_t model_next(void)
{
    size_t next = model.order == JG_LIFO ? model.size - 1 : 0;

    for (size_t i = 1; model.order == JG_PRIORITY && i < model.size; i++) {
        if (model.items[i].rank < model.items[next].rank)
            next = i;
    }
    return next;
}

static struct item model_remove(void)
{
    size_t next = model_next();
    struct item item = model.items[next];

    model.size--;
    memmove(&model.items[next], &model.items[next + 1], (model.size - next) * sizeof(struct item));
    return item;
}

static void model_accept(struct item item)
{
    model.accepted++;
    model.unfinished++;
    if (model.getters.count > 0) {
        struct actor *getter = line_pop(&model.getters);

        getter->expected = 0;
        getter->expected_id = item.id;
        model.got++;
    } else {
        model_check(model.size < MOST_ITEMS);
        model.items[model.size++] = item;
    }
}

static int model_put(struct item item)
{
    if (model.shut)
        return JG_ESHUTDOWN;
    if (model.size >= model.limit)
        return -EAGAIN;
    model_accept(item);
    return 0;
}

static int model_get(int *ret_id)
{
    if (model.size == 0)
        return model.shut ? JG_ESHUTDOWN : -EAGAIN;

    *ret_id = model_remove().id;
    model.got++;
    if (model.putters.count > 0) {
        struct actor *putter = line_pop(&model.putters);

        putter->expected = 0;
        model_accept(putter->item);
    }
    return 0;
}

static int model_finish(void)
{
    if (model.unfinished == 0)
        return -EINVAL;
    if (--model.unfinished == 0)
        line_end(&model.joiners, 0);
    return 0;
}

static void on_drop(void *arg, void *item)
{
    const struct item *dropped = item;

    (void)arg;
    model_check(model.size > 0);
    model_check(dropped->id == model_remove().id);
    model.dropped++;
    (void)model_finish();
}

static int compare(const void *a, const void *b)
{
    return ((const struct item *)a)->rank - ((const struct item *)b)->rank;
}

static void try_put(void)
{
    struct item item = new_item();

    model_check(jg_queue_try_put(&model.queue, &item) == model_put(item));
}

static void check_got(const struct item *item, int expected_id)
{
    model_check(item->id == expected_id);
    model_check(item->check == (uint64_t)item->id * 2654435761u);
}

static void try_get(void)
{
    struct item item = {.id = -1};
    int id = -1, r = model_get(&id);

    model_check(jg_queue_try_get(&model.queue, &item) == r);
    model_check(item.id == id);
    if (r == 0)
        check_got(&item, id);
}

static void shut_down(bool immediate)
{
    model.shut = true;
    line_end(&model.getters, JG_ESHUTDOWN);
    line_end(&model.putters, JG_ESHUTDOWN);
    (void)jg_queue_shutdown(&model.queue, immediate);
    if (immediate)
        model_check(model.size == 0);
}

static void cancel(struct actor *actor)
{
    if (!actor->running)
        return;

    actor->cancelled = true;
    if (line_remove(&model.getters, actor) || line_remove(&model.putters, actor) ||
        line_remove(&model.joiners, actor)) {
        actor->expected = -ECANCELED;
        model.cut++;
    }
    jg_scope_cancel(&actor->scope);
}

/* What may happen at any moment, inside an actor and between turns. */
static void meddle(void)
{
    struct actor *actor = &model.actors[random_below(ACTORS)];

    model.operations++;
    switch (random_below(8)) {
    case 0:
    case 1:
        try_put();
        break;
    case 2:
    case 3:
        try_get();
        break;
    case 4:
    case 5:
        model_check(jg_queue_task_done(&model.queue) == model_finish());
        break;
    case 6:
        cancel(actor);
        break;
    case 7:
        if (random_below(100) == 0)
            shut_down(random_below(2));
        break;
    }
}

/* Choose what an actor does next, and find how it must end if that is decided already. */
static void choose(struct actor *actor)
{
    model.operations++;
    actor->what = random_below(12) == 0 ? JOIN : random_below(2) ? PUT : GET;
    actor->expected = -ECANCELED;
    actor->expected_id = -1;
    actor->item = (struct item){.id = -1};
    if (actor->what == PUT)
        actor->item = new_item();
    if (actor->cancelled)
        return;

    actor->expected = -EAGAIN;
    if (actor->what == PUT) {
        actor->expected = model_put(actor->item);
        if (actor->expected == -EAGAIN)
            line_add(&model.putters, actor);
    } else if (actor->what == GET) {
        actor->expected = model_get(&actor->expected_id);
        if (actor->expected == -EAGAIN)
            line_add(&model.getters, actor);
    } else if (model.unfinished == 0) {
        actor->expected = 0;
    } else {
        line_add(&model.joiners, actor);
    }
}

static void check_end(struct actor *actor, int status)
{
    model_check(status == actor->expected);
    if (actor->what == GET && status == 0) {
        check_got(&actor->item, actor->expected_id);
        model.delivered++;
    } else if (actor->what == GET) {
        model_check(actor->item.id == -1);
    }
    while (random_below(3) == 0)
        meddle();
}

static int body(void *arg)
{
    struct actor *actor = arg;
    int r;

    while (actor->left-- > 0) {
        choose(actor);
        if (actor->what == PUT)
            r = jg_queue_put(&model.queue, &actor->item);
        else if (actor->what == GET)
            r = jg_queue_get(&model.queue, &actor->item);
        else
            r = jg_queue_join(&model.queue);
        check_end(actor, r);
    }
    actor->running = false;
    return 0;
}

static int start(struct actor *actor, jg_op *op)
{
    if (actor->what == PUT)
        return jg_queue_put_start(&model.queue, &actor->item, op);
    if (actor->what == GET)
        return jg_queue_get_start(&model.queue, &actor->item, op);
    return jg_queue_join_start(&model.queue, op);
}

static int step(jg_task *task, void *arg, int status)
{
    struct actor *actor = arg;

    for (;;) {
        if (actor->started)
            check_end(actor, status);
        actor->started = actor->left-- > 0;
        if (!actor->started) {
            actor->running = false;
            return 0;
        }
        choose(actor);
        status = start(actor, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
}

static void ignore(void *arg)
{
    (void)arg;
}

static void spawn(struct actor *actor)
{
    if (actor->running || jg_op_pending(&actor->joined) || actor->joined.call.link.next)
        return;

    *actor = (struct actor){.running = true, .left = 1 + (int)random_below(6)};
    jg_scope_open(&actor->scope, model.loop, NULL, NULL);
    jg_op_init(&actor->joined, model.loop, ignore, NULL);
    if (random_below(2)) {
        model_check(jg_spawn(&actor->scope, body, actor, NULL) == 0);
    } else {
        jg_task_init(&actor->task, "actor", step, actor);
        model_check(jg_task_spawn(&actor->scope, &actor->task, NULL) == 0);
    }
    jg_scope_close(&actor->scope, 0, &actor->joined);
}

static void compare_with_model(void)
{
    jg_queue_stats stats;

    jg_queue_stat(&model.queue, &stats);
    model_check(jg_queue_size(&model.queue) == model.size);
    model_check(stats.getters == (size_t)model.getters.count);
    model_check(stats.putters == (size_t)model.putters.count);
    model_check(stats.unfinished == model.unfinished);
    model_check(stats.accepted == model.accepted);
    model_check(stats.got == model.got);
    model_check(stats.dropped == model.dropped);
}

static void round_init(void)
{
    size_t limit = random_below(3) == 0 ? 0 : 1 + random_below(8);
    jg_queue_options options = {
        .item_size = sizeof(struct item),
        .limit = limit,
        .reserve = random_below(2) ? limit : 0,
        .order = (jg_queue_order)random_below(3),
        .drop = on_drop,
    };

    if (options.order == JG_PRIORITY)
        options.compare = compare;
    model_check(jg_queue_init(&model.queue, model.loop, &options) == 0);
    model.order = options.order;
    model.limit = limit ? limit : SIZE_MAX;
    model.shut = false;
    model.size = model.unfinished = model.accepted = model.got = model.dropped = 0;
}

/* One queue, from its beginning to its end. */
static void a_round(void)
{
    const long end = model.operations + ROUND;

    round_init();
    while (model.operations < end && !decisions_over(&model.decisions)) {
        if (random_below(2))
            spawn(&model.actors[random_below(ACTORS)]);
        else
            meddle();
        if (random_below(3) == 0)
            model_check(jg_loop_run_once(model.loop, 0) >= 0);
        compare_with_model();
    }

    for (int i = 0; i < ACTORS; i++)
        cancel(&model.actors[i]);
    model_check(jg_loop_run(model.loop) == 0);
    compare_with_model();
    while (model.size > 0 && random_below(10) > 0)
        try_get();
    (void)jg_queue_fini(&model.queue); /* drops the rest, as on_drop checks */
    model_check(model.size == 0);
    model_check(model.got + model.dropped == model.accepted);
}

#endif
