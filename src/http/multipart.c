/* SPDX-License-Identifier: MIT
 *
 * Multipart bodies. Data is searched for the delimiter, CRLF "--" boundary. A boundary has no CR,
 * so a delimiter that is found in part and goes on otherwise can only begin again at the byte that
 * was wrong; and what was taken for it is known, so that it need not have been kept.
 */
#include <juggle/http_multipart.h>

#include "http/chars.h"

#include <errno.h>

enum { PREAMBLE, BEHIND_DELIMITER, PADDING, PADDING_LF, LAST_DASH, HEAD, DATA, END, FAILED };

/* RFC 2046 5.1.1: bchars, and no space at the end. */
static bool is_boundary(jg_text boundary)
{
    size_t i;

    if (boundary.size == 0 || boundary.size > 70 || boundary.data[boundary.size - 1] == ' ')
        return false;
    for (i = 0; i < boundary.size; i++) {
        char c = boundary.data[i];

        if (!jg__is_digit(c) && !jg__is_letter(c) &&
            (c == '\0' || strchr("'()+_,-./:=? ", c) == NULL))
            return false;
    }
    return true;
}

int jg_http_multipart_init(jg_http_multipart *multipart, jg_text boundary, char *buffer,
                           size_t capacity)
{
    if (!is_boundary(boundary))
        return -EINVAL;
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.data, boundary.size);
    multipart->delimiter_size = (uint8_t)(4 + boundary.size);
    multipart->head = buffer;
    multipart->head_capacity = capacity;
    multipart->head_size = 0;
    multipart->state = PREAMBLE;
    multipart->matched = 2; /* the first delimiter needs no CRLF before it */
    multipart->error = 0;
    return 0;
}

static int fail(jg_http_multipart *multipart, int error)
{
    multipart->state = FAILED;
    multipart->error = error;
    return error;
}

/* How many bytes at p, at most `size`, are the delimiter's from `matched` on. */
static size_t match(const jg_http_multipart *multipart, const char *p, size_t size)
{
    size_t left = (size_t)(multipart->delimiter_size - multipart->matched), i;

    for (i = 0; i < left && i < size && p[i] == multipart->delimiter[multipart->matched + i]; i++)
        continue;
    return i;
}

/* The length of the data before the next delimiter, or what could become one. */
static size_t plain_size(const jg_http_multipart *multipart, const char *data, size_t size)
{
    const char *p = data, *end = data + size;

    while (p < end) {
        size_t found;

        p = memchr(p, '\r', (size_t)(end - p));
        if (p == NULL)
            return size;
        found = match(multipart, p, (size_t)(end - p));
        if (found == multipart->delimiter_size || p + found == end)
            return (size_t)(p - data);
        p++;
    }
    return size;
}

/* Go on with data or with the preamble: JG_HTTP_MULTIPART_DATA or _MORE, which here means that the
   state has changed or the bytes are used up. */
static int take_data(jg_http_multipart *multipart, const char *data, size_t size, size_t *used,
                     jg_text *ret_data)
{
    size_t found;

    if (multipart->matched == 0) {
        found = plain_size(multipart, data, size);
        *ret_data = jg_text_of(data, found);
        *used += found;
        if (found > 0)
            return JG_HTTP_MULTIPART_DATA;
    }
    found = match(multipart, data, size);
    *used += found;
    multipart->matched = (uint8_t)(multipart->matched + found);
    if (multipart->matched == multipart->delimiter_size) {
        multipart->matched = 0;
        multipart->state = BEHIND_DELIMITER;
        return JG_HTTP_MULTIPART_MORE;
    }
    if (found == size)
        return JG_HTTP_MULTIPART_MORE;
    /* It was no delimiter: what was taken for one is data. */
    *ret_data = jg_text_of(multipart->delimiter, multipart->matched);
    multipart->matched = 0;
    return ret_data->size > 0 ? JG_HTTP_MULTIPART_DATA : JG_HTTP_MULTIPART_MORE;
}

/* Take the next line of a head, without its CRLF. */
static bool next_line(jg_text *rest, jg_text *ret_line)
{
    if (!jg__cut(rest, '\n', ret_line) || ret_line->size == 0)
        return false;
    ret_line->size--;
    return true;
}

/* Whether each line of the head is a field: name ":" value, none of them folded. */
static bool is_valid_head(const jg_http_multipart *multipart)
{
    jg_text rest = {multipart->head, multipart->head_size}, line, name;

    while (next_line(&rest, &line) && line.size > 0) {
        if (!jg__cut(&line, ':', &name) || line.data == NULL || !jg__all(name, JG__TOKEN) ||
            (line.size > 0 && !jg__all(line, JG__VALUE)))
            return false;
    }
    return true;
}

jg_text jg_http_multipart_field(const jg_http_multipart *multipart, const char *name)
{
    jg_text rest = {multipart->head, multipart->head_size}, line, candidate;

    while (next_line(&rest, &line) && line.size > 0) {
        (void)jg__cut(&line, ':', &candidate); /* the head was verified */
        if (jg_text_is_nocase(candidate, name))
            return jg__trim(line);
    }
    return jg_text_of(NULL, 0);
}

/* Add a byte to the head of the part. */
static int take_head(jg_http_multipart *multipart, char c)
{
    size_t size = multipart->head_size;
    char *head = multipart->head;

    if (size == multipart->head_capacity)
        return fail(multipart, -ENOBUFS);
    head[size++] = c;
    multipart->head_size = size;
    if (c == '\n' && (size < 2 || head[size - 2] != '\r'))
        return fail(multipart, -EBADMSG);
    if (c != '\n' || (size > 2 && head[size - 3] != '\n'))
        return JG_HTTP_MULTIPART_MORE;
    if (!is_valid_head(multipart))
        return fail(multipart, -EBADMSG);
    multipart->state = DATA;
    return JG_HTTP_MULTIPART_PART;
}

/* What follows a delimiter: "--", or space and CRLF. */
static int behind_delimiter(jg_http_multipart *multipart, char c)
{
    bool space = c == ' ' || c == '\t';

    switch (multipart->state) {
    case BEHIND_DELIMITER:
    case PADDING:
        if (c == '-' && multipart->state == BEHIND_DELIMITER)
            multipart->state = LAST_DASH;
        else if (space)
            multipart->state = PADDING;
        else if (c == '\r')
            multipart->state = PADDING_LF;
        else
            return fail(multipart, -EBADMSG);
        return JG_HTTP_MULTIPART_MORE;
    case PADDING_LF:
        if (c != '\n')
            return fail(multipart, -EBADMSG);
        multipart->state = HEAD;
        multipart->head_size = 0;
        return JG_HTTP_MULTIPART_MORE;
    default: /* LAST_DASH */
        if (c != '-')
            return fail(multipart, -EBADMSG);
        multipart->state = END;
        return JG_HTTP_MULTIPART_MORE;
    }
}

int jg_http_multipart_feed(jg_http_multipart *multipart, const char *data, size_t size,
                           size_t *ret_used, jg_text *ret_data)
{
    size_t used = 0;
    jg_text piece;
    int r;

    if (multipart->state == FAILED)
        return multipart->error;
    while (used < size && multipart->state != END) {
        if (multipart->state == PREAMBLE || multipart->state == DATA) {
            bool data_counts = multipart->state == DATA;

            r = take_data(multipart, data + used, size - used, &used, &piece);
            if (r == JG_HTTP_MULTIPART_DATA && data_counts) {
                *ret_data = piece;
                *ret_used = used;
                return r;
            }
            continue;
        }
        r = multipart->state == HEAD ? take_head(multipart, data[used])
                                     : behind_delimiter(multipart, data[used]);
        if (r < 0)
            return r;
        used++;
        if (r == JG_HTTP_MULTIPART_PART) {
            *ret_used = used;
            return r;
        }
    }
    if (multipart->state == END) { /* RFC 2046: what follows is to be ignored */
        *ret_used = size;
        return JG_HTTP_MULTIPART_END;
    }
    *ret_used = used;
    return JG_HTTP_MULTIPART_MORE;
}
