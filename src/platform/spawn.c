/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/spawn.h"

#include "base/atomic.h"
#include "platform/descriptor.h"
#include "platform/disk.h"
#include "platform/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

#if defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#    define HAS_CLOSEFROM
#endif

#ifdef __APPLE__
#    define FORK fork /* vfork is on its way out there */
#else
#    define FORK vfork
#endif

#ifndef NSIG
#    define NSIG 65
#endif

extern char **environ;

/* What parent and child tell each other, in memory if they share it, else through a pipe. */
struct launch {
    const jg__spawn *spawn;
    int pipe[2]; /* -1: not needed */
    volatile bool shared;
    volatile int error;
};

/* Whether the child runs on the memory of its parent, which emulators and checkers change. */
static int known_to_share;

/* ---------------------------------------------------------------- in the child */

/*
 * No handler may run on memory that is not the child's, so this comes before signals are let in.
 * What is ignored stays so, as nohup means it, unless programs do not reckon with it.
 */
static void reset_signals(void)
{
    struct sigaction action;
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++) {
        bool expected = signo == SIGPIPE || signo == SIGCHLD;

        if (sigaction(signo, NULL, &action) < 0 || action.sa_handler == SIG_DFL ||
            (action.sa_handler == SIG_IGN && !expected))
            continue;
        action.sa_flags = 0;
        action.sa_handler = SIG_DFL;
        (void)sigaction(signo, &action, NULL); /* it was valid before */
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Make these the descriptors 0, 1 and 2. */
static int place_descriptors(const int fds[3])
{
    int from[3];

    /* Out of the way of each other. */
    for (int i = 0; i < 3; i++) {
        from[i] = fds[i];
        if (from[i] <= 2 && from[i] != i)
            from[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (from[i] < 0)
            return -errno;
    }
    for (int i = 0; i < 3; i++) {
        int flags = fcntl(i, F_GETFD);

        if (from[i] != i && dup2(from[i], i) < 0)
            return -errno;
        if (from[i] == i && flags >= 0) /* else it is closed, and the child's is as well */
            (void)fcntl(i, F_SETFD, flags & ~FD_CLOEXEC);
    }
    return 0;
}

static void close_from(int first)
{
#ifdef HAS_CLOSEFROM
    closefrom(first);
#else
    struct rlimit limit = {.rlim_cur = 0};
    int end = 1 << 20;

#    if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
#    endif
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)end)
        end = (int)limit.rlim_cur;
    for (int fd = first; fd < end; fd++)
        (void)close(fd); /* most are not open */
#endif
}

/* Returns the descriptor of the pipe, which may have been moved; or an error. */
static int prepare(const struct launch *launch)
{
    const jg__spawn *spawn = launch->spawn;
    int r, fd = launch->pipe[1];

    if (spawn->session && setsid() < 0)
        return -errno;
    if (spawn->group && !spawn->session && setpgid(0, 0) < 0)
        return -errno;
    if (spawn->directory && chdir(spawn->directory) < 0)
        return -errno;
    r = place_descriptors(spawn->fds);
    if (r < 0)
        return r;

    if (fd > 3 && dup2(fd, 3) < 0)
        return -errno;
    if (fd >= 3)
        (void)fcntl(3, F_SETFD, FD_CLOEXEC);
    close_from(fd >= 3 ? 4 : 3);
    reset_signals();
    return 0;
}

static const char *search_path(const char *const *environment)
{
    for (; *environment; environment++) {
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    }
    return "/bin:/usr/bin";
}

/* Whether a program that was not in one directory may be in another one. */
static bool goes_on(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ENAMETOOLONG ||
           error == ELOOP || error == ENODEV || error == ESTALE || error == ETIMEDOUT;
}

/* Write directory/file. Returns whether there is room. */
static bool join(char path[PATH_MAX], const char *directory, size_t length, const char *file)
{
    size_t size = strlen(file) + 1;

    if (length + 1 + size > PATH_MAX)
        return false;
    memcpy(path, directory, length);
    if (length > 0)
        path[length++] = '/';
    memcpy(path + length, file, size);
    return true;
}

/* Returns an error, if it does. */
static int execute(const jg__spawn *spawn)
{
    const char *const *environment = spawn->environment;
    char *const *argv = (char *const *)(uintptr_t)spawn->argv;
    char path[PATH_MAX];
    bool denied = false;
    const char *place, *end;

    if (!environment)
        environment = (const char *const *)(uintptr_t)environ;
    if (strchr(spawn->file, '/')) {
        execve(spawn->file, argv, (char *const *)(uintptr_t)environment);
        return -errno;
    }
    if (spawn->file[0] == '\0')
        return -ENOENT;

    for (place = search_path(environment); place; place = *end ? end + 1 : NULL) {
        end = place + strcspn(place, ":");
        if (!join(path, place, (size_t)(end - place), spawn->file))
            continue;
        execve(path, argv, (char *const *)(uintptr_t)environment);
        if (!goes_on(errno))
            return -errno;
        denied |= errno == EACCES;
    }
    return denied ? -EACCES : -ENOENT;
}

__attribute__((noreturn)) static void run_child(struct launch *launch)
{
    int r;

    launch->shared = true;
    r = prepare(launch);
    if (r == 0)
        r = execute(launch->spawn);
    launch->error = r;
    if (launch->pipe[1] >= 0) {
        /* It is 3 unless something failed before it was moved; the other of them fails. */
        ssize_t n = write(launch->pipe[1], &r, sizeof(r));

        if (n < 0)
            n = write(3, &r, sizeof(r));
        (void)n; /* 127 is all that is left to say */
    }
    _exit(127);
}

/* ---------------------------------------------------------------- in the parent */

/* The function that calls vfork: the child must not return from it. */
__attribute__((noinline)) static int fork_off(struct launch *launch)
{
    pid_t pid = FORK();

    if (pid == 0)
        run_child(launch);
    return pid < 0 ? -errno : pid;
}

/* What became of the child, now that it shares nothing with us: 0, or an error. */
static int outcome(struct launch *launch)
{
    int error = 0;
    ssize_t n;

    if (launch->shared) {
        jg__store(&known_to_share, 1);
        return launch->error;
    }
    jg__fd_close(launch->pipe[1]);
    launch->pipe[1] = -1;
    do
        n = read(launch->pipe[0], &error, sizeof(error));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(error) ? error : 0;
}

int jg__spawn_run(const jg__spawn *spawn)
{
    struct launch launch = {.spawn = spawn, .pipe = {-1, -1}};
    sigset_t all, before;
    int pid, r = 0;

    if (!jg__load(&known_to_share))
        r = jg__pipe_open(launch.pipe);
    if (r < 0)
        return r;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the arguments are good */
    pid = fork_off(&launch);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    r = pid < 0 ? pid : outcome(&launch);
    if (pid > 0 && r < 0)
        jg__process_join(pid);
    jg__fd_close(launch.pipe[0]);
    jg__fd_close(launch.pipe[1]);
    return r < 0 ? r : pid;
}

int jg__pipe_open(int ret_fds[2])
{
    int fds[2];

#ifdef __linux__
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
#else
    if (pipe(fds) < 0)
        return -errno;
#endif

    for (int i = 0; i < 2; i++) {
        fds[i] = jg__fd_tidy(fds[i]);
        if (fds[i] < 0) {
            jg__fd_close(fds[1 - i]);
            return fds[i];
        }
    }
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return 0;
}

int jg__null_open(void)
{
    return jg__disk_open("/dev/null", O_RDWR, 0);
}
