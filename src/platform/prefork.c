/* SPDX-License-Identifier: MIT
 *
 * The parent waits in sigwait, with its signals blocked, so that none comes between two steps.
 */
#include "platform/system.h"

#include "platform/prefork.h"

#include "platform/clock.h"
#include "platform/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/prctl.h>
#endif

#ifndef MAP_ANONYMOUS
#    define MAP_ANONYMOUS MAP_ANON
#endif

#define MOST 1024

struct worker {
    pid_t pid; /* 0: not running */
    jg_time started;
    bool again; /* it was not the first in its place */
    bool due;   /* to be started again in a while */
};

struct parent {
    struct worker workers[MOST];
    unsigned count;
    bool stopping;
    int result;
    int *told;       /* by each worker that ended by jg__prefork_exit, why; shared with them */
    sigset_t before; /* the signals that were blocked */
};

static int *answer; /* of this worker */

static void ignore(int signo)
{
    (void)signo; /* it is there so that the signal is not dropped */
}

/* Returns which worker it is in the child, 0 in the parent, or an error. */
static int start(struct parent *parent, struct worker *worker)
{
    int *told = &parent->told[worker - parent->workers];
    const pid_t us = getpid();
    pid_t pid;

    worker->again = worker->started > 0;
    *told = 0;
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        worker->pid = pid;
        worker->started = jg__monotonic();
        worker->due = false;
        return 0;
    }
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getppid() != us)
        _exit(0); /* the parent died before we could be told of that */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &parent->before, NULL);
    answer = told;
    if (worker->again)
        return JG__WORKER_AGAIN;
    return worker == parent->workers ? JG__WORKER_FIRST : JG__WORKER_OTHER;
}

static void stop_all(struct parent *parent)
{
    parent->stopping = true;
    for (unsigned i = 0; i < parent->count; i++) {
        parent->workers[i].due = false;
        if (parent->workers[i].pid > 0)
            (void)kill(parent->workers[i].pid, SIGTERM); /* it may have ended just now */
    }
}

/* Returns as start. */
static int on_ended(struct parent *parent, struct worker *worker)
{
    const int told = parent->told[worker - parent->workers];

    worker->pid = 0;
    if (!parent->stopping && told < 0 && !worker->again) {
        parent->result = told;
        stop_all(parent);
    }
    if (parent->stopping)
        return 0;
    if (jg__monotonic() - worker->started >= JG_SECOND)
        return start(parent, worker);
    worker->due = true;
    alarm(1);
    return 0;
}

/* Returns as start. */
static int reap(struct parent *parent)
{
    int r = 0;

    for (unsigned i = 0; i < parent->count && r == 0; i++) {
        struct worker *worker = &parent->workers[i];
        int status;

        if (worker->pid > 0 && jg__process_reap(worker->pid, &status) == 1)
            r = on_ended(parent, worker);
    }
    return r;
}

static int start_due(struct parent *parent)
{
    int r = 0;

    for (unsigned i = 0; i < parent->count && r == 0; i++) {
        if (parent->workers[i].due)
            r = start(parent, &parent->workers[i]);
    }
    return r;
}

static bool any_runs(const struct parent *parent)
{
    for (unsigned i = 0; i < parent->count; i++) {
        if (parent->workers[i].pid > 0 || parent->workers[i].due)
            return true;
    }
    return false;
}

static int watch(struct parent *parent, const sigset_t *signals)
{
    while (any_runs(parent)) {
        int signo, r = 0;

        if (sigwait(signals, &signo) != 0)
            continue;
        if (signo == SIGCHLD)
            r = reap(parent);
        else if (signo == SIGALRM)
            r = start_due(parent);
        else
            stop_all(parent);
        if (r > 0)
            return r;
        if (r < 0) {
            parent->result = r;
            stop_all(parent);
        }
    }
    return parent->result;
}

/* Returns as jg__prefork. */
static int start_all(struct parent *parent, const sigset_t *signals)
{
    int r = 0;

    for (unsigned i = 0; i < parent->count && r == 0; i++)
        r = start(parent, &parent->workers[i]);
    if (r > 0)
        return r;
    if (r < 0) {
        parent->result = r;
        stop_all(parent);
    }
    return watch(parent, signals);
}

int jg__prefork(unsigned count)
{
    struct parent parent = {.count = count};
    struct sigaction action = {.sa_handler = ignore}, old;
    const size_t size = count * sizeof(int);
    sigset_t signals;
    int r;

    if (count < 1 || count > MOST)
        return -EINVAL;
    parent.told = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (parent.told == MAP_FAILED)
        return -ENOMEM;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGALRM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, &parent.before); /* the arguments are good */
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGCHLD, &action, &old);
    r = start_all(&parent, &signals);
    if (r > 0)
        return r;

    alarm(0);
    (void)sigaction(SIGCHLD, &old, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &parent.before, NULL);
    (void)munmap(parent.told, size);
    return r;
}

_Noreturn void jg__prefork_exit(int result)
{
    *answer = result;
    exit(result < 0);
}
