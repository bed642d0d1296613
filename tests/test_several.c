/* SPDX-License-Identifier: MIT
 *
 * Waiting for several ops at once, and taking jobs as they end.
 */
#include "support.h"

#include <juggle.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS JG_MILLISECOND

/* Three ops: two sleeps, and a future that a call sets. */
struct three {
    jg_op op[3];
    jg_op *ops[3];
    jg_sleeper sleeper[2];
    jg_future future;
    jg_timer setter;
    int status;
};

static void set_future(void *arg)
{
    struct three *three = arg;

    assert_int_equal(jg_future_set(&three->future, three->status), 0);
}

/* The sleeps end at 10 and 30 ms, the future is set to `status` after `at`. */
static void three_start(struct three *three, jg_time at, int status)
{
    jg_loop *loop = jg_task_loop(jg_task_current());

    jg_future_init(&three->future);
    jg_timer_init(&three->setter, set_future, three);
    jg_call_later(loop, &three->setter, at);
    three->status = status;
    for (int i = 0; i < 3; i++) {
        jg_op_self(&three->op[i]);
        three->ops[i] = &three->op[i];
    }
    assert_int_equal(jg_sleep_start(&three->sleeper[0], 10 * MS, &three->op[0]), 0);
    assert_int_equal(jg_sleep_start(&three->sleeper[1], 30 * MS, &three->op[1]), 0);
    assert_int_equal(jg_future_wait_start(&three->future, &three->op[2]), 0);
}

static int elapsed(jg_time since)
{
    return (int)((jg_loop_now(jg_task_loop(jg_task_current())) - since) / MS);
}

static void run(jg_coro_fn fn, void *arg)
{
    const jg_loop_options loop = {.flags = JG_LOOP_VIRTUAL_TIME};
    const jg_run_options options = {.loop = &loop};

    assert_int_equal(jg_run(fn, arg, &options), 0);
}

static int first(void *arg)
{
    jg_time start = jg_loop_now(jg_task_loop(jg_task_current()));
    struct three three;

    (void)arg;
    three_start(&three, 20 * MS, 7);
    assert_int_equal(jg_wait(three.ops, 3, JG_FIRST_COMPLETED), 0);
    assert_int_equal(elapsed(start), 10);
    assert_false(jg_op_pending(three.ops[0]));
    assert_true(jg_op_pending(three.ops[1]) && jg_op_pending(three.ops[2]));

    /* As completed: without those that did, the next one. */
    assert_int_equal(jg_wait(three.ops + 1, 2, JG_FIRST_COMPLETED), 0);
    assert_int_equal(elapsed(start), 20);
    assert_int_equal(jg_await(three.ops[2]), 7);

    /* What is not wanted any more is cancelled, and still completes. */
    jg_op_cancel(three.ops[1]);
    assert_int_equal(jg_await(three.ops[1]), -ECANCELED);
    assert_int_equal(elapsed(start), 20);
    return 0;
}

static void the_first_completed_ends_the_wait_and_the_others_go_on(void **state)
{
    (void)state;
    run(first, NULL);
}

static int all(void *arg)
{
    jg_time start = jg_loop_now(jg_task_loop(jg_task_current()));
    struct three three;

    (void)arg;
    three_start(&three, 20 * MS, -EIO);
    assert_int_equal(jg_wait(three.ops, 3, JG_ALL_COMPLETED), 0);
    assert_int_equal(elapsed(start), 30);
    assert_int_equal(jg_op_status(three.ops[2]), -EIO);
    assert_int_equal(jg_wait(three.ops, 3, JG_ALL_COMPLETED), 0); /* at once, and again */
    assert_int_equal(jg_wait(three.ops, 0, JG_FIRST_COMPLETED), 0);
    assert_int_equal(elapsed(start), 30);
    return 0;
}

static void all_completed_waits_for_the_last_whatever_its_status(void **state)
{
    (void)state;
    run(all, NULL);
}

static int first_error(void *arg)
{
    const int *status = arg;
    jg_time start = jg_loop_now(jg_task_loop(jg_task_current()));
    struct three three;

    three_start(&three, 20 * MS, *status);
    assert_int_equal(jg_wait(three.ops, 3, JG_FIRST_ERROR), 0);
    assert_int_equal(elapsed(start), *status < 0 ? 20 : 30);
    assert_int_equal(jg_await(three.ops[1]), 0);
    return 0;
}

static void the_first_error_ends_the_wait_and_without_one_the_last_does(void **state)
{
    int good = 0, bad = -EIO;

    (void)state;
    run(first_error, &bad);
    run(first_error, &good);
}

static int several(void *arg)
{
    struct three *three = arg;
    int r;

    three_start(three, 50 * MS, 0);
    r = jg_wait(three->ops, 3, JG_ALL_COMPLETED);
    jg_timer_stop(&three->setter);

    /* Those that had completed keep their status; the others are cancelled by being awaited. */
    assert_int_equal(jg_await(three->ops[0]), 0);
    assert_int_equal(jg_await(three->ops[1]), -ECANCELED);
    assert_int_equal(jg_await(three->ops[2]), -ECANCELED);
    return r;
}

static int cut_short(void *arg)
{
    struct three three;

    (void)arg;
    assert_int_equal(jg_wait_for(several, &three, 20 * MS), -ETIMEDOUT);
    return 0;
}

static void cancellation_ends_the_wait_and_reaches_the_ops_as_they_are_awaited(void **state)
{
    (void)state;
    run(cut_short, NULL);
}

/* Jobs that end after a time, with a status. */
struct nap {
    jg_time delay;
    int result;
};

static int nap(void *arg)
{
    const struct nap *nap = arg;
    int r = jg_sleep(nap->delay);

    return r < 0 ? r : nap->result;
}

enum { NAPS = 4 };

struct naps {
    struct nap naps[NAPS];
    jg_job jobs[NAPS];
};

static void naps_init(struct naps *naps)
{
    static const struct nap all[NAPS] = {{30 * MS, 0}, {10 * MS, -EIO}, {20 * MS, 2}, {10 * MS, 3}};

    for (int i = 0; i < NAPS; i++) {
        naps->naps[i] = all[i];
        naps->jobs[i] = (jg_job){.fn = nap, .arg = &naps->naps[i], .status = 12345};
    }
}

static int take_all(void *arg)
{
    const int order[NAPS] = {1, 3, 2, 0}, times[NAPS] = {10, 10, 20, 30};
    jg_time start = jg_loop_now(jg_task_loop(jg_task_current()));
    jg_as_completed each;
    struct naps naps;

    (void)arg;
    naps_init(&naps);
    jg_as_completed_begin(&each, naps.jobs, NAPS);
    for (int i = 0; i < NAPS; i++) {
        const jg_job *job = jg_as_completed_next(&each);

        assert_ptr_equal(job, &naps.jobs[order[i]]);
        assert_int_equal(job->status, naps.naps[order[i]].result);
        assert_int_equal(elapsed(start), times[i]);
    }
    assert_null(jg_as_completed_next(&each));
    return jg_as_completed_end(&each);
}

static void jobs_are_taken_in_the_order_in_which_they_end_with_their_own_errors(void **state)
{
    (void)state;
    run(take_all, NULL);
}

static int take_late(void *arg)
{
    const int order[NAPS] = {1, 3, 2, 0};
    jg_as_completed each;
    struct naps naps;

    (void)arg;
    naps_init(&naps);
    jg_as_completed_begin(&each, naps.jobs, NAPS);
    assert_int_equal(jg_sleep(100 * MS), 0);
    for (int i = 0; i < NAPS; i++)
        assert_ptr_equal(jg_as_completed_next(&each), &naps.jobs[order[i]]);
    assert_null(jg_as_completed_next(&each));
    return jg_as_completed_end(&each);
}

static void who_takes_late_finds_the_jobs_in_the_order_in_which_they_ended(void **state)
{
    (void)state;
    run(take_late, NULL);
}

static int take_one(void *arg)
{
    jg_time start = jg_loop_now(jg_task_loop(jg_task_current()));
    jg_as_completed each;
    struct naps naps;

    (void)arg;
    naps_init(&naps);
    jg_as_completed_begin(&each, naps.jobs, NAPS);
    assert_ptr_equal(jg_as_completed_next(&each), &naps.jobs[1]);
    assert_int_equal(jg_as_completed_end(&each), 0);
    assert_int_equal(elapsed(start), 10);
    assert_int_equal(naps.jobs[0].status, -ECANCELED);
    assert_int_equal(naps.jobs[2].status, -ECANCELED);

    jg_as_completed_begin(&each, naps.jobs, 0);
    assert_null(jg_as_completed_next(&each));
    return jg_as_completed_end(&each);
}

static void jobs_that_are_not_taken_are_cancelled_at_the_end(void **state)
{
    (void)state;
    run(take_one, NULL);
}

static int take_in_vain(void *arg)
{
    struct naps *naps = arg;
    jg_as_completed each;

    jg_as_completed_begin(&each, naps->jobs, NAPS);
    assert_ptr_equal(jg_as_completed_next(&each), &naps->jobs[1]);
    assert_ptr_equal(jg_as_completed_next(&each), &naps->jobs[3]);
    assert_null(jg_as_completed_next(&each));
    assert_null(jg_as_completed_next(&each));
    assert_int_equal(jg_as_completed_end(&each), -ECANCELED);

    /* Cancelled from the start. */
    naps_init(naps);
    jg_as_completed_begin(&each, naps->jobs, NAPS);
    assert_null(jg_as_completed_next(&each));
    assert_int_equal(naps->jobs[0].status, -ECANCELED);
    return jg_as_completed_end(&each);
}

static int take_for_15_ms(void *arg)
{
    struct naps naps;

    (void)arg;
    naps_init(&naps);
    assert_int_equal(jg_wait_for(take_in_vain, &naps, 15 * MS), -ETIMEDOUT);
    return 0;
}

static void a_cancellation_ends_the_taking_and_is_returned_at_the_end(void **state)
{
    (void)state;
    run(take_for_15_ms, NULL);
}

/* A job that cancels the scope around its taker. */
static int end_and_cancel(void *arg)
{
    jg_scope_cancel(arg);
    return 5;
}

static int take_in_a_race(void *arg)
{
    jg_scope scope;
    jg_job jobs[2] = {{end_and_cancel, &scope, 0}, {nap, &(struct nap){MS, 0}, 0}};
    jg_as_completed each;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    jg_as_completed_begin(&each, jobs, 2);
    assert_null(jg_as_completed_next(&each)); /* the wait for a job was cut before one ended */
    assert_int_equal(jg_as_completed_end(&each), -ECANCELED);
    assert_int_equal(jobs[0].status, 5);
    assert_int_equal(jobs[1].status, -ECANCELED);
    return jg_scope_leave(&scope, 0);
}

static void a_job_that_ends_as_it_cancels_its_taker_ends_in_order(void **state)
{
    (void)state;
    run(take_in_a_race, NULL);
}

static int cancel_after_10_ms(void *arg)
{
    int r = jg_sleep(10 * MS);

    jg_scope_cancel(arg);
    return r;
}

static int take_what_was_handed_over(void *arg)
{
    jg_scope scope;
    jg_job jobs[2] = {{nap, &(struct nap){10 * MS, 4}, 0}, {cancel_after_10_ms, &scope, 0}};
    jg_as_completed each;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    jg_as_completed_begin(&each, jobs, 2);
    assert_ptr_equal(jg_as_completed_next(&each), &jobs[0]);
    assert_true(jg_scope_cancelled(&scope));
    assert_null(jg_as_completed_next(&each));
    assert_int_equal(jg_as_completed_end(&each), -ECANCELED);
    return jg_scope_leave(&scope, 0);
}

static void a_job_that_ended_before_the_cancellation_of_the_same_turn_is_taken(void **state)
{
    (void)state;
    run(take_what_was_handed_over, NULL);
}

/* Starts and takes a ready op, whose memory is gone afterwards. */
static int take_from_heap(jg_future *ready)
{
    jg_op *op = malloc(sizeof(*op));
    int r;

    test_check(op != NULL);
    jg_op_self(op);
    r = jg_future_wait_start(ready, op);
    if (r == 0)
        r = jg_wait(&op, 1, JG_FIRST_COMPLETED);
    memset(op, 0x41, sizeof(*op));
    free(op);
    return r;
}

static int take_and_fail(void *arg)
{
    jg_future ready = {.done = false};
    jg_scope scope;

    (void)arg;
    jg_future_set(&ready, 0);
    jg_scope_enter(&scope, NULL);
    test_check(take_from_heap(&ready) == 0);
    return jg_scope_leave(&scope, -5); /* which asks what the task waits for to end */
}

static void an_op_that_was_ready_is_not_looked_at_after_the_wait(void **state)
{
    (void)state;
    assert_int_equal(jg_run(take_and_fail, NULL, NULL), -5);
}

struct greedy {
    jg_future ready;
    int others; /* turns that others had meanwhile */
};

static int count_turns(void *arg)
{
    struct greedy *greedy = arg;

    for (int i = 0; i < 10 && jg_sleep(0) == 0; i++)
        greedy->others++;
    return 0;
}

static int take_again_and_again(void *arg)
{
    struct greedy *greedy = arg;
    jg_scope scope;
    int r;

    jg_future_set(&greedy->ready, 0);
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, count_turns, greedy, NULL);
    for (int i = 0; i < 1000 && r == 0; i++) {
        jg_op op, *ops[] = {&op};

        jg_op_self(&op);
        r = jg_future_wait_start(&greedy->ready, &op);
        if (r == 0)
            r = jg_wait(ops, 1, JG_FIRST_COMPLETED);
    }
    test_check(greedy->others >= 10);
    return jg_scope_leave(&scope, r);
}

static void waiting_for_what_is_ready_gives_way_now_and_then(void **state)
{
    struct greedy greedy = {.others = 0};

    (void)state;
    assert_int_equal(jg_run(take_again_and_again, &greedy, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_completed_ends_the_wait_and_the_others_go_on),
        cmocka_unit_test(all_completed_waits_for_the_last_whatever_its_status),
        cmocka_unit_test(the_first_error_ends_the_wait_and_without_one_the_last_does),
        cmocka_unit_test(cancellation_ends_the_wait_and_reaches_the_ops_as_they_are_awaited),
        cmocka_unit_test(jobs_are_taken_in_the_order_in_which_they_end_with_their_own_errors),
        cmocka_unit_test(who_takes_late_finds_the_jobs_in_the_order_in_which_they_ended),
        cmocka_unit_test(jobs_that_are_not_taken_are_cancelled_at_the_end),
        cmocka_unit_test(a_cancellation_ends_the_taking_and_is_returned_at_the_end),
        cmocka_unit_test(a_job_that_ended_before_the_cancellation_of_the_same_turn_is_taken),
        cmocka_unit_test(a_job_that_ends_as_it_cancels_its_taker_ends_in_order),
        cmocka_unit_test(an_op_that_was_ready_is_not_looked_at_after_the_wait),
        cmocka_unit_test(waiting_for_what_is_ready_gives_way_now_and_then),
    };

    return cmocka_run_group_tests_name("several", tests, NULL, NULL);
}
