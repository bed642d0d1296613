/* SPDX-License-Identifier: MIT
 *
 * Events: who goes on when one is set, and what clearing and cancelling change.
 */
#include "support.h"
#include "waiter.h"
#include "world.h"

static int event_start(void *object, jg_op *op)
{
    return jg_event_wait_start(object, op);
}

static int event_wait(void *object)
{
    return jg_event_wait(object);
}

/* A crowd that waits for an event. */
struct hall {
    jg_event event;
    struct crowd crowd;
    struct waiter model;
};

static void hall_init(struct hall *hall, int count, enum form form)
{
    *hall =
        (struct hall){.model = {.start = event_start, .wait = event_wait, .object = &hall->event}};
    crowd_init(&hall->crowd, &hall->model, count, form);
}

static void zeroed_memory_is_an_event_that_is_not_set(void **state)
{
    jg_event zeroed = {.set = false}, made;

    (void)state;
    assert_false(jg_event_is_set(&zeroed));
    jg_event_set(&zeroed);
    assert_true(jg_event_is_set(&zeroed));
    jg_event_clear(&zeroed);
    assert_false(jg_event_is_set(&zeroed));
    jg_event_clear(&zeroed);
    jg_event_init(&made);
    assert_false(jg_event_is_set(&made));
}

static void setting_an_event_lets_all_go_on_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 4, form);
        jg_event_set(&hall.event);
        assert_string_equal(hall.crowd.trace.letters, "");
        crowd_done(&hall.crowd, "abcd");
        assert_int_equal(hall.crowd.waiters[3].status, 0);
    }
}

static void an_event_that_is_set_stays_so_for_all_who_come(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 1, form);
        jg_event_set(&hall.event);
        jg_event_set(&hall.event);
        settle(hall.crowd.loop);
        (void)crowd_add(&hall.crowd, &hall.model, form);
        (void)crowd_add(&hall.crowd, &hall.model, form);
        crowd_done(&hall.crowd, "abc");
        assert_true(jg_event_is_set(&hall.event));
    }
}

static void who_waits_goes_on_though_the_event_is_cleared_before_he_runs(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 2, form);
        jg_event_set(&hall.event);
        jg_event_clear(&hall.event);
        (void)crowd_add(&hall.crowd, &hall.model, form);
        settle(hall.crowd.loop);
        assert_string_equal(hall.crowd.trace.letters, "ab");
        jg_event_set(&hall.event);
        crowd_done(&hall.crowd, "abc");
    }
}

static void who_is_cancelled_while_waiting_leaves_no_trace(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 3, form);
        waiter_cancel(&hall.crowd.waiters[1]);
        jg_event_set(&hall.event);
        crowd_done(&hall.crowd, "Bac");
        assert_int_equal(hall.crowd.waiters[1].status, -ECANCELED);
    }
}

static void who_is_cancelled_after_the_event_was_set_has_had_it(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 2, form);
        jg_event_set(&hall.event);
        waiter_cancel(&hall.crowd.waiters[0]);
        crowd_done(&hall.crowd, "ab");
        assert_true(waiter_delivered(&hall.crowd.waiters[0], 0));
    }
}

static void in_a_cancelled_scope_an_event_that_is_set_is_not_seen(void **state)
{
    (void)state;
    for (enum form form = STEP; form < FORMS; form++) {
        struct hall hall;

        hall_init(&hall, 0, form);
        jg_event_set(&hall.event);
        waiter_cancel(crowd_add(&hall.crowd, &hall.model, form));
        crowd_done(&hall.crowd, "A");
        assert_int_equal(hall.crowd.waiters[0].status, -ECANCELED);
    }
}

/* Awaits an event that is set, again and again. */
struct busy {
    jg_event event;
    int times, done;
    int seen; /* by the other */
};

static int be_busy(void *arg)
{
    struct busy *busy = arg;

    for (; busy->done < busy->times; busy->done++)
        test_check(jg_event_wait(&busy->event) == 0);
    return 0;
}

static int look_now_and_then(void *arg)
{
    struct busy *busy = arg;

    while (busy->done < busy->times) {
        busy->seen++;
        test_check(jg_sleep(0) == 0);
    }
    return 0;
}

static void awaiting_an_event_that_is_set_does_not_pause_but_starves_nobody(void **state)
{
    struct busy few = {.times = 10}, many = {.times = 10000};
    struct world world;

    (void)state;
    jg_event_set(&few.event);
    jg_event_set(&many.event);
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, be_busy, &few, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, be_busy, &many, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, look_now_and_then, &many, NULL), 0);
    (void)jg_loop_run_once(world.loop, 0);
    assert_int_equal(few.done, 10);
    world_done(&world);
    assert_true(many.seen > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_event_that_is_not_set),
        cmocka_unit_test(setting_an_event_lets_all_go_on_in_the_order_they_came),
        cmocka_unit_test(an_event_that_is_set_stays_so_for_all_who_come),
        cmocka_unit_test(who_waits_goes_on_though_the_event_is_cleared_before_he_runs),
        cmocka_unit_test(who_is_cancelled_while_waiting_leaves_no_trace),
        cmocka_unit_test(who_is_cancelled_after_the_event_was_set_has_had_it),
        cmocka_unit_test(in_a_cancelled_scope_an_event_that_is_set_is_not_seen),
        cmocka_unit_test(awaiting_an_event_that_is_set_does_not_pause_but_starves_nobody),
    };

    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
