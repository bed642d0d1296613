/* SPDX-License-Identifier: MIT
 *
 * Coroutines: their order, what cancellation does to them, the combinators, awaiting step tasks
 * and being awaited by them, and their stacks. Whole programs, and coroutines cancelled at every
 * point, are in test_run.c.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>

#include <signal.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void spawn(struct world *world, jg_coro_fn fn, void *arg, int *ret_status)
{
    const jg_spawn_options options = {.ret_status = ret_status};

    assert_int_equal(jg_spawn(&world->root, fn, arg, &options), 0);
}

/* Run one coroutine alone. Returns what it returned. */
static int run_alone(jg_coro_fn fn, void *arg)
{
    struct world world;
    int status = 12345;

    world_init(&world);
    spawn(&world, fn, arg, &status);
    world_done(&world);
    return status;
}

static jg_loop *here(void)
{
    return jg_task_loop(jg_task_current());
}

static jg_time now(void)
{
    return jg_loop_now(here());
}

/* Something that happens at a time: a scope is cancelled, or a future is set to 42. */
struct event {
    jg_timer timer;
    jg_scope *scope;
    jg_future *future;
};

static void event_run(void *arg)
{
    struct event *event = arg;

    if (event->scope)
        jg_scope_cancel(event->scope);
    if (event->future)
        (void)jg_future_set(event->future, 42);
}

static void event_at(struct event *event, jg_loop *loop, jg_time when)
{
    jg_timer_init(&event->timer, event_run, event);
    jg_call_at(loop, &event->timer, when);
}

/* A coroutine that leaves its letter a few times, sleeping between. */
struct talker {
    struct test_trace *trace;
    char letter;
    int times;
    jg_time delay;
};

static int talk(void *arg)
{
    struct talker *talker = arg;

    for (int i = 0; i < talker->times; i++) {
        test_trace_add(talker->trace, talker->letter);
        if (jg_sleep(talker->delay) < 0)
            return -ECANCELED;
    }
    return talker->times;
}

static void coroutines_run_in_the_order_spawned_and_never_inside_the_spawn(void **state)
{
    struct test_trace trace = {""};
    struct talker talkers[3];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        talkers[i] = (struct talker){&trace, (char)('a' + i), 2, 0};
        spawn(&world, talk, &talkers[i], NULL);
        assert_string_equal(trace.letters, "");
    }
    world_done(&world);
    assert_string_equal(trace.letters, "abcabc");
}

static void equal_sleeps_end_in_the_order_they_began(void **state)
{
    struct test_trace trace = {""};
    struct talker talkers[3];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        talkers[i] = (struct talker){&trace, (char)('a' + i), 2, i == 1 ? 5 : 10};
        spawn(&world, talk, &talkers[i], NULL);
    }
    world_done(&world);
    assert_string_equal(trace.letters, "abcbac");
}

/* Awaits what is ready, again and again. */
struct busy {
    jg_future set;
    int awaits;
    int done;
};

static int be_busy(void *arg)
{
    struct busy *busy = arg;

    for (; busy->done < busy->awaits; busy->done++)
        test_check(jg_future_wait(&busy->set) == 7);
    return 0;
}

struct watcher {
    struct busy *busy;
    int turns, longest, last;
};

static int watch(void *arg)
{
    struct watcher *watcher = arg;
    struct busy *busy = watcher->busy;

    while (busy->done < busy->awaits) {
        int run = busy->done - watcher->last;

        watcher->last = busy->done;
        if (run > watcher->longest)
            watcher->longest = run;
        watcher->turns++;
        test_check(jg_sleep(0) == 0);
    }
    return 0;
}

static void awaiting_what_is_ready_does_not_pause_but_starves_nobody(void **state)
{
    struct busy few = {.set = {.status = 7, .done = true}, .awaits = 5};
    struct busy many = {.set = {.status = 7, .done = true}, .awaits = 10000};
    struct watcher watcher = {.busy = &many};
    struct world world;

    (void)state;
    world_init(&world);
    spawn(&world, be_busy, &few, NULL);
    spawn(&world, be_busy, &many, NULL);
    spawn(&world, watch, &watcher, NULL);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    assert_int_equal(few.done, 5);
    assert_true(many.done > 0 && many.done < 1000);
    world_done(&world);
    assert_int_equal(many.done, 10000);
    assert_true(watcher.turns > 10);
    assert_true(watcher.longest < 1000);
}

static int await_ready_in_turns(void *arg)
{
    struct busy *busy = arg;

    for (; busy->done < busy->awaits; busy->done++) {
        int r = jg_future_wait(&busy->set);

        if (r < 0)
            return r;
    }
    return 0;
}

static void who_gives_way_with_a_result_in_hand_gets_it_though_cancelled_meanwhile(void **state)
{
    struct busy busy = {.set = {.status = 7, .done = true}, .awaits = 10000};
    struct world world;
    int status = 12345, done;

    (void)state;
    world_init(&world);
    spawn(&world, await_ready_in_turns, &busy, &status);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    done = busy.done;
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(busy.done, done + 1);
    assert_int_equal(status, -ECANCELED);
}

/* A coroutine that waits for a future and then once more. */
struct waiter {
    jg_future *future;
    int first, second; /* statuses */
    int result;
};

static int wait_twice(void *arg)
{
    struct waiter *waiter = arg;

    waiter->first = jg_future_wait(waiter->future);
    waiter->second = jg_sleep(10);
    return waiter->result;
}

static void cancelling_reaches_the_wait_for_a_future_and_leaves_the_future_alone(void **state)
{
    jg_future future = {.done = false};
    struct waiter cut = {.future = &future}, other = {.future = &future};
    struct world world;
    jg_scope beside;
    jg_op left;
    int result = 0;

    (void)state;
    world_init(&world);
    jg_scope_open(&beside, world.loop, NULL, NULL);
    jg_op_init(&left, world.loop, test_count_call, &result);
    spawn(&world, wait_twice, &cut, NULL);
    assert_int_equal(jg_spawn(&beside, wait_twice, &other, NULL), 0);
    assert_int_equal(jg_loop_run(world.loop), 0);
    jg_scope_cancel(&world.root);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(cut.first, -ECANCELED);
    assert_false(future.done);
    assert_int_equal(jg_future_set(&future, 3), 0);
    jg_scope_close(&beside, 0, &left);
    world_done(&world);
    assert_int_equal(other.first, 3);
    assert_int_equal(other.second, 0);
    assert_int_equal(result, 1);
}

static void a_cancellation_that_is_caught_is_not_lost_and_the_return_value_is_kept(void **state)
{
    jg_future never = {.done = false};
    struct waiter waiter = {.future = &never, .result = 5};
    struct world world;
    int status = 12345;

    (void)state;
    world_init(&world);
    spawn(&world, wait_twice, &waiter, &status);
    assert_int_equal(jg_loop_run(world.loop), 0);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(waiter.first, -ECANCELED);
    assert_int_equal(waiter.second, -ECANCELED);
    assert_int_equal(status, 5);
}

static void a_coroutine_cancelled_before_it_began_enters_its_body(void **state)
{
    jg_future never = {.done = false};
    struct waiter waiter = {.future = &never, .first = 1, .second = 1};
    struct world world;

    (void)state;
    world_init(&world);
    spawn(&world, wait_twice, &waiter, NULL);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(waiter.first, -ECANCELED);
    assert_int_equal(waiter.second, -ECANCELED);
}

static int cancel_self(void *arg)
{
    int *next = arg;

    jg_scope_cancel(jg_task_current()->scope);
    *next = jg_sleep(10);
    return 6;
}

static int only_sleep(void *arg)
{
    int r = jg_sleep(*(jg_time *)arg);

    return r < 0 ? r : 6;
}

static void who_cancels_itself_or_is_cancelled_at_the_end_keeps_its_return_value(void **state)
{
    jg_time delay = 10;
    struct world world;
    int next = 1, status = 12345;

    (void)state;
    assert_int_equal(run_alone(cancel_self, &next), 6);
    assert_int_equal(next, -ECANCELED);

    world_init(&world);
    spawn(&world, only_sleep, &delay, &status);
    while (jg_loop_now(world.loop) < 10)
        assert_int_equal(jg_loop_run_once(world.loop, -1), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(status, 6);
}

/* Sets a future when it is through: how others wait for one task. */
struct target {
    jg_future ended;
    jg_time ended_at;
};

static int be_waited_for(void *arg)
{
    struct target *target = arg;
    int r = jg_sleep(100);

    target->ended_at = now();
    (void)jg_future_set(&target->ended, r);
    return r;
}

static int wait_for_target(void *arg)
{
    struct target *target = arg;

    return jg_future_wait(&target->ended);
}

static void cancelling_who_waits_for_a_task_does_not_cancel_the_task(void **state)
{
    struct target target = {.ended_at = 0};
    struct world world;
    struct event cancel;
    jg_scope scope;
    jg_op left;
    int leaves = 0, cut = 12345, other = 12345;

    (void)state;
    world_init(&world);
    jg_scope_open(&scope, world.loop, NULL, NULL);
    jg_op_init(&left, world.loop, test_count_call, &leaves);
    spawn(&world, be_waited_for, &target, NULL);
    spawn(&world, wait_for_target, &target, &other);
    assert_int_equal(
        jg_spawn(&scope, wait_for_target, &target, &(jg_spawn_options){.ret_status = &cut}), 0);
    cancel = (struct event){.scope = &scope};
    event_at(&cancel, world.loop, 10);
    jg_scope_close(&scope, 0, &left);
    world_done(&world);
    assert_int_equal(cut, -ECANCELED);
    assert_int_equal(other, 0);
    assert_int_equal(target.ended_at, 100);
    assert_int_equal(leaves, 1);
}

/* What jg_wait_for limits: sleeps, or waits for a future. */
struct limited {
    jg_time timeout;
    jg_time delay;
    jg_future *future; /* instead of sleeping */
    int result;        /* 0: the status */
    int on_cut;        /* 0: the status */
    jg_time cleanup;   /* shielded, when cut */
    int status;        /* of jg_wait_for */
    int after;         /* of a wait after it */
    jg_time ended_at;
};

static int clean_up(void *arg)
{
    return jg_sleep(*(jg_time *)arg);
}

static int limited_body(void *arg)
{
    struct limited *limited = arg;
    int r = limited->future ? jg_future_wait(limited->future) : jg_sleep(limited->delay);

    if (r < 0 && limited->cleanup > 0)
        test_check(jg_shield(clean_up, &limited->cleanup) == 0);
    if (r < 0)
        return limited->on_cut ? limited->on_cut : r;
    return limited->result ? limited->result : r;
}

static int limit(void *arg)
{
    struct limited *limited = arg;

    limited->status = jg_wait_for(limited_body, limited, limited->timeout);
    limited->ended_at = now();
    limited->after = jg_sleep(1);
    return 0;
}

static void wait_for_returns_the_result_or_etimedout_and_the_caller_goes_on(void **state)
{
    static const struct limited cases[] = {
        {.timeout = 100, .delay = 10, .result = 5, .status = 5, .ended_at = 10},
        {.timeout = 100, .delay = 10, .result = -EIO, .status = -EIO, .ended_at = 10},
        {.timeout = 10, .delay = 100, .result = 5, .status = -ETIMEDOUT, .ended_at = 10},
        {.timeout = 0, .delay = 100, .result = 5, .status = -ETIMEDOUT, .ended_at = 0},
        {.timeout = -5, .delay = 100, .result = 5, .status = -ETIMEDOUT, .ended_at = 0},
        {.timeout = JG_FOREVER, .delay = 1000, .result = 5, .status = 5, .ended_at = 1000},
        /* The cancellation is suppressed: the deadline cut it all the same. */
        {.timeout = 10, .delay = 100, .on_cut = 8, .status = -ETIMEDOUT, .ended_at = 10},
        /* An error of the cleanup comes before the timeout. */
        {.timeout = 10, .delay = 100, .on_cut = -EIO, .status = -EIO, .ended_at = 10},
        /* It waits for the cleanup. */
        {.timeout = 10, .delay = 100, .cleanup = 30, .status = -ETIMEDOUT, .ended_at = 40},
        {.timeout = 0, .delay = 100, .cleanup = 30, .status = -ETIMEDOUT, .ended_at = 30},
        /* It was cancelled by itself, not by the limit. */
        {.timeout = 100, .delay = 10, .result = -ECANCELED, .status = -ECANCELED, .ended_at = 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct limited limited = cases[i];

        limited.status = 12345;
        assert_int_equal(run_alone(limit, &limited), 0);
        if (limited.status != cases[i].status || limited.ended_at != cases[i].ended_at)
            fail_msg("case %d: %d at %d", (int)i, limited.status, (int)limited.ended_at);
        assert_int_equal(limited.after, 0);
    }
}

/* Run limit() with a result at time 10 and a cancellation of the outer scope, in either order. */
static void race(struct limited *limited, bool result_first, bool cancel)
{
    struct world world;
    jg_future future = {.done = false};
    struct event result = {.future = &future}, outer = {.scope = NULL};

    limited->future = &future;
    world_init(&world);
    outer.scope = &world.root;
    if (result_first)
        event_at(&result, world.loop, 10);
    if (cancel)
        event_at(&outer, world.loop, 10);
    spawn(&world, limit, limited, NULL);
    if (!result_first) {
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1); /* the deadline is set first */
        event_at(&result, world.loop, 10);
    }
    world_done(&world);
    assert_int_equal(limited->ended_at, 10);
}

static void in_a_race_of_result_and_outer_cancellation_the_first_wins(void **state)
{
    struct limited result_first = {.timeout = 100, .status = 1, .after = 1};
    struct limited cancel_first = {.timeout = 100, .status = 1, .after = 1};

    (void)state;
    race(&result_first, true, true);
    assert_int_equal(result_first.status, 42);
    assert_int_equal(result_first.after, -ECANCELED);
    race(&cancel_first, false, true);
    assert_int_equal(cancel_first.status, -ECANCELED);
    assert_int_equal(cancel_first.after, -ECANCELED);
}

static void in_a_race_of_result_and_deadline_the_first_wins(void **state)
{
    struct limited result_first = {.timeout = 10, .status = 1, .after = 1};
    struct limited deadline_first = {.timeout = 10, .status = 1, .after = 1};

    (void)state;
    race(&result_first, true, false);
    assert_int_equal(result_first.status, 42);
    assert_int_equal(result_first.after, 0);
    race(&deadline_first, false, false);
    assert_int_equal(deadline_first.status, -ETIMEDOUT);
    assert_int_equal(deadline_first.after, 0);
}

static void in_a_race_of_deadline_and_outer_cancellation_the_outer_wins(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct limited limited = {.timeout = 10, .delay = 100, .status = 1, .after = 1};
        struct world world;
        struct event outer;

        world_init(&world);
        outer = (struct event){.scope = &world.root};
        if (order == 0)
            event_at(&outer, world.loop, 10);
        spawn(&world, limit, &limited, NULL);
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        if (order == 1)
            event_at(&outer, world.loop, 10);
        world_done(&world);
        assert_int_equal(limited.status, -ECANCELED);
        assert_int_equal(limited.ended_at, 10);
    }
}

static void an_outer_cancellation_before_the_deadline_is_no_timeout(void **state)
{
    struct limited limited = {.timeout = 100, .delay = 1000, .status = 1};
    struct world world;
    struct event outer;

    (void)state;
    world_init(&world);
    outer = (struct event){.scope = &world.root};
    event_at(&outer, world.loop, 10);
    spawn(&world, limit, &limited, NULL);
    world_done(&world);
    assert_int_equal(limited.status, -ECANCELED);
    assert_int_equal(limited.ended_at, 10);
    assert_int_equal(limited.after, -ECANCELED);
}

/* A job of gather: sleeps, then ends with a result. */
struct nap {
    jg_time delay;
    int result;
    int on_cut; /* 0: the status */
    int runs;
};

static int nap(void *arg)
{
    struct nap *self = arg;

    self->runs++;
    if (jg_sleep(self->delay) == 0)
        return self->result;
    return self->on_cut ? self->on_cut : -ECANCELED;
}

struct gathering {
    struct nap naps[4];
    int count;
    jg_policy policy;
    int statuses[4];
    int result;
    jg_time ended_at;
};

static int gather(void *arg)
{
    struct gathering *gathering = arg;
    jg_job jobs[4];

    for (int i = 0; i < gathering->count; i++)
        jobs[i] = (jg_job){.fn = nap, .arg = &gathering->naps[i], .status = 12345};
    gathering->result = jg_gather(jobs, (size_t)gathering->count, gathering->policy);
    gathering->ended_at = now();
    for (int i = 0; i < gathering->count; i++)
        gathering->statuses[i] = jobs[i].status;
    return 0;
}

static void gather_takes_the_time_of_the_slowest_and_keeps_the_order_of_the_jobs(void **state)
{
    static const struct gathering cases[] = {
        {{{0}}, 0, JG_FAIL_FAST, {0}, 0, 0},
        {{{30, 1, 0, 0}, {10, 2, 0, 0}, {20, 3, 0, 0}}, 3, JG_FAIL_FAST, {1, 2, 3}, 0, 30},
        {{{30, 1, 0, 0}, {10, -EIO, 0, 0}, {20, 3, 0, 0}},
         3,
         JG_FAIL_FAST,
         {-ECANCELED, -EIO, -ECANCELED},
         -EIO,
         10},
        {{{30, 1, -EPERM, 0}, {10, -EIO, 0, 0}, {20, 3, 9, 0}},
         3,
         JG_FAIL_FAST,
         {-EPERM, -EIO, 9},
         -EIO,
         10},
        {{{30, 1, 0, 0}, {10, -EIO, 0, 0}, {20, 3, 0, 0}}, 3, JG_KEEP_GOING, {1, -EIO, 3}, 0, 30},
        {{{30, 1, 0, 0}, {10, -EIO, 0, 0}, {20, 3, 0, 0}},
         3,
         JG_FIRST_WINS,
         {-ECANCELED, -EIO, 3},
         0,
         20},
        {{{30, -EPERM, 0, 0}, {10, -EIO, 0, 0}}, 2, JG_FIRST_WINS, {-EPERM, -EIO}, -EIO, 30},
        {{{10, 1, 0, 0}, {10, 2, 0, 0}}, 2, JG_FIRST_WINS, {1, 2}, 0, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gathering gathering = cases[i];

        gathering.result = 12345;
        assert_int_equal(run_alone(gather, &gathering), 0);
        if (gathering.result != cases[i].result || gathering.ended_at != cases[i].ended_at)
            fail_msg("case %d: %d at %d", (int)i, gathering.result, (int)gathering.ended_at);
        for (int j = 0; j < gathering.count; j++)
            assert_int_equal(gathering.statuses[j], cases[i].statuses[j]);
    }
}

static void cancelling_a_gather_cancels_all_its_jobs_and_waits_for_them(void **state)
{
    (void)state;
    for (int policy = JG_FAIL_FAST; policy <= JG_FIRST_WINS; policy++) {
        struct gathering gathering = {
            .naps = {{.delay = 5, .result = -1}, {.delay = 50, .result = 2}, {.delay = 60}},
            .count = 3,
            .policy = (jg_policy)policy,
            .result = 12345,
        };
        struct world world;
        struct event cancel;

        if (policy == JG_FAIL_FAST)
            gathering.naps[0].result = 7;
        world_init(&world);
        cancel = (struct event){.scope = &world.root};
        event_at(&cancel, world.loop, 10);
        spawn(&world, gather, &gathering, NULL);
        world_done(&world);
        assert_int_equal(gathering.ended_at, 10);
        assert_int_equal(gathering.statuses[0], policy == JG_FAIL_FAST ? 7 : -1);
        assert_int_equal(gathering.statuses[1], -ECANCELED);
        assert_int_equal(gathering.statuses[2], -ECANCELED);
        assert_int_equal(gathering.result, policy == JG_FIRST_WINS ? -1 : -ECANCELED);
    }
}

static void a_gather_in_a_cancelled_scope_starts_nothing(void **state)
{
    struct gathering gathering = {
        .naps = {{.delay = 10}, {.delay = 10}}, .count = 2, .result = 12345};
    struct world world;

    (void)state;
    world_init(&world);
    spawn(&world, gather, &gathering, NULL);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(gathering.result, -ECANCELED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gathering.statuses[i], -ECANCELED);
        assert_int_equal(gathering.naps[i].runs, 0);
    }
}

static void
a_gather_whose_jobs_are_all_done_returns_that_though_cancelled_in_the_same_turn(void **state)
{
    struct gathering gathering = {
        .naps = {{.delay = 10, .result = 1}, {.delay = 5, .result = 2}},
        .count = 2,
        .result = 12345,
    };
    struct world world;

    (void)state;
    world_init(&world);
    spawn(&world, gather, &gathering, NULL);
    while (jg_loop_now(world.loop) < 10)
        assert_int_equal(jg_loop_run_once(world.loop, -1), 1);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(gathering.result, 0);
    assert_int_equal(gathering.statuses[0], 1);
    assert_int_equal(gathering.statuses[1], 2);
}

/* A shielded sleep, alone or inside a limit. */
struct shielded {
    struct nap nap;
    int status;
    int after;
    jg_time ended_at;
};

static int shield_nap(void *arg)
{
    struct shielded *shielded = arg;

    return jg_shield(nap, &shielded->nap);
}

static int shield(void *arg)
{
    struct shielded *shielded = arg;

    shielded->status = shield_nap(shielded);
    shielded->ended_at = now();
    shielded->after = jg_sleep(1);
    return 0;
}

static int limit_shield(void *arg)
{
    struct shielded *shielded = arg;

    shielded->status = jg_wait_for(shield_nap, shielded, 10);
    shielded->ended_at = now();
    return 0;
}

static void a_shield_passes_results_and_errors_and_keeps_cancellation_out(void **state)
{
    const int results[] = {0, 5, -EIO, -ECANCELED};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct shielded shielded = {.nap = {.delay = 50, .result = results[i]}, .status = 1};
        struct world world;
        struct event cancel;

        world_init(&world);
        cancel = (struct event){.scope = &world.root};
        event_at(&cancel, world.loop, 10);
        spawn(&world, shield, &shielded, NULL);
        world_done(&world);
        assert_int_equal(shielded.status, results[i]);
        assert_int_equal(shielded.ended_at, 50);
        assert_int_equal(shielded.after, -ECANCELED);
    }
}

static void a_limit_around_a_shield_cuts_nothing(void **state)
{
    struct shielded shielded = {.nap = {.delay = 50, .result = 5}, .status = 1};

    (void)state;
    assert_int_equal(run_alone(limit_shield, &shielded), 0);
    assert_int_equal(shielded.status, 5);
    assert_int_equal(shielded.ended_at, 50);
}

/* Several ops at once. */
static int await_two(void *arg)
{
    jg_sleeper sleepers[3];
    jg_op ops[3];

    (void)arg;
    for (int i = 0; i < 3; i++) {
        jg_op_self(&ops[i]);
        test_check(jg_sleep_start(&sleepers[i], 10 * (i + 1), &ops[i]) == 0);
    }
    test_check(jg_await(&ops[1]) == 0);
    test_check(now() == 20);
    test_check(jg_await(&ops[0]) == 0);
    test_check(now() == 20);
    jg_op_cancel(&ops[2]);
    test_check(jg_await(&ops[2]) == -ECANCELED);
    test_check(now() == 20);
    return 0;
}

static void a_coroutine_may_have_several_ops_at_once_and_await_them_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(run_alone(await_two, NULL), 0);
}

static int await_two_cut(void *arg)
{
    int *statuses = arg;
    jg_sleeper sleepers[2];
    jg_op ops[2];

    for (int i = 0; i < 2; i++) {
        jg_op_self(&ops[i]);
        test_check(jg_sleep_start(&sleepers[i], 100, &ops[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        statuses[i] = jg_await(&ops[i]);
    return 0;
}

static void each_of_several_ops_is_cancelled_when_it_is_awaited(void **state)
{
    int statuses[2] = {1, 1};
    struct world world;

    (void)state;
    world_init(&world);
    spawn(&world, await_two_cut, statuses, NULL);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    jg_scope_cancel(&world.root);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(jg_loop_now(world.loop), 0);
    world_done(&world);
    assert_int_equal(statuses[0], -ECANCELED);
    assert_int_equal(statuses[1], -ECANCELED);
}

static void sleep_outside(void *arg)
{
    (void)arg;
    (void)jg_sleep(1);
}

static int give_way_with_the_op_pending(void *arg)
{
    jg_future never = {.done = false};

    (void)arg;
    (void)jg_future_wait_start(&never, jg_task_op(jg_task_current()));
    return jg_sleep(0);
}

static void start_and_sleep(void *arg)
{
    (void)jg_run(give_way_with_the_op_pending, arg, NULL);
}

static jg_op *shared_op;

static int await_anothers(void *arg)
{
    jg_op op;

    (void)arg;
    if (shared_op)
        return jg_await(shared_op);
    jg_op_self(&op);
    shared_op = &op;
    return jg_sleep(10);
}

static int let_two_share(void *arg)
{
    jg_job jobs[2] = {{.fn = await_anothers}, {.fn = await_anothers}};

    (void)arg;
    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static void share_an_op(void *arg)
{
    (void)jg_run(let_two_share, arg, NULL);
}

static void
awaiting_outside_a_coroutine_the_op_of_another_or_with_ones_own_in_use_is_misuse(void **state)
{
    (void)state;
    test_expect_abort(sleep_outside, NULL, "not called from a coroutine");
    test_expect_abort(share_an_op, NULL, "not one of the current coroutine");
    test_expect_abort(start_and_sleep, NULL, "the op is pending");
}

/* A step task that sleeps and then sets a future. */
struct stepper {
    jg_task task;
    jg_sleeper sleeper;
    jg_future *future;
    int steps;
    int status;
};

static int step_and_set(jg_task *task, void *arg, int status)
{
    struct stepper *stepper = arg;

    if (stepper->steps++ == 0) {
        status = jg_sleep_start(&stepper->sleeper, 10, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
    if (status == 0)
        (void)jg_future_set(stepper->future, 8);
    return status;
}

static int spawn_and_await_steps(void *arg)
{
    struct stepper stepper = {.future = arg, .status = 12345};
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, NULL);
    jg_task_init(&stepper.task, "stepper", step_and_set, &stepper);
    test_check(jg_task_spawn(&scope, &stepper.task, &stepper.status) == 0);
    r = jg_scope_leave(&scope, jg_future_wait(stepper.future));
    test_check(stepper.status == 0);
    return r;
}

static void a_coroutine_awaits_a_step_task_and_joins_it(void **state)
{
    jg_future future = {.done = false};

    (void)state;
    assert_int_equal(run_alone(spawn_and_await_steps, &future), 8);
}

/* A step task that enters a scope with a coroutine in it, and joins that. */
struct joiner {
    jg_task task;
    jg_scope scope;
    struct nap nap;
    int steps;
    int coroutine;
    int status;
};

static int step_and_join(jg_task *task, void *arg, int status)
{
    struct joiner *joiner = arg;
    const jg_spawn_options options = {.ret_status = &joiner->coroutine};
    int r;

    if (joiner->steps++ > 0)
        return status;
    jg_scope_open(&joiner->scope, jg_task_loop(task), task, NULL);
    r = jg_spawn(&joiner->scope, nap, &joiner->nap, &options);
    jg_scope_close(&joiner->scope, r, jg_task_op(task));
    return JG_PENDING;
}

static void a_step_task_joins_a_coroutine_cancelled_or_not(void **state)
{
    (void)state;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct joiner joiner = {.nap = {.delay = 20, .result = 3}, .status = 12345};
        struct world world;
        struct event event;

        world_init(&world);
        jg_task_init(&joiner.task, "joiner", step_and_join, &joiner);
        assert_int_equal(jg_task_spawn(&world.root, &joiner.task, &joiner.status), 0);
        event = (struct event){.scope = &world.root};
        if (cancel)
            event_at(&event, world.loop, 10);
        world_done(&world);
        assert_int_equal(joiner.coroutine, cancel ? -ECANCELED : 3);
        assert_int_equal(joiner.status, cancel ? -ECANCELED : 0);
    }
}

/* Locals of all kinds, which must be there after each pause. */
static int keep_locals(void *arg)
{
    const int seed = *(int *)arg;
    double sum = 0, term = 1.0 / (seed + 1);
    long double wide = seed;
    unsigned char bytes[3000];
    int64_t numbers[8];

    memset(bytes, seed & 0xff, sizeof(bytes));
    for (int i = 0; i < 8; i++)
        numbers[i] = (int64_t)seed << i;
    for (int i = 0; i < 20; i++) {
        sum += term;
        wide += 1;
        test_check(jg_sleep((seed + i) % 3) == 0);
        for (int j = 0; j < 8; j++)
            test_check(numbers[j] == (int64_t)seed << j);
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        test_check(bytes[i] == (seed & 0xff));
    test_check(wide == (long double)seed + 20);
    test_check(sum > 20 * term * 0.999 && sum < 20 * term * 1.001);
    test_check(jg_task_current() != NULL);
    return seed;
}

static void locals_and_floating_point_survive_pauses(void **state)
{
    struct world world;
    int seeds[50], statuses[50];

    (void)state;
    world_init(&world);
    for (int i = 0; i < 50; i++) {
        seeds[i] = i;
        spawn(&world, keep_locals, &seeds[i], &statuses[i]);
    }
    world_done(&world);
    for (int i = 0; i < 50; i++)
        assert_int_equal(statuses[i], i);
}

static void ten_thousand_coroutines_sleep_at_once_and_end_cancelled_or_not(void **state)
{
    const int n = test_is_slow() ? 500 : 10000;
    struct nap *naps = calloc((size_t)n, sizeof(*naps));
    int *statuses = calloc((size_t)n, sizeof(*statuses));

    (void)state;
    assert_non_null(naps);
    assert_non_null(statuses);
    for (int cancel = 0; cancel < 2; cancel++) {
        struct world world;

        world_init(&world);
        for (int i = 0; i < n; i++) {
            naps[i] = (struct nap){.delay = 1000 - i % 100, .result = i};
            spawn(&world, nap, &naps[i], &statuses[i]);
        }
        assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        if (cancel)
            jg_scope_cancel(&world.root);
        world_done(&world);
        for (int i = 0; i < n; i++)
            assert_int_equal(statuses[i], cancel ? -ECANCELED : i);
    }
    free(statuses);
    free(naps);
}

static void spawning_pausing_and_joining_allocate_nothing_in_steady_state(void **state)
{
    struct gathering gathering;
    struct world world;
    long calls = 0;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 100; i++) {
        gathering = (struct gathering){
            .naps = {{.delay = 1}, {.delay = 2}, {.delay = 3}, {.delay = 4}}, .count = 4};
        spawn(&world, gather, &gathering, NULL);
        assert_int_equal(jg_loop_run(world.loop), 0);
        if (i == 0)
            calls = test_loop_memory(world.loop)->calls;
        assert_int_equal(test_loop_memory(world.loop)->calls, calls);
    }
    world_done(&world);
}

static void a_spawn_that_is_refused_gives_its_stack_back(void **state)
{
    struct world world;
    int delay = 0;
    long calls = 0;

    (void)state;
    world_init(&world);
    jg_scope_cancel(&world.root);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(jg_spawn(&world.root, only_sleep, &delay, NULL), -ECANCELED);
        if (i == 0)
            calls = test_loop_memory(world.loop)->calls;
    }
    assert_int_equal(test_loop_memory(world.loop)->calls, calls);
    world_done(&world);
}

/* Uses about a kilobyte of stack a call. */
static int dig(int depth, const volatile char *above)
{
    volatile char room[1000];

    room[0] = above ? above[0] : 1;
    room[999] = (char)depth;
    if (depth == 0)
        return room[0];
    return dig(depth - 1, room) + room[999] - (char)depth;
}

static int dig_deep(void *arg)
{
    return dig(*(int *)arg, NULL);
}

static void a_coroutine_gets_the_stack_it_asks_for(void **state)
{
    struct world world;
    int depth = test_is_slow() ? 300 : 3000, status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, dig_deep, &depth,
                 &(jg_spawn_options){.stack_size = (size_t)8 << 20, .ret_status = &status}),
        0);
    world_done(&world);
    assert_int_equal(status, 1);
}

static int dig_for_ever(void *arg)
{
    (void)arg;
    return dig(INT32_MAX, NULL);
}

static int spawn_digger(void *arg)
{
    jg_scope scope;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    test_check(jg_spawn(&scope, dig_for_ever, NULL, &(jg_spawn_options){.name = "mole"}) == 0);
    return jg_scope_leave(&scope, 0);
}

static void overflow_in_run(void)
{
    (void)jg_run(spawn_digger, NULL, NULL);
}

static void *adopt_and_run(void *loop)
{
    test_check(jg_loop_adopt(loop) == 0);
    (void)jg_loop_run(loop);
    return NULL;
}

/* The coroutine is spawned on one thread and overflows on another. */
static void overflow_after_adoption(void)
{
    static jg_scope root;
    pthread_t thread;
    jg_loop *loop;

    test_check(jg_loop_new(NULL, &loop) == 0);
    jg_scope_open(&root, loop, NULL, NULL);
    test_check(jg_spawn(&root, dig_for_ever, NULL, &(jg_spawn_options){.name = "mole"}) == 0);
    test_check(pthread_create(&thread, NULL, adopt_and_run, loop) == 0);
    (void)pthread_join(thread, NULL);
}

static void assert_overflow_names_the_mole(void (*overflow)(void))
{
    static const struct rlimit no_core = {0, 0};
    char output[4096];
    size_t length = 0;
    ssize_t n;
    int ends[2], status;
    pid_t pid;

    if (test_is_slow())
        skip(); /* they have reports of their own */
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on */
        (void)signal(SIGBUS, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        overflow();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], output + length, sizeof(output) - 1 - length)) > 0)
        length += (size_t)n;
    output[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
    assert_non_null(strstr(output, "stack overflow"));
    assert_non_null(strstr(output, "mole"));
}

static void a_stack_overflow_ends_the_program_with_the_name_of_the_coroutine(void **state)
{
    (void)state;
    assert_overflow_names_the_mole(overflow_in_run);
}

static void a_stack_overflow_is_told_on_the_thread_that_adopted_the_loop_too(void **state)
{
    (void)state;
    assert_overflow_names_the_mole(overflow_after_adoption);
}

static void an_impossible_stack_is_refused_and_changes_nothing(void **state)
{
    struct world world;
    int status = 12345;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, dig_deep, NULL,
                 &(jg_spawn_options){.stack_size = (size_t)1 << 40, .ret_status = &status}),
        -EINVAL);
    assert_int_equal(status, 12345);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coroutines_run_in_the_order_spawned_and_never_inside_the_spawn),
        cmocka_unit_test(equal_sleeps_end_in_the_order_they_began),
        cmocka_unit_test(awaiting_what_is_ready_does_not_pause_but_starves_nobody),
        cmocka_unit_test(who_gives_way_with_a_result_in_hand_gets_it_though_cancelled_meanwhile),
        cmocka_unit_test(cancelling_reaches_the_wait_for_a_future_and_leaves_the_future_alone),
        cmocka_unit_test(a_cancellation_that_is_caught_is_not_lost_and_the_return_value_is_kept),
        cmocka_unit_test(a_coroutine_cancelled_before_it_began_enters_its_body),
        cmocka_unit_test(who_cancels_itself_or_is_cancelled_at_the_end_keeps_its_return_value),
        cmocka_unit_test(cancelling_who_waits_for_a_task_does_not_cancel_the_task),
        cmocka_unit_test(wait_for_returns_the_result_or_etimedout_and_the_caller_goes_on),
        cmocka_unit_test(in_a_race_of_result_and_outer_cancellation_the_first_wins),
        cmocka_unit_test(in_a_race_of_result_and_deadline_the_first_wins),
        cmocka_unit_test(in_a_race_of_deadline_and_outer_cancellation_the_outer_wins),
        cmocka_unit_test(an_outer_cancellation_before_the_deadline_is_no_timeout),
        cmocka_unit_test(gather_takes_the_time_of_the_slowest_and_keeps_the_order_of_the_jobs),
        cmocka_unit_test(cancelling_a_gather_cancels_all_its_jobs_and_waits_for_them),
        cmocka_unit_test(a_gather_in_a_cancelled_scope_starts_nothing),
        cmocka_unit_test(
            a_gather_whose_jobs_are_all_done_returns_that_though_cancelled_in_the_same_turn),
        cmocka_unit_test(a_shield_passes_results_and_errors_and_keeps_cancellation_out),
        cmocka_unit_test(a_limit_around_a_shield_cuts_nothing),
        cmocka_unit_test(a_coroutine_may_have_several_ops_at_once_and_await_them_in_any_order),
        cmocka_unit_test(each_of_several_ops_is_cancelled_when_it_is_awaited),
        cmocka_unit_test(
            awaiting_outside_a_coroutine_the_op_of_another_or_with_ones_own_in_use_is_misuse),
        cmocka_unit_test(a_coroutine_awaits_a_step_task_and_joins_it),
        cmocka_unit_test(a_step_task_joins_a_coroutine_cancelled_or_not),
        cmocka_unit_test(locals_and_floating_point_survive_pauses),
        cmocka_unit_test(ten_thousand_coroutines_sleep_at_once_and_end_cancelled_or_not),
        cmocka_unit_test(spawning_pausing_and_joining_allocate_nothing_in_steady_state),
        cmocka_unit_test(a_spawn_that_is_refused_gives_its_stack_back),
        cmocka_unit_test(a_coroutine_gets_the_stack_it_asks_for),
        cmocka_unit_test(a_stack_overflow_ends_the_program_with_the_name_of_the_coroutine),
        cmocka_unit_test(a_stack_overflow_is_told_on_the_thread_that_adopted_the_loop_too),
        cmocka_unit_test(an_impossible_stack_is_refused_and_changes_nothing),
    };

    return cmocka_run_group_tests_name("coro", tests, NULL, NULL);
}
