/* SPDX-License-Identifier: MIT
 *
 * A coroutine that waits hands over to the one that the loop would call next: nobody can tell, but
 * by the clock.
 */
#include "world.h"

#include <juggle/coro.h>

struct marker {
    struct test_trace *trace;
    char letter;
    int rounds;
    jg_loop *loop;
    jg_call call;
    jg_task task;
};

static struct marker marker(struct test_trace *trace, char letter, int rounds, jg_loop *loop)
{
    return (struct marker){.trace = trace, .letter = letter, .rounds = rounds, .loop = loop};
}

static int coroutine(void *arg)
{
    struct marker *marker = arg;
    jg_task *self = jg_task_current();

    for (int i = 0; i < marker->rounds; i++) {
        test_trace_add(marker->trace, marker->letter);
        assert_int_equal(jg_sleep(0), 0);
        assert_ptr_equal(jg_task_current(), self);
    }
    return marker->rounds;
}

static void call(void *arg)
{
    struct marker *marker = arg;

    assert_null(jg_task_current());
    test_trace_add(marker->trace, marker->letter);
    if (--marker->rounds > 0)
        jg_call_soon(marker->loop, &marker->call);
}

static int step(jg_task *task, void *arg, int status)
{
    struct marker *marker = arg;
    static jg_sleeper sleeper;

    assert_ptr_equal(jg_task_current(), task);
    assert_int_equal(status, 0);
    test_trace_add(marker->trace, marker->letter);
    if (--marker->rounds == 0)
        return 0;
    assert_int_equal(jg_sleep_start(&sleeper, 0, jg_task_op(task)), 0);
    return JG_PENDING;
}

static void coroutines_steps_and_calls_keep_their_order(void **state)
{
    struct test_trace trace = {""};
    struct marker markers[6];
    int statuses[6];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 6; i++) {
        jg_spawn_options options = {.ret_status = &statuses[i]};

        markers[i] = marker(&trace, (char)('a' + i), 3, world.loop);
        if (i == 2) {
            jg_call_init(&markers[i].call, call, &markers[i]);
            jg_call_soon(world.loop, &markers[i].call);
        } else if (i == 4) {
            jg_task_init(&markers[i].task, NULL, step, &markers[i]);
            jg_task_spawn(&world.root, &markers[i].task, NULL);
        } else {
            jg_spawn(&world.root, coroutine, &markers[i], &options);
        }
    }
    world_done(&world);
    assert_string_equal(trace.letters, "abcdefabcdefabcdef");
    assert_int_equal(statuses[0], 3);
    assert_int_equal(statuses[1], 3);
    assert_int_equal(statuses[5], 3);
}

static void coroutines_that_end_between_others_leave_them_in_order(void **state)
{
    struct test_trace trace = {""};
    struct marker markers[4];
    int statuses[4];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 4; i++) {
        jg_spawn_options options = {.ret_status = &statuses[i]};

        markers[i] = marker(&trace, (char)('a' + i), 4 - i, world.loop);
        jg_spawn(&world.root, coroutine, &markers[i], &options);
    }
    world_done(&world);
    assert_string_equal(trace.letters, "abcdabcaba");
    for (int i = 0; i < 4; i++)
        assert_int_equal(statuses[i], 4 - i);
}

struct futures {
    jg_future first, second;
    int seen;
};

static int wait_for_second(void *arg)
{
    struct futures *futures = arg;
    jg_op first, second;

    jg_op_self(&first);
    jg_op_self(&second);
    assert_int_equal(jg_future_wait_start(&futures->first, &first), 0);
    assert_int_equal(jg_future_wait_start(&futures->second, &second), 0);
    futures->seen = jg_await(&second);
    assert_false(jg_op_pending(&second));
    return jg_await(&first);
}

static int set_first_then_second(void *arg)
{
    struct futures *futures = arg;

    jg_future_set(&futures->first, 1);
    jg_sleep(0); /* what comes next in that turn is nothing that anybody waits for */
    jg_sleep(0);
    assert_int_equal(futures->seen, 0);
    jg_future_set(&futures->second, 2);
    return 0;
}

static int give_way_twice(void *arg)
{
    (void)arg;
    jg_sleep(0);
    return jg_sleep(0);
}

static void an_op_that_is_not_waited_for_wakes_nobody(void **state)
{
    struct futures futures = {.seen = 0};
    struct world world;
    int status = 999;

    (void)state;
    world_init(&world);
    jg_future_init(&futures.first);
    jg_future_init(&futures.second);
    jg_spawn(&world.root, wait_for_second, &futures, &(jg_spawn_options){.ret_status = &status});
    jg_spawn(&world.root, give_way_twice, NULL, NULL);
    jg_spawn(&world.root, set_first_then_second, &futures, NULL);
    world_done(&world);
    assert_int_equal(futures.seen, 2);
    assert_int_equal(status, 1);
}

/* Elsewhere on the stack than its caller would wait. */
static __attribute__((noinline)) int await_deeper(jg_op *op, volatile char *use)
{
    volatile char frame[1024];
    int r;

    frame[0] = *use;
    r = jg_await(op);
    *use = frame[0];
    return r;
}

static int use_up_budget(void *arg)
{
    struct futures *futures = arg;
    jg_op first, second;
    jg_future done;
    char use = 0;

    jg_op_self(&first);
    jg_op_self(&second);
    assert_int_equal(jg_future_wait_start(&futures->first, &first), 0);
    assert_int_equal(jg_future_wait_start(&futures->second, &second), 0);
    assert_int_equal(jg_await(&first), 1);

    /* The second one is next in this turn; but it has to be waited for, once the budget is gone. */
    jg_future_init(&done);
    jg_future_set(&done, 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(jg_future_wait(&done), 0);
    return await_deeper(&second, &use);
}

static int set_both(void *arg)
{
    struct futures *futures = arg;

    jg_future_set(&futures->first, 1);
    jg_future_set(&futures->second, 2);
    return 0;
}

static void a_coroutine_that_is_next_itself_goes_on(void **state)
{
    struct futures futures = {.seen = 0};
    struct world world;
    int status = 999;

    (void)state;
    world_init(&world);
    jg_future_init(&futures.first);
    jg_future_init(&futures.second);
    jg_spawn(&world.root, use_up_budget, &futures, &(jg_spawn_options){.ret_status = &status});
    jg_spawn(&world.root, set_both, &futures, NULL);
    world_done(&world);
    assert_int_equal(status, 2);
}

static int run_another_world(void *arg)
{
    struct marker *outer = arg;
    jg_task *self = jg_task_current();
    struct marker markers[2];
    struct world world;

    test_trace_add(outer->trace, outer->letter);
    world_init(&world);
    for (int i = 0; i < 2; i++) {
        markers[i] = marker(outer->trace, (char)('x' + i), 2, world.loop);
        jg_spawn(&world.root, coroutine, &markers[i], NULL);
    }
    world_done(&world);
    assert_ptr_equal(jg_task_current(), self);
    jg_sleep(0);
    test_trace_add(outer->trace, outer->letter);
    return 0;
}

static void a_loop_inside_a_coroutine_keeps_to_its_own_coroutines(void **state)
{
    struct test_trace trace = {""};
    struct world world;
    struct marker first = {.trace = &trace, .letter = 'a', .rounds = 2};
    struct marker inner = {.trace = &trace, .letter = 'b'};
    struct marker last = {.trace = &trace, .letter = 'c', .rounds = 2};

    (void)state;
    world_init(&world);
    jg_spawn(&world.root, coroutine, &first, NULL);
    jg_spawn(&world.root, run_another_world, &inner, NULL);
    jg_spawn(&world.root, coroutine, &last, NULL);
    world_done(&world);
    assert_string_equal(trace.letters, "abxyxycabc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coroutines_steps_and_calls_keep_their_order),
        cmocka_unit_test(coroutines_that_end_between_others_leave_them_in_order),
        cmocka_unit_test(an_op_that_is_not_waited_for_wakes_nobody),
        cmocka_unit_test(a_coroutine_that_is_next_itself_goes_on),
        cmocka_unit_test(a_loop_inside_a_coroutine_keeps_to_its_own_coroutines),
    };

    return cmocka_run_group_tests_name("hand_over", tests, NULL, NULL);
}
