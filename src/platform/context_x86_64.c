/* SPDX-License-Identifier: MIT
 *
 * The switch on x86-64. The frame is described in context.h; the CFI holds before, between and
 * after the change of stacks, because a frame looks the same on both.
 *
 * jg__context_swap ends with a jump: a return would be predicted to go back to the flow that is
 * left, which costs three times the rest of the switch. jg__context_pass is for where a return is
 * right, as it is at the end of a flow, for whom started it.
 */
#include "platform/context.h"

#ifdef JG__CONTEXT_X86_64

#    include "platform/assembly.h"

#    include <stdint.h>

/* clang-format off */
#    define SAVE(reg) \
        "    pushq %" reg "\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset " reg ", 0\n"
#    define LOAD(reg) \
        "    popq %" reg "\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore " reg "\n"
#    define SWAP            \
        "    endbr64\n"    \
        SAVE("rbp")         \
        SAVE("rbx")         \
        SAVE("r12")         \
        SAVE("r13")         \
        SAVE("r14")         \
        SAVE("r15")         \
        "    movq %rsp, (%rdi)\n" \
        "    movq %rsi, %rsp\n"   \
        LOAD("r15")         \
        LOAD("r14")         \
        LOAD("r13")         \
        LOAD("r12")         \
        LOAD("rbx")         \
        LOAD("rbp")

__asm__(
    JG__ASM_BEGIN(jg__context_swap)
    SWAP
    "    popq %rcx\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    .cfi_register rip, rcx\n"
    "    notrack jmpq *%rcx\n"
    JG__ASM_END(jg__context_swap)

    JG__ASM_BEGIN(jg__context_pass)
    SWAP
    "    ret\n"
    JG__ASM_END(jg__context_pass)

    /* entry is in r12, arg in r13. A flow starts behind the nop: its address is taken for a return
     * address, and unwinders look for the call before it. */
    JG__ASM_BEGIN(jg__context_begin)
    "    .cfi_undefined rip\n"
    "    nop\n"
    "    movq %r13, %rdi\n"
    "    callq *%r12\n"
    "    movq %rax, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    JG__ASM_END(jg__context_begin)
);
/* clang-format on */

extern const char jg__context_begin[];

void *jg__context_frame(void *low, size_t size, void *(*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)top - 7;

    frame[0] = 0;
    frame[1] = 0;
    frame[2] = (uintptr_t)arg;
    frame[3] = (uintptr_t)entry;
    frame[4] = 0;
    frame[5] = 0; /* ends a chain of frame pointers */
    frame[6] = (uintptr_t)jg__context_begin + 1;
    return frame;
}

#endif
