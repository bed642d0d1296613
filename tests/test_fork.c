/* SPDX-License-Identifier: MIT
 *
 * A loop after fork: the child is told, leaves the parent's kernel objects in peace, and can go on
 * with what it inherited if it says so.
 */
#include "support.h"

#include "platform/overflow.h"
#include "platform/thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A loop with something of each kind, made by the test and inherited by its children. */
struct family {
    jg_loop *loop;
    jg_watcher watcher, second;
    jg_timer timer;
    jg_wake wake;
    jg_signal signal;
    jg_child child;
    int fds[2], other[2];
    int reads, seconds, timers, wakes, signals;
    int ends, status;
    pid_t pid;
};

static void family_read(void *arg, int events)
{
    struct family *family = arg;
    char byte;

    test_check(events == JG_READ);
    test_check(read(family->fds[0], &byte, 1) == 1);
    family->reads++;
}

static void family_end(void *arg, int status)
{
    struct family *family = arg;

    family->ends++;
    family->status = status;
}

static void expect_leak(void *arg, int error, const char *what)
{
    (void)arg;
    (void)what;
    test_check(error == JG_ELEAKED);
}

static void family_init(struct family *family, unsigned flags)
{
    memset(family, 0, sizeof(*family));
    family->loop = test_loop_with((jg_loop_options){.flags = flags, .on_error = expect_leak});
    test_socketpair(family->fds);
    test_socketpair(family->other);
    jg_watcher_init(&family->watcher, family_read, family);
    jg_watcher_init(&family->second, test_count_event, &family->seconds);
    jg_timer_init(&family->timer, test_count_call, &family->timers);
    jg_wake_init(&family->wake, test_count_call, &family->wakes);
    jg_signal_init(&family->signal, test_count_event, &family->signals);
    jg_child_init(&family->child, family_end, family);
    assert_int_equal(jg_watcher_start(family->loop, &family->watcher, family->fds[0], JG_READ), 0);
    assert_int_equal(jg_watcher_start(family->loop, &family->second, family->other[0], JG_READ), 0);
    jg_call_later(family->loop, &family->timer, 3600 * JG_SECOND);
    jg_wake_start(family->loop, &family->wake);
    assert_int_equal(jg_signal_start(family->loop, &family->signal, SIGUSR1), 0);
    family->pid = test_idle_child();
    assert_int_equal(jg_child_start(family->loop, &family->child, family->pid), 0);
    assert_int_equal(jg_loop_run_once(family->loop, 0), 1);
}

static void family_stop(struct family *family)
{
    jg_watcher_stop(&family->watcher);
    jg_watcher_stop(&family->second);
    jg_timer_stop(&family->timer);
    jg_wake_stop(&family->wake);
    jg_signal_stop(&family->signal);
    jg_child_stop(&family->child);
}

/* Whatever children did, the test's own loop still gets everything, once. */
static void family_works(struct family *family)
{
    jg_time give_up = test_clock() + 30 * JG_SECOND;

    assert_int_equal(write(family->fds[1], "x", 1), 1);
    jg_wake_send(&family->wake);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(kill(family->pid, SIGTERM), 0);
    jg_call_later(family->loop, &family->timer, JG_MILLISECOND);
    while (!family->ends || !family->timers || !family->reads) {
        assert_true(test_clock() < give_up);
        assert_int_equal(jg_loop_run_once(family->loop, JG_SECOND), 1);
    }
    assert_int_equal(family->reads, 1);
    assert_int_equal(family->seconds, 0);
    assert_int_equal(family->timers, 1);
    assert_int_equal(family->wakes, 1);
    assert_int_equal(family->signals, 1);
    assert_int_equal(family->ends, 1);
    assert_int_equal(WTERMSIG(family->status), SIGTERM);
}

static void family_done(struct family *family)
{
    family_stop(family);
    test_loop_done(family->loop);
    close(family->fds[0]);
    close(family->fds[1]);
    close(family->other[0]);
    close(family->other[1]);
}

static void in_child_and_parent(void (*fn)(void *arg), unsigned flags)
{
    struct family family;

    family_init(&family, flags);
    test_in_child(fn, &family);
    family_works(&family);
    family_done(&family);
}

static void use_everything(void *arg)
{
    struct family *family = arg;
    jg_watcher watcher;
    jg_signal signal;
    jg_child child;

    jg_watcher_init(&watcher, test_count_event, &family->seconds);
    jg_signal_init(&signal, test_count_event, &family->seconds);
    jg_child_init(&child, test_count_event, &family->seconds);
    test_check(jg_loop_run(family->loop) == JG_EFORKED);
    test_check(jg_loop_run_once(family->loop, 0) == JG_EFORKED);
    test_check(jg_watcher_start(family->loop, &watcher, family->other[1], JG_READ) == JG_EFORKED);
    test_check(jg_signal_start(family->loop, &signal, SIGUSR2) == JG_EFORKED);
    test_check(jg_child_start(family->loop, &child, getpid()) == JG_EFORKED);
    test_check(family->reads + family->timers + family->wakes + family->signals == 0);
    test_check(strlen(jg_strerror(JG_EFORKED)) > 0);
}

static void a_loop_used_in_a_forked_child_returns_EFORKED(void **state)
{
    (void)state;
    in_child_and_parent(use_everything, 0);
    in_child_and_parent(use_everything, JG_LOOP_REAP_ON_SIGCHLD);
}

static void stop_and_free(void *arg)
{
    struct family *family = arg;

    family_stop(family);
    (void)jg_loop_prepare(family->loop); /* tells the kernel nothing: the set is the parent's */
    test_check(jg_loop_free(family->loop) == 0);
}

static void a_child_that_stops_and_frees_everything_does_not_disturb_the_parent(void **state)
{
    (void)state;
    in_child_and_parent(stop_and_free, 0);
    in_child_and_parent(stop_and_free, JG_LOOP_REAP_ON_SIGCHLD);
}

static void close_and_modify(void *arg)
{
    struct family *family = arg;

    test_check(jg_watcher_close(&family->watcher) == 0);
    test_check(jg_watcher_modify(&family->second, JG_READ | JG_WRITE) == 0);
    test_check(jg_loop_run_once(family->loop, 0) == JG_EFORKED);
    (void)jg_loop_prepare(family->loop);
    jg_watcher_stop(&family->second);
    test_check(jg_loop_free(family->loop) == 4); /* what is left is stopped, here only */
}

static void a_child_that_closes_descriptors_and_leaks_does_not_disturb_the_parent(void **state)
{
    (void)state;
    in_child_and_parent(close_and_modify, 0);
}

static void go_on(void *arg)
{
    struct family *family = arg;
    int fd = jg_loop_fd(family->loop), pair[2];
    jg_time give_up = test_clock() + 30 * JG_SECOND;

    test_check(jg_loop_fork(family->loop) == 0);
    test_check(jg_loop_fork(family->loop) == 0); /* there was no other fork */
    test_check(jg_loop_fd(family->loop) == fd);

    /* A socket of our own under the watched number: the parent shall not see these events. */
    test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    test_check(write(pair[1], "x", 1) == 1);
    jg_watcher_stop(&family->watcher);
    test_check(jg_watcher_start(family->loop, &family->watcher, pair[0], JG_READ) == 0);
    close(family->fds[0]);
    family->fds[0] = pair[0];

    jg_wake_send(&family->wake);
    test_check(raise(SIGUSR1) == 0);
    jg_call_later(family->loop, &family->timer, JG_MILLISECOND);
    while (!family->reads || !family->timers || !family->ends) {
        test_check(test_clock() < give_up);
        test_check(jg_loop_run_once(family->loop, JG_SECOND) == 1);
    }
    test_check(family->reads == 1);
    test_check(family->timers == 1);
    test_check(family->wakes == 1);
    test_check(family->signals == 1);
    test_check(family->ends == 1);
    test_check(family->status == -ECHILD); /* it is the parent's child */
    family_stop(family);
    test_loop_done(family->loop);
}

static void jg_loop_fork_goes_on_in_the_child_and_apart_from_the_parent(void **state)
{
    (void)state;
    in_child_and_parent(go_on, 0);
    in_child_and_parent(go_on, JG_LOOP_REAP_ON_SIGCHLD);
}

static void see_readiness_of_a_shared_socket(void *arg)
{
    struct family *family = arg;

    test_check(jg_loop_fork(family->loop) == 0);
    test_check(write(family->fds[1], "x", 1) == 1);
    while (!family->reads) {
        test_check(jg_loop_run_once(family->loop, JG_SECOND) == 1);
    }
}

static void inherited_watchers_see_their_descriptors_after_jg_loop_fork(void **state)
{
    (void)state;
    in_child_and_parent(see_readiness_of_a_shared_socket, 0);
}

static void keep_a_deadline(void *arg)
{
    struct family *family = arg;
    jg_time left;

    test_check(jg_loop_fork(family->loop) == 0);
    (void)jg_loop_run_once(family->loop, 0); /* the lost child */
    left = jg_loop_prepare(family->loop);
    test_check(left > 3500 * JG_SECOND && left <= 3600 * JG_SECOND);
    test_check(family->timers == 0);
}

static void timers_keep_their_deadlines_in_the_child(void **state)
{
    (void)state;
    in_child_and_parent(keep_a_deadline, 0);
}

static void *send_later(void *arg)
{
    usleep(3000);
    jg_wake_send(arg);
    return NULL;
}

static void be_woken_by_a_thread(void *arg)
{
    struct family *family = arg;
    pthread_t thread;

    test_check(jg_loop_fork(family->loop) == 0);
    jg_child_stop(&family->child);
    test_check(pthread_create(&thread, NULL, send_later, &family->wake) == 0);
    test_check(jg_loop_run_once(family->loop, 30 * JG_SECOND) == 1);
    test_check(family->wakes == 1);
    test_check(pthread_join(thread, NULL) == 0);
}

static void wakes_of_the_child_end_its_own_sleep(void **state)
{
    (void)state;
    in_child_and_parent(be_woken_by_a_thread, 0);
}

static void wake_and_signal_unasked(void *arg)
{
    struct family *family = arg;

    jg_wake_send(&family->wake);
    test_check(raise(SIGUSR1) == 0);
    test_check(jg_loop_fork(family->loop) == 0);
    jg_wake_send(&family->wake);
    test_check(raise(SIGUSR1) == 0);
}

static void wakes_and_signals_of_the_child_do_not_run_in_the_parent(void **state)
{
    struct family family;

    (void)state;
    family_init(&family, 0);
    test_in_child(wake_and_signal_unasked, &family);
    assert_int_equal(jg_loop_run_once(family.loop, 10 * JG_MILLISECOND), 1);
    assert_int_equal(family.wakes, 0);
    assert_int_equal(family.signals, 0);
    family_works(&family);
    family_done(&family);
}

static void the_child_does_not_take_wake_ups_meant_for_the_parent(void **state)
{
    struct family family;
    pid_t pid;
    int i;

    (void)state;
    family_init(&family, 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        test_check(jg_loop_fork(family.loop) == 0);
        for (;;) {
            (void)jg_loop_run_once(family.loop, JG_FOREVER);
        }
    }
    usleep(5000);
    for (i = 1; i <= 3; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, send_later, &family.wake), 0);
        assert_int_equal(jg_loop_run_once(family.loop, 30 * JG_SECOND), 1);
        assert_int_equal(family.wakes, i);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (waitpid(pid, NULL, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    family.wakes = 0;
    family_works(&family);
    family_done(&family);
}

/* Whether another loop that watches this one would be woken. */
static bool is_readable(jg_loop *loop)
{
    struct pollfd polled = {.fd = jg_loop_fd(loop), .events = POLLIN};
    int n;

    do {
        n = poll(&polled, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static void be_embedded(void *arg)
{
    struct family *family = arg;
    int fd = jg_loop_fd(family->loop), pair[2];

    test_check(jg_loop_fork(family->loop) == 0);
    test_check(jg_loop_fd(family->loop) == fd);
    jg_child_stop(&family->child);
    test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    jg_watcher_stop(&family->second);
    test_check(jg_watcher_start(family->loop, &family->second, pair[0], JG_READ) == 0);
    (void)jg_loop_prepare(family->loop);
    test_check(!is_readable(family->loop));
    test_check(write(pair[1], "x", 1) == 1);
    test_check(is_readable(family->loop));
    test_check(jg_loop_run_once(family->loop, 0) == 1);
    test_check(family->seconds == 1);
}

static void the_descriptor_for_other_loops_keeps_its_number_and_works_in_the_child(void **state)
{
    struct family family;

    (void)state;
    family_init(&family, 0);
    if (jg_loop_fd(family.loop) >= 0) {
        test_in_child(be_embedded, &family);
        while (is_readable(family.loop) || jg_loop_prepare(family.loop) == 0) {
            (void)jg_loop_run_once(family.loop, 0); /* it may have heard of the end of the child */
        }
        assert_false(is_readable(family.loop));
        assert_int_equal(write(family.other[1], "x", 1), 1);
        assert_true(is_readable(family.loop));
        jg_watcher_stop(&family.second);
    }
    family_works(&family);
    family_done(&family);
}

static void loop_of_its_own(void *arg)
{
    int count = 0;
    jg_timer timer;
    jg_loop *loop;

    (void)arg;
    test_check(jg_loop_new(NULL, &loop) == 0);
    jg_timer_init(&timer, test_count_call, &count);
    jg_call_later(loop, &timer, JG_MILLISECOND);
    test_check(jg_loop_run(loop) == 0);
    test_check(count == 1);
    test_check(jg_loop_free(loop) == 0);
}

static void a_child_may_make_a_loop_of_its_own(void **state)
{
    (void)state;
    in_child_and_parent(loop_of_its_own, 0);
}

static void grandchild(void *arg)
{
    struct family *family = arg;
    int status;
    pid_t pid;

    test_check(jg_loop_fork(family->loop) == 0);
    pid = fork();
    test_check(pid >= 0);
    if (pid == 0) {
        test_check(jg_loop_run_once(family->loop, 0) == JG_EFORKED);
        go_on(arg);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        test_check(errno == EINTR);
    }
    test_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    go_on(arg);
}

static void a_fork_of_a_fork_is_noticed_too(void **state)
{
    (void)state;
    in_child_and_parent(grandchild, 0);
}

static void run_out_of_descriptors(void *arg)
{
    struct family *family = arg;
    struct rlimit limit, none;
    int r;

    test_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 3;
    test_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
    r = jg_loop_fork(family->loop);
    test_check(r == -EMFILE);
    test_check(jg_loop_run_once(family->loop, 0) == JG_EFORKED); /* as before */
    test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    go_on(family);
}

static void jg_loop_fork_that_fails_leaves_the_loop_as_it_was(void **state)
{
    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    in_child_and_parent(run_out_of_descriptors, 0);
}

/* Forks inside a callback: the child's way out of the run must not go through the parent's poller.
 */
struct inside {
    struct family *family;
    jg_call call;
    pid_t pid;
    int fork_result;
};

static void fork_inside(void *arg)
{
    struct inside *inside = arg;

    inside->pid = fork();
    test_check(inside->pid >= 0);
    if (inside->pid == 0) {
        inside->fork_result = jg_loop_fork(inside->family->loop);
        jg_watcher_stop(&inside->family->watcher);
    }
}

static void a_child_forked_inside_a_callback_leaves_the_run_with_EFORKED(void **state)
{
    struct family family;
    struct inside inside = {.family = &family};
    int status, r;

    (void)state;
    family_init(&family, 0);
    jg_call_init(&inside.call, fork_inside, &inside);
    jg_call_soon(family.loop, &inside.call);
    jg_loop_stop(family.loop); /* for the parent, one turn */
    r = jg_loop_run(family.loop);
    if (inside.pid == 0) {
        test_check(inside.fork_result == -EBUSY);
        if (r == 0) {
            r = jg_loop_run(family.loop);
        }
        test_check(r == JG_EFORKED);
        test_check(jg_loop_fork(family.loop) == 0); /* outside it may go on */
        _exit(0);
    }
    assert_int_equal(r, 0);
    while (waitpid(inside.pid, &status, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    family_works(&family);
    family_done(&family);
}

static void stop_loop(void *arg)
{
    struct family *family = arg;

    family->timers++;
    jg_loop_stop(family->loop);
}

static void a_child_forked_inside_a_callback_does_not_turn_the_loop_of_its_parent(void **state)
{
    struct family family;
    struct inside inside = {.family = &family};
    int status, r;

    (void)state;
    family_init(&family, 0);
    jg_timer_stop(&family.timer);
    jg_timer_init(&family.timer, stop_loop, &family);
    jg_call_later(family.loop, &family.timer, 10 * JG_MILLISECOND);
    jg_call_init(&inside.call, fork_inside, &inside);
    jg_call_soon(family.loop, &inside.call);
    r = jg_loop_run(family.loop);
    if (inside.pid == 0) {
        test_check(r == JG_EFORKED);
        test_check(family.timers == 0);
        _exit(0);
    }
    assert_int_equal(r, 0);
    while (waitpid(inside.pid, &status, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    family.timers = 0;
    jg_timer_init(&family.timer, test_count_call, &family.timers);
    family_works(&family);
    family_done(&family);
}

static void jg_loop_fork_without_a_fork_does_nothing(void **state)
{
    struct family family;

    (void)state;
    family_init(&family, 0);
    assert_int_equal(jg_loop_fork(family.loop), 0);
    family_works(&family);
    family_done(&family);
}

static void dispositions_restored_in_child(void *arg)
{
    struct family *family = arg;
    struct sigaction action;

    jg_signal_stop(&family->signal);
    test_check(sigaction(SIGUSR1, NULL, &action) == 0);
    test_check(action.sa_handler == SIG_DFL);
}

static void a_child_that_stops_a_signal_gives_back_its_own_disposition_only(void **state)
{
    (void)state;
    in_child_and_parent(dispositions_restored_in_child, 0);
}

/* What a thread does with the pools of its loops, over and over. */
static void *watch_overflows(void *arg)
{
    const int *stopped = arg;
    jg__overflow overflow;

    while (!__atomic_load_n(stopped, __ATOMIC_SEQ_CST)) {
        test_check(jg__overflow_watch(&overflow, NULL, NULL, NULL) == 0);
        jg__overflow_unwatch(&overflow);
    }
    return NULL;
}

static void watch_in_child(void *arg)
{
    jg__overflow overflow;

    (void)arg;
    alarm(20);
    test_check(jg__overflow_watch(&overflow, NULL, NULL, NULL) == 0);
    jg__overflow_unwatch(&overflow);
}

static void a_child_does_not_wait_for_what_another_thread_held(void **state)
{
    pthread_t thread;
    int stopped = 0;

    (void)state;
    assert_int_equal(jg__fork_watch(), 0);
    assert_int_equal(pthread_create(&thread, NULL, watch_overflows, &stopped), 0);
    for (int i = 0; i < 20; i++)
        test_in_child(watch_in_child, NULL);
    __atomic_store_n(&stopped, 1, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_used_in_a_forked_child_returns_EFORKED),
        cmocka_unit_test(a_child_that_stops_and_frees_everything_does_not_disturb_the_parent),
        cmocka_unit_test(a_child_that_closes_descriptors_and_leaks_does_not_disturb_the_parent),
        cmocka_unit_test(jg_loop_fork_goes_on_in_the_child_and_apart_from_the_parent),
        cmocka_unit_test(inherited_watchers_see_their_descriptors_after_jg_loop_fork),
        cmocka_unit_test(timers_keep_their_deadlines_in_the_child),
        cmocka_unit_test(wakes_of_the_child_end_its_own_sleep),
        cmocka_unit_test(wakes_and_signals_of_the_child_do_not_run_in_the_parent),
        cmocka_unit_test(the_child_does_not_take_wake_ups_meant_for_the_parent),
        cmocka_unit_test(the_descriptor_for_other_loops_keeps_its_number_and_works_in_the_child),
        cmocka_unit_test(a_child_may_make_a_loop_of_its_own),
        cmocka_unit_test(a_fork_of_a_fork_is_noticed_too),
        cmocka_unit_test(jg_loop_fork_that_fails_leaves_the_loop_as_it_was),
        cmocka_unit_test(a_child_forked_inside_a_callback_leaves_the_run_with_EFORKED),
        cmocka_unit_test(a_child_forked_inside_a_callback_does_not_turn_the_loop_of_its_parent),
        cmocka_unit_test(jg_loop_fork_without_a_fork_does_nothing),
        cmocka_unit_test(a_child_that_stops_a_signal_gives_back_its_own_disposition_only),
        cmocka_unit_test(a_child_does_not_wait_for_what_another_thread_held),
    };

    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
