/* SPDX-License-Identifier: MIT
 *
 * The epoll backend.
 *
 * The data of an epoll event are descriptor and generation. The wake-up is an eventfd that is
 * registered edge-triggered and never read: each write to it is an edge, and its counter does not
 * overflow in the life of the universe.
 *
 * Other loops do not watch the epoll instance itself, which reopen() replaces, but another one in
 * front of it, made when it is asked for.
 */
#include "platform/system.h"

#include "platform/poller.h"

#ifdef __linux__

#    include "base/alloc.h"
#    include "platform/descriptor.h"
#    include "platform/sanitizer.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <limits.h>
#    include <sys/epoll.h>
#    include <sys/syscall.h>
#    include <unistd.h>

#    ifndef SYS_epoll_pwait2
#        define SYS_epoll_pwait2 441
#    endif

#    define WAKE UINT64_MAX

struct epoll {
    jg__poller poller;
    int fd;
    int front; /* -1: nobody asked */
    int wake[2];
    bool no_pwait2; /* the kernel is older than 5.11, or a filter forbids it */
    unsigned max_events;
    const jg_allocator *allocator;
    struct epoll_event raw[];
};

static size_t size_of(unsigned max_events)
{
    return sizeof(struct epoll) + max_events * sizeof(struct epoll_event);
}

static struct epoll *epoll_of(jg__poller *poller)
{
    return (struct epoll *)poller;
}

static int open_kernel(int *ret_fd, int ret_wake[2])
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE};
    int wake[2] = {-1, -1};
    int r, fd;

    fd = epoll_create1(EPOLL_CLOEXEC);
    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd < 0)
        return fd;

    r = jg__wakefd_open(wake);
    if (r < 0)
        goto fail;

    if (epoll_ctl(fd, EPOLL_CTL_ADD, wake[0], &event) < 0) {
        r = -errno;
        goto fail;
    }

    *ret_fd = fd;
    ret_wake[0] = wake[0];
    ret_wake[1] = wake[1];
    return 0;

fail:
    jg__wakefd_close(wake);
    jg__fd_close(fd);
    return r;
}

static int epoll_open(const jg_allocator *allocator, unsigned max_events, jg__clock *clock,
                      jg__poller **ret_poller)
{
    struct epoll *epoll = jg__alloc(allocator, size_of(max_events));
    int r;

    (void)clock;
    if (!epoll)
        return -ENOMEM;

    epoll->poller.ops = &jg__epoll_ops;
    epoll->front = -1;
    /* ThreadSanitizer holds signals back until the next call that it knows: this one it does not. */
    epoll->no_pwait2 = JG__TSAN;
    epoll->max_events = max_events;
    epoll->allocator = allocator;
    r = open_kernel(&epoll->fd, epoll->wake);
    if (r < 0) {
        jg__free(allocator, epoll, size_of(max_events));
        return r;
    }

    *ret_poller = &epoll->poller;
    return 0;
}

static void epoll_close(jg__poller *poller)
{
    struct epoll *epoll = epoll_of(poller);

    jg__wakefd_close(epoll->wake);
    jg__fd_close(epoll->front);
    jg__fd_close(epoll->fd);
    jg__free(epoll->allocator, epoll, size_of(epoll->max_events));
}

/* An epoll instance that is readable when `fd` is. */
static int open_front(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int front = epoll_create1(EPOLL_CLOEXEC);
    int r;

    front = jg__fd_tidy(front < 0 ? -errno : front);
    if (front < 0 || epoll_ctl(front, EPOLL_CTL_ADD, fd, &event) == 0)
        return front;

    r = -errno;
    jg__fd_close(front);
    return r;
}

/* Have the number `old` mean what `fresh` does. It cannot fail: both are open. */
static void replace(int old, int fresh)
{
    (void)dup3(fresh, old, O_CLOEXEC);
    jg__fd_close(fresh);
}

/*
 * The same for the instance that stands behind `front`, which has `fresh` as well by now. To be
 * taken out some day it has to be in there by the number that stays; if there is no memory for that
 * then it goes when it is closed.
 */
static void replace_behind(int front, int old, int fresh)
{
    struct epoll_event event = {.events = EPOLLIN};

    (void)epoll_ctl(front, EPOLL_CTL_DEL, old, NULL);
    (void)dup3(fresh, old, O_CLOEXEC);
    if (epoll_ctl(front, EPOLL_CTL_ADD, old, &event) == 0)
        (void)epoll_ctl(front, EPOLL_CTL_DEL, fresh, NULL); /* it is in there */
    jg__fd_close(fresh);
}

/* Have what stands in front know of a fresh instance, or make another one that does. */
static int prepare_front(const struct epoll *epoll, int fresh, bool forked, int *ret_front)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (epoll->front < 0)
        return 0;
    if (!forked)
        return epoll_ctl(epoll->front, EPOLL_CTL_ADD, fresh, &event) < 0 ? -errno : 0;
    *ret_front = open_front(fresh);
    return *ret_front < 0 ? *ret_front : 0;
}

/*
 * All descriptors keep their numbers, which others may know or be about to write to. A wake-up that
 * gets lost in between is no loss: the loop is awake, and looks for work before it sleeps. The
 * registration of the wake-up follows its open file to the old number.
 */
static int epoll_reopen(jg__poller *poller, bool forked)
{
    struct epoll *epoll = epoll_of(poller);
    int fd = -1, front = -1, wake[2] = {-1, -1};
    int r = open_kernel(&fd, wake);

    if (r < 0)
        return r;

    r = prepare_front(epoll, fd, forked, &front);
    if (r < 0) {
        jg__wakefd_close(wake);
        jg__fd_close(fd);
        return r;
    }

    if (epoll->front >= 0 && !forked)
        replace_behind(epoll->front, epoll->fd, fd);
    else
        replace(epoll->fd, fd);
    replace(epoll->wake[0], wake[0]);
    if (front >= 0)
        replace(epoll->front, front);
    return 0;
}

static int control(jg__poller *poller, int operation, int fd, uint32_t generation, unsigned events)
{
    struct epoll_event event;

    event.events = (events & JG_READ ? EPOLLIN : 0u) | (events & JG_WRITE ? EPOLLOUT : 0u) |
                   (events & JG_HANGUP ? EPOLLRDHUP : 0u) |
                   (events & JG__EDGE ? EPOLLET | EPOLLPRI : 0u);
    event.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
    return epoll_ctl(epoll_of(poller)->fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int epoll_add(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    return control(poller, EPOLL_CTL_ADD, fd, generation, events);
}

static int epoll_modify(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    return control(poller, EPOLL_CTL_MOD, fd, generation, events);
}

static int epoll_remove(jg__poller *poller, int fd)
{
    return control(poller, EPOLL_CTL_DEL, fd, 0, 0);
}

static void epoll_forget(jg__poller *poller, int fd)
{
    (void)poller;
    (void)fd;
}

/* Milliseconds, rounded up: to wake early would be to wake again and again until it is time. */
static int milliseconds(jg_time timeout)
{
    if (timeout == 0)
        return 0;
    if (timeout > (jg_time)INT_MAX * JG_MILLISECOND)
        return timeout == JG_FOREVER ? -1 : INT_MAX;
    return (int)((timeout + JG_MILLISECOND - 1) / JG_MILLISECOND);
}

static int wait_kernel(struct epoll *epoll, int max, jg_time timeout)
{
    struct {
        int64_t seconds;
        int64_t nanoseconds;
    } span;
    int n;

    /* epoll_wait is the cheaper call where it is exact: for no time and for ever. */
    if (timeout > 0 && timeout != JG_FOREVER && !epoll->no_pwait2) {
        span.seconds = timeout / JG_SECOND;
        span.nanoseconds = timeout % JG_SECOND;
        n = (int)syscall(SYS_epoll_pwait2, epoll->fd, epoll->raw, max, &span, NULL, (size_t)0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n < 0 ? -errno : n;
        epoll->no_pwait2 = true;
    }

    n = epoll_wait(epoll->fd, epoll->raw, max, milliseconds(timeout));
    return n < 0 ? -errno : n;
}

_Static_assert(JG_READ == 1 && JG_WRITE == 2 && JG__EVENTS_ALL == 7 && JG__URGENT == 16 &&
                   EPOLLIN == 1 && EPOLLPRI == 2 && EPOLLOUT == 4 && EPOLLERR == 8 &&
                   EPOLLHUP == 16 && (unsigned)EPOLLRDHUP >> 11 == JG_HANGUP,
               "the bits lie where translate() looks for them");

/* Without branches and with few instructions: every event passes here. */
static int translate(uint32_t raw)
{
    /* What the lowest five bits mean together. Beyond EPOLLERR it is all events. */
    static const uint8_t meaning[32] = {
        0, 1, 16, 17, 2, 3, 18, 19, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7,  7,  7, 7, 7,  7,  7, 7, 7, 7, 7, 7, 7, 7,
    };

    return meaning[raw & 31] | (int)((raw & EPOLLRDHUP) >> 11);
}

static int epoll_wait_events(jg__poller *poller, jg__event *events, int max, jg_time timeout)
{
    struct epoll *epoll = epoll_of(poller);
    int n = wait_kernel(epoll, max, timeout);
    const struct epoll_event *raw = epoll->raw, *end = raw + n;
    jg__event *stored = events;

    if (n < 0)
        return n;

    for (; raw < end; raw++) {
        uint64_t data = raw->data.u64;

        if (data == WAKE)
            continue;
        stored->fd = (int)(uint32_t)data;
        stored->generation = (uint32_t)(data >> 32);
        stored->events = translate(raw->events);
        stored++;
    }
    return (int)(stored - events);
}

static void epoll_wake(jg__poller *poller)
{
    jg__wakefd_write(epoll_of(poller)->wake[1]);
}

static int epoll_fd(jg__poller *poller)
{
    struct epoll *epoll = epoll_of(poller);
    int front;

    if (epoll->front < 0) {
        front = open_front(epoll->fd);
        if (front < 0)
            return front;
        epoll->front = front;
    }
    return epoll->front;
}

const jg__poller_ops jg__epoll_ops = {
    .name = "epoll",
    .has_edge = true,
    .open = epoll_open,
    .close = epoll_close,
    .reopen = epoll_reopen,
    .add = epoll_add,
    .modify = epoll_modify,
    .remove = epoll_remove,
    .forget = epoll_forget,
    .wait = epoll_wait_events,
    .wake = epoll_wake,
    .fd = epoll_fd,
};

#endif
