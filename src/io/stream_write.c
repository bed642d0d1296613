/* SPDX-License-Identifier: MIT
 *
 * Writing to streams.
 *
 * What cannot be sent at once waits in a ring of chunks, of which the stream knows the last:
 * copies, the memory of pending write_alls, and parts of files. It is sent in order, many chunks a system call:
 * when the transport has room, or, where a turn wrote more than once, before the loop waits.
 */
#include "io/stream.h"

#include <errno.h>
#include <string.h>

typedef jg_stream_writing chunk;

#define SMALLEST 4096 /* bytes, with its head, of a chunk of our own */
#define PIECES   64   /* that go out in one call */
#define IOV_MOST 1024 /* pieces that every system takes */
#define ROUNDS   16   /* calls before others have their turn */

#define FROM_FILE ((size_t)1 << 20) /* bytes at once, before others have their turn */

static chunk *first_chunk(const jg_stream *stream)
{
    return stream->output->next;
}

static void append(jg_stream *stream, chunk *added)
{
    if (stream->output) {
        added->next = stream->output->next;
        stream->output->next = added;
    } else {
        added->next = added;
        jg__stream_hold(stream);
    }
    stream->output = added;
}

/* Take out the chunk after `before`. */
static void take_out(jg_stream *stream, chunk *before)
{
    chunk *taken = before->next;

    before->next = taken->next;
    if (stream->output == taken)
        stream->output = taken == before ? NULL : before;
    if (!stream->output)
        jg__stream_unhold(stream);
}

/* Take out the first chunk, which is done with. */
static void end_first(jg_stream *stream, int status)
{
    chunk *first = first_chunk(stream);

    take_out(stream, stream->output);
    if (first->capacity == 0) {
        jg_op_complete(first->op, status);
        return;
    }
    stream->queued -= (uint32_t)(first->size - first->sent);
    jg__free(&stream->loop->allocator, first, sizeof(*first) + first->capacity);
}

/* ---------------------------------------------------------------- draining */

static void end_drains(jg_stream *stream, int status)
{
    while (stream->drainers) {
        jg_link *first = stream->drainers;

        stream->drainers = first->next == first ? NULL : first->next;
        jg_op_complete(jg__op_of(first), status);
    }
}

static void cancel_drain(jg_op *op)
{
    jg_stream *stream = op->data;
    jg_link *link = &op->call.link;

    if (stream->drainers == link)
        stream->drainers = link->next == link ? NULL : link->next;
    jg_op_complete(op, -ECANCELED);
}

/* ---------------------------------------------------------------- sending */

/* What went out, or room for more, may be what somebody waits for. */
static void told(jg_stream *stream)
{
    if (stream->queued <= stream->high_mark / 4)
        end_drains(stream, 0);
    if (!stream->output)
        jg__stream_idle(stream);
}

void jg__stream_drop(jg_stream *stream, int error)
{
    while (stream->output)
        end_first(stream, error);
    end_drains(stream, error);
}

void jg__stream_fail_writing(jg_stream *stream, int error)
{
    stream->flags &= (uint16_t)~JG__STREAM_PLAIN;
    if (!stream->write_error)
        stream->write_error = (int16_t)error;
    jg__stream_drop(stream, error);
    jg__stream_idle(stream);
}

/* The transport was given `total` bytes and returned n. Returns the same, or -EAGAIN for nothing. */
static ssize_t note_sent(jg_stream *stream, ssize_t n, size_t total)
{
    if (n > 0)
        stream->bytes_out += (uint64_t)n;
    if (n == -EAGAIN || n == 0 || (n > 0 && (size_t)n < total && stream->transport->exact))
        stream->flags &= (uint16_t)~JG_WRITE;
    return n == 0 ? -EAGAIN : n;
}

/* Write to the transport. Returns as it does, or -EAGAIN if that is known. */
static ssize_t transmit(jg_stream *stream, const struct iovec *pieces, int count, size_t total)
{
    if (!(stream->flags & JG_WRITE))
        return -EAGAIN;
    return note_sent(stream, stream->transport->write(stream, pieces, count), total);
}

/* So much of the queue was sent. */
static void advance(jg_stream *stream, size_t sent)
{
    while (stream->output) {
        chunk *first = first_chunk(stream);
        size_t part = first->size - first->sent;

        if (part > sent)
            part = sent;
        first->sent += part;
        sent -= part;
        if (first->capacity)
            stream->queued -= (uint32_t)part;
        if (first->sent < first->size)
            return;
        end_first(stream, 0);
    }
}

/* The first pieces of the queue. Returns their number, and what they are together. */
static int gather(const jg_stream *stream, struct iovec *pieces, size_t *ret_total)
{
    const chunk *c = first_chunk(stream);
    size_t total = 0;
    int count = 0;

    do {
        size_t size = c->size - c->sent;

        if (size > JG__STREAM_MOST - total)
            size = JG__STREAM_MOST - total;
        pieces[count++] = (struct iovec){(char *)(uintptr_t)c->data + c->sent, size};
        total += size;
        c = c->next;
    } while (c != first_chunk(stream) && c->data && count < PIECES && total < JG__STREAM_MOST);
    *ret_total = total;
    return count;
}

/* Send the first pieces. Returns as the transport, or -EAGAIN if that is known. */
static ssize_t send_pieces(jg_stream *stream)
{
    struct iovec pieces[PIECES];
    size_t total;
    int count = gather(stream, pieces, &total);
    ssize_t n = transmit(stream, pieces, count, total);

    if (n >= 0)
        advance(stream, (size_t)n);
    return n;
}

/* Send from the file that comes first. The same; 0 says that others are to have their turn. */
static ssize_t send_from_file(jg_stream *stream)
{
    chunk *first = first_chunk(stream);
    const size_t left = first->size - first->sent;
    ssize_t n = -EAGAIN;

    if (!stream->transport->send_file)
        n = -ENOTSUP; /* what it was taken for has, which it turned out not to be */
    else if (stream->flags & JG_WRITE)
        n = stream->transport->send_file(stream, first->fd, first->offset + (int64_t)first->sent,
                                         left < FROM_FILE ? left : FROM_FILE);
    if (n == -EAGAIN)
        stream->flags &= (uint16_t)~JG_WRITE;
    if (n == 0 || n == -ENOTSUP) {
        end_first(stream, (int)n);
        return 1;
    }
    if (n > 0) {
        first->sent += (size_t)n;
        stream->bytes_out += (uint64_t)n;
        if (first->sent == first->size)
            end_first(stream, 0);
        else if ((size_t)n == FROM_FILE && jg__stream_place(stream) == 0)
            return 0;
    }
    return n;
}

/* What was queued cannot be sent. Whoever wrote it may be waiting for an answer by now. That a peer
 * is gone reads learn by themselves, and there may be something that it sent before. */
__attribute__((noinline, cold)) static void fail(jg_stream *stream, int error)
{
    if (error != -EPIPE && error != -ECONNRESET)
        jg__stream_stop_reading(stream, error);
    jg__stream_fail_writing(stream, error);
}

void jg__stream_write_on(jg_stream *stream)
{
    ssize_t n = 1;

    for (int round = 1; stream->output && n > 0; round++) {
        if (round > ROUNDS && jg__stream_place(stream) == 0)
            break;
        n = first_chunk(stream)->data ? send_pieces(stream) : send_from_file(stream);
    }
    if (n == -EAGAIN)
        n = jg__stream_wait(stream, JG_WRITE);
    if (n < 0)
        fail(stream, (int)n);
    else
        told(stream);
}

/* ---------------------------------------------------------------- writing */

/* Whether nothing can be written any more: an error. */
static int refuse(const jg_stream *stream)
{
    if (!stream->transport)
        return -EBADF;
    if (stream->write_error)
        return stream->write_error;
    return stream->flags & JG__STREAM_SHUT ? -EPIPE : 0;
}

static size_t spare(const jg_stream *stream)
{
    const chunk *last = stream->output;

    return last && last->capacity ? last->capacity - last->size : 0;
}

/* Copy to the end of a chunk of our own, at most what it has room for. Returns how much. */
static size_t fill(chunk *own, const char *data, size_t size)
{
    if (size > own->capacity - own->size)
        size = own->capacity - own->size;
    if (size > 0)
        memcpy((char *)(own + 1) + own->size, data, size);
    own->size += size;
    return size;
}

/* Queue a copy of what is left of the pieces after the first `sent` bytes of them. */
static int queue(jg_stream *stream, const struct iovec *pieces, int count, size_t sent, size_t left)
{
    chunk *last = stream->output, *added = NULL;
    const size_t room = spare(stream);

    if (left > room) {
        size_t capacity = left - room;

        if (capacity < SMALLEST - sizeof(chunk))
            capacity = SMALLEST - sizeof(chunk);
        added = jg__alloc(&stream->loop->allocator, sizeof(*added) + capacity);
        if (!added)
            return -ENOMEM;
        *added = (chunk){.data = (char *)(added + 1), .capacity = capacity};
    }

    stream->queued += (uint32_t)left;
    for (int i = 0; i < count; i++) {
        const char *data = pieces[i].iov_base;
        size_t size = pieces[i].iov_len, skipped = sent < size ? sent : size, copied = 0;

        sent -= skipped;
        if (skipped == size)
            continue;
        if (room > 0)
            copied = fill(last, data + skipped, size - skipped);
        if (added)
            (void)fill(added, data + skipped + copied, size - skipped - copied);
    }
    if (added)
        append(stream, added);
    return 0;
}

/* Have the queue sent when it can be, or soon. */
static int send_later(jg_stream *stream)
{
    if (!(stream->flags & JG_WRITE))
        return jg__stream_wait(stream, JG_WRITE);
    if (jg__stream_place(stream) < 0)
        jg__stream_write_on(stream);
    return stream->write_error;
}

/* Try to send pieces now, if it is the first write of this turn. Returns how much was sent. */
static ssize_t try_now(jg_stream *stream, const struct iovec *pieces, int count, size_t total)
{
    ssize_t n;

    if (stream->output || stream->turn == stream->loop->turns)
        return 0;

    stream->turn = stream->loop->turns;
    if (count > IOV_MOST) {
        count = IOV_MOST;
        total = 0;
        for (int i = 0; i < count; i++)
            total += pieces[i].iov_len;
        if (total == 0)
            return 0;
    }
    n = transmit(stream, pieces, count, total);
    return n == -EAGAIN ? 0 : n;
}

/* Write pieces of which `sent` bytes went out, or did not for an error. */
static int write_rest(jg_stream *stream, const struct iovec *pieces, int count, size_t total,
                      ssize_t sent)
{
    int r = (int)sent;

    if (sent >= 0) {
        r = queue(stream, pieces, count, (size_t)sent, total - (size_t)sent);
        if (r < 0 && sent == 0)
            return r;
        if (r == 0)
            r = send_later(stream);
    }
    if (r < 0)
        jg__stream_fail_writing(stream, r); /* with part of it sent there is no going on */
    return r;
}

static uint64_t most_queued(const jg_stream *stream)
{
    return (uint64_t)16 * stream->high_mark;
}

/* Write pieces that are `total` bytes together, unless `most` bytes are queued already. */
static int write_pieces(jg_stream *stream, const struct iovec *pieces, int count, size_t total,
                        uint64_t most)
{
    ssize_t sent;
    int r = refuse(stream);

    if (r < 0)
        return r;

    jg__check_thread(stream->loop);
    if (total > JG__STREAM_MOST)
        return -EMSGSIZE;
    if (stream->queued >= most)
        return -ENOBUFS;
    if (total == 0)
        return 0;

    sent = try_now(stream, pieces, count, total);
    return sent == (ssize_t)total ? 0 : write_rest(stream, pieces, count, total, sent);
}

/* Whether a write is the usual one: the first of this turn, to a socket that has room. */
static inline bool is_usual(const jg_stream *stream, size_t size)
{
    const unsigned asked = JG__STREAM_PLAIN | JG_WRITE | JG__STREAM_SHUT;

    return (stream->flags & asked) == (JG__STREAM_PLAIN | JG_WRITE) && !stream->output &&
           stream->turn != stream->loop->turns && size > 0 && size <= JG__STREAM_MOST;
}

/* Go on with a usual write for which jg__socket_try_write returned n, which is not all of it. */
__attribute__((noinline)) static int write_unusual(jg_stream *stream, const void *data, size_t size,
                                                   ssize_t n)
{
    const struct iovec piece = {(void *)(uintptr_t)data, size};

    if (n < 0)
        n = jg__stream_send_failed(stream, &piece, 1);
    n = note_sent(stream, n, size);
    if (n == -EAGAIN)
        n = 0;
    return n == (ssize_t)size ? 0 : write_rest(stream, &piece, 1, size, n);
}

__attribute__((noinline)) static int write_piece(jg_stream *stream, const void *data, size_t size)
{
    const struct iovec piece = {(void *)(uintptr_t)data, size};

    return write_pieces(stream, &piece, 1, size, most_queued(stream));
}

int jg_stream_write(jg_stream *stream, const void *data, size_t size)
{
    ssize_t n;

    if (!is_usual(stream, size))
        return write_piece(stream, data, size);

    jg__check_thread(stream->loop);
    stream->turn = stream->loop->turns;
    n = jg__socket_try_write(stream->own.watcher.handle.number, data, size);
    if (n != (ssize_t)size)
        return write_unusual(stream, data, size, n);
    stream->bytes_out += size;
    return 0;
}

static int write_vector(jg_stream *stream, const struct iovec *pieces, int count, uint64_t most)
{
    size_t total = 0;

    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > JG__STREAM_MOST - total)
            return -EMSGSIZE;
        total += pieces[i].iov_len;
    }
    return write_pieces(stream, pieces, count, total, most);
}

int jg_stream_writev(jg_stream *stream, const struct iovec *pieces, int count)
{
    return write_vector(stream, pieces, count, most_queued(stream));
}

int jg__stream_writev_always(jg_stream *stream, const struct iovec *pieces, int count)
{
    return write_vector(stream, pieces, count, 2 * JG__STREAM_MOST);
}

static void cancel_writing(jg_op *op)
{
    chunk *writing = op->data, *before = writing;
    jg_stream *stream = writing->stream;

    while (before->next != writing)
        before = before->next;
    take_out(stream, before);
    jg_op_complete(op, -ECANCELED);
    /* The peer must not take a part that was the last it gets for all there is. */
    if (stream->flags & JG__STREAM_SHUT && writing->sent > 0)
        jg__stream_fail_writing(stream, -ECANCELED);
    else
        told(stream);
}

static int start_writing(jg_stream *stream, jg_stream_writing *writing, jg_op *op)
{
    static const jg_provider provider = {"stream write", cancel_writing};
    int r = refuse(stream);

    writing->op = op;
    writing->stream = stream;
    if (r == 0)
        r = jg_op_start(op, &provider, writing);
    if (r < 0)
        return r;

    if (writing->size == 0) {
        jg_op_complete(op, 0);
        return 0;
    }
    append(stream, writing);
    jg__stream_write_on(stream);
    return 0;
}

int jg_stream_write_all_start(jg_stream *stream, jg_stream_writing *writing, const void *data,
                              size_t size, jg_op *op)
{
    *writing = (jg_stream_writing){.data = data, .size = size};
    return start_writing(stream, writing, op);
}

int jg__stream_send_file_start(jg_stream *stream, jg_stream_writing *writing, int fd,
                               int64_t offset, size_t size, jg_op *op)
{
    *writing = (jg_stream_writing){.fd = fd, .offset = offset, .size = size};
    if (stream->transport && !stream->transport->send_file)
        return -ENOTSUP;
    return start_writing(stream, writing, op);
}

int jg_stream_write_all(jg_stream *stream, const void *data, size_t size, size_t *ret_count)
{
    jg_stream_writing writing;
    int r =
        jg__await_started(jg_stream_write_all_start(stream, &writing, data, size, jg__coro_op()));

    if (ret_count)
        *ret_count = writing.sent;
    return r;
}

int jg_stream_drain_start(jg_stream *stream, jg_op *op)
{
    static const jg_provider provider = {"stream drain", cancel_drain};
    int r = stream->transport ? stream->write_error : -EBADF;

    if (r == 0)
        r = jg_op_start(op, &provider, stream);
    if (r < 0)
        return r;

    if (stream->queued > stream->high_mark && stream->flags & JG_WRITE)
        jg__stream_write_on(stream);
    if (stream->queued <= stream->high_mark) {
        jg_op_complete(op, stream->write_error);
        return 0;
    }
    if (stream->drainers) {
        jg__list_append(stream->drainers, &op->call.link);
    } else {
        jg__list_init(&op->call.link);
        stream->drainers = &op->call.link;
    }
    return 0;
}

__attribute__((noinline)) static int await_drain(jg_stream *stream, const void *where)
{
    return jg__await_started(
        jg_stream_drain_start(stream, jg__coro_op_at("jg_stream_drain", where)));
}

int jg_stream_drain(jg_stream *stream)
{
    const bool is_good =
        stream->flags & JG__STREAM_PLAIN || (stream->transport && !stream->write_error);

    /* As a rule there is nothing to wait for. */
    if (is_good && stream->queued <= stream->high_mark && jg__coro_spend())
        return 0;
    return await_drain(stream, __builtin_return_address(0));
}

int jg_stream_shut(jg_stream *stream)
{
    if (!jg_stream_is_open(stream))
        return -EBADF;
    if (stream->write_error)
        return stream->write_error;
    if (stream->flags & JG__STREAM_SHUT)
        return 0;

    stream->flags |= JG__STREAM_SHUT;
    return stream->output ? 0 : stream->transport->shut(stream);
}
