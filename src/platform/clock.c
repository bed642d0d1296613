/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "platform/clock.h"

#include <time.h>

jg_time jg__monotonic(void)
{
    struct timespec now;

    /* It can only fail for a clock that does not exist, and POSIX systems without it are gone. */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (jg_time)now.tv_sec * JG_SECOND + now.tv_nsec;
}

jg_time jg__wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (jg_time)now.tv_sec * JG_SECOND + now.tv_nsec;
}
