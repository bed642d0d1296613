/* SPDX-License-Identifier: MIT
 *
 * The HTTP server as its own modules see it: server.c keeps the connections, connection.c has what
 * happens on one of them, exchange.c how it waits and sends, request.c and response.c are what a
 * handler calls; app.c and its like are built on these.
 *
 * Invariants: a connection that waits for a request has neither a request nor a buffer. Its `op` is
 * pending while no coroutine has it, and with JG_HTTP_CANCEL_ON_DISCONNECT also while one has. What
 * a request gave away lies in the stream's input as long as nobody reads from that, else in a copy.
 */
#ifndef JG_HTTP_SERVER_H
#define JG_HTTP_SERVER_H

#include "io/stream.h"

#include <juggle/http_server.h>

#define JG__HTTP_BUFFER 16384u

/* Answers on their way to the stream, which gets them before the loop waits. */
typedef struct jg__http_buffer {
    struct jg__http_buffer *next; /* among those that are free */
    uint32_t size;
    char data[JG__HTTP_BUFFER];
} jg__http_buffer;

enum {
    JG__HTTP_IDLE,   /* waits for a request */
    JG__HTTP_HEAD,   /* waits for the rest of a head */
    JG__HTTP_BUSY,   /* a coroutine has it */
    JG__HTTP_LINGER, /* our side has ended: waits for the client's end */
    JG__HTTP_CLOSE,  /* the stream is being closed */
    JG__HTTP_GONE    /* it is closed; `op` has yet to say so */
};

enum { JG__HTTP_READING, JG__HTTP_WRITING };

/* A coroutine waits for the client. */
struct jg__http_wait {
    jg_op *op; /* NULL: it does not */
    jg_time deadline;
    bool timed_out;
};

typedef struct jg__connection {
    jg_link link; /* in server->connections; or of those that are free */
    jg_http_server *server;
    jg_stream *stream;
    jg_http_request *request; /* NULL while idle */
    jg__http_buffer *output;  /* NULL: nothing to be sent */
    const void *input;        /* of a peek */
    size_t wanted;            /* by it; less comes only at the end */
    jg_time deadline;         /* JG_FOREVER: none. The timer may be set to an earlier time */
    jg_time limit;            /* when the handler's time is over */
    struct jg__http_wait waits[2];
    union {
        jg_timer timer;
        jg_stream_closing closing;
    } own;
    jg_op op;
    jg_call flush; /* queued as long as there is output */
    jg_call_fn on_closed;
    void *arg;
    int error; /* writing failed with it */
    uint8_t state;
    bool at_end; /* the client has ended its side */
    jg_stream stream_of_fd;
} jg__connection;

/* Memory of a request that it did not have room for itself. */
struct jg__http_block {
    struct jg__http_block *next;
    size_t size;
    max_align_t data[];
};

struct jg__http_value {
    struct jg__http_value *next;
    const void *key;
    void *value;
    jg_call_fn release;
};

struct jg__http_capture {
    const char *name;
    jg_text value;
    jg_text raw; /* as it was sent */
};

#define JG__HTTP_ROOM   1024u /* bytes of its own that a request has for what it is asked for */
#define JG__HTTP_FIELDS 32768u

/* A request and the answer to it. */
struct jg_http_request {
    jg__connection *connection; /* or the next one that is free */
    jg_http_parser parser;
    bool parser_ready; /* the parser is where a head begins */

    /* The request. */
    bool keep_alive;
    bool moved;         /* the head was copied, and is no longer in the stream */
    bool wait_continue; /* the client waits for 100 */
    bool body_ended;
    uint64_t body_left; /* of a body whose size is declared */
    jg_http_body body;  /* of one in chunks */
    int read_error;
    struct jg__http_value *values;
    struct jg__http_block *blocks;
    size_t room_used;
    jg_scope *scope; /* of the handler, if it can be cancelled by itself; else NULL */
    bool cut_short;  /* it was */

    /* What the application makes of it. */
    const struct jg__http_capture *captures;
    int capture_count;
    struct jg_app *app;
    const struct jg__route *route; /* NULL: none, and `refusal` is the status */
    int next_middleware;
    int refusal;
    uint16_t allowed; /* at this path, 1 << jg_http_method */

    /* The answer. */
    int status; /* 0: not begun */
    bool chunked;
    bool bodiless; /* HEAD, 204, 205, 304 */
    bool upgraded;
    uint64_t length; /* that was announced; UINT64_MAX: none */
    uint64_t bytes_out;
    char *fields; /* that were added, as they are sent */
    uint32_t fields_size, fields_capacity;
    char own_fields[512];

    max_align_t room[JG__HTTP_ROOM / sizeof(max_align_t)];
    jg_http_field field_table[];
};

/* ---------------------------------------------------------------- server.c */

/* Returns NULL if there is no memory. */
jg_http_request *jg__http_request_take(jg_http_server *server);
void jg__http_request_give(jg_http_server *server, jg_http_request *request);
jg__http_buffer *jg__http_buffer_take(jg_http_server *server);
void jg__http_buffer_give(jg_http_server *server, jg__http_buffer *buffer);

/* A connection is closed and done with. */
void jg__http_forget(jg__connection *connection);

/* "Date: …\r\n", which has always the same length. */
#define JG__HTTP_DATE_LINE 37
const char *jg__http_date_line(jg_http_server *server);

/* ---------------------------------------------------------------- connection.c */

/* Begin with a connection whose stream is open. */
void jg__http_begin_connection(jg__connection *connection);

/* The server closes: end the connection if it is idle. And: end it in any case, soon or now. */
void jg__http_close_idle(jg__connection *connection);
void jg__http_cut(jg__connection *connection);

/* ---------------------------------------------------------------- exchange.c */

/* Have the timer fire at this time; JG_FOREVER: never. And the deadline after a delay, in ns. */
void jg__http_set_deadline(jg__connection *connection, jg_time deadline);
jg_time jg__http_after(const jg__connection *connection, jg_time delay);

/* Set it to what comes first of the handler's limit and what the coroutine waits for. */
void jg__http_set_waits_deadline(jg__connection *connection);

/* Give what there is of output to the stream. Returns 0 or an error. */
int jg__http_flush(jg__connection *connection);

void jg__http_on_flush(void *arg); /* the same, of the call `flush` */

/* Send data after what there is of output, or with it. */
int jg__http_send(jg__connection *connection, const void *data, size_t size);

/* Wait for the client, reading or writing, by the current coroutine's op, if it was started with
   0, for as long as a body may make no progress. Returns its status, or -ETIMEDOUT. */
int jg__http_wait(jg__connection *connection, int direction, int started);

/* Wait until the client took what was written, but for a rest that may be queued. */
int jg__http_drain(jg__connection *connection);

/* ---------------------------------------------------------------- request.c */

/* A head was parsed: make a request of it. Returns 0 or -ENOMEM. */
int jg__http_request_begin(jg_http_request *request);

/* Release what belongs to the request that ends. */
void jg__http_request_end(jg_http_request *request);

/* Copy the head, so that its bytes may leave the stream. Returns 0 or -ENOMEM. */
int jg__http_request_move(jg_http_request *request);

/* Read the rest of the body and drop it. Returns 0 if that is done, else the connection has to
   end. */
int jg__http_request_drain(jg_http_request *request);

/* How much of a body that nobody wants is read so that the connection can go on. */
#define JG__HTTP_DRAIN 65536u

/* ---------------------------------------------------------------- response.c */

/* Answer with a status and its phrase in plain text. It waits for nothing. */
int jg__http_answer_plain(jg_http_request *request, int status);

/* Write a part of a file as the rest of a body of announced length, by the transport, waiting until
   it has all of it. Returns 0, with less sent where the file ends; -ENOTSUP if what is left has to
   be written in another way; or an error. In any case *ret_sent bytes were sent. */
int jg__http_write_file(jg_http_request *request, int fd, uint64_t offset, size_t size,
                        size_t *ret_sent);

/* The handler is done: end the body. Returns 0, or an error if the connection has to be cut. */
int jg__http_response_end(jg_http_request *request);

/* Forget fields that were added. */
void jg__http_drop_fields(jg_http_request *request);

#endif
