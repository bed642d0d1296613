/* SPDX-License-Identifier: MIT
 *
 * Watchers as their header describes them: which events are reported for which state of a
 * descriptor, what callbacks may do to watchers, fairness, bad arguments. What happens to watchers
 * of descriptors that are closed, reused or duplicated is in test_identity.c.
 *
 * Each test gets a desk: a loop in real time, a pair of connected sockets and some watchers, which
 * are stopped and closed after it. A test leaves as many descriptors open as it found.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#    include <sys/epoll.h>
#endif

enum { ALL = JG_READ | JG_WRITE | JG_HANGUP };

/* A watcher that counts its calls and then does what the test says. */
struct probe {
    jg_watcher watcher;
    jg_loop *loop;
    int calls;
    int events; /* of the last call */
    int fd;
    void (*then)(struct probe *self);
    struct probe *other;
};

struct desk {
    jg_loop *loop;
    int fds[2];
    struct probe a, b, c, more[4];
    int open_before;
};

static void on_event(void *arg, int events)
{
    struct probe *probe = arg;

    probe->calls++;
    probe->events = events;
    if (probe->then)
        probe->then(probe);
}

static void probe_init(struct probe *probe, jg_loop *loop)
{
    memset(probe, 0, sizeof(*probe));
    probe->loop = loop;
    probe->fd = -1;
    jg_watcher_init(&probe->watcher, on_event, probe);
}

static int try_start(struct probe *probe, int fd, unsigned events)
{
    return jg_watcher_start(probe->loop, &probe->watcher, fd, events);
}

static void start(struct probe *probe, int fd, unsigned events)
{
    probe->fd = fd;
    assert_int_equal(try_start(probe, fd, events), 0);
}

static void modify(struct probe *probe, unsigned events)
{
    assert_int_equal(jg_watcher_modify(&probe->watcher, events), 0);
}

static void stop(struct probe *probe)
{
    jg_watcher_stop(&probe->watcher);
}

static bool started(const struct probe *probe)
{
    return jg_handle_started(&probe->watcher.handle);
}

static void turn(jg_loop *loop)
{
    int r = jg_loop_run_once(loop, 0);

    assert_true(r == 0 || r == 1);
}

static int desk_open(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    int i;

    assert_non_null(desk);
    desk->open_before = test_open_descriptors();
    desk->loop = test_loop(0);
    test_socketpair(desk->fds);
    probe_init(&desk->a, desk->loop);
    probe_init(&desk->b, desk->loop);
    probe_init(&desk->c, desk->loop);
    for (i = 0; i < 4; i++)
        probe_init(&desk->more[i], desk->loop);
    *state = desk;
    return 0;
}

static int desk_close(void **state)
{
    struct desk *desk = *state;
    int leaked, i;

    stop(&desk->a);
    stop(&desk->b);
    stop(&desk->c);
    for (i = 0; i < 4; i++)
        stop(&desk->more[i]);
    (void)close(desk->fds[0]); /* the test may have closed it */
    (void)close(desk->fds[1]);
    test_loop_done(desk->loop);
    leaked = test_open_descriptors() - desk->open_before;
    free(desk);
    return leaked;
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

/* A file and /dev/null. */
static void test_files(int fds[2])
{
    char name[] = "/tmp/juggle-test-XXXXXX";

    fds[0] = mkstemp(name);
    assert_true(fds[0] >= 0);
    assert_int_equal(unlink(name), 0);
    fds[1] = open("/dev/null", O_RDWR);
    assert_true(fds[1] >= 0);
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

/* Wait until the kernel has got so far as to report an event, as the network may take a moment. */
static void await(int fd, short events)
{
    struct pollfd wanted = {.fd = fd, .events = events};

    assert_int_equal(poll(&wanted, 1, 5000), 1);
}

/* Write until there is no room, also not after the peer's kernel took what it can. */
static void fill(int fd)
{
    static const char zeros[4096];
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    do {
        while (write(fd, zeros, sizeof(zeros)) > 0)
            ;
    } while (poll(&room, 1, 10) > 0);
}

/* A socket that is bound to a free port of the loopback address. */
static int bound(struct sockaddr_in *ret_address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof(*ret_address);

    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sin_family = AF_INET;
    ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &length), 0);
    return fd;
}

static int connect_to(int fd, const struct sockaddr_in *address)
{
    assert_true(fd >= 0);
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* Replace the desk's sockets by a TCP connection. */
static void use_tcp(struct desk *desk)
{
    struct sockaddr_in address;
    int listener = bound(&address), i;

    close_both(desk->fds);
    assert_int_equal(listen(listener, 1), 0);
    desk->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(desk->fds[0], &address), 0);
    desk->fds[1] = accept(listener, NULL, NULL);
    assert_true(desk->fds[1] >= 0);
    for (i = 0; i < 2; i++)
        assert_int_equal(fcntl(desk->fds[i], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(close(listener), 0);
}

/* Replace them by the ends of a pipe: [0] is for reading. */
static void use_pipe(struct desk *desk)
{
    close_both(desk->fds);
    test_pipe(desk->fds);
}

/* Close a connection so that the peer gets a reset. */
static void reset(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    assert_int_equal(close(fd), 0);
}

static jg_time cpu_time(void)
{
    struct timespec used;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (jg_time)used.tv_sec * JG_SECOND + used.tv_nsec;
}

/* The loop, which must be alive, has nothing to do: it sleeps all the time that it may, and then
   its kernel object is silent. */
static void assert_quiet(jg_loop *loop)
{
    jg_time used = cpu_time(), began = test_clock();
    struct pollfd kernel = {.events = POLLIN};

    assert_int_equal(jg_loop_run_once(loop, 40 * JG_MILLISECOND), 1);
    assert_true(test_clock() - began >= 40 * JG_MILLISECOND);
    assert_true(cpu_time() - used < 25 * JG_MILLISECOND);
    kernel.fd = jg_loop_fd(loop);
    if (kernel.fd >= 0) {
        assert_true(jg_loop_prepare(loop) == JG_FOREVER);
        assert_int_equal(poll(&kernel, 1, 0), 0);
    }
}

/* The descriptor is in a state in which exactly `reported` of the events hold: each watcher gets
   those of them that it asked for. */
static void assert_reported(struct desk *desk, int fd, unsigned reported)
{
    unsigned asked;

    for (asked = 0; asked <= ALL; asked++) {
        probe_init(&desk->a, desk->loop);
        start(&desk->a, fd, asked);
        turn(desk->loop);
        assert_int_equal(desk->a.events, asked & reported);
        assert_int_equal(desk->a.calls, (asked & reported) != 0);
        stop(&desk->a);
    }
}

/* A hung-up descriptor: everything is reported. A watcher that wants nothing is not called, costs
   nothing, and is told when it wants again. */
static void assert_hung_up(struct desk *desk, int fd)
{
    struct probe *probe = &desk->b;

    assert_reported(desk, fd, ALL);
    start(probe, fd, 0);
    assert_quiet(desk->loop);
    assert_int_equal(probe->calls, 0);
    modify(probe, JG_READ);
    turn(desk->loop);
    assert_int_equal(probe->calls, 1);
    assert_int_equal(probe->events, JG_READ);
    modify(probe, 0);
    assert_quiet(desk->loop);
    assert_int_equal(probe->calls, 1);
    stop(probe);
}

/* What is reported */

static void an_idle_socket_with_room_is_writable(void **state)
{
    struct desk *desk = *state;

    assert_reported(desk, desk->fds[0], JG_WRITE);
}

static void an_idle_socket_without_room_reports_nothing(void **state)
{
    struct desk *desk = *state;

    fill(desk->fds[0]);
    assert_reported(desk, desk->fds[0], 0);
}

static void data_is_readable_but_no_hangup(void **state)
{
    struct desk *desk = *state;

    fill(desk->fds[0]);
    put(desk->fds[1]);
    assert_reported(desk, desk->fds[0], JG_READ);
}

static void a_tcp_end_of_stream_is_readable_and_a_hangup(void **state)
{
    struct desk *desk = *state;

    use_tcp(desk);
    fill(desk->fds[0]);
    assert_int_equal(shutdown(desk->fds[1], SHUT_WR), 0);
    await(desk->fds[0], POLLIN);
    assert_reported(desk, desk->fds[0], JG_READ | JG_HANGUP);
}

static void a_tcp_end_of_stream_is_invisible_to_a_writer(void **state)
{
    struct desk *desk = *state;

    use_tcp(desk);
    fill(desk->fds[0]);
    assert_int_equal(shutdown(desk->fds[1], SHUT_WR), 0);
    await(desk->fds[0], POLLIN);
    start(&desk->a, desk->fds[0], JG_WRITE);
    assert_quiet(desk->loop);
    modify(&desk->a, 0);
    assert_quiet(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    modify(&desk->a, JG_WRITE | JG_HANGUP);
    turn(desk->loop);
    assert_int_equal(desk->a.events, JG_HANGUP);
}

static void a_tcp_reset_shows_as_every_event_asked_for(void **state)
{
    struct desk *desk = *state;

    use_tcp(desk);
    fill(desk->fds[0]);
    reset(desk->fds[1]);
    await(desk->fds[0], POLLIN);
    assert_hung_up(desk, desk->fds[0]);
}

static void data_that_came_before_a_reset_can_still_be_read(void **state)
{
    struct desk *desk = *state;
    char data[8];
    ssize_t n;

    use_tcp(desk);
    assert_int_equal(write(desk->fds[1], "data", 4), 4);
    await(desk->fds[0], POLLIN);
    reset(desk->fds[1]);
    await(desk->fds[0], 0); /* an error is always reported */
    start(&desk->a, desk->fds[0], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.events, JG_READ);
    n = read(desk->fds[0], data, sizeof(data));
#ifdef __linux__
    assert_int_equal(n, 4); /* other kernels may throw the data away at a reset */
#endif
    if (n > 0) {
        turn(desk->loop);
        assert_int_equal(desk->a.calls, 2);
        n = read(desk->fds[0], data, sizeof(data));
    }
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
}

static void a_connection_that_both_sides_ended_shows_as_every_event_asked_for(void **state)
{
    struct desk *desk = *state;

    use_tcp(desk);
    assert_int_equal(shutdown(desk->fds[0], SHUT_WR), 0);
    assert_int_equal(shutdown(desk->fds[1], SHUT_WR), 0);
    await(desk->fds[0], POLLIN);
    assert_hung_up(desk, desk->fds[0]);
}

static void a_closed_local_peer_shows_as_every_event_asked_for(void **state)
{
    struct desk *desk = *state;

    fill(desk->fds[0]);
    close(desk->fds[1]);
    assert_hung_up(desk, desk->fds[0]);
}

static void a_local_peer_that_stopped_writing_is_readable_and_a_hangup(void **state)
{
    struct desk *desk = *state;

    fill(desk->fds[0]);
    assert_int_equal(shutdown(desk->fds[1], SHUT_WR), 0);
    assert_reported(desk, desk->fds[0], JG_READ | JG_HANGUP);
}

/* Some kernels report a hang-up alone there, without anything to read. */
static void the_end_of_an_empty_pipe_is_readable(void **state)
{
    struct desk *desk = *state;

    use_pipe(desk);
    assert_reported(desk, desk->fds[0], 0);
    close(desk->fds[1]);
    assert_hung_up(desk, desk->fds[0]);
}

static void the_end_of_a_pipe_with_data_is_readable(void **state)
{
    struct desk *desk = *state;

    use_pipe(desk);
    put(desk->fds[1]);
    assert_reported(desk, desk->fds[0], JG_READ);
    close(desk->fds[1]);
    assert_reported(desk, desk->fds[0], ALL);
    get(desk->fds[0]);
}

static void a_pipe_without_reader_is_writable(void **state)
{
    struct desk *desk = *state;

    use_pipe(desk);
    assert_reported(desk, desk->fds[1], JG_WRITE);
    fill(desk->fds[1]);
    assert_reported(desk, desk->fds[1], 0);
    close(desk->fds[0]);
    assert_hung_up(desk, desk->fds[1]);
}

#ifdef __linux__
/* The BSDs report nothing here. */
static void an_unconnected_socket_shows_as_every_event_asked_for(void **state)
{
    struct desk *desk = *state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_hung_up(desk, fd);
    close(fd);
}
#endif

static void a_refused_connection_is_writable_and_keeps_its_error(void **state)
{
    struct desk *desk = *state;
    struct sockaddr_in address;
    int nobody = bound(&address), fd = socket(AF_INET, SOCK_STREAM, 0), refused, error = 0;
    socklen_t length = sizeof(error);

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(connect_to(fd, &address), -1);
    refused = errno;
    if (refused == EINPROGRESS) {
        await(fd, POLLOUT);
        assert_reported(desk, fd, ALL);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        refused = error;
    }
    assert_int_equal(refused, ECONNREFUSED);
    close(fd);
    close(nobody);
}

static void a_listener_is_readable_when_somebody_connects(void **state)
{
    struct desk *desk = *state;
    struct sockaddr_in address;
    int listener = bound(&address), client = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(listen(listener, 1), 0);
    start(&desk->a, listener, JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    assert_int_equal(connect_to(client, &address), 0);
    turn(desk->loop);
    assert_int_equal(desk->a.events, JG_READ);
    stop(&desk->a);
    close(client);
    close(listener);
}

/* Start, modify, stop */

static void a_ready_descriptor_is_reported_in_every_turn(void **state)
{
    struct desk *desk = *state;
    int i;

    start(&desk->a, desk->fds[0], JG_READ);
    put(desk->fds[1]);
    for (i = 1; i <= 3; i++) {
        turn(desk->loop);
        assert_int_equal(desk->a.calls, i);
    }
    get(desk->fds[0]);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 3);
}

static void no_callback_runs_inside_start_modify_or_stop(void **state)
{
    struct desk *desk = *state;
    int files[2];

    test_files(files);
    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, files[0], JG_READ);
    modify(&desk->a, JG_READ | JG_WRITE);
    modify(&desk->b, JG_READ | JG_WRITE);
    assert_int_equal(desk->a.calls + desk->b.calls, 0);
    stop(&desk->a);
    stop(&desk->b);
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 0);
    close_both(files);
}

static void a_started_watcher_keeps_the_loop_alive(void **state)
{
    struct desk *desk = *state;

    assert_false(jg_loop_alive(desk->loop));
    start(&desk->a, desk->fds[0], JG_READ);
    assert_true(started(&desk->a));
    assert_true(jg_loop_alive(desk->loop));
    modify(&desk->a, 0);
    assert_true(jg_loop_alive(desk->loop));
    jg_handle_unref(&desk->a.watcher.handle);
    assert_false(jg_loop_alive(desk->loop));
    assert_int_equal(jg_loop_run(desk->loop), 0);
    jg_handle_ref(&desk->a.watcher.handle);
    assert_true(jg_loop_alive(desk->loop));
    stop(&desk->a);
    assert_false(started(&desk->a));
    assert_false(jg_loop_alive(desk->loop));
}

static void an_unreferenced_watcher_is_still_called(void **state)
{
    struct desk *desk = *state;

    start(&desk->a, desk->fds[0], JG_WRITE);
    jg_handle_unref(&desk->a.watcher.handle);
    start(&desk->b, desk->fds[1], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 0);
}

static void stopping_twice_and_before_the_start_does_nothing(void **state)
{
    struct desk *desk = *state;
    jg_watcher zeroed;

    memset(&zeroed, 0, sizeof(zeroed));
    jg_watcher_stop(&zeroed);
    stop(&desk->a);
    start(&desk->a, desk->fds[0], JG_READ);
    stop(&desk->a);
    stop(&desk->a);
    assert_false(jg_loop_alive(desk->loop));
}

static void changed_events_count_from_the_next_turn_on(void **state)
{
    static const unsigned wanted[] = {JG_READ, JG_WRITE, JG_WRITE | JG_READ, JG_READ};
    struct desk *desk = *state;
    size_t i;

    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        modify(&desk->a, wanted[i]);
        turn(desk->loop);
        assert_int_equal(desk->a.events, wanted[i]);
        assert_int_equal(desk->a.calls, i + 1);
    }
    modify(&desk->a, 0);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, i);
}

static void many_changes_in_one_turn_leave_the_last(void **state)
{
    struct desk *desk = *state;
    unsigned i;

    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    for (i = 0; i < 50; i++) {
        modify(&desk->a, i % (ALL + 1));
        if (i % 3 == 0) {
            stop(&desk->a);
            start(&desk->a, desk->fds[0], JG_READ);
        }
    }
    modify(&desk->a, JG_WRITE);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->a.events, JG_WRITE);
}

static void a_stopped_watcher_can_watch_another_descriptor(void **state)
{
    struct desk *desk = *state;

    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    turn(desk->loop);
    stop(&desk->a);
    start(&desk->a, desk->fds[1], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    put(desk->fds[0]);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 2);
}

static void closing_a_watcher_closes_its_descriptor(void **state)
{
    struct desk *desk = *state;

    start(&desk->a, desk->fds[0], JG_READ);
    assert_int_equal(jg_watcher_close(&desk->a.watcher), 0);
    assert_false(started(&desk->a));
    assert_false(jg_loop_alive(desk->loop));
    assert_int_equal(fcntl(desk->fds[0], F_GETFD), -1);
}

static void the_flags_of_a_descriptor_are_left_alone(void **state)
{
    struct desk *desk = *state;
    int fds[2], flags, descriptor_flags;

    assert_int_equal(pipe(fds), 0);
    flags = fcntl(fds[0], F_GETFL);
    descriptor_flags = fcntl(fds[0], F_GETFD);
    assert_false(flags & O_NONBLOCK);
    start(&desk->a, fds[0], JG_READ);
    turn(desk->loop);
    assert_int_equal(fcntl(fds[0], F_GETFL), flags);
    stop(&desk->a);
    turn(desk->loop);
    assert_int_equal(fcntl(fds[0], F_GETFL), flags);
    assert_int_equal(fcntl(fds[0], F_GETFD), descriptor_flags);
    close_both(fds);
}

static void find(void *arg, const jg_started *found)
{
    struct probe *probe = arg;

    assert_string_equal(found->kind, "watcher");
    assert_ptr_equal(found->object, &probe->watcher);
    assert_ptr_equal(found->arg, probe);
    assert_int_equal(found->number, probe->fd);
    assert_false(found->ref);
    probe->calls++;
}

static void a_walk_shows_a_watcher_with_its_descriptor(void **state)
{
    struct desk *desk = *state;

    start(&desk->a, desk->fds[0], JG_READ);
    jg_handle_unref(&desk->a.watcher.handle);
    jg_loop_walk(desk->loop, find, &desk->a);
    assert_int_equal(desk->a.calls, 1);
    stop(&desk->a);
    jg_loop_walk(desk->loop, find, &desk->a);
    assert_int_equal(desk->a.calls, 1);
}

/* Several watchers on one descriptor */

static void each_watcher_of_a_descriptor_gets_its_own_events(void **state)
{
    struct desk *desk = *state;

    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[0], JG_WRITE | JG_HANGUP);
    start(&desk->c, desk->fds[0], JG_READ | JG_WRITE);
    turn(desk->loop);
    assert_int_equal(desk->a.events, JG_READ);
    assert_int_equal(desk->b.events, JG_WRITE);
    assert_int_equal(desk->c.events, JG_READ | JG_WRITE);
    modify(&desk->c, 0);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 2);
    assert_int_equal(desk->b.calls, 2);
    assert_int_equal(desk->c.calls, 1);
}

static void what_a_stopped_watcher_wanted_is_not_waited_for(void **state)
{
    struct desk *desk = *state;

    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[0], JG_WRITE);
    turn(desk->loop);
    assert_int_equal(desk->b.calls, 1);
    stop(&desk->b);
    assert_quiet(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    assert_int_equal(desk->b.calls, 1);
    put(desk->fds[1]);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
}

static void a_hundred_watchers_of_one_descriptor_are_all_called(void **state)
{
    struct desk *desk = *state;
    struct probe probes[100];
    int i;

    put(desk->fds[1]);
    for (i = 0; i < 100; i++) {
        probe_init(&probes[i], desk->loop);
        start(&probes[i], desk->fds[0], JG_READ);
    }
    turn(desk->loop);
    for (i = 0; i < 100; i++)
        assert_int_equal(probes[i].calls, 1);
    for (i = 0; i < 100; i += 2)
        stop(&probes[i]);
    turn(desk->loop);
    for (i = 0; i < 100; i++) {
        assert_int_equal(probes[i].calls, 1 + i % 2);
        stop(&probes[i]);
    }
}

static void two_loops_watch_one_descriptor_independently(void **state)
{
    struct desk *desk = *state;
    jg_loop *second = test_loop(0);

    desk->b.loop = second;
    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[0], JG_READ);
    turn(desk->loop);
    turn(second);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 1);
    stop(&desk->a);
    turn(desk->loop);
    turn(second);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 2);
    stop(&desk->b);
    test_loop_done(second);
}

/* What callbacks do to watchers */

/* Start a and b, both of which are ready, each knowing the other. */
static void start_both(struct desk *desk, int fd_a, int fd_b, void (*then)(struct probe *self))
{
    probe_init(&desk->a, desk->loop);
    probe_init(&desk->b, desk->loop);
    desk->a.then = desk->b.then = then;
    desk->a.other = &desk->b;
    desk->b.other = &desk->a;
    start(&desk->a, fd_a, JG_READ);
    start(&desk->b, fd_b, JG_READ);
}

/* Data for both of the desk's sockets. */
static void put_both(struct desk *desk)
{
    put(desk->fds[0]);
    put(desk->fds[1]);
}

static void stop_other(struct probe *self)
{
    stop(self->other);
}

/* Whoever is first stops the second, which is not called. */
static void assert_first_stops_second(struct desk *desk, int fd_a, int fd_b)
{
    start_both(desk, fd_a, fd_b, stop_other);
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 1);
    assert_int_equal(started(&desk->a), desk->a.calls);
    assert_int_equal(started(&desk->b), desk->b.calls);
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 2);
    assert_true(desk->a.calls == 0 || desk->b.calls == 0);
    stop(&desk->a);
    stop(&desk->b);
}

static void a_watcher_stopped_by_another_is_not_called(void **state)
{
    struct desk *desk = *state;
    int files[2];

    test_files(files);
    put_both(desk);
    assert_first_stops_second(desk, desk->fds[0], desk->fds[0]);
    assert_first_stops_second(desk, desk->fds[0], desk->fds[1]);
    assert_first_stops_second(desk, desk->fds[1], desk->fds[0]);
    assert_first_stops_second(desk, files[0], files[0]);
    assert_first_stops_second(desk, files[0], files[1]);
    assert_first_stops_second(desk, files[1], files[0]);
    assert_first_stops_second(desk, files[1], desk->fds[0]);
    close_both(files);
}

/* One of five watchers of a descriptor stops another or itself: for every pair, so that it comes
   before and after it. The others are called, and so is the victim if it came first. */
static void any_watcher_may_stop_any_other_of_its_descriptor(void **state)
{
    enum { COUNT = 5 };
    struct desk *desk = *state;
    struct probe probes[COUNT];
    int killer, victim, i;

    put(desk->fds[1]);
    for (killer = 0; killer < COUNT; killer++) {
        for (victim = 0; victim < COUNT; victim++) {
            for (i = 0; i < COUNT; i++) {
                probe_init(&probes[i], desk->loop);
                probes[i].then = i == killer ? stop_other : NULL;
                probes[i].other = &probes[victim];
                start(&probes[i], desk->fds[0], JG_READ);
            }
            turn(desk->loop);
            turn(desk->loop);
            for (i = 0; i < COUNT; i++) {
                assert_in_range(probes[i].calls, i == victim ? 0 : 2, i == victim ? 1 : 2);
                assert_int_equal(started(&probes[i]), i != victim);
                stop(&probes[i]);
            }
        }
    }
}

static void pause_other(struct probe *self)
{
    modify(self->other, 0);
}

static void a_watcher_paused_by_another_is_not_called_in_that_turn(void **state)
{
    struct desk *desk = *state;
    int round;

    put_both(desk);
    for (round = 0; round < 2; round++) {
        start_both(desk, desk->fds[0], desk->fds[round], pause_other);
        turn(desk->loop);
        assert_int_equal(desk->a.calls + desk->b.calls, 1);
        stop(&desk->a);
        stop(&desk->b);
    }
}

static void want_write_other(struct probe *self)
{
    modify(self->other, JG_WRITE);
    modify(self, 0);
}

static void no_watcher_gets_an_event_that_it_no_longer_wants(void **state)
{
    struct desk *desk = *state;

    fill(desk->fds[0]);
    put(desk->fds[1]);
    start_both(desk, desk->fds[0], desk->fds[0], want_write_other);
    turn(desk->loop);
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 1);
}

static void a_watcher_may_stop_itself(void **state)
{
    struct desk *desk = *state;

    put(desk->fds[1]);
    desk->a.then = stop;
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[1], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_quiet(desk->loop);
    assert_int_equal(desk->a.calls, 1);
}

/* Memory that is the caller's again may be gone when the callback returns: the sanitizers, and the
   pattern that it is filled with, notice a loop that still looks at it. */
static void free_probe(struct probe *probe)
{
    stop(probe);
    memset(probe, 0xdd, sizeof(*probe));
    free(probe);
}

static void free_both(struct probe *self)
{
    free_probe(self->other);
    free_probe(self);
}

static void callbacks_may_free_their_own_watcher_and_others(void **state)
{
    struct desk *desk = *state;
    int round, i;

    put_both(desk);
    for (round = 0; round < 4; round++) {
        struct probe *pair[2];

        for (i = 0; i < 2; i++) {
            pair[i] = calloc(1, sizeof(*pair[i]));
            assert_non_null(pair[i]);
            probe_init(pair[i], desk->loop);
            pair[i]->then = round < 2 ? free_both : free_probe;
            start(pair[i], desk->fds[i & round], JG_READ);
        }
        pair[0]->other = pair[1];
        pair[1]->other = pair[0];
        turn(desk->loop);
        assert_false(jg_loop_alive(desk->loop));
    }
}

static void start_other(struct probe *self)
{
    self->then = NULL;
    start(self->other, self->other->fd, JG_READ);
}

/* b is started in the callback of a on a descriptor that is ready as well. */
static void assert_called_only_in_the_next_turn(struct desk *desk, int fd_a, int fd_b)
{
    start_both(desk, fd_a, fd_b, start_other);
    stop(&desk->b);
    desk->b.then = NULL;
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 0);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 2);
    assert_int_equal(desk->b.calls, 1);
    stop(&desk->a);
    stop(&desk->b);
}

static void a_watcher_started_in_a_callback_is_not_called_in_that_turn(void **state)
{
    struct desk *desk = *state;
    int files[2];

    test_files(files);
    put_both(desk);
    assert_called_only_in_the_next_turn(desk, desk->fds[0], desk->fds[0]);
    assert_called_only_in_the_next_turn(desk, desk->fds[0], desk->fds[1]);
    assert_called_only_in_the_next_turn(desk, desk->fds[1], desk->fds[0]);
    assert_called_only_in_the_next_turn(desk, desk->fds[0], files[0]);
    assert_called_only_in_the_next_turn(desk, files[0], desk->fds[0]);
    assert_called_only_in_the_next_turn(desk, files[0], files[0]);
    assert_called_only_in_the_next_turn(desk, files[0], files[1]);
    close_both(files);
}

static void restart(struct probe *probe)
{
    stop(probe);
    start(probe, probe->fd, JG_READ);
}

static void restart_other(struct probe *self)
{
    restart(self->other);
}

static void a_watcher_restarted_by_another_waits_for_the_next_turn(void **state)
{
    struct desk *desk = *state;
    int round;

    put_both(desk);
    for (round = 0; round < 2; round++) {
        start_both(desk, desk->fds[0], desk->fds[round], restart_other);
        turn(desk->loop);
        assert_int_equal(desk->a.calls + desk->b.calls, 1);
        turn(desk->loop);
        assert_int_equal(desk->a.calls + desk->b.calls, 2);
        stop(&desk->a);
        stop(&desk->b);
    }
}

static void a_watcher_that_restarts_itself_is_called_once_a_turn(void **state)
{
    struct desk *desk = *state;
    int files[2], i;

    test_files(files);
    put(desk->fds[1]);
    desk->a.then = desk->b.then = desk->c.then = restart;
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[0], JG_READ);
    start(&desk->c, files[0], JG_READ);
    for (i = 1; i <= 5; i++) {
        turn(desk->loop);
        assert_int_equal(desk->a.calls, i);
        assert_int_equal(desk->b.calls, i);
        assert_int_equal(desk->c.calls, i);
    }
    stop(&desk->c);
    close_both(files);
}

/* Each of two descriptors has a watcher that restarts one of the other descriptor, in every turn.
   Those that are just there must not be overlooked. */
static void a_start_takes_no_event_from_others_of_the_descriptor(void **state)
{
    struct desk *desk = *state;
    struct probe *pawns = desk->more, *patient = desk->more + 2;
    int i, round;

    put_both(desk);
    start_both(desk, desk->fds[0], desk->fds[1], restart_other);
    desk->a.other = &pawns[1];
    desk->b.other = &pawns[0];
    for (i = 0; i < 2; i++) {
        start(&patient[i], desk->fds[i], JG_READ);
        start(&pawns[i], desk->fds[i], JG_READ);
    }
    for (round = 1; round <= 5; round++) {
        turn(desk->loop);
        assert_int_equal(desk->a.calls, round);
        assert_int_equal(desk->b.calls, round);
        assert_int_equal(patient[0].calls, round);
        assert_int_equal(patient[1].calls, round);
    }
}

static void a_start_spares_paused_watchers_of_a_hung_up_descriptor(void **state)
{
    struct desk *desk = *state;

    close(desk->fds[1]);
    start(&desk->a, desk->fds[0], 0);
    turn(desk->loop);
    turn(desk->loop);
    start(&desk->b, desk->fds[0], JG_READ);
    turn(desk->loop);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    assert_int_equal(desk->b.calls, 2);
    modify(&desk->a, JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->a.events, JG_READ);
}

static void move_to_the_others_descriptor(struct probe *self)
{
    stop(self);
    start(self, self->other->fd, JG_WRITE);
}

static void a_watcher_may_move_to_another_descriptor_in_its_callback(void **state)
{
    struct desk *desk = *state;

    put(desk->fds[1]);
    start_both(desk, desk->fds[0], desk->fds[1], move_to_the_others_descriptor);
    stop(&desk->b);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->a.events, JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 2);
    assert_int_equal(desk->a.events, JG_WRITE);
}

static void close_self_and_other(struct probe *self)
{
    assert_int_equal(jg_watcher_close(&self->other->watcher), 0);
    assert_int_equal(jg_watcher_close(&self->watcher), 0);
}

static void a_callback_may_close_its_own_descriptor_and_others(void **state)
{
    struct desk *desk = *state;

    put_both(desk);
    start_both(desk, desk->fds[0], desk->fds[1], close_self_and_other);
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 1);
    assert_false(jg_loop_alive(desk->loop));
    turn(desk->loop);
    assert_int_equal(desk->a.calls + desk->b.calls, 1);
}

enum { CROWD = 100 }; /* whose events come in one turn */

static struct probe crowd[CROWD];

/* Makes the loop's tables grow while it dispatches from them. */
static void start_crowd(struct probe *self)
{
    int i;

    self->then = NULL;
    for (i = 0; i < CROWD; i++) {
        probe_init(&crowd[i], self->loop);
        start(&crowd[i], dup(self->fd), JG_READ);
    }
}

static void a_callback_may_start_very_many_watchers(void **state)
{
    struct desk *desk = *state;
    int i;

    put_both(desk);
    desk->a.then = start_crowd;
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[1], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 1);
    turn(desk->loop);
    for (i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].calls, 1);
        assert_int_equal(jg_watcher_close(&crowd[i].watcher), 0);
    }
}

static void stop_loop(struct probe *self)
{
    jg_loop_stop(self->loop);
}

static void stopping_the_loop_does_not_swallow_events_of_the_turn(void **state)
{
    struct desk *desk = *state;

    put_both(desk);
    start_both(desk, desk->fds[0], desk->fds[1], stop_loop);
    assert_int_equal(jg_loop_run(desk->loop), 0);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 1);
}

/* Descriptors that cannot be waited for */

static void files_and_dev_null_are_always_ready(void **state)
{
    static const unsigned wanted[] = {JG_READ, JG_READ | JG_WRITE, JG_WRITE};
    struct desk *desk = *state;
    int files[2];
    size_t i, j;

    test_files(files);
    for (i = 0; i < 2; i++) {
        start(&desk->a, files[i], JG_READ);
        for (j = 0; j < 3; j++) {
            modify(&desk->a, wanted[j]);
            /* It does not wait, however long it might. */
            assert_int_equal(jg_loop_run_once(desk->loop, JG_FOREVER), 1);
            assert_int_equal(desk->a.events, wanted[j]);
        }
        stop(&desk->a);
        turn(desk->loop);
        assert_int_equal(desk->a.calls, 3 * (i + 1));
    }
    close_both(files);
}

static void a_file_can_be_paused_and_closed(void **state)
{
    struct desk *desk = *state;
    int files[2], i;

    test_files(files);
    start(&desk->b, desk->fds[0], JG_READ);
    for (i = 0; i < 2; i++) {
        probe_init(&desk->a, desk->loop);
        start(&desk->a, files[i], JG_READ);
        turn(desk->loop);
        modify(&desk->a, 0);
        assert_quiet(desk->loop);
        assert_int_equal(desk->a.calls, 1);
        modify(&desk->a, JG_WRITE);
        turn(desk->loop);
        assert_int_equal(desk->a.calls, 2);
        assert_int_equal(jg_watcher_close(&desk->a.watcher), 0);
        assert_int_equal(fcntl(files[i], F_GETFD), -1);
        assert_quiet(desk->loop);
        assert_int_equal(desk->a.calls, 2);
    }
}

/* A watcher leaves in each turn; no other file misses it. */
static void a_file_that_goes_costs_no_other_its_turn(void **state)
{
    enum { FILES = 9 };
    struct desk *desk = *state;
    struct probe probes[FILES];
    int i, leaving;

    for (i = 0; i < FILES; i++) {
        probe_init(&probes[i], desk->loop);
        start(&probes[i], open("/dev/null", O_RDWR), JG_READ);
    }
    for (leaving = 0; leaving < FILES; leaving++) {
        probes[leaving].then = close_self_and_other;
        probes[leaving].other = &desk->a;
        start(&desk->a, open("/dev/null", O_RDWR), 0);
        turn(desk->loop);
        for (i = leaving; i < FILES; i++)
            assert_int_equal(probes[i].calls, leaving + 1);
        assert_false(started(&probes[leaving]));
    }
}

/* More files than the loop takes events in a turn: the pipe, the call and the timer have their turn
   all the same, and so has each of the files. */
static void files_starve_neither_others_nor_timers(void **state)
{
    enum { FILES = 20, TURNS = 100 };
    struct desk *desk = *state;
    jg_loop *loop = test_loop_with((jg_loop_options){.max_events = 4});
    struct probe files[FILES];
    jg_timer timer;
    jg_call call;
    int i, fired = 0, called = 0;
    jg_time began = test_clock();

    put(desk->fds[1]);
    desk->a.loop = loop;
    start(&desk->a, desk->fds[0], JG_READ);
    for (i = 0; i < FILES; i++) {
        probe_init(&files[i], loop);
        start(&files[i], open("/dev/null", O_RDWR), JG_READ);
    }
    jg_timer_init(&timer, test_count_call, &fired);
    jg_call_later(loop, &timer, JG_MILLISECOND);
    jg_call_init(&call, test_count_call, &called);
    jg_call_soon(loop, &call);
    for (i = 0; i < TURNS; i++)
        turn(loop);
    assert_int_equal(called, 1);
    assert_true(desk->a.calls >= TURNS / (FILES + 1));
    while (!fired) {
        turn(loop);
        assert_true(test_clock() - began < 10 * JG_SECOND);
    }
    for (i = 0; i < FILES; i++) {
        assert_true(files[i].calls >= TURNS / (FILES + 1));
        assert_int_equal(jg_watcher_close(&files[i].watcher), 0);
    }
    stop(&desk->a);
    test_loop_done(loop);
}

/* Descriptors that are themselves sets of descriptors */

#ifdef __linux__
static void a_nested_epoll_descriptor_is_readable_when_its_set_is(void **state)
{
    struct desk *desk = *state;
    struct epoll_event wanted = {.events = EPOLLIN};
    int set = epoll_create1(EPOLL_CLOEXEC);

    assert_true(set >= 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, desk->fds[0], &wanted), 0);
    start(&desk->a, set, JG_READ);
    assert_quiet(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    put(desk->fds[1]);
    turn(desk->loop);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 2);
    assert_int_equal(desk->a.events, JG_READ);
    get(desk->fds[0]);
    assert_quiet(desk->loop);
    assert_int_equal(desk->a.calls, 2);
    stop(&desk->a);
    close(set);
}
#endif

static void turn_the_others_loop(struct probe *self)
{
    turn(self->other->loop);
}

static void a_loop_can_watch_the_descriptor_of_another_loop(void **state)
{
    struct desk *desk = *state;
    jg_loop *inner = test_loop(0);
    int fd = jg_loop_fd(inner);

    desk->b.loop = inner;
    desk->a.then = turn_the_others_loop;
    desk->a.other = &desk->b;
    if (fd < 0) {
        assert_int_equal(fd, -ENOTSUP);
        assert_string_equal(jg_loop_backend(inner), "poll");
    } else {
        start(&desk->b, desk->fds[0], JG_READ);
        start(&desk->a, fd, JG_READ);
        assert_true(jg_loop_prepare(inner) == JG_FOREVER);
        assert_quiet(desk->loop);
        assert_int_equal(desk->a.calls, 0);
        put(desk->fds[1]);
        turn(desk->loop);
        assert_int_equal(desk->b.calls, 1);
        get(desk->fds[0]);
        /* Readable once more at most: the inner loop finds that there is nothing. */
        turn(desk->loop);
        assert_true(jg_loop_prepare(inner) == JG_FOREVER);
        assert_quiet(desk->loop);
        assert_int_equal(desk->b.calls, 1);
        stop(&desk->a);
        stop(&desk->b);
    }
    test_loop_done(inner);
}

/* Fairness */

static void refill(struct probe *self)
{
    char data[4096];

    while (read(self->fd, data, sizeof(data)) == (ssize_t)sizeof(data))
        ;
    fill(self->other->fd);
}

static void take_one(struct probe *self)
{
    get(self->fd);
}

static void a_flood_on_one_descriptor_does_not_stop_the_others(void **state)
{
    enum { OTHERS = 99, BYTES = 5 };
    struct desk *desk = *state;
    struct probe others[OTHERS];
    int pipes[OTHERS][2], i, j;

    desk->a.then = refill;
    desk->a.other = &desk->b;
    desk->b.fd = desk->fds[1];
    fill(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    for (i = 0; i < OTHERS; i++) {
        test_pipe(pipes[i]);
        for (j = 0; j < BYTES; j++)
            put(pipes[i][1]);
        probe_init(&others[i], desk->loop);
        others[i].then = take_one;
        start(&others[i], pipes[i][0], JG_READ);
    }
    for (j = 1; j <= BYTES; j++) {
        turn(desk->loop);
        assert_int_equal(desk->a.calls, j);
        for (i = 0; i < OTHERS; i++)
            assert_int_equal(others[i].calls, j);
    }
    for (i = 0; i < OTHERS; i++) {
        stop(&others[i]);
        close_both(pipes[i]);
    }
}

static void few_events_a_turn_still_serve_everybody(void **state)
{
    enum { COUNT = 100, ROUNDS = 10 };
    struct desk *desk = *state;
    unsigned max_events;

    put(desk->fds[1]);
    for (max_events = 1; max_events <= 2; max_events++) {
        jg_loop *loop = test_loop_with((jg_loop_options){.max_events = max_events});
        struct probe probes[COUNT];
        int i, calls = 0;

        for (i = 0; i < COUNT; i++) {
            probe_init(&probes[i], loop);
            start(&probes[i], dup(desk->fds[0]), JG_READ);
        }
        for (i = 0; i < ROUNDS * COUNT / (int)max_events; i++)
            turn(loop);
        for (i = 0; i < COUNT; i++) {
            assert_in_range(probes[i].calls, ROUNDS - 1, ROUNDS + 1);
            calls += probes[i].calls;
            assert_int_equal(jg_watcher_close(&probes[i].watcher), 0);
        }
        assert_int_equal(calls, ROUNDS * COUNT);
        test_loop_done(loop);
    }
}

/* Bad arguments and lack of resources */

static void a_bad_descriptor_is_refused(void **state)
{
    static const unsigned wanted[] = {JG_READ, JG_HANGUP, 0};
    struct desk *desk = *state;
    size_t i;

    close(desk->fds[0]);
    for (i = 0; i < 3; i++) {
        assert_int_equal(try_start(&desk->a, -1, wanted[i]), -EBADF);
        assert_int_equal(try_start(&desk->a, -100, wanted[i]), -EBADF);
        assert_int_equal(try_start(&desk->a, desk->fds[0], wanted[i]), -EBADF);
        assert_int_equal(try_start(&desk->a, 1 << 28, wanted[i]), -EBADF);
        assert_int_equal(try_start(&desk->a, INT32_MAX, wanted[i]), -EBADF);
        assert_false(started(&desk->a));
        assert_false(jg_loop_alive(desk->loop));
    }
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 0);
    start(&desk->a, desk->fds[1], JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
}

static void unknown_events_are_refused(void **state)
{
    struct desk *desk = *state;
    unsigned bit;

    put(desk->fds[1]);
    for (bit = ALL + 1; bit; bit <<= 1)
        assert_int_equal(try_start(&desk->a, desk->fds[0], JG_READ | bit), -EINVAL);
    assert_false(jg_loop_alive(desk->loop));
    start(&desk->a, desk->fds[0], JG_READ);
    for (bit = ALL + 1; bit; bit <<= 1)
        assert_int_equal(jg_watcher_modify(&desk->a.watcher, JG_WRITE | bit), -EINVAL);
    turn(desk->loop);
    assert_int_equal(desk->a.events, JG_READ);
}

static void a_second_start_is_refused_and_changes_nothing(void **state)
{
    struct desk *desk = *state;
    jg_loop *elsewhere = test_loop(0);

    put(desk->fds[1]);
    start(&desk->a, desk->fds[0], JG_READ);
    assert_int_equal(try_start(&desk->a, desk->fds[0], JG_WRITE), -EALREADY);
    assert_int_equal(try_start(&desk->a, desk->fds[1], JG_WRITE), -EALREADY);
    assert_int_equal(jg_watcher_start(elsewhere, &desk->a.watcher, desk->fds[1], JG_WRITE),
                     -EALREADY);
    assert_false(jg_loop_alive(elsewhere));
    turn(desk->loop);
    turn(elsewhere);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->a.events, JG_READ);
    stop(&desk->a);
    assert_false(jg_loop_alive(desk->loop));
    test_loop_done(elsewhere);
}

static void what_is_not_started_can_be_neither_modified_nor_closed(void **state)
{
    struct desk *desk = *state;
    int round;

    for (round = 0; round < 2; round++) {
        assert_int_equal(jg_watcher_modify(&desk->a.watcher, JG_READ), -EINVAL);
        assert_int_equal(jg_watcher_close(&desk->a.watcher), -EINVAL);
        start(&desk->a, desk->fds[0], JG_READ);
        stop(&desk->a);
    }
    assert_true(fcntl(desk->fds[0], F_GETFD) >= 0);
    assert_false(jg_loop_alive(desk->loop));
}

/* Start watchers of many descriptors, the n-th allocation failing; returns how many starts did. */
static int start_many_without_memory(const int *fds, int count, long n)
{
    jg_loop *loop = test_loop(0);
    struct test_memory *memory = test_loop_memory(loop);
    int open_before = test_open_descriptors(), i, failed = 0;
    struct probe *probes = calloc((size_t)count, sizeof(*probes));

    assert_non_null(probes);
    memory->fail_at = memory->calls + n;
    for (i = 0; i < count; i++) {
        int r;

        probe_init(&probes[i], loop);
        r = try_start(&probes[i], fds[i], JG_READ);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_false(started(&probes[i]));
            assert_int_equal(jg_loop_alive(loop), i > 0);
            failed++;
            r = try_start(&probes[i], fds[i], JG_READ);
        }
        assert_int_equal(r, 0);
    }
    turn(loop);
    for (i = 0; i < count; i++) {
        assert_int_equal(probes[i].calls, 1);
        stop(&probes[i]);
    }
    assert_int_equal(test_open_descriptors(), open_before);
    test_loop_done(loop);
    free(probes);
    return failed;
}

static void a_start_without_memory_starts_nothing(void **state)
{
    enum { COUNT = 100 };
    struct desk *desk = *state;
    int fds[COUNT], i, failed = 1;
    long n;

    put(desk->fds[1]);
    for (i = 0; i < COUNT; i++)
        fds[i] = dup(desk->fds[0]);
    for (n = 1; failed > 0; n++)
        failed = start_many_without_memory(fds, COUNT, n);
    assert_true(n > 2);
    for (i = 0; i < COUNT; i++)
        assert_int_equal(close(fds[i]), 0);
}

/* Once a watcher of a descriptor was started, nothing that is done to it needs memory. */
static void modify_stop_close_and_turns_do_not_allocate(void **state)
{
    struct desk *desk = *state;
    long calls;
    unsigned i;

    put(desk->fds[1]);
    desk->a.then = restart;
    start(&desk->a, desk->fds[0], JG_READ);
    start(&desk->b, desk->fds[0], JG_WRITE);
    turn(desk->loop);
    calls = test_loop_memory(desk->loop)->calls;
    for (i = 0; i < 20; i++) {
        modify(&desk->b, i % (ALL + 1));
        turn(desk->loop);
    }
    stop(&desk->b);
    turn(desk->loop);
    assert_int_equal(jg_watcher_close(&desk->a.watcher), 0);
    turn(desk->loop);
    assert_int_equal(test_loop_memory(desk->loop)->calls, calls);
}

/* A duplicate with the highest number that the limits allow, up to 65535. */
static int dup_high(int fd, const struct rlimit *before)
{
    struct rlimit limit = *before;
    int number, high = -1;

    if (limit.rlim_cur < 65536) {
        limit.rlim_cur = 65536;
        limit.rlim_max = limit.rlim_max < 65536 ? 65536 : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            limit.rlim_cur = limit.rlim_max = before->rlim_max;
            (void)setrlimit(RLIMIT_NOFILE, &limit); /* else what there is must do */
        }
    }
    for (number = 65535; number > 64 && high < 0; number -= number / 16)
        high = fcntl(fd, F_DUPFD_CLOEXEC, number);
    assert_true(high >= 64);
    return high;
}

static void the_first_descriptor_may_have_a_very_high_number(void **state)
{
    struct desk *desk = *state;
    struct rlimit before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    start(&desk->a, dup_high(desk->fds[0], &before), JG_READ);
    start(&desk->b, desk->fds[0], JG_READ);
    put(desk->fds[1]);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 1);
    assert_int_equal(jg_watcher_close(&desk->a.watcher), 0);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(desk->b.calls, 2);
    (void)setrlimit(RLIMIT_NOFILE, &before); /* to lower the soft limit cannot fail */
}

static void a_high_number_may_be_that_of_a_file(void **state)
{
    struct desk *desk = *state;
    struct rlimit before;
    int files[2];

    test_files(files);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    start(&desk->a, dup_high(files[0], &before), JG_READ);
    turn(desk->loop);
    assert_int_equal(desk->a.calls, 1);
    assert_int_equal(jg_watcher_close(&desk->a.watcher), 0);
    (void)setrlimit(RLIMIT_NOFILE, &before); /* to lower the soft limit cannot fail */
    close_both(files);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, desk_open, desk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_socket_with_room_is_writable),
        TEST(an_idle_socket_without_room_reports_nothing),
        TEST(data_is_readable_but_no_hangup),
        TEST(a_tcp_end_of_stream_is_readable_and_a_hangup),
        TEST(a_tcp_end_of_stream_is_invisible_to_a_writer),
        TEST(a_tcp_reset_shows_as_every_event_asked_for),
        TEST(data_that_came_before_a_reset_can_still_be_read),
        TEST(a_connection_that_both_sides_ended_shows_as_every_event_asked_for),
        TEST(a_closed_local_peer_shows_as_every_event_asked_for),
        TEST(a_local_peer_that_stopped_writing_is_readable_and_a_hangup),
        TEST(the_end_of_an_empty_pipe_is_readable),
        TEST(the_end_of_a_pipe_with_data_is_readable),
        TEST(a_pipe_without_reader_is_writable),
#ifdef __linux__
        TEST(an_unconnected_socket_shows_as_every_event_asked_for),
#endif
        TEST(a_refused_connection_is_writable_and_keeps_its_error),
        TEST(a_listener_is_readable_when_somebody_connects),
        TEST(a_ready_descriptor_is_reported_in_every_turn),
        TEST(no_callback_runs_inside_start_modify_or_stop),
        TEST(a_started_watcher_keeps_the_loop_alive),
        TEST(an_unreferenced_watcher_is_still_called),
        TEST(stopping_twice_and_before_the_start_does_nothing),
        TEST(changed_events_count_from_the_next_turn_on),
        TEST(many_changes_in_one_turn_leave_the_last),
        TEST(a_stopped_watcher_can_watch_another_descriptor),
        TEST(closing_a_watcher_closes_its_descriptor),
        TEST(the_flags_of_a_descriptor_are_left_alone),
        TEST(a_walk_shows_a_watcher_with_its_descriptor),
        TEST(each_watcher_of_a_descriptor_gets_its_own_events),
        TEST(what_a_stopped_watcher_wanted_is_not_waited_for),
        TEST(a_hundred_watchers_of_one_descriptor_are_all_called),
        TEST(two_loops_watch_one_descriptor_independently),
        TEST(a_watcher_stopped_by_another_is_not_called),
        TEST(any_watcher_may_stop_any_other_of_its_descriptor),
        TEST(a_watcher_paused_by_another_is_not_called_in_that_turn),
        TEST(no_watcher_gets_an_event_that_it_no_longer_wants),
        TEST(a_watcher_may_stop_itself),
        TEST(callbacks_may_free_their_own_watcher_and_others),
        TEST(a_watcher_started_in_a_callback_is_not_called_in_that_turn),
        TEST(a_watcher_restarted_by_another_waits_for_the_next_turn),
        TEST(a_watcher_that_restarts_itself_is_called_once_a_turn),
        TEST(a_start_takes_no_event_from_others_of_the_descriptor),
        TEST(a_start_spares_paused_watchers_of_a_hung_up_descriptor),
        TEST(a_watcher_may_move_to_another_descriptor_in_its_callback),
        TEST(a_callback_may_close_its_own_descriptor_and_others),
        TEST(a_callback_may_start_very_many_watchers),
        TEST(stopping_the_loop_does_not_swallow_events_of_the_turn),
        TEST(files_and_dev_null_are_always_ready),
        TEST(a_file_can_be_paused_and_closed),
        TEST(a_file_that_goes_costs_no_other_its_turn),
        TEST(files_starve_neither_others_nor_timers),
#ifdef __linux__
        TEST(a_nested_epoll_descriptor_is_readable_when_its_set_is),
#endif
        TEST(a_loop_can_watch_the_descriptor_of_another_loop),
        TEST(a_flood_on_one_descriptor_does_not_stop_the_others),
        TEST(few_events_a_turn_still_serve_everybody),
        TEST(a_bad_descriptor_is_refused),
        TEST(unknown_events_are_refused),
        TEST(a_second_start_is_refused_and_changes_nothing),
        TEST(what_is_not_started_can_be_neither_modified_nor_closed),
        TEST(a_start_without_memory_starts_nothing),
        TEST(modify_stop_close_and_turns_do_not_allocate),
        TEST(the_first_descriptor_may_have_a_very_high_number),
        TEST(a_high_number_may_be_that_of_a_file),
    };

    return cmocka_run_group_tests_name("watcher", tests, NULL, NULL);
}
