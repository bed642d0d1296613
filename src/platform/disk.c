/* SPDX-License-Identifier: MIT */
#include "platform/system.h"
#define _FILE_OFFSET_BITS 64

#include "platform/disk.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#    define st_mtim st_mtimespec
#endif

_Static_assert(sizeof(off_t) == sizeof(int64_t), "offsets have 64 bits");

int jg__disk_open(const char *path, int flags, unsigned mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return jg__fd_tidy(fd < 0 ? -errno : fd);
}

int jg__disk_read(int fd, void *buffer, int size, int64_t offset)
{
    ssize_t n;

    do
        n = offset < 0 ? read(fd, buffer, (size_t)size) : pread(fd, buffer, (size_t)size, offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int jg__disk_write(int fd, const void *data, int size, int64_t offset)
{
    ssize_t n;

    do
        n = offset < 0 ? write(fd, data, (size_t)size) : pwrite(fd, data, (size_t)size, offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int64_t jg__disk_time(const struct timespec *time)
{
    const int64_t seconds = time->tv_sec;

    if (seconds >= INT64_MAX / JG_SECOND)
        return INT64_MAX;
    if (seconds < INT64_MIN / JG_SECOND)
        return INT64_MIN;
    return seconds * JG_SECOND + time->tv_nsec;
}

int jg__disk_stat(int fd, const char *path, jg_file_info *ret_info)
{
    struct stat s;

    if ((path ? stat(path, &s) : fstat(fd, &s)) < 0)
        return -errno;

    *ret_info = (jg_file_info){
        .size = s.st_size,
        .modified = jg__disk_time(&s.st_mtim),
        .device = (uint64_t)s.st_dev,
        .inode = (uint64_t)s.st_ino,
        .mode = (uint32_t)s.st_mode,
    };
    return 0;
}

int jg__disk_sync(int fd)
{
    int r;

#ifdef F_FULLFSYNC
    /* fsync alone leaves it in the cache of the drive. Not every file system knows better. */
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0;
#endif
    do
        r = fsync(fd);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int jg__disk_truncate(int fd, int64_t size)
{
    int r;

    do
        r = ftruncate(fd, size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int jg__disk_rename(const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : 0;
}

int jg__disk_unlink(const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}
