/* SPDX-License-Identifier: MIT
 *
 * What a client sends to a server: whatever it is, the server answers, ends and gives all memory
 * back, and its answers do not depend on how the bytes were split.
 */
#define _GNU_SOURCE
#include <juggle.h>
#include <juggle/test.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct exchange {
    jg_loop *loop;
    jg_app *app;
    jg_http_server server;
    jg_stream ours, client;
    const uint8_t *data;
    size_t size;
    size_t received;
    char output[65536];
};

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_http_server: %s\n", what);
    abort();
}

static int echo(jg_http_request *request, void *arg)
{
    jg_text body;
    int r = jg_http_read_all(request, 64, &body);

    (void)arg;
    return r < 0 ? r : jg_http_respond(request, 200, NULL, body.data, body.size);
}

static int count(jg_http_request *request, void *arg)
{
    jg_text name = jg_http_request_capture(request, "name"), value;
    char buffer[16];
    int total = 0, r;

    (void)arg;
    while ((r = jg_http_read(request, buffer, sizeof(buffer))) > 0)
        total += r;
    if (r < 0)
        return r;
    if (jg_http_request_query(request, "q", &value) == 0)
        total += (int)value.size;
    r = jg_http_begin(request, 200, "text/plain", JG_HTTP_NO_LENGTH);
    return r < 0 ? r : jg_http_write(request, name.data, name.size + (size_t)(total & 0));
}

static int send_all(void *arg)
{
    struct exchange *exchange = arg;
    int r = 0;

    for (size_t at = 0; at < exchange->size && r == 0; at += 4096) {
        size_t left = exchange->size - at;

        r = jg_stream_write(&exchange->client, exchange->data + at, left < 4096 ? left : 4096);
        if (r == 0)
            r = jg_stream_drain(&exchange->client);
    }
    (void)jg_stream_shut(&exchange->client);
    return 0;
}

static int receive_all(void *arg)
{
    struct exchange *exchange = arg;
    char waste[4096];
    int r;

    do {
        size_t room = sizeof(exchange->output) - exchange->received;

        r = jg_stream_read(&exchange->client, waste, sizeof(waste));
        if (r > 0 && (size_t)r <= room) {
            memcpy(exchange->output + exchange->received, waste, (size_t)r);
            exchange->received += (size_t)r;
        }
    } while (r > 0);
    return 0;
}

static int talk(void *arg)
{
    struct exchange *exchange = arg;
    jg_job jobs[2] = {{.fn = send_all, .arg = arg}, {.fn = receive_all, .arg = arg}};
    int r = jg_gather(jobs, 2, JG_KEEP_GOING);

    jg_stream_abort(&exchange->client);
    require(jg_http_server_close(&exchange->server, JG_FOREVER) == 0, "the server does not close");
    return r;
}

static void on_left(void *arg)
{
    *(bool *)arg = true;
}

/* Every date is the same, in what is compared. */
static void blank_dates(struct exchange *exchange)
{
    for (size_t i = 0; i + 37 <= exchange->received; i++) {
        if (memcmp(exchange->output + i, "\r\nDate: ", 8) == 0)
            memset(exchange->output + i + 8, '.', 29);
    }
}

static struct exchange *run(const uint8_t *data, size_t size, size_t piece)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    const jg_test_pair_options pair = {.piece = piece};
    bool left = false;
    jg_scope root;
    jg_op op;

    require(exchange != NULL, "out of memory");
    exchange->data = data;
    exchange->size = size;
    require(jg_loop_new(&(jg_loop_options){.flags = JG_LOOP_VIRTUAL_TIME}, &exchange->loop) == 0,
            "no loop");
    require(jg_app_new(NULL, &exchange->app) == 0, "no application");
    require(jg_app_route(exchange->app, "POST", "/echo", echo, NULL) == 0, "no route");
    require(jg_app_route(exchange->app, "*", "/{name}", count, NULL) == 0, "no route");
    require(jg_http_server_open(&exchange->server, exchange->loop, jg_app_handle, exchange->app,
                                NULL) == 0,
            "no server");
    require(jg_test_pair(exchange->loop, &exchange->ours, &exchange->client, &pair) == 0,
            "no connection");
    require(jg_http_serve(&exchange->server, &exchange->ours, NULL, NULL) == 0, "not served");
    jg_scope_open(&root, exchange->loop, NULL, NULL);
    require(jg_spawn(&root, talk, exchange, NULL) == 0, "no client");
    jg_op_init(&op, exchange->loop, on_left, &left);
    jg_scope_close(&root, 0, &op);
    require(jg_loop_run(exchange->loop) == 0 && left, "the exchange does not end");
    require(jg_loop_free(exchange->loop) == 0, "something was left");
    jg_app_free(exchange->app);
    blank_dates(exchange);
    return exchange;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange *whole = run(data, size, 0), *split = run(data, size, 1 + size % 7);

    /* Whether 100 (Continue) is sent depends on what of the body is there already. */
    if (!memmem(whole->output, whole->received, "HTTP/1.1 100 ", 13) &&
        !memmem(split->output, split->received, "HTTP/1.1 100 ", 13))
        require(whole->received == split->received &&
                    memcmp(whole->output, split->output, whole->received) == 0,
                "the answers depend on how the bytes were split");
    free(whole);
    free(split);
    return 0;
}
