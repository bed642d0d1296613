/* SPDX-License-Identifier: MIT
 *
 * Queues: order, hand-over, cancellation, join, shutdown, memory and statistics. What concerns
 * those who wait is tested for coroutines and step tasks alike. Random use is in
 * test_model_queue.c, other threads in test_queue_port.c.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>
#include <juggle/queue.h>
#include <juggle/test_kit.h>
#include <juggle/tree.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MS JG_MILLISECOND

enum form { COROUTINE, STEP, FORMS };

enum what { GET, PUT, JOIN };

enum { WAITS = 12345 };

/* What most tests need: a loop, a queue of ints, and who came when. */
struct stage {
    jg_loop *loop;
    jg_queue queue;
    struct test_trace trace; /* of the actors that are through */
    int dropped[16];
    int drops;
};

static void on_drop(void *arg, void *item)
{
    struct stage *stage = arg;

    memcpy(&stage->dropped[stage->drops++], item, sizeof(int));
}

static int compare_ints(const void *a, const void *b)
{
    const int *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void stage_init(struct stage *stage, jg_queue_order order, size_t limit)
{
    const jg_queue_options options = {
        .item_size = sizeof(int),
        .limit = limit,
        .order = order,
        .compare = order == JG_PRIORITY ? compare_ints : NULL,
        .drop = on_drop,
        .drop_arg = stage,
    };

    *stage = (struct stage){.loop = test_loop(JG_LOOP_VIRTUAL_TIME)};
    assert_int_equal(jg_queue_init(&stage->queue, stage->loop, &options), 0);
}

static void stage_done(struct stage *stage)
{
    assert_int_equal(jg_queue_fini(&stage->queue), 0);
    test_loop_done(stage->loop);
}

/* Run all that can run. */
static void settle(struct stage *stage)
{
    assert_int_equal(jg_loop_run(stage->loop), 0);
}

static int try_put(struct stage *stage, int item)
{
    return jg_queue_try_put(&stage->queue, &item);
}

/* The item, or the error. */
static int try_get(struct stage *stage)
{
    int item, r = jg_queue_try_get(&stage->queue, &item);

    return r < 0 ? r : item;
}

static jg_queue_stats stats(const struct stage *stage)
{
    jg_queue_stats stats;

    jg_queue_stat(&stage->queue, &stats);
    return stats;
}

/* A task that does one thing with the queue, in a scope of its own. */
struct actor {
    struct stage *stage;
    enum what what;
    char letter;
    int item;
    int status;
    bool started;
    jg_task task;
    jg_scope scope;
    jg_op left;
};

static int actor_start(struct actor *actor, jg_op *op)
{
    jg_queue *queue = &actor->stage->queue;

    if (actor->what == GET)
        return jg_queue_get_start(queue, &actor->item, op);
    if (actor->what == PUT)
        return jg_queue_put_start(queue, &actor->item, op);
    return jg_queue_join_start(queue, op);
}

static int actor_step(jg_task *task, void *arg, int status)
{
    struct actor *actor = arg;

    if (!actor->started) {
        actor->started = true;
        status = actor_start(actor, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
    test_trace_add(&actor->stage->trace, actor->letter);
    return status;
}

static int actor_body(void *arg)
{
    struct actor *actor = arg;
    jg_queue *queue = &actor->stage->queue;
    int r;

    if (actor->what == GET)
        r = jg_queue_get(queue, &actor->item);
    else if (actor->what == PUT)
        r = jg_queue_put(queue, &actor->item);
    else
        r = jg_queue_join(queue);
    test_trace_add(&actor->stage->trace, actor->letter);
    return r;
}

static void ignore(void *arg)
{
    (void)arg;
}

/* Have a new actor begin, and wait if it has to. */
static void act(struct actor *actor, struct stage *stage, enum form form, enum what what, int item)
{
    const jg_spawn_options options = {.ret_status = &actor->status};
    size_t came = strlen(stage->trace.letters) + stats(stage).getters + stats(stage).putters;

    *actor = (struct actor){.stage = stage, .what = what, .item = item, .status = WAITS};
    actor->letter = (char)('a' + came);
    jg_scope_open(&actor->scope, stage->loop, NULL, NULL);
    jg_op_init(&actor->left, stage->loop, ignore, NULL);
    if (form == COROUTINE) {
        assert_int_equal(jg_spawn(&actor->scope, actor_body, actor, &options), 0);
    } else {
        jg_task_init(&actor->task, "actor", actor_step, actor);
        assert_int_equal(jg_task_spawn(&actor->scope, &actor->task, &actor->status), 0);
    }
    jg_scope_close(&actor->scope, 0, &actor->left);
    settle(stage);
}

static void items_come_out_in_the_order_that_was_chosen(void **state)
{
    static const int expected[][6] = {
        {5, 1, 4, 1, 3, 9},
        {9, 3, 1, 4, 1, 5},
        {1, 1, 3, 4, 5, 9},
    };

    (void)state;
    for (int order = JG_FIFO; order <= JG_PRIORITY; order++) {
        struct stage stage;

        stage_init(&stage, (jg_queue_order)order, 0);
        for (int i = 0; i < 6; i++)
            assert_int_equal(try_put(&stage, expected[0][i]), 0);
        for (int i = 0; i < 6; i++)
            assert_int_equal(try_get(&stage), expected[order][i]);
        stage_done(&stage);
    }
}

struct ranked {
    int rank, number;
    long double widest; /* the type with the strictest alignment, as a rule */
};

static int compare_ranks(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    assert_int_equal((uintptr_t)x % _Alignof(struct ranked), 0);
    assert_int_equal((uintptr_t)y % _Alignof(struct ranked), 0);
    return x->rank - y->rank;
}

static void equal_priorities_keep_the_order_in_which_they_came(void **state)
{
    const jg_queue_options options = {
        .item_size = sizeof(struct ranked), .order = JG_PRIORITY, .compare = compare_ranks};
    jg_loop *loop = test_loop(0);
    struct ranked item = {0}, last;
    jg_queue queue;

    (void)state;
    assert_int_equal(jg_queue_init(&queue, loop, &options), 0);
    srand(1);
    for (int round = 0; round < 20; round++) {
        int left = 0;

        for (int i = 0; i < 200; i++) {
            if (rand() % 4 == 0 && left > 0) {
                assert_int_equal(jg_queue_try_get(&queue, &item), 0);
                left--;
            }
            item = (struct ranked){.rank = rand() % 5, .number = i};
            assert_int_equal(jg_queue_try_put(&queue, &item), 0);
            left++;
        }
        last = (struct ranked){.rank = -1};
        for (; left > 0; left--) {
            assert_int_equal(jg_queue_try_get(&queue, &item), 0);
            assert_true(item.rank > last.rank ||
                        (item.rank == last.rank && item.number > last.number));
            last = item;
        }
        assert_true(jg_queue_empty(&queue));
    }
    assert_int_equal(jg_queue_fini(&queue), 0);
    test_loop_done(loop);
}

static void a_ring_that_wraps_and_grows_keeps_its_order(void **state)
{
    struct stage stage;
    int in = 0, out = 0;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    for (int step = 1; step < 200; step++) {
        for (int i = 0; i < step % 40; i++)
            assert_int_equal(try_put(&stage, in++), 0);
        for (int i = 0; i < step % 37 && out < in; i++)
            assert_int_equal(try_get(&stage), out++);
    }
    while (out < in)
        assert_int_equal(try_get(&stage), out++);
    assert_int_equal(try_get(&stage), -EAGAIN);
    stage_done(&stage);
}

static void items_of_every_size_come_out_as_they_went_in(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 16, 24, 100, 4096};
    unsigned char in[4096], out[4096];
    jg_loop *loop = test_loop(0);

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        const jg_queue_options options = {.item_size = sizes[s], .limit = 20, .reserve = 20};
        jg_queue queue;

        assert_int_equal(jg_queue_init(&queue, loop, &options), 0);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 20; i++) {
                memset(in, round * 20 + i, sizes[s]);
                assert_int_equal(jg_queue_try_put(&queue, in), 0);
            }
            assert_int_equal(jg_queue_try_put(&queue, in), -EAGAIN);
            for (int i = 0; i < 20; i++) {
                memset(in, round * 20 + i, sizes[s]);
                assert_int_equal(jg_queue_try_get(&queue, out), 0);
                assert_memory_equal(in, out, sizes[s]);
            }
        }
        assert_int_equal(jg_queue_fini(&queue), 0);
    }
    test_loop_done(loop);
}

static void pointers_are_the_items_of_the_default_size(void **state)
{
    jg_loop *loop = test_loop(0);
    const char *in = "text", *out = NULL;
    jg_queue queue;

    (void)state;
    assert_int_equal(jg_queue_init(&queue, loop, NULL), 0);
    assert_int_equal(jg_queue_limit(&queue), SIZE_MAX);
    assert_int_equal(jg_queue_try_put(&queue, &in), 0);
    assert_int_equal(jg_queue_try_get(&queue, &out), 0);
    assert_ptr_equal(in, out);
    assert_int_equal(jg_queue_fini(&queue), 0);
    test_loop_done(loop);
}

static void a_full_queue_takes_nothing_and_an_empty_one_gives_nothing(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, JG_FIFO, 2);
    assert_true(jg_queue_empty(&stage.queue) && !jg_queue_full(&stage.queue));
    assert_int_equal(try_get(&stage), -EAGAIN);
    assert_int_equal(try_put(&stage, 1), 0);
    assert_true(!jg_queue_empty(&stage.queue) && !jg_queue_full(&stage.queue));
    assert_int_equal(try_put(&stage, 2), 0);
    assert_true(jg_queue_full(&stage.queue));
    assert_int_equal(try_put(&stage, 3), -EAGAIN);
    assert_int_equal(jg_queue_size(&stage.queue), 2);
    assert_int_equal(jg_queue_limit(&stage.queue), 2);
    assert_int_equal(try_get(&stage), 1);
    assert_int_equal(try_get(&stage), 2);
    assert_int_equal(try_get(&stage), -EAGAIN);
    stage_done(&stage);
}

static void getters_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor getters[3];

        stage_init(&stage, JG_LIFO, 0); /* which is the order of items, not of getters */
        for (int i = 0; i < 3; i++)
            act(&getters[i], &stage, i % 2 ? COROUTINE : form, GET, -1);
        assert_int_equal(stats(&stage).getters, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(try_put(&stage, 10 + i), 0);
        assert_int_equal(jg_queue_size(&stage.queue), 0); /* they have them already */
        settle(&stage);
        assert_string_equal(stage.trace.letters, "abc");
        for (int i = 0; i < 3; i++) {
            assert_int_equal(getters[i].status, 0);
            assert_int_equal(getters[i].item, 10 + i);
        }
        stage_done(&stage);
    }
}

static void putters_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putters[3];

        stage_init(&stage, JG_FIFO, 1);
        assert_int_equal(try_put(&stage, 9), 0);
        for (int i = 0; i < 3; i++)
            act(&putters[i], &stage, i % 2 ? COROUTINE : form, PUT, 10 + i);
        assert_int_equal(stats(&stage).putters, 3);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(try_get(&stage), 9 + i);
            assert_int_equal(stats(&stage).putters, i < 3 ? 2 - i : 0);
        }
        settle(&stage);
        assert_string_equal(stage.trace.letters, "abc");
        for (int i = 0; i < 3; i++)
            assert_int_equal(putters[i].status, 0);
        stage_done(&stage);
    }
}

static void nobody_overtakes_those_who_wait(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putter, getter;

        stage_init(&stage, JG_FIFO, 1);
        assert_int_equal(try_put(&stage, 1), 0);
        act(&putter, &stage, form, PUT, 2);
        assert_int_equal(try_get(&stage), 1);
        assert_int_equal(try_put(&stage, 3), -EAGAIN); /* the room is the putter's */
        assert_int_equal(try_get(&stage), 2);

        act(&getter, &stage, form, GET, -1);
        assert_int_equal(try_put(&stage, 4), 0);
        assert_int_equal(try_get(&stage), -EAGAIN); /* the item is the getter's */
        settle(&stage);
        assert_int_equal(putter.status, 0);
        assert_int_equal(getter.item, 4);
        stage_done(&stage);
    }
}

/* asyncio: test_why_are_getters_waiting, test_why_are_putters_waiting. */
static void many_getters_and_putters_of_a_small_queue_all_get_through(void **state)
{
    enum { EACH = 10 };

    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putters[EACH], getters[EACH];

        stage_init(&stage, JG_FIFO, 2);
        for (int i = 0; i < EACH; i++)
            act(&putters[i], &stage, form, PUT, i);
        for (int i = 0; i < EACH; i++)
            act(&getters[i], &stage, form, GET, -1);
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(putters[i].status, 0);
            assert_int_equal(getters[i].item, i);
        }
        stage_done(&stage);

        stage_init(&stage, JG_FIFO, 2);
        for (int i = 0; i < EACH; i++)
            act(&getters[i], &stage, form, GET, -1);
        for (int i = 0; i < EACH; i++)
            act(&putters[i], &stage, form, PUT, i);
        for (int i = 0; i < EACH; i++)
            assert_int_equal(getters[i].item, i);
        stage_done(&stage);
    }
}

/* asyncio: test_get_cancelled_race. */
static void an_item_handed_over_is_delivered_although_its_getter_is_cancelled(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor first, second;

        stage_init(&stage, JG_FIFO, 0);
        act(&first, &stage, form, GET, -1);
        act(&second, &stage, form, GET, -1);
        assert_int_equal(try_put(&stage, 1), 0);
        jg_scope_cancel(&first.scope);
        settle(&stage);
        assert_int_equal(first.status, 0);
        assert_int_equal(first.item, 1);
        assert_int_equal(second.status, WAITS);

        assert_int_equal(try_put(&stage, 2), 0);
        settle(&stage);
        assert_int_equal(second.item, 2);
        stage_done(&stage);
    }
}

/* asyncio: test_cancelled_getters_not_being_held_in_self_getters. */
static void a_getter_that_is_cancelled_holds_nothing(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor getters[3];

        stage_init(&stage, JG_FIFO, 0);
        for (int i = 0; i < 3; i++)
            act(&getters[i], &stage, form, GET, -1);
        jg_scope_cancel(&getters[0].scope);
        assert_int_equal(stats(&stage).getters, 2); /* at once, not when it runs */
        assert_int_equal(try_put(&stage, 1), 0);
        settle(&stage);
        assert_int_equal(getters[0].status, -ECANCELED);
        assert_int_equal(getters[0].item, -1);
        assert_int_equal(getters[1].status, 0);
        assert_int_equal(getters[1].item, 1);

        jg_scope_cancel(&getters[2].scope);
        settle(&stage);
        assert_int_equal(try_put(&stage, 2), 0);
        assert_int_equal(try_get(&stage), 2);
        stage_done(&stage);
    }
}

/* asyncio: test_put_cancelled_race, test_get_cancel_drop_one_pending_reader. */
static void a_putter_that_is_cancelled_has_put_nothing_unless_it_had_before(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putters[3];

        stage_init(&stage, JG_FIFO, 1);
        assert_int_equal(try_put(&stage, 9), 0);
        for (int i = 0; i < 3; i++)
            act(&putters[i], &stage, form, PUT, i);
        jg_scope_cancel(&putters[0].scope);
        assert_int_equal(try_get(&stage), 9);
        jg_scope_cancel(&putters[1].scope); /* its item is in already */
        settle(&stage);
        assert_int_equal(putters[0].status, -ECANCELED);
        assert_int_equal(putters[1].status, 0);
        assert_int_equal(try_get(&stage), 1);
        assert_int_equal(try_get(&stage), 2);
        assert_int_equal(try_get(&stage), -EAGAIN);
        settle(&stage);
        assert_int_equal(stats(&stage).accepted, 3);
        stage_done(&stage);
    }
}

static int in_cancelled_scope(void *arg)
{
    struct stage *stage = arg;
    jg_scope scope;
    int item = 7;

    jg_scope_enter(&scope, NULL);
    jg_scope_cancel(&scope);
    assert_int_equal(jg_queue_put(&stage->queue, &item), -ECANCELED);
    assert_int_equal(jg_queue_size(&stage->queue), 1);
    assert_int_equal(jg_queue_get(&stage->queue, &item), -ECANCELED);
    assert_int_equal(jg_queue_size(&stage->queue), 1);
    assert_int_equal(jg_queue_join(&stage->queue), -ECANCELED);
    assert_int_equal(item, 7);
    return jg_scope_leave(&scope, 0);
}

/* Run a coroutine of the stage to its end. Returns what it returned. */
static int run_on(struct stage *stage, jg_coro_fn fn)
{
    int status = WAITS;
    const jg_spawn_options options = {.ret_status = &status};
    jg_scope scope;
    jg_op left;

    jg_scope_open(&scope, stage->loop, NULL, NULL);
    assert_int_equal(jg_spawn(&scope, fn, stage, &options), 0);
    jg_op_init(&left, stage->loop, ignore, NULL);
    jg_scope_close(&scope, 0, &left);
    settle(stage);
    assert_int_not_equal(status, WAITS);
    return status;
}

static void a_cancelled_scope_neither_puts_nor_gets_even_what_is_ready(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    assert_int_equal(try_put(&stage, 1), 0);
    assert_int_equal(run_on(&stage, in_cancelled_scope), 0);
    assert_int_equal(try_get(&stage), 1);
    stage_done(&stage);
}

/* asyncio: test_task_done_underflow, test_task_done. */
static void join_waits_until_every_item_is_dealt_with(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor early, joiners[3], getter;

        stage_init(&stage, JG_FIFO, 0);
        assert_int_equal(jg_queue_task_done(&stage.queue), -EINVAL);
        act(&early, &stage, form, JOIN, 0);
        assert_int_equal(early.status, 0); /* nothing was put */

        act(&getter, &stage, form, GET, -1);
        assert_int_equal(try_put(&stage, 1), 0); /* to the getter */
        assert_int_equal(try_put(&stage, 2), 0); /* to a slot */
        for (int i = 0; i < 3; i++)
            act(&joiners[i], &stage, form, JOIN, 0);
        jg_scope_cancel(&joiners[1].scope);
        assert_int_equal(try_get(&stage), 2);
        assert_int_equal(jg_queue_task_done(&stage.queue), 0);
        settle(&stage);
        assert_int_equal(joiners[0].status, WAITS);
        assert_int_equal(joiners[1].status, -ECANCELED);

        assert_int_equal(jg_queue_task_done(&stage.queue), 0);
        assert_int_equal(try_put(&stage, 3), 0); /* too late to hold them back */
        settle(&stage);
        assert_int_equal(joiners[0].status, 0);
        assert_int_equal(joiners[2].status, 0);
        assert_int_equal(try_get(&stage), 3);
        assert_int_equal(jg_queue_task_done(&stage.queue), 0);
        assert_int_equal(jg_queue_task_done(&stage.queue), -EINVAL);
        stage_done(&stage);
    }
}

/* asyncio: test_shutdown_empty. */
static void shutdown_of_an_empty_queue_ends_getters(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor waiting, late;

        stage_init(&stage, JG_FIFO, 0);
        act(&waiting, &stage, form, GET, -1);
        assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
        assert_int_equal(try_put(&stage, 1), JG_ESHUTDOWN);
        settle(&stage);
        assert_int_equal(waiting.status, JG_ESHUTDOWN);
        assert_int_equal(waiting.item, -1);
        assert_int_equal(try_get(&stage), JG_ESHUTDOWN);
        act(&late, &stage, form, GET, -1);
        assert_int_equal(late.status, JG_ESHUTDOWN);
        act(&late, &stage, form, PUT, 1);
        assert_int_equal(late.status, JG_ESHUTDOWN);
        act(&late, &stage, form, JOIN, 0);
        assert_int_equal(late.status, 0);
        assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
        stage_done(&stage);
    }
}

/* asyncio: test_shutdown_nonempty. */
static void shutdown_leaves_what_was_accepted_to_be_got_and_refuses_the_rest(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putter, getters[3];

        stage_init(&stage, JG_FIFO, 2);
        assert_int_equal(try_put(&stage, 1), 0);
        assert_int_equal(try_put(&stage, 2), 0);
        act(&putter, &stage, form, PUT, 3);
        assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
        settle(&stage);
        assert_int_equal(putter.status, JG_ESHUTDOWN);
        assert_int_equal(try_put(&stage, 4), JG_ESHUTDOWN);
        for (int i = 0; i < 3; i++)
            act(&getters[i], &stage, form, GET, -1);
        assert_int_equal(getters[0].item, 1);
        assert_int_equal(getters[1].item, 2);
        assert_int_equal(getters[2].status, JG_ESHUTDOWN);
        assert_int_equal(stage.drops, 0);
        stage_done(&stage);
    }
}

/* asyncio: test_shutdown_immediate, test_shutdown_immediate_with_unfinished. */
static void immediate_shutdown_tells_of_what_it_drops_and_join_waits_for_the_rest(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor joiner, putter;

        stage_init(&stage, JG_PRIORITY, 4);
        for (int i = 4; i > 0; i--)
            assert_int_equal(try_put(&stage, i), 0);
        assert_int_equal(try_get(&stage), 1);
        assert_int_equal(try_put(&stage, 5), 0);
        act(&joiner, &stage, form, JOIN, 0);
        act(&putter, &stage, form, PUT, 6);

        assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
        assert_int_equal(jg_queue_shutdown(&stage.queue, true), 4); /* now for good */
        assert_int_equal(stage.drops, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(stage.dropped[i], 2 + i);
        settle(&stage);
        assert_int_equal(putter.status, JG_ESHUTDOWN);
        assert_int_equal(joiner.status, WAITS); /* one was got and is not done */
        assert_int_equal(try_get(&stage), JG_ESHUTDOWN);
        assert_int_equal(stats(&stage).unfinished, 1);

        assert_int_equal(jg_queue_task_done(&stage.queue), 0);
        settle(&stage);
        assert_int_equal(joiner.status, 0);
        assert_int_equal(jg_queue_shutdown(&stage.queue, true), 0);
        stage_done(&stage);
    }
}

static void immediate_shutdown_ends_join_if_nothing_is_being_dealt_with(void **state)
{
    struct stage stage;
    struct actor joiner;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    assert_int_equal(try_put(&stage, 1), 0);
    act(&joiner, &stage, STEP, JOIN, 0);
    assert_int_equal(jg_queue_shutdown(&stage.queue, true), 1);
    settle(&stage);
    assert_int_equal(joiner.status, 0);
    stage_done(&stage);

    /* Too many were told of as done: what is dropped is not told of twice. */
    stage_init(&stage, JG_FIFO, 0);
    assert_int_equal(try_put(&stage, 1), 0);
    assert_int_equal(try_put(&stage, 2), 0);
    assert_int_equal(jg_queue_task_done(&stage.queue), 0);
    assert_int_equal(jg_queue_shutdown(&stage.queue, true), 2);
    assert_int_equal(stats(&stage).unfinished, 0);
    stage_done(&stage);
}

static void what_is_left_at_the_end_of_a_queue_is_told_of(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, JG_LIFO, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_put(&stage, i), 0);
    assert_int_equal(jg_queue_fini(&stage.queue), 3);
    assert_int_equal(stage.drops, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stage.dropped[i], 2 - i);
    test_loop_done(stage.loop);
}

static void ending_a_queue_of_zeroed_memory_does_nothing(void **state)
{
    jg_queue queue = {.loop = NULL};

    (void)state;
    assert_int_equal(jg_queue_fini(&queue), 0);
}

static void statistics_add_up(void **state)
{
    struct stage stage;
    struct actor putter, getter;

    (void)state;
    stage_init(&stage, JG_FIFO, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_put(&stage, i), 0);
    act(&putter, &stage, STEP, PUT, 3);
    assert_int_equal(stats(&stage).putters, 1);
    assert_int_equal(stats(&stage).accepted, 3);
    assert_int_equal(try_get(&stage), 0);
    assert_int_equal(stats(&stage).putters, 0);
    assert_int_equal(stats(&stage).accepted, 4);
    assert_int_equal(stats(&stage).got, 1);
    for (int i = 1; i < 4; i++)
        assert_int_equal(try_get(&stage), i);
    act(&getter, &stage, STEP, GET, -1);
    assert_int_equal(stats(&stage).getters, 1);
    assert_int_equal(try_put(&stage, 4), 0);
    assert_int_equal(stats(&stage).got, 5);
    assert_int_equal(stats(&stage).peak, 3);
    assert_int_equal(try_put(&stage, 5), 0);
    assert_int_equal(jg_queue_shutdown(&stage.queue, true), 1);
    assert_int_equal(stats(&stage).dropped, 1);
    assert_int_equal(stats(&stage).got, 5);
    assert_int_equal(stats(&stage).accepted, 6);
    assert_int_equal(stats(&stage).unfinished, 5);
    settle(&stage);
    stage_done(&stage);
}

static void options_that_contradict_each_other_are_refused(void **state)
{
    static const jg_queue_options wrong[] = {
        {.limit = 3, .reserve = 4},   {.order = JG_PRIORITY},  {.compare = compare_ints},
        {.order = (jg_queue_order)3}, {.item_size = SIZE_MAX},
    };
    jg_loop *loop = test_loop(0);
    jg_queue queue, before;

    (void)state;
    memset(&queue, 0x5a, sizeof(queue));
    before = queue;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(jg_queue_init(&queue, loop, &wrong[i]), -EINVAL);
        assert_memory_equal(&queue, &before, sizeof(queue));
    }
    assert_int_equal(
        jg_queue_init(&queue, loop,
                      &(jg_queue_options){.item_size = SIZE_MAX / 4 + 1, .reserve = 4}),
        -ENOMEM);
    test_loop_done(loop);
}

static void an_item_for_which_there_is_no_memory_is_not_taken(void **state)
{
    for (int order = JG_FIFO; order <= JG_PRIORITY; order++) {
        struct stage stage;
        struct test_memory *memory;
        int in = 0, failures = 0;
        size_t live;

        (void)state;
        stage_init(&stage, (jg_queue_order)order, 100);
        memory = test_loop_memory(stage.loop);
        live = memory->live;
        while (in < 100) {
            jg_queue_stats before = stats(&stage), after;
            int r;

            memory->fail_at = memory->calls + 1;
            r = try_put(&stage, in);
            after = stats(&stage);
            if (r == -ENOMEM) {
                assert_memory_equal(&before, &after, sizeof(before));
                failures++;
                r = try_put(&stage, in); /* the next attempt works */
            }
            assert_int_equal(r, 0);
            in++;
        }
        memory->fail_at = 0;
        assert_int_equal(failures, 4); /* 16, 32, 64, 100 */
        if (order != JG_PRIORITY)
            assert_int_equal(memory->live - live, 100 * sizeof(int));
        assert_int_equal(try_put(&stage, 0), -EAGAIN);
        for (int i = 0; i < 100; i++)
            assert_int_equal(try_get(&stage), order == JG_LIFO ? 99 - i : i);
        stage_done(&stage);
    }
}

static void the_op_of_a_put_tells_of_missing_memory(void **state)
{
    (void)state;
    for (enum form form = COROUTINE; form < FORMS; form++) {
        struct stage stage;
        struct actor putter;
        struct test_memory *memory;

        stage_init(&stage, JG_FIFO, 0);
        act(&putter, &stage, form, JOIN, 0); /* what a first coroutine needs is there after it */
        memory = test_loop_memory(stage.loop);
        memory->fail_at = memory->calls + 1;
        act(&putter, &stage, form, PUT, 5);
        assert_int_equal(putter.status, -ENOMEM);
        act(&putter, &stage, form, PUT, 6);
        assert_int_equal(putter.status, 0);
        assert_int_equal(try_get(&stage), 6);
        stage_done(&stage);
    }
}

static void a_reserved_queue_never_lacks_memory(void **state)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = 50, .reserve = 50};
    jg_loop *loop = test_loop(0);
    struct test_memory *memory = test_loop_memory(loop);
    jg_queue queue;
    long calls;

    (void)state;
    memory->fail_at = memory->calls + 1;
    assert_int_equal(jg_queue_init(&queue, loop, &options), -ENOMEM);
    assert_int_equal(jg_queue_init(&queue, loop, &options), 0);
    calls = memory->calls;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++)
            assert_int_equal(jg_queue_try_put(&queue, &i), 0);
        for (int i = 0; i < 50; i++)
            assert_int_equal(jg_queue_try_get(&queue, &(int){0}), 0);
    }
    assert_int_equal(memory->calls, calls);
    assert_int_equal(jg_queue_fini(&queue), 0);
    test_loop_done(loop);
}

enum { STEADY = 10000 };

static int steady_put(void *arg)
{
    struct stage *stage = arg;
    int r = 0;

    for (int i = 0; i < STEADY && r == 0; i++)
        r = jg_queue_put(&stage->queue, &i);
    return r;
}

static int steady(void *arg)
{
    struct stage *stage = arg;
    struct test_memory *memory = test_loop_memory(stage->loop);
    jg_scope scope;
    long calls = 0;
    int item = -1, r;

    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, steady_put, stage, NULL);
    for (int i = 0; i < STEADY && r == 0; i++) {
        r = jg_queue_get(&stage->queue, &item);
        assert_int_equal(item, i);
        if (i == 100)
            calls = memory->calls;
    }
    assert_int_equal(memory->calls, calls);
    return jg_scope_leave(&scope, r);
}

static void hand_over_allocates_nothing_in_the_steady_state(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 5; limit++) {
        struct stage stage;

        stage_init(&stage, JG_FIFO, limit);
        assert_int_equal(run_on(&stage, steady), 0);
        stage_done(&stage);
    }
}

/* A get, a sleep and a future at once: whoever loses is cancelled, and nothing is lost. */
struct several {
    jg_op op[3];
    jg_op *ops[3];
    jg_sleeper sleeper;
    jg_future future;
    int item;
};

static void several_start(struct several *several, struct stage *stage)
{
    jg_future_init(&several->future);
    several->item = -1;
    for (int i = 0; i < 3; i++) {
        jg_op_self(&several->op[i]);
        several->ops[i] = &several->op[i];
    }
    assert_int_equal(jg_queue_get_start(&stage->queue, &several->item, several->ops[0]), 0);
    assert_int_equal(jg_sleep_start(&several->sleeper, 10 * MS, several->ops[1]), 0);
    assert_int_equal(jg_future_wait_start(&several->future, several->ops[2]), 0);
    assert_int_equal(jg_wait(several->ops, 3, JG_FIRST_COMPLETED), 0);
}

static void several_end(struct several *several)
{
    for (int i = 0; i < 3; i++) {
        jg_op_cancel(several->ops[i]);
        (void)jg_await(several->ops[i]);
    }
}

struct later {
    jg_timer timer;
    struct stage *stage;
    int item;
};

static void put_later(void *arg)
{
    struct later *later = arg;

    assert_int_equal(try_put(later->stage, later->item), 0);
}

static void later_start(struct later *later, struct stage *stage, jg_time delay, int item)
{
    *later = (struct later){.stage = stage, .item = item};
    jg_timer_init(&later->timer, put_later, later);
    jg_call_later(stage->loop, &later->timer, delay);
}

static int wait_for_several(void *arg)
{
    struct stage *stage = arg;
    struct several several;
    struct later later;

    /* The item wins. */
    later_start(&later, stage, 5 * MS, 1);
    several_start(&several, stage);
    several_end(&several);
    assert_int_equal(jg_op_status(several.ops[0]), 0);
    assert_int_equal(jg_op_status(several.ops[1]), -ECANCELED);
    assert_int_equal(jg_op_status(several.ops[2]), -ECANCELED);
    assert_int_equal(several.item, 1);

    /* The timer wins: the item that comes afterwards is somebody else's. */
    later_start(&later, stage, 20 * MS, 2);
    several_start(&several, stage);
    several_end(&several);
    assert_int_equal(jg_op_status(several.ops[0]), -ECANCELED);
    assert_int_equal(jg_op_status(several.ops[1]), 0);
    assert_int_equal(several.item, -1);
    assert_int_equal(jg_queue_get(&stage->queue, &several.item), 0);
    assert_int_equal(several.item, 2);

    /* The timer wins, but the item comes before the get is cancelled: it is delivered. */
    several_start(&several, stage);
    assert_true(jg_op_pending(several.ops[0]));
    assert_int_equal(try_put(stage, 3), 0);
    several_end(&several);
    assert_int_equal(jg_op_status(several.ops[0]), 0);
    assert_int_equal(several.item, 3);
    return 0;
}

static void a_queue_can_be_waited_for_together_with_other_things(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    assert_int_equal(run_on(&stage, wait_for_several), 0);
    assert_int_equal(jg_queue_size(&stage.queue), 0);
    stage_done(&stage);
}

static int get_with_limit(void *arg)
{
    struct stage *stage = arg;
    int item = -1, r = jg_queue_get(&stage->queue, &item);

    return r < 0 ? r : item;
}

static int time_limits(void *arg)
{
    struct stage *stage = arg;
    struct later later;

    assert_int_equal(jg_wait_for(get_with_limit, stage, 5 * MS), -ETIMEDOUT);
    assert_int_equal(stats(stage).getters, 0);

    /* Item and deadline in the same turn: the item was first, so it is what counts. */
    later_start(&later, stage, 5 * MS, 4);
    assert_int_equal(jg_wait_for(get_with_limit, stage, 5 * MS), 4);
    return 0;
}

static void a_time_limit_on_get_loses_no_item(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    assert_int_equal(run_on(&stage, time_limits), 0);
    stage_done(&stage);
}

/* Producers and consumers, whose accounts must balance wherever they are disturbed. */
struct company {
    jg_queue queue;
    int accepted, got, dropped;
};

static void on_company_drop(void *arg, void *item)
{
    struct company *company = arg;

    (void)item;
    company->dropped++;
}

static int produce(void *arg)
{
    struct company *company = arg;
    int r = 0;

    for (int i = 0; i < 5 && r == 0; i++) {
        r = jg_queue_put(&company->queue, &i);
        company->accepted += r == 0;
    }
    return r;
}

static int consume(void *arg)
{
    struct company *company = arg;
    int item, r = 0;

    while (r == 0 && (r = jg_queue_get(&company->queue, &item)) == 0) {
        company->got++;
        r = jg_sleep(item * MS);
        assert_int_equal(jg_queue_task_done(&company->queue), 0);
    }
    return r == JG_ESHUTDOWN ? 0 : r;
}

static int employ(struct company *company)
{
    jg_scope consumers, producers;
    int r = 0;

    jg_scope_enter(&consumers, NULL);
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_spawn(&consumers, consume, company, NULL);
    jg_scope_enter(&producers, NULL);
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_spawn(&producers, produce, company, NULL);
    r = jg_scope_leave(&producers, r);
    if (r == 0)
        r = jg_queue_join(&company->queue);
    (void)jg_queue_shutdown(&company->queue, false);
    return jg_scope_leave(&consumers, r);
}

static int work_in_company(void *arg)
{
    struct company *company = arg;
    const jg_queue_options options = {
        .item_size = sizeof(int), .limit = 2, .drop = on_company_drop, .drop_arg = company};
    int r;

    *company = (struct company){.accepted = 0};
    r = jg_queue_init(&company->queue, jg_task_loop(jg_task_current()), &options);
    if (r < 0)
        return r;

    r = employ(company);
    (void)jg_queue_fini(&company->queue);
    return r;
}

static bool accounts_balance(void *arg, int status)
{
    const struct company *company = arg;

    return company->accepted == company->got + company->dropped &&
           (status == 0 ? company->got == 10 : status == -ECANCELED || status == -ENOMEM);
}

static void the_accounts_balance_wherever_users_are_cancelled_or_lack_memory(void **state)
{
    const jg_test_options options = {.check = accounts_balance};
    struct company company;

    (void)state;
    assert_int_equal(jg_test_cancel_each(work_in_company, &company, &options), 0);
    assert_int_equal(jg_test_fail_each(work_in_company, &company, &options), 0);
    assert_int_equal(jg_test_shuffle_each(work_in_company, &company, &options), 0);
}

static void find_line(void *arg, const char *line)
{
    if (strstr(line, "waits for queue get"))
        *(bool *)arg = true;
}

static void the_tree_says_who_waits_for_a_queue(void **state)
{
    struct stage stage;
    struct actor getter;
    bool found = false;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    act(&getter, &stage, STEP, GET, -1);
    jg_scope_describe(&getter.scope, find_line, &found);
    assert_true(found);
    jg_scope_cancel(&getter.scope);
    settle(&stage);
    stage_done(&stage);
}

static void *put_elsewhere(void *arg)
{
    (void)try_put(arg, 1);
    return NULL;
}

static void put_from_another_thread(void *arg)
{
    pthread_t thread;

    test_check(pthread_create(&thread, NULL, put_elsewhere, arg) == 0);
    pthread_join(thread, NULL);
}

static void end_with_a_getter(void *arg)
{
    struct stage *stage = arg;

    (void)jg_queue_fini(&stage->queue);
}

static void get_outside_of_a_coroutine(void *arg)
{
    struct stage *stage = arg;

    (void)jg_queue_get(&stage->queue, &(int){0});
}

static void misuse_aborts_with_a_message(void **state)
{
    struct stage stage;
    struct actor getter;

    (void)state;
    stage_init(&stage, JG_FIFO, 0);
    test_expect_abort(put_from_another_thread, &stage, "belongs to another thread");
    test_expect_abort(get_outside_of_a_coroutine, &stage, "not called from a coroutine");
    act(&getter, &stage, STEP, GET, -1);
    test_expect_abort(end_with_a_getter, &stage, "somebody waits for the queue");
    jg_scope_cancel(&getter.scope);
    settle(&stage);
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_that_was_chosen),
        cmocka_unit_test(equal_priorities_keep_the_order_in_which_they_came),
        cmocka_unit_test(a_ring_that_wraps_and_grows_keeps_its_order),
        cmocka_unit_test(items_of_every_size_come_out_as_they_went_in),
        cmocka_unit_test(pointers_are_the_items_of_the_default_size),
        cmocka_unit_test(a_full_queue_takes_nothing_and_an_empty_one_gives_nothing),
        cmocka_unit_test(getters_are_served_in_the_order_they_came),
        cmocka_unit_test(putters_are_served_in_the_order_they_came),
        cmocka_unit_test(nobody_overtakes_those_who_wait),
        cmocka_unit_test(many_getters_and_putters_of_a_small_queue_all_get_through),
        cmocka_unit_test(an_item_handed_over_is_delivered_although_its_getter_is_cancelled),
        cmocka_unit_test(a_getter_that_is_cancelled_holds_nothing),
        cmocka_unit_test(a_putter_that_is_cancelled_has_put_nothing_unless_it_had_before),
        cmocka_unit_test(a_cancelled_scope_neither_puts_nor_gets_even_what_is_ready),
        cmocka_unit_test(join_waits_until_every_item_is_dealt_with),
        cmocka_unit_test(shutdown_of_an_empty_queue_ends_getters),
        cmocka_unit_test(shutdown_leaves_what_was_accepted_to_be_got_and_refuses_the_rest),
        cmocka_unit_test(immediate_shutdown_tells_of_what_it_drops_and_join_waits_for_the_rest),
        cmocka_unit_test(immediate_shutdown_ends_join_if_nothing_is_being_dealt_with),
        cmocka_unit_test(what_is_left_at_the_end_of_a_queue_is_told_of),
        cmocka_unit_test(ending_a_queue_of_zeroed_memory_does_nothing),
        cmocka_unit_test(statistics_add_up),
        cmocka_unit_test(options_that_contradict_each_other_are_refused),
        cmocka_unit_test(an_item_for_which_there_is_no_memory_is_not_taken),
        cmocka_unit_test(the_op_of_a_put_tells_of_missing_memory),
        cmocka_unit_test(a_reserved_queue_never_lacks_memory),
        cmocka_unit_test(hand_over_allocates_nothing_in_the_steady_state),
        cmocka_unit_test(a_queue_can_be_waited_for_together_with_other_things),
        cmocka_unit_test(a_time_limit_on_get_loses_no_item),
        cmocka_unit_test(the_accounts_balance_wherever_users_are_cancelled_or_lack_memory),
        cmocka_unit_test(the_tree_says_who_waits_for_a_queue),
        cmocka_unit_test(misuse_aborts_with_a_message),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
