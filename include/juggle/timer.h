/* SPDX-License-Identifier: MIT
 *
 * Timers: callbacks at a time, once or again and again.
 */
#ifndef JUGGLE_TIMER_H
#define JUGGLE_TIMER_H

#include <juggle/call.h>

JG_BEGIN_DECLS

typedef struct jg_timer {
    jg_handle handle;
    jg_link link;
    jg_call_fn fn;
    void *arg;
    jg_time deadline;
    jg_time interval;
} jg_timer;

/* Prepare a timer that calls fn(arg); not while it is started. */
JG_API void jg_timer_init(jg_timer *timer, jg_call_fn fn, void *arg);

/**
 * Call once, `delay` from now by a fresh reading of the clock, never earlier. Equal deadlines fire
 * in the order they were set. A timer that is started is set anew, so that this also extends and
 * shortens, in O(1). asyncio: loop.call_later.
 *
 * delay     ns; <= 0 means the next turn, the most overdue first. Sums saturate at JG_FOREVER.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; `timer` must stay until it fired or was stopped.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_call_later(jg_loop *loop, jg_timer *timer, jg_time delay);

/* As jg_call_later, with an absolute deadline on the clock of jg_loop_now. asyncio: call_at. */
JG_API void jg_call_at(jg_loop *loop, jg_timer *timer, jg_time deadline);

/**
 * Call every `interval`, first after one interval, until stopped. The deadlines lie on a fixed
 * grid: they do not drift. Those missed while a callback took too long are skipped, not made up.
 *
 * interval  ns, at least 1.
 *
 * Returns   0, or -EINVAL with nothing changed.
 * Owns      nothing; `timer` must stay until it is stopped.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_call_every(jg_loop *loop, jg_timer *timer, jg_time interval);

/* Stop a timer, in O(1). asyncio: TimerHandle.cancel. */
JG_API void jg_timer_stop(jg_timer *timer);

JG_END_DECLS

#endif
