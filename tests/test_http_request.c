/* SPDX-License-Identifier: MIT
 *
 * What a handler asks of a request and what it answers, in the cases that are none of a server's
 * everyday life.
 */
#include "http_table.h"

#define HOST "Host: h\r\n"
#define END  "Connection: close\r\n\r\n"

/* Have a request answered by the handler, which checks what the test is about, and then 204. */
static void ask(jg_http_handler_fn handler, const char *text)
{
    struct table *table = table_new(handler, NULL);

    table->text = text;
    table_run(table);
    assert_memory_equal(table->output, "HTTP/1.1 204 ", 13);
    free(table);
}

/* ---------------------------------------------------------------- targets and queries */

static int look_at_everything(jg_http_request *request, void *arg)
{
    (void)arg;
    test_check(jg_http_request_method(request) == JG_HTTP_OPTIONS);
    test_check(jg_text_is(jg_http_request_path(request), "*"));
    return 204;
}

static int look_at_root(jg_http_request *request, void *arg)
{
    (void)arg;
    test_check(jg_http_request_method(request) == JG_HTTP_GET);
    test_check(jg_text_is(jg_http_request_path(request), "/"));
    test_check(jg_text_is(jg_http_request_host(request), "example.org"));
    return 204;
}

static void a_target_of_each_form_has_a_path(void **state)
{
    (void)state;
    ask(look_at_everything, "OPTIONS * HTTP/1.1\r\n" HOST END);
    ask(look_at_root, "GET http://example.org HTTP/1.1\r\n" HOST END);
}

static int look_into_query(jg_http_request *request, void *arg)
{
    jg_text value = {"unchanged", 9};

    (void)arg;
    test_check(jg_http_request_query(request, "none", &value) == -ENOENT);
    test_check(jg_http_request_query(request, "cut", &value) == -EINVAL);
    test_check(jg_text_is(value, "unchanged"));
    test_check(jg_http_request_query(request, "a b", &value) == 0 && jg_text_is(value, "c&d"));
    test_check(jg_http_request_query(request, "empty", &value) == 0 && jg_text_is(value, ""));
    return 204;
}

static void names_of_a_query_that_are_malformed_are_nobodys(void **state)
{
    (void)state;
    ask(look_into_query, "GET /?%zz=1&a+b=c%26d&cut=%2&empty HTTP/1.1\r\n" HOST END);
}

/* ---------------------------------------------------------------- bodies */

#define CHUNK "1000\r\n"

static int read_by_growing(jg_http_request *request, void *arg)
{
    jg_text body = {NULL, 0};

    (void)arg;
    test_check(jg_http_read_all(request, 3 * 4096, &body) == 0);
    test_check(body.size == 3 * 4096 && body.data[body.size] == 0);
    for (size_t i = 0; i < body.size; i++)
        test_check(body.data[i] == "xyz"[i / 4096]);
    test_check(jg_http_read_all(request, SIZE_MAX, &body) == 0 && body.size == 0);
    return 204;
}

static int read_too_little(jg_http_request *request, void *arg)
{
    jg_text body = {NULL, 0};
    char byte;

    (void)arg;
    test_check(jg_http_read_all(request, 3 * 4096 - 1, &body) == -EMSGSIZE);
    test_check(!body.data);
    test_check(jg_http_read(request, &byte, 1) == -EMSGSIZE);
    return jg_http_respond(request, 204, NULL, NULL, 0);
}

static void a_body_of_unknown_size_is_read_up_to_the_limit(void **state)
{
    static char text[3 * (4096 + 8) + 200];
    size_t size;

    (void)state;
    strcpy(text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END);
    size = strlen(text);
    for (int i = 0; i < 3; i++) {
        memcpy(text + size, CHUNK, 6);
        memset(text + size + 6, "xyz"[i], 4096);
        memcpy(text + size + 6 + 4096, "\r\n", 2);
        size += 6 + 4096 + 2;
    }
    strcpy(text + size, "0\r\n\r\n");
    ask(read_by_growing, text);
    ask(read_too_little, text);
}

static int read_malformed(jg_http_request *request, void *arg)
{
    char buffer[16];

    (void)arg;
    test_check(jg_http_read(request, buffer, 0) == 0);
    test_check(jg_http_read(request, buffer, sizeof(buffer)) == 1);
    test_check(jg_http_read(request, buffer, sizeof(buffer)) == JG_EHTTP_CHUNK);
    test_check(jg_http_read(request, buffer, sizeof(buffer)) == JG_EHTTP_CHUNK);
    return jg_http_respond(request, 204, NULL, NULL, 0);
}

static void a_body_that_is_malformed_stays_so(void **state)
{
    (void)state;
    ask(read_malformed,
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "1\r\na\r\nnumber\r\n");
}

/* ---------------------------------------------------------------- answers */

static int answer_wrongly(jg_http_request *request, void *arg)
{
    static char large[40000];
    jg_stream *stream;

    (void)arg;
    memset(large, 'a', sizeof(large) - 1);
    test_check(!jg_http_request_alloc(request, SIZE_MAX));
    test_check(jg_http_write(request, "a", 1) == -EINVAL);
    test_check(jg_http_begin(request, 200, NULL, -2) == -EINVAL);
    test_check(jg_http_begin(request, 199, NULL, 0) == -EINVAL);
    test_check(jg_http_begin(request, 200, "text/plain\r\nSet-Cookie: a=b", 0) == -EINVAL);
    test_check(jg_http_add_field(request, "A", "b\r\nSet-Cookie: a=b") == -EINVAL);
    test_check(jg_http_add_field(request, "A\r\nB", "c") == -EINVAL);
    test_check(jg_http_add_field(request, "A", large) == -EMSGSIZE);
    test_check(jg_http_add_field(request, large, "b") == -EMSGSIZE);
    test_check(jg_http_send_event(request, "a\nb", "c", NULL) == -EINVAL);
    test_check(jg_http_upgrade(request, "shout", &stream) == -EINVAL);

    test_check(jg_http_respond(request, 204, NULL, NULL, 0) == 0);
    test_check(jg_http_add_field(request, "A", "b") == -EALREADY);
    test_check(jg_http_respond(request, 204, NULL, NULL, 0) == -EALREADY);
    test_check(jg_http_upgrade(request, "shout", &stream) == -EALREADY);
    return 0;
}

static void what_is_no_answer_is_refused_and_leaves_nothing(void **state)
{
    struct table *table = table_new(answer_wrongly, NULL);

    (void)state;
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    table_expect(table, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_of_each_form_has_a_path),
        cmocka_unit_test(names_of_a_query_that_are_malformed_are_nobodys),
        cmocka_unit_test(a_body_of_unknown_size_is_read_up_to_the_limit),
        cmocka_unit_test(a_body_that_is_malformed_stays_so),
        cmocka_unit_test(what_is_no_answer_is_refused_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
