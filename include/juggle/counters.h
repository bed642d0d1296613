/* SPDX-License-Identifier: MIT
 *
 * What a loop has done so far, in numbers, for monitoring.
 */
#ifndef JUGGLE_COUNTERS_H
#define JUGGLE_COUNTERS_H

#include <juggle/call.h>

JG_BEGIN_DECLS

typedef struct jg_counters {
    uint64_t turns;
    uint64_t sleeps;  /* turns that found nothing to do and went to sleep */
    uint64_t events;  /* of descriptors, as the kernel reported them */
    uint64_t timers;  /* that fired */
    uint64_t wakes;   /* from other threads and signal handlers; those that merge are one */
    uint64_t signals; /* given to a jg_signal */

    /* Only with the option slow_callback, since it takes readings of the clock: */
    uint64_t calls;       /* callbacks of all kinds; each step of a task is one */
    uint64_t slow;        /* of these, reported as slow */
    jg_time idle;         /* ns of runs outside of callbacks: asleep, but for the loop's own work */
    jg_time longest_call; /* ns */
    jg_time longest_turn; /* ns, of the callbacks of a turn together */
} jg_counters;

/* The counters of a loop. They begin at 0 and do not go back. See jg_loop_task_counters, too. */
JG_API jg_counters jg_loop_counters(const jg_loop *loop);

JG_END_DECLS

#endif
