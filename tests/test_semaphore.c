/* SPDX-License-Identifier: MIT
 *
 * Semaphores: counting, handing permits on, limits, and cancellation before and after a permit was
 * handed over.
 */
#include "support.h"
#include "waiter.h"
#include "world.h"

#include <limits.h>

static int semaphore_start(void *object, jg_op *op)
{
    return jg_semaphore_acquire_start(object, op);
}

static int semaphore_wait(void *object)
{
    return jg_semaphore_acquire(object);
}

/* A semaphore without permits, and a crowd that waits for them. */
struct gate {
    jg_semaphore semaphore;
    struct crowd crowd;
    struct waiter model;
};

static void gate_init(struct gate *gate, int count, enum form form)
{
    *gate = (struct gate){
        .model = {.start = semaphore_start, .wait = semaphore_wait, .object = &gate->semaphore}};
    crowd_init(&gate->crowd, &gate->model, count, form);
}

/* Everyone has ended, in this order, and so many permits are left. */
static void gate_done(struct gate *gate, const char *trace, unsigned value)
{
    crowd_done(&gate->crowd, trace);
    assert_int_equal(jg_semaphore_value(&gate->semaphore), value);
}

static void permits_are_taken_while_there_are_any(void **state)
{
    jg_semaphore semaphore;

    (void)state;
    jg_semaphore_init(&semaphore, 2, 0);
    assert_int_equal(jg_semaphore_value(&semaphore), 2);
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), 0);
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), 0);
    assert_int_equal(jg_semaphore_value(&semaphore), 0);
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), -EAGAIN);
    assert_int_equal(jg_semaphore_value(&semaphore), 0);
    jg_semaphore_release(&semaphore);
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), 0);
}

static void zeroed_memory_is_a_semaphore_without_permits_and_without_a_limit(void **state)
{
    jg_semaphore semaphore = {.value = 0};

    (void)state;
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), -EAGAIN);
    for (int i = 0; i < 1000; i++)
        jg_semaphore_release(&semaphore);
    assert_int_equal(jg_semaphore_value(&semaphore), 1000);
}

static void permits_are_handed_on_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 4, form);
        jg_semaphore_release(&gate.semaphore);
        settle(gate.crowd.loop);
        assert_string_equal(gate.crowd.trace.letters, "a");
        for (int i = 0; i < 4; i++)
            jg_semaphore_release(&gate.semaphore);
        assert_string_equal(gate.crowd.trace.letters, "a");
        gate_done(&gate, "abcd", 1);
    }
}

static void who_was_handed_a_permit_cannot_be_overtaken(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 2, form);
        jg_semaphore_release(&gate.semaphore);
        assert_int_equal(jg_semaphore_value(&gate.semaphore), 0);
        assert_int_equal(jg_semaphore_try_acquire(&gate.semaphore), -EAGAIN);
        (void)crowd_add(&gate.crowd, &gate.model, CALLBACK);
        jg_semaphore_release(&gate.semaphore);
        jg_semaphore_release(&gate.semaphore);
        gate_done(&gate, "abc", 0);
    }
}

static void who_is_cancelled_while_waiting_leaves_no_trace(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 4, form);
        waiter_cancel(&gate.crowd.waiters[0]);
        waiter_cancel(&gate.crowd.waiters[2]);
        jg_semaphore_release(&gate.semaphore);
        jg_semaphore_release(&gate.semaphore);
        gate_done(&gate, "ACbd", 0);
    }
}

static void a_permit_finds_the_second_when_the_first_was_cancelled_long_ago(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 2, form);
        waiter_cancel(&gate.crowd.waiters[0]);
        settle(gate.crowd.loop);
        jg_semaphore_release(&gate.semaphore);
        jg_semaphore_release(&gate.semaphore);
        gate_done(&gate, "Ab", 1);
    }
}

static void a_permit_that_was_handed_over_is_delivered_to_one_cancelled_after_that(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 3, form);
        jg_semaphore_release(&gate.semaphore);
        jg_semaphore_release(&gate.semaphore);
        waiter_cancel(&gate.crowd.waiters[0]);
        waiter_cancel(&gate.crowd.waiters[1]);
        waiter_cancel(&gate.crowd.waiters[2]);
        gate_done(&gate, "abC", 0);
        assert_true(waiter_delivered(&gate.crowd.waiters[0], 0));
        assert_true(waiter_delivered(&gate.crowd.waiters[1], 0));
    }
}

static void in_a_cancelled_scope_no_permit_is_taken(void **state)
{
    (void)state;
    for (enum form form = STEP; form < FORMS; form++) {
        struct gate gate;

        gate_init(&gate, 0, form);
        jg_semaphore_release(&gate.semaphore);
        waiter_cancel(crowd_add(&gate.crowd, &gate.model, form));
        gate_done(&gate, "A", 1);
    }
}

/* Takes, gives and takes again. */
struct greedy {
    jg_semaphore *semaphore;
    struct test_trace *trace;
};

static int take_twice(void *arg)
{
    struct greedy *greedy = arg;

    test_check(jg_semaphore_acquire(greedy->semaphore) == 0);
    test_trace_add(greedy->trace, '1');
    jg_semaphore_release(greedy->semaphore);
    test_check(jg_semaphore_acquire(greedy->semaphore) == 0);
    test_trace_add(greedy->trace, '2');
    jg_semaphore_release(greedy->semaphore);
    return 0;
}

static void pass_on(struct waiter *waiter)
{
    jg_semaphore_release(waiter->object);
}

static void who_gives_a_permit_and_takes_one_at_once_goes_to_the_end(void **state)
{
    struct gate gate;
    struct greedy greedy = {.semaphore = &gate.semaphore};
    struct world world;

    (void)state;
    world_init(&world);
    gate = (struct gate){.model = {.start = semaphore_start,
                                   .wait = semaphore_wait,
                                   .object = &gate.semaphore,
                                   .then = pass_on},
                         .crowd = {.loop = world.loop}};
    greedy.trace = &gate.crowd.trace;
    assert_int_equal(jg_spawn(&world.root, take_twice, &greedy, NULL), 0);
    settle(world.loop);
    for (enum form form = 0; form < FORMS; form++)
        (void)crowd_add(&gate.crowd, &gate.model, form);
    settle(world.loop);
    jg_semaphore_release(&gate.semaphore);
    settle(world.loop);
    assert_string_equal(gate.crowd.trace.letters, "1abc2");
    assert_int_equal(jg_semaphore_value(&gate.semaphore), 1);
    world_done(&world);
}

static void a_limit_is_kept(void **state)
{
    jg_semaphore semaphore;

    (void)state;
    jg_semaphore_init(&semaphore, 2, 3);
    jg_semaphore_release(&semaphore);
    assert_int_equal(jg_semaphore_value(&semaphore), 3);
    assert_int_equal(jg_semaphore_try_acquire(&semaphore), 0);
    jg_semaphore_release(&semaphore);
    assert_int_equal(jg_semaphore_value(&semaphore), 3);
}

static void release_one(void *arg)
{
    jg_semaphore_release(arg);
}

static void init_above(void *arg)
{
    jg_semaphore_init(arg, 3, 2);
}

static void releasing_more_than_the_limit_is_misuse(void **state)
{
    jg_semaphore semaphore;

    (void)state;
    jg_semaphore_init(&semaphore, 3, 3);
    test_expect_abort(release_one, &semaphore, "the semaphore has all its permits");
    jg_semaphore_init(&semaphore, UINT_MAX, 0);
    test_expect_abort(release_one, &semaphore, "the semaphore has all its permits");
    test_expect_abort(init_above, &semaphore, "more permits than its limit");
}

/* Coroutines that keep a permit over pauses, and count how many do at once. */
struct room {
    jg_semaphore semaphore;
    int inside, most, visits;
};

static int visit(void *arg)
{
    struct room *room = arg;

    for (int i = 0; i < 20; i++) {
        test_check(jg_semaphore_acquire(&room->semaphore) == 0);
        room->inside++;
        if (room->inside > room->most)
            room->most = room->inside;
        test_check(jg_sleep(i % 3) == 0);
        room->visits++;
        room->inside--;
        jg_semaphore_release(&room->semaphore);
    }
    return 0;
}

static void as_many_as_there_are_permits_go_at_once_and_no_more(void **state)
{
    struct room room = {.visits = 0};
    struct world world;

    (void)state;
    jg_semaphore_init(&room.semaphore, 3, 3);
    world_init(&world);
    for (int i = 0; i < 10; i++)
        assert_int_equal(jg_spawn(&world.root, visit, &room, NULL), 0);
    world_done(&world);
    assert_int_equal(room.visits, 200);
    assert_int_equal(room.most, 3);
    assert_int_equal(jg_semaphore_value(&room.semaphore), 3);
}

static int take_all(void *arg)
{
    struct room *room = arg;

    while (room->visits < 10000) {
        test_check(jg_semaphore_acquire(&room->semaphore) == 0);
        room->visits++;
    }
    return 0;
}

static int look_now_and_then(void *arg)
{
    struct room *room = arg;

    while (room->visits < 10000) {
        room->inside++;
        test_check(jg_sleep(0) == 0);
    }
    return 0;
}

static void taking_permits_does_not_pause_but_starves_nobody(void **state)
{
    struct room room = {.visits = 0};
    struct world world;

    (void)state;
    jg_semaphore_init(&room.semaphore, 10000, 0);
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, take_all, &room, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, look_now_and_then, &room, NULL), 0);
    (void)jg_loop_run_once(world.loop, 0);
    assert_true(room.visits > 10);
    world_done(&world);
    assert_true(room.inside > 50);
    assert_int_equal(jg_semaphore_value(&room.semaphore), 0);
}

static void give_permit(void *semaphore)
{
    jg_semaphore_release(semaphore);
}

static int take_without_waiting_and_then_wait(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_semaphore first, second;
    jg_timer timer;

    (void)arg;
    (void)jg_loop_time(loop); /* now it is known, and the wait may be a short one */
    jg_semaphore_init(&first, 100, 0);
    jg_semaphore_init(&second, 0, 0);
    jg_timer_init(&timer, give_permit, &second);
    jg_call_later(loop, &timer, 10);
    for (int i = 0; i < 99; i++)
        test_check(jg_semaphore_acquire(&first) == 0);
    (void)jg_loop_time(loop);
    test_check(jg_semaphore_acquire_start(&first, jg_task_op(jg_task_current())) == 0);
    test_check(jg_semaphore_acquire(&second) == 0);
    test_check(jg_loop_now(loop) == 10);
    return 0;
}

static void a_completion_that_nobody_awaited_does_not_end_the_next_wait(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, take_without_waiting_and_then_wait, NULL, NULL), 0);
    world_done(&world);
    assert_int_equal(world.result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_taken_while_there_are_any),
        cmocka_unit_test(zeroed_memory_is_a_semaphore_without_permits_and_without_a_limit),
        cmocka_unit_test(permits_are_handed_on_in_the_order_they_came),
        cmocka_unit_test(who_was_handed_a_permit_cannot_be_overtaken),
        cmocka_unit_test(who_is_cancelled_while_waiting_leaves_no_trace),
        cmocka_unit_test(a_permit_finds_the_second_when_the_first_was_cancelled_long_ago),
        cmocka_unit_test(a_permit_that_was_handed_over_is_delivered_to_one_cancelled_after_that),
        cmocka_unit_test(in_a_cancelled_scope_no_permit_is_taken),
        cmocka_unit_test(who_gives_a_permit_and_takes_one_at_once_goes_to_the_end),
        cmocka_unit_test(a_limit_is_kept),
        cmocka_unit_test(releasing_more_than_the_limit_is_misuse),
        cmocka_unit_test(as_many_as_there_are_permits_go_at_once_and_no_more),
        cmocka_unit_test(taking_permits_does_not_pause_but_starves_nobody),
        cmocka_unit_test(a_completion_that_nobody_awaited_does_not_end_the_next_wait),
    };

    return cmocka_run_group_tests_name("semaphore", tests, NULL, NULL);
}
