/* SPDX-License-Identifier: MIT
 *
 * The HTTP client: what it sends, and what it makes of what comes back.
 */
#include "http_site.h"

#include <juggle/http_server.h>

#define OK    "HTTP/1.1 200 OK\r\n"
#define HELLO OK "Content-Length: 5\r\n\r\nhello"
#define EMPTY OK "Content-Length: 0\r\n\r\n"
#define AGENT "User-Agent: juggle\r\nAccept: */*\r\n"
#define GET   "GET / HTTP/1.1\r\nHost: a\r\n" AGENT "\r\n"

#define TOO_MUCH ((size_t)1 << 20)

/* Fetch as the site's `data` says, if it does; read all. Returns the status, or an error. */
static char body[70000];
static size_t body_size;

static int fetch(struct site *site, const char *url, const jg_http_fetch_options *options)
{
    jg_http_response response;
    jg_text text;
    int status = jg_http_fetch(&site->client, url, options, &response), r;

    body_size = 0;
    body[0] = 0;
    if (status < 0)
        return status;
    r = jg_http_response_read_all(&response, sizeof(body) - 1, &text);
    if (r == 0) {
        memcpy(body, text.data, text.size + 1);
        body_size = text.size;
    }
    jg_http_response_end(&response);
    return r < 0 ? r : status;
}

static int fetch_once(void *arg)
{
    struct site *site = arg;

    return fetch(site, "http://a/", site->data);
}

static int fetch_twice(void *arg)
{
    struct site *site = arg;
    int r = fetch(site, "http://a/", site->data);

    return r < 0 ? r : fetch(site, "http://a/", site->data);
}

/* Run against one kind of connection. Returns the site, which is to be freed. */
static struct site *run(jg_coro_fn main, struct site_script script,
                        const jg_http_fetch_options *options)
{
    static struct site_script kept;
    struct site *site;

    kept = script;
    site = site_new(main, &kept, 1);
    site->data = (void *)(uintptr_t)options;
    site_run(site);
    return site;
}

static int result_of(struct site *site)
{
    int result = site->result;

    free(site);
    return result;
}

static void expect(struct site *site, int result, const char *text)
{
    if (site->result != result || strcmp(body, text) != 0)
        fprintf(stderr, "got %d (%s) «%s», expected %d «%s»\n", site->result,
                site->result < 0 ? jg_strerror(site->result) : "", body, result, text);
    assert_int_equal(site->result, result);
    assert_string_equal(body, text);
    free(site);
}

static void expect_reply(const char *reply, int result, const char *text)
{
    expect(run(fetch_once, (struct site_script){.replies = {reply}, .close = true}, NULL), result,
           text);
}

/* ---------------------------------------------------------------- responses */

static void a_response_is_read(void **state)
{
    (void)state;
    expect_reply(HELLO, 200, "hello");
    expect_reply("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", 404, "gone");
    expect_reply("HTTP/1.1 999\r\nContent-Length: 0\r\n\r\n", 999, "");
}

static void a_chunked_response_is_read(void **state)
{
    (void)state;
    expect_reply(OK
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n",
                 200, "hello");
}

static void a_response_may_end_with_the_connection(void **state)
{
    (void)state;
    expect_reply(OK "\r\nhello", 200, "hello");
    expect_reply("HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello");
    expect_reply(OK "\r\n", 200, "");
}

static void some_responses_have_no_body(void **state)
{
    static const jg_http_fetch_options head = {.method = "HEAD"};
    struct site *site;

    (void)state;
    expect_reply("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    expect_reply("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "");
    site = run(fetch_twice,
               (struct site_script){.replies = {OK "Content-Length: 5\r\n\r\n",
                                                OK "Transfer-Encoding: chunked\r\n\r\n"}},
               &head);
    assert_int_equal(site->connections, 1);
    expect(site, 200, "");
}

static void interim_responses_are_skipped(void **state)
{
    (void)state;
    expect_reply("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" HELLO,
                 200, "hello");
}

static void a_switch_of_protocols_is_an_error(void **state)
{
    (void)state;
    expect_reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                 JG_EHTTP_SWITCHED, "");
}

static void malformed_responses_are_told_apart(void **state)
{
    (void)state;
    expect_reply("HTTP/2.0 200 OK\r\n\r\n", JG_EHTTP_VERSION, "");
    expect_reply("nonsense, really\r\n\r\n", JG_EHTTP_LINE, "");
    expect_reply(OK "Bad Field: x\r\n\r\n", JG_EHTTP_FIELD, "");
    expect_reply(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", JG_EHTTP_LENGTH, "");
    expect_reply(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 JG_EHTTP_CODING, "");
    expect_reply(OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", JG_EHTTP_UNSUPPORTED, "");
    expect_reply(OK "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", JG_EHTTP_CHUNK, "");
    expect_reply(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", JG_EHTTP_CHUNK, "");
    expect_reply("", JG_EHTTP_NO_RESPONSE, "");
}

/* What can be said in several ways must come out the same however it is split. */
static const struct {
    const char *reply, *text;
    bool until_close;
} whole[] = {
    {HELLO, "hello", false},
    {OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n", "hello",
     false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" HELLO, "hello", false},
    {OK "Connection: close\r\n\r\nhello", "hello", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", false},
};

static void responses_may_come_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        int status = i == 4 ? 204 : 200;

        expect(run(fetch_once,
                   (struct site_script){.replies = {whole[i].reply},
                                        .piece = 1,
                                        .pause = JG_MILLISECOND,
                                        .close = whole[i].until_close},
                   NULL),
               status, whole[i].text);
    }
}

/* The first reply in two pieces: the second one is the second "reply" to no request. */
static void responses_may_be_split_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        for (size_t at = 1; at < strlen(whole[i].reply); at++)
            expect(run(fetch_once,
                       (struct site_script){.replies = {whole[i].reply},
                                            .piece = at,
                                            .pause = JG_SECOND,
                                            .close = whole[i].until_close},
                       NULL),
                   i == 4 ? 204 : 200, whole[i].text);
    }
}

static void a_truncated_response_is_never_a_success(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        const char *end = whole[i].until_close ? strstr(whole[i].reply, "\r\n\r\n") + 4
                                               : whole[i].reply + strlen(whole[i].reply);

        for (size_t size = 1; whole[i].reply + size < end; size++) {
            struct site *site =
                run(fetch_once,
                    (struct site_script){.replies = {whole[i].reply}, .size = size, .close = true},
                    NULL);

            assert_int_equal(site->connections, 1);
            assert_int_equal(result_of(site), JG_EHTTP_TRUNCATED);
        }
    }
}

static void a_reset_is_told_as_such(void **state)
{
    (void)state;
    assert_int_equal(
        result_of(
            run(fetch_once,
                (struct site_script){.replies = {OK "Content-Length: 9\r\n\r\nhello"}, .cut = true},
                NULL)),
        -ECONNRESET);
}

static int read_with_limits(void *arg)
{
    struct site *site = arg;
    jg_http_response response;
    jg_text text;

    test_check(jg_http_get(&site->client, "http://a/", 5, &response, &text) == 200);
    test_check(text.size == 5 && strcmp(text.data, "hello") == 0);
    test_check(jg_http_response_read_all(&response, 5, &text) == -EALREADY);
    jg_http_response_end(&response);
    jg_http_response_end(&response);
    test_check(jg_http_get(&site->client, "http://a/", 4, &response, &text) == -EMSGSIZE);
    return 0;
}

static void a_body_over_the_limit_is_refused(void **state)
{
    static const char chunked[] =
        OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    struct site *site;

    (void)state;
    site = run(read_with_limits, (struct site_script){.replies = {HELLO, HELLO}}, NULL);
    assert_int_equal(site->connections, 1);
    assert_int_equal(result_of(site), 0);
    assert_int_equal(
        result_of(run(read_with_limits, (struct site_script){.replies = {chunked, chunked}}, NULL)),
        0);
}

static int look_at_response(void *arg)
{
    struct site *site = arg;
    jg_http_response response;
    char data[3];

    test_check(jg_http_fetch(&site->client, "http://a:81?b#c", NULL, &response) == 200);
    test_check(jg_http_response_status(&response) == 200);
    test_check(jg_text_is(jg_http_response_field(&response, "x-one"), "1"));
    test_check(!jg_http_response_field(&response, "x-two").data);
    test_check(jg_text_is(jg_http_response_url(&response), "http://a:81/?b"));
    test_check(jg_http_response_head(&response)->field_count == 2);
    test_check(jg_http_response_read(&response, data, 0) == 0);
    test_check(jg_http_response_read(&response, data, 3) == 3 && memcmp(data, "hel", 3) == 0);
    test_check(jg_http_client_idle(&site->client) == 0);
    test_check(jg_http_response_read(&response, data, 3) == 2 && memcmp(data, "lo", 2) == 0);
    test_check(jg_http_client_idle(&site->client) == 1); /* with the last byte it is free */
    test_check(jg_http_response_read(&response, data, 3) == 0);
    test_check(jg_text_is(jg_http_response_field(&response, "X-One"), "1"));
    jg_http_response_end(&response);
    return 0;
}

static void a_response_can_be_looked_at(void **state)
{
    (void)state;
    struct site *site = run(
        look_at_response,
        (struct site_script){.replies = {OK "X-One: 1\r\nContent-Length: 5\r\n\r\nhello"}}, NULL);

    assert_string_equal(site->log, "GET /?b HTTP/1.1\r\nHost: a:81\r\n" AGENT "\r\n");
    assert_int_equal(result_of(site), 0);
}

/* ---------------------------------------------------------------- requests */

static void expect_request(const jg_http_fetch_options *options, const char *log)
{
    struct site *site = run(fetch_once, (struct site_script){.replies = {EMPTY}}, options);

    assert_string_equal(site->log, log);
    expect(site, 200, "");
}

static void requests_are_written(void **state)
{
    static const jg_http_pair fields[] = {
        {"X-One", "1"}, {"Host", "b"}, {"accept", "a/b"}, {"User-Agent", "me"}};

    (void)state;
    expect_request(NULL, GET);
    expect_request(&(jg_http_fetch_options){.method = "DELETE"},
                   "DELETE / HTTP/1.1\r\nHost: a\r\n" AGENT "\r\n");
    expect_request(&(jg_http_fetch_options){.method = "POST"},
                   "POST / HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 0\r\n\r\n");
    expect_request(&(jg_http_fetch_options){.body = "abc", .length = 3},
                   "POST / HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 3\r\n\r\nabc");
    expect_request(&(jg_http_fetch_options){.method = "PUT", .body = ""},
                   "PUT / HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 0\r\n\r\n");
    expect_request(
        &(jg_http_fetch_options){.fields = fields, .field_count = 4},
        "GET / HTTP/1.1\r\nX-One: 1\r\nHost: b\r\naccept: a/b\r\nUser-Agent: me\r\n\r\n");
}

static void expect_no_request(const char *url, const jg_http_fetch_options *options, int error);

static const char *refused_url;

static int fetch_refused(void *arg)
{
    struct site *site = arg;

    return fetch(site, refused_url, site->data);
}

static void expect_no_request(const char *url, const jg_http_fetch_options *options, int error)
{
    struct site *site;

    refused_url = url;
    site = run(fetch_refused, (struct site_script){.replies = {EMPTY}}, options);
    assert_int_equal(site->connections, 0);
    assert_int_equal(result_of(site), error);
}

static int upload_nothing(jg_http_upload *upload, void *arg)
{
    (void)upload;
    (void)arg;
    return 0;
}

static void bad_requests_are_refused_before_anything_is_done(void **state)
{
    static const jg_http_pair bad[][2] = {
        {{"A B", "x"}},
        {{"A", "x\r\nB: y"}},
        {{"Content-Length", "1"}},
        {{"transfer-encoding", "chunked"}},
        {{"Connection", "keep-alive"}},
        {{"Expect", "100-continue"}},
        {{NULL, "x"}},
        {{"", "x"}},
    };
    static const jg_http_pair hosts[] = {{"Host", "a"}, {"host", "b"}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_no_request("http://a/", &(jg_http_fetch_options){.fields = bad[i], .field_count = 1},
                          -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.fields = hosts, .field_count = 2},
                      -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.method = "G T"}, -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.method = ""}, -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.method = "CONNECT"}, -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.length = 1}, -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.body = "", .length = -1}, -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.body = "", .upload = upload_nothing},
                      -EINVAL);
    expect_no_request("http://a/", &(jg_http_fetch_options){.upload = upload_nothing, .length = -2},
                      -EINVAL);
    expect_no_request("a/b", NULL, -EINVAL);
    expect_no_request(NULL, NULL, -EINVAL);
    expect_no_request("http://a\r\nX: y/", NULL, -EINVAL);
    expect_no_request("http://u:p@a/", NULL, -EINVAL);
    expect_no_request("ftp://a/", NULL, -EPROTONOSUPPORT);
    expect_no_request("ws://a/", NULL, -EPROTONOSUPPORT);
}

static int get_https(void *arg)
{
    jg_http_response response;
    jg_text page = {NULL, 0};
    int r = jg_http_get(arg, "https://localhost/", 100, &response, &page);

    jg_http_response_end(&response);
    return r;
}

static void https_needs_a_connect_of_ones_own(void **state)
{
    struct world world;
    jg_http_client client;
    int status = 0;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_http_client_open(&client, world.loop, NULL), 0);
    assert_int_equal(
        jg_spawn(&world.root, get_https, &client, &(jg_spawn_options){.ret_status = &status}), 0);
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(status, JG_EHTTP_NO_TLS);
    jg_http_client_close(&client);
    test_loop_done(world.loop);
}

static void clients_are_closed_twice_and_opened_with_sense(void **state)
{
    struct world world;
    jg_http_client client;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_http_client_open(&client, world.loop, NULL), 0);
    jg_http_client_close(&client);
    jg_http_client_close(&client);
    assert_int_equal(
        jg_http_client_open(&client, world.loop, &(jg_http_client_options){.idle_timeout = -1}),
        -EINVAL);
    world_done(&world);
}

/* ---------------------------------------------------------------- bodies of requests */

static int upload_pieces(jg_http_upload *upload, void *arg)
{
    int r = jg_http_upload_write(upload, "hel", 3);

    (void)arg;
    if (r == 0)
        r = jg_sleep(JG_SECOND);
    if (r == 0)
        r = jg_http_upload_write(upload, "", 0);
    return r == 0 ? jg_http_upload_write(upload, "lo and so on", 12) : r;
}

static void bodies_are_uploaded(void **state)
{
    (void)state;
    expect_request(&(jg_http_fetch_options){.upload = upload_pieces, .length = -1},
                   "POST / HTTP/1.1\r\nHost: a\r\n" AGENT "Transfer-Encoding: chunked\r\n\r\n"
                   "3\r\nhel\r\nc\r\nlo and so on\r\n0\r\n\r\n");
    expect_request(&(jg_http_fetch_options){.upload = upload_pieces, .length = 15},
                   "POST / HTTP/1.1\r\nHost: a\r\n" AGENT
                   "Content-Length: 15\r\n\r\nhello and so on");
    expect_request(&(jg_http_fetch_options){.upload = upload_nothing, .length = -1},
                   "POST / HTTP/1.1\r\nHost: a\r\n" AGENT
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

static int upload_at_once(jg_http_upload *upload, void *arg)
{
    (void)arg;
    return jg_http_upload_write(upload, "hello", 5);
}

static void bodies_are_uploaded_however_low_the_high_mark_is(void **state)
{
    static const struct site_script script = {.replies = {EMPTY}};
    static const jg_http_fetch_options options = {.upload = upload_at_once, .length = -1};
    struct site *site = site_new(fetch_once, &script, 1);

    (void)state;
    site->data = (void *)(uintptr_t)&options;
    site->pair = (jg_test_pair_options){.stream.high_mark = 1, .capacity = 10};
    site_run(site);
    assert_string_equal(site->log, "POST / HTTP/1.1\r\nHost: a\r\n" AGENT
                                   "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    expect(site, 200, "");
}

static int upload_failing(jg_http_upload *upload, void *arg)
{
    (void)jg_http_upload_write(upload, "hel", 3);
    (void)arg;
    return -EPERM;
}

static void an_upload_that_fails_is_what_the_fetch_fails_with(void **state)
{
    static const jg_http_fetch_options failing = {.upload = upload_failing, .length = -1};
    static const jg_http_fetch_options few = {.upload = upload_pieces, .length = 16};
    static const jg_http_fetch_options many = {.upload = upload_pieces, .length = 14};

    (void)state;
    assert_int_equal(result_of(run(fetch_once, (struct site_script){.replies = {EMPTY}}, &failing)),
                     -EPERM);
    assert_int_equal(result_of(run(fetch_once, (struct site_script){.replies = {EMPTY}}, &few)),
                     JG_EINCOMPLETE);
    assert_int_equal(result_of(run(fetch_once, (struct site_script){.replies = {EMPTY}}, &many)),
                     -EMSGSIZE);
}

static char large[300000];

static int upload_large(jg_http_upload *upload, void *arg)
{
    (void)arg;
    return jg_http_upload_write(upload, large, sizeof(large));
}

static int fetch_at_once(void *arg)
{
    struct site *site = arg;
    int r = fetch(site, "http://a/", site->data);

    test_check(jg_loop_now(site->world.loop) < JG_SECOND);
    return r;
}

/* The bodies of those are larger than a pair takes, and the server reads none of it. */
static void an_early_answer_is_heard(void **state)
{
    static const jg_http_fetch_options memory = {.body = large, .length = sizeof(large)};
    static const jg_http_fetch_options upload = {.upload = upload_large, .length = -1};
    const struct site_script script = {
        .replies = {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge"},
        .deaf = true,
    };

    (void)state;
    expect(run(fetch_at_once, script, &memory), 413, "large");
    expect(run(fetch_at_once, script, &upload), 413, "large");
}

/* A server that begins to answer while it reads, as an echo does. */
static int echo(jg_http_request *request, void *arg)
{
    char data[4096];
    int n = jg_http_read(request, data, sizeof(data));
    int r = n < 0 ? n : jg_http_begin(request, 200, NULL, JG_HTTP_NO_LENGTH);

    (void)arg;
    while (r == 0 && n > 0) {
        r = jg_http_write(request, data, (size_t)n);
        if (r == 0)
            n = jg_http_read(request, data, sizeof(data));
    }
    return r < 0 ? r : n;
}

static jg_http_handler_fn handler;
static jg_stream server_stream[4];
static int server_streams;

struct served {
    struct world world;
    jg_http_server server;
    jg_http_client client;
    jg_coro_fn main;
    int result;
};

static int connect_to_server(void *arg, jg_stream *stream, const char *host, uint16_t port,
                             bool secure)
{
    struct served *served = arg;
    jg_stream *end = &server_stream[server_streams++];
    int r;

    (void)host;
    (void)port;
    (void)secure;
    r = jg_test_pair(served->world.loop, stream, end, NULL);
    return r < 0 ? r : jg_http_serve(&served->server, end, NULL, NULL);
}

static int served_main(void *arg)
{
    struct served *served = arg;
    const jg_http_client_options options = {.connect = connect_to_server, .connect_arg = served};

    test_check(jg_http_server_open(&served->server, served->world.loop, handler, NULL, NULL) == 0);
    test_check(jg_http_client_open(&served->client, served->world.loop, &options) == 0);
    served->result = served->main(served);
    jg_http_client_close(&served->client);
    return jg_http_server_close(&served->server, JG_FOREVER);
}

static int run_served(jg_http_handler_fn how, jg_coro_fn main)
{
    struct served served = {.main = main};

    handler = how;
    server_streams = 0;
    world_init(&served.world);
    assert_int_equal(jg_spawn(&served.world.root, served_main, &served,
                              &(jg_spawn_options){.stack_size = 262144}),
                     0);
    world_done(&served.world);
    return served.result;
}

static int exchange_large(void *arg)
{
    struct served *served = arg;
    const jg_http_fetch_options options[] = {
        {.body = large, .length = sizeof(large)},
        {.upload = upload_large, .length = sizeof(large)},
        {.upload = upload_large, .length = -1},
        {.body = large, .length = 100},
        {.body = large, .length = sizeof(large), .expect = true},
        {.body = large, .length = 100, .expect = true},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        size_t size = options[i].length < 0 ? sizeof(large) : (size_t)options[i].length;
        jg_http_response response;
        jg_text text;

        test_check(jg_http_fetch(&served->client, "https://a/", &options[i], &response) == 200);
        test_check(jg_http_response_read_all(&response, sizeof(large), &text) == 0);
        test_check(text.size == size && memcmp(text.data, large, size) == 0);
        jg_http_response_end(&response);
        test_check(jg_http_client_idle(&served->client) == 1);
    }
    return server_streams;
}

static void bodies_go_both_ways_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7 % 251);
    assert_int_equal(run_served(echo, exchange_large), 1);
}

/* Answers at once, and reads the request only then. */
static int answer_first(jg_http_request *request, void *arg)
{
    char data[4096];
    int r = jg_http_begin(request, 202, NULL, 2);

    (void)arg;
    if (r == 0)
        r = jg_http_write(request, "ok", 2);
    if (r == 0)
        r = jg_sleep(JG_SECOND);
    while (r == 0 && jg_http_read(request, data, sizeof(data)) > 0)
        continue;
    return r;
}

static int end_with_request_under_way(void *arg)
{
    struct served *served = arg;
    const jg_http_fetch_options options[] = {
        {.body = large, .length = sizeof(large)},
        {.upload = upload_large, .length = -1},
    };
    jg_http_response response;
    jg_text text;

    for (size_t i = 0; i < 2; i++) {
        test_check(jg_http_fetch(&served->client, "http://a/", &options[i], &response) == 202);
        test_check(jg_http_response_read_all(&response, 9, &text) == 0);
        test_check(jg_http_client_idle(&served->client) == 0);
        jg_http_response_end(&response); /* waits for the rest of the request */
        test_check(jg_http_client_idle(&served->client) == 1);
    }
    return server_streams;
}

static void a_request_is_sent_to_its_end_if_the_server_wants_it(void **state)
{
    (void)state;
    assert_int_equal(run_served(answer_first, end_with_request_under_way), 1);
}

static void expectations_are_waited_for(void **state)
{
    static const jg_http_fetch_options options = {.body = "abc", .length = 3, .expect = true};
    struct site *site;

    (void)state;
    /* Nobody says 100: the body comes after a second. */
    site = run(fetch_once, (struct site_script){.replies = {EMPTY}}, &options);
    assert_string_equal(site->log, "POST / HTTP/1.1\r\nHost: a\r\n" AGENT
                                   "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    expect(site, 200, "");

    /* The server does not want it: the connection is not used again. */
    site = run(fetch_twice,
               (struct site_script){.replies = {"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"},
                                    .deaf = true},
               &options);
    assert_int_equal(site->connections, 2);
    expect(site, 417, "");
}

/* ---------------------------------------------------------------- connections */

static void connections_are_used_again(void **state)
{
    struct site *site;

    (void)state;
    site = run(fetch_twice, (struct site_script){.replies = {HELLO, HELLO}}, NULL);
    assert_string_equal(site->log, GET GET);
    assert_int_equal(site->connections, 1);
    expect(site, 200, "hello");
}

static void expect_new_connection(struct site_script script, const jg_http_fetch_options *options)
{
    struct site *site = run(fetch_twice, script, options);

    assert_int_equal(site->connections, 2);
    assert_int_equal(result_of(site), 200);
}

static void a_connection_is_not_used_again_if(void **state)
{
    static const jg_http_pair close[] = {{"Connection", "close"}};

    (void)state;
    expect_new_connection((struct site_script){.replies = {OK "Connection: close\r\n"
                                                              "Content-Length: 0\r\n\r\n"}},
                          NULL);
    expect_new_connection(
        (struct site_script){.replies = {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"}}, NULL);
    expect_new_connection((struct site_script){.replies = {OK "\r\nx"}, .close = true}, NULL);
    expect_new_connection((struct site_script){.replies = {EMPTY}, .close = true}, NULL);
    expect_new_connection((struct site_script){.replies = {EMPTY}},
                          &(jg_http_fetch_options){.fields = close, .field_count = 1});
}

static void what_nobody_asked_for_ends_the_connection(void **state)
{
    (void)state;
    expect_new_connection((struct site_script){.replies = {EMPTY "x"}}, NULL);
    expect_new_connection((struct site_script){.replies = {EMPTY HELLO}}, NULL);
    expect_new_connection(
        (struct site_script){.replies = {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HELLO}},
        NULL);
}

static int fetch_pause_fetch(void *arg)
{
    struct site *site = arg;
    int r = fetch(site, "http://a/", site->data);

    test_check(r == 200);
    test_check(jg_sleep(10 * JG_SECOND) == 0);
    return fetch(site, "http://a/", site->data);
}

static void what_comes_while_idle_ends_the_connection(void **state)
{
    struct site *site;

    (void)state;
    site = run(
        fetch_pause_fetch,
        (struct site_script){.replies = {EMPTY HELLO}, .piece = strlen(EMPTY), .pause = JG_SECOND},
        NULL);
    assert_int_equal(site->connections, 2);
    expect(site, 200, "");
}

static void idle_connections_are_closed_after_a_while(void **state)
{
    struct site *site;
    const struct site_script script = {.replies = {EMPTY, EMPTY}};

    (void)state;
    site = site_new(fetch_pause_fetch, &script, 1);
    site->options.keep_timeout = 10 * JG_SECOND - 1;
    site_run(site);
    assert_int_equal(site->connections, 2);
    free(site);
    site = site_new(fetch_pause_fetch, &script, 1);
    site->options.keep_timeout = 10 * JG_SECOND + JG_MILLISECOND;
    site_run(site);
    assert_int_equal(site->connections, 1);
    free(site);
}

static int end_early(void *arg)
{
    struct site *site = arg;
    jg_http_response response;

    test_check(jg_http_fetch(&site->client, "http://a/", NULL, &response) == 200);
    jg_http_response_end(&response);
    test_check(jg_http_client_connections(&site->client) == 0);
    return fetch(site, "http://a/", NULL);
}

static void a_response_that_was_not_read_ends_the_connection(void **state)
{
    struct site *site = run(end_early, (struct site_script){.replies = {HELLO, HELLO}}, NULL);

    (void)state;
    assert_int_equal(site->connections, 2);
    expect(site, 200, "hello");
}

/* ---------------------------------------------------------------- repeating */

/* The server closes, or resets, the kept connection when it sees the second request. */
static const struct site_script stale[] = {
    {.replies = {EMPTY, ""}, .close = true},
    {.replies = {HELLO}},
};

static struct site *run_stale(const struct site_script *scripts,
                              const jg_http_fetch_options *options)
{
    struct site *site = site_new(fetch_twice, scripts, 2);

    site->data = (void *)(uintptr_t)options;
    site_run(site);
    return site;
}

static void what_is_safe_is_repeated_once(void **state)
{
    static const struct site_script reset[] = {{.replies = {EMPTY, ""}, .cut = true},
                                               {.replies = {HELLO}}};
    static const struct site_script never[] = {{.replies = {EMPTY, ""}, .close = true},
                                               {.replies = {""}, .close = true}};
    struct site *site;

    (void)state;
    site = run_stale(stale, NULL);
    assert_int_equal(site->connections, 2);
    assert_string_equal(site->log, GET GET GET);
    expect(site, 200, "hello");
    site = run_stale(stale, &(jg_http_fetch_options){.method = "PUT", .body = "x", .length = 1});
    expect(site, 200, "hello");
    site = run_stale(reset, NULL);
    expect(site, 200, "hello");
    site = run_stale(never, NULL);
    assert_int_equal(site->connections, 2);
    expect(site, JG_EHTTP_NO_RESPONSE, "");
}

static void an_upload_is_repeated(void **state)
{
    static const jg_http_fetch_options put = {
        .method = "PUT", .upload = upload_pieces, .length = 15};
    struct site *site = run_stale(stale, &put);

    (void)state;
    expect(site, 200, "hello");
}

static void what_is_not_safe_is_not_repeated(void **state)
{
    static const struct site_script begun[] = {{.replies = {EMPTY, "H"}, .close = true},
                                               {.replies = {HELLO}}};
    static const struct site_script reset[] = {{.replies = {EMPTY, "H"}, .cut = true},
                                               {.replies = {HELLO}}};
    struct site *site;

    (void)state;
    site = run_stale(stale, &(jg_http_fetch_options){.body = "x", .length = 1});
    assert_int_equal(site->connections, 1);
    expect(site, JG_EHTTP_NO_RESPONSE, "");
    site = run_stale(begun, NULL);
    assert_int_equal(site->connections, 1);
    expect(site, JG_EHTTP_TRUNCATED, "");
    site = run_stale(reset, NULL);
    assert_int_equal(site->connections, 1);
    expect(site, -ECONNRESET, "");
    site = run(fetch_once, (struct site_script){.replies = {""}, .close = true}, NULL);
    assert_int_equal(site->connections, 1);
    expect(site, JG_EHTTP_NO_RESPONSE, "");
}

/* The server has closed by the time of the second request: it is not sent there. */
static int post_after_close(void *arg)
{
    struct site *site = arg;
    const jg_http_fetch_options post = {.body = "x", .length = 1};

    test_check(fetch(site, "http://a/", &post) == 200);
    jg_stream_abort(&site->peers[0]->stream);
    return fetch(site, "http://a/", &post);
}

static void a_connection_that_was_closed_is_seen_before_a_post(void **state)
{
    struct site *site = run(post_after_close, (struct site_script){.replies = {EMPTY}}, NULL);

    (void)state;
    assert_int_equal(site->connections, 2);
    expect(site, 200, "");
}

/* ---------------------------------------------------------------- redirects */

#define TO(status, where) \
    "HTTP/1.1 " status " Moved\r\nLocation: " where "\r\nContent-Length: 3\r\n\r\nout"

static struct site *run_redirect(const char *reply, const jg_http_fetch_options *options)
{
    return run(fetch_once, (struct site_script){.replies = {reply, HELLO}}, options);
}

static void expect_redirect(const char *reply, const char *method, const char *second)
{
    const jg_http_pair fields[] = {{"Content-Type", "a/b"}, {"X-One", "1"}};
    const jg_http_fetch_options options = {.method = method,
                                           .fields = fields,
                                           .field_count = 2,
                                           .body = strcmp(method, "POST") ? NULL : "abc",
                                           .length = strcmp(method, "POST") ? 0 : 3};
    struct site *site = run_redirect(reply, &options);
    const char *log = strstr(site->log + 1, "/b HTTP/1.1\r\n");

    assert_int_equal(site->connections, 1);
    assert_non_null(log);
    while (log[-1] != '\n' && log[-1] != 'c')
        log--;
    assert_string_equal(log, second);
    expect(site, 200, strcmp(method, "HEAD") ? "hello" : "");
}

#define FIRST_GET "GET /b HTTP/1.1\r\nHost: a\r\n"
#define TYPE      "Content-Type: a/b\r\n"
#define ONE       "X-One: 1\r\n"
#define AS_GET    FIRST_GET ONE AGENT "\r\n"
#define AS_POST   "POST /b HTTP/1.1\r\nHost: a\r\n" TYPE ONE AGENT "Content-Length: 3\r\n\r\nabc"

static void redirects_are_followed_as_their_status_says(void **state)
{
    (void)state;
    expect_redirect(TO("301", "/b"), "POST", AS_GET);
    expect_redirect(TO("302", "b"), "POST", AS_GET);
    expect_redirect(TO("303", "b#c"), "POST", AS_GET);
    expect_redirect(TO("307", "//a/b"), "POST", AS_POST);
    expect_redirect(TO("308", "http://A:80/b"), "POST",
                    "POST /b HTTP/1.1\r\nHost: A:80\r\n" TYPE ONE AGENT
                    "Content-Length: 3\r\n\r\nabc");
    expect_redirect(TO("301", "/b"), "GET", FIRST_GET TYPE ONE AGENT "\r\n");
    expect_redirect(TO("301", "/b"), "PUT",
                    "PUT /b HTTP/1.1\r\nHost: a\r\n" TYPE ONE AGENT "Content-Length: 0\r\n\r\n");
    expect_redirect(TO("303", "/b"), "PUT", AS_GET);
}

static void a_redirect_of_head_is_followed_with_head(void **state)
{
    struct site *site = run(
        fetch_once,
        (struct site_script){
            .replies = {"HTTP/1.1 303 Moved\r\nLocation: /b\r\nContent-Length: 3\r\n\r\n", HELLO}},
        &(jg_http_fetch_options){.method = "HEAD"});

    (void)state;
    assert_non_null(strstr(site->log, "HEAD /b HTTP/1.1\r\n"));
    expect(site, 200, "");
}

static void what_is_no_redirect_is_a_response(void **state)
{
    (void)state;
    expect(run_redirect("HTTP/1.1 301 Moved\r\nContent-Length: 3\r\n\r\nout", NULL), 301, "out");
    expect(run_redirect(TO("300", "/b"), NULL), 300, "out");
    expect(run_redirect("HTTP/1.1 304 Same\r\nLocation: /b\r\n\r\n", NULL), 304, "");
    expect(run_redirect(TO("201", "/b"), NULL), 201, "out");
}

static void redirects_to_nowhere_are_errors(void **state)
{
    (void)state;
    expect(run_redirect(TO("301", "ftp://a/"), NULL), JG_EHTTP_LOCATION, "");
    expect(run_redirect(TO("301", "http://a b/"), NULL), JG_EHTTP_LOCATION, "");
    expect(run_redirect(TO("301", "http://u@b/"), NULL), JG_EHTTP_LOCATION, "");
    expect(run_redirect("HTTP/1.1 301 x\r\nLocation: /b\r\nLocation: /c\r\n\r\n", NULL),
           JG_EHTTP_LOCATION, "");
}

static void redirects_are_limited(void **state)
{
    static const struct site_script script = {
        .replies = {TO("301", "/b"), TO("301", "/b"), TO("301", "/b"), HELLO}};
    struct site *site;

    (void)state;
    for (int most = 1; most <= 4; most++) {
        site = site_new(fetch_once, &script, 1);
        site->options.max_redirects = most;
        site_run(site);
        expect(site, most < 3 ? JG_EHTTP_REDIRECTS : 200, most < 3 ? "" : "hello");
    }
    site = site_new(fetch_once, &script, 1);
    site->options.max_redirects = -1;
    site_run(site);
    expect(site, 301, "out");
}

static void credentials_stay_with_their_origin(void **state)
{
    static const jg_http_pair fields[] = {
        {"Authorization", "x"}, {"cookie", "y"}, {"Host", "z"}, {"X-One", "1"}};
    static const jg_http_fetch_options options = {.fields = fields, .field_count = 4};
    static const char *const elsewhere[] = {TO("301", "http://b/b"), TO("307", "http://a:81/b"),
                                            TO("302", "https://a/b")};
    struct site *site;

    (void)state;
    site = run_redirect(TO("302", "/b"), &options);
    assert_non_null(
        strstr(site->log, "/b HTTP/1.1\r\nAuthorization: x\r\ncookie: y\r\nHost: z\r\nX-One: 1"));
    free(site);
    for (int i = 0; i < 3; i++) {
        const struct site_script scripts[] = {{.replies = {elsewhere[i]}}, {.replies = {HELLO}}};

        site = site_new(fetch_once, scripts, 2);
        site->data = (void *)(uintptr_t)&options;
        site_run(site);
        assert_non_null(strstr(site->log + 10, "GET /b HTTP/1.1\r\nHost: "));
        assert_null(strstr(site->log + 200, "Authorization"));
        assert_null(strstr(strstr(site->log, "GET /b"), "Authorization"));
        assert_null(strstr(strstr(site->log, "GET /b"), "cookie"));
        assert_null(strstr(strstr(site->log, "GET /b"), "Host: z"));
        assert_non_null(strstr(strstr(site->log, "GET /b"), "X-One: 1"));
        expect(site, 200, "hello");
    }
}

static void the_body_of_a_redirect_is_dropped(void **state)
{
    static char huge[80000];
    const struct site_script scripts[] = {{.replies = {huge}}, {.replies = {HELLO}}};
    struct site *site;

    (void)state;
    strcpy(huge, "HTTP/1.1 301 x\r\nLocation: /b\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n");
    memset(huge + strlen(huge), 'x', 70000);
    site = site_new(fetch_once, scripts, 2); /* it is too large to be read */
    site_run(site);
    assert_int_equal(site->connections, 2);
    expect(site, 200, "hello");
}

/* ---------------------------------------------------------------- limits of time */

static void expect_timeout(struct site_script script, jg_http_client_options options, int error,
                           jg_time when)
{
    struct site *site = site_new(fetch_once, &script, 1);
    jg_time after;

    site->options = options;
    /* Measured by the loop's clock, from 0. */
    assert_int_equal(
        jg_spawn(&site->world.root, site_main, site, &(jg_spawn_options){.stack_size = 262144}), 0);
    jg_scope_close(&site->world.root, 0, &site->world.left);
    assert_int_equal(jg_loop_run(site->world.loop), 0);
    after = jg_loop_now(site->world.loop);
    test_loop_done(site->world.loop);
    for (int i = 0; i < site->connections; i++)
        free(site->peers[i]);
    assert_int_equal(after, when);
    assert_int_equal(result_of(site), error);
}

static void each_limit_of_time_has_its_error(void **state)
{
    const struct site_script slow = {
        .replies = {HELLO}, .piece = 1, .pause = JG_SECOND, .close = true};
    const struct site_script late = {.replies = {HELLO}, .delay = 100 * JG_SECOND};
    const struct site_script silent = {.replies = {HELLO}, .pause = 100 * JG_SECOND};

    (void)state;
    expect_timeout(late, (jg_http_client_options){.connect_timeout = 7 * JG_SECOND},
                   JG_EHTTP_CONNECT_TIMEOUT, 7 * JG_SECOND);
    expect_timeout(
        late,
        (jg_http_client_options){.connect_timeout = 7 * JG_SECOND, .total_timeout = 5 * JG_SECOND},
        JG_EHTTP_TOTAL_TIMEOUT, 5 * JG_SECOND);
    expect_timeout(silent, (jg_http_client_options){.idle_timeout = 7 * JG_SECOND},
                   JG_EHTTP_IDLE_TIMEOUT, 7 * JG_SECOND);
    expect_timeout(
        slow,
        (jg_http_client_options){.idle_timeout = 2 * JG_SECOND, .total_timeout = 5 * JG_SECOND},
        JG_EHTTP_TOTAL_TIMEOUT, 5 * JG_SECOND);
    expect_timeout(
        slow,
        (jg_http_client_options){.idle_timeout = 2 * JG_SECOND, .total_timeout = 40 * JG_SECOND},
        JG_EHTTP_TOTAL_TIMEOUT, 40 * JG_SECOND);
    expect_timeout(
        slow, (jg_http_client_options){.idle_timeout = 2 * JG_SECOND, .total_timeout = JG_FOREVER},
        200, (jg_time)strlen(HELLO) * JG_SECOND);
}

static int upload_slowly(jg_http_upload *upload, void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; r == 0 && i < 4; i++) {
        r = jg_sleep(5 * JG_SECOND);
        if (r == 0)
            r = jg_http_upload_write(upload, "x", 1);
    }
    return r;
}

static void what_is_sent_counts_against_silence(void **state)
{
    static const jg_http_fetch_options options = {.upload = upload_slowly, .length = 4};
    const struct site_script script = {.replies = {HELLO}};
    struct site *site = site_new(fetch_once, &script, 1);

    (void)state;
    site->options.idle_timeout = 7 * JG_SECOND;
    site->data = (void *)(uintptr_t)&options;
    site_run(site);
    expect(site, 200, "hello");
}

static void an_error_of_connecting_is_told(void **state)
{
    (void)state;
    assert_int_equal(
        result_of(run(fetch_once, (struct site_script){.refuse = -ECONNREFUSED}, NULL)),
        -ECONNREFUSED);
}

/* ---------------------------------------------------------------- taking turns */

struct turn {
    struct site *site;
    const char *url;
    int number, status;
    jg_time begins, ends;
};

static struct test_trace order;

static int take_turn(void *arg)
{
    struct turn *turn = arg;
    jg_loop *loop = turn->site->world.loop;
    jg_http_response response;
    jg_text text;

    (void)jg_sleep(turn->begins);
    turn->status = jg_http_get(&turn->site->client, turn->url, 100, &response, &text);
    turn->ends = jg_loop_now(loop);
    test_trace_add(&order, (char)('a' + turn->number));
    jg_http_response_end(&response);
    return turn->status < 0 ? turn->status : 0;
}

static int take_turns(struct site *site, const char *const *urls, int count)
{
    struct turn turns[16];
    jg_job jobs[16];

    order.letters[0] = 0;
    for (int i = 0; i < count; i++) {
        turns[i] = (struct turn){
            .site = site, .url = urls[i], .number = i, .begins = (i + 1) * JG_MILLISECOND};
        jobs[i] = (jg_job){.fn = take_turn, .arg = &turns[i]};
    }
    test_check(jg_gather(jobs, (size_t)count, JG_KEEP_GOING) == 0);
    for (int i = 0; i < count; i++)
        test_check(turns[i].status == 200);
    return (int)jg_http_client_connections(&site->client);
}

static int many_of_one_host(void *arg)
{
    static const char *const urls[] = {"http://a/", "http://a/", "http://a/",
                                       "http://A/", "http://a/", "http://a:80/"};

    return take_turns(arg, urls, 6);
}

/* Replies take a second each. */
static const struct site_script patient = {
    .replies = {HELLO, HELLO, HELLO, HELLO, HELLO, HELLO, HELLO, HELLO}, .pause = JG_SECOND};

static void connections_to_a_host_are_limited(void **state)
{
    struct site *site = site_new(many_of_one_host, &patient, 1);

    (void)state;
    site->options.max_per_host = 2;
    site_run(site);
    assert_int_equal(site->result, 2);
    assert_int_equal(site->connections, 2);
    assert_string_equal(order.letters, "abcdef");
    free(site);
}

static int of_many_hosts(void *arg)
{
    static const char *const urls[] = {"http://a/", "http://b/", "http://a/", "http://c/",
                                       "http://b/", "http://a/", "http://c/", "http://d/"};

    return take_turns(arg, urls, 8);
}

static void connections_in_all_are_limited(void **state)
{
    struct site *site = site_new(of_many_hosts, &patient, 1);

    (void)state;
    site->options.max_connections = 1;
    site_run(site);
    assert_int_equal(site->result, 1);
    assert_string_equal(order.letters, "abcdefgh");
    assert_string_equal(site->hosts, "a:80 b:80 a:80 c:80 b:80 a:80 c:80 d:80 ");
    free(site);

    site = site_new(of_many_hosts, &patient, 1);
    site->options.max_connections = 3;
    site->options.max_per_host = 1;
    site_run(site);
    assert_int_equal(site->result, 3);
    assert_string_equal(order.letters, "abdcegfh");
    free(site);
}

static int two_hosts_in_turn(void *arg)
{
    struct site *site = arg;

    test_check(fetch(site, "http://a/", NULL) == 200);
    test_check(fetch(site, "http://b/", NULL) == 200);
    test_check(fetch(site, "http://a/", NULL) == 200);
    test_check(fetch(site, "http://c/", NULL) == 200); /* b has been idle for longer */
    return fetch(site, "http://a/", NULL);
}

static void what_is_idle_makes_room(void **state)
{
    const struct site_script script = {.replies = {EMPTY, EMPTY, EMPTY}};
    struct site *site = site_new(two_hosts_in_turn, &script, 1);

    (void)state;
    site->options.max_connections = 2;
    site_run(site);
    assert_string_equal(site->hosts, "a:80 b:80 c:80 ");
    free(site);
}

static int cancel_one_who_waits(void *arg)
{
    struct site *site = arg;
    struct turn turns[3];
    jg_scope scope;
    int r = 0;

    order.letters[0] = 0;
    for (int i = 0; i < 3; i++)
        turns[i] = (struct turn){.site = site, .url = "http://a/", .number = i};
    jg_scope_enter(&scope, NULL);
    test_check(jg_spawn(&scope, take_turn, &turns[0], NULL) == 0);
    test_check(jg_sleep(JG_MILLISECOND) == 0);
    r = jg_wait_for(take_turn, &turns[1], 10 * JG_MILLISECOND); /* it waits, and gives up */
    test_check(jg_spawn(&scope, take_turn, &turns[2], NULL) == 0);
    test_check(jg_scope_leave(&scope, 0) == 0);
    test_check(turns[0].status == 200 && turns[2].status == 200);
    return r;
}

static void who_gives_up_waiting_leaves_no_trace(void **state)
{
    struct site *site = site_new(cancel_one_who_waits, &patient, 1);

    (void)state;
    site->options.max_connections = 1;
    site_run(site);
    assert_int_equal(site->connections, 1);
    assert_string_equal(order.letters, "bac");
    assert_int_equal(result_of(site), -ETIMEDOUT);
}

static int cancel_one_for_another_host(void *arg)
{
    struct site *site = arg;
    struct turn turns[3];
    jg_scope scope;
    int r;

    for (int i = 0; i < 3; i++)
        turns[i] = (struct turn){.site = site, .url = i == 1 ? "http://b/" : "http://a/"};
    jg_scope_enter(&scope, NULL);
    test_check(jg_spawn(&scope, take_turn, &turns[0], NULL) == 0);
    test_check(jg_sleep(JG_MILLISECOND) == 0);
    r = jg_wait_for(take_turn, &turns[1], 10 * JG_MILLISECOND);
    test_check(jg_spawn(&scope, take_turn, &turns[2], NULL) == 0);
    test_check(jg_scope_leave(&scope, 0) == 0);
    return r;
}

static void who_gives_up_a_host_leaves_no_trace(void **state)
{
    struct site *site = site_new(cancel_one_for_another_host, &patient, 1);

    (void)state;
    site->options.max_connections = 1;
    site_run(site);
    assert_string_equal(site->hosts, "a:80 ");
    assert_int_equal(result_of(site), -ETIMEDOUT);
}

static int wait_too_long(void *arg)
{
    struct site *site = arg;
    struct turn turn = {.site = site, .url = "http://a/"};
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.policy = JG_KEEP_GOING});
    test_check(jg_spawn(&scope, take_turn, &turn, NULL) == 0);
    test_check(jg_sleep(JG_SECOND) == 0);
    r = fetch(site, "http://a/", NULL); /* when the first one gives up, this has a second left */
    test_check(jg_loop_now(site->world.loop) == 3 * JG_SECOND);
    (void)jg_scope_leave(&scope, 0);
    return r;
}

static void waiting_counts_for_the_total_timeout(void **state)
{
    static const struct site_script slow = {.replies = {HELLO}, .pause = 100 * JG_SECOND};
    struct site *site = site_new(wait_too_long, &slow, 1);

    (void)state;
    site->options.max_connections = 1;
    site->options.total_timeout = 2 * JG_SECOND;
    site_run(site);
    assert_int_equal(site->connections, 2);
    assert_int_equal(result_of(site), JG_EHTTP_TOTAL_TIMEOUT);
}

static int smuggle(void *arg)
{
    static const char *const urls[] = {"http://a/", "http://a/"};

    return take_turns(arg, urls, 2);
}

static void what_was_smuggled_is_not_handed_over(void **state)
{
    const struct site_script script = {.replies = {HELLO HELLO}, .pause = JG_SECOND};
    struct site *site = site_new(smuggle, &script, 1);

    (void)state;
    site->options.max_connections = 1;
    site_run(site);
    assert_int_equal(site->connections, 2);
    free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_read),
        cmocka_unit_test(a_chunked_response_is_read),
        cmocka_unit_test(a_response_may_end_with_the_connection),
        cmocka_unit_test(some_responses_have_no_body),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(a_switch_of_protocols_is_an_error),
        cmocka_unit_test(malformed_responses_are_told_apart),
        cmocka_unit_test(responses_may_come_byte_by_byte),
        cmocka_unit_test(responses_may_be_split_anywhere),
        cmocka_unit_test(a_truncated_response_is_never_a_success),
        cmocka_unit_test(a_reset_is_told_as_such),
        cmocka_unit_test(a_body_over_the_limit_is_refused),
        cmocka_unit_test(a_response_can_be_looked_at),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(bad_requests_are_refused_before_anything_is_done),
        cmocka_unit_test(https_needs_a_connect_of_ones_own),
        cmocka_unit_test(clients_are_closed_twice_and_opened_with_sense),
        cmocka_unit_test(bodies_are_uploaded),
        cmocka_unit_test(bodies_are_uploaded_however_low_the_high_mark_is),
        cmocka_unit_test(an_upload_that_fails_is_what_the_fetch_fails_with),
        cmocka_unit_test(an_early_answer_is_heard),
        cmocka_unit_test(bodies_go_both_ways_at_once),
        cmocka_unit_test(a_request_is_sent_to_its_end_if_the_server_wants_it),
        cmocka_unit_test(expectations_are_waited_for),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(a_connection_is_not_used_again_if),
        cmocka_unit_test(what_nobody_asked_for_ends_the_connection),
        cmocka_unit_test(what_comes_while_idle_ends_the_connection),
        cmocka_unit_test(idle_connections_are_closed_after_a_while),
        cmocka_unit_test(a_response_that_was_not_read_ends_the_connection),
        cmocka_unit_test(what_is_safe_is_repeated_once),
        cmocka_unit_test(an_upload_is_repeated),
        cmocka_unit_test(what_is_not_safe_is_not_repeated),
        cmocka_unit_test(a_connection_that_was_closed_is_seen_before_a_post),
        cmocka_unit_test(redirects_are_followed_as_their_status_says),
        cmocka_unit_test(a_redirect_of_head_is_followed_with_head),
        cmocka_unit_test(what_is_no_redirect_is_a_response),
        cmocka_unit_test(redirects_to_nowhere_are_errors),
        cmocka_unit_test(redirects_are_limited),
        cmocka_unit_test(credentials_stay_with_their_origin),
        cmocka_unit_test(the_body_of_a_redirect_is_dropped),
        cmocka_unit_test(each_limit_of_time_has_its_error),
        cmocka_unit_test(what_is_sent_counts_against_silence),
        cmocka_unit_test(an_error_of_connecting_is_told),
        cmocka_unit_test(connections_to_a_host_are_limited),
        cmocka_unit_test(connections_in_all_are_limited),
        cmocka_unit_test(what_is_idle_makes_room),
        cmocka_unit_test(who_gives_up_waiting_leaves_no_trace),
        cmocka_unit_test(who_gives_up_a_host_leaves_no_trace),
        cmocka_unit_test(waiting_counts_for_the_total_timeout),
        cmocka_unit_test(what_was_smuggled_is_not_handed_over),
    };

    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
