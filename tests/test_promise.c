/* SPDX-License-Identifier: MIT
 *
 * Promises: ops that another thread completes, once, with all that it wrote; cancelling them; and
 * threads that set one while the loop comes to its end.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>

#include <pthread.h>
#include <stdlib.h>

struct job {
    jg_promise promise;
    jg_op op;
    pthread_t thread;
    int calls;
    int written; /* by the thread, before it sets the promise */
    int cancels;
};

static void job_init(struct job *job, jg_loop *loop)
{
    *job = (struct job){.calls = 0};
    jg_op_init(&job->op, loop, test_count_call, &job->calls);
}

static void *work(void *arg)
{
    struct job *job = arg;

    job->written = 42;
    jg_promise_set(&job->promise, 7);
    return NULL;
}

static void a_thread_completes_an_op_with_what_it_wrote_visible(void **state)
{
    jg_loop *loop = test_loop(0);
    struct job job;

    (void)state;
    for (int i = 0; i < (test_is_slow() ? 20 : 500); i++) {
        job_init(&job, loop);
        assert_int_equal(jg_promise_start(&job.promise, NULL, NULL, &job.op), 0);
        assert_int_equal(pthread_create(&job.thread, NULL, work, &job), 0);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(job.calls, 1);
        assert_int_equal(job.written, 42);
        assert_int_equal(jg_op_status(&job.op), 7);
        assert_false(jg_loop_alive(loop));
        assert_int_equal(pthread_join(job.thread, NULL), 0);
    }
    test_loop_done(loop);
}

static void a_pending_promise_keeps_the_loop_alive(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct job job;

    (void)state;
    job_init(&job, loop);
    assert_int_equal(jg_promise_start(&job.promise, NULL, NULL, &job.op), 0);
    assert_true(jg_loop_alive(loop));
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(job.calls, 0);
    jg_promise_set(&job.promise, 3); /* the loop's own thread may, too */
    assert_int_equal(job.calls, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(job.calls, 1);
    assert_int_equal(jg_op_status(&job.op), 3);
    test_loop_done(loop);
}

static void on_cancel(void *arg)
{
    struct job *job = arg;

    job->cancels++;
}

static void cancelling_is_a_request_that_the_thread_sees(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct job job;

    (void)state;
    job_init(&job, loop);
    assert_int_equal(jg_promise_start(&job.promise, on_cancel, &job, &job.op), 0);
    assert_false(jg_promise_cancelled(&job.promise));
    jg_op_cancel(&job.op);
    jg_op_cancel(&job.op);
    assert_int_equal(job.cancels, 1);
    assert_true(jg_promise_cancelled(&job.promise));
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_true(jg_op_pending(&job.op));
    jg_promise_set(&job.promise, 5); /* the result wins */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(job.calls, 1);
    assert_int_equal(jg_op_status(&job.op), 5);
    test_loop_done(loop);
}

static void set_cancelled(void *arg)
{
    struct job *job = arg;

    jg_promise_set(&job->promise, -ECANCELED);
}

static void on_cancel_may_set_the_promise(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct job job;

    (void)state;
    job_init(&job, loop);
    assert_int_equal(jg_promise_start(&job.promise, set_cancelled, &job, &job.op), 0);
    jg_op_cancel(&job.op);
    assert_int_equal(job.calls, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(job.calls, 1);
    assert_int_equal(jg_op_status(&job.op), -ECANCELED);
    test_loop_done(loop);
}

static void *work_until_cancelled(void *arg)
{
    struct job *job = arg;

    while (!jg_promise_cancelled(&job->promise))
        ;
    jg_promise_set(&job->promise, -ECANCELED);
    return NULL;
}

static int wait_for_job(void *arg)
{
    struct job *job = arg;
    jg_op op;
    int r;

    jg_op_self(&op);
    r = jg_promise_start(&job->promise, NULL, NULL, &op);
    if (r < 0)
        return r;

    test_check(pthread_create(&job->thread, NULL, work_until_cancelled, job) == 0);
    r = jg_await(&op);
    test_check(pthread_join(job->thread, NULL) == 0);
    return r;
}

static int wait_with_limit(void *arg)
{
    return jg_wait_for(wait_for_job, arg, JG_MILLISECOND);
}

static void a_coroutine_waits_for_a_thread_with_a_time_limit(void **state)
{
    struct job job = {.calls = 0};

    (void)state;
    assert_int_equal(jg_run(wait_with_limit, &job, NULL), -ETIMEDOUT);
}

static int wait_in_a_cancelled_scope(void *arg)
{
    struct job *job = arg;
    jg_scope scope;
    jg_op op;

    jg_scope_enter(&scope, NULL);
    jg_scope_cancel(&scope);
    jg_op_self(&op);
    test_check(jg_promise_start(&job->promise, NULL, NULL, &op) == -ECANCELED);
    test_check(!jg_handle_started(&job->promise.wake.handle));
    return jg_scope_leave(&scope, 0);
}

static void nothing_is_started_in_a_cancelled_scope(void **state)
{
    struct job job = {.calls = 0};

    (void)state;
    assert_int_equal(jg_run(wait_in_a_cancelled_scope, &job, NULL), 0);
}

/* The thread may still be in jg_promise_set when the loop is freed. */
static void a_loop_may_be_freed_as_soon_as_the_op_has_completed(void **state)
{
    (void)state;
    for (int i = 0; i < (test_is_slow() ? 50 : 400); i++) {
        struct job *job = malloc(sizeof(*job));
        jg_loop *loop = test_loop(0);
        pthread_t thread;

        job_init(job, loop);
        assert_int_equal(jg_promise_start(&job->promise, NULL, NULL, &job->op), 0);
        assert_int_equal(pthread_create(&thread, NULL, work, job), 0);
        while (jg_op_pending(&job->op))
            (void)jg_loop_run_once(loop, i % 2 ? 0 : JG_FOREVER);
        (void)jg_call_cancel(&job->op.call);
        free(job);
        test_loop_done(loop);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void set_twice(void *arg)
{
    struct job *job = arg;

    jg_promise_set(&job->promise, 0);
    jg_promise_set(&job->promise, 0);
}

static void set_unstarted(void *arg)
{
    static jg_promise promise;

    (void)arg;
    jg_promise_set(&promise, 0);
}

static void setting_twice_or_what_is_not_started_is_misuse(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct job job;

    (void)state;
    test_expect_abort(set_unstarted, NULL, "the promise is not started");
    job_init(&job, loop);
    assert_int_equal(jg_promise_start(&job.promise, NULL, NULL, &job.op), 0);
    test_expect_abort(set_twice, &job, "the promise is set");
    jg_promise_set(&job.promise, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    test_loop_done(loop);
}

/* Many threads, each with its promise, against one loop. */
static void many_threads_complete_each_op_once(void **state)
{
    jg_loop *loop = test_loop(0);
    struct job jobs[32];

    (void)state;
    for (int i = 0; i < 32; i++) {
        job_init(&jobs[i], loop);
        assert_int_equal(jg_promise_start(&jobs[i].promise, NULL, NULL, &jobs[i].op), 0);
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(jobs[i].calls, 1);
        assert_int_equal(jobs[i].written, 42);
        assert_int_equal(pthread_join(jobs[i].thread, NULL), 0);
    }
    test_loop_done(loop);
}

struct late {
    jg_promise promise;
    jg_scope scope;
};

static void must_not_be_called(void *arg)
{
    (void)arg;
    test_check(!"on_cancel of a promise that is set");
}

static int set_and_cancel(void *arg)
{
    struct late *late = arg;

    jg_promise_set(&late->promise, 5);
    jg_scope_cancel(&late->scope);
    return 0;
}

static int wait_for_late(void *arg)
{
    struct late *late = arg;
    jg_scope outer;
    jg_op op;
    int r;

    jg_scope_enter(&outer, NULL);
    test_check(jg_spawn(&outer, set_and_cancel, late, NULL) == 0);
    jg_scope_enter(&late->scope, NULL);
    jg_op_self(&op);
    r = jg_promise_start(&late->promise, must_not_be_called, NULL, &op);
    test_check(r == 0 && jg_await(&op) == 5);
    test_check(jg_scope_leave(&late->scope, 5) == 5);
    return jg_scope_leave(&outer, 0);
}

static void a_promise_that_is_set_is_not_cancelled_any_more(void **state)
{
    struct late late;

    (void)state;
    assert_int_equal(jg_run(wait_for_late, &late, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_completes_an_op_with_what_it_wrote_visible),
        cmocka_unit_test(a_pending_promise_keeps_the_loop_alive),
        cmocka_unit_test(cancelling_is_a_request_that_the_thread_sees),
        cmocka_unit_test(on_cancel_may_set_the_promise),
        cmocka_unit_test(a_coroutine_waits_for_a_thread_with_a_time_limit),
        cmocka_unit_test(nothing_is_started_in_a_cancelled_scope),
        cmocka_unit_test(a_loop_may_be_freed_as_soon_as_the_op_has_completed),
        cmocka_unit_test(setting_twice_or_what_is_not_started_is_misuse),
        cmocka_unit_test(many_threads_complete_each_op_once),
        cmocka_unit_test(a_promise_that_is_set_is_not_cancelled_any_more),
    };

    return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
