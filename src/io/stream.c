/* SPDX-License-Identifier: MIT
 *
 * Streams: how they begin and end, and what those of a loop share.
 *
 * What a function of a transport leads to is done at once, inside the library: only completions of
 * ops leave it, and they run later. So a stream stays where it is while its functions work on it.
 */
#include "io/stream_input.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <string.h>

#define HIGH_MARK 65536

/* After the executors. */
static int close_streams(jg__part *part)
{
    jg__disks_fini((jg__streams *)part);
    return 0;
}

static void free_streams(jg__part *part)
{
    jg__streams *streams = (jg__streams *)part;
    const jg_allocator *allocator = &streams->loop->allocator;

    jg__blocks_fini(streams);
    jg__free(allocator, streams->placed, streams->placed_capacity * sizeof(*streams->placed));
    jg__free(allocator, streams, sizeof(*streams));
}

static int reserve_streams(jg_loop *loop)
{
    jg__streams *streams;

    if (loop->parts[JG__PART_STREAMS])
        return 0;

    streams = jg__alloc(&loop->allocator, sizeof(*streams));
    if (!streams)
        return -ENOMEM;

    *streams = (jg__streams){
        .part = {.close = close_streams, .free = free_streams},
        .loop = loop,
    };
    jg__list_init(&streams->disks);
    loop->parts[JG__PART_STREAMS] = &streams->part;
    return 0;
}

/* Make the stream one of this transport, which has yet to be given its own data. */
static int open_stream(jg_stream *stream, jg_loop *loop, const jg_transport *transport,
                       const jg_stream_options *options)
{
    size_t high_mark = options && options->high_mark ? options->high_mark : HIGH_MARK;
    int r;

    if (high_mark > JG__STREAM_HIGH_MARK)
        return -EINVAL;

    r = reserve_streams(loop);
    if (r < 0)
        return r;

    *stream = (jg_stream){
        .transport = transport,
        .loop = loop,
        .high_mark = (uint32_t)high_mark,
        .flags = (uint16_t)(JG_READ | JG_WRITE | JG__STREAM_FORKS(jg__fork_count)),
        .turn = (uint16_t)(loop->turns - 1),
    };
    return 0;
}

int jg__stream_open_fd(jg_stream *stream, jg_loop *loop, int fd, const jg_transport *transport,
                       const jg_stream_options *options)
{
    int r;

    jg__check_thread(loop);
    if (fd < 0)
        return -EBADF;

    r = open_stream(stream, loop, transport, options);
    if (r < 0)
        return r;

    jg__stream_use(stream, transport);
    jg_watcher_init(&stream->own.watcher, jg__stream_on_events, stream);
    stream->own.watcher.handle.flags |= JG__UNREF; /* what waits keeps the loop running */
    stream->own.watcher.handle.number = fd;
    return 0;
}

int jg_stream_open(jg_stream *stream, jg_loop *loop, int fd, const jg_stream_options *options)
{
    return jg__stream_open_fd(stream, loop, fd, &jg__socket_transport, options);
}

int jg_stream_open_shared(jg_stream *stream, jg_loop *loop, int fd,
                          const jg_stream_options *options)
{
    enum jg__sharing sharing;
    int r, copy = jg__fd_share(fd, &sharing);

    if (copy < 0)
        return copy;

    r = jg__stream_open_fd(stream, loop, copy,
                           sharing == JG__SHARED ? &jg__shared_transport : &jg__file_transport,
                           options);
    if (r < 0)
        jg__fd_close(copy);
    else if (sharing == JG__NO_MATTER)
        (void)jg__stream_use_disk(stream);
    return r;
}

int jg_stream_open_with(jg_stream *stream, jg_loop *loop, const jg_transport *transport, void *data,
                        const jg_stream_options *options)
{
    int r;

    jg__check_thread(loop);
    r = open_stream(stream, loop, transport, options);
    if (r == 0)
        stream->own.data = data;
    return r;
}

void jg__stream_stop_reading(jg_stream *stream, int error)
{
    stream->flags &= (uint16_t)~JG__STREAM_PLAIN;
    if (!stream->read_error)
        stream->read_error = (int16_t)error;
    if (stream->reader && !(stream->flags & JG__STREAM_CLOSING))
        jg__stream_read_on(stream);
}

void jg_stream_ready(jg_stream *stream, int events)
{
    jg__check(stream->transport != NULL, "the stream is not open");
    if (events < 0) { /* the transport is gone */
        jg__stream_stop_reading(stream, events);
        jg__stream_fail_writing(stream, events);
        return;
    }
    if (events & JG_HANGUP)
        events |= JG_READ;
    stream->flags |= (uint16_t)events;
    if (events & JG_READ && stream->reader && !(stream->flags & JG__STREAM_CLOSING))
        jg__stream_read_on(stream);
    if (events & JG_WRITE && stream->output)
        jg__stream_write_on(stream);
}

/* ---------------------------------------------------------------- before the loop waits */

static void look(jg_loop *loop)
{
    jg__streams *streams = (jg__streams *)loop->parts[JG__PART_STREAMS];
    const uint32_t count = streams->placed_count;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        jg_stream *stream = streams->placed[i];

        if (!stream)
            continue;
        stream->flags &= (uint16_t)~JG__STREAM_PLACED;
        if (stream->reader && !(stream->flags & JG__STREAM_CLOSING))
            jg__stream_read_on(stream);
        if (stream->output)
            jg__stream_write_on(stream);
    }

    /* Those that have to be looked at again. */
    for (uint32_t i = count; i < streams->placed_count; i++) {
        if (!streams->placed[i])
            continue;
        streams->placed[kept] = streams->placed[i];
        streams->placed[kept]->place = kept;
        kept++;
    }
    streams->placed_count = kept;
    loop->before_wait = kept > 0 ? look : NULL;
    if (kept == 0)
        loop->active--;
}

int jg__stream_place(jg_stream *stream)
{
    jg__streams *streams = jg__streams_of(stream);
    jg_loop *loop = stream->loop;
    uint32_t capacity = streams->placed_capacity;

    if (stream->flags & JG__STREAM_PLACED)
        return 0;

    if (streams->placed_count == capacity) {
        uint32_t wanted = capacity ? capacity * 2 : 16;
        jg_stream **placed =
            jg__resize(&loop->allocator, streams->placed, capacity * sizeof(jg_stream *),
                       wanted * sizeof(jg_stream *));

        if (!placed)
            return -ENOMEM;
        streams->placed = placed;
        streams->placed_capacity = wanted;
    }
    if (streams->placed_count == 0)
        loop->active++; /* for there has to be another turn */
    loop->before_wait = look;
    stream->flags |= JG__STREAM_PLACED;
    stream->place = streams->placed_count;
    streams->placed[streams->placed_count++] = stream;
    return 0;
}

/* ---------------------------------------------------------------- the end */

/* Give everything back that a stream has besides its memory. Nothing is pending or queued. */
static void release(jg_stream *stream, bool cut)
{
    const jg_transport *transport = stream->transport;

    if (stream->flags & JG__STREAM_PLACED)
        jg__streams_of(stream)->placed[stream->place] = NULL;
    jg__input_free(stream);
    transport->close(stream, cut);
    jg__stream_use(stream, NULL);
}

/* End a close that waits. */
static void finish_close(jg_stream *stream, int status)
{
    jg_stream_closing *closing = stream->target;
    jg_op *op = stream->reader;

    stream->reader = NULL;
    stream->flags &= (uint16_t)~JG__STREAM_CLOSING;
    jg_timer_stop(&closing->timer);
    release(stream, status < 0);
    jg_op_complete(op, status);
}

void jg__stream_idle(jg_stream *stream)
{
    if (stream->flags & JG__STREAM_CLOSING)
        finish_close(stream, stream->write_error);
    else if (stream->flags & JG__STREAM_SHUT && !stream->write_error)
        (void)stream->transport->shut(
            stream); /* the peer may be gone, which is for reads to tell */
}

/* Give up a close that waits. */
static void cut_close(jg_stream *stream, int error)
{
    jg__stream_fail_writing(stream, error); /* which ends the close */
}

static void on_late(void *arg)
{
    jg_stream_closing *closing = arg;

    cut_close(closing->stream, -ETIMEDOUT);
}

static void cancel_close(jg_op *op)
{
    cut_close(op->data, -ECANCELED);
}

int jg_stream_close_start(jg_stream *stream, jg_stream_closing *closing, jg_time timeout, jg_op *op)
{
    static const jg_provider provider = {"stream close", cancel_close};
    int r;

    if (!stream->transport)
        return -EBADF;
    if (stream->flags & JG__STREAM_CLOSING)
        return -EALREADY;

    r = jg_op_start(op, &provider, stream);
    if (r < 0) {
        jg_stream_abort(stream);
        return r;
    }

    jg__stream_end_read(stream, -ECONNABORTED);
    if (stream->output && stream->flags & JG_WRITE)
        jg__stream_write_on(stream);
    if (!stream->output) {
        r = stream->write_error;
        release(stream, r < 0);
        jg_op_complete(op, r);
        return 0;
    }

    stream->flags |= JG__STREAM_SHUT | JG__STREAM_CLOSING;
    stream->reader = op;
    stream->target = closing;
    closing->stream = stream;
    jg_timer_init(&closing->timer, on_late, closing);
    if (timeout <= 0)
        cut_close(stream, -ETIMEDOUT);
    else if (timeout != JG_FOREVER)
        jg_call_later(stream->loop, &closing->timer, timeout);
    return 0;
}

int jg_stream_close(jg_stream *stream, jg_time timeout)
{
    jg_stream_closing closing;

    return jg__await_started(jg_stream_close_start(stream, &closing, timeout, jg__coro_op()));
}

void jg_stream_abort(jg_stream *stream)
{
    const bool cut = stream->output || stream->write_error; /* which dropped something */

    if (!stream->transport)
        return;

    jg__check_thread(stream->loop);
    if (stream->flags & JG__STREAM_CLOSING) {
        cut_close(stream, -ECONNABORTED);
        return;
    }
    jg__stream_end_read(stream, -ECONNABORTED);
    jg__stream_drop(stream, -ECONNABORTED);
    release(stream, cut);
}

/* ---------------------------------------------------------------- looking */

bool jg_stream_is_open(const jg_stream *stream)
{
    return jg__stream_is_open(stream);
}

bool jg_stream_at_eof(const jg_stream *stream)
{
    return stream->flags & JG__STREAM_END && !stream->input;
}

size_t jg_stream_buffered(const jg_stream *stream)
{
    return jg__input_size(stream);
}

size_t jg_stream_queued(const jg_stream *stream)
{
    return stream->queued;
}

uint64_t jg_stream_bytes_in(const jg_stream *stream)
{
    return stream->bytes_in;
}

uint64_t jg_stream_bytes_out(const jg_stream *stream)
{
    return stream->bytes_out;
}

int jg_stream_fd(const jg_stream *stream)
{
    const jg_transport *transport = stream->transport;

    if (!transport ||
        (transport->wait != jg__socket_transport.wait && transport != &jg__disk_transport))
        return -EBADF;
    return stream->own.watcher.handle.number < 0 ? -EBADF : stream->own.watcher.handle.number;
}
