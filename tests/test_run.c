/* SPDX-License-Identifier: MIT
 *
 * Whole programs: jg_run, its results and signals; and runs on a loop of one's own.
 */
#include "ledger.h"
#include "support.h"

#include "core/loop.h"

#include <juggle/coro.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const jg_loop_options virtual_time = {.flags = JG_LOOP_VIRTUAL_TIME};
static const jg_run_options in_virtual_time = {.loop = &virtual_time};

static int return_it(void *arg)
{
    int r = jg_sleep(10);

    return r < 0 ? r : *(int *)arg;
}

static void run_returns_what_main_returned(void **state)
{
    int results[] = {0, 5, INT32_MAX, -EIO, -ECANCELED};

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(jg_run(return_it, &results[i], &in_virtual_time), results[i]);
        assert_int_equal(jg_run(return_it, &results[i], NULL), results[i]);
        assert_null(jg_task_current());
    }
}

/* Main spawns another in the root scope and goes on, or not. */
struct pair {
    jg_time delay;
    int result; /* of the other */
    jg_time main_delay;
    int main_status; /* of its sleep */
    int other_status;
    bool other_began;
};

static int other(void *arg)
{
    struct pair *pair = arg;

    pair->other_began = true;
    pair->other_status = jg_sleep(pair->delay);
    return pair->other_status < 0 ? pair->other_status : pair->result;
}

static int main_of_pair(void *arg)
{
    struct pair *pair = arg;
    int r = jg_spawn(jg_task_current()->scope, other, pair, NULL);

    if (r < 0)
        return r;
    pair->main_status = jg_sleep(pair->main_delay);
    return pair->main_status < 0 ? pair->main_status : 3;
}

static void run_waits_for_what_main_left_behind(void **state)
{
    struct pair pair = {.delay = 100, .main_delay = 10, .other_status = 1};

    (void)state;
    assert_int_equal(jg_run(main_of_pair, &pair, &in_virtual_time), 3);
    assert_int_equal(pair.other_status, 0);
}

static void run_returns_the_first_error_of_a_coroutine_in_the_root_scope(void **state)
{
    struct pair before = {.delay = 10, .result = -EIO, .main_delay = 100};
    struct pair after = {.delay = 100, .result = -EIO, .main_delay = 10};

    (void)state;
    assert_int_equal(jg_run(main_of_pair, &before, &in_virtual_time), -EIO);
    assert_int_equal(before.main_status, -ECANCELED);
    assert_int_equal(jg_run(main_of_pair, &after, &in_virtual_time), -EIO);
    assert_int_equal(after.main_status, 0);
}

static void run_reports_that_it_cannot_make_a_loop(void **state)
{
    const jg_loop_options loop = {.backend = "abacus"};
    int result = 0;

    (void)state;
    assert_int_equal(jg_run(return_it, &result, &(jg_run_options){.loop = &loop}), -ENOTSUP);
}

static int leave_one_deadlocked(void *arg)
{
    int r = jg_spawn(jg_task_current()->scope, wait_for_nobody, arg, NULL);

    return r < 0 ? r : 3;
}

static void tasks_that_nothing_can_wake_are_cancelled_and_reported_as_a_deadlock(void **state)
{
    struct ledger ledger = {0};

    (void)state;
    assert_int_equal(jg_run(wait_for_nobody, &ledger, NULL), JG_EDEADLOCK);
    assert_int_equal(ledger.held, 0);
    assert_int_equal(ledger.released, 1);
    assert_int_equal(jg_run(leave_one_deadlocked, &ledger, &in_virtual_time), JG_EDEADLOCK);
    assert_int_equal(ledger.held, 0);
    assert_int_equal(ledger.released, 2);
}

static int wait_for_nobody_for_ever(void *arg)
{
    return jg_wait_for(wait_for_nobody, arg, JG_FOREVER);
}

static int take_the_deadline_away(void *arg)
{
    jg_scope scope;

    jg_scope_enter(&scope, &(jg_scope_options){.timeout = JG_SECOND});
    jg_scope_reschedule(&scope, JG_FOREVER);
    return jg_scope_leave(&scope, wait_for_nobody(arg));
}

static void a_deadline_that_never_comes_does_not_hide_a_deadlock(void **state)
{
    struct ledger ledger = {0};

    (void)state;
    assert_int_equal(jg_run(wait_for_nobody_for_ever, &ledger, NULL), JG_EDEADLOCK);
    assert_int_equal(jg_run(take_the_deadline_away, &ledger, NULL), JG_EDEADLOCK);
    assert_int_equal(ledger.held, 0);
    assert_int_equal(ledger.released, 2);
}

/* Main that gets signals while it and its children hold something. */
struct signalled {
    struct ledger ledger;
    int signo;
    int status; /* of the sleep that the signal cuts */
};

static int hold_long(void *arg)
{
    struct holding holding;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, arg);
    return jg_scope_leave(&scope, jg_sleep(3600 * JG_SECOND));
}

static int signal_self(void *arg)
{
    struct signalled *signalled = arg;
    struct holding holding;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, &signalled->ledger);
    test_check(jg_spawn(&scope, hold_long, &signalled->ledger, NULL) == 0);
    test_check(jg_sleep(0) == 0);
    raise(signalled->signo);
    signalled->status = jg_sleep(3600 * JG_SECOND);
    return jg_scope_leave(&scope, signalled->status);
}

static void the_first_signal_cancels_main_which_cleans_up(void **state)
{
    const int signos[2] = {SIGINT, SIGTERM};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct signalled signalled = {.signo = signos[i], .status = 1};

        assert_int_equal(jg_run(signal_self, &signalled, &in_virtual_time), -ECANCELED);
        assert_int_equal(signalled.status, -ECANCELED);
        assert_int_equal(signalled.ledger.held, 0);
        assert_int_equal(signalled.ledger.released, 2);
    }
}

static int ignore_cancellation(void *arg)
{
    (void)arg;
    return jg_sleep(JG_SECOND);
}

/* Main that a thread sends a signal while the loop sleeps; it goes on as if nothing were. */
static void *send_signal(void *arg)
{
    const struct timespec delay = {.tv_nsec = 20 * 1000 * 1000};

    (void)arg;
    (void)nanosleep(&delay, NULL);
    kill(getpid(), SIGINT);
    return NULL;
}

static int sleep_in_real_time(void *arg)
{
    pthread_t thread;
    int *status = arg;

    test_check(pthread_create(&thread, NULL, send_signal, NULL) == 0);
    *status = jg_sleep(3600 * JG_SECOND);
    test_check(pthread_join(thread, NULL) == 0);
    return 9;
}

static void a_signal_wakes_a_run_that_sleeps_and_main_keeps_its_result(void **state)
{
    int status = 1;

    (void)state;
    assert_int_equal(jg_run(sleep_in_real_time, &status, NULL), 9);
    assert_int_equal(status, -ECANCELED);
}

static int signal_self_twice(void *arg)
{
    int signo = *(int *)arg;

    raise(signo);
    test_check(jg_shield(ignore_cancellation, NULL) == 0);
    test_check(jg_scope_cancelled(jg_task_current()->scope));
    raise(signo);
    (void)jg_shield(ignore_cancellation, NULL);
    return 0;
}

static void run_signalled_twice(void *arg)
{
    (void)signal(*(int *)arg, SIG_DFL);
    (void)jg_run(signal_self_twice, arg, &in_virtual_time);
}

static void the_second_signal_ends_the_program_as_that_signal_does(void **state)
{
    const int signos[2] = {SIGINT, SIGTERM};

    (void)state;
    for (int i = 0; i < 2; i++) {
        int signo = signos[i], status;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            run_signalled_twice(&signo);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signo);
    }
}

static volatile sig_atomic_t handled;

static void handle(int signo)
{
    (void)signo;
    handled++;
}

static int raise_and_sleep(void *arg)
{
    (void)arg;
    raise(SIGINT);
    return jg_sleep(10);
}

static void signals_are_as_before_after_a_run_and_left_alone_if_so_asked(void **state)
{
    const jg_run_options no_signals = {.loop = &virtual_time, .no_signals = true};
    struct sigaction action = {.sa_handler = handle}, before, after;

    (void)state;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGINT, &action, &before), 0);
    handled = 0;
    assert_int_equal(jg_run(raise_and_sleep, NULL, &in_virtual_time), -ECANCELED);
    assert_int_equal(handled, 0);
    assert_int_equal(jg_run(raise_and_sleep, NULL, &no_signals), 0);
    assert_int_equal(handled, 1);
    assert_int_equal(sigaction(SIGINT, &before, &after), 0);
    assert_true(after.sa_handler == handle);
}

static void runs_leave_no_descriptor_open(void **state)
{
    struct ledger ledger = {0};
    int result = 0, before;

    (void)state;
    (void)jg_run(return_it, &result, NULL); /* the first may open what stays */
    before = test_open_descriptors();
    for (int i = 0; i < 5; i++) {
        (void)jg_run(return_it, &result, NULL);
        (void)jg_run(wait_for_nobody, &ledger, NULL);
    }
    assert_int_equal(test_open_descriptors(), before);
}

struct leaker {
    jg_timer timer;
    int reports;
    int error;
};

static int leak_a_timer(void *arg)
{
    struct leaker *leaker = arg;

    jg_timer_init(&leaker->timer, test_count_call, &leaker->reports);
    jg_call_later(jg_task_loop(jg_task_current()), &leaker->timer, 3600 * JG_SECOND);
    return 0;
}

static void note_leak(void *arg, int error, const char *what)
{
    struct leaker *leaker = arg;

    (void)what;
    leaker->reports++;
    leaker->error = error;
}

static void what_is_still_started_at_the_end_of_a_run_goes_to_the_error_hook(void **state)
{
    struct leaker leaker = {.reports = 0};
    const jg_loop_options loop = {.on_error = note_leak, .on_error_arg = &leaker};

    (void)state;
    assert_int_equal(jg_run(leak_a_timer, &leaker, &(jg_run_options){.loop = &loop}), 0);
    assert_int_equal(leaker.reports, 1);
    assert_int_equal(leaker.error, JG_ELEAKED);
}

/* A root scope, and whether it was left. */
struct trial {
    jg_scope root;
    jg_op left;
    bool ended;
};

static void trial_ended(void *arg)
{
    struct trial *trial = arg;

    trial->ended = true;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 4;
}

static void a_spawn_without_memory_changes_nothing_and_can_be_repeated(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct test_memory *memory = test_loop_memory(loop);
        struct trial trial = {.ended = false};
        int status = 12345, r;

        jg_scope_open(&trial.root, loop, NULL, NULL);
        jg_op_init(&trial.left, loop, trial_ended, &trial);
        memory->fail_at = memory->calls + n;
        r = jg_spawn(&trial.root, do_nothing, NULL, &(jg_spawn_options){.ret_status = &status});
        memory->fail_at = 0;
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(trial.root.running, 0);
            assert_int_equal(jg_loop_run(loop), 0);
            assert_int_equal(status, 12345);
            assert_int_equal(
                jg_spawn(&trial.root, do_nothing, NULL, &(jg_spawn_options){.ret_status = &status}),
                0);
        }
        jg_scope_close(&trial.root, 0, &trial.left);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_true(trial.ended);
        assert_int_equal(status, 4);
        test_loop_done(loop);
        if (r == 0) {
            assert_true(n > 1);
            return;
        }
    }
}

/* A loop of one's own that does other things as well. */
struct own {
    jg_timer every;
    int ticks;
};

static void a_run_on_a_loop_of_ones_own_leaves_what_else_is_on_it_going(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct own own = {.ticks = 0};
    int result = 7, status = 12345;

    (void)state;
    jg_timer_init(&own.every, test_count_call, &own.ticks);
    assert_int_equal(jg_call_every(loop, &own.every, 4), 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(jg_run_until_complete(loop, return_it, &result,
                                               &(jg_spawn_options){.ret_status = &status}),
                         7);
        assert_int_equal(status, 7);
        assert_int_equal(own.ticks, i * 10 / 4);
        assert_true(jg_handle_started(&own.every.handle));
        assert_null(jg_task_current());
    }
    jg_timer_stop(&own.every);
    test_loop_done(loop);
}

static void a_run_on_a_loop_of_ones_own_ends_as_any_run_does(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct pair left_behind = {.delay = 100, .main_delay = 10, .other_status = 1};
    struct pair failing = {.delay = 10, .result = -EIO, .main_delay = 100};
    struct ledger ledger = {0};

    (void)state;
    assert_int_equal(jg_run_until_complete(loop, main_of_pair, &left_behind, NULL), 3);
    assert_int_equal(left_behind.other_status, 0);
    assert_int_equal(jg_run_until_complete(loop, main_of_pair, &failing, NULL), -EIO);
    assert_int_equal(jg_run_until_complete(loop, wait_for_nobody, &ledger, NULL), JG_EDEADLOCK);
    assert_int_equal(ledger.held, 0);
    test_loop_done(loop);
}

static void stop_loop(void *arg)
{
    jg_loop_stop(arg);
}

static void stopping_the_loop_cancels_what_runs_on_it(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int result = 7;
    jg_timer timer;

    (void)state;
    jg_timer_init(&timer, stop_loop, loop);
    jg_call_later(loop, &timer, 5);
    assert_int_equal(jg_run_until_complete(loop, return_it, &result, NULL), -ECANCELED);
    assert_true(jg_loop_now(loop) == 5);
    test_loop_done(loop);
}

struct nested {
    jg_loop *loop;
    jg_call call;
    int status;
};

static void run_inside(void *arg)
{
    struct nested *nested = arg;
    int result = 7;

    nested->status = jg_run_until_complete(nested->loop, return_it, &result, NULL);
}

static void a_run_inside_a_callback_of_its_loop_is_refused(void **state)
{
    struct nested nested = {.loop = test_loop(JG_LOOP_VIRTUAL_TIME)};

    (void)state;
    jg_call_init(&nested.call, run_inside, &nested);
    jg_call_soon(nested.loop, &nested.call);
    assert_int_equal(jg_loop_run(nested.loop), 0);
    assert_int_equal(nested.status, -EBUSY);
    test_loop_done(nested.loop);
}

static void a_run_that_cannot_begin_leaves_nothing_on_the_loop(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    const jg_spawn_options huge = {.stack_size = SIZE_MAX / 2};
    int result = 7;

    (void)state;
    assert_int_equal(jg_run_until_complete(loop, return_it, &result, &huge), -EINVAL);
    assert_true(jg__list_empty(&loop->roots));
    assert_int_equal(jg_run_until_complete(loop, return_it, &result, NULL), 7);
    test_loop_done(loop);
}

static int stop_and_wait_for_ever(void *arg)
{
    jg_future never = {.done = false};

    (void)arg;
    jg_loop_stop(jg_task_loop(jg_task_current()));
    return jg_future_wait(&never);
}

static void a_stopped_loop_is_no_deadlock(void **state)
{
    (void)state;
    assert_int_equal(jg_run(stop_and_wait_for_ever, NULL, NULL), -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_returns_what_main_returned),
        cmocka_unit_test(run_waits_for_what_main_left_behind),
        cmocka_unit_test(run_returns_the_first_error_of_a_coroutine_in_the_root_scope),
        cmocka_unit_test(run_reports_that_it_cannot_make_a_loop),
        cmocka_unit_test(tasks_that_nothing_can_wake_are_cancelled_and_reported_as_a_deadlock),
        cmocka_unit_test(a_deadline_that_never_comes_does_not_hide_a_deadlock),
        cmocka_unit_test(the_first_signal_cancels_main_which_cleans_up),
        cmocka_unit_test(a_signal_wakes_a_run_that_sleeps_and_main_keeps_its_result),
        cmocka_unit_test(the_second_signal_ends_the_program_as_that_signal_does),
        cmocka_unit_test(signals_are_as_before_after_a_run_and_left_alone_if_so_asked),
        cmocka_unit_test(runs_leave_no_descriptor_open),
        cmocka_unit_test(what_is_still_started_at_the_end_of_a_run_goes_to_the_error_hook),
        cmocka_unit_test(a_run_on_a_loop_of_ones_own_leaves_what_else_is_on_it_going),
        cmocka_unit_test(a_run_on_a_loop_of_ones_own_ends_as_any_run_does),
        cmocka_unit_test(stopping_the_loop_cancels_what_runs_on_it),
        cmocka_unit_test(a_run_inside_a_callback_of_its_loop_is_refused),
        cmocka_unit_test(a_spawn_without_memory_changes_nothing_and_can_be_repeated),
        cmocka_unit_test(a_run_that_cannot_begin_leaves_nothing_on_the_loop),
        cmocka_unit_test(a_stopped_loop_is_no_deadlock),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
