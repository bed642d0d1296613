/* SPDX-License-Identifier: MIT
 *
 * The switch by the C library. The ucontext_t of a suspended flow lies on its own stack.
 */
#define _XOPEN_SOURCE 700

#include "platform/context.h"

#ifdef JG_CONTEXT_UCONTEXT

#    include <stdint.h>
#    include <ucontext.h>

struct start {
    ucontext_t context;
    void *(*entry)(void *arg);
    void *arg;
};

void jg__context_swap(void **ret_from, void *to)
{
    ucontext_t from;

    *ret_from = &from;
    (void)swapcontext(&from, to); /* fails only for a stack too small, with makecontext */
}

void jg__context_pass(void **ret_from, void *to)
{
    jg__context_swap(ret_from, to);
}

/* The arguments of a context are ints: a pointer comes in two halves. */
static void begin(unsigned high, unsigned low)
{
    const struct start *start = (const struct start *)((uintptr_t)high << 16 << 16 | low);

    (void)setcontext(start->entry(start->arg)); /* does not return */
}

void *jg__context_frame(void *low, size_t size, void *(*entry)(void *arg), void *arg)
{
    uintptr_t place = ((uintptr_t)low + size - sizeof(struct start)) & ~(uintptr_t)63;
    struct start *start = (struct start *)place;

    (void)getcontext(&start->context); /* cannot fail */
    start->context.uc_stack.ss_sp = low;
    start->context.uc_stack.ss_size = place - (uintptr_t)low;
    start->context.uc_link = NULL;
    start->entry = entry;
    start->arg = arg;
    makecontext(&start->context, (void (*)(void))begin, 2, (unsigned)(place >> 16 >> 16),
                (unsigned)place);
    return &start->context;
}

#endif
