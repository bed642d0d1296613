/* SPDX-License-Identifier: MIT
 *
 * How many times something may be tried after the loop reported it ready, before it has to be
 * reported again: once, as a rule, which spares the try that fails; twice as often each time if it
 * is found ready in every turn. So what comes in bursts is cheap and yet keeps back nobody for long.
 */
#ifndef JG_IO_GRANT_H
#define JG_IO_GRANT_H

#include <juggle/net.h>

#define JG__GRANT_MOST 64

/* It was reported ready. */
static inline void jg__grant_renew(jg__grant *grant, uint16_t turn)
{
    if (grant->size == 0 || (uint16_t)(turn - grant->turn) > 1)
        grant->size = 1;
    else if (grant->size < JG__GRANT_MOST)
        grant->size *= 2;
    grant->left = grant->size;
}

/* There was something. */
static inline void jg__grant_spend(jg__grant *grant, uint16_t turn)
{
    grant->left--;
    if (grant->left == 0)
        grant->turn = turn;
}

/* There was nothing any more. */
static inline void jg__grant_end(jg__grant *grant)
{
    grant->size = grant->left = 0;
}

#endif
