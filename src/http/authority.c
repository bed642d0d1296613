/* SPDX-License-Identifier: MIT
 *
 * Authorities. Names are letters, digits, "-", ".", "_" and "~": what RFC 3986 would allow besides,
 * escapes and delimiters, is in no host's name, and others take it for something else.
 */
#include "http/authority.h"

#include "http/chars.h"

#include <errno.h>

/* "1.2.3.4", each at most 255 and without leading zeros. */
static bool is_ipv4(jg_text text)
{
    jg_text part;
    int parts = 0;

    while (jg__cut(&text, '.', &part)) {
        unsigned value = 0;
        size_t i;

        if (part.size == 0 || part.size > 3 || (part.size > 1 && part.data[0] == '0'))
            return false;
        for (i = 0; i < part.size; i++) {
            if (!jg__is_digit(part.data[i]))
                return false;
            value = value * 10 + (unsigned)(part.data[i] - '0');
        }
        if (value > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

static bool is_group(jg_text text)
{
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (jg__hex(text.data[i]) < 0)
            return false;
    }
    return text.size >= 1 && text.size <= 4;
}

/* RFC 4291 2.2: eight groups, the last two maybe as IPv4; "::" once, for at least one group. */
static bool is_ipv6(jg_text text)
{
    int groups = 0, gaps = 0;
    jg_text part;

    if (text.size < 2)
        return false;
    if (text.data[0] == ':') { /* only as a part of "::" */
        if (text.data[1] != ':')
            return false;
        text.data++;
        text.size--;
    }
    while (jg__cut(&text, ':', &part)) {
        if (part.size == 0 && text.data != NULL) {
            gaps++;
            if (text.size == 0) /* "::" at the end */
                break;
        } else if (text.data == NULL && is_ipv4(part)) {
            groups += 2;
        } else if (is_group(part)) {
            groups++;
        } else {
            return false;
        }
    }
    return gaps == 0 ? groups == 8 : gaps == 1 && groups < 8;
}

static bool parse_port(const char *p, const char *end, uint16_t *ret_port)
{
    unsigned port = 0;

    if (end - p > 5)
        return false;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(uint8_t)*p - '0';

        if (digit > 9)
            return false;
        port = port * 10 + digit;
    }
    if (port == 0 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

int jg__authority_parse(jg_text text, struct jg__authority *ret_authority)
{
    const char *host = text.data, *p = host, *end = host + text.size;
    bool ipv6 = text.size > 0 && *p == '[';
    uint16_t port = 0;

    if (ipv6) {
        p = memchr(host, ']', text.size);
        host++;
        if (p == NULL || !is_ipv6(jg_text_of(host, (size_t)(p - host))))
            return -EINVAL;
    } else {
        while (p < end && jg__is(*p, JG__UNRESERVED))
            p++;
        if (p == host)
            return -EINVAL;
    }
    text.size = (size_t)(p - host);
    if (ipv6)
        p++;
    if (p < end && (*p != ':' || !parse_port(p + 1, end, &port)))
        return -EINVAL;
    ret_authority->host = jg_text_of(host, text.size);
    ret_authority->port = port;
    ret_authority->ipv6 = ipv6;
    return 0;
}
