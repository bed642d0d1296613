/* SPDX-License-Identifier: MIT */
#ifdef __linux__
#    define _GNU_SOURCE
#endif

#include "platform/bind.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

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

static int prepare(int fd, const jg_address *address, bool shared)
{
    int r = 0;

    set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (jg_address_family(address) != JG_UNIX)
        set(fd, IPPROTO_TCP, TCP_NODELAY); /* what is accepted inherits it */
    if (shared)
        r = share(fd);
    if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    if (r == 0 && bind(fd, (const struct sockaddr *)address->storage, address->size) < 0)
        r = -errno;
    return r;
}

static int domain_of(const jg_address *address)
{
    switch (jg_address_family(address)) {
    case JG_IPV4:
        return AF_INET;
    case JG_IPV6:
        return AF_INET6;
    default:
        return AF_UNIX;
    }
}

int jg__bind(const jg_address *address, bool shared)
{
    int fd = socket(domain_of(address), SOCK_STREAM, 0), r;

    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd < 0)
        return fd;

    r = prepare(fd, address, shared);
    if (r < 0)
        (void)jg__fd_close(fd);
    return r < 0 ? r : fd;
}

int jg__bind_listen(int fd, int backlog)
{
    return listen(fd, backlog) < 0 ? -errno : 0;
}

int jg__bind_accept(int fd)
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

int jg__bind_own(int fd, jg_address *ret_address)
{
    jg_address address;
    socklen_t size = sizeof(address.storage);

    if (getsockname(fd, (struct sockaddr *)address.storage, &size) < 0)
        return -errno;
    address.size = (uint32_t)size;
    *ret_address = address;
    return 0;
}

int jg__bind_peer(int fd, jg_address *ret_address)
{
    jg_address address;
    socklen_t size = sizeof(address.storage);

    if (getpeername(fd, (struct sockaddr *)address.storage, &size) < 0)
        return -errno;
    address.size = (uint32_t)size;
    *ret_address = address;
    return 0;
}
