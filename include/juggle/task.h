/* SPDX-License-Identifier: MIT
 *
 * Tasks and scopes.
 *
 * A task is code that runs in steps: once when it is spawned, and again each time the op that it
 * waits for completes. Its memory is yours. A coroutine (see coro.h) is a task whose step switches
 * to a stack of its own; everything here holds for both.
 *
 * A scope is a lifetime: the tasks spawned in it, a deadline, cancellation, and cleanup. Leaving a
 * scope joins its tasks, so none outlives it, and none is ever detached. It replaces asyncio's
 * TaskGroup, timeout, shield and AsyncExitStack.
 *
 * Cancellation is the state of a scope, not an event. In a cancelled scope, and in the scopes
 * inside it unless they are shielded, whatever waits is asked to end, and each start and each await
 * returns -ECANCELED from then on. So a return code that was ignored cannot lose a cancellation,
 * and code that releases something can be written like any other, in a deferred call.
 */
#ifndef JUGGLE_TASK_H
#define JUGGLE_TASK_H

#include <juggle/op.h>
#include <juggle/timer.h>

JG_BEGIN_DECLS

typedef struct jg_scope jg_scope;

/* What a step returns when the task is not finished: an op of the task's is pending. */
#define JG_PENDING INT32_MIN

/**
 * One step of a task.
 *
 * status    0 at first, then the status of the op that the task waited for.
 *
 * Returns   JG_PENDING, with jg_task_op(task) started; or what the task ends with, >= 0 or an
 *           error.
 */
typedef int (*jg_step_fn)(jg_task *task, void *arg, int status);

struct jg_task {
    jg_op op;
    jg_link link;    /* in scope->tasks, of the scope that it was spawned in */
    jg_scope *home;  /* that scope; NULL: not spawned, or ended */
    jg_scope *scope; /* the innermost scope that it has entered */
    jg_op *awaiting;
    jg_op *any; /* pending while the task waits for any of several ops, which complete it */
    jg_step_fn step;
    void *arg;
    const char *name;
    int *ret_status;
    const struct jg__task_kind *kind; /* of coroutines */
    const void *where;                /* the place that waits, as far as it is known; see tree.h */
    jg_time since;                    /* when it began to wait, if it does */
    unsigned budget;
    bool parked; /* a coroutine that has begun: when it does not run, it waits */
};

/* Prepare a task; not while it runs. `name` is for people, must stay, and may be NULL. */
JG_API void jg_task_init(jg_task *task, const char *name, jg_step_fn step, void *arg);

/**
 * Start a task in a scope. Its first step runs in a later turn, even if the scope is cancelled by
 * then: what it was handed is its own to release. asyncio: TaskGroup.create_task.
 *
 * ret_status  set to what the task ended with, when it has; or NULL.
 *
 * Returns   0; -ECANCELED if the scope is cancelled or has ended.
 * Owns      nothing; `task` and `ret_status` must stay until the task ended.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_task_spawn(jg_scope *scope, jg_task *task, int *ret_status);

/* The op whose completion is the next step: give it to a start function, then return JG_PENDING. */
static inline jg_op *jg_task_op(jg_task *task)
{
    return &task->op;
}

/* The loop of a task that was spawned. */
static inline jg_loop *jg_task_loop(const jg_task *task)
{
    return task->op.loop;
}

/* The name it was given, or NULL. asyncio: Task.get_name. */
static inline const char *jg_task_name(const jg_task *task)
{
    return task->name;
}

/* The task whose step runs on this thread, or NULL. asyncio: current_task. */
JG_API jg_task *jg_task_current(void);

/* --------------------------------------------------------------- sleep */

typedef struct jg_sleeper {
    jg_timer timer;
    jg_op *op;
} jg_sleeper;

/**
 * Complete `op` with 0 after `delay`. asyncio: sleep.
 *
 * delay     ns; <= 0 means the next turn.
 *
 * Returns   0, or -ECANCELED as jg_op_start.
 * Owns      nothing; `sleeper` must stay until the op completed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_sleep_start(jg_sleeper *sleeper, jg_time delay, jg_op *op);

/* --------------------------------------------------------------- scope */

typedef enum jg_policy {
    JG_FAIL_FAST,  /* the first error of a task cancels the scope; leaving returns it */
    JG_KEEP_GOING, /* errors of tasks cancel nothing and are theirs alone */
    JG_FIRST_WINS  /* the first success of a task cancels the scope */
} jg_policy;

typedef struct jg_scope_options {
    const char *name;
    jg_time timeout; /* ns from now; 0: none; < 0: expired already */
    jg_time grace;   /* ns that deferred calls may take to wait, after all else; 0: 10 s */
    bool shield;     /* cancellation of outer scopes stays outside */
    jg_policy policy;
} jg_scope_options;

/* A deferred call: cleanup when a scope ends. */
typedef struct jg_defer {
    struct jg_defer *next;
    jg_call_fn fn;
    void *arg;
} jg_defer;

struct jg_scope {
    jg_loop *loop;
    jg_task *owner; /* who entered it; NULL: nobody, a root */
    jg_scope *parent;
    jg_link link;   /* in parent->scopes, or among the roots of the loop */
    jg_link scopes; /* directly inside this one */
    jg_link tasks;  /* spawned in this one */
    jg_op *joiner;
    jg_defer *defers; /* the last one first */
    jg_timer timer;
    const char *name;
    jg_time grace;
    int status;       /* that its body ended with, as far as it is known */
    unsigned running; /* tasks spawned and not ended */
    int error;        /* the first error of a task */
    unsigned flags;
    jg_policy policy;
};

/**
 * Enter a scope. It becomes the innermost one of `owner`, or, with no owner, the root of a tree.
 *
 * options   or NULL.
 *
 * Returns   nothing: entering never fails, also inside a cancelled scope.
 * Owns      nothing; `scope` must stay until it was left.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_scope_open(jg_scope *scope, jg_loop *loop, jg_task *owner,
                          const jg_scope_options *options);

/**
 * Leave a scope: `op` completes when its tasks have ended and its deferred calls have run. The wait
 * is not cut short by cancellation, which reaches the tasks themselves.
 *
 * status    what the body of the scope ended with; an error cancels the scope's tasks, unless the
 *           policy is to keep going.
 *
 * The op's status is, in this order: the first error of a task (but JG_KEEP_GOING, and
 * JG_FIRST_WINS with a winner); the body's own error; `status`, if there is a winner; -ECANCELED if
 * an outer scope is cancelled and that cut something; -ETIMEDOUT if this scope's deadline cut
 * something; else `status`, where a body that was cut short by this scope's own cancellation counts
 * as 0. Something was cut if a start or an await in the scope returned -ECANCELED.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_scope_close(jg_scope *scope, int status, jg_op *op);

/**
 * Cancel a scope. Harmless if it is cancelled. To cancel one task of several, give it a scope of
 * its own, which it enters or is spawned in. asyncio: Task.cancel, but it stays.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_scope_cancel(jg_scope *scope);

/* Whether a scope is cancelled, itself or by an outer one. */
JG_API bool jg_scope_cancelled(const jg_scope *scope);

/**
 * Move the deadline of a scope that is open. asyncio: Timeout.reschedule.
 *
 * deadline  on the clock of jg_loop_now; JG_FOREVER for none. One that has passed cannot be moved.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_scope_reschedule(jg_scope *scope, jg_time deadline);

/**
 * Have fn(arg) run when the scope ends, after its tasks have, the last registered first, whatever
 * the reason. asyncio: AsyncExitStack.callback.
 *
 * Returns   nothing.
 * Owns      nothing; `defer` must stay until the scope was left.
 * Thread    loop.
 * Suspends  no; fn may, in a scope that a coroutine leaves by jg_scope_leave.
 */
JG_API void jg_scope_defer(jg_scope *scope, jg_defer *defer, jg_call_fn fn, void *arg);

JG_END_DECLS

#endif
