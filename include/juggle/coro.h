/* SPDX-License-Identifier: MIT
 *
 * Coroutines: tasks that are written as straight-line functions, pausing and resuming in the
 * middle.
 *
 * A coroutine is a function on a stack of its own. Where it has to wait it pauses, the loop runs
 * others, and it goes on when what it waits for is there. Its locals stay. It is never destroyed
 * while it pauses: it is cancelled, which is an error from what it waits for, and returns.
 *
 * What is marked «Suspends yes» may pause, and must be called from a coroutine. In a cancelled
 * scope it returns -ECANCELED at once, unless there is nothing to wait for. What is ready already
 * does not pause, but only so often: then the coroutine gives way to others, so that none can
 * starve the rest.
 */
#ifndef JUGGLE_CORO_H
#define JUGGLE_CORO_H

#include <juggle/loop.h>
#include <juggle/task.h>

JG_BEGIN_DECLS

/* The body of a coroutine. Returns what its task ends with: >= 0, or an error. */
typedef int (*jg_coro_fn)(void *arg);

typedef struct jg_spawn_options {
    const char *name;  /* for people; must stay */
    size_t stack_size; /* bytes; 0: 64 KiB */
    int *ret_status;   /* set to what it ended with; must outlive it */
} jg_spawn_options;

/**
 * Start a coroutine fn(arg) in a scope. It runs in a later turn. asyncio: TaskGroup.create_task.
 *
 * options   or NULL.
 *
 * Below each stack lies a guard, so that an overflow ends the program and names the coroutine.
 * Where a guard costs mappings, which are limited (before Linux 6.13, by vm.max_map_count: about
 * 32,000 stacks), stacks beyond that come without; the error hook is told once, with -ENOMEM.
 *
 * Returns   0; -ECANCELED if the scope is cancelled or has ended; -EINVAL for a stack of more than
 *           256 MiB; -ENOMEM.
 * Owns      nothing; arg must outlive the coroutine, as leaving the scope guarantees.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_spawn(jg_scope *scope, jg_coro_fn fn, void *arg, const jg_spawn_options *options);

/**
 * Wait for an op of this coroutine, started by a start function. If the scope is cancelled the op
 * is asked to end, and waited for all the same.
 *
 * op        made with jg_op_self, or the coroutine's own, jg_task_op(jg_task_current()).
 *
 * Returns   the status of the op.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_await(jg_op *op);

/* Prepare an op for the current coroutine to wait for; one that has several at a time needs them.
 * If it was started it is to be waited for, by jg_await or jg_wait, before its memory goes: also if
 * it completed at once. */
JG_API void jg_op_self(jg_op *op);

/**
 * Pause for `delay`. asyncio: sleep.
 *
 * delay     ns; <= 0 lets everything else that is ready run first.
 *
 * Returns   0, or -ECANCELED, early.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_sleep(jg_time delay);

/**
 * Wait for a future. asyncio: await future.
 *
 * Returns   its status, or -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_future_wait(jg_future *future);

/**
 * Enter a scope, and leave it again: every path must. See jg_scope_open and jg_scope_close.
 * asyncio: async with TaskGroup(), timeout().
 *
 * status    what the body ended with.
 *
 * Returns   of leave: as jg_scope_close says.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  enter no, leave yes.
 */
JG_API void jg_scope_enter(jg_scope *scope, const jg_scope_options *options);
JG_API int jg_scope_leave(jg_scope *scope, int status);

/* One of several things to do at once. */
typedef struct jg_job {
    jg_coro_fn fn;
    void *arg;
    int status; /* what it ended with */
} jg_job;

/**
 * Run jobs at once, each in a coroutine, and wait for all of them. asyncio: gather.
 *
 * jobs      `status` is set in each: -ECANCELED if it was not started.
 * policy    JG_FAIL_FAST: the first error cancels the others. JG_KEEP_GOING: gather with
 *           return_exceptions. JG_FIRST_WINS: the first success cancels the others.
 *
 * Returns   0; the first error with JG_FAIL_FAST, or if nobody won; -ECANCELED; -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_gather(jg_job *jobs, size_t count, jg_policy policy);

/* Jobs that run at once, taken as they end. Its fields are not yours. */
typedef struct jg_as_completed {
    jg_scope scope;
    jg_link ended; /* jobs that wait to be taken */
    jg_op *taker;  /* waits for one of them, */
    jg_job *taken; /* and is given this */
    size_t left;   /* jobs that were started and not taken */
    int error;
} jg_as_completed;

/**
 * Run jobs at once, and take them in the order in which they end. asyncio: as_completed.
 *
 *     jg_as_completed_begin(&each, jobs, count);
 *     while ((job = jg_as_completed_next(&each)) != NULL)
 *         use(job->arg, job->status);
 *     r = jg_as_completed_end(&each);
 *
 * Begin enters a scope, and each path must get to the end, which leaves it. An error of a job is
 * its own. Breaking out of the loop is fine: the end cancels what is still running.
 *
 * jobs      `status` is set in each: -ECANCELED if it was not started. A job keeps its stack until
 *           it is taken.
 *
 * Returns   next: a job that ended; NULL if all were taken, after a cancellation, and if not all
 *           could be started. End: 0; -ECANCELED; -ENOMEM.
 * Owns      nothing; `each` and `jobs` must stay until the end.
 * Thread    loop.
 * Suspends  begin no, next and end yes.
 */
JG_API void jg_as_completed_begin(jg_as_completed *each, jg_job *jobs, size_t count);
JG_API jg_job *jg_as_completed_next(jg_as_completed *each);
JG_API int jg_as_completed_end(jg_as_completed *each);

typedef enum jg_when {
    JG_FIRST_COMPLETED, /* one of the ops has completed */
    JG_FIRST_ERROR,     /* one has completed with an error, or all have completed */
    JG_ALL_COMPLETED
} jg_when;

/**
 * Wait for several ops of this coroutine, started by start functions: a queue, a timer and an
 * event, say. The ops are left as they are: look with jg_op_pending and jg_op_status. Each that is
 * pending still has to complete before its memory goes: jg_op_cancel it if it is not wanted any
 * more, and jg_await it. asyncio: wait.
 *
 * ops       made with jg_op_self.
 *
 * Returns   0, or -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_wait(jg_op *const *ops, size_t count, jg_when when);

/**
 * Call fn(arg) with a time limit. asyncio: wait_for.
 *
 * timeout   ns.
 *
 * Returns   what fn returned; -ETIMEDOUT if the limit cut it short.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_wait_for(jg_coro_fn fn, void *arg, jg_time timeout);

/**
 * Call fn(arg) such that cancellation of the scopes around does not reach it: for cleanup that has
 * to wait. asyncio: shield, but it is waited for.
 *
 * Returns   what fn returned.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_shield(jg_coro_fn fn, void *arg);

typedef struct jg_run_options {
    const jg_loop_options *loop;
    size_t stack_size; /* of the main coroutine; 0: 256 KiB */
    bool no_signals;   /* leave SIGINT and SIGTERM alone */
    int dump_signal;   /* SIGQUIT, say: prints the tree of tasks to standard error; 0: none */
} jg_run_options;

/**
 * Make a loop, run fn(arg) on it as a coroutine in a root scope, wait for all that it spawned, and
 * free the loop. asyncio: run. The first SIGINT or SIGTERM cancels the root scope, the second ends
 * the program as that signal does. jg_loop_stop cancels the root scope, too. A deadlock is reported
 * to the error hook with the tree of tasks, a line a call.
 *
 * options   or NULL.
 *
 * Returns   what fn returned, or the first error of a coroutine spawned in the root scope; an error
 *           of making the loop; JG_EDEADLOCK if tasks are left that nothing can wake;
 *           -EINVAL for a dump_signal that cannot be caught, or a stack of more than 256 MiB.
 * Owns      nothing.
 * Thread    any that runs no loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_run(jg_coro_fn fn, void *arg, const jg_run_options *options);

/**
 * Run fn(arg) as a coroutine in a root scope on a loop of yours, until it and all that it spawned
 * have ended. Whatever else is on the loop goes on meanwhile, and is left as it is. jg_loop_stop
 * cancels the root scope. asyncio: loop.run_until_complete.
 *
 * options   or NULL; the stack is one of 256 KiB if it does not say.
 *
 * Returns   as jg_run; -EBUSY inside a callback of the loop; after an error of jg_loop_run, the
 *           loop can only be freed.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_run_until_complete(jg_loop *loop, jg_coro_fn fn, void *arg,
                                 const jg_spawn_options *options);

typedef struct jg_task_counters {
    uint64_t spawned; /* tasks of all kinds */
    uint64_t ended;
    uint64_t unguarded;  /* times that a stack was made without a guard; see jg_spawn */
    size_t stacks;       /* in use by coroutines */
    size_t cached_bytes; /* of free stacks that keep their memory for coroutines to come */
} jg_task_counters;

/* The counters of the tasks on a loop, as jg_loop_counters of the loop itself. */
JG_API jg_task_counters jg_loop_task_counters(const jg_loop *loop);

JG_END_DECLS

#endif
