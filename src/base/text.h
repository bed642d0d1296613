/* SPDX-License-Identifier: MIT
 *
 * Lines of text for people, built in a buffer of fixed size: what does not fit is cut off. Nothing
 * here allocates.
 */
#ifndef JG_BASE_TEXT_H
#define JG_BASE_TEXT_H

#include <juggle/base.h>

typedef struct jg__text {
    size_t length;
    char line[320]; /* always terminated */
} jg__text;

static inline void jg__text_init(jg__text *text)
{
    text->length = 0;
    text->line[0] = '\0';
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void jg__text_add(jg__text *text, const char *format, ...);

/*
 * Add a name of whatever origin, up to 64 bytes of it, or "?" for NULL. Control characters and what
 * is not UTF-8 become question marks: on a terminal a name cannot do more than be read.
 */
void jg__text_add_name(jg__text *text, const char *name);

/* Add a span of time, in seconds. */
void jg__text_add_time(jg__text *text, jg_time span);

#endif
