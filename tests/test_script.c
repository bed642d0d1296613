/* SPDX-License-Identifier: MIT
 *
 * The fakes that the library offers for tests: virtual time, and descriptors that follow a script.
 */
#include "support.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static jg_loop *script_loop(void)
{
    return test_loop_with((jg_loop_options){.backend = "script"});
}

/* When which events came, by the loop's clock. */
struct log {
    jg_loop *loop;
    jg_watcher watcher;
    int count;
    struct {
        jg_time time;
        int events;
    } entries[8];
    int stop_after; /* so many entries; 0: never */
};

static void log_event(void *arg, int events)
{
    struct log *log = arg;

    assert_true(log->count < 8);
    log->entries[log->count].time = jg_loop_time(log->loop);
    log->entries[log->count].events = events;
    if (++log->count == log->stop_after) {
        jg_watcher_stop(&log->watcher);
    }
}

static void log_start(struct log *log, jg_loop *loop, int fd, unsigned events, int stop_after)
{
    memset(log, 0, sizeof(*log));
    log->loop = loop;
    log->stop_after = stop_after;
    jg_watcher_init(&log->watcher, log_event, log);
    assert_int_equal(jg_watcher_start(loop, &log->watcher, fd, events), 0);
}

static void virtual_time_starts_at_0_and_moves_only_when_told(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);

    (void)state;
    assert_int_equal(jg_loop_now(loop), 0);
    assert_int_equal(jg_loop_time(loop), 0);
    usleep(2000);
    assert_int_equal(jg_loop_now(loop), 0);
    assert_int_equal(jg_test_advance(loop, 5), 0);
    assert_int_equal(jg_loop_now(loop), 5);
    assert_int_equal(jg_test_advance(loop, 0), 0);
    assert_int_equal(jg_test_advance(loop, -1), -EINVAL);
    assert_int_equal(jg_loop_now(loop), 5);
    assert_int_equal(jg_test_advance(loop, JG_FOREVER), 0); /* saturates */
    assert_int_equal(jg_loop_now(loop), JG_FOREVER);
    test_loop_done(loop);
}

static void real_time_cannot_be_advanced(void **state)
{
    jg_loop *loop = test_loop(0);

    (void)state;
    assert_int_equal(jg_test_advance(loop, 5), -EINVAL);
    test_loop_done(loop);
}

static void advancing_runs_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, 5);
    assert_int_equal(jg_test_advance(loop, 10), 0);
    assert_int_equal(count, 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_now(loop), 10);
    test_loop_done(loop);
}

static void a_day_of_virtual_timers_takes_no_time(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_time begin = test_clock();
    int count = 0;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    assert_int_equal(jg_call_every(loop, &timer, 60 * JG_SECOND), 0);
    while (jg_loop_now(loop) < 86400 * JG_SECOND) {
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    }
    assert_int_equal(count, 1440);
    assert_true(test_clock() - begin < 30 * JG_SECOND);
    jg_timer_stop(&timer);
    test_loop_done(loop);
}

static void a_turn_does_not_jump_beyond_its_timeout(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, 10 * JG_SECOND);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_now(loop), 0);
    assert_int_equal(jg_loop_run_once(loop, 4 * JG_SECOND), 1);
    assert_int_equal(jg_loop_now(loop), 4 * JG_SECOND);
    assert_int_equal(count, 0);
    assert_int_equal(jg_loop_run_once(loop, 100 * JG_SECOND), 0);
    assert_int_equal(jg_loop_now(loop), 10 * JG_SECOND);
    assert_int_equal(count, 1);
    test_loop_done(loop);
}

static void a_real_descriptor_that_is_ready_comes_before_time_jumps(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int fds[2], count = 0;
    struct log log;
    jg_timer timer;

    (void)state;
    test_socketpair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    log_start(&log, loop, fds[0], JG_READ, 1);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, 3600 * JG_SECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.entries[0].time, 0);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_now(loop), 3600 * JG_SECOND);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(loop);
}

static void *write_later(void *arg)
{
    usleep(3000);
    test_check(write(*(int *)arg, "x", 1) == 1);
    return NULL;
}

static void
without_timers_virtual_time_stands_still_while_real_descriptors_are_awaited(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    pthread_t thread;
    struct log log;
    int fds[2];

    (void)state;
    test_socketpair(fds);
    log_start(&log, loop, fds[0], JG_READ, 1);
    assert_int_equal(pthread_create(&thread, NULL, write_later, &fds[1]), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(jg_loop_now(loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(loop);
}

static void scripted_events_come_at_their_times_each_once(void **state)
{
    jg_loop *loop = script_loop();
    struct log log;

    (void)state;
    assert_string_equal(jg_loop_backend(loop), "script");
    log_start(&log, loop, 1000, JG_READ | JG_WRITE | JG_HANGUP, 3);
    assert_int_equal(jg_test_script(loop, 30, 1000, JG_READ | JG_HANGUP), 0);
    assert_int_equal(jg_test_script(loop, 10 * JG_SECOND, 1000, JG_WRITE), 0);
    assert_int_equal(jg_test_script(loop, 20, 1000, JG_READ), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.entries[0].time, 20);
    assert_int_equal(log.entries[0].events, JG_READ);
    assert_int_equal(log.entries[1].time, 30);
    assert_int_equal(log.entries[1].events, JG_READ | JG_HANGUP);
    assert_int_equal(log.entries[2].time, 10 * JG_SECOND);
    assert_int_equal(log.entries[2].events, JG_WRITE);
    test_loop_done(loop);
}

static void scripted_events_and_timers_share_one_time(void **state)
{
    jg_loop *loop = script_loop();
    struct test_trace trace = {""};
    struct test_mark marks[3] = {{&trace, 'a'}, {&trace, 'b'}, {&trace, 'c'}};
    jg_timer timers[3];
    struct log log;
    int i;

    (void)state;
    log_start(&log, loop, 7, JG_READ, 2);
    for (i = 0; i < 3; i++) {
        jg_timer_init(&timers[i], test_mark_call, &marks[i]);
        jg_call_later(loop, &timers[i], 100 * (i + 1));
    }
    assert_int_equal(jg_test_script(loop, 150, 7, JG_READ), 0);
    assert_int_equal(jg_test_script(loop, 200, 7, JG_READ), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "a");
    assert_int_equal(log.count, 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "a");
    assert_int_equal(log.count, 1);
    assert_int_equal(jg_loop_now(loop), 150);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "ab");
    assert_int_equal(log.count, 2);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "abc");
    test_loop_done(loop);
}

static void announcements_for_equal_times_come_in_their_order(void **state)
{
    jg_loop *loop = script_loop();
    struct log log;

    (void)state;
    log_start(&log, loop, 7, JG_READ | JG_WRITE, 3);
    assert_int_equal(jg_test_script(loop, 50, 7, JG_READ), 0);
    assert_int_equal(jg_test_script(loop, 50, 7, JG_WRITE), 0);
    assert_int_equal(jg_test_script(loop, 50, 7, JG_READ), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.entries[0].events, JG_READ);
    assert_int_equal(log.entries[1].events, JG_WRITE);
    assert_int_equal(log.entries[2].events, JG_READ);
    assert_int_equal(log.entries[2].time, 50);
    test_loop_done(loop);
}

static void want_it_now(void *arg)
{
    struct log *log = arg;

    assert_int_equal(jg_watcher_modify(&log->watcher, JG_WRITE), 0);
}

static void an_announced_event_waits_until_a_watcher_wants_it(void **state)
{
    jg_loop *loop = script_loop();
    struct log log;
    jg_timer timer;

    (void)state;
    assert_int_equal(jg_test_script(loop, 10, 7, JG_WRITE), 0);
    log_start(&log, loop, 7, JG_READ, 1);
    jg_timer_init(&timer, want_it_now, &log);
    jg_call_later(loop, &timer, JG_SECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.entries[0].time, JG_SECOND);
    assert_int_equal(log.entries[0].events, JG_WRITE);
    test_loop_done(loop);
}

static void an_announced_error_fails_the_watchers_of_its_descriptor(void **state)
{
    jg_loop *loop = script_loop();
    struct log one, two, other;

    (void)state;
    log_start(&one, loop, 7, JG_READ, 0);
    log_start(&two, loop, 7, JG_WRITE, 0);
    log_start(&other, loop, 8, JG_READ, 1);
    assert_int_equal(jg_test_script(loop, 10, 7, -EBADF), 0);
    assert_int_equal(jg_test_script(loop, 20, 8, JG_READ), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.entries[0].events, -EBADF);
    assert_false(jg_handle_started(&one.watcher.handle));
    assert_int_equal(two.count, 1);
    assert_int_equal(two.entries[0].events, -EBADF);
    assert_int_equal(other.count, 1);
    assert_int_equal(other.entries[0].events, JG_READ);
    test_loop_done(loop);
}

static void scripts_of_other_backends_and_bad_lines_are_refused(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME), *script = script_loop();

    (void)state;
    assert_int_equal(jg_test_script(loop, 10, 7, JG_READ), -EINVAL);
    assert_int_equal(jg_test_script(script, 10, -1, JG_READ), -EINVAL);
    assert_int_equal(jg_test_script(script, 10, 7, 0), -EINVAL);
    assert_int_equal(jg_test_script(script, 10, 7, 1 << 10), -EINVAL);
    test_loop_done(loop);
    test_loop_done(script);
}

static void *send_later(void *arg)
{
    usleep(3000);
    jg_wake_send(arg);
    return NULL;
}

static void wakes_reach_a_script_loop_from_the_real_world(void **state)
{
    jg_loop *loop = script_loop();
    pthread_t thread;
    jg_wake wake;
    int count = 0;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    assert_int_equal(pthread_create(&thread, NULL, send_later, &wake), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_now(loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void announcing_without_memory_changes_nothing(void **state)
{
    jg_loop *loop = script_loop();
    struct test_memory *memory = test_loop_memory(loop);
    struct log log;

    (void)state;
    log_start(&log, loop, 7, JG_READ, 1);
    memory->fail_at = memory->calls + 1;
    assert_int_equal(jg_test_script(loop, 10, 7, JG_READ), -ENOMEM);
    memory->fail_at = 0;
    assert_int_equal(jg_test_script(loop, 20, 7, JG_READ), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.entries[0].time, 20);
    test_loop_done(loop);
}

static void many_announcements_keep_their_order(void **state)
{
    jg_loop *loop = script_loop();
    struct log log;
    int i;

    (void)state;
    for (i = 0; i < 500; i++) {
        assert_int_equal(jg_test_script(loop, (i * 37 % 500) * JG_SECOND, 9, JG_READ), 0);
    }
    for (i = 0; i < 500; i++) {
        log_start(&log, loop, 9, JG_READ, 1);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(log.entries[0].time, i * JG_SECOND);
    }
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(virtual_time_starts_at_0_and_moves_only_when_told),
        cmocka_unit_test(real_time_cannot_be_advanced),
        cmocka_unit_test(advancing_runs_nothing),
        cmocka_unit_test(a_day_of_virtual_timers_takes_no_time),
        cmocka_unit_test(a_turn_does_not_jump_beyond_its_timeout),
        cmocka_unit_test(a_real_descriptor_that_is_ready_comes_before_time_jumps),
        cmocka_unit_test(
            without_timers_virtual_time_stands_still_while_real_descriptors_are_awaited),
        cmocka_unit_test(scripted_events_come_at_their_times_each_once),
        cmocka_unit_test(scripted_events_and_timers_share_one_time),
        cmocka_unit_test(announcements_for_equal_times_come_in_their_order),
        cmocka_unit_test(an_announced_event_waits_until_a_watcher_wants_it),
        cmocka_unit_test(an_announced_error_fails_the_watchers_of_its_descriptor),
        cmocka_unit_test(scripts_of_other_backends_and_bad_lines_are_refused),
        cmocka_unit_test(wakes_reach_a_script_loop_from_the_real_world),
        cmocka_unit_test(announcing_without_memory_changes_nothing),
        cmocka_unit_test(many_announcements_keep_their_order),
    };

    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
