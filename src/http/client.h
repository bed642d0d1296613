/* SPDX-License-Identifier: MIT
 *
 * The HTTP client as its own modules see it: client.c fetches, client_pool.c has the connections,
 * client_connect.c makes them, client_send.c writes requests, client_receive.c reads responses.
 *
 * Invariants: a link, that is a connection or the right to make one, is counted by its host and the
 * client; it is either idle or some response's. One is idle, or there is room for another one, only
 * if everybody who waits is waiting for a host that has all the connections it may have.
 */
#ifndef JG_HTTP_CLIENT_H
#define JG_HTTP_CLIENT_H

#include "core/loop.h"

#include <juggle/http_client.h>
#include <juggle/url.h>

/* The body of a request, on its way. */
struct jg_http_upload {
    struct jg__http_link *link;
    jg_http_upload_fn fn;
    void *arg;
    jg_scope scope; /* of the coroutine that calls fn, if `scoped` */
    jg_stream_writing writing;
    jg_op op; /* of a body in memory */
    jg_future done;
    uint64_t left; /* bytes of what was announced */
    int error;     /* why the response cannot be had */
    bool scoped;
    bool running;
    bool chunked;
    bool complete; /* all was sent, or there is none */
    bool broken;   /* it could not be sent; there may be a response that says why */
};

typedef struct jg__http_link {
    jg_link place;   /* in client->idle, while it is idle */
    jg_link sibling; /* in host->idle, likewise */
    jg_http_client *client;
    struct jg__http_host *host;
    jg_op watch; /* pending while it is idle, and nothing came */
    const void *input;
    jg_time until;   /* it is kept */
    uint64_t before; /* bytes received before the request was sent */
    bool keep;       /* the messages allow it to be used again */
    jg_stream stream;
    struct jg_http_upload upload;
    jg_http_parser parser;
    jg_http_field fields[];
} jg__http_link;

/* Scheme, host and port. */
typedef struct jg__http_host {
    struct jg__http_host *next; /* with this hash */
    jg_link place;              /* in client->waiting, while somebody waits */
    jg_link waiters;            /* ops whose data is a struct waiter, the first to come first */
    jg_link idle;               /* links, the last to become idle last */
    uint32_t hash;
    uint32_t count; /* of links */
    uint16_t port;
    bool secure;
    size_t size;
    char name[]; /* in lower case, with a NUL */
} jg__http_host;

/* A block of a response's memory. */
struct jg__http_memory {
    struct jg__http_memory *next;
    size_t size, used;
    max_align_t data[];
};

/* ---------------------------------------------------------------- client.c */

/* Memory that lasts as long as the response; NULL if there is none. */
void *jg__http_memory_take(jg_http_response *response, size_t size);

/* The method, and whether there is a body, as it is now after redirects. */
const char *jg__http_method(const jg_http_response *response);
bool jg__http_has_body(const jg_http_response *response);

/* ---------------------------------------------------------------- client_pool.c */

/* Get a link for a URL: one that is open and was used before, or one to be opened. `careful` is to
   look whether the server has closed it just now. Returns 0 or an error. */
int jg__http_link_take(jg_http_response *response, const jg_url *url, bool careful,
                       jg__http_link **ret_link);

/* Give it back, for others to use if it is clean. */
void jg__http_link_give(jg__http_link *link, bool clean);

/* Close and free all that is idle. */
void jg__http_pool_close(jg_http_client *client);

/* Time is up for what has been idle. */
void jg__http_pool_expire(void *client);

/* ---------------------------------------------------------------- client_send.c */

/* Write the head of the request into the response's memory. Returns 0, -EINVAL or -ENOMEM. */
int jg__http_write_head(jg_http_response *response, const jg_url *url, jg_text *ret_head);

/* Send the head, and with it a small body, unless its time has yet to come. What goes wrong on the
   connection is for the response to tell. Returns 0 or another error. */
int jg__http_send_head(jg_http_response *response, jg_text head, bool wait);

/* Begin to send the rest of the body. Returns 0 or an error. */
int jg__http_send_body(jg_http_response *response);

/* Nothing of it is to be sent any more, and nothing uses the link for that when this returns. It
   suspends if the body is written by a coroutine. */
void jg__http_upload_stop(jg__http_link *link);

/* ---------------------------------------------------------------- client_receive.c */

/* Wait with the current coroutine's op, if it was started with 0, as long as the time limits let.
   Returns its status; an error of those limits; -EAGAIN after `limit`. */
int jg__http_await(jg_http_response *response, int started, jg_time limit);

/* Wait for the head of the response. Returns its status, >= 200; 100 if that `may_continue`;
   -EAGAIN after `limit`; or an error. */
int jg__http_receive_head(jg_http_response *response, bool may_continue, jg_time limit);

/* Done with the link, if there is one. */
void jg__http_leave(jg_http_response *response);

#endif
