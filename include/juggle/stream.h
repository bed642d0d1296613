/* SPDX-License-Identifier: MIT
 *
 * Streams: bytes in order, both ways, with buffers and back-pressure. asyncio: StreamReader and
 * StreamWriter in one.
 *
 * A stream reads and writes through a transport: that of descriptors, which is built in, one of
 * memory for tests (see test.h), or one of yours, for TLS (see transport.h). All of them look the
 * same from here.
 *
 * An idle stream has no buffer. What came in one read with what was asked for stays with the stream
 * for the next one; what could not be sent yet is copied, or, with write_all, left where it is.
 * One task reads at a time: a second one is told -EBUSY. Any number of them write.
 *
 * Each wait has two forms. Of jg_x, for coroutines, the documentation says what it returns. Of
 * jg_x_start that is the status of `op`; itself it returns 0, or an error with nothing begun:
 * -ECANCELED as jg_op_start does, -EBADF, -EBUSY, -EINVAL.
 *
 * Errors: a read returns -EBADF for a stream that is not open, -ECONNABORTED if it is closed or
 * aborted meanwhile, -ECANCELED, -ENOMEM, or what the transport says, -ECONNRESET as a rule. What
 * was received before an error is read before it. Once a write failed every later one fails with
 * the same error, and there is never a signal for it; reads go on to what the peer sent before, and
 * end with an error as well, unless the peer had ended regularly. A read that failed left what is
 * buffered.
 */
#ifndef JUGGLE_STREAM_H
#define JUGGLE_STREAM_H

#include <juggle/op.h>
#include <juggle/timer.h>
#include <juggle/watcher.h>

#include <sys/types.h>
#include <sys/uio.h>

JG_BEGIN_DECLS

typedef struct jg_stream jg_stream;
typedef struct jg_transport jg_transport;

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_stream_options {
    /* Bytes; 0: 64 KiB. With more than this waiting to be sent, drain waits until a quarter of it
       is left; with 16 times as much, writes are refused. At most 128 MiB. */
    size_t high_mark;
} jg_stream_options;

/* A stream, in your memory. The fields are its own. */
struct jg_stream {
    const jg_transport *transport; /* NULL: not open, as in zeroed memory */
    jg_loop *loop;
    union {
        jg_watcher watcher; /* of a descriptor */
        void *data;         /* of another transport */
    } own;

    jg_op *reader; /* the pending read; or close, once that has begun */
    void *target;
    size_t size;
    void *extra;
    struct jg__block *input; /* what was received and not read; NULL: nothing */

    struct jg_stream_writing *output; /* the last of a ring of what is to be sent; NULL: nothing */
    jg_link *drainers;                /* a ring, the first one */
    uint64_t bytes_in, bytes_out;
    uint32_t queued;    /* bytes in chunks of our own */
    uint32_t high_mark; /* bytes */
    uint32_t place;     /* among the streams that are to be looked at before the loop waits */
    uint16_t flags;
    uint16_t turn; /* of the last write that was tried at once */
    int16_t read_error, write_error;
    uint8_t reading; /* what `reader` asks for */
    uint8_t separator_size;
};

/**
 * Open a stream on a descriptor: a connected socket, an end of a pipe, a terminal, a file. Pipes and
 * terminals are made non-blocking, and as they were again when the stream is closed by the process
 * that opened it. Regular files, which never are, are read by the loop's executor, so that a slow
 * disk holds up nobody; writes go to the system's cache, at once.
 *
 * stream    not open; need not be initialised.
 * options   or NULL.
 *
 * Returns   0; -EBADF for a negative `fd`, -EINVAL, -ENOMEM.
 * Owns      `fd`, from success on: closing the stream closes it. `stream` must stay until then.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_open(jg_stream *stream, jg_loop *loop, int fd,
                          const jg_stream_options *options);

/**
 * Open a stream on what others use, too: on the standard input, output or errors, 0, 1 and 2, which
 * the shell and its other programs have. Its flags stay as they are: a terminal or a pipe is opened
 * once more; where that cannot be it is only read and written when it is ready, and blocks if
 * somebody else was faster. A file is read from the position that all of them share, and never more
 * of it than a read needs or a buffer takes. asyncio: connect_read_pipe, connect_write_pipe, which
 * change the flags.
 *
 * stream    not open; need not be initialised.
 * options   or NULL.
 *
 * Returns   0; -EBADF if `fd` is not open, -EINVAL, -EMFILE, -ENOMEM.
 * Owns      nothing: `fd` stays open when the stream is closed. jg_stream_fd is another descriptor.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_open_shared(jg_stream *stream, jg_loop *loop, int fd,
                                 const jg_stream_options *options);

/* --------------------------------------------------------------- reading */

/**
 * Read what there is, waiting for the first byte. asyncio: StreamReader.read(n).
 *
 * buf       filled directly, unless something is buffered.
 *
 * Returns   how many bytes were read; 0 at the end of file, or if `size` is 0; an error.
 * Owns      `buf` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_read(jg_stream *stream, void *buf, size_t size);
JG_API int jg_stream_read_start(jg_stream *stream, void *buf, size_t size, jg_op *op);

/**
 * Read exactly `size` bytes. asyncio: StreamReader.readexactly; or, with a `size` that is never
 * reached, read().
 *
 * ret_count  not NULL: how many bytes were read. It is set on errors and cancellation, too: these
 *            bytes are in `buf`, and no longer in the stream.
 *
 * Returns   0; JG_EINCOMPLETE if the end of file came first; an error.
 * Owns      `buf` and `ret_count` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_read_exactly(jg_stream *stream, void *buf, size_t size, size_t *ret_count);
JG_API int jg_stream_read_exactly_start(jg_stream *stream, void *buf, size_t size,
                                        size_t *ret_count, jg_op *op);

/**
 * Read up to a separator and with it. asyncio: StreamReader.readuntil.
 *
 * separator  of 1 to 255 bytes.
 *
 * Returns   how many bytes were read; 0 at the end of file; JG_EINCOMPLETE if that came before the
 *           separator; -EMSGSIZE if it is not among the first `size` bytes; another error. All of
 *           them leave what came buffered, to be read in another way.
 * Owns      `buf` and `separator` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_read_until(jg_stream *stream, const void *separator, size_t separator_size,
                                void *buf, size_t size);
JG_API int jg_stream_read_until_start(jg_stream *stream, const void *separator,
                                      size_t separator_size, void *buf, size_t size, jg_op *op);

/**
 * Read a line, as fgets does: with its '\n', if it has one, and a 0 after it. asyncio:
 * StreamReader.readline.
 *
 * size      room for the line and the 0; >= 2.
 *
 * Returns   the length of the line with its '\n', which the last one may lack; 0 at the end of
 *           file; -EMSGSIZE if the line is longer, which leaves it buffered; another error.
 * Owns      `buf` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_read_line(jg_stream *stream, char *buf, size_t size);
JG_API int jg_stream_read_line_start(jg_stream *stream, char *buf, size_t size, jg_op *op);

/**
 * Look at what came without reading it, waiting until it is at least so much. To be followed by
 * jg_stream_consume, when as much as was understood is known: for parsers.
 *
 * least     0 does not wait, if there is nothing. At most 1 GiB.
 * ret_data  where the bytes are, until the next read, peek, consume or close. Untouched unless
 *           there are some.
 *
 * Returns   how many bytes there are, which is fewer than `least` only at the end of file; -EINVAL,
 *           or another error.
 * Owns      `ret_data` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_peek(jg_stream *stream, size_t least, const void **ret_data);
JG_API int jg_stream_peek_start(jg_stream *stream, size_t least, const void **ret_data, jg_op *op);

/* Drop the first `size` bytes of those buffered, which must be as many. Not during a read. */
JG_API void jg_stream_consume(jg_stream *stream, size_t size);

/* --------------------------------------------------------------- writing */

/**
 * Write, now or later: it never waits. It is tried at once; what is written later in the same turn
 * goes out together, before the loop waits; what the peer does not take yet is copied and sent when
 * it does. To keep up with the peer, drain now and then. asyncio: StreamWriter.write, writelines.
 *
 * Returns   0; -ENOBUFS, with nothing written, if 16 times the high mark is waiting to be sent
 *           already; -EPIPE after shut or when the peer is gone, -ECONNRESET, -EBADF; -EMSGSIZE for
 *           more than 1 GiB; -ENOMEM. If part of it was sent by then, the stream cannot go on, and
 *           everything later fails as well.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_write(jg_stream *stream, const void *data, size_t size);
JG_API int jg_stream_writev(jg_stream *stream, const struct iovec *pieces, int count);

/* What a pending write_all needs; in your memory. */
typedef struct jg_stream_writing {
    struct jg_stream_writing *next;
    const char *data;  /* NULL: of a file */
    size_t size, sent; /* bytes, and how many of them */
    int64_t offset;    /* in the file */
    int fd;
    size_t capacity; /* that was allocated; 0: it is somebody's write_all */
    jg_op *op;
    jg_stream *stream;
} jg_stream_writing;

/**
 * Write all of `data`, waiting until the transport took it, without a copy: for what is large.
 * Several go one after another, after what was written before.
 *
 * ret_count  or NULL: how many bytes were written, set on errors and cancellation, too.
 * writing    must stay until it completed; then its `sent` is the count.
 *
 * Returns   0, or an error as write. Cancelled half-way, the rest is not sent.
 * Owns      `data` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_write_all(jg_stream *stream, const void *data, size_t size, size_t *ret_count);
JG_API int jg_stream_write_all_start(jg_stream *stream, jg_stream_writing *writing,
                                     const void *data, size_t size, jg_op *op);

/**
 * Wait while more than the high mark is queued, until a quarter of that is left. Any number may.
 * asyncio: StreamWriter.drain.
 *
 * Returns   0; the error that writing failed with; -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_drain(jg_stream *stream);
JG_API int jg_stream_drain_start(jg_stream *stream, jg_op *op);

/**
 * Say that nothing more will be written: the peer sees the end of file after what was queued.
 * Reading goes on. asyncio: StreamWriter.write_eof.
 *
 * Returns   0, also if it was called before; the error that writing failed with; -EBADF.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_stream_shut(jg_stream *stream);

/* --------------------------------------------------------------- the end */

/* What a pending close needs; in your memory. */
typedef struct jg_stream_closing {
    jg_timer timer;
    jg_stream *stream;
} jg_stream_closing;

/**
 * Send what is queued, then close. When it completes the stream is closed, whatever the status, and
 * nothing touches its memory; so it is if start returns an error. What reads at the time, and what
 * reads or writes later, fails; what drains goes on, and fails only if something is dropped.
 * asyncio: StreamWriter.close and wait_closed.
 *
 * timeout   ns for sending; <= 0 does not wait; JG_FOREVER.
 * closing   must stay until it completed.
 *
 * Returns   0; -ETIMEDOUT, -ECANCELED or the error of writing if something was dropped, as by
 *           jg_stream_abort; -EBADF if it was not open, -EALREADY if it is being closed.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_stream_close(jg_stream *stream, jg_time timeout);
JG_API int jg_stream_close_start(jg_stream *stream, jg_stream_closing *closing, jg_time timeout,
                                 jg_op *op);

/**
 * Close at once, dropping what is queued: if there is something, or if writing failed before, a peer
 * over TCP sees a reset rather than a regular end, unless a forked child closes what its parent
 * opened. What is pending completes with -ECONNABORTED. Harmless if the stream is not open. asyncio:
 * transport.abort.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; the stream's memory is yours again, that of pending ops once they completed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_stream_abort(jg_stream *stream);

/* --------------------------------------------------------------- looking */

/* Whether a stream is open: neither closed nor being closed. */
JG_API bool jg_stream_is_open(const jg_stream *stream);

/* Whether the end of file came, and everything before it was read. asyncio: at_eof. */
JG_API bool jg_stream_at_eof(const jg_stream *stream);

/* Bytes that came and were not read, and that were written and copied but not sent. */
JG_API size_t jg_stream_buffered(const jg_stream *stream);
JG_API size_t jg_stream_queued(const jg_stream *stream);

/* Bytes since it was opened, as the transport saw them. They stay after it was closed. */
JG_API uint64_t jg_stream_bytes_in(const jg_stream *stream);
JG_API uint64_t jg_stream_bytes_out(const jg_stream *stream);

/* The descriptor; -EBADF if it is closed or on another transport. asyncio: get_extra_info. */
JG_API int jg_stream_fd(const jg_stream *stream);

JG_END_DECLS

#endif
