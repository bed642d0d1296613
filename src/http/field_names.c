/* SPDX-License-Identifier: MIT
 *
 * Recognising the names of fields: the length, the first and the last letter give the one name that
 * it can be, and comparing words of eight bytes tells whether it is.
 */
#include "http/field_names.h"

#include "http/chars.h"

/* The longest name, of three words. */
enum { MAX_SIZE = 24 };

/* In the order of jg_http_name; padded, so that words can be read. */
static const char names[JG_HTTP_NAMES][MAX_SIZE + 8] = {
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "origin",
    "range",
    "referer",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "server",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
    "user-agent",
};

/* The name that a hash stands for, or JG_HTTP_NAMES. No two names have the same. */
/* clang-format off */
static const uint8_t candidates[128] = {
    36, 36, 36, 17, 36, 20,  7, 36, 13, 36, 36, 36, 36, 36, 36, 36,
    36, 36, 27, 36, 36, 28,  3, 36, 36,  0, 36,  8, 30, 36, 36, 36,
    36,  5, 36, 36, 36, 26, 36, 36, 36, 35,  6, 36, 36, 36, 36, 36,
    36, 36, 36, 36, 36, 14, 24, 36, 36, 36, 36, 36, 36, 36, 36, 16,
    36, 36, 32, 36, 18, 36, 36, 36, 15,  2, 36, 36, 36, 34, 11, 36,
    36, 36, 36, 12, 10,  9, 36, 36, 36, 36, 36, 36, 36, 36, 22, 36,
    36, 36, 36, 25, 36, 36, 36, 36, 36, 31, 36, 36, 36, 36, 36, 29,
    36, 23, 36, 36, 36, 36,  4,  1, 36, 36, 19, 36, 36, 21, 33, 36,
};
/* clang-format on */

static unsigned hash(const char *name, size_t size)
{
    unsigned first = (uint8_t)name[0] | 0x20u, last = (uint8_t)name[size - 1] | 0x20u;

    return ((unsigned)size + first * 7 + last * 23) % sizeof(candidates);
}

/* Whether a name of at most MAX_SIZE bytes is `known`. */
static bool is(const char *name, size_t size, const char *known)
{
    if (known[size - 1] == '\0')
        return false; /* it is shorter: NULs would be taken for its padding */
    if (size < 8) {
        uint64_t mask = UINT64_MAX >> (64 - 8 * size);

        return jg__same_word(jg__word(name) & mask, jg__word(known));
    }
    return jg__same_word(jg__word(name), jg__word(known)) &&
           jg__same_word(jg__word(name + size - 8), jg__word(known + size - 8)) &&
           (size <= 16 || jg__same_word(jg__word(name + 8), jg__word(known + 8))) &&
           known[size] == '\0';
}

jg_http_name jg__http_name(const char *name, size_t size)
{
    uint8_t candidate = candidates[hash(name, size)];

    if (candidate < JG_HTTP_NAMES && size <= MAX_SIZE && is(name, size, names[candidate]))
        return (jg_http_name)candidate;
    return JG_HTTP_NAMES;
}
