/* SPDX-License-Identifier: MIT
 *
 * A kqueue for tests, made of epoll, and stricter than any one kernel. The forms that systems give
 * it are in shape.c; what it can be made to do is here.
 */
#ifndef JG_TESTS_ENGINE_H
#define JG_TESTS_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { TEST_FILTER_READ, TEST_FILTER_WRITE, TEST_FILTER_USER };

/* A change or an event. The flags have the same values everywhere. */
struct test_note {
    uintptr_t ident;
    int filter;
    unsigned flags;
    unsigned fflags;
    int64_t data;
    uint64_t udata;
};

/* Where systems differ. */
struct test_kernel {
    const char *name;
    int dead_pipe;     /* the error of waiting to write to a pipe that nobody reads; 0: none */
    int no_device;     /* that of waiting for a device without events */
    bool refuses_file; /* that it can be written to */
    bool one_way;      /* the ends of a pipe know which of them is read and which is written */
    bool evaluates;    /* a note that is enabled, not only one that is added */
    bool has_user;
    jg_time tick; /* waits end at the end of the one after next */
};

extern struct test_kernel test_freebsd, test_netbsd;

/* Every so many waits end with EINTR; 0: none does. */
extern int test_interrupt_every;

/* How many calls were made. */
extern long test_kevent_calls;

/* As kqueue(2). */
int test_kqueue(struct test_kernel *kernel);

/* Make a change. Returns 0 or an error number. Anywhere. */
int test_kevent_change(int fd, const struct test_note *change);

/* Wait for at most `max` events. Returns how many came, or a negative error number. */
int test_kevent_wait(int fd, struct test_note *events, int max, const struct timespec *timeout);

#endif
