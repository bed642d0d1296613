/* SPDX-License-Identifier: MIT
 *
 * Wake-ups from other threads and from signal handlers.
 *
 * A sent wake is pushed on the loop's inbox, a lock-free stack which the loop takes whole. `sent`
 * is set from the send until just before the callback runs, so a wake is in the inbox at most once,
 * and its call's link is free to link the inbox.
 *
 * Why no wake-up is lost: the sender pushes, then looks at `sleeping`; the loop sets `sleeping`,
 * then looks at the inbox, then sleeps. In the one order of these four, either the loop sees the
 * push or the sender sees `sleeping` and wakes the poller, whose wake() also ends a wait not yet
 * begun.
 */
#include "core/loop.h"

static void run(void *arg)
{
    jg_wake *wake = arg;

    /* Before the callback: what is sent from here on means another call. */
    jg__exchange(&wake->sent, 0);
    wake->fn(wake->arg);
}

bool jg__wake_owns(const jg_call *call)
{
    return call->fn == run;
}

void jg_wake_init(jg_wake *wake, jg_call_fn fn, void *arg)
{
    *wake = (jg_wake){.fn = fn, .arg = arg};
    jg__handle_init(&wake->handle);
    jg_call_init(&wake->call, run, wake);
}

void jg_wake_start(jg_loop *loop, jg_wake *wake)
{
    jg__check_thread(loop);
    if (wake->handle.loop) {
        jg__check(wake->handle.loop == loop, "the wake is started on another loop");
        return;
    }

    jg__handle_start(loop, &wake->handle);
    jg__list_append(&loop->wakes, &wake->link);
}

void jg_wake_send(jg_wake *wake)
{
    jg_loop *loop = wake->handle.loop;
    jg_call *newest;

    if (!loop || jg__exchange(&wake->sent, 1))
        return;

    newest = jg__load_relaxed(&loop->inbox);
    do
        wake->call.link.next = newest ? &newest->link : NULL;
    while (!jg__compare_exchange(&loop->inbox, &newest, &wake->call));

    if (jg__load(&loop->sleeping) && jg__exchange(&loop->sleeping, 0))
        loop->poller->ops->wake(loop->poller);
}

void jg__inbox_drain(jg_loop *loop)
{
    jg_call *call = jg__exchange(&loop->inbox, NULL);
    jg_link *newer = &loop->ready;

    /* From the newest to the oldest, each goes before the one that came after it. */
    while (call) {
        jg_link *older = call->link.next;
        jg_link *last = newer->prev;

        call->link.next = newer;
        call->link.prev = last;
        newer->prev = &call->link;
        last->next = &call->link;
        newer = &call->link;
        call = older ? jg__container_of(older, jg_call, link) : NULL;
        loop->counters.wakes++;
    }
}

void jg_wake_stop(jg_wake *wake)
{
    jg_loop *loop = wake->handle.loop;

    if (!loop)
        return;

    jg__check_thread(loop);
    if (jg__exchange(&wake->sent, 0)) {
        jg__inbox_drain(loop);
        jg__unlink(&wake->call.link);
    }
    jg__unlink(&wake->link);
    jg__handle_stop(&wake->handle);
}
