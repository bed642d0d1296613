/* SPDX-License-Identifier: MIT
 *
 * How many times something may be tried after the loop reported it ready, before it has to be
 * reported again. Once, as a rule, which spares the try that fails; twice as often each time if it
 * is found ready turn after turn. So what comes in bursts is cheap and yet keeps back nobody for
 * long. That it was ready in two turns may also mean that it is so now and then, and the loop slept
 * in between: each time a second try turns out to be one too many, more turns have to be like that.
 */
#ifndef JG_IO_GRANT_H
#define JG_IO_GRANT_H

#include <juggle/net.h>

#define JG__GRANT_MOST 64

/* It was reported ready. */
static inline void jg__grant_renew(jg__grant *grant, uint16_t turn)
{
    if (grant->size == 0 || (uint16_t)(turn - grant->turn) > 1) {
        grant->size = 1;
        grant->streak = 0;
    } else if (grant->size == 1 && grant->streak < grant->patience) {
        grant->streak++;
    } else if (grant->size < JG__GRANT_MOST) {
        grant->size *= 2;
    }
    grant->left = grant->size;
}

/* There was something. */
static inline void jg__grant_spend(jg__grant *grant, uint16_t turn)
{
    grant->left--;
    if (grant->left > 0)
        return;

    grant->turn = turn;
    if (grant->size > 1)
        grant->patience /= 2;
}

/* There was nothing any more. */
static inline void jg__grant_end(jg__grant *grant)
{
    if (grant->size == 2 && grant->patience < JG__GRANT_MOST)
        grant->patience = (uint16_t)(grant->patience * 2 + 1);
    grant->size = grant->left = 0;
}

#endif
