/* SPDX-License-Identifier: MIT
 *
 * Files: what POSIX has, in the loop's executor, since a disk or a network file system may block.
 * asyncio has nothing of the kind; there one writes to_thread(os.pread, …).
 *
 * A file is a descriptor: nothing else is kept of it. Each function comes in two forms, see op.h.
 * In both, what the arguments point to must stay until the operation is over: cancelling takes it
 * out of the executor's queue or waits for it, and if it was done, its result counts.
 *
 * All of them return -ECANCELED with nothing done; -ENOMEM, -EAGAIN and, the start forms alone,
 * -ENOBUFS as jg_executor_run_start; and the errors of the POSIX function they are named for.
 */
#ifndef JUGGLE_FILE_H
#define JUGGLE_FILE_H

#include <juggle/executor.h>

JG_BEGIN_DECLS

/* In place of an offset: the descriptor's position, as for read(2) and write(2). */
#define JG_FILE_POSITION ((int64_t)-1)

typedef struct jg_file_info {
    int64_t size;     /* bytes */
    int64_t modified; /* ns since 1970, UTC; beyond 292 years the first or last there are */
    uint64_t device, inode;
    uint32_t mode; /* st_mode */
} jg_file_info;

/* What is needed while an operation is pending: of the start forms' callers. */
typedef struct jg_file_request {
    jg_executor_job job;
    int fd;
    int flags;
    unsigned mode;
    const char *path;
    const char *to;
    void *buffer;
    const void *data;
    size_t size;
    int64_t offset;
    jg_file_info *info;
} jg_file_request;

/**
 * Open a file. The descriptor is close-on-exec.
 *
 * flags     of open(2): O_RDONLY, …
 * mode      of a file that is created; the umask takes from it.
 *
 * Returns   the descriptor, or an error.
 * Owns      nothing; the descriptor is the caller's.
 * Thread    loop.
 * Suspends  jg_file_open yes, jg_file_open_start no.
 */
JG_API int jg_file_open(const char *path, int flags, unsigned mode);
JG_API int jg_file_open_start(jg_file_request *request, const char *path, int flags, unsigned mode,
                              jg_op *op);

/**
 * Close a file. jg_file_close closes it in any case: also in a cancelled scope, and where there is
 * no thread to be had, though then it blocks. After the start form fails, or its op completes with
 * -ECANCELED, the descriptor is still open.
 *
 * Returns   0, or the error of close(2), with the descriptor closed.
 * Owns      the descriptor.
 * Thread    loop.
 * Suspends  jg_file_close yes, jg_file_close_start no.
 */
JG_API int jg_file_close(int fd);
JG_API int jg_file_close_start(jg_file_request *request, int fd, jg_op *op);

/**
 * Read. At an offset, fewer bytes than asked for mean the end of the file, or an error that the
 * next read will return. At JG_FILE_POSITION it is one read(2), which also returns early where it
 * has to wait for more: a pipe, a terminal.
 *
 * size      bytes; of more than INT_MAX, INT_MAX are read.
 * offset    bytes from the start of the file, or JG_FILE_POSITION.
 *
 * Returns   bytes read, 0 at the end of the file; an error; -EINVAL for another negative offset.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_read yes, jg_file_read_start no.
 */
JG_API int jg_file_read(int fd, void *buffer, size_t size, int64_t offset);
JG_API int jg_file_read_start(jg_file_request *request, int fd, void *buffer, size_t size,
                              int64_t offset, jg_op *op);

/**
 * Write all of it. Fewer bytes than asked for mean an error that the next write will return, a full
 * disk say. On a descriptor opened with O_APPEND each write goes to the end, use JG_FILE_POSITION.
 *
 * size      bytes; of more than INT_MAX, INT_MAX are written.
 * offset    as for reading.
 *
 * Returns   bytes written; an error if that would be none; -EINVAL for another negative offset.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_write yes, jg_file_write_start no.
 */
JG_API int jg_file_write(int fd, const void *data, size_t size, int64_t offset);
JG_API int jg_file_write_start(jg_file_request *request, int fd, const void *data, size_t size,
                               int64_t offset, jg_op *op);

/**
 * Learn about a file: of a path, following symbolic links, or of a descriptor.
 *
 * path      or NULL for the file that `fd` is.
 *
 * Returns   0 and the information, or an error.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_stat yes, jg_file_stat_start no.
 */
JG_API int jg_file_stat(int fd, const char *path, jg_file_info *ret_info);
JG_API int jg_file_stat_start(jg_file_request *request, int fd, const char *path,
                              jg_file_info *ret_info, jg_op *op);

/**
 * Have what was written reach the disk: fsync(2), and on macOS through the cache of the drive.
 *
 * Returns   0, or an error: then nobody knows what was kept, and trying again does not help.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_sync yes, jg_file_sync_start no.
 */
JG_API int jg_file_sync(int fd);
JG_API int jg_file_sync_start(jg_file_request *request, int fd, jg_op *op);

/**
 * Cut a file short, or lengthen it by zeros: ftruncate(2).
 *
 * size      bytes.
 *
 * Returns   0, or an error.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_truncate yes, jg_file_truncate_start no.
 */
JG_API int jg_file_truncate(int fd, int64_t size);
JG_API int jg_file_truncate_start(jg_file_request *request, int fd, int64_t size, jg_op *op);

/**
 * Rename a file, or take away a name of one: rename(2), unlink(2).
 *
 * Returns   0, or an error.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  jg_file_rename and jg_file_unlink yes, the start forms no.
 */
JG_API int jg_file_rename(const char *from, const char *to);
JG_API int jg_file_rename_start(jg_file_request *request, const char *from, const char *to,
                                jg_op *op);
JG_API int jg_file_unlink(const char *path);
JG_API int jg_file_unlink_start(jg_file_request *request, const char *path, jg_op *op);

JG_END_DECLS

#endif
