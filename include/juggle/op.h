/* SPDX-License-Identifier: MIT
 *
 * Ops: something pending that completes exactly once, with a status. An op is the place where a
 * consumer waits (a callback, or a task) and what a provider (a timer, a lock, a thread) completes.
 * asyncio splits this into futures and handles; there, too, awaiting is what all things share.
 *
 * The rules:
 *   - An op that was started completes exactly once: with the result, or an error.
 *   - Its callback runs from the loop, first in, first out, never inside start, cancel or complete.
 *   - Cancelling is a request. Until the op completes it owns the buffers that it was given.
 *   - Completion wins: a result that was there first is delivered, not dropped for a cancellation.
 *
 * What waits comes in two forms, as a rule. jg_x_start begins the wait and completes the op that it
 * is given: for callbacks, for tasks of steps, and for coroutines that wait for several things. It
 * returns 0, or an error with nothing begun. jg_x is for coroutines: it starts, waits, and returns
 * the status. Where one description stands for both, what it says jg_x returns is the op's status.
 *
 * To write a provider, a thing that can be awaited: call jg_op_start in your start function, and if
 * that succeeds keep the op until you call jg_op_complete. Your cancel callback must lead to
 * jg_op_complete, at once or later: with -ECANCELED, or the result if it cannot be held back. While
 * an op is pending, its `call.link` is yours, to keep it in a list; completing takes it out.
 */
#ifndef JUGGLE_OP_H
#define JUGGLE_OP_H

#include <juggle/call.h>
#include <juggle/wake.h>

JG_BEGIN_DECLS

typedef struct jg_op jg_op;
typedef struct jg_task jg_task;

/* One constant for each kind of thing that can be awaited. */
typedef struct jg_provider {
    const char *name; /* for people: "sleep" */
    void (*cancel)(jg_op *op);
} jg_provider;

struct jg_op {
    jg_call call;
    const jg_provider *provider;
    void *data; /* the provider's */
    jg_loop *loop;
    jg_task *task;
    int status;
    unsigned flags;
};

/**
 * Prepare an op whose completion calls fn(arg); not while it is pending. Ops of tasks come
 * prepared: see jg_task_op.
 */
JG_API void jg_op_init(jg_op *op, jg_loop *loop, jg_call_fn fn, void *arg);

/* Whether an op was started and has not completed. */
JG_API bool jg_op_pending(const jg_op *op);

/* The status an op completed with: >= 0, or a negative error. */
JG_API int jg_op_status(const jg_op *op);

/**
 * Ask for an op to end early. It still completes, exactly once, later. Harmless if it is not
 * pending, or was asked before. asyncio: Future.cancel.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_op_cancel(jg_op *op);

/**
 * For providers: begin an operation.
 *
 * op        not pending.
 * data      for your cancel callback, which finds it in op->data.
 *
 * Returns   0; -ECANCELED, with nothing begun, if the op is of a task in a cancelled scope. The
 *           provider's start function returns that to its caller.
 * Owns      nothing; `op` and `provider` must stay until the op completed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_op_start(jg_op *op, const jg_provider *provider, void *data);

/**
 * For providers: end an operation. The consumer runs in a later turn or step.
 *
 * op        pending.
 * status    >= 0, or a negative error.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; from here on the op is the consumer's.
 * Thread    loop; for other threads there is jg_promise.
 * Suspends  no.
 */
JG_API void jg_op_complete(jg_op *op, int status);

/* A status that is set once, by anybody, for any number of ops that wait for it. Zeroed memory is a
 * future that is not set. */
typedef struct jg_future {
    jg_link waiters;
    int status;
    bool done;
} jg_future;

JG_API void jg_future_init(jg_future *future);

/**
 * Set the status; every waiter completes with it. asyncio: Future.set_result, set_exception.
 *
 * Returns   0; -EALREADY if it is set, with nothing changed.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_future_set(jg_future *future, int status);

/**
 * Wait for a future: `op` completes with its status. Cancelling the op leaves the future alone.
 *
 * Returns   0, or -ECANCELED as jg_op_start.
 * Owns      nothing; `future` must stay until the op completed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_future_wait_start(jg_future *future, jg_op *op);

/*
 * The end of an op that another thread, or the callback of another library, completes. Start it on
 * the loop, hand it over, have the thread set it once:
 *
 *     r = jg_promise_start(&job->promise, NULL, NULL, op);
 *     if (r == 0)
 *         hand_over(job);        // its thread ends with jg_promise_set(&job->promise, 0)
 */
typedef struct jg_promise {
    jg_wake wake;
    jg_op *op;
    jg_call_fn on_cancel;
    void *arg;
    int status;
    int flags;
} jg_promise;

/**
 * Start an op that completes when the promise is set, and keep the loop alive until then.
 * Cancelling it is a request: the thread sees it in jg_promise_cancelled, on_cancel(arg) may tell
 * it, and the op goes on until the promise is set. asyncio: wrap_future.
 *
 * on_cancel called on the loop's thread, at most once, if the promise was not set by then; or NULL.
 *           It may set the promise, unless a thread may do so at the same time.
 *
 * Returns   0, or -ECANCELED as jg_op_start.
 * Owns      nothing; `promise` must stay until the op completed. In a forked child that goes on
 *           with the loop the thread does not exist: set the promise there.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_promise_start(jg_promise *promise, jg_call_fn on_cancel, void *arg, jg_op *op);

/**
 * Set a promise that was started, once: its op completes with this status, on the loop's thread.
 * What the caller wrote before is visible there.
 *
 * status    >= 0, or a negative error.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; from here on the promise is not the caller's. The loop may be freed meanwhile.
 * Thread    any.
 * Suspends  no.
 */
JG_API void jg_promise_set(jg_promise *promise, int status);

/* Whether the op of a promise that is not set was asked to end. Any thread. */
JG_API bool jg_promise_cancelled(const jg_promise *promise);

JG_END_DECLS

#endif
