/* SPDX-License-Identifier: MIT
 *
 * Telling who has overflowed a stack, before the process dies of it.
 *
 * A handler of SIGSEGV and SIGBUS, on a signal stack, recognises an access to the guard of a taken
 * stack and reports it. Then it restores the disposition that was there before and returns, so that
 * the access faults again and has its usual end: a core dump, or whoever handled such signals. All
 * other faults go to that disposition at once.
 */
#ifndef JG_PLATFORM_OVERFLOW_H
#define JG_PLATFORM_OVERFLOW_H

#include "platform/stack.h"

/* Called by the handler: only what is async-signal-safe is allowed. */
typedef void (*jg__overflow_fn)(void *arg, jg__stack *stack);

typedef struct jg__overflow {
    struct jg__overflow *next;
    const jg__stacks *stacks;
    uintptr_t thread; /* whose faults are looked at: that which uses the pool */
    jg__overflow_fn fn;
    void *arg;
} jg__overflow;

/*
 * Report overflows of a pool that the calling thread uses. Gives the thread a signal stack unless
 * it has one, which it keeps until it ends. Returns 0 or -ENOMEM, with nothing changed.
 */
int jg__overflow_watch(jg__overflow *overflow, const jg__stacks *stacks, jg__overflow_fn fn,
                       void *arg);

/* Another thread, the calling one, uses the pool from now on. Returns 0 or -ENOMEM. */
int jg__overflow_adopt(jg__overflow *overflow);

/* Before the pool ends, on any thread. */
void jg__overflow_unwatch(jg__overflow *overflow);

/* In a forked child, where other threads and whatever they held do not exist. */
void jg__overflow_forked(void);

#endif
