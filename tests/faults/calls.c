/* SPDX-License-Identifier: MIT
 *
 * The system calls that the library makes, with its names for them replaced by these: see symbols.
 *
 * What the kernel would do after an error, it is made to do. A descriptor whose closing fails is
 * closed, a connecting that was interrupted goes on; and where there was nothing to be read for a
 * moment, or less than there is, an event says that there is more.
 */
#include "faults.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* nobody knows these but by their names */

#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The GNU library has more of them. */
#ifndef EAI_NODATA
#    define EAI_NODATA EAI_NONAME
#endif
#ifndef EAI_ADDRFAMILY
#    define EAI_ADDRFAMILY EAI_NONAME
#endif

#ifndef SYS_epoll_pwait2
#    define SYS_epoll_pwait2 441
#endif
#ifndef SYS_close_range
#    define SYS_close_range 436
#endif
#ifndef SYS_openat2
#    define SYS_openat2 437
#endif
#ifndef SYS_preadv2
#    define SYS_preadv2 (-1) /* where there is none it is not called */
#endif
#ifndef SYS_pidfd_open
#    define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#    define SYS_pidfd_send_signal 424
#endif

#define INTERRUPTED (EINTR | FAULT_HARMLESS)
#define LATER       (EAGAIN | FAULT_HARMLESS)

/* The error that this call fails with, which is also in errno; 0: none. */
static int fail(const char *call, const int *errors)
{
    int error = fault_is_due(call) ? fault_choose(errors) : 0;

    if (error)
        errno = error & 0x7ff;
    return error;
}

#define FAILS(call, ...) fail(call, (const int[]){__VA_ARGS__, 0})

/* ---------------------------------------------------------------- events */

enum { DESCRIPTORS = 256 };

/* What the poller was told last about a descriptor. */
static struct {
    int poller; /* 0: it does not know of it */
    struct epoll_event event;
} registered[DESCRIPTORS];

/* Have what is ready reported once more, as if it came now. */
static void come_again(int fd)
{
    int saved = errno;

    if (fd < DESCRIPTORS && registered[fd].poller)
        (void)epoll_ctl(registered[fd].poller, EPOLL_CTL_MOD, fd, &registered[fd].event);
    errno = saved;
}

int fault_epoll_create1(int flags)
{
    return FAILS("epoll_create1", EMFILE, ENFILE, ENOMEM) ? -1 : epoll_create1(flags);
}

int fault_epoll_ctl(int poller, int operation, int fd, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_ADD && FAILS("epoll_ctl", ENOMEM, ENOSPC))
        return -1;
    if (operation == EPOLL_CTL_MOD && FAILS("epoll_ctl", ENOMEM))
        return -1;
    if (fd < DESCRIPTORS) {
        registered[fd].poller = operation == EPOLL_CTL_DEL ? 0 : poller;
        if (event)
            registered[fd].event = *event;
    }
    return epoll_ctl(poller, operation, fd, event);
}

int fault_epoll_wait(int poller, struct epoll_event *events, int most, int timeout)
{
    return FAILS("epoll_wait", INTERRUPTED) ? -1 : epoll_wait(poller, events, most, timeout);
}

int fault_poll(struct pollfd *entries, nfds_t count, int timeout)
{
    return FAILS("poll", INTERRUPTED) ? -1 : poll(entries, count, timeout);
}

int fault_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask)
{
    return FAILS("ppoll", INTERRUPTED) ? -1 : ppoll(entries, count, timeout, mask);
}

int fault_eventfd(unsigned count, int flags)
{
    return FAILS("eventfd", EMFILE, ENFILE, ENOMEM) ? -1 : eventfd(count, flags);
}

/* ---------------------------------------------------------------- moving bytes */

enum kind { STREAM, DATAGRAMS, PIPE, FILE_ON_DISK, EVENT, DEVICE };

static enum kind kind_of(int fd)
{
    struct stat s;
    int type = 0;
    socklen_t size = sizeof(type);

    if (fstat(fd, &s) < 0)
        return EVENT;
    if (S_ISSOCK(s.st_mode)) {
        (void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
        return type == SOCK_STREAM ? STREAM : DATAGRAMS;
    }
    return S_ISFIFO(s.st_mode)  ? PIPE
           : S_ISREG(s.st_mode) ? FILE_ON_DISK
           : S_ISCHR(s.st_mode) ? DEVICE
                                : EVENT;
}

static const int *errors_of(int fd, bool writes)
{
    static const int none[] = {0};
    static const int reads[][4] = {
        [STREAM] = {ECONNRESET, ETIMEDOUT, ENOMEM},
        [DATAGRAMS] = {ECONNREFUSED, ENOMEM},
        [FILE_ON_DISK] = {EIO},
        [DEVICE] = {EIO},
    };
    static const int written[][4] = {
        [STREAM] = {EPIPE, ECONNRESET, ENOBUFS},
        [DATAGRAMS] = {ENOBUFS, ECONNREFUSED, EPERM},
        [PIPE] = {EPIPE},
        [FILE_ON_DISK] = {ENOSPC, EIO},
        [DEVICE] = {EIO},
    };
    const enum kind kind = kind_of(fd);

    if (kind == EVENT)
        return none;
    return writes ? written[kind] : reads[kind];
}

static bool moves_in_parts(enum kind kind, bool writes, size_t size)
{
    switch (kind) {
    case PIPE:
        return size > (writes ? PIPE_BUF : sizeof(int)); /* less is written, and comes, at once */
    case STREAM:
    case FILE_ON_DISK:
        return true;
    default:
        return false;
    }
}

/* Fails a read or a write. `waits`: it would wait, rather than return with EAGAIN. */
static int fail_to_move(const char *call, int fd, size_t size, bool writes, bool waits)
{
    int errors[16] = {INTERRUPTED}, count = 1, error;
    const int *more;
    enum kind kind;

    if (!fault_is_due(call))
        return 0;

    kind = kind_of(fd);
    if (moves_in_parts(kind, writes, size))
        errors[count++] = FAULT_SHORT;
    if (!waits && kind != FILE_ON_DISK && kind != EVENT)
        errors[count++] = LATER;
    for (more = errors_of(fd, writes); *more; more++)
        errors[count++] = *more;
    error = fault_choose(errors);
    if (error == LATER || error == FAULT_SHORT)
        come_again(fd);
    if (error == EPIPE || error == ECONNRESET || error == ETIMEDOUT)
        (void)shutdown(fd, SHUT_RDWR); /* the connection is lost: both ends are to see that */
    errno = error & 0x7ff;
    return error;
}

static bool blocks(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static size_t shortened(size_t size, int error)
{
    return error == FAULT_SHORT && size > 1 ? 1 : size;
}

/* Returns a single piece, which is as much as is left of the first one that is not empty. */
static struct iovec first_piece(const struct iovec *pieces, size_t count)
{
    struct iovec piece = {NULL, 0};

    for (size_t i = 0; i < count && piece.iov_len == 0; i++)
        piece = pieces[i];
    piece.iov_len = shortened(piece.iov_len, FAULT_SHORT);
    return piece;
}

static size_t size_of(const struct iovec *pieces, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return size;
}

#define MOVES(error) ((error) == 0 || (error) == FAULT_SHORT)

ssize_t fault_read(int fd, void *buffer, size_t size)
{
    int error = fail_to_move("read", fd, size, false, blocks(fd));

    return MOVES(error) ? read(fd, buffer, shortened(size, error)) : -1;
}

ssize_t fault_write(int fd, const void *data, size_t size)
{
    int error = fail_to_move("write", fd, size, true, blocks(fd));

    return MOVES(error) ? write(fd, data, shortened(size, error)) : -1;
}

ssize_t fault_writev(int fd, const struct iovec *pieces, int count)
{
    int error = fail_to_move("writev", fd, size_of(pieces, (size_t)count), true, blocks(fd));
    struct iovec piece;

    if (error != FAULT_SHORT)
        return error ? -1 : writev(fd, pieces, count);
    piece = first_piece(pieces, (size_t)count);
    return writev(fd, &piece, 1);
}

ssize_t fault_pread(int fd, void *buffer, size_t size, off_t offset)
{
    int error = fail_to_move("pread", fd, size, false, true);

    return MOVES(error) ? pread(fd, buffer, shortened(size, error), offset) : -1;
}

ssize_t fault_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int error = fail_to_move("pwrite", fd, size, true, true);

    return MOVES(error) ? pwrite(fd, data, shortened(size, error), offset) : -1;
}

ssize_t fault_recv(int fd, void *buffer, size_t size, int flags)
{
    int error = fail_to_move("recv", fd, size, false, !(flags & MSG_DONTWAIT) && blocks(fd));

    return MOVES(error) ? recv(fd, buffer, shortened(size, error), flags) : -1;
}

ssize_t fault_send(int fd, const void *data, size_t size, int flags)
{
    int error = fail_to_move("send", fd, size, true, !(flags & MSG_DONTWAIT) && blocks(fd));

    return MOVES(error) ? send(fd, data, shortened(size, error), flags) : -1;
}

ssize_t fault_recvmsg(int fd, struct msghdr *message, int flags)
{
    int error = fail_to_move("recvmsg", fd, 1, false, !(flags & MSG_DONTWAIT) && blocks(fd));
    struct msghdr less = *message;
    struct iovec piece;
    ssize_t n;

    if (error != FAULT_SHORT)
        return error ? -1 : recvmsg(fd, message, flags);
    piece = first_piece(message->msg_iov, message->msg_iovlen);
    less.msg_iov = &piece;
    less.msg_iovlen = 1;
    n = recvmsg(fd, &less, flags);
    message->msg_controllen = less.msg_controllen;
    message->msg_flags = less.msg_flags;
    return n;
}

ssize_t fault_sendmsg(int fd, const struct msghdr *message, int flags)
{
    int error = fail_to_move("sendmsg", fd, 1, true, !(flags & MSG_DONTWAIT) && blocks(fd));
    struct msghdr less = *message;
    struct iovec piece;

    if (error != FAULT_SHORT)
        return error ? -1 : sendmsg(fd, message, flags);
    piece = first_piece(message->msg_iov, message->msg_iovlen);
    less.msg_iov = &piece;
    less.msg_iovlen = 1;
    return sendmsg(fd, &less, flags);
}

int fault_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                   struct timespec *timeout)
{
    int error = fail_to_move("recvmmsg", fd, 1, false, false);

    return error ? -1 : recvmmsg(fd, messages, count, (unsigned)flags, timeout);
}

int fault_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    int error = fail_to_move("sendmmsg", fd, 1, true, false);

    return error ? -1 : sendmmsg(fd, messages, count, (unsigned)flags);
}

ssize_t fault_sendfile(int fd, int file, off_t *offset, size_t size)
{
    int error = FAILS("sendfile", INTERRUPTED, FAULT_SHORT, LATER, EINVAL | FAULT_HARMLESS,
                      ECONNRESET, EPIPE, ENOMEM);

    if (error == LATER || error == FAULT_SHORT)
        come_again(fd);
    if (error == ECONNRESET || error == EPIPE) {
        (void)shutdown(fd, SHUT_RDWR);
        errno = error;
    }
    return MOVES(error) ? sendfile(fd, file, offset, shortened(size, error)) : -1;
}

/* ---------------------------------------------------------------- sockets */

int fault_socket(int domain, int type, int protocol)
{
    return FAILS("socket", EMFILE, ENFILE, ENOBUFS, ENOMEM) ? -1 : socket(domain, type, protocol);
}

int fault_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return FAILS("bind", EADDRINUSE, EACCES, ENOMEM) ? -1 : bind(fd, address, size);
}

int fault_listen(int fd, int backlog)
{
    return FAILS("listen", EADDRINUSE) ? -1 : listen(fd, backlog);
}

int fault_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    int error = FAILS("accept4", INTERRUPTED, LATER, ECONNABORTED | FAULT_HARMLESS,
                      EPROTO | FAULT_HARMLESS, EMFILE, ENFILE, ENOBUFS, ENOMEM);

    if (error == LATER)
        come_again(fd);
    return error ? -1 : accept4(fd, address, size, flags);
}

static bool is_unix(const struct sockaddr *address)
{
    return address->sa_family == AF_UNIX;
}

int fault_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int error = is_unix(address)
                    ? FAILS("connect", LATER, INTERRUPTED, ECONNREFUSED, ENOENT)
                    : FAILS("connect", INTERRUPTED, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL);

    if (error == INTERRUPTED) {
        (void)connect(fd, address, size);
        errno = EINTR;
    }
    return error ? -1 : connect(fd, address, size);
}

int fault_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    return FAILS("getsockopt", ENOBUFS) ? -1 : getsockopt(fd, level, option, value, size);
}

int fault_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    return FAILS("setsockopt", ENOMEM, EINVAL) ? -1 : setsockopt(fd, level, option, value, size);
}

int fault_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    return FAILS("getsockname", ENOBUFS) ? -1 : getsockname(fd, address, size);
}

int fault_getpeername(int fd, struct sockaddr *address, socklen_t *size)
{
    return FAILS("getpeername", ENOBUFS, ENOTCONN) ? -1 : getpeername(fd, address, size);
}

int fault_shutdown(int fd, int how)
{
    int error = FAILS("shutdown", ENOTCONN | FAULT_HARMLESS, ENOBUFS);

    if (error == (ENOTCONN | FAULT_HARMLESS)) {
        (void)shutdown(fd, how); /* the peer has gone, and will not wait for it */
        errno = ENOTCONN;
    }
    return error ? -1 : shutdown(fd, how);
}

/* ---------------------------------------------------------------- descriptors and files */

int fault_close(int fd)
{
    int error = FAILS("close", INTERRUPTED, EIO);

    if (fd >= 0 && fd < DESCRIPTORS)
        registered[fd].poller = 0;
    if (error) {
        (void)close(fd);
        errno = error & 0x7ff;
        return -1;
    }
    return close(fd);
}

int fault_fcntl(int fd, int command, long argument)
{
    if (command == F_DUPFD_CLOEXEC && FAILS("fcntl", EMFILE))
        return -1;
    return fcntl(fd, command, argument);
}

int fault_dup2(int from, int to)
{
    return FAILS("dup2", EMFILE) ? -1 : dup2(from, to);
}

int fault_pipe2(int fds[2], int flags)
{
    return FAILS("pipe2", EMFILE, ENFILE) ? -1 : pipe2(fds, flags);
}

int fault_open(const char *path, int flags, mode_t mode)
{
    return FAILS("open", INTERRUPTED, EMFILE, ENFILE, ENOMEM, EIO) ? -1 : open(path, flags, mode);
}

int fault_openat(int directory, const char *path, int flags, mode_t mode)
{
    return FAILS("openat", INTERRUPTED, EMFILE, ENFILE, ENOMEM, EIO)
               ? -1
               : openat(directory, path, flags, mode);
}

int fault_fstat(int fd, struct stat *status)
{
    return FAILS("fstat", ENOMEM, EIO) ? -1 : fstat(fd, status);
}

int fault_stat(const char *path, struct stat *status)
{
    return FAILS("stat", ENOMEM, EIO) ? -1 : stat(path, status);
}

int fault_lstat(const char *path, struct stat *status)
{
    return FAILS("lstat", ENOMEM, EIO) ? -1 : lstat(path, status);
}

/* It takes long on some disks, and the power stays on. */
int fault_fsync(int fd)
{
    return FAILS("fsync", INTERRUPTED, EIO, ENOSPC) ? -1 : fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

int fault_ftruncate(int fd, off_t size)
{
    return FAILS("ftruncate", INTERRUPTED, EIO) ? -1 : ftruncate(fd, size);
}

int fault_rename(const char *from, const char *to)
{
    return FAILS("rename", ENOSPC, EIO) ? -1 : rename(from, to);
}

int fault_unlink(const char *path)
{
    return FAILS("unlink", EBUSY, EIO) ? -1 : unlink(path);
}

/* ---------------------------------------------------------------- memory and threads */

void *fault_mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset)
{
    return FAILS("mmap", ENOMEM) ? MAP_FAILED : mmap(place, size, protection, flags, fd, offset);
}

int fault_munmap(void *place, size_t size)
{
    if (FAILS("munmap", ENOMEM)) {
        (void)munmap(place, size); /* or it would be lost for good */
        errno = ENOMEM;
        return -1;
    }
    return munmap(place, size);
}

int fault_mprotect(void *place, size_t size, int protection)
{
    return FAILS("mprotect", ENOMEM) ? -1 : mprotect(place, size, protection);
}

int fault_madvise(void *place, size_t size, int advice)
{
    return FAILS("madvise", EINVAL, ENOMEM, EAGAIN) ? -1 : madvise(place, size, advice);
}

int fault_sigaltstack(const stack_t *stack, stack_t *old)
{
    if (stack && !(stack->ss_flags & SS_DISABLE) && FAILS("sigaltstack", ENOMEM))
        return -1;
    return sigaltstack(stack, old);
}

int fault_getentropy(void *buffer, size_t size)
{
    return FAILS("getentropy", ENOSYS, EIO) ? -1 : getentropy(buffer, size);
}

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                         void *arg)
{
    int error = FAILS("pthread_create", EAGAIN, ENOMEM);

    return error ? error : pthread_create(thread, attributes, fn, arg);
}

int fault_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    int error = FAILS("pthread_mutex_init", EAGAIN, ENOMEM);

    return error ? error : pthread_mutex_init(mutex, attributes);
}

int fault_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
    int error = FAILS("pthread_cond_init", EAGAIN, ENOMEM);

    return error ? error : pthread_cond_init(cond, attributes);
}

int fault_pthread_setspecific(pthread_key_t key, const void *value)
{
    int error = value ? FAILS("pthread_setspecific", ENOMEM) : 0;

    return error ? error : pthread_setspecific(key, value);
}

/* Nobody outside is asked: all names stand for one address. */
int fault_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **ret_list)
{
    static const int codes[][2] = {
        {EAGAIN, EAI_AGAIN},         {ENOMEM, EAI_MEMORY}, {EMFILE, EAI_SYSTEM},
        {ENODATA, EAI_NODATA},       {ENOENT, EAI_NONAME}, {EAFNOSUPPORT, EAI_ADDRFAMILY},
        {ENOTRECOVERABLE, EAI_FAIL},
    };
    int error = FAILS("getaddrinfo", EAGAIN, ENOMEM, EMFILE, ENODATA, ENOENT, EAFNOSUPPORT,
                      ENOTRECOVERABLE);

    for (size_t i = 0; error && i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i][0] == error)
            return codes[i][1];
    }
    (void)host;
    return getaddrinfo("127.0.0.1", service, hints, ret_list);
}

/* ---------------------------------------------------------------- processes */

pid_t fault_fork(void)
{
    pid_t pid;

    if (FAILS("fork", EAGAIN, ENOMEM))
        return -1;
    fault_set_child(true);
    pid = fork();
    if (pid != 0)
        fault_set_child(false);
    return pid;
}

/* A function cannot return twice, as vfork does. The child knows not to share memory. */
pid_t fault_vfork(void)
{
    return fault_fork();
}

int fault_execve(const char *path, char *const argv[], char *const environment[])
{
    return FAILS("execve", ENOMEM, E2BIG, EIO) ? -1 : execve(path, argv, environment);
}

int fault_chdir(const char *path)
{
    return FAILS("chdir", EACCES, ENOMEM) ? -1 : chdir(path);
}

pid_t fault_setsid(void)
{
    return FAILS("setsid", EPERM) ? -1 : setsid();
}

int fault_setpgid(pid_t pid, pid_t group)
{
    return FAILS("setpgid", EPERM) ? -1 : setpgid(pid, group);
}

int fault_kill(pid_t pid, int signo)
{
    return pid < 0 && FAILS("kill", EPERM) ? -1 : kill(pid, signo);
}

pid_t fault_waitpid(pid_t pid, int *ret_status, int options)
{
    return FAILS("waitpid", INTERRUPTED) ? -1 : waitpid(pid, ret_status, options);
}

int fault_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    return FAILS("waitid", INTERRUPTED) ? -1 : waitid(type, id, info, options);
}

/* Returns the error that a system call without a function of its own fails with, or 0. */
static int fail_number(long number)
{
    switch (number) {
    case SYS_epoll_pwait2:
        return FAILS("epoll_pwait2", INTERRUPTED, ENOSYS | FAULT_HARMLESS, EPERM | FAULT_HARMLESS);
    case SYS_pidfd_open:
        return FAILS("pidfd_open", EMFILE, ENFILE, ENOMEM, ENOSYS | FAULT_HARMLESS,
                     EPERM | FAULT_HARMLESS);
    case SYS_pidfd_send_signal:
        return FAILS("pidfd_send_signal", EPERM, ENOSYS | FAULT_HARMLESS);
    case SYS_close_range:
        return FAILS("close_range", ENOSYS | FAULT_HARMLESS);
    case SYS_openat2:
        return FAILS("openat2", LATER, ENOSYS | FAULT_HARMLESS, EPERM | FAULT_HARMLESS);
    case SYS_preadv2:
        return FAILS("preadv2", LATER, EOPNOTSUPP | FAULT_HARMLESS, EIO);
    default:
        return 0;
    }
}

long fault_syscall(long number, ...)
{
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (fail_number(number))
        return -1;
    return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                   arguments[5]);
}

/* ---------------------------------------------------------------- with large offsets */

/* What the GNU library has two names for. */
#define SAME(name) \
    extern __typeof__(fault_##name) fault_##name##64 __attribute__((alias("fault_" #name)))

SAME(fcntl);
SAME(open);
SAME(openat);
SAME(fstat);
SAME(stat);
SAME(lstat);
SAME(pread);
SAME(pwrite);
SAME(ftruncate);
SAME(sendfile);
SAME(mmap);
