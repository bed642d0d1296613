/* SPDX-License-Identifier: MIT
 *
 * The parser of heads. It goes over a line once, taking what it finds; only if the line turns out
 * incomplete or wrong does it look for the end of the line, and remember how far it looked. An
 * incomplete line is parsed again only after its line feed has come, so that each byte is seen a
 * few times at most; and a verdict is given on complete lines only, so that it does not depend on
 * how the bytes were split.
 */
#include <juggle/http_parser.h>

#include "http/authority.h"
#include "http/chars.h"
#include "http/message.h"
#include "http/field_names.h"

enum { DEFAULT_LINE_SIZE = 8 * 1024, DEFAULT_HEAD_SIZE = 32 * 1024, MAX_HEAD_SIZE = 1024 * 1024 };

/* States of a parser. */
enum { FIRST_LINE, FIELDS, COMPLETE, FAILED };

/* What parsing a line returns if its end is not there: an error of the line, should it have one. */
enum { INCOMPLETE = -1 };

static void begin(jg_http_parser *parser)
{
    jg_http_field *fields = parser->head.fields;

    memset(&parser->head, 0, offsetof(jg_http_head, first));
    parser->head.fields = fields;
    parser->at = 0;
    parser->scanned = 0;
    parser->state = FIRST_LINE;
    parser->options = 0;
}

static void init(jg_http_parser *parser, jg_http_field *fields, size_t capacity,
                 const jg_http_limits *limits)
{
    parser->head.fields = fields;
    parser->capacity = capacity < UINT16_MAX ? (uint32_t)capacity : UINT16_MAX;
    parser->line_size = limits != NULL ? limits->line_size : 0;
    parser->head_size = limits != NULL ? limits->head_size : 0;
    if (parser->line_size == 0)
        parser->line_size = DEFAULT_LINE_SIZE;
    if (parser->head_size == 0)
        parser->head_size = DEFAULT_HEAD_SIZE;
    if (parser->line_size > MAX_HEAD_SIZE)
        parser->line_size = MAX_HEAD_SIZE;
    if (parser->head_size > MAX_HEAD_SIZE)
        parser->head_size = MAX_HEAD_SIZE;
    parser->response = false;
    parser->request_method = JG_HTTP_OTHER;
    begin(parser);
}

void jg_http_parser_init(jg_http_parser *parser, jg_http_field *fields, size_t capacity,
                         const jg_http_limits *limits)
{
    init(parser, fields, capacity, limits);
}

void jg_http_parser_init_response(jg_http_parser *parser, jg_http_method method,
                                  jg_http_field *fields, size_t capacity,
                                  const jg_http_limits *limits)
{
    init(parser, fields, capacity, limits);
    parser->response = true;
    parser->request_method = (uint8_t)method;
}

static jg_http_span span(const char *data, const char *from, const char *to)
{
    jg_http_span result = {(uint32_t)(from - data), (uint32_t)(to - from)};

    return result;
}

static const char *skip(const char *p, const char *end, unsigned set)
{
    while (p < end && jg__is(*p, set))
        p++;
    return p;
}

static uint8_t method_of(jg_text name)
{
    static const char *const names[] = {
        [JG_HTTP_GET] = "GET",         [JG_HTTP_HEAD] = "HEAD",     [JG_HTTP_POST] = "POST",
        [JG_HTTP_PUT] = "PUT",         [JG_HTTP_DELETE] = "DELETE", [JG_HTTP_CONNECT] = "CONNECT",
        [JG_HTTP_OPTIONS] = "OPTIONS", [JG_HTTP_TRACE] = "TRACE",   [JG_HTTP_PATCH] = "PATCH",
    };

    for (int i = JG_HTTP_GET; i <= JG_HTTP_PATCH; i++) {
        if (jg_text_is(name, names[i]))
            return (uint8_t)i;
    }
    return JG_HTTP_OTHER;
}

/* "HTTP/1.x" at p, which has eight bytes. */
static int parse_version(const char *p, uint8_t *ret_minor)
{
    if (memcmp(p, "HTTP/", 5) != 0 || !jg__is_digit(p[5]) || p[6] != '.' || !jg__is_digit(p[7]))
        return JG_EHTTP_LINE;
    if (p[5] != '1')
        return JG_EHTTP_VERSION;
    /* RFC 9110 2.5: a higher minor version is the highest one we know. */
    *ret_minor = p[7] != '0';
    return 0;
}

/* RFC 9112 3.2.2: scheme "://" authority, then path and query, which are known already. */
static int parse_absolute(jg_http_head *head, const char *from, const char *path_end)
{
    const char *p = skip(from, path_end, JG__SCHEME), *host;
    struct jg__authority authority;

    if (!jg__is_letter(*from) || path_end - p < 3 || memcmp(p, "://", 3) != 0)
        return JG_EHTTP_TARGET;
    host = p + 3;
    p = memchr(host, '/', (size_t)(path_end - host));
    if (p == NULL)
        p = path_end;
    if (jg__authority_parse(jg_text_of(host, (size_t)(p - host)), &authority) < 0)
        return JG_EHTTP_TARGET;
    head->form = JG_HTTP_ABSOLUTE_FORM;
    head->authority = span(head->data, host, p);
    head->path = span(head->data, p, path_end);
    return 0;
}

/* The target is [from, to) and has a character; its query begins at path_end. */
static int parse_target(jg_http_head *head, const char *from, const char *path_end, const char *to)
{
    struct jg__authority authority;
    jg_text target = {from, (size_t)(to - from)};

    if (head->method == JG_HTTP_CONNECT) {
        if (jg__authority_parse(target, &authority) < 0 || authority.port == 0)
            return JG_EHTTP_TARGET;
        head->form = JG_HTTP_AUTHORITY_FORM;
        head->authority = head->target;
        return 0;
    }
    if (path_end < to)
        head->query = span(head->data, path_end + 1, to);
    if (*from == '/') {
        head->path = span(head->data, from, path_end);
        return 0;
    }
    if (jg_text_is(target, "*")) {
        head->form = JG_HTTP_ASTERISK_FORM;
        return head->method == JG_HTTP_OPTIONS ? 0 : JG_EHTTP_TARGET;
    }
    return parse_absolute(head, from, path_end);
}

/* RFC 9112 3: method SP target SP version CRLF. Returns what follows the line, or an error. */
static int parse_request_line(jg_http_parser *parser, const char *p, const char *end,
                              const char **ret_next)
{
    jg_http_head *head = &parser->head;
    const char *method = p, *target, *path_end, *target_end;
    int r;

    p = skip(p, end, JG__TOKEN);
    if (p == end)
        return INCOMPLETE;
    if (p == method || *p != ' ')
        return JG_EHTTP_METHOD;
    head->method_name = span(head->data, method, p);
    if (p - method == 3 && memcmp(method, "GET", 3) == 0)
        head->method = JG_HTTP_GET;
    else
        head->method = method_of(jg_text_of(method, (size_t)(p - method)));

    target = p + 1;
    path_end = skip(target, end, JG__PATH);
    target_end = path_end < end && *path_end == '?' ? skip(path_end, end, JG__TARGET) : path_end;
    if (target_end == end)
        return INCOMPLETE;
    if (target_end == target || *target_end != ' ')
        return *target_end == '\r' ? JG_EHTTP_LINE : JG_EHTTP_TARGET;
    head->target = span(head->data, target, target_end);

    p = target_end + 1;
    if (end - p < 10)
        return INCOMPLETE;
    r = parse_version(p, &head->minor);
    if (r < 0)
        return r;
    if (p[8] != '\r' || p[9] != '\n')
        return JG_EHTTP_LINE;
    *ret_next = p + 10;
    return parse_target(head, target, path_end, target_end);
}

/* The end of a line at p: 1 if it is there, else INCOMPLETE or 0. */
static inline int at_line_end(const char *p, const char *end)
{
    if (end - p >= 2)
        return p[0] == '\r' && p[1] == '\n';
    return p == end || *p == '\r' ? INCOMPLETE : 0;
}

/* RFC 9112 4: version SP status SP [ reason ] CRLF. The second space is often forgotten. */
static int parse_status_line(jg_http_parser *parser, const char *p, const char *end,
                             const char **ret_next)
{
    jg_http_head *head = &parser->head;
    const char *reason;
    int r;

    if (end - p < 13)
        return INCOMPLETE;
    r = parse_version(p, &head->minor);
    if (r < 0)
        return r;
    if (p[8] != ' ' || p[9] < '1' || p[9] > '9' || !jg__is_digit(p[10]) || !jg__is_digit(p[11]))
        return JG_EHTTP_LINE;
    head->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
    if (p[12] != ' ' && p[12] != '\r')
        return JG_EHTTP_LINE;
    reason = p[12] == ' ' ? p + 13 : p + 12;
    p = skip(reason, end, JG__VALUE);
    r = at_line_end(p, end);
    if (r != 1)
        return r == 0 ? JG_EHTTP_LINE : r;
    head->reason = span(head->data, reason, p);
    *ret_next = p + 2;
    return 0;
}

/* RFC 9112 2.2: one empty line before a request is skipped. 0, or as at_line_end. */
static int skip_empty_line(jg_http_parser *parser, const char *data, size_t size)
{
    int r;

    if (parser->at > 0 || parser->response || *data != '\r')
        return 0;
    r = at_line_end(data, data + size);
    if (r != 1)
        return r == 0 ? JG_EHTTP_LINE : r;
    parser->at = 2;
    return size > 2 ? 0 : INCOMPLETE;
}

/* The colon behind a name, or `end`. */
static const char *find_colon(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t colons = jg__zero_bytes(jg__word(p) ^ JG__BYTES(':'));

        if (colons != 0)
            return p + jg__first_byte(colons);
        p += 8;
    }
    while (p < end && *p != ':')
        p++;
    return p;
}

/* Which name it is; `end` is that of the readable bytes. */
static jg_http_name name_of(const char *name, size_t size, const char *end)
{
    char copy[8] = {0};

    if (end - name >= 8)
        return jg__http_name(name, size);
    memcpy(copy, name, size);
    return jg__http_name(copy, size);
}

/* RFC 9112 5: name ":" OWS value OWS CRLF, without folding. */
static int parse_field(const char *data, const char *p, const char *end, jg_http_field *field,
                       const char **ret_next)
{
    const char *colon = find_colon(p, end), *value;
    size_t size = (size_t)(colon - p);
    int r;

    if (colon == end)
        return INCOMPLETE;
    if (size == 0)
        return JG_EHTTP_FIELD;
    field->offset = (uint32_t)(p - data);
    field->name_size = (uint16_t)size;
    field->name = (uint16_t)name_of(p, size, end);
    /* A name that is known needs no look at its characters. */
    if (field->name == JG_HTTP_NAMES && !jg__all(jg_text_of(p, size), JG__TOKEN))
        return JG_EHTTP_FIELD;
    if (size > UINT16_MAX)
        return JG_EHTTP_LARGE_HEAD;

    value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    p = jg__skip_value(value, end);
    r = at_line_end(p, end);
    if (r != 1)
        return r == 0 ? JG_EHTTP_FIELD : r;
    *ret_next = p + 2;
    while (p > value && (p[-1] == ' ' || p[-1] == '\t'))
        p--;
    field->value = span(data, value, p);
    return 0;
}

/* Take a field into the head. */
static int take_field(jg_http_parser *parser, const jg_http_field *field)
{
    jg_http_head *head = &parser->head;
    uint64_t bit;

    if (field->name != JG_HTTP_NAMES) {
        bit = UINT64_C(1) << field->name;
        if ((bit & JG__HTTP_MESSAGE_FIELDS) != 0) {
            int r = jg__http_message_field(parser, (jg_http_name)field->name, field->value);

            if (r < 0)
                return r;
        }
        if ((head->known & bit) == 0) {
            head->known |= bit;
            head->first[field->name] = (uint16_t)head->field_count;
        }
    }
    head->field_count++;
    return 0;
}

static int parse_fields(jg_http_parser *parser, const char *end)
{
    jg_http_head *head = &parser->head;
    const char *p = head->data + parser->at;
    int r;

    for (;;) {
        jg_http_field *field;

        if (p == end)
            return INCOMPLETE;
        if (*p == '\r') {
            r = at_line_end(p, end);
            if (r != 1)
                return r == 0 ? JG_EHTTP_FIELD : r;
            head->size = (uint32_t)(p - head->data) + 2;
            return jg__http_message_end(parser);
        }
        if (head->field_count == parser->capacity)
            return JG_EHTTP_MANY_FIELDS;
        field = &head->fields[head->field_count];
        r = parse_field(head->data, p, end, field, &p);
        if (r == 0)
            r = take_field(parser, field);
        if (r < 0)
            return r;
        parser->at = (uint32_t)(p - head->data);
    }
}

/* Where what belongs to the current line must end. */
static uint32_t line_limit(const jg_http_parser *parser)
{
    uint32_t limit = parser->at + parser->line_size;

    return parser->state == FIRST_LINE && limit < parser->head_size ? limit : parser->head_size;
}

/* The end of what the current line may take. */
static const char *line_bound(const jg_http_parser *parser, const char *data, size_t size)
{
    uint32_t limit = line_limit(parser);

    return data + (size < limit ? size : limit);
}

static int parse_head(jg_http_parser *parser, const char *data, size_t size)
{
    if (parser->state == FIRST_LINE) {
        int r = skip_empty_line(parser, data, size);
        const char *end = line_bound(parser, data, size), *next = NULL;

        if (r == 0)
            r = parser->response ? parse_status_line(parser, data + parser->at, end, &next)
                                 : parse_request_line(parser, data + parser->at, end, &next);
        if (r < 0)
            return r;
        parser->at = (uint32_t)(next - data);
        parser->state = FIELDS;
    }
    return parse_fields(parser, line_bound(parser, data, size));
}

/* Where the current line ends: behind its line feed, or 0 if that has not come. Bytes that were
   looked at before are not looked at again. */
static size_t line_end(const jg_http_parser *parser, const char *data, size_t size)
{
    const char *from = data + (parser->scanned > parser->at ? parser->scanned : parser->at);
    const char *end = line_bound(parser, data, size);
    const char *feed = end > from ? memchr(from, '\n', (size_t)(end - from)) : NULL;

    return feed != NULL ? (size_t)(feed - data) + 1 : 0;
}

/* Parsing stopped at the current line, with an error or because it is incomplete. */
static int judge(jg_http_parser *parser, const char *data, size_t size)
{
    bool first = parser->state == FIRST_LINE;
    size_t end = line_end(parser, data, size);
    int error;

    if (end > 0) {
        /* What is wrong with the line must not depend on what happens to follow it. */
        error = parse_head(parser, data, end);
        if (error == INCOMPLETE)
            error = first ? JG_EHTTP_LINE : JG_EHTTP_FIELD;
    } else if (size >= line_limit(parser)) {
        error = first ? JG_EHTTP_LONG_LINE : JG_EHTTP_LARGE_HEAD;
    } else {
        parser->scanned = (uint32_t)size;
        return 0;
    }
    parser->state = FAILED;
    parser->error = error;
    return error;
}

int jg_http_parser_feed(jg_http_parser *parser, const char *data, size_t size)
{
    int r;

    if (parser->state == FAILED)
        return parser->error;
    if (parser->state == COMPLETE)
        begin(parser);
    if (size == 0)
        return 0;
    parser->head.data = data;
    if (parser->scanned > parser->at && line_end(parser, data, size) == 0)
        return judge(parser, data, size);

    r = parse_head(parser, data, size);
    if (r < 0)
        return judge(parser, data, size);
    parser->state = COMPLETE;
    return (int)parser->head.size;
}

const jg_http_field *jg_http_head_find(const jg_http_head *head, const char *name,
                                       const jg_http_field *after)
{
    const jg_http_field *field = after != NULL ? after + 1 : head->fields;

    for (; field < head->fields + head->field_count; field++) {
        if (jg_text_is_nocase(jg_http_head_name(head, field), name))
            return field;
    }
    return NULL;
}
