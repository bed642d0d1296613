/* SPDX-License-Identifier: MIT
 *
 * What is in fields: lists, parameters, cookies, dates, conditions and ranges. What is found must
 * lie in what was given, a date that is read must be written as the same moment.
 */
#include <juggle/http_field.h>

#include "http/precondition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_inside(jg_text whole, jg_text part)
{
    require(part.data == NULL || (part.data >= whole.data && part.size <= whole.size &&
                                  part.data + part.size <= whole.data + whole.size));
}

static void check_lists(jg_text text)
{
    jg_text rest = text, item, value;

    while (jg_http_list_next(&rest, &item)) {
        check_inside(text, item);
        require(item.size > 0);
    }
    rest = text;
    while (jg_http_cookie_next(&rest, &item, &value)) {
        check_inside(text, item);
        check_inside(text, value);
        require(item.size > 0);
    }
}

static void check_parameter(jg_text text)
{
    char buffer[16];
    size_t size;

    check_inside(text, jg_http_value(text));
    if (jg_http_parameter(text, "a", buffer, sizeof(buffer), &size) == 0)
        require(size < sizeof(buffer) && buffer[size] == '\0');
}

static void check_date(jg_text text)
{
    char buffer[JG_HTTP_DATE_SIZE];
    int64_t seconds, again;

    if (jg_http_date_parse(text, 1795000000, &seconds) < 0)
        return;
    require(jg_http_date_format(seconds, buffer) == 0);
    require(jg_http_date_parse(jg_text_from(buffer), 0, &again) == 0 && again == seconds);
}

static void check_conditions(jg_text text)
{
    static const char *const names[] = {"If-Match", "If-None-Match", "Range", "If-Modified-Since"};
    struct jg__validators validators = {jg_text_from("\"a\""), 784111777};
    struct jg__range range = {1, 0};
    jg_http_field fields[4];
    jg_http_parser parser;
    char request[512];
    size_t i;

    for (i = 0; i < 4; i++) {
        int length =
            snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost:\r\n%s: %.*s\r\n\r\n",
                     names[i], (int)text.size, text.data);

        jg_http_parser_init(&parser, fields, 4, NULL);
        if (length >= (int)sizeof(request) ||
            jg_http_parser_feed(&parser, request, (size_t)length) != length)
            continue;
        (void)jg__precondition_evaluate(&parser.head, &validators, 1795000000);
        if (jg__range_evaluate(&parser.head, &validators, 1795000000, 100, &range) == 206)
            require(range.first <= range.last && range.last < 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jg_text text = {(const char *)data, size};

    if (size > 256)
        return 0;
    check_lists(text);
    check_parameter(text);
    check_date(text);
    check_conditions(text);
    return 0;
}
