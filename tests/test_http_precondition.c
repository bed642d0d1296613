/* SPDX-License-Identifier: MIT
 *
 * Conditional requests, byte ranges, and what type a file has.
 */
#include "support.h"

#include "http/precondition.h"
#include "http/media.h"

#include <stdio.h>
#include <string.h>

#define NOW      INT64_C(1795000000)
#define MODIFIED INT64_C(784111777)
#define BEFORE   "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACTLY  "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER    "Sun, 06 Nov 1994 08:49:38 GMT"

static jg_http_parser parser;
static jg_http_field fields[8];
static char request[512];

static const jg_http_head *head_of(const char *method, const char *lines)
{
    snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: h\r\n%s\r\n", method, lines);
    jg_http_parser_init(&parser, fields, 8, NULL);
    assert_true(jg_http_parser_feed(&parser, request, strlen(request)) > 0);
    return &parser.head;
}

static int evaluate(const char *method, const char *etag, const char *lines)
{
    struct jg__validators validators = {jg_text_from(etag), MODIFIED};

    return jg__precondition_evaluate(head_of(method, lines), &validators, NOW);
}

static void conditions_follow_the_rfc(void **state)
{
    static const struct {
        const char *name;
        const char *method;
        const char *etag;
        const char *lines;
        int status;
    } cases[] = {
        {"none", "GET", "\"a\"", "", 200},
        {"13.1.1: the same", "PUT", "\"a\"", "If-Match: \"a\"\r\n", 200},
        {"13.1.1: among others", "PUT", "\"a\"", "If-Match: \"b,\" ,\"\\\", \"a\"\r\n", 200},
        {"13.1.1: in the second line", "PUT", "\"a\"", "If-Match: \"b\"\r\nIf-Match: \"a\"\r\n",
         200},
        {"13.1.1: another", "PUT", "\"a\"", "If-Match: \"b\"\r\n", 412},
        {"13.1.1: weak", "PUT", "\"a\"", "If-Match: W/\"a\"\r\n", 412},
        {"13.1.1: both weak", "PUT", "W/\"a\"", "If-Match: W/\"a\"\r\n", 412},
        {"13.1.1: any", "PUT", "\"a\"", "If-Match: *\r\n", 200},
        {"13.1.1: malformed", "PUT", "\"a\"", "If-Match: a\r\n", 412},
        {"13.1.1: no tag", "PUT", NULL, "If-Match: \"a\"\r\n", 412},
        {"13.1.2: the same", "GET", "\"a\"", "If-None-Match: \"a\"\r\n", 304},
        {"13.1.2: the same, not to read", "PUT", "\"a\"", "If-None-Match: \"a\"\r\n", 412},
        {"13.1.2: weak", "HEAD", "\"a\"", "If-None-Match: W/\"a\"\r\n", 304},
        {"13.1.2: ours is weak", "GET", "W/\"a\"", "If-None-Match: \"a\"\r\n", 304},
        {"13.1.2: another", "GET", "\"a\"", "If-None-Match: \"b\", \"A\"\r\n", 200},
        {"13.1.2: any", "PUT", "\"a\"", "If-None-Match: *\r\n", 412},
        {"13.1.3: changed", "GET", "\"a\"", "If-Modified-Since: " BEFORE "\r\n", 200},
        {"13.1.3: not changed", "GET", "\"a\"", "If-Modified-Since: " EXACTLY "\r\n", 304},
        {"13.1.3: not to read", "PUT", "\"a\"", "If-Modified-Since: " EXACTLY "\r\n", 200},
        {"13.1.3: no date", "GET", "\"a\"", "If-Modified-Since: yesterday\r\n", 200},
        {"13.1.3: a tag decides", "GET", "\"a\"",
         "If-None-Match: \"b\"\r\nIf-Modified-Since: " EXACTLY "\r\n", 200},
        {"13.1.4: changed", "PUT", "\"a\"", "If-Unmodified-Since: " BEFORE "\r\n", 412},
        {"13.1.4: not changed", "PUT", "\"a\"", "If-Unmodified-Since: " EXACTLY "\r\n", 200},
        {"13.1.4: no date", "PUT", "\"a\"", "If-Unmodified-Since: tomorrow\r\n", 200},
        {"13.1.4: a tag decides", "PUT", "\"a\"",
         "If-Match: \"a\"\r\nIf-Unmodified-Since: " BEFORE "\r\n", 200},
        {"13.2.2: both hold", "GET", "\"a\"", "If-Match: \"a\"\r\nIf-None-Match: \"a\"\r\n", 304},
        {"13.2.2: the first fails", "GET", "\"a\"", "If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n",
         412},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = evaluate(cases[i].method, cases[i].etag, cases[i].lines);

        if (status != cases[i].status)
            fail_msg("%s: %d", cases[i].name, status);
    }
}

static void ranges_follow_the_rfc(void **state)
{
    static const struct {
        const char *method;
        const char *lines;
        uint64_t size;
        int status;
        struct jg__range range;
    } cases[] = {
        {"GET", "", 10, 200, {0, 0}},
        {"GET", "Range: bytes=0-4\r\n", 10, 206, {0, 4}},
        {"GET", "Range: Bytes= 5-\r\n", 10, 206, {5, 9}},
        {"GET", "Range: bytes=5-99\r\n", 10, 206, {5, 9}},
        {"GET", "Range: bytes=9-9\r\n", 10, 206, {9, 9}},
        {"GET", "Range: bytes=-3\r\n", 10, 206, {7, 9}},
        {"GET", "Range: bytes=-99\r\n", 10, 206, {0, 9}},
        {"GET", "Range: bytes=0-99999999999999999999999\r\n", 10, 206, {0, 9}},
        {"GET", "Range: bytes=10-\r\n", 10, 416, {0, 0}},
        {"GET", "Range: bytes=99999999999999999999999-\r\n", 10, 416, {0, 0}},
        {"GET", "Range: bytes=-0\r\n", 10, 416, {0, 0}},
        {"GET", "Range: bytes=0-\r\n", 0, 416, {0, 0}},
        {"GET", "Range: bytes=-1\r\n", 0, 416, {0, 0}},
        {"GET", "Range: bytes=4-3\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=0-1,4-5\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=-\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=a-b\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=1\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes\r\n", 10, 200, {0, 0}},
        {"GET", "Range: lines=0-4\r\n", 10, 200, {0, 0}},
        {"HEAD", "Range: bytes=0-4\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=0-4\r\nIf-Range: \"a\"\r\n", 10, 206, {0, 4}},
        {"GET", "Range: bytes=0-4\r\nIf-Range: \"b\"\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=0-4\r\nIf-Range: W/\"a\"\r\n", 10, 200, {0, 0}},
        {"GET", "Range: bytes=0-4\r\nIf-Range: " EXACTLY "\r\n", 10, 206, {0, 4}},
        {"GET", "Range: bytes=0-4\r\nIf-Range: " AFTER "\r\n", 10, 200, {0, 0}},
    };
    struct jg__validators validators = {jg_text_from("\"a\""), MODIFIED};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jg__range range = {0, 0};
        int status = jg__range_evaluate(head_of(cases[i].method, cases[i].lines), &validators, NOW,
                                        cases[i].size, &range);

        if (status != cases[i].status || range.first != cases[i].range.first ||
            range.last != cases[i].range.last)
            fail_msg("%s: %d", cases[i].lines, status);
    }
}

static void entity_tags_tell_files_apart(void **state)
{
    char etag[JG__ETAG_SIZE];

    (void)state;
    jg__etag_format(0, 0, etag);
    assert_string_equal(etag, "\"0-0\"");
    jg__etag_format(0x1234, 0xabc, etag);
    assert_string_equal(etag, "\"abc-1234\"");
    jg__etag_format(UINT64_MAX, -1, etag);
    assert_string_equal(etag, "\"ffffffffffffffff-ffffffffffffffff\"");
}

static void the_extension_tells_the_media_type(void **state)
{
    (void)state;
    assert_string_equal(jg__media_type(jg_text_from("a/b.html")), "text/html");
    assert_string_equal(jg__media_type(jg_text_from("B.TAR.GZ")), "application/gzip");
    assert_string_equal(jg__media_type(jg_text_from("a.webmanifest")), "application/manifest+json");
    assert_string_equal(jg__media_type(jg_text_from("a.html/b")), "application/octet-stream");
    assert_string_equal(jg__media_type(jg_text_from("html")), "application/octet-stream");
    assert_string_equal(jg__media_type(jg_text_from("a.")), "application/octet-stream");
    assert_string_equal(jg__media_type(jg_text_from("")), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_follow_the_rfc),
        cmocka_unit_test(ranges_follow_the_rfc),
        cmocka_unit_test(entity_tags_tell_files_apart),
        cmocka_unit_test(the_extension_tells_the_media_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
