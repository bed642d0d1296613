/* SPDX-License-Identifier: MIT
 *
 * Connecting: to one address, to the first of several that answers, to a host by its name; what
 * goes wrong with that, and what is left when it is cancelled in the middle.
 *
 * A black hole is a listener whose backlog is full: it neither accepts nor refuses.
 */
#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

#define HOLE 8 /* connections that fill one */

struct place {
    jg_loop *loop;
    jg_listener listener;
    jg_address address; /* of the listener */
    jg_address closed;  /* where nobody listens */
    jg_address hole;
    int hole_fd, hole_fds[HOLE];
    jg_stream a, b;
    int descriptors; /* before the test */
};

static jg_address address_of(const char *text)
{
    jg_address address;

    test_check(jg_address_parse(text, &address) == 0);
    return address;
}

static int socket_for(const jg_address *address)
{
    return socket(jg_address_family(address) == JG_UNIX ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
}

static int listen_plainly(const jg_address *address, int backlog, jg_address *ret_address)
{
    socklen_t size = sizeof(ret_address->storage);
    int fd = socket_for(address);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)address->storage, address->size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    memset(ret_address, 0, sizeof(*ret_address));
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address->storage, &size), 0);
    ret_address->size = size;
    return fd;
}

static void dig(struct place *place, const char *text)
{
    const jg_address address = address_of(text);

    place->hole_fd = listen_plainly(&address, 0, &place->hole);
    for (int i = 0; i < HOLE; i++) {
        place->hole_fds[i] = socket_for(&address);
        (void)fcntl(place->hole_fds[i], F_SETFL, O_NONBLOCK);
        (void)connect(place->hole_fds[i], (const struct sockaddr *)place->hole.storage,
                      place->hole.size);
    }
}

static void fill_in(struct place *place)
{
    for (int i = 0; i < HOLE; i++)
        close(place->hole_fds[i]);
    close(place->hole_fd);
}

static void enter(struct place *place)
{
    const jg_address any = address_of("127.0.0.1:0");

    memset(place, 0, sizeof(*place));
    place->loop = test_loop(0);
    close(listen_plainly(&any, 1, &place->closed));
    assert_int_equal(jg_listen(&place->listener, place->loop, &any, NULL), 0);
    assert_int_equal(jg_listener_address(&place->listener, &place->address), 0);
    place->descriptors = test_open_descriptors();
}

static void leave(struct place *place)
{
    jg_stream_abort(&place->a);
    jg_stream_abort(&place->b);
    assert_int_equal(test_open_descriptors(), place->descriptors);
    jg_listener_close(&place->listener);
    test_loop_done(place->loop);
}

static void run(struct place *place, jg_coro_fn fn)
{
    assert_int_equal(jg_run_until_complete(place->loop, fn, place, NULL), 0);
}

/* ---------------------------------------------------------------- one address */

static int be_refused(void *arg)
{
    struct place *place = arg;
    const jg_address nowhere = address_of("/nonexistent/juggle");
    const jg_address other = address_of("[::1]:0");
    const jg_connect_options mixed = {.local = &other};

    test_check(jg_connect(&place->a, &place->closed, NULL) == -ECONNREFUSED);
    test_check(!jg_stream_is_open(&place->a));
    test_check(jg_connect(&place->a, &nowhere, NULL) == -ENOENT);
    test_check(jg_connect(&place->a, &place->address, &mixed) == -EINVAL);
    test_check(!jg_stream_is_open(&place->a));
    return 0;
}

static void what_cannot_be_connected_to_says_why(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, be_refused);
    leave(&place);
}

static int come_from_somewhere(void *arg)
{
    struct place *place = arg;
    jg_address local = address_of("127.0.0.2:0"), peer;
    const jg_connect_options options = {.local = &local};
    const int known = (int)jg_address_port(&place->closed);

    test_check(jg_connect(&place->a, &place->address, &options) == 0);
    test_check(jg_accept(&place->listener, &place->b, &peer) == 0);
    test_check(jg_address_port(&peer) != 0);
    jg_address_set_port(&peer, 0);
    test_check(jg_address_equal(&peer, &local));
    jg_stream_abort(&place->a);
    jg_stream_abort(&place->b);
    jg_address_set_port(&local, (uint16_t)known);
    test_check(jg_connect(&place->a, &place->address, &options) == 0);
    test_check(jg_accept(&place->listener, &place->b, &peer) == 0);
    test_check(jg_address_equal(&peer, &local));
    return 0;
}

static void the_local_address_can_be_chosen(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, come_from_somewhere);
    leave(&place);
}

static int meet_oneself(void *arg)
{
    struct place *place = arg;
    const jg_connect_options options = {.local = &place->closed};

    return jg_connect(&place->a, &place->closed, &options);
}

static void a_connection_to_itself_is_none(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_run_until_complete(place.loop, meet_oneself, &place, NULL), -ECONNREFUSED);
    leave(&place);
}

static int connect_to_hole(void *arg)
{
    struct place *place = arg;

    return jg_connect(&place->a, &place->hole, &(jg_connect_options){.timeout = 20000000});
}

static int connect_in_a_scope(void *arg)
{
    struct place *place = arg;
    const jg_scope_options limited = {.timeout = 20 * JG_MILLISECOND};
    jg_scope scope;

    jg_scope_enter(&scope, &limited);
    return jg_scope_leave(&scope, jg_connect(&place->a, &place->hole, NULL));
}

static void a_connect_without_an_answer_ends_in_time(void **state)
{
    static const jg_coro_fn ways[] = {connect_to_hole, connect_in_a_scope};
    struct place place;

    (void)state;
    for (int i = 0; i < 2; i++) {
        enter(&place);
        dig(&place, "127.0.0.1:0");
        assert_int_equal(jg_run_until_complete(place.loop, ways[i], &place, NULL), -ETIMEDOUT);
        assert_false(jg_stream_is_open(&place.a));
        fill_in(&place);
        leave(&place);
    }
}

#ifdef __linux__

static int wanted = -1; /* a number that another thread takes as soon as it is free; -1: none */

int ppoll(struct pollfd *entries, nfds_t count, const struct timespec *timeout,
          const sigset_t *mask)
{
    int r = (int)syscall(SYS_ppoll, entries, count, timeout, mask, (size_t)8);

    if (wanted >= 0 && fcntl(wanted, F_GETFD) < 0)
        test_check(open("/dev/null", O_RDONLY | O_CLOEXEC) == wanted);
    return r;
}

static void a_descriptor_that_is_lost_while_it_connects_is_not_closed_again(void **state)
{
    jg_connecting connecting;
    struct place place;
    jg_loop *loop;
    int done = 0;
    jg_op op;

    (void)state;
    enter(&place);
    dig(&place, "127.0.0.1:0");
    loop = test_loop_with((jg_loop_options){.backend = "poll"}); /* which sees that it is closed */
    jg_op_init(&op, loop, test_count_call, &done);
    wanted = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(wanted); /* to be the next */
    assert_int_equal(jg_connect_start(&connecting, &place.a, &place.hole, NULL, &op), 0);
    assert_int_equal(jg_loop_run_once(loop, 0), 1);
    close(wanted);
    for (int i = 0; i < 2; i++)
        (void)jg_loop_run_once(loop, 0);
    assert_int_equal(done, 1);
    assert_int_equal(jg_op_status(&op), -EBADF);
    assert_int_equal(close(wanted), 0); /* it is still there */
    wanted = -1;
    test_loop_done(loop);
    fill_in(&place);
    leave(&place);
}

#endif

static void what_came_while_it_connected_is_read_to_its_end(void **state)
{
    const jg_address any = address_of("127.0.0.1:0");
    struct place place;
    jg_connecting connecting;
    int connected = 0, done = 0, fd, listener;
    char buf[16];
    jg_op op;

    (void)state;
    enter(&place);
    listener = listen_plainly(&any, 5, &place.closed);
    jg_op_init(&op, place.loop, test_count_call, &connected);
    assert_int_equal(jg_connect_start(&connecting, &place.a, &place.closed, NULL, &op), 0);
    assert_false(jg_stream_is_open(&place.a));
    fd = accept(listener, NULL, NULL);
    assert_int_equal(send(fd, "hi", 2, 0), 2);
    close(fd);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(connected, 1);
    assert_int_equal(jg_op_status(&op), 0);
    for (int i = 0; i < 2; i++) {
        jg_op_init(&op, place.loop, test_count_call, &done);
        assert_int_equal(jg_stream_read_start(&place.a, buf, sizeof(buf), &op), 0);
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(jg_op_status(&op), i == 0 ? 2 : 0);
    }
    close(listener);
    leave(&place);
}

#ifdef __linux__

/* Others refuse. */
static void a_full_backlog_of_a_unix_socket_is_waited_for(void **state)
{
    struct place place;
    jg_connecting connecting;
    int completed = 0;
    char name[64];
    jg_op op;

    (void)state;
    enter(&place);
    snprintf(name, sizeof(name), "unix:@juggle-test-connect-%d", (int)getpid());
    dig(&place, name);
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_connect_start(&connecting, &place.a, &place.hole, NULL, &op), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jg_loop_run_once(place.loop, JG_SECOND), 1);
    assert_int_equal(completed, 0);
    close(accept(place.hole_fd, NULL, NULL));
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 1);
    assert_int_equal(jg_op_status(&op), 0);
    assert_true(jg_stream_is_open(&place.a));
    fill_in(&place);
    leave(&place);
}

#endif

static void interrupt(int signo)
{
    (void)signo;
}

static int meet_often(void *arg)
{
    struct place *place = arg;

    for (int i = 0; i < (test_is_slow() ? 50 : 300); i++) {
        char byte = 0;

        test_check(jg_connect(&place->a, &place->address, NULL) == 0);
        test_check(jg_accept(&place->listener, &place->b, NULL) == 0);
        test_check(jg_stream_write(&place->a, "x", 1) == 0);
        test_check(jg_stream_read(&place->b, &byte, 1) == 1 && byte == 'x');
        jg_stream_abort(&place->b);
        jg_stream_abort(&place->a);
    }
    return 0;
}

static void signals_do_not_get_in_the_way(void **state)
{
    const int pause = test_is_slow() ? 10000 : 100; /* microseconds */
    const struct itimerval often = {{0, pause}, {0, pause}}, never = {{0, 0}, {0, 0}};
    const struct sigaction action = {.sa_handler = interrupt};
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0); /* for good: one may still be pending */
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    run(&place, meet_often);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    leave(&place);
}

/* ---------------------------------------------------------------- several addresses */

static int race_past_the_hole(void *arg)
{
    struct place *place = arg;
    const jg_address addresses[] = {place->hole, place->closed, place->hole, place->address};
    const jg_connect_options options = {.attempt_delay = 10 * JG_MILLISECOND};
    jg_address peer;
    char byte;

    test_check(jg_connect_any(&place->a, addresses, 4, &options) == 0);
    test_check(jg_accept(&place->listener, &place->b, NULL) == 0);
    test_check(jg_stream_peer(&place->a, &peer) == 0);
    test_check(jg_address_equal(&peer, &place->address));
    test_check(jg_stream_write(&place->b, "x", 1) == 0);
    test_check(jg_stream_read(&place->a, &byte, 1) == 1);
    test_check(jg_stream_write(&place->a, "y", 1) == 0);
    test_check(jg_stream_read(&place->b, &byte, 1) == 1 && byte == 'y');
    return 0;
}

static void an_address_that_does_not_answer_holds_up_the_others_for_a_moment(void **state)
{
    struct place place;
    jg_time begin;

    (void)state;
    enter(&place);
    dig(&place, "127.0.0.1:0");
    place.descriptors = test_open_descriptors();
    begin = test_clock();
    run(&place, race_past_the_hole);
    assert_true(test_clock() - begin >= 20 * JG_MILLISECOND);
    place.descriptors -= HOLE + 1;
    fill_in(&place);
    leave(&place);
}

static int fail_over(void *arg)
{
    struct place *place = arg;
    const jg_address addresses[] = {place->closed, place->closed, place->address};
    const jg_connect_options options = {.attempt_delay = 30 * JG_SECOND};
    const jg_time begin = test_clock();

    test_check(jg_connect_any(&place->a, addresses, 3, &options) == 0);
    test_check(test_clock() - begin < 20 * JG_SECOND);
    return 0;
}

static void an_address_that_fails_holds_up_nobody(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, fail_over);
    leave(&place);
}

static int lose_all(void *arg)
{
    struct place *place = arg;
    const jg_address nowhere = address_of("/nonexistent/juggle");
    const jg_address addresses[] = {place->hole, nowhere, place->closed, place->hole};
    jg_connect_failure failures[6];
    jg_connect_options options = {.timeout = 30 * JG_MILLISECOND,
                                  .attempt_delay = 5 * JG_MILLISECOND,
                                  .failures = failures,
                                  .failure_room = 6};

    do { /* on a busy machine the time may be over before all had their turn */
        options.timeout *= 2;
        test_check(jg_connect_any(&place->a, addresses, 4, &options) == -ETIMEDOUT);
    } while (failures[1].error == 0 && options.timeout < 10 * JG_SECOND);
    test_check(!jg_stream_is_open(&place->a));
    test_check(failures[0].error == -ENOENT);
    test_check(jg_address_equal(&failures[0].address, &nowhere));
    test_check(failures[1].error == -ECONNREFUSED);
    test_check(jg_address_equal(&failures[1].address, &place->closed));
    for (int i = 2; i < 6; i++)
        test_check(failures[i].error == 0);
    test_check(jg_connect_any(&place->a, addresses + 1, 2, NULL) == -ENOENT);
    test_check(jg_connect_any(&place->a, addresses + 2, 1, NULL) == -ECONNREFUSED);
    return 0;
}

static void if_all_fail_each_error_is_to_be_had(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    dig(&place, "127.0.0.1:0");
    run(&place, lose_all);
    fill_in(&place);
    leave(&place);
}

static int be_told_most(void *arg)
{
    struct place *place = arg;
    const jg_address broadcast = address_of("255.255.255.255:9"); /* no host can have it */
    const jg_address local = address_of("[::1]:0");
    const jg_address addresses[] = {place->address, place->closed, broadcast};
    const jg_connect_options options = {.local = &local};
    int r = jg_connect_any(&place->a, addresses + 1, 2, NULL);

    test_check(r == -ECONNREFUSED);
    test_check(jg_connect_any(&place->a, addresses, 2, &options) == -EINVAL);
    return 0;
}

static void what_a_host_answered_tells_more_than_what_could_not_be_tried(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, be_told_most);
    leave(&place);
}

static void cancelling_a_race_closes_all_attempts(void **state)
{
    struct place place;
    int completed = 0;
    jg_op op;

    (void)state;
    enter(&place);
    dig(&place, "127.0.0.1:0");
    for (int turns = 0; turns < 4; turns++) {
        const jg_address addresses[] = {place.hole, place.hole, place.hole, place.hole};
        const jg_connect_options options = {.attempt_delay = 2 * JG_MILLISECOND};
        int open = test_open_descriptors();

        completed = 0;
        jg_op_init(&op, place.loop, test_count_call, &completed);
        assert_int_equal(jg_connect_any_start(&place.a, addresses, 4, &options, &op), 0);
        for (int i = 0; i < turns; i++)
            assert_int_equal(jg_loop_run_once(place.loop, JG_SECOND), 1);
        assert_int_equal(test_open_descriptors(), open + 1 + turns);
        jg_op_cancel(&op);
        assert_int_equal(test_open_descriptors(), open);
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(completed, 1);
        assert_int_equal(jg_op_status(&op), -ECANCELED);
    }
    fill_in(&place);
    leave(&place);
}

/* ---------------------------------------------------------------- by name */

static int call_by_name(void *arg)
{
    struct place *place = arg;
    const uint16_t port = jg_address_port(&place->address);

    test_check(jg_connect_name(&place->a, "localhost", port, NULL) == 0);
    test_check(jg_accept(&place->listener, &place->b, NULL) == 0);
    jg_stream_abort(&place->a);
    jg_stream_abort(&place->b);
    test_check(jg_connect_name(&place->a, "127.0.0.1", port, NULL) == 0);
    test_check(jg_accept(&place->listener, &place->b, NULL) == 0);
    jg_stream_abort(&place->a);
    test_check(jg_connect_name(&place->a, "not a name", port, NULL) == -EINVAL);
    test_check(jg_connect_name(&place->a, "localhost", jg_address_port(&place->closed), NULL) ==
               -ECONNREFUSED);
    return 0;
}

static void a_host_is_called_by_its_name(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, call_by_name);
    leave(&place);
}

/* Ask a name server that does not answer. */
static int call_in_vain(void *arg)
{
    struct place *place = arg;
    jg_address server;
    socklen_t size = sizeof(server.storage);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), r;
    const jg_address any = address_of("127.0.0.1:0");
    const jg_resolve_options resolve = {.servers = &server, .server_count = 1};
    const jg_connect_options options = {.timeout = 20 * JG_MILLISECOND, .resolve = &resolve};

    test_check(bind(fd, (const struct sockaddr *)any.storage, any.size) == 0);
    memset(&server, 0, sizeof(server));
    test_check(getsockname(fd, (struct sockaddr *)server.storage, &size) == 0);
    server.size = size;
    r = jg_connect_name(&place->a, "host.example", 1, &options);
    close(fd);
    return r;
}

static void the_limit_holds_while_a_name_is_looked_up(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_run_until_complete(place.loop, call_in_vain, &place, NULL), -ETIMEDOUT);
    leave(&place);
}

/* ---------------------------------------------------------------- disturbed */

/* Everything once; each failure is handed on, and leaves nothing. */
static int make_connections(void *arg)
{
    const jg_address any = address_of("127.0.0.1:0");
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_listener listener;
    jg_address address;
    jg_stream a = {0}, b = {0};
    int r = jg_listen(&listener, loop, &any, NULL);

    (void)arg;
    if (r < 0)
        return r;
    (void)jg_listener_address(&listener, &address);
    for (int i = 0; i < 3 && r >= 0; i++) {
        const jg_address addresses[] = {any, address};

        if (i == 0)
            r = jg_connect(&a, &address, NULL);
        else if (i == 1)
            r = jg_connect_any(&a, addresses, 2, NULL);
        else
            r = jg_connect_name(&a, "127.0.0.1", jg_address_port(&address), NULL);
        if (r >= 0)
            r = jg_accept(&listener, &b, NULL);
        if (r >= 0)
            r = jg_stream_write(&a, "x", 1);
        if (r >= 0)
            r = jg_stream_read(&b, (char[1]){0}, 1);
        jg_stream_abort(&a);
        jg_stream_abort(&b);
    }
    jg_listener_close(&listener);
    return r < 0 ? r : 0;
}

static void nothing_is_left_wherever_it_is_cancelled(void **state)
{
    (void)state;
    assert_int_equal(jg_test_cancel_each(make_connections, NULL, NULL), 0);
}

static void nothing_is_left_whatever_memory_fails(void **state)
{
    (void)state;
    assert_int_equal(jg_test_fail_each(make_connections, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_connected_to_says_why),
        cmocka_unit_test(the_local_address_can_be_chosen),
        cmocka_unit_test(a_connection_to_itself_is_none),
        cmocka_unit_test(a_connect_without_an_answer_ends_in_time),
#ifdef __linux__
        cmocka_unit_test(a_descriptor_that_is_lost_while_it_connects_is_not_closed_again),
#endif
        cmocka_unit_test(what_came_while_it_connected_is_read_to_its_end),
#ifdef __linux__
        cmocka_unit_test(a_full_backlog_of_a_unix_socket_is_waited_for),
#endif
        cmocka_unit_test(signals_do_not_get_in_the_way),
        cmocka_unit_test(an_address_that_does_not_answer_holds_up_the_others_for_a_moment),
        cmocka_unit_test(an_address_that_fails_holds_up_nobody),
        cmocka_unit_test(if_all_fail_each_error_is_to_be_had),
        cmocka_unit_test(what_a_host_answered_tells_more_than_what_could_not_be_tried),
        cmocka_unit_test(cancelling_a_race_closes_all_attempts),
        cmocka_unit_test(a_host_is_called_by_its_name),
        cmocka_unit_test(the_limit_holds_while_a_name_is_looked_up),
        cmocka_unit_test(nothing_is_left_wherever_it_is_cancelled),
        cmocka_unit_test(nothing_is_left_whatever_memory_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
