/* SPDX-License-Identifier: MIT
 *
 * kqueue(2) by means of epoll, see engine.h.
 *
 * A kqueue is three epoll instances: one for the notes of reading, one for those of writing, so
 * that a descriptor has two events and each of them is level- or edge-triggered by itself; and one
 * around the two, which is what programs have the number of. The linker turns calls of close, dup2,
 * dup3, fcntl and shutdown to here.
 */
#include "support.h"

#include "kqueue/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADD = 1, DELETE = 2, ENABLE = 4, DISABLE = 8, CLEAR = 0x20, END = 0x8000 };
enum { TRIGGER = 0x01000000 };
enum { NUMBERS = 4, MOST = 1024, SHUT = 4096 };

struct note {
    struct note *next;
    struct test_note is;
    bool silent; /* it has no events */
    bool known;  /* to epoll */
};

struct queue {
    struct queue *next;
    struct test_kernel *kernel;
    int numbers[NUMBERS]; /* it is known by, after dup; -1: none */
    int inner[2];
    int user; /* an eventfd, or -1 */
    unsigned turn;
    struct note *notes;
};

struct test_kernel test_freebsd = {.name = "freebsd",
                                   .dead_pipe = EPIPE,
                                   .no_device = ENODEV,
                                   .one_way = true,
                                   .evaluates = true,
                                   .has_user = true};
struct test_kernel test_netbsd = {.name = "netbsd",
                                  .dead_pipe = EBADF,
                                  .no_device = EINVAL,
                                  .refuses_file = true,
                                  .tick = 10 * JG_MILLISECOND};
int test_interrupt_every;
long test_kevent_calls;

int __real_close(int fd);
int __real_dup2(int old, int new);
int __real_dup3(int old, int new, int flags);
int __real_fcntl(int fd, int command, long arg);
int __real_shutdown(int fd, int how);
int __wrap_close(int fd);
int __wrap_dup2(int old, int new);
int __wrap_dup3(int old, int new, int flags);
int __wrap_fcntl(int fd, int command, long arg);
int __wrap_shutdown(int fd, int how);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sigset_t mask_before_fork;
static struct queue *queues;
static pid_t process;      /* whose they are; children of vfork are on the same memory */
static bool is_shut[SHUT]; /* for writing, by us */

/* Signal handlers trigger events of users. */
static void enter(sigset_t *ret_mask)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, ret_mask);
    pthread_mutex_lock(&mutex);
}

static void leave(const sigset_t *mask)
{
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static struct queue *find_queue(int fd)
{
    for (struct queue *queue = queues; queue && fd >= 0; queue = queue->next) {
        for (int i = 0; i < NUMBERS; i++) {
            if (queue->numbers[i] == fd) {
                return queue;
            }
        }
    }
    return NULL;
}

static struct note **find_note(struct queue *queue, uintptr_t ident, int filter)
{
    struct note **place = &queue->notes;

    while (*place && ((*place)->is.ident != ident || (*place)->is.filter != filter)) {
        place = &(*place)->next;
    }
    return place;
}

static void silence(struct queue *queue, struct note *note)
{
    if (note->known) {
        (void)epoll_ctl(queue->inner[note->is.filter], EPOLL_CTL_DEL, (int)note->is.ident, NULL);
    }
    note->known = false;
}

static void drop_note(struct queue *queue, struct note **place)
{
    struct note *note = *place;

    if (note) {
        silence(queue, note);
        *place = note->next;
        free(note);
    }
}

static void free_queue(struct queue *queue)
{
    struct queue **place = &queues;

    while (*place != queue) {
        place = &(*place)->next;
    }
    *place = queue->next;
    while (queue->notes) {
        drop_note(queue, &queue->notes);
    }
    for (int i = 0; i < 2; i++) {
        (void)__real_close(queue->inner[i]);
    }
    if (queue->user >= 0) {
        (void)__real_close(queue->user);
    }
    free(queue);
}

/* The number is about to mean something else. */
static void forget(int fd)
{
    struct queue *closed = find_queue(fd);
    int left = 0;

    for (struct queue *queue = queues; queue; queue = queue->next) {
        drop_note(queue, find_note(queue, (uintptr_t)fd, TEST_FILTER_READ));
        drop_note(queue, find_note(queue, (uintptr_t)fd, TEST_FILTER_WRITE));
    }
    if (fd >= 0 && fd < SHUT) {
        is_shut[fd] = false;
    }
    for (int i = 0; closed && i < NUMBERS; i++) {
        closed->numbers[i] = closed->numbers[i] == fd ? -1 : closed->numbers[i];
        left += closed->numbers[i] >= 0;
    }
    if (closed && left == 0) {
        free_queue(closed);
    }
}

/* As forget, unless there is nothing of this process to forget. */
static void forget_number(int fd)
{
    sigset_t mask;

    if (getpid() != process) {
        return;
    }
    enter(&mask);
    forget(fd);
    leave(&mask);
}

int __wrap_close(int fd)
{
    forget_number(fd);
    return __real_close(fd);
}

int __wrap_dup3(int old, int new, int flags)
{
    forget_number(new);
    return __real_dup3(old, new, flags);
}

int __wrap_dup2(int old, int new)
{
    return old == new ? __real_dup2(old, new) : __wrap_dup3(old, new, 0);
}

int __wrap_fcntl(int fd, int command, long arg)
{
    int r = __real_fcntl(fd, command, arg), i = 0;
    struct queue *queue;
    sigset_t mask;

    if (r < 0 || (command != F_DUPFD && command != F_DUPFD_CLOEXEC) || getpid() != process) {
        return r;
    }
    enter(&mask);
    queue = find_queue(fd);
    while (queue && queue->numbers[i] >= 0) {
        i++;
        test_check(i < NUMBERS);
    }
    if (queue) {
        queue->numbers[i] = r;
    }
    leave(&mask);
    return r;
}

int __wrap_shutdown(int fd, int how)
{
    int r = __real_shutdown(fd, how);

    if (r == 0 && fd < SHUT && how != SHUT_RD && getpid() == process) {
        is_shut[fd] = true;
    }
    return r;
}

static void before_fork(void)
{
    enter(&mask_before_fork);
}

static void in_parent(void)
{
    leave(&mask_before_fork);
}

/* Children do not get them. */
static void in_child(void)
{
    process = getpid();
    while (queues) {
        for (int i = 0; i < NUMBERS; i++) {
            if (queues->numbers[i] >= 0) {
                (void)__real_close(queues->numbers[i]);
            }
        }
        for (struct note *note = queues->notes; note; note = note->next) {
            note->known = false; /* the registration is the parent's as well */
        }
        free_queue(queues);
    }
    leave(&mask_before_fork);
}

static void watch_forks(void)
{
    process = getpid();
    test_check(pthread_atfork(before_fork, in_parent, in_child) == 0);
}

/* A descriptor of ours, out of the way if it may be: a kernel would need none. */
static int hide(int fd)
{
    int hidden;

    if (fd < 0) {
        return fd;
    }
    hidden = __real_fcntl(fd, F_DUPFD_CLOEXEC, 100);
    if (hidden < 0) {
        hidden = __real_fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    (void)__real_close(fd);
    return hidden;
}

/* As the kernels', its number may be 0, 1 or 2, and it is not close-on-exec. */
int test_kqueue(struct test_kernel *kernel)
{
    struct queue *queue = malloc(sizeof(*queue));
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t mask;

    pthread_once(&once, watch_forks);
    test_check(queue);
    *queue = (struct queue){.kernel = kernel, .user = -1, .numbers = {-1, -1, -1, -1}};
    queue->numbers[0] = epoll_create1(0);
    queue->inner[0] = hide(epoll_create1(0));
    queue->inner[1] = hide(epoll_create1(0));
    if (queue->numbers[0] < 0 || queue->inner[0] < 0 || queue->inner[1] < 0) {
        int saved = errno;

        (void)__real_close(queue->numbers[0]);
        (void)__real_close(queue->inner[0]);
        (void)__real_close(queue->inner[1]);
        free(queue);
        errno = saved;
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        event.data.u32 = (uint32_t)i;
        test_check(epoll_ctl(queue->numbers[0], EPOLL_CTL_ADD, queue->inner[i], &event) == 0);
    }
    enter(&mask);
    queue->next = queues;
    queues = queue;
    leave(&mask);
    return queue->numbers[0];
}

static int change_user(struct queue *queue, int fd, const struct test_note *change)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (!queue->kernel->has_user) {
        return EINVAL;
    }
    if (queue->user < 0 && !(change->flags & ADD)) {
        return ENOENT;
    }
    if (queue->user < 0) {
        test_check(change->flags & CLEAR); /* all that is needed */
        queue->user = hide(eventfd(0, EFD_NONBLOCK));
        if (queue->user < 0) {
            return ENOMEM;
        }
        test_check(epoll_ctl(fd, EPOLL_CTL_ADD, queue->user, &event) == 0);
    }
    if (change->fflags & TRIGGER) {
        (void)eventfd_write(queue->user, 1);
    }
    return 0;
}

static bool is_pipe(uintptr_t fd)
{
    struct stat file;

    return fstat((int)fd, &file) == 0 && S_ISFIFO(file.st_mode);
}

/* What is special about a file. Returns an error number. */
static int look_at(const struct test_kernel *kernel, struct note *note)
{
    struct pollfd end = {.fd = (int)note->is.ident};
    bool writes = note->is.filter == TEST_FILTER_WRITE;
    int mode = __real_fcntl(end.fd, F_GETFL, 0) & O_ACCMODE;
    struct stat file;

    test_check(fstat(end.fd, &file) == 0);
    if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode)) {
        note->silent = true;
        return writes && kernel->refuses_file ? EINVAL : 0;
    }
    if (!is_pipe(note->is.ident)) {
        return 0;
    }
    if (kernel->one_way && mode == (writes ? O_RDONLY : O_WRONLY)) {
        note->silent = true;
        return 0;
    }
    return writes && poll(&end, 1, 0) == 1 ? kernel->dead_pipe : 0;
}

/* Have epoll know a note, or look at it once more. Returns an error number. */
static int announce(struct queue *queue, struct note *note)
{
    bool writes = note->is.filter == TEST_FILTER_WRITE;
    struct epoll_event event = {.data.ptr = note};
    int command = note->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (note->silent) {
        return 0;
    }
    event.events = (writes ? EPOLLOUT : EPOLLIN | EPOLLRDHUP) |
                   (note->is.flags & CLEAR ? (uint32_t)EPOLLET : 0);
    if (epoll_ctl(queue->inner[note->is.filter], command, (int)note->is.ident, &event) < 0) {
        return errno == EPERM ? queue->kernel->no_device : errno;
    }
    note->known = true;
    return 0;
}

static int add_note(struct queue *queue, const struct test_note *change)
{
    struct note *note = calloc(1, sizeof(*note));
    int error;

    test_check(note);
    note->is = *change;
    error = look_at(queue->kernel, note);
    if (error == 0) {
        error = announce(queue, note);
    }
    if (error == 0 && change->flags & DISABLE) {
        silence(queue, note);
    }
    if (error != 0) {
        free(note);
        return error;
    }
    note->next = queue->notes;
    queue->notes = note;
    return 0;
}

/* EV_CLEAR stays as it was, on some systems; a disabled note is enabled by EV_ENABLE alone. */
static int change_note(struct queue *queue, struct note *note, const struct test_note *change)
{
    bool was_enabled = !(note->is.flags & DISABLE);

    if (change->flags & ADD || queue->kernel->evaluates) {
        note->is.udata = change->udata;
    }
    if (change->flags & ENABLE) {
        note->is.flags &= ~(unsigned)DISABLE;
    }
    if (change->flags & DISABLE) {
        note->is.flags |= DISABLE;
        silence(queue, note);
        return 0;
    }
    if (note->is.flags & DISABLE ||
        (was_enabled && !queue->kernel->evaluates && !(change->flags & ADD))) {
        return 0;
    }
    return announce(queue, note);
}

int test_kevent_change(int fd, const struct test_note *change)
{
    struct queue *queue;
    struct note **place;
    sigset_t mask;
    int error = 0;

    test_check(!(change->flags & ~(unsigned)(ADD | DELETE | ENABLE | DISABLE | CLEAR)));
    enter(&mask);
    queue = find_queue(fd);
    if (!queue) {
        error = EBADF;
    } else if (change->filter == TEST_FILTER_USER) {
        error = change_user(queue, fd, change);
    } else if (__real_fcntl((int)change->ident, F_GETFD, 0) < 0) {
        error = EBADF;
    } else {
        place = find_note(queue, change->ident, change->filter);
        if (!*place && !(change->flags & ADD)) {
            error = ENOENT;
        } else if (change->flags & DELETE) {
            drop_note(queue, place);
        } else if (!*place) {
            error = add_note(queue, change);
        } else {
            error = change_note(queue, *place, change);
        }
    }
    leave(&mask);
    return error;
}

/* The end may come while there are data. SO_ERROR is left to the program. */
static void describe(const struct note *note, uint32_t raw, struct test_note *ret_event)
{
    bool writes = note->is.filter == TEST_FILTER_WRITE, pipe = is_pipe(note->is.ident);
    bool ended = raw & EPOLLHUP || (raw & EPOLLERR && pipe);
    int bytes = 0;

    if (writes) {
        ended = ended || (note->is.ident < SHUT && is_shut[note->is.ident]);
    } else {
        ended = ended || raw & EPOLLRDHUP;
        (void)ioctl((int)note->is.ident, FIONREAD, &bytes);
    }
    *ret_event = note->is;
    ret_event->flags = (note->is.flags & CLEAR) | (ended ? END : 0u);
    ret_event->fflags = ended && raw & EPOLLERR && !pipe ? ECONNRESET : 0;
    ret_event->data = bytes;
}

static int gather_notes(struct queue *queue, int filter, struct test_note *events, int max)
{
    struct epoll_event raw[MOST];
    int n = epoll_wait(queue->inner[filter], raw, max < MOST ? max : MOST, 0);

    for (int i = 0; i < n; i++) {
        describe(raw[i].data.ptr, raw[i].events, &events[i]);
    }
    return n < 0 ? 0 : n;
}

/* What there is now, each time beginning with another filter. */
static int gather(struct queue *queue, struct test_note *events, int max)
{
    unsigned start = queue->turn++;
    eventfd_t sum;
    int n = 0;

    for (unsigned i = 0; i < 3 && n < max; i++) {
        int filter = (int)((start + i) % 3);

        if (filter != TEST_FILTER_USER) {
            n += gather_notes(queue, filter, events + n, max - n);
        } else if (queue->user >= 0 && eventfd_read(queue->user, &sum) == 0) {
            events[n++] = (struct test_note){.filter = filter, .flags = CLEAR};
        }
    }
    return n;
}

/* How long a kernel with ticks sleeps. */
static struct timespec stretch(const struct test_kernel *kernel, const struct timespec *timeout)
{
    struct timespec late = *timeout;
    jg_time tick = kernel->tick, span = late.tv_sec * JG_SECOND + late.tv_nsec;

    if (tick > 0 && span > 0 && late.tv_sec < 3600) {
        span = ((span + tick - 1) / tick + 1) * tick;
        late.tv_sec = span / JG_SECOND;
        late.tv_nsec = span % JG_SECOND;
    }
    return late;
}

int test_kevent_wait(int fd, struct test_note *events, int max, const struct timespec *timeout)
{
    static _Atomic int waits;
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    struct timespec span;
    struct queue *queue;
    sigset_t mask;
    int n, left = 1;

    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= JG_SECOND)) {
        return -EINVAL;
    }
    if (test_interrupt_every > 0 && ++waits % test_interrupt_every == 0) {
        return -EINTR;
    }
    for (;;) {
        enter(&mask);
        queue = find_queue(fd);
        n = queue ? gather(queue, events, max) : -EBADF;
        if (queue && timeout) {
            span = stretch(queue->kernel, timeout);
        }
        leave(&mask);
        if (n != 0 || left == 0 || (timeout && span.tv_sec == 0 && span.tv_nsec == 0)) {
            return n;
        }
        left = ppoll(&wanted, 1, timeout ? &span : NULL, NULL);
        if (left < 0) {
            return -errno;
        }
    }
}
