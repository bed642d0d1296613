/* SPDX-License-Identifier: MIT
 *
 * Whole programs: jg_run, its results and signals; and scenarios over every combinator, which are
 * cancelled at each turn, and run with each allocation failing, one after the other.
 */
#include "support.h"

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

/* Resources that the scenarios below hold. */
struct ledger {
    int held;
    int released;
};

struct holding {
    jg_defer defer;
    struct ledger *ledger;
};

static void release(void *arg)
{
    struct holding *holding = arg;

    (void)jg_sleep(3); /* it is shielded */
    holding->ledger->held--;
    holding->ledger->released++;
}

static void hold(struct holding *holding, jg_scope *scope, struct ledger *ledger)
{
    ledger->held++;
    holding->ledger = ledger;
    jg_scope_defer(scope, &holding->defer, release, holding);
}

static int wait_for_nobody(void *arg)
{
    jg_future never = {.done = false};
    struct holding holding;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, arg);
    return jg_scope_leave(&scope, jg_future_wait(&never));
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

/*
 * Scenarios. Each is a coroutine that holds things, waits in some combination, and returns 0 if
 * nothing disturbs it. It must release what it holds however it is disturbed.
 */

static int hold_and_sleep(void *arg)
{
    struct holding first, second;
    jg_scope scope;
    int r = 0;

    jg_scope_enter(&scope, NULL);
    hold(&first, &scope, arg);
    for (int i = 0; i < 3 && r == 0; i++)
        r = jg_sleep(5 * i);
    if (r == 0) {
        hold(&second, &scope, arg);
        r = jg_sleep(5);
    }
    return jg_scope_leave(&scope, r);
}

static int hold_and_fail(void *arg)
{
    int r = hold_and_sleep(arg);

    return r < 0 ? r : -EIO;
}

static int gather_all(void *arg)
{
    jg_job jobs[3] = {
        {hold_and_sleep, arg, 0}, {hold_and_sleep, arg, 0}, {ignore_cancellation, NULL, 0}};

    return jg_gather(jobs, 3, JG_FAIL_FAST);
}

static int gather_failing(void *arg)
{
    jg_job jobs[3] = {{hold_and_sleep, arg, 0}, {hold_and_fail, arg, 0}, {wait_for_nobody, arg, 0}};
    int r = jg_gather(jobs, 3, JG_FAIL_FAST);

    return r == -EIO ? 0 : r;
}

static int gather_keeping_going(void *arg)
{
    jg_job jobs[3] = {{hold_and_sleep, arg, 0}, {hold_and_fail, arg, 0}, {gather_failing, arg, 0}};

    return jg_gather(jobs, 3, JG_KEEP_GOING);
}

static int gather_first(void *arg)
{
    jg_job jobs[3] = {{wait_for_nobody, arg, 0}, {hold_and_fail, arg, 0}, {gather_all, arg, 0}};

    return jg_gather(jobs, 3, JG_FIRST_WINS);
}

static int time_out(void *arg)
{
    int r = jg_wait_for(wait_for_nobody, arg, 20);

    return r == -ETIMEDOUT ? jg_wait_for(hold_and_sleep, arg, 1000) : r;
}

static int time_out_inside(void *arg)
{
    return jg_wait_for(time_out, arg, 30) < 0 ? jg_sleep(5) : 0;
}

static int be_shielded(void *arg)
{
    int r = jg_shield(hold_and_sleep, arg);

    return r < 0 ? r : jg_wait_for(hold_and_sleep, arg, JG_SECOND);
}

static int limit_a_shield(void *arg)
{
    return jg_wait_for(be_shielded, arg, 7) == -ETIMEDOUT ? 0 : jg_sleep(1);
}

static int ignore_everything(void *arg)
{
    jg_future set = {.done = true};

    for (int i = 0; i < 5; i++) {
        (void)hold_and_sleep(arg);
        (void)jg_sleep(0);
        (void)jg_future_wait(&set);
    }
    return 0;
}

/* Two that wait for each other in turn. */
struct exchange {
    jg_future ping, pong;
    struct ledger *ledger;
};

static int answer(void *arg)
{
    struct exchange *exchange = arg;
    int r = jg_future_wait(&exchange->ping);

    if (r == 0)
        r = hold_and_sleep(exchange->ledger);
    (void)jg_future_set(&exchange->pong, r);
    return r;
}

static int ask(void *arg)
{
    struct exchange exchange = {.ledger = arg};
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, answer, &exchange, NULL);
    if (r == 0)
        r = jg_sleep(5);
    if (r == 0) {
        (void)jg_future_set(&exchange.ping, 0);
        r = jg_future_wait(&exchange.pong);
    }
    return jg_scope_leave(&scope, r);
}

/* A step task that holds something in a scope, and the coroutine that joins it. */
struct stepper {
    jg_task task;
    jg_scope scope;
    jg_sleeper sleeper;
    jg_defer defer;
    struct ledger *ledger;
    int phase;
};

static void release_at_once(void *arg)
{
    struct ledger *ledger = arg;

    ledger->held--;
    ledger->released++;
}

static int hold_in_steps(jg_task *task, void *arg, int status)
{
    struct stepper *stepper = arg;

    if (stepper->phase == 0) {
        jg_scope_open(&stepper->scope, jg_task_loop(task), task, NULL);
        stepper->ledger->held++;
        jg_scope_defer(&stepper->scope, &stepper->defer, release_at_once, stepper->ledger);
    }
    if (stepper->phase < 4 && status == 0) {
        stepper->phase++;
        status = jg_sleep_start(&stepper->sleeper, 5 * stepper->phase, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
    if (stepper->phase < 5) {
        stepper->phase = 5;
        jg_scope_close(&stepper->scope, status, jg_task_op(task));
        return JG_PENDING;
    }
    return status;
}

static int join_steps(void *arg)
{
    struct stepper steppers[2];
    jg_scope scope;
    int r = 0;

    jg_scope_enter(&scope, NULL);
    for (int i = 0; i < 2 && r == 0; i++) {
        steppers[i] = (struct stepper){.ledger = arg};
        jg_task_init(&steppers[i].task, "stepper", hold_in_steps, &steppers[i]);
        r = jg_task_spawn(&scope, &steppers[i].task, NULL);
        if (r == 0)
            r = jg_sleep(1);
    }
    return jg_scope_leave(&scope, r);
}

/* Each spawns two, down to a depth. */
struct branch {
    struct ledger *ledger;
    int depth;
};

static int branch_out(void *arg)
{
    struct branch *branch = arg;
    struct branch below = {branch->ledger, branch->depth - 1};
    struct holding holding;
    jg_scope scope;
    int r = 0;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, branch->ledger);
    for (int i = 0; i < 2 && r == 0 && branch->depth > 0; i++) {
        r = jg_spawn(&scope, branch_out, &below, NULL);
        if (r == 0)
            r = jg_sleep(i);
    }
    return jg_scope_leave(&scope, r);
}

static int grow_a_tree(void *arg)
{
    struct branch root = {arg, 3};

    return branch_out(&root);
}

static int spend_the_budget(void *arg)
{
    jg_future set = {.done = true};
    int r = 0;

    (void)arg;
    for (int i = 0; i < 1000 && r == 0; i++)
        r = jg_future_wait(&set);
    return r;
}

static int cancel_own_scope(void *arg)
{
    struct holding holding;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, arg);
    (void)jg_spawn(&scope, hold_and_sleep, arg, NULL);
    (void)jg_sleep(6);
    jg_scope_cancel(&scope);
    return jg_scope_leave(&scope, jg_sleep(6));
}

static const struct scenario {
    const char *name;
    jg_coro_fn fn;
} scenarios[] = {
    {"sleep", hold_and_sleep},
    {"gather", gather_all},
    {"gather, one failing", gather_failing},
    {"gather, keeping going", gather_keeping_going},
    {"gather, first wins", gather_first},
    {"wait_for", time_out},
    {"wait_for inside wait_for", time_out_inside},
    {"shield", be_shielded},
    {"shield inside wait_for", limit_a_shield},
    {"future", ask},
    {"step tasks", join_steps},
    {"a tree", grow_a_tree},
    {"ready ops", spend_the_budget},
    {"cancelled by itself", cancel_own_scope},
    {"cancellation ignored", ignore_everything},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* How a scenario is disturbed after some turns. */
enum way { BEFORE_A_TURN, INSIDE_A_TURN, BY_DEADLINE, WAYS };

struct trial {
    jg_scope root;
    jg_op left;
    jg_call call;
    struct ledger ledger;
    bool ended;
};

static void trial_ended(void *arg)
{
    struct trial *trial = arg;

    trial->ended = true;
}

static void cancel_trial(void *arg)
{
    struct trial *trial = arg;

    jg_scope_cancel(&trial->root);
}

/* Run a scenario and disturb it after `turns`. Returns whether it had ended before. */
static bool try(const struct scenario *scenario, int turns, enum way way)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct trial trial = {.ended = false};
    int status = 12345;
    bool before;

    jg_scope_open(&trial.root, loop, NULL, NULL);
    jg_op_init(&trial.left, loop, trial_ended, &trial);
    assert_int_equal(jg_spawn(&trial.root, scenario->fn, &trial.ledger,
                              &(jg_spawn_options){.ret_status = &status}),
                     0);
    jg_scope_close(&trial.root, 0, &trial.left);
    for (int i = 0; i < turns && !trial.ended; i++)
        (void)jg_loop_run_once(loop, -1);
    before = trial.ended;

    jg_call_init(&trial.call, cancel_trial, &trial);
    if (way == BEFORE_A_TURN)
        jg_scope_cancel(&trial.root);
    else if (way == INSIDE_A_TURN)
        jg_call_soon(loop, &trial.call);
    else
        jg_scope_reschedule(&trial.root, jg_loop_now(loop));
    (void)jg_loop_run(loop);

    if (!trial.ended || trial.root.running > 0 || trial.ledger.held != 0)
        fail_msg("%s, disturbed after %d turns: ended %d, running %u, held %d", scenario->name,
                 turns, trial.ended, trial.root.running, trial.ledger.held);
    assert_ptr_equal(trial.root.scopes.next, &trial.root.scopes);
    assert_int_not_equal(status, 12345);
    if (before)
        assert_int_equal(status, 0);
    test_loop_done(loop);
    return before;
}

static void cancelled_at_any_turn_every_combinator_ends_and_releases_all(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        for (enum way way = 0; way < WAYS; way++) {
            int turns = 0;

            while (!try(&scenarios[i], turns, way)) {
                turns++;
                assert_true(turns < 1000);
            }
            assert_true(turns > 1);
        }
    }
}

/* Run a scenario with the n-th allocation failing. Returns whether there were as many. */
static bool run_short_of_memory(const struct scenario *scenario, long n)
{
    struct test_memory memory = {.fail_at = n};
    const jg_allocator allocator = test_allocator(&memory);
    const jg_loop_options loop = {.flags = JG_LOOP_VIRTUAL_TIME, .allocator = &allocator};
    struct ledger ledger = {0};
    bool failed;
    int r;

    r = jg_run(scenario->fn, &ledger, &(jg_run_options){.loop = &loop});
    failed = memory.calls >= n;
    if (ledger.held != 0 || memory.blocks != 0 || (r != 0 && !(failed && r == -ENOMEM)))
        fail_msg("%s, allocation %ld failing: %d, held %d, %d blocks", scenario->name, n, r,
                 ledger.held, (int)memory.blocks);
    return failed;
}

static void with_any_allocation_failing_a_run_ends_in_order_and_releases_all(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        long n = 1;

        while (run_short_of_memory(&scenarios[i], n))
            n++;
        assert_true(n > 1);
    }
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
        cmocka_unit_test(cancelled_at_any_turn_every_combinator_ends_and_releases_all),
        cmocka_unit_test(with_any_allocation_failing_a_run_ends_in_order_and_releases_all),
        cmocka_unit_test(a_spawn_without_memory_changes_nothing_and_can_be_repeated),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
