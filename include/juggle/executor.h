/* SPDX-License-Identifier: MIT
 *
 * Executors: threads for functions that block, so that the loop does not. asyncio:
 * ThreadPoolExecutor, run_in_executor, to_thread.
 *
 * Threads are started when there is more to do than threads to do it, up to a number, and stay.
 * They block all signals, but for those that their own faults raise. What a job wrote is visible
 * when its op completes, and what the loop's thread wrote before is visible to the job.
 *
 * A job that waits in the queue is taken out when it is cancelled. One that runs cannot be
 * interrupted: its op goes on until the function has returned, so the function may use buffers of
 * the caller; it may ask jg_promise_cancelled(&job->promise) from time to time. Where that is too
 * long to wait, the job can own its memory, and be abandoned.
 *
 * Each loop has an executor of its own, made when it is first needed and ended by jg_loop_free;
 * give NULL for it. In a child that was forked there are no threads: with jg_loop_fork, the jobs
 * that were pending complete with JG_EFORKED, whether they ran or not, and new ones get new
 * threads.
 */
#ifndef JUGGLE_EXECUTOR_H
#define JUGGLE_EXECUTOR_H

#include <juggle/op.h>

JG_BEGIN_DECLS

typedef struct jg_executor jg_executor;

/* A function that may block. Returns the status of its op: >= 0, or an error. */
typedef int (*jg_executor_fn)(void *arg);

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_executor_options {
    unsigned max_threads; /* 0: 16 */
    unsigned max_queue;   /* jobs that wait for a thread, see jg_executor_run_start; 0: 1024 */
} jg_executor_options;

/**
 * Make an executor. No thread is started yet.
 *
 * options   or NULL.
 *
 * Returns   0 and the executor, to be freed before its loop; -ENOMEM; -EINVAL for more than 65536
 *           threads.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_executor_new(jg_loop *loop, const jg_executor_options *options,
                           jg_executor **ret_executor);

/**
 * Free an executor. Its jobs are cancelled, and those that run waited for, unless they were
 * abandoned; if one has not returned in time its op completes with -ETIMEDOUT, its thread goes on
 * by itself, and whatever the function uses has to stay. jg_loop_free does the same for the loop's
 * own with a time limit of 10 s. asyncio: shutdown_default_executor.
 *
 * executor  or NULL.
 * timeout   ns, or JG_FOREVER.
 *
 * Returns   0; -ETIMEDOUT if a thread was left to itself.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_executor_free(jg_executor *executor, jg_time timeout);

/* A job, in the memory of whoever starts it. */
typedef struct jg_executor_job {
    jg_promise promise;
    jg_link link;
    jg_executor *executor;
    void *worker;
    jg_executor_fn fn;
    void *arg;
    jg_call_fn release;
} jg_executor_job;

/**
 * Run fn(arg) in a thread; `op` completes with what it returns. Jobs begin first in, first out.
 *
 * executor  or NULL for the loop's own.
 * release   NULL, or the job can be abandoned: cancelling completes the op at once, with
 *           -ECANCELED, also while fn runs. The job, `arg` included, then belongs to the executor,
 *           which calls release(arg) when fn has returned, in any thread, also after the loop was
 *           freed. `fn` must not return -ECANCELED.
 *
 * Returns   0; -ENOBUFS if max_queue jobs wait already; -EAGAIN if the system denies the first
 *           thread; -ENOMEM; -ECANCELED as jg_op_start.
 * Owns      nothing; `job` and what fn uses must stay until the op completed, other than with
 *           -ECANCELED if there is a `release`.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_executor_run_start(jg_executor *executor, jg_executor_job *job, jg_executor_fn fn,
                                 void *arg, jg_call_fn release, jg_op *op);

/**
 * Run fn(arg) in a thread and wait for it, also if the coroutine is cancelled meanwhile. Where the
 * queue is full it is waited in line all the same. asyncio: run_in_executor, to_thread.
 *
 * executor  or NULL for the loop's own.
 *
 * Returns   what fn returned; -ECANCELED if it was not begun; -EAGAIN, -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_executor_run(jg_executor *executor, jg_executor_fn fn, void *arg);

JG_END_DECLS

#endif
