/* SPDX-License-Identifier: MIT
 *
 * On Linux a path can be looked up, and a file be read, only as far as the kernel has them in memory:
 * by openat2(2) and preadv2(2), which not every C library has, nor every kernel or file system.
 */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#ifdef __linux__
#    define _DEFAULT_SOURCE
#endif
#ifdef __APPLE__
#    define _DARWIN_C_SOURCE
#endif

#include "platform/served.h"

#include "base/atomic.h"
#include "platform/descriptor.h"
#include "platform/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#    include <sys/syscall.h>
#    include <sys/uio.h>
#endif

#ifdef __APPLE__
#    define st_mtim st_mtimespec
#endif

int jg__served_directory(const char *path)
{
    return jg__disk_open(path, O_RDONLY | O_DIRECTORY, 0);
}

/* A pipe must not make us wait for a writer, nor a terminal become ours. */
#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* These return -EAGAIN if it would not be at once, and if it is not known how that could be. */
#if defined(SYS_openat2) && defined(SYS_preadv2)

/* Where there is no openat2, Valgrind says so each time. */
static bool is_missing;

static int open_cached(int directory, const char *path)
{
    const struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = FLAGS, .resolve = 0x20 /* RESOLVE_CACHED */};
    long fd;

    if (jg__load_relaxed(&is_missing))
        return -EAGAIN;
    fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
    if (fd >= 0)
        return (int)fd;
    if (errno == ENOSYS)
        jg__store_relaxed(&is_missing, true);
    /* Older kernels and sandboxes have other errors, too, which tell nothing of the file. */
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? -errno : -EAGAIN;
}

static int read_cached(int fd, void *buffer, int size, int64_t offset)
{
    const struct iovec piece = {buffer, (size_t)size};
    long n = syscall(SYS_preadv2, fd, &piece, 1L, (long)offset, (long)((uint64_t)offset >> 32),
                     8L /* RWF_NOWAIT */);

    /* Linux 5.9 and 5.10 return 0 also for what they do not have in memory. */
    return n > 0 ? (int)n : n < 0 && errno == EIO ? -EIO : -EAGAIN;
}

#else

static int open_cached(int directory, const char *path)
{
    (void)directory;
    (void)path;
    return -EAGAIN;
}

static int read_cached(int fd, void *buffer, int size, int64_t offset)
{
    (void)fd;
    (void)buffer;
    (void)size;
    (void)offset;
    return -EAGAIN;
}

#endif

int jg__served_read(int fd, void *buffer, int size, int64_t offset, bool at_once)
{
    return at_once ? read_cached(fd, buffer, size, offset)
                   : jg__disk_read(fd, buffer, size, offset);
}

int jg__served_open(int directory, const char *path, bool at_once, jg__served *ret_file)
{
    struct stat info;
    int fd, r = 0;

    if (directory < 0)
        directory = AT_FDCWD;
    if (at_once) {
        fd = jg__fd_tidy(open_cached(directory, path));
    } else {
        do
            fd = openat(directory, path, FLAGS);
        while (fd < 0 && errno == EINTR);
        fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    }
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
