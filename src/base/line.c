/* SPDX-License-Identifier: MIT */
#include "base/line.h"

#include <stdarg.h>
#include <stdio.h>

#define LONGEST_NAME 64

void jg__line_add(jg__line *line, const char *format, ...)
{
    size_t room = sizeof(line->text) - line->length;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (n > 0)
        line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes the printable character at the start of a string has; 0 if there is none. */
static size_t printable(const char *string)
{
    const unsigned char *s = (const unsigned char *)string;
    size_t size;

    if (s[0] >= 0x20 && s[0] < 0x7f)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    if (s[0] == 0xc2 && s[1] < 0xa0)
        return 0; /* control characters, the second time */

    size = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < size; i++) {
        if (!is_continuation(s[i]))
            return 0;
    }
    return size;
}

void jg__line_add_name(jg__line *line, const char *name)
{
    const char *start;

    if (!name)
        name = "?";
    start = name;
    while (*name && name - start < LONGEST_NAME) {
        size_t size = printable(name);

        if (size == 0)
            jg__line_add(line, "?");
        else if (line->length + size < sizeof(line->text))
            jg__line_add(line, "%.*s", (int)size, name);
        name += size ? size : 1;
    }
    if (*name)
        jg__line_add(line, "...");
}

void jg__line_add_time(jg__line *line, jg_time span)
{
    jg__line_add(line, "%lld.%03d s", (long long)(span / JG_SECOND),
                 (int)(span % JG_SECOND / JG_MILLISECOND));
}
