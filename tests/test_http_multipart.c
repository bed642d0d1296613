/* SPDX-License-Identifier: MIT
 *
 * Multipart bodies: each is given whole, byte by byte and in every way to cut it in two.
 */
#include "support.h"

#include <juggle/http_field.h>
#include <juggle/http_multipart.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct log {
    char text[1024];
};

static void note(struct log *log, const char *text, size_t size)
{
    size_t length = strlen(log->text);

    assert_true(length + size < sizeof(log->text));
    memcpy(log->text + length, text, size);
    log->text[length + size] = '\0';
}

/* What happens, with the first bytes of the body given as one and the others by `step`. */
static struct log run(const char *boundary, const char *data, size_t size, size_t first,
                      size_t step)
{
    struct log log = {""};
    jg_http_multipart multipart;
    char head[64];
    size_t at = 0, arrived = first, used;
    jg_text piece;
    int r;

    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from(boundary), head, sizeof(head)),
                     0);
    for (;;) {
        char *copy = malloc(arrived - at + 1);

        memcpy(copy, data + at, arrived - at);
        r = jg_http_multipart_feed(&multipart, copy, arrived - at, &used, &piece);
        if (r < 0) {
            free(copy);
            note(&log, r == -ENOBUFS ? "!large" : "!bad", r == -ENOBUFS ? 6 : 4);
            return log;
        }
        at += used;
        if (r == JG_HTTP_MULTIPART_DATA) {
            assert_true(piece.size > 0);
            note(&log, piece.data, piece.size);
        }
        free(copy);
        if (r == JG_HTTP_MULTIPART_PART) {
            jg_text name = jg_http_multipart_field(&multipart, "a");

            note(&log, "<", 1);
            note(&log, name.data != NULL ? name.data : "none", name.data != NULL ? name.size : 4);
            note(&log, ">", 1);
        } else if (r == JG_HTTP_MULTIPART_MORE && arrived == size) {
            note(&log, "~", 1);
            return log;
        } else if (r == JG_HTTP_MULTIPART_END) {
            note(&log, ".", 1);
            return log;
        } else if (r == JG_HTTP_MULTIPART_MORE) {
            arrived = size - arrived < step ? size : arrived + step;
        }
    }
}

static void check(const char *boundary, const char *data, const char *expected)
{
    size_t size = strlen(data), first;

    assert_string_equal(run(boundary, data, size, size, 1).text, expected);
    assert_string_equal(run(boundary, data, size, 0, 1).text, expected);
    for (first = 0; first < size; first++)
        assert_string_equal(run(boundary, data, size, first, size).text, expected);
}

static void parts_are_found(void **state)
{
    (void)state;
    check("x", "--x\r\nA: 1\r\n\r\none\r\n--x\r\nb: 2\r\n\r\ntwo\r\n--x--\r\n", "<1>one<none>two.");
    check("x", "preamble\r\n--x\r\na:  1 \r\nb:\r\n\r\n\r\n--x--epilogue", "<1>.");
    check("x", "--x \t\r\n\r\ndata\r\n--x--", "<none>data.");
    check("x", "--x--", ".");
    check("a b'()+_,-./:=?9", "--a b'()+_,-./:=?9\r\n\r\nd\r\n--a b'()+_,-./:=?9--", "<none>d.");
}

static void data_that_begins_like_a_delimiter_is_data(void **state)
{
    (void)state;
    check("xy", "--xy\r\n\r\n\r\r\n\r\n-\r\n--\r\n--x\r\n--x\r\n\r\n--xy--",
          "<none>\r\r\n\r\n-\r\n--\r\n--x\r\n--x\r\n.");
    check("xy", "--xy\r\n\r\n--xy\n--xy\r--xy\r\n--xy--", "<none>--xy\n--xy\r--xy.");
    check("xy", "-\r\n--x\r\n--xy\r\n\r\na\r\n--xy--", "<none>a.");
    check("--", "----\r\n\r\n--\r\n---\r\n------", "<none>--\r\n---.");
}

static void malformed_bodies_are_refused(void **state)
{
    (void)state;
    check("x", "--xz\r\n\r\n", "!bad");
    check("x", "--x\n\r\n", "!bad");
    check("x", "--x\rz\r\n", "!bad");
    check("x", "--x -\r\n", "!bad");
    check("x", "--x-z\r\n", "!bad");
    check("x", "--x\r\nA: 1\n\r\n", "!bad");
    check("x", "--x\r\nA\r\n\r\n", "!bad");
    check("x", "--x\r\n: 1\r\n\r\n", "!bad");
    check("x", "--x\r\nA : 1\r\n\r\n", "!bad");
    check("x", "--x\r\nA: 1\r\n 2\r\n\r\n", "!bad");
    check("x", "--x\r\nA: \001\r\n\r\n", "!bad");
    check("x", "--x\r\nA: b\rc\r\n\r\n", "!bad");
    check("x", "--x\r\n\r\ndata\r\n--xdata", "<none>data!bad");
}

static void a_body_that_is_cut_short_has_no_end(void **state)
{
    (void)state;
    check("x", "", "~");
    check("x", "--x\r\nA: 1\r\n", "~");
    check("x", "--x\r\nA: 1\r\n\r\nab", "<1>ab~");
    check("x", "--x\r\nA: 1\r\n\r\nab\r\n--x", "<1>ab~");
    check("x", "--x\r\nA: 1\r\n\r\nab\r\n--x-", "<1>ab~");
}

static void heads_of_parts_are_bounded(void **state)
{
    char data[128];

    (void)state;
    /* 64 bytes with the empty line are the largest. */
    snprintf(data, sizeof(data), "--x\r\nb: %057d\r\n\r\n--x", 0);
    check("x", data, "<none>--x~");
    snprintf(data, sizeof(data), "--x\r\nb: %058d\r\n\r\n--x", 0);
    check("x", data, "!large");
}

static void boundaries_are_those_of_the_rfc(void **state)
{
    jg_http_multipart multipart;
    char boundary[72];

    (void)state;
    memset(boundary, 'x', sizeof(boundary));
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_of(boundary, 70), NULL, 0), 0);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_of(boundary, 71), NULL, 0),
                     -EINVAL);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from(""), NULL, 0), -EINVAL);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from("a "), NULL, 0), -EINVAL);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from("a\r"), NULL, 0), -EINVAL);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_of("a\0b", 3), NULL, 0), -EINVAL);
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from("a\"b"), NULL, 0), -EINVAL);
}

static void names_and_files_are_parameters(void **state)
{
    static const char body[] = "--x\r\nContent-Disposition: form-data; name=\"f\"; "
                               "filename=\"a b.txt\"\r\nContent-Type: text/plain\r\n\r\n";
    jg_http_multipart multipart;
    char head[256], name[16];
    jg_text piece, field;
    size_t used;

    (void)state;
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from("x"), head, sizeof(head)), 0);
    assert_int_equal(jg_http_multipart_feed(&multipart, body, strlen(body), &used, &piece),
                     JG_HTTP_MULTIPART_PART);
    assert_int_equal(used, strlen(body));
    field = jg_http_multipart_field(&multipart, "content-disposition");
    assert_int_equal(jg_http_parameter(field, "name", name, sizeof(name), NULL), 0);
    assert_string_equal(name, "f");
    assert_int_equal(jg_http_parameter(field, "filename", name, sizeof(name), NULL), 0);
    assert_string_equal(name, "a b.txt");
    assert_true(jg_text_is(jg_http_multipart_field(&multipart, "content-type"), "text/plain"));
}

static void what_failed_stays_so(void **state)
{
    jg_http_multipart multipart;
    char head[64];
    jg_text piece;
    size_t used;

    (void)state;
    assert_int_equal(jg_http_multipart_init(&multipart, jg_text_from("b"), head, sizeof(head)), 0);
    assert_int_equal(jg_http_multipart_feed(&multipart, "--bx", 4, &used, &piece), -EBADMSG);
    assert_int_equal(jg_http_multipart_feed(&multipart, "\r\n--b--", 7, &used, &piece), -EBADMSG);
    assert_int_equal(jg_http_multipart_feed(&multipart, "", 0, &used, &piece), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(data_that_begins_like_a_delimiter_is_data),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(a_body_that_is_cut_short_has_no_end),
        cmocka_unit_test(heads_of_parts_are_bounded),
        cmocka_unit_test(boundaries_are_those_of_the_rfc),
        cmocka_unit_test(names_and_files_are_parameters),
        cmocka_unit_test(what_failed_stays_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
