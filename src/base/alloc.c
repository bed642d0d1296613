/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <stdlib.h>

static void *malloc_resize(void *arg, void *block, size_t old_size, size_t new_size)
{
    (void)arg;
    (void)old_size;
    if (new_size > 0)
        return realloc(block, new_size);

    free(block);
    return NULL;
}

const jg_allocator jg__malloc = {malloc_resize, NULL};
