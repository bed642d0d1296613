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
 * Equal deadlines fire in the order they were set: they always share a slot, since the slot depends
 * on deadline and time alone, and moving a slot down keeps its order.
 *
 * Inserting and removing write a few words and cannot fail. Each slot also knows a lower bound of
 * its deadlines, exact unless its earliest timer was removed; that is when the loop has to wake for
 * it. A wake-up for a removed timer moves the slot down and costs no more than that.
 *
 * Deadlines before the wheel's time are kept aside and sorted when they are taken.
 */
#ifndef JG_CORE_WHEEL_H
#define JG_CORE_WHEEL_H

#include <juggle/timer.h>

#define JG__WHEEL_BITS   6
#define JG__WHEEL_SLOTS  64
#define JG__WHEEL_LEVELS 11

struct jg__slot {
    jg_link timers;
    jg_time earliest;
};

typedef struct jg__wheel {
    jg_time now;
    uint32_t levels;                     /* bit: level in use */
    uint64_t occupied[JG__WHEEL_LEVELS]; /* bit: slot in use */
    jg_link overdue;
    struct jg__slot slots[JG__WHEEL_LEVELS][JG__WHEEL_SLOTS];
} jg__wheel;

void jg__wheel_init(jg__wheel *wheel, jg_time now);

/* Put in a timer that is not linked, by its deadline. */
void jg__wheel_insert(jg__wheel *wheel, jg_timer *timer);

/* Take out a timer that is in the wheel, or in a list that came from it. */
void jg__wheel_remove(jg__wheel *wheel, jg_timer *timer);

/* No timer fires before this time; JG_FOREVER if there is none. */
jg_time jg__wheel_next(const jg__wheel *wheel);

/* Move time forward to `now`, and what is due by then to the end of `due`, in order. */
void jg__wheel_advance(jg__wheel *wheel, jg_time now, jg_link *due);

/* Call fn on every timer in the wheel; it may remove that one. */
void jg__wheel_each(jg__wheel *wheel, void (*fn)(void *arg, jg_timer *timer), void *arg);

#endif
