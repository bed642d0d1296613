/* SPDX-License-Identifier: MIT
 *
 * Datagrams over UDP. asyncio: create_datagram_endpoint.
 *
 * Datagrams are received and sent as many at a time as there are and the caller has room for: where
 * the system can, in one call. One alone is a batch of one.
 */
#ifndef JUGGLE_UDP_H
#define JUGGLE_UDP_H

#include <juggle/net.h>
#include <juggle/op.h>

JG_BEGIN_DECLS

/* The most there can be in one, over IPv4 and IPv6. */
#define JG_DATAGRAM_SIZE 65535

/* One datagram, in memory of yours. */
typedef struct jg_datagram {
    void *data;         /* only read when it is sent */
    size_t capacity;    /* bytes of room for what is received */
    size_t size;        /* bytes received, or to send; 0 is a datagram, too */
    jg_address address; /* where from, or where to; on a connected socket the latter is ignored */
    bool truncated;     /* received, but it was longer than the room */
} jg_datagram;

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_udp_options {
    bool reuse_address; /* several sockets may be bound to the address, and get what is sent to
                            groups: for multicast */
    bool reuse_port;    /* several sockets share the address, and the kernel deals */
    bool v6_only;       /* an IPv6 socket takes no IPv4: else it does, where the system can */
    bool broadcast;     /* it may send to broadcast addresses */
    bool no_loop;       /* what is sent to groups is not received on this machine */
    int hops;           /* that what is sent to groups may take, 1 to 255; 0: 1 */
    int receive_buffer; /* bytes that the kernel holds for the program, about; 0: its default */
    int send_buffer;
} jg_udp_options;

/* A socket for datagrams, in your memory. The fields are its own. */
typedef struct jg_udp {
    jg_loop *loop; /* NULL: not open, as in zeroed memory */
    jg_watcher watcher;
    jg_link receivers, senders; /* ops that wait, the first to come first */
    jg__grant grant;
    uint16_t flags;
    int16_t error; /* came behind what was moved last, and is the next to be told; 0: none */
} jg_udp;

/**
 * Open a socket for datagrams: bound to an address, connected to one, or both. A connected socket
 * exchanges datagrams with its peer alone, and learns of it when nobody is there.
 *
 * local     or NULL: any, which is chosen when something is first sent.
 * peer      or NULL: not connected. One of both has to be there.
 * options   or NULL.
 *
 * Returns   0; -EINVAL for what is no IP address, or a bad option; -EADDRINUSE, -EADDRNOTAVAIL,
 *           -EACCES, -ENETUNREACH and the like; -ENOTSUP for reuse_port where there is none;
 *           -EMFILE, -ENFILE, -ENOMEM.
 * Owns      nothing; `udp` must stay until it is closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_udp_open(jg_udp *udp, jg_loop *loop, const jg_address *local, const jg_address *peer,
                       const jg_udp_options *options);

/**
 * Close it. What waits completes with -ECONNABORTED. Harmless if it is not open.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; its memory is yours again.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_udp_close(jg_udp *udp);

/* What a pending receive or send needs; in your memory. */
typedef struct jg_udp_request {
    jg_udp *udp;
    jg_datagram *datagrams;
    size_t count;
} jg_udp_request;

/**
 * Receive datagrams, waiting for the first. Any number may wait: first come, first served.
 *
 * datagrams `size`, `address` and `truncated` are set in those that were received.
 * count     at least 1.
 *
 * Returns   how many were received; -ECONNREFUSED on a connected socket if nobody was there for
 *           something that was sent before, which is told at most once: it is lost if it comes
 *           while a batch is sent, where the system does not tell why that ended; -EBADF, -EINVAL;
 *           -ECONNABORTED if it is closed meanwhile; -ECANCELED. Of start: 0 or an error with
 *           nothing begun; the former is the op's status.
 * Owns      `request` and `datagrams`, with their data, until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_udp_receive(jg_udp *udp, jg_datagram *datagrams, size_t count);
JG_API int jg_udp_receive_start(jg_udp *udp, jg_udp_request *request, jg_datagram *datagrams,
                                size_t count, jg_op *op);

/**
 * Send datagrams, each whole or not at all. It waits only if the kernel has no room for the first.
 *
 * Returns   how many were sent, in their order: fewer than `count` if one could not be, which a
 *           further call tells about if it still cannot; -EMSGSIZE for one that is too large,
 *           -ECONNREFUSED as for receive, with this one not sent; -EBADF, -EINVAL, -ENETUNREACH,
 *           -EPERM and the like; -ECONNABORTED, -ECANCELED. Of start: see receive.
 * Owns      `request` and `datagrams`, with their data, until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_udp_send(jg_udp *udp, jg_datagram *datagrams, size_t count);
JG_API int jg_udp_send_start(jg_udp *udp, jg_udp_request *request, jg_datagram *datagrams,
                             size_t count, jg_op *op);

/**
 * Join a multicast group, and leave it; closing leaves all.
 *
 * interface  the number of a network interface, see if_nametoindex(3); 0: the system chooses.
 *
 * Returns   0; -EBADF; -EINVAL for what is no group of the socket's family; -EADDRINUSE if it was
 *           joined, -EADDRNOTAVAIL if not; -ENODEV; -ENOTSUP.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_udp_join(jg_udp *udp, const jg_address *group, unsigned interface);
JG_API int jg_udp_leave(jg_udp *udp, const jg_address *group, unsigned interface);

/* The address it is bound to: 0, or -EBADF. And the descriptor, or -EBADF. */
JG_API int jg_udp_address(const jg_udp *udp, jg_address *ret_address);
JG_API int jg_udp_fd(const jg_udp *udp);

JG_END_DECLS

#endif
