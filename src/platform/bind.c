/* SPDX-License-Identifier: MIT */
#ifdef __linux__
#    define _GNU_SOURCE
#endif

#include "platform/bind.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns 0 and the address, to be freed, or -EINVAL. */
static int parse(const char *text, struct addrinfo **ret_address)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
    };
    const char *colon = strrchr(text, ':');
    char host[64];
    size_t size;

    if (!colon || colon == text)
        return -EINVAL;
    size = (size_t)(colon - text);
    if (text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    if (size >= sizeof(host) || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) < 1 || strlen(colon + 1) > 5 || atoi(colon + 1) > UINT16_MAX)
        return -EINVAL;
    memcpy(host, text, size);
    host[size] = 0;
    return getaddrinfo(host, colon + 1, &hints, ret_address) == 0 ? 0 : -EINVAL;
}

/* Options are for speed and convenience: where one is missing we go without. */
static void set(int fd, int level, int option)
{
    const int on = 1;

    (void)setsockopt(fd, level, option, &on, sizeof(on));
}

static int share(int fd)
{
    const int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

int jg__listen_bind(const char *address, bool shared)
{
    struct addrinfo *info;
    int r = parse(address, &info), fd;

    if (r < 0)
        return r;

    fd = socket(info->ai_family, SOCK_STREAM, 0);
    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd >= 0) {
        set(fd, SOL_SOCKET, SO_REUSEADDR);
        set(fd, IPPROTO_TCP, TCP_NODELAY); /* what is accepted inherits it */
        r = shared ? share(fd) : 0;
        if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
            r = -errno;
        if (r == 0 && bind(fd, info->ai_addr, info->ai_addrlen) < 0)
            r = -errno;
        if (r < 0) {
            (void)jg__fd_close(fd);
            fd = r;
        }
    }
    freeaddrinfo(info);
    return fd;
}

int jg__listen_start(int fd, int backlog)
{
    return listen(fd, backlog) < 0 ? -errno : 0;
}

int jg__listen_accept(int fd)
{
    int accepted;

    do {
#ifdef __linux__
        accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
        accepted = accept(fd, NULL, NULL);
#endif
    } while (accepted < 0 && errno == EINTR);
    if (accepted < 0) {
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EBADF:
        case EINVAL:
            return -errno;
        default:
            return -EAGAIN; /* errors of the one connection */
        }
    }
#ifdef __linux__
    return accepted > 2 ? accepted : jg__fd_tidy(accepted);
#else
    accepted = jg__fd_tidy(accepted);
    if (accepted >= 0)
        (void)fcntl(accepted, F_SETFL, O_NONBLOCK);
    return accepted;
#endif
}

static int format(const struct sockaddr_storage *address, socklen_t address_size, bool with_port,
                  char *text, size_t size)
{
    char host[64], port[8];
    const char *pattern = "%s";
    int n;

    if (getnameinfo((const struct sockaddr *)address, address_size, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    if (with_port)
        pattern = strchr(host, ':') ? "[%s]:%s" : "%s:%s";
    n = snprintf(text, size, pattern, host, port);
    return n < 0 || (size_t)n >= size ? -ENOBUFS : 0;
}

int jg__socket_own_text(int fd, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    return format(&address, length, true, text, size);
}

int jg__socket_peer_text(int fd, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    return format(&address, length, false, text, size);
}
