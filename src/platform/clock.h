/* SPDX-License-Identifier: MIT
 *
 * The clock of a loop: the system's monotonic one, or a virtual one that moves when it is told.
 */
#ifndef JG_PLATFORM_CLOCK_H
#define JG_PLATFORM_CLOCK_H

#include <juggle/base.h>

typedef struct jg__clock {
    bool is_virtual;
    jg_time virtual_now;
} jg__clock;

/* Nanoseconds of CLOCK_MONOTONIC: it stands still while the machine is suspended. */
jg_time jg__monotonic(void);

/* Nanoseconds since 1970, by a clock that may be set at any time. */
jg_time jg__wall_clock(void);

static inline jg_time jg__clock_now(const jg__clock *clock)
{
    return clock->is_virtual ? clock->virtual_now : jg__monotonic();
}

#endif
