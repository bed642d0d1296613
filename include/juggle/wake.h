/* SPDX-License-Identifier: MIT
 *
 * Wakes: callbacks on a loop, called for by other threads and by signal handlers.
 */
#ifndef JUGGLE_WAKE_H
#define JUGGLE_WAKE_H

#include <juggle/call.h>

JG_BEGIN_DECLS

typedef struct jg_wake {
    jg_handle handle;
    jg_call call;
    jg_link link;
    jg_call_fn fn;
    void *arg;
    int sent;
} jg_wake;

/* Prepare a wake that calls fn(arg); not while it is started. */
JG_API void jg_wake_init(jg_wake *wake, jg_call_fn fn, void *arg);

/**
 * Let other threads have fn(arg) called on this loop. A started wake keeps the loop alive, since
 * one may come; see jg_handle_unref.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; `wake` must stay until it is stopped.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_wake_start(jg_loop *loop, jg_wake *wake);

/**
 * Have the callback run, at least once after this call. Sends that come before it runs become one.
 * What the sender wrote before is visible to the callback. The kernel is asked to help only if the
 * loop sleeps. asyncio: call_soon_threadsafe.
 *
 * wake      started, and not being stopped at the same time.
 *
 * Returns   nothing; it cannot fail, does not allocate and leaves errno alone.
 * Owns      nothing.
 * Thread    any; also from a signal handler.
 * Suspends  no.
 */
JG_API void jg_wake_send(jg_wake *wake);

/* Stop a wake. No thread may be in jg_wake_send, or call it any more. A send not run is dropped. */
JG_API void jg_wake_stop(jg_wake *wake);

JG_END_DECLS

#endif
