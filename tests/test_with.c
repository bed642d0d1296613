/* SPDX-License-Identifier: MIT
 *
 * Scopes and releases that end with a block: every way out of it, and no error lost on any.
 */
#include "world.h"

#include <juggle/coro.h>
#include <juggle/with.h>

#pragma GCC diagnostic error "-Wconversion"
#pragma GCC diagnostic error "-Wshadow"

enum way { END, BREAK, CONTINUE, GOTO, RETURN, LEAVE };

/* What a coroutine of a test does, and what came of it. */
struct plan {
    enum way way;
    int status;       /* of the body */
    int child;        /* what the child ends with */
    jg_time delay;    /* of the child */
    jg_time timeout;  /* of the scope */
    bool body_sleeps; /* a second */
    jg_policy policy; /* of the scope around */
    struct test_trace trace;
    int inner; /* the variable of the macro, behind the block */
    int outer; /* what the scope around ended with */
    bool around_cancelled;
    jg_scope *to_cancel;
};

static int child(void *arg)
{
    struct plan *plan = arg;
    int r = jg_sleep(plan->delay);

    test_trace_add(&plan->trace, 'c');
    return r < 0 ? r : plan->child;
}

static void released(void *arg)
{
    struct plan *plan = arg;

    test_trace_add(&plan->trace, 'r');
}

/* Runs a scope with a child, and leaves it as planned. */
static int body(struct plan *plan)
{
    jg_defer defer;
    int r = 777;

    JG_WITH_SCOPE (scope, &r, .timeout = plan->timeout) {
        assert_int_equal(r, 0);
        jg_scope_defer(scope, &defer, released, plan);
        assert_int_equal(jg_spawn(scope, child, plan, NULL), 0);
        r = plan->status;
        if (plan->body_sleeps)
            r = jg_sleep(JG_SECOND);
        if (plan->to_cancel)
            jg_scope_cancel(plan->to_cancel);
        switch (plan->way) {
        case GOTO:
            goto out;
        case RETURN:
            return r;
        case LEAVE:
            return JG_LEAVE(scope, r);
        default:
            break;
        }
        if (plan->way == BREAK)
            break;
        if (plan->way == CONTINUE)
            continue;
        test_trace_add(&plan->trace, 'e');
    }
out:
    plan->inner = r;
    test_trace_add(&plan->trace, 'o');
    return r;
}

/* The same in another scope, which the portable functions make. */
static int in_a_scope(void *arg)
{
    struct plan *plan = arg;
    jg_scope around;
    int r;

    jg_scope_enter(&around, &(jg_scope_options){.policy = plan->policy});
    r = body(plan);
    plan->around_cancelled = jg_scope_cancelled(&around);
    plan->outer = jg_scope_leave(&around, r > 0 ? 0 : r);
    return r;
}

static int alone(void *arg)
{
    return body(arg);
}

/* Run a coroutine; returns what it ended with. */
static int run(jg_coro_fn fn, void *arg)
{
    struct world world;
    int status = 999;

    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, fn, arg, &(jg_spawn_options){.ret_status = &status}), 0);
    world_done(&world);
    return status;
}

static void each_way_out_joins_the_tasks_then_releases(void **state)
{
    const char *expected[] = {[END] = "ecro", [BREAK] = "cro", [CONTINUE] = "cro",
                              [GOTO] = "cro", [RETURN] = "cr", [LEAVE] = "cr"};

    (void)state;
    for (enum way way = END; way <= LEAVE; way++) {
        struct plan plan = {.way = way, .status = 5, .delay = JG_SECOND};

        assert_int_equal(run(in_a_scope, &plan), 5);
        assert_string_equal(plan.trace.letters, expected[way]);
        assert_int_equal(plan.outer, 0);
        assert_false(plan.around_cancelled);
    }
}

static void an_error_of_the_body_cancels_the_tasks_on_each_way_out(void **state)
{
    (void)state;
    for (enum way way = END; way <= LEAVE; way++) {
        struct plan plan = {.way = way, .status = -EIO, .delay = JG_FOREVER};

        assert_int_equal(run(in_a_scope, &plan), -EIO);
        assert_int_equal(plan.outer, -EIO);
        assert_false(plan.around_cancelled); /* the caller has the error, and decides */
    }
}

static void an_error_of_a_task_is_the_status_behind_the_block(void **state)
{
    const enum way ways[] = {END, BREAK, CONTINUE, GOTO};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct plan plan = {.way = ways[i], .status = 3, .child = -EPIPE, .delay = JG_SECOND};

        assert_int_equal(run(alone, &plan), -EPIPE);
        assert_int_equal(plan.inner, -EPIPE);
    }
}

static void leaving_before_the_return_returns_the_error_of_a_task(void **state)
{
    struct plan plan = {.way = LEAVE, .status = 3, .child = -EPIPE, .delay = JG_SECOND};

    (void)state;
    assert_int_equal(run(in_a_scope, &plan), -EPIPE);
    assert_false(plan.around_cancelled);
    assert_int_equal(plan.outer, -EPIPE);
}

static void an_error_that_a_plain_return_misses_fails_the_scope_around(void **state)
{
    struct plan plan = {.way = RETURN, .status = 3, .child = -EPIPE, .delay = JG_SECOND};

    (void)state;
    assert_int_equal(run(in_a_scope, &plan), 3);
    assert_true(plan.around_cancelled);
    assert_int_equal(plan.outer, -EPIPE);
}

static void such_an_error_also_fails_a_scope_that_keeps_going(void **state)
{
    struct plan plan = {
        .way = RETURN, .status = 3, .child = -EPIPE, .delay = JG_SECOND, .policy = JG_KEEP_GOING};

    (void)state;
    assert_int_equal(run(in_a_scope, &plan), 3);
    assert_false(plan.around_cancelled);
    assert_int_equal(plan.outer, -EPIPE);
}

static void such_an_error_is_what_a_coroutine_without_a_scope_ends_with(void **state)
{
    struct plan plan = {.way = RETURN, .status = 3, .child = -EPIPE, .delay = JG_SECOND};

    (void)state;
    assert_int_equal(run(alone, &plan), -EPIPE);
}

static void a_coroutine_on_a_used_stack_starts_without_such_an_error(void **state)
{
    struct plan lost = {.way = RETURN, .child = -EPIPE}, fine = {.way = RETURN, .status = 4};
    struct world world;
    jg_scope scope;
    jg_op left;
    int first = 999, second = 999, count = 0;

    (void)state;
    world_init(&world);
    jg_scope_open(&scope, world.loop, NULL, &(jg_scope_options){.policy = JG_KEEP_GOING});
    jg_spawn(&scope, alone, &lost, &(jg_spawn_options){.ret_status = &first});
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(first, -EPIPE);
    jg_spawn(&scope, alone, &fine, &(jg_spawn_options){.ret_status = &second});
    jg_op_init(&left, world.loop, test_count_call, &count);
    jg_scope_close(&scope, 0, &left);
    world_done(&world);
    assert_int_equal(second, 4);
}

static void a_timeout_is_told_behind_the_block_and_by_leaving(void **state)
{
    struct plan end = {.timeout = JG_SECOND / 2, .body_sleeps = true};
    struct plan leave = {.way = LEAVE, .timeout = JG_SECOND / 2, .body_sleeps = true};

    (void)state;
    assert_int_equal(run(in_a_scope, &end), -ETIMEDOUT);
    assert_false(end.around_cancelled);
    assert_int_equal(run(in_a_scope, &leave), -ETIMEDOUT);
    assert_false(leave.around_cancelled);
}

static void a_timeout_that_a_plain_return_takes_for_a_cancellation_is_not_lost(void **state)
{
    struct plan plan = {.way = RETURN, .timeout = JG_SECOND / 2, .body_sleeps = true};

    (void)state;
    assert_int_equal(run(alone, &plan), -ETIMEDOUT);
    plan.trace = (struct test_trace){0};
    assert_int_equal(run(in_a_scope, &plan), -ECANCELED);
    assert_int_equal(plan.outer, -ETIMEDOUT);
}

static int cancel_around(void *arg)
{
    struct plan *plan = arg;
    jg_scope around;
    int r;

    jg_scope_enter(&around, NULL);
    plan->to_cancel = &around;
    r = body(plan);
    plan->outer = jg_scope_leave(&around, r);
    return r;
}

static void a_cancellation_around_reaches_the_block_and_is_no_failure(void **state)
{
    (void)state;
    for (enum way way = END; way <= LEAVE; way++) {
        struct plan plan = {.way = way, .delay = JG_SECOND};

        /* Its task was cut, the body was not. */
        assert_int_equal(run(cancel_around, &plan), way == RETURN ? 0 : -ECANCELED);
        assert_int_equal(plan.outer, 0); /* it was cancelled on purpose */
    }
}

static int cancel_home(void *arg)
{
    struct plan *plan = arg;

    plan->to_cancel = jg_task_current()->home;
    return body(plan);
}

static void a_coroutine_whose_block_was_cut_by_a_cancellation_ends_with_that(void **state)
{
    (void)state;
    for (enum way way = END; way <= LEAVE; way++) {
        struct plan plan = {.way = way, .delay = JG_SECOND};

        assert_int_equal(run(cancel_home, &plan), -ECANCELED);
    }
}

static int say_cancelled(void *arg)
{
    struct plan *plan = arg;
    jg_scope around;
    int r;

    jg_scope_enter(&around, NULL);
    r = body(plan);
    assert_false(jg_scope_cancelled(&around));
    (void)jg_scope_leave(&around, r);
    return r;
}

static void a_body_that_says_cancelled_without_being_so_is_taken_at_its_word(void **state)
{
    struct plan plan = {.way = RETURN, .status = -ECANCELED, .delay = JG_SECOND};

    (void)state;
    assert_int_equal(run(say_cancelled, &plan), -ECANCELED);
}

static int nested(void *arg)
{
    struct plan *plan = arg;
    int r;
    jg_defer defer;

    JG_WITH_SCOPE (outer, &r) {
        jg_scope_defer(outer, &defer, released, plan);
        JG_WITH_SCOPE (inner, &r) {
            assert_int_equal(jg_spawn(inner, child, plan, NULL), 0);
            assert_ptr_equal(jg_task_current()->scope, inner);
            if (plan->way == LEAVE)
                return JG_LEAVE(outer, JG_LEAVE(inner, plan->status));
            if (plan->way == RETURN)
                return plan->status;
            if (plan->way == BREAK)
                break;
        }
        test_trace_add(&plan->trace, 'o');
        assert_ptr_equal(jg_task_current()->scope, outer);
    }
    test_trace_add(&plan->trace, 'O');
    return r;
}

static void nested_blocks_are_left_from_inside_out(void **state)
{
    struct plan end = {0}, leave = {.way = LEAVE, .status = 6}, back = {.way = RETURN, .status = 6};
    struct plan one = {.way = BREAK, .child = -EIO};

    (void)state;
    assert_int_equal(run(nested, &end), 0);
    assert_string_equal(end.trace.letters, "corO");
    assert_int_equal(run(nested, &leave), 6);
    assert_string_equal(leave.trace.letters, "cr");
    assert_int_equal(run(nested, &back), 6);
    assert_string_equal(back.trace.letters, "cr");
    assert_int_equal(run(nested, &one), -EIO);
    assert_string_equal(one.trace.letters, "corO");
}

static void errors_of_nested_blocks_are_returned_by_leaving_both(void **state)
{
    struct plan leave = {.way = LEAVE, .status = 6, .child = -EIO};
    struct plan back = {.way = RETURN, .status = 6, .child = -EIO};

    (void)state;
    assert_int_equal(run(nested, &leave), -EIO);
    assert_int_equal(run(nested, &back), -EIO); /* through the outer one to the coroutine */
}

static int leave_wrongly(void *arg)
{
    int r;

    (void)arg;
    JG_WITH_SCOPE (outer, &r) {
        JG_WITH_SCOPE (inner, &r)
            return JG_LEAVE(outer, 0);
    }
    return r;
}

static void run_leave_wrongly(void *arg)
{
    run(leave_wrongly, arg);
}

static void leaving_the_outer_of_two_first_is_misuse(void **state)
{
    (void)state;
    test_expect_abort(run_leave_wrongly, NULL, "an inner scope is still open");
}

static int loop_of_blocks(void *arg)
{
    struct plan *plan = arg;
    int r = 0;

    for (int i = 0; i < 3; i++)
        JG_WITH_SCOPE (scope, &r, .shield = true) {
            jg_spawn(scope, child, plan, NULL);
            if (i == 1)
                continue;
            test_trace_add(&plan->trace, (char)('0' + i));
        }
    return r;
}

static void break_and_continue_are_of_the_block_not_of_a_loop_around(void **state)
{
    struct plan plan = {0};

    (void)state;
    assert_int_equal(run(loop_of_blocks, &plan), 0);
    assert_string_equal(plan.trace.letters, "0cc2c");
}

struct lock {
    struct test_trace *trace;
    char letter;
};

static void unlock(void *arg)
{
    struct lock *lock = arg;

    test_trace_add(lock->trace, lock->letter);
}

static int deferring(struct test_trace *trace, enum way way)
{
    struct lock a = {trace, 'a'}, b = {trace, 'b'}, c = {trace, 'c'};

    JG_DEFER(unlock, &a);
    for (int i = 0; i < 2; i++) {
        JG_DEFER(unlock, &b);
        JG_DEFER(unlock, &c);
        if (way == RETURN)
            return 8;
        if (way == BREAK)
            break;
        if (way == GOTO)
            goto out;
        if (way == CONTINUE)
            continue;
        test_trace_add(trace, 'e');
    }
out:
    test_trace_add(trace, 'o');
    return 9;
}

static void deferred_calls_run_in_reverse_at_the_end_of_their_block(void **state)
{
    const char *expected[] = {[END] = "ecbecboa",
                              [BREAK] = "cboa",
                              [CONTINUE] = "cbcboa",
                              [GOTO] = "cboa",
                              [RETURN] = "cba"};

    (void)state;
    for (enum way way = END; way <= RETURN; way++) {
        struct test_trace trace = {""};

        assert_int_equal(deferring(&trace, way), way == RETURN ? 8 : 9);
        assert_string_equal(trace.letters, expected[way]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_out_joins_the_tasks_then_releases),
        cmocka_unit_test(an_error_of_the_body_cancels_the_tasks_on_each_way_out),
        cmocka_unit_test(an_error_of_a_task_is_the_status_behind_the_block),
        cmocka_unit_test(leaving_before_the_return_returns_the_error_of_a_task),
        cmocka_unit_test(an_error_that_a_plain_return_misses_fails_the_scope_around),
        cmocka_unit_test(such_an_error_also_fails_a_scope_that_keeps_going),
        cmocka_unit_test(such_an_error_is_what_a_coroutine_without_a_scope_ends_with),
        cmocka_unit_test(a_coroutine_on_a_used_stack_starts_without_such_an_error),
        cmocka_unit_test(a_timeout_is_told_behind_the_block_and_by_leaving),
        cmocka_unit_test(a_timeout_that_a_plain_return_takes_for_a_cancellation_is_not_lost),
        cmocka_unit_test(a_cancellation_around_reaches_the_block_and_is_no_failure),
        cmocka_unit_test(a_coroutine_whose_block_was_cut_by_a_cancellation_ends_with_that),
        cmocka_unit_test(a_body_that_says_cancelled_without_being_so_is_taken_at_its_word),
        cmocka_unit_test(nested_blocks_are_left_from_inside_out),
        cmocka_unit_test(errors_of_nested_blocks_are_returned_by_leaving_both),
        cmocka_unit_test(leaving_the_outer_of_two_first_is_misuse),
        cmocka_unit_test(break_and_continue_are_of_the_block_not_of_a_loop_around),
        cmocka_unit_test(deferred_calls_run_in_reverse_at_the_end_of_their_block),
    };

    return cmocka_run_group_tests_name("with", tests, NULL, NULL);
}
