/* SPDX-License-Identifier: MIT
 *
 * Ended child processes as events: by process descriptors and by SIGCHLD, whichever the platform
 * has; each test runs both ways.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#    ifndef SYS_pidfd_open
#        define SYS_pidfd_open 434
#    endif
#endif

static const unsigned ways[] = {0, JG_LOOP_REAP_ON_SIGCHLD};

struct ended {
    int count, status;
};

static void note_end(void *arg, int status)
{
    struct ended *ended = arg;

    ended->count++;
    ended->status = status;
}

/* A child that exits with `code` once it is let go, by a byte: children that were forked later keep
   the pipe open. */
struct process {
    pid_t pid;
    int go;
};

static struct process process_new(int code)
{
    struct process process;
    int ends[2];
    char byte;

    test_check(pipe(ends) == 0);
    test_check(fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
    process.pid = fork();
    test_check(process.pid >= 0);
    if (process.pid == 0) {
        alarm(60);
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
        _exit(code);
    }
    close(ends[0]);
    process.go = ends[1];
    return process;
}

static void process_let_go(struct process *process)
{
    test_check(write(process->go, "x", 1) == 1);
    close(process->go);
}

/* Wait until it has ended, without reaping it. */
static void await_end(pid_t pid)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0) {
        test_check(errno == EINTR);
    }
}

static void run_until(jg_loop *loop, const int *count, int wanted)
{
    jg_time give_up = test_clock() + 30 * JG_SECOND;

    while (*count < wanted) {
        test_check(test_clock() < give_up);
        test_check(jg_loop_run_once(loop, JG_SECOND) >= 0);
    }
}

static void the_exit_status_of_a_child_arrives_once(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(7);
        struct ended ended = {0, -1};
        jg_child child;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        assert_true(jg_handle_started(&child.handle));
        assert_int_equal(jg_loop_run_once(loop, 0), 1);
        assert_int_equal(ended.count, 0);
        process_let_go(&process);
        assert_int_equal(jg_loop_run(loop), 0); /* it keeps the loop alive until it has ended */
        assert_int_equal(ended.count, 1);
        assert_true(WIFEXITED(ended.status));
        assert_int_equal(WEXITSTATUS(ended.status), 7);
        assert_false(jg_handle_started(&child.handle));
        assert_int_equal(waitpid(process.pid, NULL, WNOHANG), -1); /* reaped */
        test_loop_done(loop);
    }
}

static void a_turn_that_waits_for_a_child_ends_with_its_callback(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(0);
        struct ended ended = {0, -1};
        jg_child child;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        process_let_go(&process);
        assert_int_equal(jg_loop_run_once(loop, JG_FOREVER), 0);
        assert_int_equal(ended.count, 1);
        jg_child_stop(&child);
        test_loop_done(loop);
    }
}

static void a_child_killed_by_a_signal_tells_so(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(0);
        struct ended ended = {0, -1};
        jg_child child;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        assert_int_equal(kill(process.pid, SIGKILL), 0);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(ended.count, 1);
        assert_true(WIFSIGNALED(ended.status));
        assert_int_equal(WTERMSIG(ended.status), SIGKILL);
        close(process.go);
        test_loop_done(loop);
    }
}

static void a_child_that_ended_before_the_start_is_called_back_and_not_inside_it(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(3);
        struct ended ended = {0, -1};
        jg_child child;

        process_let_go(&process);
        await_end(process.pid);
        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        assert_int_equal(ended.count, 0);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(ended.count, 1);
        assert_int_equal(WEXITSTATUS(ended.status), 3);
        test_loop_done(loop);
    }
}

static void of_many_children_that_end_at_once_none_is_lost(void **state)
{
    enum { MANY = 200 };
    static struct process processes[MANY];
    static struct ended ended[MANY];
    static jg_child children[MANY];
    size_t way;
    int i, go[2];

    (void)state;
    for (way = 0; way < 2; way++) {
        int many = test_is_emulated() ? 20 : MANY;
        jg_loop *loop = test_loop(ways[way]);
        int descriptors = test_open_descriptors();

        assert_int_equal(pipe(go), 0);
        for (i = 0; i < many; i++) {
            char byte;

            ended[i] = (struct ended){0, -1};
            processes[i].pid = fork();
            assert_true(processes[i].pid >= 0);
            if (processes[i].pid == 0) {
                alarm(60);
                close(go[1]);
                while (read(go[0], &byte, 1) < 0 && errno == EINTR) {
                }
                _exit(i % 100);
            }
            jg_child_init(&children[i], note_end, &ended[i]);
            assert_int_equal(jg_child_start(loop, &children[i], processes[i].pid), 0);
        }
        close(go[0]);
        close(go[1]); /* all of them end now */
        assert_int_equal(jg_loop_run(loop), 0);
        for (i = 0; i < many; i++) {
            assert_int_equal(ended[i].count, 1);
            assert_true(WIFEXITED(ended[i].status));
            assert_int_equal(WEXITSTATUS(ended[i].status), i % 100);
        }
        assert_int_equal(test_open_descriptors(), descriptors);
        test_loop_done(loop);
    }
}

static void other_children_are_not_touched(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process watched = process_new(1), other = process_new(2);
        struct ended ended = {0, -1};
        jg_child child;
        int status;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, watched.pid), 0);
        process_let_go(&other);
        await_end(other.pid);
        (void)jg_loop_run_once(loop, 0); /* it may or may not notice something */
        (void)jg_loop_run_once(loop, 0);
        assert_int_equal(ended.count, 0);
        process_let_go(&watched);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(ended.count, 1);
        assert_int_equal(waitpid(other.pid, &status, 0), other.pid);
        assert_int_equal(WEXITSTATUS(status), 2);
        test_loop_done(loop);
    }
}

static void a_child_reaped_by_somebody_else_reports_ECHILD(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(1);
        struct ended ended = {0, 0};
        jg_child child;
        int status;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        process_let_go(&process);
        while (waitpid(process.pid, &status, 0) < 0) {
            assert_int_equal(errno, EINTR);
        }
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(ended.count, 1);
        assert_int_equal(ended.status, -ECHILD);
        test_loop_done(loop);
    }
}

static void what_is_no_child_of_ours_is_refused(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(0);
        struct ended ended = {0, 0};
        int descriptors = test_open_descriptors(), status;
        jg_child child;

        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_child_start(loop, &child, 0), -EINVAL);
        assert_int_equal(jg_child_start(loop, &child, -1), -EINVAL);
        assert_int_equal(jg_child_start(loop, &child, getpid()), -ECHILD);
        assert_int_equal(jg_child_start(loop, &child, getppid()), -ECHILD);
        assert_false(jg_handle_started(&child.handle));
        assert_false(jg_loop_alive(loop));
        assert_int_equal(test_open_descriptors(), descriptors);

        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        assert_int_equal(jg_child_start(loop, &child, process.pid), -EALREADY);
        jg_child_stop(&child);
        process_let_go(&process);
        while (waitpid(process.pid, &status, 0) < 0) {
            assert_int_equal(errno, EINTR);
        }
        assert_int_equal(jg_child_start(loop, &child, process.pid), -ECHILD); /* reaped */
        test_loop_done(loop);
    }
}

static void a_stopped_child_is_ours_to_reap_even_if_it_has_ended(void **state)
{
    size_t way;
    int noticed;

    (void)state;
    for (way = 0; way < 2; way++) {
        for (noticed = 0; noticed < 2; noticed++) {
            jg_loop *loop = test_loop(ways[way]);
            struct process process = process_new(9);
            int descriptors = test_open_descriptors(), status;
            struct ended ended = {0, -1};
            jg_child child;

            jg_child_init(&child, note_end, &ended);
            assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
            process_let_go(&process);
            await_end(process.pid);
            if (noticed) {
                (void)jg_loop_prepare(loop);
            }
            jg_child_stop(&child);
            jg_child_stop(&child); /* twice */
            assert_false(jg_handle_started(&child.handle));
            assert_false(jg_loop_alive(loop));
            assert_int_equal(jg_loop_run(loop), 0);
            assert_int_equal(ended.count, 0);
            assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
            assert_int_equal(WEXITSTATUS(status), 9);
            assert_int_equal(test_open_descriptors(), descriptors - 1);
            test_loop_done(loop);
        }
    }
}

struct again {
    jg_loop *loop;
    jg_child child;
    int left, sum;
};

static void start_again(void *arg, int status)
{
    struct again *again = arg;

    assert_false(jg_handle_started(&again->child.handle));
    again->sum += WEXITSTATUS(status);
    if (again->left-- > 0) {
        struct process process = process_new(10);

        assert_int_equal(jg_child_start(again->loop, &again->child, process.pid), 0);
        process_let_go(&process);
    }
}

static void a_child_may_be_started_again_for_another_process_inside_its_callback(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        struct again again = {.loop = test_loop(ways[way]), .left = 2};
        struct process process = process_new(1);

        jg_child_init(&again.child, start_again, &again);
        assert_int_equal(jg_child_start(again.loop, &again.child, process.pid), 0);
        process_let_go(&process);
        assert_int_equal(jg_loop_run(again.loop), 0);
        assert_int_equal(again.sum, 21);
        test_loop_done(again.loop);
    }
}

struct group {
    int calls;
    struct member {
        struct group *group;
        jg_child child;
    } * members[3];
};

/* The first to be called frees all, itself included. */
static void free_all(void *arg, int status)
{
    struct member *self = arg;
    struct group *group = self->group;
    int i;

    (void)status;
    group->calls++;
    for (i = 0; i < 3; i++) {
        jg_child_stop(&group->members[i]->child);
        memset(group->members[i], 0xdd, sizeof(*group->members[i]));
        free(group->members[i]);
    }
}

static void a_child_may_free_itself_and_others_that_have_ended(void **state)
{
    size_t way;
    int i;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process processes[3];
        struct group group = {0, {NULL}};
        int reaped = 0;

        for (i = 0; i < 3; i++) {
            group.members[i] = calloc(1, sizeof(*group.members[i]));
            assert_non_null(group.members[i]);
            group.members[i]->group = &group;
            processes[i] = process_new(0);
            jg_child_init(&group.members[i]->child, free_all, group.members[i]);
            assert_int_equal(jg_child_start(loop, &group.members[i]->child, processes[i].pid), 0);
        }
        for (i = 0; i < 3; i++) {
            process_let_go(&processes[i]);
            await_end(processes[i].pid);
        }
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(group.calls, 1);
        for (i = 0; i < 3; i++) {
            reaped += waitpid(processes[i].pid, NULL, 0) == processes[i].pid;
        }
        assert_int_equal(reaped, 2); /* the loop reaped the one it told of */
        test_loop_done(loop);
    }
}

static void SIGCHLD_is_given_back_and_shared_with_a_signal_watcher(void **state)
{
    struct sigaction before, after;
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loop = test_loop(ways[way]);
        struct process process = process_new(0);
        struct ended ended = {0, -1};
        int signals = 0;
        jg_signal signal;
        jg_child child;

        assert_int_equal(sigaction(SIGCHLD, NULL, &before), 0);
        jg_signal_init(&signal, test_count_event, &signals);
        jg_child_init(&child, note_end, &ended);
        assert_int_equal(jg_signal_start(loop, &signal, SIGCHLD), 0);
        assert_int_equal(jg_child_start(loop, &child, process.pid), 0);
        process_let_go(&process);
        run_until(loop, &ended.count, 1);
        run_until(loop, &signals, 1);
        assert_int_equal(ended.count, 1);
        jg_signal_stop(&signal);
        test_loop_done(loop);
        assert_int_equal(sigaction(SIGCHLD, NULL, &after), 0);
        assert_true(before.sa_handler == after.sa_handler);
        assert_int_equal(before.sa_flags, after.sa_flags);
    }
}

static void children_on_two_loops_of_a_process_end_on_their_own(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        jg_loop *loops[2] = {test_loop(ways[way]), test_loop(ways[way])};
        struct ended ended[2] = {{0, -1}, {0, -1}};
        struct process processes[2];
        jg_child children[2];
        int i;

        for (i = 0; i < 2; i++) {
            processes[i] = process_new(i + 1);
            jg_child_init(&children[i], note_end, &ended[i]);
            assert_int_equal(jg_child_start(loops[i], &children[i], processes[i].pid), 0);
        }
        for (i = 0; i < 2; i++) {
            process_let_go(&processes[i]);
            await_end(processes[i].pid);
        }
        for (i = 0; i < 2; i++) {
            assert_int_equal(jg_loop_run(loops[i]), 0);
            assert_int_equal(WEXITSTATUS(ended[i].status), i + 1);
            test_loop_done(loops[i]);
        }
    }
}

static void watch_with_SIGCHLD_ignored(void *arg)
{
    jg_loop_options options = {.flags = *(const unsigned *)arg};
    struct ended ended = {0, -1};
    struct process process;
    jg_loop *loop;
    jg_child child;
    int r;

    test_check(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    test_check(jg_loop_new(&options, &loop) == 0);
    process = process_new(5);
    jg_child_init(&child, note_end, &ended);
    test_check(jg_child_start(loop, &child, process.pid) == 0);
    process_let_go(&process);
    r = jg_loop_run(loop);
    test_check(r == 0);
    /* The kernel reaps for those who ignore the signal: then the status is lost, but not the end.
     */
    test_check(ended.count == 1);
    test_check(ended.status == -ECHILD ||
               (WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 5));
    test_check(jg_loop_free(loop) == 0);
    test_check(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}

static void where_SIGCHLD_is_inherited_ignored_the_end_is_still_told(void **state)
{
    size_t way;

    (void)state;
    for (way = 0; way < 2; way++) {
        unsigned flags = ways[way];

        test_in_child(watch_with_SIGCHLD_ignored, &flags);
    }
}

#ifdef __linux__

static void watch_on_an_old_kernel(void *arg)
{
    struct ended ended = {0, -1};
    struct process process;
    jg_loop *loop;
    jg_child child;

    if (!test_deny(SYS_pidfd_open, (unsigned)*(int *)arg)) {
        fprintf(stderr, "seccomp is not to be had here\n");
        return;
    }
    test_check(jg_loop_new(NULL, &loop) == 0);
    process = process_new(5);
    jg_child_init(&child, note_end, &ended);
    test_check(jg_child_start(loop, &child, process.pid) == 0);
    process_let_go(&process);
    test_check(jg_loop_run(loop) == 0);
    test_check(ended.count == 1);
    test_check(WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 5);
    test_check(jg_loop_free(loop) == 0);
}

static void
a_kernel_without_process_descriptors_or_a_filter_against_them_is_coped_with(void **state)
{
    int errors[] = {ENOSYS, EPERM};

    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(watch_on_an_old_kernel, &errors[0]);
    test_in_child(watch_on_an_old_kernel, &errors[1]);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_status_of_a_child_arrives_once),
        cmocka_unit_test(a_turn_that_waits_for_a_child_ends_with_its_callback),
        cmocka_unit_test(a_child_killed_by_a_signal_tells_so),
        cmocka_unit_test(a_child_that_ended_before_the_start_is_called_back_and_not_inside_it),
        cmocka_unit_test(of_many_children_that_end_at_once_none_is_lost),
        cmocka_unit_test(other_children_are_not_touched),
        cmocka_unit_test(a_child_reaped_by_somebody_else_reports_ECHILD),
        cmocka_unit_test(what_is_no_child_of_ours_is_refused),
        cmocka_unit_test(a_stopped_child_is_ours_to_reap_even_if_it_has_ended),
        cmocka_unit_test(a_child_may_be_started_again_for_another_process_inside_its_callback),
        cmocka_unit_test(a_child_may_free_itself_and_others_that_have_ended),
        cmocka_unit_test(SIGCHLD_is_given_back_and_shared_with_a_signal_watcher),
        cmocka_unit_test(children_on_two_loops_of_a_process_end_on_their_own),
        cmocka_unit_test(where_SIGCHLD_is_inherited_ignored_the_end_is_still_told),
#ifdef __linux__
        cmocka_unit_test(
            a_kernel_without_process_descriptors_or_a_filter_against_them_is_coped_with),
#endif
    };

    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
