/* SPDX-License-Identifier: MIT
 *
 * Conditions. An op that waits is in the condition's queue until it is notified or cancelled, and
 * then in the lock's, with what it completes with decided. Both end the first part, whichever comes
 * first; so a notification never goes to one who was cancelled, and needs no passing on.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

void jg_condition_init(jg_condition *condition, jg_lock *lock)
{
    *condition = (jg_condition){.lock = lock};
}

static void cancel_relock(jg_op *op)
{
    (void)op; /* it was notified; and it ends with the lock held, whatever else */
}

/* The second part of a wait. */
static void relock(jg_condition *condition, jg_op *op, int status)
{
    static const jg_provider provider = {"lock of a condition", cancel_relock};

    jg__unlink(&op->call.link);
    op->provider = &provider;
    jg__lock_enter(condition->lock, op, status);
}

static void cancel_wait(jg_op *op)
{
    relock(op->data, op, -ECANCELED);
}

int jg_condition_wait_start(jg_condition *condition, jg_op *op)
{
    static const jg_provider provider = {"condition", cancel_wait};
    int r;

    jg__check(condition->lock->locked, "the lock of the condition is not locked");
    r = jg_op_start(op, &provider, condition);
    if (r < 0)
        return r;

    jg__waiters_append(&condition->waiters, op);
    jg_lock_release(condition->lock);
    return 0;
}

int jg_condition_wait(jg_condition *condition)
{
    return jg__await_started(jg_condition_wait_start(condition, jg__coro_op()));
}

void jg_condition_notify(jg_condition *condition, unsigned n)
{
    jg__check(condition->lock->locked, "the lock of the condition is not locked");
    for (; n > 0 && jg__has_waiters(&condition->waiters); n--)
        relock(condition, jg__op_of(condition->waiters.next), 0);
}

void jg_condition_notify_all(jg_condition *condition)
{
    jg_condition_notify(condition, UINT_MAX);
}
