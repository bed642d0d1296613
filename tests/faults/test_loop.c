/* SPDX-License-Identifier: MIT
 *
 * The loop itself while system calls fail: coroutines and their stacks, watchers, signals, wake-ups
 * from another thread, a descriptor to watch it by, an executor, and what comes after a descriptor
 * was closed behind its back, or after a fork.
 */
#include "faults.h"

#include "support.h"

#include <juggle.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- tasks */

static int sleep_a_little(void *arg)
{
    (void)arg;
    return jg_sleep(JG_MILLISECOND);
}

/* On stacks of their own, of two sizes. */
static int spawn_some(void *arg)
{
    const jg_spawn_options large = {.stack_size = 1 << 20};
    jg_scope scope;
    int r = 0;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    for (int i = 0; i < 4 && r == 0; i++)
        r = jg_spawn(&scope, sleep_a_little, NULL, i % 2 ? &large : NULL);
    return jg_scope_leave(&scope, r);
}

static int add(void *arg)
{
    int *number = arg;

    return ++*number;
}

static int use_executor(void *arg)
{
    const jg_executor_options options = {.max_threads = 2};
    jg_executor *executor;
    int numbers[2] = {0, 1};
    int r = jg_executor_new(fault_loop(), &options, &executor);

    (void)arg;
    if (r < 0)
        return r;
    for (int i = 0; i < 2 && r >= 0; i++)
        r = jg_executor_run(executor, add, &numbers[i]);
    test_check(r < 0 || r == 2);
    (void)jg_executor_free(executor, JG_FOREVER);
    return r < 0 ? r : 0;
}

/* A loop of its own on a new thread, in real time. */
static void *run_loop(void *arg)
{
    const jg_run_options options = {.no_signals = true};
    int *status = arg;

    *status = jg_run(sleep_a_little, NULL, &options);
    return NULL;
}

static int run_on_thread(void *arg)
{
    pthread_t thread;
    int status = 0;

    (void)arg;
    test_check(pthread_create(&thread, NULL, run_loop, &status) == 0);
    test_check(pthread_join(thread, NULL) == 0);
    return status;
}

/* ---------------------------------------------------------------- events */

static void on_event(void *arg, int events)
{
    jg_future *future = arg;

    (void)jg_future_set(future, events < 0 ? events : 0); /* once */
}

static int watch_both_ends(void *arg)
{
    jg_watcher watchers[2];
    jg_future futures[2];
    int fds[2], r = 0;

    (void)arg;
    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    for (int i = 0; i < 2; i++) {
        jg_future_init(&futures[i]);
        jg_watcher_init(&watchers[i], on_event, &futures[i]);
    }
    r = jg_watcher_start(fault_loop(), &watchers[0], fds[0], JG_WRITE);
    if (r == 0)
        r = jg_watcher_start(fault_loop(), &watchers[1], fds[1], JG_READ);
    if (r == 0)
        r = jg_future_wait(&futures[0]);
    jg_future_init(&futures[0]);
    if (r == 0)
        r = jg_watcher_modify(&watchers[0], JG_READ);
    for (int i = 0; i < 2; i++) {
        test_check(write(fds[i], "x", 1) == 1);
        if (r == 0)
            r = jg_future_wait(&futures[1 - i]);
    }
    for (int i = 0; i < 2; i++) {
        jg_watcher_stop(&watchers[i]);
        close(fds[i]);
    }
    return r;
}

static void on_signal(void *arg, int signo)
{
    on_event(arg, signo);
}

static void *send_wake(void *arg)
{
    jg_wake_send(arg);
    return NULL;
}

static void on_wake(void *arg)
{
    on_event(arg, 1);
}

static int wake_and_signal(void *arg)
{
    jg_future woken, signalled;
    pthread_t thread;
    jg_signal signal;
    jg_wake wake;
    int r;

    (void)arg;
    jg_future_init(&woken);
    jg_future_init(&signalled);
    jg_signal_init(&signal, on_signal, &signalled);
    jg_wake_init(&wake, on_wake, &woken);
    r = jg_signal_start(fault_loop(), &signal, SIGUSR1);
    if (r < 0)
        return r;
    jg_wake_start(fault_loop(), &wake);
    test_check(pthread_create(&thread, NULL, send_wake, &wake) == 0);
    r = jg_future_wait(&woken);
    test_check(pthread_join(thread, NULL) == 0);
    test_check(raise(SIGUSR1) == 0);
    if (r == 0)
        r = jg_future_wait(&signalled);
    jg_signal_stop(&signal);
    jg_wake_stop(&wake);
    return r;
}

/* ---------------------------------------------------------------- starting again */

/*
 * A descriptor is closed while another one of the same file is open: the kernel goes on to report
 * it, and the poller is renewed. A child and a stream are watched all the while.
 */
static int close_behind_its_back(void *arg)
{
    static const char *const argv[] = {"cat", NULL};
    const jg_process_options options = {.input = JG_PROCESS_PIPE};
    jg_process process;
    jg_watcher watcher;
    jg_future future;
    int fds[2], copy, r, ended;

    (void)arg;
    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    copy = dup(fds[0]);
    test_check(copy >= 0);
    jg_future_init(&future);
    jg_watcher_init(&watcher, on_event, &future);
    r = jg_process_spawn(&process, fault_loop(), argv, &options);
    if (r == 0)
        r = jg_watcher_start(fault_loop(), &watcher, fds[0], JG_READ);
    if (r == 0)
        r = jg_sleep(0);
    close(fds[0]);
    jg_watcher_stop(&watcher);
    test_check(write(fds[1], "x", 1) == 1);
    for (int i = 0; i < 4 && r == 0; i++)
        r = jg_sleep(0);
    if (r == 0)
        jg_stream_abort(&process.input);
    ended = r == 0 ? jg_process_wait(&process) : 0;
    jg_process_close(&process);
    close(copy);
    close(fds[1]);
    return r < 0 ? r : ended;
}

/* Somebody else watches the loop. */
static int ask_for_descriptor(void *arg)
{
    int fd = jg_loop_fd(fault_loop());

    if (fd < 0 && fd != -ENOTSUP)
        return fd;
    return close_behind_its_back(arg);
}

/* ---------------------------------------------------------------- forks */

static void store_event(void *arg, int events)
{
    int *got = arg;

    *got = events;
}

/* In the child. Where it fails, nothing has changed, and it can be tried again. */
static int go_on(jg_loop *loop, const int *got, int fd)
{
    const int descriptors = test_open_descriptors();
    int r = jg_loop_fork(loop), again = r < 0 ? jg_loop_fork(loop) : 0;

    test_check(again == 0 && test_open_descriptors() == descriptors);
    test_check(write(fd, "x", 1) == 1);
    for (int i = 0; i < 3 && *got == 0; i++)
        test_check(jg_loop_run_once(loop, 0) >= 0); /* a signal may end it early */
    test_check(*got != 0);
    if (r == 0 && *got < 0)
        r = *got;
    return r;
}

static int fork_loop(void *arg)
{
    jg_watcher watcher;
    jg_loop *loop;
    int fds[2], got = 0, status = 0, r;
    pid_t pid;

    (void)arg;
    test_check(jg_loop_new(NULL, &loop) == 0);
    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    jg_watcher_init(&watcher, store_event, &got);
    test_check(jg_watcher_start(loop, &watcher, fds[0], JG_READ) == 0);
    test_check(jg_loop_run_once(loop, 0) == 1);
    (void)jg_loop_fd(loop); /* not all have one */

    fault_set_child(true);
    pid = fork();
    test_check(pid >= 0);
    if (pid == 0) {
        r = go_on(loop, &got, fds[1]);
        jg_watcher_stop(&watcher);
        test_check(jg_loop_free(loop) == 0);
        _exit(-r);
    }
    fault_set_child(false);
    test_check(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    jg_watcher_stop(&watcher);
    test_check(jg_loop_free(loop) == 0);
    close(fds[0]);
    close(fds[1]);
    return -WEXITSTATUS(status);
}

/* Workers, the first of which soon tells their parent to end. */
static int end_parent(void *arg)
{
    (void)arg;
    return kill(getppid(), SIGTERM) < 0 ? -errno : 0;
}

static int run_workers(void *arg)
{
    const jg_run_app_options options = {.workers = 3, .quiet = true};
    jg_app *app;
    int r;

    (void)arg;
    test_check(jg_app_new(NULL, &app) == 0);
    test_check(jg_app_context(app, end_parent, NULL, NULL) == 0);
    r = jg_run_app(app, "127.0.0.1:0", &options);
    jg_app_free(app);
    return r;
}

/* ---------------------------------------------------------------- the runs */

/* The loop's error hook is told that the poller could not be renewed. */
#define RENEWING " close epoll_create1 eventfd epoll_ctl "

static void try_all(void **state)
{
    static const struct fault_scenario table[] = {
        {"tasks", spawn_some, .unheard = " close "},
        {"on a thread", run_on_thread, .unheard = " close "},
        {"low descriptors", run_on_thread, .unheard = " close ", .low = true},
        {"an executor", use_executor, .unheard = " close pthread_create "},
        {"watchers", watch_both_ends, .unheard = " close "},
        {"a wake-up and a signal", wake_and_signal, .unheard = " close "},
        {"behind its back", close_behind_its_back, .unheard = RENEWING},
        {"behind the back of two", ask_for_descriptor, .unheard = RENEWING},
        {"after a fork", fork_loop, .unheard = " close pthread_mutex_init ", .in_child = true,
         .plain = true},
        {"workers", run_workers, .unheard = " close ", .plain = true},
    };

    (void)state;
    assert_true(fault_each(table, sizeof(table) / sizeof(table[0])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_loop", tests, NULL, NULL);
}
