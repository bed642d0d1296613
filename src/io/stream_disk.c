/* SPDX-License-Identifier: MIT
 *
 * The transport of regular files and block devices, which never have to be waited for and can be
 * slow all the same: a thread of the loop's executor reads them, one read(2) after the other, at
 * the descriptor's position. Writes go to the system's cache, and are done at once.
 *
 * What the thread has read stays here until the stream takes it, so nothing is lost if the read
 * that asked for it is cancelled. If the stream is closed while the thread reads, all this stays
 * until that is done, in the list `disks`; it is of malloc for the case that it never is.
 *
 * The watcher of such a stream is never started: its number is the descriptor, its argument is ours.
 */
#include "io/stream.h"

#include "base/alloc.h"
#include "platform/descriptor.h"

#include <juggle/executor.h>

#include <errno.h>
#include <string.h>

#define MOST 65536u /* bytes at once */

typedef struct disk {
    jg_stream *stream; /* NULL: closed */
    jg_link link;      /* then */
    int fd;
    jg_op op;
    jg_executor_job job;
    bool has_result; /* the status of the op, which is yet to be taken */
    size_t asked, taken;
    char data[MOST];
} disk;

static disk *disk_of(const jg_stream *stream)
{
    return stream->own.watcher.arg;
}

static void free_disk(disk *d)
{
    (void)jg__fd_close(d->fd);
    jg__unlink(&d->link);
    jg__free(&jg__malloc, d, sizeof(*d));
}

static int run_read(void *arg)
{
    disk *d = arg;

    return (int)jg__file_read(d->fd, d->data, d->asked);
}

/* Whether what a read came to is for the stream. */
static bool is_result(const disk *d, int status)
{
    switch (status) {
    case JG_EFORKED: /* it is the parent's */
    case -EAGAIN:
        return false;
    case 0: /* there may be more when somebody asks again */
        return d->stream->reader != NULL;
    default:
        return true;
    }
}

static void on_read(void *arg)
{
    disk *d = arg;

    if (!d->stream) {
        free_disk(d);
        return;
    }
    d->has_result = is_result(d, jg_op_status(&d->op));
    d->taken = 0;
    jg_stream_ready(d->stream, JG_READ);
}

static ssize_t take_result(disk *d, void *buf, size_t size)
{
    const int result = jg_op_status(&d->op);
    size_t left;

    if (result <= 0) {
        d->has_result = false;
        return result;
    }
    left = (size_t)result - d->taken;
    if (size > left)
        size = left;
    memcpy(buf, d->data + d->taken, size);
    d->taken += size;
    d->has_result = size < left;
    return (ssize_t)size;
}

static ssize_t read_disk(jg_stream *stream, void *buf, size_t size)
{
    disk *d = disk_of(stream);

    if (jg__linked(&d->op.call.link)) /* it is pending, or has completed just now */
        return -EAGAIN;
    if (d->has_result)
        return take_result(d, buf, size);

    d->asked = size < MOST ? size : MOST;
    if (jg_executor_run_start(NULL, &d->job, run_read, d, NULL, &d->op) == 0)
        return -EAGAIN;
    return jg__file_read(d->fd, buf, size); /* there is no thread to be had: it blocks */
}

static ssize_t write_disk(jg_stream *stream, const struct iovec *pieces, int count)
{
    return jg__file_write(disk_of(stream)->fd, pieces, count);
}

static int shut_disk(jg_stream *stream)
{
    (void)stream;
    return 0;
}

static void close_disk(jg_stream *stream, bool cut)
{
    disk *d = disk_of(stream);

    (void)cut;
    /* It was sent a file when nothing was known of it. */
    if (stream->flags & JG__STREAM_BLOCKING && !jg__stream_is_inherited(stream))
        (void)jg__file_set_blocking(d->fd, true);
    stream->own.watcher.handle.number = -1;
    jg_op_cancel(&d->op); /* which completes it, unless a thread is at it */
    if (!jg_op_pending(&d->op)) {
        (void)jg_call_cancel(&d->op.call);
        free_disk(d);
        return;
    }
    d->stream = NULL;
    jg__list_append(&jg__streams_of(stream)->disks, &d->link);
    jg_handle_unref(&d->job.promise.wake.handle);
}

const jg_transport jg__disk_transport = {
    .name = "disk",
    .external = true,
    .read = read_disk,
    .write = write_disk,
    .shut = shut_disk,
    .close = close_disk,
};

bool jg__stream_use_disk(jg_stream *stream)
{
    const int fd = stream->own.watcher.handle.number;
    disk *d;

    if (!jg__fd_is_disk(fd))
        return false;
    d = jg__alloc(&jg__malloc, sizeof(*d));
    if (!d)
        return false;

    d->stream = stream;
    jg__list_init(&d->link);
    d->fd = fd;
    jg_op_init(&d->op, stream->loop, on_read, d);
    d->has_result = false;
    stream->own.watcher.arg = d;
    jg__stream_use(stream, &jg__disk_transport);
    return true;
}

void jg__disks_fini(jg__streams *streams)
{
    jg_link *next;

    for (jg_link *link = streams->disks.next; link != &streams->disks; link = next) {
        disk *d = jg__container_of(link, disk, link);

        next = link->next;
        (void)jg_call_cancel(&d->op.call);
        if (jg_op_status(&d->op) != -ETIMEDOUT) /* else a thread was left to itself with it */
            free_disk(d);
    }
}
