/* SPDX-License-Identifier: MIT
 *
 * Timers: when they fire, in which order, and what callbacks may do to them. Nearly all on virtual
 * time.
 */
#include "support.h"

#include "core/loop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const jg_time YEAR = 365 * 86400 * JG_SECOND;

/* A timer that notes when it fired, by the loop's clock. */
struct probe {
    jg_loop *loop;
    jg_timer timer;
    int fired;
    jg_time times[16];
};

static void probe_run(void *arg)
{
    struct probe *probe = arg;

    if (probe->fired < 16) {
        probe->times[probe->fired] = jg_loop_time(probe->loop);
    }
    probe->fired++;
}

static void probe_init(struct probe *probe, jg_loop *loop)
{
    memset(probe, 0, sizeof(*probe));
    probe->loop = loop;
    jg_timer_init(&probe->timer, probe_run, probe);
}

static void a_timer_fires_at_its_deadline_and_once(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    jg_call_later(loop, &probe.timer, 3600 * JG_SECOND + 1);
    assert_true(jg_handle_started(&probe.timer.handle));
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], 3600 * JG_SECOND + 1);
    assert_false(jg_handle_started(&probe.timer.handle));
    test_loop_done(loop);
}

static void a_timer_never_fires_inside_the_call_that_sets_it(void **state)
{
    const jg_time delays[] = {0, -1, INT64_MIN, 1, JG_FOREVER};
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    size_t i;

    (void)state;
    probe_init(&probe, loop);
    for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        jg_call_later(loop, &probe.timer, delays[i]);
        assert_int_equal(probe.fired, 0);
        jg_call_at(loop, &probe.timer, delays[i]);
        assert_int_equal(probe.fired, 0);
    }
    jg_timer_stop(&probe.timer);
    test_loop_done(loop);
}

static void a_timer_of_the_past_fires_in_the_next_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_test_advance(loop, JG_SECOND), 0);
    jg_call_at(loop, &probe.timer, 5);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(probe.fired, 1);
    jg_call_later(loop, &probe.timer, INT64_MIN);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(probe.fired, 2);
    jg_call_at(loop, &probe.timer, INT64_MIN);
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    assert_int_equal(probe.fired, 3);
    assert_int_equal(jg_loop_now(loop), JG_SECOND);
    test_loop_done(loop);
}

/* Timers that leave letters, set by call_at in the order of the letters. */
struct letters {
    jg_loop *loop;
    struct test_trace trace;
    struct test_mark marks[8];
    jg_timer timers[8];
};

static void letters_init(struct letters *letters)
{
    int i;

    memset(letters, 0, sizeof(*letters));
    letters->loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    for (i = 0; i < 8; i++) {
        letters->marks[i] = (struct test_mark){&letters->trace, (char)('a' + i)};
        jg_timer_init(&letters->timers[i], test_mark_call, &letters->marks[i]);
    }
}

static void letters_expect(struct letters *letters, const char *expected)
{
    assert_int_equal(jg_loop_run(letters->loop), 0);
    assert_string_equal(letters->trace.letters, expected);
    test_loop_done(letters->loop);
}

/* asyncio: test_call_later_negative_delays. */
static void the_most_overdue_timer_fires_first(void **state)
{
    struct letters l;

    (void)state;
    letters_init(&l);
    jg_call_later(l.loop, &l.timers[0], -1);
    jg_call_later(l.loop, &l.timers[1], -2);
    jg_call_later(l.loop, &l.timers[2], 0);
    letters_expect(&l, "bac");
}

static void timers_overdue_by_a_stall_fire_in_one_turn_by_deadline(void **state)
{
    struct letters l;

    (void)state;
    letters_init(&l);
    jg_call_later(l.loop, &l.timers[0], 30);
    jg_call_later(l.loop, &l.timers[1], 10 * JG_SECOND);
    jg_call_later(l.loop, &l.timers[2], 10);
    jg_call_later(l.loop, &l.timers[3], 3 * YEAR);
    jg_call_later(l.loop, &l.timers[4], 40 * JG_MILLISECOND);
    assert_int_equal(jg_test_advance(l.loop, 2 * YEAR), 0);
    assert_int_equal(jg_loop_run_once(l.loop, 0), 1);
    assert_string_equal(l.trace.letters, "caeb");
    letters_expect(&l, "caebd");
}

static void equal_deadlines_fire_in_the_order_they_were_set(void **state)
{
    struct letters l;
    int i;

    (void)state;
    letters_init(&l);
    for (i = 0; i < 8; i++) {
        jg_call_at(l.loop, &l.timers[i], 5 * JG_SECOND);
    }
    letters_expect(&l, "abcdefgh");
}

static void setting_a_timer_again_to_the_same_deadline_puts_it_last(void **state)
{
    struct letters l;
    int i;

    (void)state;
    letters_init(&l);
    for (i = 0; i < 5; i++) {
        jg_call_at(l.loop, &l.timers[i], 5 * JG_SECOND);
    }
    jg_call_at(l.loop, &l.timers[1], 5 * JG_SECOND);
    letters_expect(&l, "acdeb");
}

static void an_extended_timer_takes_its_place_among_equals_by_when_it_was_extended(void **state)
{
    struct letters l;

    (void)state;
    letters_init(&l);
    jg_call_at(l.loop, &l.timers[0], 10);
    jg_call_at(l.loop, &l.timers[1], 10);
    jg_call_at(l.loop, &l.timers[2], 1000000);
    jg_call_at(l.loop, &l.timers[0], 1000000);
    jg_call_at(l.loop, &l.timers[3], 1000000);
    jg_call_at(l.loop, &l.timers[1], 1000000);
    letters_expect(&l, "cadb");
}

static void equal_deadlines_set_at_different_times_keep_their_order(void **state)
{
    struct letters l;
    jg_time deadline = 7 * YEAR + 12345;
    int i;

    (void)state;
    letters_init(&l);
    /* Each is set from nearer: whatever buckets there are, they differ. */
    for (i = 0; i < 8; i++) {
        jg_call_at(l.loop, &l.timers[i], deadline);
        assert_int_equal(jg_test_advance(l.loop, (deadline - jg_loop_now(l.loop)) / 1000 * 999), 0);
        assert_int_equal(jg_loop_run_once(l.loop, 0), 1);
    }
    letters_expect(&l, "abcdefgh");
}

/* Timers that must fire in the order of the array, but for those that were stopped. */
struct row {
    struct row_timer {
        struct row *row;
        jg_timer timer;
    } * timers;
    int next, fired;
};

static void row_run(void *arg)
{
    struct row_timer *timer = arg;
    struct row *row = timer->row;
    int index = (int)(timer - row->timers);

    assert_true(index >= row->next);
    row->next = index + 1;
    row->fired++;
}

static void thousands_of_equal_deadlines_fire_in_the_order_they_were_set(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int total = 10000, i;
    struct row row = {.timers = calloc((size_t)total, sizeof(*row.timers))};

    (void)state;
    assert_non_null(row.timers);
    for (i = 0; i < total; i++) {
        row.timers[i].row = &row;
        jg_timer_init(&row.timers[i].timer, row_run, &row.timers[i]);
        /* Every third comes there by being extended, from another place. */
        if (i % 3 == 0) {
            jg_call_at(loop, &row.timers[i].timer, 1 + i * 7919LL % 999999);
        }
    }
    for (i = 0; i < total; i++) {
        jg_call_at(loop, &row.timers[i].timer, JG_MILLISECOND);
    }
    for (i = 0; i < total; i += 7) {
        jg_timer_stop(&row.timers[i].timer);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(row.fired, total - (total + 6) / 7);
    free(row.timers);
    test_loop_done(loop);
}

/* The number that keeps equal deadlines in order has 32 bits. */
static void the_order_of_equal_deadlines_survives_four_thousand_million_settings(void **state)
{
    struct letters l;
    int i;

    (void)state;
    letters_init(&l);
    l.loop->wheel.sequence = UINT32_MAX - 3;
    for (i = 0; i < 8; i++) {
        jg_call_at(l.loop, &l.timers[i], 5);
    }
    for (i = 0; i < 8; i += 2) {
        jg_call_at(l.loop, &l.timers[i], JG_SECOND);
    }
    letters_expect(&l, "bdfhaceg");
}

static void a_stopped_timer_does_not_fire(void **state)
{
    struct letters l;

    (void)state;
    letters_init(&l);
    jg_call_at(l.loop, &l.timers[0], 10);
    jg_call_at(l.loop, &l.timers[1], 20);
    jg_call_at(l.loop, &l.timers[2], 30);
    jg_timer_stop(&l.timers[1]);
    assert_false(jg_handle_started(&l.timers[1].handle));
    letters_expect(&l, "ac");
}

static void stopping_twice_after_firing_or_never_started_does_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    jg_timer zeroed;

    (void)state;
    memset(&zeroed, 0, sizeof(zeroed));
    jg_timer_stop(&zeroed);
    probe_init(&probe, loop);
    jg_timer_stop(&probe.timer);
    jg_call_later(loop, &probe.timer, 10);
    jg_timer_stop(&probe.timer);
    jg_timer_stop(&probe.timer);
    assert_false(jg_loop_alive(loop));
    jg_call_later(loop, &probe.timer, 10);
    assert_int_equal(jg_loop_run(loop), 0);
    jg_timer_stop(&probe.timer);
    assert_int_equal(probe.fired, 1);
    test_loop_done(loop);
}

static void an_extended_timer_does_not_fire_at_its_old_time(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    jg_call_at(loop, &probe.timer, JG_SECOND);
    jg_call_at(loop, &probe.timer, 3 * JG_SECOND);
    assert_int_equal(jg_test_advance(loop, 2 * JG_SECOND), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(probe.fired, 0);
    /* Nor does the old time end a turn. */
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], 3 * JG_SECOND);
    test_loop_done(loop);
}

static void an_extended_timer_may_be_shortened_again_and_stopped(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    jg_call_at(loop, &probe.timer, 10);
    jg_call_at(loop, &probe.timer, JG_SECOND);
    jg_call_at(loop, &probe.timer, 50); /* later than first said, earlier than then */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], 50);

    jg_call_at(loop, &probe.timer, 100);
    jg_call_at(loop, &probe.timer, JG_SECOND);
    jg_call_at(loop, &probe.timer, 70); /* earlier than first said */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 2);
    assert_int_equal(probe.times[1], 70);

    jg_call_at(loop, &probe.timer, 200);
    jg_call_at(loop, &probe.timer, JG_SECOND);
    jg_timer_stop(&probe.timer);
    assert_int_equal(jg_test_advance(loop, 2 * JG_SECOND), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 2);
    test_loop_done(loop);
}

static void a_timer_set_to_never_does_not_fire(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe never, later;

    (void)state;
    probe_init(&never, loop);
    probe_init(&later, loop);
    jg_call_later(loop, &later.timer, 200 * YEAR);
    jg_call_later(loop, &never.timer, JG_FOREVER);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(later.fired, 1);
    assert_int_equal(jg_loop_now(loop), 200 * YEAR);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(never.fired, 0);
    assert_true(jg_handle_started(&never.timer.handle));
    jg_timer_stop(&never.timer);
    test_loop_done(loop);
}

static void sums_of_time_saturate(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe one, two;

    (void)state;
    assert_int_equal(jg_test_advance(loop, 200 * YEAR), 0);
    probe_init(&one, loop);
    probe_init(&two, loop);
    /* Each of these, wrapped around, would lie in the past. */
    jg_call_later(loop, &one.timer, JG_FOREVER - 1);
    jg_call_later(loop, &two.timer, 200 * YEAR);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_call_every(loop, &two.timer, JG_FOREVER - 1), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(one.fired + two.fired, 0);
    assert_int_equal(jg_loop_prepare(loop), JG_FOREVER);
    jg_timer_stop(&one.timer);
    jg_timer_stop(&two.timer);
    test_loop_done(loop);
}

static void a_repeating_timer_that_reaches_the_end_of_time_stays_there(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 200 * YEAR), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(probe.fired, 1);
    jg_timer_stop(&probe.timer);
    test_loop_done(loop);
}

static void stop_after_four(void *arg)
{
    struct probe *probe = arg;

    probe_run(probe);
    if (probe->fired == 4) {
        jg_timer_stop(&probe->timer);
    }
}

static void a_repeating_timer_fires_on_its_grid_until_stopped(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    int i;

    (void)state;
    assert_int_equal(jg_test_advance(loop, 7), 0);
    probe_init(&probe, loop);
    jg_timer_init(&probe.timer, stop_after_four, &probe);
    assert_int_equal(jg_call_every(loop, &probe.timer, 250), 0);
    assert_int_equal(probe.fired, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 4);
    for (i = 0; i < 4; i++) {
        assert_int_equal(probe.times[i], 7 + 250 * (i + 1));
    }
    test_loop_done(loop);
}

/* A repeating timer whose callback takes long at first. */
struct slow_probe {
    struct probe probe;
    jg_time take[16];
};

static void slow_probe_run(void *arg)
{
    struct slow_probe *slow = arg;

    probe_run(&slow->probe);
    assert_int_equal(jg_test_advance(slow->probe.loop, slow->take[slow->probe.fired - 1]), 0);
    if (slow->probe.fired == 6) {
        jg_timer_stop(&slow->probe.timer);
    }
}

static void a_repeating_timer_does_not_drift_when_callbacks_take_time(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow_probe slow = {.take = {10, 20, 30, 40, 50, 60}};
    int i;

    (void)state;
    probe_init(&slow.probe, loop);
    jg_timer_init(&slow.probe.timer, slow_probe_run, &slow);
    assert_int_equal(jg_call_every(loop, &slow.probe.timer, 100), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    for (i = 0; i < 6; i++) {
        assert_int_equal(slow.probe.times[i], 100 * (i + 1));
    }
    test_loop_done(loop);
}

static void a_repeating_timer_lost_in_a_stall_comes_once_and_then_on_its_grid(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 100), 0);
    assert_int_equal(jg_test_advance(loop, 1000050), 0); /* 10,000 intervals and a half */
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(probe.fired, 3);
    assert_int_equal(probe.times[0], 1000050);
    assert_int_equal(probe.times[1], 1000100);
    assert_int_equal(probe.times[2], 1000200);
    jg_timer_stop(&probe.timer);
    test_loop_done(loop);
}

static void a_repeating_timer_whose_own_callback_stalls_skips_what_it_missed(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct slow_probe slow = {.take = {0, 1030, 0, 0, 0, 0}};
    const jg_time expected[] = {100, 200, 1230, 1300, 1400, 1500};
    int i;

    (void)state;
    probe_init(&slow.probe, loop);
    jg_timer_init(&slow.probe.timer, slow_probe_run, &slow);
    assert_int_equal(jg_call_every(loop, &slow.probe.timer, 100), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    for (i = 0; i < 6; i++) {
        assert_int_equal(slow.probe.times[i], expected[i]);
    }
    test_loop_done(loop);
}

static void a_repeating_timer_of_a_nanosecond_survives_a_stall_of_years(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 1), 0);
    assert_int_equal(jg_test_advance(loop, 250 * YEAR), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(probe.fired, 2);
    assert_int_equal(probe.times[1], 250 * YEAR + 1);
    jg_timer_stop(&probe.timer);
    test_loop_done(loop);
}

static void a_bad_interval_is_refused_and_changes_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 0), -EINVAL);
    assert_int_equal(jg_call_every(loop, &probe.timer, -5), -EINVAL);
    assert_false(jg_handle_started(&probe.timer.handle));
    jg_call_later(loop, &probe.timer, 70);
    assert_int_equal(jg_call_every(loop, &probe.timer, 0), -EINVAL);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], 70);
    test_loop_done(loop);
}

static void a_repeating_timer_becomes_single_by_call_later_and_back_by_call_every(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 100), 0);
    jg_call_later(loop, &probe.timer, 30);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], 30);

    jg_timer_init(&probe.timer, stop_after_four, &probe);
    jg_call_later(loop, &probe.timer, 10);
    assert_int_equal(jg_call_every(loop, &probe.timer, 100), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 4);
    assert_int_equal(probe.times[1], 130);
    assert_int_equal(probe.times[3], 330);
    test_loop_done(loop);
}

static void change_interval(void *arg)
{
    struct probe *probe = arg;

    probe_run(probe);
    if (probe->fired == 2) {
        assert_int_equal(jg_call_every(probe->loop, &probe->timer, 7), 0);
    } else if (probe->fired == 4) {
        jg_call_later(probe->loop, &probe->timer, 1000);
    }
}

static void the_interval_may_change_inside_the_callback(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    const jg_time expected[] = {100, 200, 207, 214, 1214};
    struct probe probe;
    int i;

    (void)state;
    probe_init(&probe, loop);
    jg_timer_init(&probe.timer, change_interval, &probe);
    assert_int_equal(jg_call_every(loop, &probe.timer, 100), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.fired, 5);
    for (i = 0; i < 5; i++) {
        assert_int_equal(probe.times[i], expected[i]);
    }
    test_loop_done(loop);
}

static void look_whether_started(void *arg)
{
    struct probe *probe = arg;

    probe->times[probe->fired++] = jg_handle_started(&probe->timer.handle);
    if (probe->fired == 2) {
        jg_timer_stop(&probe->timer);
    }
}

static void inside_its_callback_a_single_timer_is_stopped_and_a_repeating_one_started(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;

    (void)state;
    probe_init(&probe, loop);
    jg_timer_init(&probe.timer, look_whether_started, &probe);
    jg_call_later(loop, &probe.timer, 1);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.times[0], false);
    assert_int_equal(jg_call_every(loop, &probe.timer, 1), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.times[1], true);
    test_loop_done(loop);
}

struct stall {
    jg_loop *loop;
    struct probe *armed;
};

static void stall_then_arm(void *arg)
{
    struct stall *stall = arg;

    assert_int_equal(jg_test_advance(stall->loop, JG_SECOND), 0);
    jg_call_later(stall->loop, &stall->armed->timer, 10 * JG_MILLISECOND);
}

static void a_timer_armed_after_a_callback_that_took_a_second_gets_its_full_delay(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe;
    struct stall stall = {loop, &probe};
    jg_call call;

    (void)state;
    probe_init(&probe, loop);
    jg_call_init(&call, stall_then_arm, &stall);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(probe.times[0], JG_SECOND + 10 * JG_MILLISECOND);
    test_loop_done(loop);
}

static void a_timer_that_falls_due_while_a_turn_runs_waits_for_the_next(void **state)
{
    struct letters l;
    struct probe armed;
    struct stall stall;
    jg_timer first;

    (void)state;
    letters_init(&l);
    probe_init(&armed, l.loop);
    stall = (struct stall){l.loop, &armed};
    jg_timer_init(&first, stall_then_arm, &stall);
    jg_call_at(l.loop, &first, 10);
    jg_call_at(l.loop, &l.timers[0], 10);
    jg_call_at(l.loop, &l.timers[1], 11);
    assert_int_equal(jg_loop_run_once(l.loop, JG_FOREVER), 1);
    assert_string_equal(l.trace.letters, "a");
    assert_int_equal(jg_loop_run_once(l.loop, JG_FOREVER), 1);
    assert_string_equal(l.trace.letters, "ab");
    letters_expect(&l, "ab");
}

/* A timer that does something to itself or to another one while the turn's timers run. */
struct actor {
    jg_loop *loop;
    jg_timer timer;
    struct test_trace *trace;
    char letter;
    void (*act)(struct actor *self, struct actor *victim);
    struct actor *victim;
};

static void actor_run(void *arg)
{
    struct actor *self = arg;

    test_trace_add(self->trace, self->letter);
    if (self->act) {
        void (*act)(struct actor *, struct actor *) = self->act;

        self->act = NULL;
        act(self, self->victim);
    }
}

enum { ACTORS = 5 };

/* In a turn in which five timers are due let number `by` do `act` to number `to`, for all pairs,
   for single and repeating timers and for equal and different deadlines. The turn's letters must
   lack the victim's if act keeps it from firing. `freed` is whether act frees the victim. */
static void for_all_pairs(void (*act)(struct actor *self, struct actor *victim), bool freed)
{
    int round, i;

    for (round = 0; round < ACTORS * ACTORS * 4; round++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        int by = round % ACTORS, to = round / ACTORS % ACTORS;
        bool repeating = round / ACTORS / ACTORS % 2, equal = round / ACTORS / ACTORS / 2;
        struct test_trace trace = {""}, expected = {""};
        struct actor *actors[ACTORS];

        for (i = 0; i < ACTORS; i++) {
            jg_time delay = equal ? 100 : 100 + i;

            actors[i] = calloc(1, sizeof(*actors[i]));
            assert_non_null(actors[i]);
            *actors[i] = (struct actor){.loop = loop, .trace = &trace, .letter = (char)('a' + i)};
            jg_timer_init(&actors[i]->timer, actor_run, actors[i]);
            if (repeating) {
                assert_int_equal(jg_call_every(loop, &actors[i]->timer, delay), 0);
            } else {
                jg_call_later(loop, &actors[i]->timer, delay);
            }
            if (!(i == to && to > by)) {
                test_trace_add(&expected, (char)('a' + i));
            }
        }
        actors[by]->act = act;
        actors[by]->victim = actors[to];
        assert_int_equal(jg_test_advance(loop, 150), 0);
        (void)jg_loop_run_once(loop, 0); /* whether the loop lives on is not the point */
        assert_string_equal(trace.letters, expected.letters);
        for (i = 0; i < ACTORS; i++) {
            if (!(freed && i == to)) {
                jg_timer_stop(&actors[i]->timer);
                free(actors[i]);
            }
        }
        test_loop_done(loop);
    }
}

static void stop_victim(struct actor *self, struct actor *victim)
{
    (void)self;
    jg_timer_stop(&victim->timer);
    assert_false(jg_handle_started(&victim->timer.handle));
}

static void a_timer_may_stop_itself_and_any_other_that_is_due(void **state)
{
    (void)state;
    for_all_pairs(stop_victim, false);
}

static void free_victim(struct actor *self, struct actor *victim)
{
    (void)self;
    jg_timer_stop(&victim->timer);
    memset(victim, 0xdd, sizeof(*victim));
    free(victim);
}

static void a_timer_may_free_itself_and_any_other_that_is_due(void **state)
{
    (void)state;
    for_all_pairs(free_victim, true);
}

static void set_victim_later(struct actor *self, struct actor *victim)
{
    jg_call_later(self->loop, &victim->timer, 1000);
}

static void a_due_timer_that_another_sets_later_fires_only_then(void **state)
{
    (void)state;
    for_all_pairs(set_victim_later, false);
}

static void set_victim_overdue(struct actor *self, struct actor *victim)
{
    jg_call_later(self->loop, &victim->timer, -JG_SECOND);
}

static void a_due_timer_that_another_sets_anew_fires_in_the_next_turn_even_if_overdue(void **state)
{
    (void)state;
    for_all_pairs(set_victim_overdue, false);
}

static void restart_victim_repeating(struct actor *self, struct actor *victim)
{
    jg_timer_stop(&victim->timer);
    assert_int_equal(jg_call_every(self->loop, &victim->timer, 1), 0);
}

static void a_due_timer_stopped_and_started_again_fires_by_its_new_setting(void **state)
{
    (void)state;
    for_all_pairs(restart_victim_repeating, false);
}

struct zero {
    jg_loop *loop;
    jg_timer timer;
    jg_watcher watcher;
    int fired, limit;
};

static void zero_again(void *arg)
{
    struct zero *zero = arg;

    assert_true(++zero->fired <= zero->limit);
    jg_call_later(zero->loop, &zero->timer, 0);
}

static void zero_ready(void *arg, int events)
{
    struct zero *zero = arg;

    assert_int_equal(events, JG_WRITE);
    jg_watcher_stop(&zero->watcher);
    jg_timer_stop(&zero->timer);
}

static void a_timer_that_sets_itself_to_zero_lets_descriptors_run(void **state)
{
    struct zero zero = {.loop = test_loop(0), .limit = 2};
    int fds[2];

    (void)state;
    test_socketpair(fds);
    jg_timer_init(&zero.timer, zero_again, &zero);
    jg_call_later(zero.loop, &zero.timer, 0);
    jg_watcher_init(&zero.watcher, zero_ready, &zero);
    assert_int_equal(jg_watcher_start(zero.loop, &zero.watcher, fds[0], JG_WRITE), 0);
    assert_int_equal(jg_loop_run(zero.loop), 0);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(zero.loop);
}

struct real {
    jg_loop *loop;
    jg_timer timer;
    jg_time delay, set, set_cpu;
    int left;
};

static void real_arm(struct real *real)
{
    real->set = test_clock();
    jg_call_later(real->loop, &real->timer, real->delay);
}

static void real_run(void *arg)
{
    struct real *real = arg;

    assert_true(test_clock() - real->set >= real->delay);
    if (--real->left > 0) {
        jg_time begin = test_clock();

        /* A callback that takes a while: a timer counted from the turn's time would be early. */
        while (test_clock() - begin < 300 * JG_MICROSECOND) {
        }
        real_arm(real);
    }
}

static void a_timer_is_never_early_on_the_real_clock(void **state)
{
    const jg_time delays[] = {1, 999, 50 * JG_MICROSECOND, 999999, JG_MILLISECOND, 1000001};
    struct real real = {.loop = test_loop(0)};
    size_t i;

    (void)state;
    jg_timer_init(&real.timer, real_run, &real);
    for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        real.delay = delays[i];
        real.left = delays[i] == JG_MILLISECOND ? 300 : 30;
        real_arm(&real);
        assert_int_equal(jg_loop_run(real.loop), 0);
        assert_int_equal(real.left, 0);
    }
    test_loop_done(real.loop);
}

static void a_repeating_timer_is_never_early_on_the_real_clock(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_time begin = jg_loop_now(loop);
    struct probe probe;
    int i;

    (void)state;
    probe_init(&probe, loop);
    assert_int_equal(jg_call_every(loop, &probe.timer, 700 * JG_MICROSECOND), 0);
    for (i = 1; i <= 50; i++) {
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_int_equal(probe.fired, i);
        assert_true(jg_loop_now(loop) - begin >= i * 700 * JG_MICROSECOND);
    }
    jg_timer_stop(&probe.timer);
    test_loop_done(loop);
}

static jg_time cpu_clock(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (jg_time)now.tv_sec * JG_SECOND + now.tv_nsec;
}

/* A time-out rounded down to milliseconds makes the loop spin through the last one. asyncio:
   test_timeout_rounding. */
static void waiting_for_a_part_of_a_millisecond_does_not_spin(void **state)
{
    jg_time begin = test_clock(), cpu = cpu_clock();
    struct probe probe;
    jg_loop *loop;
    int i;

    (void)state;
    if (test_is_slow()) {
        skip();
    }
    loop = test_loop(0);
    probe_init(&probe, loop);
    for (i = 0; i < 100; i++) {
        jg_call_later(loop, &probe.timer, 900 * JG_MICROSECOND);
        assert_int_equal(jg_loop_run(loop), 0);
    }
    assert_int_equal(probe.fired, 100);
    assert_true(cpu_clock() - cpu < (test_clock() - begin) / 2);
    test_loop_done(loop);
}

static void loop_time_is_the_monotonic_clock_which_no_wall_clock_moves(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_time before, reading, after, offset_low, offset_high, end;
    int i;

    (void)state;
    before = test_clock();
    reading = jg_loop_now(loop);
    after = test_clock();
    offset_low = reading - after;
    offset_high = reading - before;
    end = after + 3 * JG_MILLISECOND;
    for (i = 0; i == 0 || after < end; i++) {
        before = test_clock();
        reading = jg_loop_now(loop);
        after = test_clock();
        assert_true(reading - before >= offset_low);
        assert_true(reading - after <= offset_high);
    }
    test_loop_done(loop);
}

static void count_fired(void *arg)
{
    int *count = arg;

    ++*count;
}

static void of_a_million_timers_the_cancelled_ones_cost_nothing(void **state)
{
    int total = test_is_emulated() ? 20000 : 1000000, count = 0, i;
    jg_timer *timers = calloc((size_t)total, sizeof(*timers));
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    size_t live = test_loop_memory(loop)->live;
    jg_time last;

    (void)state;
    assert_non_null(timers);
    for (i = 0; i < total; i++) {
        jg_timer_init(&timers[i], count_fired, &count);
        jg_call_later(loop, &timers[i], (i * 7919LL % total) * JG_MICROSECOND);
    }
    for (i = 0; i < total; i++) {
        if (i % 100) {
            jg_timer_stop(&timers[i]);
        }
    }
    assert_true(test_loop_memory(loop)->live <= live);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(count, (total + 99) / 100);
    last = jg_loop_now(loop);
    assert_true(last < total * JG_MICROSECOND);
    free(timers);
    test_loop_done(loop);
}

static void an_idle_timeout_refreshed_a_million_times_fires_once_after_the_last(void **state)
{
    int total = test_is_emulated() ? 20000 : 1000000, i;
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe, other;

    (void)state;
    probe_init(&probe, loop);
    probe_init(&other, loop);
    for (i = 0; i < total; i++) {
        jg_call_later(loop, &probe.timer, 30 * JG_SECOND);
        if (i % 1000 == 0) {
            jg_call_later(loop, &other.timer, JG_MILLISECOND);
            assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        }
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(other.fired, total / 1000);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.times[0], total / 1000 * JG_MILLISECOND + 30 * JG_SECOND);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_at_its_deadline_and_once),
        cmocka_unit_test(a_timer_never_fires_inside_the_call_that_sets_it),
        cmocka_unit_test(a_timer_of_the_past_fires_in_the_next_turn),
        cmocka_unit_test(the_most_overdue_timer_fires_first),
        cmocka_unit_test(timers_overdue_by_a_stall_fire_in_one_turn_by_deadline),
        cmocka_unit_test(equal_deadlines_fire_in_the_order_they_were_set),
        cmocka_unit_test(setting_a_timer_again_to_the_same_deadline_puts_it_last),
        cmocka_unit_test(an_extended_timer_takes_its_place_among_equals_by_when_it_was_extended),
        cmocka_unit_test(equal_deadlines_set_at_different_times_keep_their_order),
        cmocka_unit_test(thousands_of_equal_deadlines_fire_in_the_order_they_were_set),
        cmocka_unit_test(the_order_of_equal_deadlines_survives_four_thousand_million_settings),
        cmocka_unit_test(a_stopped_timer_does_not_fire),
        cmocka_unit_test(stopping_twice_after_firing_or_never_started_does_nothing),
        cmocka_unit_test(an_extended_timer_does_not_fire_at_its_old_time),
        cmocka_unit_test(an_extended_timer_may_be_shortened_again_and_stopped),
        cmocka_unit_test(a_timer_set_to_never_does_not_fire),
        cmocka_unit_test(sums_of_time_saturate),
        cmocka_unit_test(a_repeating_timer_that_reaches_the_end_of_time_stays_there),
        cmocka_unit_test(a_repeating_timer_fires_on_its_grid_until_stopped),
        cmocka_unit_test(a_repeating_timer_does_not_drift_when_callbacks_take_time),
        cmocka_unit_test(a_repeating_timer_lost_in_a_stall_comes_once_and_then_on_its_grid),
        cmocka_unit_test(a_repeating_timer_whose_own_callback_stalls_skips_what_it_missed),
        cmocka_unit_test(a_repeating_timer_of_a_nanosecond_survives_a_stall_of_years),
        cmocka_unit_test(a_bad_interval_is_refused_and_changes_nothing),
        cmocka_unit_test(a_repeating_timer_becomes_single_by_call_later_and_back_by_call_every),
        cmocka_unit_test(the_interval_may_change_inside_the_callback),
        cmocka_unit_test(inside_its_callback_a_single_timer_is_stopped_and_a_repeating_one_started),
        cmocka_unit_test(a_timer_armed_after_a_callback_that_took_a_second_gets_its_full_delay),
        cmocka_unit_test(a_timer_that_falls_due_while_a_turn_runs_waits_for_the_next),
        cmocka_unit_test(a_timer_may_stop_itself_and_any_other_that_is_due),
        cmocka_unit_test(a_timer_may_free_itself_and_any_other_that_is_due),
        cmocka_unit_test(a_due_timer_that_another_sets_later_fires_only_then),
        cmocka_unit_test(a_due_timer_that_another_sets_anew_fires_in_the_next_turn_even_if_overdue),
        cmocka_unit_test(a_due_timer_stopped_and_started_again_fires_by_its_new_setting),
        cmocka_unit_test(a_timer_that_sets_itself_to_zero_lets_descriptors_run),
        cmocka_unit_test(a_timer_is_never_early_on_the_real_clock),
        cmocka_unit_test(a_repeating_timer_is_never_early_on_the_real_clock),
        cmocka_unit_test(waiting_for_a_part_of_a_millisecond_does_not_spin),
        cmocka_unit_test(loop_time_is_the_monotonic_clock_which_no_wall_clock_moves),
        cmocka_unit_test(of_a_million_timers_the_cancelled_ones_cost_nothing),
        cmocka_unit_test(an_idle_timeout_refreshed_a_million_times_fires_once_after_the_last),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
