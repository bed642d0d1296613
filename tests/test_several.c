/* SPDX-License-Identifier: MIT
 *
 * Waiting for several ops at once.
 */
#include "support.h"

#include <juggle.h>

#include <errno.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_completed_ends_the_wait_and_the_others_go_on),
        cmocka_unit_test(all_completed_waits_for_the_last_whatever_its_status),
        cmocka_unit_test(the_first_error_ends_the_wait_and_without_one_the_last_does),
        cmocka_unit_test(cancellation_ends_the_wait_and_reaches_the_ops_as_they_are_awaited),
    };

    return cmocka_run_group_tests_name("several", tests, NULL, NULL);
}
