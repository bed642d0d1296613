/* SPDX-License-Identifier: MIT
 *
 * Flows of control with a stack of their own, and the switch between them.
 *
 * A switch saves what a function call preserves: the callee-saved registers and the stack pointer,
 * in a frame on the stack that is left. Not saved are the signal mask and the floating-point
 * control registers (MXCSR and the x87 control word, FPCR, fcsr): they belong to the thread, so who
 * changes the rounding mode restores it before a switch. A context runs on one thread at a time;
 * one that is suspended may go on in another.
 *
 * Shadow stacks (x86 SHSTK, aarch64 GCS) are not supported: with SHSTK on, jg__context_make aborts
 * and says so. Indirect branch tracking and pointer authentication (IBT, BTI, PAC) are.
 *
 * There is assembly for x86-64, aarch64 and riscv64, in ELF and Mach-O; elsewhere, and if
 * JG_CONTEXT_UCONTEXT is defined, the ucontext functions of the C library do it, with one or two
 * system calls a switch.
 *
 * For debuggers: `sp` of a suspended context points to its frame, words of 8 bytes.
 *
 *   x86-64   0 r15, 1 r14, 2 r13, 3 r12, 4 rbx, 5 rbp, 6 rip
 *            then rsp = sp + 56
 *   aarch64  0 x29, 1 x30, 2–11 x19–x28, 12–19 d8–d15
 *            then sp = sp + 160 and pc = x30, which is signed if the library was built with pac-ret
 *   riscv64  0 ra, 1–12 s0–s11; with lp64d 13–24 fs0–fs11 and one unused
 *            then sp = sp + 208, or 112 without floating point, and pc = ra
 *   ucontext sp is a ucontext_t *
 *
 * The outermost frame is jg__context_begin, whose CFI says so.
 */
#ifndef JG_PLATFORM_CONTEXT_H
#define JG_PLATFORM_CONTEXT_H

#include "platform/sanitizer.h"

#if defined(JG_CONTEXT_UCONTEXT)
/* As told. */
#elif defined(__x86_64__) && defined(__LP64__)
#    define JG__CONTEXT_X86_64
#elif defined(__aarch64__) && defined(__LP64__)
#    define JG__CONTEXT_AARCH64
#elif defined(__riscv) && defined(__LP64__) && \
    (defined(__riscv_float_abi_double) || defined(__riscv_float_abi_soft))
#    define JG__CONTEXT_RISCV64
#else
#    define JG_CONTEXT_UCONTEXT
#endif

typedef struct jg__context {
    void *sp; /* of a suspended context */
#if JG__FIBERS
    jg__fiber fiber;
    void *(*entry)(void *arg);
    void *arg;
#endif
} jg__context;

/* The flow of control that is running, so that it can be switched away from. */
static inline void jg__context_current(jg__context *context)
{
    context->sp = NULL;
#if JG__FIBERS
    jg__fiber_current(&context->fiber);
#endif
}

/*
 * What an architecture provides. frame() writes the frame of a flow that has yet to start and
 * returns its sp; when entry returns, the flow is over, and what it returned is the sp to go on at.
 * swap() stores the sp of what is running and goes on at `to`. pass() does the
 * same, faster, if the flow at `to` was suspended by the same call in the source, and is likely to
 * return from there to the same functions: for the processor it looks like an ordinary return.
 */
void *jg__context_frame(void *low, size_t size, void *(*entry)(void *arg), void *arg);
void jg__context_swap(void **ret_sp, void *to);
void jg__context_pass(void **ret_sp, void *to);

/*
 * A new flow, suspended: the first switch to it calls entry(arg) on the stack of `size` bytes from
 * `low`, which may have any alignment. entry must end with `return jg__context_leave(…)`.
 */
void jg__context_make(jg__context *context, void *low, size_t size, void *(*entry)(void *arg),
                      void *arg);

/* Suspend what is running in `from` and go on with `to`. Returns when something switches back. */
static inline void jg__context_switch(jg__context *from, jg__context *to)
{
#if JG__FIBERS
    jg__fiber_depart(&from->fiber, &to->fiber, false);
#endif
    jg__context_swap(&from->sp, to->sp);
#if JG__FIBERS
    jg__fiber_arrive(&from->fiber);
#endif
}

/* The same by jg__context_pass. */
static inline void jg__context_hand_over(jg__context *from, jg__context *to)
{
#if JG__FIBERS
    jg__fiber_depart(&from->fiber, &to->fiber, false);
#endif
    jg__context_pass(&from->sp, to->sp);
#if JG__FIBERS
    jg__fiber_arrive(&from->fiber);
#endif
}

/*
 * The same for the last time: nothing may switch to `from` any more. It returns what a flow's entry
 * returns, the sp to go on at, because processors predict returns by the calls that were made. With
 * a sanitizer it does not return, because after this its own bookkeeping of the frames is gone.
 */
static inline void *jg__context_leave(jg__context *from, jg__context *to)
{
#if JG__FIBERS
    jg__fiber_depart(&from->fiber, &to->fiber, true);
    jg__context_swap(&from->sp, to->sp);
    __builtin_trap();
#else
    (void)from;
    return to->sp;
#endif
}

/* A flow that has left, or never ran, is no more: its stack may be used for something else. */
static inline void jg__context_done(jg__context *context)
{
#if JG__FIBERS
    jg__fiber_done(&context->fiber);
#else
    (void)context;
#endif
}

#endif
