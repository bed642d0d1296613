/* SPDX-License-Identifier: MIT
 *
 * Transports: how streams reach their peers. To write one, for TLS say, is to fill in a
 * jg_transport, open streams on it, and call jg_stream_ready when there is something to do. Those
 * who only read and write need none of this. asyncio: Transport.
 */
#ifndef JUGGLE_TRANSPORT_H
#define JUGGLE_TRANSPORT_H

#include <juggle/stream.h>

JG_BEGIN_DECLS

/* The functions are called on the loop's thread, must not block, and may call no function of a
 * stream but jg_stream_data. */
struct jg_transport {
    const char *name; /* for people: "socket" */

    /* Waiting for it keeps the loop running, since it is somebody outside who ends the wait. */
    bool external;

    /* A read or write that moves less than it was asked to has moved all it can: there is no need
       to try again for -EAGAIN, and jg_stream_ready is called when there is more. */
    bool exact;

    /* Returns how many bytes were read, >= 1; 0 at the end of file; -EAGAIN if there are none yet;
       or an error, which is final. */
    ssize_t (*read)(jg_stream *stream, void *buf, size_t size);

    /* Returns how many bytes were taken, >= 1; -EAGAIN, or an error, which is final. At least one
       of the pieces is not empty. */
    ssize_t (*write)(jg_stream *stream, const struct iovec *pieces, int count);

    /* From a file at an offset, as sendfile(2), for jg_sendfile. Returns as write, 0 at the end of
       the file, or -ENOTSUP, which is not final: read the file and write. NULL: always so. */
    ssize_t (*send_file)(jg_stream *stream, int fd, int64_t offset, size_t size);

    /* The stream waits for these of JG_READ and JG_WRITE, after -EAGAIN or less than was asked for:
       see that jg_stream_ready is called. Returns 0, or an error that ends what waits. NULL: not
       needed, as it is called anyway. */
    int (*wait)(jg_stream *stream, unsigned events);

    /* Nothing more will be written: tell the peer. Returns 0 or an error. */
    int (*shut)(jg_stream *stream);

    /* Release everything. `cut` says that the peer must not take this for a regular end. */
    void (*close)(jg_stream *stream, bool cut);
};

/**
 * Open a stream on a transport of yours.
 *
 * stream    not open; need not be initialised.
 * data      for the transport, which gets it from jg_stream_data.
 * options   or NULL.
 *
 * Returns   0; -EINVAL, -ENOMEM, and the transport is not closed.
 * Owns      nothing: `transport` must stay until it is called to close, as must `stream`.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_open_with(jg_stream *stream, jg_loop *loop, const jg_transport *transport,
                               void *data, const jg_stream_options *options);

/* The data that jg_stream_open_with was given. */
static inline void *jg_stream_data(const jg_stream *stream)
{
    return stream->own.data;
}

/**
 * For transports: there may be something to read, or room to write. The stream tries at once what
 * it has to do; its consumers run later. Not to be called inside a function of the transport.
 *
 * events    of JG_READ, JG_WRITE; with JG_HANGUP, the end of file or an error is among what there
 *           is to read. A negative error fails the stream.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_stream_ready(jg_stream *stream, int events);

JG_END_DECLS

#endif
