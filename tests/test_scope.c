/* SPDX-License-Identifier: MIT
 *
 * Scopes: what cancellation and deadlines reach, what leaving returns, policies, shields and
 * deferred calls. What makes sense with and without a stack runs in both forms.
 *
 * The tests of ops alone are in test_op.c, those of the budget of coroutines in test_coro.c.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>
#include <juggle/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum form { STEPS, COROUTINE, FORMS };

/* A task that sleeps and ends. */
struct nap {
    jg_task task;
    jg_sleeper sleeper;
    jg_time delay;
    int result; /* when it has slept */
    int on_cut; /* when it was cut short; 0: the status */
    int steps;
    int status; /* by ret_status; 12345 before */
    jg_time ended;
};

static int nap_end(struct nap *nap, jg_loop *loop, int status)
{
    nap->ended = jg_loop_now(loop);
    if (status == 0)
        return nap->result;
    return nap->on_cut ? nap->on_cut : status;
}

static int nap_step(jg_task *task, void *arg, int status)
{
    struct nap *nap = arg;

    if (nap->steps++ == 0) {
        status = jg_sleep_start(&nap->sleeper, nap->delay, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
    return nap_end(nap, jg_task_loop(task), status);
}

static int nap_coro(void *arg)
{
    struct nap *nap = arg;

    nap->steps++;
    return nap_end(nap, jg_task_loop(jg_task_current()), jg_sleep(nap->delay));
}

static int nap_spawn(struct nap *nap, jg_scope *scope, enum form form)
{
    nap->status = 12345;
    nap->steps = 0;
    if (form == COROUTINE)
        return jg_spawn(scope, nap_coro, nap, &(jg_spawn_options){.ret_status = &nap->status});
    jg_task_init(&nap->task, "nap", nap_step, nap);
    return jg_task_spawn(scope, &nap->task, &nap->status);
}

/* A task that enters a scope, spawns what it finds, sleeps, and leaves the scope. */
struct body {
    struct nap nap; /* .delay < 0: it does not sleep */
    jg_scope scope;
    jg_scope_options options;
    enum form form;
    int count;
    struct nap children[3];
    void (*setup)(struct body *body); /* after the children were spawned; or NULL */
    void *arg;
    int phase;
    int left; /* what leaving returned; 12345 before */
    jg_time left_at;
};

static void body_setup(struct body *body)
{
    for (int i = 0; i < body->count; i++)
        (void)nap_spawn(&body->children[i], &body->scope, body->form);
    if (body->setup)
        body->setup(body);
}

static int body_left(struct body *body, jg_loop *loop, int status)
{
    body->left = status;
    body->left_at = jg_loop_now(loop);
    return status;
}

static int body_step(jg_task *task, void *arg, int status)
{
    struct body *body = arg;
    jg_loop *loop = jg_task_loop(task);

    switch (body->phase++) {
    case 0:
        jg_scope_open(&body->scope, loop, task, &body->options);
        body_setup(body);
        if (body->nap.delay >= 0)
            status = jg_sleep_start(&body->nap.sleeper, body->nap.delay, jg_task_op(task));
        if (body->nap.delay >= 0 && status == 0)
            return JG_PENDING;
        body->phase++; /* fall through */
    case 1:
        jg_scope_close(&body->scope, nap_end(&body->nap, loop, status), jg_task_op(task));
        body->phase = 2;
        return JG_PENDING;
    default:
        return body_left(body, loop, status);
    }
}

static int body_coro(void *arg)
{
    struct body *body = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    int status = 0;

    jg_scope_enter(&body->scope, &body->options);
    body_setup(body);
    if (body->nap.delay >= 0)
        status = jg_sleep(body->nap.delay);
    return body_left(body, loop, jg_scope_leave(&body->scope, nap_end(&body->nap, loop, status)));
}

static void body_spawn(struct body *body, jg_scope *scope, enum form form)
{
    body->form = form;
    body->phase = 0;
    body->left = body->nap.status = 12345;
    if (form == COROUTINE) {
        assert_int_equal(
            jg_spawn(scope, body_coro, body, &(jg_spawn_options){.ret_status = &body->nap.status}),
            0);
        return;
    }
    jg_task_init(&body->nap.task, "body", body_step, body);
    assert_int_equal(jg_task_spawn(scope, &body->nap.task, &body->nap.status), 0);
}

/* Run one body alone. */
static void body_run(struct body *body, enum form form)
{
    struct world world;

    world_init(&world);
    body_spawn(body, &world.root, form);
    world_done(&world);
}

/* Cancels a scope at some time. */
struct killer {
    jg_timer timer;
    jg_scope *scope;
};

static void kill_scope(void *arg)
{
    struct killer *killer = arg;

    jg_scope_cancel(killer->scope);
}

static void killer_start(struct killer *killer, jg_loop *loop, jg_scope *scope, jg_time delay)
{
    killer->scope = scope;
    jg_timer_init(&killer->timer, kill_scope, killer);
    jg_call_later(loop, &killer->timer, delay);
}

static void leaving_a_scope_waits_for_its_last_task(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = 5, .result = 4},
            .count = 3,
            .children = {{.delay = 30, .result = 1}, {.delay = 50, .result = 2}, {.delay = 0}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, 4);
        assert_int_equal(body.left_at, 50);
        assert_int_equal(body.children[0].status, 1);
        assert_int_equal(body.children[1].status, 2);
        assert_int_equal(body.children[2].status, 0);
    }
}

static void leaving_an_empty_scope_returns_what_the_body_ended_with(void **state)
{
    const int results[] = {0, 1, INT32_MAX, -EIO, -EPERM};

    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
            struct body body = {.nap = {.delay = -1, .result = results[i]}};

            body_run(&body, form);
            assert_int_equal(body.left, results[i]);
        }
    }
}

/* Spawns into the scope that is being left. */
struct late {
    struct nap nap;
    jg_timer timer;
    struct body *body;
    int spawned;
};

static void late_spawn(void *arg)
{
    struct late *late = arg;

    late->spawned = nap_spawn(&late->nap, &late->body->scope, late->body->form);
}

static void late_setup(struct body *body)
{
    struct late *late = body->arg;

    late->body = body;
    jg_timer_init(&late->timer, late_spawn, late);
    jg_call_later(body->scope.loop, &late->timer, 20);
}

static void what_is_spawned_while_its_scope_is_being_left_is_joined_too(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct late late = {.nap = {.delay = 100, .result = 3}};
        struct body body = {
            .nap = {.delay = -1},
            .count = 1,
            .children = {{.delay = 30}},
            .setup = late_setup,
            .arg = &late,
        };

        body_run(&body, form);
        assert_int_equal(late.spawned, 0);
        assert_int_equal(late.nap.status, 3);
        assert_int_equal(body.left_at, 120);
    }
}

/* The same in the moment when the last task has ended and the scope is not left yet. */
struct last_moment {
    struct late late;
    jg_call call;
};

static void call_late(void *arg)
{
    struct last_moment *last = arg;

    jg_call_soon(last->late.body->scope.loop, &last->call);
}

static void last_setup(struct body *body)
{
    struct last_moment *last = body->arg;

    last->late.body = body;
    jg_call_init(&last->call, late_spawn, &last->late);
    jg_timer_init(&last->late.timer, call_late, last);
}

static void last_timer(void *arg)
{
    struct last_moment *last = arg;

    jg_call_at(last->late.body->scope.loop, &last->late.timer, 30);
}

static void what_is_spawned_when_the_last_task_has_just_ended_is_joined_or_refused(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct last_moment last = {.late = {.nap = {.delay = 100, .status = 12345}}};
        struct body body = {
            .nap = {.delay = -1},
            .count = 1,
            .children = {{.delay = 30}},
            .setup = last_setup,
            .arg = &last,
        };
        struct world world;
        jg_timer timer;

        world_init(&world);
        body_spawn(&body, &world.root, form);
        jg_timer_init(&timer, last_timer, &last);
        jg_call_at(world.loop, &timer, 10); /* so that it comes after the child's timer */
        world_done(&world);
        if (last.late.spawned == 0) {
            assert_int_equal(last.late.nap.status, 0);
            assert_int_equal(body.left_at, 130);
        } else {
            assert_int_equal(last.late.spawned, -ECANCELED);
            assert_int_equal(last.late.nap.steps, 0);
            assert_int_equal(body.left_at, 30);
        }
        assert_int_equal(body.left, 0);
    }
}

static void
a_task_spawned_into_a_cancelled_scope_is_refused_and_one_before_enters_its_body(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct nap before = {.delay = 10, .result = 1}, after = {.delay = 10, .result = 1};
        struct world world;

        world_init(&world);
        assert_int_equal(nap_spawn(&before, &world.root, form), 0);
        jg_scope_cancel(&world.root);
        assert_int_equal(nap_spawn(&after, &world.root, form), -ECANCELED);
        assert_int_equal(before.steps, 0); /* neither runs inline */
        world_done(&world);
        assert_int_equal(before.steps, 1);
        assert_int_equal(before.status, -ECANCELED);
        assert_int_equal(before.ended, 0);
        assert_int_equal(after.steps, 0);
        assert_int_equal(after.status, 12345);
        assert_int_equal(world.result, 0);
    }
}

/* A child that cancels its parent's scope before it ever waits. */
static int traitor_step(jg_task *task, void *arg, int status)
{
    (void)arg;
    (void)status;
    jg_scope_cancel(task->scope);
    return 1;
}

static int traitor_coro(void *arg)
{
    (void)arg;
    jg_scope_cancel(jg_task_current()->scope);
    return 1;
}

static void traitor_setup(struct body *body)
{
    jg_task *task = body->arg;

    if (body->form == COROUTINE) {
        test_check(jg_spawn(&body->scope, traitor_coro, NULL, NULL) == 0);
        return;
    }
    jg_task_init(task, "traitor", traitor_step, NULL);
    test_check(jg_task_spawn(&body->scope, task, NULL) == 0);
}

static void a_child_that_cancels_its_scope_before_it_ever_waits_reaches_all(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        jg_task task;
        struct body body = {
            .nap = {.delay = 1000, .result = 4},
            .count = 2,
            .children = {{.delay = 100}, {.delay = 200}},
            .setup = traitor_setup,
            .arg = &task,
        };

        body_run(&body, form);
        assert_int_equal(body.left, 0);
        assert_int_equal(body.left_at, 0);
        assert_int_equal(body.children[0].status, -ECANCELED);
        assert_int_equal(body.children[1].status, -ECANCELED);
    }
}

/* Spawns a task in the root scope, from inside one of its own. */
struct donor {
    struct nap nap;
    struct world *world;
    struct killer killer;
    int spawned;
};

static void donate(struct body *body)
{
    struct donor *donor = body->arg;

    donor->spawned = nap_spawn(&donor->nap, &donor->world->root, body->form);
    killer_start(&donor->killer, body->scope.loop, &body->scope, 10);
}

static void a_task_spawned_into_an_outer_scope_belongs_to_that(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct world world;
        struct donor donor = {.nap = {.delay = 100, .result = 3}, .world = &world};
        struct body body = {
            .nap = {.delay = 50, .result = 5},
            .setup = donate,
            .arg = &donor,
        };

        world_init(&world);
        body_spawn(&body, &world.root, form);
        world_done(&world);
        assert_int_equal(body.left, 0);
        assert_int_equal(body.left_at, 10);
        assert_int_equal(donor.spawned, 0);
        assert_int_equal(donor.nap.status, 3);
        assert_int_equal(donor.nap.ended, 100);
    }
}

static int leave_with_an_inner_scope_open(void *arg)
{
    jg_scope outer, inner;

    (void)arg;
    jg_scope_enter(&outer, NULL);
    jg_scope_enter(&inner, NULL);
    return jg_scope_leave(&outer, 0);
}

static void leave_out_of_order(void *arg)
{
    (void)jg_run(leave_with_an_inner_scope_open, arg, NULL);
}

static void leaving_scopes_out_of_order_is_misuse(void **state)
{
    (void)state;
    test_expect_abort(leave_out_of_order, NULL, "an inner scope is still open");
}

enum {
    CHILD_ERROR = 1,
    BODY_ERROR = 2,
    OUTER_CANCELLED = 4,
    DEADLINE = 8,
    CANCELLED = 16,
    CASES = 32
};

struct causes {
    struct killer outer, own;
    struct world *world;
    int causes;
};

static void causes_setup(struct body *body)
{
    struct causes *causes = body->arg;

    if (causes->causes & OUTER_CANCELLED)
        killer_start(&causes->outer, body->scope.loop, &causes->world->root, 10);
    if (causes->causes & CANCELLED)
        killer_start(&causes->own, body->scope.loop, &body->scope, 10);
}

static int expected_result(int causes)
{
    if (causes & CHILD_ERROR)
        return -EIO;
    if (causes & BODY_ERROR)
        return -EPROTO;
    if (causes & OUTER_CANCELLED)
        return -ECANCELED;
    if (causes & DEADLINE)
        return -ETIMEDOUT;
    return causes & CANCELLED ? 0 : 5;
}

static void
leaving_returns_child_error_body_error_outer_cancellation_timeout_own_cancellation_or_result(
    void **state)
{
    (void)state;
    for (int i = 0; i < CASES * FORMS; i++) {
        const int bits = i % CASES;
        const int child_error = bits & CHILD_ERROR ? -EIO : 0;
        const int body_error = bits & BODY_ERROR ? -EPROTO : 0;
        struct world world;
        struct causes causes = {.world = &world, .causes = bits};
        struct body body = {
            .nap = {.delay = 100, .result = body_error ? body_error : 5, .on_cut = body_error},
            .options = {.timeout = bits & DEADLINE ? 10 : 0},
            .count = 2,
            .children = {{.delay = 50, .result = child_error, .on_cut = child_error},
                         {.delay = 60, .result = 1}},
            .setup = causes_setup,
            .arg = &causes,
        };

        world_init(&world);
        body_spawn(&body, &world.root, (enum form)(i / CASES));
        world_done(&world);
        if (body.left != expected_result(bits))
            fail_msg("causes %#x, form %d: %d", (unsigned)bits, i / CASES, body.left);
        assert_int_equal(body.left_at, bits & (OUTER_CANCELLED | DEADLINE | CANCELLED) ? 10
                                       : bits & CHILD_ERROR                            ? 50
                                                                                       : 100);
    }
}

static void of_several_errors_the_first_in_time_is_returned(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = -1},
            .count = 3,
            .children = {{.delay = 30, .result = -EIO, .on_cut = -EPERM},
                         {.delay = 20, .result = -EPIPE},
                         {.delay = 40, .on_cut = -EBADF}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, -EPIPE);
        assert_int_equal(body.left_at, 20);
        assert_int_equal(body.children[0].status, -EPERM);
        assert_int_equal(body.children[2].status, -EBADF);
    }
}

static void the_outermost_cancelled_scope_wins_over_a_deadline_of_the_same_turn(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * FORMS; i++) {
        const bool deadline_first = i % 2;
        struct world world;
        struct causes causes = {.world = &world};
        struct body body = {
            .nap = {.delay = 100, .result = 5},
            .options = {.timeout = 10},
            .setup = causes_setup,
            .arg = &causes,
        };

        world_init(&world);
        if (deadline_first)
            causes.causes = OUTER_CANCELLED; /* set after the scope's timer */
        else
            killer_start(&causes.outer, world.loop, &world.root, 10);
        body_spawn(&body, &world.root, (enum form)(i / 2));
        world_done(&world);
        assert_int_equal(body.left, -ECANCELED);
        assert_int_equal(body.left_at, 10);
    }
}

static void a_scope_cancelled_before_its_deadline_in_the_same_turn_did_not_time_out(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct world world;
        struct killer killer;
        struct body body = {.nap = {.delay = 100, .result = 5}, .options = {.timeout = 10}};

        world_init(&world);
        killer_start(&killer, world.loop, &body.scope, 10);
        body_spawn(&body, &world.root, form);
        world_done(&world);
        assert_int_equal(body.left, 0);
        assert_int_equal(body.left_at, 10);
    }
}

/* Sets the deadline to what it was, so that it comes after the children's timers. */
static void same_deadline(void *arg)
{
    jg_scope *scope = arg;

    jg_scope_reschedule(scope, 10);
}

static void reschedule_setup(struct body *body)
{
    jg_timer *timer = body->arg;

    jg_timer_init(timer, same_deadline, &body->scope);
    jg_call_later(body->scope.loop, timer, 5);
}

static void a_deadline_that_cut_nothing_leaves_the_result_alone(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        jg_timer timer;
        struct body body = {
            .nap = {.delay = 10, .result = 5},
            .options = {.timeout = 10},
            .count = 1,
            .children = {{.delay = 10, .result = 1}},
            .setup = reschedule_setup,
            .arg = &timer,
        };

        body_run(&body, form);
        assert_int_equal(body.left_at, 10);
        assert_int_equal(body.left, 5);
        assert_int_equal(body.children[0].status, 1);
    }
}

static void a_cancellation_that_cut_nothing_leaves_the_result_alone(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct world world;
        struct body body = {.nap = {.delay = 10, .result = 5}};

        world_init(&world);
        body_spawn(&body, &world.root, form);
        while (jg_loop_now(world.loop) < 10)
            assert_int_equal(jg_loop_run_once(world.loop, -1), 1);
        assert_int_equal(body.left, 12345); /* what it waited for is there, it did not run yet */
        jg_scope_cancel(&body.scope);
        jg_scope_cancel(&world.root);
        world_done(&world);
        assert_int_equal(body.left, 5);
    }
}

static void a_body_that_ends_with_ecanceled_in_a_scope_not_cancelled_keeps_it(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = 5, .result = -ECANCELED},
            .count = 1,
            .children = {{.delay = 30}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, -ECANCELED);
        assert_int_equal(body.left_at, 5);
        assert_int_equal(body.children[0].status, -ECANCELED);
    }
}

static void a_cancellation_while_leaving_reaches_the_tasks_and_is_returned(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct world world;
        struct killer killer;
        struct body body = {
            .nap = {.delay = -1, .result = 0}, .count = 1, .children = {{.delay = 100}}};

        world_init(&world);
        body_spawn(&body, &world.root, form);
        killer_start(&killer, world.loop, &world.root, 10);
        world_done(&world);
        assert_int_equal(body.left, -ECANCELED);
        assert_int_equal(body.left_at, 10);
    }
}

static void a_childs_error_cancels_its_siblings_and_the_body(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = 100, .result = 5},
            .count = 3,
            .children = {{.delay = 50}, {.delay = 10, .result = -EIO}, {.delay = 5, .result = 2}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, -EIO);
        assert_int_equal(body.left_at, 10);
        assert_int_equal(body.nap.ended, 10);
        assert_int_equal(body.children[0].status, -ECANCELED);
        assert_int_equal(body.children[1].status, -EIO);
        assert_int_equal(body.children[2].status, 2);
    }
}

static void the_bodys_error_cancels_the_children(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = 10, .result = -EIO}, .count = 1, .children = {{.delay = 50}}};

        body_run(&body, form);
        assert_int_equal(body.left, -EIO);
        assert_int_equal(body.left_at, 10);
        assert_int_equal(body.children[0].status, -ECANCELED);
    }
}

static void with_keep_going_errors_cancel_nothing_and_stay_with_the_children(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * FORMS; i++) {
        const int result = i % 2 ? -EPROTO : 5;
        struct body body = {
            .nap = {.delay = 20, .result = result},
            .options = {.policy = JG_KEEP_GOING},
            .count = 2,
            .children = {{.delay = 10, .result = -EIO}, {.delay = 50, .result = 2}},
        };

        body_run(&body, (enum form)(i / 2));
        assert_int_equal(body.left, result);
        assert_int_equal(body.left_at, 50);
        assert_int_equal(body.children[0].status, -EIO);
        assert_int_equal(body.children[1].status, 2);
    }
}

static void with_first_wins_a_success_cancels_the_rest_and_no_error_counts(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = -1},
            .options = {.policy = JG_FIRST_WINS},
            .count = 3,
            .children = {{.delay = 10, .result = -EIO},
                         {.delay = 20, .result = 7},
                         {.delay = 30, .on_cut = -EPERM}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, 0);
        assert_int_equal(body.left_at, 20);
        assert_int_equal(body.children[0].status, -EIO);
        assert_int_equal(body.children[1].status, 7);
        assert_int_equal(body.children[2].status, -EPERM);
    }
}

static void with_first_wins_and_no_winner_the_first_error_is_returned(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = -1},
            .options = {.policy = JG_FIRST_WINS},
            .count = 2,
            .children = {{.delay = 20, .result = -EIO}, {.delay = 10, .result = -EPERM}},
        };

        body_run(&body, form);
        assert_int_equal(body.left, -EPERM);
        assert_int_equal(body.left_at, 20);
    }
}

static void cancelling_a_scope_leaves_those_beside_and_around_it_alone(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct world world;
        struct killer killer;
        struct body cut = {.nap = {.delay = 100, .result = 5}};
        struct body beside = {.nap = {.delay = 100, .result = 6}};

        world_init(&world);
        body_spawn(&cut, &world.root, form);
        body_spawn(&beside, &world.root, form);
        killer_start(&killer, world.loop, &cut.scope, 10);
        world_done(&world);
        assert_int_equal(cut.left, 0);
        assert_int_equal(cut.left_at, 10);
        assert_int_equal(beside.left, 6);
        assert_int_equal(beside.left_at, 100);
    }
}

static void a_scope_may_be_cancelled_often_and_after_it_was_left(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {
            .nap = {.delay = -1, .result = 5}, .count = 1, .children = {{.delay = 10}}};
        struct world world;

        world_init(&world);
        body_spawn(&body, &world.root, form);
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        for (int i = 0; i < 3; i++)
            jg_scope_cancel(&body.scope);
        assert_true(jg_scope_cancelled(&body.scope));
        assert_false(jg_scope_cancelled(&world.root));
        assert_int_equal(jg_loop_run(world.loop), 0);
        assert_int_equal(body.children[0].status, -ECANCELED);
        jg_scope_cancel(&body.scope);
        world_done(&world);
    }
}

/* An op that owns a buffer of its task until the provider is through with it. */
static void through(void *arg)
{
    jg_op_complete(arg, -ECANCELED);
}

static void ask(jg_op *op)
{
    jg_call_later(op->loop, op->data, 25);
}

static int lend_buffer(void *arg)
{
    static const jg_provider provider = {"lend", ask};
    jg_timer timer;
    jg_op op;

    (void)arg;
    jg_op_self(&op);
    jg_timer_init(&timer, through, &op);
    test_check(jg_op_start(&op, &provider, &timer) == 0);
    return jg_await(&op);
}

static void a_cancelled_op_keeps_its_task_waiting_until_the_provider_is_through(void **state)
{
    struct world world;
    struct killer killer;
    int status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, lend_buffer, NULL, &(jg_spawn_options){.ret_status = &status}), 0);
    killer_start(&killer, world.loop, &world.root, 10);
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(status, -ECANCELED);
    assert_int_equal(jg_loop_now(world.loop), 35);
    test_loop_done(world.loop);
}

static int be_stubborn(void *arg)
{
    jg_future set = {.done = true};
    int *refusals = arg;

    for (int i = 0; i < 100; i++) {
        *refusals += jg_sleep(10) == -ECANCELED;
        *refusals += jg_sleep(0) == -ECANCELED;
        *refusals += jg_future_wait(&set) == -ECANCELED;
    }
    return 9;
}

static void in_a_cancelled_scope_every_start_and_every_await_returns_ecanceled(void **state)
{
    struct world world;
    int refusals = 0, status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, be_stubborn, &refusals, &(jg_spawn_options){.ret_status = &status}),
        0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(refusals, 300);
    assert_int_equal(status, 9);
}

static void a_deadline_alone_wakes_who_waits_for_what_never_comes(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {.nap = {.delay = JG_FOREVER, .result = 5},
                            .options = {.timeout = 3600 * JG_SECOND}};

        body_run(&body, form);
        assert_int_equal(body.left, -ETIMEDOUT);
        assert_int_equal(body.left_at, 3600 * JG_SECOND);
    }
}

static int wait_for_nothing(void *arg)
{
    jg_future never = {.done = false};
    jg_scope scope;

    (void)arg;
    jg_scope_enter(&scope, &(jg_scope_options){.timeout = JG_SECOND});
    return jg_scope_leave(&scope, jg_future_wait(&never));
}

static void a_deadline_keeps_the_loop_alive_as_something_that_will_wake_a_task(void **state)
{
    const jg_loop_options loop = {.flags = JG_LOOP_VIRTUAL_TIME};

    (void)state;
    assert_int_equal(jg_run(wait_for_nothing, NULL, &(jg_run_options){.loop = &loop}), -ETIMEDOUT);
}

static void an_expired_deadline_cuts_the_first_wait(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct body body = {.nap = {.delay = 10, .result = 5},
                            .options = {.timeout = -1},
                            .count = 1,
                            .children = {{.delay = 10}}};

        body_run(&body, form);
        assert_int_equal(body.left, -ETIMEDOUT);
        assert_int_equal(body.left_at, 0);
        assert_int_equal(body.children[0].status, 12345); /* refused */
    }
}

static void move_setup(struct body *body)
{
    jg_scope_reschedule(&body->scope, *(jg_time *)body->arg);
}

static void a_deadline_can_be_moved_both_ways_and_away(void **state)
{
    const jg_time deadlines[] = {5, 15, 30, JG_FOREVER};

    (void)state;
    for (int i = 0; i < 4 * FORMS; i++) {
        jg_time deadline = deadlines[i % 4];
        struct body body = {
            .nap = {.delay = 20, .result = 5},
            .options = {.timeout = 10},
            .setup = move_setup,
            .arg = &deadline,
        };

        body_run(&body, (enum form)(i / 4));
        assert_int_equal(body.left_at, deadline < 20 ? deadline : 20);
        assert_int_equal(body.left, deadline < 20 ? -ETIMEDOUT : 5);
    }
}

static void a_deadline_that_has_passed_cannot_be_moved(void **state)
{
    jg_time deadline = 1000;
    struct body body = {
        .nap = {.delay = 20, .result = 5},
        .options = {.timeout = -1},
        .setup = move_setup,
        .arg = &deadline,
    };

    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        body_run(&body, form);
        assert_int_equal(body.left, -ETIMEDOUT);
    }
}

/* Two scopes with deadlines, one in the other. */
struct nested {
    jg_time outer, inner;
    int outer_left, inner_left;
    bool swap; /* equal deadlines: the inner one's timer is set first */
};

static int nest(void *arg)
{
    struct nested *nested = arg;
    jg_scope outer, inner;

    jg_scope_enter(&outer, &(jg_scope_options){.timeout = nested->outer});
    jg_scope_enter(&inner, &(jg_scope_options){.timeout = nested->inner});
    if (nested->swap)
        jg_scope_reschedule(&outer, nested->outer);
    nested->inner_left = jg_scope_leave(&inner, jg_sleep(100));
    nested->outer_left = jg_scope_leave(&outer, jg_sleep(100) < 0 ? -ECANCELED : 7);
    return 0;
}

static void nested_timeouts_are_told_to_the_scope_whose_deadline_it_was(void **state)
{
    const struct nested cases[] = {
        {1000, 1000, 7, 0, false},               /* neither */
        {1000, 50, 7, -ETIMEDOUT, false},        /* the inner */
        {150, 1000, -ETIMEDOUT, 0, false},       /* the outer, after the inner was left */
        {50, 1000, -ETIMEDOUT, -ECANCELED, 0},   /* the outer, inside the inner */
        {120, 50, -ETIMEDOUT, -ETIMEDOUT, 0},    /* one after the other */
        {50, 50, -ETIMEDOUT, -ECANCELED, false}, /* both at once: the outer */
        {50, 50, -ETIMEDOUT, -ECANCELED, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nested nested = cases[i];
        struct world world;

        nested.inner_left = nested.outer_left = 12345;
        world_init(&world);
        assert_int_equal(jg_spawn(&world.root, nest, &nested, NULL), 0);
        world_done(&world);
        if (nested.inner_left != cases[i].inner_left || nested.outer_left != cases[i].outer_left)
            fail_msg("case %d: %d, %d", (int)i, nested.inner_left, nested.outer_left);
        assert_int_equal(world.result, 0);
    }
}

static void a_shield_keeps_outer_cancellation_from_body_and_children(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * FORMS; i++) {
        const bool cancelled_before = i % 2;
        struct world world;
        struct killer killer;
        struct body body = {
            .nap = {.delay = 50, .result = 5},
            .options = {.shield = true},
            .count = 1,
            .children = {{.delay = 100, .result = 3}},
        };

        world_init(&world);
        body_spawn(&body, &world.root, (enum form)(i / 2));
        if (cancelled_before)
            jg_scope_cancel(&world.root);
        else
            killer_start(&killer, world.loop, &world.root, 10);
        world_done(&world);
        assert_int_equal(body.left, 5);
        assert_int_equal(body.left_at, 100);
        assert_int_equal(body.children[0].status, 3);
    }
}

static void a_shield_has_its_own_deadline_and_may_be_cancelled_itself(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * FORMS; i++) {
        const bool deadline = i % 2;
        struct world world;
        struct killer killer;
        struct body body = {
            .nap = {.delay = 100, .result = 5},
            .options = {.shield = true, .timeout = deadline ? 20 : 0},
            .count = 1,
            .children = {{.delay = 100, .result = 3}},
        };

        world_init(&world);
        body_spawn(&body, &world.root, (enum form)(i / 2));
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        jg_scope_cancel(&world.root);
        if (!deadline)
            killer_start(&killer, world.loop, &body.scope, 20);
        world_done(&world);
        assert_int_equal(body.left, deadline ? -ETIMEDOUT : 0);
        assert_int_equal(body.left_at, 20);
        assert_int_equal(body.children[0].status, -ECANCELED);
    }
}

static int time_out_behind_a_shield(void *arg)
{
    int *statuses = arg;
    jg_scope outer, inner;

    jg_scope_enter(&outer, &(jg_scope_options){.timeout = 10});
    jg_scope_enter(&inner, &(jg_scope_options){.shield = true, .timeout = 20});
    statuses[0] = jg_scope_leave(&inner, jg_sleep(100));
    statuses[1] = jg_scope_leave(&outer, 5);
    return 0;
}

static void what_a_shields_own_deadline_cut_was_not_cut_by_the_scopes_outside(void **state)
{
    int statuses[2] = {1, 1};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, time_out_behind_a_shield, statuses, NULL), 0);
    world_done(&world);
    assert_int_equal(statuses[0], -ETIMEDOUT);
    assert_int_equal(statuses[1], 5);
}

static int shield_then_wait(void *arg)
{
    int *statuses = arg;
    jg_scope scope;

    jg_scope_enter(&scope, &(jg_scope_options){.shield = true});
    statuses[0] = jg_scope_leave(&scope, jg_sleep(50));
    statuses[1] = jg_sleep(50);
    return 0;
}

static void behind_a_shield_the_cancellation_is_found_again(void **state)
{
    int statuses[2] = {1, 1};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, shield_then_wait, statuses, NULL), 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(statuses[0], 0);
    assert_int_equal(statuses[1], -ECANCELED);
}

struct cleanup {
    struct test_trace trace;
    struct test_mark marks[3];
    jg_defer defers[3];
    struct causes causes;
    struct body *body;
};

static void cleanup_setup(struct body *body)
{
    struct cleanup *cleanup = body->arg;

    for (int i = 0; i < 3; i++) {
        cleanup->marks[i] = (struct test_mark){&cleanup->trace, (char)('a' + i)};
        jg_scope_defer(&body->scope, &cleanup->defers[i], test_mark_call, &cleanup->marks[i]);
    }
    body->arg = &cleanup->causes;
    causes_setup(body);
    body->arg = cleanup;
}

static void deferred_calls_run_last_in_first_out_whatever_the_reason_to_leave(void **state)
{
    (void)state;
    for (int i = 0; i < CASES * FORMS; i++) {
        const int bits = i % CASES;
        struct world world;
        struct cleanup cleanup = {.causes = {.world = &world, .causes = bits}};
        struct body body = {
            .nap = {.delay = 100, .result = bits & BODY_ERROR ? -EPROTO : 5},
            .options = {.timeout = bits & DEADLINE ? 10 : 0},
            .count = 1,
            .children = {{.delay = 50, .result = bits & CHILD_ERROR ? -EIO : 0}},
            .setup = cleanup_setup,
            .arg = &cleanup,
        };

        world_init(&world);
        body_spawn(&body, &world.root, (enum form)(i / CASES));
        world_done(&world);
        assert_string_equal(cleanup.trace.letters, "cba");
    }
}

static void note_running(void *arg)
{
    struct cleanup *cleanup = arg;

    test_check(cleanup->body->children[0].status != 12345);
    test_trace_add(&cleanup->trace, 'x');
}

static void note_setup(struct body *body)
{
    struct cleanup *cleanup = body->arg;

    cleanup->body = body;
    jg_scope_defer(&body->scope, &cleanup->defers[0], note_running, cleanup);
}

static void deferred_calls_run_after_the_tasks_have_ended(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct cleanup cleanup = {.body = NULL};
        struct body body = {
            .nap = {.delay = -1},
            .count = 1,
            .children = {{.delay = 50}},
            .setup = note_setup,
            .arg = &cleanup,
        };

        body_run(&body, form);
        assert_string_equal(cleanup.trace.letters, "x");
    }
}

static void defer_more(void *arg)
{
    struct cleanup *cleanup = arg;

    test_trace_add(&cleanup->trace, 'm');
    cleanup->marks[0] = (struct test_mark){&cleanup->trace, 'n'};
    jg_scope_defer(&cleanup->body->scope, &cleanup->defers[1], test_mark_call, &cleanup->marks[0]);
}

static void more_setup(struct body *body)
{
    struct cleanup *cleanup = body->arg;

    cleanup->body = body;
    jg_scope_defer(&body->scope, &cleanup->defers[0], defer_more, cleanup);
}

static void a_deferred_call_may_defer_another(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct cleanup cleanup = {.body = NULL};
        struct body body = {.nap = {.delay = -1}, .setup = more_setup, .arg = &cleanup};

        body_run(&body, form);
        assert_string_equal(cleanup.trace.letters, "mn");
    }
}

static void spawn_late(void *arg)
{
    struct late *late = arg;

    late->spawned = nap_spawn(&late->nap, &late->body->scope, late->body->form);
}

static void spawn_late_setup(struct body *body)
{
    static jg_defer defer;
    struct late *late = body->arg;

    late->body = body;
    jg_scope_defer(&body->scope, &defer, spawn_late, late);
}

static void a_deferred_call_cannot_spawn_into_the_scope_that_ends(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct late late = {.nap = {.delay = 100}};
        struct body body = {.nap = {.delay = -1}, .setup = spawn_late_setup, .arg = &late};

        body_run(&body, form);
        assert_int_equal(late.spawned, -ECANCELED);
        assert_int_equal(late.nap.steps, 0);
    }
}

/* Deferred calls of coroutines, which wait. */
struct slow_cleanup {
    jg_scope *scope;
    jg_scope_options options;
    jg_defer defers[2];
    jg_time delays[2];
    int statuses[2]; /* in the order they were registered */
    int left;
    jg_time left_at;
    jg_time body;
};

static void clean_second(void *arg)
{
    struct slow_cleanup *cleanup = arg;

    cleanup->statuses[0] = jg_sleep(cleanup->delays[0]);
}

static void clean_first(void *arg)
{
    struct slow_cleanup *cleanup = arg;

    cleanup->statuses[1] = jg_sleep(cleanup->delays[1]);
}

static int clean_slowly(void *arg)
{
    struct slow_cleanup *cleanup = arg;
    jg_scope scope;

    cleanup->scope = &scope;
    jg_scope_enter(&scope, &cleanup->options);
    jg_scope_defer(&scope, &cleanup->defers[0], clean_second, cleanup);
    jg_scope_defer(&scope, &cleanup->defers[1], clean_first, cleanup);
    cleanup->left = jg_scope_leave(&scope, jg_sleep(cleanup->body) < 0 ? -ECANCELED : 5);
    cleanup->left_at = jg_loop_now(jg_task_loop(jg_task_current()));
    return 0;
}

static void deferred_calls_may_wait_shielded_from_cancellation_and_deadline(void **state)
{
    const int left[] = {5, -ETIMEDOUT, -ECANCELED, 0};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct slow_cleanup cleanup = {
            .options = {.timeout = i == 1 ? 10 : 0},
            .delays = {30, 40},
            .statuses = {1, 1},
            .body = i == 0 ? 10 : 1000,
        };
        struct world world;
        struct killer first, second, outer;

        world_init(&world);
        assert_int_equal(jg_spawn(&world.root, clean_slowly, &cleanup, NULL), 0);
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        if (i == 2)
            killer_start(&first, world.loop, &world.root, 10);
        if (i == 3)
            killer_start(&first, world.loop, cleanup.scope, 10);
        killer_start(&second, world.loop, cleanup.scope, 20); /* during the cleanup */
        killer_start(&outer, world.loop, &world.root, 25);
        world_done(&world);
        assert_int_equal(cleanup.statuses[0], 0);
        assert_int_equal(cleanup.statuses[1], 0);
        assert_int_equal(cleanup.left_at, 80);
        assert_int_equal(cleanup.left, left[i]);
    }
}

/* A deferred call that has scopes, tasks and limits of its own. */
struct thorough {
    jg_defer defer;
    struct nap naps[2];
    int gathered, limited;
    jg_job jobs[2];
};

static int nap_for_ever(void *arg)
{
    (void)arg;
    return jg_sleep(JG_FOREVER);
}

static void clean_thoroughly(void *arg)
{
    struct thorough *thorough = arg;

    for (int i = 0; i < 2; i++)
        thorough->jobs[i] = (jg_job){.fn = nap_coro, .arg = &thorough->naps[i]};
    thorough->gathered = jg_gather(thorough->jobs, 2, JG_FAIL_FAST);
    thorough->limited = jg_wait_for(nap_for_ever, NULL, 20);
}

static int defer_thoroughly(void *arg)
{
    struct thorough *thorough = arg;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    jg_scope_defer(&scope, &thorough->defer, clean_thoroughly, thorough);
    return jg_scope_leave(&scope, jg_sleep(1000));
}

static void a_deferred_call_may_have_scopes_tasks_and_limits_of_its_own(void **state)
{
    struct thorough thorough = {.naps = {{.delay = 10, .result = 1}, {.delay = 20, .result = 2}},
                                .gathered = 1};
    struct world world;
    struct killer killer;
    int status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, defer_thoroughly, &thorough,
                              &(jg_spawn_options){.ret_status = &status}),
                     0);
    killer_start(&killer, world.loop, &world.root, 5);
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(status, -ECANCELED);
    assert_int_equal(thorough.gathered, 0);
    assert_int_equal(thorough.jobs[0].status, 1);
    assert_int_equal(thorough.jobs[1].status, 2);
    assert_int_equal(thorough.limited, -ETIMEDOUT);
    assert_int_equal(jg_loop_now(world.loop), 45);
    test_loop_done(world.loop);
}

static void deferred_calls_that_wait_too_long_are_cut_at_the_grace_deadline(void **state)
{
    struct slow_cleanup cleanup = {
        .options = {.grace = 50}, .delays = {30, 40}, .statuses = {1, 1}, .body = 10};
    struct slow_cleanup stuck = {.delays = {30, JG_FOREVER}, .statuses = {1, 1}, .body = 10};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, clean_slowly, &cleanup, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, clean_slowly, &stuck, NULL), 0);
    world_done(&world);
    assert_int_equal(cleanup.statuses[1], 0);
    assert_int_equal(cleanup.statuses[0], -ECANCELED);
    assert_int_equal(cleanup.left_at, 60);
    assert_int_equal(cleanup.left, 5);
    assert_int_equal(stuck.statuses[1], -ECANCELED);
    assert_int_equal(stuck.statuses[0], -ECANCELED);
    assert_int_equal(stuck.left_at, 10 + 10 * JG_SECOND); /* the default */
    assert_int_equal(stuck.left, 5);
}

/* A coroutine that takes a thing handed over by a future, and then waits once more. */
struct taker {
    jg_future thing;
    int got;
    int next;
};

static int take(void *arg)
{
    struct taker *taker = arg;

    taker->got = jg_future_wait(&taker->thing);
    taker->next = jg_sleep(1);
    return taker->got;
}

static void what_was_handed_over_counts_as_delivered_though_the_scope_is_cancelled(void **state)
{
    struct world world;
    struct taker taker = {.got = 1, .next = 1};
    int status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, take, &taker, &(jg_spawn_options){.ret_status = &status}), 0);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(jg_future_set(&taker.thing, 77), 0);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(taker.got, 77);
    assert_int_equal(taker.next, -ECANCELED);
    assert_int_equal(status, 77);
}

/* One task inside ten thousand scopes. */
struct tower {
    jg_task task;
    jg_sleeper sleeper;
    jg_scope *scopes;
    int height, floor;
    int not_cancelled;
    bool down;
};

static int climb(jg_task *task, void *arg, int status)
{
    struct tower *tower = arg;

    if (!tower->down) {
        for (; tower->floor < tower->height; tower->floor++)
            jg_scope_open(&tower->scopes[tower->floor], jg_task_loop(task), task, NULL);
        tower->down = true;
        test_check(jg_sleep_start(&tower->sleeper, JG_SECOND, jg_task_op(task)) == 0);
        return JG_PENDING;
    }
    tower->not_cancelled += status != -ECANCELED;
    if (tower->floor == 0)
        return status;
    jg_scope_close(&tower->scopes[--tower->floor], status, jg_task_op(task));
    return JG_PENDING;
}

static void ten_thousand_scopes_in_one_another_are_cancelled_and_left(void **state)
{
    const int height = test_is_slow() ? 2000 : 10000;
    struct tower tower = {.height = height};
    struct world world;
    int status = 12345;

    (void)state;
    tower.scopes = calloc((size_t)height, sizeof(*tower.scopes));
    assert_non_null(tower.scopes);
    world_init(&world);
    jg_task_init(&tower.task, "tower", climb, &tower);
    assert_int_equal(jg_task_spawn(&world.root, &tower.task, &status), 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(status, -ECANCELED);
    assert_int_equal(tower.floor, 0);
    assert_int_equal(tower.not_cancelled, 0);
    free(tower.scopes);
}

/* Ten thousand tasks, each in a scope of the one before. */
struct chain {
    jg_task task;
    jg_sleeper sleeper;
    jg_scope scope;
    struct chain *next;
    int phase;
    int status;
};

static int link_on(jg_task *task, void *arg, int status)
{
    struct chain *chain = arg;

    switch (chain->phase++) {
    case 0:
        jg_scope_open(&chain->scope, jg_task_loop(task), task, NULL);
        if (chain->next) {
            jg_task_init(&chain->next->task, "chain", link_on, chain->next);
            test_check(jg_task_spawn(&chain->scope, &chain->next->task, &chain->next->status) == 0);
        }
        status = jg_sleep_start(&chain->sleeper, JG_SECOND, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
        chain->phase++; /* fall through */
    case 1:
        jg_scope_close(&chain->scope, status, jg_task_op(task));
        chain->phase = 2;
        return JG_PENDING;
    default:
        return status;
    }
}

static void
ten_thousand_tasks_in_scopes_of_one_another_are_cancelled_without_recursion(void **state)
{
    const int n = test_is_slow() ? 2000 : 10000;
    struct chain *chain = calloc((size_t)n, sizeof(*chain));
    struct world world;

    (void)state;
    assert_non_null(chain);
    for (int i = 0; i + 1 < n; i++)
        chain[i].next = &chain[i + 1];
    world_init(&world);
    jg_task_init(&chain[0].task, "chain", link_on, &chain[0]);
    assert_int_equal(jg_task_spawn(&world.root, &chain[0].task, &chain[0].status), 0);
    while (chain[n - 1].phase == 0)
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    for (int i = 0; i < n; i++)
        assert_int_equal(chain[i].status, -ECANCELED);
    assert_int_equal(world.result, 0);
    free(chain);
}

static void close_twice(void *arg)
{
    struct world world;
    jg_op again;

    (void)arg;
    world_init(&world);
    jg_op_init(&again, world.loop, test_count_call, NULL);
    jg_scope_close(&world.root, 0, &world.left);
    jg_scope_close(&world.root, 0, &again);
}

static void closing_a_scope_twice_is_misuse(void **state)
{
    (void)state;
    test_expect_abort(close_twice, NULL, "the scope is closed already");
}

static void to_cancel_the_end_of_a_scope_changes_nothing(void **state)
{
    struct nap nap = {.delay = JG_SECOND};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(nap_spawn(&nap, &world.root, STEPS), 0);
    jg_scope_close(&world.root, 0, &world.left);
    jg_op_cancel(&world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(world.result, 0);
    assert_int_equal(nap.status, 0);
    assert_true(nap.ended >= JG_SECOND);
    test_loop_done(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_a_scope_waits_for_its_last_task),
        cmocka_unit_test(leaving_an_empty_scope_returns_what_the_body_ended_with),
        cmocka_unit_test(what_is_spawned_when_the_last_task_has_just_ended_is_joined_or_refused),
        cmocka_unit_test(what_is_spawned_while_its_scope_is_being_left_is_joined_too),
        cmocka_unit_test(
            a_task_spawned_into_a_cancelled_scope_is_refused_and_one_before_enters_its_body),
        cmocka_unit_test(a_child_that_cancels_its_scope_before_it_ever_waits_reaches_all),
        cmocka_unit_test(a_task_spawned_into_an_outer_scope_belongs_to_that),
        cmocka_unit_test(leaving_scopes_out_of_order_is_misuse),
        cmocka_unit_test(
            leaving_returns_child_error_body_error_outer_cancellation_timeout_own_cancellation_or_result),
        cmocka_unit_test(of_several_errors_the_first_in_time_is_returned),
        cmocka_unit_test(the_outermost_cancelled_scope_wins_over_a_deadline_of_the_same_turn),
        cmocka_unit_test(a_scope_cancelled_before_its_deadline_in_the_same_turn_did_not_time_out),
        cmocka_unit_test(a_deadline_that_cut_nothing_leaves_the_result_alone),
        cmocka_unit_test(a_cancellation_that_cut_nothing_leaves_the_result_alone),
        cmocka_unit_test(a_body_that_ends_with_ecanceled_in_a_scope_not_cancelled_keeps_it),
        cmocka_unit_test(a_cancellation_while_leaving_reaches_the_tasks_and_is_returned),
        cmocka_unit_test(a_childs_error_cancels_its_siblings_and_the_body),
        cmocka_unit_test(the_bodys_error_cancels_the_children),
        cmocka_unit_test(with_keep_going_errors_cancel_nothing_and_stay_with_the_children),
        cmocka_unit_test(with_first_wins_a_success_cancels_the_rest_and_no_error_counts),
        cmocka_unit_test(with_first_wins_and_no_winner_the_first_error_is_returned),
        cmocka_unit_test(cancelling_a_scope_leaves_those_beside_and_around_it_alone),
        cmocka_unit_test(a_scope_may_be_cancelled_often_and_after_it_was_left),
        cmocka_unit_test(a_cancelled_op_keeps_its_task_waiting_until_the_provider_is_through),
        cmocka_unit_test(in_a_cancelled_scope_every_start_and_every_await_returns_ecanceled),
        cmocka_unit_test(a_deadline_alone_wakes_who_waits_for_what_never_comes),
        cmocka_unit_test(a_deadline_keeps_the_loop_alive_as_something_that_will_wake_a_task),
        cmocka_unit_test(an_expired_deadline_cuts_the_first_wait),
        cmocka_unit_test(a_deadline_can_be_moved_both_ways_and_away),
        cmocka_unit_test(a_deadline_that_has_passed_cannot_be_moved),
        cmocka_unit_test(nested_timeouts_are_told_to_the_scope_whose_deadline_it_was),
        cmocka_unit_test(a_shield_keeps_outer_cancellation_from_body_and_children),
        cmocka_unit_test(a_shield_has_its_own_deadline_and_may_be_cancelled_itself),
        cmocka_unit_test(what_a_shields_own_deadline_cut_was_not_cut_by_the_scopes_outside),
        cmocka_unit_test(behind_a_shield_the_cancellation_is_found_again),
        cmocka_unit_test(deferred_calls_run_last_in_first_out_whatever_the_reason_to_leave),
        cmocka_unit_test(deferred_calls_run_after_the_tasks_have_ended),
        cmocka_unit_test(a_deferred_call_may_defer_another),
        cmocka_unit_test(a_deferred_call_cannot_spawn_into_the_scope_that_ends),
        cmocka_unit_test(deferred_calls_may_wait_shielded_from_cancellation_and_deadline),
        cmocka_unit_test(a_deferred_call_may_have_scopes_tasks_and_limits_of_its_own),
        cmocka_unit_test(deferred_calls_that_wait_too_long_are_cut_at_the_grace_deadline),
        cmocka_unit_test(what_was_handed_over_counts_as_delivered_though_the_scope_is_cancelled),
        cmocka_unit_test(ten_thousand_scopes_in_one_another_are_cancelled_and_left),
        cmocka_unit_test(closing_a_scope_twice_is_misuse),
        cmocka_unit_test(
            ten_thousand_tasks_in_scopes_of_one_another_are_cancelled_without_recursion),
        cmocka_unit_test(to_cancel_the_end_of_a_scope_changes_nothing),
    };

    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
