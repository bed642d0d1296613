/* SPDX-License-Identifier: MIT
 *
 * The timers of a loop: a hierarchical wheel with a resolution of one nanosecond.
 *
 * Eleven levels of 64 slots cover all of jg_time. A timer is on the level of the highest group of
 * six bits in which its deadline differs from the wheel's time, in the slot that these six bits
 * name. So everything on a level is due before everything on the levels above it, slots are in the
 * order of time, and the first timer of all is in the first slot of the lowest level in use: two
 * bit scans find it. When time enters a slot of a higher level, its timers move down.
 *
 *     deadline  … 000101 101100 010011       on level 1, slot 44
 *     now       … 000101 101010 111000
 *                        ^^^^^^ first difference
 *
 * Inserting and removing write a few words and cannot fail. Moving a deadline later writes the
 * timer alone: it stays in its slot and is put where it belongs when time gets there. Each slot
 * knows a lower bound of its deadlines, exact unless its earliest timer was removed or extended;
 * that is when the loop has to wake for it. A wake-up for nothing moves the slot down, and no more.
 *
 * Equal deadlines fire in the order they were set, of which each timer keeps the number.
 *
 * What is due is taken in portions, so that its callbacks run while it is in the cache. `horizon`
 * is the time up to which timers are being taken. `now` runs after it and catches up when all are.
 * A deadline set at or before the horizon is overdue: it is kept aside until the next time, and
 * sorted then.
 */
#ifndef JG_CORE_WHEEL_H
#define JG_CORE_WHEEL_H

#include "base/list.h"

#include <juggle/timer.h>

#define JG__WHEEL_BITS   6
#define JG__WHEEL_SLOTS  64
#define JG__WHEEL_LEVELS 11

struct jg__slot {
    jg_link timers;
    jg_time earliest;
};

typedef struct jg__wheel {
    jg_time now, horizon;
    uint32_t levels;                     /* bit: level in use */
    uint32_t sequence;                   /* how many deadlines were set */
    uint64_t occupied[JG__WHEEL_LEVELS]; /* bit: slot in use */
    jg_link overdue;
    struct jg__slot slots[JG__WHEEL_LEVELS][JG__WHEEL_SLOTS];
} jg__wheel;

void jg__wheel_init(jg__wheel *wheel, jg_time now);

/* Put in a timer that is not linked, by its deadline. */
void jg__wheel_insert(jg__wheel *wheel, jg_timer *timer);

/*
 * Move the deadline of a timer that is in the wheel. False, and nothing done, if that takes
 * removing and inserting it.
 */
bool jg__wheel_extend(jg__wheel *wheel, jg_timer *timer, jg_time deadline);

/* Take out a timer that is in the wheel, or in a list that came from it. */
void jg__wheel_remove(jg__wheel *wheel, jg_timer *timer);

static inline bool jg__wheel_empty(const jg__wheel *wheel)
{
    return wheel->levels == 0 && jg__list_empty(&wheel->overdue);
}

/* No timer fires before this time; JG_FOREVER if there is none. Not while portions are left. */
jg_time jg__wheel_next(const jg__wheel *wheel);

/*
 * Move the horizon forward to `now`. The first portion of what is due goes to the end of `due`; it
 * may be empty, but if nothing is due at all this returns false.
 */
bool jg__wheel_advance(jg__wheel *wheel, jg_time now, jg_link *due);

/* Append the next portion of what is due, in order. False if there is none. */
bool jg__wheel_take(jg__wheel *wheel, jg_link *due);

/* Call fn on every timer in the wheel; it may remove that one. */
void jg__wheel_each(jg__wheel *wheel, void (*fn)(void *arg, jg_timer *timer), void *arg);

#endif
