/* SPDX-License-Identifier: MIT
 *
 * Escapes (RFC 3986 2.1), forms, and paths of files. An escape is undone once, after the text was
 * taken apart at the characters that separate.
 */
#include <juggle/url.h>

#include "http/chars.h"
#include "http/output.h"

/* The byte that a text begins with, unescaped: how many characters it takes, or -EINVAL. */
static int unescape(jg_text text, jg_url_escapes escapes, char *ret_byte)
{
    int high, low;

    if (text.data[0] == '+' && escapes == JG_URL_FORM) {
        *ret_byte = ' ';
        return 1;
    }
    if (text.data[0] != '%') {
        *ret_byte = text.data[0];
        return 1;
    }
    if (text.size < 3)
        return -EINVAL;
    high = jg__hex(text.data[1]);
    low = jg__hex(text.data[2]);
    if (high < 0 || low < 0)
        return -EINVAL;
    *ret_byte = (char)(high * 16 + low);
    return 3;
}

int jg_url_unescape(jg_text text, jg_url_escapes escapes, char *buffer, size_t capacity,
                    size_t *ret_size)
{
    size_t i, size = 0;
    char byte;

    /* Verify first: a failure must not leave half a result where the text was. */
    for (i = 0; i < text.size; size++) {
        int r = unescape(jg_text_of(text.data + i, text.size - i), escapes, &byte);

        if (r < 0)
            return r;
        i += (size_t)r;
    }
    if (size > capacity)
        return -ENOBUFS;
    for (i = 0, size = 0; i < text.size; size++) {
        int r = unescape(jg_text_of(text.data + i, text.size - i), escapes, &byte);

        buffer[size] = byte;
        i += (size_t)r;
    }
    if (size < capacity)
        buffer[size] = '\0';
    if (ret_size != NULL)
        *ret_size = size;
    return 0;
}

int jg_url_escape(jg_text text, jg_url_escapes escapes, char *buffer, size_t capacity,
                  size_t *ret_size)
{
    static const char digits[] = "0123456789ABCDEF";
    struct jg__output output = jg__output(buffer, capacity);
    size_t i;

    for (i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};

        if (jg__is(text.data[i], JG__UNRESERVED))
            jg__output_byte(&output, text.data[i]);
        else if (byte == ' ' && escapes == JG_URL_FORM)
            jg__output_byte(&output, '+');
        else
            jg__output_text(&output, jg_text_of(escaped, 3));
    }
    return jg__output_end(&output, ret_size);
}

bool jg_url_query_next(jg_text *rest, jg_text *ret_name, jg_text *ret_value)
{
    jg_text pair;

    while (jg__cut(rest, '&', &pair)) {
        if (pair.size == 0)
            continue;
        (void)jg__cut(&pair, '=', ret_name); /* pair has data */
        *ret_value = pair;
        return true;
    }
    return false;
}

/* Write a segment unescaped. What is in it must be one name. */
static int write_segment(struct jg__output *output, jg_text segment)
{
    char byte;

    while (segment.size > 0) {
        int r = unescape(segment, JG_URL_PLAIN, &byte);

        if (r < 0 || byte == '\0' || byte == '/')
            return -EINVAL;
        jg__output_byte(output, byte);
        segment.data += r;
        segment.size -= (size_t)r;
    }
    return 0;
}

int jg_url_file_path(jg_text path, char *buffer, size_t capacity, size_t *ret_size)
{
    struct jg__output output = jg__output(buffer, capacity);
    bool named = false; /* the path ends in a name, not in "/" or dots */
    jg_text segment, written;

    if (path.size > 0 && path.data[0] != '/')
        return -EINVAL;
    while (jg__cut(&path, '/', &segment)) {
        size_t start = output.size;
        int r = write_segment(&output, segment);

        if (r < 0)
            return r;
        jg__output_byte(&output, '/'); /* so that what is complete always ends in one */
        if (output.full)
            return -ENOBUFS;
        written = jg_text_of(output.data + start, output.size - start - 1);
        named = written.size > 0 && !jg_text_is(written, ".") && !jg_text_is(written, "..");
        if (named)
            continue;
        if (jg_text_is(written, "..")) {
            if (start == 0)
                return -EINVAL;
            do
                start--;
            while (start > 0 && output.data[start - 1] != '/');
        }
        output.size = start;
    }
    if (named)
        output.size--;
    return jg__output_end(&output, ret_size);
}
