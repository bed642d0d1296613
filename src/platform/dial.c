/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/dial.h"

#include "platform/descriptor.h"
#include "platform/endpoint.h"

#include <errno.h>
#include <sys/socket.h>

#ifdef MSG_NOSIGNAL
#    define SEND_FLAGS MSG_NOSIGNAL
#else
#    define SEND_FLAGS 0
#endif

int jg__dial(const jg_address *address, bool stream)
{
    int fd = jg__endpoint_open(jg_address_family(address), !stream);
    int r;

    if (fd < 0)
        return fd;

    r = jg__endpoint_connect(fd, address);
    if (r == 0 || r == -EINPROGRESS)
        return fd;
    jg__fd_close(fd);
    return r;
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
