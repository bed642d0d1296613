/* SPDX-License-Identifier: MIT
 *
 * Comparing texts with strings. Case is that of ASCII: no locale has a say in a protocol.
 */
#include <juggle/text.h>

#include "http/chars.h"

#include <string.h>

jg_text jg_text_from(const char *string)
{
    return jg_text_of(string, string != NULL ? strlen(string) : 0);
}

bool jg_text_is(jg_text text, const char *string)
{
    size_t size = strlen(string);

    return text.size == size && text.data != NULL && memcmp(text.data, string, size) == 0;
}

bool jg_text_is_nocase(jg_text text, const char *string)
{
    size_t i;

    if (text.data == NULL)
        return false;
    for (i = 0; i < text.size; i++) {
        char a = text.data[i], b = string[i];

        if (b == '\0' || (a != b && jg__lower(a) != jg__lower(b)))
            return false;
    }
    return string[i] == '\0';
}
