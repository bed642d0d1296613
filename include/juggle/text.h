/* SPDX-License-Identifier: MIT
 *
 * Text in somebody else's memory: a pointer and a length, no terminator. Parsers answer with texts
 * that lie in what they were given; such a text is valid as long as that memory stays as it is.
 */
#ifndef JUGGLE_TEXT_H
#define JUGGLE_TEXT_H

#include <juggle/base.h>

JG_BEGIN_DECLS

typedef struct jg_text {
    const char *data; /* NULL: there is none, as opposed to an empty one */
    size_t size;      /* bytes */
} jg_text;

static inline jg_text jg_text_of(const char *data, size_t size)
{
    jg_text text;

    text.data = data;
    text.size = size;
    return text;
}

/* The text of a string, which may be NULL. */
JG_API jg_text jg_text_from(const char *string);

/* Whether a text equals a string; the second compares ASCII letters without their case. */
JG_API bool jg_text_is(jg_text text, const char *string);
JG_API bool jg_text_is_nocase(jg_text text, const char *string);

JG_END_DECLS

#endif
