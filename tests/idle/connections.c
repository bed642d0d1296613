/* SPDX-License-Identifier: MIT
 *
 * connections coroutines|callbacks COUNT: what accepted connections cost that only wait.
 *
 * coroutines  bytes of resident memory for each connection of a server of coroutines
 * callbacks   the same for a server of callbacks, the struct of its user included; what the
 *             allocator of that may add is not, as all of them are one block
 *
 * Another process is the clients. Each has had a byte echoed, so that its connection has been used
 * before it is idle. Prints a line bench=… and ends with 1 if it is more than promised, with 77 if
 * too few descriptors are allowed.
 */
#include "idle.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { WARM = 16 }; /* connections before it is measured */

static bool with_coroutines;

/* ---------------------------------------------------------------- the clients, in a child */

static void dial(const jg_address *address)
{
    const struct linger none = {.l_onoff = 1}; /* a port that is given up is free at once */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 'x';

    check(fd >= 0, "a client has no socket");
    check(connect(fd, (const struct sockaddr *)address->storage, address->size) == 0,
          "a client cannot connect");
    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0, "a client lingers");
    check(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1, "a client had no answer");
}

/* Say that so many are connected, and wait until it is measured. */
static void tell(int control)
{
    char byte = 'x';

    check(write(control, &byte, 1) == 1 && read(control, &byte, 1) == 1, "the server is gone");
}

static void be_clients(const jg_address *address, int control)
{
    for (long i = 0; i < WARM; i++)
        dial(address);
    tell(control);
    for (long i = 0; i < count; i++)
        dial(address);
    tell(control);
    _exit(0);
}

/* ---------------------------------------------------------------- the servers */

static int echo(jg_stream *stream, void *arg)
{
    char byte;
    int r;

    (void)arg;
    while ((r = jg_stream_read(stream, &byte, 1)) > 0) {
        r = jg_stream_write(stream, &byte, 1);
        if (r < 0)
            break;
    }
    return r;
}

struct client {
    jg_connection connection;
    jg_op op;
    const void *data;
};

static struct client *clients;
static long accepted;

static void on_data(void *arg)
{
    struct client *client = arg;
    jg_stream *stream = &client->connection.stream;
    int r = jg_op_status(&client->op);

    if (r > 0) {
        int size = r;

        r = jg_stream_write(stream, client->data, (size_t)size);
        jg_stream_consume(stream, (size_t)size);
        if (r == 0)
            r = jg_stream_peek_start(stream, 1, &client->data, &client->op);
        if (r == 0)
            return;
    }
    jg_stream_abort(stream);
    jg_server_detach(&client->connection);
}

static int on_client(void *arg, int fd, const jg_address *peer)
{
    jg_server *server = arg;
    struct client *client = &clients[accepted++];

    (void)peer;
    check(accepted <= count + WARM, "there are more clients than that");
    check(jg_server_attach(server, &client->connection, fd, NULL) == 0,
          "a connection was not attached");
    jg_op_init(&client->op, server->loop, on_data, client);
    check(jg_stream_peek_start(&client->connection.stream, 1, &client->data, &client->op) == 0,
          "a read did not start");
    return 0;
}

static void open_server(jg_server *server, jg_scope *scope, jg_loop *loop)
{
    if (with_coroutines)
        jg_server_open(server, scope, echo, NULL, NULL);
    else
        jg_server_open_with(server, loop, on_client, server, NULL);
}

/* Wait until the clients say that they are connected. Returns the memory in use, then lets go on. */
static long measure(jg_stream *control)
{
    long bytes;
    char byte;

    check(jg_stream_read(control, &byte, 1) == 1, "the clients are gone");
    bytes = resident();
    check(jg_stream_write(control, &byte, 1) == 0, "the clients are gone");
    return bytes;
}

static void serve_clients(jg_server *server, int fd)
{
    const double most = with_coroutines ? COROUTINE_BYTES : STEP_BYTES;
    jg_server_stats stats;
    jg_stream control;
    long before, bytes;

    check(jg_stream_open(&control, server->loop, fd, NULL) == 0, "the clients are gone");
    before = measure(&control);
    bytes = measure(&control) - before;
    jg_server_stat(server, &stats);
    check(stats.most == count + WARM, "not all connections are there");
    report(with_coroutines ? "connections_coroutines" : "connections_callbacks",
           (double)bytes / (double)count, "bytes");
    check((double)bytes <= (double)count * most, "that is too much");
    jg_stream_abort(&control);
}

static int run(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_listener listener;
    jg_address address;
    jg_server server;
    jg_scope scope;
    int control[2], status;
    pid_t child;

    (void)arg;
    check(jg_address_parse("127.0.0.1:0", &address) == 0 &&
              jg_listen(&listener, loop, &address, NULL) == 0 &&
              jg_listener_address(&listener, &address) == 0,
          "the server does not listen");
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, control) == 0, "there are no sockets");
    child = fork();
    check(child >= 0, "there is no process for the clients");
    if (child == 0) {
        close(control[0]);
        be_clients(&address, control[1]);
    }
    close(control[1]);

    jg_scope_enter(&scope, NULL);
    open_server(&server, &scope, loop);
    check(jg_server_add(&server, &listener) == 0, "the server does not accept");
    serve_clients(&server, control[0]);
    jg_server_close(&server);
    jg_server_abort_clients(&server);
    check(jg_server_wait(&server) == 0, "the server does not end");
    check(waitpid(child, &status, 0) == child && status == 0, "the clients failed");
    return jg_scope_leave(&scope, 0);
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    check(argc == 3, "usage: connections coroutines|callbacks COUNT");
    count = atol(argv[2]);
    with_coroutines = strcmp(argv[1], "coroutines") == 0;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit of descriptors cannot be read");
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < (rlim_t)count + WARM + 32)
        return 77;
    limit.rlim_cur = (rlim_t)count + WARM + 32;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit of descriptors cannot be raised");
    clients = calloc((size_t)count + WARM, sizeof(*clients));
    check(clients != NULL, "no memory");
    check(jg_run(run, NULL, NULL) == 0, "jg_run failed");
    free(clients);
    return 0;
}
