/* SPDX-License-Identifier: MIT
 *
 * The kqueue backend, for macOS and the BSDs.
 *
 * The kernel keeps a note for each descriptor and filter: reading and writing are two, with an
 * event each, which become one here. It drops the notes of a descriptor that is closed, even if a
 * duplicate lives on, so the notes of a number are always of the file that it means now. Hence
 * generations need not go through the kernel: they are in `places`, which is indexed by descriptor
 * and says what was asked for and which notes there are.
 *
 * A registration always has a note, a disabled one if nothing was asked for: that it is still there
 * is how modify() knows that the number means the same file. Flags of a note are as they were when
 * it was made, on some systems: where they have to differ it is deleted and made anew.
 *
 * Errors of changes are returned at once: changes go in a call of their own, which returns no
 * events. So EV_ERROR, which is for changes only, never comes out of a wait. EINTR means that the
 * changes were made.
 *
 * What systems do not agree on is not used. EV_DISPATCH loses events on some, EV_ONESHOT and
 * EV_RECEIPT add nothing here, `data` counts differently, and user data have two types and are kept
 * or replaced: descriptors are the key. Low-water marks are left alone. Timers are the loop's own, and
 * a wait that ended is no proof that its time has come: the loop looks at the clock. Signals come from
 * handlers, which EVFILT_SIGNAL would leave to be called anyway, and children from SIGCHLD and waitpid,
 * which EVFILT_PROC would need as well. Edges may come too often, never too seldom: who is told reads
 * until nothing is left. One thread at a time changes and waits, and the queue is closed by the one
 * that waits; others only wake it.
 */
#include "platform/system.h"

#include "platform/poller.h"

#ifdef JG__HAS_KQUEUE

#    include "base/alloc.h"
#    include "platform/descriptor.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <string.h>
#    include <sys/event.h>
#    include <sys/stat.h>
#    include <time.h>
#    include <unistd.h>

#    ifndef JG__KQUEUE_NAME /* the tests have several */
#        define JG__KQUEUE_NAME "kqueue"
#    endif

/* Old kernels take no more than a day. To wake once before is no harm. */
#    define LONGEST (24 * 3600 * JG_SECOND)

/* Flags of places. */
#    define REGISTERED (1u << 0)
#    define PIPE       (1u << 1)
#    define DEAD       (1u << 2) /* a pipe that nobody reads: it took no note for writing */

enum { READ, WRITE, FILTERS };

enum note {
    NONE,
    LEVEL,
    EDGE, /* also for a hang-up alone, or data would be reported for ever; see settle() */
    IDLE, /* disabled */
};

struct place {
    uint32_t generation;
    int merged; /* which event of this wait is that of the descriptor, if it is */
    uint8_t events;
    uint8_t flags;
    uint8_t notes[FILTERS];
};

struct kqueue {
    jg__poller poller;
    int fd;
    int wake[2]; /* a pipe, where the kernel has no events of users; else -1 */
    pid_t owner; /* children do not get the descriptor: its number may be another file's there */
    int reach;   /* of places */
    int dead;    /* how many there are */
    int start;   /* where the next look for dead ones begins */
    struct place *places;
    unsigned max_events;
    const jg_allocator *allocator;
    struct kevent raw[];
};

/* At most a check and two changes for each filter. */
struct changes {
    struct kevent list[3 * FILTERS];
    uint16_t count; /* small enough to be an int or a size_t: systems differ */
    uint16_t checks;
};

/* Signed on some systems, and not on others. */
typedef __typeof__(((struct kevent *)0)->filter) filter_type;

static const filter_type filters[FILTERS] = {EVFILT_READ, EVFILT_WRITE};

static size_t size_of(unsigned max_events)
{
    return sizeof(struct kqueue) + max_events * sizeof(struct kevent);
}

static struct kqueue *kqueue_of(jg__poller *poller)
{
    return (struct kqueue *)poller;
}

/* One change alone. Assigned: systems have more fields, and other types. */
static int change(int kq, uintptr_t ident, filter_type filter, unsigned flags, unsigned note)
{
    struct kevent event = {.ident = ident, .filter = filter};
    int r;

    event.flags = (__typeof__(event.flags))flags;
    event.fflags = note;
    r = kevent(kq, &event, 1, NULL, 0, NULL);
    return r < 0 && errno != EINTR ? -errno : 0;
}

/* Whether a kernel has events of users only shows when one is asked for. */
static int open_wake(int kq, int ret_wake[2])
{
    int r;

#    ifdef EVFILT_USER
    if (change(kq, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0) == 0) {
        ret_wake[0] = ret_wake[1] = -1;
        return 0;
    }
#    endif
    r = jg__wakefd_open(ret_wake);
    if (r == 0)
        r = change(kq, (uintptr_t)ret_wake[0], EVFILT_READ, EV_ADD, 0);
    if (r < 0)
        jg__wakefd_close(ret_wake);
    return r;
}

/*
 * With the number `wanted`, if it is free, or another one. It is not close-on-exec by itself; no
 * child of another thread can take it along before it is, as children do not get it.
 */
static int open_kernel(int wanted, int *ret_fd, int ret_wake[2])
{
    int wake[2] = {-1, -1};
    int fd = kqueue();
    int r;

    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd >= 0 && fd != wanted && wanted >= 0) {
        r = fcntl(fd, F_DUPFD_CLOEXEC, wanted);
        r = r < 0 ? -errno : r;
        jg__fd_close(fd);
        fd = r;
    }
    if (fd < 0)
        return fd;

    r = open_wake(fd, wake);
    if (r < 0) {
        jg__fd_close(fd);
        return r;
    }

    *ret_fd = fd;
    ret_wake[0] = wake[0];
    ret_wake[1] = wake[1];
    return 0;
}

static int kqueue_open(const jg_allocator *allocator, unsigned max_events, jg__clock *clock,
                       jg__poller **ret_poller)
{
    struct kqueue *kq = jg__alloc(allocator, size_of(max_events));
    int r;

    (void)clock;
    if (!kq)
        return -ENOMEM;

    *kq = (struct kqueue){.poller.ops = &jg__kqueue_ops,
                          .owner = getpid(),
                          .max_events = max_events,
                          .allocator = allocator};
    r = open_kernel(-1, &kq->fd, kq->wake);
    if (r < 0) {
        jg__free(allocator, kq, size_of(max_events));
        return r;
    }

    *ret_poller = &kq->poller;
    return 0;
}

static void kqueue_close(jg__poller *poller)
{
    struct kqueue *kq = kqueue_of(poller);

    jg__wakefd_close(kq->wake);
    if (kq->owner == getpid())
        jg__fd_close(kq->fd);
    jg__free(kq->allocator, kq->places, (size_t)kq->reach * sizeof(*kq->places));
    jg__free(kq->allocator, kq, size_of(kq->max_events));
}

static struct place *find(struct kqueue *kq, int fd)
{
    if (fd < 0 || fd >= kq->reach || !(kq->places[fd].flags & REGISTERED))
        return NULL;
    return &kq->places[fd];
}

static int reserve(struct kqueue *kq, int fd)
{
    size_t old = (size_t)kq->reach;
    size_t wanted = old * 2 > (size_t)fd ? old * 2 : (size_t)fd + 1;
    struct place *places;

    if (fd < kq->reach)
        return 0;

    places = jg__resize(kq->allocator, kq->places, old * sizeof(*places), wanted * sizeof(*places));
    if (!places)
        return -ENOMEM;

    memset(places + old, 0, (wanted - old) * sizeof(*places));
    kq->places = places;
    kq->reach = (int)wanted;
    return 0;
}

static void set_dead(struct kqueue *kq, struct place *place, bool dead)
{
    if (!(place->flags & DEAD) == !dead)
        return;

    place->flags ^= DEAD;
    kq->dead += dead ? 1 : -1;
}

/* Nothing is registered at a place any more, whatever the kernel has. */
static void clear(struct kqueue *kq, struct place *place)
{
    set_dead(kq, place, false);
    *place = (struct place){.flags = 0};
}

/* The kernel may have dropped the notes already. */
static void drop_notes(struct kqueue *kq, int fd)
{
    for (int i = 0; i < FILTERS; i++) {
        if (kq->places[fd].notes[i] != NONE)
            (void)change(kq->fd, (uintptr_t)fd, filters[i], EV_DELETE, 0);
        kq->places[fd].notes[i] = NONE;
    }
}

/*
 * In a child the old number may be free, or another file's: then it cannot be kept. In the same
 * process the kernel has nothing that cannot be reached, and others who watch us go on doing so.
 */
static int kqueue_reopen(jg__poller *poller, bool forked)
{
    struct kqueue *kq = kqueue_of(poller);
    int wake[2], fd, r;

    if (forked) {
        r = open_kernel(kq->fd, &fd, wake);
        if (r < 0)
            return r;

        jg__wakefd_close(kq->wake);
        kq->fd = fd;
        kq->wake[0] = wake[0];
        kq->wake[1] = wake[1];
        kq->owner = getpid();
    }
    for (int i = 0; i < kq->reach; i++) {
        if (!forked)
            drop_notes(kq, i);
        clear(kq, &kq->places[i]);
    }
    return 0;
}

/* Which notes tell of these events. */
static void choose(unsigned flags, unsigned events, uint8_t ret_notes[FILTERS])
{
    const uint8_t asked = events & JG__EDGE ? EDGE : LEVEL;
    const bool any = events & JG__EVENTS_ALL;

    /* An end of a pipe that is for the one may have no events of the other, not even the last. */
    ret_notes[READ] = NONE;
    ret_notes[WRITE] = any && flags & PIPE ? EDGE : NONE;
    if (events & JG_READ)
        ret_notes[READ] = asked;
    else if (events & JG_HANGUP || (any && flags & PIPE))
        ret_notes[READ] = EDGE;
    else if (!any)
        ret_notes[READ] = IDLE;
    if (events & JG_WRITE)
        ret_notes[WRITE] = asked;
}

static void plan(struct changes *changes, int fd, int filter, unsigned flags)
{
    struct kevent *event = &changes->list[changes->count++];

    *event = (struct kevent){.ident = (uintptr_t)fd};
    event->filter = filters[filter];
    event->flags = (__typeof__(event->flags))flags;
}

static void plan_add(struct changes *changes, int fd, int filter, enum note note)
{
    const unsigned enabled = note == IDLE ? EV_DISABLE : EV_ENABLE;
    const unsigned edge = note == EDGE ? EV_CLEAR : 0;

    plan(changes, fd, filter, EV_ADD | enabled | edge);
}

/*
 * What leads from the notes of a place to those wanted. First, changes of nothing, which fail if a
 * note is gone; then what can fail; then what cannot.
 */
static void plan_all(struct changes *changes, int fd, const uint8_t *notes, const uint8_t *wanted)
{
    changes->count = 0;
    for (int i = 0; i < FILTERS; i++) {
        if (notes[i] != NONE)
            plan(changes, fd, i, notes[i] == IDLE ? EV_DISABLE : EV_ENABLE);
    }
    changes->checks = changes->count;
    for (int i = 0; i < FILTERS; i++) {
        if (notes[i] == NONE && wanted[i] != NONE)
            plan_add(changes, fd, i, wanted[i]);
    }
    for (int i = 0; i < FILTERS; i++) {
        if (notes[i] == NONE || notes[i] == wanted[i])
            continue;
        plan(changes, fd, i, EV_DELETE);
        if (wanted[i] != NONE)
            plan_add(changes, fd, i, wanted[i]);
    }
}

/* A pipe that nobody reads any more takes no note for writing: a write would tell why. */
static bool is_dead(const struct place *place, filter_type filter, int error)
{
    return place->flags & PIPE && filter == filters[WRITE] && (error == -EPIPE || error == -EBADF);
}

/*
 * Make the changes of a plan, of which one failed, one by one. Those that were made can be made
 * again.
 */
static int make_singly(struct kqueue *kq, struct place *place, const struct changes *changes)
{
    for (int i = changes->checks; i < changes->count; i++) {
        const struct kevent *event = &changes->list[i];
        int r = change(kq->fd, event->ident, event->filter, event->flags, 0);

        if (r == -ENOENT && event->flags & EV_DELETE)
            continue; /* it was deleted before */
        if (r < 0 && is_dead(place, event->filter, r))
            set_dead(kq, place, true);
        else if (r < 0) {
            while (--i >= changes->checks) /* others were added, if anything */
                (void)change(kq->fd, event->ident, changes->list[i].filter, EV_DELETE, 0);
            return r;
        }
    }
    return 0;
}

/* Have a place ask for these events. On failure it asks for what it did before. */
static int ask(struct kqueue *kq, int fd, unsigned events)
{
    struct place *place = &kq->places[fd];
    const bool was_dead = place->flags & DEAD;
    uint8_t wanted[FILTERS];
    struct changes changes;
    int r;

    choose(place->flags, events, wanted);
    plan_all(&changes, fd, place->notes, wanted);
    set_dead(kq, place, false);
    r = kevent(kq->fd, changes.list, changes.count, NULL, 0, NULL);
    r = r < 0 && errno != EINTR ? -errno : 0;
    if (r == -ENOENT)
        return r;
    if (r == -EBADF && jg__fd_check(fd) < 0)
        return r;
    if (r < 0)
        r = make_singly(kq, place, &changes);
    if (r < 0) {
        set_dead(kq, place, was_dead);
        return r;
    }

    if (place->flags & DEAD)
        wanted[WRITE] = NONE;
    memcpy(place->notes, wanted, sizeof(wanted));
    place->events = (uint8_t)events;
    return 0;
}

/*
 * Files are always ready, whatever the kernel makes of them. So are devices that it refuses, but
 * for terminals: they do block.
 */
static int kqueue_add(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct kqueue *kq = kqueue_of(poller);
    struct stat file;
    int r;

    if (find(kq, fd))
        return -EEXIST;
    if (fstat(fd, &file) < 0)
        return -errno;
    if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode))
        return -EPERM;

    r = reserve(kq, fd);
    if (r < 0)
        return r;

    kq->places[fd] = (struct place){
        .generation = generation,
        .flags = REGISTERED | (S_ISFIFO(file.st_mode) ? PIPE : 0u),
    };
    r = ask(kq, fd, events);
    if (r == 0)
        return 0;

    clear(kq, &kq->places[fd]);
    if ((r == -ENODEV || r == -EINVAL || r == -EOPNOTSUPP || r == -EPERM) &&
        (S_ISCHR(file.st_mode) || S_ISBLK(file.st_mode)) && !isatty(fd))
        return -EPERM;
    return r;
}

static int kqueue_modify(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct kqueue *kq = kqueue_of(poller);
    struct place *place = find(kq, fd);
    int r;

    if (!place) {
        r = jg__fd_check(fd);
        return r < 0 ? r : -ENOENT;
    }

    r = ask(kq, fd, events);
    if (r == 0)
        place->generation = generation;
    else if (r == -ENOENT || r == -EBADF)
        clear(kq, place); /* the notes went with the file */
    return r;
}

static int kqueue_remove(jg__poller *poller, int fd)
{
    struct kqueue *kq = kqueue_of(poller);
    struct place *place = find(kq, fd);

    if (!place)
        return -ENOENT;

    drop_notes(kq, fd);
    clear(kq, place);
    return 0;
}

static void kqueue_forget(jg__poller *poller, int fd)
{
    struct kqueue *kq = kqueue_of(poller);
    struct place *place = find(kq, fd);

    if (place)
        clear(kq, place);
}

/* The events of one wait, so far. */
struct batch {
    jg__event *events;
    int count;
};

static bool is_in(const struct batch *batch, const struct place *place, int fd)
{
    return place->merged < batch->count && batch->events[place->merged].fd == fd;
}

static void report(struct batch *batch, struct place *place, int fd, unsigned events)
{
    if (events != JG__EVENTS_ALL)
        events &= place->events;
    if (events == 0)
        return;

    if (is_in(batch, place, fd)) {
        batch->events[place->merged].events |= (int)events;
        return;
    }
    place->merged = batch->count++;
    batch->events[place->merged] =
        (jg__event){.fd = fd, .generation = place->generation, .events = (int)events};
}

/*
 * EV_EOF for reading: the peer will send no more, though there may be data left. For writing: the
 * peer is gone, or we have shut down this direction ourselves. With an error it is about both, and
 * a pipe has one only.
 */
static unsigned translate(const struct place *place, const struct kevent *event, int filter)
{
    const bool ended = event->flags & EV_EOF;

    if (ended && (event->fflags != 0 || place->flags & PIPE))
        return JG__EVENTS_ALL;
    if (filter == WRITE)
        return JG_WRITE;
    /* Whether there is urgent data is not told: there might be, each time. */
    return (ended ? JG_READ | JG_HANGUP : JG_READ) | JG__URGENT;
}

/* A hang-up for which alone a note was made goes on being reported: no more data will come. */
static void settle(struct kqueue *kq, struct place *place, int fd, int filter)
{
    int r;

    if (place->notes[filter] != EDGE || place->events & JG__EDGE)
        return;

    (void)change(kq->fd, (uintptr_t)fd, filters[filter], EV_DELETE, 0);
    r = change(kq->fd, (uintptr_t)fd, filters[filter], EV_ADD, 0);
    place->notes[filter] = r < 0 ? NONE : LEVEL;
    if (is_dead(place, filters[filter], r))
        set_dead(kq, place, true);
}

static void take(struct kqueue *kq, const struct kevent *event, struct batch *batch)
{
    int fd = (int)event->ident;
    int filter = event->filter == filters[READ] ? READ : WRITE;
    struct place *place;

#    ifdef EVFILT_USER
    if (event->filter == (filter_type)EVFILT_USER)
        return;
#    endif
    if (fd == kq->wake[0]) {
        jg__wakefd_drain(fd);
        return;
    }
    place = find(kq, fd);
    if (!place)
        return; /* forgotten */

    report(batch, place, fd, translate(place, event, filter));
    if (event->flags & EV_EOF)
        settle(kq, place, fd, filter);
}

/* The dead have no note that tells of it. */
static void take_dead(struct kqueue *kq, int max, struct batch *batch)
{
    for (int i = 0; i < kq->reach; i++) {
        struct place *place;

        kq->start = kq->start + 1 < kq->reach ? kq->start + 1 : 0;
        place = &kq->places[kq->start];
        if (!(place->flags & DEAD))
            continue;
        if (batch->count == max && !is_in(batch, place, kq->start))
            continue;
        report(batch, place, kq->start, JG__EVENTS_ALL);
        if (place->events & JG__EDGE)
            set_dead(kq, place, false);
    }
}

static int kqueue_wait(jg__poller *poller, jg__event *events, int max, jg_time timeout)
{
    struct kqueue *kq = kqueue_of(poller);
    const bool has_dead = kq->dead > 0;
    const jg_time span = has_dead ? 0 : timeout < LONGEST ? timeout : LONGEST;
    const struct timespec limit = {.tv_sec = (time_t)(span / JG_SECOND),
                                   .tv_nsec = (long)(span % JG_SECOND)};
    const int room = has_dead && max > 1 ? max - 1 : max;
    struct batch batch = {.events = events};
    int n = kevent(kq->fd, NULL, 0, kq->raw, (uint16_t)(room < UINT16_MAX ? room : UINT16_MAX),
                   timeout == JG_FOREVER && !has_dead ? NULL : &limit);

    if (n < 0)
        return -errno;

    for (int i = 0; i < n; i++)
        take(kq, &kq->raw[i], &batch);
    if (has_dead)
        take_dead(kq, max, &batch);
    return batch.count;
}

/* To do it again after EINTR would be to do it once. */
static void kqueue_wake(jg__poller *poller)
{
    struct kqueue *kq = kqueue_of(poller);

#    ifdef EVFILT_USER
    if (kq->wake[1] < 0) {
        int saved = errno;

        (void)change(kq->fd, 0, EVFILT_USER, 0, NOTE_TRIGGER);
        errno = saved;
        return;
    }
#    endif
    jg__wakefd_write(kq->wake[1]);
}

static int kqueue_fd(jg__poller *poller)
{
    return kqueue_of(poller)->fd;
}

const jg__poller_ops jg__kqueue_ops = {
    .name = JG__KQUEUE_NAME,
    .has_edge = true,
    .open = kqueue_open,
    .close = kqueue_close,
    .reopen = kqueue_reopen,
    .add = kqueue_add,
    .modify = kqueue_modify,
    .remove = kqueue_remove,
    .forget = kqueue_forget,
    .wait = kqueue_wait,
    .wake = kqueue_wake,
    .fd = kqueue_fd,
};

#endif
