/* SPDX-License-Identifier: MIT
 *
 * Connections: listening for them, accepting and making them, over TCP and Unix sockets. What they
 * become is a stream. Servers that do all of that are in server.h, datagrams in udp.h.
 *
 * Connections over TCP send what is written at once (TCP_NODELAY) unless `nagle` asks otherwise: a
 * stream gathers by itself what one turn writes.
 */
#ifndef JUGGLE_NET_H
#define JUGGLE_NET_H

#include <juggle/address.h>
#include <juggle/resolve.h>
#include <juggle/stream.h>

JG_BEGIN_DECLS

/* ------------------------------------------------------------- listening */

typedef struct jg_listener jg_listener;

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_listen_options {
    int backlog;     /* connections that wait to be accepted; 0: as many as the system lets */
    bool reuse_port; /* several sockets share the address, and the kernel deals (SO_REUSEPORT) */
    bool v6_only;    /* an IPv6 socket takes no IPv4: else it does, where the system can */
    bool nagle;
    jg_time keep_alive;       /* see jg_connect_options; of the accepted ones */
    jg_stream_options stream; /* of the accepted ones */
} jg_listen_options;

/**
 * Told of a connection that was accepted. It may do anything, also with the listener.
 *
 * fd        non-blocking, close-on-exec; for jg_stream_open, as a rule.
 * peer      valid during the call. A Unix socket without a name has an address without one.
 *
 * Returns   0, and the descriptor is its own; or an error, and the listener closes it.
 */
typedef int (*jg_accept_fn)(void *arg, int fd, const jg_address *peer);

/* How often something may be tried before it has to be ready again. */
typedef struct jg__grant {
    uint16_t turn, size, left, streak, patience;
} jg__grant;

/* A listening socket, in your memory. The fields are its own. */
struct jg_listener {
    jg_loop *loop;      /* NULL: not open, as in zeroed memory */
    jg_watcher watcher; /* its `number` is the descriptor; -1: it is lost */
    jg_timer timer;     /* while it waits for descriptors or memory to come back */
    jg_time pause;      /* ns, of the last such wait; 0: all is well */
    jg_link acceptors;  /* ops that wait, the first to come first */
    jg_accept_fn fn;    /* NULL: not started */
    void *arg;
    jg_link link; /* among those of `owner`, a server */
    void *owner;
    bool *gone;         /* set when it is closed in the middle of something; or NULL */
    uint64_t accepted;  /* connections */
    uint64_t shed;      /* connections that were closed for want of descriptors */
    uint64_t inode[2];  /* of the path that is to be unlinked; 0: none */
    unsigned forks;     /* as of the loop: whose path that is */
    uint32_t high_mark; /* of the streams */
    int reserve;        /* a descriptor for bad times, or negative */
    jg__grant grant;
    uint16_t flags;
};

/**
 * Listen. A TCP port that connections of the past still use is taken all the same. A Unix path
 * where a socket is left that nobody listens to is taken over; closing the listener unlinks its
 * own. asyncio: create_server, create_unix_server.
 *
 * address   a port of 0 is any free one: see jg_listener_address.
 * options   or NULL.
 *
 * Returns   0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOENT and the like; -EINVAL for what is no
 *           address, or a bad option; -ENOTSUP for reuse_port where there is none;
 *           -EAFNOSUPPORT; -EMFILE, -ENFILE, -ENOMEM.
 * Owns      nothing; `listener` must stay until it is closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_listen(jg_listener *listener, jg_loop *loop, const jg_address *address,
                     const jg_listen_options *options);

/**
 * Take over a descriptor that listens: one of jg_inherited_fd, or of a parent process. It is made
 * non-blocking, for all who share it. Its path, if it has one, is not unlinked.
 *
 * options   or NULL; those that concern listening itself are ignored.
 *
 * Returns   0; -EBADF, -ENOTSOCK, -EINVAL if it does not listen, -ENOMEM.
 * Owns      `fd`, from success on: closing the listener closes it.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_listen_fd(jg_listener *listener, jg_loop *loop, int fd,
                        const jg_listen_options *options);

/**
 * A listening socket that the service manager made for this process: socket activation, as systemd
 * does it (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). It is made close-on-exec.
 *
 * name      of those with this name (FileDescriptorName=); NULL: of all.
 * index     which of them, counted from 0.
 *
 * Returns   the descriptor, each time the same, for jg_listen_fd; -ENOENT if there is none.
 * Owns      nothing.
 * Thread    any, unless another one changes the environment.
 * Suspends  no.
 */
JG_API int jg_inherited_fd(const char *name, int index);

/**
 * Stop listening. Ops that wait for a connection complete with -ECONNABORTED; connections that were
 * not accepted are refused, unless another process has the socket, too. Harmless if it is not open.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; the listener's memory is yours again.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_listener_close(jg_listener *listener);

/**
 * The address that a listener is bound to. asyncio: getsockname.
 *
 * Returns   0; -EBADF if it is not open.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_listener_address(const jg_listener *listener, jg_address *ret_address);

/* The descriptor; -EBADF if it is not open. */
JG_API int jg_listener_fd(const jg_listener *listener);

/**
 * Accept one connection, waiting for it. Any number may wait: first come, first served. One that
 * the peer gave up meanwhile does not count, nor do errors of the network. asyncio: sock_accept.
 *
 * Where descriptors or memory run out, one connection that waits is closed, so that its peer knows;
 * the loop's error hook is told, once until it is over; and it is tried again after 10 ms, later
 * every second.
 *
 * stream    not open; opened when it completes with 0. Not to be touched before.
 * ret_peer  or NULL.
 *
 * Returns   0; -EBADF if the listener is not open, -ECONNABORTED if it is closed meanwhile, -EBUSY
 *           if it is started; -ECANCELED, with nothing lost. Of start: 0 or an error with nothing
 *           begun; the former is the op's status.
 * Owns      `stream` and `ret_peer` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_accept(jg_listener *listener, jg_stream *stream, jg_address *ret_peer);
JG_API int jg_accept_start(jg_listener *listener, jg_stream *stream, jg_address *ret_peer,
                           jg_op *op);

/**
 * Have fn called for each connection from now on, until it is stopped: without an op for each, and
 * several in one turn if several wait. To set a limit, stop it there and start it again: meanwhile
 * the others wait. See jg_accept for what goes wrong. asyncio: Server.start_serving.
 *
 * Returns   0; -EBADF if it is not open, -EBUSY if it is started or ops wait.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_listener_start(jg_listener *listener, jg_accept_fn fn, void *arg);

/* Stop that. Harmless if it is not started. */
JG_API void jg_listener_stop(jg_listener *listener);

/* ------------------------------------------------------------ connecting */

/* Why an address could not be connected to. */
typedef struct jg_connect_failure {
    jg_address address;
    int error;
} jg_connect_failure;

/* Zeroed memory is a valid set of options; so is NULL in its place. It has to stay until the op has
 * completed. */
typedef struct jg_connect_options {
    jg_time timeout;         /* ns for all of it; 0: none, but that of the scope */
    const jg_address *local; /* where to connect from, a port of 0 being any; NULL: anywhere */
    jg_time attempt_delay;   /* ns before the next address is tried as well; 0: 250 ms */
    bool nagle;
    jg_time keep_alive; /* ns of silence after which the peer is asked whether it is still there;
                           it is lost after as long again. Rounded up to seconds; 0: never */
    jg_stream_options stream;
    const jg_resolve_options *resolve; /* of jg_connect_name; or NULL */
    jg_connect_failure *failures; /* set, if all fail, in the order in which they did; or NULL */
    size_t failure_room;          /* those that were not needed have the error 0 */
} jg_connect_options;

/* What a pending connect needs; in your memory. */
typedef struct jg_connecting {
    jg_timer timer; /* the limit */
    jg_timer retry; /* of a Unix socket whose backlog is full */
    jg_stream *stream;
    jg_op *op;
    jg_watcher_fn ready; /* the stream's */
    jg_time pause;       /* ns, before the next retry */
    jg_address address;
} jg_connecting;

/**
 * Connect to an address. asyncio: create_connection, create_unix_connection.
 *
 * stream    not open; opened when it completes with 0. Not to be touched before.
 * options   or NULL.
 *
 * Returns   0; -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH, -ENOENT and the like;
 *           -EINVAL for what is no address, or a bad option; -EMFILE, -ENFILE, -ENOMEM; -ECANCELED.
 *           Of start: 0 or an error with nothing begun; the former is the op's status.
 * Owns      `stream`, `connecting` and what `options` points to until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_connect(jg_stream *stream, const jg_address *address,
                      const jg_connect_options *options);
JG_API int jg_connect_start(jg_connecting *connecting, jg_stream *stream, const jg_address *address,
                            const jg_connect_options *options, jg_op *op);

/**
 * Connect to one of several addresses, the first that answers: each is tried when the one before
 * has failed, or after a moment. Happy eyeballs, RFC 8305, section 5.
 *
 * addresses in the order to try them in, such as jg_resolve has it; at least 1. They are copied.
 *
 * Returns   0; if all fail, the most telling error: what a host answered counts more than silence,
 *           and that more than what this machine cannot do; see `failures`. -EINVAL, -ENOMEM;
 *           -ETIMEDOUT, -ECANCELED. Of start: as jg_connect.
 * Owns      `stream` and what `options` points to until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_connect_any(jg_stream *stream, const jg_address *addresses, size_t count,
                          const jg_connect_options *options);
JG_API int jg_connect_any_start(jg_stream *stream, const jg_address *addresses, size_t count,
                                const jg_connect_options *options, jg_op *op);

/**
 * Look up a host, and connect to one of its addresses. asyncio: create_connection(host, port,
 * happy_eyeballs_delay=0.25, interleave=1).
 *
 * Returns   as jg_resolve or jg_connect_any.
 * Owns      `stream` and what `options` points to until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_connect_name(jg_stream *stream, const char *host, uint16_t port,
                           const jg_connect_options *options);
JG_API int jg_connect_name_start(jg_stream *stream, const char *host, uint16_t port,
                                 const jg_connect_options *options, jg_op *op);

/* --------------------------------------------------------------- looking */

/**
 * The addresses of both ends of a stream over a socket. asyncio: get_extra_info("peername").
 *
 * Returns   0; -EBADF, -ENOTSOCK, -ENOTCONN.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_peer(const jg_stream *stream, jg_address *ret_address);
JG_API int jg_stream_local(const jg_stream *stream, jg_address *ret_address);

JG_END_DECLS

#endif
