/* SPDX-License-Identifier: MIT */
#include "core/wheel.h"

#include "base/list.h"

#define FEW 16

static jg_timer *timer_of(jg_link *link)
{
    return jg__container_of(link, jg_timer, link);
}

void jg__wheel_init(jg__wheel *wheel, jg_time now)
{
    wheel->now = now;
    wheel->horizon = now;
    wheel->levels = 0;
    wheel->sequence = 0;
    jg__list_init(&wheel->overdue);
    for (unsigned level = 0; level < JG__WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < JG__WHEEL_SLOTS; slot++)
            jg__list_init(&wheel->slots[level][slot].timers);
    }
}

/* Put a timer into the slot where its deadline belongs, which lies after `now`. */
static void place(jg__wheel *wheel, jg_timer *timer)
{
    const uint64_t deadline = (uint64_t)timer->deadline;
    const uint64_t difference = deadline ^ (uint64_t)wheel->now;
    unsigned level = (63 - (unsigned)__builtin_clzll(difference | 1)) / JG__WHEEL_BITS;
    unsigned index = (deadline >> (level * JG__WHEEL_BITS)) % JG__WHEEL_SLOTS;
    struct jg__slot *slot = &wheel->slots[level][index];
    uint64_t bit = (uint64_t)1 << index;

    if (!(wheel->occupied[level] & bit) || timer->deadline < slot->earliest)
        slot->earliest = timer->deadline;
    wheel->occupied[level] |= bit;
    wheel->levels |= 1u << level;
    jg__list_append(&slot->timers, &timer->link);
}

/* The number of a timer's handle is free for this. */
static void number(jg__wheel *wheel, jg_timer *timer)
{
    timer->handle.number = (int)wheel->sequence++;
}

void jg__wheel_insert(jg__wheel *wheel, jg_timer *timer)
{
    number(wheel, timer);
    if (timer->deadline <= wheel->horizon)
        jg__list_append(&wheel->overdue, &timer->link);
    else
        place(wheel, timer);
}

bool jg__wheel_extend(jg__wheel *wheel, jg_timer *timer, jg_time deadline)
{
    /* One that is not later than the horizon may be on its way out. */
    if (timer->deadline <= wheel->horizon || deadline < timer->deadline)
        return false;

    timer->deadline = deadline;
    number(wheel, timer);
    return true;
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
        return wheel->horizon;
    if (!wheel->levels)
        return JG_FOREVER;

    level = (unsigned)__builtin_ctz(wheel->levels);
    index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
    return wheel->slots[level][index].earliest;
}

/* Whether `a` fires before `b`. Numbers wrap, but not within the deadlines set at one time. */
static bool is_before(const jg_timer *a, const jg_timer *b)
{
    if (a->deadline != b->deadline)
        return a->deadline < b->deadline;
    return (int32_t)((uint32_t)a->handle.number - (uint32_t)b->handle.number) < 0;
}

/* Merge two sorted chains that end with NULL. */
static jg_link *merge(jg_link *a, jg_link *b)
{
    jg_link first, *last = &first;

    while (a && b) {
        jg_link **lesser = is_before(timer_of(b), timer_of(a)) ? &b : &a;

        last->next = *lesser;
        last = *lesser;
        *lesser = last->next;
    }
    last->next = a ? a : b;
    return first.next;
}

/* Sort a list in O(n log n): runs[i] is a sorted chain of 2^i links. */
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

/* Whether a list has so few timers that sorting them is cheaper than moving them down. */
static bool is_short(const jg_link *list)
{
    const jg_link *link = list->next;

    for (unsigned n = 0; n < FEW; n++) {
        if (link == list)
            return true;
        link = link->next;
    }
    return false;
}

/* Put one timer into a sorted list, looking from its end. */
static void insert_sorted(jg_link *list, jg_link *link)
{
    jg_link *before = list->prev;

    while (before != list && is_before(timer_of(link), timer_of(before)))
        before = before->prev;
    link->prev = before;
    link->next = before->next;
    before->next->prev = link;
    before->next = link;
}

/*
 * Move the timers of a slot that ends with `last`, all before the horizon, to `due`, in order. What
 * was extended beyond the slot goes where it belongs now.
 */
static void take_slot(jg__wheel *wheel, jg_link *timers, bool few, jg_time last, jg_link *due)
{
    jg_link taken;
    bool sorted = true;

    jg__list_init(&taken);
    while (!jg__list_empty(timers)) {
        jg_link *link = jg__list_pop(timers);

        if (timer_of(link)->deadline > last) {
            place(wheel, timer_of(link));
        } else if (few) {
            insert_sorted(&taken, link);
        } else {
            if (!jg__list_empty(&taken))
                sorted &= is_before(timer_of(taken.prev), timer_of(link));
            jg__list_append(&taken, link);
        }
    }
    if (!sorted)
        sort(&taken);
    jg__list_splice(due, &taken);
}

/* Time enters a slot of a higher level: all of it belongs on lower ones now. */
static void move_down(jg__wheel *wheel, jg_link *timers)
{
    jg_link *head = timers->next, *tail = timers->prev;

    /*
     * From both ends, so that two cache misses overlap. The order within a slot does not matter:
     * what is taken from it is sorted.
     */
    while (head != tail) {
        jg_link *next = head->next, *prev = tail->prev;

        place(wheel, timer_of(head));
        place(wheel, timer_of(tail));
        if (next == tail)
            return;
        head = next;
        tail = prev;
    }
    if (head != timers)
        place(wheel, timer_of(head));
}

bool jg__wheel_take(jg__wheel *wheel, jg_link *due)
{
    while (wheel->levels) {
        unsigned level = (unsigned)__builtin_ctz(wheel->levels);
        unsigned index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
        unsigned shift = level * JG__WHEEL_BITS;
        uint64_t block = (uint64_t)wheel->now >> shift & ~(uint64_t)(JG__WHEEL_SLOTS - 1);
        uint64_t start = (block | index) << shift;
        uint64_t last = start + (((uint64_t)1 << shift) - 1);
        jg_link timers;
        bool few;

        if (start > (uint64_t)wheel->horizon)
            break;

        jg__list_init(&timers);
        jg__list_splice(&timers, &wheel->slots[level][index].timers);
        mark_empty(wheel, level, index);
        wheel->now = (jg_time)start;
        few = is_short(&timers);
        if (level == 0 || (few && last <= (uint64_t)wheel->horizon)) {
            take_slot(wheel, &timers, few, (jg_time)last, due);
            return true;
        }
        move_down(wheel, &timers);
    }

    /* Nothing that is left lies before the horizon: in the same slots, seen from there. */
    wheel->now = wheel->horizon;
    return false;
}

bool jg__wheel_advance(jg__wheel *wheel, jg_time now, jg_link *due)
{
    if (now > wheel->horizon)
        wheel->horizon = now;
    if (jg__list_empty(&wheel->overdue))
        return jg__wheel_take(wheel, due);

    sort(&wheel->overdue);
    jg__list_splice(due, &wheel->overdue);
    return true;
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
