/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__)
#    define HAS_MANY 1
#else
#    define HAS_MANY 0
#endif

#define MOST 16 /* in one system call */

#ifndef MSG_NOSIGNAL
#    define MSG_NOSIGNAL 0 /* datagrams of UDP raise none */
#endif

static int failure(void)
{
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static void prepare_receive(jg_datagram *datagram, struct msghdr *message, struct iovec *piece)
{
    *piece = (struct iovec){datagram->data, datagram->capacity};
    memset(message, 0, sizeof(*message));
    memset(&datagram->address, 0, sizeof(datagram->address));
    message->msg_name = datagram->address.storage;
    message->msg_namelen = sizeof(datagram->address.storage);
    message->msg_iov = piece;
    message->msg_iovlen = 1;
}

static void finish_receive(jg_datagram *datagram, const struct msghdr *message, size_t size)
{
    datagram->size = size;
    datagram->address.size = message->msg_namelen;
    datagram->truncated = (message->msg_flags & MSG_TRUNC) != 0;
}

static void prepare_send(const jg_datagram *datagram, bool connected, struct msghdr *message,
                         struct iovec *piece)
{
    *piece = (struct iovec){datagram->data, datagram->size};
    memset(message, 0, sizeof(*message));
    if (!connected) {
        message->msg_name = (void *)(uintptr_t)datagram->address.storage;
        message->msg_namelen = datagram->address.size;
    }
    message->msg_iov = piece;
    message->msg_iovlen = 1;
}

static int receive_one(int fd, jg_datagram *datagram)
{
    struct msghdr message;
    struct iovec piece;
    ssize_t n;

    do {
        prepare_receive(datagram, &message, &piece);
        n = recvmsg(fd, &message, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure();

    finish_receive(datagram, &message, (size_t)n);
    return 1;
}

static int send_one(int fd, const jg_datagram *datagram, bool connected)
{
    struct msghdr message;
    struct iovec piece;
    ssize_t n;

    prepare_send(datagram, connected, &message, &piece);
    do
        n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failure() : 1;
}

#if HAS_MANY

static int receive_many(int fd, jg_datagram *datagrams, size_t count)
{
    struct mmsghdr messages[MOST];
    struct iovec pieces[MOST];
    int n;

    if (count > MOST)
        count = MOST;
    do {
        for (size_t i = 0; i < count; i++)
            prepare_receive(&datagrams[i], &messages[i].msg_hdr, &pieces[i]);
        n = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    for (int i = 0; i < n; i++)
        finish_receive(&datagrams[i], &messages[i].msg_hdr, messages[i].msg_len);
    return n < 0 ? failure() : n;
}

static int send_many(int fd, const jg_datagram *datagrams, size_t count, bool connected)
{
    struct mmsghdr messages[MOST];
    struct iovec pieces[MOST];
    int n;

    if (count > MOST)
        count = MOST;
    for (size_t i = 0; i < count; i++)
        prepare_send(&datagrams[i], connected, &messages[i].msg_hdr, &pieces[i]);
    do
        n = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failure() : n;
}

#else

static int receive_many(int fd, jg_datagram *datagrams, size_t count)
{
    (void)count;
    return receive_one(fd, datagrams);
}

static int send_many(int fd, const jg_datagram *datagrams, size_t count, bool connected)
{
    (void)count;
    return send_one(fd, datagrams, connected);
}

#endif

/* The system may move fewer than it was given without a reason that lasts. */
int jg__datagrams_receive(int fd, jg_datagram *datagrams, size_t count, int16_t *ret_later)
{
    size_t done = 0;

    while (done < count) {
        int r = count - done == 1 ? receive_one(fd, &datagrams[done])
                                  : receive_many(fd, &datagrams[done], count - done);

        if (r < 0 && done == 0)
            return r;
        if (r < 0) {
            if (r != -EAGAIN)
                *ret_later = (int16_t)r;
            break;
        }
        done += (size_t)r;
        if (HAS_MANY && r < MOST)
            break; /* there are no more, or the system kept an error */
    }
    return (int)done;
}

int jg__datagrams_send(int fd, const jg_datagram *datagrams, size_t count, bool connected,
                       int16_t *ret_later)
{
    size_t done = 0;

    while (done < count) {
        int r = count - done == 1 ? send_one(fd, &datagrams[done], connected)
                                  : send_many(fd, &datagrams[done], count - done, connected);

        if (r < 0 && done == 0)
            return r;
        if (r < 0) {
            /* What is not about this datagram is about the peer, and told once. */
            if (connected && r != -EAGAIN && r != -EMSGSIZE)
                *ret_later = (int16_t)r;
            break;
        }
        done += (size_t)r;
        if (HAS_MANY && r < MOST)
            break;
    }
    return (int)done;
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int tune_groups(int fd, jg_family family, const jg_udp_options *options)
{
    const unsigned char hops = (unsigned char)options->hops, loop = 0;
    int r = 0;

    if (family == JG_IPV6) {
        if (options->hops > 0)
            r = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, options->hops);
        if (r == 0 && options->no_loop)
            r = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
        return r;
    }
    if (options->hops > 0 && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof(hops)) < 0)
        return -errno;
    if (options->no_loop && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof(loop)) < 0)
        return -errno;
    return 0;
}

int jg__datagrams_tune(int fd, jg_family family, const jg_udp_options *options)
{
    int r = 0;

    if (options->broadcast)
        r = set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (r == 0 && options->receive_buffer > 0)
        r = set_option(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer);
    if (r == 0 && options->send_buffer > 0)
        r = set_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
#ifndef __linux__
    /* Elsewhere it is this one that lets several sockets have the same address. */
    if (r == 0 && options->reuse_address)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
    return r < 0 ? r : tune_groups(fd, family, options);
}

int jg__datagrams_membership(int fd, const jg_address *group, unsigned interface, bool join)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct ipv6_mreq six = {.ipv6mr_interface = interface};
    struct ip_mreq four = {.imr_interface = {INADDR_ANY}};

    if (jg_address_family(group) == JG_IPV6) {
        memcpy(&in6, group->storage, sizeof(in6));
        six.ipv6mr_multiaddr = in6.sin6_addr;
        return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &six,
                          sizeof(six)) < 0
                   ? -errno
                   : 0;
    }

    memcpy(&in, group->storage, sizeof(in));
#ifdef MCAST_JOIN_GROUP
    if (interface != 0) {
        struct group_req request = {.gr_interface = interface};

        memcpy(&request.gr_group, &in, sizeof(in));
        return setsockopt(fd, IPPROTO_IP, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request,
                          sizeof(request)) < 0
                   ? -errno
                   : 0;
    }
#else
    if (interface != 0)
        return -ENOTSUP;
#endif
    four.imr_multiaddr = in.sin_addr;
    return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &four,
                      sizeof(four)) < 0
               ? -errno
               : 0;
}
