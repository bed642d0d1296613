/* SPDX-License-Identifier: MIT
 *
 * The contract of the backends, over every one that is compiled in, whatever $JUGGLE_BACKEND says.
 * What only the script backend promises is at the end.
 */
#include "support.h"

#include "platform/poller.h"
#include "platform/script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__) && defined(__has_include)
#    if __has_include(<linux/filter.h>) && __has_include(<linux/seccomp.h>)
#        include <linux/filter.h>
#        include <linux/seccomp.h>
#        include <sys/prctl.h>
#        define CAN_FORBID_SYSTEM_CALLS 1
#    endif
#endif

enum { MOST = 64 };

/* An open poller and what it holds. */
struct desk {
    const jg__poller_ops *ops;
    jg__poller *poller;
    jg__clock clock;
    struct test_memory memory;
    jg_allocator allocator;
    jg__event events[MOST];
};

static void desk_open(struct desk *desk, const jg__poller_ops *ops)
{
    memset(desk, 0, sizeof(*desk));
    desk->ops = ops;
    desk->clock.is_virtual = ops->moves_clock;
    desk->allocator = test_allocator(&desk->memory);
    assert_int_equal(ops->open(&desk->allocator, MOST, &desk->clock, &desk->poller), 0);
    assert_ptr_equal(desk->poller->ops, ops);
}

static void desk_close(struct desk *desk)
{
    desk->ops->close(desk->poller);
    assert_int_equal(desk->memory.live, 0);
    assert_int_equal(desk->memory.blocks, 0);
}

static int add(struct desk *desk, int fd, uint32_t generation, unsigned events)
{
    return desk->ops->add(desk->poller, fd, generation, events);
}

static int modify(struct desk *desk, int fd, uint32_t generation, unsigned events)
{
    return desk->ops->modify(desk->poller, fd, generation, events);
}

static int drop(struct desk *desk, int fd)
{
    return desk->ops->remove(desk->poller, fd);
}

static int wait_most(struct desk *desk, int max, jg_time timeout)
{
    int n = desk->ops->wait(desk->poller, desk->events, max, timeout);

    assert_true(n <= max);
    return n;
}

/* What is ready now. */
static int look(struct desk *desk)
{
    return wait_most(desk, MOST, 0);
}

/* The only event there is, with the given properties. */
static void assert_only(struct desk *desk, int fd, uint32_t generation, int events)
{
    assert_int_equal(look(desk), 1);
    assert_int_equal(desk->events[0].fd, fd);
    assert_int_equal(desk->events[0].generation, generation);
    assert_int_equal(desk->events[0].events, events);
}

static void test_pipe(int fds[2])
{
    int i;

    assert_int_equal(pipe(fds), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fcntl(fds[i], F_SETFD, FD_CLOEXEC), 0);
    }
}

static void close_both(int fds[2])
{
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void get(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

/* The body of a test, called with every backend or with those that serve real descriptors. */
typedef void (*body_fn)(const jg__poller_ops *ops);

static void each_backend(body_fn body, bool with_script)
{
    size_t i;

    for (i = 0; jg__poller_all[i]; i++) {
        int open_before = test_open_descriptors();

        if (with_script || !jg__poller_all[i]->moves_clock) {
            body(jg__poller_all[i]);
            assert_int_equal(test_open_descriptors(), open_before);
        }
    }
}

/* In one shape or the other. */
static bool is_kqueue(const jg__poller_ops *ops)
{
    return strncmp(ops->name, "kqueue", strlen("kqueue")) == 0;
}

/* A test named as its body is run over the backends. */
#define OVER_ALL(name)                   \
    static void name(void **state)       \
    {                                    \
        (void)state;                     \
        each_backend(body_##name, true); \
    }
#define OVER_REAL(name)                   \
    static void name(void **state)        \
    {                                     \
        (void)state;                      \
        each_backend(body_##name, false); \
    }

/* Finding one */

static void backends_are_found_by_name(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; jg__poller_all[i]; i++) {
        assert_ptr_equal(jg__poller_find(jg__poller_all[i]->name), jg__poller_all[i]);
    }
    assert_true(i >= 2);
    assert_ptr_equal(jg__poller_find("poll"), &jg__poll_ops);
    assert_ptr_equal(jg__poller_find("script"), &jg__script_ops);
    assert_null(jg__poller_find("nonsense"));
    assert_null(jg__poller_find("polls"));
    assert_null(jg__poller_find("pol"));
}

static void without_a_name_the_environment_decides(void **state)
{
    const char *value = getenv("JUGGLE_BACKEND");
    char *saved = value ? strdup(value) : NULL;

    (void)state;
    setenv("JUGGLE_BACKEND", "poll", 1);
    assert_ptr_equal(jg__poller_find(NULL), &jg__poll_ops);
    assert_ptr_equal(jg__poller_find("script"), &jg__script_ops);
    setenv("JUGGLE_BACKEND", "nonsense", 1);
    assert_null(jg__poller_find(NULL));
    setenv("JUGGLE_BACKEND", "", 1);
    assert_ptr_equal(jg__poller_find(NULL), jg__poller_all[0]);
    unsetenv("JUGGLE_BACKEND");
    assert_ptr_equal(jg__poller_find(NULL), jg__poller_all[0]);
    if (saved) {
        setenv("JUGGLE_BACKEND", saved, 1);
        free(saved);
    }
}

static void the_best_backend_serves_real_descriptors(void **state)
{
    (void)state;
    assert_false(jg__poller_all[0]->moves_clock);
#ifdef __linux__
    assert_ptr_equal(jg__poller_all[0], &jg__epoll_ops);
#endif
}

/* Opening and closing */

static void body_opening_without_memory_leaves_nothing(const jg__poller_ops *ops)
{
    long n;
    int r = -ENOMEM;

    for (n = 1; r < 0; n++) {
        struct test_memory memory = {.fail_at = n};
        jg_allocator allocator = test_allocator(&memory);
        jg__clock clock = {.is_virtual = ops->moves_clock};
        jg__poller *poller = NULL;
        int open_before = test_open_descriptors();

        r = ops->open(&allocator, 8, &clock, &poller);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_null(poller);
            assert_int_equal(test_open_descriptors(), open_before);
        } else {
            ops->close(poller);
        }
        assert_int_equal(memory.blocks, 0);
    }
    assert_true(n > 2);
}
OVER_ALL(opening_without_memory_leaves_nothing)

/* Let the process open only `count` descriptors more. Returns the limits to restore. */
static struct rlimit limit_descriptors(int count)
{
    struct rlimit before, limit;
    int next = dup(0), used, fd;

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* Numbers are given out from the lowest: find the one after `count` free ones. */
    for (fd = 0, used = 0; used < count; fd++) {
        used += fcntl(fd, F_GETFD) < 0;
    }
    limit = before;
    limit.rlim_cur = (rlim_t)(count > 0 ? fd : next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void body_opening_without_descriptors_leaves_nothing(const jg__poller_ops *ops)
{
    int count, r = -EMFILE;

    for (count = 0; r < 0; count++) {
        struct test_memory memory = {.calls = 0};
        jg_allocator allocator = test_allocator(&memory);
        jg__clock clock = {.is_virtual = ops->moves_clock};
        jg__poller *poller = NULL;
        struct rlimit before = limit_descriptors(count);

        r = ops->open(&allocator, 8, &clock, &poller);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (r < 0) {
            assert_int_equal(r, -EMFILE);
            assert_null(poller);
        } else {
            ops->close(poller);
        }
        assert_int_equal(memory.blocks, 0);
        assert_true(count < 16);
    }
    assert_true(count > 1);
}
OVER_ALL(opening_without_descriptors_leaves_nothing)

static void body_own_descriptors_are_closed_on_exec_and_above_2(const jg__poller_ops *ops)
{
    enum { NUMBERS = 256 };
    bool open_before[NUMBERS];
    struct desk desk;
    int fd, own = 0;

    for (fd = 0; fd < NUMBERS; fd++) {
        open_before[fd] = fcntl(fd, F_GETFD) >= 0;
    }
    desk_open(&desk, ops);
    for (fd = 0; fd < NUMBERS; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && !open_before[fd]) {
            assert_true(flags & FD_CLOEXEC);
            assert_true(fd > 2);
            own++;
        }
    }
    assert_in_range(own, 1, 5);
    desk_close(&desk);
}
OVER_ALL(own_descriptors_are_closed_on_exec_and_above_2)

static void open_without_standard_descriptors(void *arg)
{
    const jg__poller_ops *ops = *(const jg__poller_ops **)arg;
    struct desk desk;
    int fd;

    for (fd = 0; fd <= 2; fd++) {
        (void)close(fd); /* whatever was open */
    }
    desk_open(&desk, ops);
    test_check(ops->reopen(desk.poller, false) == 0);
    for (fd = 0; fd <= 2; fd++) {
        test_check(fcntl(fd, F_GETFD) < 0);
    }
    desk_close(&desk);
}

static void body_own_descriptors_stay_above_2_if_those_are_free(const jg__poller_ops *ops)
{
    test_in_child(open_without_standard_descriptors, &ops);
}
OVER_ALL(own_descriptors_stay_above_2_if_those_are_free)

/* Registrations */

static void body_events_carry_the_generation_of_their_registration(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_pipe(fds);
    assert_int_equal(look(&desk), 0);
    assert_int_equal(add(&desk, fds[0], 7, JG_READ), 0);
    assert_int_equal(look(&desk), 0);
    put(fds[1]);
    assert_only(&desk, fds[0], 7, JG_READ);
    assert_int_equal(modify(&desk, fds[0], 0xfffffffe, JG_READ), 0);
    assert_only(&desk, fds[0], 0xfffffffe, JG_READ);
    assert_int_equal(drop(&desk, fds[0]), 0);
    assert_int_equal(look(&desk), 0);
    assert_int_equal(add(&desk, fds[0], 0, JG_READ), 0);
    assert_only(&desk, fds[0], 0, JG_READ);
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(events_carry_the_generation_of_their_registration)

static void body_events_come_as_long_as_they_hold(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_pipe(fds);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
    put(fds[1]);
    assert_only(&desk, fds[0], 1, JG_READ);
    assert_only(&desk, fds[0], 1, JG_READ);
    get(fds[0]);
    assert_int_equal(look(&desk), 0);
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(events_come_as_long_as_they_hold)

static void body_only_what_was_asked_for_is_reported(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];
    unsigned asked;

    desk_open(&desk, ops);
    test_socketpair(fds);
    put(fds[1]);
    assert_int_equal(add(&desk, fds[0], 1, 0), 0);
    for (asked = 0; asked <= JG__EVENTS_ALL; asked++) {
        int expected = (int)(asked & (JG_READ | JG_WRITE));

        assert_int_equal(modify(&desk, fds[0], asked, asked), 0);
        if (expected == 0) {
            assert_int_equal(look(&desk), 0);
        } else {
            assert_only(&desk, fds[0], asked, expected);
        }
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(only_what_was_asked_for_is_reported)

static void body_a_half_closed_peer_is_a_hangup_if_asked_for(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_socketpair(fds);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
    assert_only(&desk, fds[0], 1, JG_READ);
    assert_int_equal(modify(&desk, fds[0], 1, JG_HANGUP), 0);
    assert_only(&desk, fds[0], 1, JG_HANGUP);
    assert_int_equal(modify(&desk, fds[0], 1, JG_WRITE), 0);
    assert_only(&desk, fds[0], 1, JG_WRITE);
    assert_int_equal(modify(&desk, fds[0], 1, JG__EVENTS_ALL), 0);
    assert_only(&desk, fds[0], 1, JG__EVENTS_ALL);
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(a_half_closed_peer_is_a_hangup_if_asked_for)

static void body_a_hangup_or_error_is_reported_as_everything(const jg__poller_ops *ops)
{
    struct desk desk;
    int reader[2], writer[2];

    desk_open(&desk, ops);
    test_pipe(reader);
    test_pipe(writer);
    close(reader[1]);
    close(writer[0]);
    assert_int_equal(add(&desk, reader[0], 1, JG_READ), 0);
    assert_only(&desk, reader[0], 1, JG__EVENTS_ALL);
    assert_int_equal(drop(&desk, reader[0]), 0);
    assert_int_equal(add(&desk, writer[1], 2, JG_WRITE), 0);
    assert_only(&desk, writer[1], 2, JG__EVENTS_ALL);
    assert_int_equal(drop(&desk, writer[1]), 0);
    close(reader[0]);
    close(writer[1]);
    desk_close(&desk);
}
OVER_REAL(a_hangup_or_error_is_reported_as_everything)

static void body_both_directions_are_one_event(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_socketpair(fds);
    put(fds[1]);
    assert_int_equal(add(&desk, fds[0], 9, JG_READ | JG_WRITE), 0);
    assert_only(&desk, fds[0], 9, JG_READ | JG_WRITE);
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(both_directions_are_one_event)

static void body_a_second_registration_is_refused(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_socketpair(fds);
    assert_int_equal(add(&desk, fds[0], 1, JG_WRITE), 0);
    assert_int_equal(add(&desk, fds[0], 2, JG_READ), -EEXIST);
    if (!ops->moves_clock) {
        assert_only(&desk, fds[0], 1, JG_WRITE);
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_ALL(a_second_registration_is_refused)

static void body_what_is_not_registered_is_enoent(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_socketpair(fds);
    assert_int_equal(modify(&desk, fds[0], 1, JG_WRITE), -ENOENT);
    assert_int_equal(drop(&desk, fds[0]), -ENOENT);
    assert_int_equal(add(&desk, fds[0], 1, JG_WRITE), 0);
    assert_int_equal(modify(&desk, fds[1], 1, JG_WRITE), -ENOENT);
    assert_int_equal(drop(&desk, fds[1]), -ENOENT);
    assert_int_equal(drop(&desk, fds[0]), 0);
    assert_int_equal(drop(&desk, fds[0]), -ENOENT);
    assert_int_equal(look(&desk), 0);
    close_both(fds);
    desk_close(&desk);
}
OVER_ALL(what_is_not_registered_is_enoent)

/* Either by add() or by the next event, in which case the registration is gone after it. */
static void body_a_bad_descriptor_is_ebadf(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], r;

    desk_open(&desk, ops);
    test_pipe(fds);
    close_both(fds);
    r = add(&desk, fds[0], 5, JG_READ);
    if (r == 0) {
        assert_only(&desk, fds[0], 5, -EBADF);
        assert_int_equal(drop(&desk, fds[0]), -ENOENT);
    } else {
        assert_int_equal(r, -EBADF);
    }
    assert_int_equal(look(&desk), 0);
    desk_close(&desk);
}
OVER_REAL(a_bad_descriptor_is_ebadf)

static void body_a_file_is_refused_or_always_ready(const jg__poller_ops *ops)
{
    char name[] = "/tmp/juggle-test-XXXXXX";
    struct desk desk;
    int fds[2] = {mkstemp(name), open("/dev/null", O_RDWR)}, i, r;

    assert_true(fds[0] >= 0 && fds[1] >= 0);
    assert_int_equal(unlink(name), 0);
    desk_open(&desk, ops);
    for (i = 0; i < 2; i++) {
        r = add(&desk, fds[i], 3, JG_READ | JG_WRITE);
        if (r == 0) {
            assert_only(&desk, fds[i], 3, JG_READ | JG_WRITE);
            assert_int_equal(drop(&desk, fds[i]), 0);
        } else {
            assert_int_equal(r, -EPERM);
        }
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(a_file_is_refused_or_always_ready)

static void body_adding_without_memory_registers_nothing(const jg__poller_ops *ops)
{
    enum { PIPES = 20 };
    struct desk desk;
    int fds[PIPES][2], i, r;

    desk_open(&desk, ops);
    for (i = 0; i < PIPES; i++) {
        test_pipe(fds[i]);
        put(fds[i][1]);
        desk.memory.fail_at = desk.memory.calls + 1;
        r = add(&desk, fds[i][0], 1, JG_READ);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(drop(&desk, fds[i][0]), -ENOENT);
            desk.memory.fail_at = desk.memory.calls + 2;
            r = add(&desk, fds[i][0], 1, JG_READ);
            desk.memory.fail_at = 0;
            if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                r = add(&desk, fds[i][0], 1, JG_READ);
            }
        }
        assert_int_equal(r, 0);
        desk.memory.fail_at = 0;
    }
    if (!ops->moves_clock) {
        assert_int_equal(look(&desk), PIPES);
    }
    for (i = 0; i < PIPES; i++) {
        close_both(fds[i]);
    }
    desk_close(&desk);
}
OVER_ALL(adding_without_memory_registers_nothing)

static void body_a_high_number_may_come_first(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], high;

    desk_open(&desk, ops);
    test_pipe(fds);
    put(fds[1]);
    high = fcntl(fds[0], F_DUPFD_CLOEXEC, 900);
    assert_true(high >= 900);
    assert_int_equal(add(&desk, high, 1, JG_READ), 0);
    assert_only(&desk, high, 1, JG_READ);
    assert_int_equal(add(&desk, fds[0], 2, JG_READ), 0);
    assert_int_equal(look(&desk), 2);
    assert_int_equal(drop(&desk, high), 0);
    assert_only(&desk, fds[0], 2, JG_READ);
    close(high);
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(a_high_number_may_come_first)

/* Closed descriptors */

static void body_a_forgotten_number_can_be_added_again(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], fresh[2], duplicate, i, n;

    desk_open(&desk, ops);
    test_socketpair(fds);
    test_socketpair(fresh);
    duplicate = dup(fds[0]);
    assert_true(duplicate >= 0);
    put(fds[1]);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
    ops->forget(desk.poller, fds[0]);
    close(fds[0]);
    assert_int_equal(dup2(fresh[0], fds[0]), fds[0]);
    assert_int_equal(add(&desk, fds[0], 2, JG_READ), 0);
    /* The old file may still be reported, but not as the new one. */
    n = look(&desk);
    for (i = 0; i < n; i++) {
        assert_int_equal(desk.events[i].generation, 1);
    }
    put(fresh[1]);
    n = look(&desk);
    assert_true(n >= 1);
    for (i = 0; i < n && desk.events[i].generation != 2; i++) {
    }
    assert_in_range(i, 0, n - 1);
    /* Starting again is what gets rid of the old file for good. */
    assert_int_equal(ops->reopen(desk.poller, false), 0);
    assert_int_equal(look(&desk), 0);
    close_both(fds);
    close_both(fresh);
    close(duplicate);
    desk_close(&desk);
}
OVER_REAL(a_forgotten_number_can_be_added_again)

static void body_a_descriptor_closed_unasked_is_silent_or_an_error_once(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], r;

    desk_open(&desk, ops);
    test_pipe(fds);
    assert_int_equal(add(&desk, fds[0], 4, JG_READ), 0);
    close_both(fds);
    if (look(&desk) > 0) {
        assert_int_equal(desk.events[0].fd, fds[0]);
        assert_int_equal(desk.events[0].generation, 4);
        assert_int_equal(desk.events[0].events, -EBADF);
    }
    assert_int_equal(look(&desk), 0);
    r = modify(&desk, fds[0], 5, JG_READ);
    assert_true(r == -EBADF || r == -ENOENT);
    r = drop(&desk, fds[0]);
    assert_true(r == -EBADF || r == -ENOENT);
    desk_close(&desk);
}
OVER_REAL(a_descriptor_closed_unasked_is_silent_or_an_error_once)

/* Errors of several registrations in one wait, between living ones. */
static void body_errors_do_not_hide_other_events(const jg__poller_ops *ops)
{
    enum { PIPES = 9 };
    struct desk desk;
    int fds[PIPES][2], i, j, seen = 0, n;

    desk_open(&desk, ops);
    for (i = 0; i < PIPES; i++) {
        test_pipe(fds[i]);
        put(fds[i][1]);
        assert_int_equal(add(&desk, fds[i][0], (uint32_t)i, JG_READ), 0);
    }
    for (i = 0; i < PIPES; i += 3) {
        close_both(fds[i]);
    }
    n = look(&desk);
    for (j = 0; j < n; j++) {
        i = (int)desk.events[j].generation;
        assert_in_range(i, 0, PIPES - 1);
        assert_int_equal(desk.events[j].fd, fds[i][0]);
        assert_int_equal(desk.events[j].events, i % 3 == 0 ? -EBADF : JG_READ);
        seen += i % 3 != 0;
    }
    assert_int_equal(seen, PIPES - PIPES / 3);
    assert_int_equal(look(&desk), seen);
    for (i = 0; i < PIPES; i++) {
        if (i % 3 != 0) {
            close_both(fds[i]);
        }
    }
    desk_close(&desk);
}
OVER_REAL(errors_do_not_hide_other_events)

/* Waiting */

static void body_a_wait_takes_no_less_than_its_timeout(const jg__poller_ops *ops)
{
    static const jg_time timeouts[] = {0, 1, 300 * JG_MICROSECOND, 1500 * JG_MICROSECOND,
                                       20 * JG_MILLISECOND};
    struct desk desk;
    size_t i;

    desk_open(&desk, ops);
    for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        jg_time began = test_clock();

        assert_int_equal(wait_most(&desk, MOST, timeouts[i]), 0);
        assert_true(test_clock() - began >= timeouts[i]);
    }
    desk_close(&desk);
}
OVER_REAL(a_wait_takes_no_less_than_its_timeout)

static void body_a_wait_ends_when_something_is_ready(const jg__poller_ops *ops)
{
    static const jg_time timeouts[] = {3600 * JG_SECOND, INT64_C(9000000000) * JG_SECOND,
                                       JG_FOREVER - 1, JG_FOREVER};
    struct desk desk;
    int fds[2];
    size_t i;

    desk_open(&desk, ops);
    test_pipe(fds);
    put(fds[1]);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
    for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        assert_int_equal(wait_most(&desk, MOST, timeouts[i]), 1);
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(a_wait_ends_when_something_is_ready)

static void body_few_events_a_wait_still_show_everybody(const jg__poller_ops *ops)
{
    enum { PIPES = 10, ROUNDS = 30 };
    struct desk desk;
    int fds[PIPES][2], counts[PIPES] = {0}, max, i, j, n;

    desk_open(&desk, ops);
    for (i = 0; i < PIPES; i++) {
        test_pipe(fds[i]);
        put(fds[i][1]);
        assert_int_equal(add(&desk, fds[i][0], (uint32_t)i, JG_READ), 0);
    }
    for (max = 1; max <= 3; max++) {
        memset(counts, 0, sizeof(counts));
        for (j = 0; j < ROUNDS; j++) {
            n = wait_most(&desk, max, 0);
            assert_int_equal(n, max);
            for (i = 0; i < n; i++) {
                counts[desk.events[i].generation]++;
            }
        }
        for (i = 0; i < PIPES; i++) {
            assert_in_range(counts[i], ROUNDS * max / PIPES - 1, ROUNDS * max / PIPES + 1);
        }
    }
    for (i = 0; i < PIPES; i++) {
        close_both(fds[i]);
    }
    desk_close(&desk);
}
OVER_REAL(few_events_a_wait_still_show_everybody)

static void on_alarm(int signo)
{
    (void)signo;
}

/* Whether or not the handler asks for system calls to be restarted. */
static void body_a_signal_ends_a_wait(const jg__poller_ops *ops)
{
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action, before;
    struct desk desk;
    int restart;

    desk_open(&desk, ops);
    for (restart = 0; restart < 2; restart++) {
        memset(&action, 0, sizeof(action));
        action.sa_handler = on_alarm;
        action.sa_flags = restart ? SA_RESTART : 0;
        assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
        assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), -EINTR);
        if (!ops->moves_clock) {
            assert_int_equal(wait_most(&desk, MOST, 60 * JG_SECOND), -EINTR);
        }
        assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
        assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    }
    desk_close(&desk);
}
OVER_ALL(a_signal_ends_a_wait)

#ifdef CAN_FORBID_SYSTEM_CALLS

enum { EPOLL_PWAIT2 = 441 }; /* on every architecture */

/* Make a system call fail, as an old kernel or the filter of a container does, for good. */
static bool forbid(unsigned number, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void wait_without_pwait2(void *arg)
{
    const unsigned *error = arg;

    if (!forbid(EPOLL_PWAIT2, *error)) {
        return; /* not here */
    }
    body_a_wait_takes_no_less_than_its_timeout(&jg__epoll_ops);
    body_a_wait_ends_when_something_is_ready(&jg__epoll_ops);
}

static void epoll_needs_no_pwait2(void **state)
{
    unsigned errors[] = {ENOSYS, EPERM};
    size_t i;

    (void)state;
    for (i = 0; i < 2 && !test_is_emulated(); i++) {
        test_in_child(wait_without_pwait2, &errors[i]);
    }
}

#endif

/* Waking */

static void body_a_wake_ends_the_next_wait_only(const jg__poller_ops *ops)
{
    struct desk desk;
    int i;
    jg_time began;

    desk_open(&desk, ops);
    ops->wake(desk.poller);
    assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), 0);
    for (i = 0; i < 1000; i++) {
        ops->wake(desk.poller);
    }
    assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), 0);
    if (!ops->moves_clock) {
        began = test_clock();
        assert_int_equal(wait_most(&desk, MOST, 10 * JG_MILLISECOND), 0);
        assert_true(test_clock() - began >= 10 * JG_MILLISECOND);
    }
    desk_close(&desk);
}
OVER_ALL(a_wake_ends_the_next_wait_only)

static void *wake_soon(void *arg)
{
    struct desk *desk = arg;
    struct timespec span = {.tv_nsec = 2 * JG_MILLISECOND};

    nanosleep(&span, NULL);
    desk->ops->wake(desk->poller);
    return NULL;
}

static void body_another_thread_can_end_a_wait(const jg__poller_ops *ops)
{
    struct desk desk;
    pthread_t thread;
    int i;

    desk_open(&desk, ops);
    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wake_soon, &desk), 0);
        assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    desk_close(&desk);
}
OVER_ALL(another_thread_can_end_a_wait)

static void body_a_wake_keeps_errno(const jg__poller_ops *ops)
{
    struct desk desk;
    int i;

    desk_open(&desk, ops);
    for (i = 0; i < 70000; i++) { /* more than a pipe holds */
        errno = EXDEV;
        ops->wake(desk.poller);
        assert_int_equal(errno, EXDEV);
    }
    desk_close(&desk);
}
OVER_ALL(a_wake_keeps_errno)

static void body_a_wake_does_not_hide_events(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], n, i;

    desk_open(&desk, ops);
    test_pipe(fds);
    put(fds[1]);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
    for (i = 0; i < 10; i++) {
        ops->wake(desk.poller);
        /* If there is room for one only it may be the wake-up, but not again and again. */
        n = wait_most(&desk, 1, JG_FOREVER);
        if (n == 0) {
            n = wait_most(&desk, 1, JG_FOREVER);
        }
        assert_int_equal(n, 1);
        ops->wake(desk.poller);
        assert_int_equal(wait_most(&desk, 2, JG_FOREVER), 1);
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(a_wake_does_not_hide_events)

/* Edges */

/* With edges each readiness is reported once, and again when more comes; without, as ever. */
static void body_an_edge_is_reported_once(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2];

    desk_open(&desk, ops);
    test_pipe(fds);
    assert_int_equal(add(&desk, fds[0], 1, JG_READ | JG__EDGE), 0);
    assert_int_equal(look(&desk), 0);
    for (int i = 0; i < 2; i++) {
        put(fds[1]);
        assert_only(&desk, fds[0], 1, JG_READ);
        assert_int_equal(look(&desk), ops->has_edge ? 0 : 1);
    }
    assert_int_equal(modify(&desk, fds[0], 2, JG_READ), 0);
    assert_only(&desk, fds[0], 2, JG_READ);
    assert_only(&desk, fds[0], 2, JG_READ);
    desk_close(&desk);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}
OVER_REAL(an_edge_is_reported_once)

/* The descriptor to wait for from outside */

static bool readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    return poll(&wanted, 1, 0) == 1;
}

static void body_the_descriptor_is_readable_when_a_wait_would_return(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], fd;

    desk_open(&desk, ops);
    test_pipe(fds);
    fd = ops->fd(desk.poller);
    if (fd < 0) {
        assert_int_equal(fd, -ENOTSUP);
    } else {
        assert_int_equal(add(&desk, fds[0], 1, JG_READ), 0);
        assert_false(readable(fd));
        put(fds[1]);
        assert_true(readable(fd));
        assert_int_equal(look(&desk), 1);
        assert_true(readable(fd));
        get(fds[0]);
        if (is_kqueue(ops)) {
            assert_int_equal(look(&desk), 0); /* until then it may seem readable */
        }
        assert_false(readable(fd));
        ops->wake(desk.poller);
        assert_true(readable(fd));
        assert_int_equal(look(&desk), 0);
        assert_false(readable(fd));
    }
    close_both(fds);
    desk_close(&desk);
}
OVER_REAL(the_descriptor_is_readable_when_a_wait_would_return)

/* Starting again */

static void body_reopening_forgets_every_registration(const jg__poller_ops *ops)
{
    struct desk desk;
    int fds[2], fd;

    desk_open(&desk, ops);
    test_socketpair(fds);
    fd = ops->fd(desk.poller);
    assert_int_equal(add(&desk, fds[0], 1, JG_WRITE), 0);
    assert_int_equal(ops->reopen(desk.poller, false), 0);
    assert_int_equal(ops->fd(desk.poller), fd);
    assert_int_equal(look(&desk), 0);
    assert_int_equal(modify(&desk, fds[0], 1, JG_WRITE), -ENOENT);
    assert_int_equal(drop(&desk, fds[0]), -ENOENT);
    assert_int_equal(add(&desk, fds[0], 2, JG_WRITE), 0);
    if (!ops->moves_clock) {
        assert_only(&desk, fds[0], 2, JG_WRITE);
        assert_int_equal(drop(&desk, fds[0]), 0);
    }
    ops->wake(desk.poller);
    assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), 0);
    close_both(fds);
    desk_close(&desk);
}
OVER_ALL(reopening_forgets_every_registration)

static void body_reopening_without_descriptors_changes_nothing(const jg__poller_ops *ops)
{
    struct desk desk;
    struct rlimit before;
    int fds[2], count, r = -EMFILE;

    desk_open(&desk, ops);
    test_socketpair(fds);
    assert_int_equal(add(&desk, fds[0], 1, JG_WRITE), 0);
    for (count = 0; r < 0; count++) {
        before = limit_descriptors(count);
        r = ops->reopen(desk.poller, false);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (r < 0) {
            assert_int_equal(r, -EMFILE);
            assert_int_equal(add(&desk, fds[0], 1, JG_WRITE), -EEXIST);
            if (!ops->moves_clock) {
                assert_only(&desk, fds[0], 1, JG_WRITE);
            }
            ops->wake(desk.poller);
            assert_int_equal(look(&desk), ops->moves_clock ? 0 : 1);
        }
        assert_true(count < 16);
    }
    assert_true(count > 1 || is_kqueue(ops)); /* which needs nothing for it */
    assert_int_equal(modify(&desk, fds[0], 1, JG_WRITE), -ENOENT);
    close_both(fds);
    desk_close(&desk);
}
OVER_ALL(reopening_without_descriptors_changes_nothing)

/* Forks */

struct household {
    struct desk desk;
    int fds[2];
};

static void close_in_child(void *arg)
{
    struct household *household = arg;

    desk_close(&household->desk);
}

static void reopen_in_child(void *arg)
{
    struct household *household = arg;
    struct desk *desk = &household->desk;
    int own[2];

    test_check(desk->ops->reopen(desk->poller, true) == 0);
    test_check(look(desk) == 0);
    desk->ops->wake(desk->poller);
    test_check(wait_most(desk, MOST, JG_FOREVER) == 0);
    test_socketpair(own);
    test_check(add(desk, own[0], 8, JG_WRITE) == 0);
    test_check(add(desk, household->fds[0], 9, JG_READ) == 0);
    if (!desk->ops->moves_clock) {
        assert_only(desk, own[0], 8, JG_WRITE);
    }
    test_check(drop(desk, household->fds[0]) == 0);
    desk_close(desk);
}

static void body_a_child_does_not_touch_what_the_parent_uses(const jg__poller_ops *ops)
{
    static void (*const children[])(void *arg) = {close_in_child, reopen_in_child};
    struct household household;
    struct desk *desk = &household.desk;
    size_t i;

    desk_open(desk, ops);
    test_socketpair(household.fds);
    assert_int_equal(add(desk, household.fds[0], 1, JG_READ), 0);
    for (i = 0; i < 2; i++) {
        test_in_child(children[i], &household);
        assert_int_equal(look(desk), 0);
        if (!ops->moves_clock) {
            put(household.fds[1]);
            assert_only(desk, household.fds[0], 1, JG_READ);
            get(household.fds[0]);
        }
    }
    assert_int_equal(modify(desk, household.fds[0], 2, JG_WRITE), 0);
    ops->wake(desk->poller);
    assert_int_equal(drop(desk, household.fds[0]), 0);
    assert_int_equal(wait_most(desk, MOST, JG_FOREVER), 0);
    close_both(household.fds);
    desk_close(desk);
}
OVER_ALL(a_child_does_not_touch_what_the_parent_uses)

/* The script */

static void a_script_reports_what_is_announced_once(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(add(&desk, 1000, 7, JG_READ), 0);
    assert_int_equal(jg__script_announce(desk.poller, 0, 1000, JG_READ), 0);
    assert_only(&desk, 1000, 7, JG_READ);
    assert_int_equal(look(&desk), 0);
    desk_close(&desk);
}

static void a_script_moves_the_clock_to_what_is_announced(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(add(&desk, 3, 1, JG_READ | JG_WRITE), 0);
    assert_int_equal(jg__script_announce(desk.poller, 50 * JG_SECOND, 3, JG_WRITE), 0);
    assert_int_equal(jg__script_announce(desk.poller, 20 * JG_SECOND, 3, JG_READ), 0);
    assert_int_equal(wait_most(&desk, MOST, 10 * JG_SECOND), 0);
    assert_true(desk.clock.virtual_now == 10 * JG_SECOND);
    assert_int_equal(wait_most(&desk, MOST, JG_FOREVER), 1);
    assert_int_equal(desk.events[0].events, JG_READ);
    assert_true(desk.clock.virtual_now == 20 * JG_SECOND);
    assert_int_equal(wait_most(&desk, MOST, 30 * JG_SECOND), 1);
    assert_int_equal(desk.events[0].events, JG_WRITE);
    assert_true(desk.clock.virtual_now == 50 * JG_SECOND);
    desk_close(&desk);
}

static void a_script_keeps_what_nobody_wants_yet(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(jg__script_announce(desk.poller, 0, 3, JG_READ), 0);
    assert_int_equal(look(&desk), 0);
    assert_int_equal(add(&desk, 3, 1, JG_WRITE), 0);
    assert_int_equal(look(&desk), 0);
    assert_int_equal(modify(&desk, 3, 2, JG_READ), 0);
    assert_only(&desk, 3, 2, JG_READ);
    desk_close(&desk);
}

static void an_announced_error_ends_the_registration(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(add(&desk, 3, 1, JG_READ), 0);
    assert_int_equal(jg__script_announce(desk.poller, 0, 3, -EIO), 0);
    assert_only(&desk, 3, 1, -EIO);
    assert_int_equal(drop(&desk, 3), -ENOENT);
    desk_close(&desk);
}

static void a_script_gives_one_event_a_descriptor_and_wait(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(add(&desk, 3, 1, JG_READ | JG_WRITE), 0);
    assert_int_equal(add(&desk, 4, 2, JG_READ), 0);
    assert_int_equal(jg__script_announce(desk.poller, 0, 3, JG_READ), 0);
    assert_int_equal(jg__script_announce(desk.poller, 0, 3, JG_WRITE), 0);
    assert_int_equal(jg__script_announce(desk.poller, 0, 4, JG_READ), 0);
    assert_int_equal(look(&desk), 2);
    assert_int_equal(desk.events[0].fd, 3);
    assert_int_equal(desk.events[0].events, JG_READ);
    assert_int_equal(desk.events[1].fd, 4);
    assert_only(&desk, 3, 1, JG_WRITE);
    desk_close(&desk);
}

static void announcing_without_memory_announces_nothing(void **state)
{
    struct desk desk;
    int i, lines = 0;

    (void)state;
    desk_open(&desk, &jg__script_ops);
    assert_int_equal(add(&desk, 3, 1, JG_READ), 0);
    for (i = 0; i < 40; i++) {
        int r;

        desk.memory.fail_at = i % 2 ? desk.memory.calls + 1 : 0;
        r = jg__script_announce(desk.poller, 0, 3, JG_READ);
        assert_true(r == 0 || r == -ENOMEM);
        lines += r == 0;
    }
    while (look(&desk) == 1) {
        lines--;
    }
    assert_int_equal(lines, 0);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_found_by_name),
        cmocka_unit_test(without_a_name_the_environment_decides),
        cmocka_unit_test(the_best_backend_serves_real_descriptors),
        cmocka_unit_test(opening_without_memory_leaves_nothing),
        cmocka_unit_test(opening_without_descriptors_leaves_nothing),
        cmocka_unit_test(own_descriptors_are_closed_on_exec_and_above_2),
        cmocka_unit_test(own_descriptors_stay_above_2_if_those_are_free),
        cmocka_unit_test(events_carry_the_generation_of_their_registration),
        cmocka_unit_test(events_come_as_long_as_they_hold),
        cmocka_unit_test(only_what_was_asked_for_is_reported),
        cmocka_unit_test(a_half_closed_peer_is_a_hangup_if_asked_for),
        cmocka_unit_test(a_hangup_or_error_is_reported_as_everything),
        cmocka_unit_test(both_directions_are_one_event),
        cmocka_unit_test(a_second_registration_is_refused),
        cmocka_unit_test(what_is_not_registered_is_enoent),
        cmocka_unit_test(a_bad_descriptor_is_ebadf),
        cmocka_unit_test(a_file_is_refused_or_always_ready),
        cmocka_unit_test(adding_without_memory_registers_nothing),
        cmocka_unit_test(a_high_number_may_come_first),
        cmocka_unit_test(a_forgotten_number_can_be_added_again),
        cmocka_unit_test(a_descriptor_closed_unasked_is_silent_or_an_error_once),
        cmocka_unit_test(errors_do_not_hide_other_events),
        cmocka_unit_test(a_wait_takes_no_less_than_its_timeout),
        cmocka_unit_test(a_wait_ends_when_something_is_ready),
        cmocka_unit_test(few_events_a_wait_still_show_everybody),
        cmocka_unit_test(a_signal_ends_a_wait),
#ifdef CAN_FORBID_SYSTEM_CALLS
        cmocka_unit_test(epoll_needs_no_pwait2),
#endif
        cmocka_unit_test(a_wake_ends_the_next_wait_only),
        cmocka_unit_test(another_thread_can_end_a_wait),
        cmocka_unit_test(a_wake_keeps_errno),
        cmocka_unit_test(a_wake_does_not_hide_events),
        cmocka_unit_test(an_edge_is_reported_once),
        cmocka_unit_test(the_descriptor_is_readable_when_a_wait_would_return),
        cmocka_unit_test(reopening_forgets_every_registration),
        cmocka_unit_test(reopening_without_descriptors_changes_nothing),
        cmocka_unit_test(a_child_does_not_touch_what_the_parent_uses),
        cmocka_unit_test(a_script_reports_what_is_announced_once),
        cmocka_unit_test(a_script_moves_the_clock_to_what_is_announced),
        cmocka_unit_test(a_script_keeps_what_nobody_wants_yet),
        cmocka_unit_test(an_announced_error_ends_the_registration),
        cmocka_unit_test(a_script_gives_one_event_a_descriptor_and_wait),
        cmocka_unit_test(announcing_without_memory_announces_nothing),
    };

    return cmocka_run_group_tests_name("poller", tests, NULL, NULL);
}
