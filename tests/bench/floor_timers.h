/* SPDX-License-Identifier: MIT
 *
 * Two ways of keeping timers, with no more code than the benchmark needs: what a loop could cost
 * at the least. Times are ns.
 */
#ifndef BENCH_FLOOR_TIMERS_H
#define BENCH_FLOOR_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct floor_timer {
    struct floor_timer *next, *previous; /* in the wheel */
    void (*fn)(void *arg);
    void *arg;
    int64_t deadline;
    uint32_t place; /* in the heap: its index + 1; in the wheel: its slot */
};

/* An implicit heap with four children a node and the deadlines inline. */
void heap_set(struct floor_timer *timer, int64_t deadline);
void heap_move(struct floor_timer *timer, int64_t deadline);
void heap_cancel(struct floor_timer *timer);
void heap_expire(int64_t now);

/* A hierarchical wheel: a timer is in the level of the highest digit, to the base 64, in which its
 * tick differs from the present one. A tick is 2^20 ns, rounded up; within a tick there is no
 * order. */
void wheel_open(int64_t now);
void wheel_set(struct floor_timer *timer, int64_t deadline);
void wheel_cancel(struct floor_timer *timer);
void wheel_expire(int64_t now);

#endif
