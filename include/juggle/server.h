/* SPDX-License-Identifier: MIT
 *
 * Servers: who listens, and the connections that came of it, each with a coroutine of its own or
 * driven by callbacks. asyncio: Server.
 */
#ifndef JUGGLE_SERVER_H
#define JUGGLE_SERVER_H

#include <juggle/net.h>
#include <juggle/task.h>

JG_BEGIN_DECLS

typedef struct jg_server jg_server;

/* A connection of a server. Those of coroutines are made by the server; for callbacks it is part of
 * a struct of yours. */
typedef struct jg_connection {
    jg_stream stream;
    jg_link link;
    jg_server *server;
} jg_connection;

/**
 * The body of a coroutine that serves one connection. When it returns the server closes the stream,
 * if it is still open: what was written is sent, which has a time limit.
 *
 * Returns   anything: errors are counted, and harm no other connection.
 */
typedef int (*jg_server_fn)(jg_stream *stream, void *arg);

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_server_options {
    unsigned limit;    /* connections at a time, while further ones wait in the backlog; 0: any */
    const char *name;  /* of the coroutines, for people; must stay */
    size_t stack_size; /* of the coroutines; 0: 64 KiB */
    jg_time close_timeout; /* ns to send what was written when a handler returns; 0: 5 s */
} jg_server_options;

typedef struct jg_server_stats {
    uint64_t accepted; /* connections so far */
    uint64_t shed;     /* of them closed at once: for want of descriptors or memory */
    uint64_t failed;   /* handlers that returned an error, but -ECANCELED and -ECONNABORTED */
    unsigned connections, most; /* now, and at any time */
} jg_server_stats;

/* A server, in your memory. The fields are its own. */
struct jg_server {
    jg_loop *loop;
    jg_scope *scope; /* of the coroutines; NULL: there are callbacks */
    jg_server_fn fn;
    jg_accept_fn accept;
    void *arg;
    jg_server_options options;
    jg_link listeners;
    jg_link connections;
    jg_link waiters;
    jg_server_stats stats;
    bool closed;
};

/**
 * Open a server with a coroutine fn(stream, arg) for each connection. asyncio: start_server.
 *
 * scope     in which the coroutines are spawned. Once it is cancelled, as they are then, the server
 *           closes when the next connection comes, if not before.
 * options   copied; or NULL.
 *
 * Returns   nothing.
 * Owns      nothing; `server` and `scope` must stay until it is closed and has no connections,
 *           which is after the scope was left, at the latest.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_server_open(jg_server *server, jg_scope *scope, jg_server_fn fn, void *arg,
                           const jg_server_options *options);

/**
 * Open a server that calls accept(arg, fd, peer) for each connection, which makes a struct of its
 * own for it and calls jg_server_attach: for protocols that need no stack while a connection is
 * idle.
 *
 * options   copied; or NULL. Those of coroutines do not count.
 *
 * Returns   nothing.
 * Owns      nothing; `server` must stay until it is closed and has no connections.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_server_open_with(jg_server *server, jg_loop *loop, jg_accept_fn accept, void *arg,
                                const jg_server_options *options);

/**
 * Accept the connections of a listener, from the next turn on. A server can have several.
 *
 * listener  open, not started.
 *
 * Returns   0; -EBADF if one of both is not open, -EBUSY.
 * Owns      the listener, from success on: closing the server closes it. Its memory must stay until
 *           then.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_server_add(jg_server *server, jg_listener *listener);

/**
 * In the callback of a server: open the stream of a connection, and count it as one of the server's
 * until it is detached.
 *
 * options   of the stream; or NULL.
 *
 * Returns   0; -EINVAL, -ENOMEM, as jg_stream_open.
 * Owns      the descriptor; `connection` must stay until it is detached.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_server_attach(jg_server *server, jg_connection *connection, int fd,
                            const jg_stream_options *options);

/* The stream of an attached connection is closed, and the struct is about to go. */
JG_API void jg_server_detach(jg_connection *connection);

/* Stop listening; the connections go on. asyncio: Server.close. */
JG_API void jg_server_close(jg_server *server);

/**
 * Have the connections end as soon as what they do is done: a read that waits, and each later one
 * that needs more than jg_stream_buffered, fails with -ECONNABORTED; what the kernel holds by then
 * is not read any more. Writing goes on. asyncio: Server.close_clients.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_server_close_clients(jg_server *server);

/* Abort the streams of all connections, see jg_stream_abort. asyncio: Server.abort_clients. */
JG_API void jg_server_abort_clients(jg_server *server);

/**
 * Wait until a server is closed and has no connection any more. asyncio: Server.wait_closed.
 *
 * Returns   0, or -ECANCELED. Of start: see jg_op_start.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_server_wait(jg_server *server);
JG_API int jg_server_wait_start(jg_server *server, jg_op *op);

/* A copy of its counts. */
JG_API void jg_server_stat(const jg_server *server, jg_server_stats *ret_stats);

/**
 * Serve a listener, with a coroutine fn(stream, arg) for each connection, until this coroutine is
 * cancelled; then close it, and wait for the others, which are cancelled as well. All of the above
 * in one call, for a program that does nothing else. asyncio: Server.serve_forever.
 *
 * Returns   -ECANCELED; -EBADF, -EBUSY as jg_server_add; -ENOMEM.
 * Owns      the listener, which is closed when it returns.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_serve(jg_listener *listener, jg_server_fn fn, void *arg,
                    const jg_server_options *options);

JG_END_DECLS

#endif
