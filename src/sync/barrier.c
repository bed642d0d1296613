/* SPDX-License-Identifier: MIT
 *
 * Barriers. Fewer wait than there are parties: the last to come ends the round in the same call, so
 * that a round which was reached cannot be broken any more, and there is no time between rounds.
 */
#include "sync/sync.h"

#include <errno.h>

void jg_barrier_init(jg_barrier *barrier, unsigned parties)
{
    jg__check(parties > 0, "the barrier has no parties");
    *barrier = (jg_barrier){.parties = parties};
}

static void cancel_wait(jg_op *op)
{
    jg_barrier *barrier = op->data;

    barrier->waiting--;
    jg_op_complete(op, -ECANCELED);
}

/* All have come. Those who wait leave with numbers in the order they came, whoever was cancelled
 * in between. */
static void end_round(jg_barrier *barrier)
{
    int index = 0;

    while (jg__has_waiters(&barrier->waiters))
        jg_op_complete(jg__op_of(barrier->waiters.next), index++);
    barrier->waiting = 0;
}

int jg_barrier_wait_start(jg_barrier *barrier, jg_op *op)
{
    static const jg_provider provider = {"barrier", cancel_wait};
    int r = jg_op_start(op, &provider, barrier);

    if (r < 0)
        return r;

    if (barrier->broken) {
        jg_op_complete(op, JG_EBROKEN);
        return 0;
    }

    jg__waiters_append(&barrier->waiters, op);
    barrier->waiting++;
    if (barrier->waiting == barrier->parties)
        end_round(barrier);
    return 0;
}

int jg_barrier_wait(jg_barrier *barrier)
{
    return jg__await_started(jg_barrier_wait_start(barrier, jg__coro_op()));
}

void jg_barrier_reset(jg_barrier *barrier)
{
    barrier->broken = false;
    barrier->waiting = 0;
    jg__waiters_complete(&barrier->waiters, JG_EBROKEN);
}

void jg_barrier_abort(jg_barrier *barrier)
{
    jg_barrier_reset(barrier);
    barrier->broken = true;
}
