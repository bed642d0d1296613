/* SPDX-License-Identifier: MIT
 *
 * How long the loop waits: never less than it should, whatever interrupts it and whatever the
 * kernel lacks.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#    ifndef SYS_epoll_pwait2
#        define SYS_epoll_pwait2 441
#    endif
#endif

static void one_turn_waits_for_its_timeout_and_not_less(void **state)
{
    const jg_time timeouts[] = {0, 1, 700 * JG_MICROSECOND, 3 * JG_MILLISECOND,
                                20 * JG_MILLISECOND};
    jg_loop *loop = test_loop(0);
    jg_wake wake;
    int count = 0;
    size_t i;

    (void)state;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        jg_time begin = test_clock();

        assert_int_equal(jg_loop_run_once(loop, timeouts[i]), 1);
        assert_true(test_clock() - begin >= timeouts[i]);
    }
    assert_int_equal(count, 0);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms = alarms + 1;
}

static void wait_in_a_storm_of_signals(int flags)
{
    const struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action, before;
    jg_loop *loop = test_loop(0);
    jg_time begin;
    int count = 0;
    jg_timer timer;
    jg_wake wake;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    alarms = 0;
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_timer_init(&timer, test_count_call, &count);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);

    begin = test_clock();
    assert_int_equal(jg_loop_run_once(loop, 50 * JG_MILLISECOND), 1);
    assert_true(test_clock() - begin >= 50 * JG_MILLISECOND);
    assert_true(test_clock() - begin < 20 * JG_SECOND);
    assert_int_equal(count, 0);

    begin = test_clock();
    jg_call_later(loop, &timer, 50 * JG_MILLISECOND);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 1);
    assert_true(test_clock() - begin >= 50 * JG_MILLISECOND);
    assert_true(test_clock() - begin < 20 * JG_SECOND);
    assert_int_equal(count, 1);

    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_true(alarms > 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    jg_wake_stop(&wake);
    test_loop_done(loop);
}

static void signals_that_interrupt_the_wait_neither_shorten_nor_lengthen_it(void **state)
{
    (void)state;
    wait_in_a_storm_of_signals(0);
    wait_in_a_storm_of_signals(SA_RESTART);
}

static void wait_80_ms(void *arg)
{
    jg_loop *loop;
    jg_timer timer;
    jg_time begin;
    int count = 0;

    (void)arg;
    test_check(jg_loop_new(NULL, &loop) == 0);
    jg_timer_init(&timer, test_count_call, &count);
    begin = test_clock();
    jg_call_later(loop, &timer, 80 * JG_MILLISECOND);
    test_check(jg_loop_run_once(loop, JG_FOREVER) == 0);
    test_check(test_clock() - begin >= 80 * JG_MILLISECOND);
    test_check(count == 1);
    test_check(jg_loop_free(loop) == 0);
}

static void wait_while_being_stopped(void *arg)
{
    pid_t pid = fork();
    int i, status;

    test_check(pid >= 0);
    if (pid == 0) {
        wait_80_ms(arg);
        _exit(0);
    }
    for (i = 0; i < 5; i++) {
        usleep(8000);
        test_check(kill(pid, SIGSTOP) == 0);
        test_check(waitpid(pid, &status, WUNTRACED) == pid);
        if (!WIFSTOPPED(status)) {
            break;
        }
        test_check(kill(pid, SIGCONT) == 0);
    }
    if (i == 5) {
        test_check(waitpid(pid, &status, 0) == pid);
    }
    test_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void being_stopped_and_continued_does_not_disturb_a_wait(void **state)
{
    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(wait_while_being_stopped, NULL);
}

static void a_removed_or_extended_deadline_does_not_end_a_turn(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_time begin = test_clock();
    int count = 0;
    jg_timer timer, gone;

    (void)state;
    jg_timer_init(&timer, test_count_call, &count);
    jg_timer_init(&gone, test_count_call, &count);
    jg_call_later(loop, &timer, JG_MILLISECOND);
    jg_call_later(loop, &timer, 10 * JG_MILLISECOND);
    jg_call_later(loop, &gone, 2 * JG_MILLISECOND);
    jg_timer_stop(&gone);
    assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
    assert_int_equal(count, 1);
    assert_true(test_clock() - begin >= 10 * JG_MILLISECOND);
    test_loop_done(loop);
}

#ifdef __linux__

static void *send_wake(void *arg)
{
    usleep(2000);
    jg_wake_send(arg);
    return NULL;
}

static jg_time cpu_clock(void)
{
    struct timespec now;

    test_check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (jg_time)now.tv_sec * JG_SECOND + now.tv_nsec;
}

/* A part of a millisecond, rounded down, would be none: the loop would spin until it is over. */
static void wait_without_spinning(jg_loop *loop)
{
    jg_time begin = test_clock(), cpu = cpu_clock();
    jg_timer timer;
    int count = 0, i;

    jg_timer_init(&timer, test_count_call, &count);
    for (i = 0; i < 50; i++) {
        jg_call_later(loop, &timer, 900 * JG_MICROSECOND);
        test_check(jg_loop_run(loop) == 0);
    }
    test_check(count == 50);
    test_check(test_is_slow() || cpu_clock() - cpu < (test_clock() - begin) / 2);
}

static void wait_on_an_old_kernel(void *arg)
{
    const jg_time delays[] = {1, 300 * JG_MICROSECOND, 999999, JG_MILLISECOND, 1000001};
    int error = *(int *)arg, count = 0;
    jg_loop *loop;
    jg_timer timer;
    jg_wake wake;
    pthread_t thread;
    size_t i;

    if (!test_deny(SYS_epoll_pwait2, (unsigned)error)) {
        fprintf(stderr, "seccomp is not to be had here\n");
        return;
    }
    test_check(jg_loop_new(NULL, &loop) == 0);
    jg_timer_init(&timer, test_count_call, &count);
    for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        jg_time begin = test_clock();

        jg_call_later(loop, &timer, delays[i]);
        test_check(jg_loop_run_once(loop, JG_FOREVER) == 0);
        test_check(test_clock() - begin >= delays[i]);
        test_check(count == (int)i + 1);
    }

    wait_without_spinning(loop);

    /* A wait far beyond what milliseconds can hold. */
    jg_wake_init(&wake, test_count_call, &count);
    jg_wake_start(loop, &wake);
    jg_call_later(loop, &timer, 100 * 365 * (86400 * JG_SECOND));
    test_check(pthread_create(&thread, NULL, send_wake, &wake) == 0);
    test_check(jg_loop_run_once(loop, JG_FOREVER) == 1);
    test_check(pthread_join(thread, NULL) == 0);
    test_check(count == (int)i + 1);
    jg_wake_stop(&wake);
    jg_timer_stop(&timer);
    test_check(jg_loop_free(loop) == 0);
}

static void a_kernel_without_epoll_pwait2_or_a_filter_against_it_is_coped_with(void **state)
{
    int errors[] = {ENOSYS, EPERM};

    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(wait_on_an_old_kernel, &errors[0]);
    test_in_child(wait_on_an_old_kernel, &errors[1]);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn_waits_for_its_timeout_and_not_less),
        cmocka_unit_test(signals_that_interrupt_the_wait_neither_shorten_nor_lengthen_it),
        cmocka_unit_test(being_stopped_and_continued_does_not_disturb_a_wait),
        cmocka_unit_test(a_removed_or_extended_deadline_does_not_end_a_turn),
#ifdef __linux__
        cmocka_unit_test(a_kernel_without_epoll_pwait2_or_a_filter_against_it_is_coped_with),
#endif
    };

    return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
