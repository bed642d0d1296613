/* SPDX-License-Identifier: MIT
 *
 * The loop: its turn, what ends it, what keeps it alive and what it reports.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One started object of every kind, none of which has anything to do; and a child process. */
struct everything {
    jg_loop *loop;
    struct test_trace trace;
    struct test_mark mark;
    int count;
    jg_call call;
    jg_timer timer;
    jg_watcher watcher;
    jg_wake wake;
    jg_signal signal;
    jg_child child;
    int fds[2];
    pid_t pid;
};

static void everything_start(struct everything *all, jg_loop *loop)
{
    memset(all, 0, sizeof(*all));
    all->loop = loop;
    test_socketpair(all->fds);
    all->pid = test_idle_child();
    jg_timer_init(&all->timer, test_count_call, &all->count);
    jg_watcher_init(&all->watcher, test_count_event, &all->count);
    jg_wake_init(&all->wake, test_count_call, &all->count);
    jg_signal_init(&all->signal, test_count_event, &all->count);
    jg_child_init(&all->child, test_count_event, &all->count);
    jg_call_later(loop, &all->timer, 3600 * JG_SECOND);
    assert_int_equal(jg_watcher_start(loop, &all->watcher, all->fds[0], JG_READ), 0);
    jg_wake_start(loop, &all->wake);
    assert_int_equal(jg_signal_start(loop, &all->signal, SIGUSR2), 0);
    assert_int_equal(jg_child_start(loop, &all->child, all->pid), 0);
}

static void everything_stop(struct everything *all)
{
    jg_timer_stop(&all->timer);
    jg_watcher_stop(&all->watcher);
    jg_wake_stop(&all->wake);
    jg_signal_stop(&all->signal);
    jg_child_stop(&all->child);
}

static void everything_end(struct everything *all)
{
    int status;

    assert_int_equal(kill(all->pid, SIGKILL), 0);
    assert_int_equal(waitpid(all->pid, &status, 0), all->pid);
    close(all->fds[0]);
    close(all->fds[1]);
}

/* Options and names. */

static void a_backend_that_does_not_exist_is_refused(void **state)
{
    jg_loop_options options = {.backend = "abacus"};
    jg_loop *loop = (jg_loop *)&options;

    (void)state;
    assert_int_equal(jg_loop_new(&options, &loop), -ENOTSUP);
    assert_ptr_equal(loop, &options); /* untouched */
}

static void unknown_flags_are_refused(void **state)
{
    jg_loop_options options = {.flags = 1u << 30};
    jg_loop *loop = NULL;

    (void)state;
    assert_int_equal(jg_loop_new(&options, &loop), -EINVAL);
    assert_null(loop);
}

static void the_environment_names_the_backend_and_the_options_come_first(void **state)
{
    const char *named = getenv("JUGGLE_BACKEND");
    jg_loop *loop = test_loop(0);

    (void)state;
    if (named) {
        assert_string_equal(jg_loop_backend(loop), named);
    }
    test_loop_done(loop);
    loop = test_loop_with((jg_loop_options){.backend = "poll"});
    assert_string_equal(jg_loop_backend(loop), "poll");
    test_loop_done(loop);
}

static void zeroed_options_and_none_are_valid(void **state)
{
    jg_loop_options options;
    jg_loop *loop;

    (void)state;
    memset(&options, 0, sizeof(options));
    assert_int_equal(jg_loop_new(&options, &loop), 0);
    assert_int_equal(jg_loop_free(loop), 0);
    assert_int_equal(jg_loop_new(NULL, &loop), 0);
    assert_int_equal(jg_loop_free(loop), 0);
}

static void freeing_no_loop_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(jg_loop_free(NULL), 0);
}

static void a_loop_gives_back_its_descriptors(void **state)
{
    int before = test_open_descriptors(), i;

    (void)state;
    for (i = 0; i < 20; i++) {
        struct everything all;

        everything_start(&all, test_loop(i % 2 ? JG_LOOP_REAP_ON_SIGCHLD : 0));
        assert_int_equal(jg_loop_run_once(all.loop, 0), 1);
        everything_stop(&all);
        test_loop_done(all.loop);
        everything_end(&all);
        assert_int_equal(test_open_descriptors(), before);
    }
}

static void without_stdin_stdout_stderr_make_a_loop(void *arg)
{
    struct everything all;
    jg_loop_options options = {.flags = *(unsigned *)arg};
    jg_loop *loop;
    int i;

    memset(&all, 0, sizeof(all));
    for (i = 0; i < 3; i++) {
        close(i);
    }
    test_check(jg_loop_new(&options, &loop) == 0);
    jg_wake_init(&all.wake, test_count_call, &all.count);
    jg_signal_init(&all.signal, test_count_event, &all.count);
    jg_child_init(&all.child, test_count_event, &all.count);
    jg_wake_start(loop, &all.wake);
    test_check(jg_signal_start(loop, &all.signal, SIGUSR2) == 0);
    all.pid = fork();
    test_check(all.pid >= 0);
    if (all.pid == 0) {
        _exit(0);
    }
    test_check(jg_child_start(loop, &all.child, all.pid) == 0);
    while (all.count == 0) {
        test_check(jg_loop_run_once(loop, JG_FOREVER) == 1);
    }
    for (i = 0; i < 3; i++) {
        test_check(open("/dev/null", O_RDWR) == i);
    }
    jg_wake_stop(&all.wake);
    jg_signal_stop(&all.signal);
    test_check(jg_loop_free(loop) == 0);
}

static void descriptors_0_to_2_closed_at_start_are_not_taken_for_internal_ones(void **state)
{
    unsigned flags[] = {0, JG_LOOP_REAP_ON_SIGCHLD};

    (void)state;
    test_in_child(without_stdin_stdout_stderr_make_a_loop, &flags[0]);
    test_in_child(without_stdin_stdout_stderr_make_a_loop, &flags[1]);
}

/* Running. */

static void a_loop_with_nothing_to_do_returns_at_once(void **state)
{
    jg_loop *loop = test_loop(0);

    (void)state;
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_int_equal(jg_loop_run_once(loop, -1), 0);
    test_loop_done(loop);
}

static void one_turn_tells_whether_something_is_left(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_timer first, second;
    int count = 0;

    (void)state;
    jg_timer_init(&first, test_count_call, &count);
    jg_timer_init(&second, test_count_call, &count);
    jg_call_later(loop, &first, 10);
    jg_call_later(loop, &second, 20);
    assert_int_equal(jg_loop_run_once(loop, -1), 1);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_run_once(loop, -1), 0);
    assert_int_equal(count, 2);
    test_loop_done(loop);
}

struct nested {
    jg_loop *loop, *other;
    int run, once, adopt, fork, other_run;
};

static void run_inside(void *arg)
{
    struct nested *nested = arg;

    nested->run = jg_loop_run(nested->loop);
    nested->once = jg_loop_run_once(nested->loop, 0);
    nested->adopt = jg_loop_adopt(nested->loop);
    nested->other_run = jg_loop_run(nested->other);
}

static void a_run_inside_a_run_is_refused_but_not_of_another_loop(void **state)
{
    struct nested nested = {.loop = test_loop(0), .other = test_loop(0), .other_run = 1};
    jg_call call, inner;
    int count = 0;

    (void)state;
    jg_call_init(&call, run_inside, &nested);
    jg_call_init(&inner, test_count_call, &count);
    jg_call_soon(nested.loop, &call);
    jg_call_soon(nested.other, &inner);
    assert_int_equal(jg_loop_run(nested.loop), 0);
    assert_int_equal(nested.run, -EBUSY);
    assert_int_equal(nested.once, -EBUSY);
    assert_int_equal(nested.adopt, -EBUSY);
    assert_int_equal(nested.other_run, 0);
    assert_int_equal(count, 1);
    test_loop_done(nested.loop);
    test_loop_done(nested.other);
}

/* Stopping. */

struct stopper {
    jg_loop *loop;
    struct test_mark mark;
    jg_call *again;
};

static void stop_loop(void *arg)
{
    struct stopper *stopper = arg;

    test_mark_call(&stopper->mark);
    jg_loop_stop(stopper->loop);
    if (stopper->again) {
        jg_call_soon(stopper->loop, stopper->again);
    }
}

static void stop_ends_the_run_after_the_turn_and_a_later_run_goes_on(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark b = {&trace, 'b'}, c = {&trace, 'c'};
    jg_call calls[3];
    struct stopper stopper = {loop, {&trace, 'a'}, &calls[2]};
    jg_timer timer;

    (void)state;
    jg_call_init(&calls[0], stop_loop, &stopper);
    jg_call_init(&calls[1], test_mark_call, &b);
    jg_call_init(&calls[2], test_mark_call, &c);
    jg_timer_init(&timer, test_mark_call, &c);
    jg_call_soon(loop, &calls[0]);
    jg_call_soon(loop, &calls[1]);
    jg_call_later(loop, &timer, JG_SECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "ab");
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "abcc");
    test_loop_done(loop);
}

/* asyncio: test_run_forever_pre_stopped. libuv turns not at all, others forget the stop. */
static void stop_before_a_run_makes_it_one_turn_that_does_not_wait(void **state)
{
    jg_loop *loop = test_loop(0);
    struct test_trace trace = {""};
    struct test_mark a = {&trace, 'a'}, b = {&trace, 'b'};
    struct stopper stopper = {loop, {&trace, 'x'}, NULL};
    jg_timer timer;
    jg_call call;

    (void)state;
    jg_call_init(&call, test_mark_call, &a);
    jg_timer_init(&timer, test_mark_call, &b);
    jg_call_later(loop, &timer, 3600 * JG_SECOND);
    jg_call_soon(loop, &call);
    jg_loop_stop(loop);
    jg_loop_stop(loop); /* twice is once */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "a");

    jg_loop_stop(loop);
    assert_int_equal(jg_loop_run(loop), 0); /* nothing is ready: it does not wait an hour */

    /* The stop is used up. */
    jg_timer_stop(&timer);
    jg_timer_init(&timer, stop_loop, &stopper);
    jg_call_later(loop, &timer, JG_MILLISECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "ax");
    test_loop_done(loop);
}

static void a_turn_that_was_stopped_returns_0_and_the_next_does_not(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0;
    jg_wake wake;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_loop_stop(loop);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void a_stop_in_the_last_turn_does_not_linger(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct stopper stopper = {loop, {&trace, 'a'}, NULL};
    jg_timer timer;
    jg_call call;
    int count = 0;

    (void)state;
    jg_call_init(&call, stop_loop, &stopper);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run(loop), 0);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, JG_SECOND);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(count, 1);
    test_loop_done(loop);
}

/* What keeps the loop alive. */

static void objects_that_are_not_referenced_do_not_keep_the_loop_running(void **state)
{
    struct everything all;
    jg_handle *handles[5];
    int i;

    (void)state;
    everything_start(&all, test_loop(0));
    handles[0] = &all.timer.handle;
    handles[1] = &all.watcher.handle;
    handles[2] = &all.wake.handle;
    handles[3] = &all.signal.handle;
    handles[4] = &all.child.handle;
    for (i = 0; i < 5; i++) {
        assert_true(jg_loop_alive(all.loop));
        jg_handle_unref(handles[i]);
        jg_handle_unref(handles[i]); /* twice is once */
    }
    assert_false(jg_loop_alive(all.loop));
    assert_int_equal(jg_loop_run(all.loop), 0);
    assert_int_equal(jg_loop_run_once(all.loop, JG_FOREVER), 0);

    /* Each of them alone is enough. */
    for (i = 0; i < 5; i++) {
        jg_handle_ref(handles[i]);
        jg_handle_ref(handles[i]);
        assert_true(jg_loop_alive(all.loop));
        assert_int_equal(jg_loop_run_once(all.loop, 0), 1);
        jg_handle_unref(handles[i]);
        assert_false(jg_loop_alive(all.loop));
    }
    everything_stop(&all);
    assert_int_equal(all.count, 0);
    test_loop_done(all.loop);
    everything_end(&all);
}

static void stopping_in_any_state_of_reference_leaves_the_count_right(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0, i;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    for (i = 0; i < 3; i++) {
        jg_handle_unref(&timer.handle); /* while it is stopped */
        jg_call_later(loop, &timer, 10);
        assert_false(jg_loop_alive(loop));
        jg_timer_stop(&timer);
        assert_false(jg_loop_alive(loop));
        jg_call_later(loop, &timer, 10);
        jg_handle_ref(&timer.handle);
        assert_true(jg_loop_alive(loop));
        jg_timer_stop(&timer);
        assert_false(jg_loop_alive(loop));
        jg_call_later(loop, &timer, 10);
        assert_true(jg_loop_alive(loop));
        assert_int_equal(jg_loop_run(loop), 0);
        assert_false(jg_loop_alive(loop));
    }
    assert_int_equal(count, 3);
    test_loop_done(loop);
}

static void an_unreferenced_timer_fires_while_others_keep_the_loop_running(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark a = {&trace, 'a'}, b = {&trace, 'b'}, c = {&trace, 'c'};
    jg_timer first, second, third;

    (void)state;
    jg_timer_init(&first, test_mark_call, &a);
    jg_timer_init(&second, test_mark_call, &b);
    jg_timer_init(&third, test_mark_call, &c);
    jg_handle_unref(&first.handle);
    jg_handle_unref(&third.handle);
    jg_call_later(loop, &first, 10);
    jg_call_later(loop, &second, 20);
    jg_call_later(loop, &third, 30);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "ab");
    jg_timer_stop(&third);
    test_loop_done(loop);
}

/* Order and time within a turn. */

struct marked {
    struct test_mark mark;
    jg_watcher *stop;
};

static void mark_event(void *arg, int events)
{
    struct marked *marked = arg;

    (void)events;
    test_mark_call(&marked->mark);
    if (marked->stop) {
        jg_watcher_stop(marked->stop);
    }
}

static void a_turn_runs_calls_then_wakes_and_signals_then_descriptors_then_timers(void **state)
{
    struct test_trace trace = {""};
    struct marked marks[] = {{{&trace, 'c'}, NULL},
                             {{&trace, 'w'}, NULL},
                             {{&trace, 's'}, NULL},
                             {{&trace, 'd'}, NULL},
                             {{&trace, 't'}, NULL}};
    struct everything all;

    (void)state;
    everything_start(&all, test_loop(JG_LOOP_VIRTUAL_TIME));
    everything_stop(&all);
    jg_timer_init(&all.timer, test_mark_call, &marks[4].mark);
    jg_call_later(all.loop, &all.timer, -1);
    jg_watcher_init(&all.watcher, mark_event, &marks[3]);
    assert_int_equal(jg_watcher_start(all.loop, &all.watcher, all.fds[0], JG_WRITE), 0);
    jg_signal_init(&all.signal, mark_event, &marks[2]);
    assert_int_equal(jg_signal_start(all.loop, &all.signal, SIGUSR2), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    jg_wake_init(&all.wake, test_mark_call, &marks[1].mark);
    jg_wake_start(all.loop, &all.wake);
    jg_wake_send(&all.wake);
    jg_call_init(&all.call, test_mark_call, &marks[0].mark);
    jg_call_soon(all.loop, &all.call);
    assert_int_equal(jg_loop_run_once(all.loop, 0), 1);
    assert_string_equal(trace.letters, "cwsdt");
    everything_stop(&all);
    test_loop_done(all.loop);
    everything_end(&all);
}

struct time_seen {
    jg_loop *loop;
    jg_time time, now;
    jg_time spend;
};

static void see_time(void *arg)
{
    struct time_seen *seen = arg;

    seen->time = jg_loop_time(seen->loop);
    seen->now = jg_loop_now(seen->loop);
    if (seen->spend) {
        assert_int_equal(jg_test_advance(seen->loop, seen->spend), 0);
    }
}

static void the_time_of_a_turn_stands_still_while_the_clock_goes_on(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct time_seen first = {.loop = loop, .spend = JG_SECOND}, second = {.loop = loop};
    jg_call calls[2];

    (void)state;
    jg_call_init(&calls[0], see_time, &first);
    jg_call_init(&calls[1], see_time, &second);
    jg_call_soon(loop, &calls[0]);
    jg_call_soon(loop, &calls[1]);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(second.time, first.time);
    assert_int_equal(second.now, first.now + JG_SECOND);
    jg_call_soon(loop, &calls[1]);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(second.time, first.now + JG_SECOND);
    test_loop_done(loop);
}

static void the_clock_is_never_behind_the_time_of_the_turn(void **state)
{
    jg_loop *loop = test_loop(0);
    struct time_seen seen = {.loop = loop};
    jg_call call;
    jg_time time = jg_loop_time(loop);
    int i;

    (void)state;
    assert_true(jg_loop_now(loop) >= time);
    jg_call_init(&call, see_time, &seen);
    for (i = 0; i < 1000; i++) {
        jg_call_soon(loop, &call);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_true(seen.now >= seen.time);
    }
    test_loop_done(loop);
}

static void stop_timer(void *arg, int events)
{
    struct everything *all = arg;

    (void)events;
    all->count++;
    jg_timer_stop(&all->timer);
    jg_watcher_stop(&all->watcher);
}

static void a_descriptor_may_stop_a_timer_that_is_due_in_the_same_turn(void **state)
{
    struct everything all;

    (void)state;
    everything_start(&all, test_loop(JG_LOOP_VIRTUAL_TIME));
    everything_stop(&all);
    jg_watcher_init(&all.watcher, stop_timer, &all);
    assert_int_equal(jg_watcher_start(all.loop, &all.watcher, all.fds[0], JG_WRITE), 0);
    jg_call_later(all.loop, &all.timer, -1);
    assert_int_equal(jg_loop_run(all.loop), 0);
    assert_int_equal(all.count, 1);
    test_loop_done(all.loop);
    everything_end(&all);
}

struct last_word {
    struct everything *all;
    int others;
};

/* The first to run stops all others: nobody else may be called. */
static void stop_all_others(void *arg)
{
    struct last_word *word = arg;

    everything_stop(word->all);
    memset(&word->all->timer, 0xdd, sizeof(word->all->timer));
    memset(&word->all->watcher, 0xdd, sizeof(word->all->watcher));
    memset(&word->all->wake, 0xdd, sizeof(word->all->wake));
    memset(&word->all->signal, 0xdd, sizeof(word->all->signal));
    memset(&word->all->child, 0xdd, sizeof(word->all->child));
    word->others = word->all->count;
}

static void a_callback_may_stop_and_forget_ready_objects_of_every_kind(void **state)
{
    struct everything all;
    struct last_word word = {&all, -1};

    (void)state;
    everything_start(&all, test_loop(0));
    jg_call_later(all.loop, &all.timer, -1);
    assert_int_equal(write(all.fds[1], "x", 1), 1);
    jg_wake_send(&all.wake);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(kill(all.pid, SIGTERM), 0);
    while (waitid(P_PID, (id_t)all.pid, &(siginfo_t){0}, WEXITED | WNOWAIT) < 0) {
        assert_int_equal(errno, EINTR);
    }
    jg_call_init(&all.call, stop_all_others, &word);
    jg_call_soon(all.loop, &all.call);
    assert_int_equal(jg_loop_run(all.loop), 0);
    assert_int_equal(all.count, 0);
    assert_int_equal(word.others, 0);
    test_loop_done(all.loop);
    everything_end(&all);
}

/* What is reported. */

struct walk {
    struct everything *all;
    unsigned seen; /* a bit for each kind */
    int count;
    bool stop;
};

static void walk_seen(void *arg, const jg_started *started)
{
    struct walk *walk = arg;
    struct everything *all = walk->all;

    walk->count++;
    assert_ptr_equal(started->arg, &all->count);
    if (strcmp(started->kind, "call") == 0) {
        assert_ptr_equal(started->object, &all->call);
        assert_int_equal(started->number, -1);
        walk->seen |= 1;
    } else if (strcmp(started->kind, "timer") == 0) {
        assert_ptr_equal(started->object, &all->timer);
        assert_int_equal(started->number, -1);
        walk->seen |= 2;
    } else if (strcmp(started->kind, "watcher") == 0) {
        assert_ptr_equal(started->object, &all->watcher);
        assert_int_equal(started->number, all->fds[0]);
        walk->seen |= 4;
    } else if (strcmp(started->kind, "wake") == 0) {
        assert_ptr_equal(started->object, &all->wake);
        assert_int_equal(started->number, -1);
        walk->seen |= 8;
    } else if (strcmp(started->kind, "signal") == 0) {
        assert_ptr_equal(started->object, &all->signal);
        assert_int_equal(started->number, SIGUSR2);
        walk->seen |= 16;
    } else if (strcmp(started->kind, "child") == 0) {
        assert_ptr_equal(started->object, &all->child);
        assert_int_equal(started->number, all->pid);
        walk->seen |= 32;
    }
    assert_int_equal(started->ref, started->object != &all->signal);
    if (walk->stop) {
        if (started->object == &all->call) {
            jg_call_cancel(&all->call);
        } else if (started->object == &all->timer) {
            jg_timer_stop(&all->timer);
        } else if (started->object == &all->watcher) {
            jg_watcher_stop(&all->watcher);
        } else if (started->object == &all->wake) {
            jg_wake_stop(&all->wake);
        } else if (started->object == &all->signal) {
            jg_signal_stop(&all->signal);
        } else {
            jg_child_stop(&all->child);
        }
    }
}

static void a_walk_shows_every_kind_once_and_may_stop_it(void **state)
{
    unsigned flags;

    (void)state;
    for (flags = 0; flags <= JG_LOOP_REAP_ON_SIGCHLD; flags += JG_LOOP_REAP_ON_SIGCHLD) {
        struct everything all;
        struct walk walk = {.all = &all};

        everything_start(&all, test_loop(flags));
        jg_call_init(&all.call, test_count_call, &all.count);
        jg_call_soon(all.loop, &all.call);
        jg_handle_unref(&all.signal.handle);
        jg_loop_walk(all.loop, walk_seen, &walk);
        assert_int_equal(walk.count, 6);
        assert_int_equal(walk.seen, 63);

        walk = (struct walk){.all = &all, .stop = true};
        jg_loop_walk(all.loop, walk_seen, &walk);
        assert_int_equal(walk.count, 6);
        assert_false(jg_loop_alive(all.loop));
        walk = (struct walk){.all = &all};
        jg_loop_walk(all.loop, walk_seen, &walk);
        assert_int_equal(walk.count, 0);
        assert_int_equal(all.count, 0);
        test_loop_done(all.loop);
        everything_end(&all);
    }
}

struct census {
    jg_loop *loop;
    int calls, timers;
};

static void census_count(void *arg, const jg_started *started)
{
    struct census *census = arg;

    census->calls += strcmp(started->kind, "call") == 0;
    census->timers += strcmp(started->kind, "timer") == 0;
}

static void census_take(void *arg)
{
    struct census *census = arg;

    census->calls = 0;
    census->timers = 0;
    jg_loop_walk(census->loop, census_count, census);
}

static void a_walk_inside_a_callback_shows_what_this_turn_has_yet_to_run(void **state)
{
    struct census by_call = {test_loop(JG_LOOP_VIRTUAL_TIME), 0, 0}, by_timer = by_call;
    jg_loop *loop = by_call.loop;
    jg_timer first, due[40], later;
    jg_call calls[3];
    int count = 0, i;

    (void)state;
    jg_call_init(&calls[0], census_take, &by_call);
    jg_call_init(&calls[1], test_count_call, &count);
    jg_call_init(&calls[2], test_count_call, &count);
    for (i = 0; i < 3; i++) {
        jg_call_soon(loop, &calls[i]);
    }
    jg_timer_init(&first, census_take, &by_timer);
    jg_call_later(loop, &first, -1000);
    for (i = 0; i < 40; i++) {
        jg_timer_init(&due[i], test_count_call, &count);
        jg_call_later(loop, &due[i], i % 2 ? -i : i);
    }
    jg_timer_init(&later, test_count_call, &count);
    jg_call_later(loop, &later, JG_SECOND);
    assert_int_equal(jg_test_advance(loop, 100), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(by_call.calls, 2);
    assert_int_equal(by_call.timers, 42);
    assert_int_equal(by_timer.calls, 0);
    assert_int_equal(by_timer.timers, 41);
    assert_int_equal(count, 42);
    jg_timer_stop(&later);
    test_loop_done(loop);
}

struct reports {
    int leaks, others;
};

static void note_report(void *arg, int error, const char *what)
{
    struct reports *reports = arg;

    assert_non_null(what);
    assert_true(strlen(what) > 0);
    if (error == JG_ELEAKED) {
        reports->leaks++;
    } else {
        reports->others++;
    }
}

static void freeing_a_loop_reports_what_is_started_and_stops_it_without_its_callback(void **state)
{
    unsigned flags;

    (void)state;
    for (flags = 0; flags <= JG_LOOP_REAP_ON_SIGCHLD; flags += JG_LOOP_REAP_ON_SIGCHLD) {
        struct test_memory memory = {0};
        jg_allocator allocator = test_allocator(&memory);
        struct reports reports = {0, 0};
        jg_loop_options options = {.allocator = &allocator,
                                   .on_error = note_report,
                                   .on_error_arg = &reports,
                                   .flags = flags};
        struct sigaction before, after, chld_before, chld_after;
        int descriptors = test_open_descriptors();
        struct everything all;
        jg_loop *loop;

        assert_int_equal(sigaction(SIGUSR2, NULL, &before), 0);
        assert_int_equal(sigaction(SIGCHLD, NULL, &chld_before), 0);
        assert_int_equal(jg_loop_new(&options, &loop), 0);
        everything_start(&all, loop);
        jg_call_init(&all.call, test_count_call, &all.count);
        jg_call_soon(loop, &all.call);
        /* Some of them ready: they are not called either. */
        jg_wake_send(&all.wake);
        jg_call_later(loop, &all.timer, -1);
        assert_int_equal(raise(SIGUSR2), 0);
        jg_handle_unref(&all.watcher.handle); /* unreferenced is started all the same */

        assert_int_equal(jg_loop_free(loop), 6);
        assert_int_equal(reports.leaks, 6);
        assert_int_equal(reports.others, 0);
        assert_int_equal(all.count, 0);
        assert_false(jg_handle_started(&all.timer.handle));
        assert_false(jg_handle_started(&all.watcher.handle));
        assert_false(jg_handle_started(&all.wake.handle));
        assert_false(jg_handle_started(&all.signal.handle));
        assert_false(jg_handle_started(&all.child.handle));
        assert_false(jg_call_cancel(&all.call));
        everything_stop(&all); /* harmless now */
        assert_int_equal(memory.blocks, 0);
        assert_int_equal(sigaction(SIGUSR2, NULL, &after), 0);
        assert_int_equal(sigaction(SIGCHLD, NULL, &chld_after), 0);
        assert_true(before.sa_handler == after.sa_handler);
        assert_true(chld_before.sa_handler == chld_after.sa_handler);
        everything_end(&all);
        assert_int_equal(test_open_descriptors(), descriptors);
    }
}

static void leaks_are_counted_without_an_error_hook_too(void **state)
{
    jg_loop *loop;
    int count = 0;
    jg_timer timer;

    (void)state;
    assert_int_equal(jg_loop_new(NULL, &loop), 0);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, JG_SECOND);
    assert_int_equal(jg_loop_free(loop), 1);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_that_does_not_exist_is_refused),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(the_environment_names_the_backend_and_the_options_come_first),
        cmocka_unit_test(zeroed_options_and_none_are_valid),
        cmocka_unit_test(freeing_no_loop_does_nothing),
        cmocka_unit_test(a_loop_gives_back_its_descriptors),
        cmocka_unit_test(descriptors_0_to_2_closed_at_start_are_not_taken_for_internal_ones),
        cmocka_unit_test(a_loop_with_nothing_to_do_returns_at_once),
        cmocka_unit_test(one_turn_tells_whether_something_is_left),
        cmocka_unit_test(a_run_inside_a_run_is_refused_but_not_of_another_loop),
        cmocka_unit_test(stop_ends_the_run_after_the_turn_and_a_later_run_goes_on),
        cmocka_unit_test(stop_before_a_run_makes_it_one_turn_that_does_not_wait),
        cmocka_unit_test(a_turn_that_was_stopped_returns_0_and_the_next_does_not),
        cmocka_unit_test(a_stop_in_the_last_turn_does_not_linger),
        cmocka_unit_test(objects_that_are_not_referenced_do_not_keep_the_loop_running),
        cmocka_unit_test(stopping_in_any_state_of_reference_leaves_the_count_right),
        cmocka_unit_test(an_unreferenced_timer_fires_while_others_keep_the_loop_running),
        cmocka_unit_test(a_turn_runs_calls_then_wakes_and_signals_then_descriptors_then_timers),
        cmocka_unit_test(the_time_of_a_turn_stands_still_while_the_clock_goes_on),
        cmocka_unit_test(the_clock_is_never_behind_the_time_of_the_turn),
        cmocka_unit_test(a_descriptor_may_stop_a_timer_that_is_due_in_the_same_turn),
        cmocka_unit_test(a_callback_may_stop_and_forget_ready_objects_of_every_kind),
        cmocka_unit_test(a_walk_shows_every_kind_once_and_may_stop_it),
        cmocka_unit_test(a_walk_inside_a_callback_shows_what_this_turn_has_yet_to_run),
        cmocka_unit_test(freeing_a_loop_reports_what_is_started_and_stops_it_without_its_callback),
        cmocka_unit_test(leaks_are_counted_without_an_error_hook_too),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
