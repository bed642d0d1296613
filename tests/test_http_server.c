/* SPDX-License-Identifier: MIT
 *
 * The HTTP server: what comes back for what is sent.
 */
#include "http_table.h"

#include "core/loop.h"
#include "http/access_log.h"
#include "http/server.h"

#include <unistd.h>

#define HOST "Host: a\r\n"
#define END  "\r\n"

static int sum;

/* Answers in the way that the path names. */
static int site(jg_http_request *request, void *arg)
{
    static char large[300000];
    jg_text path = jg_http_request_path(request), body;
    char buffer[64];
    int r;

    (void)arg;
    if (jg_text_is(path, "/"))
        return jg_http_respond(request, 200, "text/plain", "hello", 5);
    if (jg_text_is(path, "/none"))
        return 0;
    if (jg_text_is(path, "/teapot"))
        return 418;
    if (jg_text_is(path, "/204"))
        return jg_http_respond(request, 204, "text/plain", "hello", 5);
    if (jg_text_is(path, "/304"))
        return jg_http_respond(request, 304, NULL, "hello", 5);
    if (jg_text_is(path, "/fail"))
        return -EPERM;
    if (jg_text_is(path, "/fail-later")) {
        test_check(jg_http_begin(request, 200, NULL, JG_HTTP_NO_LENGTH) == 0);
        test_check(jg_http_write(request, "part", 4) == 0);
        return -EPERM;
    }
    if (jg_text_is(path, "/short")) {
        test_check(jg_http_begin(request, 200, NULL, 5) == 0);
        test_check(jg_http_write(request, "abcdef", 6) == -EMSGSIZE);
        return jg_http_write(request, "abc", 3);
    }
    if (jg_text_is(path, "/stream")) {
        test_check(jg_http_begin(request, 200, "text/plain", JG_HTTP_NO_LENGTH) == 0);
        test_check(jg_http_write(request, "one", 3) == 0);
        test_check(jg_http_write(request, "", 0) == 0);
        return jg_http_write(request, "twelve bytes", 12);
    }
    if (jg_text_is(path, "/sleep")) {
        r = jg_sleep(3 * JG_SECOND);
        return r < 0 ? r : jg_http_respond(request, 200, NULL, "slept", 5);
    }
    if (jg_text_is(path, "/close")) {
        test_check(jg_http_add_field(request, "Connection", "close") == 0);
        return jg_http_respond(request, 200, NULL, "bye", 3);
    }
    if (jg_text_is(path, "/fields")) {
        test_check(jg_http_add_field(request, "Date", "x") == -EINVAL);
        test_check(jg_http_add_field(request, "content-length", "3") == -EINVAL);
        test_check(jg_http_add_field(request, "A B", "x") == -EINVAL);
        test_check(jg_http_add_field(request, "A", "x\r\nB: y") == -EINVAL);
        test_check(jg_http_add_field(request, "Connection", "upgrade") == -EINVAL);
        test_check(jg_http_respond(request, 200, "a\nb", "", 0) == -EINVAL);
        test_check(jg_http_respond(request, 199, NULL, "", 0) == -EINVAL);
        test_check(jg_http_add_field(request, "X-One", "1") == 0);
        test_check(jg_http_add_field(request, "X-Empty", "") == 0);
        test_check(jg_http_respond(request, 200, NULL, "", 0) == 0);
        test_check(jg_http_add_field(request, "X-Late", "1") == -EALREADY);
        test_check(jg_http_respond(request, 200, NULL, "", 0) == -EALREADY);
        return 0;
    }
    if (jg_text_is(path, "/many-fields")) {
        for (r = 0; r == 0;)
            r = jg_http_add_field(request, "X-Filler", "0123456789012345678901234567890123456789");
        return r == -EMSGSIZE ? 200 : r;
    }
    if (jg_text_is(path, "/echo")) {
        r = jg_http_read_all(request, 64, &body);
        return r < 0 ? r : jg_http_respond(request, 200, NULL, body.data, body.size);
    }
    if (jg_text_is(path, "/sum")) {
        for (sum = 0; (r = jg_http_read(request, buffer, sizeof(buffer))) > 0;)
            sum += r;
        snprintf(buffer, sizeof(buffer), "%d", sum);
        return r < 0 ? r : jg_http_respond(request, 200, NULL, buffer, strlen(buffer));
    }
    if (jg_text_is(path, "/large"))
        return jg_http_respond(request, 200, NULL, memset(large, 'x', sizeof(large)),
                               sizeof(large));
    if (jg_text_is(path, "/events")) {
        test_check(jg_http_send_event(request, "a\nb", NULL, NULL) == -EINVAL);
        r = jg_http_send_event(request, "kind", "one\ntwo\r\n\rthree", "7");
        return r < 0 ? r : jg_http_send_event(request, NULL, NULL, NULL);
    }
    if (jg_text_is(path, "/query")) {
        r = jg_http_request_query(request, "na me", &body);
        return r < 0 ? 400 - r : jg_http_respond(request, 200, NULL, body.data, body.size);
    }
    if (jg_text_is(path, "/host")) {
        body = jg_http_request_host(request);
        return jg_http_respond(request, 200, NULL, body.data, body.size);
    }
    return 404;
}

/* Errors that a test expects are counted. */
static int reports;

static void on_report(void *arg, int error, const char *what)
{
    (void)arg;
    (void)what;
    test_check(error < 0);
    reports++;
}

static void count_reports(struct table *table)
{
    reports = 0;
    table->world.loop->on_error = on_report;
}

static struct table *exchange_with(const jg_http_server_options *options, const char *text)
{
    struct table *table = table_new(site, options);

    count_reports(table);
    table->text = text;
    table_run(table);
    assert_int_equal(table->close_status, 0);
    return table;
}

static void expect(const char *text, const char *output)
{
    struct table *table = exchange_with(NULL, text);

    assert_int_equal(table->end, 0);
    table_expect(table, output);
    free(table);
}

#define HELLO "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
#define NOT_FOUND                                                           \
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 14\r\n\r\n404 Not Found\n"

/* ---------------------------------------------------------------- answers */

static void a_request_is_answered(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n" HOST END, HELLO);
}

static void a_client_that_sends_nothing_gets_nothing(void **state)
{
    (void)state;
    expect("", "");
}

static void a_status_is_answered_in_plain_text(void **state)
{
    (void)state;
    expect("GET /missing HTTP/1.1\r\n" HOST END, NOT_FOUND);
    expect("GET /teapot HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 418 \r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 5\r\n\r\n418 \n");
}

static void head_has_the_fields_and_no_body(void **state)
{
    (void)state;
    expect("HEAD / HTTP/1.1\r\n" HOST END "HEAD /stream HTTP/1.1\r\n" HOST END
           "HEAD /missing HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
           "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 14\r\n\r\n" HELLO);
}

static void _204_and_304_have_no_body(void **state)
{
    (void)state;
    expect("GET /204 HTTP/1.1\r\n" HOST END "GET /304 HTTP/1.1\r\n" HOST END
           "GET / HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n"
           "HTTP/1.1 304 Not Modified\r\n\r\n" HELLO);
}

static void fields_are_sent_and_cannot_be_smuggled(void **state)
{
    (void)state;
    expect("GET /fields HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-One: 1\r\nX-Empty: \r\n\r\n");
}

static void more_fields_than_a_buffer_holds_are_sent(void **state)
{
    struct table *table =
        exchange_with(NULL, "GET /many-fields HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END);

    (void)state;
    assert_true(table->received > 32000 && table->received < 34000);
    assert_string_equal(table->output + table->received - strlen(HELLO), HELLO);
    free(table);
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    expect("GET /stream HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\none\r\nc\r\ntwelve bytes\r\n0\r\n\r\n" HELLO);
}

static void a_large_body_arrives(void **state)
{
    struct table *table = exchange_with(NULL, "GET /large HTTP/1.1\r\n" HOST END);

    (void)state;
    assert_int_equal(table->end, 0);
    assert_int_equal(table->received, 300000 + strlen("HTTP/1.1 200 OK\r\n"
                                                      "Content-Length: 300000\r\n\r\n"));
    free(table);
}

static void answers_arrive_however_low_the_high_mark_is(void **state)
{
    static const char text[] =
        "GET /stream HTTP/1.1\r\n" HOST END "GET /teapot HTTP/1.1\r\n" HOST END
        "GET /many-fields HTTP/1.1\r\n" HOST END "GET /large HTTP/1.1\r\n" HOST END
        "GET /fields HTTP/1.1\r\n" HOST END "GET /stream HTTP/1.1\r\n" HOST END;
    struct table *whole = exchange_with(NULL, text);

    (void)state;
    for (size_t mark = 1; mark < 10000; mark *= 10) {
        struct table *table = table_new(site, NULL);

        table->text = text;
        table->pair = (jg_test_pair_options){.stream.high_mark = mark, .capacity = 1000};
        table_run(table);
        table_expect(table, whole->output);
        free(table);
    }
    free(whole);
}

static void events_are_framed(void **state)
{
    (void)state;
    expect("GET /events HTTP/1.0\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
           "Cache-Control: no-cache\r\n\r\n"
           "event: kind\nid: 7\ndata: one\ndata: two\ndata: \ndata: three\n\n:\n\n");
}

/* ---------------------------------------------------------------- requests */

static void the_query_is_unescaped(void **state)
{
    (void)state;
    expect("GET /query?a=1&na+me=%41%20b&na+me=2 HTTP/1.1\r\n" HOST "Connection: close\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nA b");
}

static void the_authority_of_the_target_wins(void **state)
{
    (void)state;
    expect("GET http://real:81/host HTTP/1.1\r\nHost: other\r\nConnection: close\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreal:81");
}

static void bodies_are_read_whole(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "abcde"
           "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
           "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n"
           "POST /echo HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"
           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#define TOO_LARGE                                                                   \
    "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 22\r\nConnection: close\r\n\r\n413 Content Too Large\n"

static void a_body_over_the_limit_is_413(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65\r\n" END, TOO_LARGE);
    expect("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
           "41\r\n01234567890123456789012345678901234567890123456789012345678901234\r\n",
           TOO_LARGE);
    assert_int_equal(reports, 0);
}

static void a_body_of_just_the_limit_is_taken(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nConnection: close\r\n" END
           "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 64\r\nConnection: close\r\n\r\n"
           "0123456789012345678901234567890123456789012345678901234567890123");
}

static void a_malformed_body_is_400(void **state)
{
    (void)state;
    expect("POST /sum HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "3\r\nabcd",
           "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 16\r\nConnection: close\r\n\r\n400 Bad Request\n");
    assert_int_equal(reports, 0);
}

static void a_body_that_nobody_reads_is_skipped(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "abcde"
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "3\r\nabc\r\n0\r\n\r\n"
           "GET / HTTP/1.1\r\n" HOST END,
           HELLO HELLO HELLO);
}

static void a_large_body_that_nobody_reads_ends_the_connection(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 70000\r\n" END "abcde",
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
           "Connection: close\r\n\r\nhello");
}

/* ---------------------------------------------------------------- expectations */

static void _100_is_sent_when_the_body_is_read(void **state)
{
    struct table *table = table_new(site, NULL);

    (void)state;
    table->text =
        "POST /sum HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n" END "abc";
    table->piece = strlen(table->text) - 3;
    table->pause = JG_SECOND;
    table_run(table);
    table_expect(table, "HTTP/1.1 100 Continue\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3");
    free(table);
}

static void a_body_that_is_there_needs_no_100(void **state)
{
    (void)state;
    expect("POST /sum HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n"
           "Connection: close\r\n" END "abc",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3");
}

static void a_body_that_was_not_asked_for_is_not_waited_for(void **state)
{
    struct table *table = table_new(site, NULL);

    (void)state;
    table->text = "POST /stream HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                  "Content-Length: 3\r\n" END;
    table->keep_open = true;
    table_run(table);
    assert_true(table->ended_at < JG_SECOND);
    free(table);
}

static void without_a_read_there_is_no_100_and_the_connection_ends(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
           "Connection: close\r\n\r\nhello");
}

static void another_expectation_is_417(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Expect: a miracle\r\nContent-Length: 3\r\n" END "abc",
           "HTTP/1.1 417 Expectation Failed\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 23\r\nConnection: close\r\n\r\n417 Expectation Failed\n");
}

/* ---------------------------------------------------------------- connections */

static void http_1_0_closes_unless_it_asks(void **state)
{
    (void)state;
    expect("GET / HTTP/1.0\r\n" END "GET / HTTP/1.0\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
           "Connection: close\r\n\r\nhello");
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n" END
           "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n" END "GET / HTTP/1.0\r\n" END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
           "Connection: keep-alive\r\n\r\nhello"
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
           "onetwelve bytes");
}

static void close_is_honoured_from_either_side(void **state)
{
    (void)state;
    expect("GET /close HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye");
    expect("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END "GET / HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
           "Connection: close\r\n\r\nhello");
}

static void bad_heads_are_refused(void **state)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"nonsense\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\n\r\n", "505"},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "501"},
        {"GET /", "400"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct table *table = exchange_with(NULL, cases[i].text);

        assert_int_equal(table->end, 0);
        assert_memory_equal(table->output + 9, cases[i].status, 3);
        assert_non_null(strstr(table->output, "Connection: close\r\n"));
        free(table);
    }
}

static void limits_of_the_head_are_kept(void **state)
{
    static const jg_http_server_options options = {
        .limits = {.line_size = 64, .head_size = 128},
        .max_fields = 2,
    };
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"GET /0123456789012345678901234567890123456789012345678901234567890123 HTTP/1.1\r\n",
         "414"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: 012345678901234567890123456789012345678901234567890123"
         "456789012345678901234567890123456789012345678901234567890123456789\r\n",
         "431"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n", "431"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct table *table = exchange_with(&options, cases[i].text);

        assert_memory_equal(table->output + 9, cases[i].status, 3);
        free(table);
    }
}

static void handlers_that_fail_are_500_and_reported(void **state)
{
    static const char failed[] =
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 26\r\n\r\n500 Internal Server Error\n";

    (void)state;
    expect("GET /fail HTTP/1.1\r\n" HOST END, failed);
    assert_int_equal(reports, 1);
    expect("GET /none HTTP/1.1\r\n" HOST END, failed);
    assert_int_equal(reports, 1);
}

static void an_answer_that_fails_half_way_is_cut(void **state)
{
    static const char *const paths[] = {
        "GET /fail-later HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END,
        "GET /short HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_new(site, NULL);

        count_reports(table);
        table->text = paths[i];
        table->keep_open = true;
        table_run(table);
        /* Whatever came of it, it is not a whole answer. */
        assert_null(strstr(table->output, "\r\n0\r\n\r\n"));
        assert_null(strstr(table->output, HELLO));
        assert_int_equal(reports, i == 0);
        free(table);
    }
}

static void requests_in_any_pieces_are_answered_alike(void **state)
{
    static const char text[] =
        "GET / HTTP/1.1\r\n" HOST END "POST /echo HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n" END "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n" END "canary"
        "GET /missing HTTP/1.1\r\n" HOST "Connection: close\r\n" END;
    struct table *whole = exchange_with(NULL, text);

    (void)state;
    for (size_t piece = 1; piece < sizeof(text); piece = piece < 8 ? piece + 1 : piece * 3) {
        for (int pause = 0; pause < 2; pause++) {
            struct table *table = table_new(site, NULL);

            table->text = text;
            table->piece = piece;
            table->pause = pause ? JG_MILLISECOND : 0;
            table->pair.piece = pause ? 0 : piece;
            table_run(table);
            table_expect(table, whole->output);
            free(table);
        }
    }
    free(whole);
}

static void the_order_of_what_is_ready_does_not_matter(void **state)
{
    static const char text[] = "GET /sleep HTTP/1.1\r\n" HOST END "POST /sum HTTP/1.1\r\n" HOST
                               "Content-Length: 6\r\n" END "canary"
                               "GET /stream HTTP/1.1\r\n" HOST "Connection: close\r\n" END;
    struct table *whole = exchange_with(NULL, text);

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const jg_http_server_options options = {
            .flags = seed % 2 ? JG_HTTP_CANCEL_ON_DISCONNECT : 0,
            .handler_timeout = seed % 3 ? 0 : 4 * JG_SECOND,
        };
        struct table *table = table_new(site, &options);

        jg_test_shuffle(table->world.loop, seed);
        table->text = text;
        table->keep_open = true;
        table->pair.piece = seed % 5;
        table_run(table);
        table_expect(table, whole->output);
        free(table);
    }
    free(whole);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct table *table = table_new(site, &(jg_http_server_options){.max_pipelined = 7});
    char *text = malloc(200 * 64), *p = text;

    (void)state;
    for (int i = 0; i < 200; i++)
        p += sprintf(p, "GET /query?na+me=%d HTTP/1.1\r\n" HOST END, i);
    table->text = text;
    table_run(table);
    p = table->output;
    for (int i = 0; i < 200; i++) {
        char line[16];

        p = strstr(p, "\r\n\r\n");
        assert_non_null(p);
        sprintf(line, "%d", i);
        assert_memory_equal(p + 4, line, strlen(line));
        p += 4;
    }
    free(text);
    free(table);
}

/* ---------------------------------------------------------------- time */

static struct table *timed(jg_http_handler_fn handler, const jg_http_server_options *options,
                           const char *text)
{
    struct table *table = table_new(handler, options);

    count_reports(table);
    table->text = text;
    table->keep_open = true;
    table_run(table);
    return table;
}

static void an_idle_connection_is_closed(void **state)
{
    struct table *table = timed(site, NULL, "GET / HTTP/1.1\r\n" HOST END);

    (void)state;
    table_expect(table, HELLO);
    assert_int_equal(table->end, 0);
    assert_int_equal(table->ended_at / JG_SECOND, 75);
    free(table);
}

static void a_head_that_does_not_end_is_408(void **state)
{
    struct table *table = timed(site, NULL, "GET / HTTP/1.1\r\nHo");

    (void)state;
    assert_memory_equal(table->output, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_int_equal(table->ended_at / JG_SECOND, 30);
    free(table);
}

static void a_slow_head_has_its_time_in_all(void **state)
{
    struct table *table = table_new(site, NULL);

    (void)state;
    table->text = "GET / HTTP/1.1\r\nX-Slow: 0123456789012345678901234567890123456789\r\n";
    table->piece = 1;
    table->pause = JG_SECOND;
    table->keep_open = true;
    table_run(table);
    assert_memory_equal(table->output, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_true(table->ended_at / JG_SECOND <= 31);
    free(table);
}

/* Send a byte that arrives in the turn in which the time is found to be over, before that is. */
static void send_byte(void *arg)
{
    struct table *table = arg;

    test_check(jg_stream_write(&table->client, "x", 1) == 0);
    test_check(jg_test_advance(table->world.loop, JG_SECOND) == 0);
}

static struct table *send_at_the_last_moment(const char *text, jg_time limit, int closed_after)
{
    struct table *table = table_new(site, NULL);
    jg_timer timer;

    jg_timer_init(&timer, send_byte, table);
    jg_call_later(table->world.loop, &timer, limit - JG_MILLISECOND);
    table->text = text;
    table->keep_open = true;
    table->stay = 100 * JG_SECOND;
    table_run(table);
    assert_int_equal(table->closed_at / JG_SECOND, closed_after);
    return table;
}

static void bytes_in_the_last_moment_gain_no_time(void **state)
{
    struct table *table;

    (void)state;
    table = send_at_the_last_moment("GET / HTTP/1.1\r\nHo", 30 * JG_SECOND, 35);
    assert_memory_equal(table->output, "HTTP/1.1 408 Request Timeout\r\n", 30);
    free(table);
    table = send_at_the_last_moment("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END,
                                    5 * JG_SECOND, 5);
    free(table);
}

static void a_body_that_does_not_come_is_408(void **state)
{
    struct table *table =
        timed(site, NULL, "POST /sum HTTP/1.1\r\n" HOST "Content-Length: 9\r\n" END "abc");

    (void)state;
    assert_memory_equal(table->output, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_int_equal(table->ended_at / JG_SECOND, 60);
    assert_int_equal(reports, 0);
    free(table);
}

static void a_handler_has_its_time(void **state)
{
    static const jg_http_server_options options = {.handler_timeout = JG_SECOND};
    struct table *table = timed(site, &options, "GET /sleep HTTP/1.1\r\n" HOST END);

    (void)state;
    assert_memory_equal(table->output, "HTTP/1.1 503 Service Unavailable\r\n", 34);
    assert_int_equal(reports, 0);
    free(table);
}

static void a_handler_in_time_is_not_cut(void **state)
{
    static const jg_http_server_options options = {.handler_timeout = 4 * JG_SECOND};
    struct table *table = timed(site, &options, "GET /sleep HTTP/1.1\r\n" HOST END);

    (void)state;
    table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslept");
    free(table);
}

static void an_answer_does_not_wait_for_the_next_handler(void **state)
{
    struct table *table = table_new(site, NULL);

    (void)state;
    table->text = "GET / HTTP/1.1\r\n" HOST END "GET /sleep HTTP/1.1\r\n" HOST END;
    table_run(table);
    assert_true(table->began_at < JG_SECOND && table->ended_at >= 3 * JG_SECOND);
    table_expect(table, HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslept");
    free(table);
}

static void a_client_that_does_not_read_is_cut(void **state)
{
    static const jg_http_server_options options = {.body_timeout = 10 * JG_SECOND};
    struct table *table = table_new(site, &options);

    (void)state;
    table->text = "GET /large HTTP/1.1\r\n" HOST END;
    table->deaf = true;
    table->keep_open = true;
    table_run(table);
    assert_true(table->received < 300000);
    free(table);
}

/* ---------------------------------------------------------------- clients that go */

static int sleep_status;

static int long_work(jg_http_request *request, void *arg)
{
    (void)arg;
    sleep_status = jg_sleep(100 * JG_SECOND);
    return sleep_status < 0 ? sleep_status : jg_http_respond(request, 200, NULL, "done", 4);
}

static void a_handler_goes_on_without_its_client(void **state)
{
    struct table *table = table_new(long_work, NULL);

    (void)state;
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    assert_int_equal(sleep_status, 0);
    table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    free(table);
}

static void a_handler_is_cancelled_with_its_client_if_that_is_wanted(void **state)
{
    static const jg_http_server_options options = {.flags = JG_HTTP_CANCEL_ON_DISCONNECT};
    struct table *table = table_new(long_work, &options);

    (void)state;
    count_reports(table);
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    assert_int_equal(sleep_status, -ECANCELED);
    table_expect(table, "");
    assert_int_equal(reports, 0);
    assert_true(table->ended_at < JG_SECOND);
    free(table);
}

static void pipelined_requests_survive_watching_for_the_end(void **state)
{
    static const jg_http_server_options options = {.flags = JG_HTTP_CANCEL_ON_DISCONNECT};
    struct table *table = table_new(site, &options);

    (void)state;
    table->text = "GET / HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END
                  "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc";
    table->pair.piece = 5;
    table_run(table);
    table_expect(table, HELLO HELLO "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    free(table);
}

/* ---------------------------------------------------------------- the server's end */

static void on_end(void *arg)
{
    (void)arg;
}

static struct table *closed_at(jg_http_handler_fn handler, const char *text, jg_time when,
                               jg_time grace)
{
    struct table *table = table_new(handler, NULL);
    jg_loop *loop = table->world.loop;
    jg_timer timer;
    jg_op op;

    count_reports(table);
    table->text = text;
    table->keep_open = true;
    assert_int_equal(jg_test_pair(loop, &table->ours, &table->client, &table->pair), 0);
    assert_int_equal(jg_http_serve(&table->server, &table->ours, table_on_closed, table), 0);
    assert_int_equal(jg_spawn(&table->world.root, table_send, table, NULL), 0);
    assert_int_equal(jg_spawn(&table->world.root, table_receive, table, NULL), 0);
    jg_timer_init(&timer, on_end, NULL);
    jg_call_later(loop, &timer, when);
    while (jg_handle_started(&timer.handle))
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    jg_op_init(&op, loop, on_end, NULL);
    assert_int_equal(jg_http_server_close_start(&table->server, grace, &op), 0);
    assert_int_equal(jg_http_server_close_start(&table->server, grace, &op), -EALREADY);
    while (jg_op_pending(&op))
        assert_true(jg_loop_run_once(loop, JG_FOREVER) >= 0);
    table->close_status = jg_op_status(&op);
    jg_scope_close(&table->world.root, 0, &table->world.left);
    assert_int_equal(jg_loop_run(loop), 0);
    jg_stream_abort(&table->client);
    test_loop_done(loop);
    assert_int_equal(table->closed, 1);
    table_cut_dates(table);
    return table;
}

static void closing_ends_idle_connections(void **state)
{
    struct table *table = closed_at(site, "GET / HTTP/1.1\r\n" HOST END, JG_SECOND, JG_FOREVER);

    (void)state;
    table_expect(table, HELLO);
    assert_int_equal(table->close_status, 0);
    assert_int_equal(table->end, 0);
    assert_int_equal(table->ended_at, JG_SECOND);
    free(table);
}

static void closing_waits_for_what_is_under_way(void **state)
{
    struct table *table =
        closed_at(long_work, "GET / HTTP/1.1\r\n" HOST END, JG_SECOND, 200 * JG_SECOND);

    (void)state;
    assert_int_equal(table->close_status, 0);
    table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    free(table);
}

static int begin_and_sleep(jg_http_request *request, void *arg)
{
    int r = jg_http_begin(request, 200, NULL, 4);

    (void)arg;
    if (r == 0)
        r = jg_sleep(10 * JG_SECOND);
    return r < 0 ? r : jg_http_write(request, "done", 4);
}

static void closing_ends_a_connection_that_was_to_be_kept(void **state)
{
    struct table *table =
        closed_at(begin_and_sleep, "GET / HTTP/1.1\r\n" HOST END, JG_SECOND, JG_FOREVER);

    (void)state;
    table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    assert_int_equal(table->ended_at, 10 * JG_SECOND);
    free(table);
}

static void closing_cancels_after_the_grace_period(void **state)
{
    struct table *table =
        closed_at(long_work, "GET / HTTP/1.1\r\n" HOST END, JG_SECOND, 9 * JG_SECOND);

    (void)state;
    assert_int_equal(table->close_status, -ETIMEDOUT);
    assert_int_equal(sleep_status, -ECANCELED);
    assert_int_equal(table->ended_at, 10 * JG_SECOND);
    assert_int_equal(reports, 0);
    free(table);
}

static void closing_cuts_half_a_head_after_the_grace_period(void **state)
{
    struct table *table = closed_at(site, "GET / HT", JG_SECOND, JG_SECOND);

    (void)state;
    assert_int_equal(table->close_status, -ETIMEDOUT);
    assert_int_equal(table->ended_at, 2 * JG_SECOND);
    free(table);
}

static void a_server_without_connections_closes_at_once(void **state)
{
    struct world world;
    jg_http_server server;
    jg_stream a, b;
    jg_op op;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_http_server_open(&server, world.loop, site, NULL,
                                         &(jg_http_server_options){.idle_timeout = -1}),
                     -EINVAL);
    assert_int_equal(jg_http_server_open(&server, world.loop, site, NULL, NULL), 0);
    jg_op_init(&op, world.loop, on_end, NULL);
    assert_int_equal(jg_http_server_close_start(&server, 0, &op), 0);
    assert_int_equal(jg_test_pair(world.loop, &a, &b, NULL), 0);
    assert_int_equal(jg_http_serve(&server, &a, NULL, NULL), -ESHUTDOWN);
    jg_stream_abort(&a);
    jg_stream_abort(&b);
    world_done(&world);
    assert_int_equal(jg_op_status(&op), 0);
    assert_int_equal(jg_http_server_close_start(&server, 0, &op), -EBADF);
}

static void a_head_that_was_cut_short_does_not_go_on_in_another(void **state)
{
    struct table *table = table_new(site, NULL);
    jg_loop *loop = table->world.loop;
    jg_stream a, b;

    (void)state;
    assert_int_equal(jg_test_pair(loop, &a, &b, NULL), 0);
    assert_int_equal(jg_test_pair_fail(&a, JG_READ, 20, -ECONNRESET), 0);
    assert_int_equal(jg_stream_write(&b, "GET /x HTTP/1.1\r\nX: y\r\n", 23), 0);
    assert_int_equal(jg_http_serve(&table->server, &a, NULL, NULL), 0);
    while (jg_http_server_connections(&table->server) > 0)
        assert_true(jg_loop_run_once(loop, JG_FOREVER) >= 0);
    jg_stream_abort(&b);
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    table_expect(table, HELLO);
    free(table);
}

static void connections_over_the_limit_are_refused(void **state)
{
    struct table *table = table_new(site, &(jg_http_server_options){.max_connections = 1});
    jg_stream a, b;

    (void)state;
    assert_int_equal(jg_test_pair(table->world.loop, &a, &b, NULL), 0);
    assert_int_equal(jg_http_serve(&table->server, &a, NULL, NULL), 0);
    assert_int_equal(jg_http_server_connections(&table->server), 1);
    assert_int_equal(jg_test_pair(table->world.loop, &table->ours, &table->client, NULL), 0);
    assert_int_equal(jg_http_serve(&table->server, &table->ours, NULL, NULL), -EBUSY);
    jg_stream_abort(&table->ours);
    jg_stream_abort(&table->client);
    jg_stream_abort(&b);
    while (jg_http_server_connections(&table->server) > 0)
        assert_true(jg_loop_run_once(table->world.loop, JG_FOREVER) >= 0);
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    table_expect(table, HELLO);
    free(table);
}

/* ---------------------------------------------------------------- leaving HTTP */

static int change_protocol(jg_http_request *request, void *arg)
{
    char buffer[16];
    jg_stream *stream;
    int r;

    (void)arg;
    test_check(jg_http_upgrade(request, "a\nb", &stream) == -EINVAL);
    r = jg_http_upgrade(request, "shout", &stream);
    if (r < 0)
        return 400;
    while ((r = jg_stream_read(stream, buffer, sizeof(buffer))) > 0) {
        for (int i = 0; i < r; i++)
            buffer[i] &= ~0x20;
        test_check(jg_stream_write(stream, buffer, (size_t)r) == 0);
    }
    return r;
}

static void an_upgrade_hands_the_stream_over(void **state)
{
    struct table *table = table_new(change_protocol, NULL);

    (void)state;
    table->text =
        "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: shout\r\n" END "hellohello";
    table_run(table);
    assert_int_equal(table->end, 0);
    table_expect(table, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                        "Upgrade: shout\r\n\r\nHELLOHELLO");
    free(table);
}

static void watching_leaves_the_stream_to_an_upgrade(void **state)
{
    struct table *table = table_new(
        change_protocol, &(jg_http_server_options){.flags = JG_HTTP_CANCEL_ON_DISCONNECT});

    (void)state;
    table->text = "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: shout\r\n" END "hi";
    table->piece = strlen(table->text) - 2;
    table->pause = JG_SECOND;
    table_run(table);
    table_expect(table, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                        "Upgrade: shout\r\n\r\nHI");
    free(table);
}

/* ---------------------------------------------------------------- looking on */

static struct test_trace lines;

static void on_done(void *arg, jg_http_request *request)
{
    char line[JG__ACCESS_LINE];
    size_t size = jg__access_line(request, 784111777, line);

    (void)arg;
    test_check(strlen(lines.letters) + size < sizeof(lines.letters));
    strncat(lines.letters, line, size);
}

static void the_log_has_a_line_for_each_request(void **state)
{
    struct table *table = table_new(site, &(jg_http_server_options){.on_done = on_done});

    (void)state;
    memset(&lines, 0, sizeof(lines));
    table->text = "GET /?a=\\%22 HTTP/1.1\r\n" HOST END "HEAD /missing HTTP/1.0\r\n" END;
    table_run(table);
    assert_string_equal(lines.letters,
                        "- - - [06/Nov/1994:08:49:37 +0000] \"GET /?a=\\x5c%22 HTTP/1.1\" 200 5\n"
                        "- - - [06/Nov/1994:08:49:37 +0000] \"HEAD /missing HTTP/1.0\" 404 -\n");
    free(table);
}

static void what_is_refused_is_logged_without_its_bytes(void **state)
{
    struct table *table = table_new(site, &(jg_http_server_options){.on_done = on_done});

    (void)state;
    memset(&lines, 0, sizeof(lines));
    table->text = "GET /\x1b[31m HTTP/1.1\r\n" HOST END;
    table_run(table);
    assert_string_equal(lines.letters, "- - - [06/Nov/1994:08:49:37 +0000] \"\" 400 16\n");
    free(table);
}

/* ---------------------------------------------------------------- slow clients */

static size_t most_memory;

static void note_memory(struct table *table)
{
    size_t live = test_loop_memory(table->world.loop)->live;

    if (live > most_memory)
        most_memory = live;
}

static int write_much(jg_http_request *request, void *arg)
{
    static const char piece[10000];
    int r = jg_http_begin(request, 200, NULL, JG_HTTP_NO_LENGTH);

    for (int i = 0; i < 1000 && r == 0; i++) {
        r = jg_http_write(request, piece, sizeof(piece));
        note_memory(arg);
    }
    return r;
}

static int answer_shortly(jg_http_request *request, void *arg)
{
    static const char text[1000];

    note_memory(arg);
    return jg_http_respond(request, 200, NULL, text, sizeof(text));
}

static int refuse_shortly(jg_http_request *request, void *arg)
{
    (void)request;
    note_memory(arg);
    return 404;
}

static void a_client_that_does_not_read_costs_little_memory(void **state)
{
    static char flood[20000 * 32];
    struct table *table = table_new(write_much, NULL);

    (void)state;
    most_memory = 0;
    table->text = "GET / HTTP/1.1\r\n" HOST END;
    table->deaf = table->keep_open = true;
    table_run(table);
    assert_true(most_memory < 512 << 10);
    free(table);

    for (size_t i = 0; i < 20000; i++)
        strcpy(flood + i * strlen("GET / HTTP/1.1\r\n" HOST END), "GET / HTTP/1.1\r\n" HOST END);
    for (int i = 0; i < 2; i++) {
        most_memory = 0;
        table = table_new(i == 0 ? answer_shortly : refuse_shortly, NULL);
        table->text = flood;
        table->piece = 4096;
        table->deaf = table->keep_open = true;
        table_run(table);
        assert_true(most_memory < 400 << 10);
        free(table);
    }
}

/* ---------------------------------------------------------------- memory */

static int released;

static void on_release(void *value)
{
    released += *(int *)value;
}

static int keep_values(jg_http_request *request, void *arg)
{
    static int one = 1, two = 2;
    char *large;

    (void)arg;
    if (jg_http_request_set(request, &one, &one, on_release) < 0 ||
        jg_http_request_set(request, &one, &two, on_release) < 0)
        return -ENOMEM;
    test_check(jg_http_request_get(request, &one) == &two);
    test_check(!jg_http_request_get(request, &two));
    large = jg_http_request_alloc(request, 5000);
    if (!large)
        return -ENOMEM;
    memset(large, 1, 5000);
    return 200;
}

static void values_are_released_with_the_request(void **state)
{
    struct table *table = table_new(keep_values, NULL);

    (void)state;
    released = 0;
    table->text = "GET / HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END;
    table_run(table);
    assert_int_equal(released, 6);
    free(table);
}

static void memory_that_fails_anywhere_loses_nothing(void **state)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "abcde"
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "3\r\nabc\r\n0\r\n\r\n"
        "GET /many-fields HTTP/1.1\r\n" HOST END "GET /events HTTP/1.1\r\n" HOST END
        "GET /large HTTP/1.1\r\n" HOST END;
    bool failed = true;

    (void)state;
    for (long fail = 1; failed; fail++) {
        struct table *table = calloc(1, sizeof(*table));
        struct test_memory *memory;
        int r;

        world_init(&table->world);
        count_reports(table);
        memory = test_loop_memory(table->world.loop);
        assert_int_equal(jg_http_server_open(&table->server, table->world.loop, site, NULL, NULL),
                         0);
        assert_int_equal(jg_test_pair(table->world.loop, &table->ours, &table->client, NULL), 0);
        table->text = text;
        table->keep_open = true;
        table->grace = JG_SECOND;
        table->close_status = 1;
        assert_int_equal(jg_spawn(&table->world.root, table_main, table, NULL), 0);
        memory->fail_at = memory->calls + fail;
        r = jg_http_serve(&table->server, &table->ours, NULL, NULL);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            jg_stream_abort(&table->ours);
        }
        while (table->close_status == 1)
            assert_true(jg_loop_run_once(table->world.loop, JG_FOREVER) == 1 ||
                        table->close_status != 1);
        failed = memory->calls >= memory->fail_at;
        world_done(&table->world);
        free(table);
    }
}

static void nothing_is_allocated_for_each_request(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\n" HOST END "GET /stream HTTP/1.1\r\n" HOST END;
    struct table *table = table_new(site, NULL);
    struct test_memory *memory = test_loop_memory(table->world.loop);
    char buffer[1024];
    long calls = 0;
    int done;
    jg_op op;

    (void)state;
    assert_int_equal(jg_test_pair(table->world.loop, &table->ours, &table->client, NULL), 0);
    assert_int_equal(jg_http_serve(&table->server, &table->ours, table_on_closed, table), 0);
    jg_op_init(&op, table->world.loop, test_count_call, &done);
    for (int i = 0; i < 20; i++) {
        if (i == 5)
            calls = memory->calls;
        assert_int_equal(jg_stream_write(&table->client, text, sizeof(text) - 1), 0);
        assert_int_equal(jg_stream_read_start(&table->client, buffer, sizeof(buffer), &op), 0);
        done = 0;
        while (done == 0)
            assert_int_equal(jg_loop_run_once(table->world.loop, JG_FOREVER), 1);
        assert_true(jg_op_status(&op) > 100);
    }
    /* The pair itself allocates for what is under way: one piece each way. */
    assert_int_equal(memory->calls - calls, 30);
    jg_stream_abort(&table->client);
    assert_int_equal(jg_http_server_close_start(&table->server, 0, &op), 0);
    world_done(&table->world);
    free(table);
}

/* ---------------------------------------------------------------- idle connections */

static int think(jg_http_request *request, void *arg)
{
    (void)arg;
    (void)jg_sleep(JG_SECOND);
    return jg_http_respond(request, 200, NULL, "x", 1);
}

/* Have `count` more connections with a request each, at the same time, until all are answered. */
static void ask_on(struct table *table, int (*clients)[2], int count)
{
    static const char text[] = "GET / HTTP/1.1\r\n" HOST END;
    jg_loop *loop = table->world.loop;
    char answer[200];

    for (int i = 0; i < count; i++) {
        assert_int_equal(test_socketpair(clients[i]), 0);
        assert_int_equal(jg_http_serve_fd(&table->server, clients[i][0], NULL), 0);
        assert_int_equal(write(clients[i][1], text, sizeof(text) - 1), sizeof(text) - 1);
    }
    for (int i = 0; i < count; i++) {
        while (read(clients[i][1], answer, sizeof(answer)) < 0)
            assert_true(jg_loop_run_once(loop, JG_FOREVER) >= 0);
        assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    }
}

static void an_idle_connection_has_nothing_but_itself(void **state)
{
    enum { SOME = 70, MORE = 40 }; /* more than there are spares */
    struct table *table = table_new(think, NULL);
    const struct test_memory *memory = test_loop_memory(table->world.loop);
    int clients[SOME + MORE][2];
    size_t before;
    jg_op op;
    int done = 0;

    (void)state;
    ask_on(table, clients, SOME);
    before = memory->live;
    ask_on(table, clients + SOME, MORE);
    assert_true(memory->live - before <= MORE * 1024);
    assert_int_equal(jg_loop_task_counters(table->world.loop).stacks, 0);
    for (const jg_link *link = table->server.connections.next; link != &table->server.connections;
         link = link->next) {
        const jg__connection *c = jg__container_of(link, jg__connection, link);

        assert_null(c->request);
        assert_null(c->output);
        assert_null(c->stream->input);
        assert_null(c->stream->output);
    }
    assert_int_equal(jg_http_server_connections(&table->server), SOME + MORE);
    for (int i = 0; i < SOME + MORE; i++)
        close(clients[i][1]);
    jg_op_init(&op, table->world.loop, test_count_call, &done);
    assert_int_equal(jg_http_server_close_start(&table->server, JG_FOREVER, &op), 0);
    world_done(&table->world);
    assert_int_equal(done, 1);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_client_that_sends_nothing_gets_nothing),
        cmocka_unit_test(a_status_is_answered_in_plain_text),
        cmocka_unit_test(head_has_the_fields_and_no_body),
        cmocka_unit_test(_204_and_304_have_no_body),
        cmocka_unit_test(fields_are_sent_and_cannot_be_smuggled),
        cmocka_unit_test(more_fields_than_a_buffer_holds_are_sent),
        cmocka_unit_test(a_body_of_unknown_length_is_chunked),
        cmocka_unit_test(a_large_body_arrives),
        cmocka_unit_test(answers_arrive_however_low_the_high_mark_is),
        cmocka_unit_test(events_are_framed),
        cmocka_unit_test(the_query_is_unescaped),
        cmocka_unit_test(the_authority_of_the_target_wins),
        cmocka_unit_test(bodies_are_read_whole),
        cmocka_unit_test(a_body_over_the_limit_is_413),
        cmocka_unit_test(a_body_of_just_the_limit_is_taken),
        cmocka_unit_test(a_malformed_body_is_400),
        cmocka_unit_test(a_body_that_nobody_reads_is_skipped),
        cmocka_unit_test(a_large_body_that_nobody_reads_ends_the_connection),
        cmocka_unit_test(_100_is_sent_when_the_body_is_read),
        cmocka_unit_test(a_body_that_is_there_needs_no_100),
        cmocka_unit_test(a_body_that_was_not_asked_for_is_not_waited_for),
        cmocka_unit_test(without_a_read_there_is_no_100_and_the_connection_ends),
        cmocka_unit_test(another_expectation_is_417),
        cmocka_unit_test(http_1_0_closes_unless_it_asks),
        cmocka_unit_test(close_is_honoured_from_either_side),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(limits_of_the_head_are_kept),
        cmocka_unit_test(handlers_that_fail_are_500_and_reported),
        cmocka_unit_test(an_answer_that_fails_half_way_is_cut),
        cmocka_unit_test(requests_in_any_pieces_are_answered_alike),
        cmocka_unit_test(the_order_of_what_is_ready_does_not_matter),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_head_that_does_not_end_is_408),
        cmocka_unit_test(a_slow_head_has_its_time_in_all),
        cmocka_unit_test(bytes_in_the_last_moment_gain_no_time),
        cmocka_unit_test(a_body_that_does_not_come_is_408),
        cmocka_unit_test(a_handler_has_its_time),
        cmocka_unit_test(a_handler_in_time_is_not_cut),
        cmocka_unit_test(an_answer_does_not_wait_for_the_next_handler),
        cmocka_unit_test(a_client_that_does_not_read_is_cut),
        cmocka_unit_test(a_handler_goes_on_without_its_client),
        cmocka_unit_test(a_handler_is_cancelled_with_its_client_if_that_is_wanted),
        cmocka_unit_test(pipelined_requests_survive_watching_for_the_end),
        cmocka_unit_test(closing_ends_idle_connections),
        cmocka_unit_test(closing_waits_for_what_is_under_way),
        cmocka_unit_test(closing_ends_a_connection_that_was_to_be_kept),
        cmocka_unit_test(closing_cancels_after_the_grace_period),
        cmocka_unit_test(closing_cuts_half_a_head_after_the_grace_period),
        cmocka_unit_test(a_server_without_connections_closes_at_once),
        cmocka_unit_test(connections_over_the_limit_are_refused),
        cmocka_unit_test(an_upgrade_hands_the_stream_over),
        cmocka_unit_test(watching_leaves_the_stream_to_an_upgrade),
        cmocka_unit_test(the_log_has_a_line_for_each_request),
        cmocka_unit_test(what_is_refused_is_logged_without_its_bytes),
        cmocka_unit_test(a_client_that_does_not_read_costs_little_memory),
        cmocka_unit_test(a_head_that_was_cut_short_does_not_go_on_in_another),
        cmocka_unit_test(values_are_released_with_the_request),
        cmocka_unit_test(memory_that_fails_anywhere_loses_nothing),
        cmocka_unit_test(nothing_is_allocated_for_each_request),
        cmocka_unit_test(an_idle_connection_has_nothing_but_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
