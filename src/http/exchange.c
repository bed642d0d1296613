/* SPDX-License-Identifier: MIT
 *
 * How a connection waits for its client, and sends to it.
 *
 * The timer of a connection is only ever set to an earlier time; when it fires too early it is set
 * anew. So a deadline that moves with each request costs a comparison.
 *
 * What is sent collects in a buffer, which goes to the stream in one piece: when it is full, when
 * the coroutine has no further request at hand, and at the latest before the loop waits.
 */
#include "http/server.h"

#include "base/time.h"
#include "coro/coro.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------- time */

void jg__http_set_deadline(jg__connection *c, jg_time deadline)
{
    jg_timer *timer = &c->own.timer;

    c->deadline = deadline;
    if (deadline != JG_FOREVER &&
        (!jg_handle_started(&timer->handle) || timer->deadline > deadline))
        jg_call_at(c->server->loop, timer, deadline);
}

jg_time jg__http_after(const jg__connection *c, jg_time delay)
{
    if (delay == JG_FOREVER)
        return JG_FOREVER;
    return jg__time_add(jg_loop_time(c->server->loop), delay);
}

static jg_time earlier(jg_time a, jg_time b)
{
    return a < b ? a : b;
}

void jg__http_set_waits_deadline(jg__connection *c)
{
    jg_time deadline = c->limit;

    for (int i = 0; i < 2; i++) {
        if (c->waits[i].op)
            deadline = earlier(deadline, c->waits[i].deadline);
    }
    jg__http_set_deadline(c, deadline);
}

int jg__http_wait(jg__connection *c, int direction, int started)
{
    struct jg__http_wait *wait = &c->waits[direction];
    jg_op *op = jg__coro_op();
    int r;

    if (started < 0)
        return started;
    if (!jg_op_pending(op))
        return jg_await(op);

    *wait = (struct jg__http_wait){
        .op = op,
        .deadline = jg__http_after(c, c->server->options.body_timeout),
    };
    jg__http_set_waits_deadline(c);
    r = jg_await(op);
    wait->op = NULL;
    jg__http_set_waits_deadline(c);
    return wait->timed_out && r == -ECANCELED ? -ETIMEDOUT : r;
}

/* ---------------------------------------------------------------- output */

/* Nothing is refused for what is queued: who writes much drains after each piece, and in between
   there are heads, ends of bodies and small answers, to so many pipelined requests at most. */
int jg__http_flush(jg__connection *c)
{
    jg__http_buffer *output = c->output;
    int r;

    if (!output)
        return c->error;

    c->output = NULL;
    (void)jg_call_cancel(&c->flush);
    r = c->error ? c->error : jg__stream_write_always(c->stream, output->data, output->size);
    jg__http_buffer_give(c->server, output);
    c->error = r;
    return r;
}

void jg__http_on_flush(void *arg)
{
    (void)jg__http_flush(arg); /* the error stays with the connection */
}

int jg__http_send(jg__connection *c, const void *data, size_t size)
{
    jg__http_buffer *output = c->output;
    struct iovec pieces[2];

    if (c->error || size == 0)
        return c->error;

    if (!output && size <= JG__HTTP_BUFFER) {
        output = jg__http_buffer_take(c->server);
        if (output) {
            c->output = output;
            jg_call_soon(c->server->loop, &c->flush);
        }
    }
    if (output && size <= JG__HTTP_BUFFER - output->size) {
        memcpy(output->data + output->size, data, size);
        output->size += (uint32_t)size;
        return 0;
    }

    pieces[0] = (struct iovec){output ? output->data : NULL, output ? output->size : 0};
    pieces[1] = (struct iovec){(void *)(uintptr_t)data, size};
    c->error = jg__stream_writev_always(c->stream, pieces, 2);
    if (output) {
        c->output = NULL;
        (void)jg_call_cancel(&c->flush);
        jg__http_buffer_give(c->server, output);
    }
    return c->error;
}

int jg__http_drain(jg__connection *c)
{
    jg_stream *stream = c->stream;
    uint64_t before;
    int r = c->error;

    while (r == 0 && jg_stream_queued(stream) > stream->high_mark) {
        before = jg_stream_bytes_out(stream);
        r = jg__http_wait(c, JG__HTTP_WRITING, jg_stream_drain_start(stream, jg__coro_op()));
        if (r == -ETIMEDOUT && jg_stream_bytes_out(stream) > before)
            r = 0;
    }
    if (r < 0 && r != -ECANCELED)
        c->error = r;
    return r;
}
