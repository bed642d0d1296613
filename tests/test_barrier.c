/* SPDX-License-Identifier: MIT
 *
 * Barriers: rounds, the numbers handed out, cancelling one of the parties, resetting and aborting.
 */
#include "support.h"
#include "waiter.h"
#include "world.h"

static int barrier_start(void *object, jg_op *op)
{
    return jg_barrier_wait_start(object, op);
}

static int barrier_wait(void *object)
{
    return jg_barrier_wait(object);
}

/* A barrier for three, and a crowd that waits there. */
struct trip {
    jg_barrier barrier;
    struct crowd crowd;
    struct waiter model;
};

static void trip_init(struct trip *trip, int count, enum form form)
{
    *trip = (struct trip){
        .model = {.start = barrier_start, .wait = barrier_wait, .object = &trip->barrier}};
    jg_barrier_init(&trip->barrier, 3);
    crowd_init(&trip->crowd, &trip->model, count, form);
    assert_int_equal(jg_barrier_waiting(&trip->barrier), count);
}

static int trip_status(const struct trip *trip, char letter)
{
    return trip->crowd.waiters[letter - 'a'].status;
}

static void all_go_on_when_the_last_has_come_with_numbers_in_their_order(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        (void)crowd_add(&trip.crowd, &trip.model, form);
        assert_string_equal(trip.crowd.trace.letters, "");
        crowd_done(&trip.crowd, form == COROUTINE ? "cab" : "abc");
        for (int i = 0; i < 3; i++)
            assert_int_equal(trip.crowd.waiters[i].status, i);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 0);
        assert_false(jg_barrier_broken(&trip.barrier));
    }
}

static void cancelling_one_lets_the_others_wait_for_another(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        waiter_cancel(&trip.crowd.waiters[0]);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 1);
        settle(trip.crowd.loop);
        assert_int_equal(trip_status(&trip, 'a'), -ECANCELED);
        (void)crowd_add(&trip.crowd, &trip.model, form);
        settle(trip.crowd.loop);
        assert_string_equal(trip.crowd.trace.letters, "A");
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 2);
        (void)crowd_add(&trip.crowd, &trip.model, form);
        crowd_done(&trip.crowd, form == COROUTINE ? "Adbc" : "Abcd");
        for (char letter = 'b'; letter <= 'd'; letter++)
            assert_int_equal(trip_status(&trip, letter), letter - 'b');
        assert_false(jg_barrier_broken(&trip.barrier));
    }
}

static void who_is_cancelled_when_all_have_come_goes_on_with_them(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        waiter_cancel(&trip.crowd.waiters[1]);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 0);
        crowd_done(&trip.crowd, "abc");
        assert_true(waiter_delivered(&trip.crowd.waiters[1], 1));
    }
}

static void who_comes_next_begins_another_round_though_nobody_has_run(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 1);
        settle(trip.crowd.loop);
        assert_string_equal(trip.crowd.trace.letters, "abc");
        waiter_cancel(&trip.crowd.waiters[3]);
        crowd_done(&trip.crowd, "abcD");
    }
}

static void resetting_breaks_those_who_wait_and_makes_the_barrier_as_new(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        jg_barrier_reset(&trip.barrier);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 0);
        assert_string_equal(trip.crowd.trace.letters, "");
        settle(trip.crowd.loop);
        assert_int_equal(trip_status(&trip, 'a'), JG_EBROKEN);
        assert_int_equal(trip_status(&trip, 'b'), JG_EBROKEN);
        assert_false(jg_barrier_broken(&trip.barrier));
        for (int i = 0; i < 3; i++)
            (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        crowd_done(&trip.crowd, "ABcde");
        assert_int_equal(trip_status(&trip, 'c'), 0);
        assert_int_equal(trip_status(&trip, 'e'), 2);
    }
}

static void resetting_leaves_alone_those_whose_round_was_complete(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        jg_barrier_reset(&trip.barrier);
        crowd_done(&trip.crowd, "abcD");
        assert_int_equal(trip_status(&trip, 'b'), 1);
        assert_int_equal(trip_status(&trip, 'd'), JG_EBROKEN);
    }
}

static void aborting_breaks_all_who_wait_and_all_who_come_until_a_reset(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        jg_barrier_abort(&trip.barrier);
        jg_barrier_abort(&trip.barrier);
        assert_true(jg_barrier_broken(&trip.barrier));
        settle(trip.crowd.loop);
        (void)crowd_add(&trip.crowd, &trip.model, form);
        settle(trip.crowd.loop);
        assert_int_equal(trip_status(&trip, 'b'), JG_EBROKEN);
        assert_int_equal(trip_status(&trip, 'c'), JG_EBROKEN);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 0);
        jg_barrier_reset(&trip.barrier);
        (void)crowd_add(&trip.crowd, &trip.model, form);
        settle(trip.crowd.loop);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 1);
        jg_barrier_reset(&trip.barrier);
        crowd_done(&trip.crowd, "ABCD");
    }
}

static void in_a_cancelled_scope_nobody_is_counted(void **state)
{
    (void)state;
    for (enum form form = STEP; form < FORMS; form++) {
        struct trip trip;

        trip_init(&trip, 2, form);
        waiter_cancel(crowd_add(&trip.crowd, &trip.model, form));
        settle(trip.crowd.loop);
        assert_int_equal(trip_status(&trip, 'c'), -ECANCELED);
        assert_int_equal(jg_barrier_waiting(&trip.barrier), 2);
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        crowd_done(&trip.crowd, "Cabd");
    }
}

static void waiting_allocates_nothing(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct trip trip;
        long calls;

        trip_init(&trip, 2, form);
        calls = test_loop_memory(trip.crowd.loop)->calls;
        (void)crowd_add(&trip.crowd, &trip.model, CALLBACK);
        settle(trip.crowd.loop);
        assert_int_equal(test_loop_memory(trip.crowd.loop)->calls, calls);
        crowd_done(&trip.crowd, "abc");
    }
}

/* Walkers who take ten stages together; one may give up, for all of them. */
struct walk {
    jg_barrier barrier;
    int stage[4], firsts, give_up_at;
};

struct walker {
    struct walk *walk;
    int index;
    int status;
};

static int walk_on(struct walker *walker)
{
    struct walk *walk = walker->walk;

    for (int i = 1; i <= 10; i++) {
        int r = jg_sleep((walker->index * 7 + i * 3) % 5);

        if (r == 0 && walker->index == 0 && i == walk->give_up_at)
            return -EIO;
        if (r == 0)
            r = jg_barrier_wait(&walk->barrier);
        if (r < 0)
            return r;
        walk->firsts += r == 0;
        walk->stage[walker->index] = i;
        for (int other = 0; other < 4; other++)
            test_check(walk->stage[other] == i || walk->stage[other] == i - 1);
    }
    return 0;
}

static int walk_or_abort(void *arg)
{
    struct walker *walker = arg;

    walker->status = walk_on(walker);
    if (walker->status < 0)
        jg_barrier_abort(&walker->walk->barrier);
    return 0;
}

static void walk_all(struct walk *walk, struct walker walkers[4])
{
    struct world world;

    jg_barrier_init(&walk->barrier, 4);
    world_init(&world);
    for (int i = 0; i < 4; i++) {
        walkers[i] = (struct walker){.walk = walk, .index = i};
        assert_int_equal(jg_spawn(&world.root, walk_or_abort, &walkers[i], NULL), 0);
    }
    world_done(&world);
}

static void nobody_gets_a_round_ahead_and_one_is_first_in_each(void **state)
{
    struct walk walk = {.firsts = 0};
    struct walker walkers[4];

    (void)state;
    walk_all(&walk, walkers);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(walkers[i].status, 0);
        assert_int_equal(walk.stage[i], 10);
    }
    assert_int_equal(walk.firsts, 10);
}

static void who_fails_and_aborts_ends_the_waits_of_the_others(void **state)
{
    struct walk walk = {.give_up_at = 6};
    struct walker walkers[4];

    (void)state;
    walk_all(&walk, walkers);
    assert_int_equal(walkers[0].status, -EIO);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(walkers[i].status, JG_EBROKEN);
        assert_int_equal(walk.stage[i], 5);
    }
}

static int pass_alone(void *arg)
{
    for (int i = 0; i < 5; i++)
        test_check(jg_barrier_wait(arg) == 0);
    return 0;
}

static void a_barrier_for_one_holds_nobody_up(void **state)
{
    jg_barrier barrier;
    struct world world;

    (void)state;
    jg_barrier_init(&barrier, 1);
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, pass_alone, &barrier, NULL), 0);
    (void)jg_loop_run_once(world.loop, 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 0);
    world_done(&world);
}

static void init_for_none(void *arg)
{
    jg_barrier_init(arg, 0);
}

static void a_barrier_for_nobody_is_misuse(void **state)
{
    jg_barrier barrier;

    (void)state;
    test_expect_abort(init_for_none, &barrier, "the barrier has no parties");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_go_on_when_the_last_has_come_with_numbers_in_their_order),
        cmocka_unit_test(cancelling_one_lets_the_others_wait_for_another),
        cmocka_unit_test(who_is_cancelled_when_all_have_come_goes_on_with_them),
        cmocka_unit_test(who_comes_next_begins_another_round_though_nobody_has_run),
        cmocka_unit_test(resetting_breaks_those_who_wait_and_makes_the_barrier_as_new),
        cmocka_unit_test(resetting_leaves_alone_those_whose_round_was_complete),
        cmocka_unit_test(aborting_breaks_all_who_wait_and_all_who_come_until_a_reset),
        cmocka_unit_test(in_a_cancelled_scope_nobody_is_counted),
        cmocka_unit_test(waiting_allocates_nothing),
        cmocka_unit_test(nobody_gets_a_round_ahead_and_one_is_first_in_each),
        cmocka_unit_test(who_fails_and_aborts_ends_the_waits_of_the_others),
        cmocka_unit_test(a_barrier_for_one_holds_nobody_up),
        cmocka_unit_test(a_barrier_for_nobody_is_misuse),
    };

    return cmocka_run_group_tests_name("barrier", tests, NULL, NULL);
}
