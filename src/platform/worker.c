/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/worker.h"

#include "base/time.h"
#include "platform/clock.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

int jg__mutex_init(jg__mutex *mutex)
{
    return -pthread_mutex_init(mutex, NULL);
}

void jg__mutex_fini(jg__mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

void jg__mutex_lock(jg__mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

void jg__mutex_unlock(jg__mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

void jg__cond_fini(jg__cond *cond)
{
    pthread_cond_destroy(cond);
}

void jg__cond_signal(jg__cond *cond)
{
    pthread_cond_signal(cond);
}

void jg__cond_broadcast(jg__cond *cond)
{
    pthread_cond_broadcast(cond);
}

static struct timespec timespec_of(jg_time time)
{
    return (struct timespec){.tv_sec = (time_t)(time / JG_SECOND),
                             .tv_nsec = (long)(time % JG_SECOND)};
}

#ifdef __APPLE__

int jg__cond_init(jg__cond *cond)
{
    return -pthread_cond_init(cond, NULL);
}

static int wait_until(jg__cond *cond, jg__mutex *mutex, jg_time deadline)
{
    const struct timespec left = timespec_of(jg__time_until(deadline, jg__monotonic()));

    return pthread_cond_timedwait_relative_np(cond, mutex, &left);
}

#else

int jg__cond_init(jg__cond *cond)
{
    pthread_condattr_t attributes;
    int r = -pthread_condattr_init(&attributes);

    if (r < 0)
        return r;

    r = -pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (r == 0)
        r = -pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
    return r;
}

static int wait_until(jg__cond *cond, jg__mutex *mutex, jg_time deadline)
{
    const struct timespec end = timespec_of(deadline > 0 ? deadline : 0); /* it takes no others */

    return pthread_cond_timedwait(cond, mutex, &end);
}

#endif

bool jg__cond_wait(jg__cond *cond, jg__mutex *mutex, jg_time deadline)
{
    if (deadline == JG_FOREVER)
        return pthread_cond_wait(cond, mutex) == 0;
    return wait_until(cond, mutex, deadline) != ETIMEDOUT;
}

int jg__worker_start(jg__worker *ret_worker, void *(*fn)(void *arg), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked, before;
    int r;

    /* A new thread inherits the mask, so there is no moment in which a signal could get at it. */
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    r = -pthread_create(ret_worker, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

void jg__worker_join(jg__worker worker)
{
    pthread_join(worker, NULL);
}

void jg__worker_detach(jg__worker worker)
{
    pthread_detach(worker);
}
