/* SPDX-License-Identifier: MIT
 *
 * Out of memory and out of descriptors: each failure is reported, leaves nothing behind, and the
 * next attempt works. And in the steady state nothing is allocated at all.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void loop_options(jg_loop_options *options, jg_allocator *allocator,
                         struct test_memory *memory, const char *backend)
{
    memset(memory, 0, sizeof(*memory));
    *allocator = test_allocator(memory);
    *options = (jg_loop_options){.allocator = allocator, .backend = backend};
}

static const char *const backends[] = {NULL, "poll", "script"};
enum { BACKENDS = 3 };

static void every_failed_allocation_of_a_new_loop_is_reported_and_leaves_nothing(void **state)
{
    struct test_memory memory;
    jg_allocator allocator;
    jg_loop_options options;
    int i, failures, r;

    (void)state;
    for (i = 0; i < BACKENDS; i++) {
        int descriptors = test_open_descriptors();
        jg_loop *loop = (jg_loop *)&options;

        loop_options(&options, &allocator, &memory, backends[i]);
        for (failures = 0;; failures++) {
            memory.calls = 0;
            memory.fail_at = failures + 1;
            r = jg_loop_new(&options, &loop);
            if (r == 0) {
                break;
            }
            assert_int_equal(r, -ENOMEM);
            assert_ptr_equal(loop, &options); /* untouched */
            assert_int_equal(memory.blocks, 0);
            assert_int_equal(memory.live, 0);
            assert_int_equal(test_open_descriptors(), descriptors);
            assert_true(failures < 100);
        }
        assert_true(failures > 0);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(jg_loop_free(loop), 0);
        assert_int_equal(memory.blocks, 0);
        assert_int_equal(test_open_descriptors(), descriptors);
    }
}

/* Start a watcher with every allocation failing in turn, then for good. Returns the failures. */
static int start_at_last(jg_loop *loop, struct test_memory *memory, jg_watcher *watcher, int fd)
{
    size_t live = memory->live;
    int failures, r;

    for (failures = 0;; failures++) {
        memory->fail_at = memory->calls + failures + 1;
        r = jg_watcher_start(loop, watcher, fd, JG_READ | JG_WRITE);
        if (r == 0) {
            break;
        }
        assert_int_equal(r, -ENOMEM);
        assert_false(jg_handle_started(&watcher->handle));
        assert_true(failures < 100);
        assert_true(memory->live >= live); /* what grew before the failure may stay grown */
    }
    memory->fail_at = 0;
    return failures;
}

static void
every_failed_allocation_of_a_watcher_is_reported_and_the_next_attempt_works(void **state)
{
    struct test_memory memory;
    jg_allocator allocator;
    jg_loop_options options;
    int i, k;

    (void)state;
    for (i = 0; i < BACKENDS; i++) {
        int fds[2], failures = 0, count[20] = {0};
        int copies[20];
        jg_watcher watchers[20];
        jg_loop *loop;

        test_socketpair(fds);
        loop_options(&options, &allocator, &memory, backends[i]);
        assert_int_equal(jg_loop_new(&options, &loop), 0);
        for (k = 0; k < 20; k++) {
            /* Numbers far apart, so that tables grow. */
            copies[k] = fcntl(fds[0], F_DUPFD_CLOEXEC, 40 * (k + 1));
            assert_true(copies[k] >= 0);
            jg_watcher_init(&watchers[k], test_count_event, &count[k]);
            failures += start_at_last(loop, &memory, &watchers[k], copies[k]);
        }
        assert_true(failures >= 2);
        if (strcmp(jg_loop_backend(loop), "script") == 0) {
            for (k = 0; k < 20; k++) {
                assert_int_equal(jg_test_script(loop, 0, copies[k], JG_WRITE), 0);
            }
        }
        assert_int_equal(jg_loop_run_once(loop, 0), 1);
        for (k = 0; k < 20; k++) {
            assert_int_equal(count[k], 1);
            assert_int_equal(jg_watcher_close(&watchers[k]), 0);
        }
        assert_int_equal(jg_loop_free(loop), 0);
        assert_int_equal(memory.blocks, 0);
        close(fds[0]);
        close(fds[1]);
    }
}

static void every_failed_allocation_of_a_child_is_reported_and_leaves_no_descriptor(void **state)
{
    unsigned flags;

    (void)state;
    for (flags = 0; flags <= JG_LOOP_REAP_ON_SIGCHLD; flags += JG_LOOP_REAP_ON_SIGCHLD) {
        jg_loop *loop = test_loop(flags);
        struct test_memory *memory = test_loop_memory(loop);
        int descriptors = test_open_descriptors(), count = 0, failures, r;
        pid_t pid = test_idle_child();
        jg_child child;

        jg_child_init(&child, test_count_event, &count);
        for (failures = 0;; failures++) {
            memory->fail_at = memory->calls + failures + 1;
            r = jg_child_start(loop, &child, pid);
            if (r == 0) {
                break;
            }
            assert_int_equal(r, -ENOMEM);
            assert_false(jg_handle_started(&child.handle));
            assert_false(jg_loop_alive(loop));
            assert_int_equal(test_open_descriptors(), descriptors);
            assert_true(failures < 100);
        }
        memory->fail_at = 0;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(jg_loop_run(loop), 0);
        assert_int_equal(count, 1);
        assert_int_equal(test_open_descriptors(), descriptors);
        test_loop_done(loop);
    }
}

/* Have the next `more` descriptors be the last. The limit is one of numbers, of which a process
   gets the lowest that is free. */
static void limit_descriptors(int more)
{
    struct rlimit limit;
    int fd;

    test_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    test_check(fd >= 0);
    close(fd);
    limit.rlim_cur = (rlim_t)(fd + more);
    test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void make_loops_with_few_descriptors(void *arg)
{
    struct test_memory memory;
    jg_allocator allocator;
    jg_loop_options options;
    int i;

    (void)arg;
    for (i = 0; i < BACKENDS; i++) {
        int more = 0, r, descriptors = test_open_descriptors();
        jg_loop *loop = NULL;

        loop_options(&options, &allocator, &memory, backends[i]);
        for (;; more++) {
            limit_descriptors(more);
            r = jg_loop_new(&options, &loop);
            limit_descriptors(64);
            if (r == 0) {
                break;
            }
            test_check(r == -EMFILE);
            test_check(loop == NULL);
            test_check(memory.blocks == 0);
            test_check(test_open_descriptors() == descriptors);
            test_check(more < 10);
        }
        test_check(more > 0);
        test_check(jg_loop_free(loop) == 0);
        test_check(memory.blocks == 0);
        test_check(test_open_descriptors() == descriptors);
    }
}

static void
every_descriptor_that_a_new_loop_cannot_have_is_reported_and_leaves_nothing(void **state)
{
    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(make_loops_with_few_descriptors, NULL);
}

static void start_children_with_few_descriptors(void *arg)
{
    int count = 0, more, r;
    jg_loop *loop = test_loop(0);
    pid_t pid = test_idle_child();
    jg_child child;

    (void)arg;
    jg_child_init(&child, test_count_event, &count);
    for (more = 0;; more++) {
        limit_descriptors(more);
        r = jg_child_start(loop, &child, pid);
        limit_descriptors(64);
        if (r == 0) {
            break;
        }
        test_check(r == -EMFILE);
        test_check(!jg_handle_started(&child.handle));
        test_check(more < 10);
    }
    test_check(kill(pid, SIGKILL) == 0);
    test_check(jg_loop_run(loop) == 0);
    test_check(count == 1);
    test_loop_done(loop);
}

static void
a_child_for_which_there_is_no_descriptor_is_reported_and_may_be_started_later(void **state)
{
    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(start_children_with_few_descriptors, NULL);
}

static void ask_for_the_descriptor_with_few(void *arg)
{
    jg_loop *loop = test_loop(0);
    int more, fd = -1;

    (void)arg;
    for (more = 0; more < 10; more++) {
        limit_descriptors(more);
        fd = jg_loop_fd(loop);
        limit_descriptors(64);
        if (fd != -EMFILE) {
            break;
        }
    }
    test_check(fd >= 0 || fd == -ENOTSUP);
    test_check(jg_loop_fd(loop) == fd);
    test_check(jg_loop_run(loop) == 0);
    test_loop_done(loop);
}

static void a_loop_that_cannot_have_its_descriptor_says_so_and_may_be_asked_again(void **state)
{
    (void)state;
    if (test_is_emulated()) {
        skip();
    }
    test_in_child(ask_for_the_descriptor_with_few, NULL);
}

static void a_loop_that_has_no_memory_for_its_descriptor_says_so(void **state)
{
    jg_loop *loop = test_loop(0);
    struct test_memory *memory = test_loop_memory(loop);
    int descriptors, failures, fd = -1;

    (void)state;
    for (failures = 0; failures < 100; failures++) {
        descriptors = test_open_descriptors();
        memory->fail_at = memory->calls + failures + 1;
        fd = jg_loop_fd(loop);
        if (fd != -ENOMEM) {
            break;
        }
        assert_int_equal(test_open_descriptors(), descriptors);
    }
    memory->fail_at = 0;
    assert_true(fd >= 0 || fd == -ENOTSUP);
    test_loop_done(loop);
}

struct grown {
    jg_loop *loop;
    jg_watcher watcher;
    int fds[2], reads;
};

static void fork_without_memory(struct grown *grown)
{
    struct test_memory *memory = test_loop_memory(grown->loop);
    int failures, r;

    for (failures = 0;; failures++) {
        memory->fail_at = memory->calls + failures + 1;
        r = jg_loop_fork(grown->loop);
        if (r == 0) {
            break;
        }
        test_check(r == -ENOMEM);
        test_check(jg_loop_run_once(grown->loop, 0) == JG_EFORKED); /* as before */
        test_check(failures < 100);
    }
    memory->fail_at = 0;
}

static void go_on_in_child(void *arg)
{
    struct grown *grown = arg;

    fork_without_memory(grown);
    test_check(write(grown->fds[1], "x", 1) == 1);
    test_check(jg_loop_run_once(grown->loop, 10 * JG_SECOND) == 1);
    test_check(grown->reads == 1);
    jg_watcher_stop(&grown->watcher);
    test_loop_done(grown->loop);
}

static void every_failed_allocation_of_jg_loop_fork_leaves_the_loop_as_it_was(void **state)
{
    struct grown grown = {.loop = test_loop(0)};

    (void)state;
    test_socketpair(grown.fds);
    jg_watcher_init(&grown.watcher, test_count_event, &grown.reads);
    assert_int_equal(jg_watcher_start(grown.loop, &grown.watcher, grown.fds[0], JG_READ), 0);
    test_in_child(go_on_in_child, &grown);
    jg_watcher_stop(&grown.watcher);
    close(grown.fds[0]);
    close(grown.fds[1]);
    test_loop_done(grown.loop);
}

/* Everything that a busy program does in each turn. */
struct steady {
    jg_loop *loop;
    jg_call call;
    jg_timer timers[50], repeating;
    jg_watcher watchers[2];
    jg_wake wake;
    jg_signal signal;
    int fds[2], count;
};

static void steady_turn(struct steady *steady, int round)
{
    int i;

    jg_call_soon(steady->loop, &steady->call);
    for (i = 0; i < 50; i++) {
        jg_call_later(steady->loop, &steady->timers[i], (i * 7919 * (round + 1)) % 100000);
    }
    for (i = 0; i < 50; i += 3) {
        jg_timer_stop(&steady->timers[i]);
        jg_call_later(steady->loop, &steady->timers[i], -i);
    }
    for (i = 0; i < 2; i++) {
        if (round % 5 == i) {
            jg_watcher_stop(&steady->watchers[i]);
            assert_int_equal(jg_watcher_start(steady->loop, &steady->watchers[i], steady->fds[i],
                                              JG_READ | JG_WRITE),
                             0);
        } else {
            assert_int_equal(
                jg_watcher_modify(&steady->watchers[i], round % 3 ? JG_READ : JG_READ | JG_WRITE),
                0);
        }
    }
    jg_wake_send(&steady->wake);
    if (round % 10 == 0) {
        assert_int_equal(raise(SIGUSR1), 0);
    }
    assert_int_equal(jg_test_advance(steady->loop, 50000), 0);
    assert_int_equal(jg_loop_run_once(steady->loop, 0), 1);
}

static void nothing_is_allocated_in_the_steady_state(void **state)
{
    static struct steady steady;
    struct test_memory *memory;
    int rounds = test_is_slow() ? 200 : 2000, i;
    size_t blocks;
    long calls;

    (void)state;
    steady.loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    memory = test_loop_memory(steady.loop);
    test_socketpair(steady.fds);
    jg_call_init(&steady.call, test_count_call, &steady.count);
    jg_timer_init(&steady.repeating, test_count_call, &steady.count);
    jg_wake_init(&steady.wake, test_count_call, &steady.count);
    jg_signal_init(&steady.signal, test_count_event, &steady.count);
    for (i = 0; i < 50; i++) {
        jg_timer_init(&steady.timers[i], test_count_call, &steady.count);
    }
    for (i = 0; i < 2; i++) {
        jg_watcher_init(&steady.watchers[i], test_count_event, &steady.count);
        assert_int_equal(
            jg_watcher_start(steady.loop, &steady.watchers[i], steady.fds[i], JG_READ | JG_WRITE),
            0);
    }
    /* From here on nothing is new. */
    calls = memory->calls;
    blocks = memory->blocks;
    jg_wake_start(steady.loop, &steady.wake);
    assert_int_equal(jg_signal_start(steady.loop, &steady.signal, SIGUSR1), 0);
    assert_int_equal(jg_call_every(steady.loop, &steady.repeating, 12345), 0);
    for (i = 0; i < rounds; i++) {
        steady_turn(&steady, i);
    }
    assert_true(steady.count > rounds);
    for (i = 0; i < 50; i++) {
        jg_timer_stop(&steady.timers[i]);
    }
    jg_timer_stop(&steady.repeating);
    jg_wake_stop(&steady.wake);
    jg_signal_stop(&steady.signal);
    jg_watcher_stop(&steady.watchers[0]);
    assert_int_equal(jg_watcher_close(&steady.watchers[1]), 0);
    assert_int_equal(memory->calls, calls);
    assert_int_equal(memory->blocks, blocks);
    close(steady.fds[0]);
    test_loop_done(steady.loop);
}

static void the_objects_are_as_small_as_promised(void **state)
{
    (void)state;
    assert_true(sizeof(jg_watcher) <= 48);
    assert_true(sizeof(jg_timer) <= 64);
    assert_true(sizeof(jg_call) <= 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_of_a_new_loop_is_reported_and_leaves_nothing),
        cmocka_unit_test(
            every_failed_allocation_of_a_watcher_is_reported_and_the_next_attempt_works),
        cmocka_unit_test(every_failed_allocation_of_a_child_is_reported_and_leaves_no_descriptor),
        cmocka_unit_test(
            every_descriptor_that_a_new_loop_cannot_have_is_reported_and_leaves_nothing),
        cmocka_unit_test(
            a_child_for_which_there_is_no_descriptor_is_reported_and_may_be_started_later),
        cmocka_unit_test(a_loop_that_cannot_have_its_descriptor_says_so_and_may_be_asked_again),
        cmocka_unit_test(a_loop_that_has_no_memory_for_its_descriptor_says_so),
        cmocka_unit_test(every_failed_allocation_of_jg_loop_fork_leaves_the_loop_as_it_was),
        cmocka_unit_test(nothing_is_allocated_in_the_steady_state),
        cmocka_unit_test(the_objects_are_as_small_as_promised),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
