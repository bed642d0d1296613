/* SPDX-License-Identifier: MIT
 *
 * Functions in assembly, at the top level of C files: the compiler then adds the notes that an
 * object file needs (no executable stack; branch protection as it was asked for), and there is
 * nothing to build but C. The symbols are hidden.
 */
#ifndef JG_PLATFORM_ASSEMBLY_H
#define JG_PLATFORM_ASSEMBLY_H

#define JG__STRING(x)        #x
#define JG__EXPANDED(x)      JG__STRING(x)
#define JG__ASM_SYMBOL(name) JG__EXPANDED(__USER_LABEL_PREFIX__) #name

/* clang-format off */
#ifdef __APPLE__
#    define JG__ASM_BEGIN(name)                         \
        "    .text\n"                                   \
        "    .p2align 4\n"                              \
        "    .private_extern " JG__ASM_SYMBOL(name) "\n" \
        "    .globl " JG__ASM_SYMBOL(name) "\n"         \
        JG__ASM_SYMBOL(name) ":\n"                      \
        "    .cfi_startproc\n"
#    define JG__ASM_END(name) \
        "    .cfi_endproc\n"
#else
#    define JG__ASM_BEGIN(name)                         \
        "    .pushsection .text\n"                      \
        "    .p2align 4\n"                              \
        "    .hidden " JG__ASM_SYMBOL(name) "\n"        \
        "    .globl " JG__ASM_SYMBOL(name) "\n"         \
        "    .type " JG__ASM_SYMBOL(name) ", %function\n" \
        JG__ASM_SYMBOL(name) ":\n"                      \
        "    .cfi_startproc\n"
#    define JG__ASM_END(name)                           \
        "    .cfi_endproc\n"                            \
        "    .size " JG__ASM_SYMBOL(name) ", .-" JG__ASM_SYMBOL(name) "\n" \
        "    .popsection\n"
#endif
/* clang-format on */

#endif
