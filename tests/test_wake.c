/* SPDX-License-Identifier: MIT
 *
 * Wakes: sent by the loop's own thread, by others and by signal handlers, and never lost.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static void a_wake_runs_in_the_turn_after_it_was_sent(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0;
    jg_wake wake;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_wake_send(&wake);
    assert_int_equal(count, 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 1);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void sends_before_the_callback_runs_become_one(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0, i;
    jg_wake wake;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    for (i = 0; i < 200000; i++) {
        jg_wake_send(&wake);
    }
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 1);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void a_send_leaves_errno_alone(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0, i;
    jg_wake wake;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    for (i = 0; i < 3; i++) {
        (void)jg_loop_prepare(loop); /* as if it slept, so that the kernel is asked */
        errno = 12345;
        jg_wake_send(&wake);
        assert_int_equal(errno, 12345);
    }
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void several_wakes_run_in_the_order_one_thread_sent_them(void **state)
{
    jg_loop *loop = test_loop(0);
    struct test_trace trace = {""};
    struct test_mark marks[6];
    jg_wake wakes[6];
    const int order[] = {3, 0, 5, 1, 4, 2};
    int i;

    (void)state;
    for (i = 0; i < 6; i++) {
        marks[i] = (struct test_mark){&trace, (char)('a' + i)};
        jg_wake_init(&wakes[i], test_mark_call, &marks[i]);
        jg_wake_start(loop, &wakes[i]);
    }
    for (i = 0; i < 6; i++) {
        jg_wake_send(&wakes[order[i]]);
        jg_wake_send(&wakes[order[0]]);
    }
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "dafbec");
    for (i = 0; i < 6; i++) {
        jg_wake_stop(&wakes[i]);
    }
    test_loop_done(loop);
}

struct sender {
    jg_wake *wake;
    int again;
    struct test_mark mark;
};

static void send_again(void *arg)
{
    struct sender *sender = arg;

    test_mark_call(&sender->mark);
    if (sender->again-- > 0) {
        jg_wake_send(sender->wake);
    }
}

static void a_send_inside_its_own_callback_means_another_call_in_a_later_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct test_trace trace = {""};
    struct test_mark mark = {&trace, 't'};
    jg_wake wake;
    struct sender sender = {&wake, 2, {&trace, 'w'}};
    jg_timer timer;

    (void)state;
    jg_wake_init(&wake, send_again, &sender);
    jg_wake_start(loop, &wake);
    jg_timer_init(&timer, test_mark_call, &mark);
    jg_call_later(loop, &timer, 0);
    jg_wake_send(&wake);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_string_equal(trace.letters, "wt");
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_string_equal(trace.letters, "wtww");
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void a_wake_stopped_with_a_send_pending_is_not_called(void **state)
{
    jg_loop *loop = test_loop(0);
    int count = 0, others = 0;
    jg_wake wake, other;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_init(&other, test_count_call, &others);
    jg_wake_start(loop, &wake);
    jg_wake_start(loop, &other);
    jg_wake_send(&wake);
    jg_wake_send(&other);
    jg_wake_stop(&wake);
    assert_false(jg_handle_started(&wake.handle));
    memset(&wake, 0xdd, sizeof(wake)); /* its memory is ours again */
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 0);
    assert_int_equal(others, 1);

    /* Started again, it knows nothing of the old send. */
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_wake_send(&wake);
    jg_wake_stop(&wake);
    jg_wake_start(loop, &wake);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(count, 0);
    jg_wake_send(&wake);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 1);
    jg_wake_stop(&wake);
    jg_wake_stop(&wake); /* twice */
    jg_wake_stop(&other);
    test_loop_done(loop);
}

struct group {
    struct test_trace trace;
    struct member {
        struct group *group;
        jg_wake wake;
    } * members[4];
    int by, to;
};

static void free_member(void *arg)
{
    struct member *self = arg;
    struct group *group = self->group;
    int i;

    for (i = 0; group->members[i] != self; i++) {
    }
    test_trace_add(&group->trace, (char)('a' + i));
    if (i == group->by) {
        struct member *victim = group->members[group->to];

        group->members[group->to] = NULL;
        jg_wake_stop(&victim->wake);
        memset(victim, 0xdd, sizeof(*victim));
        free(victim);
    }
}

static void a_wake_may_stop_and_free_itself_and_any_other_that_was_sent(void **state)
{
    int round, i;

    (void)state;
    for (round = 0; round < 16; round++) {
        jg_loop *loop = test_loop(0);
        struct group group = {.by = round % 4, .to = round / 4};
        struct test_trace expected = {""};

        for (i = 0; i < 4; i++) {
            group.members[i] = calloc(1, sizeof(*group.members[i]));
            assert_non_null(group.members[i]);
            group.members[i]->group = &group;
            jg_wake_init(&group.members[i]->wake, free_member, group.members[i]);
            jg_wake_start(loop, &group.members[i]->wake);
            jg_wake_send(&group.members[i]->wake);
            if (!(i == group.to && group.to > group.by)) {
                test_trace_add(&expected, (char)('a' + i));
            }
        }
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_string_equal(group.trace.letters, expected.letters);
        for (i = 0; i < 4; i++) {
            if (group.members[i]) {
                jg_wake_stop(&group.members[i]->wake);
                free(group.members[i]);
            }
        }
        test_loop_done(loop);
    }
}

static void *send_later(void *arg)
{
    usleep(3000);
    jg_wake_send(arg);
    return NULL;
}

static void a_wake_keeps_the_loop_waiting_and_ends_its_sleep(void **state)
{
    const unsigned flags[] = {0, JG_LOOP_VIRTUAL_TIME};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        jg_loop *loop = test_loop(flags[i]);
        pthread_t thread;
        int count = 0;
        jg_wake wake;

        jg_wake_init(&wake, test_count_call, &count);
        jg_wake_start(loop, &wake);
        assert_int_equal(pthread_create(&thread, NULL, send_later, &wake), 0);
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_int_equal(count, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        jg_wake_stop(&wake);
        test_loop_done(loop);
    }
}

static jg_wake *handler_wake;

static void send_from_handler(int signo)
{
    (void)signo;
    jg_wake_send(handler_wake);
}

static void catch (int signo, struct sigaction *before)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = send_from_handler;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(signo, &action, before), 0);
}

static void a_signal_handler_may_send_a_wake(void **state)
{
    const struct itimerval soon = {{0, 0}, {0, 2000}};
    jg_loop *loop = test_loop(0);
    struct sigaction before;
    int count = 0;
    jg_wake wake;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    handler_wake = &wake;
    catch (SIGALRM, &before);
    assert_int_equal(raise(SIGALRM), 0); /* while the loop does not sleep */
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 1);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0); /* while it does */
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(count, 2);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

/* A loop that lives on wakes alone, and a handler that sends at any moment of its turn. */
struct stormed {
    jg_loop *loop;
    jg_wake wake, other;
    int count, others;
};

static void stormed_run(void *arg)
{
    struct stormed *stormed = arg;

    stormed->count++;
    jg_wake_send(&stormed->other);
}

static void a_handler_that_sends_at_every_moment_of_a_turn_does_no_harm(void **state)
{
    const struct itimerval every = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    struct stormed stormed = {.loop = test_loop(0)};
    struct sigaction before;
    int ran;

    (void)state;
    jg_wake_init(&stormed.wake, stormed_run, &stormed);
    jg_wake_init(&stormed.other, test_count_call, &stormed.others);
    jg_wake_start(stormed.loop, &stormed.wake);
    jg_wake_start(stormed.loop, &stormed.other);
    handler_wake = &stormed.wake;
    catch (SIGALRM, &before);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    while (stormed.count < (test_is_emulated() ? 50 : 500)) {
        assert_int_equal(jg_loop_run_once(stormed.loop, JG_FOREVER), 1);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_true(signal(SIGALRM, SIG_IGN) != SIG_ERR); /* one may be on its way still */
    do {
        ran = stormed.count + stormed.others;
        assert_int_equal(jg_loop_run_once(stormed.loop, 0), 1);
    } while (stormed.count + stormed.others > ran);

    /* Sends of the other that met one not yet run became one with it. Both still work. */
    assert_in_range(stormed.others, 1, stormed.count);
    ran = stormed.others;
    jg_wake_send(&stormed.wake);
    assert_int_equal(jg_loop_run_once(stormed.loop, 0), 1);
    assert_int_equal(jg_loop_run_once(stormed.loop, 0), 1);
    assert_int_equal(stormed.others, ran + 1);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    jg_wake_stop(&stormed.wake);
    jg_wake_stop(&stormed.other);
    test_loop_done(stormed.loop);
}

/*
 * Threads that send and wait for the answer, so that every send may meet the loop at the moment it
 * goes to sleep. A lost one would make its thread wait for ever; it gives up instead.
 */
enum { THREADS = 4 };

struct asker {
    jg_wake wake;
    int question;      /* plain: the send must make it visible */
    atomic_int answer; /* what the callback saw */
    atomic_bool done;
    int rounds, calls;
};

static void answer(void *arg)
{
    struct asker *asker = arg;

    asker->calls++;
    atomic_store(&asker->answer, asker->question);
    if (atomic_load(&asker->done)) {
        jg_handle_unref(&asker->wake.handle);
    }
}

static void *ask(void *arg)
{
    struct asker *asker = arg;
    int i;

    for (i = 1; i <= asker->rounds; i++) {
        jg_time give_up = test_clock() + 30 * JG_SECOND;

        asker->question = i;
        if (i == asker->rounds) {
            atomic_store(&asker->done, true);
        }
        jg_wake_send(&asker->wake);
        while (atomic_load(&asker->answer) != i) {
            test_check(test_clock() < give_up);
            sched_yield();
        }
    }
    return NULL;
}

static void no_send_is_lost_when_it_races_with_the_loop_going_to_sleep(void **state)
{
    jg_loop *loop = test_loop(0);
    struct asker askers[THREADS];
    pthread_t threads[THREADS];
    int i;

    (void)state;
    memset(askers, 0, sizeof(askers));
    for (i = 0; i < THREADS; i++) {
        askers[i].rounds = test_is_emulated() ? 500 : 10000;
        jg_wake_init(&askers[i].wake, answer, &askers[i]);
        jg_wake_start(loop, &askers[i].wake);
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    /* Each wake stops keeping the loop alive when its thread has sent the last. */
    assert_int_equal(jg_loop_run(loop), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(askers[i].calls, askers[i].rounds);
        jg_wake_stop(&askers[i].wake);
    }
    test_loop_done(loop);
}

/*
 * One sender alone, whom no other's wake-up helps. The time from the answer to the next question
 * grows from nothing to far more than the loop takes to fall asleep, in small steps, again and
 * again.
 */
static void *ask_at_every_moment(void *arg)
{
    struct asker *asker = arg;
    volatile int pause;
    int i;

    for (i = 1; i <= asker->rounds; i++) {
        jg_time give_up = test_clock() + 20 * JG_SECOND;
        long spins = 0;

        for (pause = 0; pause < i * 3 % 1500; pause++) {
        }
        asker->question = i;
        if (i == asker->rounds) {
            atomic_store(&asker->done, true);
        }
        jg_wake_send(&asker->wake);
        while (atomic_load(&asker->answer) != i) {
            if (++spins % 1000 == 0) {
                test_check(test_clock() < give_up);
                sched_yield();
            }
        }
    }
    return NULL;
}

static void a_lone_send_at_any_moment_of_going_to_sleep_is_not_lost(void **state)
{
    jg_loop *loop = test_loop(0);
    struct asker asker;
    pthread_t thread;

    (void)state;
    memset(&asker, 0, sizeof(asker));
    asker.rounds = test_is_emulated() ? 500 : 20000;
    jg_wake_init(&asker.wake, answer, &asker);
    jg_wake_start(loop, &asker.wake);
    assert_int_equal(pthread_create(&thread, NULL, ask_at_every_moment, &asker), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asker.calls, asker.rounds);
    jg_wake_stop(&asker.wake);
    test_loop_done(loop);
}

/* Threads that all send the same few wakes as fast as they can. */
struct flood {
    jg_wake wakes[3];
    atomic_int sent[3], seen[3];
    int rounds;
    atomic_int running;
};

struct flood_wake {
    struct flood *flood;
    int index;
};

static void flood_seen(void *arg)
{
    struct flood_wake *wake = arg;
    struct flood *flood = wake->flood;

    atomic_store(&flood->seen[wake->index], atomic_load(&flood->sent[wake->index]));
    if (atomic_load(&flood->running) == 0) {
        jg_handle_unref(&flood->wakes[wake->index].handle);
    }
}

static void *flood_send(void *arg)
{
    struct flood *flood = arg;
    int i, k;

    for (i = 0; i < flood->rounds; i++) {
        for (k = 0; k < 3; k++) {
            atomic_fetch_add(&flood->sent[k], 1);
            jg_wake_send(&flood->wakes[k]);
        }
    }
    atomic_fetch_sub(&flood->running, 1);
    for (k = 0; k < 3; k++) {
        jg_wake_send(&flood->wakes[k]);
    }
    return NULL;
}

static void after_the_last_of_many_concurrent_sends_the_callback_runs_once_more(void **state)
{
    jg_loop *loop = test_loop(0);
    struct flood flood;
    struct flood_wake wakes[3];
    pthread_t threads[THREADS];
    int i;

    (void)state;
    memset(&flood, 0, sizeof(flood));
    flood.rounds = test_is_emulated() ? 1000 : 50000;
    atomic_store(&flood.running, THREADS);
    for (i = 0; i < 3; i++) {
        wakes[i] = (struct flood_wake){&flood, i};
        jg_wake_init(&flood.wakes[i], flood_seen, &wakes[i]);
        jg_wake_start(loop, &flood.wakes[i]);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, flood_send, &flood), 0);
    }
    assert_int_equal(jg_loop_run(loop), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&flood.seen[i]), THREADS * flood.rounds);
        jg_wake_stop(&flood.wakes[i]);
    }
    test_loop_done(loop);
}

/* asyncio: call_soon_threadsafe from several threads while the loop has other work. */
static void sends_reach_a_loop_that_is_busy_with_timers(void **state)
{
    jg_loop *loop = test_loop(0);
    struct asker asker;
    pthread_t thread;
    jg_timer timer;
    int ticks = 0;

    (void)state;
    memset(&asker, 0, sizeof(asker));
    asker.rounds = 200;
    jg_wake_init(&asker.wake, answer, &asker);
    jg_wake_start(loop, &asker.wake);
    jg_timer_init(&timer, test_count_call, &ticks);
    jg_handle_unref(&timer.handle);
    assert_int_equal(jg_call_every(loop, &timer, 50 * JG_MICROSECOND), 0);
    assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asker.calls, asker.rounds);
    jg_timer_stop(&timer);
    jg_wake_stop(&asker.wake);
    test_loop_done(loop);
}

static void a_loop_may_be_freed_right_after_the_last_sender_has_ended(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        jg_loop *loop = test_loop(0);
        pthread_t thread;
        int count = 0;
        jg_wake wake;

        jg_wake_init(&wake, test_count_call, &count);
        jg_wake_start(loop, &wake);
        (void)jg_loop_prepare(loop); /* as if it slept */
        assert_int_equal(pthread_create(&thread, NULL, send_later, &wake), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        jg_wake_stop(&wake);
        test_loop_done(loop);
        assert_int_equal(count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_runs_in_the_turn_after_it_was_sent),
        cmocka_unit_test(sends_before_the_callback_runs_become_one),
        cmocka_unit_test(a_send_leaves_errno_alone),
        cmocka_unit_test(several_wakes_run_in_the_order_one_thread_sent_them),
        cmocka_unit_test(a_send_inside_its_own_callback_means_another_call_in_a_later_turn),
        cmocka_unit_test(a_wake_stopped_with_a_send_pending_is_not_called),
        cmocka_unit_test(a_wake_may_stop_and_free_itself_and_any_other_that_was_sent),
        cmocka_unit_test(a_wake_keeps_the_loop_waiting_and_ends_its_sleep),
        cmocka_unit_test(a_signal_handler_may_send_a_wake),
        cmocka_unit_test(a_handler_that_sends_at_every_moment_of_a_turn_does_no_harm),
        cmocka_unit_test(no_send_is_lost_when_it_races_with_the_loop_going_to_sleep),
        cmocka_unit_test(a_lone_send_at_any_moment_of_going_to_sleep_is_not_lost),
        cmocka_unit_test(after_the_last_of_many_concurrent_sends_the_callback_runs_once_more),
        cmocka_unit_test(sends_reach_a_loop_that_is_busy_with_timers),
        cmocka_unit_test(a_loop_may_be_freed_right_after_the_last_sender_has_ended),
    };

    return cmocka_run_group_tests_name("wake", tests, NULL, NULL);
}
