/* SPDX-License-Identifier: MIT
 *
 * What the modules of this layer share: everything below, and the public header.
 *
 * The tree of tasks tells where in the user's code a coroutine waits. To that end each public
 * function that suspends notes where it will return to, and waits by means that leave the note
 * alone, as jg_await would not. For the coroutine form of a start function that is
 *
 *     int jg_event_wait(jg_event *event)
 *     {
 *         return jg__await_started(jg_event_wait_start(event, jg__coro_op()));
 *     }
 *
 * where jg__coro_op takes the note, and so has to stand in the public function itself. Others say
 * jg__waits_here(task), and again after they ran code of the user's, which left notes of its own;
 * then they wait with jg__await or jg__scope_leave.
 */
#ifndef JG_CORO_CORO_H
#define JG_CORO_CORO_H

#include "platform/context.h"
#include "task/task.h"

#include <juggle/coro.h>

/* The step of all coroutines: how to tell one from other tasks. */
int jg__coro_step(jg_task *task, void *arg, int status);

/* The current task, which must be a coroutine; `function` names who asks. */
static inline jg_task *jg__self(const char *function)
{
    jg_task *task = jg__current;

    if (__builtin_expect(!task || task->step != jg__coro_step, 0))
        jg__misuse(function, "not called from a coroutine");
    return task;
}

/* Note that a task waits where the function that says so was called. */
#define jg__waits_here(task) ((void)((task)->where = __builtin_return_address(0)))

static inline jg_op *jg__coro_op_at(const char *function, const void *where)
{
    jg_task *task = jg__self(function);

    task->where = where;
    return jg_task_op(task);
}

/* jg_await and jg_scope_leave, by the current task, inside a function that took note. */
int jg__await(jg_task *task, jg_op *op);
int jg__scope_leave(jg_task *task, jg_scope *scope, int status);

/* Go back to the loop until the call of `op` runs. `since` has been set, if the op is pending. */
int jg__park(jg_task *task, jg_op *op);

/*
 * For the coroutine form of a start function: the op of the current coroutine, which must be one,
 * to start; and the wait for it, unless starting it failed with r.
 */
#define jg__coro_op() jg__coro_op_at(__func__, __builtin_return_address(0))

static inline int jg__await_started(int r)
{
    return r < 0 ? r : jg__await(jg__current, jg_task_op(jg__current));
}

/*
 * The same in short, for a start function whose op is known to have to wait: whether the op of the
 * current coroutine may be started with no more ado, which is not so in a scope that is to be
 * asked; then start it and wait.
 */
static inline bool jg__coro_may_start(const jg_op *op)
{
    return !jg__op_pending(op) && !jg__linked(&op->call.link) && op->loop->time_known &&
           !jg__scope_is_marked(op->task->scope);
}

static inline int jg__coro_start(jg_op *op, const jg_provider *provider, void *data)
{
    op->provider = provider;
    op->data = data;
    op->flags = JG__OP_PENDING;
    op->task->since = op->loop->time;
    return jg__park(op->task, op);
}

/* The same for one that waits in a list. */
static inline int jg__coro_start_in(jg_link *waiters, jg_op *op, const jg_provider *provider,
                                    void *data)
{
    jg__waiters_append(waiters, op);
    return jg__coro_start(op, provider, data);
}

/*
 * Whether the current coroutine may take what is ready without starting an op. That counts as an
 * await. If not, because its budget is spent or its scope is to be asked, it goes the long way; as
 * does who is no coroutine, to be told so.
 */
static inline bool jg__coro_spend(void)
{
    jg_task *task = jg__current;

    if (!task || task->step != jg__coro_step || task->budget == 0 ||
        jg__scope_is_marked(task->scope))
        return false;

    task->budget--;
    return true;
}

/* Take what is ready, for a unit of the budget; give way first, if there is none left. */
void jg__coro_pay(jg_task *task);

/*
 * An error of the current coroutine that its function cannot return any more: the body of the
 * innermost scope fails with it, or, if the coroutine has entered none, the coroutine.
 */
void jg__body_failed(int error);

#endif
