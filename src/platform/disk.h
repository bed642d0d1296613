/* SPDX-License-Identifier: MIT
 *
 * System calls on files. All of them block, start again after EINTR, and return >= 0 or -errno.
 */
#ifndef JG_PLATFORM_DISK_H
#define JG_PLATFORM_DISK_H

#include <juggle/file.h>

#include <time.h>

/* Close-on-exec, and never 0, 1 or 2. */
int jg__disk_open(const char *path, int flags, unsigned mode);

/* One system call, at an offset or, with a negative one, at the descriptor's position. */
int jg__disk_read(int fd, void *buffer, int size, int64_t offset);
int jg__disk_write(int fd, const void *data, int size, int64_t offset);

/* Of a path, or of a descriptor if it is NULL. */
int jg__disk_stat(int fd, const char *path, jg_file_info *ret_info);

/* Nanoseconds since 1970, or the first or last there are: the time of a file may be any. */
int64_t jg__disk_time(const struct timespec *time);

int jg__disk_sync(int fd);
int jg__disk_truncate(int fd, int64_t size);
int jg__disk_rename(const char *from, const char *to);
int jg__disk_unlink(const char *path);

#endif
