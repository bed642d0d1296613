/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/rights.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#    define MSG_NOSIGNAL 0 /* where it is missing the socket has an option for it */
#endif
#ifndef MSG_CMSG_CLOEXEC
#    define MSG_CMSG_CLOEXEC 0
#endif

/* Aligned as the headers in it must be. */
typedef union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(JG__RIGHTS_MOST * sizeof(int))];
} control;

static ssize_t failure(void)
{
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

ssize_t jg__rights_send(int fd, const struct iovec *pieces, int count, const int *fds,
                        size_t fd_count)
{
    const size_t size = fd_count * sizeof(int);
    control buffer;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces};
    struct cmsghdr *const header = &buffer.header;
    ssize_t n;

    memset(&buffer, 0, sizeof(buffer));
    message.msg_iovlen = (__typeof__(message.msg_iovlen))count; /* systems differ */
    message.msg_control = &buffer;
    message.msg_controllen = (socklen_t)CMSG_SPACE(size);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = (socklen_t)CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
    do
        n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failure() : n;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        jg__fd_close(fds[i]);
}

/* CMSG_NXTHDR of musl mixes signs, and its headers are not among those the compiler trusts. */
#ifdef __GNUC__
#    pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

static struct cmsghdr *next_header(struct msghdr *message, struct cmsghdr *header)
{
    return CMSG_NXTHDR(message, header);
}

/* Take the descriptors out of a message. Returns false if some are lost. */
static bool unpack(struct msghdr *message, int *fds, size_t room, size_t *ret_count)
{
    bool complete = !(message->msg_flags & MSG_CTRUNC);
    size_t count = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = next_header(message, header)) {
        size_t size = header->cmsg_len - CMSG_LEN(0);

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
            if (MSG_CMSG_CLOEXEC == 0 || fd <= 2)
                fd = jg__fd_tidy(fd);
            if (fd >= 0 && count < room) {
                fds[count++] = fd;
            } else {
                complete = false;
                jg__fd_close(fd);
            }
        }
    }
    *ret_count = count;
    return complete;
}

ssize_t jg__rights_receive(int fd, void *buf, size_t size, int *fds, size_t room,
                           size_t *ret_fd_count)
{
    control buffer;
    struct iovec piece = {buf, size};
    struct msghdr message = {.msg_iov = &piece};
    ssize_t n;

    if (room > JG__RIGHTS_MOST)
        room = JG__RIGHTS_MOST;
    do {
        message.msg_iovlen = 1;
        message.msg_control = room > 0 ? &buffer : NULL;
        message.msg_controllen = room > 0 ? (socklen_t)CMSG_LEN(room * sizeof(int)) : 0;
        n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure();

    if (!unpack(&message, fds, room, ret_fd_count)) {
        close_all(fds, *ret_fd_count);
        *ret_fd_count = 0;
        return -EMSGSIZE;
    }
    return n;
}
