/* SPDX-License-Identifier: MIT
 *
 * The shuffled order of what is ready in a turn: what it changes, what it keeps, and that the seed
 * alone determines it.
 */
#include "support.h"

#include <juggle/task.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 8 };

static const char in_order[] = "abcdefgh";

struct marks {
    struct test_trace trace;
    struct test_mark marks[COUNT];
};

static void marks_init(struct marks *marks)
{
    *marks = (struct marks){.trace.letters = ""};
    for (int i = 0; i < COUNT; i++)
        marks->marks[i] = (struct test_mark){&marks->trace, in_order[i]};
}

/* Whether both have the same letters. */
static bool same_letters(const char *a, const char *b)
{
    int counts[256] = {0};

    for (; *a; a++)
        counts[(unsigned char)*a]++;
    for (; *b; b++)
        counts[(unsigned char)*b]--;
    for (int i = 0; i < 256; i++) {
        if (counts[i] != 0)
            return false;
    }
    return true;
}

/* Run calls that are queued in one turn. */
static void run_calls(uint64_t seed, struct marks *marks)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_call calls[COUNT];

    marks_init(marks);
    jg_test_shuffle(loop, seed);
    for (int i = 0; i < COUNT; i++) {
        jg_call_init(&calls[i], test_mark_call, &marks->marks[i]);
        jg_call_soon(loop, &calls[i]);
    }
    assert_int_equal(jg_loop_run_once(loop, 0), 0);
    test_loop_done(loop);
}

static void a_seed_determines_the_order_of_calls_and_others_give_others(void **state)
{
    struct marks first, again, other;
    int differ = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_calls(seed, &first);
        run_calls(seed, &again);
        run_calls(seed + 1, &other);
        assert_string_equal(first.trace.letters, again.trace.letters);
        assert_true(same_letters(first.trace.letters, in_order));
        differ += strcmp(first.trace.letters, other.trace.letters) != 0;
    }
    assert_true(differ >= 18);
}

static void each_place_is_as_likely_for_each_call(void **state)
{
    int at[COUNT][COUNT] = {{0}};

    (void)state;
    for (uint64_t seed = 1; seed <= 1600; seed++) {
        struct marks marks;

        run_calls(seed, &marks);
        for (int place = 0; place < COUNT; place++)
            at[place][marks.trace.letters[place] - 'a']++;
    }
    for (int place = 0; place < COUNT; place++) {
        for (int i = 0; i < COUNT; i++)
            assert_in_range(at[place][i], 140, 260);
    }
}

static void without_a_seed_calls_run_first_in_first_out(void **state)
{
    struct marks marks;

    (void)state;
    run_calls(0, &marks);
    assert_string_equal(marks.trace.letters, in_order);
}

struct chain {
    jg_loop *loop;
    jg_call call, next;
    struct test_mark mark;
};

static void mark_and_queue_next(void *arg)
{
    struct chain *chain = arg;

    test_mark_call(&chain->mark);
    jg_call_soon(chain->loop, &chain->next);
}

static void what_was_ready_in_an_earlier_turn_runs_earlier(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct test_trace trace = {""};
        struct test_mark next = {&trace, 'B'};
        struct chain chains[COUNT];

        jg_test_shuffle(loop, seed);
        for (int i = 0; i < COUNT; i++) {
            chains[i] = (struct chain){.loop = loop, .mark = {&trace, 'A'}};
            jg_call_init(&chains[i].call, mark_and_queue_next, &chains[i]);
            jg_call_init(&chains[i].next, test_mark_call, &next);
            jg_call_soon(loop, &chains[i].call);
        }
        assert_int_equal(jg_loop_run(loop), 0);
        assert_string_equal(trace.letters, "AAAAAAAABBBBBBBB");
        test_loop_done(loop);
    }
}

static void timers_run_by_deadline_and_only_equal_ones_in_any_order(void **state)
{
    bool first_moved = false, last_moved = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        jg_timer timers[COUNT];
        struct marks marks;

        marks_init(&marks);
        jg_test_shuffle(loop, seed);
        for (int i = 0; i < COUNT; i++) {
            jg_timer_init(&timers[i], test_mark_call, &marks.marks[i]);
            jg_call_later(loop, &timers[i], 1000 + i / 4 * 5000);
        }
        assert_int_equal(jg_test_advance(loop, 20000), 0);
        assert_int_equal(jg_loop_run_once(loop, -1), 0);
        assert_true(same_letters(marks.trace.letters, in_order));
        assert_non_null(strchr("efgh", marks.trace.letters[4]));
        last_moved |= strcmp(marks.trace.letters + 4, "efgh") != 0;
        marks.trace.letters[4] = '\0';
        first_moved |= strcmp(marks.trace.letters, "abcd") != 0;
        assert_true(same_letters(marks.trace.letters, "abcd"));
        test_loop_done(loop);
    }
    assert_true(first_moved && last_moved);
}

struct stopper {
    jg_timer timer;
    struct stopper *others;
    int *left;
};

static void stop_another(void *arg)
{
    struct stopper *stopper = arg;

    --*stopper->left;
    for (int i = 0; i < COUNT; i++) {
        if (jg_handle_started(&stopper->others[i].timer.handle)) {
            jg_timer_stop(&stopper->others[i].timer);
            --*stopper->left;
            return;
        }
    }
}

static void a_due_timer_may_stop_any_other_in_a_shuffled_turn(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct stopper stoppers[COUNT];
        int left = COUNT;

        jg_test_shuffle(loop, seed);
        for (int i = 0; i < COUNT; i++) {
            stoppers[i] = (struct stopper){.others = stoppers, .left = &left};
            jg_timer_init(&stoppers[i].timer, stop_another, &stoppers[i]);
        }
        for (int i = 0; i < COUNT; i++)
            jg_call_later(loop, &stoppers[i].timer, 10);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(left, 0);
        test_loop_done(loop);
    }
}

struct listener {
    jg_watcher watcher;
    struct test_mark mark;
    int fds[2];
};

static void take_byte(void *arg, int events)
{
    struct listener *listener = arg;
    char byte;

    assert_true(events & JG_READ);
    assert_int_equal(read(listener->fds[0], &byte, 1), 1);
    test_mark_call(&listener->mark);
}

static void ready_descriptors_are_served_in_any_order(void **state)
{
    bool moved = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        jg_loop *loop = test_loop(0);
        struct test_trace trace = {""};
        struct listener listeners[COUNT];

        jg_test_shuffle(loop, seed);
        for (int i = 0; i < COUNT; i++) {
            listeners[i].mark = (struct test_mark){&trace, in_order[i]};
            test_socketpair(listeners[i].fds);
            assert_int_equal(write(listeners[i].fds[1], "", 1), 1);
            jg_watcher_init(&listeners[i].watcher, take_byte, &listeners[i]);
            assert_int_equal(
                jg_watcher_start(loop, &listeners[i].watcher, listeners[i].fds[0], JG_READ), 0);
        }
        assert_int_equal(jg_loop_run_once(loop, -1), 1);
        assert_true(same_letters(trace.letters, in_order));
        moved |= strcmp(trace.letters, in_order) != 0;
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(jg_watcher_close(&listeners[i].watcher), 0);
            close(listeners[i].fds[1]);
        }
        test_loop_done(loop);
    }
    assert_true(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_determines_the_order_of_calls_and_others_give_others),
        cmocka_unit_test(each_place_is_as_likely_for_each_call),
        cmocka_unit_test(without_a_seed_calls_run_first_in_first_out),
        cmocka_unit_test(what_was_ready_in_an_earlier_turn_runs_earlier),
        cmocka_unit_test(timers_run_by_deadline_and_only_equal_ones_in_any_order),
        cmocka_unit_test(a_due_timer_may_stop_any_other_in_a_shuffled_turn),
        cmocka_unit_test(ready_descriptors_are_served_in_any_order),
    };

    return cmocka_run_group_tests_name("shuffle", tests, NULL, NULL);
}
