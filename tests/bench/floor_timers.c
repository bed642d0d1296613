/* SPDX-License-Identifier: MIT
 *
 * A heap and a wheel of timers; see floor_timers.h.
 */
#include "floor_timers.h"
#include "bench.h"

#include <stdlib.h>

enum { CHILDREN = 4 };

struct entry {
    int64_t deadline;
    struct floor_timer *timer;
};

static struct entry *heap;
static uint32_t heap_length, heap_room;

static void heap_put(uint32_t at, struct entry entry)
{
    heap[at] = entry;
    entry.timer->place = at + 1;
}

static void heap_up(uint32_t at, struct entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / CHILDREN;

        if (heap[parent].deadline <= entry.deadline)
            break;
        heap_put(at, heap[parent]);
        at = parent;
    }
    heap_put(at, entry);
}

static uint32_t smallest(uint32_t first)
{
    uint32_t end = first + CHILDREN < heap_length ? first + CHILDREN : heap_length;
    uint32_t best = first;

    for (uint32_t i = first + 1; i < end; i++) {
        if (heap[i].deadline < heap[best].deadline)
            best = i;
    }
    return best;
}

static void heap_down(uint32_t at, struct entry entry)
{
    for (;;) {
        uint32_t child = at * CHILDREN + 1;

        if (child >= heap_length)
            break;
        child = smallest(child);
        if (heap[child].deadline >= entry.deadline)
            break;
        heap_put(at, heap[child]);
        at = child;
    }
    heap_put(at, entry);
}

static void heap_sift(uint32_t at, struct entry entry)
{
    if (at > 0 && entry.deadline < heap[(at - 1) / CHILDREN].deadline)
        heap_up(at, entry);
    else
        heap_down(at, entry);
}

void heap_set(struct floor_timer *timer, int64_t deadline)
{
    if (heap_length == heap_room) {
        heap_room = heap_room ? 2 * heap_room : 64;
        heap = realloc(heap, heap_room * sizeof *heap);
        bench_check(heap != NULL, "out of memory");
    }
    heap_up(heap_length++, (struct entry){deadline, timer});
}

void heap_move(struct floor_timer *timer, int64_t deadline)
{
    heap_sift(timer->place - 1, (struct entry){deadline, timer});
}

void heap_cancel(struct floor_timer *timer)
{
    uint32_t at = timer->place - 1;

    timer->place = 0;
    heap_length--;
    if (at < heap_length)
        heap_sift(at, heap[heap_length]);
}

void heap_expire(int64_t now)
{
    while (heap_length > 0 && heap[0].deadline <= now) {
        struct floor_timer *timer = heap[0].timer;

        heap_cancel(timer);
        timer->fn(timer->arg);
    }
}

enum { DIGIT_BITS = 6, SLOTS = 1 << DIGIT_BITS, LEVELS = 8, TICK_BITS = 20 };

static struct floor_timer *wheel[LEVELS * SLOTS];
static uint64_t wheel_used[LEVELS]; /* a bit for each slot that is not empty */
static uint64_t wheel_tick;

static uint64_t tick_of(int64_t time)
{
    return (uint64_t)time >> TICK_BITS;
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> level * DIGIT_BITS) & (SLOTS - 1);
}

void wheel_open(int64_t now)
{
    wheel_tick = tick_of(now);
}

static void wheel_put(struct floor_timer *timer)
{
    uint64_t tick = tick_of(timer->deadline) + 1;
    unsigned level, slot;
    struct floor_timer **head;

    if (tick <= wheel_tick)
        tick = wheel_tick + 1;
    level = (unsigned)(63 - __builtin_clzll(tick ^ wheel_tick)) / DIGIT_BITS;
    slot = digit_of(tick, level);
    wheel_used[level] |= UINT64_C(1) << slot;
    timer->place = level * SLOTS + slot;
    head = &wheel[timer->place];
    timer->next = *head;
    timer->previous = NULL;
    if (*head != NULL)
        (*head)->previous = timer;
    *head = timer;
}

void wheel_set(struct floor_timer *timer, int64_t deadline)
{
    timer->deadline = deadline;
    wheel_put(timer);
}

void wheel_cancel(struct floor_timer *timer)
{
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
    if (timer->previous != NULL)
        timer->previous->next = timer->next;
    else
        wheel[timer->place] = timer->next;
    if (wheel[timer->place] == NULL)
        wheel_used[timer->place / SLOTS] &= ~(UINT64_C(1) << timer->place % SLOTS);
}

static struct floor_timer *wheel_take(unsigned level, unsigned slot)
{
    struct floor_timer *first = wheel[level * SLOTS + slot];

    wheel[level * SLOTS + slot] = NULL;
    wheel_used[level] &= ~(UINT64_C(1) << slot);
    return first;
}

/* Slots of lower levels come earlier. A timer whose slot begins now moves down, or runs. */
static bool wheel_next(uint64_t *ret_tick, unsigned *ret_level)
{
    for (unsigned level = 0; level < LEVELS; level++) {
        unsigned shift = level * DIGIT_BITS;
        unsigned digit = digit_of(wheel_tick, level);
        uint64_t later = wheel_used[level] & ~((UINT64_C(2) << digit) - 1);

        if (later == 0)
            continue;
        *ret_tick =
            (wheel_tick >> shift >> DIGIT_BITS << DIGIT_BITS | (unsigned)__builtin_ctzll(later))
            << shift;
        *ret_level = level;
        return true;
    }
    return false;
}

void wheel_expire(int64_t now)
{
    uint64_t tick;
    unsigned level;

    while (wheel_next(&tick, &level) && tick <= tick_of(now)) {
        struct floor_timer *timer = wheel_take(level, digit_of(tick, level));
        struct floor_timer *next;

        wheel_tick = tick;
        for (; timer != NULL; timer = next) {
            next = timer->next;
            if (tick_of(timer->deadline) + 1 <= tick)
                timer->fn(timer->arg);
            else
                wheel_put(timer);
        }
    }
}
