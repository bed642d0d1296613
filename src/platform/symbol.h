/* SPDX-License-Identifier: MIT
 *
 * Names for addresses of code, as far as the running program knows them.
 */
#ifndef JG_PLATFORM_SYMBOL_H
#define JG_PLATFORM_SYMBOL_H

#include "base/line.h"

#define jg__address(pointer) ((uintptr_t)(pointer))

/*
 * Add `symbol+offset` if the address lies in a function that the dynamic linker knows, else
 * `module+offset`, else the bare address. In this form addr2line and debuggers take them. Functions
 * of a program are known if it was linked with -rdynamic. Does not allocate.
 */
void jg__line_add_symbol(jg__line *line, uintptr_t address);

/* The address of a call, given where it returns to, which the processor may have signed. */
uintptr_t jg__call_site(const void *return_address);

#endif
