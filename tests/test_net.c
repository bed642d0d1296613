/* SPDX-License-Identifier: MIT
 *
 * Listening, accepting and connecting, over loopback and over Unix sockets in a directory of the
 * test's own. Servers are in test_server.c.
 */
#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What each test has: a loop, addresses nobody uses, and room for both ends. */
struct place {
    jg_loop *loop;
    char directory[32];
    jg_address path, any; /* a Unix one, and a free port of 127.0.0.1 */
    jg_listener listener;
    jg_address address; /* of the listener */
    jg_stream a, b;
    jg_address peer;
    jg_scope scope;
    int errors; /* that the hook was told */
};

static void count_error(void *arg, int error, const char *what)
{
    struct place *place = arg;

    (void)error;
    (void)what;
    place->errors++;
}

static void enter(struct place *place)
{
    char text[64];

    memset(place, 0, sizeof(*place));
    place->loop = test_loop_with((jg_loop_options){.on_error = count_error, .on_error_arg = place});
    strcpy(place->directory, "/tmp/juggle-net-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(text, sizeof(text), "%s/socket", place->directory);
    assert_int_equal(jg_address_parse(text, &place->path), 0);
    assert_int_equal(jg_address_parse("127.0.0.1:0", &place->any), 0);
}

static void leave(struct place *place)
{
    char text[64];

    jg_stream_abort(&place->a);
    jg_stream_abort(&place->b);
    jg_listener_close(&place->listener);
    snprintf(text, sizeof(text), "%s/socket", place->directory);
    (void)unlink(text);
    assert_int_equal(rmdir(place->directory), 0);
    test_loop_done(place->loop);
}

static void listen_at(struct place *place, const jg_address *address,
                      const jg_listen_options *options)
{
    assert_int_equal(jg_listen(&place->listener, place->loop, address, options), 0);
    assert_int_equal(jg_listener_address(&place->listener, &place->address), 0);
}

/* Run a coroutine that is given the place. It must return 0. */
static void run(struct place *place, jg_coro_fn fn)
{
    assert_int_equal(jg_run_until_complete(place->loop, fn, place, NULL), 0);
}

/* Connect `a` to the listener and accept `b`. */
static int meet(void *arg)
{
    struct place *place = arg;

    test_check(jg_connect(&place->a, &place->address, NULL) == 0);
    test_check(jg_accept(&place->listener, &place->b, &place->peer) == 0);
    return 0;
}

static int talk(void *arg)
{
    struct place *place = arg;
    jg_address end, other;
    char buf[8];

    meet(place);
    test_check(jg_stream_local(&place->a, &end) == 0);
    test_check(jg_stream_peer(&place->b, &other) == 0);
    test_check(jg_address_equal(&end, &other) && jg_address_equal(&end, &place->peer));
    test_check(jg_stream_peer(&place->a, &end) == 0);
    test_check(jg_address_equal(&end, &place->address));
    test_check(jg_stream_write(&place->a, "to b", 4) == 0);
    test_check(jg_stream_read(&place->b, buf, sizeof(buf)) == 4);
    test_check(jg_stream_write(&place->b, "to a!", 5) == 0);
    test_check(jg_stream_read(&place->a, buf, sizeof(buf)) == 5);
    test_check(jg_stream_shut(&place->a) == 0);
    test_check(jg_stream_read(&place->b, buf, sizeof(buf)) == 0);
    test_check(jg_stream_close(&place->a, JG_SECOND) == 0);
    test_check(jg_stream_close(&place->b, JG_SECOND) == 0);
    return 0;
}

static void both_ends_of_a_connection_talk(void **state)
{
    char name[64];
    const char *const texts[] = {"127.0.0.1:0", "[::1]:0", NULL, name};
    struct place place;
    int count = 3;

    (void)state;
    snprintf(name, sizeof(name), "unix:@juggle-test-net-%d", (int)getpid());
#ifdef __linux__
    count++; /* others have no abstract names */
#endif
    for (int i = 0; i < count; i++) {
        jg_address address;

        enter(&place);
        if (!texts[i])
            address = place.path;
        else
            assert_int_equal(jg_address_parse(texts[i], &address), 0);
        if (jg_listen(&place.listener, place.loop, &address, NULL) == 0) {
            assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
            assert_true(i > 1 || jg_address_port(&place.address) != 0);
            run(&place, talk);
        } else {
            assert_int_equal(i, 1); /* there are machines without IPv6 */
        }
        leave(&place);
    }
}

static int get_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t size = sizeof(value);

    test_check(getsockopt(fd, level, option, &value, &size) == 0);
    return value;
}

static int see_options(void *arg)
{
    struct place *place = arg;
    const jg_connect_options lazy = {.nagle = true, .keep_alive = 40 * JG_SECOND - 1};
    jg_stream c, d;

    meet(place);
    test_check(get_option(jg_stream_fd(&place->a), IPPROTO_TCP, TCP_NODELAY) != 0);
    test_check(get_option(jg_stream_fd(&place->b), IPPROTO_TCP, TCP_NODELAY) != 0);
    test_check(get_option(jg_stream_fd(&place->a), SOL_SOCKET, SO_KEEPALIVE) == 0);
    test_check(get_option(jg_stream_fd(&place->b), SOL_SOCKET, SO_KEEPALIVE) != 0);
    test_check(fcntl(jg_stream_fd(&place->b), F_GETFL) & O_NONBLOCK);
    test_check(fcntl(jg_stream_fd(&place->b), F_GETFD) & FD_CLOEXEC);
    test_check(fcntl(jg_stream_fd(&place->a), F_GETFD) & FD_CLOEXEC);
    test_check(jg_connect(&c, &place->address, &lazy) == 0);
    test_check(jg_accept(&place->listener, &d, NULL) == 0);
    test_check(get_option(jg_stream_fd(&c), IPPROTO_TCP, TCP_NODELAY) == 0);
    test_check(get_option(jg_stream_fd(&c), SOL_SOCKET, SO_KEEPALIVE) != 0);
#ifdef __linux__
    test_check(get_option(jg_stream_fd(&place->b), IPPROTO_TCP, TCP_KEEPIDLE) == 5);
    test_check(get_option(jg_stream_fd(&c), IPPROTO_TCP, TCP_KEEPIDLE) == 40);
    test_check(get_option(jg_stream_fd(&c), IPPROTO_TCP, TCP_KEEPINTVL) == 5);
#endif
    jg_stream_abort(&c);
    jg_stream_abort(&d);
    return 0;
}

static void options_reach_both_ends(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, &(jg_listen_options){.keep_alive = 5 * JG_SECOND});
    run(&place, see_options);
    leave(&place);
}

static void a_bad_address_or_option_opens_nothing(void **state)
{
    const jg_listen_options negative = {.keep_alive = -1};
    const jg_listen_options large = {.stream = {.high_mark = (size_t)1 << 40}};
    const jg_address none = {.size = 0};
    struct place place;
    jg_listener listener;
    int open;
    jg_op op;

    (void)state;
    enter(&place);
    open = test_open_descriptors();
    jg_op_init(&op, place.loop, test_count_call, NULL);
    assert_int_equal(jg_listen(&listener, place.loop, &none, NULL), -EINVAL);
    assert_int_equal(jg_listen(&listener, place.loop, &place.any, &negative), -EINVAL);
    assert_int_equal(jg_listen(&listener, place.loop, &place.any, &large), -EINVAL);
    assert_int_equal(jg_listen(&listener, place.loop, &place.path, &large), -EINVAL);
    assert_int_equal(access(place.directory, F_OK), 0);
    assert_int_equal(jg_listen_fd(&listener, place.loop, -1, NULL), -EBADF);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &op), -EBADF);
    assert_int_equal(jg_connect_any_start(&place.a, &place.any, 0, NULL, &op), -EINVAL);
    assert_int_equal(jg_connect_any_start(&place.a, &none, 1, NULL, &op), -EINVAL);
    assert_int_equal(test_open_descriptors(), open);
    leave(&place);
}

/* ---------------------------------------------------------------- Unix paths */

static void a_unix_path_goes_with_its_listener(void **state)
{
    struct place place;
    struct stat status;
    char text[64];

    (void)state;
    enter(&place);
    snprintf(text, sizeof(text), "%s/socket", place.directory);
    listen_at(&place, &place.path, NULL);
    assert_int_equal(stat(text, &status), 0);
    jg_listener_close(&place.listener);
    assert_int_equal(stat(text, &status), -1);
    leave(&place);
}

static void a_path_that_is_somebody_elses_by_now_stays(void **state)
{
    struct place place;
    jg_listener other;
    char text[64];

    (void)state;
    enter(&place);
    snprintf(text, sizeof(text), "%s/socket", place.directory);
    listen_at(&place, &place.path, NULL);
    assert_int_equal(unlink(text), 0);
    assert_int_equal(jg_listen(&other, place.loop, &place.path, NULL), 0);
    jg_listener_close(&place.listener);
    assert_int_equal(access(text, F_OK), 0);
    jg_listener_close(&other);
    assert_int_equal(access(text, F_OK), -1);
    leave(&place);
}

static void a_path_that_nobody_listens_to_is_taken_over(void **state)
{
    struct place place;
    jg_listener second;
    int fd;

    (void)state;
    enter(&place);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)place.path.storage, (socklen_t)place.path.size), 0);
    close(fd);
    listen_at(&place, &place.path, NULL);
    assert_int_equal(jg_listen(&second, place.loop, &place.path, NULL), -EADDRINUSE);
    run(&place, meet);
    leave(&place);
}

static void a_file_in_the_way_is_left_alone(void **state)
{
    struct place place;
    char text[64];
    int fd;

    (void)state;
    enter(&place);
    snprintf(text, sizeof(text), "%s/socket", place.directory);
    fd = open(text, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(jg_listen(&place.listener, place.loop, &place.path, NULL), -EADDRINUSE);
    assert_int_equal(access(text, F_OK), 0);
    leave(&place);
}

static void close_by_a_forked_child(void *arg)
{
    struct place *place = arg;

    jg_listener_close(&place->listener);
}

static void a_forked_child_does_not_unlink_its_parents_path(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    listen_at(&place, &place.path, NULL);
    test_in_child(close_by_a_forked_child, &place);
    run(&place, meet);
    leave(&place);
}

/* ---------------------------------------------------------------- descriptors from elsewhere */

static void a_descriptor_that_listens_is_adopted(void **state)
{
    struct place place;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    enter(&place);
    assert_int_equal(bind(fd, (const struct sockaddr *)place.any.storage, place.any.size), 0);
    assert_int_equal(jg_listen_fd(&place.listener, place.loop, fd, NULL), -EINVAL);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(jg_listen_fd(&place.listener, place.loop, fd, NULL), 0);
    assert_int_equal(jg_listener_fd(&place.listener), fd);
    assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
    run(&place, meet);
    leave(&place);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* In a child, where the numbers from 3 on can be had. */
static void be_activated(void *arg)
{
    char pid[16];
    int fd;

    (void)arg;
    for (fd = 3; fd < 6; fd++)
        (void)dup2(open("/dev/null", O_RDONLY), fd);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    test_check(jg_inherited_fd(NULL, 0) == -ENOENT);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "web:control:web", 1);
    setenv("LISTEN_PID", "1", 1);
    test_check(jg_inherited_fd(NULL, 0) == -ENOENT);
    setenv("LISTEN_PID", pid, 1);
    for (int i = 0; i < 3; i++)
        test_check(jg_inherited_fd(NULL, i) == 3 + i);
    test_check(jg_inherited_fd(NULL, 3) == -ENOENT);
    test_check(jg_inherited_fd("web", 0) == 3 && jg_inherited_fd("web", 1) == 5);
    test_check(jg_inherited_fd("web", 2) == -ENOENT);
    test_check(jg_inherited_fd("control", 0) == 4);
    test_check(jg_inherited_fd("we", 0) == -ENOENT && jg_inherited_fd("", 0) == -ENOENT);
    test_check(fcntl(3, F_GETFD) & FD_CLOEXEC);
    unsetenv("LISTEN_FDNAMES");
    test_check(jg_inherited_fd(NULL, 2) == 5 && jg_inherited_fd("web", 0) == -ENOENT);
    setenv("LISTEN_FDS", "x", 1);
    test_check(jg_inherited_fd(NULL, 0) == -ENOENT);
}

static void descriptors_of_a_service_manager_are_found_by_name(void **state)
{
    (void)state;
    test_in_child(be_activated, NULL);
}

/* ---------------------------------------------------------------- ports */

static void a_port_that_is_used_is_refused_and_one_that_was_is_not(void **state)
{
    struct place place;
    jg_listener second;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    assert_int_equal(jg_listen(&second, place.loop, &place.address, NULL), -EADDRINUSE);
    run(&place, meet);
    jg_stream_abort(&place.b); /* the listener's side closes first, and stays for a while */
    jg_stream_abort(&place.a);
    jg_listener_close(&place.listener);
    assert_int_equal(jg_listen(&place.listener, place.loop, &place.address, NULL), 0);
    leave(&place);
}

static void two_share_a_port_if_both_say_so(void **state)
{
    const jg_listen_options shared = {.reuse_port = true};
    struct place place;
    jg_listener second;
    int r;

    (void)state;
    enter(&place);
    r = jg_listen(&place.listener, place.loop, &place.any, &shared);
    if (r == 0) {
        assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
        assert_int_equal(jg_listen(&second, place.loop, &place.address, NULL), -EADDRINUSE);
        assert_int_equal(jg_listen(&second, place.loop, &place.address, &shared), 0);
        jg_listener_close(&second);
    } else {
        assert_int_equal(r, -ENOTSUP);
    }
    assert_int_equal(jg_listen(&second, place.loop, &place.path, &shared), -ENOTSUP);
    leave(&place);
}

static int meet_over_ipv4(void *arg)
{
    struct place *place = arg;
    jg_address target;

    test_check(jg_address_parse("127.0.0.1", &target) == 0);
    jg_address_set_port(&target, jg_address_port(&place->address));
    return jg_connect(&place->a, &target, NULL);
}

static void an_ipv6_socket_takes_ipv4_unless_told_not_to(void **state)
{
    struct place place;
    jg_address any;

    (void)state;
    assert_int_equal(jg_address_parse("[::]:0", &any), 0);
    for (int only = 0; only < 2; only++) {
        enter(&place);
        if (jg_listen(&place.listener, place.loop, &any, &(jg_listen_options){.v6_only = only}) ==
            0) {
            assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
            assert_int_equal(jg_run_until_complete(place.loop, meet_over_ipv4, &place, NULL),
                             only ? -ECONNREFUSED : 0);
        }
        leave(&place);
    }
}

/* ---------------------------------------------------------------- accepting */

/* Connections made by the kernel alone: they are complete while they wait in the backlog. */
static void knock(const struct place *place, int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        fds[i] = socket(jg_address_family(&place->address) == JG_UNIX ? AF_UNIX : AF_INET,
                        SOCK_STREAM, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(
            connect(fds[i], (const struct sockaddr *)place->address.storage, place->address.size),
            0);
    }
}

static void hang_up(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void those_who_accept_are_served_in_their_order(void **state)
{
    struct place place;
    jg_stream streams[5];
    int fds[5], completed = 0;
    jg_op ops[5];

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    for (int i = 0; i < 5; i++) {
        jg_op_init(&ops[i], place.loop, test_count_call, &completed);
        assert_int_equal(jg_accept_start(&place.listener, &streams[i], NULL, &ops[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        knock(&place, &fds[i], 1);
        while (completed <= i)
            assert_true(jg_loop_run_once(place.loop, JG_SECOND) >= 0);
        assert_int_equal(completed, i + 1);
        assert_false(jg_op_pending(&ops[i]));
        assert_int_equal(jg_op_status(&ops[i]), 0);
        jg_stream_abort(&streams[i]);
    }
    assert_false(jg_loop_alive(place.loop));
    hang_up(fds, 5);
    leave(&place);
}

static void a_cancelled_accept_leaves_the_connection_to_the_next(void **state)
{
    struct place place;
    int fd, completed = 0;
    jg_op ops[2];

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    for (int i = 0; i < 2; i++)
        jg_op_init(&ops[i], place.loop, test_count_call, &completed);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &ops[0]), 0);
    knock(&place, &fd, 1);
    jg_op_cancel(&ops[0]);
    assert_int_equal(jg_op_status(&ops[0]), -ECANCELED);
    assert_int_equal(jg_accept_start(&place.listener, &place.b, NULL, &ops[1]), 0);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 2);
    assert_int_equal(jg_op_status(&ops[1]), 0);
    assert_false(jg_stream_is_open(&place.a));
    assert_true(jg_stream_is_open(&place.b));
    close(fd);
    leave(&place);
}

static void closing_a_listener_ends_those_who_accept(void **state)
{
    struct place place;
    int completed = 0;
    jg_op op;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &op), 0);
    jg_listener_close(&place.listener);
    assert_int_equal(jg_listener_fd(&place.listener), -EBADF);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 1);
    assert_int_equal(jg_op_status(&op), -ECONNABORTED);
    leave(&place);
}

static void a_listener_that_nobody_accepts_from_keeps_no_loop_running(void **state)
{
    struct place place;
    int fd;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    knock(&place, &fd, 1);
    assert_int_equal(jg_loop_run(place.loop), 0);
    run(&place, meet);
    close(fd);
    leave(&place);
}

static void on_timer(void *arg)
{
    *(bool *)arg = true;
}

static void one_who_waits_at_the_door_does_not_turn_the_loop(void **state)
{
    struct place place;
    bool late = false;
    int fd, turns = 0;
    jg_timer timer;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    knock(&place, &fd, 1);
    jg_timer_init(&timer, on_timer, &late);
    jg_call_later(place.loop, &timer, 20 * JG_MILLISECOND);
    while (!late) {
        assert_true(jg_loop_run_once(place.loop, JG_SECOND) >= 0);
        turns++;
    }
    assert_true(turns < 6);
    close(fd);
    leave(&place);
}

struct counter {
    struct place *place;
    int accepted, stop_after, status;
    bool close;
    int fds[600];
};

static int count_accepted(void *arg, int fd, const jg_address *peer)
{
    struct counter *counter = arg;

    test_check(jg_address_family(peer) == jg_address_family(&counter->place->address));
    counter->fds[counter->accepted++] = fd;
    if (counter->accepted == counter->stop_after) {
        jg_listener_stop(&counter->place->listener);
        if (counter->close) {
            jg_listener_close(&counter->place->listener);
            memset(&counter->place->listener, 0xa5, sizeof(counter->place->listener));
        }
    }
    return counter->status;
}

static void a_started_listener_calls_for_each_connection_until_it_is_stopped(void **state)
{
    struct counter counter = {.stop_after = 7};
    struct place place;
    int fds[10];
    jg_op op;

    (void)state;
    enter(&place);
    counter.place = &place;
    listen_at(&place, &place.any, NULL);
    jg_op_init(&op, place.loop, test_count_call, &(int){0});
    assert_int_equal(jg_listener_start(&place.listener, count_accepted, &counter), 0);
    assert_int_equal(jg_listener_start(&place.listener, count_accepted, &counter), -EBUSY);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &op), -EBUSY);
    knock(&place, fds, 10);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(counter.accepted, 7);
    counter.stop_after = 10;
    assert_int_equal(jg_listener_start(&place.listener, count_accepted, &counter), 0);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(counter.accepted, 10);
    hang_up(fds, 10);
    hang_up(counter.fds, 10);
    leave(&place);
}

static void a_listener_may_be_closed_by_what_it_calls(void **state)
{
    for (int stop_after = 1; stop_after < 4; stop_after++) {
        struct counter counter = {.stop_after = stop_after, .close = true, .status = -EPERM};
        struct place place;
        int fds[5], open;

        (void)state;
        enter(&place);
        counter.place = &place;
        listen_at(&place, &place.any, NULL);
        assert_int_equal(jg_listener_start(&place.listener, count_accepted, &counter), 0);
        knock(&place, fds, 5);
        open = test_open_descriptors();
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(counter.accepted, stop_after);
        assert_int_equal(test_open_descriptors(), open - 2); /* the listener and its reserve */
        place.listener = (jg_listener){.loop = NULL};
        hang_up(fds, 5);
        leave(&place);
    }
}

static void a_burst_is_accepted_in_few_turns_and_leaves_room_for_others(void **state)
{
    enum { BURST = 120 }; /* some systems keep 128 waiting at most */
    struct counter counter = {.stop_after = BURST};
    struct place place;
    int fds[BURST], turns = 0, most = 0;

    (void)state;
    enter(&place);
    counter.place = &place;
    listen_at(&place, &place.any, NULL);
    knock(&place, fds, BURST);
    assert_int_equal(jg_listener_start(&place.listener, count_accepted, &counter), 0);
    while (counter.accepted < BURST) {
        int before = counter.accepted;

        assert_true(jg_loop_run_once(place.loop, JG_SECOND) >= 0);
        turns++;
        if (most < counter.accepted - before)
            most = counter.accepted - before;
    }
    assert_true(turns < 10);
    assert_true(most <= 64);
    hang_up(fds, BURST);
    hang_up(counter.fds, BURST);
    leave(&place);
}

/* ---------------------------------------------------------------- no descriptors */

static void raise_limit(rlim_t limit)
{
    struct rlimit limits;

    test_check(getrlimit(RLIMIT_NOFILE, &limits) == 0);
    limits.rlim_cur = limit;
    test_check(setrlimit(RLIMIT_NOFILE, &limits) == 0);
}

/* In a child: with no descriptor left, one connection is shed now and then, and nothing spins. */
static void run_out_of_descriptors(void *arg)
{
    struct place *place = arg;
    struct counter counter = {.place = place, .stop_after = 5};
    int fds[20], most = 0, turns = 0;
    jg_time begin;
    char byte;

    test_check(jg_loop_fork(place->loop) == 0);
    test_check(jg_listener_start(&place->listener, count_accepted, &counter) == 0);
    knock(place, fds, 20);
    for (int i = 0; i < 20; i++)
        most = fds[i] > most ? fds[i] : most;
    raise_limit((rlim_t)most + 1); /* as high as the last of them, and everything below is used */
    while (dup(0) >= 0)
        ;

    begin = test_clock();
    while (place->listener.shed < 4) {
        test_check(jg_loop_run_once(place->loop, JG_SECOND) == 1);
        turns++;
    }
    test_check(counter.accepted == 0);
    test_check(place->errors == 1);
    test_check(turns <= 4 * 3 + 2);
    test_check(test_clock() - begin >= 70 * JG_MILLISECOND); /* 10 + 20 + 40 */
    test_check(recv(fds[0], &byte, 1, MSG_DONTWAIT) == 0);   /* who was shed knows */

    raise_limit((rlim_t)most + 20);
    test_check(jg_loop_run(place->loop) == 0);
    test_check(counter.accepted == 5 && place->errors == 1 && place->listener.shed == 4);
}

static void a_listener_without_descriptors_sheds_slowly_and_recovers(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    test_in_child(run_out_of_descriptors, &place);
    leave(&place);
}

static void a_listener_that_listens_no_more_tells_all(void **state)
{
    struct place place;
    int fd, completed = 0;
    jg_op op;

    (void)state;
    enter(&place);
    listen_at(&place, &place.any, NULL);
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &op), 0);
    fd = jg_listener_fd(&place.listener);
    if (shutdown(fd, SHUT_RDWR) < 0)
        jg_listener_close(&place.listener); /* it cannot be had */
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 1);
    assert_true(jg_op_status(&op) == -EINVAL || !place.listener.loop);
    assert_true(place.errors == 1 || !place.listener.loop);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(jg_accept_start(&place.listener, &place.a, NULL, &op), -EBADF);
    leave(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_connection_talk),
        cmocka_unit_test(options_reach_both_ends),
        cmocka_unit_test(a_bad_address_or_option_opens_nothing),
        cmocka_unit_test(a_unix_path_goes_with_its_listener),
        cmocka_unit_test(a_path_that_is_somebody_elses_by_now_stays),
        cmocka_unit_test(a_path_that_nobody_listens_to_is_taken_over),
        cmocka_unit_test(a_file_in_the_way_is_left_alone),
        cmocka_unit_test(a_forked_child_does_not_unlink_its_parents_path),
        cmocka_unit_test(a_descriptor_that_listens_is_adopted),
        cmocka_unit_test(descriptors_of_a_service_manager_are_found_by_name),
        cmocka_unit_test(a_port_that_is_used_is_refused_and_one_that_was_is_not),
        cmocka_unit_test(two_share_a_port_if_both_say_so),
        cmocka_unit_test(an_ipv6_socket_takes_ipv4_unless_told_not_to),
        cmocka_unit_test(those_who_accept_are_served_in_their_order),
        cmocka_unit_test(a_cancelled_accept_leaves_the_connection_to_the_next),
        cmocka_unit_test(closing_a_listener_ends_those_who_accept),
        cmocka_unit_test(a_listener_that_nobody_accepts_from_keeps_no_loop_running),
        cmocka_unit_test(one_who_waits_at_the_door_does_not_turn_the_loop),
        cmocka_unit_test(a_started_listener_calls_for_each_connection_until_it_is_stopped),
        cmocka_unit_test(a_listener_may_be_closed_by_what_it_calls),
        cmocka_unit_test(a_burst_is_accepted_in_few_turns_and_leaves_room_for_others),
        cmocka_unit_test(a_listener_without_descriptors_sheds_slowly_and_recovers),
        cmocka_unit_test(a_listener_that_listens_no_more_tells_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
