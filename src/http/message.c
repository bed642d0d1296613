/* SPDX-License-Identifier: MIT
 *
 * Framing and persistence, RFC 9112 section 6 and 9. A message that gives two answers to where its
 * body ends is refused, even where the RFC has a rule for which answer wins: recipients that do not
 * follow it are what request smuggling lives from.
 */
#include "http/message.h"

#include <juggle/http_field.h>

#include "http/authority.h"
#include "http/chars.h"

/* jg_http_parser.options */
enum { OPTION_CLOSE = 1, OPTION_KEEP_ALIVE = 2, OPTION_UPGRADE = 4, OPTION_CONTINUE = 8 };

static bool is_known(const jg_http_head *head, jg_http_name name)
{
    return (head->known >> name & 1) != 0;
}

/* RFC 9112 3.2: one Host, and a valid one. It may be empty where a URI has no host. */
static int take_host(jg_http_parser *parser, jg_http_span value)
{
    jg_http_head *head = &parser->head;
    struct jg__authority authority;

    if (parser->response)
        return 0;
    if (is_known(head, JG_HTTP_HOST))
        return JG_EHTTP_HOST;
    if (value.size > 0 && jg__authority_parse(jg_http_head_text(head, value), &authority) < 0)
        return JG_EHTTP_HOST;
    if (head->authority.size == 0)
        head->authority = value;
    return 0;
}

/* RFC 9110 8.6: digits. Repetition is refused even of the same value. */
static int take_length(jg_http_head *head, jg_text value)
{
    uint64_t length = 0;
    size_t i;

    if (is_known(head, JG_HTTP_CONTENT_LENGTH) || value.size == 0)
        return JG_EHTTP_LENGTH;
    for (i = 0; i < value.size; i++) {
        if (!jg__is_digit(value.data[i]) || length > (INT64_MAX - 9) / 10)
            return JG_EHTTP_LENGTH;
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    head->content_length = length;
    return 0;
}

/* RFC 9112 6.1 and 7: chunked, once, as the last coding; and we know no other. */
static int take_coding(const jg_http_head *head, jg_text value)
{
    bool chunked = false;
    jg_text coding;

    if (is_known(head, JG_HTTP_TRANSFER_ENCODING))
        return JG_EHTTP_CODING;
    if (jg_text_is_nocase(value, "chunked"))
        return 0;
    while (jg__cut(&value, ',', &coding)) {
        coding = jg__trim(coding);
        if (chunked || coding.size == 0)
            return JG_EHTTP_CODING;
        chunked = jg_text_is_nocase(coding, "chunked");
    }
    return chunked ? JG_EHTTP_UNSUPPORTED : JG_EHTTP_CODING;
}

/* "keep-alive", in words that overlap: most connections have it in each request. */
static bool is_keep_alive(const char *option)
{
    static const char known[] = "keep-alive";

    return jg__same_word(jg__word(option), jg__word(known)) &&
           jg__same_word(jg__word(option + 2), jg__word(known + 2));
}

static unsigned option_of(jg_text option)
{
    switch (option.size) {
    case 5:
        return jg_text_is_nocase(option, "close") ? OPTION_CLOSE : 0;
    case 7:
        return jg_text_is_nocase(option, "upgrade") ? OPTION_UPGRADE : 0;
    case 10:
        return is_keep_alive(option.data) ? OPTION_KEEP_ALIVE : 0;
    default:
        return 0;
    }
}

/* RFC 9110 7.6.1. Most often it is a single option, and then the list need not be taken apart. */
static unsigned take_connection(jg_text value)
{
    unsigned options = option_of(value);
    jg_text option;

    if (options != 0)
        return options;
    while (jg_http_list_next(&value, &option))
        options |= option_of(option);
    return options;
}

int jg__http_message_field(jg_http_parser *parser, jg_http_name name, jg_http_span value)
{
    jg_http_head *head = &parser->head;
    jg_text text = jg_http_head_text(head, value);

    switch (name) {
    case JG_HTTP_HOST:
        return take_host(parser, value);
    case JG_HTTP_CONTENT_LENGTH:
        return take_length(head, text);
    case JG_HTTP_TRANSFER_ENCODING:
        return take_coding(head, text);
    case JG_HTTP_CONNECTION:
        parser->options |= (uint8_t)take_connection(text);
        return 0;
    case JG_HTTP_EXPECT:
        if (jg_text_is_nocase(text, "100-continue"))
            parser->options |= OPTION_CONTINUE;
        return 0;
    default:
        return 0;
    }
}

/* RFC 9112 6.3, as far as it concerns the answer to a request. */
static bool has_no_body(const jg_http_parser *parser)
{
    unsigned status = parser->head.status;

    return parser->request_method == JG_HTTP_HEAD || status < 200 || status == 204 ||
           status == 304 ||
           (parser->request_method == JG_HTTP_CONNECT && status >= 200 && status < 300);
}

static int decide_framing(jg_http_parser *parser)
{
    jg_http_head *head = &parser->head;
    bool coded = is_known(head, JG_HTTP_TRANSFER_ENCODING);
    bool sized = is_known(head, JG_HTTP_CONTENT_LENGTH);

    if (coded && (sized || head->minor == 0))
        return JG_EHTTP_CODING;
    if (parser->response && has_no_body(parser))
        head->framing = JG_HTTP_NO_BODY;
    else if (coded)
        head->framing = JG_HTTP_CHUNKED;
    else if (sized)
        head->framing = head->content_length > 0 ? JG_HTTP_SIZED : JG_HTTP_NO_BODY;
    else
        head->framing = parser->response ? JG_HTTP_UNTIL_CLOSE : JG_HTTP_NO_BODY;
    return 0;
}

int jg__http_message_end(jg_http_parser *parser)
{
    jg_http_head *head = &parser->head;
    unsigned options = parser->options;
    int r = decide_framing(parser);

    if (r < 0)
        return r;
    if (!parser->response && head->minor >= 1 && !is_known(head, JG_HTTP_HOST))
        return JG_EHTTP_HOST;

    if ((options & OPTION_CLOSE) == 0 && (head->minor >= 1 || (options & OPTION_KEEP_ALIVE) != 0) &&
        head->framing != JG_HTTP_UNTIL_CLOSE)
        head->flags |= JG_HTTP_KEEP_ALIVE;
    /* RFC 9110 7.8 and 10.1.1: both are to be ignored in HTTP/1.0. */
    if (head->minor >= 1) {
        if ((options & OPTION_CONTINUE) != 0 && head->framing != JG_HTTP_NO_BODY)
            head->flags |= JG_HTTP_EXPECT_CONTINUE;
        if ((options & OPTION_UPGRADE) != 0 && is_known(head, JG_HTTP_UPGRADE))
            head->flags |= JG_HTTP_WANTS_UPGRADE;
    }
    return 0;
}

int jg_http_error_status(int error)
{
    switch (error) {
    case JG_EHTTP_LONG_LINE:
        return 414;
    case JG_EHTTP_LARGE_HEAD:
    case JG_EHTTP_MANY_FIELDS:
        return 431;
    case JG_EHTTP_UNSUPPORTED:
        return 501;
    case JG_EHTTP_VERSION:
        return 505;
    default:
        return error <= JG_EHTTP_LINE && error >= JG_EHTTP_TRUNCATED ? 400 : 0;
    }
}
