/* SPDX-License-Identifier: MIT
 *
 * The benchmarks on juggle. Variants of timers: "" counts from a fresh reading of the clock with
 * jg_call_later, "at" gives absolute deadlines to jg_call_at, as the cached clocks of the others
 * do. Variants of echo: "" is callbacks, "streams" a stream and a coroutine a connection.
 */
#include <juggle.h>

#define BENCH_LIB "juggle"
typedef jg_call bench_call;
typedef jg_timer bench_timer;
typedef jg_time bench_span;
typedef jg_watcher bench_watcher;
#include "benches.h"

static jg_loop *loop;
static jg_scope clients;
static jg_time cached_time;
static bool is_at;

static void loop_update_time(void)
{
    cached_time = jg_loop_now(loop);
}

static void loop_open(void)
{
    bench_check(jg_loop_new(NULL, &loop) == 0, "jg_loop_new");
    is_at = is_variant("at");
    loop_update_time();
}

static void loop_close(void)
{
    bench_check(jg_loop_free(loop) == 0, "jg_loop_free");
}

static void loop_run(void)
{
    bench_check(jg_loop_run(loop) == 0, "jg_loop_run");
}

static void loop_turn(void)
{
    bench_check(jg_loop_run_once(loop, 0) >= 0, "jg_loop_run_once");
}

static void loop_stop(void)
{
    jg_loop_stop(loop);
}

static void on_call(void *arg)
{
    if (bench_call_again())
        jg_call_soon(loop, arg);
}

static void call_init(bench_call *call)
{
    jg_call_init(call, on_call, call);
}

static void call_arm(bench_call *call)
{
    jg_call_soon(loop, call);
}

static void on_timer(void *arg)
{
    (void)arg;
    bench_timer_fired();
}

static bench_span timer_span(int64_t ns)
{
    return ns;
}

static void timer_init(bench_timer *timer)
{
    jg_timer_init(timer, on_timer, timer);
}

static void timer_start(bench_timer *timer, bench_span span)
{
    if (is_at)
        jg_call_at(loop, timer, cached_time + span);
    else
        jg_call_later(loop, timer, span);
}

static void timer_restart(bench_timer *timer, bench_span span)
{
    timer_start(timer, span);
}

static void timer_stop(bench_timer *timer)
{
    jg_timer_stop(timer);
}

static void on_ready(void *arg, int events)
{
    bench_check(events >= 0, "a watched descriptor must stay watched");
    bench_watcher_ready(arg);
}

static void watcher_start(bench_watcher *watcher, int fd)
{
    jg_watcher_init(watcher, on_ready, watcher);
    bench_check(jg_watcher_start(loop, watcher, fd, JG_READ) == 0, "jg_watcher_start");
}

static void watcher_stop(bench_watcher *watcher)
{
    jg_watcher_stop(watcher);
}

struct connection {
    jg_watcher watcher;
    struct echo echo;
};

static void on_connection(void *arg, int events)
{
    struct connection *connection = arg;
    struct echo *echo = &connection->echo;
    enum echo_want want = events < 0 ? ECHO_GONE : echo_turn(echo);

    if (want == echo->want)
        return;
    if (want == ECHO_GONE) {
        jg_watcher_close(&connection->watcher);
        echo_ended(echo);
        free(connection);
        return;
    }
    echo->want = want;
    jg_watcher_modify(&connection->watcher, want == ECHO_READ ? JG_READ : JG_WRITE);
}

static int echo_stream(void *arg)
{
    struct echo echo = {.kept = NULL};
    char bytes[32768]; /* more than any message: one that fills it makes the stream look for more */
    jg_stream stream;
    int r, fd = *(int *)arg;

    free(arg);
    bench_check(jg_stream_open(&stream, loop, fd, NULL) == 0, "jg_stream_open");
    do {
        r = jg_stream_read(&stream, bytes, sizeof bytes);
        if (r <= 0)
            break;
        r = jg_stream_write(&stream, bytes, (size_t)r);
        if (r == 0)
            r = jg_stream_drain(&stream);
    } while (r == 0);
    jg_stream_abort(&stream);
    echo_ended(&echo);
    return 0;
}

static void on_listener(void *arg, int events)
{
    int fd = echo_accept(*(int *)arg);
    struct connection *connection;

    bench_check(events >= 0, "the listener must stay watched");
    if (fd < 0)
        return;
    if (is_variant("streams")) {
        int *number = bench_alloc(1, sizeof *number);

        *number = fd;
        bench_check(jg_spawn(&clients, echo_stream, number, NULL) == 0, "jg_spawn");
        return;
    }
    connection = bench_alloc(1, sizeof *connection);
    connection->echo = (struct echo){.fd = fd, .want = ECHO_READ};
    jg_watcher_init(&connection->watcher, on_connection, connection);
    bench_check(jg_watcher_start(loop, &connection->watcher, fd, JG_READ) == 0, "jg_watcher_start");
}

static void echo_serve(int listener)
{
    jg_watcher watcher;

    jg_scope_open(&clients, loop, NULL, NULL);
    jg_watcher_init(&watcher, on_listener, &listener);
    bench_check(jg_watcher_start(loop, &watcher, listener, JG_READ) == 0, "jg_watcher_start");
    loop_run();
}
