/* SPDX-License-Identifier: MIT
 *
 * The test kit of the loop: see <juggle/test.h>.
 */
#include "base/time.h"
#include "core/loop.h"
#include "platform/script.h"

#include <juggle/test.h>

#include <errno.h>

/* The generator of Marsaglia: never 0, unless it was. The high bits are the better ones. */
static uint64_t random_bits(jg_loop *loop)
{
    loop->shuffle ^= loop->shuffle << 13;
    loop->shuffle ^= loop->shuffle >> 7;
    loop->shuffle ^= loop->shuffle << 17;
    return loop->shuffle >> 8;
}

int jg_test_advance(jg_loop *loop, jg_time delta)
{
    jg__check_thread(loop);
    if (!loop->clock.is_virtual || delta < 0)
        return -EINVAL;

    loop->clock.virtual_now = jg__time_add(loop->clock.virtual_now, delta);
    return 0;
}

void jg_test_shuffle(jg_loop *loop, uint64_t seed)
{
    jg__check_thread(loop);
    loop->shuffle = seed;
    for (int i = 0; seed && i < 16; i++)
        (void)random_bits(loop); /* small seeds have few bits at first */
}

/* Sort by random keys, one bit of each a pass, with so many bits that equal keys are rare. */
static void shuffle_list(jg_loop *loop, jg_link *list)
{
    jg_link halves[2];
    size_t count = 0;

    for (jg_link *link = list->next; link != list; link = link->next)
        count++;
    for (size_t keys = 64 * count * count; count > 1 && keys > 0; keys >>= 1) {
        jg__list_init(&halves[0]);
        jg__list_init(&halves[1]);
        while (!jg__list_empty(list))
            jg__list_append(&halves[random_bits(loop) & 1], jg__list_pop(list));
        jg__list_splice(list, &halves[0]);
        jg__list_splice(list, &halves[1]);
    }
}

/* The timers that are due, all of them at once, stay in the order of their deadlines. */
static void shuffle_timers(jg_loop *loop)
{
    jg_link rest, equals;

    while (jg__wheel_take(&loop->wheel, &loop->due))
        ;
    jg__list_init(&rest);
    jg__list_splice(&rest, &loop->due);
    while (!jg__list_empty(&rest)) {
        jg_time deadline = jg__container_of(rest.next, jg_timer, link)->deadline;

        jg__list_init(&equals);
        do
            jg__list_append(&equals, jg__list_pop(&rest));
        while (!jg__list_empty(&rest) &&
               jg__container_of(rest.next, jg_timer, link)->deadline == deadline);
        shuffle_list(loop, &equals);
        jg__list_splice(&loop->due, &equals);
    }
}

void jg__loop_shuffle(jg_loop *loop, int n)
{
    shuffle_list(loop, &loop->batch);
    for (int i = n; i > 1; i--) {
        int other = (int)(random_bits(loop) % (uint64_t)i);
        jg__event event = loop->events[i - 1];

        loop->events[i - 1] = loop->events[other];
        loop->events[other] = event;
    }
    shuffle_timers(loop);
}

int jg_test_script(jg_loop *loop, jg_time when, int fd, int events)
{
    jg__check_thread(loop);
    if (loop->poller->ops != &jg__script_ops || fd < 0 || events == 0 ||
        (events > 0 && events & ~JG__EVENTS_ALL))
        return -EINVAL;
    return jg__script_announce(loop->poller, when, fd, events);
}
