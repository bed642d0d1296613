/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/endpoint.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef __APPLE__
#    include <sys/un.h>
#endif

#ifndef TCP_KEEPIDLE
#    ifdef TCP_KEEPALIVE
#        define TCP_KEEPIDLE TCP_KEEPALIVE
#    endif
#endif

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int domain_of(jg_family family)
{
    switch (family) {
    case JG_IPV4:
        return AF_INET;
    case JG_IPV6:
        return AF_INET6;
    case JG_UNIX:
        return AF_UNIX;
    default:
        return -1;
    }
}

int jg__endpoint_adopt(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
#ifdef SO_NOSIGPIPE
    (void)set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
    return fd;
}

int jg__endpoint_open(jg_family family, bool datagrams)
{
    int type = datagrams ? SOCK_DGRAM : SOCK_STREAM;
    int domain = domain_of(family);
    int fd;

    if (domain < 0)
        return -EINVAL;
#if defined(SOCK_NONBLOCK) && defined(SOCK_CLOEXEC) && !defined(SO_NOSIGPIPE)
    fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd > 2)
        return fd;
    return jg__fd_tidy(fd < 0 ? -errno : fd);
#else
    fd = socket(domain, type, 0);
    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    return fd < 0 ? fd : jg__endpoint_adopt(fd);
#endif
}

int jg__endpoint_bind(int fd, const jg_address *address)
{
    if (bind(fd, (const struct sockaddr *)address->storage, address->size) < 0)
        return -errno;
    return 0;
}

int jg__endpoint_connect(int fd, const jg_address *address)
{
    if (connect(fd, (const struct sockaddr *)address->storage, address->size) == 0)
        return 0;
    if (errno == EINTR)
        return -EINPROGRESS;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

int jg__endpoint_result(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

static int get_name(int fd, int (*get)(int, struct sockaddr *, socklen_t *),
                    jg_address *ret_address)
{
    jg_address address = {.size = 0};
    socklen_t size = sizeof(address.storage);

    if (get(fd, (struct sockaddr *)address.storage, &size) < 0)
        return -errno;
    address.size = size < sizeof(address.storage) ? size : (uint32_t)sizeof(address.storage);
    *ret_address = address;
    return 0;
}

static int get_local(int fd, struct sockaddr *address, socklen_t *size)
{
    return getsockname(fd, address, size);
}

static int get_peer(int fd, struct sockaddr *address, socklen_t *size)
{
    return getpeername(fd, address, size);
}

int jg__endpoint_local(int fd, jg_address *ret_address)
{
    return get_name(fd, get_local, ret_address);
}

int jg__endpoint_peer(int fd, jg_address *ret_address)
{
    return get_name(fd, get_peer, ret_address);
}

bool jg__endpoint_is_loop(int fd, const jg_address *target)
{
    jg_address local, peer;

    return jg__endpoint_local(fd, &local) == 0 &&
           jg_address_port(&local) == jg_address_port(target) &&
           jg__endpoint_peer(fd, &peer) == 0 && jg_address_equal(&local, &peer);
}

int jg__endpoint_reuse_address(int fd)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int jg__endpoint_reuse_port(int fd)
{
#if defined(__FreeBSD__) && defined(SO_REUSEPORT_LB)
    return set_option(fd, SOL_SOCKET, SO_REUSEPORT_LB, 1);
#elif defined(__linux__) && defined(SO_REUSEPORT)
    int r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);

    return r == -ENOPROTOOPT || r == -EOPNOTSUPP ? -ENOTSUP : r;
#else
    (void)fd; /* elsewhere it gives all connections to one of the sockets */
    return -ENOTSUP;
#endif
}

int jg__endpoint_v6_only(int fd, bool on)
{
    return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, on);
}

void jg__endpoint_late_port(int fd)
{
#ifdef IP_BIND_ADDRESS_NO_PORT
    (void)set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
#else
    (void)fd;
#endif
}

void jg__endpoint_no_delay(int fd)
{
    (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* it is only slower without */
}

/* Eight questions in as long a time again. */
static int keep_alive(int fd, int seconds)
{
    int r = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

#ifdef TCP_KEEPIDLE
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
#endif
#if defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds < 8 ? 1 : seconds / 8);
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, seconds < 8 ? seconds : 8);
#endif
    return r;
}

int jg__endpoint_tune(int fd, bool nagle, jg_time silence)
{
    jg_time seconds = silence / JG_SECOND + (silence % JG_SECOND > 0);

    if (silence < 0 || seconds > INT16_MAX)
        return -EINVAL;
    if (!nagle)
        jg__endpoint_no_delay(fd);
    return seconds > 0 ? keep_alive(fd, (int)seconds) : 0;
}

int jg__endpoint_credentials(int fd, int64_t *ret_pid, uint32_t *ret_uid, uint32_t *ret_gid)
{
#ifdef SO_PEERCRED
#    ifdef __OpenBSD__
    struct sockpeercred peer = {.pid = 0};
#    else
    struct ucred peer = {.pid = 0};
#    endif
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    if (peer.pid <= 0)
        return -ENOTCONN; /* of another kind of socket, or not connected */
    *ret_pid = peer.pid;
    *ret_uid = peer.uid;
    *ret_gid = peer.gid;
    return 0;
#else
    uid_t uid;
    gid_t gid;

    if (getpeereid(fd, &uid, &gid) < 0)
        return -errno;
    *ret_pid = -1;
#    if defined(__APPLE__) && defined(LOCAL_PEERPID)
    pid_t pid;
    socklen_t size = sizeof(pid);

    if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &size) == 0)
        *ret_pid = pid;
#    endif
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
#endif
}
