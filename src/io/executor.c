/* SPDX-License-Identifier: MIT
 *
 * Executors: a queue of jobs, and threads that take from it.
 *
 * What the loop's thread alone uses is the jg_executor; what it shares with the threads is the
 * pool, under its mutex. The pool is of malloc, not of the loop's allocator, because a thread that
 * is left to itself outlives the loop, and the last one frees the pool.
 *
 * Invariants: every job with a pending op is in `jobs`, by the link of its op. It is in the pool's
 * queue, or some worker's `job` is it, or that worker has let go of it and sets its promise. A
 * worker does not look at a job again once its own `job` is NULL, but to set the promise. `stuck`
 * says that the job was taken from it while it ran: nobody waits for that worker.
 */
#include "io/executor.h"

#include "base/time.h"
#include "coro/coro.h"
#include "platform/worker.h"

#include <errno.h>

#define DEFAULT_THREADS 16
#define MOST_THREADS    65536
#define DEFAULT_QUEUE   1024
#define END_OF_LOOP     (10 * JG_SECOND)

struct worker {
    struct pool *pool;
    jg__worker thread;
    jg_executor_job *job;
    bool stuck;
    bool left;
};

struct pool {
    jg__mutex mutex;
    jg__cond work; /* there is a job, or the pool closes */
    jg__cond left; /* a worker has left */
    jg_link queue; /* of jobs, by their link */
    unsigned queued;
    unsigned idle; /* workers that are about to look at the queue */
    unsigned count, limit;
    unsigned owners; /* workers left to themselves */
    bool closing;
    struct worker workers[];
};

struct jg_executor {
    jg_loop *loop;
    jg_link link; /* in the loop's list */
    jg_link jobs;
    struct pool *pool; /* NULL before the first job, and in a forked child */
    jg_executor_options options;
};

struct executors {
    jg__part part;
    jg_loop *loop;
    jg_link list;
    jg_executor *own[JG__EXECUTORS];
};

static jg_executor_job *job_of(jg_link *link)
{
    return jg__container_of(link, jg_executor_job, link);
}

static size_t pool_size(unsigned limit)
{
    return sizeof(struct pool) + limit * sizeof(struct worker);
}

static void free_pool(struct pool *pool)
{
    jg__cond_fini(&pool->left);
    jg__cond_fini(&pool->work);
    jg__mutex_fini(&pool->mutex);
    jg__free(&jg__malloc, pool, pool_size(pool->limit));
}

static int new_pool(unsigned limit, struct pool **ret_pool)
{
    struct pool *pool = jg__alloc(&jg__malloc, pool_size(limit));
    int r;

    if (!pool)
        return -ENOMEM;

    *pool = (struct pool){.limit = limit};
    jg__list_init(&pool->queue);
    r = jg__mutex_init(&pool->mutex);
    if (r < 0)
        goto fail;
    r = jg__cond_init(&pool->work);
    if (r < 0)
        goto fail_mutex;
    r = jg__cond_init(&pool->left);
    if (r < 0)
        goto fail_work;
    *ret_pool = pool;
    return 0;

fail_work:
    jg__cond_fini(&pool->work);
fail_mutex:
    jg__mutex_fini(&pool->mutex);
fail:
    jg__free(&jg__malloc, pool, pool_size(limit));
    return r;
}

/* Take the first job, run it and tell its promise. The mutex is locked before and after. */
static void run_next(struct worker *worker)
{
    struct pool *pool = worker->pool;
    jg_executor_job *job = job_of(jg__list_pop(&pool->queue));
    const jg_call_fn release = job->release;
    void *arg = job->arg;
    bool abandoned;
    int status;

    pool->queued--;
    pool->idle--;
    worker->job = job;
    job->worker = worker;
    jg__mutex_unlock(&pool->mutex);
    status = job->fn(arg);

    jg__mutex_lock(&pool->mutex);
    abandoned = worker->job == NULL;
    worker->job = NULL;
    worker->stuck = false;
    pool->idle++;
    if (abandoned && !release)
        return; /* the executor was freed, and the job's memory may be gone */

    jg__mutex_unlock(&pool->mutex);
    if (abandoned) {
        release(arg);
    } else {
        jg__check(!release || status != -ECANCELED,
                  "a job that can be abandoned returned -ECANCELED");
        jg_promise_set(&job->promise, status);
    }
    jg__mutex_lock(&pool->mutex);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct pool *pool = worker->pool;
    bool last;

    jg__mutex_lock(&pool->mutex);
    while (!pool->closing) {
        if (jg__list_empty(&pool->queue))
            (void)jg__cond_wait(&pool->work, &pool->mutex, JG_FOREVER);
        else
            run_next(worker);
    }
    worker->left = true;
    jg__cond_signal(&pool->left);
    last = pool->owners > 0 && --pool->owners == 0;
    jg__mutex_unlock(&pool->mutex);
    if (last)
        free_pool(pool);
    return NULL;
}

/* See that there is a thread for one more job, or that it has one to wait for. */
static int reserve_worker(struct pool *pool)
{
    int r = 0;

    jg__mutex_lock(&pool->mutex);
    if (pool->queued >= pool->idle && pool->count < pool->limit) {
        struct worker *worker = &pool->workers[pool->count];

        *worker = (struct worker){.pool = pool};
        r = jg__worker_start(&worker->thread, work, worker);
        if (r == 0) {
            pool->count++;
            pool->idle++;
        }
    }
    if (pool->count > 0)
        r = 0;
    jg__mutex_unlock(&pool->mutex);
    return r;
}

/* Whether a worker is to be waited for. */
static bool is_expected(const struct worker *worker, bool in_time)
{
    return !worker->left && !worker->stuck && (in_time || !worker->job);
}

static bool is_anyone_expected(const struct pool *pool, bool in_time)
{
    for (unsigned i = 0; i < pool->count; i++) {
        if (is_expected(&pool->workers[i], in_time))
            return true;
    }
    return false;
}

/* End the threads. Returns -ETIMEDOUT if one whose job is awaited was too slow. */
static int close_pool(struct pool *pool, jg_time timeout)
{
    const jg_time deadline = jg__time_add(jg__monotonic(), timeout);
    unsigned stuck = 0;
    bool in_time = true;
    int r = 0;

    jg__mutex_lock(&pool->mutex);
    pool->closing = true;
    jg__cond_broadcast(&pool->work);
    while (is_anyone_expected(pool, in_time))
        in_time &= jg__cond_wait(&pool->left, &pool->mutex, in_time ? deadline : JG_FOREVER);
    for (unsigned i = 0; i < pool->count; i++) {
        struct worker *worker = &pool->workers[i];

        if (worker->left)
            continue;
        if (worker->job) {
            jg__promise_end(&worker->job->promise, -ETIMEDOUT);
            worker->job = NULL;
            r = -ETIMEDOUT;
        }
        worker->stuck = true;
        stuck++;
        jg__worker_detach(worker->thread);
    }
    pool->owners = stuck;
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->workers[i].left)
            jg__worker_join(pool->workers[i].thread);
    }
    jg__mutex_unlock(&pool->mutex);
    if (stuck == 0)
        free_pool(pool);
    return r;
}

/* ------------------------------------------------------------- executor */

/* Make the link of a wake true that a thread was just sending when this process was forked off. */
static void settle(jg_loop *loop, jg_wake *wake)
{
    jg_link *const lists[] = {&loop->ready, &loop->batch};

    if (!wake->sent)
        return;

    jg__inbox_drain(loop);
    for (int i = 0; i < 2; i++) {
        for (jg_link *link = lists[i]->next; link != lists[i]; link = link->next) {
            if (link == &wake->call.link)
                return;
        }
    }
    wake->call.link.next = NULL;
}

/* In a forked child: the threads are not here, and what they shared may be in any state. */
static void disown(jg_executor *executor)
{
    while (!jg__list_empty(&executor->jobs)) {
        jg_promise *promise = jg__op_of(executor->jobs.next)->data;

        settle(executor->loop, &promise->wake);
        jg__promise_end(promise, JG_EFORKED);
    }
    if (executor->pool)
        jg__free(&jg__malloc, executor->pool, pool_size(executor->pool->limit));
    executor->pool = NULL;
}

static void cancel_all(jg_executor *executor)
{
    for (jg_link *link = executor->jobs.next, *next; link != &executor->jobs; link = next) {
        next = link->next;
        jg_op_cancel(jg__op_of(link));
    }
}

int jg_executor_free(jg_executor *executor, jg_time timeout)
{
    jg_loop *loop;
    int r = 0;

    if (!executor)
        return 0;

    loop = executor->loop;
    jg__check_thread(loop);
    if (jg__loop_forked(loop))
        disown(executor);
    cancel_all(executor);
    if (executor->pool)
        r = close_pool(executor->pool, timeout);
    while (!jg__list_empty(&executor->jobs)) {
        jg_promise *promise = jg__op_of(executor->jobs.next)->data;

        jg__promise_end(promise, promise->status); /* it was set, as its thread has left */
    }
    jg__unlink(&executor->link);
    jg__free(&loop->allocator, executor, sizeof(*executor));
    return r;
}

static int close_all(jg__part *part)
{
    struct executors *executors = (struct executors *)part;
    int leaked = 0;

    while (!jg__list_empty(&executors->list)) {
        jg_executor *executor = jg__container_of(executors->list.next, jg_executor, link);

        if (executor != executors->own[0] && executor != executors->own[1]) {
            jg__loop_error(executors->loop, JG_ELEAKED, "an executor was not freed");
            leaked++;
        }
        (void)jg_executor_free(executor, END_OF_LOOP); /* what is late is left to itself */
    }
    return leaked;
}

static void free_all(jg__part *part)
{
    struct executors *executors = (struct executors *)part;

    jg__free(&executors->loop->allocator, executors, sizeof(*executors));
}

static void disown_all(jg__part *part)
{
    struct executors *executors = (struct executors *)part;

    for (jg_link *link = executors->list.next; link != &executors->list; link = link->next)
        disown(jg__container_of(link, jg_executor, link));
}

static int reserve_executors(jg_loop *loop, struct executors **ret_executors)
{
    struct executors *executors = (struct executors *)loop->parts[JG__PART_EXECUTORS];

    if (!executors) {
        executors = jg__alloc(&loop->allocator, sizeof(*executors));
        if (!executors)
            return -ENOMEM;

        *executors = (struct executors){
            .part = {.close = close_all, .free = free_all, .forked = disown_all},
            .loop = loop,
        };
        jg__list_init(&executors->list);
        loop->parts[JG__PART_EXECUTORS] = &executors->part;
    }
    *ret_executors = executors;
    return 0;
}

int jg_executor_new(jg_loop *loop, const jg_executor_options *options, jg_executor **ret_executor)
{
    static const jg_executor_options defaults = {0};
    struct executors *executors;
    jg_executor *executor;
    int r;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    if (options->max_threads > MOST_THREADS)
        return -EINVAL;

    r = reserve_executors(loop, &executors);
    if (r < 0)
        return r;

    executor = jg__alloc(&loop->allocator, sizeof(*executor));
    if (!executor)
        return -ENOMEM;

    *executor = (jg_executor){.loop = loop, .options = *options};
    if (executor->options.max_threads == 0)
        executor->options.max_threads = DEFAULT_THREADS;
    if (executor->options.max_queue == 0)
        executor->options.max_queue = DEFAULT_QUEUE;
    jg__list_init(&executor->jobs);
    jg__list_append(&executors->list, &executor->link);
    *ret_executor = executor;
    return 0;
}

int jg__executor_own(jg_loop *loop, enum jg__executor_use use, jg_executor **ret_executor)
{
    struct executors *executors;
    int r;

    if (jg__loop_forked(loop))
        return JG_EFORKED;
    r = reserve_executors(loop, &executors);
    if (r == 0 && !executors->own[use])
        r = jg_executor_new(loop, NULL, &executors->own[use]);
    if (r == 0)
        *ret_executor = executors->own[use];
    return r;
}

/* ------------------------------------------------------------------ job */

static void cancel(jg_op *op)
{
    jg_executor_job *job = jg__container_of(op->data, jg_executor_job, promise);
    struct pool *pool = job->executor->pool;
    const jg_call_fn release = job->release;
    void *arg = job->arg;
    struct worker *worker;
    bool queued;

    if (jg__loop_forked(job->executor->loop)) {
        disown(job->executor);
        return;
    }

    jg__mutex_lock(&pool->mutex);
    (void)jg__promise_cancel(&job->promise);
    worker = job->worker;
    queued = jg__linked(&job->link);
    if (queued) {
        jg__unlink(&job->link);
        pool->queued--;
        jg__promise_end(&job->promise, -ECANCELED);
    } else if (release && worker->job == job) {
        worker->job = NULL;
        worker->stuck = true;
        jg__promise_end(&job->promise, -ECANCELED);
    }
    jg__mutex_unlock(&pool->mutex);
    if (queued && release)
        release(arg);
}

/* What may fail before the op is started: after that nothing does. */
static int prepare(jg_executor *executor, bool patient)
{
    bool full;
    int r = 0;

    if (jg__loop_forked(executor->loop))
        return JG_EFORKED;
    if (!executor->pool)
        r = new_pool(executor->options.max_threads, &executor->pool);
    if (r < 0)
        return r;

    jg__mutex_lock(&executor->pool->mutex);
    full = executor->pool->queued >= executor->options.max_queue;
    jg__mutex_unlock(&executor->pool->mutex);
    if (full && !patient)
        return -ENOBUFS;
    return reserve_worker(executor->pool);
}

static int start(jg_executor *executor, jg_executor_job *job, bool patient, jg_op *op)
{
    static const jg_provider provider = {"executor", cancel};
    struct pool *pool;
    int r = 0;

    jg__check_thread(op->loop);
    if (!executor)
        r = jg__executor_own(op->loop, JG__EXECUTOR_COMMON, &executor);
    if (r == 0)
        r = prepare(executor, patient);
    if (r == 0)
        r = jg__promise_start(&job->promise, &provider, op);
    if (r < 0)
        return r;

    job->executor = executor;
    jg__list_append(&executor->jobs, &op->call.link);
    pool = executor->pool;
    jg__mutex_lock(&pool->mutex);
    jg__list_append(&pool->queue, &job->link);
    pool->queued++;
    jg__cond_signal(&pool->work);
    jg__mutex_unlock(&pool->mutex);
    return 0;
}

int jg_executor_run_start(jg_executor *executor, jg_executor_job *job, jg_executor_fn fn, void *arg,
                          jg_call_fn release, jg_op *op)
{
    *job = (jg_executor_job){.fn = fn, .arg = arg, .release = release};
    return start(executor, job, false, op);
}

int jg_executor_run(jg_executor *executor, jg_executor_fn fn, void *arg)
{
    jg_executor_job job = {.fn = fn, .arg = arg};

    return jg__await_started(start(executor, &job, true, jg__coro_op()));
}
