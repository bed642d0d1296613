/* SPDX-License-Identifier: MIT
 *
 * Counters: each counts what it says and nothing else; and stacks that come without a guard are
 * counted and told of.
 */
#include "world.h"

#include <juggle/coro.h>

#include "platform/sanitizer.h"
#include "platform/stack.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

static void a_new_loop_has_counted_nothing(void **state)
{
    const jg_counters nothing = {.turns = 0};
    jg_loop *loop = test_loop(0);
    jg_counters counters = jg_loop_counters(loop);
    jg_task_counters tasks = jg_loop_task_counters(loop);

    (void)state;
    assert_memory_equal(&counters, &nothing, sizeof(nothing));
    assert_true(tasks.spawned == 0 && tasks.ended == 0 && tasks.unguarded == 0);
    assert_true(tasks.stacks == 0 && tasks.cached_bytes == 0);
    test_loop_done(loop);
}

static void turns_are_counted_and_among_them_those_that_slept(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_timer timer;
    jg_call call;
    int calls = 0;

    (void)state;
    jg_timer_init(&timer, test_count_call, &calls);
    jg_call_init(&call, test_count_call, &calls);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_int_equal(jg_loop_counters(loop).turns, 1);
    assert_int_equal(jg_loop_counters(loop).sleeps, 0);
    jg_call_later(loop, &timer, JG_SECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_loop_counters(loop).turns, 2);
    assert_int_equal(jg_loop_counters(loop).sleeps, 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(jg_loop_counters(loop).turns, 3);
    assert_int_equal(jg_loop_counters(loop).sleeps, 1);
    test_loop_done(loop);
}

static void events_timers_wakes_and_signals_are_counted(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_counters counters;
    jg_watcher watchers[2];
    jg_signal signals[2];
    jg_timer timers[3];
    jg_wake wake;
    int fds[2], calls = 0;

    (void)state;
    test_socketpair(fds);
    for (int i = 0; i < 2; i++) {
        jg_watcher_init(&watchers[i], test_count_event, &calls);
        assert_int_equal(jg_watcher_start(loop, &watchers[i], fds[i], JG_WRITE), 0);
        jg_signal_init(&signals[i], test_count_event, &calls);
        assert_int_equal(jg_signal_start(loop, &signals[i], SIGUSR1), 0);
    }
    for (int i = 0; i < 3; i++) {
        jg_timer_init(&timers[i], test_count_call, &calls);
        jg_call_later(loop, &timers[i], i < 2 ? -1 : JG_SECOND);
    }
    jg_wake_init(&wake, test_count_call, &calls);
    jg_wake_start(loop, &wake);
    jg_wake_send(&wake);
    jg_wake_send(&wake);
    raise(SIGUSR1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    counters = jg_loop_counters(loop);
    assert_int_equal(counters.events, 2);
    assert_int_equal(counters.timers, 2);
    assert_int_equal(counters.wakes, 1);
    assert_int_equal(counters.signals, 2);
    assert_int_equal(calls, 7);
    assert_int_equal(counters.calls, 0);
    jg_wake_stop(&wake);
    jg_timer_stop(&timers[2]);
    for (int i = 0; i < 2; i++) {
        jg_watcher_stop(&watchers[i]);
        jg_signal_stop(&signals[i]);
        close(fds[i]);
    }
    test_loop_done(loop);
}

static void ignore(void *arg, int error, const char *what)
{
    (void)arg, (void)error, (void)what;
}

static void take_a_second(void *arg)
{
    test_check(jg_test_advance(arg, JG_SECOND) == 0);
}

static void with_slow_callback_time_and_calls_are_counted(void **state)
{
    jg_loop *loop = test_loop_with((jg_loop_options){
        .flags = JG_LOOP_VIRTUAL_TIME, .slow_callback = 2 * JG_SECOND, .on_error = ignore});
    jg_counters counters;
    jg_call calls[3];
    jg_timer timer;

    (void)state;
    for (int i = 0; i < 3; i++) {
        jg_call_init(&calls[i], take_a_second, loop);
        jg_call_soon(loop, &calls[i]);
    }
    jg_timer_init(&timer, take_a_second, loop);
    jg_call_later(loop, &timer, 10 * JG_SECOND);
    assert_int_equal(jg_test_advance(loop, 4 * JG_SECOND), 0); /* outside of a run */
    assert_int_equal(jg_loop_run(loop), 0);
    counters = jg_loop_counters(loop);
    assert_int_equal(counters.calls, 4);
    assert_int_equal(counters.slow, 0);
    assert_true(counters.idle == 3 * JG_SECOND);
    assert_true(counters.longest_call == JG_SECOND);
    assert_true(counters.longest_turn == 3 * JG_SECOND);
    test_loop_done(loop);
}

static void slow_calls_are_counted(void **state)
{
    jg_loop *loop = test_loop_with((jg_loop_options){
        .flags = JG_LOOP_VIRTUAL_TIME, .slow_callback = JG_SECOND, .on_error = ignore});
    jg_call call;

    (void)state;
    jg_call_init(&call, take_a_second, loop);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_loop_counters(loop).slow, 1);
    test_loop_done(loop);
}

static int nap(void *arg)
{
    (void)arg;
    return jg_sleep(JG_SECOND);
}

static int end_at_once(jg_task *task, void *arg, int status)
{
    (void)task, (void)arg;
    return status;
}

static void tasks_and_stacks_are_counted(void **state)
{
    struct world world;
    jg_task_counters counters;
    jg_task task;

    (void)state;
    world_init(&world);
    jg_task_init(&task, NULL, end_at_once, NULL);
    assert_int_equal(jg_task_spawn(&world.root, &task, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(jg_spawn(&world.root, nap, NULL, NULL), 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    counters = jg_loop_task_counters(world.loop);
    assert_int_equal(counters.spawned, 3);
    assert_int_equal(counters.ended, 1);
    assert_int_equal(counters.stacks, 2);
    assert_int_equal(counters.cached_bytes, 0);
    assert_int_equal(jg_loop_run(world.loop), 0);
    counters = jg_loop_task_counters(world.loop);
    assert_int_equal(counters.spawned, 3);
    assert_int_equal(counters.ended, 3);
    assert_int_equal(counters.stacks, 0);
    assert_int_equal(counters.cached_bytes, 2 * (JG__FIBERS ? 256 : 64) << 10);
    assert_int_equal(counters.unguarded, 0);
    world_done(&world);
}

static void a_task_that_was_refused_is_not_counted(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    jg_scope_cancel(&world.root);
    assert_int_equal(jg_spawn(&world.root, nap, NULL, NULL), -ECANCELED);
    assert_int_equal(jg_loop_task_counters(world.loop).spawned, 0);
    assert_int_equal(jg_loop_task_counters(world.loop).stacks, 0);
    world_done(&world);
}

struct told {
    int count, error;
    char text[256];
};

static void tell(void *arg, int error, const char *what)
{
    struct told *told = arg;

    told->count++;
    told->error = error;
    strncpy(told->text, what, sizeof(told->text) - 1);
}

/* In a process of its own, where the system refuses light guards and there are no others left. */
static void run_out_of_guards(void *arg)
{
    struct told told = {.count = 0};
    jg_loop *loop = test_loop_with(
        (jg_loop_options){.flags = JG_LOOP_VIRTUAL_TIME, .on_error = tell, .on_error_arg = &told});
    jg_scope root;
    jg_op left;
    int calls = 0;

    (void)arg;
    jg_scope_open(&root, loop, NULL, NULL);
    jg_op_init(&left, loop, test_count_call, &calls);
    test_check(jg_spawn(&root, nap, NULL, NULL) == 0);
    test_check(told.count == 0);
    jg__guards_left = 0;
    for (int i = 0; i < 3; i++)
        test_check(jg_spawn(&root, nap, NULL, NULL) == 0);
    test_check(jg_loop_task_counters(loop).unguarded == 3);
    test_check(told.count == 1 && told.error == -ENOMEM);
    test_check(strstr(told.text, "vm.max_map_count") != NULL);
    jg_scope_close(&root, 0, &left);
    test_check(jg_loop_run(loop) == 0 && calls == 1);
    test_loop_done(loop);
}

static void run_out_of_guards_of_both_kinds(void *arg)
{
#ifdef __linux__
    if (!JG__ASAN && !test_deny(SYS_madvise, EINVAL))
        return;
#endif
    run_out_of_guards(arg);
}

static void the_first_stack_without_a_guard_is_told_of(void **state)
{
    (void)state;
    if (!test_is_emulated())
        test_in_child(run_out_of_guards_of_both_kinds, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_loop_has_counted_nothing),
        cmocka_unit_test(turns_are_counted_and_among_them_those_that_slept),
        cmocka_unit_test(events_timers_wakes_and_signals_are_counted),
        cmocka_unit_test(with_slow_callback_time_and_calls_are_counted),
        cmocka_unit_test(slow_calls_are_counted),
        cmocka_unit_test(tasks_and_stacks_are_counted),
        cmocka_unit_test(a_task_that_was_refused_is_not_counted),
        cmocka_unit_test(the_first_stack_without_a_guard_is_told_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
