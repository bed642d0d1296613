/* SPDX-License-Identifier: MIT
 *
 * The transports of descriptors: that of sockets; that of what else can be waited for, which a
 * supposed socket turns out to be when it is first used; and that of what others use, too, who would
 * not do with a change of its flags. Files are those of stream_disk.c.
 *
 * A descriptor is registered once, when it first has to be waited for, for both directions and for
 * as long as it is open.
 */
#include "io/stream.h"

#include "platform/descriptor.h"

#include <errno.h>

static int fd_of(const jg_stream *stream)
{
    return stream->own.watcher.handle.number;
}

/* It is no socket. */
static void become_file(jg_stream *stream)
{
    stream->flags |= JG__STREAM_KNOWN;
    if (jg__stream_use_disk(stream))
        return;
    jg__stream_use(stream, &jg__file_transport);
    if (jg__file_set_blocking(fd_of(stream), false))
        stream->flags |= JG__STREAM_BLOCKING;
}

static ssize_t read_file(jg_stream *stream, void *buf, size_t size)
{
    return jg__file_read(fd_of(stream), buf, size);
}

static ssize_t write_file(jg_stream *stream, const struct iovec *pieces, int count)
{
    return jg__file_write(fd_of(stream), pieces, count);
}

ssize_t jg__stream_receive_failed(jg_stream *stream, void *buf, size_t size)
{
    ssize_t n = jg__socket_read_failed(fd_of(stream), buf, size);

    if (n != -ENOTSOCK)
        return n;
    become_file(stream);
    return stream->transport->read(stream, buf, size);
}

/* What the transport of sockets wrote, or the error, which may be that it is none. */
static ssize_t or_write_file(jg_stream *stream, const struct iovec *pieces, int count, ssize_t n)
{
    if (n != -ENOTSOCK)
        return n;
    become_file(stream);
    return stream->transport->write(stream, pieces, count);
}

ssize_t jg__stream_send_failed(jg_stream *stream, const struct iovec *pieces, int count)
{
    return or_write_file(stream, pieces, count,
                         jg__socket_write_failed(fd_of(stream), pieces, count));
}

/* On a Unix socket reading stops behind descriptors that came along, with nothing to tell it. */
__attribute__((noinline)) static void learn_kind(jg_stream *stream)
{
    stream->flags |= JG__STREAM_KNOWN;
    if (jg__socket_is_unix(fd_of(stream)))
        stream->flags |= JG__STREAM_INEXACT;
}

static ssize_t read_socket(jg_stream *stream, void *buf, size_t size)
{
    ssize_t n = jg__socket_try_read(fd_of(stream), buf, size);

    if (n < 0)
        n = jg__stream_receive_failed(stream, buf, size);
    if (n > 0 && (size_t)n < size && !(stream->flags & JG__STREAM_KNOWN))
        learn_kind(stream);
    return n;
}

static ssize_t write_socket(jg_stream *stream, const struct iovec *pieces, int count)
{
    return or_write_file(stream, pieces, count, jg__socket_write(fd_of(stream), pieces, count));
}

/* There is no flag that makes one call not block. */
static ssize_t send_file(jg_stream *stream, int fd, int64_t offset, size_t size)
{
    if (!(stream->flags & JG__STREAM_SET)) {
        if (jg__file_set_blocking(fd_of(stream), false))
            stream->flags |= JG__STREAM_BLOCKING;
        stream->flags |= JG__STREAM_SET;
    }
    return jg__socket_send_file(fd_of(stream), fd, offset, size);
}

static int wait_for(jg_stream *stream, unsigned events)
{
    jg_watcher *watcher = &stream->own.watcher;

    if (!watcher->handle.loop)
        return jg__watcher_start_edge(stream->loop, watcher, watcher->handle.number);
    jg__watcher_rearm(watcher, events);
    return 0;
}

/* Other files have no half of them to be closed: the reader of a pipe sees its end on close. */
static int shut_descriptor(jg_stream *stream)
{
    int r = jg__socket_shut(fd_of(stream));

    return r == -ENOTSOCK ? 0 : r;
}

static void close_descriptor(jg_stream *stream, bool cut)
{
    jg_watcher *watcher = &stream->own.watcher;

    /* What is done to the file itself is for whoever opened it. */
    if (stream->flags & JG__STREAM_BLOCKING && !jg__stream_is_inherited(stream))
        (void)jg__file_set_blocking(fd_of(stream), true);
    if (cut && !jg__stream_is_inherited(stream))
        jg__socket_cut(fd_of(stream));
    if (watcher->handle.loop)
        (void)jg_watcher_close(watcher); /* whatever it returns, the descriptor is gone */
    else
        (void)jg__fd_close(fd_of(stream));
    watcher->handle.number = -1;
}

static ssize_t read_shared(jg_stream *stream, void *buf, size_t size)
{
    return jg__shared_read(fd_of(stream), buf, size);
}

static ssize_t write_shared(jg_stream *stream, const struct iovec *pieces, int count)
{
    return jg__shared_write(fd_of(stream), pieces, count);
}

/* A reset would hit the others, too. */
static void close_shared(jg_stream *stream, bool cut)
{
    (void)cut;
    close_descriptor(stream, false);
}

const jg_transport jg__socket_transport = {
    .name = "socket",
    .external = true,
    .exact = true,
    .read = read_socket,
    .write = write_socket,
    .send_file = send_file,
    .wait = wait_for,
    .shut = shut_descriptor,
    .close = close_descriptor,
};

/* A terminal gives a line a read, however much more there is. */
const jg_transport jg__file_transport = {
    .name = "file",
    .external = true,
    .read = read_file,
    .write = write_file,
    .wait = wait_for,
    .shut = shut_descriptor,
    .close = close_descriptor,
};

const jg_transport jg__shared_transport = {
    .name = "shared",
    .external = true,
    .read = read_shared,
    .write = write_shared,
    .wait = wait_for,
    .shut = shut_descriptor,
    .close = close_shared,
};
