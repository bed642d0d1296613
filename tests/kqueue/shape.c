/* SPDX-License-Identifier: MIT
 *
 * kqueue(2) as the <sys/event.h> that comes first has it: compiled for each of those in this
 * directory.
 *
 * An error of a change takes a slot for an event, and then errors are all there is, at once. When
 * there is no slot the call fails, and changes that are left are not made.
 */
#include "support.h"

#include "kqueue/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/event.h>

#ifdef EVFILT_USER
#    define KERNEL  test_freebsd
#    define QUEUE   kqueue_of_freebsd
#    define EVENT   kevent_of_freebsd
#    define count_t int
#else
#    define KERNEL  test_netbsd
#    define QUEUE   kqueue_of_netbsd
#    define EVENT   kevent_of_netbsd
#    define count_t size_t
#endif

typedef __typeof__(((struct kevent *)0)->filter) filter_type;

static const filter_type filters[] = {
    EVFILT_READ,
    EVFILT_WRITE,
#ifdef EVFILT_USER
    EVFILT_USER,
#endif
};

int QUEUE(void)
{
    return test_kqueue(&KERNEL);
}

static int make(int kq, const struct kevent *event)
{
    struct test_note change = {.ident = event->ident,
                               .flags = event->flags,
                               .fflags = event->fflags,
                               .data = event->data,
                               .udata = (uintptr_t)event->udata};

    while (filters[change.filter] != event->filter) {
        change.filter++;
        test_check((size_t)change.filter < sizeof(filters) / sizeof(filters[0]));
    }
    return test_kevent_change(kq, &change);
}

int EVENT(int kq, const struct kevent *changes, count_t nchanges, struct kevent *events,
          count_t nevents, const struct timespec *timeout)
{
    struct test_note *notes;
    count_t errors = 0;
    int n;

    __atomic_fetch_add(&test_kevent_calls, 1, __ATOMIC_RELAXED);
    for (count_t i = 0; i < nchanges; i++) {
        int error = make(kq, &changes[i]);

        if (error == 0) {
            continue;
        }
        if (errors == nevents) {
            errno = error;
            return -1;
        }
        events[errors] = changes[i];
        events[errors].flags = EV_ERROR;
        events[errors++].data = error;
    }
    if (errors > 0 || nevents == 0) {
        return (int)errors;
    }

    notes = malloc((size_t)nevents * sizeof(*notes));
    test_check(notes);
    n = test_kevent_wait(kq, notes, (int)nevents, timeout);
    for (int i = 0; i < n; i++) {
        events[i] = (struct kevent){.ident = notes[i].ident, .fflags = notes[i].fflags};
        events[i].filter = filters[notes[i].filter];
        events[i].flags = (__typeof__(events[i].flags))notes[i].flags;
        events[i].data = notes[i].data;
        events[i].udata = (__typeof__(events[i].udata))(uintptr_t)notes[i].udata;
    }
    free(notes);
    if (n < 0) {
        errno = -n;
        return -1;
    }
    return n;
}
