/* SPDX-License-Identifier: MIT
 *
 * Threads that work for a loop, and how they wait for each other. A worker is never interrupted by
 * a signal that was meant for the program: it blocks all but those that its own faults raise.
 */
#ifndef JG_PLATFORM_WORKER_H
#define JG_PLATFORM_WORKER_H

#include <juggle/base.h>

#include <pthread.h>

typedef pthread_mutex_t jg__mutex;
typedef pthread_cond_t jg__cond;
typedef pthread_t jg__worker;

/* Both return 0, -ENOMEM or -EAGAIN. */
int jg__mutex_init(jg__mutex *mutex);
int jg__cond_init(jg__cond *cond);

void jg__mutex_fini(jg__mutex *mutex);
void jg__cond_fini(jg__cond *cond);

void jg__mutex_lock(jg__mutex *mutex);
void jg__mutex_unlock(jg__mutex *mutex);

/* Wake one that waits, or all. */
void jg__cond_signal(jg__cond *cond);
void jg__cond_broadcast(jg__cond *cond);

/*
 * Wait, with the mutex locked, until the condition is signalled, or for nothing. `deadline` is on
 * the clock of jg__monotonic. Returns false if it has passed.
 */
bool jg__cond_wait(jg__cond *cond, jg__mutex *mutex, jg_time deadline);

/* Run fn(arg) in a thread, to be joined or detached once. Returns 0 or -EAGAIN. */
int jg__worker_start(jg__worker *ret_worker, void *(*fn)(void *arg), void *arg);
void jg__worker_join(jg__worker worker);
void jg__worker_detach(jg__worker worker);

#endif
