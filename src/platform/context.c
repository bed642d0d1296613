/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/context.h"

#include "base/check.h"
#include "platform/thread.h"

#include <signal.h>

/* Whether the processor compares return addresses with a second stack, which we do not switch. */
static bool shadow_stack(void)
{
#if defined(JG__CONTEXT_X86_64) && defined(__CET__) && (__CET__ & 2)
    unsigned long pointer = 0;

    /* Does nothing where there is none. */
    __asm__ volatile("rdsspq %0" : "+r"(pointer));
    return pointer != 0;
#else
    return false;
#endif
}

#if JG__TSAN

static JG__THREAD_LOCAL sigset_t mask; /* of the thread, while it switches */

void jg__signals_hold(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
}

void jg__signals_let_go(void)
{
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

#endif

#if JG__FIBERS

static void *begin(void *arg)
{
    jg__context *context = arg;

    jg__fiber_arrive(&context->fiber);
    return context->entry(context->arg);
}

#endif

void jg__context_make(jg__context *context, void *low, size_t size, void *(*entry)(void *arg),
                      void *arg)
{
    jg__check(!shadow_stack(), "coroutines do not run with shadow stacks: turn them off, or build "
                               "with -fcf-protection=branch");
#if JG__FIBERS
    jg__fiber_make(&context->fiber, low, size);
    context->entry = entry;
    context->arg = arg;
    entry = begin;
    arg = context;
#endif
    context->sp = jg__context_frame(low, size, entry, arg);
}
