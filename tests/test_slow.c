/* SPDX-License-Identifier: MIT
 *
 * Slow callbacks: the one that took long is reported, by its kind and its name, and no other.
 */
#include "world.h"

#include <juggle/coro.h>

#include "core/loop.h"
#include "platform/symbol.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT (100 * JG_MILLISECOND)

struct reports {
    jg_loop *loop;
    jg_time advance; /* by the hook, each time */
    int count;
    int error;
    char text[512]; /* the last */
};

static void on_error(void *arg, int error, const char *what)
{
    struct reports *reports = arg;

    reports->count++;
    reports->error = error;
    strncpy(reports->text, what, sizeof(reports->text) - 1);
    test_check(jg_test_advance(reports->loop, reports->advance) == 0);
}

static void loop_init(struct reports *reports, jg_time limit)
{
    *reports = (struct reports){.count = 0};
    reports->loop = test_loop_with((jg_loop_options){.flags = JG_LOOP_VIRTUAL_TIME,
                                                     .slow_callback = limit,
                                                     .on_error = on_error,
                                                     .on_error_arg = reports});
}

/* A callback that takes its time. */
struct slow {
    struct reports *reports;
    jg_time takes;
    jg_watcher *watcher;
};

static void dawdle(void *arg)
{
    const struct slow *slow = arg;

    test_check(jg_test_advance(slow->reports->loop, slow->takes) == 0);
}

static void dawdle_and_stop(void *arg, int events_or_signal)
{
    const struct slow *slow = arg;

    (void)events_or_signal;
    dawdle(arg);
    if (slow->watcher)
        jg_watcher_stop(slow->watcher);
}

static void dawdle_number(void *arg, int number)
{
    (void)number;
    dawdle(arg);
}

/* There is one report, which names this. */
static void assert_report(const struct reports *reports, const char *kind, uintptr_t function,
                          int number, const char *took)
{
    jg__line line;

    jg__line_init(&line);
    jg__line_add(&line, "%s", kind);
    if (function) {
        jg__line_add(&line, " ");
        jg__line_add_symbol(&line, function);
    }
    if (number >= 0)
        jg__line_add(&line, " (number %d)", number);
    jg__line_add(&line, " took %s", took);
    assert_int_equal(reports->count, 1);
    assert_int_equal(reports->error, JG_ESLOW);
    assert_string_equal(reports->text, line.text);
}

static void a_slow_call_is_reported_and_its_neighbours_are_not(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = 1500 * JG_MILLISECOND};
    jg_call before, culprit, after;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_call_init(&before, test_count_call, &calls);
    jg_call_init(&culprit, dawdle, &slow);
    jg_call_init(&after, test_count_call, &calls);
    jg_call_soon(reports.loop, &before);
    jg_call_soon(reports.loop, &culprit);
    jg_call_soon(reports.loop, &after);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(calls, 2);
    assert_report(&reports, "call", jg__address(dawdle), -1, "1.500 s");
    test_loop_done(reports.loop);
}

static void the_limit_itself_is_slow_and_less_is_not(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT - 1};
    jg_call call;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_call_init(&call, dawdle, &slow);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reports.count, 0);
        jg_call_soon(reports.loop, &call);
        assert_int_equal(jg_loop_run(reports.loop), 0);
        slow.takes = LIMIT;
    }
    assert_int_equal(reports.count, 1);
    test_loop_done(reports.loop);
}

static void nothing_is_reported_unless_it_was_asked_for(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = 1000 * JG_SECOND};
    jg_call call;
    jg_timer timer;

    (void)state;
    loop_init(&reports, 0);
    jg_call_init(&call, dawdle, &slow);
    jg_timer_init(&timer, dawdle, &slow);
    jg_call_soon(reports.loop, &call);
    jg_call_later(reports.loop, &timer, 1);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(reports.count, 0);
    test_loop_done(reports.loop);
}

static void time_asleep_between_turns_and_in_the_hook_is_nobodys(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_call call, next;
    jg_timer timer;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    reports.advance = 10 * JG_SECOND;
    jg_call_init(&call, dawdle, &slow);
    jg_call_init(&next, test_count_call, &calls);
    jg_timer_init(&timer, test_count_call, &calls);
    jg_call_soon(reports.loop, &call);
    jg_call_soon(reports.loop, &next);
    jg_call_later(reports.loop, &timer, 60 * JG_SECOND);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(jg_test_advance(reports.loop, JG_SECOND), 0);
    jg_call_soon(reports.loop, &next);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(calls, 3);
    assert_report(&reports, "call", jg__address(dawdle), -1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_slow_timer_is_reported(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_timer timers[3];
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    for (int i = 0; i < 3; i++) {
        jg_timer_init(&timers[i], i == 1 ? dawdle : test_count_call,
                      i == 1 ? (void *)&slow : &calls);
        jg_call_later(reports.loop, &timers[i], JG_SECOND);
    }
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(calls, 2);
    assert_report(&reports, "timer", jg__address(dawdle), -1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_slow_watcher_is_reported_with_its_descriptor(void **state)
{
    struct reports reports;
    jg_watcher slow_one, fast_one;
    struct slow slow = {.reports = &reports, .takes = LIMIT, .watcher = &slow_one};
    struct slow fast = {.reports = &reports, .takes = 1, .watcher = &fast_one};
    int fds[2];

    (void)state;
    loop_init(&reports, LIMIT);
    test_socketpair(fds);
    jg_watcher_init(&slow_one, dawdle_and_stop, &slow);
    jg_watcher_init(&fast_one, dawdle_and_stop, &fast);
    assert_int_equal(jg_watcher_start(reports.loop, &slow_one, fds[0], JG_WRITE), 0);
    assert_int_equal(jg_watcher_start(reports.loop, &fast_one, fds[1], JG_WRITE), 0);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "watcher", jg__address(dawdle_and_stop), fds[0], "0.100 s");
    close(fds[0]);
    close(fds[1]);
    test_loop_done(reports.loop);
}

static void of_several_watchers_the_one_that_wants_the_event_is_named(void **state)
{
    struct reports reports;
    jg_watcher reader, writer;
    struct slow slow = {.reports = &reports, .takes = LIMIT, .watcher = &writer};
    int fds[2], calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    test_socketpair(fds);
    jg_watcher_init(&reader, test_count_event, &calls);
    jg_watcher_init(&writer, dawdle_and_stop, &slow);
    assert_int_equal(jg_watcher_start(reports.loop, &reader, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(reports.loop, &writer, fds[0], JG_WRITE), 0);
    assert_int_equal(jg_loop_run_once(reports.loop, JG_FOREVER), 1);
    jg_watcher_stop(&reader);
    assert_int_equal(calls, 0);
    assert_report(&reports, "watcher", jg__address(dawdle_and_stop), fds[0], "0.100 s");
    close(fds[0]);
    close(fds[1]);
    test_loop_done(reports.loop);
}

static void a_slow_watcher_of_a_file_is_reported(void **state)
{
    struct reports reports;
    jg_watcher watcher;
    struct slow slow = {.reports = &reports, .takes = LIMIT, .watcher = &watcher};
    int fd = open("/dev/null", O_RDWR);

    (void)state;
    loop_init(&reports, LIMIT);
    jg_watcher_init(&watcher, dawdle_and_stop, &slow);
    assert_int_equal(jg_watcher_start(reports.loop, &watcher, fd, JG_WRITE), 0);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "watcher", jg__address(dawdle_and_stop), fd, "0.100 s");
    close(fd);
    test_loop_done(reports.loop);
}

/* The descriptor is closed through another watcher: its failure comes without an event. */
static void a_watcher_that_takes_its_failure_slowly_is_reported(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_watcher closing, failing, other;
    int fds[2], calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    test_socketpair(fds);
    jg_watcher_init(&closing, test_count_event, &calls);
    jg_watcher_init(&failing, dawdle_and_stop, &slow);
    jg_watcher_init(&other, test_count_event, &calls);
    assert_int_equal(jg_watcher_start(reports.loop, &closing, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(reports.loop, &failing, fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(reports.loop, &other, fds[1], JG_WRITE), 0);
    assert_int_equal(jg_watcher_close(&closing), 0);
    assert_int_equal(jg_loop_run_once(reports.loop, JG_FOREVER), 1);
    assert_report(&reports, "watcher", jg__address(dawdle_and_stop), fds[0], "0.100 s");
    assert_int_equal(jg_loop_run_once(reports.loop, JG_FOREVER), 1);
    assert_int_equal(reports.count, 1);
    jg_watcher_stop(&other);
    close(fds[1]);
    test_loop_done(reports.loop);
}

static void a_slow_wake_is_reported(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_wake wake;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_wake_init(&wake, dawdle, &slow);
    jg_wake_start(reports.loop, &wake);
    jg_wake_send(&wake);
    assert_int_equal(jg_loop_run_once(reports.loop, JG_FOREVER), 1);
    jg_wake_stop(&wake);
    assert_report(&reports, "wake", jg__address(dawdle), -1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_slow_signal_watcher_is_reported_with_its_signal(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_signal watched;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_signal_init(&watched, dawdle_number, &slow);
    assert_int_equal(jg_signal_start(reports.loop, &watched, SIGUSR1), 0);
    raise(SIGUSR1);
    assert_int_equal(jg_loop_run_once(reports.loop, JG_FOREVER), 1);
    jg_signal_stop(&watched);
    assert_report(&reports, "signal", jg__address(dawdle_number), SIGUSR1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_slow_child_watcher_is_reported_with_its_process(void **state)
{
    const unsigned flags[] = {0, JG_LOOP_REAP_ON_SIGCHLD};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct reports reports = {.count = 0};
        struct slow slow = {.reports = &reports, .takes = LIMIT};
        jg_child child;
        pid_t pid = test_idle_child();

        reports.loop = test_loop_with((jg_loop_options){.flags = JG_LOOP_VIRTUAL_TIME | flags[i],
                                                        .slow_callback = LIMIT,
                                                        .on_error = on_error,
                                                        .on_error_arg = &reports});
        jg_child_init(&child, dawdle_number, &slow);
        assert_int_equal(jg_child_start(reports.loop, &child, pid), 0);
        kill(pid, SIGKILL);
        assert_int_equal(jg_loop_run(reports.loop), 0);
        assert_report(&reports, "child", jg__address(dawdle_number), pid, "0.100 s");
        test_loop_done(reports.loop);
    }
}

/* ---------------------------------------------------------------------------------- tasks */

static int dawdle_twice(void *arg)
{
    int r = jg_sleep(JG_SECOND);

    if (r < 0)
        return r;
    dawdle(arg);
    r = jg_sleep(JG_SECOND);
    return r;
}

static void a_slow_coroutine_is_reported_by_its_name(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = 2 * LIMIT};
    jg_scope scope;
    jg_op left;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_scope_open(&scope, reports.loop, NULL, NULL);
    jg_op_init(&left, reports.loop, test_count_call, &calls);
    assert_int_equal(jg_spawn(&scope, dawdle_twice, &slow, &(jg_spawn_options){.name = "lazy\n"}),
                     0);
    jg_scope_close(&scope, 0, &left);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_int_equal(calls, 1);
    assert_report(&reports, "task lazy?", 0, -1, "0.200 s");
    test_loop_done(reports.loop);
}

/* They are resumed in one turn, and could hand over to one another. */
static void a_slow_coroutine_among_others_is_the_one_that_is_reported(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    struct slow quick = {.reports = &reports, .takes = LIMIT / 2};
    struct slow *of[] = {&quick, &slow, &quick};
    const char *const names[] = {"first", "second", "third"};
    jg_scope scope;
    jg_op left;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_scope_open(&scope, reports.loop, NULL, NULL);
    jg_op_init(&left, reports.loop, test_count_call, &calls);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            jg_spawn(&scope, dawdle_twice, of[i], &(jg_spawn_options){.name = names[i]}), 0);
    jg_scope_close(&scope, 0, &left);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "task second", 0, -1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_slow_coroutine_without_a_name_is_reported_by_its_function(void **state)
{
    struct reports reports;
    struct slow slow = {.reports = &reports, .takes = LIMIT};
    jg_scope scope;
    jg_op left;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_scope_open(&scope, reports.loop, NULL, NULL);
    jg_op_init(&left, reports.loop, test_count_call, &calls);
    assert_int_equal(jg_spawn(&scope, dawdle_twice, &slow, NULL), 0);
    jg_scope_close(&scope, 0, &left);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "task", jg__address(dawdle_twice), -1, "0.100 s");
    test_loop_done(reports.loop);
}

/* A task of steps whose name goes with it at its end. */
struct passing {
    jg_task task;
    struct slow slow;
    char name[16];
};

static int dawdle_and_spoil_the_name(jg_task *task, void *arg, int status)
{
    struct passing *passing = arg;

    (void)task;
    (void)status;
    dawdle(&passing->slow);
    memset(passing->name, 'X', sizeof(passing->name));
    return 0;
}

static void a_task_that_is_gone_when_it_returns_is_named_all_the_same(void **state)
{
    struct reports reports;
    struct passing passing = {.slow = {.reports = &reports, .takes = LIMIT}, .name = "passing"};
    jg_scope scope;
    jg_op left;
    int calls = 0;

    (void)state;
    loop_init(&reports, LIMIT);
    jg_scope_open(&scope, reports.loop, NULL, NULL);
    jg_op_init(&left, reports.loop, test_count_call, &calls);
    jg_task_init(&passing.task, passing.name, dawdle_and_spoil_the_name, &passing);
    assert_int_equal(jg_task_spawn(&scope, &passing.task, NULL), 0);
    jg_scope_close(&scope, 0, &left);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "task passing", 0, -1, "0.100 s");
    test_loop_done(reports.loop);
}

/* A call that frees the memory it lies in. */
struct holder {
    struct slow slow;
    jg_call call;
};

static void dawdle_and_free_the_holder(void *arg)
{
    dawdle(&((struct holder *)arg)->slow);
    free(arg);
}

static void a_call_that_frees_itself_is_named_all_the_same(void **state)
{
    struct holder *holder = malloc(sizeof(*holder));
    struct reports reports;

    (void)state;
    loop_init(&reports, LIMIT);
    holder->slow = (struct slow){.reports = &reports, .takes = LIMIT};
    jg_call_init(&holder->call, dawdle_and_free_the_holder, holder);
    jg_call_soon(reports.loop, &holder->call);
    assert_int_equal(jg_loop_run(reports.loop), 0);
    assert_report(&reports, "call", jg__address(dawdle_and_free_the_holder), -1, "0.100 s");
    test_loop_done(reports.loop);
}

static void a_negative_limit_is_refused(void **state)
{
    jg_loop *loop = NULL;

    (void)state;
    assert_int_equal(jg_loop_new(&(jg_loop_options){.slow_callback = -1}, &loop), -EINVAL);
    assert_null(loop);
}

static void the_code_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(jg_strerror(JG_ESLOW), "a callback took long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_call_is_reported_and_its_neighbours_are_not),
        cmocka_unit_test(the_limit_itself_is_slow_and_less_is_not),
        cmocka_unit_test(nothing_is_reported_unless_it_was_asked_for),
        cmocka_unit_test(time_asleep_between_turns_and_in_the_hook_is_nobodys),
        cmocka_unit_test(a_slow_timer_is_reported),
        cmocka_unit_test(a_slow_watcher_is_reported_with_its_descriptor),
        cmocka_unit_test(of_several_watchers_the_one_that_wants_the_event_is_named),
        cmocka_unit_test(a_slow_watcher_of_a_file_is_reported),
        cmocka_unit_test(a_watcher_that_takes_its_failure_slowly_is_reported),
        cmocka_unit_test(a_slow_wake_is_reported),
        cmocka_unit_test(a_slow_signal_watcher_is_reported_with_its_signal),
        cmocka_unit_test(a_slow_child_watcher_is_reported_with_its_process),
        cmocka_unit_test(a_slow_coroutine_is_reported_by_its_name),
        cmocka_unit_test(a_slow_coroutine_among_others_is_the_one_that_is_reported),
        cmocka_unit_test(a_slow_coroutine_without_a_name_is_reported_by_its_function),
        cmocka_unit_test(a_task_that_is_gone_when_it_returns_is_named_all_the_same),
        cmocka_unit_test(a_call_that_frees_itself_is_named_all_the_same),
        cmocka_unit_test(a_negative_limit_is_refused),
        cmocka_unit_test(the_code_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
