/* SPDX-License-Identifier: MIT
 *
 * Watchers: who wants what of which descriptor, and telling the kernel as little as possible.
 *
 * The first watcher of a descriptor is registered at once, so that a bad descriptor is refused
 * where it is given; so is every further one, which tells whether the number still means the same
 * file. Other changes wait until the loop is about to sleep, and cost nothing if they undo each
 * other.
 *
 * Each registration has a generation of its own, which its events carry. An event of another
 * generation than the descriptor's is dropped. It is harmless if the registration changed since the
 * wait. Otherwise the kernel kept a registration that nothing can reach any more: its descriptor
 * was closed while a duplicate lives on, in a child process, say. Then the poller starts again with
 * what is really wanted, for such a descriptor could keep the loop awake for ever.
 *
 * A watcher is not told of events that are older than itself: one that was started inside a turn is
 * fresh until the next wait, and what it wants counts for the kernel alone.
 */
#include "core/loop.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Flags of descriptors. */
#define REGISTERED (1u << 0) /* the poller knows it */
#define CHANGED    (1u << 1) /* it is in loop->changed */
#define ALWAYS     (1u << 2) /* it is in loop->always */
#define FAILING    (1u << 3) /* it has watchers that are marked JG__FAILED, and is CHANGED */

#define FEWEST_DESCRIPTORS 64

/* What an edge-triggered watcher wants, if it is not paused. */
#define EDGE_EVENTS (JG__EVENTS_ALL | JG__EDGE | JG__URGENT)

/* What a descriptor takes in the one block that descriptors, changed and always are. */
#define EACH (sizeof(jg__descriptor) + 2 * sizeof(int))

void jg_watcher_init(jg_watcher *watcher, jg_watcher_fn fn, void *arg)
{
    *watcher = (jg_watcher){.fn = fn, .arg = arg};
    jg__handle_init(&watcher->handle);
}

int jg__watchers_init(jg_loop *loop, unsigned max_events)
{
    loop->events = jg__alloc(&loop->allocator, max_events * sizeof(*loop->events));
    loop->max_events = (int)max_events;
    return loop->events ? 0 : -ENOMEM;
}

void jg__watchers_fini(jg_loop *loop)
{
    jg__free(&loop->allocator, loop->descriptors, (size_t)loop->reach * EACH);
    jg__free(&loop->allocator, loop->events, (size_t)loop->max_events * sizeof(*loop->events));
}

/* Have room for a descriptor. */
static int reserve(jg_loop *loop, int fd)
{
    size_t old = (size_t)loop->reach, reach = old * 2;
    jg__descriptor *descriptors;
    int *changed, *always;

    if (fd < loop->reach)
        return 0;

    if (reach < FEWEST_DESCRIPTORS)
        reach = FEWEST_DESCRIPTORS;
    if (reach <= (size_t)fd) {
        /* A great number has to be a descriptor before it is a reason for a great table. */
        if (loop->poller->ops->modify(loop->poller, fd, 0, 0) == -EBADF)
            return -EBADF;
        reach = (size_t)fd + 1;
    }

    descriptors = jg__alloc(&loop->allocator, reach * EACH);
    if (!descriptors)
        return -ENOMEM;

    changed = (int *)(void *)(descriptors + reach);
    always = changed + reach;
    if (old > 0) {
        memcpy(descriptors, loop->descriptors, old * sizeof(*descriptors));
        memcpy(changed, loop->changed, (size_t)loop->changed_count * sizeof(int));
        memcpy(always, loop->always, (size_t)loop->always_count * sizeof(int));
    }
    memset(descriptors + old, 0, (reach - old) * sizeof(*descriptors));
    jg__free(&loop->allocator, loop->descriptors, old * EACH);
    loop->descriptors = descriptors;
    loop->changed = changed;
    loop->always = always;
    loop->reach = (int)reach;
    return 0;
}

static void mark_changed(jg_loop *loop, jg__descriptor *descriptor, int fd)
{
    if (descriptor->flags & CHANGED)
        return;

    descriptor->flags |= CHANGED;
    loop->changed[loop->changed_count++] = fd;
}

/* What two want of a descriptor together. It is edge-triggered only if both are. */
static unsigned together(unsigned one, unsigned other)
{
    if (!one || !other)
        return one | other;
    return ((one | other) & ~JG__EDGE) | (one & other & JG__EDGE);
}

/* What the watchers of a descriptor want together, told to the kernel later if it differs. */
static void want(jg_loop *loop, jg__descriptor *descriptor, int fd)
{
    unsigned wanted = 0;

    for (const jg_watcher *w = descriptor->watchers; w; w = w->next) {
        if (!(w->handle.flags & JG__FAILED))
            wanted = together(wanted, w->wanted);
    }
    descriptor->wanted = (uint8_t)wanted;
    if (wanted != descriptor->known || !descriptor->watchers)
        mark_changed(loop, descriptor, fd);
}

/* The file behind a descriptor is gone: its watchers are told, with the error, in the next turn. */
static void fail(jg_loop *loop, jg__descriptor *descriptor, int fd, int error)
{
    for (jg_watcher *w = descriptor->watchers; w; w = w->next) {
        if (w->handle.flags & JG__FAILED)
            continue;
        w->handle.flags |= JG__FAILED;
        w->handle.events = 0;
        w->wanted = (uint32_t)-error;
        descriptor->flags |= FAILING;
    }
    descriptor->wanted = 0;
    mark_changed(loop, descriptor, fd);
}

static void forget_always(jg_loop *loop, jg__descriptor *descriptor, int fd)
{
    int i = 0;

    if (!(descriptor->flags & ALWAYS))
        return;

    while (loop->always[i] != fd)
        i++;
    loop->always_count--;
    memmove(&loop->always[i], &loop->always[i + 1],
            (size_t)(loop->always_count - i) * sizeof(*loop->always));
    if (i < loop->always_next)
        loop->always_next--;
    descriptor->flags &= (uint8_t)~ALWAYS;
}

/* The poller has this descriptor. */
static void registered(jg_loop *loop, jg__descriptor *descriptor)
{
    loop->registered += !(descriptor->flags & REGISTERED);
    descriptor->flags |= REGISTERED;
}

/* The poller does not have this descriptor any more. */
static void unregistered(jg_loop *loop, jg__descriptor *descriptor)
{
    loop->registered -= !!(descriptor->flags & REGISTERED);
    descriptor->flags &= (uint8_t)~REGISTERED;
    descriptor->known = 0;
    descriptor->generation = ++loop->generation;
}

/* Whether somebody watches it, other than those who have lost it. */
static bool has_watchers(const jg__descriptor *descriptor)
{
    for (const jg_watcher *w = descriptor->watchers; w; w = w->next) {
        if (!(w->handle.flags & JG__FAILED))
            return true;
    }
    return false;
}

/*
 * Register what is now behind `fd`, or see that it is. If it is not what was registered, the
 * watchers there are have lost theirs.
 */
static int register_now(jg_loop *loop, int fd, unsigned wanted)
{
    jg__descriptor *descriptor = &loop->descriptors[fd];
    const jg__poller_ops *ops = loop->poller->ops;
    uint32_t generation = loop->generation + 1;
    bool shared = has_watchers(descriptor);
    int r = -ENOENT;

    if (descriptor->flags & REGISTERED) {
        /*
         * The others keep what this turn may have for them. Without others: that the kernel knows
         * the file does not mean that it is the one registered last.
         */
        r = ops->modify(loop->poller, fd, shared ? descriptor->generation : generation, wanted);
        if (r == 0 && shared)
            goto known;
    }
    if (r == -ENOENT)
        r = ops->add(loop->poller, fd, generation, wanted);
    if (r == -EEXIST)
        r = ops->modify(loop->poller, fd, generation, wanted);
    if (r == -EPERM && descriptor->flags & ALWAYS)
        return 0;
    if (r < 0 && r != -EPERM)
        return r;

    /* Paused watchers of a descriptor that hung up are not registered either, and lost nothing. */
    if (descriptor->watchers && descriptor->flags & (REGISTERED | ALWAYS))
        fail(loop, descriptor, fd, -EBADF);
    unregistered(loop, descriptor);
    if (r == -EPERM) {
        descriptor->flags |= ALWAYS;
        loop->always[loop->always_count++] = fd;
        return 0;
    }
    forget_always(loop, descriptor, fd);
    registered(loop, descriptor);

known:
    descriptor->known = (uint8_t)wanted;
    return 0;
}

static int start(jg_loop *loop, jg_watcher *watcher, int fd, unsigned events)
{
    jg_watcher **place;
    int r;

    if (jg__loop_forked(loop))
        return JG_EFORKED;

    r = reserve(loop, fd);
    if (r < 0)
        return r;

    r = register_now(loop, fd, together(loop->descriptors[fd].wanted, events));
    if (r < 0)
        return r;

    watcher->handle.number = fd;
    watcher->handle.events = (uint16_t)events;
    watcher->handle.flags &= (uint16_t) ~(JG__FAILED | JG__FRESH);
    watcher->wanted = events;
    watcher->next = NULL;
    for (place = &loop->descriptors[fd].watchers; *place; place = &(*place)->next)
        ;
    *place = watcher;
    jg__handle_start(loop, &watcher->handle);
    want(loop, &loop->descriptors[fd], fd);
    if (loop->running) {
        watcher->handle.events = 0;
        watcher->handle.flags |= JG__FRESH;
        mark_changed(loop, &loop->descriptors[fd], fd);
    }
    return 0;
}

int jg_watcher_start(jg_loop *loop, jg_watcher *watcher, int fd, unsigned events)
{
    jg__check_thread(loop);
    if (watcher->handle.loop)
        return -EALREADY;
    if (fd < 0)
        return -EBADF;
    if (events & ~(unsigned)JG__EVENTS_ALL)
        return -EINVAL;
    return start(loop, watcher, fd, events);
}

int jg__watcher_start_edge(jg_loop *loop, jg_watcher *watcher, int fd)
{
    int r = start(loop, watcher, fd, EDGE_EVENTS);

    if (r == 0)
        loop->has_edges = true;
    return r;
}

/* Have a started watcher want these events from now on. */
static void set_wanted(jg_loop *loop, jg_watcher *watcher, unsigned events)
{
    int fd = watcher->handle.number;

    watcher->wanted = events;
    if (!(watcher->handle.flags & JG__FRESH))
        watcher->handle.events = (uint16_t)events;
    want(loop, &loop->descriptors[fd], fd);
}

void jg__watcher_unpause(jg_watcher *watcher, unsigned events)
{
    if (!(watcher->handle.flags & JG__FAILED))
        set_wanted(watcher->handle.loop, watcher, watcher->wanted | events);
}

int jg_watcher_modify(jg_watcher *watcher, unsigned events)
{
    jg_loop *loop = watcher->handle.loop;

    if (!loop || events & ~(unsigned)JG__EVENTS_ALL)
        return -EINVAL;

    jg__check_thread(loop);
    if (watcher->handle.flags & JG__FAILED)
        return 0; /* it learns why in a moment */
    set_wanted(loop, watcher, events);
    return 0;
}

/* Take a watcher off its descriptor, leaving the kernel as it is. */
static void detach(jg_loop *loop, jg_watcher *watcher)
{
    jg_watcher **place = &loop->descriptors[watcher->handle.number].watchers;

    while (*place != watcher)
        place = &(*place)->next;
    *place = watcher->next;
    if (loop->cursor == watcher)
        loop->cursor = watcher->next;
    watcher->wanted = 0; /* so that it tells whether it is started, too */
    jg__handle_stop(&watcher->handle);
}

void jg_watcher_stop(jg_watcher *watcher)
{
    jg_loop *loop = watcher->handle.loop;
    int fd = watcher->handle.number;

    if (!loop)
        return;

    jg__check_thread(loop);
    detach(loop, watcher);
    want(loop, &loop->descriptors[fd], fd);
}

int jg_watcher_close(jg_watcher *watcher)
{
    jg_loop *loop = watcher->handle.loop;
    int fd = watcher->handle.number;
    jg__descriptor *descriptor;

    if (!loop)
        return -EINVAL;

    jg__check_thread(loop);
    if (watcher->handle.flags & JG__FAILED && watcher->wanted == EBADF) {
        jg_watcher_stop(watcher);
        return -EBADF;
    }
    detach(loop, watcher);
    descriptor = &loop->descriptors[fd];
    if (!jg__loop_forked(loop) && descriptor->flags & REGISTERED)
        loop->poller->ops->forget(loop->poller, fd);
    unregistered(loop, descriptor);
    descriptor->wanted = 0;
    forget_always(loop, descriptor, fd);
    if (descriptor->watchers)
        fail(loop, descriptor, fd, -EBADF);
    return jg__fd_close(fd);
}

/* Bring the kernel up to date with one descriptor. */
static void update(jg_loop *loop, int fd)
{
    jg__descriptor *descriptor = &loop->descriptors[fd];
    const jg__poller_ops *ops = loop->poller->ops;
    unsigned wanted = descriptor->wanted;
    int r;

    if (!descriptor->watchers) {
        if (descriptor->flags & REGISTERED)
            (void)ops->remove(loop->poller, fd); /* it may be closed, which is as good */
        unregistered(loop, descriptor);
        forget_always(loop, descriptor, fd);
        descriptor->flags &= (uint8_t)~FAILING;
        return;
    }
    for (jg_watcher *w = descriptor->watchers; w; w = w->next) {
        if (w->handle.flags & JG__FRESH && !(w->handle.flags & JG__FAILED))
            w->handle.events = (uint16_t)w->wanted;
        w->handle.flags &= (uint16_t)~JG__FRESH;
    }
    if (descriptor->flags & ALWAYS || wanted == descriptor->known)
        return;

    if (descriptor->flags & REGISTERED)
        r = ops->modify(loop->poller, fd, descriptor->generation, wanted);
    else
        r = ops->add(loop->poller, fd, descriptor->generation, wanted);
    if (r < 0) {
        (void)ops->remove(loop->poller, fd); /* it may be gone */
        unregistered(loop, descriptor);
        fail(loop, descriptor, fd, r == -ENOENT || r == -EPERM ? -EBADF : r);
        return;
    }

    registered(loop, descriptor);
    descriptor->known = (uint8_t)wanted;
}

bool jg__watchers_flush(jg_loop *loop)
{
    int count = loop->changed_count, kept = 0;

    for (int i = 0; i < count; i++) {
        int fd = loop->changed[i];

        update(loop, fd);
        if (loop->descriptors[fd].flags & FAILING)
            loop->changed[kept++] = fd;
        else
            loop->descriptors[fd].flags &= (uint8_t)~CHANGED;
    }
    loop->changed_count = kept;
    return kept > 0;
}

bool jg__watchers_busy(const jg_loop *loop)
{
    for (int i = 0; i < loop->always_count; i++) {
        if (loop->descriptors[loop->always[i]].wanted & (JG_READ | JG_WRITE))
            return true;
    }
    return false;
}

/*
 * Whether a generation was given out since the loop last waited. Generations wrap: it lies between
 * the first and the last of that time, however old the others are.
 */
static bool is_news(const jg_loop *loop, uint32_t generation)
{
    uint32_t first = loop->generation_at_wait + 1;

    return generation - first < loop->generation - loop->generation_at_wait;
}

/* Stop the failed watchers of a descriptor and tell them. Returns whether there were any. */
static bool tell_failed(jg_loop *loop, int fd)
{
    jg_watcher *w = loop->descriptors[fd].watchers;
    bool called = false;

    loop->descriptors[fd].flags &= (uint8_t)~FAILING;
    while (w) {
        int error = -(int)w->wanted;

        if (!(w->handle.flags & JG__FAILED)) {
            w = w->next;
            continue;
        }
        jg_watcher_stop(w);
        w->handle.flags &= (uint16_t)~JG__FAILED;
        called = true;
        w->fn(w->arg, error);
        w = loop->descriptors[fd].watchers; /* anything may have happened to the list */
    }
    return called;
}

/*
 * Whether an event that was reported is left out until the watcher is rearmed: it would go on being
 * reported.
 */
static bool is_pausing(const jg_loop *loop, const jg_watcher *watcher)
{
    return watcher->wanted & JG__EDGE &&
           !(loop->poller->ops->has_edge &&
             loop->descriptors[watcher->handle.number].known & JG__EDGE);
}

/* Returns whether anybody was called. */
static bool dispatch(jg_loop *loop, int fd, int events)
{
    bool called = false;

    for (jg_watcher *w = loop->descriptors[fd].watchers; w; w = loop->cursor) {
        int got = events & w->handle.events;

        loop->cursor = w->next;
        if (got) {
            called = true;
            if (is_pausing(loop, w))
                set_wanted(loop, w, w->wanted & ~(unsigned)got);
            w->fn(w->arg, got);
        }
    }
    return called;
}

/* A call of it, among hundreds a turn, would be felt. */
__attribute__((always_inline)) static inline bool dispatch_event(jg_loop *loop,
                                                                 const jg__event *event)
{
    jg__descriptor *descriptor = &loop->descriptors[event->fd];

    if (descriptor->generation != event->generation) {
        if (!is_news(loop, descriptor->generation))
            loop->rebuild = true;
        return false;
    }

    if (event->events < 0) {
        unregistered(loop, descriptor);
        fail(loop, descriptor, event->fd, event->events);
        return tell_failed(loop, event->fd);
    }
    if (descriptor->known & JG__EVENTS_ALL)
        return dispatch(loop, event->fd, event->events);

    /* An error or hang-up that nobody wants yet would be reported for ever. */
    if (jg__loop_forked(loop))
        return false; /* a callback of this turn forked: the set is the parent's */
    (void)loop->poller->ops->remove(loop->poller, event->fd); /* it was registered */
    unregistered(loop, descriptor);
    return false;
}

/* dispatch_event, out of the way. */
__attribute__((noinline)) static void dispatch_edge(jg_loop *loop, const jg__event *event)
{
    (void)dispatch_event(loop, event);
}

int jg__watchers_collect(jg_loop *loop, int n)
{
    /* What a watcher wants that is called directly; without edges it would have to be paused. */
    const unsigned direct = loop->poller->ops->has_edge ? EDGE_EVENTS : UINT_MAX;
    const jg__event *event = loop->events, *end = event + n;
    jg__event *kept = loop->events;

    for (; event < end; event++) {
        const jg__descriptor *descriptor = &loop->descriptors[event->fd];
        const jg_watcher *watcher = descriptor->watchers;

        if (!(descriptor->known & JG__EDGE))
            *kept++ = *event;
        else if (__builtin_expect(descriptor->generation == event->generation &&
                                      event->events > 0 && watcher && !watcher->next &&
                                      watcher->handle.events == direct,
                                  1))
            watcher->fn(watcher->arg, event->events); /* the one there is */
        else
            dispatch_edge(loop, event);
    }
    n -= (int)(kept - loop->events);
    loop->counters.events += (unsigned)n;
    return (int)(kept - loop->events);
}

static bool dispatch_always(jg_loop *loop)
{
    return dispatch(loop, loop->always[loop->always_next++], JG_READ | JG_WRITE);
}

/* The same for those who look for slow callbacks; out of the way of those who do not. */
__attribute__((noinline, cold)) static bool dispatch_laps(jg_loop *loop, int n)
{
    bool called = false;
    jg__lap lap;

    for (int i = 0; i < n; i++) {
        jg__lap_begin_event(loop, loop->events[i].fd, loop->events[i].events, &lap);
        if (!dispatch_event(loop, &loop->events[i]))
            continue;
        called = true;
        jg__lap_end(loop, &lap);
    }
    while (loop->always_next < loop->always_count) {
        jg__lap_begin_event(loop, loop->always[loop->always_next], JG_READ | JG_WRITE, &lap);
        if (!dispatch_always(loop))
            continue;
        called = true;
        jg__lap_end(loop, &lap);
    }
    return called;
}

/* Tell the watchers of a descriptor that failed without an event. */
__attribute__((noinline, cold)) static bool tell_between_events(jg_loop *loop, int fd)
{
    jg__lap lap;
    bool called;

    if (loop->slow_callback == 0)
        return tell_failed(loop, fd);

    jg__lap_begin_event(loop, fd, -EBADF, &lap);
    called = tell_failed(loop, fd);
    if (called)
        jg__lap_end(loop, &lap);
    return called;
}

bool jg__watchers_dispatch(jg_loop *loop, int n)
{
    bool called = false;
    const int failed = loop->changed_count;

    for (int i = 0; i < failed; i++) {
        int fd = loop->changed[i];

        if (loop->descriptors[fd].flags & FAILING)
            called |= tell_between_events(loop, fd);
    }

    loop->counters.events += (unsigned)n;
    loop->always_next = 0;
    if (loop->slow_callback > 0)
        return dispatch_laps(loop, n) || called;

    for (int i = 0; i < n; i++)
        called |= dispatch_event(loop, &loop->events[i]);
    while (loop->always_next < loop->always_count)
        called |= dispatch_always(loop);
    return called;
}

int jg__watchers_rebuild(jg_loop *loop, bool forked)
{
    const jg__poller_ops *ops = loop->poller->ops;
    int r = ops->reopen(loop->poller, forked);

    if (r < 0)
        return r;

    for (int fd = 0; fd < loop->reach; fd++) {
        jg__descriptor *descriptor = &loop->descriptors[fd];

        if (!(descriptor->flags & REGISTERED))
            continue;
        r = ops->add(loop->poller, fd, descriptor->generation, descriptor->known);
        if (r < 0) {
            unregistered(loop, descriptor);
            fail(loop, descriptor, fd, r == -EPERM ? -EBADF : r);
        }
    }
    return 0;
}
