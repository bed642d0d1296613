/* SPDX-License-Identifier: MIT
 *
 * Signals and ended child processes, as events of the loop.
 */
#ifndef JUGGLE_SIGNAL_H
#define JUGGLE_SIGNAL_H

#include <juggle/call.h>
#include <juggle/watcher.h>

JG_BEGIN_DECLS

typedef void (*jg_signal_fn)(void *arg, int signo);

typedef struct jg_signal {
    jg_handle handle;
    jg_call call;
    jg_link link;
    jg_signal_fn fn;
    void *arg;
} jg_signal;

/* Prepare a watcher that calls fn(arg, signo); not while it is started. */
JG_API void jg_signal_init(jg_signal *signal, jg_signal_fn fn, void *arg);

/**
 * Watch a signal. Any number of watchers on any number of loops get it. Signals of a kind that come
 * before the callback runs become one. The first watcher in the process replaces the disposition
 * of the signal, the last to stop restores it. asyncio: add_signal_handler.
 *
 * signo     any that can be caught, up to 64.
 *
 * Returns   0; -EINVAL, -EALREADY if it is started, JG_EFORKED.
 * Owns      nothing; `signal` must stay until it is stopped.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_signal_start(jg_loop *loop, jg_signal *signal, int signo);

/* Stop watching a signal. One that came but was not run is dropped. */
JG_API void jg_signal_stop(jg_signal *signal);

/**
 * status    as from waitpid(2), for WIFEXITED and the like; or -ECHILD if somebody else reaped the
 *           process, and has its status.
 */
typedef void (*jg_child_fn)(void *arg, int status);

typedef struct jg_child {
    jg_handle handle;
    jg_watcher watcher; /* of the process descriptor, where there is one */
    jg_call call;
    jg_link link;
    int status;
    jg_child_fn fn;
    void *arg;
} jg_child;

/* Prepare to call fn(arg, status) when a process ends; not while it is started. */
JG_API void jg_child_init(jg_child *child, jg_child_fn fn, void *arg);

/**
 * Wait for a child process to end, reap it and call back once; it may have ended already. Through
 * a process descriptor where the system has them, else through SIGCHLD. No other children are
 * touched. asyncio: child watchers.
 *
 * pid       a child of this process that nobody else waits for.
 *
 * Returns   0; -EINVAL, -EALREADY if it is started, -ECHILD if there is no such child, -EMFILE,
 *           -ENFILE, -ENOMEM, -ENOSPC, JG_EFORKED.
 * Owns      the exit status of the process: waitpid elsewhere would steal it.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_child_start(jg_loop *loop, jg_child *child, int pid);

/* Stop waiting. The process goes on; reaping it is up to you again. */
JG_API void jg_child_stop(jg_child *child);

JG_END_DECLS

#endif
