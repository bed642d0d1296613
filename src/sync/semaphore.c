/* SPDX-License-Identifier: MIT
 *
 * Semaphores. While somebody waits there is no permit: one that is released is handed on, and
 * counted nowhere. So a permit that is counted may be taken without looking at the queue.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

void jg_semaphore_init(jg_semaphore *semaphore, unsigned value, unsigned limit)
{
    jg__check(limit == 0 || value <= limit, "the semaphore has more permits than its limit");
    *semaphore = (jg_semaphore){.value = value, .limit = limit};
}

static const jg_provider provider = {"semaphore", jg__op_cancel_listed};

int jg_semaphore_acquire_start(jg_semaphore *semaphore, jg_op *op)
{
    int r = jg__op_start(op, &provider, semaphore);

    if (r < 0)
        return r;

    if (semaphore->value > 0) {
        semaphore->value--;
        jg__op_complete(op, 0);
    } else {
        jg__waiters_append(&semaphore->waiters, op);
    }
    return 0;
}

int jg_semaphore_acquire(jg_semaphore *semaphore)
{
    jg_op *op;

    if (semaphore->value > 0 && jg__coro_spend()) {
        semaphore->value--;
        return 0;
    }

    op = jg__coro_op();
    if (semaphore->value == 0 && jg__coro_may_start(op))
        return jg__coro_start_in(&semaphore->waiters, op, &provider, semaphore);
    return jg__await_started(jg_semaphore_acquire_start(semaphore, op));
}

int jg_semaphore_try_acquire(jg_semaphore *semaphore)
{
    if (semaphore->value == 0)
        return -EAGAIN;

    semaphore->value--;
    return 0;
}

void jg_semaphore_release(jg_semaphore *semaphore)
{
    unsigned limit = semaphore->limit > 0 ? semaphore->limit : UINT_MAX;

    jg__check(semaphore->value < limit, "the semaphore has all its permits");
    if (jg__has_waiters(&semaphore->waiters))
        jg__op_complete(jg__op_of(semaphore->waiters.next), 0);
    else
        semaphore->value++;
}
