/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/entropy.h"

#ifdef __linux__

#    include <errno.h>
#    include <unistd.h>

int jg__entropy(void *buffer, size_t size)
{
    return getentropy(buffer, size) < 0 ? -errno : 0;
}

#else

#    include <stdlib.h>

int jg__entropy(void *buffer, size_t size)
{
    arc4random_buf(buffer, size); /* on the systems that came late to getentropy, too */
    return 0;
}

#endif
