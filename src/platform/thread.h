/* SPDX-License-Identifier: MIT
 *
 * Which thread and which process this is, cheaply enough to ask in every call.
 */
#ifndef JG_PLATFORM_THREAD_H
#define JG_PLATFORM_THREAD_H

#include <pthread.h>
#include <stdint.h>

/*
 * A thread-local variable, found in one instruction from the shared library, too, if it may take up
 * the space that glibc keeps for libraries which are loaded later than the program. Elsewhere they
 * could not be, and it takes a call.
 */
#if defined(__GLIBC__) && defined(__ELF__)
#    define JG__THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#    define JG__THREAD_LOCAL _Thread_local
#endif

/* A number that no two living threads share: the thread pointer, in one instruction. */
static inline uintptr_t jg__thread_self(void)
{
#if defined(__x86_64__) && defined(__linux__) && !defined(__ILP32__)
    uintptr_t self;

    __asm__("mov %%fs:0, %0" : "=r"(self));
    return self;
#elif defined(__aarch64__) && defined(__linux__)
    uintptr_t self;

    __asm__("mrs %0, tpidr_el0" : "=r"(self));
    return self;
#else
    return (uintptr_t)pthread_self();
#endif
}

/* Let other threads run. */
void jg__thread_yield(void);

/* How many forks lie between this process and the one that called jg__fork_watch first. */
extern unsigned jg__fork_count;

/* Count forks from now on. Returns 0 or -ENOMEM. Any thread. */
int jg__fork_watch(void);

#endif
