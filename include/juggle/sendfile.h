/* SPDX-License-Identifier: MIT
 *
 * From files to streams.
 */
#ifndef JUGGLE_SENDFILE_H
#define JUGGLE_SENDFILE_H

#include <juggle/file.h>
#include <juggle/stream.h>

JG_BEGIN_DECLS

/* What a pending sendfile needs; in your memory. */
typedef struct jg_sending {
    jg_stream *stream;
    jg_op *op;
    jg_op step;
    jg_stream_writing writing;
    jg_file_request request;
    char *buffer;
    int fd;
    int64_t offset;
    size_t size, sent; /* bytes, and how many of them were sent */
    bool cancelled;
} jg_sending;

/**
 * Send a part of a file, after what was written before: by sendfile(2) on a socket, on Linux, else
 * a piece at a time through the executor. Until it has completed nothing else is to be written, as
 * it could come between the pieces. asyncio: loop.sendfile.
 *
 * On its way by sendfile(2), which blocks while the file is not in memory, a socket is made
 * non-blocking, and as it was again when the stream is closed.
 *
 * fd        of the file; its position is neither used nor moved.
 * offset    bytes from the start of the file.
 * size      bytes; SIZE_MAX: to the end.
 * ret_count  or NULL: how many bytes were sent, set on errors and cancellation, too. Fewer than
 *           `size` with no error: the file ended.
 * sending   must stay until it completed; then its `sent` is the count.
 *
 * Returns   0; what reading the file or writing failed with: after the former the stream can go on;
 *           -EINVAL, -ENOMEM, -ECANCELED. Of the start form, but for -ECANCELED and -EINVAL, all
 *           are the op's.
 * Owns      `fd` and `stream` until it completed, also if the stream is closed meanwhile.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_sendfile(jg_stream *stream, int fd, int64_t offset, size_t size, size_t *ret_count);
JG_API int jg_sendfile_start(jg_stream *stream, jg_sending *sending, int fd, int64_t offset,
                             size_t size, jg_op *op);

JG_END_DECLS

#endif
