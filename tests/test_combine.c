/* SPDX-License-Identifier: MIT
 *
 * Scenarios over every combinator, disturbed in every way that the test kit has. Each is a
 * coroutine that holds things, waits in some combination, and returns 0 if nothing disturbs it. It
 * must release what it holds however it is disturbed.
 */
#include "ledger.h"
#include "support.h"

#include <juggle/test_kit.h>

static int ignore_cancellation(void *arg)
{
    (void)arg;
    return jg_sleep(JG_SECOND);
}

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

/* More at once than there are stacks without asking for memory again. */
enum { MANY = 100 };

static int sleep_briefly(void *arg)
{
    (void)arg;
    return jg_sleep(5);
}

static int gather_many(void *arg)
{
    jg_job jobs[MANY];
    int r;

    (void)arg;
    for (int i = 0; i < MANY; i++)
        jobs[i] = (jg_job){.fn = sleep_briefly};
    r = jg_gather(jobs, MANY, JG_FAIL_FAST);
    for (int i = 0; i < MANY && r == 0; i++)
        r = jobs[i].status < 0 ? -EPROTO : 0; /* not all were run, and nobody said so */
    return r;
}

static int take_many(void *arg)
{
    jg_as_completed each;
    jg_job jobs[MANY];
    int taken = 0, r;

    (void)arg;
    for (int i = 0; i < MANY; i++)
        jobs[i] = (jg_job){.fn = sleep_briefly};
    jg_as_completed_begin(&each, jobs, MANY);
    while (jg_as_completed_next(&each) != NULL)
        taken++;
    r = jg_as_completed_end(&each);
    return r == 0 && taken < MANY ? -EPROTO : r;
}

/* Everything taken, and ended early. */
static int take_jobs(void *arg)
{
    jg_job jobs[3] = {{hold_and_sleep, arg, 0}, {hold_and_fail, arg, 0}, {gather_failing, arg, 0}};
    jg_as_completed each;
    int taken = 0;

    jg_as_completed_begin(&each, jobs, 3);
    while (jg_as_completed_next(&each) != NULL) {
        taken++;
        (void)jg_sleep(taken * 15);
    }
    test_check(taken == 3 || jg_scope_cancelled(&each.scope) || each.error < 0);
    return jg_as_completed_end(&each);
}

static int take_the_first_job(void *arg)
{
    jg_job jobs[3] = {
        {wait_for_nobody, arg, 0}, {hold_and_sleep, arg, 0}, {hold_and_sleep, arg, 0}};
    jg_as_completed each;

    jg_as_completed_begin(&each, jobs, 3);
    (void)jg_as_completed_next(&each);
    return jg_as_completed_end(&each);
}

/* Two sleeps and a future that nobody sets, waited for together. */
static int wait_for_several(void *arg)
{
    jg_future never = {.done = false};
    jg_sleeper sleepers[2];
    struct holding holding;
    jg_op ops[3];
    jg_op *const all[3] = {&ops[0], &ops[1], &ops[2]};
    jg_scope scope;
    int r = 0;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, arg);
    for (int i = 0; i < 3; i++)
        jg_op_self(&ops[i]);
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_sleep_start(&sleepers[i], 10 * (i + 1), &ops[i]);
    if (r == 0)
        r = jg_future_wait_start(&never, &ops[2]);
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_wait(all + i, (size_t)(3 - i), JG_FIRST_COMPLETED);
    for (int i = 0; i < 3; i++) {
        jg_op_cancel(&ops[i]);
        if (jg_op_pending(&ops[i]))
            (void)jg_await(&ops[i]);
    }
    return jg_scope_leave(&scope, r);
}

static const struct scenario {
    const char *name;
    jg_coro_fn fn;
    int error; /* it may end with, too, when it was disturbed */
} scenarios[] = {
    {"sleep", hold_and_sleep, 0},
    {"gather", gather_all, 0},
    {"gather, one failing", gather_failing, 0},
    {"gather, keeping going", gather_keeping_going, 0},
    {"gather, first wins", gather_first, -EIO},
    {"wait_for", time_out, 0},
    {"wait_for inside wait_for", time_out_inside, 0},
    {"shield", be_shielded, 0},
    {"shield inside wait_for", limit_a_shield, 0},
    {"future", ask, 0},
    {"step tasks", join_steps, 0},
    {"a tree", grow_a_tree, 0},
    {"ready ops", spend_the_budget, 0},
    {"cancelled by itself", cancel_own_scope, 0},
    {"cancellation ignored", ignore_everything, 0},
    {"as_completed", take_jobs, 0},
    {"as_completed, ended early", take_the_first_job, 0},
    {"gather of many", gather_many, 0},
    {"as_completed of many", take_many, 0},
    {"wait for several", wait_for_several, 0},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* Those of many coroutines are for allocations that fail; elsewhere they only take long. */
static bool is_too_slow(const struct scenario *scenario)
{
    return test_is_slow() && (scenario->fn == gather_many || scenario->fn == take_many);
}

/* A scenario and the error that its disturbances may end it with. */
struct trial {
    struct ledger ledger; /* first: it is the argument of the scenario */
    const struct scenario *scenario;
    int error;
};

static void setup(void *arg, const jg_allocator *allocator)
{
    struct trial *trial = arg;

    (void)allocator;
    trial->ledger = (struct ledger){0};
}

static bool is_in_order(void *arg, int status)
{
    const struct trial *trial = arg;

    if (trial->ledger.held != 0)
        return false;
    return status == 0 || status == trial->error || status == trial->scenario->error;
}

static void try_each(int (*each)(jg_coro_fn fn, void *arg, const jg_test_options *options),
                     int error)
{
    const jg_test_options options = {
        .setup = setup, .check = is_in_order, .seeds = test_is_slow() ? 10 : 100};

    for (int i = 0; i < SCENARIOS; i++) {
        struct trial trial = {.scenario = &scenarios[i], .error = error};
        int n = 0;

        if (each == jg_test_fail_each || !is_too_slow(&scenarios[i]))
            n = each(scenarios[i].fn, &trial, &options);
        if (n != 0)
            fail_msg("%s: %d", scenarios[i].name, n);
    }
}

static void cancelled_at_any_point_every_combinator_ends_and_releases_all(void **state)
{
    (void)state;
    try_each(jg_test_cancel_each, -ECANCELED);
}

static void with_any_allocation_failing_every_combinator_ends_and_releases_all(void **state)
{
    (void)state;
    try_each(jg_test_fail_each, -ENOMEM);
}

static void in_any_order_of_what_is_ready_every_combinator_ends_as_usual(void **state)
{
    (void)state;
    try_each(jg_test_shuffle_each, 0);
}

struct limited {
    struct trial *trial;
    jg_time limit;
};

static int in_time(void *arg)
{
    const struct limited *limited = arg;

    return jg_wait_for(limited->trial->scenario->fn, limited->trial, limited->limit);
}

static void cut_short_at_any_time_every_combinator_ends_and_releases_all(void **state)
{
    const jg_loop_options virtual_time = {.flags = JG_LOOP_VIRTUAL_TIME};

    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        for (jg_time limit = 1; limit < 120 && !is_too_slow(&scenarios[i]); limit++) {
            struct trial trial = {.scenario = &scenarios[i], .error = -ETIMEDOUT};
            jg_loop *loop = test_loop_with(virtual_time);
            int r = jg_run_until_complete(loop, in_time, &(struct limited){&trial, limit}, NULL);

            test_loop_done(loop);
            if (!is_in_order(&trial, r))
                fail_msg("%s, within %d ns: %d, held %d", scenarios[i].name, (int)limit, r,
                         trial.ledger.held);
        }
    }
}

static void run_again_on_the_same_loop_no_combinator_allocates_anything(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        const struct test_memory *memory = test_loop_memory(loop);
        struct ledger ledger = {0};
        long calls = 0;

        for (int round = 0; round < 5; round++) {
            assert_int_equal(jg_run_until_complete(loop, scenarios[i].fn, &ledger, NULL), 0);
            if (round > 0 && memory->calls != calls)
                fail_msg("%s: %ld allocations", scenarios[i].name, memory->calls - calls);
            calls = memory->calls;
        }
        assert_true(calls > 0);
        test_loop_done(loop);
    }
}

struct window {
    jg_future open;
    jg_scope scope;
};

static int wait_for_window(void *arg)
{
    return jg_future_wait(&((struct window *)arg)->open);
}

static int leave_window(void *arg)
{
    struct window *window = arg;

    jg_scope_enter(&window->scope, NULL);
    return jg_scope_leave(&window->scope, jg_spawn(&window->scope, wait_for_window, window, NULL));
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Spawns into a scope whose last task has just ended, whose owner may not know yet. */
static int spawn_late(void *arg)
{
    struct window *window = arg;
    int r = jg_future_wait(&window->open);

    if (r == 0)
        (void)jg_spawn(&window->scope, do_nothing, NULL, NULL); /* it may have been left */
    return r;
}

static int open_window(void *arg)
{
    struct window window = {.open.done = false};
    jg_scope scope;
    int r;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, leave_window, &window, NULL);
    if (r == 0)
        r = jg_sleep(1);
    if (r == 0)
        r = jg_spawn(&scope, spawn_late, &window, NULL);
    if (r == 0)
        r = jg_sleep(1);
    if (r == 0)
        (void)jg_future_set(&window.open, 0);
    return jg_scope_leave(&scope, r);
}

static void who_spawns_into_a_scope_that_is_being_left_is_waited_for_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(jg_test_shuffle_each(open_window, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_at_any_point_every_combinator_ends_and_releases_all),
        cmocka_unit_test(with_any_allocation_failing_every_combinator_ends_and_releases_all),
        cmocka_unit_test(in_any_order_of_what_is_ready_every_combinator_ends_as_usual),
        cmocka_unit_test(run_again_on_the_same_loop_no_combinator_allocates_anything),
        cmocka_unit_test(cut_short_at_any_time_every_combinator_ends_and_releases_all),
        cmocka_unit_test(who_spawns_into_a_scope_that_is_being_left_is_waited_for_in_any_order),
    };

    return cmocka_run_group_tests_name("combine", tests, NULL, NULL);
}
