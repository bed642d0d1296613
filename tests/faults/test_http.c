/* SPDX-License-Identifier: MIT
 *
 * An application and a client of it, over a Unix socket on one loop, while system calls fail: small
 * answers, bodies both ways, files, and a connection that is kept.
 */
#include "faults.h"

#include "support.h"

#include <juggle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MUCH = 300000 };

static char much[MUCH];
static char directory[64];

struct site {
    jg_address address;
    jg_app *app;
    jg_http_server server;
    jg_listener listener;
    jg_http_client client;
};

/* ---------------------------------------------------------------- the application */

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "hello", 5);
}

/* Send the body back, piece by piece. */
static int echo(jg_http_request *request, void *arg)
{
    char piece[20000];
    int r = jg_http_begin(request, 200, NULL, JG_HTTP_NO_LENGTH);
    int n = r < 0 ? r : jg_http_read(request, piece, sizeof(piece));

    (void)arg;
    while (n > 0) {
        r = jg_http_write(request, piece, (size_t)n);
        n = r < 0 ? r : jg_http_read(request, piece, sizeof(piece));
    }
    return n;
}

static int make_app(jg_app **ret_app)
{
    jg_app *app;
    int r = jg_app_new(NULL, &app);

    test_check(r == 0 && jg_app_route(app, "GET", "/", hello, NULL) == 0 &&
               jg_app_route(app, "POST", "/echo", echo, NULL) == 0);
    r = jg_app_static(app, "/files", directory);
    if (r < 0)
        jg_app_free(app);
    else
        *ret_app = app;
    return r;
}

static int on_connection(void *arg, int fd, const jg_address *peer)
{
    struct site *site = arg;

    return jg_http_serve_fd(&site->server, fd, peer);
}

/* ---------------------------------------------------------------- the client */

static int connect_to_site(void *arg, jg_stream *stream, const char *host, uint16_t port,
                           bool secure)
{
    struct site *site = arg;

    (void)host;
    (void)port;
    (void)secure;
    return jg_connect(stream, &site->address, NULL);
}

static int fetch(struct site *site, const char *url, const void *sent, size_t size,
                 const char *expected, size_t expected_size)
{
    const jg_http_fetch_options options = {.body = sent, .length = (int64_t)size};
    jg_http_response response;
    jg_text text;
    int r = jg_http_fetch(&site->client, url, &options, &response);

    if (r < 0)
        return r;
    if (r == 200)
        r = jg_http_response_read_all(&response, MUCH, &text);
    else
        r = -EPROTO; /* the server told what it met */
    if (r == 0)
        test_check(text.size == expected_size && memcmp(text.data, expected, text.size) == 0);
    jg_http_response_end(&response);
    return r;
}

static int fetch_all(struct site *site)
{
    const jg_http_client_options options = {.idle_timeout = JG_FOREVER,
                                            .total_timeout = JG_FOREVER,
                                            .connect = connect_to_site,
                                            .connect_arg = site};
    int r = jg_http_client_open(&site->client, fault_loop(), &options);

    if (r == 0)
        r = fetch(site, "http://a/", NULL, 0, "hello", 5);
    if (r == 0)
        r = fetch(site, "http://a/echo", much, MUCH, much, MUCH);
    if (r == 0)
        r = fetch(site, "http://a/files/much", NULL, 0, much, MUCH);
    jg_http_client_close(&site->client);
    return r;
}

/* ---------------------------------------------------------------- the runs */

static int serve_and_fetch(struct site *site)
{
    const jg_http_server_options options = {
        .header_timeout = JG_FOREVER, .body_timeout = JG_FOREVER, .idle_timeout = JG_FOREVER};
    int r, closed;

    r = jg_http_server_open(&site->server, fault_loop(), jg_app_handle, site->app, &options);
    if (r < 0)
        return r;
    r = jg_listen(&site->listener, fault_loop(), &site->address, NULL);
    if (r == 0)
        r = jg_listener_start(&site->listener, on_connection, site);
    if (r == 0)
        r = fetch_all(site);
    jg_listener_close(&site->listener);
    jg_app_shutdown(site->app);
    closed = jg_http_server_close(&site->server, JG_FOREVER);
    return r < 0 ? r : closed;
}

static int use_site(void *arg)
{
    struct site *site = arg;
    int r = make_app(&site->app);

    site->listener = (jg_listener){.loop = NULL};
    if (r < 0)
        return r;
    r = jg_app_start(site->app);
    if (r == 0) {
        r = serve_and_fetch(site);
        jg_app_stop(site->app);
    }
    jg_app_free(site->app);
    return r;
}

/* A request goes on another connection if the one that was kept is lost. */
#define UNHEARD                                                                          \
    " getsockopt getsockname close open stat unlink accept4 recv send sendmsg sendfile " \
    " pread preadv2 epoll_ctl "

static const int of_the_server[] = {-ECONNRESET,        -EPIPE, -EPROTO, JG_EHTTP_NO_RESPONSE,
                                    JG_EHTTP_TRUNCATED, 0};

static void try_all(void **state)
{
    static struct site site;
    static const struct fault_scenario table[] = {
        {"HTTP", use_site, &site, .consequences = of_the_server, .unheard = UNHEARD},
        {"HTTP in bad times", use_site, &site, .consequences = of_the_server, .times = 3,
         .unheard = UNHEARD},
    };
    char path[80];
    FILE *file;
    bool good;

    (void)state;
    strcpy(directory, "/tmp/juggle-faults-XXXXXX");
    assert_non_null(mkdtemp(directory));
    memset(much, 'm', sizeof(much));
    snprintf(path, sizeof(path), "%s/much", directory);
    file = fopen(path, "we");
    assert_true(file && fwrite(much, 1, MUCH, file) == MUCH && fclose(file) == 0);
    snprintf(path, sizeof(path), "%s/socket", directory);
    assert_int_equal(jg_address_parse(path, &site.address), 0);

    good = fault_each(table, sizeof(table) / sizeof(table[0]));
    (void)unlink(path);
    snprintf(path, sizeof(path), "%s/much", directory);
    (void)unlink(path);
    (void)rmdir(directory);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_http", tests, NULL, NULL);
}
