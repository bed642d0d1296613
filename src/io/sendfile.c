/* SPDX-License-Identifier: MIT
 *
 * From files to streams: by the transport if it can, else read by the executor and written, one
 * piece after the other. `step` is the op of what is under way, of which there is always one until
 * the whole has completed.
 */
#include <juggle/sendfile.h>

#include "base/alloc.h"
#include "io/stream.h"

#include <errno.h>

#define PIECE ((size_t)64 << 10) /* bytes */

static void finish(jg_sending *s, int status)
{
    jg__free(&s->op->loop->allocator, s->buffer, PIECE);
    jg_op_complete(s->op, status);
}

static void on_read(void *arg);
static void on_written(void *arg);

static void read_piece(jg_sending *s)
{
    const size_t left = s->size - s->sent;
    int r = -ENOMEM;

    if (left == 0) {
        finish(s, 0);
        return;
    }
    if (s->cancelled) {
        finish(s, -ECANCELED);
        return;
    }
    if (!s->buffer)
        s->buffer = jg__alloc(&s->op->loop->allocator, PIECE);
    jg_op_init(&s->step, s->op->loop, on_read, s);
    if (s->buffer)
        r = jg_file_read_start(&s->request, s->fd, s->buffer, left < PIECE ? left : PIECE,
                               s->offset + (int64_t)s->sent, &s->step);
    if (r < 0)
        finish(s, r);
}

static void on_read(void *arg)
{
    jg_sending *s = arg;
    int r = jg_op_status(&s->step);

    if (r > 0 && s->cancelled)
        r = -ECANCELED;
    if (r > 0 && !jg_stream_is_open(s->stream))
        r = -ECONNABORTED; /* while the file was read */
    if (r > 0) {
        jg_op_init(&s->step, s->op->loop, on_written, s);
        r = jg_stream_write_all_start(s->stream, &s->writing, s->buffer, (size_t)r, &s->step);
        if (r == 0)
            return;
    }
    finish(s, r);
}

static void on_written(void *arg)
{
    jg_sending *s = arg;
    int r = jg_op_status(&s->step);

    s->sent += s->writing.sent;
    if (r < 0)
        finish(s, r);
    else
        read_piece(s);
}

static void on_sent(void *arg)
{
    jg_sending *s = arg;
    int r = jg_op_status(&s->step);

    s->sent += s->writing.sent;
    if (r == -ENOTSUP)
        read_piece(s);
    else
        finish(s, r);
}

static void cancel(jg_op *op)
{
    jg_sending *s = op->data;

    s->cancelled = true;
    jg_op_cancel(&s->step);
}

int jg_sendfile_start(jg_stream *stream, jg_sending *sending, int fd, int64_t offset, size_t size,
                      jg_op *op)
{
    static const jg_provider provider = {"sendfile", cancel};
    const uint64_t reach = offset < 0 ? 0 : (uint64_t)(INT64_MAX - offset); /* of offsets */
    int r;

    *sending = (jg_sending){.stream = stream, .op = op, .fd = fd, .offset = offset};
    sending->size = size < reach ? size : (size_t)reach;
    if (offset < 0)
        return -EINVAL;
    r = jg_op_start(op, &provider, sending);
    if (r < 0)
        return r;

    jg_op_init(&sending->step, op->loop, on_sent, sending);
    r = jg__stream_send_file_start(stream, &sending->writing, fd, offset, sending->size,
                                   &sending->step);
    if (r == -ENOTSUP)
        read_piece(sending);
    else if (r < 0)
        finish(sending, r);
    return 0;
}

int jg_sendfile(jg_stream *stream, int fd, int64_t offset, size_t size, size_t *ret_count)
{
    jg_sending sending;
    int r = jg__await_started(jg_sendfile_start(stream, &sending, fd, offset, size, jg__coro_op()));

    if (ret_count)
        *ret_count = sending.sent;
    return r;
}
