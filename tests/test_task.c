/* SPDX-License-Identifier: MIT
 *
 * Tasks that run in steps: spawning, results, joining, and what cancellation does to them. The
 * same for coroutines is in test_coro.c; scopes have test_scope.c.
 */
#include "support.h"
#include "world.h"

#include <juggle/task.h>

#include <stdlib.h>
#include <string.h>

/* A task that waits for things, one after the other, and notes what it saw. */
struct walker {
    jg_task task;
    jg_sleeper sleeper;
    jg_future *future; /* what it waits for; NULL: it sleeps */
    jg_time delay;
    int steps;       /* it made */
    int waits;       /* it shall make */
    int starts[8];   /* what the start functions returned */
    int statuses[8]; /* what the steps were given */
    int result;
    int status; /* by ret_status */
    bool ignore;
    struct test_trace *trace;
    char letter;
};

static int walk(jg_task *task, void *arg, int status)
{
    struct walker *walker = arg;
    int step = walker->steps++;
    int r;

    test_check(task == &walker->task);
    test_check(jg_task_current() == task);
    test_check(step < 8);
    walker->statuses[step] = status;
    if (walker->trace)
        test_trace_add(walker->trace, walker->letter);
    if (status < 0 && !walker->ignore)
        return status;

    while (walker->waits > 0) {
        walker->waits--;
        if (walker->future)
            r = jg_future_wait_start(walker->future, jg_task_op(task));
        else
            r = jg_sleep_start(&walker->sleeper, walker->delay, jg_task_op(task));
        walker->starts[step] = r;
        if (r == 0)
            return JG_PENDING;
        if (!walker->ignore)
            return r;
    }
    return walker->result;
}

static void walker_init(struct walker *walker, int waits, int result)
{
    *walker = (struct walker){.waits = waits, .result = result, .delay = 10, .status = 12345};
    jg_task_init(&walker->task, "walker", walk, walker);
}

static int walker_spawn(struct world *world, struct walker *walker)
{
    return jg_task_spawn(&world->root, &walker->task, &walker->status);
}

static void spawning_never_runs_a_step_inline(void **state)
{
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 0, 7);
    assert_int_equal(walker_spawn(&world, &walker), 0);
    assert_int_equal(walker.steps, 0);
    assert_int_equal(walker.status, 12345);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(walker.steps, 1);
    assert_int_equal(walker.status, 7);
    world_done(&world);
}

static void tasks_take_their_first_steps_in_the_order_they_were_spawned(void **state)
{
    struct test_trace trace = {""};
    struct world world;
    struct walker walkers[4];

    (void)state;
    world_init(&world);
    for (int i = 0; i < 4; i++) {
        walker_init(&walkers[i], 1, 0);
        walkers[i].trace = &trace;
        walkers[i].letter = (char)('a' + i);
        assert_int_equal(walker_spawn(&world, &walkers[i]), 0);
    }
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_string_equal(trace.letters, "abcdabcd");
    world_done(&world);
}

static void a_step_is_given_0_first_and_then_the_status_of_what_it_waited_for(void **state)
{
    jg_future future = {.done = false};
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 1, 3);
    walker.future = &future;
    assert_int_equal(walker_spawn(&world, &walker), 0);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(walker.steps, 1);
    assert_int_equal(walker.statuses[0], 0);
    assert_int_equal(jg_future_set(&future, 99), 0);
    assert_int_equal(walker.steps, 1);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(walker.steps, 2);
    assert_int_equal(walker.statuses[1], 99);
    assert_int_equal(walker.status, 3);
    world_done(&world);
}

static void what_a_task_ends_with_is_reported_before_the_scope_is_left(void **state)
{
    const int results[] = {0, 1, INT32_MAX, -EIO, -ECANCELED};
    const int left[] = {0, 0, 0, -EIO, 0};

    (void)state;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct world world;
        struct walker walker;

        world_init(&world);
        walker_init(&walker, 1, results[i]);
        assert_int_equal(walker_spawn(&world, &walker), 0);
        jg_scope_close(&world.root, 0, &world.left);
        while (walker.status == 12345) {
            assert_int_equal(world.result, 12345);
            assert_int_equal(jg_loop_run_once(world.loop, -1), 1);
        }
        assert_int_equal(walker.status, results[i]);
        assert_int_equal(jg_loop_run(world.loop), 0);
        assert_int_equal(world.result, left[i]);
        test_loop_done(world.loop);
    }
}

static void leaving_a_scope_joins_all_its_tasks(void **state)
{
    struct world world;
    struct walker walkers[5];

    (void)state;
    world_init(&world);
    for (int i = 0; i < 5; i++) {
        walker_init(&walkers[i], 1, i);
        walkers[i].delay = 100 - i;
        assert_int_equal(walker_spawn(&world, &walkers[i]), 0);
    }
    world_done(&world);
    for (int i = 0; i < 5; i++)
        assert_int_equal(walkers[i].status, i);
}

static void spawning_into_a_cancelled_scope_is_refused_and_changes_nothing(void **state)
{
    struct world cancelled, world;
    struct walker walker;

    (void)state;
    world_init(&cancelled);
    walker_init(&walker, 0, 7);
    jg_scope_cancel(&cancelled.root);
    assert_int_equal(walker_spawn(&cancelled, &walker), -ECANCELED);
    world_done(&cancelled);
    assert_int_equal(walker.steps, 0);
    assert_int_equal(walker.status, 12345);

    world_init(&world);
    assert_int_equal(walker_spawn(&world, &walker), 0);
    world_done(&world);
    assert_int_equal(walker.status, 7);
}

static void spawning_into_a_scope_that_was_left_is_refused(void **state)
{
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 0, 7);
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(walker_spawn(&world, &walker), -ECANCELED);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(walker_spawn(&world, &walker), -ECANCELED);
    assert_int_equal(walker.steps, 0);
    test_loop_done(world.loop);
}

static void a_task_cancelled_before_its_first_step_enters_its_body(void **state)
{
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 1, 7);
    assert_int_equal(walker_spawn(&world, &walker), 0);
    jg_scope_cancel(&world.root);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(walker.steps, 1);
    assert_int_equal(walker.statuses[0], 0);
    assert_int_equal(walker.starts[0], -ECANCELED);
    assert_int_equal(walker.status, -ECANCELED);
    world_done(&world);
    assert_int_equal(world.result, 0);
}

static void cancelling_reaches_what_the_task_waits_for(void **state)
{
    jg_future future = {.done = false};
    struct world world;
    struct walker sleeps, waits;

    (void)state;
    world_init(&world);
    walker_init(&sleeps, 1, 7);
    walker_init(&waits, 1, 7);
    sleeps.delay = 3600 * JG_SECOND;
    waits.future = &future;
    (void)walker_spawn(&world, &sleeps);
    (void)walker_spawn(&world, &waits);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    assert_int_equal(sleeps.steps, 1); /* not inside the cancel */
    world_done(&world);
    assert_int_equal(sleeps.status, -ECANCELED);
    assert_int_equal(waits.status, -ECANCELED);
    assert_false(future.done);
    assert_int_equal(jg_future_set(&future, 0), 0);
}

static void a_task_that_ignores_its_cancellation_is_told_at_each_start(void **state)
{
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 5, 7);
    walker.ignore = true;
    (void)walker_spawn(&world, &walker);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(walker.steps, 2);
    assert_int_equal(walker.statuses[1], -ECANCELED);
    assert_int_equal(walker.starts[1], -ECANCELED);
    assert_int_equal(walker.waits, 0);
    assert_int_equal(walker.status, 7); /* what it returns is kept all the same */
}

static void a_result_that_came_before_the_cancellation_is_delivered(void **state)
{
    jg_future future = {.done = false};
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 2, 7);
    walker.future = &future;
    (void)walker_spawn(&world, &walker);
    assert_int_equal(jg_loop_run(world.loop), 0);
    (void)jg_future_set(&future, 42);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(walker.statuses[1], 42);
    assert_int_equal(walker.starts[1], -ECANCELED); /* it learns at its next wait */
    assert_int_equal(walker.status, -ECANCELED);
}

static void a_cancellation_that_came_before_the_result_is_delivered(void **state)
{
    jg_future future = {.done = false};
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 1, 7);
    walker.future = &future;
    (void)walker_spawn(&world, &walker);
    assert_int_equal(jg_loop_run(world.loop), 0);
    jg_scope_cancel(&world.root);
    (void)jg_future_set(&future, 42);
    world_done(&world);
    assert_int_equal(walker.statuses[1], -ECANCELED);
}

/* Cancels the scope that it is in, then ends. */
struct suicide {
    jg_task task;
    jg_sleeper sleeper;
    int start;
    int status;
};

static int end_scope(jg_task *task, void *arg, int status)
{
    struct suicide *suicide = arg;

    (void)status;
    jg_scope_cancel(task->scope);
    suicide->start = jg_sleep_start(&suicide->sleeper, 1, jg_task_op(task));
    return 5;
}

static void a_task_that_cancels_its_own_scope_keeps_its_return_value(void **state)
{
    struct world world;
    struct suicide suicide = {.status = 12345};

    (void)state;
    world_init(&world);
    jg_task_init(&suicide.task, "suicide", end_scope, &suicide);
    (void)jg_task_spawn(&world.root, &suicide.task, &suicide.status);
    world_done(&world);
    assert_int_equal(suicide.start, -ECANCELED);
    assert_int_equal(suicide.status, 5);
    assert_int_equal(world.result, 0);
}

static void note_current(void *arg)
{
    *(jg_task **)arg = jg_task_current();
}

static void there_is_a_current_task_inside_its_steps_only(void **state)
{
    struct world world;
    struct walker walker;
    jg_task *current = &walker.task;
    jg_call call;

    (void)state;
    world_init(&world);
    walker_init(&walker, 2, 0); /* checks in its steps */
    (void)walker_spawn(&world, &walker);
    jg_call_init(&call, note_current, (void *)&current);
    jg_call_soon(world.loop, &call);
    assert_null(jg_task_current());
    world_done(&world);
    assert_null(current);
    assert_null(jg_task_current());
    assert_int_equal(walker.steps, 3);
}

/* What a task must not do. */
static int pend_with_nothing(jg_task *task, void *arg, int status)
{
    (void)task;
    (void)arg;
    (void)status;
    return JG_PENDING;
}

static int end_while_pending(jg_task *task, void *arg, int status)
{
    static jg_sleeper sleeper;

    (void)arg;
    (void)status;
    (void)jg_sleep_start(&sleeper, 5, jg_task_op(task));
    return 0;
}

static int end_inside_a_scope(jg_task *task, void *arg, int status)
{
    static jg_scope scope;

    (void)status;
    jg_scope_open(&scope, ((struct world *)arg)->loop, task, NULL);
    return 0;
}

/* In a forked child, on a loop of its own. */
static void misuse(void *arg)
{
    const jg_step_fn *step = arg;
    struct world world;
    jg_task task;

    world_init(&world);
    jg_task_init(&task, "misuse", *step, &world);
    (void)jg_task_spawn(&world.root, &task, NULL);
    (void)jg_loop_run(world.loop);
}

static void spawn_twice(void *arg)
{
    struct world world;
    struct walker walker;

    (void)arg;
    world_init(&world);
    walker_init(&walker, 1, 0);
    (void)walker_spawn(&world, &walker);
    (void)walker_spawn(&world, &walker);
}

static void steps_that_break_the_rules_are_misuse(void **state)
{
    jg_step_fn step = pend_with_nothing;

    (void)state;
    test_expect_abort(misuse, &step, "no op started");
    step = end_while_pending;
    test_expect_abort(misuse, &step, "its op pending");
    step = end_inside_a_scope;
    test_expect_abort(misuse, &step, "inside a scope that it has not left");
    test_expect_abort(spawn_twice, NULL, "the task is running");
}

static void a_task_that_ended_may_be_spawned_again(void **state)
{
    struct world world;
    struct walker walker;

    (void)state;
    world_init(&world);
    walker_init(&walker, 1, 1);
    for (int i = 0; i < 3; i++) {
        walker.waits = 1;
        walker.status = 12345;
        assert_int_equal(walker_spawn(&world, &walker), 0);
        assert_int_equal(jg_loop_run(world.loop), 0);
        assert_int_equal(walker.status, 1);
        assert_int_equal(walker.steps, 2 * (i + 1));
    }
    world_done(&world);
}

/* Spawns a copy of itself in the same scope, until there were enough. */
struct line {
    jg_task task;
    struct line *next;
    int *count;
};

static int queue_up(jg_task *task, void *arg, int status)
{
    struct line *line = arg;

    (void)status;
    ++*line->count;
    if (line->next) {
        jg_task_init(&line->next->task, "line", queue_up, line->next);
        test_check(jg_task_spawn(task->scope, &line->next->task, NULL) == 0);
    }
    return 0;
}

static void a_scope_that_is_being_left_joins_tasks_that_its_tasks_spawn(void **state)
{
    struct world world;
    struct line line[20];
    int count = 0;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 20; i++)
        line[i] = (struct line){.next = i < 19 ? &line[i + 1] : NULL, .count = &count};
    jg_task_init(&line[0].task, "line", queue_up, &line[0]);
    (void)jg_task_spawn(&world.root, &line[0].task, NULL);
    world_done(&world);
    assert_int_equal(count, 20);
}

static void a_task_that_never_has_to_wait_lets_others_take_their_steps(void **state)
{
    jg_future set = {.done = false};
    struct test_trace trace = {""};
    struct world world;
    struct walker busy, other;

    (void)state;
    world_init(&world);
    (void)jg_future_set(&set, 0);
    walker_init(&busy, 4, 0);
    walker_init(&other, 2, 0);
    busy.future = other.future = &set;
    busy.trace = other.trace = &trace;
    busy.letter = 'b';
    other.letter = 'o';
    (void)walker_spawn(&world, &busy);
    (void)walker_spawn(&world, &other);
    world_done(&world);
    assert_string_equal(trace.letters, "bobobobb");
}

static void a_task_and_all_it_needs_to_sleep_take_at_most_300_bytes(void **state)
{
    (void)state;
    assert_true(sizeof(jg_task) + sizeof(jg_sleeper) <= 300);
}

static void ten_thousand_tasks_allocate_nothing_and_end_cancelled_or_not(void **state)
{
    const int n = test_is_slow() ? 1000 : 10000;
    struct walker *walkers = calloc((size_t)n, sizeof(*walkers));

    (void)state;
    assert_non_null(walkers);
    for (int cancel = 0; cancel < 2; cancel++) {
        struct world world;
        long calls;

        world_init(&world);
        calls = test_loop_memory(world.loop)->calls;
        for (int i = 0; i < n; i++) {
            walker_init(&walkers[i], 2, i);
            walkers[i].delay = i % 100;
            assert_int_equal(walker_spawn(&world, &walkers[i]), 0);
        }
        if (cancel) {
            assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
            jg_scope_cancel(&world.root);
        }
        jg_scope_close(&world.root, 0, &world.left);
        assert_int_equal(jg_loop_run(world.loop), 0);
        assert_int_equal(world.result, 0);
        for (int i = 0; i < n; i++)
            assert_int_equal(walkers[i].status, cancel ? -ECANCELED : i);
        assert_int_equal(test_loop_memory(world.loop)->calls, calls);
        test_loop_done(world.loop);
    }
    free(walkers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spawning_never_runs_a_step_inline),
        cmocka_unit_test(tasks_take_their_first_steps_in_the_order_they_were_spawned),
        cmocka_unit_test(a_step_is_given_0_first_and_then_the_status_of_what_it_waited_for),
        cmocka_unit_test(what_a_task_ends_with_is_reported_before_the_scope_is_left),
        cmocka_unit_test(leaving_a_scope_joins_all_its_tasks),
        cmocka_unit_test(spawning_into_a_cancelled_scope_is_refused_and_changes_nothing),
        cmocka_unit_test(spawning_into_a_scope_that_was_left_is_refused),
        cmocka_unit_test(a_task_cancelled_before_its_first_step_enters_its_body),
        cmocka_unit_test(cancelling_reaches_what_the_task_waits_for),
        cmocka_unit_test(a_task_that_ignores_its_cancellation_is_told_at_each_start),
        cmocka_unit_test(a_result_that_came_before_the_cancellation_is_delivered),
        cmocka_unit_test(a_cancellation_that_came_before_the_result_is_delivered),
        cmocka_unit_test(a_task_that_cancels_its_own_scope_keeps_its_return_value),
        cmocka_unit_test(there_is_a_current_task_inside_its_steps_only),
        cmocka_unit_test(steps_that_break_the_rules_are_misuse),
        cmocka_unit_test(a_task_that_ended_may_be_spawned_again),
        cmocka_unit_test(a_scope_that_is_being_left_joins_tasks_that_its_tasks_spawn),
        cmocka_unit_test(a_task_that_never_has_to_wait_lets_others_take_their_steps),
        cmocka_unit_test(a_task_and_all_it_needs_to_sleep_take_at_most_300_bytes),
        cmocka_unit_test(ten_thousand_tasks_allocate_nothing_and_end_cancelled_or_not),
    };

    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
