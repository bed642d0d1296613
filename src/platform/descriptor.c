/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/eventfd.h>
#endif

int jg__fd_tidy(int fd)
{
    int r, flags;

    if (fd < 0)
        return fd;

    if (fd <= 2) {
        r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (r < 0)
            r = -errno;
        close(fd);
        return r;
    }

    flags = fcntl(fd, F_GETFD);
    if (!(flags & FD_CLOEXEC))
        (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC); /* cannot fail on an open descriptor */
    return fd;
}

int jg__fd_close(int fd)
{
    if (fd < 0 || close(fd) == 0)
        return 0;

    /* After EINTR the descriptor is gone on Linux and the BSDs: a retry could close another's. */
    return errno == EINTR ? 0 : -errno;
}

#ifdef __linux__

/* A name to open what a descriptor is by. The master of a pseudo-terminal has none: another one
 * would come of it. */
static bool name_of(int fd, bool terminal, char *name, size_t size)
{
    if (terminal && ptsname_r(fd, name, size) == 0)
        return false;
    (void)snprintf(name, size, "/proc/self/fd/%d", fd);
    return true;
}

#else

/* Pipes have none, and again it must not be that of a master. */
static bool name_of(int fd, bool terminal, char *name, size_t size)
{
    return terminal && !ptsname(fd) && ttyname_r(fd, name, size) == 0;
}

#endif

/* Returns a descriptor of the same file with flags of its own, or a negative number. */
static int reopen(int fd, const struct stat *s)
{
    const bool terminal = S_ISCHR(s->st_mode) && isatty(fd);
    const int flags = fcntl(fd, F_GETFL);
    struct stat other;
    char name[128];
    int again;

    if (flags < 0 || !(terminal || S_ISFIFO(s->st_mode)) ||
        !name_of(fd, terminal, name, sizeof(name)))
        return -1;

    again = open(name, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again < 0)
        return -1;
    if (fstat(again, &other) < 0 || other.st_ino != s->st_ino || other.st_dev != s->st_dev) {
        close(again);
        return -1;
    }
    return jg__fd_tidy(again);
}

static bool is_disk(const struct stat *s)
{
    return S_ISREG(s->st_mode) || S_ISBLK(s->st_mode);
}

bool jg__fd_is_disk(int fd)
{
    struct stat s;

    return fstat(fd, &s) == 0 && is_disk(&s);
}

int jg__fd_share(int fd, enum jg__sharing *ret_sharing)
{
    enum jg__sharing sharing = JG__NOT_SHARED;
    struct stat s;
    int copy;

    if (fstat(fd, &s) < 0)
        return -errno;

    copy = reopen(fd, &s);
    if (copy < 0) {
        sharing = is_disk(&s) ? JG__NO_MATTER : JG__SHARED;
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    if (copy < 0)
        return -errno;
    *ret_sharing = sharing;
    return copy;
}

int jg__fd_check(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -errno : 0;
}

void jg__print_error(const char *text)
{
    ssize_t r = write(2, text, strlen(text));

    (void)r; /* there is nobody else to tell */
}

#ifdef __linux__

int jg__wakefd_open(int ret_fds[2])
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    fd = jg__fd_tidy(fd < 0 ? -errno : fd);
    if (fd < 0)
        return fd;

    ret_fds[0] = ret_fds[1] = fd;
    return 0;
}

#else

int jg__wakefd_open(int ret_fds[2])
{
    int fds[2];

    if (pipe(fds) < 0)
        return -errno;

    for (int i = 0; i < 2; i++) {
        fds[i] = jg__fd_tidy(fds[i]);
        if (fds[i] < 0) {
            jg__fd_close(fds[1 - i]);
            return fds[i];
        }
        (void)fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
    }
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return 0;
}

#endif

void jg__wakefd_close(int fds[2])
{
    jg__fd_close(fds[0]);
    if (fds[1] != fds[0])
        jg__fd_close(fds[1]);
    fds[0] = fds[1] = -1;
}

void jg__wakefd_write(int fd)
{
    const uint64_t one = 1;
    int saved = errno;

    /* EAGAIN: it is full, hence readable, which is all that is wanted. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void jg__wakefd_drain(int fd)
{
    uint64_t buffer[16];

    while (read(fd, buffer, sizeof(buffer)) == (ssize_t)sizeof(buffer))
        ;
}
