/* SPDX-License-Identifier: MIT
 *
 * What an HTTP client receives.
 *
 * A head is copied, with its fields, so that the connection can be given back as soon as the body
 * was read to its end; which happens in the read that finds the end. A body of a declared size is
 * read straight into the memory of who asks; one in chunks goes by the input of the stream.
 */
#include "http/client.h"

#include "base/time.h"
#include "coro/coro.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define MOST_INTERIM 64 /* heads of 1xx before a response */

/* ---------------------------------------------------------------- time limits */

static jg_time earlier(jg_time a, jg_time b)
{
    return a < b ? a : b;
}

static uint64_t bytes_moved(const jg_http_response *response)
{
    const jg_stream *stream = &response->link->stream;

    return jg_stream_bytes_in(stream) + jg_stream_bytes_out(stream);
}

static jg_time quiet_from(const jg_http_response *response, jg_time now)
{
    const jg_time timeout = response->client->options.idle_timeout;

    return timeout == JG_FOREVER ? JG_FOREVER : jg__time_add(now, timeout);
}

static void set_timer(jg_http_response *response)
{
    jg_time next = earlier(response->deadline, earlier(response->limit, response->quiet));

    if (next != JG_FOREVER)
        jg_call_at(response->client->loop, &response->timer, next);
}

static void on_time(void *arg)
{
    jg_http_response *response = arg;
    const jg_time now = jg_loop_time(response->client->loop);

    if (!jg_op_pending(response->op))
        return; /* what was waited for came in time, and is yet to be told */
    if (response->quiet != JG_FOREVER && bytes_moved(response) != response->moved) {
        response->moved = bytes_moved(response);
        response->quiet = quiet_from(response, now);
    }
    if (response->deadline <= now)
        response->timed_out = JG_EHTTP_TOTAL_TIMEOUT;
    else if (response->limit <= now)
        response->timed_out = -EAGAIN;
    else if (response->quiet <= now)
        response->timed_out = JG_EHTTP_IDLE_TIMEOUT;
    if (response->timed_out)
        jg_op_cancel(response->op);
    else
        set_timer(response);
}

int jg__http_await(jg_http_response *response, int started, jg_time limit)
{
    jg_op *op = jg__coro_op();
    int r;

    if (started < 0)
        return started;
    if (!jg_op_pending(op))
        return jg_await(op);

    response->op = op;
    response->timed_out = 0;
    response->limit = limit;
    response->quiet = JG_FOREVER;
    if (response->link) {
        response->moved = bytes_moved(response);
        response->quiet = quiet_from(response, jg_loop_time(response->client->loop));
    }
    jg_timer_init(&response->timer, on_time, response);
    set_timer(response);
    r = jg_await(op);
    jg_timer_stop(&response->timer);
    return response->timed_out && r == -ECANCELED ? response->timed_out : r;
}

/* ---------------------------------------------------------------- the link */

/* Whether nothing is under way on a link that could be taken for something else. */
static bool is_clean(const jg_http_response *response)
{
    const jg__http_link *link = response->link;
    const jg_stream *stream = &link->stream;

    return response->ended && !response->error && link->keep && link->upload.complete &&
           jg_stream_is_open(stream) && jg_stream_buffered(stream) == 0 &&
           jg_stream_queued(stream) == 0 && !jg_stream_at_eof(stream);
}

void jg__http_leave(jg_http_response *response)
{
    jg__http_link *link = response->link;
    bool clean;

    if (!link)
        return;

    clean = is_clean(response);
    if (!clean)
        jg_stream_abort(&link->stream);
    jg__http_upload_stop(link);
    response->link = NULL;
    jg__http_link_give(link, clean);
}

/* The body was read to its end. Unless the request is still being sent, that is it. */
static void note_end(jg_http_response *response)
{
    response->ended = true;
    if (!response->link->upload.running)
        jg__http_leave(response);
}

/* Wait for input with a read that was started. An error is the one that was there first. */
static int await_input(jg_http_response *response, int started, jg_time limit)
{
    int r = jg__http_await(response, started, limit);

    return r < 0 && response->link->upload.error ? response->link->upload.error : r;
}

/* ---------------------------------------------------------------- the head */

/* Copy the head, so that its bytes may leave the stream. */
static int keep_head(jg_http_response *response)
{
    const jg_http_head *head = &response->link->parser.head;
    const size_t fields_size = head->field_count * sizeof(jg_http_field);
    char *copy = jg__http_memory_take(response, fields_size + head->size);

    if (!copy)
        return -ENOMEM;

    memcpy(copy, head->fields, fields_size);
    memcpy(copy + fields_size, head->data, head->size);
    response->head = *head;
    response->head.fields = (jg_http_field *)(void *)copy;
    response->head.data = copy + fields_size;
    return 0;
}

static int begin_body(jg_http_response *response)
{
    const jg_http_head *head = &response->head;
    jg__http_link *link = response->link;

    jg_stream_consume(&link->stream, head->size);
    link->keep = link->keep && head->flags & JG_HTTP_KEEP_ALIVE;
    response->left = head->framing == JG_HTTP_SIZED ? head->content_length : 0;
    jg_http_body_init(&response->body, head);
    if (head->framing == JG_HTTP_NO_BODY)
        note_end(response);
    return head->status;
}

/* The connection ended, or was reset, before the head was complete. */
static int head_ended(const jg_http_response *response)
{
    const jg__http_link *link = response->link;

    return jg_stream_bytes_in(&link->stream) == link->before ? JG_EHTTP_NO_RESPONSE
                                                             : JG_EHTTP_TRUNCATED;
}

/* Wait until a head is complete. Returns its size, or an error. */
static int await_head(jg_http_response *response, jg_time limit)
{
    jg__http_link *link = response->link;
    size_t wanted = 1;

    for (;;) {
        const void *data = NULL;
        int r = await_input(
            response, jg_stream_peek_start(&link->stream, wanted, &data, jg__coro_op()), limit);
        size_t size = (size_t)r;

        if (r < 0)
            return r;
        r = data ? jg_http_parser_feed(&link->parser, data, size) : 0;
        if (r != 0)
            return r;
        if (size < wanted)
            return head_ended(response);
        wanted = size + 1;
    }
}

int jg__http_receive_head(jg_http_response *response, bool may_continue, jg_time limit)
{
    jg__http_link *link = response->link;

    for (int count = 0; count < MOST_INTERIM; count++) {
        int r = await_head(response, limit);
        unsigned status = link->parser.head.status;

        if (r < 0)
            return r;
        if (status >= 200) {
            r = keep_head(response);
            return r < 0 ? r : begin_body(response);
        }
        if (status == 101)
            break;
        jg_stream_consume(&link->stream, (size_t)r);
        if (status == 100 && may_continue)
            return 100;
    }
    return JG_EHTTP_SWITCHED;
}

/* ---------------------------------------------------------------- the body */

/* Read from a body that ends after so many bytes, or with the connection. */
static int read_plain(jg_http_response *response, void *buf, size_t size)
{
    const bool sized = response->head.framing == JG_HTTP_SIZED;
    int r;

    if (sized && size > response->left)
        size = (size_t)response->left;
    r = await_input(response,
                    jg_stream_read_start(&response->link->stream, buf, size, jg__coro_op()),
                    JG_FOREVER);
    if (r == 0 && sized)
        return JG_EHTTP_TRUNCATED;
    if (r > 0 && sized)
        response->left -= (uint64_t)r;
    if (r == 0 || (r > 0 && sized && response->left == 0))
        note_end(response);
    return r;
}

/* Read from a body in chunks: up to the next piece of it. */
static int read_chunked(jg_http_response *response, void *buf, size_t size)
{
    jg_stream *stream = &response->link->stream;
    jg_text piece;
    int r;

    do {
        const void *data;
        size_t used;

        r = await_input(response, jg_stream_peek_start(stream, 1, &data, jg__coro_op()),
                        JG_FOREVER);
        if (r <= 0)
            return r == 0 ? JG_EHTTP_TRUNCATED : r;
        r = jg_http_body_feed(&response->body, data, (size_t)r < size ? (size_t)r : size, &used,
                              &piece);
        if (r < 0)
            return r;
        if (r == JG_HTTP_BODY_DATA)
            memcpy(buf, piece.data, piece.size);
        jg_stream_consume(stream, used);
    } while (r == JG_HTTP_BODY_MORE);
    if (r == JG_HTTP_BODY_DATA)
        return (int)piece.size;
    note_end(response);
    return 0;
}

int jg_http_response_read(jg_http_response *response, void *buf, size_t size)
{
    int r;

    jg__check(response->client != NULL, "the response has ended");
    if (response->error)
        return response->error;
    if (response->ended || size == 0)
        return 0;

    if (size > INT_MAX)
        size = INT_MAX;
    if (jg_loop_time(response->client->loop) >= response->deadline)
        r = JG_EHTTP_TOTAL_TIMEOUT;
    else if (response->head.framing == JG_HTTP_CHUNKED)
        r = read_chunked(response, buf, size);
    else
        r = read_plain(response, buf, size);
    if (r < 0 && r != -EBUSY)
        response->error = r;
    return r;
}

/* Have room for more. */
static int grow(jg_http_response *response, size_t capacity)
{
    const jg_allocator *allocator = &response->client->loop->allocator;
    char *whole = jg__resize(allocator, response->whole, response->whole_capacity, capacity);

    if (!whole)
        return -ENOMEM;
    response->whole = whole;
    response->whole_capacity = capacity;
    return 0;
}

/* Read all into `whole`, which has room for `limit` bytes and a NUL at most. */
static int read_rest(jg_http_response *response, size_t limit)
{
    for (;;) {
        size_t room = response->whole_capacity - 1 - response->whole_size;
        char more = 0;
        int r = jg_http_response_read(response,
                                      room > 0 ? response->whole + response->whole_size : &more,
                                      room > 0 ? room : 1);

        if (r <= 0)
            return r;
        if (room == 0) {
            size_t capacity = response->whole_capacity - 1;

            if (capacity == limit)
                return -EMSGSIZE;
            if (grow(response, (capacity < limit / 2 ? capacity * 2 : limit) + 1) < 0)
                return -ENOMEM;
            response->whole[response->whole_size] = more;
        }
        response->whole_size += (size_t)r;
    }
}

int jg_http_response_read_all(jg_http_response *response, size_t limit, jg_text *ret_body)
{
    const bool sized = response->head.framing == JG_HTTP_SIZED;
    size_t capacity = sized ? (size_t)response->left : 4096;
    int r;

    if (response->whole)
        return -EALREADY;
    if (response->error)
        return response->error;
    if (limit > SIZE_MAX / 4)
        limit = SIZE_MAX / 4;
    if (sized && response->left > limit)
        r = -EMSGSIZE;
    else
        r = grow(response, (capacity < limit ? capacity : limit) + 1);
    if (r == 0)
        r = read_rest(response, limit);
    if (r < 0) {
        response->error = r;
        return r;
    }
    response->whole[response->whole_size] = 0;
    *ret_body = jg_text_of(response->whole, response->whole_size);
    return 0;
}
