/* SPDX-License-Identifier: MIT
 *
 * Conditions: whom a notification wakes, that it is never lost, and that the lock is held whatever
 * a wait returns.
 */
#include "support.h"
#include "waiter.h"
#include "world.h"

#include <string.h>

/* A crowd that waits for a condition, each having locked before. */
struct shop {
    jg_lock lock;
    jg_condition condition;
    struct crowd crowd;
    struct waiter model;
};

static int shop_start(void *object, jg_op *op)
{
    struct shop *shop = object;
    int r;

    test_check(jg_lock_try_acquire(&shop->lock) == 0);
    r = jg_condition_wait_start(&shop->condition, op);
    test_check(jg_lock_locked(&shop->lock) == (r < 0));
    return r;
}

static int shop_wait(void *object)
{
    struct shop *shop = object;
    int r;

    test_check(jg_lock_acquire(&shop->lock) == 0);
    r = jg_condition_wait(&shop->condition);
    test_check(jg_lock_locked(&shop->lock));
    return r;
}

static void keep_lock(struct waiter *waiter)
{
    const struct shop *shop = waiter->object;

    test_check(jg_lock_locked(&shop->lock));
}

static void release_lock(struct waiter *waiter)
{
    struct shop *shop = waiter->object;

    jg_lock_release(&shop->lock);
}

static void shop_init(struct shop *shop, int count, enum form form, bool releasing)
{
    *shop = (struct shop){.model = {.start = shop_start,
                                    .wait = shop_wait,
                                    .object = shop,
                                    .then = releasing ? release_lock : keep_lock}};
    jg_condition_init(&shop->condition, &shop->lock);
    crowd_init(&shop->crowd, &shop->model, count, form);
    assert_false(jg_lock_locked(&shop->lock));
}

static void shop_enter(struct shop *shop)
{
    assert_int_equal(jg_lock_try_acquire(&shop->lock), 0);
}

/* Everyone has ended, in this order, and the lock is free. */
static void shop_done(struct shop *shop, const char *trace)
{
    crowd_done(&shop->crowd, trace);
    assert_false(jg_lock_locked(&shop->lock));
}

static void shop_expect(struct shop *shop, const char *trace)
{
    settle(shop->crowd.loop);
    assert_string_equal(shop->crowd.trace.letters, trace);
}

static void notifying_wakes_so_many_in_the_order_they_came(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 5, form, true);
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        shop_expect(&shop, "a");
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 0);
        jg_condition_notify(&shop.condition, 2);
        jg_lock_release(&shop.lock);
        shop_expect(&shop, "abc");
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 9);
        jg_lock_release(&shop.lock);
        shop_done(&shop, "abcde");
    }
}

static void notifying_all_wakes_all(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 4, form, true);
        shop_enter(&shop);
        jg_condition_notify_all(&shop.condition);
        jg_lock_release(&shop.lock);
        shop_done(&shop, "abcd");
    }
}

static void a_notification_without_anybody_waiting_is_gone(void **state)
{
    struct shop shop;

    (void)state;
    shop_init(&shop, 0, STEP, true);
    shop_enter(&shop);
    jg_condition_notify_all(&shop.condition);
    jg_lock_release(&shop.lock);
    (void)crowd_add(&shop.crowd, &shop.model, STEP);
    shop_expect(&shop, "");
    shop_enter(&shop);
    jg_condition_notify(&shop.condition, 1);
    jg_lock_release(&shop.lock);
    shop_done(&shop, "a");
}

static void the_notified_get_the_lock_one_after_the_other(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 3, form, false);
        shop_enter(&shop);
        jg_condition_notify_all(&shop.condition);
        shop_expect(&shop, "");
        for (size_t i = 1; i <= 3; i++) {
            jg_lock_release(&shop.lock);
            settle(shop.crowd.loop);
            assert_int_equal(strlen(shop.crowd.trace.letters), i);
            assert_true(jg_lock_locked(&shop.lock));
        }
        jg_lock_release(&shop.lock);
        shop_done(&shop, "abc");
    }
}

static int lock_start(void *object, jg_op *op)
{
    return jg_lock_acquire_start(&((struct shop *)object)->lock, op);
}

static int lock_wait(void *object)
{
    return jg_lock_acquire(&((struct shop *)object)->lock);
}

static void the_notified_stand_behind_those_who_wait_for_the_lock_already(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;
        struct waiter locker;

        shop_init(&shop, 2, form, true);
        locker = shop.model;
        locker.start = lock_start;
        locker.wait = lock_wait;
        shop_enter(&shop);
        (void)crowd_add(&shop.crowd, &locker, form);
        settle(shop.crowd.loop);
        jg_condition_notify_all(&shop.condition);
        (void)crowd_add(&shop.crowd, &locker, form);
        settle(shop.crowd.loop);
        jg_lock_release(&shop.lock);
        shop_done(&shop, "cabd");
    }
}

static void waiting_hands_the_lock_to_the_next(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;
        struct waiter *a, locker;
        jg_op op;
        int calls = 0;

        shop_init(&shop, 0, form, true);
        locker = shop.model;
        locker.start = lock_start;
        locker.wait = lock_wait;
        shop_enter(&shop);
        a = crowd_add(&shop.crowd, &locker, form);
        settle(shop.crowd.loop);
        jg_op_init(&op, shop.crowd.loop, test_count_call, &calls);
        assert_int_equal(jg_condition_wait_start(&shop.condition, &op), 0);
        assert_true(jg_lock_locked(&shop.lock));
        shop_expect(&shop, "a");
        assert_int_equal(a->status, 0);
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        settle(shop.crowd.loop);
        assert_int_equal(calls, 1);
        jg_lock_release(&shop.lock);
        shop_done(&shop, "a");
    }
}

static void who_is_cancelled_has_the_lock_when_told(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 2, form, false);
        waiter_cancel(&shop.crowd.waiters[0]);
        assert_true(jg_lock_locked(&shop.lock));
        shop_expect(&shop, "A");
        assert_int_equal(shop.crowd.waiters[0].status, -ECANCELED);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        shop_expect(&shop, "Ab");
        jg_lock_release(&shop.lock);
        shop_done(&shop, "Ab");
    }
}

static void who_is_cancelled_waits_for_the_lock_however_long_and_often_asked(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 1, form, true);
        shop_enter(&shop);
        for (int i = 0; i < 3; i++) {
            waiter_cancel(&shop.crowd.waiters[0]);
            shop_expect(&shop, "");
        }
        jg_lock_release(&shop.lock);
        shop_done(&shop, "A");
        assert_int_equal(shop.crowd.waiters[0].status, -ECANCELED);
    }
}

static void a_notification_is_delivered_to_one_cancelled_while_waiting_for_the_lock(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 2, form, true);
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 1);
        waiter_cancel(&shop.crowd.waiters[0]);
        shop_expect(&shop, "");
        jg_lock_release(&shop.lock);
        shop_expect(&shop, "a");
        assert_true(waiter_delivered(&shop.crowd.waiters[0], 0));
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        shop_done(&shop, "ab");
    }
}

static void a_notification_is_delivered_to_one_cancelled_with_the_lock_in_hand(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 1, form, true);
        shop_enter(&shop);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        waiter_cancel(&shop.crowd.waiters[0]);
        shop_done(&shop, "a");
        assert_true(waiter_delivered(&shop.crowd.waiters[0], 0));
    }
}

static void a_notification_passes_over_one_who_was_cancelled_but_has_not_run(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 3, form, true);
        shop_enter(&shop);
        waiter_cancel(&shop.crowd.waiters[0]);
        jg_condition_notify(&shop.condition, 1);
        jg_lock_release(&shop.lock);
        shop_expect(&shop, "Ab");
        assert_int_equal(shop.crowd.waiters[0].status, -ECANCELED);
        assert_int_equal(shop.crowd.waiters[1].status, 0);
        waiter_cancel(&shop.crowd.waiters[2]);
        shop_done(&shop, "AbC");
    }
}

/* Tasks that take the lock without waiting, have their scope cancelled, and then wait. */
static int cancelled_wait(struct shop *shop, jg_op *op)
{
    int r;

    test_check(jg_lock_try_acquire(&shop->lock) == 0);
    jg_scope_cancel(jg_task_current()->scope);
    r = op ? jg_condition_wait_start(&shop->condition, op) : jg_condition_wait(&shop->condition);
    test_check(jg_lock_locked(&shop->lock));
    return r;
}

static int cancelled_start(void *object, jg_op *op)
{
    return cancelled_wait(object, op);
}

static int cancelled_coro(void *object)
{
    return cancelled_wait(object, NULL);
}

static void in_a_cancelled_scope_a_wait_does_not_release_the_lock(void **state)
{
    (void)state;
    for (enum form form = STEP; form < FORMS; form++) {
        struct shop shop;

        shop_init(&shop, 0, form, true);
        shop.model.start = cancelled_start;
        shop.model.wait = cancelled_coro;
        (void)crowd_add(&shop.crowd, &shop.model, form);
        shop_done(&shop, "A");
        assert_int_equal(shop.crowd.waiters[0].status, -ECANCELED);
    }
}

static void waiting_and_notifying_allocate_nothing(void **state)
{
    (void)state;
    for (enum form form = 0; form < FORMS; form++) {
        struct shop shop;
        long calls;

        shop_init(&shop, 3, form, true);
        calls = test_loop_memory(shop.crowd.loop)->calls;
        waiter_cancel(&shop.crowd.waiters[1]);
        settle(shop.crowd.loop);
        shop_enter(&shop);
        jg_condition_notify_all(&shop.condition);
        jg_lock_release(&shop.lock);
        settle(shop.crowd.loop);
        assert_int_equal(test_loop_memory(shop.crowd.loop)->calls, calls);
        shop_done(&shop, "Bac");
    }
}

/* A buffer of two, with two conditions on one lock. */
struct buffer {
    jg_lock lock;
    jg_condition not_empty, not_full;
    int count, most, takes;
};

static int put_fifty(void *arg)
{
    struct buffer *buffer = arg;

    for (int i = 0; i < 50; i++) {
        test_check(jg_lock_acquire(&buffer->lock) == 0);
        while (buffer->count == 2)
            test_check(jg_condition_wait(&buffer->not_full) == 0);
        buffer->count++;
        if (buffer->count > buffer->most)
            buffer->most = buffer->count;
        jg_condition_notify(&buffer->not_empty, 1);
        jg_lock_release(&buffer->lock);
        test_check(jg_sleep(i % 3) == 0);
    }
    return 0;
}

/* Takes until it is cancelled, and what it was notified of even then. */
static int take(void *arg)
{
    struct buffer *buffer = arg;
    int r = jg_lock_acquire(&buffer->lock);

    while (r == 0) {
        while (r == 0 && buffer->count == 0)
            r = jg_condition_wait(&buffer->not_empty);
        if (r == 0) {
            test_check(buffer->count > 0);
            buffer->count--;
            buffer->takes++;
            jg_condition_notify(&buffer->not_full, 1);
        }
        jg_lock_release(&buffer->lock);
        if (r == 0)
            r = jg_lock_acquire(&buffer->lock);
    }
    return r;
}

static void two_conditions_may_share_a_lock(void **state)
{
    struct buffer buffer = {.count = 0};
    struct world world;
    jg_scope takers;
    jg_op left;
    int calls = 0;

    (void)state;
    jg_condition_init(&buffer.not_empty, &buffer.lock);
    jg_condition_init(&buffer.not_full, &buffer.lock);
    world_init(&world);
    jg_scope_open(&takers, world.loop, NULL, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(jg_spawn(&takers, take, &buffer, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jg_spawn(&world.root, put_fifty, &buffer, NULL), 0);
    settle(world.loop);
    assert_int_equal(buffer.takes, 200);
    assert_int_equal(buffer.most, 2);
    assert_int_equal(buffer.count, 0);
    jg_scope_cancel(&takers);
    jg_op_init(&left, world.loop, test_count_call, &calls);
    jg_scope_close(&takers, 0, &left);
    world_done(&world);
    assert_int_equal(calls, 1);
    assert_false(jg_lock_locked(&buffer.lock));
}

static void wait_unlocked(void *arg)
{
    struct shop *shop = arg;
    jg_op op;

    jg_op_init(&op, shop->crowd.loop, test_count_call, NULL);
    (void)jg_condition_wait_start(&shop->condition, &op);
}

static void notify_unlocked(void *arg)
{
    struct shop *shop = arg;

    jg_condition_notify(&shop->condition, 1);
}

static void waiting_or_notifying_without_the_lock_is_misuse(void **state)
{
    struct shop shop;

    (void)state;
    shop_init(&shop, 0, CALLBACK, false);
    test_expect_abort(wait_unlocked, &shop, "the lock of the condition is not locked");
    test_expect_abort(notify_unlocked, &shop, "the lock of the condition is not locked");
    shop_done(&shop, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notifying_wakes_so_many_in_the_order_they_came),
        cmocka_unit_test(notifying_all_wakes_all),
        cmocka_unit_test(a_notification_without_anybody_waiting_is_gone),
        cmocka_unit_test(the_notified_get_the_lock_one_after_the_other),
        cmocka_unit_test(the_notified_stand_behind_those_who_wait_for_the_lock_already),
        cmocka_unit_test(waiting_hands_the_lock_to_the_next),
        cmocka_unit_test(who_is_cancelled_has_the_lock_when_told),
        cmocka_unit_test(who_is_cancelled_waits_for_the_lock_however_long_and_often_asked),
        cmocka_unit_test(a_notification_is_delivered_to_one_cancelled_while_waiting_for_the_lock),
        cmocka_unit_test(a_notification_is_delivered_to_one_cancelled_with_the_lock_in_hand),
        cmocka_unit_test(a_notification_passes_over_one_who_was_cancelled_but_has_not_run),
        cmocka_unit_test(in_a_cancelled_scope_a_wait_does_not_release_the_lock),
        cmocka_unit_test(waiting_and_notifying_allocate_nothing),
        cmocka_unit_test(two_conditions_may_share_a_lock),
        cmocka_unit_test(waiting_or_notifying_without_the_lock_is_misuse),
    };

    return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
