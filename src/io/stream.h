/* SPDX-License-Identifier: MIT
 *
 * Streams as their own modules see them: stream.c opens and ends them, stream_read.c and
 * stream_write.c do what they say, stream_input.c keeps what was received; transport.c is the
 * transport of descriptors, stream_disk.c that of regular files, pair.c that of tests.
 *
 * Invariants: `transport` is set exactly while the stream is open. A stream waits only for what its
 * transport said it has not, which the bits JG_READ and JG_WRITE of `flags` remember: if they are
 * set, nothing is known against trying. `queued` counts the bytes of the chunks of our own.
 *
 * Most of what happens is that a socket has nothing to be read, then bytes for a plain read, and
 * room for an answer. JG__STREAM_PLAIN and the other flags tell that in one comparison; then reads
 * and writes go a way of their own, without the transport, that does the same in few instructions.
 */
#ifndef JG_IO_STREAM_H
#define JG_IO_STREAM_H

#include "coro/coro.h"
#include "platform/socket.h"

#include <juggle/address.h>
#include <juggle/transport.h>

#include <errno.h>

/* Flags of streams, besides JG_READ, JG_WRITE and JG_HANGUP: there is, or may be, more. */
#define JG__STREAM_END      (1u << 3) /* the end of file was read */
#define JG__STREAM_INEXACT  (1u << 4) /* JG__URGENT: a short read does not mean that that was all */
#define JG__STREAM_CLOSING  (1u << 5) /* `reader` is the close, `target` its jg_stream_closing */
#define JG__STREAM_PLACED   (1u << 6) /* to be looked at before the loop waits */
#define JG__STREAM_BLOCKING (1u << 7) /* the descriptor was blocking */
#define JG__STREAM_SET      (1u << 8) /* the socket does not block, because that was seen to */
#define JG__STREAM_SHUT     (1u << 9) /* no more writes; the peer is told when all is sent */
#define JG__STREAM_KNOWN    (1u << 10) /* whether a socket is JG__STREAM_INEXACT by its kind */
#define JG__STREAM_PLAIN    (1u << 11) /* an open socket without an error: it may go short ways */

/* The last four: how many forks there had been when it was opened, modulo 16. */
#define JG__STREAM_FORKS(count) ((unsigned)(uint16_t)((count) << 12))

/* The largest write, and what a write queue can be: so `queued` has room for both. */
#define JG__STREAM_MOST      ((size_t)1 << 30)
#define JG__STREAM_HIGH_MARK ((size_t)1 << 27)

/* What the streams of a loop share. */
typedef struct jg__streams {
    jg__part part;
    jg_loop *loop;
    struct jg__block *buffer; /* for one read at a time; NULL: none yet, or a stream took it */
    struct jg__block *blocks; /* small ones that are free */
    unsigned block_count;
    jg_stream **placed; /* NULL: it was taken out */
    uint32_t placed_count, placed_capacity;
    jg_link disks; /* see stream_disk.c */
} jg__streams;

static inline jg__streams *jg__streams_of(const jg_stream *stream)
{
    return (jg__streams *)stream->loop->parts[JG__PART_STREAMS];
}

static inline bool jg__stream_is_open(const jg_stream *stream)
{
    return stream->transport && !(stream->flags & JG__STREAM_CLOSING);
}

/* It was opened by a parent of this process, whose kernel objects are to be left in peace. */
static inline bool jg__stream_is_inherited(const jg_stream *stream)
{
    return (stream->flags & JG__STREAM_FORKS(15u)) != JG__STREAM_FORKS(jg__fork_count);
}

extern const jg_transport jg__socket_transport, jg__file_transport, jg__shared_transport,
    jg__disk_transport;

/* Have a stream without an error use a transport from now on; NULL: it is not open. */
static inline void jg__stream_use(jg_stream *stream, const jg_transport *transport)
{
    stream->transport = transport;
    stream->flags &= (uint16_t)~JG__STREAM_PLAIN;
    if (transport == &jg__socket_transport)
        stream->flags |= JG__STREAM_PLAIN;
}

/* As jg_stream_open, with one of these transports. For a file one, `fd` has to be as it shall be. */
int jg__stream_open_fd(jg_stream *stream, jg_loop *loop, int fd, const jg_transport *transport,
                       const jg_stream_options *options);

/*
 * stream_disk.c: have a stream use jg__disk_transport, if its descriptor is of a disk and there is
 * memory. Returns whether it does. And free what closed streams of that kind still have, with no
 * thread left.
 */
bool jg__stream_use_disk(jg_stream *stream);
void jg__disks_fini(jg__streams *streams);

/* The peer's address tells what else the first short read would have to ask the kernel for. */
static inline void jg__stream_tell_peer(jg_stream *stream, const jg_address *peer)
{
    const jg_family family = jg_address_family(peer);

    if (family == JG_IPV4 || family == JG_IPV6)
        stream->flags |= JG__STREAM_KNOWN;
}

/*
 * The stream waits for somebody outside, or does not any more. That keeps the loop running, unless
 * it is waiting for the program itself.
 */
static inline void jg__stream_hold(const jg_stream *stream)
{
    stream->loop->active += stream->transport->external;
}

static inline void jg__stream_unhold(const jg_stream *stream)
{
    stream->loop->active -= stream->transport->external;
}

/* After jg__socket_try_read and jg__socket_try_write of a stream's socket: see there. */
ssize_t jg__stream_receive_failed(jg_stream *stream, void *buf, size_t size);
ssize_t jg__stream_send_failed(jg_stream *stream, const struct iovec *pieces, int count);

/* See that jg_stream_ready is called for these events. Returns 0 or an error. */
static inline int jg__stream_wait(jg_stream *stream, unsigned events)
{
    return stream->transport->wait ? stream->transport->wait(stream, events) : 0;
}

/* Have the stream looked at before the loop waits. Returns -ENOMEM if it cannot be. */
int jg__stream_place(jg_stream *stream);

/* stream_read.c: what the watcher of a stream calls; go on with the pending read; fail it. */
void jg__stream_on_events(void *stream, int events);
void jg__stream_read_on(jg_stream *stream);
void jg__stream_end_read(jg_stream *stream, int error);

/* stream_write.c: send what is queued, as far as it goes. */
void jg__stream_write_on(jg_stream *stream);

/* As jg_stream_write and jg_stream_writev, but not refused with 16 times the high mark queued: for
   protocols that see to it themselves how much that can be. */
int jg__stream_writev_always(jg_stream *stream, const struct iovec *pieces, int count);

static inline int jg__stream_write_always(jg_stream *stream, const void *data, size_t size)
{
    const struct iovec piece = {(void *)(uintptr_t)data, size};
    int r = jg_stream_write(stream, data, size);

    return r == -ENOBUFS ? jg__stream_writev_always(stream, &piece, 1) : r;
}

/*
 * Have the transport send from a file, in turn with what is written. Returns as write_all's start
 * form, or -ENOTSUP; that can also be the status of the op.
 */
int jg__stream_send_file_start(jg_stream *stream, jg_stream_writing *writing, int fd,
                               int64_t offset, size_t size, jg_op *op);

/* Drop what is queued: it, and whatever drains, completes with the error. */
void jg__stream_drop(jg_stream *stream, int error);

/* Writing failed for good. */
void jg__stream_fail_writing(jg_stream *stream, int error);

/* stream.c: all that was queued is sent, or dropped. */
void jg__stream_idle(jg_stream *stream);

/* Reads fail from now on, after what is buffered; writing goes on. */
void jg__stream_stop_reading(jg_stream *stream, int error);

#endif
