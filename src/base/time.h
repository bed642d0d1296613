/* SPDX-License-Identifier: MIT
 *
 * Saturating arithmetic on jg_time: sums never wrap, so a far deadline is never a near one.
 */
#ifndef JG_BASE_TIME_H
#define JG_BASE_TIME_H

#include <juggle/base.h>

static inline jg_time jg__time_add(jg_time a, jg_time b)
{
    jg_time sum;

    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? JG_FOREVER : INT64_MIN;
}

/* What is left until `deadline`: 0 if it has passed, JG_FOREVER if it never comes. */
static inline jg_time jg__time_until(jg_time deadline, jg_time now)
{
    if (deadline == JG_FOREVER)
        return JG_FOREVER;
    return deadline > now ? deadline - now : 0;
}

#endif
