/* SPDX-License-Identifier: MIT
 *
 * What must not wake the loop, and what a fork in the middle of a turn must leave alone.
 */
#include "support.h"

#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

static void count_event(void *arg, int events)
{
    (void)events;
    ++*(int *)arg;
}

static void a_file_watched_for_hang_ups_alone_lets_the_loop_sleep(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_watcher watcher;
    int calls = 0;

    (void)state;
    jg_watcher_init(&watcher, count_event, &calls);
    assert_int_equal(jg_watcher_start(loop, &watcher, open("/dev/null", O_RDONLY), JG_HANGUP), 0);
    assert_true(jg_loop_prepare(loop) == JG_FOREVER);
    assert_int_equal(jg_loop_run_once(loop, JG_SECOND), 1);
    assert_true(jg_loop_now(loop) == JG_SECOND);
    assert_int_equal(calls, 0);
    assert_int_equal(jg_watcher_close(&watcher), 0);
    test_loop_done(loop);
}

static void a_lost_watcher_that_is_stopped_does_not_end_the_wait(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_watcher closed, lost;
    jg_timer timer;
    int fds[2], calls = 0, ticks = 0;

    (void)state;
    test_socketpair(fds);
    jg_watcher_init(&closed, count_event, &calls);
    jg_watcher_init(&lost, count_event, &calls);
    jg_timer_init(&timer, test_count_call, &ticks);
    jg_call_later(loop, &timer, 10 * JG_SECOND);
    assert_int_equal(jg_watcher_start(loop, &closed, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(loop, &lost, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_close(&closed), 0);
    jg_watcher_stop(&lost);
    assert_int_equal(jg_loop_run_once(loop, JG_SECOND), 1);
    assert_true(jg_loop_now(loop) == JG_SECOND);
    assert_int_equal(calls + ticks, 0);
    jg_timer_stop(&timer);
    close(fds[1]);
    test_loop_done(loop);
}

/* Forks in a callback; the child has more of the turn to do, the parent watches something new. */
struct fork_in_turn {
    jg_loop *loop;
    jg_watcher forking, paused, late;
    int first[2], second[2], go[2];
    int calls;
    pid_t pid;
};

static void fork_in_callback(void *arg, int events)
{
    struct fork_in_turn *fork_in_turn = arg;
    char byte;

    (void)events;
    test_check(read(fork_in_turn->first[0], &byte, 1) == 1);
    fork_in_turn->pid = fork();
    test_check(fork_in_turn->pid >= 0);
    if (fork_in_turn->pid == 0) {
        /* Goes on with the turn when the parent has started its new watcher. */
        test_check(read(fork_in_turn->go[0], &byte, 1) == 1);
        return;
    }
    jg_watcher_init(&fork_in_turn->late, count_event, &fork_in_turn->calls);
    assert_int_equal(
        jg_watcher_start(fork_in_turn->loop, &fork_in_turn->late, fork_in_turn->second[0], JG_READ),
        0);
    test_check(write(fork_in_turn->go[1], "x", 1) == 1);
    while (waitpid(fork_in_turn->pid, NULL, 0) < 0) {
        test_check(errno == EINTR);
    }
}

static void a_child_that_finishes_the_turn_takes_no_descriptor_from_the_parent(void **state)
{
    struct fork_in_turn f = {.loop = test_loop(0)};
    int r;

    (void)state;
    test_socketpair(f.first);
    test_socketpair(f.second);
    assert_int_equal(pipe(f.go), 0);
    jg_watcher_init(&f.forking, fork_in_callback, &f);
    jg_watcher_init(&f.paused, count_event, &f.calls);
    assert_int_equal(jg_watcher_start(f.loop, &f.forking, f.first[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(f.loop, &f.paused, f.second[0], 0), 0);
    r = jg_loop_run_once(f.loop, 0);
    assert_int_equal(r, 1);
    test_check(write(f.first[1], "x", 1) == 1);
    close(f.second[1]); /* the paused one hangs up */
    r = jg_loop_run_once(f.loop, 0);
    if (f.pid == 0) {
        _exit(0);
    }
    assert_int_equal(r, 1);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(jg_loop_run_once(f.loop, JG_SECOND), 1);
        assert_int_equal(f.calls, i);
    }
    jg_watcher_stop(&f.paused);
    assert_int_equal(jg_watcher_close(&f.late), 0);
    assert_int_equal(jg_watcher_close(&f.forking), 0);
    close(f.first[1]);
    close(f.go[0]);
    close(f.go[1]);
    test_loop_done(f.loop);
}

/* The backend of a loop, with its waits counted. */
static const jg__poller_ops *counted;
static jg__poller_ops counting;
static int waits;

static int count_wait(jg__poller *poller, jg__event *events, int max, jg_time timeout)
{
    waits++;
    return counted->wait(poller, events, max, timeout);
}

static void count_waits(jg_loop *loop)
{
    counted = loop->poller->ops;
    counting = *counted;
    counting.wait = count_wait;
    loop->poller->ops = &counting;
    waits = 0;
}

static int waits_of_a_turn(jg_loop *loop)
{
    jg_call call;
    int before = waits, calls = 0;

    jg_call_init(&call, test_count_call, &calls);
    jg_call_soon(loop, &call);
    assert_true(jg_loop_run_once(loop, JG_FOREVER) >= 0);
    assert_int_equal(calls, 1);
    return waits - before;
}

static void a_busy_turn_asks_the_kernel_while_a_descriptor_is_watched(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_watcher watcher;
    int fds[2], calls = 0;

    (void)state;
    test_socketpair(fds);
    count_waits(loop);
    assert_int_equal(waits_of_a_turn(loop), 0);
    jg_watcher_init(&watcher, count_event, &calls);
    assert_int_equal(jg_watcher_start(loop, &watcher, fds[0], JG_READ), 0);
    assert_int_equal(waits_of_a_turn(loop), 1);
    test_check(write(fds[1], "x", 1) == 1);
    assert_int_equal(waits_of_a_turn(loop), 1);
    assert_int_equal(calls, 1);
    jg_watcher_stop(&watcher);
    assert_int_equal(waits_of_a_turn(loop), 0);
    assert_int_equal(jg_watcher_start(loop, &watcher, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_close(&watcher), 0);
    assert_int_equal(waits_of_a_turn(loop), 0);
    close(fds[1]);
    test_loop_done(loop);
}

static void a_loop_that_another_one_watches_takes_its_wake_ups(void **state)
{
    jg_loop *loop = test_loop(0);
    struct pollfd polled = {.fd = jg_loop_fd(loop), .events = POLLIN};
    jg_wake wake;
    int calls = 0;

    (void)state;
    jg_wake_init(&wake, test_count_call, &calls);
    jg_wake_start(loop, &wake);
    if (polled.fd >= 0) {
        assert_true(jg_loop_prepare(loop) == JG_FOREVER);
        jg_wake_send(&wake);
        assert_int_equal(poll(&polled, 1, 0), 1);
        assert_int_equal(jg_loop_run_once(loop, 0), 1);
        assert_int_equal(calls, 1);
        assert_int_equal(poll(&polled, 1, 0), 0);
    }
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_watched_for_hang_ups_alone_lets_the_loop_sleep),
        cmocka_unit_test(a_lost_watcher_that_is_stopped_does_not_end_the_wait),
        cmocka_unit_test(a_busy_turn_asks_the_kernel_while_a_descriptor_is_watched),
        cmocka_unit_test(a_loop_that_another_one_watches_takes_its_wake_ups),
        cmocka_unit_test(a_child_that_finishes_the_turn_takes_no_descriptor_from_the_parent),
    };

    return cmocka_run_group_tests_name("quiet", tests, NULL, NULL);
}
