/* SPDX-License-Identifier: MIT
 *
 * Memory through the allocator of a loop. alloc.c is the only caller of malloc; tests fail and
 * count allocations by giving the loop an allocator of theirs.
 */
#ifndef JG_BASE_ALLOC_H
#define JG_BASE_ALLOC_H

#include <juggle/base.h>

#define JG__CACHELINE ((size_t)64) /* on most processors */

extern const jg_allocator jg__malloc;

/* All NULL if there is no memory, with nothing changed. Sizes are those that were asked for. */
static inline void *jg__alloc(const jg_allocator *allocator, size_t size)
{
    return allocator->resize(allocator->arg, NULL, 0, size);
}

static inline void *jg__resize(const jg_allocator *allocator, void *block, size_t old_size,
                               size_t new_size)
{
    return allocator->resize(allocator->arg, block, old_size, new_size);
}

static inline void jg__free(const jg_allocator *allocator, void *block, size_t size)
{
    if (block)
        allocator->resize(allocator->arg, block, size, 0);
}

#endif
