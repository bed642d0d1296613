/* SPDX-License-Identifier: MIT
 *
 * URLs, references, escapes, forms and the paths of files.
 */
#include "support.h"

#include <juggle/url.h>

#include <stdio.h>
#include <string.h>

static void a_url_is_taken_apart(void **state)
{
    jg_url url;

    (void)state;
    assert_int_equal(jg_url_parse(jg_text_from("http://example.org:8080/a/b?c=d#e"), &url), 0);
    assert_true(jg_text_is(url.scheme, "http"));
    assert_true(jg_text_is(url.authority, "example.org:8080"));
    assert_true(jg_text_is(url.host, "example.org"));
    assert_int_equal(url.port, 8080);
    assert_true(jg_text_is(url.path, "/a/b"));
    assert_true(jg_text_is(url.query, "c=d"));
    assert_true(jg_text_is(url.fragment, "e"));
    assert_false(url.secure);

    assert_int_equal(jg_url_parse(jg_text_from("WSS://[2001:db8::7]"), &url), 0);
    assert_true(jg_text_is(url.host, "2001:db8::7"));
    assert_true(jg_text_is(url.authority, "[2001:db8::7]"));
    assert_int_equal(url.port, 443);
    assert_int_equal(url.path.size, 0);
    assert_null(url.query.data);
    assert_null(url.fragment.data);
    assert_true(url.secure);

    assert_int_equal(jg_url_parse(jg_text_from("http://a?"), &url), 0);
    assert_non_null(url.query.data);
    assert_int_equal(url.query.size, 0);
}

static void bad_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "http",
        "http:",
        "http:/",
        "http://",
        "http:///a",
        "//a/b",
        "/a",
        "http:a/b",
        "http://u@a/",
        "http://u:p@a/",
        "http://a:b/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:123456/",
        "http://a:/",
        "http://a b/",
        "http://a/b c",
        "http://a/b\r\nc",
        "http://a/\xc3\xa4",
        "http://\xc3\xa4/",
        "http://a/#b#c",
        "http://a\\b/",
        "http://a%41/",
        "1http://a/",
        "http://[::1",
        "http://[]/",
        "http://[:]/",
        "http://[::1]x/",
        "http://[1]/",
        "http://[1:2:3:4:5:6:7]/",
        "http://[1:2:3:4:5:6:7:8:9]/",
        "http://[1::2::3]/",
        "http://[12345::]/",
        "http://[:::]/",
        "http://[g::]/",
        "http://[::1.2.3]/",
        "http://[::1.2.3.256]/",
        "http://[::01.2.3.4]/",
        "http://[1:2:3:4:5:6:7::8]/",
        "http://[1:2:3:4:5:6:7:]/",
        "http://[:1:2:3:4:5:6:7]/",
        "http://[fe80::1%eth0]/",
        "http://[1.2.3.4::]/",
        "http://a<b/",
        "http://a/\"",
    };
    jg_url url;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        if (jg_url_parse(jg_text_from(urls[i]), &url) != -EINVAL)
            fail_msg("%s is accepted", urls[i]);
    }
    assert_int_equal(jg_url_parse(jg_text_from("ftp://a/"), &url), -EPROTONOSUPPORT);
    assert_int_equal(jg_url_parse(jg_text_from("file:///a"), &url), -EPROTONOSUPPORT);
}

static void addresses_are_recognised(void **state)
{
    static const char *const urls[] = {
        "http://[::]/",
        "http://[::1]/",
        "http://[1::]/",
        "http://[1:2:3:4:5:6:7:8]/",
        "http://[::ffff:1.2.3.4]/",
        "http://[1:2:3:4:5:6:1.2.3.4]/",
        "http://[1:2:3:4:5:6:7::]/",
        "http://[::2:3:4:5:6:7:8]/",
        "http://1.2.3.4/",
        "http://a_b.c-d~e/",
        "http://[1::8]:1/",
    };
    jg_url url;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        if (jg_url_parse(jg_text_from(urls[i]), &url) != 0)
            fail_msg("%s is refused", urls[i]);
    }
}

/* RFC 3986 5.4, on the base it uses, with its scheme. */
static void references_are_resolved(void **state)
{
    static const struct {
        const char *reference;
        const char *result;
    } cases[] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"https://z/x/../y", "https://z/y"},
        {"//z/x/../y?b", "http://z/y?b"},
    };
    char buffer[64];
    jg_url base;
    size_t i, size;

    (void)state;
    assert_int_equal(jg_url_parse(jg_text_from("http://a/b/c/d;p?q"), &base), 0);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            jg_url_resolve(&base, jg_text_from(cases[i].reference), buffer, sizeof(buffer), &size),
            0);
        assert_string_equal(buffer, cases[i].result);
        assert_int_equal(size, strlen(buffer));
        assert_int_equal(
            jg_url_resolve(&base, jg_text_from(cases[i].reference), buffer, size, &size), -ENOBUFS);
    }
    assert_int_equal(jg_url_resolve(&base, jg_text_from("a b"), buffer, 64, NULL), -EINVAL);
    assert_int_equal(jg_url_parse(jg_text_from("http://a"), &base), 0);
    assert_int_equal(jg_url_resolve(&base, jg_text_from("g"), buffer, 64, NULL), 0);
    assert_string_equal(buffer, "http://a/g");
    assert_int_equal(jg_url_parse(jg_text_from("http://a//b"), &base), 0);
    assert_int_equal(jg_url_resolve(&base, jg_text_from("g"), buffer, 64, NULL), 0);
    assert_string_equal(buffer, "http://a//g");
}

static void escapes_are_undone_in_place(void **state)
{
    char text[] = "a%20b+%41%2f%2F%00";
    size_t size = 0;

    (void)state;
    assert_int_equal(
        jg_url_unescape(jg_text_of(text, strlen(text)), JG_URL_PLAIN, text, sizeof(text), &size),
        0);
    assert_int_equal(size, 8);
    assert_memory_equal(text, "a b+A//\0", 9);
    strcpy(text, "a+b%2B");
    assert_int_equal(jg_url_unescape(jg_text_from(text), JG_URL_FORM, text, 4, &size), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(text, "a b+2B", 6); /* no room for a NUL */
}

static void half_escapes_are_refused_and_change_nothing(void **state)
{
    static const char *const texts[] = {"a%", "a%4", "a%4g", "a%g4", "%41%", "%%41"};
    char buffer[8] = "intact";
    size_t i, size = 7;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(jg_url_unescape(jg_text_from(texts[i]), JG_URL_PLAIN, buffer, 8, &size),
                         -EINVAL);
    assert_int_equal(jg_url_unescape(jg_text_from("%41%41"), JG_URL_PLAIN, buffer, 1, &size),
                     -ENOBUFS);
    assert_string_equal(buffer, "intact");
    assert_int_equal(size, 7);
}

static void every_byte_survives_escaping(void **state)
{
    char bytes[256], escaped[3 * 256 + 1], back[256];
    size_t size;
    int i;

    (void)state;
    for (i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (i = JG_URL_PLAIN; i <= JG_URL_FORM; i++) {
        assert_int_equal(jg_url_escape(jg_text_of(bytes, 256), i, escaped, sizeof(escaped), &size),
                         0);
        assert_int_equal(jg_url_unescape(jg_text_of(escaped, size), i, back, 256, &size), 0);
        assert_int_equal(size, 256);
        assert_memory_equal(back, bytes, 256);
    }
    assert_int_equal(jg_url_escape(jg_text_from("a b/c"), JG_URL_PLAIN, escaped, 10, NULL), 0);
    assert_string_equal(escaped, "a%20b%2Fc");
    assert_int_equal(jg_url_escape(jg_text_from("a b/c"), JG_URL_PLAIN, escaped, 9, NULL),
                     -ENOBUFS);
    assert_int_equal(jg_url_escape(jg_text_from("a b"), JG_URL_FORM, escaped, 10, NULL), 0);
    assert_string_equal(escaped, "a+b");
}

static void queries_are_pairs(void **state)
{
    jg_text rest = jg_text_from("&a=1&&b=&c&=d&e=f=g&"), name, value;
    char seen[64] = "";

    (void)state;
    while (jg_url_query_next(&rest, &name, &value))
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s>%.*s%s;", (int)name.size,
                 name.data, (int)value.size, value.data != NULL ? value.data : "",
                 value.data == NULL ? "none" : "");
    assert_string_equal(seen, "a>1;b>;c>none;>d;e>f=g;");
    rest = jg_text_of(NULL, 0);
    assert_false(jg_url_query_next(&rest, &name, &value));
}

static void paths_of_files_stay_inside(void **state)
{
    static const struct {
        const char *path;
        const char *result; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"/", ""},
        {"/a", "a"},
        {"/a/", "a/"},
        {"/a/b.txt", "a/b.txt"},
        {"//a//b", "a/b"},
        {"/./a/.", "a/"},
        {"/a/..", ""},
        {"/a/../b", "b"},
        {"/a/b/../../c", "c"},
        {"/a/b/..", "a/"},
        {"/%61%2e%62", "a.b"},
        {"/a/%2e%2E/b", "b"},
        {"/...", "..."},
        {"/..a", "..a"},
        {"/a%20b", "a b"},
        {"/%252e%252e/a", "%2e%2e/a"}, /* once */
        {"/..", NULL},
        {"/../a", NULL},
        {"/a/../../b", NULL},
        {"/%2e%2e/a", NULL},
        {"/.%2e/a", NULL},
        {"/a/%2e%2e/%2e%2e/b", NULL},
        {"/%2e%2e%2fa", NULL},
        {"/a%2fb", NULL},
        {"/a%00b", NULL},
        {"/a%", NULL},
        {"/a%2", NULL},
        {"a", NULL},
        {"..", NULL},
    };
    char buffer[32];
    size_t i, size;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = jg_url_file_path(jg_text_from(cases[i].path), buffer, sizeof(buffer), &size);

        if (r != (cases[i].result != NULL ? 0 : -EINVAL))
            fail_msg("%s: %d", cases[i].path, r);
        if (r == 0) {
            assert_string_equal(buffer, cases[i].result);
            assert_int_equal(size, strlen(buffer));
        }
    }
    assert_int_equal(jg_url_file_path(jg_text_from("/abc"), buffer, 4, NULL), 0);
    assert_int_equal(jg_url_file_path(jg_text_from("/abc"), buffer, 3, NULL), -ENOBUFS);
    assert_int_equal(jg_url_file_path(jg_text_from("/"), buffer, 0, NULL), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_taken_apart),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(addresses_are_recognised),
        cmocka_unit_test(references_are_resolved),
        cmocka_unit_test(escapes_are_undone_in_place),
        cmocka_unit_test(half_escapes_are_refused_and_change_nothing),
        cmocka_unit_test(every_byte_survives_escaping),
        cmocka_unit_test(queries_are_pairs),
        cmocka_unit_test(paths_of_files_stay_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
