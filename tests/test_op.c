/* SPDX-License-Identifier: MIT
 *
 * Ops and futures without tasks: completing exactly once, the order of callbacks, cancelling, and
 * providers as a user would write them.
 */
#include "support.h"

#include <juggle/task.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* An op that notes what its callback saw. */
struct probe {
    jg_op op;
    int calls;
    int status;
    struct test_trace *trace;
    char letter;
};

static void probe_run(void *arg)
{
    struct probe *probe = arg;

    probe->calls++;
    probe->status = jg_op_status(&probe->op);
    test_check(!jg_op_pending(&probe->op));
    if (probe->trace)
        test_trace_add(probe->trace, probe->letter);
}

static void probe_init(struct probe *probe, jg_loop *loop)
{
    *probe = (struct probe){.status = 12345};
    jg_op_init(&probe->op, loop, probe_run, probe);
}

/* Providers. One completes a cancelled op at once, one never does so by itself. */
static int cancels;

static void cancel_at_once(jg_op *op)
{
    cancels++;
    jg_op_complete(op, -ECANCELED);
}

static void cancel_never(jg_op *op)
{
    (void)op;
    cancels++;
}

static const jg_provider prompt = {"prompt", cancel_at_once};
static const jg_provider stubborn = {"stubborn", cancel_never};

static void an_op_completes_once_with_the_status_it_was_given(void **state)
{
    const int statuses[] = {0, 1, INT32_MAX, -EIO, -ECANCELED, JG_EDEADLOCK};
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        probe_init(&probe, loop);
        assert_false(jg_op_pending(&probe.op));
        assert_int_equal(jg_op_start(&probe.op, &prompt, NULL), 0);
        assert_true(jg_op_pending(&probe.op));
        jg_op_complete(&probe.op, statuses[i]);
        assert_false(jg_op_pending(&probe.op));
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(probe.calls, 1);
        assert_int_equal(probe.status, statuses[i]);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(probe.calls, 1);
    }
    test_loop_done(loop);
}

static void complete_twice(void *arg)
{
    struct probe probe;

    probe_init(&probe, arg);
    (void)jg_op_start(&probe.op, &prompt, NULL);
    jg_op_complete(&probe.op, 1);
    jg_op_complete(&probe.op, 2);
}

static void start_twice(void *arg)
{
    struct probe probe;

    probe_init(&probe, arg);
    (void)jg_op_start(&probe.op, &prompt, NULL);
    (void)jg_op_start(&probe.op, &prompt, NULL);
}

static void completing_twice_and_starting_what_is_pending_are_misuse(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);

    (void)state;
    test_expect_abort(complete_twice, loop, "the op is not pending");
    test_expect_abort(start_twice, loop, "the op is pending");
    test_loop_done(loop);
}

static void no_callback_runs_inside_start_complete_or_cancel(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_future set = {.done = false};
    struct probe started, completed, cancelled;

    (void)state;
    probe_init(&started, loop);
    probe_init(&completed, loop);
    probe_init(&cancelled, loop);

    assert_int_equal(jg_future_set(&set, 3), 0);
    assert_int_equal(jg_future_wait_start(&set, &started.op), 0);
    assert_int_equal(started.calls, 0);

    (void)jg_op_start(&completed.op, &prompt, NULL);
    jg_op_complete(&completed.op, 4);
    assert_int_equal(completed.calls, 0);

    (void)jg_op_start(&cancelled.op, &prompt, NULL);
    jg_op_cancel(&cancelled.op);
    assert_int_equal(cancelled.calls, 0);

    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(started.status, 3);
    assert_int_equal(completed.status, 4);
    assert_int_equal(cancelled.status, -ECANCELED);
    test_loop_done(loop);
}

/* Completes its successor in its own callback. */
struct chained {
    struct probe probe;
    struct chained *next;
    bool next_ran_inside;
};

static void chained_run(void *arg)
{
    struct chained *chained = arg;

    probe_run(&chained->probe);
    if (chained->next) {
        jg_op_complete(&chained->next->probe.op, 0);
        chained->next_ran_inside = chained->next->probe.calls > 0;
    }
}

static void what_a_callback_completes_calls_back_in_the_next_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct chained links[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        links[i] = (struct chained){.next = i < 2 ? &links[i + 1] : NULL};
        jg_op_init(&links[i].probe.op, loop, chained_run, &links[i]);
        (void)jg_op_start(&links[i].probe.op, &prompt, NULL);
    }
    jg_op_complete(&links[0].probe.op, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(links[i].probe.calls, 0);
        assert_int_equal(jg_loop_run_once(loop, 0), i < 2);
        assert_int_equal(links[i].probe.calls, 1);
        assert_false(links[i].next_ran_inside);
    }
    test_loop_done(loop);
}

static void callbacks_come_in_the_order_of_the_completions(void **state)
{
    static const int order[] = {3, 0, 4, 1, 2};
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct probe probes[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        probe_init(&probes[i], loop);
        probes[i].trace = &trace;
        probes[i].letter = (char)('a' + i);
        (void)jg_op_start(&probes[i].op, &prompt, NULL);
    }
    for (int i = 0; i < 5; i++) {
        if (order[i] == 4)
            jg_op_cancel(&probes[4].op);
        else
            jg_op_complete(&probes[order[i]].op, 0);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "daebc");
    test_loop_done(loop);
}

static void a_result_that_was_there_first_wins_over_a_cancel(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    cancels = 0;
    probe_init(&probe, loop);
    (void)jg_op_start(&probe.op, &prompt, NULL);
    jg_op_complete(&probe.op, 7);
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(cancels, 0);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.status, 7);
    test_loop_done(loop);
}

static void a_cancel_that_was_there_first_wins_and_leaves_the_future_alone(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_future future;
    struct probe first, second;

    (void)state;
    jg_future_init(&future);
    probe_init(&first, loop);
    probe_init(&second, loop);
    assert_int_equal(jg_future_wait_start(&future, &first.op), 0);
    jg_op_cancel(&first.op);
    assert_int_equal(jg_future_set(&future, 9), 0);
    assert_int_equal(jg_future_wait_start(&future, &second.op), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(first.calls, 1);
    assert_int_equal(first.status, -ECANCELED);
    assert_int_equal(second.status, 9);
    test_loop_done(loop);
}

static void a_provider_is_asked_to_cancel_once_and_only_while_pending(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    cancels = 0;
    probe_init(&probe, loop);
    jg_op_cancel(&probe.op);
    assert_int_equal(cancels, 0);
    for (int round = 1; round <= 3; round++) {
        (void)jg_op_start(&probe.op, &stubborn, NULL);
        for (int i = 0; i < 5; i++)
            jg_op_cancel(&probe.op);
        assert_int_equal(cancels, round);
        jg_op_complete(&probe.op, 0);
        jg_op_cancel(&probe.op);
        assert_int_equal(jg_loop_run(loop), 0);
        jg_op_cancel(&probe.op);
        assert_int_equal(cancels, round);
        assert_int_equal(probe.calls, round);
    }
    test_loop_done(loop);
}

static void a_cancelled_op_stays_pending_until_its_provider_completes_it(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    (void)jg_op_start(&probe.op, &stubborn, NULL);
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.calls, 0);
    assert_true(jg_op_pending(&probe.op));
    jg_op_complete(&probe.op, 11); /* a result that could not be held back */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.status, 11);
    test_loop_done(loop);
}

/* A provider whose cancel takes its time, as one that must ask a kernel or a peer. */
struct slow {
    jg_timer timer;
    jg_op *op;
    int result;
};

static void slow_end(void *arg)
{
    struct slow *slow = arg;

    jg_op_complete(slow->op, slow->result);
}

static void slow_cancel(jg_op *op)
{
    struct slow *slow = op->data;

    slow->result = -ECANCELED;
    jg_call_later(op->loop, &slow->timer, 5);
}

static void a_provider_may_take_its_time_to_cancel(void **state)
{
    static const jg_provider provider = {"slow", slow_cancel};
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow slow = {.result = 1};
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    jg_timer_init(&slow.timer, slow_end, &slow);
    slow.op = &probe.op;
    (void)jg_op_start(&probe.op, &provider, &slow);
    jg_call_later(loop, &slow.timer, JG_SECOND);
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.status, -ECANCELED);
    assert_int_equal(jg_loop_now(loop), 5);
    test_loop_done(loop);
}

/*
 * A provider as a user would write it: permits, given to those who wait in their order. It keeps
 * waiting ops in a list by their call.link, which completing takes care of.
 */
struct permits {
    jg_link waiters;
    int free;
};

static void permits_cancel(jg_op *op)
{
    jg_op_complete(op, -ECANCELED);
}

static int permits_take(struct permits *permits, jg_op *op)
{
    static const jg_provider provider = {"permit", permits_cancel};
    int r = jg_op_start(op, &provider, permits);

    if (r < 0)
        return r;

    if (permits->free > 0) {
        permits->free--;
        jg_op_complete(op, 0);
        return 0;
    }
    op->call.link.prev = permits->waiters.prev;
    op->call.link.next = &permits->waiters;
    permits->waiters.prev->next = &op->call.link;
    permits->waiters.prev = &op->call.link;
    return 0;
}

static void permits_give(struct permits *permits)
{
    jg_link *first = permits->waiters.next;

    if (first == &permits->waiters)
        permits->free++;
    else
        jg_op_complete((jg_op *)(void *)((char *)first - offsetof(jg_op, call.link)), 0);
}

static void a_users_provider_keeps_its_ops_in_a_list_and_serves_them_in_order(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct permits permits = {.free = 1};
    struct probe probes[5];

    (void)state;
    permits.waiters.next = permits.waiters.prev = &permits.waiters;
    for (int i = 0; i < 5; i++) {
        probe_init(&probes[i], loop);
        probes[i].trace = &trace;
        probes[i].letter = (char)('a' + i);
        assert_int_equal(permits_take(&permits, &probes[i].op), 0);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "a");

    jg_op_cancel(&probes[2].op); /* in the middle of the list */
    permits_give(&permits);
    permits_give(&permits);
    permits_give(&permits);
    permits_give(&permits);
    jg_op_cancel(&probes[3].op); /* too late: it has its permit */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "acbde");
    assert_int_equal(probes[2].status, -ECANCELED);
    assert_int_equal(probes[3].status, 0);
    assert_int_equal(permits.free, 1);
    test_loop_done(loop);
}

/* Starts itself again a few times, or gives back its memory. */
static void restart(void *arg)
{
    struct probe *probe = arg;

    probe_run(probe);
    if (probe->calls < 4) {
        test_check(jg_op_start(&probe->op, &prompt, NULL) == 0);
        if (probe->calls % 2 == 1)
            jg_op_complete(&probe->op, probe->calls);
        else
            jg_op_cancel(&probe->op);
    }
}

static void an_op_may_start_again_in_its_callback(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe = {.calls = 0};

    (void)state;
    jg_op_init(&probe.op, loop, restart, &probe);
    (void)jg_op_start(&probe.op, &prompt, NULL);
    jg_op_complete(&probe.op, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.calls, 4);
    assert_int_equal(probe.status, 3);
    test_loop_done(loop);
}

static void an_op_may_be_freed_in_its_callback(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_op *op = malloc(sizeof(*op));

    (void)state;
    assert_non_null(op);
    jg_op_init(op, loop, free, op);
    (void)jg_op_start(op, &prompt, NULL);
    jg_op_complete(op, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    test_loop_done(loop);
}

static void a_future_is_set_once(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_future future;
    struct probe probe;

    (void)state;
    jg_future_init(&future);
    probe_init(&probe, loop);
    assert_int_equal(jg_future_set(&future, -EPIPE), 0);
    assert_int_equal(jg_future_set(&future, 1), -EALREADY);
    assert_int_equal(jg_future_wait_start(&future, &probe.op), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.status, -EPIPE);
    test_loop_done(loop);
}

static void a_future_completes_all_who_wait_in_their_order_but_who_was_cancelled(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    jg_future future = {.done = false};
    struct probe probes[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        probe_init(&probes[i], loop);
        probes[i].trace = &trace;
        probes[i].letter = (char)('a' + i);
        if (i < 4)
            assert_int_equal(jg_future_wait_start(&future, &probes[i].op), 0);
    }
    jg_op_cancel(&probes[1].op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "b");

    assert_int_equal(jg_future_set(&future, 5), 0);
    assert_int_equal(jg_future_wait_start(&future, &probes[4].op), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "bacde");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(probes[i].calls, 1);
        assert_int_equal(probes[i].status, i == 1 ? -ECANCELED : 5);
    }
    test_loop_done(loop);
}

/* Waits for the future again from the callback that it caused. */
struct again {
    struct probe probe;
    jg_future *future;
};

static void again_run(void *arg)
{
    struct again *again = arg;

    probe_run(&again->probe);
    if (again->probe.calls == 1)
        test_check(jg_future_wait_start(again->future, &again->probe.op) == 0);
}

static void waiting_anew_for_a_future_that_is_set_takes_another_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_future future = {.done = false};
    struct again again = {.future = &future};

    (void)state;
    jg_op_init(&again.probe.op, loop, again_run, &again);
    (void)jg_future_wait_start(&future, &again.probe.op);
    (void)jg_future_set(&future, 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(again.probe.calls, 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(again.probe.calls, 2);
    test_loop_done(loop);
}

static void a_pending_op_alone_does_not_keep_the_loop_running(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_future future = {.done = false};
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    (void)jg_future_wait_start(&future, &probe.op);
    assert_false(jg_loop_alive(loop));
    assert_int_equal(jg_loop_run(loop), 0);
    assert_true(jg_op_pending(&probe.op));
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    test_loop_done(loop);
}

static void sleeps_complete_in_the_order_of_their_deadlines_and_equal_ones_as_set(void **state)
{
    static const jg_time delays[] = {30, 10, 20, 10, 0, -5};
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct probe probes[6];
    jg_sleeper sleepers[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        probe_init(&probes[i], loop);
        probes[i].trace = &trace;
        probes[i].letter = (char)('a' + i);
        assert_int_equal(jg_sleep_start(&sleepers[i], delays[i], &probes[i].op), 0);
        assert_int_equal(probes[i].calls, 0);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "efbdca");
    assert_int_equal(jg_loop_now(loop), 30);
    for (int i = 0; i < 6; i++)
        assert_int_equal(probes[i].status, 0);
    test_loop_done(loop);
}

static void cancelling_a_sleep_stops_its_timer(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    jg_sleeper sleeper;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_sleep_start(&sleeper, 3600 * JG_SECOND, &probe.op), 0);
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.status, -ECANCELED);
    assert_int_equal(jg_loop_now(loop), 0);
    test_loop_done(loop);
}

static void a_sleep_that_is_over_is_not_cancelled_any_more(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    jg_sleeper sleeper;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_sleep_start(&sleeper, 10, &probe.op), 0);
    while (jg_op_pending(&probe.op))
        assert_int_equal(jg_loop_run_once(loop, -1), 1);
    assert_int_equal(probe.calls, 0);
    jg_op_cancel(&probe.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.status, 0);
    test_loop_done(loop);
}

static void ops_futures_and_sleeps_allocate_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    long calls = test_loop_memory(loop)->calls;
    jg_future future = {.done = false};
    struct probe probes[100];
    jg_sleeper sleeper;

    (void)state;
    for (int i = 0; i < 100; i++) {
        probe_init(&probes[i], loop);
        if (i > 0)
            (void)jg_future_wait_start(&future, &probes[i].op);
    }
    (void)jg_sleep_start(&sleeper, 5, &probes[0].op);
    jg_op_cancel(&probes[50].op);
    (void)jg_future_set(&future, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(test_loop_memory(loop)->calls, calls);
    test_loop_done(loop);
}

/* A result that comes from another thread: it sends a wake, whose callback completes the op. */
struct job {
    jg_wake wake;
    jg_op *op;
    int result;
};

static void job_done(void *arg)
{
    struct job *job = arg;

    jg_wake_stop(&job->wake);
    jg_op_complete(job->op, job->result);
}

static void *job_work(void *arg)
{
    struct job *job = arg;

    job->result = 42;
    jg_wake_send(&job->wake);
    return NULL;
}

static void another_thread_completes_an_op_through_a_wake(void **state)
{
    jg_loop *loop = test_loop(0);
    struct probe probe;
    struct job job;
    pthread_t thread;

    (void)state;
    probe_init(&probe, loop);
    job = (struct job){.op = &probe.op};
    jg_wake_init(&job.wake, job_done, &job);
    (void)jg_op_start(&probe.op, &stubborn, &job);
    jg_wake_start(loop, &job.wake);
    assert_int_equal(pthread_create(&thread, NULL, job_work, &job), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.status, 42);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_op_completes_once_with_the_status_it_was_given),
        cmocka_unit_test(completing_twice_and_starting_what_is_pending_are_misuse),
        cmocka_unit_test(no_callback_runs_inside_start_complete_or_cancel),
        cmocka_unit_test(what_a_callback_completes_calls_back_in_the_next_turn),
        cmocka_unit_test(callbacks_come_in_the_order_of_the_completions),
        cmocka_unit_test(a_result_that_was_there_first_wins_over_a_cancel),
        cmocka_unit_test(a_cancel_that_was_there_first_wins_and_leaves_the_future_alone),
        cmocka_unit_test(a_provider_is_asked_to_cancel_once_and_only_while_pending),
        cmocka_unit_test(a_cancelled_op_stays_pending_until_its_provider_completes_it),
        cmocka_unit_test(a_provider_may_take_its_time_to_cancel),
        cmocka_unit_test(a_users_provider_keeps_its_ops_in_a_list_and_serves_them_in_order),
        cmocka_unit_test(an_op_may_start_again_in_its_callback),
        cmocka_unit_test(an_op_may_be_freed_in_its_callback),
        cmocka_unit_test(a_future_is_set_once),
        cmocka_unit_test(a_future_completes_all_who_wait_in_their_order_but_who_was_cancelled),
        cmocka_unit_test(waiting_anew_for_a_future_that_is_set_takes_another_turn),
        cmocka_unit_test(a_pending_op_alone_does_not_keep_the_loop_running),
        cmocka_unit_test(sleeps_complete_in_the_order_of_their_deadlines_and_equal_ones_as_set),
        cmocka_unit_test(cancelling_a_sleep_stops_its_timer),
        cmocka_unit_test(a_sleep_that_is_over_is_not_cancelled_any_more),
        cmocka_unit_test(ops_futures_and_sleeps_allocate_nothing),
        cmocka_unit_test(another_thread_completes_an_op_through_a_wake),
    };

    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}
