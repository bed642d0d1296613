/* SPDX-License-Identifier: MIT
 *
 * The test kit finds what is wrong with code, and says where.
 */
#include "ledger.h"
#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was reported, its lines one after the other. */
struct text {
    char text[4096];
};

static void add_line(void *arg, const char *line)
{
    struct text *text = arg;
    size_t length = strlen(text->text);

    snprintf(text->text + length, sizeof(text->text) - length, "%s\n", line);
}

#define assert_contains(haystack, needle)                   \
    do {                                                    \
        if (!strstr(haystack, needle))                      \
            fail_msg("no \"%s\" in: %s", needle, haystack); \
    } while (0)

/* Sleeps twice. */
static int behave(void *arg)
{
    int r = jg_sleep(10);

    (void)arg;
    return r < 0 ? r : jg_sleep(20);
}

static void code_that_is_in_order_passes_without_a_word(void **state)
{
    struct text text = {""};
    const jg_test_options options = {.report = add_line, .report_arg = &text};

    (void)state;
    assert_int_equal(jg_test_cancel_each(behave, NULL, &options), 0);
    assert_int_equal(jg_test_fail_each(behave, NULL, &options), 0);
    assert_int_equal(jg_test_shuffle_each(behave, NULL, &options), 0);
    assert_int_equal(jg_test_cancel_each(behave, NULL, NULL), 0);
    assert_string_equal(text.text, "");
}

/* Counts the runs, and how often each await was cut. */
struct cuts {
    int runs, teardowns, complete;
    int first, second;
};

static void count_run(void *arg, const jg_allocator *allocator)
{
    struct cuts *cuts = arg;

    assert_non_null(allocator);
    cuts->runs++;
}

static void count_teardown(void *arg)
{
    struct cuts *cuts = arg;

    cuts->teardowns++;
}

static int count_cuts(void *arg)
{
    struct cuts *cuts = arg;

    if (jg_sleep(10) < 0) {
        cuts->first++;
        return -ECANCELED;
    }
    if (jg_sleep(0) < 0) {
        cuts->second++;
        return -ECANCELED;
    }
    cuts->complete++;
    return 0;
}

static void each_await_is_cut_before_it_starts_and_while_it_waits(void **state)
{
    const jg_test_options options = {.setup = count_run, .teardown = count_teardown};
    struct cuts cuts = {0};

    (void)state;
    assert_int_equal(jg_test_cancel_each(count_cuts, &cuts, &options), 0);

    /* Before the first turn, at the start of the sleep, at its await, and before the turn that ends
     * it; then before the next turn, with its result in hand, and as it yields; and before the last
     * turn, when all it needs is there. */
    assert_int_equal(cuts.first, 4);
    assert_int_equal(cuts.second, 2);
    assert_int_equal(cuts.complete, cuts.runs - 6);
    assert_int_equal(cuts.complete, 3);
    assert_int_equal(cuts.teardowns, cuts.runs);
}

static void one_run_can_be_done_alone(void **state)
{
    const jg_test_options options = {.setup = count_run, .only = 2};
    struct cuts cuts = {0};

    (void)state;
    assert_int_equal(jg_test_cancel_each(count_cuts, &cuts, &options), 0);
    assert_int_equal(cuts.runs, 2); /* the undisturbed one is needed to compare with */
    assert_int_equal(cuts.first, 1);
    assert_int_equal(cuts.complete, 1);
}

/* Forgets to close what it opened when it is cancelled. */
static int leak_a_descriptor(void *arg)
{
    int fd = open("/dev/null", O_RDONLY);
    int *leaked = arg;
    int r;

    test_check(fd >= 0);
    r = jg_sleep(10);
    if (r < 0) {
        *leaked = fd;
        return r;
    }
    close(fd);
    return 0;
}

static void a_descriptor_that_is_left_open_is_found(void **state)
{
    struct text text = {""};
    const jg_test_options options = {.report = add_line, .report_arg = &text};
    int leaked = -1;

    (void)state;
    assert_int_equal(jg_test_cancel_each(leak_a_descriptor, &leaked, &options), 1);
    assert_contains(text.text, "cancelled at point 1, before turn 1 at 0.000000000 s:\n");
    assert_contains(text.text, "descriptors left open: 1\n");
    close(leaked);
}

/* Keeps a timer in its frame, and forgets it when it is cancelled. */
static jg_timer forgotten;

static int leak_a_timer(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    int r;

    jg_timer_init(&forgotten, test_count_call, arg);
    jg_call_later(loop, &forgotten, 100);
    r = jg_sleep(10);
    if (r < 0)
        return r;
    jg_timer_stop(&forgotten);
    return 0;
}

static void an_object_that_is_still_started_is_found(void **state)
{
    struct text text = {""};
    const jg_test_options options = {.report = add_line, .report_arg = &text, .only = 2};
    int count = 0;

    (void)state;
    assert_int_equal(jg_test_cancel_each(leak_a_timer, &count, &options), 2);
    assert_contains(text.text, "cancelled at point 2, in task main at 0.000000000 s:\n");
    assert_contains(text.text, "  timer 0x");
    assert_contains(text.text, "is still started\n");
}

/* Allocates from what the kit gives, badly. */
struct careless {
    const jg_allocator *allocator;
    bool leaks, ignores;
    void *leaked;
};

static void keep_allocator(void *arg, const jg_allocator *allocator)
{
    struct careless *careless = arg;

    careless->allocator = allocator;
}

static int allocate(void *arg)
{
    struct careless *careless = arg;
    const jg_allocator *from = careless->allocator;
    void *block = from->resize(from->arg, NULL, 0, 100);
    int r = jg_sleep(10);

    if (!block && !careless->ignores)
        return -ENOMEM;
    if (!block)
        return -EIO;
    if (r == 0 || !careless->leaks)
        from->resize(from->arg, block, 100, 0);
    else
        careless->leaked = block;
    return r;
}

static void memory_of_ones_own_is_counted_and_made_to_fail(void **state)
{
    struct text text = {""};
    const jg_test_options options = {
        .setup = keep_allocator, .report = add_line, .report_arg = &text};
    struct careless good = {0}, leaks = {.leaks = true}, ignores = {.ignores = true};

    (void)state;
    assert_int_equal(jg_test_cancel_each(allocate, &good, &options), 0);
    assert_int_equal(jg_test_fail_each(allocate, &good, &options), 0);
    assert_string_equal(text.text, "");

    assert_int_equal(jg_test_cancel_each(allocate, &leaks, &options), 1);
    assert_contains(text.text, "blocks of memory not freed: 1, 100 bytes\n");
    free(leaks.leaked); /* it came from malloc in the end */

    assert_true(jg_test_fail_each(allocate, &ignores, &options) > 1);
    assert_contains(text.text, "failing:\n  ended with -5 (");
}

/* Waits for ever if it is cancelled, shielded. */
static int wait_shielded(void *arg)
{
    jg_future never = {.done = false};

    (void)arg;
    return jg_future_wait(&never);
}

static int hang_when_cancelled(void *arg)
{
    int r = jg_sleep(10);

    return r < 0 ? jg_shield(wait_shielded, arg) : 0;
}

static void a_run_that_does_not_end_is_told_with_the_tree_of_its_tasks(void **state)
{
    struct text text = {""};
    const jg_test_options options = {.report = add_line, .report_arg = &text};

    (void)state;
    assert_int_equal(jg_test_cancel_each(hang_when_cancelled, NULL, &options), 1);
    assert_contains(text.text, "neither wakes nor can be cancelled:\n");
    assert_contains(text.text, "scope shield of main, shielded\n");
    assert_contains(text.text, "task main: waits for future for ");
}

static int yield_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        (void)jg_sleep(JG_SECOND * 3600);
    return 0;
}

static void an_undisturbed_run_that_is_not_in_order_is_an_error(void **state)
{
    struct text text = {""};
    const jg_loop_options abacus = {.backend = "abacus"};
    const jg_test_options options = {.report = add_line, .report_arg = &text};
    const jg_test_options no_loop = {.report = add_line, .report_arg = &text, .loop = &abacus};
    struct ledger ledger = {0};

    (void)state;
    assert_int_equal(jg_test_cancel_each(wait_for_nobody, &ledger, &options), JG_EDEADLOCK);
    assert_contains(text.text, "undisturbed:\n  nothing can wake:\n");
    assert_int_equal(ledger.held, 0);
    assert_int_equal(jg_test_cancel_each(yield_for_ever, NULL, &options), JG_EDEADLOCK);
    assert_contains(text.text, "undisturbed:\n  does not end:\n");
    assert_int_equal(jg_test_cancel_each(behave, NULL, &no_loop), -ENOTSUP);
}

/* Relies on the one who was spawned first being the first to go on. */
struct ordered {
    int next;
    bool broken;
};

static int expect_to_be_first(void *arg)
{
    struct ordered *ordered = arg;
    int r = jg_sleep(10);

    ordered->broken |= ordered->next++ != 0;
    return r;
}

static int expect_to_be_second(void *arg)
{
    struct ordered *ordered = arg;
    int r = jg_sleep(10);

    ordered->broken |= ordered->next++ != 1;
    return r;
}

static int rely_on_order(void *arg)
{
    jg_job jobs[2] = {{expect_to_be_first, arg, 0}, {expect_to_be_second, arg, 0}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static void start_in_order(void *arg, const jg_allocator *allocator)
{
    struct ordered *ordered = arg;

    (void)allocator;
    *ordered = (struct ordered){0};
}

static bool is_unbroken(void *arg, int status)
{
    const struct ordered *ordered = arg;

    return status == 0 && !ordered->broken;
}

static void code_that_relies_on_an_accidental_order_is_found_with_the_seed(void **state)
{
    struct text text = {""}, again = {""};
    jg_test_options options = {
        .setup = start_in_order, .check = is_unbroken, .report = add_line, .report_arg = &text};
    struct ordered ordered;
    char heading[60];
    int seed;

    (void)state;
    seed = jg_test_shuffle_each(rely_on_order, &ordered, &options);
    assert_true(seed >= 1 && seed <= 20);
    snprintf(heading, sizeof(heading), "shuffled with seed %d:\n", seed);
    assert_contains(text.text, heading);
    assert_contains(text.text, "ended with 0 (success), which the check refused\n");

    options.only = seed;
    options.report_arg = &again;
    assert_int_equal(jg_test_shuffle_each(rely_on_order, &ordered, &options), seed);
    assert_string_equal(again.text, text.text);
}

/* Shielded code and cleanup are disturbed where they are, too: from outside. */
static int count_points_inside(void *arg)
{
    int *cancelled_inside = arg;
    jg_scope *outer = jg_task_current()->scope->parent;
    bool before = jg_scope_cancelled(outer);

    test_check(jg_sleep(10) == 0);
    *cancelled_inside += !before && jg_scope_cancelled(outer);
    return 0;
}

static int be_shielded(void *arg)
{
    return jg_shield(count_points_inside, arg);
}

static void points_inside_a_shield_are_tried_too(void **state)
{
    int cancelled_inside = 0;

    (void)state;
    assert_int_equal(jg_test_cancel_each(be_shielded, &cancelled_inside, NULL), 0);
    assert_int_equal(cancelled_inside, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_that_is_in_order_passes_without_a_word),
        cmocka_unit_test(each_await_is_cut_before_it_starts_and_while_it_waits),
        cmocka_unit_test(one_run_can_be_done_alone),
        cmocka_unit_test(a_descriptor_that_is_left_open_is_found),
        cmocka_unit_test(an_object_that_is_still_started_is_found),
        cmocka_unit_test(memory_of_ones_own_is_counted_and_made_to_fail),
        cmocka_unit_test(a_run_that_does_not_end_is_told_with_the_tree_of_its_tasks),
        cmocka_unit_test(an_undisturbed_run_that_is_not_in_order_is_an_error),
        cmocka_unit_test(code_that_relies_on_an_accidental_order_is_found_with_the_seed),
        cmocka_unit_test(points_inside_a_shield_are_tried_too),
    };

    return cmocka_run_group_tests_name("test_kit", tests, NULL, NULL);
}
