/* SPDX-License-Identifier: MIT
 *
 * Ports: items from other threads into a queue. Nothing is lost or doubled, each sender's items
 * keep their order, and a full queue holds senders back.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>
#include <juggle/queue.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>

struct parcel {
    int sender, number;
};

/* Dropped items, by sender. */
struct drops {
    int count;
    struct parcel last;
};

static void on_drop(void *arg, void *item)
{
    struct drops *drops = arg;

    drops->count++;
    drops->last = *(struct parcel *)item;
}

struct stage {
    jg_loop *loop;
    jg_queue queue;
    jg_queue_port port;
    struct drops drops;
};

static void stage_init(struct stage *stage, size_t limit, size_t slots, unsigned flags)
{
    const jg_queue_options options = {.item_size = sizeof(struct parcel),
                                      .limit = limit,
                                      .drop = on_drop,
                                      .drop_arg = &stage->drops};

    *stage = (struct stage){.loop = test_loop(flags)};
    assert_int_equal(jg_queue_init(&stage->queue, stage->loop, &options), 0);
    assert_int_equal(jg_queue_port_open(&stage->port, &stage->queue, slots), 0);
}

static void stage_done(struct stage *stage)
{
    jg_queue_port_close(&stage->port);
    assert_int_equal(jg_queue_fini(&stage->queue), 0);
    test_loop_done(stage->loop);
}

static int send_number(struct stage *stage, int number)
{
    return jg_queue_port_send(&stage->port, &(struct parcel){.number = number});
}

static int get_number(struct stage *stage)
{
    struct parcel parcel;
    int r = jg_queue_try_get(&stage->queue, &parcel);

    return r < 0 ? r : parcel.number;
}

static void turn(struct stage *stage)
{
    assert_int_equal(jg_loop_run_once(stage->loop, 0), 1);
}

static void turn_when_ready(struct stage *stage)
{
    assert_int_equal(jg_loop_run_once(stage->loop, JG_FOREVER), 1);
}

/* Many threads, and one coroutine that gets it all. */
enum { SENDERS = 8 };

struct sender {
    struct stage *stage;
    int sender, count;
    pthread_t thread;
};

static void *send_all(void *arg)
{
    const struct sender *sender = arg;

    for (int i = 0; i < sender->count; i++) {
        const struct parcel parcel = {sender->sender, i};

        while (jg_queue_port_send(&sender->stage->port, &parcel) == -EAGAIN)
            sched_yield();
    }
    return NULL;
}

struct receiver {
    struct stage *stage;
    int count; /* of each sender */
    int next[SENDERS];
};

static int receive_all(void *arg)
{
    struct receiver *receiver = arg;
    struct parcel parcel;
    int r = 0;

    for (int i = 0; i < SENDERS * receiver->count && r == 0; i++) {
        r = jg_queue_get(&receiver->stage->queue, &parcel);
        assert_int_equal(r, 0);
        assert_int_equal(parcel.number, receiver->next[parcel.sender]);
        receiver->next[parcel.sender]++;
        if (i % 100 == 0)
            r = jg_sleep(0);
    }
    return r;
}

static void ignore(void *arg)
{
    (void)arg;
}

static void everything_that_many_threads_send_arrives_once_and_in_order(void **state)
{
    static const struct {
        size_t limit, slots;
    } sizes[] = {{0, 1024}, {0, 1}, {1, 1}, {1, 64}, {100, 3}, {16, 16}};

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct stage stage;
        struct sender senders[SENDERS];
        struct receiver receiver = {.stage = &stage,
                                    .count = test_is_slow() || test_is_emulated() ? 300 : 3000};
        jg_scope scope;
        jg_op left;

        stage_init(&stage, sizes[s].limit, sizes[s].slots, 0);
        jg_scope_open(&scope, stage.loop, NULL, NULL);
        assert_int_equal(jg_spawn(&scope, receive_all, &receiver, NULL), 0);
        jg_op_init(&left, stage.loop, ignore, NULL);
        jg_scope_close(&scope, 0, &left);
        for (int i = 0; i < SENDERS; i++) {
            senders[i] = (struct sender){.stage = &stage, .sender = i, .count = receiver.count};
            assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
        }
        while (jg_op_pending(&left))
            turn_when_ready(&stage);
        turn(&stage); /* which tells of that */
        for (int i = 0; i < SENDERS; i++) {
            pthread_join(senders[i].thread, NULL);
            assert_int_equal(receiver.next[i], receiver.count);
        }
        stage_done(&stage);
    }
}

static void a_full_queue_fills_the_port_which_then_refuses(void **state)
{
    struct stage stage;
    int in = 0, out = 0;

    (void)state;
    stage_init(&stage, 2, 4, 0);
    for (; in < 4; in++)
        assert_int_equal(send_number(&stage, in), 0);
    assert_int_equal(send_number(&stage, in), -EAGAIN);
    turn(&stage);
    assert_int_equal(jg_queue_size(&stage.queue), 2);
    for (; in < 6; in++)
        assert_int_equal(send_number(&stage, in), 0);
    assert_int_equal(send_number(&stage, in), -EAGAIN);
    turn(&stage);
    assert_int_equal(send_number(&stage, in), -EAGAIN);
    for (; in < 20; in++) {
        assert_int_equal(get_number(&stage), out++);
        assert_int_equal(jg_queue_size(&stage.queue), 2); /* the next one is in already */
        turn(&stage);
        assert_int_equal(send_number(&stage, in), 0);
        assert_int_equal(send_number(&stage, in), -EAGAIN);
    }
    while (out < in) {
        assert_int_equal(get_number(&stage), out++);
        turn(&stage);
    }
    assert_int_equal(get_number(&stage), -EAGAIN);
    stage_done(&stage);
}

static void get_zero(void *arg)
{
    assert_int_equal(get_number(arg), 0);
}

static void a_wake_between_room_and_the_news_of_it_puts_nothing_twice(void **state)
{
    struct stage stage;
    jg_call getter;

    (void)state;
    stage_init(&stage, 1, 8, 0);
    assert_int_equal(send_number(&stage, 0), 0);
    assert_int_equal(send_number(&stage, 1), 0);
    turn(&stage); /* 0 is in the queue, 1 waits for room */

    /* In one turn: room is made, and takes 1; the port is woken; and only then told of the room. */
    jg_call_init(&getter, get_zero, &stage);
    jg_call_soon(stage.loop, &getter);
    assert_int_equal(send_number(&stage, 2), 0);
    turn(&stage);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(get_number(&stage), i);
        turn(&stage);
        turn(&stage);
    }
    assert_int_equal(get_number(&stage), -EAGAIN);
    stage_done(&stage);
}

static void what_is_on_the_way_when_a_port_is_closed_goes_to_the_queue(void **state)
{
    (void)state;
    for (int room = 0; room < 2; room++) {
        struct stage stage;

        stage_init(&stage, 2, 8, 0);
        for (int i = 0; i < 5; i++)
            assert_int_equal(send_number(&stage, i), 0);
        turn(&stage);
        if (room) /* which the port has not been told of yet */
            assert_int_equal(get_number(&stage), 0);
        assert_int_equal(send_number(&stage, 5), 0);
        jg_queue_port_close(&stage.port);
        jg_queue_port_close(&stage.port);
        assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
        assert_int_equal(jg_loop_run(stage.loop), 0); /* nothing is left that would call the port */
        for (int i = room; i < 6; i++)
            assert_int_equal(get_number(&stage), i);
        assert_int_equal(get_number(&stage), JG_ESHUTDOWN);
        assert_int_equal(stage.drops.count, 0);
        stage_done(&stage);
    }
}

static void above_its_limit_a_queue_lets_putters_wait(void **state)
{
    struct stage stage;
    struct parcel parcel = {.number = 9};
    jg_op put;

    (void)state;
    stage_init(&stage, 1, 4, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_number(&stage, i), 0);
    jg_queue_port_close(&stage.port);
    assert_int_equal(jg_queue_size(&stage.queue), 3);
    assert_true(jg_queue_full(&stage.queue));
    jg_op_init(&put, stage.loop, ignore, NULL);
    assert_int_equal(jg_queue_put_start(&stage.queue, &parcel, &put), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(jg_op_pending(&put));
        assert_int_equal(get_number(&stage), i);
    }
    assert_false(jg_op_pending(&put));
    assert_int_equal(get_number(&stage), 9);
    assert_int_equal(jg_loop_run(stage.loop), 0);
    stage_done(&stage);
}

static void a_queue_that_is_shut_down_drops_what_is_on_the_way_and_tells(void **state)
{
    struct stage stage;
    jg_queue_stats stats;

    (void)state;
    stage_init(&stage, 1, 8, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_number(&stage, i), 0);
    turn(&stage);
    assert_int_equal(jg_queue_shutdown(&stage.queue, false), 0);
    assert_int_equal(send_number(&stage, 3), 0); /* it does not know yet */
    turn(&stage);
    turn(&stage);
    assert_int_equal(send_number(&stage, 4), JG_ESHUTDOWN);
    assert_int_equal(stage.drops.count, 3);
    assert_int_equal(stage.drops.last.number, 3);
    assert_int_equal(get_number(&stage), 0); /* it was put before */
    jg_queue_stat(&stage.queue, &stats);
    assert_int_equal(stats.accepted, 4);
    assert_int_equal(stats.got, 1);
    assert_int_equal(stats.dropped, 3);
    stage_done(&stage);
}

static void closing_after_shutdown_drops_what_is_on_the_way_and_tells(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, 1, 8, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_number(&stage, i), 0);
    turn(&stage);
    assert_int_equal(jg_queue_shutdown(&stage.queue, true), 1);
    jg_queue_port_close(&stage.port);
    assert_int_equal(stage.drops.count, 3);
    assert_int_equal(stage.drops.last.number, 2);
    assert_int_equal(jg_loop_run(stage.loop), 0);
    stage_done(&stage);
}

static void items_wait_in_the_port_while_there_is_no_memory(void **state)
{
    struct stage stage;
    struct test_memory *memory;

    (void)state;
    stage_init(&stage, 0, 8, JG_LOOP_VIRTUAL_TIME);
    memory = test_loop_memory(stage.loop);
    assert_int_equal(send_number(&stage, 0), 0);
    memory->fail_at = memory->calls + 1;
    turn(&stage);
    assert_int_equal(get_number(&stage), -EAGAIN);
    assert_int_equal(send_number(&stage, 1), 0);
    memory->fail_at = memory->calls + 1;
    turn(&stage);
    assert_int_equal(get_number(&stage), -EAGAIN);
    turn_when_ready(&stage); /* it tries again by itself */
    assert_int_equal(get_number(&stage), 0);
    assert_int_equal(get_number(&stage), 1);
    stage_done(&stage);

    stage_init(&stage, 0, 8, JG_LOOP_VIRTUAL_TIME);
    memory = test_loop_memory(stage.loop);
    assert_int_equal(send_number(&stage, 0), 0);
    memory->fail_at = memory->calls + 1;
    turn(&stage);
    memory->fail_at = memory->calls + 1;
    jg_queue_port_close(&stage.port);
    assert_int_equal(stage.drops.count, 1);
    stage_done(&stage);
}

static void a_port_keeps_its_loop_alive_unless_told_otherwise(void **state)
{
    struct stage stage;

    (void)state;
    stage_init(&stage, 0, 8, 0);
    assert_true(jg_loop_alive(stage.loop));
    jg_handle_unref(&stage.port.wake.handle);
    assert_false(jg_loop_alive(stage.loop));
    jg_handle_ref(&stage.port.wake.handle);
    assert_true(jg_loop_alive(stage.loop));
    jg_queue_port_close(&stage.port);
    assert_false(jg_loop_alive(stage.loop));
    stage_done(&stage);
}

static void opening_fails_without_slots_or_memory(void **state)
{
    jg_loop *loop = test_loop(0);
    struct test_memory *memory = test_loop_memory(loop);
    jg_queue_port port = {.slots = NULL};
    jg_queue queue;

    (void)state;
    assert_int_equal(jg_queue_init(&queue, loop, NULL), 0);
    assert_int_equal(jg_queue_port_open(&port, &queue, 0), -EINVAL);
    assert_int_equal(jg_queue_port_open(&port, &queue, SIZE_MAX), -ENOMEM);
    assert_int_equal(jg_queue_port_open(&port, &queue, SIZE_MAX / 8), -ENOMEM);
    memory->fail_at = memory->calls + 1;
    assert_int_equal(jg_queue_port_open(&port, &queue, 4), -ENOMEM);
    jg_queue_port_close(&port); /* still not open */
    assert_false(jg_loop_alive(loop));
    assert_int_equal(jg_queue_port_open(&port, &queue, 4), 0);
    jg_queue_port_close(&port);
    assert_int_equal(jg_queue_fini(&queue), 0);
    test_loop_done(loop);
}

static struct stage *signalled;

static void send_from_handler(int signo)
{
    (void)send_number(signalled, signo);
}

static void a_signal_handler_can_send(void **state)
{
    struct stage stage;
    struct sigaction action = {.sa_handler = send_from_handler}, before;

    (void)state;
    stage_init(&stage, 0, 8, 0);
    signalled = &stage;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    raise(SIGUSR1);
    turn_when_ready(&stage);
    assert_int_equal(get_number(&stage), SIGUSR1);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_many_threads_send_arrives_once_and_in_order),
        cmocka_unit_test(a_full_queue_fills_the_port_which_then_refuses),
        cmocka_unit_test(a_wake_between_room_and_the_news_of_it_puts_nothing_twice),
        cmocka_unit_test(what_is_on_the_way_when_a_port_is_closed_goes_to_the_queue),
        cmocka_unit_test(above_its_limit_a_queue_lets_putters_wait),
        cmocka_unit_test(a_queue_that_is_shut_down_drops_what_is_on_the_way_and_tells),
        cmocka_unit_test(closing_after_shutdown_drops_what_is_on_the_way_and_tells),
        cmocka_unit_test(items_wait_in_the_port_while_there_is_no_memory),
        cmocka_unit_test(a_port_keeps_its_loop_alive_unless_told_otherwise),
        cmocka_unit_test(opening_fails_without_slots_or_memory),
        cmocka_unit_test(a_signal_handler_can_send),
    };

    return cmocka_run_group_tests_name("queue_port", tests, NULL, NULL);
}
