/* SPDX-License-Identifier: MIT
 *
 * The switch on aarch64. The frame is described in context.h; the CFI holds before, between and
 * after the change of stacks, because a frame looks the same on both.
 *
 * Branch protection is written as hints, which are no-operations on processors without it.
 */
#include "platform/context.h"

#ifdef JG__CONTEXT_AARCH64

#    include "platform/assembly.h"

#    include <stdint.h>

/* paciasp is a landing pad too. */
#    ifdef __ARM_FEATURE_PAC_DEFAULT
#        define LAND_AND_SIGN              \
            "    hint #25 /* paciasp */\n" \
            "    .cfi_negate_ra_state\n"
#        define AUTHENTICATE_LAST "    hint #29 /* autiasp */\n"
#        define AUTHENTICATE      AUTHENTICATE_LAST "    .cfi_negate_ra_state\n"
#    else
#        define LAND_AND_SIGN     "    hint #34 /* bti c */\n"
#        define AUTHENTICATE_LAST ""
#        define AUTHENTICATE      ""
#    endif

/*
 * A return would be predicted to go back to the flow that is left, which is right for
 * jg__context_pass alone, and at the end of a flow; but a jump must not go behind a call where
 * branch targets are checked.
 */
#    ifdef __ARM_FEATURE_BTI_DEFAULT
#        define RESUME "    ret\n"
#    else
#        define RESUME "    br x30\n"
#    endif

/* clang-format off */
#    define LOADS \
    "    ldp d14, d15, [sp, #144]\n" \
    "    ldp d12, d13, [sp, #128]\n" \
    "    ldp d10, d11, [sp, #112]\n" \
    "    ldp d8, d9, [sp, #96]\n" \
    "    ldp x27, x28, [sp, #80]\n" \
    "    ldp x25, x26, [sp, #64]\n" \
    "    ldp x23, x24, [sp, #48]\n" \
    "    ldp x21, x22, [sp, #32]\n" \
    "    ldp x19, x20, [sp, #16]\n" \
    "    ldp x29, x30, [sp], #160\n"

#    define SWAP \
    LAND_AND_SIGN \
    "    stp x29, x30, [sp, #-160]!\n" \
    "    .cfi_adjust_cfa_offset 160\n" \
    "    .cfi_rel_offset x29, 0\n" \
    "    .cfi_rel_offset x30, 8\n" \
    "    stp x19, x20, [sp, #16]\n" \
    "    .cfi_rel_offset x19, 16\n" \
    "    .cfi_rel_offset x20, 24\n" \
    "    stp x21, x22, [sp, #32]\n" \
    "    .cfi_rel_offset x21, 32\n" \
    "    .cfi_rel_offset x22, 40\n" \
    "    stp x23, x24, [sp, #48]\n" \
    "    .cfi_rel_offset x23, 48\n" \
    "    .cfi_rel_offset x24, 56\n" \
    "    stp x25, x26, [sp, #64]\n" \
    "    .cfi_rel_offset x25, 64\n" \
    "    .cfi_rel_offset x26, 72\n" \
    "    stp x27, x28, [sp, #80]\n" \
    "    .cfi_rel_offset x27, 80\n" \
    "    .cfi_rel_offset x28, 88\n" \
    "    stp d8, d9, [sp, #96]\n" \
    "    .cfi_rel_offset d8, 96\n" \
    "    .cfi_rel_offset d9, 104\n" \
    "    stp d10, d11, [sp, #112]\n" \
    "    .cfi_rel_offset d10, 112\n" \
    "    .cfi_rel_offset d11, 120\n" \
    "    stp d12, d13, [sp, #128]\n" \
    "    .cfi_rel_offset d12, 128\n" \
    "    .cfi_rel_offset d13, 136\n" \
    "    stp d14, d15, [sp, #144]\n" \
    "    .cfi_rel_offset d14, 144\n" \
    "    .cfi_rel_offset d15, 152\n" \
    "    mov x2, sp\n" \
    "    str x2, [x0]\n" \
    "    mov sp, x1\n" \
    LOADS \
    "    .cfi_adjust_cfa_offset -160\n" \
    "    .cfi_restore x29\n" \
    "    .cfi_restore x30\n" \
    "    .cfi_restore x19\n" \
    "    .cfi_restore x20\n" \
    "    .cfi_restore x21\n" \
    "    .cfi_restore x22\n" \
    "    .cfi_restore x23\n" \
    "    .cfi_restore x24\n" \
    "    .cfi_restore x25\n" \
    "    .cfi_restore x26\n" \
    "    .cfi_restore x27\n" \
    "    .cfi_restore x28\n" \
    "    .cfi_restore d8\n" \
    "    .cfi_restore d9\n" \
    "    .cfi_restore d10\n" \
    "    .cfi_restore d11\n" \
    "    .cfi_restore d12\n" \
    "    .cfi_restore d13\n" \
    "    .cfi_restore d14\n" \
    "    .cfi_restore d15\n"

__asm__(
    JG__ASM_BEGIN(jg__context_swap)
    SWAP
    AUTHENTICATE
    RESUME
    JG__ASM_END(jg__context_swap)
);

__asm__(
    JG__ASM_BEGIN(jg__context_pass)
    SWAP
    AUTHENTICATE
    "    ret\n"
    JG__ASM_END(jg__context_pass)

    /* entry is in x19, arg in x20. A flow starts behind the nop: its address is taken for a return
     * address, and unwinders look for the call before it. */
    JG__ASM_BEGIN(jg__context_begin)
    "    .cfi_undefined x30\n"
    "    nop\n"
    "    mov x0, x20\n"
    "    blr x19\n"
    "    mov sp, x0\n"
    LOADS
    AUTHENTICATE_LAST
    "    ret\n"
    JG__ASM_END(jg__context_begin)
);
/* clang-format on */

extern const char jg__context_begin[];

/* Sign a return address as paciasp does when the stack pointer is `sp`. */
static uintptr_t sign(uintptr_t address, uintptr_t sp)
{
#    ifdef __ARM_FEATURE_PAC_DEFAULT
    register uintptr_t x17 __asm__("x17") = address;
    register uintptr_t x16 __asm__("x16") = sp;

    __asm__("hint #8 /* pacia1716 */" : "+r"(x17) : "r"(x16));
    return x17;
#    else
    (void)sp;
    return address;
#    endif
}

void *jg__context_frame(void *low, size_t size, void *(*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)top - 20;

    for (int i = 0; i < 20; i++)
        frame[i] = 0; /* x29 among them, which ends the chain of frame pointers */
    frame[1] = sign((uintptr_t)jg__context_begin + 4, top);
    frame[2] = (uintptr_t)entry;
    frame[3] = (uintptr_t)arg;
    return frame;
}

#endif
