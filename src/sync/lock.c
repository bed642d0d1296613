/* SPDX-License-Identifier: MIT
 *
 * Locks. While somebody waits, the lock is locked: releasing it changes who holds it, no more. So
 * a lock that is not locked is nobody's, and may be taken without looking at the queue.
 *
 * Each op in the queue has in `status` what it completes with, which is not 0 for those who come
 * from a condition and were cancelled there.
 */
#include "sync/sync.h"

#include <errno.h>

void jg_lock_init(jg_lock *lock)
{
    *lock = (jg_lock){.locked = false};
}

void jg__lock_enter(jg_lock *lock, jg_op *op, int status)
{
    if (lock->locked) {
        op->status = status;
        jg__waiters_append(&lock->waiters, op);
    } else {
        lock->locked = true;
        jg_op_complete(op, status);
    }
}

int jg_lock_acquire_start(jg_lock *lock, jg_op *op)
{
    static const jg_provider provider = {"lock", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, lock);

    if (r == 0)
        jg__lock_enter(lock, op, 0);
    return r;
}

int jg_lock_acquire(jg_lock *lock)
{
    if (!lock->locked && jg__coro_spend()) {
        lock->locked = true;
        return 0;
    }
    return jg__await_started(jg_lock_acquire_start(lock, jg__coro_op()));
}

int jg_lock_try_acquire(jg_lock *lock)
{
    if (lock->locked)
        return -EAGAIN;

    lock->locked = true;
    return 0;
}

void jg_lock_release(jg_lock *lock)
{
    jg__check(lock->locked, "the lock is not locked");
    if (jg__has_waiters(&lock->waiters)) {
        jg_op *op = jg__op_of(lock->waiters.next);

        jg_op_complete(op, op->status);
    } else {
        lock->locked = false;
    }
}
