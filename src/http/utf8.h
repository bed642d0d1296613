/* SPDX-License-Identifier: MIT
 *
 * Verifying UTF-8 that comes in pieces (RFC 3629): no overlong forms, no surrogates, nothing beyond
 * U+10FFFF.
 */
#ifndef JG_HTTP_UTF8_H
#define JG_HTTP_UTF8_H

#include <juggle/text.h>

/* Zeroed: at the beginning of a character. */
struct jg__utf8 {
    uint8_t left; /* bytes that the current character still needs */
    uint8_t low;  /* between which the next of them must lie */
    uint8_t high;
};

/* Whether what came so far is the beginning of valid text; `left` tells if a character is cut. */
bool jg__utf8_feed(struct jg__utf8 *utf8, jg_text text);

#endif
