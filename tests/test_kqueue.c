/* SPDX-License-Identifier: MIT
 *
 * What is special about the kqueue backend, over the tests' own kqueue in both shapes; what it has in
 * common with others is in test_poller.c. At the end: that this kqueue is as strict as it says.
 */
#include "support.h"

#ifdef __linux__

#    include "base/alloc.h"
#    include "platform/poller.h"

#    include "kqueue/engine.h"
#    include "kqueue/freebsd/sys/event.h"

#    include <fcntl.h>
#    include <poll.h>
#    include <string.h>
#    include <sys/socket.h>
#    include <unistd.h>

enum { MOST = 16 };

/* A shape of the backend, and what it runs on. */
struct shape {
    const char *name;
    struct test_kernel *kernel;
};

static const struct shape shapes[] = {{"kqueue", &test_freebsd}, {"kqueue_netbsd", &test_netbsd}};

struct desk {
    const jg__poller_ops *ops;
    jg__poller *poller;
    struct test_kernel *kernel, before;
    jg__event events[MOST];
    int fds[2];
};

static void desk_open(struct desk *desk, const struct shape *shape)
{
    jg__clock clock = {.is_virtual = false};

    memset(desk, 0, sizeof(*desk));
    desk->ops = jg__poller_find(shape->name);
    desk->kernel = shape->kernel;
    desk->before = *shape->kernel;
    assert_non_null(desk->ops);
    assert_int_equal(desk->ops->open(&jg__malloc, MOST, &clock, &desk->poller), 0);
}

static void desk_close(struct desk *desk)
{
    desk->ops->close(desk->poller);
    *desk->kernel = desk->before;
    assert_int_equal(close(desk->fds[0]), 0);
    assert_int_equal(close(desk->fds[1]), 0);
}

static void use_pipe(struct desk *desk)
{
    assert_int_equal(pipe(desk->fds), 0);
    assert_int_equal(fcntl(desk->fds[1], F_SETFL, O_NONBLOCK), 0);
}

static void close_reader(struct desk *desk)
{
    assert_int_equal(close(desk->fds[0]), 0);
    desk->fds[0] = dup(0);
}

static int look(struct desk *desk, int max)
{
    return desk->ops->wait(desk->poller, desk->events, max, 0);
}

static void assert_only(struct desk *desk, int fd, int events)
{
    assert_int_equal(look(desk, MOST), 1);
    assert_int_equal(desk->events[0].fd, fd);
    assert_int_equal(desk->events[0].events, events);
}

static int add(struct desk *desk, int fd, unsigned events)
{
    return desk->ops->add(desk->poller, fd, 1, events);
}

static int modify(struct desk *desk, int fd, unsigned events)
{
    return desk->ops->modify(desk->poller, fd, 1, events);
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

typedef void (*body_fn)(const struct shape *shape);

/* A test named as its body is run over the shapes. */
#    define OVER_SHAPES(name)             \
        static void name(void **state)    \
        {                                 \
            (void)state;                  \
            for (int i = 0; i < 2; i++) { \
                body_##name(&shapes[i]);  \
            }                             \
        }

/* Dead pipes */

static const int dead_pipes[] = {EPIPE, EBADF, 0};

static void body_a_pipe_that_nobody_reads_is_ready_for_everything(const struct shape *shape)
{
    struct desk desk;
    unsigned asked;

    for (int i = 0; i < 3; i++) {
        desk_open(&desk, shape);
        shape->kernel->dead_pipe = dead_pipes[i];
        use_pipe(&desk);
        close_reader(&desk);
        assert_int_equal(add(&desk, desk.fds[1], JG_WRITE), 0);
        for (asked = 1; asked <= JG__EVENTS_ALL; asked++) {
            assert_int_equal(modify(&desk, desk.fds[1], asked), 0);
            assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
            assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
        }
        assert_int_equal(modify(&desk, desk.fds[1], 0), 0);
        assert_int_equal(look(&desk, MOST), 0);
        assert_int_equal(desk.ops->remove(desk.poller, desk.fds[1]), 0);
        assert_int_equal(look(&desk, MOST), 0);
        desk_close(&desk);
    }
}
OVER_SHAPES(a_pipe_that_nobody_reads_is_ready_for_everything)

static void body_a_pipe_whose_reader_goes_is_ready_from_then_on(const struct shape *shape)
{
    struct desk desk;

    for (int i = 0; i < 3; i++) {
        desk_open(&desk, shape);
        shape->kernel->dead_pipe = dead_pipes[i];
        use_pipe(&desk);
        assert_int_equal(add(&desk, desk.fds[1], JG_HANGUP), 0);
        assert_int_equal(look(&desk, MOST), 0);
        close_reader(&desk);
        assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
        assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
        assert_int_equal(modify(&desk, desk.fds[1], JG_WRITE), 0);
        assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
        desk_close(&desk);
    }
}
OVER_SHAPES(a_pipe_whose_reader_goes_is_ready_from_then_on)

static void body_an_edge_on_a_dead_pipe_is_reported_once(const struct shape *shape)
{
    struct desk desk;

    for (int i = 0; i < 3; i++) {
        desk_open(&desk, shape);
        shape->kernel->dead_pipe = dead_pipes[i];
        use_pipe(&desk);
        close_reader(&desk);
        assert_int_equal(add(&desk, desk.fds[1], JG__EVENTS_ALL | JG__EDGE), 0);
        assert_only(&desk, desk.fds[1], JG__EVENTS_ALL);
        assert_int_equal(look(&desk, MOST), 0);
        desk_close(&desk);
    }
}
OVER_SHAPES(an_edge_on_a_dead_pipe_is_reported_once)

static void body_a_dead_pipe_leaves_room_for_others(const struct shape *shape)
{
    struct desk desk;
    int living[2], other[2], seen[2] = {0, 0};

    desk_open(&desk, shape);
    use_pipe(&desk);
    close_reader(&desk);
    test_socketpair(living);
    test_socketpair(other);
    assert_int_equal(add(&desk, desk.fds[1], JG_WRITE), 0);
    assert_int_equal(add(&desk, living[0], JG_WRITE), 0);
    assert_int_equal(add(&desk, other[0], JG_WRITE), 0);
    for (int i = 0; i < 10; i++) {
        int n = look(&desk, 2);

        for (int j = 0; j < n; j++) {
            seen[desk.events[j].fd != desk.fds[1]]++;
        }
    }
    assert_int_equal(seen[0], 10);
    assert_in_range(seen[1], 2, 10);
    for (int i = 0; i < 2; i++) {
        close(living[i]);
        close(other[i]);
    }
    desk_close(&desk);
}
OVER_SHAPES(a_dead_pipe_leaves_room_for_others)

/* Ends */

/* Data that nobody asked for do not end the wait again and again. */
static void body_a_hangup_alone_is_not_waited_for_busily(const struct shape *shape)
{
    struct desk desk;
    jg_time began;

    desk_open(&desk, shape);
    test_socketpair(desk.fds);
    put(desk.fds[1]);
    assert_int_equal(add(&desk, desk.fds[0], JG_HANGUP), 0);
    assert_int_equal(look(&desk, MOST), 0);
    began = test_clock();
    assert_int_equal(desk.ops->wait(desk.poller, desk.events, MOST, 20 * JG_MILLISECOND), 0);
    assert_true(test_clock() - began >= 20 * JG_MILLISECOND);
    assert_int_equal(shutdown(desk.fds[1], SHUT_WR), 0);
    for (int i = 0; i < 3; i++) {
        assert_only(&desk, desk.fds[0], JG_HANGUP);
    }
    assert_int_equal(modify(&desk, desk.fds[0], JG_READ), 0);
    assert_only(&desk, desk.fds[0], JG_READ); /* there are data before the end */
    desk_close(&desk);
}
OVER_SHAPES(a_hangup_alone_is_not_waited_for_busily)

static void body_shutting_down_our_own_side_is_no_hangup(const struct shape *shape)
{
    struct desk desk;

    desk_open(&desk, shape);
    test_socketpair(desk.fds);
    assert_int_equal(add(&desk, desk.fds[0], JG__EVENTS_ALL), 0);
    assert_int_equal(shutdown(desk.fds[0], SHUT_WR), 0);
    assert_only(&desk, desk.fds[0], JG_WRITE);
    desk_close(&desk);
}
OVER_SHAPES(shutting_down_our_own_side_is_no_hangup)

/* Registrations */

static void body_a_connection_takes_one_call_and_closing_it_none(const struct shape *shape)
{
    struct desk desk;

    desk_open(&desk, shape);
    test_socketpair(desk.fds);
    test_kevent_calls = 0;
    assert_int_equal(add(&desk, desk.fds[0], JG__EVENTS_ALL | JG__EDGE), 0);
    assert_int_equal(test_kevent_calls, 1);
    desk.ops->forget(desk.poller, desk.fds[0]);
    assert_int_equal(close(desk.fds[0]), 0);
    assert_int_equal(test_kevent_calls, 1);
    desk.fds[0] = dup(0);
    desk_close(&desk);
}
OVER_SHAPES(a_connection_takes_one_call_and_closing_it_none)

static void body_files_never_reach_the_kernel(const struct shape *shape)
{
    struct desk desk;

    desk_open(&desk, shape);
    desk.fds[0] = open("/tmp", O_RDONLY | O_DIRECTORY);
    desk.fds[1] = open("/dev/null", O_RDWR);
    test_kevent_calls = 0;
    assert_int_equal(add(&desk, desk.fds[0], JG_READ), -EPERM);
    assert_int_equal(test_kevent_calls, 0);
    assert_int_equal(add(&desk, desk.fds[1], JG_READ | JG_WRITE), -EPERM);
    assert_int_equal(look(&desk, MOST), 0);
    desk_close(&desk);
}
OVER_SHAPES(files_never_reach_the_kernel)

/* Whatever was asked for, nothing included, a file that took over the number is another file. */
static void body_a_number_that_means_another_file_is_not_registered(const struct shape *shape)
{
    struct desk desk;
    int fresh[2];

    for (unsigned asked = 0; asked <= JG__EVENTS_ALL; asked++) {
        desk_open(&desk, shape);
        test_socketpair(desk.fds);
        test_socketpair(fresh);
        assert_int_equal(add(&desk, desk.fds[0], asked), 0);
        assert_int_equal(dup2(fresh[0], desk.fds[0]), desk.fds[0]);
        put(fresh[1]);
        assert_int_equal(look(&desk, MOST), 0);
        assert_int_equal(modify(&desk, desk.fds[0], JG_READ), -ENOENT);
        assert_int_equal(add(&desk, desk.fds[0], JG_READ), 0);
        assert_only(&desk, desk.fds[0], JG_READ);
        close(fresh[0]);
        close(fresh[1]);
        desk_close(&desk);
    }
}
OVER_SHAPES(a_number_that_means_another_file_is_not_registered)

/* Level and edge change places, which on some systems takes a new note. */
static void body_edges_and_levels_replace_each_other(const struct shape *shape)
{
    struct desk desk;

    desk_open(&desk, shape);
    test_socketpair(desk.fds);
    put(desk.fds[1]);
    assert_int_equal(add(&desk, desk.fds[0], JG_READ | JG_WRITE), 0);
    for (int i = 0; i < 3; i++) {
        assert_only(&desk, desk.fds[0], JG_READ | JG_WRITE);
        assert_only(&desk, desk.fds[0], JG_READ | JG_WRITE);
        assert_int_equal(modify(&desk, desk.fds[0], JG_READ | JG_WRITE | JG__EDGE), 0);
        assert_only(&desk, desk.fds[0], JG_READ | JG_WRITE);
        assert_int_equal(look(&desk, MOST), 0);
        assert_int_equal(modify(&desk, desk.fds[0], JG_READ | JG_WRITE), 0);
    }
    desk_close(&desk);
}
OVER_SHAPES(edges_and_levels_replace_each_other)

/* Interruptions and wake-ups */

static void count_and_send(void *arg)
{
    int *left = arg;

    --*left;
}

static void a_loop_does_not_mind_waits_that_are_interrupted(void **state)
{
    int fds[2], left = 0, events = 0;
    jg_watcher reader, writer;
    jg_timer timer;
    jg_loop *loop;

    (void)state;
    for (int i = 0; i < 2; i++) {
        loop = test_loop_with((jg_loop_options){.backend = shapes[i].name});
        test_socketpair(fds);
        put(fds[1]);
        left = 1;
        events = 0;
        jg_watcher_init(&reader, test_count_event, &events);
        jg_watcher_init(&writer, test_count_event, &events);
        jg_timer_init(&timer, count_and_send, &left);
        jg_call_later(loop, &timer, 5 * JG_MILLISECOND);
        test_interrupt_every = 2;
        assert_int_equal(jg_watcher_start(loop, &reader, fds[0], JG_READ), 0);
        assert_int_equal(jg_watcher_start(loop, &writer, fds[0], JG_WRITE), 0);
        while (left > 0 || events < 2) /* for ever, if an interrupted wait loses something */
            assert_true(jg_loop_run_once(loop, JG_SECOND) >= 0);
        test_interrupt_every = 0;
        jg_watcher_stop(&writer);
        assert_int_equal(jg_watcher_close(&reader), 0);
        assert_int_equal(close(fds[1]), 0);
        test_loop_done(loop);
    }
}

static void without_events_of_users_a_pipe_wakes(void **state)
{
    struct pollfd outside = {.events = POLLIN};
    struct desk desk;

    (void)state;
    test_freebsd.has_user = false;
    desk_open(&desk, &shapes[0]);
    desk.before.has_user = true;
    use_pipe(&desk);
    outside.fd = desk.ops->fd(desk.poller);
    for (int i = 0; i < 1000; i++) {
        desk.ops->wake(desk.poller);
    }
    assert_int_equal(poll(&outside, 1, 0), 1);
    assert_int_equal(desk.ops->wait(desk.poller, desk.events, MOST, JG_FOREVER), 0);
    assert_int_equal(look(&desk, MOST), 0);
    assert_int_equal(poll(&outside, 1, 0), 0);
    desk_close(&desk);
}

/* Forks */

static void take_the_number_and_close(void *arg)
{
    struct desk *desk = arg;
    int number = desk->ops->fd(desk->poller);

    test_check(fcntl(number, F_GETFD) < 0);
    test_check(fcntl(desk->fds[0], F_DUPFD, number) == number);
    desk->ops->close(desk->poller);
    test_check(fcntl(number, F_GETFD) >= 0);
}

static void take_the_number_and_reopen(void *arg)
{
    struct desk *desk = arg;
    int number = desk->ops->fd(desk->poller);

    test_check(fcntl(desk->fds[0], F_DUPFD, number) == number);
    test_check(desk->ops->reopen(desk->poller, true) == 0);
    test_check(desk->ops->fd(desk->poller) != number);
    test_check(fcntl(desk->ops->fd(desk->poller), F_GETFD) == FD_CLOEXEC);
    test_check(add(desk, desk->fds[1], JG_WRITE) == 0);
    test_check(look(desk, MOST) == 1);
    desk->ops->close(desk->poller);
    test_check(fcntl(number, F_GETFD) >= 0);
}

static int lower; /* a number below that of the kqueue */

static void reopen_and_keep_the_number(void *arg)
{
    struct desk *desk = arg;
    int number = desk->ops->fd(desk->poller);

    test_check(lower < number && close(lower) == 0);
    test_check(desk->ops->reopen(desk->poller, true) == 0);
    test_check(desk->ops->fd(desk->poller) == number);
    desk->ops->close(desk->poller);
    test_check(fcntl(number, F_GETFD) < 0);
}

/* The child has no kqueue: what has its number there is another file. */
static void body_a_child_leaves_the_number_to_who_has_it(const struct shape *shape)
{
    static void (*const children[])(void *arg) = {
        take_the_number_and_close, take_the_number_and_reopen, reopen_and_keep_the_number};
    struct desk desk;

    lower = fcntl(0, F_DUPFD, 3);
    desk_open(&desk, shape);
    test_socketpair(desk.fds);
    assert_int_equal(add(&desk, desk.fds[0], JG_WRITE), 0);
    for (int i = 0; i < 3; i++) {
        test_in_child(children[i], &desk);
        assert_only(&desk, desk.fds[0], JG_WRITE);
    }
    assert_int_equal(close(lower), 0);
    desk_close(&desk);
}
OVER_SHAPES(a_child_leaves_the_number_to_who_has_it)

/* The tests' own kqueue */

static struct kevent change_of(int fd, short filter, unsigned short flags)
{
    return (struct kevent){.ident = (uintptr_t)fd, .filter = filter, .flags = flags};
}

static void errors_come_alone_and_at_once(void **state)
{
    const struct timespec now = {0, 0};
    struct kevent changes[3], events[3];
    int kq = kqueue(), fds[2];

    (void)state;
    test_socketpair(fds);
    changes[0] = change_of(fds[0], EVFILT_WRITE, EV_ADD);
    changes[1] = change_of(999, EVFILT_WRITE, EV_ADD);
    changes[2] = change_of(fds[1], EVFILT_WRITE, EV_DELETE);
    assert_int_equal(kevent(kq, changes, 3, events, 3, NULL), 2);
    assert_int_equal(events[0].flags, EV_ERROR);
    assert_int_equal(events[0].data, EBADF);
    assert_int_equal(events[1].ident, fds[1]);
    assert_int_equal(events[1].data, ENOENT);
    assert_int_equal(kevent(kq, NULL, 0, events, 3, &now), 1);
    assert_int_equal(events[0].flags, 0);
    close(kq);
    close(fds[0]);
    close(fds[1]);
}

static void changes_after_an_error_without_a_slot_are_not_made(void **state)
{
    const struct timespec now = {0, 0};
    struct kevent changes[2], event;
    int kq = kqueue(), fds[2];

    (void)state;
    test_socketpair(fds);
    changes[0] = change_of(999, EVFILT_WRITE, EV_ADD);
    changes[1] = change_of(fds[0], EVFILT_WRITE, EV_ADD);
    assert_int_equal(kevent(kq, changes, 2, NULL, 0, NULL), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(kevent(kq, NULL, 0, &event, 1, &now), 0);
    assert_int_equal(kevent(kq, changes, 2, &event, 1, NULL), 1);
    assert_int_equal(kevent(kq, NULL, 0, &event, 1, &now), 1);
    close(kq);
    close(fds[0]);
    close(fds[1]);
}

static void timeouts_must_be_good_and_no_room_is_no_wait(void **state)
{
    const struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}}, now = {0, 0};
    struct kevent event;
    int kq = kqueue();

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kevent(kq, NULL, 0, &event, 1, &bad[i]), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(kevent(kq, NULL, 0, NULL, 0, NULL), 0);
    assert_int_equal(fcntl(kq, F_GETFD), 0); /* not close-on-exec */
    close(kq);
    assert_int_equal(kevent(kq, NULL, 0, &event, 1, &now), -1);
    assert_int_equal(errno, EBADF);
}

/* Adding replaces the user's data, and neither enables nor makes an edge of a level. */
static void adding_again_changes_the_data_only(void **state)
{
    const struct timespec now = {0, 0};
    struct kevent change, event;
    int kq = kqueue(), fds[2], data;

    (void)state;
    test_socketpair(fds);
    change = change_of(fds[0], EVFILT_WRITE, EV_ADD | EV_DISABLE);
    assert_int_equal(kevent(kq, &change, 1, NULL, 0, NULL), 0);
    change.flags = EV_ADD | EV_CLEAR;
    change.udata = &data;
    assert_int_equal(kevent(kq, &change, 1, NULL, 0, NULL), 0);
    assert_int_equal(kevent(kq, NULL, 0, &event, 1, &now), 0);
    change.flags = EV_ENABLE;
    assert_int_equal(kevent(kq, &change, 1, NULL, 0, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kevent(kq, NULL, 0, &event, 1, &now), 1);
        assert_ptr_equal(event.udata, &data);
    }
    close(kq);
    close(fds[0]);
    close(fds[1]);
}

/* Even if a duplicate lives on; and both filters have their event, in varying order. */
static void closing_drops_notes_and_filters_are_apart(void **state)
{
    const struct timespec now = {0, 0};
    struct kevent changes[2], events[3];
    int kq = kqueue(), fds[2], first[2] = {0, 0}, copy;

    (void)state;
    test_socketpair(fds);
    put(fds[1]);
    changes[0] = change_of(fds[0], EVFILT_READ, EV_ADD);
    changes[1] = change_of(fds[0], EVFILT_WRITE, EV_ADD);
    assert_int_equal(kevent(kq, changes, 2, NULL, 0, NULL), 0);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(kevent(kq, NULL, 0, events, 3, &now), 2);
        assert_int_not_equal(events[0].filter, events[1].filter);
        first[events[0].filter == EVFILT_READ]++;
    }
    assert_true(first[0] > 0 && first[1] > 0);
    copy = dup(fds[0]);
    close(fds[0]);
    assert_int_equal(kevent(kq, NULL, 0, events, 3, &now), 0);
    changes[0].flags = EV_DELETE;
    assert_int_equal(kevent(kq, changes, 1, NULL, 0, NULL), -1);
    assert_int_equal(errno, EBADF);
    close(kq);
    close(copy);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_nobody_reads_is_ready_for_everything),
        cmocka_unit_test(a_pipe_whose_reader_goes_is_ready_from_then_on),
        cmocka_unit_test(an_edge_on_a_dead_pipe_is_reported_once),
        cmocka_unit_test(a_dead_pipe_leaves_room_for_others),
        cmocka_unit_test(a_hangup_alone_is_not_waited_for_busily),
        cmocka_unit_test(shutting_down_our_own_side_is_no_hangup),
        cmocka_unit_test(a_connection_takes_one_call_and_closing_it_none),
        cmocka_unit_test(files_never_reach_the_kernel),
        cmocka_unit_test(a_number_that_means_another_file_is_not_registered),
        cmocka_unit_test(edges_and_levels_replace_each_other),
        cmocka_unit_test(a_loop_does_not_mind_waits_that_are_interrupted),
        cmocka_unit_test(without_events_of_users_a_pipe_wakes),
        cmocka_unit_test(a_child_leaves_the_number_to_who_has_it),
        cmocka_unit_test(errors_come_alone_and_at_once),
        cmocka_unit_test(changes_after_an_error_without_a_slot_are_not_made),
        cmocka_unit_test(timeouts_must_be_good_and_no_room_is_no_wait),
        cmocka_unit_test(adding_again_changes_the_data_only),
        cmocka_unit_test(closing_drops_notes_and_filters_are_apart),
    };

    return cmocka_run_group_tests_name("kqueue", tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
