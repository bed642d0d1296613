/* SPDX-License-Identifier: MIT
 *
 * The common log format:
 *
 *     127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /path HTTP/1.1" 200 5
 */
#include "http/access_log.h"

#include "http/output.h"
#include "platform/address.h"
#include "platform/endpoint.h"

#include <juggle/http_field.h>

#define MOST_TEXT 400 /* bytes of the client's, each of which takes four when it is escaped */

/* Bytes that could pretend to be something else are written as \x0a. */
static void put_escaped(struct jg__output *output, jg_text text)
{
    if (text.size > MOST_TEXT)
        text.size = MOST_TEXT;
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if (c > ' ' && c < 0x7f && c != '"' && c != '\\') {
            jg__output_byte(output, (char)c);
            continue;
        }
        jg__output_string(output, "\\x");
        jg__output_byte(output, "0123456789abcdef"[c >> 4]);
        jg__output_byte(output, "0123456789abcdef"[c & 15]);
    }
}

/* "06/Nov/1994:08:49:37 +0000" of "Sun, 06 Nov 1994 08:49:37 GMT" */
static void put_date(struct jg__output *output, int64_t now)
{
    char date[JG_HTTP_DATE_SIZE];

    if (jg_http_date_format(now, date) < 0)
        return;
    date[7] = date[11] = '/';
    date[16] = ':';
    jg__output_text(output, jg_text_of(date + 5, 20));
    jg__output_string(output, " +0000");
}

/* The host of the peer, where it has one. */
static void put_peer(struct jg__output *output, const jg_http_request *request)
{
    const int fd = jg_stream_fd(jg_http_request_stream(request));
    char text[JG_ADDRESS_TEXT] = "-";
    jg_address peer;

    if (fd >= 0 && jg__endpoint_peer(fd, &peer) == 0 && jg_address_family(&peer) != JG_UNIX)
        jg__address_host(&peer, text);
    jg__output_string(output, text);
}

size_t jg__access_line(const jg_http_request *request, int64_t now, char buffer[JG__ACCESS_LINE])
{
    struct jg__output output = jg__output(buffer, JG__ACCESS_LINE);
    const jg_http_head *head = jg_http_request_head(request);
    const int status = jg_http_request_status(request);

    put_peer(&output, request);
    jg__output_string(&output, " - - [");
    put_date(&output, now);
    jg__output_string(&output, "] \"");
    if (head->target.size > 0) {
        jg_text method = jg_http_head_text(head, head->method_name);

        if (method.size > 32)
            method.size = 32;
        jg__output_text(&output, method);
        jg__output_byte(&output, ' ');
        put_escaped(&output, jg_http_head_text(head, head->target));
        jg__output_string(&output, head->minor > 0 ? " HTTP/1.1" : " HTTP/1.0");
    }
    jg__output_string(&output, "\" ");
    jg__output_number(&output, (uint64_t)status, 3);
    jg__output_byte(&output, ' ');
    if (jg_http_request_bytes_out(request) > 0)
        jg__output_number(&output, jg_http_request_bytes_out(request), 1);
    else
        jg__output_byte(&output, '-');
    jg__output_byte(&output, '\n');
    return output.size;
}
