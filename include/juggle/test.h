/* SPDX-License-Identifier: MIT
 *
 * For tests of your own code: time that you control and descriptors that do what a script says.
 *
 * A loop made with JG_LOOP_VIRTUAL_TIME starts at time 0. Where it would sleep until a deadline,
 * the deadline is now: an hour takes microseconds. Real descriptors still work; a loop with no
 * timer waits for them in real time. Inside a foreign loop (jg_loop_prepare, then a turn that does
 * not wait) nothing sleeps here, so that time moves by jg_test_advance alone.
 *
 * A loop made with the backend "script" has virtual time and no kernel under it: watchers take any
 * number >= 0 as a descriptor, and get the events that jg_test_script announces. Wakes, signals
 * and children still come from the real world.
 *
 * A pair of streams connected through memory stands for a connection: as slow, as small and as
 * broken as the test wants, in the loop's time.
 */
#ifndef JUGGLE_TEST_H
#define JUGGLE_TEST_H

#include <juggle/loop.h>
#include <juggle/stream.h>

JG_BEGIN_DECLS

/**
 * Let virtual time pass without running anything, as a callback that takes long would.
 *
 * delta     ns, >= 0.
 *
 * Returns   0; -EINVAL, also for a loop with real time.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_test_advance(jg_loop *loop, jg_time delta);

/**
 * Have a descriptor of a "script" loop become ready once: at time `when`, or as soon after it as a
 * watcher wants one of the events. Announcements for equal times happen in their order.
 *
 * when      ns, on the clock of the loop.
 * events    JG_READ | JG_WRITE | JG_HANGUP, or a negative error that fails the descriptor.
 *
 * Returns   0; -EINVAL, also for a loop of another backend; -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_test_script(jg_loop *loop, jg_time when, int fd, int events);

/**
 * Run what is ready in a turn in a random order, which is the same for the same seed, so that code
 * which relies on an accidental order shows. Shuffled are, each among themselves: the queued calls,
 * to which tasks that go on belong; the descriptors; and the timers with equal deadlines. What was
 * ready in an earlier turn still runs earlier. Locks, queues and their like still serve first who
 * came first.
 *
 * seed      0: back to the usual order.
 *
 * Returns   nothing.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_test_shuffle(jg_loop *loop, uint64_t seed);

/* Zeroed memory is a connection that is as good as can be; so is NULL in its place. */
typedef struct jg_test_pair_options {
    jg_stream_options stream; /* of both */
    jg_time delay; /* ns that each piece takes after the one before; 0: it is there at once */
    size_t piece;  /* bytes: what is written travels, and is read, in pieces of at most this; 0: no
                      limit */
    size_t capacity; /* bytes under way in each direction before a write has to wait; 0: 64 KiB */
} jg_test_pair_options;

/**
 * Open two streams that are connected with each other. Waiting for them does not keep the loop
 * running: if both ends wait, nothing will ever come.
 *
 * options   or NULL.
 *
 * Returns   0; -EINVAL, -ENOMEM.
 * Owns      nothing; both must stay until they are closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_test_pair(jg_loop *loop, jg_stream *a, jg_stream *b,
                        const jg_test_pair_options *options);

/**
 * Have one end of a pair fail.
 *
 * events    JG_READ, JG_WRITE or both: what fails.
 * after     bytes that it may still read, or write, before that.
 * error     negative. For reading, 0 is an end of file.
 *
 * Returns   0; -EINVAL, also for another kind of stream.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_test_pair_fail(jg_stream *stream, unsigned events, size_t after, int error);

JG_END_DECLS

#endif
