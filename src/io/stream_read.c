/* SPDX-License-Identifier: MIT
 *
 * Reading from streams.
 *
 * What is asked for is taken from what the stream has left over, its input, and else from the
 * transport: directly into the caller's memory where that is all that is wanted, or by way of the
 * input. Cancelling a read touches no bytes at all.
 */
#include "io/stream_input.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What `reader` asks for. AWAITED is a READ by a coroutine that receives for itself, once WOKEN. */
enum { READ, AWAITED, WOKEN, EXACTLY, UNTIL, LINE, PEEK };

#define DIRECT 4096u /* less is not worth a system call of its own */
#define ROUNDS 16    /* reads before others have their turn */

/* ---------------------------------------------------------------- what is asked for */

/* The error or end that is reached once nothing is held; 1: none. */
static int finality(const jg_stream *stream, int at_end)
{
    if (stream->read_error)
        return stream->read_error;
    return stream->flags & JG__STREAM_END ? at_end : 1;
}

/* These go on with the pending read. They return its status, or -EAGAIN: it has to wait, or
 * JG_PENDING: there may be more at once, after others had their turn. */

static ssize_t go_on_reading(jg_stream *stream)
{
    int r;

    if (stream->input)
        return jg__input_take(stream, stream->target, stream->size);
    if (stream->size == 0)
        return 0;

    r = finality(stream, 0);
    return r <= 0 ? r : jg__stream_receive(stream, stream->target, stream->size);
}

static ssize_t go_on_exactly(jg_stream *stream)
{
    size_t *count = stream->extra;

    for (int round = 0; round < ROUNDS; round++) {
        char *target = (char *)stream->target + *count;
        size_t left = stream->size - *count;
        ssize_t n;
        int r;

        if (left > 0 && stream->input) {
            *count += jg__input_take(stream, target, left);
            continue;
        }
        if (left == 0)
            return 0;
        r = finality(stream, JG_EINCOMPLETE);
        if (r <= 0)
            return r;

        n = left < DIRECT ? jg__input_fill(stream) : jg__stream_receive(stream, target, left);
        if (n < 0)
            return n;
        if (left >= DIRECT)
            *count += (size_t)n;
    }
    return *count == stream->size ? 0 : JG_PENDING;
}

/* Where the separator ends in what is held, counted from its beginning; 0: it is not there. */
static uint32_t find(jg__block *block, const char *separator, size_t size)
{
    const char *begin = block->data + block->begin, *end = block->data + block->end;
    const char *place = begin + block->searched;

    while ((size_t)(end - place) >= size) {
        place = memchr(place, separator[0], (size_t)(end - place) - size + 1);
        if (!place)
            break;
        if (memcmp(place, separator, size) == 0)
            return (uint32_t)(place - begin + (ptrdiff_t)size);
        place++;
    }
    if ((size_t)(end - begin) >= size)
        block->searched = (uint32_t)((size_t)(end - begin) - size + 1);
    return 0;
}

/* What the caller's memory has room for, without the 0 after a line. */
static size_t room(const jg_stream *stream)
{
    return stream->reading == LINE ? stream->size - 1 : stream->size;
}

static int deliver(jg_stream *stream, size_t size)
{
    uint32_t count = jg__input_take(stream, stream->target, size);

    if (stream->reading == LINE)
        ((char *)stream->target)[count] = 0;
    return (int)count;
}

static ssize_t go_on_until(jg_stream *stream)
{
    const char *separator = stream->extra;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t size = stream->input ? find(stream->input, separator, stream->separator_size) : 0;
        ssize_t n;
        int r;

        if (size > 0 && size <= room(stream))
            return deliver(stream, size);
        /* A line may end without its separator, when it fills the room. */
        if (size > 0 || jg__input_size(stream) >= stream->size)
            return -EMSGSIZE;

        r = finality(stream, 0);
        if (r == 0 && jg__input_size(stream) > 0)
            return stream->reading == LINE ? deliver(stream, jg__input_size(stream))
                                           : JG_EINCOMPLETE;
        if (r <= 0)
            return r;

        n = jg__input_fill(stream);
        if (n < 0)
            return n;
    }
    return JG_PENDING;
}

static ssize_t go_on_peeking(jg_stream *stream)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool enough = jg__input_size(stream) >= stream->size;
        int r = finality(stream, 0);
        ssize_t n;

        if ((enough || r == 0) && stream->input)
            *(const void **)stream->target = stream->input->data + stream->input->begin;
        if (enough || r == 0)
            return (ssize_t)jg__input_size(stream);
        if (r < 0)
            return r;

        n = jg__input_fill(stream);
        if (n < 0)
            return n;
    }
    return JG_PENDING;
}

static ssize_t go_on(jg_stream *stream)
{
    switch (stream->reading) {
    case READ:
    case AWAITED:
    case WOKEN:
        return go_on_reading(stream);
    case EXACTLY:
        return go_on_exactly(stream);
    case PEEK:
        return go_on_peeking(stream);
    default:
        return go_on_until(stream);
    }
}

/* ---------------------------------------------------------------- reads */

/* Take the read off the stream. */
static jg_op *take_reader(jg_stream *stream)
{
    jg_op *op = stream->reader;

    stream->reader = NULL;
    stream->reading = READ;
    jg__stream_unhold(stream);
    return op;
}

static inline void wait_for_more(jg_stream *stream)
{
    int r = jg__stream_wait(stream, JG_READ);

    if (r < 0)
        jg_op_complete(take_reader(stream), r);
}

/* The transport has nothing for now: no byte, no end and no error. */
static bool is_dry(const jg_stream *stream)
{
    return !(stream->flags & (JG_READ | JG__STREAM_END)) && !stream->read_error;
}

/* What comes after going on, which returned r. */
static void settle(jg_stream *stream, ssize_t r)
{
    if (r == -EAGAIN)
        wait_for_more(stream);
    else if (r != JG_PENDING)
        jg__op_complete(take_reader(stream), (int)r);
}

void jg__stream_read_on(jg_stream *stream)
{
    ssize_t r;

    do
        r = go_on(stream);
    while (r == JG_PENDING && jg__stream_place(stream) < 0);
    settle(stream, r);
}

/* Go on with a read for which jg__socket_try_read returned n, which is no bytes. */
__attribute__((noinline)) static void end_or_fail(jg_stream *stream, ssize_t n)
{
    if (n < 0)
        n = jg__stream_receive_failed(stream, stream->target, stream->size);
    settle(stream, jg__stream_note_received(stream, n, stream->size));
}

/* Whether an event is the usual one, where a plain read waits: bytes came, and that is all. */
static inline bool is_usual(const jg_stream *stream, int events)
{
    const unsigned wanted = JG__STREAM_PLAIN | JG__STREAM_KNOWN | JG_READ;
    const unsigned asked = wanted | JG_HANGUP | JG__STREAM_END | JG__STREAM_CLOSING |
                           (unsigned)INT_MIN; /* the sign of errors */

    return ((stream->flags | (unsigned)events) & asked) == wanted && !stream->output;
}

/* Try to receive for the pending read, after the usual event. */
static inline ssize_t try_usual(const jg_stream *stream)
{
    return jg__socket_try_read(stream->own.watcher.handle.number, stream->target, stream->size);
}

/* That returned n, which is some bytes: the read is done. */
static inline void end_usual(jg_stream *stream, ssize_t n)
{
    stream->bytes_in += (uint64_t)n;
    if ((size_t)n < stream->size && !(stream->flags & JG__STREAM_INEXACT))
        stream->flags &= (uint16_t)~JG_READ;
    stream->reader = NULL;
    stream->loop->active--; /* jg__stream_unhold, for sockets */
}

/* Receive at once, for whoever is called when the op completes. */
static void read_usual(jg_stream *stream)
{
    jg_op *op = stream->reader;
    ssize_t n = try_usual(stream);

    if (n > 0) {
        end_usual(stream, n);
        jg__op_deliver(op, (int)n);
    } else {
        end_or_fail(stream, n);
    }
}

/* All events but the usual one of a read that is awaited. */
__attribute__((noinline)) static void on_any_events(jg_stream *stream, int events)
{
    if (stream->reader && stream->reading == READ && is_usual(stream, events)) {
        stream->flags |= (uint16_t)events;
        read_usual(stream);
        return;
    }
    if (events == -EBADF) /* then the number may be somebody else's */
        stream->own.watcher.handle.number = -1;
    jg_stream_ready(stream, events);
}

/*
 * Let the coroutine that waits receive when it runs, and is likely to answer: all that the system
 * keeps for a connection is then in the processor's caches once. With a thousand connections, to
 * receive for all of them first takes a tenth longer. Until then its op is pending, as it was.
 */
static inline void wake_reader(jg_stream *stream)
{
    jg__task_prefetch(stream->reader);
    stream->reading = WOKEN;
    jg__list_append(&stream->reader->loop->batch, &stream->reader->call.link);
}

void jg__stream_on_events(void *arg, int events)
{
    jg_stream *stream = arg;

    /* Nothing is AWAITED without a reader. */
    if (stream->reading == AWAITED && is_usual(stream, events)) {
        stream->flags |= (uint16_t)events;
        wake_reader(stream);
    } else {
        on_any_events(stream, events);
    }
}

void jg__stream_end_read(jg_stream *stream, int error)
{
    if (stream->reader)
        jg_op_complete(take_reader(stream), error);
}

static void cancel_read(jg_op *op)
{
    jg__stream_end_read(op->data, -ECANCELED);
}

static const jg_provider read_provider = {"stream read", cancel_read};

/* Begin a read; its kind and what it asks for are then set by the caller, who launches it. */
static inline int begin(jg_stream *stream, jg_op *op)
{
    if (!jg__stream_is_open(stream))
        return -EBADF;
    return stream->reader ? -EBUSY : jg__op_start(op, &read_provider, stream);
}

static inline void launch(jg_stream *stream, jg_op *op)
{
    stream->reader = op;
    jg__stream_hold(stream);
    if (stream->size > 0 && !stream->input && is_dry(stream))
        wait_for_more(stream);
    else
        jg__stream_read_on(stream);
}

static inline void ask_for_read(jg_stream *stream, void *buf, size_t size)
{
    stream->reading = READ;
    stream->target = buf;
    stream->size = size;
}

int jg_stream_read_start(jg_stream *stream, void *buf, size_t size, jg_op *op)
{
    int r = begin(stream, op);

    if (r < 0)
        return r;

    ask_for_read(stream, buf, size < INT_MAX ? size : INT_MAX);
    launch(stream, op);
    return 0;
}

/* Whether all that a read has to do is to wait for the event, and the loop does that already. */
static inline bool is_quiet(const jg_stream *stream)
{
    const unsigned asked = JG__STREAM_PLAIN | JG_READ | JG__STREAM_END | JG__STREAM_CLOSING;

    return (stream->flags & asked) == JG__STREAM_PLAIN && !stream->input && !stream->reader &&
           stream->own.watcher.wanted & JG_READ; /* nothing, if it is not started */
}

/* Go on after the wait for a read that was AWAITED: with its result, or what there is now. */
static inline int read_awaited(jg_stream *stream, jg_op *op)
{
    ssize_t n;

    if (__builtin_expect(!jg__op_pending(op), 0))
        return op->status; /* and the stream may be gone */

    n = try_usual(stream);
    if (n <= 0) {
        stream->reading = READ;
        end_or_fail(stream, n);
        return jg__await(op->task, op);
    }
    end_usual(stream, n);
    op->flags = 0;
    return (int)n;
}

__attribute__((noinline)) static int await_read(jg_stream *stream, void *buf, size_t size,
                                                jg_op *op)
{
    int r = jg_stream_read_start(stream, buf, size, op);

    if (r < 0)
        return r;
    if (jg__op_pending(op) && stream->flags & JG__STREAM_PLAIN)
        stream->reading = AWAITED;
    (void)jg__await(op->task, op);
    return read_awaited(stream, op);
}

int jg_stream_read(jg_stream *stream, void *buf, size_t size)
{
    jg_op *op = jg__coro_op();

    /* As a rule the stream was read until there was no more. */
    if (size == 0 || size > INT_MAX || !is_quiet(stream) || !jg__coro_may_start(op))
        return await_read(stream, buf, size, op);

    ask_for_read(stream, buf, size);
    stream->reading = AWAITED;
    stream->reader = op;
    stream->loop->active++; /* jg__stream_hold, for sockets */
    (void)jg__coro_start(op, &read_provider, stream);
    return read_awaited(stream, op);
}

int jg_stream_read_exactly_start(jg_stream *stream, void *buf, size_t size, size_t *ret_count,
                                 jg_op *op)
{
    int r = begin(stream, op);

    *ret_count = 0;
    if (r < 0)
        return r;

    stream->reading = EXACTLY;
    stream->target = buf;
    stream->size = size;
    stream->extra = ret_count;
    launch(stream, op);
    return 0;
}

int jg_stream_read_exactly(jg_stream *stream, void *buf, size_t size, size_t *ret_count)
{
    return jg__await_started(
        jg_stream_read_exactly_start(stream, buf, size, ret_count, jg__coro_op()));
}

static int start_until(jg_stream *stream, int reading, const void *separator, size_t separator_size,
                       void *buf, size_t size, jg_op *op)
{
    int r;

    if (separator_size < 1 || separator_size > UINT8_MAX)
        return -EINVAL;
    r = begin(stream, op);
    if (r < 0)
        return r;

    stream->reading = (uint8_t)reading;
    stream->target = buf;
    stream->size = size < JG__STREAM_MOST ? size : JG__STREAM_MOST;
    stream->extra = (void *)(uintptr_t)separator;
    stream->separator_size = (uint8_t)separator_size;
    if (stream->input)
        stream->input->searched = 0; /* for another one, that was */
    launch(stream, op);
    return 0;
}

int jg_stream_read_until_start(jg_stream *stream, const void *separator, size_t separator_size,
                               void *buf, size_t size, jg_op *op)
{
    return start_until(stream, UNTIL, separator, separator_size, buf, size, op);
}

int jg_stream_read_until(jg_stream *stream, const void *separator, size_t separator_size, void *buf,
                         size_t size)
{
    return jg__await_started(
        jg_stream_read_until_start(stream, separator, separator_size, buf, size, jg__coro_op()));
}

int jg_stream_read_line_start(jg_stream *stream, char *buf, size_t size, jg_op *op)
{
    return size < 2 ? -EINVAL : start_until(stream, LINE, "\n", 1, buf, size, op);
}

int jg_stream_read_line(jg_stream *stream, char *buf, size_t size)
{
    return jg__await_started(jg_stream_read_line_start(stream, buf, size, jg__coro_op()));
}

int jg_stream_peek_start(jg_stream *stream, size_t least, const void **ret_data, jg_op *op)
{
    int r;

    if (least > JG__STREAM_MOST)
        return -EINVAL;
    r = begin(stream, op);
    if (r < 0)
        return r;

    stream->reading = PEEK;
    stream->target = (void *)(uintptr_t)ret_data;
    stream->size = least;
    launch(stream, op);
    return 0;
}

int jg_stream_peek(jg_stream *stream, size_t least, const void **ret_data)
{
    return jg__await_started(jg_stream_peek_start(stream, least, ret_data, jg__coro_op()));
}

void jg_stream_consume(jg_stream *stream, size_t size)
{
    jg__check(size <= jg__input_size(stream), "there is less than that");
    jg__check(!stream->reader || size == 0, "a read is pending");
    jg__input_drop(stream, (uint32_t)size);
}
