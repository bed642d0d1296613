/* SPDX-License-Identifier: MIT
 *
 * Lists, parameters, dates and cookies; and the table of characters that all of HTTP is read with.
 */
#include "support.h"

#include <juggle/http_field.h>

#include "http/chars.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_alphanumeric(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool among(int c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void the_table_of_characters_is_that_of_the_grammars(void **state)
{
    int c;

    (void)state;
    for (c = 0; c < 256; c++) {
        bool alphanumeric = is_alphanumeric(c), visible = c > 0x20 && c < 0x7f;
        bool target = visible && !among(c, "\"#<>");
        bool unreserved = alphanumeric || among(c, "-._~");
        unsigned bits = 0;

        bits |= alphanumeric || among(c, "!#$%&'*+-.^_`|~") ? JG__TOKEN : 0;
        bits |= target && c != '?' ? JG__PATH : 0;
        bits |= target ? JG__TARGET : 0;
        bits |= visible || c == ' ' || c == '\t' || c >= 0x80 ? JG__VALUE : 0;
        bits |= unreserved ? JG__UNRESERVED : 0;
        bits |= visible && !among(c, "\",;\\") ? JG__COOKIE : 0;
        bits |= alphanumeric || among(c, "+-.") ? JG__SCHEME : 0;
        assert_int_equal(jg__chars[c], bits);
    }
}

static void lists_have_elements(void **state)
{
    jg_text rest = jg_text_from(" close , ,upgrade,\t\"a,\\\"b\" ;c, ,x"), item;
    char seen[64] = "";

    (void)state;
    while (jg_http_list_next(&rest, &item))
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "<%.*s>", (int)item.size,
                 item.data);
    assert_string_equal(seen, "<close><upgrade><\"a,\\\"b\" ;c><x>");
    assert_true(jg_http_list_has(jg_text_from("Close, Upgrade"), "upgrade"));
    assert_false(jg_http_list_has(jg_text_from("Closed, Upgrades"), "close"));
    assert_false(jg_http_list_has(jg_text_from(""), ""));
    rest = jg_text_of(NULL, 0);
    assert_false(jg_http_list_next(&rest, &item));
}

static void a_value_has_parameters(void **state)
{
    jg_text field = jg_text_from("text/html ;charset=utf-8; Boundary=\"a;\\\"b\";; x=; y");
    char buffer[16];
    size_t size;

    (void)state;
    assert_true(jg_text_is(jg_http_value(field), "text/html"));
    assert_true(jg_text_is(jg_http_value(jg_text_from("text/html")), "text/html"));
    assert_int_equal(jg_http_parameter(field, "CHARSET", buffer, 16, &size), 0);
    assert_string_equal(buffer, "utf-8");
    assert_int_equal(size, 5);
    assert_int_equal(jg_http_parameter(field, "boundary", buffer, 16, NULL), 0);
    assert_string_equal(buffer, "a;\"b");
    assert_int_equal(jg_http_parameter(field, "boundary", buffer, 4, NULL), -ENOBUFS);
    assert_int_equal(jg_http_parameter(field, "x", buffer, 16, NULL), -EINVAL);
    assert_int_equal(jg_http_parameter(field, "z", buffer, 16, NULL), -EINVAL);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b=c"), "z", buffer, 16, NULL), -ENOENT);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b=\"c"), "b", buffer, 16, NULL), -EINVAL);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b=\"c\\\""), "b", buffer, 16, NULL),
                     -EINVAL);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b=\"c\"d\""), "b", buffer, 16, NULL),
                     -EINVAL);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b=\""), "b", buffer, 16, NULL), -EINVAL);
    assert_int_equal(jg_http_parameter(jg_text_from("a; b c=d"), "b", buffer, 16, NULL), -EINVAL);
}

static void dates_agree_with_the_c_library(void **state)
{
    static const int64_t seconds[] = {0,  784111777,   951782400, 4107542399, 253402300799,
                                      -1, -2208988800, 68169600,  1709251199};
    char expected[JG_HTTP_DATE_SIZE], date[JG_HTTP_DATE_SIZE];
    int64_t parsed, i;

    (void)state;
    /* Each day of 200 years, and each second of a day by a step that meets all of them in turn. */
    for (i = 0; i < 73000 + 9; i++) {
        int64_t t = i < 9 ? seconds[i] : (i - 20000) * 86400 + i * 7 % 86400;
        time_t time = (time_t)t;
        struct tm tm;

        gmtime_r(&time, &tm);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_int_equal(jg_http_date_format(t, date), 0);
        assert_string_equal(date, expected);
        assert_int_equal(jg_http_date_parse(jg_text_from(date), 0, &parsed), 0);
        assert_int_equal(parsed, t);
    }
}

static void dates_end_where_years_have_four_digits(void **state)
{
    char date[JG_HTTP_DATE_SIZE] = "untouched";

    (void)state;
    assert_int_equal(jg_http_date_format(INT64_C(253402300800), date), -ERANGE);
    assert_int_equal(jg_http_date_format(INT64_C(-62167219201), date), -ERANGE);
    assert_int_equal(jg_http_date_format(INT64_MAX, date), -ERANGE);
    assert_int_equal(jg_http_date_format(INT64_MIN, date), -ERANGE);
    assert_string_equal(date, "untouched");
    assert_int_equal(jg_http_date_format(INT64_C(-62167219200), date), 0);
    assert_string_equal(date, "Sat, 01 Jan 0000 00:00:00 GMT");
    assert_int_equal(jg_http_date_format(INT64_C(253402300799), date), 0);
    assert_string_equal(date, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static int64_t parse_date(const char *date, int64_t now)
{
    int64_t seconds = -7;

    if (jg_http_date_parse(jg_text_from(date), now, &seconds) < 0)
        assert_int_equal(seconds, -7);
    return seconds;
}

static void dates_have_three_forms(void **state)
{
    const int64_t in_2026 = 1795000000;

    (void)state;
    assert_int_equal(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", in_2026), 784111777);
    assert_int_equal(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", in_2026), 784111777);
    assert_int_equal(parse_date("Sun Nov  6 08:49:37 1994", in_2026), 784111777);
    assert_int_equal(parse_date("Wed Nov 16 08:49:37 1994", in_2026), 784111777 + 864000);
    /* 50 years ahead is ahead, 51 are in the past. */
    assert_int_equal(parse_date("Sunday, 01-Jan-76 00:00:00 GMT", in_2026), 3345062400);
    assert_int_equal(parse_date("Sunday, 01-Jan-77 00:00:00 GMT", in_2026), 220924800);
    /* In 2080, "20" is 2120. */
    assert_int_equal(parse_date("Sunday, 01-Jan-20 00:00:00 GMT", 3471292800), 4733510400);
    assert_int_equal(parse_date("Sat, 31 Dec 2016 23:59:60 GMT", in_2026), 1483228799);
}

static void bad_dates_are_refused(void **state)
{
    static const char *const dates[] = {
        "",
        "Sun",
        "Sun,",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        if (parse_date(dates[i], 0) != -7)
            fail_msg("%s is accepted", dates[i]);
    }
    assert_int_equal(parse_date("Tue, 29 Feb 2000 00:00:00 GMT", 0), 951782400);
}

static void cookies_are_read(void **state)
{
    jg_text rest = jg_text_from("a=1; b=\"2\";c; =d; e f=3;g=;;h=i=j"), name, value;
    char seen[64] = "";

    (void)state;
    while (jg_http_cookie_next(&rest, &name, &value))
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s>%.*s;", (int)name.size,
                 name.data, (int)value.size, value.data);
    assert_string_equal(seen, "a>1;b>2;g>;h>i=j;");
}

static void cookies_are_written(void **state)
{
    jg_http_cookie cookie = {.name = "id",
                             .value = "x",
                             .path = "/a b",
                             .domain = "a.example",
                             .max_age = 60,
                             .secure = true,
                             .http_only = true,
                             .same_site = JG_HTTP_SAME_SITE_STRICT};
    char buffer[128];
    size_t size;

    (void)state;
    assert_int_equal(jg_http_cookie_format(&cookie, buffer, sizeof(buffer), &size), 0);
    assert_string_equal(buffer, "id=x; Path=/a b; Domain=a.example; Max-Age=60; Secure; HttpOnly; "
                                "SameSite=Strict");
    assert_int_equal(size, strlen(buffer));
    assert_int_equal(jg_http_cookie_format(&cookie, buffer, size, NULL), -ENOBUFS);
    cookie = (jg_http_cookie){.name = "id", .max_age = -1};
    assert_int_equal(jg_http_cookie_format(&cookie, buffer, sizeof(buffer), NULL), 0);
    assert_string_equal(buffer, "id=; Max-Age=0");
}

static void nothing_can_be_smuggled_into_a_cookie(void **state)
{
    static const jg_http_cookie cookies[] = {
        {.name = NULL},
        {.name = ""},
        {.name = "a b"},
        {.name = "a=b"},
        {.name = "a\r\n"},
        {.name = "a", .value = "b;c"},
        {.name = "a", .value = "b c"},
        {.name = "a", .value = "b\r\nc"},
        {.name = "a", .value = "b\"c"},
        {.name = "a", .value = "\xc3\xa4"},
        {.name = "a", .path = "b"},
        {.name = "a", .path = ""},
        {.name = "a", .path = "/b;c"},
        {.name = "a", .path = "/b\nc"},
        {.name = "a", .domain = ""},
        {.name = "a", .domain = "b;c"},
        {.name = "a", .domain = "b\r\n"},
    };
    char buffer[64] = "intact";
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cookies) / sizeof(cookies[0]); i++)
        assert_int_equal(jg_http_cookie_format(&cookies[i], buffer, sizeof(buffer), NULL), -EINVAL);
    assert_string_equal(buffer, "intact");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_characters_is_that_of_the_grammars),
        cmocka_unit_test(lists_have_elements),
        cmocka_unit_test(a_value_has_parameters),
        cmocka_unit_test(dates_agree_with_the_c_library),
        cmocka_unit_test(dates_end_where_years_have_four_digits),
        cmocka_unit_test(dates_have_three_forms),
        cmocka_unit_test(bad_dates_are_refused),
        cmocka_unit_test(cookies_are_read),
        cmocka_unit_test(cookies_are_written),
        cmocka_unit_test(nothing_can_be_smuggled_into_a_cookie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
