/* SPDX-License-Identifier: MIT
 *
 * The loop inside another: a foreign poll() in charge, one turn at a time, loops within loops.
 */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The backends without a descriptor cannot be embedded; false there. */
static bool embeddable(jg_loop *loop)
{
    if (jg_loop_fd(loop) >= 0) {
        return true;
    }
    assert_int_equal(jg_loop_fd(loop), -ENOTSUP);
    return false;
}

/* Whether a foreign loop would be woken within `milliseconds`. */
static bool readable(jg_loop *loop, int milliseconds)
{
    struct pollfd polled = {.fd = jg_loop_fd(loop), .events = POLLIN};
    int n;

    do {
        n = poll(&polled, 1, milliseconds);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static void prepare_tells_how_long_to_sleep(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_timer timer;
    jg_call call;

    (void)state;
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, 1234567891);
    assert_int_equal(jg_loop_prepare(loop), 1234567891);
    assert_int_equal(jg_test_advance(loop, 1234567890), 0);
    assert_int_equal(jg_loop_prepare(loop), 1);
    assert_int_equal(jg_test_advance(loop, 1), 0);
    assert_int_equal(jg_loop_prepare(loop), 0);
    assert_int_equal(jg_test_advance(loop, JG_SECOND), 0);
    assert_int_equal(jg_loop_prepare(loop), 0); /* overdue is not negative */
    jg_call_later(loop, &timer, 3 * JG_SECOND);
    assert_true(jg_loop_prepare(loop) <= 3 * JG_SECOND); /* the old time may still wake it, once */
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_prepare(loop), 3 * JG_SECOND);
    jg_call_init(&call, test_count_call, &count);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_prepare(loop), 0);
    jg_call_cancel(&call);
    jg_timer_stop(&timer);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    jg_loop_stop(loop);
    assert_int_equal(jg_loop_prepare(loop), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(count, 0);
    test_loop_done(loop);
}

static void what_was_sent_before_prepare_lets_nobody_sleep(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_signal signal;
    jg_wake wake;
    int count = 0;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_wake_send(&wake);
    assert_int_equal(jg_loop_prepare(loop), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 1);
    jg_signal_init(&signal, test_count_event, &count);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(jg_loop_prepare(loop), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 2);
    jg_wake_stop(&wake);
    jg_signal_stop(&signal);
    test_loop_done(loop);
}

static void *send_wake(void *arg)
{
    usleep(2000);
    jg_wake_send(arg);
    return NULL;
}

static void the_descriptor_becomes_readable_for_watchers_wakes_and_signals(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_watcher watcher;
    jg_signal signal;
    pthread_t thread;
    jg_wake wake;
    int count = 0, fds[2];
    char byte;

    (void)state;
    if (!embeddable(loop)) {
        test_loop_done(loop);
        skip();
    }
    test_socketpair(fds);
    jg_watcher_init(&watcher, test_count_event, &count);
    jg_wake_init(&wake, test_count_call, &count);
    jg_signal_init(&signal, test_count_event, &count);
    assert_int_equal(jg_watcher_start(loop, &watcher, fds[0], JG_READ), 0);
    jg_wake_start(loop, &wake);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);

    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_true(readable(loop, 10000));
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);

    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));
    assert_int_equal(pthread_create(&thread, NULL, send_wake, &wake), 0);
    assert_true(readable(loop, 10000));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 2);

    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));
    assert_int_equal(raise(SIGUSR1), 0);
    assert_true(readable(loop, 10000));
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 3);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));

    jg_watcher_stop(&watcher);
    jg_wake_stop(&wake);
    jg_signal_stop(&signal);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(loop);
}

static void changed_interests_count_from_the_next_prepare(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_watcher watcher;
    int count = 0, fds[2];

    (void)state;
    if (!embeddable(loop)) {
        test_loop_done(loop);
        skip();
    }
    test_socketpair(fds);
    jg_watcher_init(&watcher, test_count_event, &count);
    assert_int_equal(jg_watcher_start(loop, &watcher, fds[0], JG_READ), 0);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));
    assert_int_equal(jg_watcher_modify(&watcher, JG_WRITE), 0);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_true(readable(loop, 10000));
    assert_int_equal(jg_watcher_modify(&watcher, 0), 0);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    assert_false(readable(loop, 0));
    jg_watcher_stop(&watcher);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(loop);
}

struct ping {
    jg_loop *loop;
    jg_watcher watchers[2];
    jg_timer timer;
    int fds[2];
    int passed, ticks;
};

static void ping_pass(struct ping *ping, int from)
{
    char byte;

    assert_int_equal(read(ping->fds[from], &byte, 1), 1);
    if (++ping->passed < 100) {
        assert_int_equal(write(ping->fds[from], &byte, 1), 1);
    }
}

static void ping_first(void *arg, int events)
{
    assert_int_equal(events, JG_READ);
    ping_pass(arg, 0);
}

static void ping_second(void *arg, int events)
{
    assert_int_equal(events, JG_READ);
    ping_pass(arg, 1);
}

static void ping_tick(void *arg)
{
    struct ping *ping = arg;

    if (++ping->ticks == 5) {
        jg_timer_stop(&ping->timer);
    }
}

static void ping_init(struct ping *ping, jg_loop *loop)
{
    memset(ping, 0, sizeof(*ping));
    ping->loop = loop;
    test_socketpair(ping->fds);
    jg_watcher_init(&ping->watchers[0], ping_first, ping);
    jg_watcher_init(&ping->watchers[1], ping_second, ping);
    jg_timer_init(&ping->timer, ping_tick, ping);
    assert_int_equal(jg_watcher_start(loop, &ping->watchers[0], ping->fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(loop, &ping->watchers[1], ping->fds[1], JG_READ), 0);
    assert_int_equal(jg_call_every(loop, &ping->timer, JG_MILLISECOND), 0);
    assert_int_equal(write(ping->fds[0], "x", 1), 1);
}

static void ping_done(struct ping *ping)
{
    jg_watcher_stop(&ping->watchers[0]);
    jg_watcher_stop(&ping->watchers[1]);
    close(ping->fds[0]);
    close(ping->fds[1]);
}

static void a_foreign_poll_loop_stays_in_charge(void **state)
{
    jg_time give_up = test_clock() + 30 * JG_SECOND;
    jg_loop *loop = test_loop(0);
    struct ping ping;

    (void)state;
    if (!embeddable(loop)) {
        test_loop_done(loop);
        skip();
    }
    ping_init(&ping, loop);
    while (ping.passed < 100 || ping.ticks < 5) {
        jg_time sleep = jg_loop_prepare(loop);
        int span = sleep == JG_FOREVER ? -1 : (int)((sleep + 999999) / JG_MILLISECOND);
        struct pollfd polled = {.fd = jg_loop_fd(loop), .events = POLLIN};

        assert_true(test_clock() < give_up);
        assert_true(poll(&polled, 1, span) >= 0);
        assert_int_equal(jg_loop_run_once(loop, 0), 1);
    }
    ping_done(&ping);
    test_loop_done(loop);
}

/* What a game does: a turn in each frame, without waiting. */
static void a_frame_loop_that_turns_without_waiting_misses_nothing(void **state)
{
    jg_time give_up = test_clock() + 30 * JG_SECOND;
    jg_loop *loop = test_loop(0);
    struct ping ping;

    (void)state;
    ping_init(&ping, loop);
    while (ping.passed < 100 || ping.ticks < 5) {
        assert_true(test_clock() < give_up);
        assert_int_equal(jg_loop_run_once(loop, 0), 1);
    }
    ping_done(&ping);
    test_loop_done(loop);
}

struct outer {
    jg_loop *inner;
    jg_watcher watcher;
    jg_timer timer;
    struct ping *ping;
};

static void turn_inner(struct outer *outer)
{
    jg_time sleep;

    assert_int_equal(jg_loop_run_once(outer->inner, 0), 1);
    if (outer->ping->passed == 100 && outer->ping->ticks == 5) {
        jg_watcher_stop(&outer->watcher);
        jg_timer_stop(&outer->timer);
        return;
    }
    sleep = jg_loop_prepare(outer->inner);
    jg_call_later(outer->watcher.handle.loop, &outer->timer, sleep);
}

static void inner_ready(void *arg, int events)
{
    assert_int_equal(events, JG_READ);
    turn_inner(arg);
}

static void inner_due(void *arg)
{
    turn_inner(arg);
}

static void a_loop_inside_a_loop_works_by_its_descriptor_and_timeout(void **state)
{
    jg_loop *loop = test_loop(0), *inner = test_loop(0);
    struct outer outer = {.inner = inner};
    struct ping ping;

    (void)state;
    if (!embeddable(inner)) {
        test_loop_done(loop);
        test_loop_done(inner);
        skip();
    }
    ping_init(&ping, inner);
    outer.ping = &ping;
    jg_watcher_init(&outer.watcher, inner_ready, &outer);
    jg_timer_init(&outer.timer, inner_due, &outer);
    assert_int_equal(jg_watcher_start(loop, &outer.watcher, jg_loop_fd(inner), JG_READ), 0);
    jg_call_later(loop, &outer.timer, jg_loop_prepare(inner));
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(ping.passed, 100);
    assert_int_equal(ping.ticks, 5);
    ping_done(&ping);
    test_loop_done(loop);
    test_loop_done(inner);
}

static void the_descriptor_keeps_its_number_and_other_backends_have_none(void **state)
{
    jg_loop *loop = test_loop(0), *without;
    int fd = jg_loop_fd(loop), count = 0;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, 1);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_loop_fd(loop), fd);
    test_loop_done(loop);
    without = test_loop_with((jg_loop_options){.backend = "poll"});
    assert_int_equal(jg_loop_fd(without), -ENOTSUP);
    test_loop_done(without);
    without = test_loop_with((jg_loop_options){.backend = "script"});
    assert_int_equal(jg_loop_fd(without), -ENOTSUP);
    test_loop_done(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_tells_how_long_to_sleep),
        cmocka_unit_test(what_was_sent_before_prepare_lets_nobody_sleep),
        cmocka_unit_test(the_descriptor_becomes_readable_for_watchers_wakes_and_signals),
        cmocka_unit_test(changed_interests_count_from_the_next_prepare),
        cmocka_unit_test(a_foreign_poll_loop_stays_in_charge),
        cmocka_unit_test(a_frame_loop_that_turns_without_waiting_misses_nothing),
        cmocka_unit_test(a_loop_inside_a_loop_works_by_its_descriptor_and_timeout),
        cmocka_unit_test(the_descriptor_keeps_its_number_and_other_backends_have_none),
    };

    return cmocka_run_group_tests_name("embed", tests, NULL, NULL);
}
