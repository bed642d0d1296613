/* SPDX-License-Identifier: MIT
 *
 * Responses, RFC 9112: the head is written when the answer begins, with the fields that were added
 * until then; the body as it comes.
 *
 * Invariant: what is sent matches what was announced, or the connection is cut, so that no client
 * takes a part for the whole.
 */
#include "http/server.h"

#include "coro/coro.h"
#include "http/chars.h"
#include "http/writer.h"

#include <errno.h>
#include <string.h>

#define NO_LENGTH UINT64_MAX
#define PIECE     65536u /* of a large body, after which the client has to keep up */

/* ---------------------------------------------------------------- fields */

void jg__http_drop_fields(jg_http_request *request)
{
    const jg_allocator *allocator = &request->connection->server->loop->allocator;

    request->fields_size = 0;
    if (request->fields == request->own_fields)
        return;
    jg__free(allocator, request->fields, request->fields_capacity);
    request->fields = request->own_fields;
    request->fields_capacity = sizeof(request->own_fields);
}

/* Have room for so much more. */
static int reserve_fields(jg_http_request *request, size_t more)
{
    const jg_allocator *allocator = &request->connection->server->loop->allocator;
    uint32_t capacity = request->fields_capacity;
    char *fields;

    if (more > JG__HTTP_FIELDS - request->fields_size)
        return -EMSGSIZE;
    if (more <= capacity - request->fields_size)
        return 0;

    while (capacity - request->fields_size < more)
        capacity *= 2;
    fields = jg__alloc(allocator, capacity);
    if (!fields)
        return -ENOMEM;
    memcpy(fields, request->fields, request->fields_size);
    if (request->fields != request->own_fields)
        jg__free(allocator, request->fields, request->fields_capacity);
    request->fields = fields;
    request->fields_capacity = capacity;
    return 0;
}

/* Those that are the server's. */
static bool is_reserved(jg_text name)
{
    static const char *const reserved[] = {"Content-Length", "Transfer-Encoding", "Trailer",
                                           "Date"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (jg_text_is_nocase(name, reserved[i]))
            return true;
    }
    return false;
}

int jg_http_add_field(jg_http_request *request, const char *name, const char *value)
{
    static const char option[] = "Connection: upgrade\r\n";
    jg_text name_text = jg_text_from(name), value_text = jg_text_from(value);
    const bool is_upgrade = jg_text_is_nocase(name_text, "Upgrade");
    struct jg__output output;
    int r;

    if (request->status != 0)
        return -EALREADY;
    if (is_reserved(name_text))
        return -EINVAL;
    if (jg_text_is_nocase(name_text, "Connection")) {
        if (!jg_text_is_nocase(value_text, "close"))
            return -EINVAL;
        request->keep_alive = false;
        return 0;
    }

    if (name_text.size > JG__HTTP_FIELDS || value_text.size > JG__HTTP_FIELDS)
        return -EMSGSIZE;
    r = reserve_fields(request, name_text.size + value_text.size + 4 +
                                    (is_upgrade ? sizeof(option) - 1 : 0));
    if (r < 0)
        return r;
    output = jg__output(request->fields, request->fields_capacity);
    output.size = request->fields_size;
    r = jg__write_field(&output, name_text, value_text);
    if (r == 0 && is_upgrade) /* RFC 9110 7.8: one goes with the other */
        jg__output_string(&output, option);
    request->fields_size = (uint32_t)output.size;
    return r;
}

/* ---------------------------------------------------------------- the head */

static void put(struct jg__output *output, const char *text, size_t size)
{
    jg__output_text(output, jg_text_of(text, size));
}

#define PUT(output, literal) put(output, literal, sizeof(literal) - 1)
#define TEXT(literal)        jg_text_of(literal, sizeof(literal) - 1)

/* RFC 9110 15.3.5, 15.3.6 and 15.4.5, whatever the handler has for a body. */
static bool has_no_body(int status)
{
    return status == 204 || status == 205 || status == 304;
}

/* What tells where the body ends. */
static void put_framing(const jg_http_request *request, struct jg__output *output)
{
    if (request->chunked) {
        PUT(output, "Transfer-Encoding: chunked\r\n");
    } else if (request->length != NO_LENGTH && request->status != 204 && request->status != 304) {
        (void)jg__write_length(output, request->length);
    }
    if (!request->keep_alive)
        PUT(output, "Connection: close\r\n");
    else if (request->parser.head.minor == 0)
        PUT(output, "Connection: keep-alive\r\n");
}

/* Send the head that was begun, with the added fields and the empty line. */
static int send_head(jg_http_request *request, struct jg__output *output)
{
    jg__connection *c = request->connection;
    int r;

    if (request->fields_size <= output->capacity - output->size - 2) {
        put(output, request->fields, request->fields_size);
        PUT(output, "\r\n");
        return jg__http_send(c, output->data, output->size);
    }
    r = jg__http_send(c, output->data, output->size);
    if (r == 0)
        r = jg__http_send(c, request->fields, request->fields_size);
    return r < 0 ? r : jg__http_send(c, "\r\n", 2);
}

/* Begin an answer with a body of this length. */
static int begin(jg_http_request *request, int status, const char *content_type, uint64_t length)
{
    jg_text type = jg_text_from(content_type);
    char buffer[1024];
    struct jg__output output = jg__output(buffer, sizeof(buffer));

    if (request->status != 0)
        return -EALREADY;
    if (status < 200 || status > 599 || type.size > 256)
        return -EINVAL;
    if (type.data && jg__skip_value(type.data, type.data + type.size) != type.data + type.size)
        return -EINVAL;

    (void)jg__write_status(&output, status); /* there is room for all of it */
    put(&output, jg__http_date_line(request->connection->server), JG__HTTP_DATE_LINE);
    if (type.data) {
        PUT(&output, "Content-Type: ");
        put(&output, type.data, type.size);
        PUT(&output, "\r\n");
    }

    if (request->connection->server->closing)
        request->keep_alive = false;
    request->status = status;
    request->bodiless = request->parser.head.method == JG_HTTP_HEAD || has_no_body(status);
    request->length = status == 205 ? 0 : length; /* which is said, unlike that of the others */
    if (request->length == NO_LENGTH && status != 204 && status != 304) {
        request->chunked = request->parser.head.minor >= 1;
        if (!request->chunked)
            request->keep_alive = false;
    }
    put_framing(request, &output);
    return send_head(request, &output);
}

int jg_http_begin(jg_http_request *request, int status, const char *content_type, int64_t length)
{
    if (length < JG_HTTP_NO_LENGTH)
        return -EINVAL;
    return begin(request, status, content_type,
                 length == JG_HTTP_NO_LENGTH ? NO_LENGTH : (uint64_t)length);
}

/* ---------------------------------------------------------------- the body */

/* Send a piece of the body that is not too large. */
static int send_piece(jg_http_request *request, const char *data, size_t size)
{
    jg__connection *c = request->connection;
    char head[24];
    struct jg__output output = jg__output(head, sizeof(head));
    int r;

    request->bytes_out += size;
    if (!request->chunked)
        return jg__http_send(c, data, size);

    for (int shift = 28; shift >= 0; shift -= 4) {
        unsigned digit = (unsigned)(size >> shift) & 15;

        if (digit > 0 || output.size > 0)
            jg__output_byte(&output, "0123456789abcdef"[digit]);
    }
    PUT(&output, "\r\n");
    r = jg__http_send(c, output.data, output.size);
    if (r == 0)
        r = jg__http_send(c, data, size);
    return r < 0 ? r : jg__http_send(c, "\r\n", 2);
}

int jg_http_write(jg_http_request *request, const void *data, size_t size)
{
    const jg_stream *stream = request->connection->stream;
    const char *bytes = data;
    int r = request->connection->error;

    if (request->status == 0 || request->upgraded)
        return -EINVAL;
    if (request->bodiless)
        return r;
    if (request->length != NO_LENGTH && size > request->length - request->bytes_out)
        return -EMSGSIZE;

    while (r == 0 && size > 0) {
        size_t piece = size < PIECE ? size : PIECE;

        r = send_piece(request, bytes, piece);
        if (r == 0 && stream->queued > stream->high_mark)
            r = jg__http_drain(request->connection);
        bytes += piece;
        size -= piece;
    }
    return r;
}

int jg__http_write_file(jg_http_request *request, int fd, uint64_t offset, size_t size,
                        size_t *ret_sent)
{
    jg__connection *c = request->connection;
    jg_stream_writing writing = {.sent = 0};
    size_t sent = 0;
    int r = jg__http_flush(c); /* what comes before */

    while (r == 0 && sent < size) {
        r = jg__http_wait(c, JG__HTTP_WRITING,
                          jg__stream_send_file_start(c->stream, &writing, fd,
                                                     (int64_t)(offset + sent), size - sent,
                                                     jg__coro_op()));
        sent += writing.sent;
        if (r == 0)
            break; /* all of it, or as much as there is */
        if (r == -ETIMEDOUT && writing.sent > 0)
            r = 0;
    }
    request->bytes_out += sent;
    *ret_sent = sent;
    if (r < 0 && r != -ECANCELED && r != -ENOTSUP)
        c->error = r;
    return r;
}

/* The answer is whole: what of the request is not worth reading, or will not be sent, ends with the
   connection. */
static void forgo_body(jg_http_request *request)
{
    if (request->status == 0 && !request->body_ended &&
        (request->wait_continue || request->body_left > JG__HTTP_DRAIN))
        request->keep_alive = false;
}

int jg_http_respond(jg_http_request *request, int status, const char *content_type,
                    const void *data, size_t size)
{
    int r;

    forgo_body(request);
    r = begin(request, status, content_type, size);
    if (r < 0 || size == 0)
        return r;
    return jg_http_write(request, data, size);
}

int jg__http_answer_plain(jg_http_request *request, int status)
{
    char buffer[64];
    struct jg__output output = jg__output(buffer, sizeof(buffer));
    int r;

    jg__output_number(&output, (uint64_t)status, 3);
    PUT(&output, " ");
    jg__output_string(&output, jg__http_reason(status));
    PUT(&output, "\n");
    forgo_body(request);
    if (has_no_body(status))
        return begin(request, status, NULL, 0);
    r = begin(request, status, "text/plain; charset=utf-8", output.size);
    /* It is too small for a wait. */
    return r < 0 || request->bodiless ? r : send_piece(request, output.data, output.size);
}

int jg__http_response_end(jg_http_request *request)
{
    jg__connection *c = request->connection;

    if (request->upgraded || request->bodiless)
        return c->error;
    if (request->chunked)
        return jg__http_send(c, "0\r\n\r\n", 5);
    if (request->length != NO_LENGTH && request->bytes_out < request->length)
        return -EMSGSIZE;
    return c->error;
}

/* ---------------------------------------------------------------- server-sent events */

static bool is_one_line(const char *text)
{
    return !text || !strpbrk(text, "\r\n");
}

static void put_line(struct jg__output *output, const char *name, jg_text text)
{
    jg__output_string(output, name);
    jg__output_text(output, text);
    PUT(output, "\n");
}

/* The lines of the data, which end as lines of any system do. */
static void put_data(struct jg__output *output, const char *data)
{
    for (;;) {
        size_t size = strcspn(data, "\r\n");

        put_line(output, "data: ", jg_text_of(data, size));
        data += size;
        if (*data == 0)
            return;
        data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
    }
}

/* Bytes that an event takes at most: each byte of its data may be a line of its own. */
static size_t event_size(const char *event, const char *data, const char *id)
{
    size_t size = 32, lines = 1;

    if (event)
        size += strlen(event);
    if (id)
        size += strlen(id);
    if (data) {
        size += strlen(data);
        for (const char *p = data; *p; p++)
            lines += *p == '\r' || *p == '\n';
    }
    return size + lines * sizeof("data: \n");
}

int jg_http_send_event(jg_http_request *request, const char *event, const char *data,
                       const char *id)
{
    const jg_allocator *allocator = &request->connection->server->loop->allocator;
    const size_t capacity = event_size(event, data, id);
    struct jg__output output;
    char *buffer;
    int r = 0;

    if (!is_one_line(event) || !is_one_line(id))
        return -EINVAL;

    if (request->status == 0) {
        r = jg_http_add_field(request, "Cache-Control", "no-cache");
        if (r == 0)
            r = jg_http_begin(request, 200, "text/event-stream", JG_HTTP_NO_LENGTH);
        if (r < 0)
            return r;
    }
    buffer = jg__alloc(allocator, capacity);
    if (!buffer)
        return -ENOMEM;

    output = jg__output(buffer, capacity);
    if (!event && !data && !id)
        PUT(&output, ":\n");
    if (event)
        put_line(&output, "event: ", jg_text_from(event));
    if (id)
        put_line(&output, "id: ", jg_text_from(id));
    if (data)
        put_data(&output, data);
    PUT(&output, "\n");
    r = jg_http_write(request, buffer, output.size);
    jg__free(allocator, buffer, capacity);
    return r;
}

/* ---------------------------------------------------------------- leaving HTTP */

int jg_http_upgrade(jg_http_request *request, const char *protocol, jg_stream **ret_stream)
{
    const jg_http_head *head = &request->parser.head;
    jg__connection *c = request->connection;
    jg_text name = jg_text_from(protocol);
    char buffer[1024];
    struct jg__output output = jg__output(buffer, sizeof(buffer));
    int r;

    if (request->status != 0)
        return -EALREADY;
    if (!(head->flags & JG_HTTP_WANTS_UPGRADE) || head->framing != JG_HTTP_NO_BODY ||
        name.size == 0 || name.size > 256)
        return -EINVAL;
    (void)jg__write_status(&output, 101);
    PUT(&output, "Connection: Upgrade\r\n");
    if (jg__write_field(&output, TEXT("Upgrade"), name) < 0)
        return -EINVAL;

    request->status = 101;
    request->upgraded = true;
    request->keep_alive = false;
    c->limit = JG_FOREVER; /* the handler's time was for an answer */
    jg__http_set_waits_deadline(c);
    r = send_head(request, &output);
    if (r == 0)
        r = jg__http_flush(c);
    if (r < 0)
        return r;
    *ret_stream = c->stream;
    return 0;
}
