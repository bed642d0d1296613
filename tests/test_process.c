/* SPDX-License-Identifier: MIT
 *
 * Processes: spawned with what they are given and nothing else, waited for, signalled, talked to,
 * and never left behind.
 *
 * Where a test needs a program that looks at itself, it is this one, called with arguments.
 */
#include "support.h"

#include "platform/sanitizer.h"
#include "platform/spawn.h"

#include <juggle/coro.h>
#include <juggle/process.h>
#include <juggle/test_kit.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

static char self[4096]; /* the path of this program */

/* Elsewhere the macros want something with an address. */
static int exit_status(int status)
{
    return WEXITSTATUS(status);
}

static int end_signal(int status)
{
    return WTERMSIG(status);
}

#define SHELL(command)                   \
    (const char *const[])                \
    {                                    \
        "/bin/sh", "-c", (command), NULL \
    }

/* How children may be waited for. Not by SIGCHLD with ThreadSanitizer: it keeps a signal that comes
   while a coroutine runs for that one, which may wait for just this. */
enum { WAYS = JG__TSAN ? 1 : 2 };

/* Run a coroutine on a loop of each kind. Nothing may be left: no descriptor, no child. */
static void run(jg_coro_fn fn, void *arg)
{
    for (int i = 0; i < WAYS; i++) {
        const jg_loop_options loop = {.flags = i ? JG_LOOP_REAP_ON_SIGCHLD : 0};
        const int before = test_open_descriptors();

        assert_int_equal(jg_run(fn, arg, &(jg_run_options){.loop = &loop}), 0);
        assert_int_equal(test_open_descriptors(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
}

static jg_loop *this_loop(void)
{
    return jg_task_loop(jg_task_current());
}

/* Run a command, its output captured. Returns as jg_process_run. */
static int capture(const char *command, const char *input, char *buf, size_t size)
{
    const jg_process_options options = {
        .input = input ? JG_PROCESS_PIPE : JG_PROCESS_NULL,
        .output = JG_PROCESS_PIPE,
        .errors = JG_PROCESS_STDOUT,
    };
    jg_process_result result;
    int r = jg_process_run(SHELL(command), &options, input, input ? strlen(input) : 0, &result);

    snprintf(buf, size, "%s", result.output.data ? result.output.data : "");
    jg_process_result_fini(&result);
    return r;
}

/* ------------------------------------------------------------- the program's other lives */

/* Exits with the number of a descriptor that it should not have, or 0. */
static int look_for_descriptors(void)
{
    for (int fd = 3; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return fd;
    }
    return 0;
}

/* Exits with a signal that is blocked, or is ignored where it should not be, or 0. */
static int look_for_signals(void)
{
    struct sigaction action;
    sigset_t blocked;

    if (sigprocmask(SIG_BLOCK, NULL, &blocked) < 0)
        return 1;
    for (int signo = 1; signo < 65; signo++) {
        if (sigismember(&blocked, signo) == 1)
            return signo;
        if (signo == SIGUSR2 || signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE)
            continue; /* sanitizers handle faults */
        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            return signo + 100;
    }
    return sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN ? 0 : 99;
}

static int live(const char *as)
{
    if (strcmp(as, "descriptors") == 0)
        return look_for_descriptors();
    if (strcmp(as, "signals") == 0)
        return look_for_signals();
    if (strcmp(as, "group") == 0)
        return printf("%d %d\n", (int)getpgrp(), (int)getsid(0)) < 0;
    return 98;
}

/* ------------------------------------------------------------- spawning */

static int end_in_every_way(void *arg)
{
    jg_process process;
    int status;

    (void)arg;
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exit 7"), NULL) == 0);
    test_check(jg_process_pid(&process) > 0);
    test_check(jg_process_status(&process) == -EAGAIN);
    status = jg_process_wait(&process);
    test_check(WIFEXITED(status) && exit_status(status) == 7);
    test_check(jg_process_status(&process) == status);
    test_check(jg_process_wait(&process) == status); /* again */
    test_check(jg_process_kill(&process) == -ESRCH);
    jg_process_close(&process);
    jg_process_close(&process);

    test_check(jg_process_spawn(&process, this_loop(), SHELL("kill -9 $$"), NULL) == 0);
    status = jg_process_wait(&process);
    test_check(WIFSIGNALED(status) && end_signal(status) == SIGKILL);
    jg_process_close(&process);
    return 0;
}

static void a_process_exits_or_dies_of_a_signal(void **state)
{
    (void)state;
    run(end_in_every_way, NULL);
}

static int end_before_the_wait(void *arg)
{
    jg_process process;

    (void)arg;
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exit 3"), NULL) == 0);
    while (jg_process_status(&process) == -EAGAIN)
        test_check(jg_sleep(JG_MILLISECOND) == 0);
    test_check(exit_status(jg_process_wait(&process)) == 3);
    jg_process_close(&process);
    return 0;
}

static void one_that_ended_before_it_is_waited_for_is_not_lost(void **state)
{
    (void)state;
    run(end_before_the_wait, NULL);
}

static int fail_to_start(void *arg)
{
    static char long_argument[4 << 20];
    const char *directory = arg;
    char script[100], text[200];
    jg_process process;
    jg_loop *loop = this_loop();
    const char *const nobody[] = {"/nonexistent/program", NULL};
    const char *const unknown[] = {"no_such_program_in_path", NULL};
    const char *const empty[] = {"", NULL};
    const char *const none[] = {NULL};
    const char *const folder[] = {directory, NULL};
    const char *const file[] = {script, NULL};
    const char *const huge[] = {"/bin/true", long_argument, NULL};
    int fd;

    memset(long_argument, 'x', sizeof(long_argument) - 1);
    snprintf(script, sizeof(script), "%s/script", directory);
    fd = open(script, O_CREAT | O_WRONLY, 0600);
    test_check(fd >= 0 && write(fd, "exit 5\n", 7) == 7 && close(fd) == 0);

    for (int i = 0; i < 2; i++) { /* the first spawn of a process finds out about its memory */
        test_check(jg_process_spawn(&process, loop, nobody, NULL) == -ENOENT);
        test_check(jg_process_spawn(&process, loop, unknown, NULL) == -ENOENT);
        test_check(jg_process_spawn(&process, loop, empty, NULL) == -ENOENT);
        test_check(jg_process_spawn(&process, loop, none, NULL) == -EINVAL);
        test_check(jg_process_spawn(&process, loop, folder, NULL) == -EACCES);
        test_check(jg_process_spawn(&process, loop, file, NULL) == -EACCES);
        if (!test_is_emulated()) /* they end themselves */
            test_check(jg_process_spawn(&process, loop, huge, NULL) == -E2BIG);
        test_check(jg_process_spawn(&process, loop, SHELL("true"),
                                    &(jg_process_options){.directory = "/nonexistent"}) == -ENOENT);
        test_check(jg_process_spawn(&process, loop, SHELL("true"),
                                    &(jg_process_options){.directory = script}) == -ENOTDIR);
        test_check(jg_process_spawn(&process, loop, SHELL("true"),
                                    &(jg_process_options){.flags = 1u << 9}) == -EINVAL);
        test_check(jg_process_spawn(&process, loop, SHELL("true"),
                                    &(jg_process_options){.output = JG_PROCESS_STDOUT}) == -EINVAL);
        test_check(jg_process_spawn(
                       &process, loop, SHELL("true"),
                       &(jg_process_options){.input = JG_PROCESS_FD, .input_fd = -1}) == -EBADF);
        jg_process_close(&process);
    }
    test_check(chmod(script, 0700) == 0);
    test_check(jg_process_spawn(&process, loop, file, NULL) == -ENOEXEC);
    test_check(capture("kill -0 $PPID; echo $?", NULL, text, sizeof(text)) == 0);
    test_check(strcmp(text, "0\n") == 0);
    test_check(unlink(script) == 0);
    return 0;
}

static void what_cannot_be_started_says_why_at_once(void **state)
{
    char directory[] = "/tmp/juggle_process_XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(directory));
    run(fail_to_start, directory);
    assert_int_equal(rmdir(directory), 0);
}

static int use_environment(void *arg)
{
    const char *directory = arg;
    const char *const environment[] = {"NAME=value", NULL};
    char path[100], search[120], text[200];
    const char *const search_only[] = {search, NULL};
    const char *const program[] = {"found_by_path", "argument", NULL};
    jg_process_options options = {
        .environment = environment, .directory = directory, .output = JG_PROCESS_PIPE};
    jg_process_result result;
    int fd;

    test_check(jg_process_run(SHELL("echo $NAME-$HOME; pwd -P"), &options, NULL, 0, &result) == 0);
    snprintf(text, sizeof(text), "value-\n%s\n", directory);
    test_check(strcmp(result.output.data, text) == 0);
    jg_process_result_fini(&result);

    snprintf(path, sizeof(path), "%s/found_by_path", directory);
    snprintf(search, sizeof(search), "PATH=/nonexistent:%s/x:%s", directory, directory);
    fd = open(path, O_CREAT | O_WRONLY, 0700);
    test_check(write(fd, "#!/bin/sh\necho $1\n", 18) == 18 && close(fd) == 0);
    options.environment = search_only;
    test_check(jg_process_run(program, &options, NULL, 0, &result) == 0);
    test_check(strcmp(result.output.data, "argument\n") == 0);
    jg_process_result_fini(&result);
    test_check(jg_process_run(program, NULL, NULL, 0, &result) == -ENOENT);
    jg_process_result_fini(&result);

    /* What may not be run is passed over, but told of if there is nothing else. */
    test_check(chmod(path, 0600) == 0);
    snprintf(search, sizeof(search), "PATH=%s:%s", path, directory);
    test_check(jg_process_run(program, &options, NULL, 0, &result) == -EACCES);
    test_check(chmod(path, 0700) == 0);
    test_check(jg_process_run(program, &options, NULL, 0, &result) == 0);
    jg_process_result_fini(&result);

    /* The program need not be its first argument. */
    options.file = "/bin/sh";
    test_check(jg_process_run((const char *const[]){"another", "-c", "echo $0", NULL}, &options,
                              NULL, 0, &result) == 0);
    test_check(strcmp(result.output.data, "another\n") == 0);
    jg_process_result_fini(&result);
    test_check(unlink(path) == 0);
    return 0;
}

static void environment_directory_and_program_are_what_was_asked_for(void **state)
{
    char directory[] = "/tmp/juggle_process_XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(directory));
    run(use_environment, directory);
    assert_int_equal(rmdir(directory), 0);
}

static int redirect(void *arg)
{
    jg_process process;
    char text[100];
    jg_process_options options = {
        .input = JG_PROCESS_NULL, .output = JG_PROCESS_FD, .errors = JG_PROCESS_STDOUT};
    int ends[2], status;

    (void)arg;
    test_check(pipe(ends) == 0);
    options.output_fd = ends[1];
    test_check(jg_process_spawn(&process, this_loop(), SHELL("cat; echo out; echo err >&2"),
                                &options) == 0);
    status = jg_process_wait(&process);
    test_check(status == 0);
    test_check(fcntl(ends[1], F_GETFD) == 0); /* still ours, and as it was */
    test_check(read(ends[0], text, sizeof(text)) == 8 && memcmp(text, "out\nerr\n", 8) == 0);
    jg_process_close(&process);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void output_goes_where_it_is_sent(void **state)
{
    (void)state;
    run(redirect, NULL);
}

static void swap_in_child(void *arg)
{
    int out[2], err[2];
    char text[10];
    jg__spawn spawn = {.file = "/bin/sh",
                       .argv = SHELL("echo o; echo e >&2; test ! -e /dev/fd/0"),
                       .fds = {0, 2, 1}};
    int pid, status;

    (void)arg;
    test_check(pipe(out) == 0 && pipe(err) == 0);
    test_check(dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2);
    close(0);
    pid = jg__spawn_run(&spawn); /* 0 is closed, here and there; 1 and 2 change places */
    test_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    test_check(read(out[0], text, sizeof(text)) == 2 && text[0] == 'e');
    test_check(read(err[0], text, sizeof(text)) == 2 && text[0] == 'o');
}

static void descriptors_may_change_places(void **state)
{
    (void)state;
    test_in_child(swap_in_child, NULL);
}

/* ------------------------------------------------------------- what the child does not get */

static int run_self(const char *as)
{
    jg_process_result result;
    int r = jg_process_run((const char *const[]){self, as, NULL}, NULL, NULL, 0, &result);

    jg_process_result_fini(&result);
    return r;
}

static int leak_nothing(void *arg)
{
    int fds[40];

    (void)arg;
    for (int i = 0; i < 40; i++) {
        fds[i] = open("/dev/null", O_RDONLY); /* not close-on-exec */
        test_check(fds[i] >= 0);
    }
    test_check(run_self("descriptors") == 0);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    return 0;
}

static void a_child_has_no_descriptor_but_its_own(void **state)
{
    (void)state;
    if (test_is_emulated())
        skip();
    run(leak_nothing, NULL);
}

static void leak_nothing_on_an_old_kernel(void *arg)
{
    (void)arg;
#ifdef SYS_close_range
    if (test_deny(SYS_close_range, ENOSYS))
        test_check(jg_run(leak_nothing, NULL, NULL) == 0);
#endif
}

static void descriptors_are_closed_where_that_takes_one_call_each(void **state)
{
    (void)state;
    if (test_is_slow())
        skip();
    test_in_child(leak_nothing_on_an_old_kernel, NULL);
}

static void on_signal(int signo)
{
    (void)signo;
}

static int look_at_signals(void *arg)
{
    (void)arg;
    test_check(run_self("signals") == 0);
    return 0;
}

static void signals_of_a_child_are_as_in_a_fresh_program(void **state)
{
    sigset_t blocked, before;

    (void)state;
    if (test_is_emulated())
        skip();
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
#ifdef SIGRTMIN
    sigaddset(&blocked, SIGRTMIN);
#endif
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
    (void)signal(SIGHUP, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR2, SIG_IGN); /* as nohup does with another one */
    run(look_at_signals, NULL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGUSR2, SIG_DFL);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

/* ------------------------------------------------------------- many */

enum { MANY = 500 };

static int spawn_many(void *arg)
{
    static jg_process processes[MANY];
    const int many = test_is_slow() ? MANY / 10 : MANY;

    (void)arg;
    for (int i = 0; i < many; i++) {
        char command[40];

        snprintf(command, sizeof(command), "exit %d", i % 100);
        test_check(jg_process_spawn(&processes[i], this_loop(), SHELL(command), NULL) == 0);
    }
    for (int i = many - 1; i >= 0; i--) {
        int status = jg_process_wait(&processes[i]);

        test_check(WIFEXITED(status) && exit_status(status) == i % 100);
        jg_process_close(&processes[i]);
    }
    return 0;
}

static void of_500_short_processes_none_is_lost(void **state)
{
    (void)state;
    run(spawn_many, NULL);
}

static int capture_one(void *arg)
{
    const int number = *(int *)arg;
    char command[60], text[60], expected[20];

    snprintf(command, sizeof(command), "echo %d; exit %d", number, number % 7);
    snprintf(expected, sizeof(expected), "%d\n", number);
    test_check(exit_status(capture(command, NULL, text, sizeof(text))) == number % 7);
    test_check(strcmp(text, expected) == 0);
    return 0;
}

static int capture_many(void *arg)
{
    enum { JOBS = 100 };
    static int numbers[JOBS];
    static jg_job jobs[JOBS];

    (void)arg;
    for (int i = 0; i < JOBS; i++) {
        numbers[i] = i;
        jobs[i] = (jg_job){.fn = capture_one, .arg = &numbers[i]};
    }
    return jg_gather(jobs, test_is_slow() ? JOBS / 5 : JOBS, JG_FAIL_FAST);
}

static void the_output_of_100_at_once_is_whole(void **state)
{
    (void)state;
    run(capture_many, NULL);
}

struct shared {
    jg_process process;
    int ended;
};

static int wait_for_shared(void *arg)
{
    struct shared *shared = arg;

    test_check(exit_status(jg_process_wait(&shared->process)) == 4);
    shared->ended++;
    return 0;
}

static int give_up_soon(void *arg)
{
    struct shared *shared = arg;
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.timeout = 10 * JG_MILLISECOND});
    r = jg_process_wait(&shared->process);
    test_check(r == -ECANCELED);
    test_check(jg_scope_leave(&scope, r) == -ETIMEDOUT);
    jg_stream_abort(&shared->process.input); /* for which it waits */
    return 0;
}

static int wait_by_many(void *arg)
{
    const jg_process_options options = {.input = JG_PROCESS_PIPE};
    struct shared shared = {.ended = 0};
    jg_job jobs[] = {{wait_for_shared, &shared, 0},
                     {give_up_soon, &shared, 0},
                     {wait_for_shared, &shared, 0},
                     {wait_for_shared, &shared, 0}};

    (void)arg;
    test_check(
        jg_process_spawn(&shared.process, this_loop(), SHELL("read line; exit 4"), &options) == 0);
    test_check(jg_gather(jobs, 4, JG_FAIL_FAST) == 0);
    test_check(shared.ended == 3);
    jg_process_close(&shared.process);
    return 0;
}

static void many_may_wait_and_giving_up_leaves_the_process(void **state)
{
    (void)state;
    run(wait_by_many, NULL);
}

/* ------------------------------------------------------------- signals */

static int send_signals(void *arg)
{
    jg_process process = {.pid = 0};
    int status;

    (void)arg;
    test_check(jg_process_terminate(&process) == -ESRCH);
    test_check(jg_process_wait(&process) == -ECHILD);
    test_check(jg_process_pid(&process) == -ESRCH);
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exec sleep 60"), NULL) == 0);
    test_check(jg_process_send_signal(&process, 1000) == -EINVAL);
    test_check(jg_process_send_signal(&process, 0) == 0);
    test_check(jg_process_terminate(&process) == 0);
    status = jg_process_wait(&process);
    test_check(WIFSIGNALED(status) && end_signal(status) == SIGTERM);
    jg_process_close(&process);

    /* One that has ended, which the loop does not know yet, is still there to be sent a signal. */
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exit 0"), NULL) == 0);
    for (int i = 0; i < 200; i++) {
        siginfo_t info = {.si_pid = 0};

        test_check(waitid(P_PID, (id_t)jg_process_pid(&process), &info,
                          WEXITED | WNOWAIT | (i < 100 ? WNOHANG : 0)) == 0);
        test_check(jg_process_kill(&process) == 0);
    }
    status = jg_process_wait(&process);
    test_check(status == 0 || end_signal(status) == SIGKILL);
    test_check(jg_process_kill(&process) == -ESRCH);
    jg_process_close(&process);
    return 0;
}

static void a_signal_reaches_the_process_or_nobody(void **state)
{
    (void)state;
    run(send_signals, NULL);
}

static int signal_group(void *arg)
{
    const unsigned flags = *(unsigned *)arg;
    const jg_process_options options = {.output = JG_PROCESS_PIPE, .flags = flags};
    const char *const command[] = {"/bin/sh", "-c", "sleep 60 & \"$0\" group; echo; wait", self,
                                   NULL};
    char line[40], expected[40];
    jg_process process;

    /* The grandchild holds the pipe: its end shows that it is gone. */
    test_check(jg_process_spawn(&process, this_loop(), command, &options) == 0);
    test_check(jg_stream_read_line(&process.output, line, sizeof(line)) > 0);
    if (flags & JG_PROCESS_SESSION)
        snprintf(expected, sizeof(expected), "%d %d\n", process.pid, process.pid);
    else
        snprintf(expected, sizeof(expected), "%d %d\n", process.pid, (int)getsid(0));
    test_check(strcmp(line, expected) == 0);
    test_check(jg_stream_read_line(&process.output, line, sizeof(line)) == 1);
    test_check(jg_process_terminate(&process) == 0);
    test_check(jg_stream_read(&process.output, line, sizeof(line)) == 0);
    test_check(end_signal(jg_process_wait(&process)) == SIGTERM);
    jg_process_close(&process);
    return 0;
}

static void signals_go_to_the_group_that_a_process_leads(void **state)
{
    unsigned group = JG_PROCESS_GROUP, session = JG_PROCESS_SESSION;

    (void)state;
    if (test_is_emulated())
        skip();
    run(signal_group, &group);
    run(signal_group, &session);
}

static int close_running(void *arg)
{
    const jg_process_options options = {.input = JG_PROCESS_PIPE, .output = JG_PROCESS_PIPE};
    jg_process process;
    jg_op waiter;
    int pid;

    (void)arg;
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exec sleep 60"), &options) == 0);
    pid = jg_process_pid(&process);
    jg_op_self(&waiter);
    test_check(jg_process_wait_start(&process, &waiter) == 0);
    jg_process_close(&process);
    memset(&process, 0x55, sizeof(process)); /* the memory is ours again */
    test_check(jg_await(&waiter) == -ECONNABORTED);
    for (int i = 0; i < 10000 && kill(pid, 0) == 0; i++)
        test_check(jg_sleep(JG_MILLISECOND) == 0); /* the loop reaps it */
    test_check(kill(pid, 0) < 0 && errno == ESRCH);

    /* This one is reaped by the end of the loop. */
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exec sleep 60"), NULL) == 0);
    jg_process_close(&process);
    return 0;
}

static void closing_a_running_process_kills_and_reaps_it(void **state)
{
    (void)state;
    run(close_running, NULL);
}

static void count_leak(void *arg, int error, const char *what)
{
    (void)what;
    *(int *)arg += error == JG_ELEAKED;
}

static void one_that_was_closed_does_not_keep_the_loop(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_process process;

    (void)state;
    assert_int_equal(jg_process_spawn(&process, loop, SHELL("exec sleep 60"), NULL), 0);
    assert_true(jg_loop_alive(loop));
    jg_process_close(&process);
    assert_false(jg_loop_alive(loop));
    test_loop_done(loop);
}

static void a_process_that_was_not_closed_is_reported_and_ended(void **state)
{
    int leaks = 0;
    jg_loop *loop;
    jg_process process;

    (void)state;
    assert_int_equal(
        jg_loop_new(&(jg_loop_options){.on_error = count_leak, .on_error_arg = &leaks}, &loop), 0);
    assert_int_equal(jg_process_spawn(&process, loop, SHELL("exec sleep 60"), NULL), 0);
    assert_int_equal(jg_loop_free(loop), 1);
    assert_int_equal(leaks, 1);
    assert_int_equal(kill(jg_process_pid(&process), 0), -1);
    jg_process_close(&process);
}

static void be_forked(void *arg)
{
    const int ends[2] = {((int *)arg)[0], ((int *)arg)[1]};
    jg_loop *loop;
    jg_process process;
    jg_op op;
    int status, done = 0;
    pid_t pid;

    test_check(jg_loop_new(NULL, &loop) == 0);
    test_check(
        jg_process_spawn(&process, loop, SHELL("read x; exit 6"),
                         &(jg_process_options){.input = JG_PROCESS_FD, .input_fd = ends[0]}) == 0);
    pid = fork();
    if (pid == 0) {
        test_check(jg_process_kill(&process) == JG_EFORKED);
        test_check(jg_loop_fork(loop) == 0);
        test_check(jg_process_kill(&process) == JG_EFORKED);
        jg_op_init(&op, loop, test_count_call, &done);
        test_check(jg_process_wait_start(&process, &op) == 0);
        test_check(jg_loop_run(loop) == 0);
        test_check(done == 1 && jg_op_status(&op) == -ECHILD);
        jg_process_close(&process);
        test_check(jg_loop_free(loop) == 0);
        _exit(0);
    }
    test_check(waitpid(pid, &status, 0) == pid && status == 0);
    pid = fork();
    if (pid == 0) {
        jg_process_close(&process);
        test_check(jg_loop_free(loop) == 0);
        _exit(0);
    }
    test_check(waitpid(pid, &status, 0) == pid && status == 0);
    jg_op_init(&op, loop, test_count_call, &done);
    test_check(jg_process_wait_start(&process, &op) == 0);
    test_check(write(ends[1], "x\n", 2) == 2);
    test_check(jg_loop_run(loop) == 0);
    test_check(exit_status(jg_op_status(&op)) == 6); /* neither of them killed it */
    jg_process_close(&process);
    test_check(jg_loop_free(loop) == 0);
}

static void a_forked_child_leaves_the_processes_of_its_parent_alone(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    test_in_child(be_forked, ends);
    close(ends[0]);
    close(ends[1]);
}

static void ignore_children(void *arg)
{
    struct sigaction action;

    (void)arg;
    (void)signal(SIGCHLD, SIG_IGN);
    run(spawn_many, NULL);
    run(end_in_every_way, NULL);
    test_check(sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
}

static void a_status_is_had_where_children_are_ignored(void **state)
{
    (void)state;
    test_in_child(ignore_children, NULL);
}

/* ------------------------------------------------------------- communicating */

static int read_after_the_end(void *arg)
{
    const jg_process_options options = {.output = JG_PROCESS_PIPE, .errors = JG_PROCESS_PIPE};
    jg_process process;
    char text[20];
    size_t count;

    (void)arg;
    test_check(jg_process_spawn(&process, this_loop(), SHELL("echo out; echo err >&2"), &options) ==
               0);
    test_check(jg_process_wait(&process) == 0);
    test_check(jg_stream_read_exactly(&process.output, text, 20, &count) == JG_EINCOMPLETE);
    test_check(count == 4 && memcmp(text, "out\n", 4) == 0);
    test_check(jg_stream_read_exactly(&process.errors, text, 20, &count) == JG_EINCOMPLETE);
    test_check(count == 4 && memcmp(text, "err\n", 4) == 0);
    jg_process_close(&process);
    return 0;
}

static void output_can_be_read_after_the_end(void **state)
{
    (void)state;
    run(read_after_the_end, NULL);
}

static int echo_much(void *arg)
{
    enum { SIZE = 3 << 20 };
    const jg_process_options options = {
        .input = JG_PROCESS_PIPE, .output = JG_PROCESS_PIPE, .errors = JG_PROCESS_PIPE};
    char *data = malloc(SIZE);
    jg_process_result result;
    int r;

    (void)arg;
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)((unsigned)i * 31 >> 4);
    r = jg_process_run(SHELL("echo begin >&2; cat; echo end >&2; exit 9"), &options, data, SIZE,
                       &result);
    test_check(WIFEXITED(r) && exit_status(r) == 9);
    test_check(result.output.size == SIZE && memcmp(result.output.data, data, SIZE) == 0);
    test_check(result.output.data[SIZE] == '\0');
    test_check(strcmp(result.errors.data, "begin\nend\n") == 0);
    jg_process_result_fini(&result);
    jg_process_result_fini(&result);
    free(data);
    return 0;
}

static void communicate_writes_and_reads_more_than_pipes_hold(void **state)
{
    (void)state;
    run(echo_much, NULL);
}

static int refuse_input(void *arg)
{
    static char data[1 << 20];
    const jg_process_options options = {.input = JG_PROCESS_PIPE, .output = JG_PROCESS_PIPE};
    jg_process_result result;
    jg_process process;

    (void)arg;
    test_check(jg_process_run(SHELL("exec <&-; echo enough; exit 0"), &options, data, sizeof(data),
                              &result) == 0);
    test_check(strcmp(result.output.data, "enough\n") == 0);
    jg_process_result_fini(&result);

    /* One that has ended before; and with nothing to write. */
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exit 2"), &options) == 0);
    test_check(exit_status(jg_process_wait(&process)) == 2);
    test_check(exit_status(jg_process_communicate(&process, data, 5, &result)) == 2);
    test_check(result.output.size == 0 && result.errors.data == NULL);
    jg_process_result_fini(&result);
    jg_process_close(&process);
    test_check(jg_process_run(SHELL("cat; echo -"), &options, NULL, 0, &result) == 0);
    test_check(strcmp(result.output.data, "-\n") == 0);
    jg_process_result_fini(&result);
    return 0;
}

static void input_that_is_not_wanted_is_no_error(void **state)
{
    (void)state;
    run(refuse_input, NULL);
}

static int meet_limits(void *arg)
{
    jg_process_options options = {.output = JG_PROCESS_PIPE, .limit = 10000};
    jg_process_result result;
    jg_process process;

    (void)arg;
    test_check(jg_process_run(SHELL("head -c 10000 /dev/zero"), &options, NULL, 0, &result) == 0);
    test_check(result.output.size == 10000);
    jg_process_result_fini(&result);
    test_check(jg_process_run(SHELL("head -c 10001 /dev/zero"), &options, NULL, 0, &result) ==
               -EMSGSIZE);
    test_check(result.output.size == 10000);
    jg_process_result_fini(&result);
    test_check(jg_process_run(SHELL("cat /dev/zero"), &options, NULL, 0, &result) == -EMSGSIZE);
    jg_process_result_fini(&result);
    options.limit = 1;
    test_check(jg_process_run(SHELL("echo"), &options, NULL, 0, &result) == 0);
    jg_process_result_fini(&result);
    test_check(jg_process_run(SHELL("echo x"), &options, NULL, 0, &result) == -EMSGSIZE);
    test_check(result.output.size == 1 && result.output.data[0] == 'x');
    jg_process_result_fini(&result);

    /* Who only communicates leaves the process as it is. */
    test_check(
        jg_process_spawn(&process, this_loop(), SHELL("echo abc; exec sleep 60"), &options) == 0);
    test_check(jg_process_communicate(&process, NULL, 0, &result) == -EMSGSIZE);
    test_check(jg_process_status(&process) == -EAGAIN);
    jg_process_result_fini(&result);
    jg_process_close(&process);
    return 0;
}

static void output_beyond_the_limit_is_an_error(void **state)
{
    (void)state;
    run(meet_limits, NULL);
}

static int communicate_twice(void *arg)
{
    const jg_process_options options = {.output = JG_PROCESS_PIPE, .errors = JG_PROCESS_PIPE};
    jg_process process;
    jg_process_result result;
    jg_op reader;
    char text[10];

    (void)arg;
    test_check(jg_process_spawn(&process, this_loop(), SHELL("exec sleep 60"), &options) == 0);
    jg_op_self(&reader);
    test_check(jg_stream_read_start(&process.output, text, sizeof(text), &reader) == 0);
    test_check(jg_process_communicate(&process, NULL, 0, &result) == -EBUSY);
    jg_process_result_fini(&result);
    jg_process_close(&process);
    test_check(jg_await(&reader) == -ECONNABORTED);
    return 0;
}

static void output_that_is_being_read_is_busy(void **state)
{
    (void)state;
    run(communicate_twice, NULL);
}

/* ------------------------------------------------------------- being cancelled */

static int cut(const char *command, unsigned flags, jg_time grace, jg_process_result *result)
{
    const jg_process_options options = {
        .output = JG_PROCESS_PIPE,
        .errors = JG_PROCESS_NULL, /* what the shell says of those that were killed */
        .flags = flags,
        .grace = grace,
    };
    jg_time timeout = 150 * JG_MILLISECOND;
    int r;

    /* Until it came to say something before its time was up. */
    do {
        jg_scope scope;

        timeout *= 2;
        jg_scope_enter(&scope, &(jg_scope_options){.timeout = timeout});
        r = jg_process_run(SHELL(command), &options, NULL, 0, result);
        r = jg_scope_leave(&scope, r);
        if (result->output.size > 0)
            return r;
        jg_process_result_fini(result);
    } while (r == -ETIMEDOUT && timeout < 10 * JG_SECOND);
    test_check(!"a process said nothing for seconds");
    return r;
}

static int end_in_time(void *arg)
{
    const char *deaf = "trap '' TERM; echo hello; while :; do sleep 0.02; done";
    const jg_time begin = test_clock();
    jg_process_result result;

    (void)arg;
    test_check(cut("trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.02; done",
                   JG_PROCESS_GROUP, 60 * JG_SECOND, &result) == -ETIMEDOUT);
    test_check(strncmp(result.output.data, "hello\n", 6) == 0);
    jg_process_result_fini(&result);
    test_check(cut(deaf, JG_PROCESS_GROUP, 50 * JG_MILLISECOND, &result) == -ETIMEDOUT);
    jg_process_result_fini(&result);
    test_check(cut(deaf, JG_PROCESS_GROUP, -1, &result) == -ETIMEDOUT);
    jg_process_result_fini(&result);

    /* What it has started holds the pipe, which is not waited for. */
    test_check(cut("sleep 60 & echo $!; wait", 0, 60 * JG_SECOND, &result) == -ETIMEDOUT);
    test_check(kill(atoi(result.output.data), SIGKILL) == 0);
    jg_process_result_fini(&result);
    test_check(test_clock() - begin < 30 * JG_SECOND);
    return 0;
}

static void a_run_that_is_cut_ends_its_process_one_way_or_the_other(void **state)
{
    (void)state;
    run(end_in_time, NULL);
}

/* Something of everything, for the test kit. */
static int do_all(void *arg)
{
    const jg_process_options options = {.input = JG_PROCESS_PIPE,
                                        .output = JG_PROCESS_PIPE,
                                        .errors = JG_PROCESS_PIPE,
                                        .grace = 60 * JG_SECOND};
    jg_process_result result = {.output.data = NULL};
    jg_process process;
    int r;

    (void)arg;
    r = jg_process_run(SHELL("cat; echo err >&2"), &options, "text", 4, &result);
    jg_process_result_fini(&result);
    if (r < 0)
        return r;

    r = jg_process_spawn(&process, this_loop(), SHELL("read x; echo $x; read y"), &options);
    if (r < 0)
        return r;
    r = jg_stream_write(&process.input, "line\n", 5);
    if (r == 0)
        r = jg_process_communicate(&process, "more\n", 5, &result);
    if (r >= 0)
        r = jg_process_wait(&process);
    jg_process_result_fini(&result);
    jg_process_close(&process);
    return r;
}

static bool no_child_is_left(void *arg, int status)
{
    (void)arg;
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD &&
           (status == 0 || status == -ECANCELED || status == -ENOMEM);
}

static void nothing_is_left_wherever_it_is_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < WAYS; i++) {
        const jg_loop_options loop = {.flags = i ? JG_LOOP_REAP_ON_SIGCHLD : 0};
        const jg_test_options options = {.loop = &loop, .check = no_child_is_left};

        assert_int_equal(jg_test_cancel_each(do_all, NULL, &options), 0);
    }
}

static void nothing_is_left_whichever_allocation_fails(void **state)
{
    const jg_test_options options = {.check = no_child_is_left};

    (void)state;
    assert_int_equal(jg_test_fail_each(do_all, NULL, &options), 0);
}

static int run_short_of_descriptors(void *arg)
{
    const jg_process_options options = {
        .input = JG_PROCESS_PIPE, .output = JG_PROCESS_PIPE, .errors = JG_PROCESS_PIPE};
    int taken[64], free_ones, r = -1;
    jg_process_result result;
    struct rlimit limit;

    (void)arg;
    test_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (free_ones = 0; r != 0; free_ones++) {
        int count = 0, before;

        while ((taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
            count++;
        for (int i = 0; i < free_ones; i++)
            close(taken[--count]);
        before = test_open_descriptors();
        r = jg_process_run(SHELL("cat"), &options, "x", 1, &result);
        test_check(r == 0 || r == -EMFILE);
        test_check(r != 0 || result.output.size == 1);
        jg_process_result_fini(&result);
        test_check(before < 0 || test_open_descriptors() == before);
        while (count > 0)
            close(taken[--count]);
    }
    test_check(free_ones > 5);
    return 0;
}

static void be_short_of_descriptors(void *arg)
{
    (void)arg;
    test_check(jg_run(run_short_of_descriptors, NULL, NULL) == 0);
    test_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void too_few_descriptors_are_an_error_that_leaves_nothing(void **state)
{
    (void)state;
    test_in_child(be_short_of_descriptors, NULL);
}

/* ------------------------------------------------------------- without coroutines */

static void a_callback_learns_of_the_end(void **state)
{
    jg_loop *loop = test_loop(0);
    jg_process_running running;
    jg_process_result result;
    int done = 0;
    jg_op op;

    (void)state;
    jg_op_init(&op, loop, test_count_call, &done);
    assert_int_equal(jg_process_run_start(&running, SHELL("echo hi"),
                                          &(jg_process_options){.output = JG_PROCESS_PIPE}, NULL, 0,
                                          &result, &op),
                     0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(done, 1);
    assert_int_equal(jg_op_status(&op), 0);
    assert_string_equal(result.output.data, "hi\n");
    jg_process_result_fini(&result);

    assert_int_equal(jg_process_run_start(&running, (const char *const[]){"/nonexistent", NULL},
                                          NULL, NULL, 0, &result, &op),
                     0);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(jg_op_status(&op), -ENOENT);
    test_loop_done(loop);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_started_says_why_at_once),
        cmocka_unit_test(a_process_exits_or_dies_of_a_signal),
        cmocka_unit_test(one_that_ended_before_it_is_waited_for_is_not_lost),
        cmocka_unit_test(environment_directory_and_program_are_what_was_asked_for),
        cmocka_unit_test(output_goes_where_it_is_sent),
        cmocka_unit_test(descriptors_may_change_places),
        cmocka_unit_test(a_child_has_no_descriptor_but_its_own),
        cmocka_unit_test(descriptors_are_closed_where_that_takes_one_call_each),
        cmocka_unit_test(signals_of_a_child_are_as_in_a_fresh_program),
        cmocka_unit_test(of_500_short_processes_none_is_lost),
        cmocka_unit_test(the_output_of_100_at_once_is_whole),
        cmocka_unit_test(many_may_wait_and_giving_up_leaves_the_process),
        cmocka_unit_test(a_signal_reaches_the_process_or_nobody),
        cmocka_unit_test(signals_go_to_the_group_that_a_process_leads),
        cmocka_unit_test(closing_a_running_process_kills_and_reaps_it),
        cmocka_unit_test(one_that_was_closed_does_not_keep_the_loop),
        cmocka_unit_test(a_process_that_was_not_closed_is_reported_and_ended),
        cmocka_unit_test(a_forked_child_leaves_the_processes_of_its_parent_alone),
        cmocka_unit_test(a_status_is_had_where_children_are_ignored),
        cmocka_unit_test(output_can_be_read_after_the_end),
        cmocka_unit_test(communicate_writes_and_reads_more_than_pipes_hold),
        cmocka_unit_test(input_that_is_not_wanted_is_no_error),
        cmocka_unit_test(output_beyond_the_limit_is_an_error),
        cmocka_unit_test(output_that_is_being_read_is_busy),
        cmocka_unit_test(a_run_that_is_cut_ends_its_process_one_way_or_the_other),
        cmocka_unit_test(nothing_is_left_wherever_it_is_cancelled),
        cmocka_unit_test(nothing_is_left_whichever_allocation_fails),
        cmocka_unit_test(too_few_descriptors_are_an_error_that_leaves_nothing),
        cmocka_unit_test(a_callback_learns_of_the_end),
    };

    if (argc > 1)
        return live(argv[1]);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        snprintf(self, sizeof(self), "%s", argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
