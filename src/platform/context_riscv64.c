/* SPDX-License-Identifier: MIT
 *
 * The switch on riscv64, for the calling conventions lp64d and lp64. The frame is described in
 * context.h; the CFI holds before, between and after the change of stacks, because a frame looks
 * the same on both. jg__context_swap ends with a jump through a register other than ra, because a
 * return would be predicted to go back to the flow that is left. That is right for
 * jg__context_pass, and at the end of a flow.
 */
#include "platform/context.h"

#ifdef JG__CONTEXT_RISCV64

#    include "platform/assembly.h"

#    include <stdint.h>

/* clang-format off */
#    ifdef __riscv_float_abi_double
#        define WORDS       26
#        define SIZE        "208"
#        define FLOATS(...) __VA_ARGS__
#    else
#        define WORDS       14
#        define SIZE        "112"
#        define FLOATS(...)
#    endif

#    define SAVE(op, reg, offset) \
        "    " op " " reg ", " offset "(sp)\n    .cfi_rel_offset " reg ", " offset "\n"
#    define LOAD(op, reg, offset) \
        "    " op " " reg ", " offset "(sp)\n    .cfi_restore " reg "\n"

#    define LOAD_LAST(op, reg, offset) \
        "    " op " " reg ", " offset "(sp)\n"
#    define LOADS(load) \
    FLOATS( \
        load("fld", "fs11", "192") \
        load("fld", "fs10", "184") \
        load("fld", "fs9", "176") \
        load("fld", "fs8", "168") \
        load("fld", "fs7", "160") \
        load("fld", "fs6", "152") \
        load("fld", "fs5", "144") \
        load("fld", "fs4", "136") \
        load("fld", "fs3", "128") \
        load("fld", "fs2", "120") \
        load("fld", "fs1", "112") \
        load("fld", "fs0", "104") \
    ) \
    load("ld", "s11", "96") \
    load("ld", "s10", "88") \
    load("ld", "s9", "80") \
    load("ld", "s8", "72") \
    load("ld", "s7", "64") \
    load("ld", "s6", "56") \
    load("ld", "s5", "48") \
    load("ld", "s4", "40") \
    load("ld", "s3", "32") \
    load("ld", "s2", "24") \
    load("ld", "s1", "16") \
    load("ld", "s0", "8") \
    load("ld", "ra", "0")

#    define SWAP \
    "    addi sp, sp, -" SIZE "\n" \
    "    .cfi_adjust_cfa_offset " SIZE "\n" \
    SAVE("sd", "ra", "0") \
    SAVE("sd", "s0", "8") \
    SAVE("sd", "s1", "16") \
    SAVE("sd", "s2", "24") \
    SAVE("sd", "s3", "32") \
    SAVE("sd", "s4", "40") \
    SAVE("sd", "s5", "48") \
    SAVE("sd", "s6", "56") \
    SAVE("sd", "s7", "64") \
    SAVE("sd", "s8", "72") \
    SAVE("sd", "s9", "80") \
    SAVE("sd", "s10", "88") \
    SAVE("sd", "s11", "96") \
    FLOATS( \
        SAVE("fsd", "fs0", "104") \
        SAVE("fsd", "fs1", "112") \
        SAVE("fsd", "fs2", "120") \
        SAVE("fsd", "fs3", "128") \
        SAVE("fsd", "fs4", "136") \
        SAVE("fsd", "fs5", "144") \
        SAVE("fsd", "fs6", "152") \
        SAVE("fsd", "fs7", "160") \
        SAVE("fsd", "fs8", "168") \
        SAVE("fsd", "fs9", "176") \
        SAVE("fsd", "fs10", "184") \
        SAVE("fsd", "fs11", "192") \
    ) \
    "    sd sp, (a0)\n" \
    "    mv sp, a1\n" \
    LOADS(LOAD) \
    "    addi sp, sp, " SIZE "\n" \
    "    .cfi_adjust_cfa_offset -" SIZE "\n"

__asm__(
    JG__ASM_BEGIN(jg__context_swap)
    SWAP
    "    mv t1, ra\n"
    "    jr t1\n"
    JG__ASM_END(jg__context_swap)

    JG__ASM_BEGIN(jg__context_pass)
    SWAP
    "    ret\n"
    JG__ASM_END(jg__context_pass)

    /* entry is in s1, arg in s2. A flow starts behind the first word, a nop: its address is taken
     * for a return address, and unwinders look for the call before it. */
    JG__ASM_BEGIN(jg__context_begin)
    "    .cfi_undefined ra\n"
    "    .4byte 0x00000013\n"
    "    mv a0, s2\n"
    "    jalr s1\n"
    "    mv sp, a0\n"
    LOADS(LOAD_LAST)
    "    addi sp, sp, " SIZE "\n"
    "    ret\n"
    JG__ASM_END(jg__context_begin)
);
/* clang-format on */

extern const char jg__context_begin[];

void *jg__context_frame(void *low, size_t size, void *(*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)top - WORDS;

    for (int i = 0; i < WORDS; i++)
        frame[i] = 0; /* s0 among them, which ends the chain of frame pointers */
    frame[0] = (uintptr_t)jg__context_begin + 4;
    frame[2] = (uintptr_t)entry;
    frame[3] = (uintptr_t)arg;
    return frame;
}

#endif
