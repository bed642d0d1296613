/* SPDX-License-Identifier: MIT
 *
 * Locks: handing on, who is first, and cancellation before and after the lock was handed over.
 */
#include "support.h"
#include "waiter.h"
#include "world.h"

#include <string.h>

static int lock_start(void *object, jg_op *op)
{
    return jg_lock_acquire_start(object, op);
}

static int lock_wait(void *object)
{
    return jg_lock_acquire(object);
}

static void release_it(struct waiter *waiter)
{
    if (waiter->status == 0)
        jg_lock_release(waiter->object);
}

/* A lock that is held, and a crowd that waits for it. */
struct queue {
    jg_lock lock;
    struct crowd crowd;
    struct waiter model;
};

static void queue_init(struct queue *queue, int count, enum form form, bool releasing)
{
    *queue = (struct queue){.model = {.start = lock_start,
                                      .wait = lock_wait,
                                      .object = &queue->lock,
                                      .then = releasing ? release_it : NULL}};
    assert_int_equal(jg_lock_try_acquire(&queue->lock), 0);
    crowd_init(&queue->crowd, &queue->model, count, form);
}

/* All have had their turn, and nobody has the lock. */
static void queue_done(struct queue *queue, const char *trace)
{
    crowd_done(&queue->crowd, trace);
    assert_int_equal(jg_lock_try_acquire(&queue->lock), 0);
}

static void zeroed_memory_is_a_free_lock(void **state)
{
    jg_lock zeroed = {.locked = false}, made;

    (void)state;
    assert_false(jg_lock_locked(&zeroed));
    assert_int_equal(jg_lock_try_acquire(&zeroed), 0);
    assert_true(jg_lock_locked(&zeroed));
    assert_int_equal(jg_lock_try_acquire(&zeroed), -EAGAIN);
    jg_lock_release(&zeroed);
    assert_false(jg_lock_locked(&zeroed));
    jg_lock_init(&made);
    assert_int_equal(jg_lock_try_acquire(&made), 0);
}

static void a_lock_is_handed_on_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 4, form, true);
        jg_lock_release(&queue.lock);
        queue_done(&queue, "abcd");
    }
}

static void one_is_let_in_for_each_release(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 3, form, false);
        for (size_t i = 1; i <= 3; i++) {
            jg_lock_release(&queue.lock);
            settle(queue.crowd.loop);
            assert_int_equal(strlen(queue.crowd.trace.letters), i);
            assert_true(jg_lock_locked(&queue.lock));
        }
        jg_lock_release(&queue.lock);
        queue_done(&queue, "abc");
    }
}

static void callbacks_steps_and_coroutines_stand_in_one_queue(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue, 1, COROUTINE, true);
    for (int i = 1; i < 5; i++) {
        (void)crowd_add(&queue.crowd, &queue.model, (enum form)(i % FORMS));
        settle(queue.crowd.loop);
    }
    jg_lock_release(&queue.lock);
    queue_done(&queue, "abcde");
}

static void releasing_runs_nobody_inside_the_call(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 1, form, true);
        jg_lock_release(&queue.lock);
        assert_string_equal(queue.crowd.trace.letters, "");
        queue_done(&queue, "a");
    }
}

static void who_was_handed_the_lock_cannot_be_overtaken(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 2, form, true);
        jg_lock_release(&queue.lock);
        assert_true(jg_lock_locked(&queue.lock));
        assert_int_equal(jg_lock_try_acquire(&queue.lock), -EAGAIN);
        (void)crowd_add(&queue.crowd, &queue.model, CALLBACK);
        queue_done(&queue, "abc");
    }
}

static void who_is_cancelled_while_waiting_leaves_no_trace(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        for (int cut = 0; cut < 3; cut++) {
            const char *const traces[] = {"Abc", "Bac", "Cab"};
            struct queue queue;

            queue_init(&queue, 3, form, true);
            waiter_cancel(&queue.crowd.waiters[cut]);
            settle(queue.crowd.loop);
            assert_int_equal(queue.crowd.waiters[cut].status, -ECANCELED);
            assert_true(jg_lock_locked(&queue.lock));
            jg_lock_release(&queue.lock);
            queue_done(&queue, traces[cut]);
        }
    }
}

static void all_cancelled_leave_the_lock_to_whoever_comes(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 3, form, true);
        for (int i = 2; i >= 0; i--)
            waiter_cancel(&queue.crowd.waiters[i]);
        jg_lock_release(&queue.lock);
        assert_false(jg_lock_locked(&queue.lock));
        queue_done(&queue, "CBA");
    }
}

static void a_release_passes_over_one_who_was_cancelled_but_has_not_run(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 3, form, true);
        waiter_cancel(&queue.crowd.waiters[0]);
        jg_lock_release(&queue.lock);
        settle(queue.crowd.loop);
        assert_int_equal(queue.crowd.waiters[0].status, -ECANCELED);
        queue_done(&queue, "Abc");
    }
}

static void a_lock_that_was_handed_over_is_delivered_to_one_cancelled_after_that(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 3, form, true);
        jg_lock_release(&queue.lock);
        waiter_cancel(&queue.crowd.waiters[0]);
        queue_done(&queue, "abc");
        assert_true(waiter_delivered(&queue.crowd.waiters[0], 0));
    }
}

static void in_a_cancelled_scope_a_free_lock_is_not_taken(void **state)
{
    (void)state;
    for (enum form form = STEP; form < FORMS; form++) {
        struct queue queue;

        queue_init(&queue, 0, form, true);
        jg_lock_release(&queue.lock);
        waiter_cancel(crowd_add(&queue.crowd, &queue.model, form));
        queue_done(&queue, "A");
        assert_int_equal(queue.crowd.waiters[0].status, -ECANCELED);
    }
}

static void locking_and_releasing_allocate_nothing(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct queue queue;
        long calls;

        queue_init(&queue, 4, form, true);
        calls = test_loop_memory(queue.crowd.loop)->calls;
        waiter_cancel(&queue.crowd.waiters[1]);
        jg_lock_release(&queue.lock);
        settle(queue.crowd.loop);
        assert_int_equal(test_loop_memory(queue.crowd.loop)->calls, calls);
        queue_done(&queue, "Bacd");
    }
}

/* Locks and releases again and again. */
struct busy {
    jg_lock lock;
    int times, done;
    int seen; /* by the other */
    bool keep;
    int status;
};

static int be_busy(void *arg)
{
    struct busy *busy = arg;

    for (; busy->done < busy->times; busy->done++) {
        busy->status = jg_lock_acquire(&busy->lock);
        if (busy->status < 0)
            return busy->status;
        if (!busy->keep)
            jg_lock_release(&busy->lock);
    }
    return 0;
}

static void a_free_lock_is_taken_without_a_pause(void **state)
{
    struct busy busy = {.times = 10};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, be_busy, &busy, NULL), 0);
    (void)jg_loop_run_once(world.loop, 0);
    assert_int_equal(busy.done, 10);
    world_done(&world);
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

static void who_takes_free_locks_all_the_time_starves_nobody(void **state)
{
    struct busy busy = {.times = 10000};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, be_busy, &busy, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, look_now_and_then, &busy, NULL), 0);
    world_done(&world);
    assert_true(busy.seen > 50);
}

static void who_gives_way_with_the_lock_in_hand_gets_it_though_cancelled_meanwhile(void **state)
{
    struct busy busy = {.times = 10000};
    struct world world;
    int done;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, be_busy, &busy, NULL), 0);
    (void)jg_loop_run_once(world.loop, 0);
    done = busy.done;
    assert_true(done < busy.times);
    assert_int_equal(jg_lock_try_acquire(&busy.lock), -EAGAIN);
    jg_scope_cancel(&world.root);
    world_done(&world);
    assert_int_equal(busy.done, done + 1);
    assert_int_equal(busy.status, -ECANCELED);
    assert_false(jg_lock_locked(&busy.lock));
}

static void a_wait_for_a_lock_may_have_a_deadline(void **state)
{
    struct queue queue;
    jg_scope scope;
    int calls = 0;
    jg_op left;

    (void)state;
    queue_init(&queue, 2, COROUTINE, true);
    jg_scope_open(&scope, queue.crowd.loop, NULL, &(jg_scope_options){.timeout = 5});
    assert_int_equal(jg_spawn(&scope, lock_wait, &queue.lock, NULL), 0);
    jg_op_init(&left, queue.crowd.loop, test_count_call, &calls);
    jg_scope_close(&scope, 0, &left);
    settle(queue.crowd.loop);
    assert_int_equal(jg_op_status(&left), -ETIMEDOUT);
    assert_int_equal(jg_loop_now(queue.crowd.loop), 5);
    jg_lock_release(&queue.lock);
    queue_done(&queue, "ab");
}

/* Coroutines that hold the lock over pauses, and count how many do at once. */
struct room {
    jg_lock lock;
    int inside, most, visits;
};

static int visit(void *arg)
{
    struct room *room = arg;

    for (int i = 0; i < 10; i++) {
        test_check(jg_lock_acquire(&room->lock) == 0);
        room->inside++;
        if (room->inside > room->most)
            room->most = room->inside;
        test_check(jg_sleep(i) == 0);
        room->visits++;
        room->inside--;
        jg_lock_release(&room->lock);
    }
    return 0;
}

static void one_at_a_time_holds_a_lock(void **state)
{
    struct room room = {.visits = 0};
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jg_spawn(&world.root, visit, &room, NULL), 0);
    world_done(&world);
    assert_int_equal(room.visits, 50);
    assert_int_equal(room.most, 1);
}

static void release_free(void *arg)
{
    jg_lock_release(arg);
}

static void releasing_a_lock_that_is_free_is_misuse(void **state)
{
    jg_lock lock = {.locked = false};

    (void)state;
    test_expect_abort(release_free, &lock, "jg_lock_release: the lock is not locked");
}

static void acquire_outside(void *arg)
{
    (void)jg_lock_acquire(arg);
}

static void waiting_without_a_stack_to_wait_on_is_misuse(void **state)
{
    jg_lock lock = {.locked = false};

    (void)state;
    test_expect_abort(acquire_outside, &lock, "not called from a coroutine");
    assert_int_equal(jg_lock_try_acquire(&lock), 0);
    test_expect_abort(acquire_outside, &lock, "not called from a coroutine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_a_free_lock),
        cmocka_unit_test(a_lock_is_handed_on_in_the_order_they_came),
        cmocka_unit_test(one_is_let_in_for_each_release),
        cmocka_unit_test(callbacks_steps_and_coroutines_stand_in_one_queue),
        cmocka_unit_test(releasing_runs_nobody_inside_the_call),
        cmocka_unit_test(who_was_handed_the_lock_cannot_be_overtaken),
        cmocka_unit_test(who_is_cancelled_while_waiting_leaves_no_trace),
        cmocka_unit_test(all_cancelled_leave_the_lock_to_whoever_comes),
        cmocka_unit_test(a_release_passes_over_one_who_was_cancelled_but_has_not_run),
        cmocka_unit_test(a_lock_that_was_handed_over_is_delivered_to_one_cancelled_after_that),
        cmocka_unit_test(in_a_cancelled_scope_a_free_lock_is_not_taken),
        cmocka_unit_test(locking_and_releasing_allocate_nothing),
        cmocka_unit_test(a_free_lock_is_taken_without_a_pause),
        cmocka_unit_test(who_takes_free_locks_all_the_time_starves_nobody),
        cmocka_unit_test(who_gives_way_with_the_lock_in_hand_gets_it_though_cancelled_meanwhile),
        cmocka_unit_test(a_wait_for_a_lock_may_have_a_deadline),
        cmocka_unit_test(one_at_a_time_holds_a_lock),
        cmocka_unit_test(releasing_a_lock_that_is_free_is_misuse),
        cmocka_unit_test(waiting_without_a_stack_to_wait_on_is_misuse),
    };

    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
