/* SPDX-License-Identifier: MIT
 *
 * What happens when several things come together: limits and cleanup, errors and cancellation,
 * nested scopes, a busy loop, other threads. Each rule is one that asyncio has too, or that it has
 * learnt the need for.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>

#include <pthread.h>

#define MS JG_MILLISECOND

static jg_loop *here(void)
{
    return jg_task_loop(jg_task_current());
}

/* Run fn(arg) as a program of its own. Returns what it returned. */
static int run(jg_coro_fn fn, void *arg)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int r = jg_run_until_complete(loop, fn, arg, NULL);

    test_loop_done(loop);
    return r;
}

/* A coroutine that sleeps; if that is cut it cleans up for a while, and has its own view. */
struct nap {
    jg_time delay;
    int result;
    jg_time cleanup;
    int on_cut; /* 0: the status of the sleep */
    jg_time ended;
};

static int clean_up(void *arg)
{
    return jg_sleep(*(const jg_time *)arg);
}

static int nap(void *arg)
{
    struct nap *nap = arg;
    int r = jg_sleep(nap->delay);

    if (r < 0 && nap->cleanup > 0)
        test_check(jg_shield(clean_up, &nap->cleanup) == 0);
    nap->ended = jg_loop_now(here());
    if (r < 0)
        return nap->on_cut ? nap->on_cut : r;
    return nap->result;
}

static int limit_in_a_cancelled_scope(void *arg)
{
    struct nap long_nap = {.delay = 100 * MS};
    jg_scope scope;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    jg_scope_cancel(&scope);
    assert_int_equal(jg_wait_for(nap, &long_nap, 10 * MS), -ECANCELED);
    assert_int_equal(jg_wait_for(nap, &long_nap, 0), -ECANCELED);
    return jg_scope_leave(&scope, 0);
}

static void a_limit_in_a_cancelled_scope_is_not_what_cuts(void **state)
{
    (void)state;
    assert_int_equal(run(limit_in_a_cancelled_scope, NULL), 0);
}

static int limit_cleanup(void *arg)
{
    struct nap nap_with_cleanup = {.delay = 100 * MS, .cleanup = 30 * MS};

    (void)arg;
    assert_int_equal(jg_wait_for(nap, &nap_with_cleanup, 10 * MS), -ETIMEDOUT);
    assert_true(nap_with_cleanup.ended == 40 * MS);
    assert_true(jg_loop_now(here()) == 40 * MS);
    return jg_sleep(MS);
}

static void a_limit_waits_until_what_it_cut_has_cleaned_up(void **state)
{
    (void)state;
    assert_int_equal(run(limit_cleanup, NULL), 0);
}

static int limit_with_opinions(void *arg)
{
    struct nap failing = {.delay = 100 * MS, .on_cut = -EIO};
    struct nap ignoring = {.delay = 100 * MS, .on_cut = 5};

    (void)arg;
    assert_int_equal(jg_wait_for(nap, &failing, 10 * MS), -EIO);
    assert_int_equal(jg_wait_for(nap, &ignoring, 10 * MS), -ETIMEDOUT);
    return jg_sleep(MS);
}

static void an_error_in_cleanup_is_returned_for_the_limit_and_a_swallowed_one_is_not(void **state)
{
    (void)state;
    assert_int_equal(run(limit_with_opinions, NULL), 0);
}

static int note_task(void *arg)
{
    *(jg_task **)arg = jg_task_current();
    return 0;
}

static int limit_in_the_same_task(void *arg)
{
    jg_task *task = NULL;

    (void)arg;
    assert_int_equal(jg_wait_for(note_task, (void *)&task, MS), 0);
    assert_ptr_equal(task, jg_task_current());
    assert_int_equal(jg_shield(note_task, (void *)&task), 0);
    assert_ptr_equal(task, jg_task_current());
    assert_string_equal(jg_task_name(task), "main");
    return 0;
}

static void limits_and_shields_run_in_the_task_that_calls_them(void **state)
{
    (void)state;
    assert_int_equal(run(limit_in_the_same_task, NULL), 0);
}

/* Two limits, and a loop that is too busy to see either in time. */
struct busy {
    jg_time inner, outer;
    int inner_left;
};

static int keep_busy(void *arg)
{
    struct nap long_nap = {.delay = 1000 * MS};

    (void)arg;
    assert_int_equal(jg_test_advance(here(), 500 * MS), 0);
    return nap(&long_nap);
}

static int limit_inside(void *arg)
{
    struct busy *busy = arg;

    busy->inner_left = jg_wait_for(keep_busy, NULL, busy->inner);
    return busy->inner_left;
}

static int limit_outside(void *arg)
{
    struct busy *busy = arg;

    return jg_wait_for(limit_inside, busy, busy->outer);
}

static void of_nested_limits_that_a_busy_loop_missed_the_outermost_is_told(void **state)
{
    struct busy inner_first = {.inner = 10 * MS, .outer = 20 * MS};
    struct busy outer_first = {.inner = 20 * MS, .outer = 10 * MS};

    (void)state;
    assert_int_equal(run(limit_outside, &inner_first), -ETIMEDOUT);
    assert_int_equal(inner_first.inner_left, -ECANCELED);
    assert_int_equal(run(limit_outside, &outer_first), -ETIMEDOUT);
    assert_int_equal(outer_first.inner_left, -ECANCELED);
}

static int gather_each_way(void *arg)
{
    const struct {
        jg_policy policy;
        int result;
        int statuses[3];
        jg_time takes;
    } cases[] = {
        {JG_FAIL_FAST, -EIO, {-ECANCELED, -EIO, 3}, 20 * MS},
        {JG_KEEP_GOING, 0, {1, -EIO, 3}, 30 * MS},
        {JG_FIRST_WINS, 0, {-ECANCELED, -ECANCELED, 3}, 10 * MS},
    };

    (void)arg;
    for (int i = 0; i < 3; i++) {
        struct nap naps[3] = {{.delay = 30 * MS, .result = 1},
                              {.delay = 20 * MS, .result = -EIO},
                              {.delay = 10 * MS, .result = 3}};
        jg_job jobs[3] = {{nap, &naps[0], 0}, {nap, &naps[1], 0}, {nap, &naps[2], 0}};
        jg_time start = jg_loop_now(here());

        assert_int_equal(jg_gather(jobs, 3, cases[i].policy), cases[i].result);
        assert_true(jg_loop_now(here()) - start == cases[i].takes);
        for (int j = 0; j < 3; j++)
            assert_int_equal(jobs[j].status, cases[i].statuses[j]);
        assert_int_equal(jg_sleep(MS), 0); /* whoever gathered goes on */
    }
    return 0;
}

static void gather_returns_by_its_policy_and_each_job_has_its_own_status(void **state)
{
    (void)state;
    assert_int_equal(run(gather_each_way, NULL), 0);
}

static int gather_pair(void *arg)
{
    struct nap *naps = arg;
    jg_job jobs[2] = {{nap, &naps[0], 0}, {nap, &naps[1], 0}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static int shield_pair(void *arg)
{
    return jg_shield(gather_pair, arg);
}

static int gather_around_a_shield(void *arg)
{
    struct nap *naps = arg;
    jg_job jobs[2] = {{shield_pair, naps, 0}, {nap, &naps[2], 0}};

    (void)jg_gather(jobs, 2, JG_FAIL_FAST);
    assert_int_equal(jobs[0].status, 0);
    assert_int_equal(jobs[1].status, -ECANCELED);
    return -ECANCELED;
}

static int limit_gathers_and_shields(void *arg)
{
    struct nap naps[3] = {{.delay = 20 * MS}, {.delay = 30 * MS}, {.delay = 100 * MS}};

    (void)arg;
    assert_int_equal(jg_wait_for(gather_around_a_shield, naps, 10 * MS), -ETIMEDOUT);
    assert_true(naps[0].ended == 20 * MS);
    assert_true(naps[1].ended == 30 * MS);
    assert_true(naps[2].ended == 10 * MS);
    return 0;
}

static void a_gather_in_a_shield_ends_in_peace_and_the_one_around_it_waits(void **state)
{
    (void)state;
    assert_int_equal(run(limit_gathers_and_shields, NULL), 0);
}

/* A scope in a scope, the inner one with a child that fails. */
struct nested {
    struct nap child, sibling; /* of the inner and of the outer scope */
    int child_status, sibling_status;
    int inner_left;
};

static int fail_inside(struct nested *nested)
{
    const jg_spawn_options options = {.ret_status = &nested->child_status};
    struct nap body = {.delay = 100 * MS};
    jg_scope inner;

    jg_scope_enter(&inner, NULL);
    assert_int_equal(jg_spawn(&inner, nap, &nested->child, &options), 0);
    nested->inner_left = jg_scope_leave(&inner, nap(&body));
    return nested->inner_left;
}

static int nest(void *arg)
{
    struct nested *nested = arg;
    const jg_spawn_options options = {.ret_status = &nested->sibling_status};
    jg_scope outer;

    jg_scope_enter(&outer, NULL);
    assert_int_equal(jg_spawn(&outer, nap, &nested->sibling, &options), 0);
    return jg_scope_leave(&outer, fail_inside(nested));
}

static void an_error_in_an_inner_scope_goes_outwards_and_cancels_there(void **state)
{
    struct nested nested = {.child = {.delay = 10 * MS, .result = -EIO},
                            .sibling = {.delay = 50 * MS}};

    (void)state;
    assert_int_equal(run(nest, &nested), -EIO);
    assert_int_equal(nested.inner_left, -EIO);
    assert_int_equal(nested.sibling_status, -ECANCELED);
    assert_true(nested.sibling.ended == 10 * MS);
}

static void when_both_scopes_have_an_error_at_once_each_returns_its_own(void **state)
{
    struct nested child_first = {.child = {.delay = 10 * MS, .result = -EIO},
                                 .sibling = {.delay = 10 * MS, .result = -EPERM}};

    (void)state;
    assert_int_equal(run(nest, &child_first), -EPERM);
    assert_int_equal(child_first.inner_left, -EIO);
    assert_int_equal(child_first.child_status, -EIO);
    assert_int_equal(child_first.sibling_status, -EPERM);
}

static void errors_of_those_who_are_cancelled_replace_the_cancellation(void **state)
{
    struct nested nested = {
        .child = {.delay = 50 * MS, .on_cut = -EIO, .cleanup = 5 * MS},
        .sibling = {.delay = 10 * MS, .result = -EPERM},
    };

    (void)state;
    assert_int_equal(run(nest, &nested), -EPERM);
    assert_int_equal(nested.inner_left, -EIO);
    assert_true(nested.child.ended == 15 * MS);
}

/* A child that fails in the turn in which its scope is cancelled from outside. */
struct contest {
    bool error_first;
    int left, after;
};

static int fail_in_time(void *arg)
{
    struct contest *contest = arg;
    struct nap child = {.delay = 10 * MS, .result = -EIO};
    const jg_scope_options no_limit = {0}, limit = {.timeout = 10 * MS};
    jg_scope outer, inner;

    jg_scope_enter(&outer, contest->error_first ? &no_limit : &limit);
    jg_scope_enter(&inner, NULL);
    assert_int_equal(jg_spawn(&inner, nap, &child, NULL), 0);
    if (contest->error_first) {
        assert_int_equal(jg_sleep(0), 0); /* the child's sleep is set before the limit */
        jg_scope_reschedule(&outer, 10 * MS);
    }
    contest->left = jg_scope_leave(&inner, jg_sleep(100 * MS));
    contest->after = jg_sleep(MS);
    return jg_scope_leave(&outer, 0);
}

static void an_error_and_an_outer_cancellation_at_once_are_both_told(void **state)
{
    struct contest error_first = {.error_first = true}, limit_first = {.error_first = false};

    (void)state;
    assert_int_equal(run(fail_in_time, &error_first), -ETIMEDOUT);
    assert_int_equal(error_first.left, -EIO);
    assert_int_equal(error_first.after, -ECANCELED);
    assert_int_equal(run(fail_in_time, &limit_first), -ETIMEDOUT);
    assert_int_equal(limit_first.left, -ECANCELED); /* the child's sleep was cut */
    assert_int_equal(limit_first.after, -ECANCELED);
}

static int fail_while_a_limit_waits(void *arg)
{
    struct nap failing = {.delay = 10 * MS, .result = -EIO}, body = {.delay = 100 * MS};
    jg_scope scope;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    assert_int_equal(jg_spawn(&scope, nap, &failing, NULL), 0);
    assert_int_equal(jg_wait_for(nap, &body, 50 * MS), -ECANCELED);
    assert_true(jg_loop_now(here()) == 10 * MS);
    assert_int_equal(jg_scope_leave(&scope, 0), -EIO);
    return jg_sleep(MS);
}

static void a_childs_error_reaches_the_body_in_a_limit_as_cancellation_not_as_timeout(void **state)
{
    (void)state;
    assert_int_equal(run(fail_while_a_limit_waits, NULL), 0);
}

static int wait_for_equals(void *arg)
{
    jg_sleeper sleepers[3];
    jg_op ops[3];
    jg_op *const all[3] = {&ops[0], &ops[1], &ops[2]};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        jg_op_self(&ops[i]);
        assert_int_equal(jg_sleep_start(&sleepers[i], 10 * MS, &ops[i]), 0);
    }
    assert_int_equal(jg_wait(all, 3, JG_FIRST_COMPLETED), 0);
    for (int i = 0; i < 3; i++)
        assert_false(jg_op_pending(&ops[i]));
    assert_int_equal(jg_sleep(0), 0); /* none of them is left to wake anybody */
    assert_true(jg_loop_now(here()) == 10 * MS);
    return 0;
}

static void several_ops_that_complete_in_one_turn_end_one_wait(void **state)
{
    (void)state;
    assert_int_equal(run(wait_for_equals, NULL), 0);
}

/* Step tasks under a limit of their scope, which ends as a coroutine's does. */
struct stepper {
    jg_task task;
    jg_sleeper sleeper;
    int steps, status;
};

static int step(jg_task *task, void *arg, int status)
{
    struct stepper *stepper = arg;
    int r = status;

    if (stepper->steps++ == 0)
        r = jg_sleep_start(&stepper->sleeper, 100 * MS, jg_task_op(task));
    return stepper->steps == 1 && r == 0 ? JG_PENDING : r;
}

static void a_limit_on_step_tasks_that_a_busy_loop_missed_cuts_them_once(void **state)
{
    struct stepper stepper = {.status = 12345};
    struct world world;

    (void)state;
    world_init(&world);
    jg_task_init(&stepper.task, "stepper", step, &stepper);
    assert_string_equal(jg_task_name(&stepper.task), "stepper");
    assert_int_equal(jg_task_spawn(&world.root, &stepper.task, &stepper.status), 0);
    jg_scope_reschedule(&world.root, 10 * MS);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    assert_int_equal(jg_test_advance(world.loop, 50 * MS), 0);
    world_done(&world);
    assert_int_equal(stepper.status, -ECANCELED);
    assert_int_equal(stepper.steps, 2);
    assert_int_equal(world.result, -ETIMEDOUT);
}

/* Another thread that has a coroutine started, and later cancelled, by sending wakes. */
struct remote {
    jg_loop *loop;
    jg_scope scope;
    jg_wake start, cancel;
    jg_op left;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool began;
    int status, result;
};

static int work(void *arg)
{
    struct remote *remote = arg;

    pthread_mutex_lock(&remote->lock);
    remote->began = true;
    pthread_cond_signal(&remote->changed);
    pthread_mutex_unlock(&remote->lock);
    return jg_sleep(3600 * JG_SECOND);
}

static void start_work(void *arg)
{
    struct remote *remote = arg;

    test_check(jg_spawn(&remote->scope, work, remote,
                        &(jg_spawn_options){.ret_status = &remote->status}) == 0);
    jg_wake_stop(&remote->start);
}

static void work_left(void *arg)
{
    struct remote *remote = arg;

    remote->result = jg_op_status(&remote->left);
}

static void cancel_work(void *arg)
{
    struct remote *remote = arg;

    jg_scope_cancel(&remote->scope);
    jg_scope_close(&remote->scope, 0, &remote->left);
    jg_wake_stop(&remote->cancel);
}

static void *control(void *arg)
{
    struct remote *remote = arg;

    jg_wake_send(&remote->start);
    pthread_mutex_lock(&remote->lock);
    while (!remote->began)
        pthread_cond_wait(&remote->changed, &remote->lock);
    pthread_mutex_unlock(&remote->lock);
    jg_wake_send(&remote->cancel);
    return NULL;
}

static void another_thread_starts_a_coroutine_and_cancels_it_through_wakes(void **state)
{
    struct remote remote = {.loop = test_loop(0), .status = 12345, .result = 12345};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_mutex_init(&remote.lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&remote.changed, NULL), 0);
    jg_scope_open(&remote.scope, remote.loop, NULL, NULL);
    jg_op_init(&remote.left, remote.loop, work_left, &remote);
    jg_wake_init(&remote.start, start_work, &remote);
    jg_wake_init(&remote.cancel, cancel_work, &remote);
    jg_wake_start(remote.loop, &remote.start);
    jg_wake_start(remote.loop, &remote.cancel);
    assert_int_equal(pthread_create(&thread, NULL, control, &remote), 0);
    assert_int_equal(jg_loop_run(remote.loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(remote.status, -ECANCELED);
    assert_int_equal(remote.result, 0);
    pthread_cond_destroy(&remote.changed);
    pthread_mutex_destroy(&remote.lock);
    test_loop_done(remote.loop);
}

/* A loop that is freed while a task sleeps on it. */
struct reports {
    int leaks;
};

static void note_report(void *arg, int error, const char *what)
{
    struct reports *reports = arg;

    (void)what;
    reports->leaks += error == JG_ELEAKED;
}

static void a_loop_freed_with_a_task_pending_reports_what_it_waits_for(void **state)
{
    struct reports reports = {0};
    const jg_loop_options options = {
        .flags = JG_LOOP_VIRTUAL_TIME, .on_error = note_report, .on_error_arg = &reports};
    struct stepper stepper = {.status = 12345};
    jg_scope scope;
    jg_loop *loop;

    (void)state;
    assert_int_equal(jg_loop_new(&options, &loop), 0);
    jg_scope_open(&scope, loop, NULL, NULL);
    jg_task_init(&stepper.task, "stepper", step, &stepper);
    assert_int_equal(jg_task_spawn(&scope, &stepper.task, &stepper.status), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_free(loop), 1);
    assert_int_equal(reports.leaks, 1);
    assert_int_equal(stepper.status, 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_in_a_cancelled_scope_is_not_what_cuts),
        cmocka_unit_test(a_limit_waits_until_what_it_cut_has_cleaned_up),
        cmocka_unit_test(an_error_in_cleanup_is_returned_for_the_limit_and_a_swallowed_one_is_not),
        cmocka_unit_test(limits_and_shields_run_in_the_task_that_calls_them),
        cmocka_unit_test(of_nested_limits_that_a_busy_loop_missed_the_outermost_is_told),
        cmocka_unit_test(gather_returns_by_its_policy_and_each_job_has_its_own_status),
        cmocka_unit_test(a_gather_in_a_shield_ends_in_peace_and_the_one_around_it_waits),
        cmocka_unit_test(an_error_in_an_inner_scope_goes_outwards_and_cancels_there),
        cmocka_unit_test(when_both_scopes_have_an_error_at_once_each_returns_its_own),
        cmocka_unit_test(errors_of_those_who_are_cancelled_replace_the_cancellation),
        cmocka_unit_test(an_error_and_an_outer_cancellation_at_once_are_both_told),
        cmocka_unit_test(a_childs_error_reaches_the_body_in_a_limit_as_cancellation_not_as_timeout),
        cmocka_unit_test(several_ops_that_complete_in_one_turn_end_one_wait),
        cmocka_unit_test(a_limit_on_step_tasks_that_a_busy_loop_missed_cuts_them_once),
        cmocka_unit_test(another_thread_starts_a_coroutine_and_cancels_it_through_wakes),
        cmocka_unit_test(a_loop_freed_with_a_task_pending_reports_what_it_waits_for),
    };

    return cmocka_run_group_tests_name("semantics", tests, NULL, NULL);
}
