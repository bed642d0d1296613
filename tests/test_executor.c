/* SPDX-License-Identifier: MIT
 *
 * Executors: results, order and limits, cancelling jobs in the queue and running ones, abandoned
 * jobs, the end of executors with threads that do not return, and forked children.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>
#include <juggle/executor.h>
#include <juggle/test_kit.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

/* What one thread waits for and another opens, once. There are systems whose semaphores need names. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
};

/* A job that says when it begins, and waits to be let go. */
struct slow {
    jg_executor_job job;
    jg_op op;
    struct gate begun, let_go;
    int calls;    /* of the op */
    int runs;     /* of the job */
    int released; /* atomic */
    int ended;    /* atomic: run_slow does not look here any more */
    int result;
    bool saw_cancel;
};

static void gate_init(struct gate *gate)
{
    test_check(pthread_mutex_init(&gate->mutex, NULL) == 0);
    test_check(pthread_cond_init(&gate->opened, NULL) == 0);
    gate->is_open = false;
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->is_open = true;
    pthread_cond_signal(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

static void gate_wait(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    while (!gate->is_open)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

static int run_slow(void *arg)
{
    struct slow *slow = arg;
    const int result = slow->result;

    gate_open(&slow->begun);
    gate_wait(&slow->let_go);
    slow->runs++;
    slow->saw_cancel = jg_promise_cancelled(&slow->job.promise);
    __atomic_store_n(&slow->ended, 1, __ATOMIC_SEQ_CST);
    return result;
}

static void slow_init(struct slow *slow, jg_loop *loop)
{
    *slow = (struct slow){.result = 7};
    gate_init(&slow->begun);
    gate_init(&slow->let_go);
    jg_op_init(&slow->op, loop, test_count_call, &slow->calls);
}

static void release_slow(void *arg)
{
    struct slow *slow = arg;

    __atomic_add_fetch(&slow->released, 1, __ATOMIC_SEQ_CST);
}

static int slow_start(struct slow *slow, jg_executor *executor, jg_call_fn release)
{
    return jg_executor_run_start(executor, &slow->job, run_slow, slow, release, &slow->op);
}

static void wait_until(const int *atomic, int value)
{
    while (__atomic_load_n(atomic, __ATOMIC_SEQ_CST) != value)
        sched_yield();
}

static jg_executor *executor_of(jg_loop *loop, unsigned max_threads, unsigned max_queue)
{
    const jg_executor_options options = {.max_threads = max_threads, .max_queue = max_queue};
    jg_executor *executor;

    assert_int_equal(jg_executor_new(loop, &options, &executor), 0);
    return executor;
}

struct place {
    pthread_t thread;
    int written;
};

static int look(void *arg)
{
    struct place *place = arg;

    place->thread = pthread_self();
    place->written++;
    return 40 + place->written;
}

static int look_once(void *arg)
{
    int r = jg_executor_run(NULL, look, arg);

    return r == 41 ? 0 : r;
}

static bool is_looked_at(void *arg, int status)
{
    (void)arg;
    return status == 0 || status == -ECANCELED || status == -ENOMEM;
}

static int look_twice(void *arg)
{
    struct place *place = arg;

    test_check(jg_executor_run(NULL, look, place) == 41);
    test_check(place->written == 1);
    test_check(!pthread_equal(place->thread, pthread_self()));
    return jg_executor_run(NULL, look, place);
}

static void a_function_runs_in_another_thread_and_its_result_comes_back(void **state)
{
    struct place place = {.written = 0};

    (void)state;
    assert_int_equal(jg_run(look_twice, &place, NULL), 42);
    assert_int_equal(place.written, 2);
}

/* How many run at once, and in what order. */
struct crowd {
    int running, most; /* atomic */
    struct test_trace trace;
    jg_executor *executor;
};

struct member {
    struct crowd *crowd;
    char letter;
};

static int join_crowd(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    int now = __atomic_add_fetch(&crowd->running, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&crowd->most, __ATOMIC_SEQ_CST);

    while (now > most && !__atomic_compare_exchange_n(&crowd->most, &most, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    if (member->letter)
        test_trace_add(&crowd->trace, member->letter);
    sched_yield();
    __atomic_sub_fetch(&crowd->running, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int send_member(void *arg)
{
    struct member *member = arg;

    return jg_executor_run(member->crowd->executor, join_crowd, member);
}

static void no_more_threads_run_than_allowed(void **state)
{
    struct world world;
    struct crowd crowd = {.running = 0};
    struct member members[50];

    (void)state;
    world_init(&world);
    crowd.executor = executor_of(world.loop, 3, 0);
    for (int i = 0; i < 50; i++) {
        members[i] = (struct member){.crowd = &crowd};
        assert_int_equal(jg_spawn(&world.root, send_member, &members[i], NULL), 0);
    }
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(world.result, 0);
    assert_in_range(crowd.most, 1, 3);
    assert_int_equal(crowd.running, 0);
    assert_int_equal(jg_executor_free(crowd.executor, JG_FOREVER), 0);
    test_loop_done(world.loop);
}

/* With a queue of one that is full, so that coroutines have to wait in line. */
static void jobs_begin_in_their_order_also_those_beyond_the_queue(void **state)
{
    struct world world;
    struct crowd crowd = {.running = 0};
    struct member members[10];

    (void)state;
    world_init(&world);
    crowd.executor = executor_of(world.loop, 1, 1);
    for (int i = 0; i < 10; i++) {
        members[i] = (struct member){&crowd, (char)('a' + i)};
        assert_int_equal(jg_spawn(&world.root, send_member, &members[i], NULL), 0);
    }
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(world.result, 0);
    assert_string_equal(crowd.trace.letters, "abcdefghij");
    assert_int_equal(crowd.most, 1);
    assert_int_equal(jg_executor_free(crowd.executor, JG_FOREVER), 0);
    test_loop_done(world.loop);
}

static void a_full_queue_refuses_the_start_form(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 1, 1);
    struct slow running, queued, refused;

    (void)state;
    slow_init(&running, loop);
    slow_init(&queued, loop);
    slow_init(&refused, loop);
    assert_int_equal(slow_start(&running, executor, NULL), 0);
    gate_wait(&running.begun);
    assert_int_equal(slow_start(&queued, executor, NULL), 0);
    assert_int_equal(slow_start(&refused, executor, NULL), -ENOBUFS);
    assert_false(jg_op_pending(&refused.op));
    gate_open(&running.let_go);
    gate_open(&queued.let_go);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&running.op), 7);
    assert_int_equal(jg_op_status(&queued.op), 7);
    assert_int_equal(refused.calls, 0);
    assert_int_equal(jg_executor_free(executor, JG_FOREVER), 0);
    test_loop_done(loop);
}

static void cancelling_takes_a_job_out_of_the_queue(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 1, 0);
    struct slow running, queued;

    (void)state;
    slow_init(&running, loop);
    slow_init(&queued, loop);
    assert_int_equal(slow_start(&running, executor, NULL), 0);
    gate_wait(&running.begun);
    assert_int_equal(slow_start(&queued, executor, NULL), 0);
    jg_op_cancel(&queued.op);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(queued.calls, 1);
    assert_int_equal(jg_op_status(&queued.op), -ECANCELED);
    gate_open(&running.let_go);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_executor_free(executor, JG_FOREVER), 0);
    assert_int_equal(queued.runs, 0);
    assert_int_equal(running.runs, 1);
    test_loop_done(loop);
}

static void cancelling_waits_for_a_running_job_which_can_see_it(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow slow;

    (void)state;
    slow_init(&slow, loop);
    assert_int_equal(slow_start(&slow, NULL, NULL), 0);
    gate_wait(&slow.begun);
    jg_op_cancel(&slow.op);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_true(jg_op_pending(&slow.op));
    gate_open(&slow.let_go);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(slow.calls, 1);
    assert_int_equal(jg_op_status(&slow.op), 7);
    assert_true(slow.saw_cancel);
    test_loop_done(loop);
}

static void an_abandoned_job_completes_at_once_and_is_released_when_it_returns(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow slow;

    (void)state;
    slow_init(&slow, loop);
    assert_int_equal(slow_start(&slow, NULL, release_slow), 0);
    gate_wait(&slow.begun);
    jg_op_cancel(&slow.op);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(slow.calls, 1);
    assert_int_equal(jg_op_status(&slow.op), -ECANCELED);
    assert_int_equal(__atomic_load_n(&slow.released, __ATOMIC_SEQ_CST), 0);
    gate_open(&slow.let_go);
    wait_until(&slow.released, 1);
    test_loop_done(loop);
    assert_int_equal(slow.calls, 1);
    assert_int_equal(slow.released, 1);
}

static void a_job_that_could_be_abandoned_but_was_not_is_the_callers(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow slow;

    (void)state;
    slow_init(&slow, loop);
    assert_int_equal(slow_start(&slow, NULL, release_slow), 0);
    gate_open(&slow.let_go);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&slow.op), 7);
    test_loop_done(loop);
    assert_int_equal(slow.released, 0);
}

static void an_abandoned_job_in_the_queue_is_released_at_once(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 1, 0);
    struct slow running, queued;

    (void)state;
    slow_init(&running, loop);
    slow_init(&queued, loop);
    assert_int_equal(slow_start(&running, executor, NULL), 0);
    gate_wait(&running.begun);
    assert_int_equal(slow_start(&queued, executor, release_slow), 0);
    jg_op_cancel(&queued.op);
    assert_int_equal(queued.released, 1);
    gate_open(&running.let_go);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(queued.calls, 1);
    assert_int_equal(jg_executor_free(executor, JG_FOREVER), 0);
    test_loop_done(loop);
}

/* A thread may outlive its loop: then it alone has the memory of its job. */
static void an_abandoned_job_outlives_its_loop(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow slow;

    (void)state;
    slow_init(&slow, loop);
    assert_int_equal(slow_start(&slow, NULL, release_slow), 0);
    gate_wait(&slow.begun);
    jg_op_cancel(&slow.op);
    assert_int_equal(jg_loop_run(loop), 0);
    test_loop_done(loop);
    assert_int_equal(__atomic_load_n(&slow.released, __ATOMIC_SEQ_CST), 0);
    gate_open(&slow.let_go);
    wait_until(&slow.released, 1);
}

/* Two jobs for one thread. */
struct line {
    struct slow running, queued;
};

/* Not before the queue is empty, or the thread would take from it what waits there. */
static void *let_go_when_cancelled(void *arg)
{
    struct line *line = arg;

    wait_until(&line->queued.released, 1);
    gate_open(&line->running.let_go);
    return NULL;
}

static void freeing_waits_for_running_jobs_and_cancels_the_others(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 1, 0);
    struct line line;
    pthread_t thread;

    (void)state;
    slow_init(&line.running, loop);
    slow_init(&line.queued, loop);
    assert_int_equal(slow_start(&line.running, executor, NULL), 0);
    gate_wait(&line.running.begun);
    assert_int_equal(slow_start(&line.queued, executor, release_slow), 0);
    assert_int_equal(pthread_create(&thread, NULL, let_go_when_cancelled, &line), 0);
    assert_int_equal(jg_executor_free(executor, JG_FOREVER), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(line.running.runs, 1);
    assert_int_equal(line.queued.runs, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&line.running.op), 7);
    assert_int_equal(jg_op_status(&line.queued.op), -ECANCELED);
    test_loop_done(loop);
}

static void a_thread_that_does_not_return_in_time_is_left_to_itself(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 2, 0);
    struct slow *stuck = malloc(sizeof(*stuck));
    struct slow prompt;

    (void)state;
    slow_init(stuck, loop);
    slow_init(&prompt, loop);
    assert_int_equal(slow_start(stuck, executor, NULL), 0);
    assert_int_equal(slow_start(&prompt, executor, NULL), 0);
    gate_wait(&stuck->begun);
    gate_wait(&prompt.begun);
    gate_open(&prompt.let_go);
    while (prompt.calls == 0)
        (void)jg_loop_run_once(loop, JG_FOREVER);
    assert_int_equal(jg_op_status(&prompt.op), 7);
    assert_int_equal(jg_executor_free(executor, JG_MILLISECOND), -ETIMEDOUT);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&stuck->op), -ETIMEDOUT);
    assert_int_equal(stuck->calls, 1);
    test_loop_done(loop);
    gate_open(&stuck->let_go);
    wait_until(&stuck->ended, 1); /* it writes to its memory, and then nobody does */
    usleep(2000);
    free(stuck);
}

static void a_time_limit_that_is_long_past_leaves_it_to_itself_too(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_executor *executor = executor_of(loop, 1, 0);
    struct slow *stuck = malloc(sizeof(*stuck));

    (void)state;
    slow_init(stuck, loop);
    assert_int_equal(slow_start(stuck, executor, NULL), 0);
    gate_wait(&stuck->begun);
    assert_int_equal(jg_executor_free(executor, INT64_MIN), -ETIMEDOUT);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&stuck->op), -ETIMEDOUT);
    test_loop_done(loop);
    gate_open(&stuck->let_go);
    wait_until(&stuck->ended, 1);
    free(stuck);
}

static int get_mask(void *arg)
{
    return pthread_sigmask(SIG_BLOCK, NULL, arg);
}

static int run_get_mask(void *arg)
{
    return jg_executor_run(NULL, get_mask, arg);
}

static void threads_block_signals_but_those_of_faults(void **state)
{
    sigset_t before, after, mask;

    (void)state;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(jg_run(run_get_mask, &mask, NULL), 0);
    assert_true(sigismember(&mask, SIGINT));
    assert_true(sigismember(&mask, SIGTERM));
    assert_true(sigismember(&mask, SIGCHLD));
    assert_true(sigismember(&mask, SIGPROF));
    assert_false(sigismember(&mask, SIGSEGV));
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
}

#if defined(SYS_clone3) && defined(SYS_clone)

/* Have no more threads made, by whichever call the C library makes them. */
static bool deny_threads(void)
{
    return test_deny(SYS_clone3, EAGAIN) && test_deny(SYS_clone, EAGAIN);
}

static void run_without_threads(void *arg)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow first;

    (void)arg;
    slow_init(&first, loop);
    if (!deny_threads())
        return;
    test_check(slow_start(&first, NULL, NULL) == -EAGAIN);
    test_check(!jg_loop_alive(loop));
    test_loop_done(loop);
}

static void run_with_one_thread(void *arg)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow first, second;

    (void)arg;
    slow_init(&first, loop);
    slow_init(&second, loop);
    test_check(slow_start(&first, NULL, NULL) == 0);
    gate_wait(&first.begun);
    if (deny_threads())
        test_check(slow_start(&second, NULL, NULL) == 0);
    gate_open(&first.let_go);
    gate_open(&second.let_go);
    test_check(jg_loop_run(loop) == 0);
    test_loop_done(loop);
}

static void one_thread_is_enough_but_none_is_an_error(void **state)
{
    (void)state;
    if (test_is_slow() || test_is_emulated())
        skip(); /* sanitizers do not stand a thread that cannot be started */
    test_in_child(run_without_threads, NULL);
    test_in_child(run_with_one_thread, NULL);
}

#endif

static void an_executor_that_is_not_freed_is_reported(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);

    (void)state;
    assert_non_null(executor_of(loop, 1, 1));
    assert_int_equal(jg_loop_free(loop), 1);
}

static void options_are_checked(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    const jg_executor_options options = {.max_threads = 65537};
    jg_executor *executor = NULL;

    (void)state;
    assert_int_equal(jg_executor_new(loop, &options, &executor), -EINVAL);
    assert_null(executor);
    assert_int_equal(jg_executor_free(NULL, 0), 0);
    test_loop_done(loop);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct test_memory *memory = test_loop_memory(loop);
        struct slow slow;
        int r;

        slow_init(&slow, loop);
        memory->fail_at = memory->calls + n;
        r = slow_start(&slow, NULL, NULL);
        memory->fail_at = 0;
        gate_open(&slow.let_go);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_false(jg_op_pending(&slow.op));
            assert_int_equal(slow_start(&slow, NULL, NULL), 0);
        }
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(jg_op_status(&slow.op), 7);
        test_loop_done(loop);
        if (r == 0)
            break;
        assert_true(n < 10);
    }
}

static int gather_jobs(void *arg)
{
    struct place places[3] = {{.written = 0}};
    jg_job jobs[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        jobs[i] = (jg_job){.fn = look_once, .arg = &places[i]};
    return jg_gather(jobs, 3, JG_FAIL_FAST);
}

static void cancelled_or_out_of_memory_at_any_point_no_job_is_left(void **state)
{
    const jg_test_options options = {.check = is_looked_at};

    (void)state;
    assert_int_equal(jg_test_cancel_each(gather_jobs, NULL, &options), 0);
    assert_int_equal(jg_test_fail_each(gather_jobs, NULL, &options), 0);
}

struct forked {
    jg_loop *loop;
    jg_executor *executor;
    struct slow running, queued;
};

static void go_on_in_child(void *arg)
{
    struct forked *forked = arg;
    jg_wake *wake = &forked->running.job.promise.wake;
    struct slow slow;

    /* As if its thread had been sending the wake, and had not yet put it into the inbox. */
    wake->sent = 1;
    wake->call.link.next = &slow.op.call.link;

    slow_init(&slow, forked->loop);
    test_check(slow_start(&slow, forked->executor, NULL) == JG_EFORKED);
    test_check(jg_loop_fork(forked->loop) == 0);
    test_check(jg_loop_run(forked->loop) == 0);
    test_check(jg_op_status(&forked->running.op) == JG_EFORKED);
    test_check(jg_op_status(&forked->queued.op) == JG_EFORKED);

    if (!test_is_slow()) { /* the thread sanitizer stands no new threads here */
        gate_open(&slow.let_go);
        test_check(slow_start(&slow, forked->executor, NULL) == 0);
        test_check(jg_loop_run(forked->loop) == 0);
        test_check(jg_op_status(&slow.op) == 7);
    }
    test_check(jg_executor_free(forked->executor, JG_FOREVER) == 0);
    test_check(jg_loop_free(forked->loop) == 0);
}

static void end_in_child(void *arg)
{
    struct forked *forked = arg;

    test_check(jg_executor_free(forked->executor, JG_FOREVER) == 0);
    test_check(jg_op_status(&forked->running.op) == JG_EFORKED);
    (void)jg_call_cancel(&forked->running.op.call);
    (void)jg_call_cancel(&forked->queued.op.call);
    test_check(jg_loop_free(forked->loop) == 0);
}

static void in_a_forked_child_pending_jobs_fail_and_new_ones_run(void **state)
{
    struct forked forked = {.loop = test_loop(JG_LOOP_VIRTUAL_TIME)};

    (void)state;
    forked.executor = executor_of(forked.loop, 1, 0);
    slow_init(&forked.running, forked.loop);
    slow_init(&forked.queued, forked.loop);
    assert_int_equal(slow_start(&forked.running, forked.executor, NULL), 0);
    assert_int_equal(slow_start(&forked.queued, forked.executor, NULL), 0);
    gate_wait(&forked.running.begun);
    test_in_child(go_on_in_child, &forked);
    test_in_child(end_in_child, &forked);
    gate_open(&forked.running.let_go);
    gate_open(&forked.queued.let_go);
    assert_int_equal(jg_loop_run(forked.loop), 0);
    assert_int_equal(jg_op_status(&forked.running.op), 7);
    assert_int_equal(jg_op_status(&forked.queued.op), 7);
    assert_int_equal(jg_executor_free(forked.executor, JG_FOREVER), 0);
    test_loop_done(forked.loop);
}

/* Jobs that are started, cancelled and abandoned while threads take and finish them. */
struct short_job {
    jg_executor_job job;
    jg_op op;
    int ran, released, calls;
};

static int run_short(void *arg)
{
    struct short_job *job = arg;

    __atomic_add_fetch(&job->ran, 1, __ATOMIC_SEQ_CST);
    return 5;
}

static void release_short(void *arg)
{
    struct short_job *job = arg;

    __atomic_add_fetch(&job->released, 1, __ATOMIC_SEQ_CST);
}

static void under_any_timing_each_job_ends_once(void **state)
{
    enum { COUNT = 40 };

    (void)state;
    for (int round = 0; round < (test_is_slow() ? 10 : 100); round++) {
        jg_loop *loop = test_loop(0);
        jg_executor *executor = executor_of(loop, 1 + (unsigned)round % 4, 0);
        struct short_job jobs[COUNT] = {{.ran = 0}};

        for (int i = 0; i < COUNT; i++) {
            jg_op_init(&jobs[i].op, loop, test_count_call, &jobs[i].calls);
            assert_int_equal(jg_executor_run_start(executor, &jobs[i].job, run_short, &jobs[i],
                                                   i % 2 ? release_short : NULL, &jobs[i].op),
                             0);
            if (i % 3 == 0)
                jg_op_cancel(&jobs[i / 2].op);
            if (i % 7 == 0)
                (void)jg_loop_run_once(loop, 0);
        }
        if (round % 2)
            assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(jg_executor_free(executor, JG_FOREVER), 0);
        assert_int_equal(jg_loop_run(loop), 0);
        test_loop_done(loop);
        for (int i = 0; i < COUNT; i++) {
            const bool cancelled = jg_op_status(&jobs[i].op) == -ECANCELED;

            assert_int_equal(jobs[i].calls, 1);
            assert_true(cancelled || jg_op_status(&jobs[i].op) == 5);
            if (cancelled && i % 2)
                wait_until(&jobs[i].released, 1);
            else
                assert_int_equal(jobs[i].ran, !cancelled);
            if (!cancelled)
                assert_int_equal(jobs[i].released, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_runs_in_another_thread_and_its_result_comes_back),
        cmocka_unit_test(no_more_threads_run_than_allowed),
        cmocka_unit_test(jobs_begin_in_their_order_also_those_beyond_the_queue),
        cmocka_unit_test(a_full_queue_refuses_the_start_form),
        cmocka_unit_test(cancelling_takes_a_job_out_of_the_queue),
        cmocka_unit_test(cancelling_waits_for_a_running_job_which_can_see_it),
        cmocka_unit_test(an_abandoned_job_completes_at_once_and_is_released_when_it_returns),
        cmocka_unit_test(a_job_that_could_be_abandoned_but_was_not_is_the_callers),
        cmocka_unit_test(an_abandoned_job_in_the_queue_is_released_at_once),
        cmocka_unit_test(an_abandoned_job_outlives_its_loop),
        cmocka_unit_test(freeing_waits_for_running_jobs_and_cancels_the_others),
        cmocka_unit_test(a_thread_that_does_not_return_in_time_is_left_to_itself),
        cmocka_unit_test(a_time_limit_that_is_long_past_leaves_it_to_itself_too),
        cmocka_unit_test(threads_block_signals_but_those_of_faults),
#ifdef SYS_clone3
        cmocka_unit_test(one_thread_is_enough_but_none_is_an_error),
#endif
        cmocka_unit_test(an_executor_that_is_not_freed_is_reported),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(cancelled_or_out_of_memory_at_any_point_no_job_is_left),
        cmocka_unit_test(in_a_forked_child_pending_jobs_fail_and_new_ones_run),
        cmocka_unit_test(under_any_timing_each_job_ends_once),
    };

    return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
