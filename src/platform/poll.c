/* SPDX-License-Identifier: MIT
 *
 * The poll backend: the portable reference, correct everywhere and linear in the number of
 * descriptors.
 *
 * `polled` is what poll(2) is given, without holes, the wake-up pipe first. `places` is indexed by
 * descriptor and says where in `polled` it is; place 0 means that it is not registered.
 */
#include "platform/system.h"

#include "platform/poller.h"

#include "base/alloc.h"
#include "platform/descriptor.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#ifndef POLLRDHUP
#    define POLLRDHUP 0
#endif

struct place {
    unsigned index;
    uint32_t generation;
};

struct poll {
    jg__poller poller;
    int wake[2];
    unsigned count;    /* used of polled */
    unsigned capacity; /* of polled */
    unsigned reach;    /* of places */
    unsigned start;    /* where the next look for ready ones begins, so that all get their turn */
    struct pollfd *polled;
    struct place *places;
    const jg_allocator *allocator;
};

static struct poll *poll_of(jg__poller *poller)
{
    return (struct poll *)poller;
}

static int reserve_place(struct poll *poll, unsigned fd)
{
    unsigned wanted = poll->reach * 2 > fd ? poll->reach * 2 : fd + 1;
    struct place *places;

    if (fd < poll->reach)
        return 0;

    places = jg__resize(poll->allocator, poll->places, poll->reach * sizeof(*places),
                        wanted * sizeof(*places));
    if (!places)
        return -ENOMEM;

    memset(places + poll->reach, 0, (wanted - poll->reach) * sizeof(*places));
    poll->places = places;
    poll->reach = wanted;
    return 0;
}

static int reserve_polled(struct poll *poll)
{
    unsigned wanted = poll->capacity * 2;
    struct pollfd *polled;

    if (poll->count < poll->capacity)
        return 0;

    polled = jg__resize(poll->allocator, poll->polled, poll->capacity * sizeof(*polled),
                        wanted * sizeof(*polled));
    if (!polled)
        return -ENOMEM;

    poll->polled = polled;
    poll->capacity = wanted;
    return 0;
}

static void poll_close(jg__poller *poller)
{
    struct poll *poll = poll_of(poller);
    const jg_allocator *allocator = poll->allocator;

    jg__wakefd_close(poll->wake);
    jg__free(allocator, poll->places, poll->reach * sizeof(*poll->places));
    jg__free(allocator, poll->polled, poll->capacity * sizeof(*poll->polled));
    jg__free(allocator, poll, sizeof(*poll));
}

static int poll_open(const jg_allocator *allocator, unsigned max_events, jg__clock *clock,
                     jg__poller **ret_poller)
{
    struct poll *poll = jg__alloc(allocator, sizeof(*poll));
    int r;

    (void)max_events;
    (void)clock;
    if (!poll)
        return -ENOMEM;

    *poll = (struct poll){.poller.ops = &jg__poll_ops,
                          .wake = {-1, -1},
                          .count = 1,
                          .capacity = 16,
                          .allocator = allocator};
    poll->polled = jg__alloc(allocator, poll->capacity * sizeof(*poll->polled));
    r = poll->polled ? jg__wakefd_open(poll->wake) : -ENOMEM;
    if (r < 0) {
        poll_close(&poll->poller);
        return r;
    }

    poll->polled[0] = (struct pollfd){.fd = poll->wake[0], .events = POLLIN};
    *ret_poller = &poll->poller;
    return 0;
}

static int poll_reopen(jg__poller *poller, bool forked)
{
    struct poll *poll = poll_of(poller);
    int wake[2];
    int r = jg__wakefd_open(wake);

    (void)forked;
    if (r < 0)
        return r;

    jg__wakefd_close(poll->wake);
    poll->wake[0] = wake[0];
    poll->wake[1] = wake[1];
    poll->polled[0].fd = wake[0];
    poll->count = 1;
    for (unsigned fd = 0; fd < poll->reach; fd++)
        poll->places[fd].index = 0;
    return 0;
}

static short to_poll(unsigned events)
{
    return (short)((events & JG_READ ? POLLIN : 0) | (events & JG_WRITE ? POLLOUT : 0) |
                   (events & JG_HANGUP ? POLLRDHUP : 0));
}

static int from_poll(int raw)
{
    if (raw & POLLNVAL)
        return -EBADF;
    if (raw & (POLLERR | POLLHUP))
        return JG__EVENTS_ALL;
    return (raw & POLLIN ? JG_READ : 0) | (raw & POLLOUT ? JG_WRITE : 0) |
           (raw & POLLRDHUP ? JG_HANGUP : 0);
}

/* Where a descriptor is registered, or NULL. */
static struct place *find(struct poll *poll, int fd)
{
    if ((unsigned)fd >= poll->reach || poll->places[fd].index == 0)
        return NULL;
    return &poll->places[fd];
}

static int poll_add(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct poll *poll = poll_of(poller);
    int r;

    if (find(poll, fd))
        return -EEXIST;

    r = jg__fd_check(fd);
    if (r == 0)
        r = reserve_place(poll, (unsigned)fd);
    if (r == 0)
        r = reserve_polled(poll);
    if (r < 0)
        return r;

    poll->places[fd] = (struct place){.index = poll->count, .generation = generation};
    poll->polled[poll->count++] = (struct pollfd){.fd = fd, .events = to_poll(events)};
    return 0;
}

static int poll_modify(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct poll *poll = poll_of(poller);
    struct place *place = find(poll, fd);
    int r = jg__fd_check(fd);

    if (r < 0)
        return r;
    if (!place)
        return -ENOENT;

    place->generation = generation;
    poll->polled[place->index].events = to_poll(events);
    return 0;
}

static int poll_remove(jg__poller *poller, int fd)
{
    struct poll *poll = poll_of(poller);
    struct place *place = find(poll, fd);
    struct pollfd *last;

    if (!place)
        return -ENOENT;

    last = &poll->polled[--poll->count];
    poll->places[last->fd].index = place->index;
    poll->polled[place->index] = *last;
    place->index = 0;
    return 0;
}

static void poll_forget(jg__poller *poller, int fd)
{
    (void)poll_remove(poller, fd); /* it need not be registered */
}

static int wait_kernel(struct pollfd *polled, unsigned count, jg_time timeout)
{
#if defined(__APPLE__) || defined(__NetBSD__)
    int n, span = -1;

    if (timeout < (jg_time)INT_MAX * JG_MILLISECOND)
        span = (int)((timeout + JG_MILLISECOND - 1) / JG_MILLISECOND);
    else if (timeout != JG_FOREVER)
        span = INT_MAX;
    n = poll(polled, count, span);
#else
    /* A time_t of 32 bits ends after 68 years; to wake once before is no harm. */
    const jg_time seconds = timeout / JG_SECOND;
    struct timespec span = {.tv_sec = (time_t)(seconds < INT_MAX ? seconds : INT_MAX),
                            .tv_nsec = (long)(timeout % JG_SECOND)};
    int n = ppoll(polled, count, timeout == JG_FOREVER ? NULL : &span, NULL);
#endif

    return n < 0 ? -errno : n;
}

static int poll_wait(jg__poller *poller, jg__event *events, int max, jg_time timeout)
{
    struct poll *poll = poll_of(poller);
    int n = wait_kernel(poll->polled, poll->count, timeout);
    int stored = 0;

    if (n < 0)
        return n;

    if (poll->polled[0].revents) {
        jg__wakefd_drain(poll->wake[0]);
        n--;
    }

    for (unsigned i = 1; i < poll->count && n > 0 && stored < max; i++) {
        const struct pollfd *polled;

        poll->start = poll->start + 1 < poll->count ? poll->start + 1 : 1;
        polled = &poll->polled[poll->start];
        if (!polled->revents)
            continue;

        n--;
        events[stored].fd = polled->fd;
        events[stored].generation = poll->places[polled->fd].generation;
        events[stored].events = from_poll(polled->revents);
        stored++;
    }

    /* Not in the loop above: it moves the places. */
    for (int i = 0; i < stored; i++) {
        if (events[i].events < 0)
            (void)poll_remove(poller, events[i].fd); /* it was there */
    }
    return stored;
}

static void poll_wake(jg__poller *poller)
{
    jg__wakefd_write(poll_of(poller)->wake[1]);
}

static int poll_fd(jg__poller *poller)
{
    (void)poller;
    return -ENOTSUP;
}

const jg__poller_ops jg__poll_ops = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .reopen = poll_reopen,
    .add = poll_add,
    .modify = poll_modify,
    .remove = poll_remove,
    .forget = poll_forget,
    .wait = poll_wait,
    .wake = poll_wake,
    .fd = poll_fd,
};
