/* SPDX-License-Identifier: MIT
 *
 * Lines of text for people, built in a buffer of fixed size: what does not fit is cut off. Nothing
 * here allocates.
 */
#ifndef JG_BASE_LINE_H
#define JG_BASE_LINE_H

#include <juggle/base.h>

typedef struct jg__line {
    size_t length;
    char text[320]; /* always terminated */
} jg__line;

static inline void jg__line_init(jg__line *line)
{
    line->length = 0;
    line->text[0] = '\0';
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void jg__line_add(jg__line *line, const char *format, ...);

/*
 * Add a name of whatever origin, up to 64 bytes of it, or "?" for NULL. Control characters and what
 * is not UTF-8 become question marks: on a terminal a name cannot do more than be read.
 */
void jg__line_add_name(jg__line *line, const char *name);

/* Add a span of time, in seconds. */
void jg__line_add_time(jg__line *line, jg_time span);

#endif
