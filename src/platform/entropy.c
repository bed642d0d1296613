/* SPDX-License-Identifier: MIT */
#ifdef __linux__
#    define _GNU_SOURCE
#endif

#include "platform/entropy.h"

#include <errno.h>
#include <unistd.h>

#ifdef __APPLE__
#    include <sys/random.h>
#endif

int jg__entropy(void *buffer, size_t size)
{
    return getentropy(buffer, size) < 0 ? -errno : 0;
}
