/* SPDX-License-Identifier: MIT
 *
 * The benchmarks on libevent. Variant "common" of timers: all of one length, which libevent then
 * keeps in a list. Variant "bufferevent" of echo.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#define BENCH_LIB "libevent"
typedef struct event bench_call;
typedef struct event bench_timer;
typedef struct timeval bench_span;
typedef struct event bench_watcher;
#include "benches.h"

static struct event_base *loop;

static void loop_open(void)
{
    loop = event_base_new();
    bench_check(loop != NULL, "event_base_new");
}

static void loop_close(void)
{
    event_base_free(loop);
}

static void loop_run(void)
{
    event_base_loop(loop, 0);
}

static void loop_turn(void)
{
    event_base_loop(loop, EVLOOP_NONBLOCK);
}

static void loop_stop(void)
{
    event_base_loopbreak(loop);
}

static void loop_update_time(void)
{
}

static void on_call(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    if (bench_call_again())
        event_active(arg, EV_TIMEOUT, 1);
}

static void call_init(bench_call *call)
{
    event_assign(call, loop, -1, 0, on_call, call);
}

static void call_arm(bench_call *call)
{
    event_active(call, EV_TIMEOUT, 1);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    bench_timer_fired();
}

static bench_span timer_span(int64_t ns)
{
    static const struct timeval second = {.tv_sec = 1};

    if (is_variant("common"))
        return *event_base_init_common_timeout(loop, &second);
    return (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
}

static void timer_init(bench_timer *timer)
{
    evtimer_assign(timer, loop, on_timer, timer);
}

static void timer_start(bench_timer *timer, bench_span span)
{
    event_add(timer, &span);
}

static void timer_restart(bench_timer *timer, bench_span span)
{
    event_add(timer, &span);
}

static void timer_stop(bench_timer *timer)
{
    event_del(timer);
}

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    bench_watcher_ready(arg);
}

static void watcher_start(bench_watcher *watcher, int fd)
{
    event_assign(watcher, loop, fd, EV_READ | EV_PERSIST, on_ready, watcher);
    event_add(watcher, NULL);
}

static void watcher_stop(bench_watcher *watcher)
{
    event_del(watcher);
}

struct connection {
    struct event event;
    struct echo echo;
};

static void on_connection(evutil_socket_t fd, short events, void *arg)
{
    struct connection *connection = arg;
    struct echo *echo = &connection->echo;
    enum echo_want want = echo_turn(echo);

    (void)events;
    if (want == echo->want)
        return;
    event_del(&connection->event);
    if (want == ECHO_GONE) {
        close(fd);
        echo_ended(echo);
        free(connection);
        return;
    }
    echo->want = want;
    event_assign(&connection->event, loop, fd,
                 (short)((want == ECHO_READ ? EV_READ : EV_WRITE) | EV_PERSIST), on_connection,
                 connection);
    event_add(&connection->event, NULL);
}

static void on_buffer_read(struct bufferevent *buffer, void *arg)
{
    (void)arg;
    bufferevent_read_buffer(buffer, bufferevent_get_output(buffer));
}

static void on_buffer_event(struct bufferevent *buffer, short events, void *arg)
{
    struct echo none = {.kept = NULL};

    (void)events, (void)arg;
    bufferevent_free(buffer);
    echo_ended(&none);
}

static void open_buffer(int fd)
{
    struct bufferevent *buffer = bufferevent_socket_new(loop, fd, BEV_OPT_CLOSE_ON_FREE);

    bench_check(buffer != NULL, "bufferevent_socket_new");
    bufferevent_setcb(buffer, on_buffer_read, NULL, on_buffer_event, NULL);
    bufferevent_enable(buffer, EV_READ | EV_WRITE);
}

static void open_raw(int fd)
{
    struct connection *connection = bench_alloc(1, sizeof *connection);

    connection->echo = (struct echo){.fd = fd, .want = ECHO_READ};
    event_assign(&connection->event, loop, fd, EV_READ | EV_PERSIST, on_connection, connection);
    event_add(&connection->event, NULL);
}

static void on_listener(evutil_socket_t listener, short events, void *arg)
{
    int fd = echo_accept(listener);

    (void)events, (void)arg;
    if (fd < 0)
        return;
    if (is_variant("bufferevent"))
        open_buffer(fd);
    else
        open_raw(fd);
}

static void echo_serve(int listener)
{
    struct event event;

    event_assign(&event, loop, listener, EV_READ | EV_PERSIST, on_listener, NULL);
    event_add(&event, NULL);
    event_base_loop(loop, 0);
}
