/* SPDX-License-Identifier: MIT
 *
 * Descriptors as ancillary data of Unix sockets.
 */
#ifndef JG_PLATFORM_RIGHTS_H
#define JG_PLATFORM_RIGHTS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The most that are passed in one call. */
#define JG__RIGHTS_MOST 32

/*
 * As jg__socket_write, with descriptors that go along with the first byte: all of them, if anything
 * is sent. They stay open here.
 */
ssize_t jg__rights_send(int fd, const struct iovec *pieces, int count, const int *fds,
                        size_t fd_count);

/*
 * As jg__socket_read, with the descriptors that came along, of which there is room for `room`.
 * -EMSGSIZE: some were lost, and the others are closed.
 */
ssize_t jg__rights_receive(int fd, void *buf, size_t size, int *fds, size_t room,
                           size_t *ret_fd_count);

#endif
