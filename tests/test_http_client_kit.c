/* SPDX-License-Identifier: MIT
 *
 * The HTTP client, cancelled at each point and short of memory at each allocation: it ends, nothing
 * is left, and no part of a response is taken for the whole.
 */
#include "http_site.h"

#include <juggle/test_kit.h>

#define OK      "HTTP/1.1 200 OK\r\n"
#define HELLO   OK "Content-Length: 5\r\n\r\nhello"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
#define MOVED   "HTTP/1.1 307 Moved\r\nLocation: /b\r\nContent-Length: 3\r\n\r\nout"
#define MANY    "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" MOVED

static const struct site_script scripts[] = {
    {.replies = {HELLO, CHUNKED, MANY, HELLO, MOVED, CHUNKED, ""}, .pause = 1000, .close = true},
    {.replies = {HELLO, HELLO, HELLO, HELLO, HELLO, HELLO, HELLO, HELLO}},
};

static int upload(jg_http_upload *upload, void *arg)
{
    int r = jg_http_upload_write(upload, "hello, ", 7);

    (void)arg;
    if (r == 0)
        r = jg_sleep(JG_MILLISECOND);
    return r == 0 ? jg_http_upload_write(upload, "world", 5) : r;
}

static char large[200000];

static int fetch(struct site *site, const char *url, const jg_http_fetch_options *options)
{
    jg_http_response response;
    jg_text text;
    int r = jg_http_fetch(&site->client, url, options, &response);

    if (r < 0)
        return r;
    test_check(r == 200);
    r = jg_http_response_read_all(&response, 100, &text);
    test_check(r < 0 || jg_text_is(text, "hello"));
    jg_http_response_end(&response);
    return r;
}

static int fetch_another(void *arg)
{
    return fetch(arg, "http://b/", NULL);
}

static int fetch_several(void *arg)
{
    struct site *site = arg;
    const jg_http_fetch_options options[] = {
        {0},
        {.body = "abc", .length = 3},
        {.upload = upload, .length = 12},
        {.upload = upload, .length = -1},
        {.body = large, .length = sizeof(large)},
        {.body = "abc", .length = 3, .expect = true, .method = "PUT"},
    };
    jg_job jobs[] = {{.fn = fetch_another, .arg = site}, {.fn = fetch_another, .arg = site}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(options[0]); i++)
        r = fetch(site, "http://a/", &options[i]);
    return r == 0 ? jg_gather(jobs, 2, JG_FAIL_FAST) : r;
}

static int disturbed(void *arg)
{
    struct site *site = arg;
    jg_scope scope;
    int r;

    site->connections = 0;
    site->options = (jg_http_client_options){
        .max_connections = 1, .connect = site_connect, .connect_arg = site};
    jg_scope_enter(&scope, &(jg_scope_options){.policy = JG_KEEP_GOING});
    site->scope = &scope;
    r = jg_http_client_open(&site->client, scope.loop, &site->options);
    if (r == 0)
        r = fetch_several(site);
    test_check(site->client.response_count == 0);
    jg_http_client_close(&site->client);
    test_check(site->client.connection_count == 0);
    jg_scope_cancel(&scope);
    (void)jg_scope_leave(&scope, 0);
    for (int i = 0; i < site->connections; i++)
        free(site->peers[i]);
    return r;
}

/* Where memory is short the servers may be the ones who go without: then their end is what shows. */
static bool is_in_order(void *arg, int status)
{
    (void)arg;
    return status == 0 || status == -ECANCELED || status == -ENOMEM ||
           status == JG_EHTTP_NO_RESPONSE || status == JG_EHTTP_TRUNCATED ||
           status == -ECONNRESET || status == -EPIPE;
}

static void nothing_is_left_after_cancellation(void **state)
{
    static struct site site = {.scripts = scripts, .script_count = 2};

    (void)state;
    assert_int_equal(jg_test_cancel_each(disturbed, &site, NULL), 0);
}

static void nothing_is_left_without_memory(void **state)
{
    static struct site site = {.scripts = scripts, .script_count = 2};

    (void)state;
    assert_int_equal(jg_test_fail_each(disturbed, &site, &(jg_test_options){.check = is_in_order}),
                     0);
}

static void the_order_of_what_is_ready_does_not_matter(void **state)
{
    static struct site site = {.scripts = scripts, .script_count = 2};

    (void)state;
    assert_int_equal(jg_test_shuffle_each(disturbed, &site, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_after_cancellation),
        cmocka_unit_test(nothing_is_left_without_memory),
        cmocka_unit_test(the_order_of_what_is_ready_does_not_matter),
    };

    return cmocka_run_group_tests_name("http_client_kit", tests, NULL, NULL);
}
