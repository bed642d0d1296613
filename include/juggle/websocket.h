/* SPDX-License-Identifier: MIT
 *
 * WebSocket, RFC 6455, over a stream: messages both ways, for servers and clients. aiohttp:
 * web.WebSocketResponse, ClientWebSocketResponse.
 *
 *     static int echo(jg_http_request *request, void *arg)
 *     {
 *         jg_websocket_message message;
 *         jg_websocket ws;
 *         int r = jg_websocket_accept(&ws, request, NULL);
 *
 *         if (r != 0)
 *             return r;
 *         while ((r = jg_websocket_receive(&ws, &message)) > 0)
 *             jg_websocket_send(&ws, message.type, message.data.data, message.data.size);
 *         jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL);
 *         return 0;
 *     }
 *
 * One coroutine receives, any number of them send. While one receives, pings are answered, and the
 * peer's close is; so there should be one as a rule. It keeps its stack meanwhile, one page of
 * memory, but no buffer.
 *
 * Messages are sent whole, in the order in which they were asked for, and never in part: what was
 * cancelled before its turn leaves no byte. What was received is in order, and a cancelled receive
 * loses nothing of it. Text is valid UTF-8 in both directions.
 *
 * A peer that breaks the rules is told so, with the code that the RFC has for it, and it is over.
 * No extension is spoken, so there is no compression.
 */
#ifndef JUGGLE_WEBSOCKET_H
#define JUGGLE_WEBSOCKET_H

#include <juggle/http.h>
#include <juggle/http_field.h>
#include <juggle/sync.h>

JG_BEGIN_DECLS

typedef struct jg_websocket jg_websocket;

typedef enum jg_websocket_type { JG_WEBSOCKET_TEXT = 1, JG_WEBSOCKET_BINARY = 2 } jg_websocket_type;

/* Codes of a close, RFC 6455 7.4; applications have 4000 to 4999 for themselves. */
enum {
    JG_WEBSOCKET_NORMAL = 1000,
    JG_WEBSOCKET_GOING_AWAY = 1001, /* the server stops, or the page is left */
    JG_WEBSOCKET_NO_CODE = 1005,    /* not to be sent: the peer gave none */
    JG_WEBSOCKET_LOST = 1006,       /* not to be sent: the peer did not close */
    JG_WEBSOCKET_POLICY = 1008,
    JG_WEBSOCKET_FAILED = 1011 /* the server met with something unexpected */
};

typedef struct jg_websocket_message {
    jg_websocket_type type;
    jg_text data; /* there is no NUL behind it */
} jg_websocket_message;

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_websocket_options {
    size_t max_message; /* bytes; 0: 1 MiB. A larger one ends it, with 1009 */

    /* ns; 0: none. If nothing came for so long while a receive waits, the peer is pinged; if still
       nothing came after as long again, or it took no byte for so long of what waits to be sent, it
       is taken for lost: -ETIMEDOUT. aiohttp: heartbeat. */
    jg_time keep_alive;
    jg_time close_timeout; /* ns that the peer has to answer a close; 0: 10 s */

    /* Subprotocols, best first, NULL at the end: those spoken here, or to be asked for. They must
       stay. Or NULL. */
    const char *const *protocols;

    /* Of servers: whether pages of this origin may connect. NULL: those of the host that they
       connect to. Programs that are no browsers send no origin, and nothing is asked. */
    bool (*allow_origin)(void *arg, const jg_http_request *request, jg_text origin);
    void *allow_arg;

    /* Of clients: more fields of the request, such as Cookie. */
    const jg_http_pair *fields;
    size_t field_count;
} jg_websocket_options;

/* One side of a connection, in your memory. The fields are its own. */
struct jg_websocket {
    jg_stream *stream; /* NULL: it is closed */
    jg_loop *loop;
    const char *protocol;
    uint64_t decoder[24];
    jg_lock turn;           /* to send a message */
    jg_op *reader, *sender; /* that waits; or NULL */
    jg_op ponging;
    jg_timer alive, closing;
    jg_time close_timeout;
    uint64_t bytes_in, bytes_out; /* of the stream, when `alive` fired last */
    size_t used;                  /* bytes at the stream's beginning that are done with */
    jg_text piece;                /* of a message, among those, that is yet to be taken */
    char *message;                /* its pieces; NULL: none, or it is one that lies in the stream */
    size_t size, capacity, limit;
    int error;            /* it is over */
    uint16_t close_code;  /* the peer's; 0: it has not closed */
    uint8_t message_type; /* of `piece` */
    uint8_t random_left, pong_size;
    bool client, shut, pinged, pong_waits, has_piece, is_final, is_whole;
    uint8_t random[32];
    char pong[125];
    jg_stream own; /* of a client that connected by itself */
};

/**
 * Make a WebSocket of a request, if it asks for one: in its handler, which goes on with it, and
 * after which the server closes the connection. RFC 6455 4.2.
 *
 * options   or NULL.
 *
 * Returns   0, to be followed by jg_websocket_close on every path; the status to answer with, 400,
 *           403 or 426, which the handler can return; -EALREADY, -ENOMEM, or an error of writing.
 * Owns      nothing; `ws` must stay until it was closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_websocket_accept(jg_websocket *ws, jg_http_request *request,
                               const jg_websocket_options *options);

/**
 * Be the client: connect to where a URL points, or take a stream that is connected already, over
 * whatever transport. RFC 6455 4.1. To limit the time, call it in a scope with a timeout. aiohttp:
 * ws_connect.
 *
 * stream    NULL: one over TCP is made, which jg_websocket_close closes. Or one that is not to be
 *           used by anybody else until that was called; then to be closed, or, after an error here,
 *           aborted.
 * url       ws://HOST[:PORT]/PATH, or http; with TLS around a stream of yours wss or https.
 * options   or NULL.
 *
 * Returns   0, to be followed by jg_websocket_close on every path; the status, 200 to 999, with
 *           which the server refused; -EINVAL for a URL, protocol or field that is not valid;
 *           -EMSGSIZE for more than 4 KiB of them; -EPROTO for an answer that is not according to
 *           the RFC, or a JG_EHTTP_ error; JG_EHTTP_TRUNCATED if the connection ended; an error as
 *           of jg_connect_name, JG_EHTTP_NO_TLS; -ECONNRESET and the like; -ECANCELED; -ENOMEM.
 * Owns      nothing; `ws` and `stream` must stay until it was closed.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_websocket_connect(jg_websocket *ws, jg_stream *stream, const char *url,
                                const jg_websocket_options *options);

/**
 * Wait for the next message. Pings are answered meanwhile. aiohttp: receive.
 *
 * ret_message  its data lasts until the next receive, or the close.
 *
 * Returns   1, and the message; 0 after the last one, when the peer has closed. Errors that end it:
 *           JG_EINCOMPLETE if the connection ended without that; -EPROTO, -EILSEQ for text that is
 *           no UTF-8, -EMSGSIZE: the peer was told 1002, 1007 or 1009; -ETIMEDOUT; -ECONNRESET and
 *           the like. And -ECANCELED or -ENOMEM with nothing lost, -EBUSY if another one receives,
 *           -EBADF.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_websocket_receive(jg_websocket *ws, jg_websocket_message *ret_message);

/**
 * Send a message. While more than the stream's high mark waits to be sent, or others wait for that
 * already, this waits for its turn first. aiohttp: send_str, send_bytes.
 *
 * data      `size` bytes, at most 1 GiB; of text, UTF-8.
 *
 * Returns   0: it goes out as a whole; or an error, and nothing of it does: -EILSEQ for text that
 *           is no UTF-8, -EINVAL, -EMSGSIZE; -EPIPE after either side closed; -ECONNRESET,
 *           -ETIMEDOUT and the like; -ECANCELED; -ENOMEM; -EBADF.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_websocket_send(jg_websocket *ws, jg_websocket_type type, const void *data,
                             size_t size);

/**
 * Send a message only if that needs no wait: to many peers, of whom no slow one shall hold up the
 * others. A server sends from `data`; it copies only what the system does not take at once.
 *
 * Returns   0; -EAGAIN if the peer is slow to take what was sent before; as jg_websocket_send.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_websocket_try_send(jg_websocket *ws, jg_websocket_type type, const void *data,
                                 size_t size);

/**
 * Tell the peer that this is the end, from wherever: nothing more can be sent, while receiving goes
 * on until the peer has closed as well, or the time for that is over. RFC 6455 7.1.2.
 *
 * code      1000 to 1003, 1007 to 1014, 3000 to 4999.
 * reason    at most 123 bytes of UTF-8; or NULL.
 *
 * Returns   0; -EALREADY if one side has closed, or it is over; -EINVAL; -EBADF; an error of
 *           writing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_websocket_shut(jg_websocket *ws, int code, const char *reason);

/**
 * End it: jg_websocket_shut, if that was not called, then drop what comes until the peer has closed
 * or the time for that is over, and release everything. A client also waits for the server to end
 * the connection, as RFC 6455 7.1.1 has it. In a cancelled scope the peer is told, and not waited
 * for. Nobody may be receiving or sending. aiohttp: close.
 *
 * Returns   0 if both sides have closed; the error that it was over with; -EINVAL for `code` or
 *           `reason`, with the peer not told; -ETIMEDOUT; -ECANCELED. It is closed in any case.
 *           -EBADF if it was already.
 * Owns      nothing; the memory is yours again. A stream of yours stays open.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_websocket_close(jg_websocket *ws, int code, const char *reason);

/* The subprotocol that both agreed on, of the options; NULL: none. */
static inline const char *jg_websocket_protocol(const jg_websocket *ws)
{
    return ws->protocol;
}

/* The code that the peer closed with, JG_WEBSOCKET_LOST as long as it has not. */
static inline int jg_websocket_close_code(const jg_websocket *ws)
{
    return ws->close_code != 0 ? (int)ws->close_code : (int)JG_WEBSOCKET_LOST;
}

/* And its reason; in the WebSocket's memory. */
JG_API jg_text jg_websocket_close_reason(const jg_websocket *ws);

JG_END_DECLS

#endif
