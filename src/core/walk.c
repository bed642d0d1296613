/* SPDX-License-Identifier: MIT
 *
 * Everything that is started on a loop: shown, or stopped when the loop ends.
 */
#include "core/loop.h"

#include <stdio.h>

enum kind { CALL, TIMER, WATCHER, WAKE, SIGNAL, CHILD };

struct walk {
    jg_walk_fn fn;
    void *arg;
    bool stop;
};

static void show(const struct walk *walk, enum kind kind, void *object, const void *arg,
                 const jg_handle *handle)
{
    static const char *const names[] = {"call", "timer", "watcher", "wake", "signal", "child"};

    const bool numbered = kind != CALL && kind != TIMER && kind != WAKE;

    if (handle && handle->flags & JG__HIDDEN)
        return;

    walk->fn(walk->arg, &(jg_started){.kind = names[kind],
                                      .object = object,
                                      .arg = arg,
                                      .number = handle && numbered ? handle->number : -1,
                                      .ref = !handle || !(handle->flags & JG__UNREF)});
    if (!walk->stop)
        return;

    switch (kind) {
    case CALL:
        (void)jg_call_cancel(object); /* it is queued, as it was shown */
        break;
    case TIMER:
        jg_timer_stop(object);
        break;
    case WATCHER:
        jg_watcher_stop(object);
        break;
    case WAKE:
        jg_wake_stop(object);
        break;
    case SIGNAL:
        jg_signal_stop(object);
        break;
    case CHILD:
        jg_child_stop(object);
        break;
    }
}

static void show_calls(const struct walk *walk, jg_link *list)
{
    for (jg_link *link = list->next, *next; link != list; link = next) {
        jg_call *call = jg__container_of(link, jg_call, link);

        next = link->next;
        if (!jg__wake_owns(call) && !jg__signal_owns(call) && !jg__child_owns(call))
            show(walk, CALL, call, call->arg, NULL);
    }
}

static void show_timer(void *arg, jg_timer *timer)
{
    show(arg, TIMER, timer, timer->arg, &timer->handle);
}

static void show_watchers(const struct walk *walk, jg_loop *loop)
{
    for (int fd = 0; fd < loop->reach; fd++) {
        for (jg_watcher *w = loop->descriptors[fd].watchers, *next; w; w = next) {
            next = w->next;
            show(walk, WATCHER, w, w->arg, &w->handle);
        }
    }
}

static void show_all(struct walk *walk, jg_loop *loop)
{
    show_calls(walk, &loop->batch);
    show_calls(walk, &loop->ready);
    for (jg_link *link = loop->due.next, *next; link != &loop->due; link = next) {
        next = link->next;
        show_timer(walk, jg__container_of(link, jg_timer, link));
    }
    jg__wheel_each(&loop->wheel, show_timer, walk);
    show_watchers(walk, loop);

    for (jg_link *link = loop->wakes.next, *next; link != &loop->wakes; link = next) {
        jg_wake *wake = jg__container_of(link, jg_wake, link);

        next = link->next;
        show(walk, WAKE, wake, wake->arg, &wake->handle);
    }
    for (jg_link *link = loop->signals.next, *next; link != &loop->signals; link = next) {
        jg_signal *signal = jg__container_of(link, jg_signal, link);

        next = link->next;
        show(walk, SIGNAL, signal, signal->arg, &signal->handle);
    }
    for (jg_link *link = loop->children.next, *next; link != &loop->children; link = next) {
        jg_child *child = jg__container_of(link, jg_child, link);

        next = link->next;
        show(walk, CHILD, child, child->arg, &child->handle);
    }
}

void jg_loop_walk(jg_loop *loop, jg_walk_fn fn, void *arg)
{
    jg__check_thread(loop);
    show_all(&(struct walk){.fn = fn, .arg = arg}, loop);
}

struct leaks {
    jg_loop *loop;
    int count;
};

static void report(void *arg, const jg_started *started)
{
    struct leaks *leaks = arg;
    char text[160];

    leaks->count++;
    snprintf(text, sizeof(text), "%s %p (number %d, arg %p) is still started", started->kind,
             started->object, started->number, started->arg);
    jg__loop_error(leaks->loop, JG_ELEAKED, text);
}

int jg__loop_stop_all(jg_loop *loop)
{
    struct leaks leaks = {.loop = loop};

    show_all(&(struct walk){.fn = report, .arg = &leaks, .stop = true}, loop);
    return leaks.count;
}
