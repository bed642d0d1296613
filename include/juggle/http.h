/* SPDX-License-Identifier: MIT
 *
 * What handlers do: they look at a request, read its body, and answer. Servers that call them are in
 * http_server.h; routes, middlewares and files, around a server, in http_app.h. aiohttp:
 * web.Request, web.Response, web.StreamResponse.
 *
 * A handler answers with jg_http_respond, or with jg_http_begin and jg_http_write; or it returns a
 * status and leaves the answer to the server. A request and all that it gave away last until the
 * handler returns. What is left of the body is then dropped, or the connection is closed.
 *
 * A handler goes on when its client goes away, unless JG_HTTP_CANCEL_ON_DISCONNECT is set; what it
 * reads or writes then fails. After its time limit, or the server's grace period, it is cancelled:
 * whatever waits returns -ECANCELED.
 */
#ifndef JUGGLE_HTTP_H
#define JUGGLE_HTTP_H

#include <juggle/coro.h>
#include <juggle/http_parser.h>
#include <juggle/stream.h>

JG_BEGIN_DECLS

typedef struct jg_http_request jg_http_request;

/**
 * Answers a request, in a coroutine.
 *
 * Returns   0 if it answered, or began to; a status of 200 to 599, with which the server then
 *           answers, in plain text, unless an answer was begun; or an error. One that jg_http_read
 *           gave is answered with 400, 408 or 413; any other one with 500, and it is reported to
 *           the loop's on_error. If an answer was begun, an error cuts the connection.
 */
typedef int (*jg_http_handler_fn)(jg_http_request *request, void *arg);

/* --------------------------------------------------------------- requests */

/* The head of a request, with all its fields. */
JG_API const jg_http_head *jg_http_request_head(const jg_http_request *request);

/* Its method; of JG_HTTP_OTHER the head has the name. Its path, still escaped; "*" stays that. */
JG_API jg_http_method jg_http_request_method(const jg_http_request *request);
JG_API jg_text jg_http_request_path(const jg_http_request *request);

/* Host and port that the client wants: those of an absolute target come before the Host field. */
JG_API jg_text jg_http_request_host(const jg_http_request *request);

/* The value of the first field of this name, without regard to case; without data if there is
   none. */
JG_API jg_text jg_http_request_field(const jg_http_request *request, const char *name);

/* What the route's {name} stands for in this request, unescaped, with a NUL behind it; without data
   if the route has no such name. aiohttp: match_info. */
JG_API jg_text jg_http_request_capture(const jg_http_request *request, const char *name);

/**
 * Find a parameter of the query, the first of its name, and undo its escapes.
 *
 * ret_value  with a NUL behind it.
 *
 * Returns   0; -ENOENT if there is none, -EINVAL if it is malformed, -ENOMEM.
 * Owns      nothing; the value lasts as long as the request.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_request_query(jg_http_request *request, const char *name, jg_text *ret_value);

/* Memory that lasts as long as the request, aligned for everything; NULL if there is none. */
JG_API void *jg_http_request_alloc(jg_http_request *request, size_t size);

/**
 * Store a value with a request, for middlewares and handlers to share. aiohttp: request["key"].
 *
 * key       compared as a pointer: the address of something static.
 * release   called with the value when the request ends; or NULL.
 *
 * Returns   0, with what was stored under the key before released; -ENOMEM.
 * Owns      the value, if it succeeds.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_request_set(jg_http_request *request, const void *key, void *value,
                               jg_call_fn release);
JG_API void *jg_http_request_get(const jg_http_request *request, const void *key);

/* The stream of the connection, to look at. */
JG_API const jg_stream *jg_http_request_stream(const jg_http_request *request);

/* The status that was answered with, 0 if none was; and how many bytes of a body were written. */
JG_API int jg_http_request_status(const jg_http_request *request);
JG_API uint64_t jg_http_request_bytes_out(const jg_http_request *request);

/**
 * Read from the body of the request, waiting for the first byte. The client sends as much as is
 * read, and no more. Where it waits for 100 (Continue), the first read sends that.
 *
 * Returns   how many bytes were read; 0 at the end of the body, or if `size` is 0; -ETIMEDOUT after
 *           the body timeout, a JG_EHTTP_ error for a malformed body, JG_EHTTP_TRUNCATED if the
 *           client is gone; -ECANCELED; -ENOMEM, -ECONNRESET and the like.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_read(jg_http_request *request, void *buf, size_t size);

/**
 * Read what is left of the body, as a whole.
 *
 * limit     bytes.
 * ret_body  with a NUL behind it; lasts as long as the request.
 *
 * Returns   0; -EMSGSIZE for a body larger than the limit, at once if its size is declared;
 *           -ENOMEM; an error as of jg_http_read.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_read_all(jg_http_request *request, size_t limit, jg_text *ret_body);

/* --------------------------------------------------------------- responses */

/**
 * Add a field to the answer that is yet to be given. "Connection: close" closes the connection
 * after it; Upgrade, for 426 say, brings its option of Connection. Date, and what frames the body,
 * are the server's.
 *
 * value     a string without control characters.
 *
 * Returns   0; -EINVAL, also for Content-Length, Transfer-Encoding, Trailer, Date and other options
 *           of Connection; -EALREADY if the answer was begun; -EMSGSIZE for more than 32 KiB of
 *           fields; -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_add_field(jg_http_request *request, const char *name, const char *value);

/**
 * Answer with a body that is there as a whole. aiohttp: web.Response.
 *
 * status    200 to 599. With 204, 205 and 304 there is no body, whatever `size` is; nor is there
 *           for HEAD, which gets the length all the same.
 * content_type  or NULL for none.
 * data      `size` bytes.
 *
 * Returns   0; -EINVAL; -EALREADY if an answer was begun; -ENOMEM; an error of writing: the client
 *           is gone, as a rule.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes, if the client is slow to take it.
 */
JG_API int jg_http_respond(jg_http_request *request, int status, const char *content_type,
                           const void *data, size_t size);

#define JG_HTTP_NO_LENGTH (-1) /* the length of a body that is not known in advance */

/**
 * Begin an answer whose body comes piece by piece, with jg_http_write. It ends when the handler
 * returns. aiohttp: StreamResponse.prepare.
 *
 * length    bytes, or JG_HTTP_NO_LENGTH: the body is chunked, or, to HTTP/1.0, ends with the
 *           connection. If fewer are written than were announced the connection is cut.
 *
 * Returns   as jg_http_respond.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_begin(jg_http_request *request, int status, const char *content_type,
                         int64_t length);

/**
 * Write a piece of the body; it is sent before the loop next waits. Where there is no body, as for
 * HEAD, it is dropped.
 *
 * Returns   0; -EINVAL with no answer begun, -EMSGSIZE for more than was announced; an error as of
 *           jg_http_respond.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes, while the client is slow to take what was written.
 */
JG_API int jg_http_write(jg_http_request *request, const void *data, size_t size);

/**
 * Send a server-sent event. The first one begins the answer, with 200, unless that was done. An
 * event of NULLs is a comment that keeps the connection alive.
 *
 * event     its type, or NULL.
 * data      its text, of any number of lines; or NULL.
 * id        or NULL.
 *
 * Returns   as jg_http_write; -EINVAL for a line break in `event` or `id`.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes, if the client is slow to take it.
 */
JG_API int jg_http_send_event(jg_http_request *request, const char *event, const char *data,
                              const char *id);

/**
 * Leave HTTP: answer 101 with the fields that were added, and have the stream for what follows,
 * WebSocket say. What the client sent already is buffered in it. The server's limits of time do not
 * count any more. When the handler returns, the server closes it.
 *
 * protocol  the value of Upgrade.
 * ret_stream  not to be closed; lasts until the handler returns.
 *
 * Returns   0; -EINVAL if the request asks for no upgrade, or has a body; -EALREADY if an answer
 *           was begun; -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_http_upgrade(jg_http_request *request, const char *protocol, jg_stream **ret_stream);

JG_END_DECLS

#endif
