/* SPDX-License-Identifier: MIT
 *
 * The benchmarks on libev. Variant "feed" of ready: ev_feed_event, which runs last in first out
 * and without ever polling, in place of idle watchers.
 */
#include <ev.h>

#define BENCH_LIB "libev"
typedef ev_idle bench_call;
typedef ev_timer bench_timer;
typedef ev_tstamp bench_span;
typedef ev_io bench_watcher;
#include "benches.h"

static struct ev_loop *loop;

static void loop_open(void)
{
    loop = ev_loop_new(EVBACKEND_EPOLL);
    bench_check(loop != NULL, "ev_loop_new");
}

static void loop_close(void)
{
    ev_loop_destroy(loop);
}

static void loop_run(void)
{
    ev_run(loop, 0);
}

static void loop_turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

static void loop_stop(void)
{
    ev_break(loop, EVBREAK_ONE);
}

static void loop_update_time(void)
{
    ev_now_update(loop);
}

static void on_idle(struct ev_loop *on, ev_idle *idle, int events)
{
    (void)events;
    ev_idle_stop(on, idle);
    if (bench_call_again())
        ev_idle_start(on, idle);
}

static void on_fed(struct ev_loop *on, ev_idle *idle, int events)
{
    (void)events;
    if (bench_call_again())
        ev_feed_event(on, idle, EV_CUSTOM);
}

static void call_init(bench_call *call)
{
    ev_idle_init(call, is_variant("feed") ? on_fed : on_idle);
}

static void call_arm(bench_call *call)
{
    if (is_variant("feed"))
        ev_feed_event(loop, call, EV_CUSTOM);
    else
        ev_idle_start(loop, call);
}

static void on_timer(struct ev_loop *on, ev_timer *timer, int events)
{
    (void)on, (void)timer, (void)events;
    bench_timer_fired();
}

static bench_span timer_span(int64_t ns)
{
    return (double)ns * 1e-9;
}

static void timer_init(bench_timer *timer)
{
    ev_timer_init(timer, on_timer, 0, 0);
}

static void timer_start(bench_timer *timer, bench_span span)
{
    ev_timer_set(timer, span, 0);
    ev_timer_start(loop, timer);
}

static void timer_restart(bench_timer *timer, bench_span span)
{
    timer->repeat = span;
    ev_timer_again(loop, timer);
}

static void timer_stop(bench_timer *timer)
{
    ev_timer_stop(loop, timer);
}

static void on_ready(struct ev_loop *on, ev_io *io, int events)
{
    (void)on, (void)events;
    bench_watcher_ready(io);
}

static void watcher_start(bench_watcher *watcher, int fd)
{
    ev_io_init(watcher, on_ready, fd, EV_READ);
    ev_io_start(loop, watcher);
}

static void watcher_stop(bench_watcher *watcher)
{
    ev_io_stop(loop, watcher);
}

struct connection {
    ev_io io;
    struct echo echo;
};

static void on_connection(struct ev_loop *on, ev_io *io, int events)
{
    struct connection *connection = (struct connection *)io;
    struct echo *echo = &connection->echo;
    enum echo_want want = echo_turn(echo);

    (void)events;
    if (want == echo->want)
        return;
    ev_io_stop(on, io);
    if (want == ECHO_GONE) {
        close(echo->fd);
        echo_ended(echo);
        free(connection);
        return;
    }
    echo->want = want;
    ev_io_modify(io, want == ECHO_READ ? EV_READ : EV_WRITE);
    ev_io_start(on, io);
}

static void on_listener(struct ev_loop *on, ev_io *listener, int events)
{
    int fd = echo_accept(listener->fd);
    struct connection *connection;

    (void)events;
    if (fd < 0)
        return;
    connection = bench_alloc(1, sizeof *connection);
    connection->echo = (struct echo){.fd = fd, .want = ECHO_READ};
    ev_io_init(&connection->io, on_connection, fd, EV_READ);
    ev_io_start(on, &connection->io);
}

static void echo_serve(int listener)
{
    ev_io io;

    ev_io_init(&io, on_listener, listener, EV_READ);
    ev_io_start(loop, &io);
    ev_run(loop, 0);
}
