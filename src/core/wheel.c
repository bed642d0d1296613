/* SPDX-License-Identifier: MIT */
#include "core/wheel.h"

#include "base/list.h"

static jg_timer *timer_of(jg_link *link)
{
    return jg__container_of(link, jg_timer, link);
}

void jg__wheel_init(jg__wheel *wheel, jg_time now)
{
    wheel->now = now;
    wheel->levels = 0;
    jg__list_init(&wheel->overdue);
    for (unsigned level = 0; level < JG__WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < JG__WHEEL_SLOTS; slot++)
            jg__list_init(&wheel->slots[level][slot].timers);
    }
}

void jg__wheel_insert(jg__wheel *wheel, jg_timer *timer)
{
    const uint64_t deadline = (uint64_t)timer->deadline;
    uint64_t difference, bit;
    unsigned level, index;
    struct jg__slot *slot;

    if (timer->deadline < wheel->now) {
        jg__list_append(&wheel->overdue, &timer->link);
        return;
    }

    difference = deadline ^ (uint64_t)wheel->now;
    level = (63 - (unsigned)__builtin_clzll(difference | 1)) / JG__WHEEL_BITS;
    index = (deadline >> (level * JG__WHEEL_BITS)) % JG__WHEEL_SLOTS;
    slot = &wheel->slots[level][index];
    bit = (uint64_t)1 << index;
    if (!(wheel->occupied[level] & bit) || timer->deadline < slot->earliest)
        slot->earliest = timer->deadline;
    wheel->occupied[level] |= bit;
    wheel->levels |= 1u << level;
    jg__list_append(&slot->timers, &timer->link);
}

static void mark_empty(jg__wheel *wheel, unsigned level, unsigned index)
{
    wheel->occupied[level] &= ~((uint64_t)1 << index);
    if (!wheel->occupied[level])
        wheel->levels &= ~(1u << level);
}

void jg__wheel_remove(jg__wheel *wheel, jg_timer *timer)
{
    jg_link *head = timer->link.next;
    bool alone = head == timer->link.prev;
    const char *first = (const char *)wheel->slots;
    size_t offset = (size_t)((const char *)head - first);

    jg__unlink(&timer->link);

    /* Alone in its list, a timer has the head of the list on both sides. */
    if (alone && offset < sizeof(wheel->slots)) {
        size_t place = offset / sizeof(struct jg__slot);

        mark_empty(wheel, (unsigned)(place / JG__WHEEL_SLOTS), place % JG__WHEEL_SLOTS);
    }
}

jg_time jg__wheel_next(const jg__wheel *wheel)
{
    unsigned level, index;

    if (!jg__list_empty(&wheel->overdue))
        return wheel->now;
    if (!wheel->levels)
        return JG_FOREVER;

    level = (unsigned)__builtin_ctz(wheel->levels);
    index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
    return wheel->slots[level][index].earliest;
}

/* Merge two sorted chains that end with NULL; of equal deadlines those of `a` come first. */
static jg_link *merge(jg_link *a, jg_link *b)
{
    jg_link first, *last = &first;

    while (a && b) {
        jg_link **lesser = timer_of(b)->deadline < timer_of(a)->deadline ? &b : &a;

        last->next = *lesser;
        last = *lesser;
        *lesser = last->next;
    }
    last->next = a ? a : b;
    return first.next;
}

/* Sort a list by deadline, stably, in O(n log n): runs[i] is a sorted chain of 2^i links. */
static void sort(jg_link *list)
{
    jg_link *runs[64] = {NULL};
    jg_link *chain = NULL;
    unsigned i, used = 0;

    while (!jg__list_empty(list)) {
        chain = jg__list_pop(list);
        for (i = 0; runs[i]; i++) {
            chain = merge(runs[i], chain);
            runs[i] = NULL;
        }
        runs[i] = chain;
        if (i >= used)
            used = i + 1;
    }

    chain = NULL;
    for (i = 0; i < used; i++)
        chain = merge(runs[i], chain);
    while (chain) {
        jg_link *next = chain->next;

        jg__list_append(list, chain);
        chain = next;
    }
}

/* Time enters a slot of a higher level: all of it belongs on lower ones now. */
static void move_down(jg__wheel *wheel, jg_link *timers)
{
    while (!jg__list_empty(timers))
        jg__wheel_insert(wheel, timer_of(jg__list_pop(timers)));
}

void jg__wheel_advance(jg__wheel *wheel, jg_time now, jg_link *due)
{
    if (!jg__list_empty(&wheel->overdue)) {
        sort(&wheel->overdue);
        jg__list_splice(due, &wheel->overdue);
    }

    while (wheel->levels) {
        unsigned level = (unsigned)__builtin_ctz(wheel->levels);
        unsigned index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
        unsigned shift = level * JG__WHEEL_BITS;
        uint64_t block = (uint64_t)wheel->now >> shift & ~(uint64_t)(JG__WHEEL_SLOTS - 1);
        jg_time start = (jg_time)((block | index) << shift);
        jg_link timers;

        if (start > now)
            break;

        jg__list_init(&timers);
        jg__list_splice(&timers, &wheel->slots[level][index].timers);
        mark_empty(wheel, level, index);
        wheel->now = start;
        if (level == 0)
            jg__list_splice(due, &timers);
        else
            move_down(wheel, &timers);
    }

    /* Nothing that is left lies before `now`, so it has not changed its level or slot. */
    if (now > wheel->now)
        wheel->now = now;
}

static void each(jg_link *list, void (*fn)(void *arg, jg_timer *timer), void *arg)
{
    for (jg_link *link = list->next, *next; link != list; link = next) {
        next = link->next;
        fn(arg, timer_of(link));
    }
}

void jg__wheel_each(jg__wheel *wheel, void (*fn)(void *arg, jg_timer *timer), void *arg)
{
    each(&wheel->overdue, fn, arg);
    for (unsigned level = 0; level < JG__WHEEL_LEVELS; level++) {
        for (unsigned slot = 0; slot < JG__WHEEL_SLOTS; slot++)
            each(&wheel->slots[level][slot].timers, fn, arg);
    }
}
