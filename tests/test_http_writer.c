/* SPDX-License-Identifier: MIT
 *
 * Writing heads: what they look like, and what cannot be brought into them.
 */
#include "support.h"

#include <juggle/http_parser.h>

#include "http/writer.h"

#include <string.h>

static void a_head_is_written_line_by_line(void **state)
{
    static const char expected[] = "HTTP/1.1 404 Not Found\r\nServer: juggle\r\nX: a\tb \xff\r\n"
                                   "Empty: \r\nContent-Length: 18446744073709551615\r\n\r\n";
    char buffer[256];
    struct jg__output output = jg__output(buffer, sizeof(buffer));

    (void)state;
    assert_int_equal(jg__write_status(&output, 404), 0);
    assert_int_equal(jg__write_field(&output, jg_text_from("Server"), jg_text_from("juggle")), 0);
    assert_int_equal(jg__write_field(&output, jg_text_from("X"), jg_text_from("a\tb \xff")), 0);
    assert_int_equal(jg__write_field(&output, jg_text_from("Empty"), jg_text_of(NULL, 0)), 0);
    assert_int_equal(jg__write_length(&output, UINT64_MAX), 0);
    assert_int_equal(jg__write_end(&output), 0);
    assert_int_equal(output.size, strlen(expected));
    assert_memory_equal(buffer, expected, output.size);
}

static void nothing_can_be_smuggled_into_a_head(void **state)
{
    static const char *const values[] = {
        "a\r\nX: y", "a\nX: y", "a\rX", "\r\n", "a\001b", "a\177b", "aaaaaaaaaaaaaaaa\n", "\x1f"};
    static const char *const names[] = {"", "a b", "a:", "a\r\nb", "\xc3\xa4", "a\n"};
    char buffer[64];
    struct jg__output output = jg__output(buffer, sizeof(buffer));
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_int_equal(jg__write_field(&output, jg_text_from("a"), jg_text_from(values[i])),
                         -EINVAL);
    assert_int_equal(jg__write_field(&output, jg_text_from("a"), jg_text_of("a\0b", 3)), -EINVAL);
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(jg__write_field(&output, jg_text_from(names[i]), jg_text_from("b")),
                         -EINVAL);
    assert_int_equal(jg__write_request(&output, jg_text_from("G T"), jg_text_from("/")), -EINVAL);
    assert_int_equal(jg__write_request(&output, jg_text_from("GET"), jg_text_from("/ a")), -EINVAL);
    assert_int_equal(jg__write_request(&output, jg_text_from("GET"), jg_text_from("/\r\na")),
                     -EINVAL);
    assert_int_equal(jg__write_request(&output, jg_text_from("GET"), jg_text_from("")), -EINVAL);
    assert_int_equal(jg__write_status(&output, 99), -EINVAL);
    assert_int_equal(jg__write_status(&output, 1000), -EINVAL);
    assert_int_equal(jg__write_status(&output, -200), -EINVAL);
    assert_int_equal(output.size, 0);
}

static int write_all(struct jg__output *output)
{
    int r = jg__write_status(output, 200);

    if (r == 0)
        r = jg__write_field(output, jg_text_from("Name"), jg_text_from("value"));
    if (r == 0)
        r = jg__write_length(output, 5);
    return r == 0 ? jg__write_end(output) : r;
}

static void a_line_that_does_not_fit_is_not_begun(void **state)
{
    static const char all[] = "HTTP/1.1 200 OK\r\nName: value\r\nContent-Length: 5\r\n\r\n";
    char buffer[64];
    size_t capacity;

    (void)state;
    for (capacity = 0; capacity <= sizeof(all) - 1; capacity++) {
        struct jg__output output = jg__output(buffer, capacity);
        int r = write_all(&output);

        assert_int_equal(r, capacity == sizeof(all) - 1 ? 0 : -ENOBUFS);
        assert_memory_equal(buffer, all, output.size);
        assert_true(output.size == 0 || buffer[output.size - 1] == '\n');
        assert_false(output.full);
    }
}

static void what_is_written_can_be_parsed(void **state)
{
    char buffer[128];
    struct jg__output output = jg__output(buffer, sizeof(buffer));
    jg_http_field fields[4];
    jg_http_parser parser;
    int status;

    (void)state;
    assert_int_equal(jg__write_request(&output, jg_text_from("POST"), jg_text_from("/a?b")), 0);
    assert_int_equal(jg__write_field(&output, jg_text_from("Host"), jg_text_from("h")), 0);
    assert_int_equal(jg__write_end(&output), 0);
    jg_http_parser_init(&parser, fields, 4, NULL);
    assert_int_equal(jg_http_parser_feed(&parser, buffer, output.size), (int)output.size);
    for (status = 100; status <= 999; status++) {
        output = jg__output(buffer, sizeof(buffer));
        assert_int_equal(jg__write_status(&output, status), 0);
        assert_int_equal(jg__write_end(&output), 0);
        jg_http_parser_init_response(&parser, JG_HTTP_GET, fields, 4, NULL);
        assert_int_equal(jg_http_parser_feed(&parser, buffer, output.size), (int)output.size);
        assert_int_equal(parser.head.status, status);
        assert_true(jg_text_is(jg_http_head_text(&parser.head, parser.head.reason),
                               jg__http_reason(status)));
    }
}

static void reasons_are_those_of_the_registry(void **state)
{
    (void)state;
    assert_string_equal(jg__http_reason(100), "Continue");
    assert_string_equal(jg__http_reason(103), "Early Hints");
    assert_string_equal(jg__http_reason(206), "Partial Content");
    assert_string_equal(jg__http_reason(304), "Not Modified");
    assert_string_equal(jg__http_reason(308), "Permanent Redirect");
    assert_string_equal(jg__http_reason(413), "Content Too Large");
    assert_string_equal(jg__http_reason(426), "Upgrade Required");
    assert_string_equal(jg__http_reason(429), "Too Many Requests");
    assert_string_equal(jg__http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(jg__http_reason(505), "HTTP Version Not Supported");
    assert_string_equal(jg__http_reason(511), "Network Authentication Required");
    assert_string_equal(jg__http_reason(299), "");
    assert_string_equal(jg__http_reason(600), "");
    assert_string_equal(jg__http_reason(99), "");
    assert_string_equal(jg__http_reason(-1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_written_line_by_line),
        cmocka_unit_test(nothing_can_be_smuggled_into_a_head),
        cmocka_unit_test(a_line_that_does_not_fit_is_not_begun),
        cmocka_unit_test(what_is_written_can_be_parsed),
        cmocka_unit_test(reasons_are_those_of_the_registry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
