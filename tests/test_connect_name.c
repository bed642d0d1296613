/* SPDX-License-Identifier: MIT
 *
 * Connecting to a host by its name, from the queries to a scripted name server to the first of its
 * addresses that answers. The hosts are 127.0.0.1, 127.0.0.2 and ::1, all with the same port.
 */
#include "name_server.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLE 8 /* connections that fill a backlog, so that it neither accepts nor refuses */

static const struct name_rule rules[] = {
    {.name = "one.test", .type = JG__DNS_A, .count = 1},
    {.name = "one.test"},
    {.name = "two.test", .type = JG__DNS_A, .count = 2},
    {.name = "two.test"},
    {.name = "both.test", .count = 1},
    {.name = "large.test", .type = JG__DNS_A, .flags = TRUNCATED, .count = 2},
    {.name = "large.test"},
    {.name = "empty.test"},
};

/* The hosts: a socket each, which is bound, so that nobody else has its port, and refuses until it
 * listens. */
enum { FIRST, SECOND, SIXTH, HOSTS };

struct place {
    jg_loop *loop;
    struct name_server server;
    jg_resolve_options resolve;
    jg_connect_options options;
    jg_connect_failure failures[4];
    jg_address addresses[HOSTS];
    int hosts[HOSTS]; /* -1: not here */
    int callers[HOLE];
    jg_stream stream;
    jg_op op;
    int completed;
    int descriptors; /* before the test */
};

/* Returns a socket, or -1. */
static int bind_to(jg_address *address)
{
    socklen_t size = sizeof(address->storage);
    int fd = socket(jg_address_family(address) == JG_IPV6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)address->storage, address->size) < 0) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        (void)getsockname(fd, (struct sockaddr *)address->storage, &size);
    return fd;
}

/* Have all hosts at one port, as far as they are there. Returns false if it is not free. */
static bool bind_hosts(struct place *place)
{
    static const char *const texts[HOSTS] = {"127.0.0.1:0", "127.0.0.2:0", "[::1]:0"};

    for (int i = 0; i < HOSTS; i++) {
        assert_int_equal(jg_address_parse(texts[i], &place->addresses[i]), 0);
        jg_address_set_port(&place->addresses[i], jg_address_port(&place->addresses[0]));
        place->hosts[i] = bind_to(&place->addresses[i]);
    }
    if (place->hosts[FIRST] >= 0 && place->hosts[SECOND] >= 0)
        return true;
    for (int i = 0; i < HOSTS; i++)
        close(place->hosts[i]);
    return false;
}

static void enter(struct place *place)
{
    int tries = 0;

    memset(place, 0, sizeof(*place));
    place->loop = test_loop(0);
    name_server_start(&place->server, place->loop, rules, sizeof(rules) / sizeof(rules[0]));
    while (!bind_hosts(place))
        assert_true(++tries < 100);
    for (int i = 0; i < HOLE; i++)
        place->callers[i] = -1;
    place->resolve = (jg_resolve_options){.servers = &place->server.address, .server_count = 1};
    place->options.resolve = &place->resolve;
    place->options.failures = place->failures;
    place->options.failure_room = 4;
    place->descriptors = test_open_descriptors();
}

static void leave(struct place *place)
{
    jg_stream_abort(&place->stream);
    (void)jg_watcher_close(&place->server.stream); /* of the name server, if there is one */
    assert_int_equal(test_open_descriptors(), place->descriptors);
    name_server_stop(&place->server);
    for (int i = 0; i < HOLE; i++)
        close(place->callers[i]);
    for (int i = 0; i < HOSTS; i++)
        close(place->hosts[i]);
    test_loop_done(place->loop);
}

static void answer(struct place *place, int host)
{
    assert_int_equal(listen(place->hosts[host], 5), 0);
    assert_int_equal(fcntl(place->hosts[host], F_SETFL, O_NONBLOCK), 0);
}

/* Have a host that is silent: its backlog is full. */
static void fall_silent(struct place *place, int host)
{
    const jg_address *address = &place->addresses[host];

    assert_int_equal(listen(place->hosts[host], 0), 0);
    for (int i = 0; i < HOLE; i++) {
        place->callers[i] = socket(AF_INET, SOCK_STREAM, 0);
        (void)fcntl(place->callers[i], F_SETFL, O_NONBLOCK);
        (void)connect(place->callers[i], (const struct sockaddr *)address->storage, address->size);
    }
    place->descriptors = test_open_descriptors();
}

static void start(struct place *place, const char *name)
{
    const uint16_t port = jg_address_port(&place->addresses[FIRST]);

    place->completed = 0;
    jg_op_init(&place->op, place->loop, test_count_call, &place->completed);
    assert_int_equal(jg_connect_name_start(&place->stream, name, port, &place->options, &place->op),
                     0);
}

static int call(struct place *place, const char *name)
{
    start(place, name);
    assert_int_equal(jg_loop_run(place->loop), 0);
    assert_int_equal(place->completed, 1);
    return jg_op_status(&place->op);
}

/* The stream is connected to a host, and what is written arrives there. */
static void expect_connected(struct place *place, int host)
{
    jg_address peer;
    char byte = 0;
    int fd;

    assert_int_equal(jg_stream_peer(&place->stream, &peer), 0);
    assert_true(jg_address_equal(&peer, &place->addresses[host]));
    fd = accept(place->hosts[host], NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(jg_stream_write(&place->stream, "x", 1), 0);
    assert_int_equal(recv(fd, &byte, 1, MSG_WAITALL), 1);
    assert_int_equal(byte, 'x');
    close(fd);
}

static void a_host_is_looked_up_and_connected_to(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    answer(&place, FIRST);
    assert_int_equal(call(&place, "one.test"), 0);
    assert_int_equal(place.server.queries, 2); /* for both families */
    expect_connected(&place, FIRST);
    leave(&place);
}

static void an_address_that_refuses_is_followed_by_the_next(void **state)
{
    static const char *const names[] = {"two.test", "large.test"};
    struct place place;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const jg_time begin = test_clock();

        enter(&place);
        answer(&place, SECOND);
        place.options.attempt_delay = 60 * JG_SECOND;
        assert_int_equal(call(&place, names[i]), 0);
        assert_true(test_clock() - begin < 50 * JG_SECOND);
        expect_connected(&place, SECOND);
        leave(&place);
    }
}

/* Whichever comes first, and whether this machine has IPv6 at all. */
static void a_family_that_fails_is_followed_by_the_other(void **state)
{
    struct place place;

    (void)state;
    for (int host = FIRST; host < HOSTS; host++) {
        enter(&place);
        place.options.attempt_delay = 60 * JG_SECOND;
        if (host != SECOND && place.hosts[host] >= 0) {
            answer(&place, host);
            assert_int_equal(call(&place, "both.test"), 0);
            expect_connected(&place, host);
        }
        leave(&place);
    }
}

static void an_address_that_is_silent_holds_up_the_next_for_a_moment(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    fall_silent(&place, FIRST);
    answer(&place, SECOND);
    place.options.attempt_delay = JG_MILLISECOND;
    assert_int_equal(call(&place, "two.test"), 0);
    expect_connected(&place, SECOND);
    leave(&place);
}

static void if_all_fail_each_error_is_to_be_had(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(call(&place, "two.test"), -ECONNREFUSED);
    assert_false(jg_stream_is_open(&place.stream));
    for (int i = FIRST; i <= SECOND; i++) {
        assert_true(jg_address_equal(&place.failures[i].address, &place.addresses[i]));
        assert_int_equal(place.failures[i].error, -ECONNREFUSED);
    }
    assert_int_equal(place.failures[2].error, 0);
    leave(&place);
}

static void what_cannot_be_looked_up_says_why(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(call(&place, "none.test"), JG_ENONAME);
    assert_int_equal(call(&place, "empty.test"), JG_ENOADDRESS);
    assert_false(jg_stream_is_open(&place.stream));
    assert_int_equal(place.failures[0].error, 0);
    leave(&place);
}

static void cancelling_ends_it_wherever_it_is(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    fall_silent(&place, SECOND); /* and the first one refuses, so it never comes to an end */
    for (int turns = 0; turns < 12; turns++) {
        start(&place, "large.test");
        for (int i = 0; i < turns; i++)
            (void)jg_loop_run_once(place.loop, 0);
        assert_int_equal(place.completed, 0);
        jg_op_cancel(&place.op);
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(place.completed, 1);
        assert_int_equal(jg_op_status(&place.op), -ECANCELED);
        assert_false(jg_stream_is_open(&place.stream));
        (void)jg_watcher_close(&place.server.stream); /* of the name server, if there is one */
        assert_int_equal(test_open_descriptors(), place.descriptors);
    }
    leave(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_looked_up_and_connected_to),
        cmocka_unit_test(an_address_that_refuses_is_followed_by_the_next),
        cmocka_unit_test(a_family_that_fails_is_followed_by_the_other),
        cmocka_unit_test(an_address_that_is_silent_holds_up_the_next_for_a_moment),
        cmocka_unit_test(if_all_fail_each_error_is_to_be_had),
        cmocka_unit_test(what_cannot_be_looked_up_says_why),
        cmocka_unit_test(cancelling_ends_it_wherever_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
