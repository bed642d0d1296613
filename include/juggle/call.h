/* SPDX-License-Identifier: MIT
 *
 * Calls: callbacks queued for the next turn; and the handle, what all other objects have in common.
 */
#ifndef JUGGLE_CALL_H
#define JUGGLE_CALL_H

#include <juggle/base.h>

JG_BEGIN_DECLS

typedef struct jg_loop jg_loop;

/* What timers, watchers, wakes, signals and children have in common: their first member. */
typedef struct jg_handle {
    jg_loop *loop; /* NULL: not started */
    int number;
    uint16_t flags;
    uint16_t events;
} jg_handle;

/**
 * Choose whether a handle keeps its loop running. New ones do. Both may be called at any time, and
 * twice.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_handle_ref(jg_handle *handle);
JG_API void jg_handle_unref(jg_handle *handle);

/* Whether a handle is started. A one-shot timer that fired, and a child that ended, are not. */
static inline bool jg_handle_started(const jg_handle *handle)
{
    return handle->loop != NULL;
}

/* A place in a queue. `next` NULL: in none. */
typedef struct jg_link {
    struct jg_link *next, *prev;
} jg_link;

typedef void (*jg_call_fn)(void *arg);

typedef struct jg_call {
    jg_link link;
    jg_call_fn fn;
    void *arg;
} jg_call;

/* Prepare a call of fn(arg); not while it is queued. */
JG_API void jg_call_init(jg_call *call, jg_call_fn fn, void *arg);

/**
 * Queue a call for the next turn, first in, first out. A call that is queued keeps its place.
 * asyncio: loop.call_soon.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; `call` must stay until it ran or was cancelled.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_call_soon(jg_loop *loop, jg_call *call);

/**
 * Take a call out of its queue, in O(1). Harmless if it is in none. asyncio: Handle.cancel.
 *
 * Returns   true if it was queued.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API bool jg_call_cancel(jg_call *call);

JG_END_DECLS

#endif
