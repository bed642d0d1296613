/* SPDX-License-Identifier: MIT
 *
 * What Unix sockets have besides bytes: open descriptors that are passed to another process, and
 * who that is.
 */
#ifndef JUGGLE_UNIX_H
#define JUGGLE_UNIX_H

#include <juggle/transport.h>

JG_BEGIN_DECLS

#define JG_PASSING_MOST 32

/*
 * Descriptors that go along with the bytes of a stream, in an order of their own: first in, first
 * out. One is there at the latest when the bytes are that were written after it. How many belong to
 * a message, the message has to say.
 */
typedef struct jg_passing {
    jg_transport transport;
    int sent[JG_PASSING_MOST]; /* with the next bytes */
    int received[JG_PASSING_MOST];
    uint8_t sent_count, received_count;
} jg_passing;

/**
 * Have a stream pass descriptors from now on.
 *
 * stream    open, on a Unix socket; nothing is read or written meanwhile.
 *
 * Returns   0; -EBADF, -EINVAL if it is on something else, -EBUSY if something is under way.
 * Owns      nothing; `passing` must stay until the stream is closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_passing_open(jg_passing *passing, jg_stream *stream);

/**
 * Pass a descriptor, with the bytes that are written next: there have to be some.
 *
 * Returns   0; -EBADF; -ENOBUFS if JG_PASSING_MOST wait already.
 * Owns      `fd`, from success on: it is closed when it was passed, or could not be.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_passing_send(jg_passing *passing, int fd);

/**
 * Take the next descriptor that came with what was read so far. A peer that sends more than
 * JG_PASSING_MOST that nobody takes, or for which there are no descriptors left, has the stream
 * fail: its reads return -EMSGSIZE. Those not taken are closed with the stream.
 *
 * Returns   the descriptor, yours and close-on-exec; -EAGAIN if none came.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_passing_receive(jg_passing *passing);

/* Who was at the other end of a Unix socket when it was connected. */
typedef struct jg_credentials {
    int64_t pid; /* -1: the system does not tell */
    uint32_t uid, gid;
} jg_credentials;

/**
 * Ask who the peer of a stream on a Unix socket is.
 *
 * Returns   0; -EBADF, -ENOTCONN, or what the system says about other sockets.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_credentials(const jg_stream *stream, jg_credentials *ret_credentials);

JG_END_DECLS

#endif
