/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/reap.h"

#include "platform/descriptor.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__

#    include <sys/syscall.h>

#    ifndef SYS_pidfd_open
#        define SYS_pidfd_open 434
#    endif
#    ifndef SYS_pidfd_send_signal
#        define SYS_pidfd_send_signal 424
#    endif

int jg__process_open(int pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0u); /* close-on-exec by itself */

    if (fd < 0)
        return errno == EPERM ? -ENOSYS : -errno;
    return jg__fd_tidy(fd);
}

static int send_through(int fd, int signo)
{
    return syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0u) < 0 ? -errno : 0;
}

#else

int jg__process_open(int pid)
{
    (void)pid;
    return -ENOSYS;
}

static int send_through(int fd, int signo)
{
    (void)fd;
    (void)signo;
    return -ENOSYS;
}

#endif

#ifdef __NetBSD__

/* It came late to waitid, but has the flag in waitpid. */
int jg__process_ended(int pid)
{
    int status;
    pid_t r;

    do
        r = waitpid(pid, &status, WNOHANG | WNOWAIT);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    return r == pid;
}

#else

int jg__process_ended(int pid)
{
    siginfo_t info;
    int r;

    info.si_pid = 0;
    do
        r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    return info.si_pid == pid;
}

#endif

int jg__process_reap(int pid, int *ret_status)
{
    int status;
    pid_t r;

    do
        r = waitpid(pid, &status, WNOHANG);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    if (r == 0)
        return 0;

    *ret_status = status;
    return 1;
}

void jg__process_join(int pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int jg__process_signal(int pid, int fd, bool group, int signo)
{
    int r = fd >= 0 && !group ? send_through(fd, signo) : -ENOSYS;

    if (r != -ENOSYS)
        return r;
    return kill(group ? -pid : pid, signo) < 0 ? -errno : 0;
}
