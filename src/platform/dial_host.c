/* SPDX-License-Identifier: MIT */
#ifdef __linux__
#    define _GNU_SOURCE
#endif

#include "platform/dial_host.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int lookup(const char *host, uint16_t port, struct addrinfo **ret_info)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    int r;

    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    r = getaddrinfo(host, service, &hints, ret_info);
    if (r == EAI_SYSTEM)
        return -errno;
    return r == EAI_MEMORY ? -ENOMEM : r == 0 ? 0 : -EHOSTUNREACH;
}

static int begin(int fd, const struct addrinfo *info)
{
    const int on = 1;

    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only for speed */
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0 && errno != EINPROGRESS && errno != EINTR)
        return -errno;
    return 0;
}

int jg__dial_host(const char *host, uint16_t port)
{
    struct addrinfo *info;
    int r = lookup(host, port, &info), fd;

    if (r < 0)
        return r;

    fd = socket(info->ai_family, SOCK_STREAM, 0);
    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    r = fd < 0 ? fd : begin(fd, info);
    if (r < 0 && fd >= 0)
        (void)jg__fd_close(fd);
    freeaddrinfo(info);
    return r < 0 ? r : fd;
}

int jg__dial_result(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}
