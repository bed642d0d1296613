/* SPDX-License-Identifier: MIT
 *
 * Ops, tasks and scopes as the layers above see them.
 */
#ifndef JG_TASK_TASK_H
#define JG_TASK_TASK_H

#include "core/loop.h"
#include "platform/symbol.h"

#include <juggle/task.h>

#include <errno.h>

/* Flags of ops. */
#define JG__OP_PENDING   (1u << 0)
#define JG__OP_CANCELLED (1u << 1) /* it was asked to end */
#define JG__OP_SHIELDED  (1u << 2) /* cancellation of a scope does not ask it */

/* Flags of scopes. */
#define JG__SCOPE_CANCELLED (1u << 0) /* itself */
#define JG__SCOPE_STOPS     (1u << 1) /* itself or an outer one that reaches it */
#define JG__SCOPE_SHIELD    (1u << 2)
#define JG__SCOPE_EXPIRED   (1u << 3) /* cancelled by its deadline */
#define JG__SCOPE_CUT       (1u << 4) /* somebody in it was given -ECANCELED for it */
#define JG__SCOPE_WON       (1u << 5) /* JG_FIRST_WINS has a winner */
#define JG__SCOPE_CLOSING   (1u << 6) /* by jg_scope_close */
#define JG__SCOPE_FAILED    (1u << 7) /* its body ended with an error before it was cancelled */
#define JG__SCOPE_CLEANING \
    (1u << 8) /* its deferred calls run: nothing but the grace time ends it */
#define JG__SCOPE_ENDED  (1u << 9)
#define JG__SCOPE_TESTED (1u << 10) /* and those inside: the test kit counts awaits */

static inline jg_op *jg__op_of(jg_link *link)
{
    return jg__container_of(link, jg_op, call.link);
}

void jg__op_cancel_listed(jg_op *op);

/*
 * For providers that are built on a promise: start it under their own name; note the request in
 * their cancel callback, which tells whether the promise is yet to be set; and complete the op at once, with no thread left that could set it.
 */
int jg__promise_start(jg_promise *promise, const jg_provider *provider, jg_op *op);
bool jg__promise_cancel(jg_promise *promise);
void jg__promise_end(jg_promise *promise, int status);

/* Ops that wait for a thing, the first to come first. Zeroed memory is such a list, with none. */
static inline bool jg__has_waiters(const jg_link *waiters)
{
    return waiters->next && !jg__list_empty(waiters);
}

static inline void jg__waiters_append(jg_link *waiters, jg_op *op)
{
    if (!waiters->next)
        jg__list_init(waiters);
    jg__list_append(waiters, &op->call.link);
}

static inline void jg__waiters_complete(jg_link *waiters, int status)
{
    while (jg__has_waiters(waiters))
        jg_op_complete(jg__op_of(waiters->next), status);
}

/* Whether a start or an await in this scope returns -ECANCELED; if so it is noted. NULL: no. */
bool jg__scope_refuses_marked(jg_scope *scope);

static inline bool jg__scope_is_marked(const jg_scope *scope)
{
    return scope->flags & (JG__SCOPE_STOPS | JG__SCOPE_TESTED);
}

static inline bool jg__scope_refuses(jg_scope *scope)
{
    return scope && jg__scope_is_marked(scope) && jg__scope_refuses_marked(scope);
}

/* Note that somebody in this scope is told -ECANCELED, if it is for a cancellation of scopes. */
void jg__scope_note_cut(jg_scope *scope);

/*
 * jg_op_pending, jg_op_start and jg_op_complete without a call, for where that is felt; and deliver,
 * which completes an op that is known to be pending, and in no list, with a result.
 */
static inline bool jg__op_pending(const jg_op *op)
{
    return op->flags & JG__OP_PENDING;
}

static inline int jg__op_start(jg_op *op, const jg_provider *provider, void *data)
{
    jg_task *task = op->task;

    jg__check_for("jg_op_start", !jg__op_pending(op), "the op is pending");
    jg__check_thread(op->loop);
    if (task && jg__scope_refuses(task->scope))
        return -ECANCELED;

    jg__check_for("jg_op_start", task || !jg__linked(&op->call.link),
                  "the callback of the op has yet to run");
    jg__unlink(&op->call.link); /* a completion that its task did not wait for */
    op->provider = provider;
    op->data = data;
    op->flags = JG__OP_PENDING;
    if (task)
        task->awaiting = op;
    return 0;
}

static inline void jg__op_deliver(jg_op *op, int status)
{
    op->status = status;
    op->flags = 0;
    jg__list_append(&op->loop->ready, &op->call.link);
}

static inline void jg__op_complete(jg_op *op, int status)
{
    jg__check_for("jg_op_complete", jg__op_pending(op), "the op is not pending");
    if (status == -ECANCELED && op->task)
        jg__scope_note_cut(op->task->scope);
    jg__unlink(&op->call.link);
    jg__op_deliver(op, status);
}

/* A task of the scope ended. */
void jg__scope_task_ended(jg_scope *scope, int status);

/*
 * Leaving a scope: the body ended; wait until none of its tasks is running; take the result; run
 * the deferred calls and take the scope out of the tree.
 */
void jg__scope_body_ended(jg_scope *scope, int status);
int jg__scope_result(const jg_scope *scope, int status);
void jg__scope_clean_up(jg_scope *scope);

/*
 * The scope after this one in a walk of the tree below `root`, leaving out what is below `scope`
 * unless `down`. NULL at the end.
 */
jg_scope *jg__scope_next(jg_scope *root, jg_scope *scope, bool down);

/* Wait for the tasks of a scope, whatever is cancelled. Not if none is running. */
void jg__scope_join(jg_scope *scope, jg_op *op);

/* What is special about tasks that are not mere steps. */
struct jg__task_kind {
    void (*release)(jg_task *task); /* it has ended */

    /* For people: what runs in it, where it waits, and how much of its stack it ever used. */
    uintptr_t (*function)(const jg_task *task);
    uintptr_t (*site)(const jg_task *task);
    size_t (*stack_used)(const jg_task *task, size_t *ret_size);
};

/* The address of the function that makes out a task. */
uintptr_t jg__task_function(const jg_task *task);

/* Whose step a call is, if it is one: for reports of slow ones. */
void jg__task_note(const jg_call *call, jg__lap *lap);

/* What a scope is awaited with when it is left: op->data is the scope. */
extern const jg_provider jg__scope_provider;

/* The task whose step runs on this thread. */
extern JG__THREAD_LOCAL jg_task *jg__current;

/* What an op of a task calls when it completes: run the next step. */
void jg__task_resume(void *op);

#define JG__BUDGET 64 /* awaits of what is ready, before a coroutine gives way */

static inline void jg__task_begin_step(jg_task *task)
{
    task->awaiting = NULL;
    task->budget = JG__BUDGET;
    jg__current = task;
}

/*
 * Have the processor fetch what running the step of a task will take, for a turn that is to run
 * many. Its op comes first, whose beginning whoever queues the step has in hand.
 */
static inline void jg__task_prefetch(const jg_op *op)
{
    __builtin_prefetch((const char *)op + JG__CACHELINE);
    __builtin_prefetch((const char *)op + 2 * JG__CACHELINE);
}

/*
 * If what the loop is to call next is the step of a task, and that step is `step`: take it out of
 * the queue and begin it, instead of the step that runs and is about to end with JG_PENDING. The
 * caller runs it. Returns the task, or NULL.
 */
static inline jg_task *jg__task_next(jg_loop *loop, jg_step_fn step)
{
    const jg_call *call = jg__container_of(loop->batch.next, jg_call, link);
    jg_task *task;

    if (jg__list_empty(&loop->batch) || call->fn != jg__task_resume)
        return NULL;
    if (__builtin_expect(loop->slow_callback > 0, 0))
        return NULL; /* each step is timed for itself */

    task = ((jg_op *)call->arg)->task;
    if (task->step != step || task->awaiting != call->arg)
        return NULL;

    jg__list_pop(&loop->batch);
    jg__task_begin_step(task);
    return task;
}

/*
 * A task begins to wait for something pending: since now. The clock is read once a turn at most, so
 * that this costs a store where many wait. Coroutines say so themselves, since they may hand over.
 */
static inline void jg__task_waits(jg_task *task)
{
    task->since = jg__loop_time(task->op.loop);
}

/* A task has ended, in its last step: leave its scope. */
void jg__task_end(jg_task *task, int status);

/* Prepare an op whose completion is a step of the task, if that is what the task waits for. */
void jg__op_of_task(jg_op *op, jg_task *task, jg_loop *loop);

#endif
