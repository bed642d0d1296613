/* SPDX-License-Identifier: MIT
 *
 * The bytes of connected sockets, and of other descriptors that are read and written like streams.
 *
 * Nothing here blocks on a socket, whatever its flags say. Reads and writes return how many bytes
 * they moved or -errno, with -EAGAIN where the system has several names for it, and never raise a
 * signal.
 */
#ifndef JG_PLATFORM_SOCKET_H
#define JG_PLATFORM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * One try to read, and to write a single piece. If that is negative, what it means, after another
 * try or not, is for the second function of the pair to say: at once, since it looks at errno.
 * -ENOTSOCK: it is something else.
 */
static inline ssize_t jg__socket_try_read(int fd, void *buf, size_t size)
{
    return recv(fd, buf, size, MSG_DONTWAIT);
}

ssize_t jg__socket_read_failed(int fd, void *buf, size_t size);

#ifdef MSG_NOSIGNAL
static inline ssize_t jg__socket_try_write(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}
#else
ssize_t jg__socket_try_write(int fd, const void *data, size_t size);
#endif

ssize_t jg__socket_write_failed(int fd, const struct iovec *pieces, int count);

/* Write several pieces, at least one. */
ssize_t jg__socket_write(int fd, const struct iovec *pieces, int count);

/*
 * From a file, without the bytes passing through memory of ours; the socket must not block. Returns
 * 0 at the end of the file; -ENOTSUP if it cannot be done in this way, or the file has an error.
 */
ssize_t jg__socket_send_file(int fd, int file, int64_t offset, size_t size);

/* Whether that is ever anything else than -ENOTSUP. */
extern const bool jg__socket_sends_files;

/* Whether it is a Unix socket; also if that cannot be known. */
bool jg__socket_is_unix(int fd);

/* No more will be written. A peer that is gone already is no error. */
int jg__socket_shut(int fd);

/* When the socket is closed the peer gets a reset, and what it has not received is dropped. */
void jg__socket_cut(int fd);

ssize_t jg__file_read(int fd, void *buf, size_t size);
ssize_t jg__file_write(int fd, const struct iovec *pieces, int count);

/*
 * The same for what may be in blocking mode, for the sake of others who use it, too. They block only
 * if one of these is faster than we.
 */
ssize_t jg__shared_read(int fd, void *buf, size_t size);
ssize_t jg__shared_write(int fd, const struct iovec *pieces, int count);

/* Returns whether that was a change. */
bool jg__file_set_blocking(int fd, bool blocking);

#endif
