/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/dial.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#ifdef MSG_NOSIGNAL
#    define SEND_FLAGS MSG_NOSIGNAL
#else
#    define SEND_FLAGS 0
#endif

static int family_of(const jg_address *address)
{
    switch (jg_address_family(address)) {
    case JG_IPV4:
        return AF_INET;
    case JG_IPV6:
        return AF_INET6;
    case JG_UNIX:
        return AF_UNIX;
    default:
        return AF_UNSPEC;
    }
}

int jg__dial(const jg_address *address, bool stream)
{
    int fd = socket(family_of(address), stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    int r;

    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd < 0)
        return fd;

    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    r = connect(fd, (const struct sockaddr *)address->storage, address->size);
    if (r < 0 && errno != EINPROGRESS && errno != EINTR) {
        r = -errno;
        jg__fd_close(fd);
        return r;
    }
    return fd;
}

int jg__dial_send(int fd, const void *data, size_t size)
{
    ssize_t n;

    do
        n = send(fd, data, size, SEND_FLAGS);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int jg__dial_receive(int fd, void *buffer, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, buffer, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

bool jg__is_routable(const jg_address *address)
{
    jg_address target = *address;
    int fd;

    jg_address_set_port(&target, 9); /* some systems refuse port 0; nothing is sent */
    fd = jg__dial(&target, false);
    jg__fd_close(fd);
    return fd >= 0;
}
