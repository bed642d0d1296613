/* SPDX-License-Identifier: MIT
 *
 * What the tests share: loops on a checked allocator, records of what was called, descriptors, and
 * code that must run in a process of its own. It includes cmocka and the public headers.
 *
 * The functions use cmocka's assertions and thus belong to the test's thread, except where their
 * comment says "anywhere". In other threads and forked children assert with test_check.
 */
#ifndef JUGGLE_TESTS_SUPPORT_H
#define JUGGLE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <juggle.h>
#include <juggle/test.h>

/* Memory of one loop, by an allocator that checks every size it is told, moves every block that is
   resized and fills what is freed. */
struct test_memory {
    size_t live;   /* bytes */
    size_t blocks; /* the blocks that hold them */
    long calls;    /* allocations and growths so far */
    long fail_at;  /* the call that returns NULL, counted from 1; 0: none */
    void *list;    /* of the blocks, so that a leak checker sees them as reachable */
};

jg_allocator test_allocator(struct test_memory *memory);

/* A loop on such an allocator, with the backend that $JUGGLE_BACKEND names. */
jg_loop *test_loop(unsigned flags);

/* The same with options; an allocator or error hook that they lack is filled in. */
jg_loop *test_loop_with(jg_loop_options options);

/* The memory of a loop that one of the two made. Anywhere. */
struct test_memory *test_loop_memory(jg_loop *loop);

/* Free such a loop: it must have nothing started and give back all its memory. */
void test_loop_done(jg_loop *loop);

/* The letters of those who were called, in their order. */
struct test_trace {
    char letters[256];
};

struct test_mark {
    struct test_trace *trace;
    char letter;
};

/* Add a letter to a trace. Anywhere. */
void test_trace_add(struct test_trace *trace, char letter);

/* A jg_call_fn whose argument is a test_mark: adds its letter. Anywhere. */
void test_mark_call(void *arg);

/* Callbacks that count into the int they are given. Anywhere. */
void test_count_call(void *arg);
void test_count_event(void *arg, int events_or_signal_or_status);

/* How many descriptors this process has open. Anywhere. */
int test_open_descriptors(void);

/* A pair of connected, non-blocking stream sockets. */
int test_socketpair(int fds[2]);

/* The same over TCP, blocking. Anywhere. */
int test_tcp_pair(int fds[2]);

/* A child process that does nothing until it is killed, or for a minute if the test forgets it. */
int test_idle_child(void);

/* The real monotonic clock, in nanoseconds. Anywhere. */
jg_time test_clock(void);

/* Whether the program is slowed by Valgrind or a sanitizer, or runs on an emulated kernel, which
   $JUGGLE_TEST_VALGRIND and $JUGGLE_TEST_QEMU tell: what is heavy is then done less often.
   Anywhere. */
bool test_is_slow(void);
bool test_is_emulated(void);

/* Run fn(arg) in a forked child, which must return from it. What it fails is on stderr. */
void test_in_child(void (*fn)(void *arg), void *arg);

/* Run fn(arg) in a forked child, which must abort with a message that contains `message`. */
void test_expect_abort(void (*fn)(void *arg), void *arg, const char *message);

/* Have a sanitizer that ends the program call fn before. An abort is a signal and can be caught. */
void test_on_death(void (*fn)(void));

/* Have a system call fail from now on, by seccomp; false where that cannot be had. Linux only. */
bool test_deny(unsigned number, unsigned error);

/* An assertion for other threads and forked children. */
#define test_check(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, #condition))

/* Report a failed check on stderr and abort. Anywhere. */
_Noreturn void test_fail(const char *file, int line, const char *condition);

#endif
