/* SPDX-License-Identifier: MIT
 *
 * Preconditions in the order of RFC 9110 13.2.2.
 */
#include "http/precondition.h"

#include <juggle/http_field.h>

#include "http/chars.h"
#include "http/output.h"

static void write_hex(struct jg__output *output, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 60;

    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        jg__output_byte(output, digits[number >> shift & 15]);
}

void jg__etag_format(uint64_t size, int64_t modified, char buffer[JG__ETAG_SIZE])
{
    struct jg__output output = jg__output(buffer, JG__ETAG_SIZE);

    jg__output_byte(&output, '"');
    write_hex(&output, (uint64_t)modified);
    jg__output_byte(&output, '-');
    write_hex(&output, size);
    jg__output_byte(&output, '"');
    (void)jg__output_end(&output, NULL); /* 2 * 16 + 4 bytes */
}

static jg_text without_weakness(jg_text etag)
{
    if (etag.size >= 2 && etag.data[0] == 'W' && etag.data[1] == '/')
        return jg_text_of(etag.data + 2, etag.size - 2);
    return etag;
}

/* RFC 9110 8.8.3.2: a strong comparison fails if either is weak. */
static bool same_etag(jg_text a, jg_text b, bool strong)
{
    jg_text x = without_weakness(a), y = without_weakness(b);

    if (a.data == NULL || b.data == NULL || (strong && (x.size != a.size || y.size != b.size)))
        return false;
    return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

/* Take an entity-tag from a list; quotes have no escapes in it. False at its end or where it is
   malformed. */
static bool next_etag(jg_text *rest, jg_text *ret_etag)
{
    const char *p = rest->data, *end = p + rest->size, *start;

    while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
        p++;
    start = p;
    if (end - p >= 2 && p[0] == 'W' && p[1] == '/')
        p += 2;
    if (p == end || *p != '"')
        return false;
    p = memchr(p + 1, '"', (size_t)(end - p) - 1);
    if (p == NULL)
        return false;
    p++;
    *ret_etag = jg_text_of(start, (size_t)(p - start));
    *rest = jg_text_of(p, (size_t)(end - p));
    return true;
}

/* Whether a field that lists entity-tags, in all its lines, has this one or is "*". */
static bool matches(const jg_http_head *head, jg_http_name name, jg_text etag, bool strong)
{
    uint32_t i;

    for (i = head->first[name]; i < head->field_count; i++) {
        jg_text value, candidate;

        if (head->fields[i].name != name)
            continue;
        value = jg_http_head_text(head, head->fields[i].value);
        if (jg_text_is(value, "*"))
            return true;
        while (next_etag(&value, &candidate)) {
            if (same_etag(candidate, etag, strong))
                return true;
        }
    }
    return false;
}

/* A date in a field; false if there is none or it is invalid, and then to be ignored. */
static bool date_of(const jg_http_head *head, jg_http_name name, int64_t now, int64_t *ret)
{
    jg_text value = jg_http_head_value(head, name);

    return value.data != NULL && jg_http_date_parse(value, now, ret) == 0;
}

int jg__precondition_evaluate(const jg_http_head *head, const struct jg__validators *validators,
                              int64_t now)
{
    bool reads = head->method == JG_HTTP_GET || head->method == JG_HTTP_HEAD;
    int64_t date;

    if (jg_http_head_known(head, JG_HTTP_IF_MATCH) != NULL) {
        if (!matches(head, JG_HTTP_IF_MATCH, validators->etag, true))
            return 412;
    } else if (date_of(head, JG_HTTP_IF_UNMODIFIED_SINCE, now, &date)) {
        if (validators->modified > date)
            return 412;
    }
    if (jg_http_head_known(head, JG_HTTP_IF_NONE_MATCH) != NULL) {
        if (matches(head, JG_HTTP_IF_NONE_MATCH, validators->etag, false))
            return reads ? 304 : 412;
    } else if (reads && date_of(head, JG_HTTP_IF_MODIFIED_SINCE, now, &date)) {
        if (validators->modified <= date)
            return 304;
    }
    return 200;
}

/* RFC 9110 13.1.5: an entity-tag or a date, which must be exactly ours. */
static bool if_range_holds(const jg_http_head *head, const struct jg__validators *validators,
                           int64_t now)
{
    jg_text value = jg_http_head_value(head, JG_HTTP_IF_RANGE);
    int64_t date;

    if (value.data == NULL || same_etag(value, validators->etag, true))
        return true;
    return date_of(head, JG_HTTP_IF_RANGE, now, &date) && date == validators->modified;
}

/* Digits, as a number that saturates; false if there are none or others among them. */
static bool number_of(jg_text digits, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < digits.size; i++) {
        if (!jg__is_digit(digits.data[i]))
            return false;
        number = number > (UINT64_MAX - 9) / 10 ? UINT64_MAX
                                                : number * 10 + (uint64_t)(digits.data[i] - '0');
    }
    *ret_number = number;
    return digits.size > 0;
}

/* RFC 9110 14.1.2: "first-", "first-last" or "-suffix" of `size` bytes. */
static int evaluate(jg_text range, uint64_t size, struct jg__range *ret_range)
{
    uint64_t first, last = UINT64_MAX;
    jg_text before;

    if (!jg__cut(&range, '-', &before) || range.data == NULL)
        return 200;
    if (before.size == 0) {
        if (!number_of(range, &last))
            return 200;
        if (last == 0 || size == 0)
            return 416;
        first = last < size ? size - last : 0;
        last = size - 1;
    } else {
        if (!number_of(before, &first) || (range.size > 0 && !number_of(range, &last)))
            return 200;
        if (last < first)
            return 200;
        if (first >= size)
            return 416;
        last = last < size ? last : size - 1;
    }
    *ret_range = (struct jg__range){first, last};
    return 206;
}

int jg__range_evaluate(const jg_http_head *head, const struct jg__validators *validators,
                       int64_t now, uint64_t size, struct jg__range *ret_range)
{
    jg_text ranges = jg_http_head_value(head, JG_HTTP_RANGE), unit;

    if (ranges.data == NULL || head->method != JG_HTTP_GET)
        return 200;
    if (!jg__cut(&ranges, '=', &unit) || ranges.data == NULL || !jg_text_is_nocase(unit, "bytes") ||
        !if_range_holds(head, validators, now))
        return 200;
    return evaluate(jg__trim(ranges), size, ret_range);
}
