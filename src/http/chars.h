/* SPDX-License-Identifier: MIT
 *
 * What each byte may be a part of, as one table of bits; and words of eight bytes, which are looked
 * at in one go where most bytes need no decision.
 */
#ifndef JG_HTTP_CHARS_H
#define JG_HTTP_CHARS_H

#include <juggle/text.h>

#include <string.h>

enum {
    JG__TOKEN = 1 << 0,      /* RFC 9110 5.6.2: tchar */
    JG__PATH = 1 << 1,       /* a request target up to its query; see below */
    JG__TARGET = 1 << 2,     /* a request target */
    JG__VALUE = 1 << 3,      /* RFC 9110 5.5: a field's value, with space, tab and obs-text */
    JG__UNRESERVED = 1 << 4, /* RFC 3986 2.3 */
    JG__COOKIE = 1 << 5,     /* RFC 6265 4.1.1: cookie-octet */
    JG__SCHEME = 1 << 6,     /* RFC 3986 3.1, after the first letter */
};

/* Targets are visible ASCII but `"`, `#`, `<` and `>`: RFC 3986 and the few characters more that
   browsers do not escape in a query, such as "|" and "{". */
extern const uint8_t jg__chars[256];

static inline bool jg__is(char c, unsigned set)
{
    return (jg__chars[(uint8_t)c] & set) != 0;
}

static inline bool jg__is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char jg__lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool jg__is_letter(char c)
{
    return jg__lower(c) >= 'a' && jg__lower(c) <= 'z';
}

/* The value of a hexadecimal digit, or -1. */
static inline int jg__hex(char c)
{
    if (jg__is_digit(c))
        return c - '0';
    c = jg__lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether a text has characters, and all of them are of the set. */
static inline bool jg__all(jg_text text, unsigned set)
{
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (!jg__is(text.data[i], set))
            return false;
    }
    return text.size > 0;
}

/* A text without the spaces and tabs around it. */
static inline jg_text jg__trim(jg_text text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Take the text up to the first `separator` from `rest`, which is left with what follows it: with
   no data where the text was the last. False if there was no data to begin with. */
static inline bool jg__cut(jg_text *rest, char separator, jg_text *ret_text)
{
    const char *end;

    if (rest->data == NULL)
        return false;
    end = rest->size > 0 ? (const char *)memchr(rest->data, separator, rest->size) : NULL;
    if (end == NULL) {
        *ret_text = *rest;
        *rest = jg_text_of(NULL, 0);
        return true;
    }
    *ret_text = jg_text_of(rest->data, (size_t)(end - rest->data));
    *rest = jg_text_of(end + 1, rest->size - ret_text->size - 1);
    return true;
}

/* Eight times the same byte. */
#define JG__BYTES(byte) (UINT64_C(0x0101010101010101) * (uint8_t)(byte))

/* Eight bytes, the first one lowest. */
static inline uint64_t jg__word(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        word = __builtin_bswap64(word);
    return word;
}

/* The top bit of each zero byte; those above the lowest zero byte may be wrong, none below is. */
static inline uint64_t jg__zero_bytes(uint64_t word)
{
    return (word - JG__BYTES(1)) & ~word & JG__BYTES(0x80);
}

/* The index of the lowest byte that has its top bit set in a mask, which is not 0. */
static inline unsigned jg__first_byte(uint64_t mask)
{
    return (unsigned)__builtin_ctzll(mask) / 8;
}

/* Whether a word is that of a known text in lower case, but for the case of its letters. In the
   known text these are the bytes that have the bit 0x40. */
static inline bool jg__same_word(uint64_t word, uint64_t known)
{
    return (word | (known & JG__BYTES(0x40)) >> 1) == known;
}

/* Those bytes of a word that are controls or DEL, with the inexactness of jg__zero_bytes. */
static inline uint64_t jg__control_bytes(uint64_t word)
{
    uint64_t controls = (word - JG__BYTES(0x20)) & ~word & JG__BYTES(0x80);

    return controls | jg__zero_bytes(word ^ JG__BYTES(0x7f));
}

/* The first byte from p on that no field's value has, or `end`. */
static inline const char *jg__skip_value(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t stops = jg__control_bytes(jg__word(p));

        if (stops == 0) {
            p += 8;
            continue;
        }
        p += jg__first_byte(stops);
        if (*p != '\t')
            return p;
        p++;
    }
    while (p < end && jg__is(*p, JG__VALUE))
        p++;
    return p;
}

#endif
