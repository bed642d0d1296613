/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#ifdef __APPLE__
#    define _DARWIN_C_SOURCE
#endif

#include "platform/served.h"

#include "platform/descriptor.h"
#include "platform/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#    define st_mtim st_mtimespec
#endif

int jg__served_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return jg__fd_tidy(fd < 0 ? -errno : fd);
}

int jg__served_open(int directory, const char *path, jg__served *ret_file)
{
    struct stat info;
    int fd, r = 0;

    /* A pipe must not make us wait for a writer, nor a terminal become ours. */
    fd = openat(directory < 0 ? AT_FDCWD : directory, path,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd < 0)
        return fd;

    if (fstat(fd, &info) < 0)
        r = -errno;
    else if (S_ISDIR(info.st_mode))
        r = -EISDIR;
    else if (!S_ISREG(info.st_mode))
        r = -ENOENT;
    if (r < 0) {
        (void)jg__fd_close(fd);
        return r;
    }
    *ret_file = (jg__served){
        .fd = fd,
        .size = (uint64_t)info.st_size,
        .modified = jg__disk_time(&info.st_mtim),
    };
    return 0;
}
