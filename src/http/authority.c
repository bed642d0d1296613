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

static bool parse_port(jg_text text, uint16_t *ret_port)
{
    unsigned port = 0;
    size_t i;

    if (text.size == 0 || text.size > 5)
        return false;
    for (i = 0; i < text.size; i++) {
        if (!jg__is_digit(text.data[i]))
            return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

int jg__authority_parse(jg_text text, struct jg__authority *ret_authority)
{
    struct jg__authority authority = {{text.data, 0}, 0, false};
    size_t size = 0; /* of the host with its brackets */

    if (text.size > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.size);

        if (end == NULL)
            return -EINVAL;
        authority.ipv6 = true;
        authority.host = jg_text_of(text.data + 1, (size_t)(end - text.data) - 1);
        if (!is_ipv6(authority.host))
            return -EINVAL;
        size = authority.host.size + 2;
    } else {
        while (size < text.size && jg__is(text.data[size], JG__UNRESERVED))
            size++;
        if (size == 0)
            return -EINVAL;
        authority.host.size = size;
    }
    if (size < text.size) {
        jg_text port = {text.data + size + 1, text.size - size - 1};

        if (text.data[size] != ':' || !parse_port(port, &authority.port))
            return -EINVAL;
    }
    *ret_authority = authority;
    return 0;
}
