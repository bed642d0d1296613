/* SPDX-License-Identifier: MIT
 *
 * Servers, with coroutines and with callbacks, and the clients they have to stand.
 */
#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server on a port of its own. Each test runs a coroutine that is given the place. */
struct place {
    jg_loop *loop;
    jg_listener listener;
    jg_address address;
    jg_server server;
    jg_scope scope;
    jg_server_options options;
    jg_server_fn handler;
    jg_coro_fn test;
    int begun, ended, last; /* handlers, and what a read of theirs returned at last */
};

static int run_place(void *arg)
{
    struct place *place = arg;
    const jg_scope_options keep_going = {.policy = JG_KEEP_GOING};
    int r;

    jg_scope_enter(&place->scope, &keep_going);
    jg_server_open(&place->server, &place->scope, place->handler, place, &place->options);
    test_check(jg_server_add(&place->server, &place->listener) == 0);
    r = place->test(place);
    jg_server_close(&place->server);
    jg_scope_cancel(&place->scope);
    (void)jg_scope_leave(&place->scope, 0);
    return r;
}

static void with_server(jg_server_fn handler, const jg_server_options *options, jg_coro_fn test)
{
    struct place place = {.loop = test_loop(0), .handler = handler, .test = test};
    int descriptors = test_open_descriptors();
    jg_address any;

    if (options)
        place.options = *options;
    assert_int_equal(jg_address_parse("127.0.0.1:0", &any), 0);
    assert_int_equal(jg_listen(&place.listener, place.loop, &any, NULL), 0);
    assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
    assert_int_equal(jg_run_until_complete(place.loop, run_place, &place, NULL), 0);
    assert_int_equal(place.begun, place.ended);
    assert_int_equal(place.server.stats.connections, 0);
    test_loop_done(place.loop);
    assert_true(test_open_descriptors() <= descriptors); /* the loop had some itself */
}

static jg_server_stats count(const struct place *place)
{
    jg_server_stats counts;

    jg_server_stat(&place->server, &counts);
    return counts;
}

/* Let others run until so many handlers have ended. */
static void until_ended(const struct place *place, int ended)
{
    while (place->ended < ended)
        test_check(jg_sleep(JG_MILLISECOND) == 0);
}

static int echo(jg_stream *stream, void *arg)
{
    struct place *place = arg;
    char buf[4096];
    int r;

    place->begun++;
    do {
        r = jg_stream_read(stream, buf, sizeof(buf));
        place->last = r;
        if (r > 0)
            r = jg_stream_write_all(stream, buf, (size_t)r, NULL) < 0 ? -EPIPE : 1;
    } while (r > 0);
    place->ended++;
    return r;
}

static void dial(const struct place *place, jg_stream *stream)
{
    test_check(jg_connect(stream, &place->address, NULL) == 0);
}

/* Whether what is sent comes back. */
static bool answers(jg_stream *stream)
{
    char byte = 0;

    return jg_stream_write(stream, "x", 1) == 0 && jg_stream_read(stream, &byte, 1) == 1 &&
           byte == 'x';
}

/* ---------------------------------------------------------------- serving */

static int use_echo(void *arg)
{
    struct place *place = arg;
    jg_stream streams[3];

    for (int i = 0; i < 3; i++)
        dial(place, &streams[i]);
    for (int i = 0; i < 9; i++)
        test_check(answers(&streams[i % 3]));
    test_check(count(place).connections == 3 && count(place).accepted == 3);
    test_check(jg_stream_shut(&streams[0]) == 0);
    test_check(jg_stream_read(&streams[0], (char[1]){0}, 1) == 0);
    until_ended(place, 1);
    test_check(count(place).connections == 2 && count(place).most == 3);
    test_check(count(place).failed == 0);
    for (int i = 0; i < 3; i++)
        jg_stream_abort(&streams[i]);
    until_ended(place, 3);
    return 0;
}

static void each_connection_has_a_handler(void **state)
{
    (void)state;
    with_server(echo, NULL, use_echo);
}

static int say_and_fail(jg_stream *stream, void *arg)
{
    static char text[1 << 20];
    struct place *place = arg;

    place->begun++;
    test_check(
        setsockopt(jg_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)) == 0);
    memset(text, 'x', sizeof(text));
    test_check(jg_stream_write(stream, text, sizeof(text)) == 0);
    place->ended++;
    return -EPERM;
}

static int hear_all(void *arg)
{
    struct place *place = arg;
    static char text[1 << 20];
    jg_stream stream;
    size_t size;

    dial(place, &stream);
    until_ended(place, 1);
    test_check(jg_stream_read_exactly(&stream, text, sizeof(text), &size) == 0);
    test_check(jg_stream_read(&stream, text, 1) == 0);
    test_check(count(place).failed == 1);
    jg_stream_abort(&stream);
    return 0;
}

static void what_a_handler_wrote_is_sent_after_its_end(void **state)
{
    (void)state;
    with_server(say_and_fail, NULL, hear_all);
}

static int hear_nothing(void *arg)
{
    struct place *place = arg;
    jg_stream stream;

    dial(place, &stream);
    until_ended(place, 1);
    test_check(count(place).connections == 1);
    while (count(place).connections > 0)
        test_check(jg_sleep(JG_MILLISECOND) == 0);
    jg_stream_abort(&stream);
    return 0;
}

static void a_client_that_never_reads_is_given_up(void **state)
{
    const jg_server_options options = {.close_timeout = 30 * JG_MILLISECOND};

    (void)state;
    with_server(say_and_fail, &options, hear_nothing);
}

/* ---------------------------------------------------------------- limits */

static int reach_the_limit(void *arg)
{
    struct place *place = arg;
    jg_stream streams[5];

    for (int i = 0; i < 5; i++)
        dial(place, &streams[i]);
    test_check(answers(&streams[0]) && answers(&streams[1]));
    test_check(jg_stream_write(&streams[2], "x", 1) == 0);
    test_check(jg_sleep(5 * JG_MILLISECOND) == 0);
    test_check(count(place).connections == 2 && count(place).accepted == 2);
    jg_stream_abort(&streams[1]);
    test_check(jg_stream_read(&streams[2], (char[1]){0}, 1) == 1);
    test_check(count(place).accepted == 3);
    jg_stream_abort(&streams[2]);
    jg_stream_abort(&streams[0]);
    test_check(answers(&streams[3]) && answers(&streams[4]));
    test_check(count(place).most == 2);
    jg_stream_abort(&streams[3]);
    jg_stream_abort(&streams[4]);
    until_ended(place, 5);
    return 0;
}

static void at_the_limit_others_wait(void **state)
{
    const jg_server_options options = {.limit = 2};

    (void)state;
    with_server(echo, &options, reach_the_limit);
}

/* ---------------------------------------------------------------- ending */

static int close_server(void *arg)
{
    struct place *place = arg;
    jg_stream stream, late;
    jg_op op;

    dial(place, &stream);
    test_check(answers(&stream));
    jg_op_self(&op);
    test_check(jg_server_wait_start(&place->server, &op) == 0);
    jg_server_close(&place->server);
    test_check(jg_connect(&late, &place->address, NULL) == -ECONNREFUSED);
    test_check(answers(&stream));
    test_check(jg_op_pending(&op));
    jg_stream_abort(&stream);
    test_check(jg_await(&op) == 0);
    test_check(place->ended == 1);
    test_check(jg_server_wait(&place->server) == 0);
    test_check(jg_server_add(&place->server, &place->listener) == -EBADF);
    return 0;
}

static void a_closed_server_lets_its_connections_go_on(void **state)
{
    (void)state;
    with_server(echo, NULL, close_server);
}

static int close_clients(void *arg)
{
    struct place *place = arg;
    jg_stream stream;

    dial(place, &stream);
    test_check(answers(&stream));
    test_check(jg_stream_write(&stream, "x", 1) == 0);
    jg_server_close_clients(&place->server);
    until_ended(place, 1);
    test_check(place->last == -ECONNABORTED && count(place).failed == 0);
    jg_stream_abort(&stream);
    dial(place, &stream);
    test_check(answers(&stream));
    jg_stream_abort(&stream);
    until_ended(place, 2);
    return 0;
}

static void closing_clients_ends_their_reads_alone(void **state)
{
    (void)state;
    with_server(echo, NULL, close_clients);
}

static int abort_clients(void *arg)
{
    struct place *place = arg;
    jg_stream stream;

    dial(place, &stream);
    test_check(answers(&stream));
    jg_server_abort_clients(&place->server);
    until_ended(place, 1);
    test_check(jg_stream_read(&stream, (char[1]){0}, 1) == 0);
    jg_stream_abort(&stream);
    return 0;
}

static void aborting_clients_closes_their_streams(void **state)
{
    (void)state;
    with_server(echo, NULL, abort_clients);
}

static int cancel_scope(void *arg)
{
    struct place *place = arg;
    jg_stream stream;

    dial(place, &stream);
    test_check(answers(&stream));
    jg_scope_cancel(&place->scope);
    test_check(jg_sleep(0) == -ECANCELED);
    jg_stream_abort(&stream);
    return 0;
}

static void cancelling_the_scope_ends_the_handlers(void **state)
{
    (void)state;
    with_server(echo, NULL, cancel_scope);
}

static int say_and_wait(jg_stream *stream, void *arg)
{
    static char text[1 << 20];
    struct place *place = arg;

    place->begun++;
    test_check(
        setsockopt(jg_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)) == 0);
    test_check(jg_stream_write(stream, text, sizeof(text)) == 0);
    place->last = jg_stream_read(stream, text, 1);
    place->ended++;
    return place->last;
}

static int cancel_inner_scope(void *arg)
{
    struct place *place = arg;
    static char text[1 << 20];
    jg_stream stream;
    jg_scope scope;
    size_t size;
    jg_op left;

    jg_scope_open(&scope, place->loop, NULL, NULL);
    jg_server_open(&place->server, &scope, say_and_wait, place, NULL);
    test_check(jg_server_add(&place->server, &place->listener) == 0);
    dial(place, &stream);
    while (place->begun == 0)
        test_check(jg_sleep(JG_MILLISECOND) == 0);
    jg_scope_cancel(&scope);
    until_ended(place, 1);
    test_check(place->last == -ECANCELED && count(place).failed == 0);
    test_check(jg_stream_read_exactly(&stream, text, sizeof(text), &size) == 0);
    test_check(jg_stream_read(&stream, text, 1) == 0);
    jg_stream_abort(&stream);

    /* The scope takes nobody any more: so the server learns that it is over. */
    dial(place, &stream);
    test_check(jg_server_wait(&place->server) == 0);
    test_check(jg_stream_read(&stream, text, 1) <= 0);
    jg_stream_abort(&stream);
    test_check(jg_connect(&stream, &place->address, NULL) == -ECONNREFUSED);
    jg_op_self(&left);
    jg_scope_close(&scope, 0, &left);
    test_check(jg_await(&left) == 0);
    return 0;
}

static void what_was_written_is_sent_when_all_is_cancelled(void **state)
{
    struct place place = {.loop = test_loop(0)};
    jg_address any;

    (void)state;
    assert_int_equal(jg_address_parse("127.0.0.1:0", &any), 0);
    assert_int_equal(jg_listen(&place.listener, place.loop, &any, NULL), 0);
    assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
    assert_int_equal(jg_run_until_complete(place.loop, cancel_inner_scope, &place, NULL), 0);
    test_loop_done(place.loop);
}

struct serving {
    jg_listener listener;
    jg_address address;
    int served;
    jg_scope scope;
};

static int count_served(jg_stream *stream, void *arg)
{
    struct serving *serving = arg;
    char byte;
    int r = jg_stream_read(stream, &byte, 1);

    serving->served++;
    return r < 0 ? r : jg_stream_write(stream, &byte, 1);
}

static int serve(void *arg)
{
    struct serving *serving = arg;

    return jg_serve(&serving->listener, count_served, serving, NULL);
}

static int use_serve(void *arg)
{
    struct serving *serving = arg;
    jg_stream stream = {0};
    jg_address any;
    int r;

    test_check(jg_address_parse("127.0.0.1:0", &any) == 0);
    r = jg_listen(&serving->listener, jg_task_loop(jg_task_current()), &any, NULL);
    if (r < 0)
        return r;
    (void)jg_listener_address(&serving->listener, &serving->address);
    jg_scope_enter(&serving->scope, NULL);
    r = jg_spawn(&serving->scope, serve, serving, NULL);
    if (r == 0)
        r = jg_connect(&stream, &serving->address, NULL);
    if (r == 0)
        r = jg_stream_write(&stream, "x", 1);
    if (r == 0)
        r = jg_stream_read(&stream, (char[1]){0}, 1);
    if (r == 1)
        r = jg_connect(&(jg_stream){0}, &(jg_address){.size = 0}, NULL) == -EINVAL ? 0 : -EPERM;
    jg_stream_abort(&stream);
    jg_scope_cancel(&serving->scope);
    r = jg_scope_leave(&serving->scope, r);
    jg_listener_close(&serving->listener);
    return r;
}

static bool ends_well(void *arg, int status)
{
    (void)arg;
    return status == 0 || status == -ECANCELED || status == -ENOMEM ||
           status == -ECONNRESET /* the handler was ended first */;
}

static void a_program_that_only_serves_is_one_call(void **state)
{
    struct serving serving = {.served = 0};
    jg_loop *loop = test_loop(0);

    (void)state;
    assert_int_equal(jg_run_until_complete(loop, use_serve, &serving, NULL), 0);
    assert_int_equal(serving.served, 1);
    test_loop_done(loop);
}

static void a_server_that_is_disturbed_leaves_nothing(void **state)
{
    const jg_test_options options = {.check = ends_well};
    struct serving serving = {.served = 0};

    (void)state;
    assert_int_equal(jg_test_cancel_each(use_serve, &serving, &options), 0);
    assert_int_equal(jg_test_fail_each(use_serve, &serving, &options), 0);
    assert_int_equal(jg_test_shuffle_each(use_serve, &serving, &(jg_test_options){.seeds = 20}), 0);
}

/* ---------------------------------------------------------------- callbacks */

struct echoer {
    jg_connection connection;
    jg_op op;
    char buf[64];
};

static struct echoer echoers[4];

static void on_read(void *arg)
{
    struct echoer *echoer = arg;
    jg_stream *stream = &echoer->connection.stream;
    int r = jg_op_status(&echoer->op);

    if (r > 0)
        r = jg_stream_write(stream, echoer->buf, (size_t)r);
    else if (r == 0)
        r = -EPIPE;
    if (r == 0)
        r = jg_stream_read_start(stream, echoer->buf, sizeof(echoer->buf), &echoer->op);
    if (r == 0)
        return;
    jg_stream_abort(stream);
    jg_server_detach(&echoer->connection);
    echoer->op.loop = NULL;
}

static int on_accept(void *arg, int fd, const jg_address *peer)
{
    struct place *place = arg;
    struct echoer *echoer = echoers;

    (void)peer;
    while (echoer < echoers + 4 && echoer->op.loop)
        echoer++;
    if (echoer == echoers + 4)
        return -ENOMEM;
    test_check(jg_server_attach(&place->server, &echoer->connection, fd, NULL) == 0);
    jg_op_init(&echoer->op, place->loop, on_read, echoer);
    return jg_stream_read_start(&echoer->connection.stream, echoer->buf, sizeof(echoer->buf),
                                &echoer->op);
}

static int use_callbacks(void *arg)
{
    struct place *place = arg;
    jg_stream streams[5];

    jg_server_open_with(&place->server, place->loop, on_accept, place, NULL);
    test_check(jg_server_add(&place->server, &place->listener) == 0);
    for (int i = 0; i < 5; i++)
        dial(place, &streams[i]);
    for (int i = 0; i < 4; i++)
        test_check(answers(&streams[i]));
    test_check(jg_stream_read(&streams[4], (char[1]){0}, 1) == 0);
    test_check(count(place).shed == 1 && count(place).connections == 4);
    jg_server_close_clients(&place->server);
    test_check(jg_stream_read(&streams[0], (char[1]){0}, 1) == 0);
    jg_server_close(&place->server);
    test_check(jg_server_wait(&place->server) == 0);
    for (int i = 0; i < 5; i++)
        jg_stream_abort(&streams[i]);
    return 0;
}

static void a_server_of_callbacks_counts_structs_of_its_user(void **state)
{
    struct place place = {.loop = test_loop(0)};
    jg_address any;

    (void)state;
    assert_true(sizeof(jg_connection) <= 200);
    assert_int_equal(jg_address_parse("127.0.0.1:0", &any), 0);
    assert_int_equal(jg_listen(&place.listener, place.loop, &any, NULL), 0);
    assert_int_equal(jg_listener_address(&place.listener, &place.address), 0);
    assert_int_equal(jg_run_until_complete(place.loop, use_callbacks, &place, NULL), 0);
    test_loop_done(place.loop);
}

/* ---------------------------------------------------------------- hostile clients */

static int reset_in_the_middle(void *arg)
{
    struct place *place = arg;

    for (int i = 0; i < 20; i++) {
        static char data[1 << 18];
        const struct linger none = {.l_onoff = 1};
        jg_stream stream;

        dial(place, &stream);
        test_check(jg_stream_write(&stream, data, sizeof(data)) == 0);
        if (i % 2)
            test_check(jg_sleep(JG_MILLISECOND) == 0);
        test_check(setsockopt(jg_stream_fd(&stream), SOL_SOCKET, SO_LINGER, &none, sizeof(none)) ==
                   0);
        jg_stream_abort(&stream);
    }
    until_ended(place, 20);
    return 0;
}

static void resets_in_the_middle_of_writes_end_only_their_connection(void **state)
{
    (void)state;
    with_server(echo, NULL, reset_in_the_middle);
}

/* What a slow reader makes the server keep is bounded, and it does not turn meanwhile. */
static int send_without_reading(void *arg)
{
    struct place *place = arg;
    const struct test_memory *memory = test_loop_memory(place->loop);
    static char data[1 << 16];
    jg_stream stream;
    size_t sent = 0, before;

    dial(place, &stream);
    test_check(answers(&stream));
    before = memory->live;
    for (;;) {
        const jg_scope_options limited = {.timeout = 20 * JG_MILLISECOND};
        size_t taken = 0;
        jg_scope scope;

        jg_scope_enter(&scope, &limited);
        (void)jg_stream_write_all(&stream, data, sizeof(data), &taken);
        sent += taken;
        if (jg_scope_leave(&scope, -ECANCELED) == -ETIMEDOUT && taken < sizeof(data))
            break;
        test_check(sent < (size_t)1 << 28);
    }
    test_check(memory->live < before + ((size_t)1 << 20));

    while (sent > 0) {
        int r = jg_stream_read(&stream, data, sizeof(data));

        test_check(r > 0 && (size_t)r <= sent + 1);
        sent -= (size_t)r;
    }
    test_check(answers(&stream));
    jg_stream_abort(&stream);
    until_ended(place, 1);
    return 0;
}

static void a_client_that_only_sends_is_held_back_and_loses_nothing(void **state)
{
    (void)state;
    with_server(echo, NULL, send_without_reading);
}

static int come_and_go(void *arg)
{
    struct place *place = arg;
    const struct test_memory *memory = test_loop_memory(place->loop);
    const int rounds = test_is_slow() ? 5 : 100;
    static jg_stream streams[100];
    size_t before = 0;

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 100; i++)
            dial(place, &streams[i]);
        for (int i = 0; i < 100; i++)
            test_check(jg_stream_write(&streams[i], "x", 1) == 0);
        for (int i = 0; i < 100; i++) {
            test_check(jg_stream_read(&streams[i], (char[1]){0}, 1) == 1);
            jg_stream_abort(&streams[i]);
        }
        until_ended(place, 100 * (round + 1));
        if (round == 1)
            before = memory->live;
        test_check(round < 1 || memory->live <= before);
    }
    test_check(count(place).accepted == (uint64_t)(100 * rounds));
    test_check(count(place).shed == 0 && count(place).failed == 0);
    return 0;
}

static void thousands_come_and_go_without_a_trace(void **state)
{
    (void)state;
    with_server(echo, NULL, come_and_go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_has_a_handler),
        cmocka_unit_test(what_a_handler_wrote_is_sent_after_its_end),
        cmocka_unit_test(a_client_that_never_reads_is_given_up),
        cmocka_unit_test(at_the_limit_others_wait),
        cmocka_unit_test(a_closed_server_lets_its_connections_go_on),
        cmocka_unit_test(closing_clients_ends_their_reads_alone),
        cmocka_unit_test(aborting_clients_closes_their_streams),
        cmocka_unit_test(cancelling_the_scope_ends_the_handlers),
        cmocka_unit_test(what_was_written_is_sent_when_all_is_cancelled),
        cmocka_unit_test(a_program_that_only_serves_is_one_call),
        cmocka_unit_test(a_server_that_is_disturbed_leaves_nothing),
        cmocka_unit_test(a_server_of_callbacks_counts_structs_of_its_user),
        cmocka_unit_test(resets_in_the_middle_of_writes_end_only_their_connection),
        cmocka_unit_test(a_client_that_only_sends_is_held_back_and_loses_nothing),
        cmocka_unit_test(thousands_come_and_go_without_a_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
