/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/symbol.h"

#include <dlfcn.h>
#include <string.h>
#ifdef __ELF__
#    include <elf.h>
#endif

/* Whether offsets into a module count from 0 and not from where it was mapped. */
static bool is_fixed(const void *base)
{
#ifdef __ELF__
    uint16_t type; /* at the same place in headers of both sizes */

    memcpy(&type, (const char *)base + offsetof(Elf64_Ehdr, e_type), sizeof(type));
    return type == ET_EXEC;
#else
    (void)base;
    return false;
#endif
}

static const char *file_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void add_offset(jg__line *line, const char *from, uintptr_t offset)
{
    jg__line_add_name(line, from);
    if (offset > 0)
        jg__line_add(line, "+0x%llx", (unsigned long long)offset);
}

void jg__line_add_symbol(jg__line *line, uintptr_t address)
{
    Dl_info info;

    if (dladdr((const void *)address, &info) == 0 || !info.dli_fname)
        jg__line_add(line, "0x%llx", (unsigned long long)address);
    else if (info.dli_sname && info.dli_saddr)
        add_offset(line, info.dli_sname, address - jg__address(info.dli_saddr));
    else if (is_fixed(info.dli_fbase))
        add_offset(line, file_of(info.dli_fname), address);
    else
        add_offset(line, file_of(info.dli_fname), address - jg__address(info.dli_fbase));
}

uintptr_t jg__call_site(const void *return_address)
{
    uintptr_t address = jg__address(return_address);

#if defined(__aarch64__)
    /* xpaclri: take the signature off, or do nothing on processors that make none. */
    register uintptr_t link __asm__("x30") = address;

    __asm__("hint 7" : "+r"(link));
    address = link;
#endif
    return address - 1; /* within the call, which may be the last thing in its function */
}
