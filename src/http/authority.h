/* SPDX-License-Identifier: MIT
 *
 * The authority of a URL and the value of Host: host [ ":" port ], RFC 3986 3.2 without user
 * information.
 */
#ifndef JG_HTTP_AUTHORITY_H
#define JG_HTTP_AUTHORITY_H

#include <juggle/text.h>

struct jg__authority {
    jg_text host;  /* not empty; an IPv6 address without its brackets */
    uint16_t port; /* 0 if there is none */
    bool ipv6;
};

/* 0, or -EINVAL with *ret_authority untouched. */
int jg__authority_parse(jg_text text, struct jg__authority *ret_authority);

#endif
