/* SPDX-License-Identifier: MIT
 *
 * Bodies: counted, chunked (RFC 9112 7.1) or until the connection ends. Chunked framing is a
 * machine that takes a byte at a time, except for data; it keeps no bytes, so that a chunk's
 * extension and the trailers cost nothing but their count. Line ends are CRLF and nothing else.
 */
#include <juggle/http_parser.h>

#include "http/chars.h"
#include "http/field_names.h"

enum { EXTENSION_LIMIT = 4 * 1024, TRAILER_LIMIT = 8 * 1024, MAX_DIGITS = 15 };

/* What comes next. */
enum {
    END,
    UNTIL_CLOSE,
    SIZED,
    SIZE,           /* digits of a chunk's size */
    SIZE_SPACE,     /* after space behind the size: only ";" */
    EXT_NAME_START, /* after ";" */
    EXT_NAME,
    EXT_NAME_SPACE,  /* after space behind a name: "=" or ";" */
    EXT_VALUE_START, /* after "=" */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_VALUE_END, /* after a quoted value, or space behind a value */
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    BROKEN,    /* JG_EHTTP_CHUNK */
    TOO_LARGE, /* JG_EHTTP_LARGE_CHUNK */
};

void jg_http_body_init(jg_http_body *body, const jg_http_head *head)
{
    static const uint8_t states[] = {
        [JG_HTTP_NO_BODY] = END,
        [JG_HTTP_SIZED] = SIZED,
        [JG_HTTP_CHUNKED] = SIZE,
        [JG_HTTP_UNTIL_CLOSE] = UNTIL_CLOSE,
    };

    body->left = head->framing == JG_HTTP_SIZED ? head->content_length : 0;
    body->extension_left = EXTENSION_LIMIT;
    body->trailer_left = TRAILER_LIMIT;
    body->state = states[head->framing];
    body->digits = 0;
    body->name_size = 0;
}

/* Fifteen digits at most: no size overflows, and none is padded with zeros for ever. */
static int in_size(jg_http_body *body, char c)
{
    int digit = jg__hex(c);

    if (digit >= 0) {
        if (body->digits == MAX_DIGITS)
            return BROKEN;
        body->digits++;
        body->left = body->left << 4 | (uint64_t)digit;
        return SIZE;
    }
    if (body->digits == 0)
        return BROKEN;
    switch (c) {
    case '\r':
        return SIZE_LF;
    case ';':
        return EXT_NAME_START;
    case ' ':
    case '\t':
        return SIZE_SPACE;
    default:
        return BROKEN;
    }
}

static int in_extension_name(int state, char c)
{
    bool space = c == ' ' || c == '\t';

    if (state == SIZE_SPACE)
        return space ? SIZE_SPACE : c == ';' ? EXT_NAME_START : BROKEN;
    if (state == EXT_NAME_START)
        return space ? EXT_NAME_START : jg__is(c, JG__TOKEN) ? EXT_NAME : BROKEN;
    if (state == EXT_NAME && jg__is(c, JG__TOKEN))
        return EXT_NAME;
    if (c == '=')
        return EXT_VALUE_START;
    if (c == ';')
        return EXT_NAME_START;
    if (space)
        return EXT_NAME_SPACE;
    return state == EXT_NAME && c == '\r' ? SIZE_LF : BROKEN;
}

static int in_extension_value(int state, char c)
{
    bool space = c == ' ' || c == '\t';

    switch (state) {
    case EXT_VALUE_START:
        return space                  ? EXT_VALUE_START
               : c == '"'             ? EXT_QUOTED
               : jg__is(c, JG__TOKEN) ? EXT_TOKEN
                                      : BROKEN;
    case EXT_QUOTED:
        if (c == '"')
            return EXT_VALUE_END;
        return c == '\\' ? EXT_ESCAPED : jg__is(c, JG__VALUE) ? EXT_QUOTED : BROKEN;
    case EXT_ESCAPED:
        return jg__is(c, JG__VALUE) ? EXT_QUOTED : BROKEN;
    case EXT_TOKEN:
        if (jg__is(c, JG__TOKEN))
            return EXT_TOKEN;
        break;
    default:
        break;
    }
    /* Behind a value: space only if another extension follows. */
    if (c == ';')
        return EXT_NAME_START;
    if (space)
        return SIZE_SPACE;
    return c == '\r' ? SIZE_LF : BROKEN;
}

/* Trailers that say how the message is framed or routed are an attempt at something. */
static bool is_forbidden(const jg_http_body *body)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "host"};
    jg_text name = {body->name, body->name_size};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (jg_text_is_nocase(name, names[i]))
            return true;
    }
    return false;
}

static int in_trailer(jg_http_body *body, int state, char c)
{
    switch (state) {
    case TRAILER_START:
        if (c == '\r')
            return LAST_LF;
        body->name_size = 0;
        if (c == ':')
            return BROKEN;
        /* fall through */
    case TRAILER_NAME:
        if (c == ':')
            return is_forbidden(body) ? BROKEN : TRAILER_VALUE;
        if (!jg__is(c, JG__TOKEN))
            return BROKEN;
        /* A name that is too long to be kept is none of the forbidden ones. */
        if (body->name_size < sizeof(body->name))
            body->name[body->name_size++] = c;
        return TRAILER_NAME;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return jg__is(c, JG__VALUE) ? TRAILER_VALUE : BROKEN;
    case TRAILER_LF:
        return c == '\n' ? TRAILER_START : BROKEN;
    default: /* LAST_LF */
        return c == '\n' ? END : BROKEN;
    }
}

static bool spend(uint32_t *left)
{
    if (*left == 0)
        return false;
    (*left)--;
    return true;
}

static int begin_chunk(jg_http_body *body, char c)
{
    if (c != '\n')
        return BROKEN;
    body->digits = 0;
    return body->left > 0 ? CHUNK : TRAILER_START;
}

/* The state after a byte of chunked framing. */
static int step(jg_http_body *body, char c)
{
    int state = body->state;

    if (state == SIZE)
        return in_size(body, c);
    if (state == SIZE_LF)
        return begin_chunk(body, c);
    if (state == CHUNK_CR)
        return c == '\r' ? CHUNK_LF : BROKEN;
    if (state == CHUNK_LF)
        return c == '\n' ? SIZE : BROKEN;
    if (state >= TRAILER_START)
        return spend(&body->trailer_left) ? in_trailer(body, state, c) : TOO_LARGE;
    if (!spend(&body->extension_left))
        return TOO_LARGE;
    return state <= EXT_NAME_SPACE ? in_extension_name(state, c) : in_extension_value(state, c);
}

int jg_http_body_feed(jg_http_body *body, const char *data, size_t size, size_t *ret_used,
                      jg_text *ret_data)
{
    size_t i = 0;

    for (;;) {
        size_t rest = size - i;

        switch (body->state) {
        case END:
            *ret_used = i;
            return JG_HTTP_BODY_END;
        case BROKEN:
            return JG_EHTTP_CHUNK;
        case TOO_LARGE:
            return JG_EHTTP_LARGE_CHUNK;
        default:
            break;
        }
        if (rest == 0) {
            *ret_used = i;
            return JG_HTTP_BODY_MORE;
        }
        if (body->state == UNTIL_CLOSE || body->state == SIZED || body->state == CHUNK) {
            if (body->state != UNTIL_CLOSE) {
                rest = rest < body->left ? rest : (size_t)body->left;
                body->left -= rest;
                if (body->left == 0)
                    body->state = body->state == CHUNK ? CHUNK_CR : END;
            }
            *ret_data = jg_text_of(data + i, rest);
            *ret_used = i + rest;
            return JG_HTTP_BODY_DATA;
        }
        body->state = (uint8_t)step(body, data[i++]);
    }
}

int jg_http_body_close(const jg_http_body *body)
{
    return body->state == END || body->state == UNTIL_CLOSE ? 0 : JG_EHTTP_TRUNCATED;
}
