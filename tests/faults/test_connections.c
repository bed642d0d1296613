/* SPDX-License-Identifier: MIT
 *
 * Connections whose system calls fail: an echo server and its client, in one loop.
 */
#include "faults.h"

#include "support.h"

#include <juggle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void address_of(const char *text, jg_address *ret_address)
{
    test_check(jg_address_parse(text, ret_address) == 0);
}

/* ---------------------------------------------------------------- echo */

struct echo {
    const char *address;
    const char *name; /* to connect to; NULL: that address */
    jg_listener listener;
    int served; /* what the server's coroutine ended with */
};

static int echo(jg_stream *stream, void *arg)
{
    struct echo *state = arg;
    char data[256];
    int n = jg_stream_read(stream, data, sizeof(data));

    while (n > 0) {
        int r = jg_stream_write(stream, data, (size_t)n);

        if (r == 0)
            r = jg_stream_drain(stream);
        n = r < 0 ? r : jg_stream_read(stream, data, sizeof(data));
    }
    state->served = n;
    return n;
}

/* Say something, hear it again, and the end. */
static int talk(jg_stream *stream)
{
    const struct iovec pieces[] = {{(char[]){"hello, "}, 7}, {(char[]){"world\n"}, 6}};
    char line[32];
    int r = jg_stream_writev(stream, pieces, 2);

    if (r == 0)
        r = jg_stream_read_line(stream, line, sizeof(line));
    if (r == 0)
        return JG_EINCOMPLETE;
    if (r < 0)
        return r;
    test_check(strcmp(line, "hello, world\n") == 0);
    r = jg_stream_shut(stream);
    return r < 0 ? r : jg_stream_read(stream, line, sizeof(line));
}

static int serve(void *arg)
{
    struct echo *state = arg;

    return jg_serve(&state->listener, echo, state, NULL);
}

static int connect_and_talk(const struct echo *state)
{
    const jg_connect_options options = {.keep_alive = JG_SECOND};
    jg_address address;
    jg_stream stream;
    int r, closed;

    r = jg_listener_address(&state->listener, &address);
    if (r == 0 && state->name)
        r = jg_connect_name(&stream, state->name, jg_address_port(&address), &options);
    else if (r == 0)
        r = jg_connect(&stream, &address, &options);
    if (r < 0)
        return r;

    r = talk(&stream);
    closed = jg_stream_close(&stream, JG_SECOND);
    return r < 0 ? r : closed;
}

static int use_echo(void *arg)
{
    struct echo *state = arg;
    jg_address address;
    jg_scope scope;
    int r;

    address_of(state->address, &address);
    r = jg_listen(&state->listener, fault_loop(), &address,
                  &(jg_listen_options){.keep_alive = JG_SECOND});
    if (r < 0)
        return r;

    state->served = 0;
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, serve, state, NULL);
    if (r == 0) {
        r = connect_and_talk(state);
        if (r == 0 && state->served != -ECANCELED)
            r = state->served;
        jg_scope_cancel(&scope);
    } else {
        jg_listener_close(&state->listener);
    }
    return jg_scope_leave(&scope, r);
}

/* Where a socket is left that nobody listens to any more. */
static int use_echo_at_old_path(void *arg)
{
    const struct echo *state = arg;
    jg_address address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address_of(state->address, &address);
    (void)unlink(state->address);
    test_check(fd >= 0 && bind(fd, (struct sockaddr *)address.storage, address.size) == 0);
    close(fd);
    return use_echo(arg);
}

/* One that was made by somebody else. */
static int use_given_listener(void *arg)
{
    struct echo *state = arg;
    const jg_connect_options options = {.keep_alive = 20 * JG_SECOND};
    jg_address address;
    jg_stream stream;
    int r, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address_of("127.0.0.1:0", &address);
    test_check(fd >= 0 && bind(fd, (struct sockaddr *)address.storage, address.size) == 0 &&
               listen(fd, 4) == 0);
    r = jg_listen_fd(&state->listener, fault_loop(), fd, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = jg_listener_address(&state->listener, &address);
    if (r == 0)
        r = jg_connect(&stream, &address, &options);
    if (r == 0) {
        r = jg_stream_peer(&stream, &address);
        jg_stream_abort(&stream);
    }
    jg_listener_close(&state->listener);
    return r;
}

/* ---------------------------------------------------------------- one of several addresses */

/* The first one refuses, as nobody listens there any more. */
static int connect_to_any(void *arg)
{
    struct echo *state = arg;
    jg_address addresses[2];
    jg_listener gone;
    jg_stream stream;
    int r;

    address_of("127.0.0.1:0", &addresses[0]);
    r = jg_listen(&gone, fault_loop(), &addresses[0], NULL);
    if (r < 0)
        return r;
    r = jg_listener_address(&gone, &addresses[0]);
    jg_listener_close(&gone);
    if (r < 0)
        return r;

    address_of("127.0.0.1:0", &addresses[1]);
    r = jg_listen(&state->listener, fault_loop(), &addresses[1], NULL);
    if (r < 0)
        return r;
    r = jg_listener_address(&state->listener, &addresses[1]);
    if (r == 0)
        r = jg_connect_any(&stream, addresses, 2, NULL);
    if (r == 0)
        jg_stream_abort(&stream);
    jg_listener_close(&state->listener);
    return r;
}

/* ---------------------------------------------------------------- the runs */

/* What is done without: see the comments where it is called. */
#define OPTIONS " setsockopt getsockopt getsockname open close accept4 "
#define PATHS   " stat unlink "

/* It is not taken over if it is not certain that nobody listens. */
#define TAKING_OVER OPTIONS PATHS " bind connect "
static const int in_use[] = {-EADDRINUSE, -ECONNRESET, -EPIPE, JG_EINCOMPLETE, 0};

/* One address may fail. Of several errors, the one that a host answered with counts. */
#define ATTEMPT " socket connect epoll_ctl "

static const int refused[] = {-ECONNREFUSED, 0};

static void try_all(void **state)
{
    static char path[80];
    static struct echo tcp = {.address = "127.0.0.1:0"}, unix = {.address = path},
                       name = {.address = "127.0.0.1:0", .name = "localhost"}, any;
    static const struct fault_scenario table[] = {
        {"echo over TCP", use_echo, &tcp, .consequences = fault_of_peer, .unheard = OPTIONS},
        {"echo by name", use_echo, &name, .consequences = fault_of_peer, .unheard = OPTIONS},
        {"echo over a Unix socket", use_echo, &unix, .consequences = fault_of_peer,
         .unheard = OPTIONS PATHS},
        {"echo with low descriptors", use_echo, &tcp, .consequences = fault_of_peer,
         .unheard = OPTIONS " fcntl ", .low = true},
        {"echo in bad times", use_echo, &tcp, .consequences = fault_of_peer, .unheard = OPTIONS,
         .times = 40},
        {"an old path", use_echo_at_old_path, &unix, .consequences = in_use,
         .unheard = TAKING_OVER},
        {"a given listener", use_given_listener, &any, .unheard = OPTIONS},
        {"one of several addresses", connect_to_any, &any, .consequences = refused,
         .unheard = OPTIONS ATTEMPT},
    };
    bool good;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/juggle-faults-%d", (int)getpid());
    good = fault_each(table, sizeof(table) / sizeof(table[0]));
    (void)unlink(path);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_connections", tests, NULL, NULL);
}
