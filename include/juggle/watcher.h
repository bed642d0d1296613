/* SPDX-License-Identifier: MIT
 *
 * Watchers: callbacks when a descriptor is ready.
 */
#ifndef JUGGLE_WATCHER_H
#define JUGGLE_WATCHER_H

#include <juggle/call.h>

JG_BEGIN_DECLS

enum {
    JG_READ = 1u << 0,  /* a read will not block: there is data, end of file or an error */
    JG_WRITE = 1u << 1, /* a write will not block: there is room or an error */
    JG_HANGUP = 1u << 2 /* the peer will send no more; ask for it only if you also act on it */
};

/**
 * events    those of the watcher's that hold now, or an error: the kernel refused the descriptor,
 *           which was closed behind the loop's back (-EBADF, as a rule). The watcher is then
 *           stopped already.
 */
typedef void (*jg_watcher_fn)(void *arg, int events);

typedef struct jg_watcher {
    jg_handle handle;
    struct jg_watcher *next;
    uint32_t wanted;
    jg_watcher_fn fn;
    void *arg;
} jg_watcher;

/* Prepare a watcher that calls fn(arg, events); not while it is started. */
JG_API void jg_watcher_init(jg_watcher *watcher, jg_watcher_fn fn, void *arg);

/**
 * Watch a descriptor, level-triggered: the callback comes in every turn in which an event holds.
 * Several watchers may watch one descriptor. What cannot be waited for, as a regular file, counts
 * as always ready. An error or hang-up of the descriptor shows as the events that were asked for:
 * the read or write then tells. asyncio: add_reader, add_writer.
 *
 * fd        open, yours, best non-blocking; its flags are left alone. Stop the watcher before you
 *           close it, or use jg_watcher_close.
 * events    of JG_READ, JG_WRITE, JG_HANGUP; 0 starts paused.
 *
 * Returns   0; -EBADF, -EINVAL, -EALREADY if it is started, -ENOMEM, -ENOSPC, JG_EFORKED; -ELOOP
 *           for a poller (an epoll descriptor) nested too deep.
 * Owns      nothing; `watcher` must stay until it is stopped.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_watcher_start(jg_loop *loop, jg_watcher *watcher, int fd, unsigned events);

/**
 * Change the events of a started watcher. The kernel is told once, when the loop goes to wait, and
 * only if something differs by then. 0 pauses.
 *
 * Returns   0; -EINVAL for other events, or a watcher that is not started.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_watcher_modify(jg_watcher *watcher, unsigned events);

/* Stop a watcher. The descriptor stays open. asyncio: remove_reader, remove_writer. */
JG_API void jg_watcher_stop(jg_watcher *watcher);

/**
 * Stop a watcher and close its descriptor: cheaper than the two apart, as the kernel forgets a
 * closed descriptor by itself. Other watchers of the descriptor get -EBADF.
 *
 * Returns   0; -EINVAL if it is not started; -EBADF, with nothing closed, if the descriptor was
 *           closed before; another error of close(2), with the descriptor closed.
 * Owns      the descriptor, from now on.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_watcher_close(jg_watcher *watcher);

JG_END_DECLS

#endif
