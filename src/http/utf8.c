/* SPDX-License-Identifier: MIT
 *
 * UTF-8, by the table of well-formed byte sequences: only the second byte of a character has bounds
 * of its own, which depend on the first one.
 */
#include "http/utf8.h"

#include "http/chars.h"

/* Begin a character with a byte that is not ASCII. */
static bool begin(struct jg__utf8 *utf8, uint8_t byte)
{
    utf8->low = 0x80;
    utf8->high = 0xbf;
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    utf8->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte == 0xe0)
        utf8->low = 0xa0;
    else if (byte == 0xed)
        utf8->high = 0x9f;
    else if (byte == 0xf0)
        utf8->low = 0x90;
    else if (byte == 0xf4)
        utf8->high = 0x8f;
    return true;
}

bool jg__utf8_feed(struct jg__utf8 *utf8, jg_text text)
{
    const char *p = text.data, *end = p + text.size;

    while (p < end) {
        uint8_t byte = (uint8_t)*p;

        if (utf8->left > 0) {
            if (byte < utf8->low || byte > utf8->high)
                return false;
            utf8->left--;
            utf8->low = 0x80;
            utf8->high = 0xbf;
        } else if (byte >= 0x80) {
            if (!begin(utf8, byte))
                return false;
        } else if (end - p >= 8 && (jg__word(p) & JG__BYTES(0x80)) == 0) {
            p += 8;
            continue;
        }
        p++;
    }
    return true;
}
