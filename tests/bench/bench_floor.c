/* SPDX-License-Identifier: MIT
 *
 * The benchmarks without a library: the least code by hand that does the work, which no library
 * can be expected to beat. Variants of ready: "" is a doubly linked list, from which a call could
 * be cancelled as from those of all the libraries, "single" a singly linked one, and both poll once
 * a turn; "nopoll" is as "", but never polls. Variants of timers: "" is a heap, "wheel" a wheel,
 * and "fresh" a heap with deadlines counted from a fresh reading of the clock.
 */
#include "floor_timers.h"

#include <sys/epoll.h>

struct floor_call {
    struct floor_call *next, *previous;
    void (*fn)(void *arg);
    void *arg;
};

struct floor_watcher {
    void (*fn)(void *arg);
    void *arg;
    int fd;
};

#define BENCH_LIB "floor"
typedef struct floor_call bench_call;
typedef struct floor_timer bench_timer;
typedef int64_t bench_span;
typedef struct floor_watcher bench_watcher;
#include "benches.h"

enum { MAX_EVENTS = 256 };

static int poller;
static int64_t cached_time;
static bool stopped, polls, on_wheel, fresh;
static struct floor_call ready = {&ready, &ready, NULL, NULL};      /* a ring */
static struct floor_call *ready_first, **ready_last = &ready_first; /* a list */
static long timers_set, watchers_set;

static void loop_update_time(void)
{
    cached_time = bench_now();
}

static void loop_open(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    bench_check(poller >= 0, "epoll_create1");
    polls = !is_variant("nopoll");
    on_wheel = is_variant("wheel");
    fresh = is_variant("fresh");
    loop_update_time();
    wheel_open(cached_time);
}

static void loop_close(void)
{
    close(poller);
}

static void poll_watchers(int timeout)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(poller, events, MAX_EVENTS, timeout);

    bench_check(count >= 0, "epoll_wait");
    for (int i = 0; i < count; i++) {
        struct floor_watcher *watcher = events[i].data.ptr;

        watcher->fn(watcher->arg);
    }
}

static void append(struct floor_call *ring, struct floor_call *call)
{
    call->next = ring;
    call->previous = ring->previous;
    ring->previous->next = call;
    ring->previous = call;
}

static void unlink_call(struct floor_call *call)
{
    call->next->previous = call->previous;
    call->previous->next = call->next;
}

static void run_ready(void)
{
    struct floor_call batch = {.next = ready.next, .previous = ready.previous};

    batch.next->previous = batch.previous->next = &batch;
    ready.next = ready.previous = &ready;
    while (batch.next != &batch) {
        struct floor_call *call = batch.next;

        unlink_call(call);
        call->fn(call->arg);
    }
}

static void append_single(struct floor_call *call)
{
    call->next = NULL;
    *ready_last = call;
    ready_last = &call->next;
}

static void run_ready_single(void)
{
    struct floor_call *call = ready_first, *next;

    ready_first = NULL;
    ready_last = &ready_first;
    for (; call != NULL; call = next) {
        next = call->next;
        call->fn(call->arg);
    }
}

static void loop_run(void)
{
    stopped = false;
    while (ready.next != &ready) {
        if (polls)
            poll_watchers(0);
        run_ready();
    }
    while (ready_first != NULL) {
        poll_watchers(0);
        run_ready_single();
    }
    while (timers_set > 0) {
        if (on_wheel)
            wheel_expire(bench_now());
        else
            heap_expire(bench_now());
    }
    while (watchers_set > 0 && !stopped)
        poll_watchers(-1);
}

static void loop_turn(void)
{
    poll_watchers(0);
}

static void loop_stop(void)
{
    stopped = true;
}

static void on_call(void *arg)
{
    if (bench_call_again())
        append(&ready, arg);
}

static void on_single_call(void *arg)
{
    if (bench_call_again())
        append_single(arg);
}

static void call_init(bench_call *call)
{
    call->fn = is_variant("single") ? on_single_call : on_call;
    call->arg = call;
}

static void call_arm(bench_call *call)
{
    if (is_variant("single"))
        append_single(call);
    else
        append(&ready, call);
}

static void on_timer(void *arg)
{
    (void)arg;
    timers_set--;
    bench_timer_fired();
}

static bench_span timer_span(int64_t ns)
{
    return ns;
}

static void timer_init(bench_timer *timer)
{
    timer->fn = on_timer;
    timer->arg = timer;
}

static inline int64_t deadline_in(int64_t span)
{
    if (__builtin_expect(fresh, 0))
        loop_update_time();
    return cached_time + span;
}

static void timer_start(bench_timer *timer, bench_span span)
{
    timers_set++;
    if (on_wheel)
        wheel_set(timer, deadline_in(span));
    else
        heap_set(timer, deadline_in(span));
}

static void timer_restart(bench_timer *timer, bench_span span)
{
    if (on_wheel) {
        wheel_cancel(timer);
        wheel_set(timer, deadline_in(span));
    } else {
        heap_move(timer, deadline_in(span));
    }
}

static void timer_stop(bench_timer *timer)
{
    timers_set--;
    if (on_wheel)
        wheel_cancel(timer);
    else
        heap_cancel(timer);
}

static void watch(struct floor_watcher *watcher, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watcher};

    bench_check(epoll_ctl(poller, operation, watcher->fd, &event) == 0, "epoll_ctl");
}

static void on_ready(void *arg)
{
    bench_watcher_ready(arg);
}

static void watcher_start(bench_watcher *watcher, int fd)
{
    *watcher = (struct floor_watcher){.fn = on_ready, .arg = watcher, .fd = fd};
    watch(watcher, EPOLL_CTL_ADD, EPOLLIN);
    watchers_set++;
}

static void watcher_stop(bench_watcher *watcher)
{
    watch(watcher, EPOLL_CTL_DEL, 0);
    watchers_set--;
}

struct connection {
    struct floor_watcher watcher;
    struct echo echo;
};

static void on_connection(void *arg)
{
    struct connection *connection = arg;
    struct echo *echo = &connection->echo;
    enum echo_want want = echo_turn(echo);

    if (want == echo->want)
        return;
    if (want == ECHO_GONE) {
        close(echo->fd);
        echo_ended(echo);
        free(connection);
        return;
    }
    echo->want = want;
    watch(&connection->watcher, EPOLL_CTL_MOD, want == ECHO_READ ? EPOLLIN : EPOLLOUT);
}

static void on_listener(void *arg)
{
    struct floor_watcher *listener = arg;
    int fd = echo_accept(listener->fd);
    struct connection *connection;

    if (fd < 0)
        return;
    connection = bench_alloc(1, sizeof *connection);
    connection->echo = (struct echo){.fd = fd, .want = ECHO_READ};
    connection->watcher = (struct floor_watcher){.fn = on_connection, .arg = connection, .fd = fd};
    watch(&connection->watcher, EPOLL_CTL_ADD, EPOLLIN);
}

static void echo_serve(int listener)
{
    struct floor_watcher watcher = {.fn = on_listener, .arg = &watcher, .fd = listener};

    watch(&watcher, EPOLL_CTL_ADD, EPOLLIN);
    for (;;)
        poll_watchers(-1);
}
