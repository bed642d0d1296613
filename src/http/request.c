/* SPDX-License-Identifier: MIT
 *
 * Requests, as handlers see them.
 *
 * The head of a request without a body stays where it was received while the handler works, since
 * nobody reads from the stream then. Where somebody will, it is copied first, so that what the
 * request gave away stays as it is.
 *
 * A body of a declared size is read straight into the memory of who asks; one in chunks goes by the
 * input of the stream. What follows the body stays there for the next request.
 */
#include "http/server.h"

#include "coro/coro.h"

#include <juggle/url.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

static const jg_allocator *allocator_of(const jg_http_request *request)
{
    return &request->connection->server->loop->allocator;
}

/* ---------------------------------------------------------------- its memory */

void *jg_http_request_alloc(jg_http_request *request, size_t size)
{
    const size_t unit = sizeof(max_align_t);
    struct jg__http_block *block;
    char *memory;

    if (size <= JG__HTTP_ROOM - request->room_used) {
        memory = (char *)request->room + request->room_used;
        request->room_used += (size + unit - 1) / unit * unit;
        return memory;
    }
    if (size > SIZE_MAX - sizeof(*block))
        return NULL;

    block = jg__alloc(allocator_of(request), sizeof(*block) + size);
    if (!block)
        return NULL;
    block->next = request->blocks;
    block->size = size;
    request->blocks = block;
    return block->data;
}

static void release_values(jg_http_request *request)
{
    while (request->values) {
        struct jg__http_value *value = request->values;

        request->values = value->next;
        if (value->release)
            value->release(value->value);
    }
}

void jg__http_request_end(jg_http_request *request)
{
    release_values(request);
    while (request->blocks) {
        struct jg__http_block *block = request->blocks;

        request->blocks = block->next;
        jg__free(allocator_of(request), block, sizeof(*block) + block->size);
    }
    jg__http_drop_fields(request);
}

static struct jg__http_value *find_value(const jg_http_request *request, const void *key)
{
    struct jg__http_value *value = request->values;

    while (value && value->key != key)
        value = value->next;
    return value;
}

int jg_http_request_set(jg_http_request *request, const void *key, void *value, jg_call_fn release)
{
    struct jg__http_value *entry = find_value(request, key);

    if (entry) {
        if (entry->release)
            entry->release(entry->value);
    } else {
        entry = jg_http_request_alloc(request, sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        entry->next = request->values;
        entry->key = key;
        request->values = entry;
    }
    entry->value = value;
    entry->release = release;
    return 0;
}

void *jg_http_request_get(const jg_http_request *request, const void *key)
{
    const struct jg__http_value *entry = find_value(request, key);

    return entry ? entry->value : NULL;
}

/* ---------------------------------------------------------------- its head */

int jg__http_request_begin(jg_http_request *request)
{
    const jg_http_head *head = &request->parser.head;
    const jg_http_server *server = request->connection->server;

    request->keep_alive = head->flags & JG_HTTP_KEEP_ALIVE && !server->closing;
    request->moved = false;
    request->wait_continue = head->flags & JG_HTTP_EXPECT_CONTINUE;
    request->body_ended = head->framing == JG_HTTP_NO_BODY;
    request->body_left = head->framing == JG_HTTP_SIZED ? head->content_length : 0;
    request->read_error = 0;
    request->room_used = 0;
    request->scope = NULL;
    request->cut_short = false;
    request->captures = NULL;
    request->capture_count = 0;
    request->status = 0;
    request->chunked = false;
    request->bodiless = false;
    request->upgraded = false;
    request->bytes_out = 0;
    request->fields_size = 0;
    if (head->framing == JG_HTTP_CHUNKED)
        jg_http_body_init(&request->body, head);
    if (!request->body_ended || head->flags & JG_HTTP_WANTS_UPGRADE ||
        server->options.flags & JG_HTTP_CANCEL_ON_DISCONNECT)
        return jg__http_request_move(request);
    return 0;
}

int jg__http_request_move(jg_http_request *request)
{
    jg_http_head *head = &request->parser.head;
    char *copy;

    if (request->moved)
        return 0;

    copy = jg_http_request_alloc(request, head->size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, head->data, head->size);
    head->data = copy;
    jg_stream_consume(request->connection->stream, head->size);
    request->moved = true;
    return 0;
}

const jg_http_head *jg_http_request_head(const jg_http_request *request)
{
    return &request->parser.head;
}

jg_http_method jg_http_request_method(const jg_http_request *request)
{
    return (jg_http_method)request->parser.head.method;
}

jg_text jg_http_request_path(const jg_http_request *request)
{
    const jg_http_head *head = &request->parser.head;

    if (head->form == JG_HTTP_ASTERISK_FORM)
        return jg_text_of("*", 1);
    return head->path.size > 0 ? jg_http_head_text(head, head->path) : jg_text_of("/", 1);
}

jg_text jg_http_request_host(const jg_http_request *request)
{
    const jg_http_head *head = &request->parser.head;

    return jg_http_head_text(head, head->authority);
}

jg_text jg_http_request_field(const jg_http_request *request, const char *name)
{
    const jg_http_head *head = &request->parser.head;
    const jg_http_field *field = jg_http_head_find(head, name, NULL);

    return field ? jg_http_head_text(head, field->value) : jg_text_of(NULL, 0);
}

jg_text jg_http_request_capture(const jg_http_request *request, const char *name)
{
    for (int i = 0; i < request->capture_count; i++) {
        if (strcmp(request->captures[i].name, name) == 0)
            return request->captures[i].value;
    }
    return jg_text_of(NULL, 0);
}

/* Whether an escaped name is this one. */
static bool is_named(jg_text escaped, const char *name)
{
    char plain[256];
    size_t size;

    if (escaped.size > sizeof(plain) ||
        jg_url_unescape(escaped, JG_URL_FORM, plain, sizeof(plain), &size) < 0)
        return false;
    return jg_text_is(jg_text_of(plain, size), name);
}

int jg_http_request_query(jg_http_request *request, const char *name, jg_text *ret_value)
{
    const jg_http_head *head = &request->parser.head;
    jg_text rest = jg_http_head_text(head, head->query), key, value;
    size_t size;
    char *copy;

    do {
        if (!jg_url_query_next(&rest, &key, &value))
            return -ENOENT;
    } while (!is_named(key, name));

    copy = jg_http_request_alloc(request, value.size + 1);
    if (!copy)
        return -ENOMEM;
    if (jg_url_unescape(value, JG_URL_FORM, copy, value.size, &size) < 0)
        return -EINVAL;
    copy[size] = 0;
    *ret_value = jg_text_of(copy, size);
    return 0;
}

const jg_stream *jg_http_request_stream(const jg_http_request *request)
{
    return request->connection->stream;
}

int jg_http_request_status(const jg_http_request *request)
{
    return request->status;
}

uint64_t jg_http_request_bytes_out(const jg_http_request *request)
{
    return request->bytes_out;
}

/* ---------------------------------------------------------------- its body */

/* Read from a body of a declared size. */
static int read_sized(jg_http_request *request, void *buf, size_t size)
{
    jg__connection *c = request->connection;
    int r;

    if (size > request->body_left)
        size = (size_t)request->body_left;
    r = jg__http_wait(c, JG__HTTP_READING,
                      jg_stream_read_start(c->stream, buf, size, jg__coro_op()));
    if (r == 0)
        return JG_EHTTP_TRUNCATED;
    if (r > 0)
        request->body_left -= (uint64_t)r;
    request->body_ended = request->body_left == 0;
    return r;
}

/* Read from a body in chunks: up to the next piece of it. */
static int read_chunked(jg_http_request *request, void *buf, size_t size)
{
    jg__connection *c = request->connection;
    const void *data;
    jg_text piece;
    size_t count, used;
    int r;

    do {
        r = jg__http_wait(c, JG__HTTP_READING,
                          jg_stream_peek_start(c->stream, 1, &data, jg__coro_op()));
        if (r <= 0)
            return r == 0 ? JG_EHTTP_TRUNCATED : r;
        count = (size_t)r < size ? (size_t)r : size;
        r = jg_http_body_feed(&request->body, data, count, &used, &piece);
        if (r < 0)
            return r;
        if (r == JG_HTTP_BODY_DATA)
            memcpy(buf, piece.data, piece.size);
        jg_stream_consume(c->stream, used);
    } while (r == JG_HTTP_BODY_MORE);
    request->body_ended = r == JG_HTTP_BODY_END;
    return r == JG_HTTP_BODY_DATA ? (int)piece.size : 0;
}

int jg_http_read(jg_http_request *request, void *buf, size_t size)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int r;

    if (request->read_error)
        return request->read_error;
    if (request->body_ended || size == 0)
        return 0;

    if (size > INT_MAX)
        size = INT_MAX;
    if (request->wait_continue && request->status == 0 &&
        jg_stream_buffered(request->connection->stream) == 0)
        (void)jg__http_send(request->connection, go_on, sizeof(go_on) - 1); /* the read will tell */
    request->wait_continue = false;
    if (request->parser.head.framing == JG_HTTP_SIZED)
        r = read_sized(request, buf, size);
    else
        r = read_chunked(request, buf, size);
    if (r < 0 && r != -ECANCELED && r != -EBUSY && r != -ENOMEM)
        request->read_error = r;
    if (r == JG_EHTTP_TRUNCATED)
        request->connection->at_end = true;
    return r;
}

/* Make room for more of a body whose size is not known. */
static char *grow(jg_http_request *request, char *body, size_t size, size_t *capacity, size_t limit)
{
    size_t larger = *capacity * 2 < limit ? *capacity * 2 : limit;
    char *moved = jg_http_request_alloc(request, larger + 1);

    if (moved) {
        memcpy(moved, body, size);
        *capacity = larger;
    }
    return moved;
}

static int read_rest(jg_http_request *request, size_t limit, size_t capacity, jg_text *ret_body)
{
    char *body = jg_http_request_alloc(request, capacity + 1);
    char more;
    size_t size = 0;
    int r;

    if (!body)
        return -ENOMEM;
    for (;;) {
        r = size < capacity ? jg_http_read(request, body + size, capacity - size)
                            : jg_http_read(request, &more, 1);
        if (r <= 0)
            break;
        if (size < capacity) {
            size += (size_t)r;
            continue;
        }
        if (capacity == limit)
            return -EMSGSIZE;
        body = grow(request, body, size, &capacity, limit);
        if (!body)
            return -ENOMEM;
        body[size++] = more;
    }
    if (r < 0)
        return r;
    body[size] = 0;
    *ret_body = jg_text_of(body, size);
    return 0;
}

int jg_http_read_all(jg_http_request *request, size_t limit, jg_text *ret_body)
{
    size_t capacity = 4096;
    int r;

    if (limit > SIZE_MAX / 4)
        limit = SIZE_MAX / 4;
    if (request->parser.head.framing != JG_HTTP_CHUNKED)
        capacity = (size_t)(request->body_left < limit ? request->body_left : limit);
    else if (capacity > limit)
        capacity = limit;
    r = request->body_left > limit ? -EMSGSIZE : read_rest(request, limit, capacity, ret_body);
    if (r == -EMSGSIZE || r == -ENOMEM)
        request->read_error = r;
    return r;
}

int jg__http_request_drain(jg_http_request *request)
{
    size_t drained = 0;
    char waste[4096];

    /* Who was not told to go on will not send it. */
    if (request->wait_continue || request->read_error || request->body_left > JG__HTTP_DRAIN)
        return -EMSGSIZE;

    while (!request->body_ended && drained < JG__HTTP_DRAIN) {
        int r = jg_http_read(request, waste, sizeof(waste));

        if (r < 0)
            return r;
        drained += (size_t)r;
    }
    return request->body_ended ? 0 : -EMSGSIZE;
}
