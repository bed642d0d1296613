/* SPDX-License-Identifier: MIT
 *
 * Synchronisation of what runs on one loop: lock, event, condition, semaphore and barrier, as
 * asyncio has them. Coroutines, step tasks and plain callbacks use them alike. They are not for
 * threads.
 *
 * They are structs in your memory, whose fields are the library's. Nothing allocates. They know no
 * owner, and there is nothing to free; but their memory must stay while somebody waits for them.
 *
 * Each wait has two forms. Of jg_x, for coroutines, the documentation says what it returns. Of
 * jg_x_start that is the status of `op`; itself it returns 0, or -ECANCELED as jg_op_start does,
 * with nothing begun.
 *
 * The rules:
 *   - What is released is handed to the first who waits, then and there. Nobody overtakes: while
 *     somebody waits, or was handed it and has yet to run, trying fails. So whoever has waited has
 *     it, and need not look again.
 *   - What was handed over is delivered, even if the waiter is cancelled before it runs: it gets 0,
 *     and -ECANCELED from its next await. One that is cancelled before that leaves no trace.
 *   - Releasing, setting and notifying run nobody inside the call.
 */
#ifndef JUGGLE_SYNC_H
#define JUGGLE_SYNC_H

#include <juggle/coro.h>

JG_BEGIN_DECLS

/* ---------------------------------------------------------------- lock */

/* One at a time. Zeroed memory is a lock that is not locked. asyncio: Lock. */
typedef struct jg_lock {
    jg_link waiters;
    bool locked;
} jg_lock;

JG_API void jg_lock_init(jg_lock *lock);

/**
 * Lock, waiting for it as long as it takes. A lock is not recursive.
 *
 * Returns   0, locked; -ECANCELED, not locked.
 * Owns      nothing; the caller releases what it locked, or has somebody do so.
 * Thread    loop.
 * Suspends  acquire yes, acquire_start no.
 */
JG_API int jg_lock_acquire(jg_lock *lock);
JG_API int jg_lock_acquire_start(jg_lock *lock, jg_op *op);

/**
 * Lock, if it is free.
 *
 * Returns   0, locked; -EAGAIN.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_lock_try_acquire(jg_lock *lock);

/**
 * Release a lock, which must be locked: the first who waits has it.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_lock_release(jg_lock *lock);

static inline bool jg_lock_locked(const jg_lock *lock)
{
    return lock->locked;
}

/* --------------------------------------------------------------- event */

/* Something that has happened, or not yet. Zeroed memory is one that has not. Where it happens but
 * once and has a result, use a jg_future. asyncio: Event. */
typedef struct jg_event {
    jg_link waiters;
    bool set;
} jg_event;

JG_API void jg_event_init(jg_event *event);

/**
 * Set an event: all who wait go on, even if it is cleared before they run. Harmless if it is set.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_event_set(jg_event *event);

/* Have those who come from now on wait again. */
JG_API void jg_event_clear(jg_event *event);

static inline bool jg_event_is_set(const jg_event *event)
{
    return event->set;
}

/**
 * Wait until an event is set.
 *
 * Returns   0, or -ECANCELED.
 * Owns      nothing; `event` must stay until the wait has ended.
 * Thread    loop.
 * Suspends  wait yes, wait_start no.
 */
JG_API int jg_event_wait(jg_event *event);
JG_API int jg_event_wait_start(jg_event *event, jg_op *op);

/* ----------------------------------------------------------- semaphore */

/* A number of permits. Zeroed memory is a semaphore without any, and without a limit. asyncio:
 * Semaphore and BoundedSemaphore. */
typedef struct jg_semaphore {
    jg_link waiters;
    unsigned value; /* 0 while somebody waits */
    unsigned limit;
} jg_semaphore;

/**
 * Prepare a semaphore.
 *
 * value     permits there are at first.
 * limit     how many there may be at most, >= value; 0: any number. To release more is misuse.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API void jg_semaphore_init(jg_semaphore *semaphore, unsigned value, unsigned limit);

/**
 * Take a permit, waiting for one as long as it takes.
 *
 * Returns   0, with a permit; -ECANCELED, without.
 * Owns      nothing; the caller releases the permit, or has somebody do so.
 * Thread    loop.
 * Suspends  acquire yes, acquire_start no.
 */
JG_API int jg_semaphore_acquire(jg_semaphore *semaphore);
JG_API int jg_semaphore_acquire_start(jg_semaphore *semaphore, jg_op *op);

/**
 * Take a permit, if there is one.
 *
 * Returns   0, with a permit; -EAGAIN.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_semaphore_try_acquire(jg_semaphore *semaphore);

/**
 * Give a permit, one that was taken or a new one: the first who waits has it.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_semaphore_release(jg_semaphore *semaphore);

/* How many permits can be had without waiting. */
static inline unsigned jg_semaphore_value(const jg_semaphore *semaphore)
{
    return semaphore->value;
}

/* ----------------------------------------------------------- condition */

/* Where the holders of a lock wait, in turn, for what it guards to become as they need it.
 * Several conditions may share a lock. asyncio: Condition. */
typedef struct jg_condition {
    jg_link waiters;
    jg_lock *lock;
} jg_condition;

/* Prepare a condition. `lock` must stay as long as it is used. */
JG_API void jg_condition_init(jg_condition *condition, jg_lock *lock);

/**
 * Release the lock, wait until notified, and acquire the lock again, for which cancellation has to
 * wait. Whatever it returns, the lock is held as it was before.
 *
 * What was waited for may be gone by then: somebody may have held the lock in between. Therefore:
 *
 *     while (r == 0 && queue_is_empty())
 *         r = jg_condition_wait(&not_empty);
 *
 * Returns   0: notified. -ECANCELED: not notified, so no notification is lost.
 * Owns      nothing; `condition` must stay until the wait has ended.
 * Thread    loop.
 * Suspends  wait yes, wait_start no.
 */
JG_API int jg_condition_wait(jg_condition *condition);
JG_API int jg_condition_wait_start(jg_condition *condition, jg_op *op);

/**
 * Wake the first n who wait, or all. They get the lock one after the other once it is released; to
 * notify, it must be held.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_condition_notify(jg_condition *condition, unsigned n);
JG_API void jg_condition_notify_all(jg_condition *condition);

/* ------------------------------------------------------------- barrier */

/* Where a number of parties wait for each other, again and again. asyncio: Barrier. */
typedef struct jg_barrier {
    jg_link waiters;
    unsigned parties, waiting;
    bool broken;
} jg_barrier;

/* Prepare a barrier for so many parties, >= 1. */
JG_API void jg_barrier_init(jg_barrier *barrier, unsigned parties);

/**
 * Wait until as many as there are parties wait, and go on with them. The next to come begins a new
 * round. Cancelling one who waits lets the others wait on, for one more to come.
 *
 * Returns   in the order they came, 0 to parties - 1, for one of them to do what has to be done
 *           once; JG_EBROKEN; -ECANCELED.
 * Owns      nothing; `barrier` must stay until the wait has ended.
 * Thread    loop.
 * Suspends  wait yes, wait_start no.
 */
JG_API int jg_barrier_wait(jg_barrier *barrier);
JG_API int jg_barrier_wait_start(jg_barrier *barrier, jg_op *op);

/**
 * End the waits of all who wait with JG_EBROKEN. After an abort that is what everybody gets from
 * then on; a reset makes the barrier as new.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_barrier_abort(jg_barrier *barrier);
JG_API void jg_barrier_reset(jg_barrier *barrier);

/* How many wait. asyncio: n_waiting. */
static inline unsigned jg_barrier_waiting(const jg_barrier *barrier)
{
    return barrier->waiting;
}

static inline bool jg_barrier_broken(const jg_barrier *barrier)
{
    return barrier->broken;
}

JG_END_DECLS

#endif
