/* SPDX-License-Identifier: MIT
 *
 * Calls: the ready queue, its order, and what callbacks may do to it.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_call_never_runs_inside_call_soon(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_call call;

    (void)state;
    jg_call_init(&call, test_count_call, &count);
    jg_call_soon(loop, &call);
    assert_int_equal(count, 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(count, 1);
    test_loop_done(loop);
}

static void calls_run_first_in_first_out(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark marks[8];
    jg_call calls[8];
    int i;

    (void)state;
    for (i = 0; i < 8; i++) {
        marks[i] = (struct test_mark){&trace, (char)('a' + i)};
        jg_call_init(&calls[i], test_mark_call, &marks[i]);
        jg_call_soon(loop, &calls[i]);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "abcdefgh");
    test_loop_done(loop);
}

static void queueing_a_queued_call_keeps_its_place(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark a = {&trace, 'a'}, b = {&trace, 'b'};
    jg_call first, second;

    (void)state;
    jg_call_init(&first, test_mark_call, &a);
    jg_call_init(&second, test_mark_call, &b);
    jg_call_soon(loop, &first);
    jg_call_soon(loop, &second);
    jg_call_soon(loop, &first);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "ab");
    test_loop_done(loop);
}

static void cancelling_is_told_apart_from_cancelling_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_call call;

    (void)state;
    jg_call_init(&call, test_count_call, &count);
    assert_false(jg_call_cancel(&call)); /* never queued */
    jg_call_soon(loop, &call);
    assert_true(jg_call_cancel(&call));
    assert_false(jg_call_cancel(&call)); /* twice */
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(count, 0);

    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_false(jg_call_cancel(&call)); /* after it ran */
    assert_int_equal(count, 1);
    test_loop_done(loop);
}

static void a_call_of_zeroed_memory_may_be_cancelled(void **state)
{
    jg_call call;

    (void)state;
    memset(&call, 0, sizeof(call));
    assert_false(jg_call_cancel(&call));
}

static void a_call_may_be_queued_again_after_being_cancelled(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark a = {&trace, 'a'}, b = {&trace, 'b'};
    jg_call first, second;

    (void)state;
    jg_call_init(&first, test_mark_call, &a);
    jg_call_init(&second, test_mark_call, &b);
    jg_call_soon(loop, &first);
    jg_call_soon(loop, &second);
    jg_call_cancel(&first);
    jg_call_soon(loop, &first);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_string_equal(trace.letters, "ba");
    test_loop_done(loop);
}

static void a_queued_call_keeps_the_loop_alive_and_a_cancelled_one_does_not(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_call call;

    (void)state;
    assert_false(jg_loop_alive(loop));
    jg_call_init(&call, test_count_call, &count);
    jg_call_soon(loop, &call);
    assert_true(jg_loop_alive(loop));
    jg_call_cancel(&call);
    assert_false(jg_loop_alive(loop));
    test_loop_done(loop);
}

/* A call that does something to itself or to another one while the turn's calls run. */
struct actor {
    jg_loop *loop;
    jg_call call;
    struct test_trace *trace;
    char letter;
    void (*act)(struct actor *self, struct actor *victim);
    struct actor *victim;
};

static void actor_run(void *arg)
{
    struct actor *self = arg;
    struct actor *victim = self->victim;

    test_trace_add(self->trace, self->letter);
    if (self->act) {
        self->act(self, victim);
    }
}

enum { ACTORS = 5 };

static void actors_init(struct actor *actors[ACTORS], jg_loop *loop, struct test_trace *trace)
{
    int i;

    for (i = 0; i < ACTORS; i++) {
        actors[i] = calloc(1, sizeof(*actors[i]));
        assert_non_null(actors[i]);
        actors[i]->loop = loop;
        actors[i]->trace = trace;
        actors[i]->letter = (char)('a' + i);
        jg_call_init(&actors[i]->call, actor_run, actors[i]);
        jg_call_soon(loop, &actors[i]->call);
    }
}

/* In a turn of five calls let number `by` do `act` to number `to`, for all pairs; then the letters
   of the turn must lack those of the victims not reached yet if `removes`. `freed` is whether act
   frees the victim. */
static void for_all_pairs(void (*act)(struct actor *self, struct actor *victim), bool removes,
                          bool freed)
{
    int by, to, i;

    for (by = 0; by < ACTORS; by++) {
        for (to = 0; to < ACTORS; to++) {
            jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
            struct test_trace trace = {""}, expected = {""};
            struct actor *actors[ACTORS];

            actors_init(actors, loop, &trace);
            actors[by]->act = act;
            actors[by]->victim = actors[to];
            for (i = 0; i < ACTORS; i++) {
                if (!(removes && i == to && to > by)) {
                    test_trace_add(&expected, (char)('a' + i));
                }
            }
            (void)jg_loop_run_once(loop, 0); /* whether the loop lives on is not the point */
            assert_string_equal(trace.letters, expected.letters);
            for (i = 0; i < ACTORS; i++) {
                if (!(freed && i == to)) {
                    jg_call_cancel(&actors[i]->call);
                    free(actors[i]);
                }
            }
            test_loop_done(loop);
        }
    }
}

static void cancel_victim(struct actor *self, struct actor *victim)
{
    bool waiting = victim->letter > self->letter;

    assert_int_equal(jg_call_cancel(&victim->call), waiting);
}

static void a_call_may_cancel_any_call_of_its_turn(void **state)
{
    (void)state;
    for_all_pairs(cancel_victim, true, false);
}

static void free_victim(struct actor *self, struct actor *victim)
{
    (void)self;
    jg_call_cancel(&victim->call);
    memset(victim, 0xdd, sizeof(*victim));
    free(victim);
}

static void a_call_may_free_any_call_of_its_turn_and_itself(void **state)
{
    (void)state;
    for_all_pairs(free_victim, true, true);
}

static void queue_victim(struct actor *self, struct actor *victim)
{
    jg_call_soon(self->loop, &victim->call);
}

static void queueing_a_call_of_this_turn_does_not_run_it_twice_in_it(void **state)
{
    (void)state;
    for_all_pairs(queue_victim, false, false);
}

static void requeue_victim(struct actor *self, struct actor *victim)
{
    jg_call_cancel(&victim->call);
    jg_call_soon(self->loop, &victim->call);
}

static void a_call_cancelled_and_queued_again_moves_to_the_next_turn(void **state)
{
    (void)state;
    for_all_pairs(requeue_victim, true, false);
}

struct chain {
    jg_loop *loop;
    jg_call *next;
    struct test_mark mark;
};

static void chain_run(void *arg)
{
    struct chain *chain = arg;

    test_mark_call(&chain->mark);
    if (chain->next) {
        jg_call_soon(chain->loop, chain->next);
    }
}

/* asyncio: nested call_soon does not run in the same iteration. */
static void what_a_call_queues_runs_in_the_next_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct chain third = {loop, NULL, {&trace, 'c'}};
    jg_call calls[3];
    struct chain second = {loop, &calls[2], {&trace, 'b'}};
    struct chain first = {loop, &calls[1], {&trace, 'a'}};

    (void)state;
    jg_call_init(&calls[0], chain_run, &first);
    jg_call_init(&calls[1], chain_run, &second);
    jg_call_init(&calls[2], chain_run, &third);
    jg_call_soon(loop, &calls[0]);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "a");
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "ab");
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_string_equal(trace.letters, "abc");
    test_loop_done(loop);
}

static void queueing_inside_its_own_callback_comes_after_what_was_queued_before(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark last = {&trace, 'z'};
    jg_call calls[2];
    struct chain again = {loop, &calls[0], {&trace, 'a'}};

    (void)state;
    jg_call_init(&calls[0], chain_run, &again);
    jg_call_init(&calls[1], test_mark_call, &last);
    jg_call_soon(loop, &calls[0]);
    jg_call_soon(loop, &calls[1]);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_string_equal(trace.letters, "aza");
    jg_call_cancel(&calls[0]);
    test_loop_done(loop);
}

struct crowd {
    jg_loop *loop;
    jg_call *calls;
    long count, ran, turns;
    int fd; /* written to in the middle of the first turn */
    jg_timer timer;
    jg_watcher watcher;
    long ready_turn, timer_turn;
};

struct member {
    struct crowd *crowd;
    jg_call call;
};

static void member_run(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;

    if (++crowd->ran == crowd->count / 2) {
        assert_int_equal(write(crowd->fd, "x", 1), 1);
        jg_call_later(crowd->loop, &crowd->timer, 0);
    }
    jg_call_soon(crowd->loop, &member->call);
}

static void crowd_timer(void *arg)
{
    struct crowd *crowd = arg;

    crowd->timer_turn = crowd->ran;
}

static void crowd_ready(void *arg, int events)
{
    struct crowd *crowd = arg;

    assert_int_equal(events, JG_READ);
    crowd->ready_turn = crowd->ran;
    jg_watcher_stop(&crowd->watcher);
}

static void
a_million_calls_that_queue_themselves_delay_a_descriptor_and_a_timer_by_one_turn(void **state)
{
    struct crowd crowd = {.count = test_is_emulated() ? 20000 : 1000000};
    struct member *members = calloc((size_t)crowd.count, sizeof(*members));
    int fds[2];
    long i;

    (void)state;
    assert_non_null(members);
    test_socketpair(fds);
    crowd.loop = test_loop(0);
    crowd.fd = fds[1];
    jg_timer_init(&crowd.timer, crowd_timer, &crowd);
    jg_watcher_init(&crowd.watcher, crowd_ready, &crowd);
    assert_int_equal(jg_watcher_start(crowd.loop, &crowd.watcher, fds[0], JG_READ), 0);
    for (i = 0; i < crowd.count; i++) {
        members[i].crowd = &crowd;
        jg_call_init(&members[i].call, member_run, &members[i]);
        jg_call_soon(crowd.loop, &members[i].call);
    }
    assert_int_equal(jg_loop_run_once(crowd.loop, JG_FOREVER), 1);
    assert_int_equal(crowd.ran, crowd.count);
    assert_int_equal(jg_loop_run_once(crowd.loop, JG_FOREVER), 1);
    assert_int_equal(crowd.ran, 2 * crowd.count);
    assert_int_equal(crowd.ready_turn, 2 * crowd.count);
    assert_int_equal(crowd.timer_turn, 2 * crowd.count);
    for (i = 0; i < crowd.count; i++) {
        assert_true(jg_call_cancel(&members[i].call));
    }
    free(members);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(crowd.loop);
}

struct other_loop {
    jg_loop *loop;
    jg_call *call;
};

static void queue_on_other(void *arg)
{
    struct other_loop *other = arg;

    jg_call_soon(other->loop, other->call);
}

static void a_call_may_be_queued_on_another_loop_of_the_thread(void **state)
{
    jg_loop *one = test_loop(JG_LOOP_VIRTUAL_TIME), *two = test_loop(JG_LOOP_VIRTUAL_TIME);
    int count = 0;
    jg_call call, hop;
    struct other_loop other = {two, &call};

    (void)state;
    jg_call_init(&call, test_count_call, &count);
    jg_call_init(&hop, queue_on_other, &other);
    jg_call_soon(one, &hop);
    assert_int_equal(jg_loop_run(one), 0);
    assert_int_equal(count, 0);
    assert_true(jg_loop_alive(two));
    assert_int_equal(jg_loop_run(two), 0);
    assert_int_equal(count, 1);
    test_loop_done(one);
    test_loop_done(two);
}

static void calls_do_not_wait_for_a_descriptor_or_a_timer(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0, fds[2];
    jg_watcher watcher;
    jg_timer timer;
    jg_call call;

    (void)state;
    test_socketpair(fds);
    jg_watcher_init(&watcher, test_count_event, &count);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_init(&call, test_count_call, &count);
    assert_int_equal(jg_watcher_start(loop, &watcher, fds[0], JG_READ), 0);
    jg_call_later(loop, &timer, 3600 * JG_SECOND);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 1);
    jg_timer_stop(&timer);
    jg_watcher_stop(&watcher);
    close(fds[0]);
    close(fds[1]);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_never_runs_inside_call_soon),
        cmocka_unit_test(calls_run_first_in_first_out),
        cmocka_unit_test(queueing_a_queued_call_keeps_its_place),
        cmocka_unit_test(cancelling_is_told_apart_from_cancelling_nothing),
        cmocka_unit_test(a_call_of_zeroed_memory_may_be_cancelled),
        cmocka_unit_test(a_call_may_be_queued_again_after_being_cancelled),
        cmocka_unit_test(a_queued_call_keeps_the_loop_alive_and_a_cancelled_one_does_not),
        cmocka_unit_test(a_call_may_cancel_any_call_of_its_turn),
        cmocka_unit_test(a_call_may_free_any_call_of_its_turn_and_itself),
        cmocka_unit_test(queueing_a_call_of_this_turn_does_not_run_it_twice_in_it),
        cmocka_unit_test(a_call_cancelled_and_queued_again_moves_to_the_next_turn),
        cmocka_unit_test(what_a_call_queues_runs_in_the_next_turn),
        cmocka_unit_test(queueing_inside_its_own_callback_comes_after_what_was_queued_before),
        cmocka_unit_test(
            a_million_calls_that_queue_themselves_delay_a_descriptor_and_a_timer_by_one_turn),
        cmocka_unit_test(a_call_may_be_queued_on_another_loop_of_the_thread),
        cmocka_unit_test(calls_do_not_wait_for_a_descriptor_or_a_timer),
    };

    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
