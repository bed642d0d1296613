/* SPDX-License-Identifier: MIT
 *
 * An HTTP/1.1 server. Programs that are nothing but a web application have it from jg_run_app, of
 * http_app.h. aiohttp: web.Server.
 *
 * A server is given connections, streams of any kind, and calls its handler for each request, in a
 * coroutine, in the order in which the requests came. Between requests a connection has no
 * coroutine and no buffer.
 */
#ifndef JUGGLE_HTTP_SERVER_H
#define JUGGLE_HTTP_SERVER_H

#include <juggle/address.h>
#include <juggle/http.h>

JG_BEGIN_DECLS

typedef struct jg_http_server jg_http_server;

/* Called when a request is done with, just before it ends; see jg_http_request_status. */
typedef void (*jg_http_done_fn)(void *arg, jg_http_request *request);

/* Flags of servers. */
#define JG_HTTP_CANCEL_ON_DISCONNECT (1u << 0) /* the handler, once the client is gone */

/* Zeroed memory is a valid set of options; so is NULL in its place. 0 is the default, JG_FOREVER
 * is no limit of time. */
typedef struct jg_http_server_options {
    jg_http_limits limits;    /* of a head: 8 KiB for its first line, 32 KiB in all */
    uint32_t max_fields;      /* of a head; default 100 */
    uint32_t max_connections; /* further ones are closed at once; default 65536 */
    uint32_t max_pipelined;   /* answered before others have their turn; default 64 */
    jg_time header_timeout;   /* ns for a head, from its first byte; default 30 s: 408 */
    jg_time body_timeout;     /* ns without progress of a body, either way; default 60 s */
    jg_time idle_timeout;     /* ns between requests; default 75 s */
    jg_time handler_timeout;  /* ns for a request; then 503 if it has no answer; default none */
    jg_time linger_timeout;   /* ns that the client has to close, after our end; default 5 s */
    unsigned flags;           /* JG_HTTP_… */
    jg_stream_options stream; /* of jg_http_serve_fd */
    jg_http_done_fn on_done;  /* for a log, say; or NULL */
    void *on_done_arg;
} jg_http_server_options;

/* A server, in your memory. The fields are its own. */
struct jg_http_server {
    jg_loop *loop;
    jg_http_handler_fn handler;
    void *arg;
    jg_http_server_options options;
    jg_scope scope; /* of the handlers */
    jg_link connections;
    struct jg__connection *free_connections; /* that are kept for others */
    struct jg_http_request *free_requests;
    struct jg__http_buffer *free_buffers;
    uint32_t free_counts[3];
    uint32_t connection_count;
    jg_op *closer; /* the pending close */
    jg_op left;
    jg_timer timer;     /* of the grace period */
    jg_time date_until; /* the loop's time until which `date` holds */
    char date[37];
    bool open, closing, forced;
};

/**
 * Open a server. It listens to nothing by itself: see jg_http_serve, and jg_run_app in http_app.h.
 *
 * options   copied; or NULL.
 *
 * Returns   0; -EINVAL.
 * Owns      nothing; `server`, and arg, must stay until it was closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_server_open(jg_http_server *server, jg_loop *loop, jg_http_handler_fn handler,
                               void *arg, const jg_http_server_options *options);

/**
 * Close a server: close the connections that are idle, wait for requests that are under way, after
 * which their connections are closed, too; after `grace` cancel their handlers, and cut what then
 * still is open.
 *
 * grace     ns; <= 0 cancels at once; JG_FOREVER.
 *
 * Returns   0; -ETIMEDOUT if handlers were cancelled; -EBADF if it is not open, -EALREADY. Of
 *           start: 0 or an error with nothing begun. Cancelling it ends the grace period.
 * Owns      nothing; afterwards the server's memory is yours again.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_http_server_close(jg_http_server *server, jg_time grace);
JG_API int jg_http_server_close_start(jg_http_server *server, jg_time grace, jg_op *op);

/**
 * Serve a connection: a stream that is open, of whatever transport, until one side closes it.
 *
 * on_closed(arg)  called from the loop when the server has closed the stream and is done with its
 *                 memory; or NULL.
 *
 * Returns   0; -EBUSY with the limit of connections reached, -ESHUTDOWN if the server is closing,
 *           -ENOMEM: the stream is then still the caller's.
 * Owns      the stream, which it closes, but not its memory: that must stay until then.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_serve(jg_http_server *server, jg_stream *stream, jg_call_fn on_closed,
                         void *arg);

/**
 * Serve a connected socket. It is a jg_accept_fn, for jg_listener_start with the server as `arg`.
 *
 * server    the jg_http_server.
 * peer      its address, for jg_stream_peer; or NULL: the system is asked when it is wanted.
 *
 * Returns   as jg_http_serve; -EBADF.
 * Owns      `fd`, from success on.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_serve_fd(void *server, int fd, const jg_address *peer);

/* How many connections a server has. */
JG_API size_t jg_http_server_connections(const jg_http_server *server);

JG_END_DECLS

#endif
