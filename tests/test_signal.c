/* SPDX-License-Identifier: MIT
 *
 * Signals as events: several watchers and loops, dispositions, and signals at awkward moments.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SIGRTMAX /* there are none */
#    define SIGRTMIN 32
#    define SIGRTMAX 31
#endif

struct caught {
    int count, signo;
};

static void note_signal(void *arg, int signo)
{
    struct caught *caught = arg;

    caught->count++;
    caught->signo = signo;
}

static void a_signal_is_called_back_in_the_next_turn_with_its_number(void **state)
{
    jg_loop *loop = test_loop(0);
    struct caught caught = {0, 0};
    jg_signal signal;

    (void)state;
    jg_signal_init(&signal, note_signal, &caught);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0); /* before the loop ever ran */
    assert_int_equal(caught.count, 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(caught.count, 1);
    assert_int_equal(caught.signo, SIGUSR1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(caught.count, 1);
    jg_signal_stop(&signal);
    test_loop_done(loop);
}

static void signals_of_a_kind_become_one_and_of_different_kinds_do_not(void **state)
{
    jg_loop *loop = test_loop(0);
    struct caught one = {0, 0}, two = {0, 0};
    jg_signal first, second;
    int i;

    (void)state;
    jg_signal_init(&first, note_signal, &one);
    jg_signal_init(&second, note_signal, &two);
    assert_int_equal(jg_signal_start(loop, &first, SIGUSR1), 0);
    assert_int_equal(jg_signal_start(loop, &second, SIGUSR2), 0);
    for (i = 0; i < 3; i++) {
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(raise(SIGUSR2), 0);
    }
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(one.count, 1);
    assert_int_equal(two.count, 1);
    assert_int_equal(two.signo, SIGUSR2);
    jg_signal_stop(&first);
    jg_signal_stop(&second);
    test_loop_done(loop);
}

static void all_watchers_of_a_signal_get_it_on_all_loops(void **state)
{
    jg_loop *loops[2] = {test_loop(0), test_loop(0)};
    struct caught caught[4] = {{0, 0}};
    jg_signal signals[4];
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        jg_signal_init(&signals[i], note_signal, &caught[i]);
        assert_int_equal(jg_signal_start(loops[i / 2], &signals[i], SIGUSR1), 0);
    }
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(jg_loop_run_once(loops[0], JG_FOREVER), 1);
    assert_int_equal(caught[0].count, 1);
    assert_int_equal(caught[1].count, 1);
    assert_int_equal(caught[2].count, 0);
    assert_int_equal(jg_loop_run_once(loops[1], JG_FOREVER), 1);
    assert_int_equal(caught[2].count, 1);
    assert_int_equal(caught[3].count, 1);

    /* One loop ends: the other goes on. */
    jg_signal_stop(&signals[0]);
    jg_signal_stop(&signals[1]);
    test_loop_done(loops[0]);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(jg_loop_run_once(loops[1], JG_FOREVER), 1);
    assert_int_equal(caught[0].count, 1);
    assert_int_equal(caught[3].count, 2);
    jg_signal_stop(&signals[2]);
    jg_signal_stop(&signals[3]);
    test_loop_done(loops[1]);
}

static int handled;

static void custom_handler(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    (void)context;
    handled++;
}

static void expect_disposition(int signo, const struct sigaction *expected)
{
    struct sigaction now;
    int other;

    assert_int_equal(sigaction(signo, NULL, &now), 0);
    assert_true(now.sa_handler == expected->sa_handler);
    assert_int_equal(now.sa_flags & (SA_SIGINFO | SA_NODEFER | SA_RESTART | SA_ONSTACK),
                     expected->sa_flags & (SA_SIGINFO | SA_NODEFER | SA_RESTART | SA_ONSTACK));
    /* Without a handler the mask means nothing, and need not be kept. */
    for (other = 1; other < 32 && expected->sa_handler != SIG_IGN; other++) {
        assert_int_equal(sigismember(&now.sa_mask, other), sigismember(&expected->sa_mask, other));
    }
}

static void the_last_watcher_to_stop_restores_the_disposition_with_flags_and_mask(void **state)
{
    jg_loop *loops[2] = {test_loop(0), test_loop(0)};
    struct sigaction custom, original;
    struct caught caught = {0, 0};
    jg_signal signals[3];
    int i;

    (void)state;
    memset(&custom, 0, sizeof(custom));
    custom.sa_sigaction = custom_handler;
    custom.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&custom.sa_mask);
    sigaddset(&custom.sa_mask, SIGUSR2);
    assert_int_equal(sigaction(SIGUSR1, &custom, &original), 0);
    assert_int_equal(sigaction(SIGUSR1, NULL, &custom), 0);

    for (i = 0; i < 3; i++) {
        jg_signal_init(&signals[i], note_signal, &caught);
        assert_int_equal(jg_signal_start(loops[i % 2], &signals[i], SIGUSR1), 0);
    }
    jg_signal_stop(&signals[0]);
    jg_signal_stop(&signals[2]);
    handled = 0;
    assert_int_equal(raise(SIGUSR1), 0); /* still ours */
    assert_int_equal(handled, 0);
    assert_int_equal(jg_loop_run_once(loops[1], JG_FOREVER), 1);
    assert_int_equal(caught.count, 1);

    jg_signal_stop(&signals[1]);
    expect_disposition(SIGUSR1, &custom);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(handled, 1);
    assert_int_equal(sigaction(SIGUSR1, &original, NULL), 0);
    test_loop_done(loops[0]);
    test_loop_done(loops[1]);
}

static void an_ignored_signal_is_watched_and_ignored_again_afterwards(void **state)
{
    jg_loop *loop = test_loop(0);
    struct sigaction ignore, original;
    struct caught caught = {0, 0};
    jg_signal signal;

    (void)state;
    memset(&ignore, 0, sizeof(ignore));
    ignore.sa_handler = SIG_IGN;
    sigemptyset(&ignore.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &ignore, &original), 0);
    jg_signal_init(&signal, note_signal, &caught);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(caught.count, 1);
    jg_signal_stop(&signal);
    expect_disposition(SIGUSR1, &ignore);
    assert_int_equal(sigaction(SIGUSR1, &original, NULL), 0);
    test_loop_done(loop);
}

static void the_handler_restarts_system_calls_and_uses_the_alternate_stack(void **state)
{
    jg_loop *loop = test_loop(0);
    struct caught caught = {0, 0};
    struct sigaction action;
    jg_signal signal;

    (void)state;
    jg_signal_init(&signal, note_signal, &caught);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
    assert_true(action.sa_flags & SA_RESTART);
    assert_true(action.sa_flags & SA_ONSTACK);
    errno = 12345;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(errno, 12345);
    jg_signal_stop(&signal);
    test_loop_done(loop);
}

static void numbers_that_are_no_signal_or_cannot_be_caught_are_refused(void **state)
{
    const int wrong[] = {0, -1, 65, 1000, SIGKILL, SIGSTOP};
    jg_loop *loop = test_loop(0);
    struct caught caught = {0, 0};
    jg_signal signal;
    size_t i;

    (void)state;
    jg_signal_init(&signal, note_signal, &caught);
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(jg_signal_start(loop, &signal, wrong[i]), -EINVAL);
        assert_false(jg_handle_started(&signal.handle));
    }
    assert_false(jg_loop_alive(loop));
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), -EALREADY);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR2), -EALREADY);
    jg_signal_stop(&signal);
    jg_signal_stop(&signal); /* twice */
    test_loop_done(loop);
}

static void every_signal_that_can_be_caught_can_be_watched(void **state)
{
    jg_loop *loop = test_loop(0);
    int signo, watched = 0;

    (void)state;
    for (signo = 1; signo <= SIGRTMAX && signo <= 64; signo++) {
        struct caught caught = {0, 0};
        jg_signal signal;

        /* Those between the two belong to the C library. */
        if (signo == SIGKILL || signo == SIGSTOP || (signo >= 32 && signo < SIGRTMIN)) {
            continue;
        }
        /* An emulator or checker keeps the signals of faults for itself. */
        if (test_is_slow() && signo != SIGHUP && signo != SIGTERM && signo != SIGRTMIN) {
            continue;
        }
        jg_signal_init(&signal, note_signal, &caught);
        assert_int_equal(jg_signal_start(loop, &signal, signo), 0);
        assert_int_equal(raise(signo), 0);
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_int_equal(caught.count, 1);
        assert_int_equal(caught.signo, signo);
        jg_signal_stop(&signal);
        watched++;
    }
    assert_true(watched > (test_is_slow() ? 2 : 50));
    test_loop_done(loop);
}

static void a_signal_that_came_but_was_not_run_is_dropped_by_a_stop(void **state)
{
    jg_loop *loop = test_loop(0);
    struct caught caught = {0, 0}, others = {0, 0};
    jg_signal signal, other;

    (void)state;
    jg_signal_init(&signal, note_signal, &caught);
    jg_signal_init(&other, note_signal, &others);
    assert_int_equal(jg_signal_start(loop, &other, SIGUSR2), 0);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    jg_signal_stop(&signal);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(caught.count, 0);
    assert_int_equal(others.count, 1);
    jg_signal_stop(&signal);
    jg_signal_stop(&other);
    test_loop_done(loop);
}

struct group {
    struct test_trace trace;
    struct member {
        struct group *group;
        jg_signal signal;
    } * members[4];
    int by, to;
};

static void free_member(void *arg, int signo)
{
    struct member *self = arg;
    struct group *group = self->group;
    int i;

    assert_int_equal(signo, SIGUSR1);
    for (i = 0; group->members[i] != self; i++) {
    }
    test_trace_add(&group->trace, (char)('a' + i));
    if (i == group->by) {
        struct member *victim = group->members[group->to];

        group->members[group->to] = NULL;
        jg_signal_stop(&victim->signal);
        memset(victim, 0xdd, sizeof(*victim));
        free(victim);
    }
}

static void a_signal_may_stop_and_free_itself_and_any_other_that_came(void **state)
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
            jg_signal_init(&group.members[i]->signal, free_member, group.members[i]);
            assert_int_equal(jg_signal_start(loop, &group.members[i]->signal, SIGUSR1), 0);
            if (!(i == group.to && group.to > group.by)) {
                test_trace_add(&expected, (char)('a' + i));
            }
        }
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_string_equal(group.trace.letters, expected.letters);
        for (i = 0; i < 4; i++) {
            if (group.members[i]) {
                jg_signal_stop(&group.members[i]->signal);
                free(group.members[i]);
            }
        }
        test_loop_done(loop);
    }
}

static void raise_again(void *arg, int signo)
{
    int *left = arg;

    if ((*left)-- > 0) {
        assert_int_equal(raise(signo), 0);
    }
}

static void a_signal_raised_in_its_own_callback_comes_in_a_later_turn(void **state)
{
    jg_loop *loop = test_loop(0);
    int left = 3, i;
    jg_signal signal;

    (void)state;
    jg_signal_init(&signal, raise_again, &left);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    for (i = 2; i >= -1; i--) {
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
        assert_int_equal(left, i);
    }
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    assert_int_equal(left, -1);
    jg_signal_stop(&signal);
    test_loop_done(loop);
}

static void *raise_here(void *arg)
{
    (void)arg;
    usleep(2000);
    test_check(pthread_kill(pthread_self(), SIGUSR1) == 0);
    return NULL;
}

static void a_signal_that_another_thread_receives_wakes_the_sleeping_loop(void **state)
{
    jg_loop *loop = test_loop(0);
    struct caught caught = {0, 0};
    jg_signal signal;
    pthread_t thread;

    (void)state;
    jg_signal_init(&signal, note_signal, &caught);
    assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
    assert_int_equal(pthread_create(&thread, NULL, raise_here, NULL), 0);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_int_equal(caught.count, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jg_signal_stop(&signal);
    test_loop_done(loop);
}

enum { THREADS = 3 };

static atomic_int ready, got;

static void stop_self(void *arg, int signo)
{
    (void)signo;
    atomic_fetch_add(&got, 1);
    jg_signal_stop(arg);
}

static void *watch_in_thread(void *arg)
{
    jg_loop *loop = test_loop(0);
    jg_signal signal;

    (void)arg;
    jg_signal_init(&signal, stop_self, &signal);
    test_check(jg_signal_start(loop, &signal, SIGUSR1) == 0);
    atomic_fetch_add(&ready, 1);
    test_check(jg_loop_run(loop) == 0);
    test_loop_done(loop);
    return NULL;
}

static void loops_in_several_threads_all_get_a_signal_of_the_process(void **state)
{
    pthread_t threads[THREADS];
    int i;

    (void)state;
    atomic_store(&ready, 0);
    atomic_store(&got, 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, watch_in_thread, NULL), 0);
    }
    while (atomic_load(&ready) < THREADS) {
        usleep(100);
    }
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&got), THREADS);
}

static void *raise_until_done(void *arg)
{
    atomic_bool *done = arg;

    while (!atomic_load(done)) {
        test_check(pthread_kill(pthread_self(), SIGUSR1) == 0);
    }
    return NULL;
}

static void loops_come_and_go_while_other_threads_receive_signals(void **state)
{
    int rounds = test_is_emulated() ? 100 : 2000, i;
    jg_loop *keeper = test_loop(0);
    struct caught kept = {0, 0};
    atomic_bool done = false;
    jg_signal keep;
    pthread_t thread;

    (void)state;
    jg_signal_init(&keep, note_signal, &kept); /* so that the default never kills us */
    assert_int_equal(jg_signal_start(keeper, &keep, SIGUSR1), 0);
    assert_int_equal(pthread_create(&thread, NULL, raise_until_done, &done), 0);
    for (i = 0; i < rounds; i++) {
        jg_loop *loop = test_loop(0);
        struct caught caught = {0, 0};
        jg_signal signal;

        jg_signal_init(&signal, note_signal, &caught);
        assert_int_equal(jg_signal_start(loop, &signal, SIGUSR1), 0);
        if (i % 100 == 0) {
            assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
            assert_int_equal(caught.count, 1);
        }
        jg_signal_stop(&signal);
        test_loop_done(loop);
    }
    atomic_store(&done, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jg_signal_stop(&keep);
    test_loop_done(keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_is_called_back_in_the_next_turn_with_its_number),
        cmocka_unit_test(signals_of_a_kind_become_one_and_of_different_kinds_do_not),
        cmocka_unit_test(all_watchers_of_a_signal_get_it_on_all_loops),
        cmocka_unit_test(the_last_watcher_to_stop_restores_the_disposition_with_flags_and_mask),
        cmocka_unit_test(an_ignored_signal_is_watched_and_ignored_again_afterwards),
        cmocka_unit_test(the_handler_restarts_system_calls_and_uses_the_alternate_stack),
        cmocka_unit_test(numbers_that_are_no_signal_or_cannot_be_caught_are_refused),
        cmocka_unit_test(every_signal_that_can_be_caught_can_be_watched),
        cmocka_unit_test(a_signal_that_came_but_was_not_run_is_dropped_by_a_stop),
        cmocka_unit_test(a_signal_may_stop_and_free_itself_and_any_other_that_came),
        cmocka_unit_test(a_signal_raised_in_its_own_callback_comes_in_a_later_turn),
        cmocka_unit_test(a_signal_that_another_thread_receives_wakes_the_sleeping_loop),
        cmocka_unit_test(loops_in_several_threads_all_get_a_signal_of_the_process),
        cmocka_unit_test(loops_come_and_go_while_other_threads_receive_signals),
    };

    return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
