/* SPDX-License-Identifier: MIT */
#include "platform/system.h"
#define _FILE_OFFSET_BITS 64

#include "platform/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/sendfile.h>
#endif

static bool is_interrupted(ssize_t n)
{
    return n < 0 && errno == EINTR;
}

/* The negative error of a read or write that failed. */
static int failure(void)
{
    if (errno == EWOULDBLOCK)
        return -EAGAIN;
#ifdef __APPLE__
    if (errno == ENOBUFS)
        return -EAGAIN;
    if (errno == EPROTOTYPE)
        return -ECONNRESET; /* the socket is being torn down */
#endif
    return -errno;
}

ssize_t jg__socket_read_failed(int fd, void *buf, size_t size)
{
    ssize_t n = -1;

    while (is_interrupted(n))
        n = jg__socket_try_read(fd, buf, size);
    return n < 0 ? failure() : n;
}

#ifdef MSG_NOSIGNAL
#    define prevent_signal(fd) ((void)(fd))
#else
#    define MSG_NOSIGNAL 0

/* Where there is no flag against the signal it is an option of the socket. */
static void prevent_signal(int fd)
{
#    ifdef SO_NOSIGPIPE
    const int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#    else
    (void)fd;
#    endif
}

ssize_t jg__socket_try_write(int fd, const void *data, size_t size)
{
    prevent_signal(fd);
    return send(fd, data, size, MSG_DONTWAIT);
}
#endif

static ssize_t send_pieces(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces};

    message.msg_iovlen = (__typeof__(message.msg_iovlen))count; /* systems differ */
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t jg__socket_write_failed(int fd, const struct iovec *pieces, int count)
{
    ssize_t n = -1;

    while (is_interrupted(n))
        n = send_pieces(fd, pieces, count);
    return n < 0 ? failure() : n;
}

ssize_t jg__socket_write(int fd, const struct iovec *pieces, int count)
{
    ssize_t n;

    prevent_signal(fd);
    n = send_pieces(fd, pieces, count);
    return n < 0 ? jg__socket_write_failed(fd, pieces, count) : n;
}

bool jg__socket_is_unix(int fd)
{
#ifdef SO_DOMAIN
    int domain;
    socklen_t size = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain == AF_UNIX;
#else
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.ss_family == AF_UNIX;
#endif
}

int jg__socket_shut(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

void jg__socket_cut(int fd)
{
    const struct linger linger = {.l_onoff = 1};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)); /* others have no reset */
}

ssize_t jg__file_read(int fd, void *buf, size_t size)
{
    ssize_t n;

    do
        n = read(fd, buf, size);
    while (is_interrupted(n));
    return n < 0 ? failure() : n;
}

/* The signal of writing to what nobody reads is held back, and taken away if we raised it. */
struct held {
    sigset_t before;
    bool was_pending;
};

static void make_broken_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

static void hold_signal(struct held *held)
{
    sigset_t broken, pending;

    make_broken_set(&broken);
    (void)pthread_sigmask(SIG_BLOCK, &broken, &held->before); /* the arguments are good */
    sigpending(&pending);
    held->was_pending = sigismember(&pending, SIGPIPE);
}

static void release_signal(const struct held *held, bool raised)
{
    sigset_t broken, pending;
    int signo;

    if (raised && !held->was_pending) {
        make_broken_set(&broken);
        sigpending(&pending); /* it is not if SIGPIPE is ignored */
        if (sigismember(&pending, SIGPIPE))
            (void)sigwait(&broken, &signo);
    }
    (void)pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}

ssize_t jg__file_write(int fd, const struct iovec *pieces, int count)
{
    struct held held;
    ssize_t n;

    hold_signal(&held);
    do
        n = writev(fd, pieces, count);
    while (is_interrupted(n));
    n = n < 0 ? failure() : n;
    release_signal(&held, n == -EPIPE);
    return n;
}

#ifdef __linux__

const bool jg__socket_sends_files = true;

/* Whether it is not the connection that is at fault: another way may do, or tell. */
static bool is_of_file(int error)
{
    return error == EINVAL || error == ENOSYS || error == EIO || error == EBADF ||
           error == ESPIPE || error == EOVERFLOW || error == EOPNOTSUPP || error == EPERM ||
           error == EACCES || error == EISDIR || error == ENXIO;
}

ssize_t jg__socket_send_file(int fd, int file, int64_t offset, size_t size)
{
    off_t position = offset;
    struct held held;
    ssize_t n;

    hold_signal(&held);
    do
        n = sendfile(fd, file, &position, size);
    while (is_interrupted(n));
    if (n < 0)
        n = is_of_file(errno) ? -ENOTSUP : failure();
    release_signal(&held, n == -EPIPE);
    return n;
}

#else

const bool jg__socket_sends_files = false;

ssize_t jg__socket_send_file(int fd, int file, int64_t offset, size_t size)
{
    (void)fd;
    (void)file;
    (void)offset;
    (void)size;
    return -ENOTSUP;
}

#endif

static bool is_ready(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int n;

    do
        n = poll(&entry, 1, 0);
    while (is_interrupted(n));
    return n != 0; /* an error is for the read or write to tell */
}

ssize_t jg__shared_read(int fd, void *buf, size_t size)
{
    return is_ready(fd, POLLIN) ? jg__file_read(fd, buf, size) : -EAGAIN;
}

/* What is writable takes so much without blocking; of more nobody says how much. */
ssize_t jg__shared_write(int fd, const struct iovec *pieces, int count)
{
    struct iovec piece;

    while (count > 1 && pieces->iov_len == 0) {
        pieces++;
        count--;
    }
    piece = *pieces;
    if (piece.iov_len > PIPE_BUF)
        piece.iov_len = PIPE_BUF;
    return is_ready(fd, POLLOUT) ? jg__file_write(fd, &piece, 1) : -EAGAIN;
}

bool jg__file_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || !(flags & O_NONBLOCK) == blocking)
        return false;
    return fcntl(fd, F_SETFL, flags ^ O_NONBLOCK) == 0;
}
