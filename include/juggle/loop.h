/* SPDX-License-Identifier: MIT
 *
 * The event loop: a reactor that waits for descriptors, timers, signals, child processes and
 * wake-ups from other threads, and dispatches callbacks. This header is all that is needed to use
 * it, together with the small ones it includes, one for each kind of object. Everything else in
 * juggle is built on it.
 *
 * Objects (call, timer, watcher, wake, signal, child) are structs in your memory, usually inside
 * your own. Initialise one with a callback and its argument, start it on a loop, stop it. Their
 * fields are the loop's: do not touch them. A started object must stay where it is; a stopped one,
 * like one of zeroed memory, is just memory. Stopping is synchronous: once it returns the callback
 * is not called any more and the memory is yours again. Stopping what is not started does nothing.
 * Any callback may stop, restart or free any object, itself included.
 *
 * One turn of the loop:
 *   1. Apply changed interests in descriptors to the kernel.
 *   2. Wait: not at all if something is ready, else until the next deadline. The kernel is asked
 *      in any case, unless no descriptor is watched and there is no time to wait.
 *   3. Read the clock once. What is ready now is, in this order: the calls queued before, wake-ups
 *      from other threads and signals; descriptors, ended children among them (with SIGCHLD: among
 *      the signals); timers that fell due, by deadline, equal ones in the order they were set.
 *   4. Run exactly these callbacks. What they schedule runs in a later turn, so nothing starves.
 *
 * A loop belongs to the thread that made it. Functions marked «Thread loop» abort with a message
 * when another thread calls them, except that those which only read, and jg_call_cancel, do not
 * look. In a forked child they do what concerns the child alone and leave the parent's kernel
 * objects in peace.
 */
#ifndef JUGGLE_LOOP_H
#define JUGGLE_LOOP_H

#include <juggle/base.h>
#include <juggle/call.h>
#include <juggle/counters.h>
#include <juggle/signal.h>
#include <juggle/timer.h>
#include <juggle/wake.h>
#include <juggle/watcher.h>

JG_BEGIN_DECLS

/**
 * Told what no return value can tell: an object that leaked (JG_ELEAKED), a slow callback
 * (JG_ESLOW), tasks that nothing can wake (JG_EDEADLOCK, in several calls) or a kernel call that
 * failed where nobody waits. `what` is a line of text, valid during the call. The default is
 * silence.
 */
typedef void (*jg_error_fn)(void *arg, int error, const char *what);

enum {
    JG_LOOP_VIRTUAL_TIME = 1u << 0,   /* time jumps to the next deadline instead of passing */
    JG_LOOP_REAP_ON_SIGCHLD = 1u << 1 /* learn of children by SIGCHLD even if there are pidfds */
};

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_loop_options {
    const char *backend; /* "epoll", "kqueue", "poll", "script" (see test.h); NULL: the best, or
                            $JUGGLE_BACKEND */
    const jg_allocator *allocator; /* copied; NULL: malloc */
    jg_error_fn on_error;
    void *on_error_arg;
    unsigned flags;        /* JG_LOOP_… */
    unsigned max_events;   /* taken from the kernel in a turn, up to 65536; 0: 128 */
    jg_time slow_callback; /* ns from which on a callback is reported (JG_ESLOW) when it has
                              returned; 0: never. asyncio: slow_callback_duration */
} jg_loop_options;

/**
 * Make a loop. asyncio: new_event_loop.
 *
 * options   or NULL. Unknown flags are refused, so that programs find out about old libraries.
 *
 * Returns   0 and the loop, which the caller frees with jg_loop_free; -ENOTSUP for a backend that
 *           does not exist here, -EINVAL, -ENOMEM, -EMFILE, -ENFILE.
 * Owns      nothing; the allocator's and the hook's arg must outlive the loop.
 * Thread    any; the caller's becomes the loop's.
 * Suspends  no.
 */
JG_API int jg_loop_new(const jg_loop_options *options, jg_loop **ret_loop);

/**
 * Free a loop that is not running. Each object that is still started is reported to the error hook
 * and stopped, without its callback. asyncio: loop.close.
 *
 * loop      or NULL.
 *
 * Returns   how many objects were still started; 0 is a clean end.
 * Owns      nothing: memory of objects stays with the caller.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_loop_free(jg_loop *loop);

/**
 * Turn until nothing keeps the loop alive or jg_loop_stop is called. asyncio: run_forever, but
 * ending by itself.
 *
 * Returns   0 when nothing is left or it was stopped; -EBUSY inside a callback of this loop;
 *           JG_EFORKED; the error of a kernel that cannot wait any more.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_loop_run(jg_loop *loop);

/**
 * Turn once, waiting at most `timeout`: for a program whose own loop stays in charge. The turn ends
 * early only with something run.
 *
 * timeout   ns; 0 does not wait, negative or JG_FOREVER waits for an event. No wait if nothing is
 *           alive.
 *
 * Returns   1 if something still keeps the loop alive, 0 if not or if it was stopped, else as
 *           jg_loop_run.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_loop_run_once(jg_loop *loop, jg_time timeout);

/**
 * End jg_loop_run after the current turn; before a run, it makes that run a single turn which does
 * not wait. Nothing is lost: a later run goes on. asyncio: loop.stop.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop; elsewhere send a jg_wake whose callback stops the loop.
 * Suspends  no.
 */
JG_API void jg_loop_stop(jg_loop *loop);

/**
 * Whether anything keeps the loop alive: a queued call, or a started object that is not unref'd.
 *
 * Returns   true or false.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API bool jg_loop_alive(const jg_loop *loop);

/**
 * The time of the current turn: the clock is read at most once in a turn, for whoever asks first.
 *
 * Returns   ns; all deadlines of this loop count on this clock.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API jg_time jg_loop_time(jg_loop *loop);

/**
 * The time now: a fresh reading of the clock. asyncio: loop.time.
 *
 * Returns   ns, never less than jg_loop_time.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API jg_time jg_loop_now(const jg_loop *loop);

/**
 * Get ready to sleep in another loop: apply changed interests, and have other threads wake us
 * through jg_loop_fd from here until the next turn. Call it last before sleeping; then wait for
 * jg_loop_fd to be readable or for the timeout, and run jg_loop_run_once(loop, 0).
 *
 * Returns   ns to sleep at most: 0 if something is ready, JG_FOREVER if no timer is set.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API jg_time jg_loop_prepare(jg_loop *loop);

/**
 * A descriptor that is readable when the kernel has something for this loop, to be watched for
 * reading by another loop; see jg_loop_prepare. Timers do not make it readable.
 *
 * Returns   the descriptor; -ENOTSUP with a backend that has none (poll, script); the first time,
 *           -EMFILE, -ENFILE, -ENOMEM.
 * Owns      nothing: the loop's, neither read nor close it. The number stays the same, but in a
 *           forked child on the BSDs: ask again after jg_loop_fork.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_loop_fd(jg_loop *loop);

/**
 * Make the calling thread the loop's: for a loop made by one thread and run by another. The loop
 * must not be running and its former thread must not use it any more.
 *
 * Returns   0; -EBUSY; -ENOMEM, if it has had coroutines.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_loop_adopt(jg_loop *loop);

/**
 * Go on with a loop in a forked child: everything the kernel knew of it is made anew. Without it
 * the child can only stop objects and free the loop. Children of the parent stay the parent's:
 * a jg_child reports -ECHILD here. Signals watched on the loop are watched again.
 *
 * Only the loop's own thread may fork, outside of its callbacks, while no other thread is inside
 * jg_wake_send. Until the child calls this, or frees the loop, it ignores the signals watched here.
 *
 * Returns   0, also if there was no fork; -EBUSY inside a callback; -EMFILE, -ENFILE, -ENOMEM, and
 *           the loop is as before.
 * Owns      nothing.
 * Thread    the one that forked.
 * Suspends  no.
 */
JG_API int jg_loop_fork(jg_loop *loop);

/* The name of the backend in use: a constant string. */
JG_API const char *jg_loop_backend(const jg_loop *loop);

/* Something that is started, as jg_loop_walk shows it. */
typedef struct jg_started {
    const char *kind;   /* "call", "timer", "watcher", "wake", "signal" or "child" */
    const void *object; /* the jg_call, jg_timer, … */
    const void *arg;    /* what its callback is given */
    int number;         /* descriptor, signal or process; -1 where there is none */
    bool ref;           /* keeps the loop alive */
} jg_started;

typedef void (*jg_walk_fn)(void *arg, const jg_started *started);

/**
 * Show everything that is started on a loop, in no particular order.
 *
 * fn        may stop what it is shown, and nothing else.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_loop_walk(jg_loop *loop, jg_walk_fn fn, void *arg);

JG_END_DECLS

#endif
