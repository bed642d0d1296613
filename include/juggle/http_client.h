/* SPDX-License-Identifier: MIT
 *
 * An HTTP/1.1 client, with connections that are kept and shared. aiohttp: ClientSession.
 *
 *     jg_http_client_open(&client, loop, NULL);
 *     r = jg_http_get(&client, "http://example.org/", 1 << 20, &response, &body);
 *     if (r == 200)
 *         fwrite(body.data, 1, body.size, stdout);
 *     jg_http_response_end(&response);
 *     jg_http_client_close(&client);
 *
 * Any number of coroutines use a client at once. A request gets a connection that is idle, or a new
 * one, or waits for its turn, first come, first served. A connection is used again only if nothing
 * on it can be mistaken: the response was read to its end, the request was sent to its end, and no
 * byte came that nobody asked for.
 *
 * A response is whole or it is an error: what the connection cut short, or what is framed in a way
 * that could be understood in two, is never handed out as if it were complete.
 *
 * Cancelling a coroutine that fetches or reads closes the connection, unless the response had been
 * complete. There is no TLS: a `connect` of yours opens streams over it, and then https works.
 */
#ifndef JUGGLE_HTTP_CLIENT_H
#define JUGGLE_HTTP_CLIENT_H

#include <juggle/coro.h>
#include <juggle/http_field.h>
#include <juggle/http_parser.h>
#include <juggle/stream.h>

JG_BEGIN_DECLS

typedef struct jg_http_client jg_http_client;
typedef struct jg_http_response jg_http_response;
typedef struct jg_http_upload jg_http_upload;

/* Why there is no response, besides the errors of the network, which are as the system has them,
 * and those of malformed responses, which are in http_parser.h. */
enum {
    JG_EHTTP_NO_TLS = -4230,          /* an https URL, and no `connect` that could open it */
    JG_EHTTP_NO_RESPONSE = -4231,     /* the connection ended before any byte of a response */
    JG_EHTTP_CONNECT_TIMEOUT = -4232, /* no connection within connect_timeout */
    JG_EHTTP_IDLE_TIMEOUT = -4233,    /* no byte either way for idle_timeout */
    JG_EHTTP_TOTAL_TIMEOUT = -4234,   /* not complete within total_timeout */
    JG_EHTTP_REDIRECTS = -4235,       /* more redirects than max_redirects */
    JG_EHTTP_LOCATION = -4236,        /* a redirect to something that is no http or https URL */
    JG_EHTTP_SWITCHED = -4237 /* a protocol that was not asked for: 101, or a flood of 1xx */
};

/**
 * Opens a stream to a server: over TLS, a Unix socket, a pair of streams for a test. It is called
 * in a coroutine and may wait; it is cancelled after the connect timeout.
 *
 * stream    not open. It is the client's if this returns 0, and must not be open otherwise.
 * host      as in the URL, in lower case; an IPv6 address without its brackets.
 * secure    the scheme is https.
 *
 * Returns   0 or an error, which is what the fetch fails with.
 */
typedef int (*jg_http_connect_fn)(void *arg, jg_stream *stream, const char *host, uint16_t port,
                                  bool secure);

/* Zeroed memory is a valid set of options; so is NULL in its place. 0 is the default, JG_FOREVER
 * is no limit of time. */
typedef struct jg_http_client_options {
    uint32_t max_connections;   /* of the client, in use and idle; default 100 */
    uint32_t max_per_host;      /* of those, to one scheme, host and port; default: as many */
    uint32_t max_fields;        /* of a response; default 100 */
    jg_http_limits limits;      /* of a response's head: 8 KiB for its first line, 32 KiB in all */
    jg_time connect_timeout;    /* ns for a connection, names included; default 30 s */
    jg_time idle_timeout;       /* ns without a byte sent or received; default 60 s */
    jg_time total_timeout;      /* ns from a fetch to the end of its response; default 5 minutes */
    jg_time keep_timeout;       /* ns that a connection is kept for others; default 15 s */
    int max_redirects;          /* followed; 0: 10; -1: none, a redirect is then a response */
    const char *user_agent;     /* of requests that have none; NULL: "juggle" */
    jg_http_connect_fn connect; /* NULL: over TCP, to what the host's name stands for */
    void *connect_arg;
} jg_http_client_options;

/* A client, in your memory. The fields are its own. */
struct jg_http_client {
    jg_loop *loop;
    jg_http_client_options options;
    struct jg__http_host *hosts[32]; /* by a hash; those with connections, or who wait for one */
    jg_link waiting;                 /* hosts somebody waits for */
    jg_link idle;                    /* connections, the one idle for the longest first */
    struct jg__http_memory *spares;
    uint64_t waits;            /* so many there have been */
    uint32_t connection_count; /* of all hosts */
    uint32_t response_count;   /* that have yet to end */
    uint32_t spare_count;
    jg_timer timer; /* of the first idle connection; it may be set to an earlier time */
};

/**
 * Open a client. It connects to nothing by itself.
 *
 * options   copied, but not the strings; or NULL.
 *
 * Returns   0; -EINVAL.
 * Owns      nothing; `client` must stay until it was closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_client_open(jg_http_client *client, jg_loop *loop,
                               const jg_http_client_options *options);

/**
 * Close a client, with the connections that it kept. Every response has to have ended; leaving the
 * scope of those who fetch sees to that.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; the client's memory is yours again. Harmless for zeroed memory.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_http_client_close(jg_http_client *client);

/* Connections that a client has, and how many of them are idle. */
JG_API size_t jg_http_client_connections(const jg_http_client *client);
JG_API size_t jg_http_client_idle(const jg_http_client *client);

/* --------------------------------------------------------------- requests */

#define JG_HTTP_UNKNOWN_LENGTH (-1) /* of a body: it is chunked */

/**
 * Writes the body of a request, with jg_http_upload_write, in a coroutine of its own while the
 * response is waited for; again where the request is repeated, after a redirect with 307 or 308, or
 * on another connection. It is cancelled if nobody waits for the response any more.
 *
 * Returns   0 at the end of the body; or an error, which is what the fetch fails with. If fewer
 *           bytes were written than announced, that is JG_EINCOMPLETE.
 */
typedef int (*jg_http_upload_fn)(jg_http_upload *upload, void *arg);

/* What to fetch, besides the URL. Zeroed memory is a GET; so is NULL in its place. What it points
 * to must stay until the response ended. */
typedef struct jg_http_fetch_options {
    const char *method;         /* a token, of any case; NULL: GET, or POST if there is a body */
    const jg_http_pair *fields; /* besides Host, User-Agent, Accept, and what frames the body */
    size_t field_count;
    const void *body; /* `length` bytes; or NULL */
    int64_t length;   /* bytes of the body; with `upload` it may be JG_HTTP_UNKNOWN_LENGTH */
    jg_http_upload_fn upload;
    void *upload_arg;
    bool expect; /* wait for 100 (Continue), a second at most, before the body is sent */
} jg_http_fetch_options;

/**
 * Write a piece of the body, and wait while the server is slow to take it.
 *
 * Returns   0; -EMSGSIZE for more than was announced; or the error that the connection ended with,
 *           to be returned: a response that came first is not lost by that.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_upload_write(jg_http_upload *upload, const void *data, size_t size);

/* --------------------------------------------------------------- responses */

/* A response, in your memory. The fields are its own. Zeroed memory is one that has ended. */
struct jg_http_response {
    jg_http_client *client;         /* NULL: it has ended */
    struct jg__http_link *link;     /* the connection; NULL: given back */
    struct jg__http_memory *memory; /* for what the response gives away */
    jg_http_fetch_options what;     /* is fetched */
    jg_http_head head;
    jg_http_body body;
    jg_text url; /* of what was fetched at last */
    char *whole; /* of read_all, or NULL; with the next two */
    size_t whole_size, whole_capacity;
    uint64_t left; /* bytes of a body whose size is known */
    jg_timer timer;
    jg_op *op;        /* that is waited with, or NULL */
    jg_time deadline; /* of all of it */
    jg_time limit;    /* of this wait, for 100 */
    jg_time quiet;    /* when the connection will have been quiet for too long */
    uint64_t moved;   /* bytes over it, both ways, when that was set */
    int timed_out;    /* the error that the wait was cut short for, or 0 */
    int error;        /* reading failed with it */
    bool ended;       /* the body was read to its end */
    bool bodiless;    /* the request, after a redirect to be repeated with GET */
    bool crossed;     /* a redirect went to another origin: credentials stay behind */
};

/**
 * Send a request and wait for the head of the response, following redirects: 303, and 301 and 302
 * of a POST, go on with GET, the others with what was sent. Authorization, Cookie and a Host of
 * yours stay with the origin that they were given for.
 *
 * A request that is safe to be repeated (RFC 9110 9.2.2) is, once, if a connection that was kept
 * turns out to have been closed by the server: RFC 9112 9.3.1.
 *
 * url       http://…; https:// if there is a `connect`.
 * options   or NULL.
 * response  ended, or not initialised. To be ended by jg_http_response_end if this succeeds;
 *           harmless if it did not.
 *
 * Returns   the status of the response, 200 to 999; -EINVAL for a URL, method or field that is not
 *           valid, -EPROTONOSUPPORT for another scheme; what `connect` or `upload` returned; a
 *           JG_EHTTP_ error; -ECONNRESET and the like; -ECANCELED; -ENOMEM.
 * Owns      nothing; `response` must stay until it ended.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_fetch(jg_http_client *client, const char *url,
                         const jg_http_fetch_options *options, jg_http_response *response);

/**
 * Get what is at a URL, as a whole: jg_http_fetch and jg_http_response_read_all. The response is to
 * be ended if this succeeds.
 *
 * limit     bytes of the body.
 * ret_body  lasts until the response has ended.
 *
 * Returns   as both.
 * Owns      nothing; `response` must stay until it ended.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_get(jg_http_client *client, const char *url, size_t limit,
                       jg_http_response *response, jg_text *ret_body);

/* The status; the head, with all its fields; the first field of this name, without data if there is
 * none; and the URL that it came from after redirects, without a fragment. They last until the
 * response has ended. */
JG_API int jg_http_response_status(const jg_http_response *response);
JG_API const jg_http_head *jg_http_response_head(const jg_http_response *response);
JG_API jg_text jg_http_response_field(const jg_http_response *response, const char *name);
JG_API jg_text jg_http_response_url(const jg_http_response *response);

/**
 * Read from the body, waiting for the first byte. The server sends as much as is read, and no more.
 * After the end the connection is free for others.
 *
 * Returns   how many bytes were read; 0 at the end of the body, or if `size` is 0; -ECANCELED or
 *           another error, which each later read repeats: JG_EHTTP_TRUNCATED if the connection
 *           ended first.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_response_read(jg_http_response *response, void *buf, size_t size);

/**
 * Read what is left of the body, as a whole. Once in a response.
 *
 * limit     bytes.
 * ret_body  with a NUL behind it; lasts until the response has ended.
 *
 * Returns   0; -EMSGSIZE for a body larger than the limit, at once if its size is declared;
 *           -ENOMEM; -EALREADY; an error as of jg_http_response_read.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_response_read_all(jg_http_response *response, size_t limit, jg_text *ret_body);

/**
 * End a response, and give back what it took. If it was not read to its end the connection is
 * closed; so it is if the request was not sent to its end, unless the server wants all of it: then
 * that is waited for. Harmless if the response has ended.
 *
 * Returns   nothing.
 * Owns      nothing; the response's memory is yours again, but for what fetches with it meanwhile.
 * Thread    loop.
 * Suspends  yes, if the body of the request is still being sent.
 */
JG_API void jg_http_response_end(jg_http_response *response);

JG_END_DECLS

#endif
