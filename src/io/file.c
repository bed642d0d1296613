/* SPDX-License-Identifier: MIT
 *
 * Files, in the loop's executor. A request carries the arguments to the thread; the functions that
 * run there, run_…, are the operations, and what is left is handing over.
 */
#include <juggle/file.h>

#include "platform/descriptor.h"
#include "platform/disk.h"

#include <errno.h>
#include <limits.h>

static int start(jg_file_request *request, jg_executor_fn fn, jg_op *op)
{
    return jg_executor_run_start(NULL, &request->job, fn, request, NULL, op);
}

static size_t limit(size_t size)
{
    return size < INT_MAX ? size : INT_MAX;
}

static bool is_offset(int64_t offset)
{
    return offset >= 0 || offset == JG_FILE_POSITION;
}

static int run_open(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_open(request->path, request->flags, request->mode);
}

int jg_file_open_start(jg_file_request *request, const char *path, int flags, unsigned mode,
                       jg_op *op)
{
    *request = (jg_file_request){.path = path, .flags = flags, .mode = mode};
    return start(request, run_open, op);
}

int jg_file_open(const char *path, int flags, unsigned mode)
{
    jg_file_request request = {.path = path, .flags = flags, .mode = mode};

    return jg_executor_run(NULL, run_open, &request);
}

static int run_close(void *arg)
{
    const jg_file_request *request = arg;

    return jg__fd_close(request->fd);
}

int jg_file_close_start(jg_file_request *request, int fd, jg_op *op)
{
    *request = (jg_file_request){.fd = fd};
    return start(request, run_close, op);
}

int jg_file_close(int fd)
{
    jg_file_request request = {.fd = fd};
    int r = jg_executor_run(NULL, run_close, &request);

    switch (r) {
    case -ECANCELED: /* it was not begun: close(2) does not fail with any of these */
    case -EAGAIN:
    case -ENOMEM:
    case JG_EFORKED:
        return jg__fd_close(fd);
    default:
        return r;
    }
}

static int run_read(void *arg)
{
    const jg_file_request *request = arg;
    char *buffer = request->buffer;
    int done = 0, size = (int)request->size;
    int r;

    if (request->offset < 0)
        return jg__disk_read(request->fd, buffer, size, request->offset);

    do {
        r = jg__disk_read(request->fd, buffer + done, size - done, request->offset + done);
        done += r > 0 ? r : 0;
    } while (r > 0 && done < size);
    return done > 0 ? done : r;
}

int jg_file_read_start(jg_file_request *request, int fd, void *buffer, size_t size, int64_t offset,
                       jg_op *op)
{
    if (!is_offset(offset))
        return -EINVAL;

    *request = (jg_file_request){.fd = fd, .buffer = buffer, .size = limit(size), .offset = offset};
    return start(request, run_read, op);
}

int jg_file_read(int fd, void *buffer, size_t size, int64_t offset)
{
    jg_file_request request = {.fd = fd, .buffer = buffer, .size = limit(size), .offset = offset};

    if (!is_offset(offset))
        return -EINVAL;

    return jg_executor_run(NULL, run_read, &request);
}

static int run_write(void *arg)
{
    const jg_file_request *request = arg;
    const char *data = request->data;
    int done = 0, size = (int)request->size;
    int r;

    do {
        const int64_t offset = request->offset < 0 ? request->offset : request->offset + done;

        r = jg__disk_write(request->fd, data + done, size - done, offset);
        done += r > 0 ? r : 0;
    } while (r > 0 && done < size);
    return done > 0 ? done : r;
}

int jg_file_write_start(jg_file_request *request, int fd, const void *data, size_t size,
                        int64_t offset, jg_op *op)
{
    if (!is_offset(offset))
        return -EINVAL;

    *request = (jg_file_request){.fd = fd, .data = data, .size = limit(size), .offset = offset};
    return start(request, run_write, op);
}

int jg_file_write(int fd, const void *data, size_t size, int64_t offset)
{
    jg_file_request request = {.fd = fd, .data = data, .size = limit(size), .offset = offset};

    if (!is_offset(offset))
        return -EINVAL;

    return jg_executor_run(NULL, run_write, &request);
}

static int run_stat(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_stat(request->fd, request->path, request->info);
}

int jg_file_stat_start(jg_file_request *request, int fd, const char *path, jg_file_info *ret_info,
                       jg_op *op)
{
    *request = (jg_file_request){.fd = fd, .path = path, .info = ret_info};
    return start(request, run_stat, op);
}

int jg_file_stat(int fd, const char *path, jg_file_info *ret_info)
{
    jg_file_request request = {.fd = fd, .path = path, .info = ret_info};

    return jg_executor_run(NULL, run_stat, &request);
}

static int run_sync(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_sync(request->fd);
}

int jg_file_sync_start(jg_file_request *request, int fd, jg_op *op)
{
    *request = (jg_file_request){.fd = fd};
    return start(request, run_sync, op);
}

int jg_file_sync(int fd)
{
    jg_file_request request = {.fd = fd};

    return jg_executor_run(NULL, run_sync, &request);
}

static int run_truncate(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_truncate(request->fd, request->offset);
}

int jg_file_truncate_start(jg_file_request *request, int fd, int64_t size, jg_op *op)
{
    *request = (jg_file_request){.fd = fd, .offset = size};
    return start(request, run_truncate, op);
}

int jg_file_truncate(int fd, int64_t size)
{
    jg_file_request request = {.fd = fd, .offset = size};

    return jg_executor_run(NULL, run_truncate, &request);
}

static int run_rename(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_rename(request->path, request->to);
}

int jg_file_rename_start(jg_file_request *request, const char *from, const char *to, jg_op *op)
{
    *request = (jg_file_request){.path = from, .to = to};
    return start(request, run_rename, op);
}

int jg_file_rename(const char *from, const char *to)
{
    jg_file_request request = {.path = from, .to = to};

    return jg_executor_run(NULL, run_rename, &request);
}

static int run_unlink(void *arg)
{
    const jg_file_request *request = arg;

    return jg__disk_unlink(request->path);
}

int jg_file_unlink_start(jg_file_request *request, const char *path, jg_op *op)
{
    *request = (jg_file_request){.path = path};
    return start(request, run_unlink, op);
}

int jg_file_unlink(const char *path)
{
    jg_file_request request = {.path = path};

    return jg_executor_run(NULL, run_unlink, &request);
}
