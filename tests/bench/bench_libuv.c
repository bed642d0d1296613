/* SPDX-License-Identifier: MIT
 *
 * The benchmarks on libuv. Variants of echo: "" sends with uv_try_write first, "write" always with
 * uv_write.
 */
#include <uv.h>

#define BENCH_LIB "libuv"
typedef uv_idle_t bench_call;
typedef uv_timer_t bench_timer;
typedef uint64_t bench_span;
typedef uv_poll_t bench_watcher;
#include "benches.h"

static uv_loop_t loop;

static void loop_open(void)
{
    bench_check(uv_loop_init(&loop) == 0, "uv_loop_init");
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

static void loop_close(void)
{
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    bench_check(uv_loop_close(&loop) == 0, "uv_loop_close");
}

static void loop_run(void)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void loop_turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void loop_stop(void)
{
    uv_stop(&loop);
}

static void loop_update_time(void)
{
    uv_update_time(&loop);
}

static void on_idle(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    if (bench_call_again())
        uv_idle_start(idle, on_idle);
}

static void call_init(bench_call *call)
{
    uv_idle_init(&loop, call);
}

static void call_arm(bench_call *call)
{
    uv_idle_start(call, on_idle);
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    bench_timer_fired();
}

static bench_span timer_span(int64_t ns)
{
    return (uint64_t)ns / 1000000;
}

static void timer_init(bench_timer *timer)
{
    uv_timer_init(&loop, timer);
}

static void timer_start(bench_timer *timer, bench_span span)
{
    uv_timer_start(timer, on_timer, span, 0);
}

static void timer_restart(bench_timer *timer, bench_span span)
{
    uv_timer_start(timer, on_timer, span, 0);
}

static void timer_stop(bench_timer *timer)
{
    uv_timer_stop(timer);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)events;
    bench_check(status == 0, "uv_poll");
    bench_watcher_ready(poll);
}

static void watcher_start(bench_watcher *watcher, int fd)
{
    bench_check(uv_poll_init(&loop, watcher, fd) == 0, "uv_poll_init");
    uv_poll_start(watcher, UV_READABLE, on_ready);
}

static void watcher_stop(bench_watcher *watcher)
{
    uv_poll_stop(watcher);
}

/* Reads go to one buffer; what uv_write is to send is copied, for it must stay. Copies that were
 * sent are kept for the next, since malloc would give memory back to the system and take it again.
 */
struct write {
    uv_write_t request;
    struct write *next_spare;
    size_t room;
    char bytes[];
};

static struct write *spares;

static struct write *new_write(size_t length)
{
    struct write *write = spares;

    if (write != NULL && write->room >= length) {
        spares = write->next_spare;
        return write;
    }
    write = malloc(sizeof *write + length);
    bench_check(write != NULL, "out of memory");
    write->room = length;
    return write;
}

static void on_closed(uv_handle_t *handle)
{
    struct echo none = {.kept = NULL};

    free(handle);
    echo_ended(&none);
}

static void close_connection(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(echo_buffer, sizeof echo_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);

static void on_written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;
    uv_stream_t *stream = request->handle;

    write->next_spare = spares;
    spares = write;
    if (status < 0)
        close_connection(stream);
    else if (!is_variant("write"))
        uv_read_start(stream, give_buffer, on_read);
}

static void send_copy(uv_stream_t *stream, const char *bytes, size_t length)
{
    struct write *write = new_write(length);
    uv_buf_t buffer;

    memcpy(write->bytes, bytes, length);
    buffer = uv_buf_init(write->bytes, (unsigned)length);
    bench_check(uv_write(&write->request, stream, &buffer, 1, on_written) == 0, "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    uv_buf_t bytes = uv_buf_init(buffer->base, (unsigned)got);
    int sent = 0;

    if (got <= 0) {
        if (got < 0)
            close_connection(stream);
        return;
    }
    if (!is_variant("write"))
        sent = uv_try_write(stream, &bytes, 1);
    if (sent == got)
        return;
    if (sent < 0 && sent != UV_EAGAIN) {
        close_connection(stream);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    if (!is_variant("write"))
        uv_read_stop(stream);
    send_copy(stream, buffer->base + sent, (size_t)(got - sent));
}

static void on_listener(uv_stream_t *listener, int status)
{
    uv_tcp_t *connection = bench_alloc(1, sizeof *connection);

    bench_check(status == 0, "uv_listen");
    uv_tcp_init(&loop, connection);
    bench_check(uv_accept(listener, (uv_stream_t *)connection) == 0, "uv_accept");
    uv_tcp_nodelay(connection, 1);
    echo_began();
    uv_read_start((uv_stream_t *)connection, give_buffer, on_read);
}

static void echo_serve(int listener)
{
    uv_tcp_t server;

    uv_tcp_init(&loop, &server);
    bench_check(uv_tcp_open(&server, listener) == 0, "uv_tcp_open");
    bench_check(uv_listen((uv_stream_t *)&server, 4096, on_listener) == 0, "uv_listen");
    uv_run(&loop, UV_RUN_DEFAULT);
}
