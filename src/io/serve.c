/* SPDX-License-Identifier: MIT
 *
 * Servers.
 *
 * Invariants: `connections` holds those that are attached, stats.connections counts them. The
 * listeners are started exactly while the server is open and below its limit.
 */
#include <juggle/server.h>

#include "coro/coro.h"
#include "io/stream.h"

#include <errno.h>

#define CLOSE_TIMEOUT (5 * JG_SECOND)

/* A connection with a coroutine. */
struct client {
    jg_connection connection;
    jg_server *server;
    int fd;
};

static jg_connection *connection_of(jg_link *link)
{
    return jg__container_of(link, jg_connection, link);
}

static jg_listener *listener_of(jg_link *link)
{
    return jg__container_of(link, jg_listener, link);
}

static int on_accept(void *arg, int fd, const jg_address *peer);

static bool is_full(const jg_server *server)
{
    return server->options.limit > 0 && server->stats.connections >= server->options.limit;
}

/* Have the listeners do what follows from the number of connections. */
static void settle(jg_server *server)
{
    const bool full = is_full(server);

    for (jg_link *link = server->listeners.next; link != &server->listeners; link = link->next) {
        jg_listener *listener = listener_of(link);

        if (full)
            jg_listener_stop(listener);
        else
            (void)jg_listener_start(listener, on_accept, listener); /* or it is, or is lost */
    }
}

static void complete_if_done(jg_server *server)
{
    if (server->closed && server->stats.connections == 0)
        jg__waiters_complete(&server->waiters, 0);
}

/* ---------------------------------------------------------------- connections */

int jg_server_attach(jg_server *server, jg_connection *connection, int fd,
                     const jg_stream_options *options)
{
    jg_server_stats *counts = &server->stats;
    int r = jg_stream_open(&connection->stream, server->loop, fd, options);

    if (r < 0)
        return r;

    connection->server = server;
    jg__list_append(&server->connections, &connection->link);
    counts->connections++;
    if (counts->most < counts->connections)
        counts->most = counts->connections;
    if (is_full(server))
        settle(server);
    return 0;
}

void jg_server_detach(jg_connection *connection)
{
    jg_server *server = connection->server;
    const bool was_full = is_full(server);

    jg__check(!connection->stream.transport, "the stream of the connection is still open");
    jg__unlink(&connection->link);
    server->stats.connections--;
    if (was_full)
        settle(server);
    complete_if_done(server);
}

/* Send what the handler wrote, whatever is cancelled. */
static void close_stream(jg_stream *stream, jg_time timeout)
{
    const jg_scope_options shielded = {.shield = true};
    jg_scope scope;

    if (stream->output && stream->transport) {
        jg_scope_enter(&scope, &shielded);
        (void)jg_stream_close(stream, timeout); /* a peer that does not read loses the rest */
        (void)jg_scope_leave(&scope, 0);
    }
    jg_stream_abort(stream);
}

static int run_client(void *arg)
{
    struct client *client = arg;
    jg_server *server = client->server;
    const jg_allocator *allocator = &server->loop->allocator;
    jg_stream *stream = &client->connection.stream;
    int r = server->fn(stream, server->arg);

    server->stats.failed += r < 0 && r != -ECANCELED && r != -ECONNABORTED;
    close_stream(stream, server->options.close_timeout);
    jg_server_detach(&client->connection);
    jg__free(allocator, client, sizeof(*client));
    return 0;
}

static int spawn_client(jg_server *server, int fd, const jg_address *peer,
                        const jg_stream_options *options)
{
    const jg_spawn_options spawn = {.name = server->options.name,
                                    .stack_size = server->options.stack_size};
    struct client *client = jg__alloc(&server->loop->allocator, sizeof(*client));
    int r;

    if (!client)
        return -ENOMEM;

    *client = (struct client){.server = server, .fd = fd};
    r = jg_spawn(server->scope, run_client, client, &spawn);
    if (r < 0) {
        jg__free(&server->loop->allocator, client, sizeof(*client));
        return r;
    }

    /* It cannot fail: the listener made what the streams of a loop need. */
    (void)jg_server_attach(server, &client->connection, fd, options);
    jg__stream_tell_peer(&client->connection.stream, peer);
    return 0;
}

static int on_accept(void *arg, int fd, const jg_address *peer)
{
    const jg_listener *listener = arg;
    const jg_stream_options options = {.high_mark = listener->high_mark};
    jg_server *server = listener->owner;
    int r;

    server->stats.accepted++;
    r = server->scope ? spawn_client(server, fd, peer, &options)
                      : server->accept(server->arg, fd, peer);
    if (r < 0)
        server->stats.shed++;
    if (r == -ECANCELED && server->scope)
        jg_server_close(server); /* for the scope does not take any more, ever */
    return r;
}

/* ---------------------------------------------------------------- servers */

static void open_server(jg_server *server, jg_loop *loop, void *arg,
                        const jg_server_options *options)
{
    jg__check_thread(loop);
    *server = (jg_server){.loop = loop, .arg = arg};
    if (options)
        server->options = *options;
    if (server->options.close_timeout == 0)
        server->options.close_timeout = CLOSE_TIMEOUT;
    jg__list_init(&server->listeners);
    jg__list_init(&server->connections);
    jg__list_init(&server->waiters);
}

void jg_server_open(jg_server *server, jg_scope *scope, jg_server_fn fn, void *arg,
                    const jg_server_options *options)
{
    open_server(server, scope->loop, arg, options);
    server->scope = scope;
    server->fn = fn;
}

void jg_server_open_with(jg_server *server, jg_loop *loop, jg_accept_fn accept, void *arg,
                         const jg_server_options *options)
{
    open_server(server, loop, arg, options);
    server->accept = accept;
}

int jg_server_add(jg_server *server, jg_listener *listener)
{
    int r;

    if (server->closed)
        return -EBADF;
    r = jg_listener_start(listener, on_accept, listener);
    if (r < 0)
        return r;

    listener->owner = server;
    jg__list_append(&server->listeners, &listener->link);
    if (is_full(server))
        jg_listener_stop(listener);
    return 0;
}

void jg_server_close(jg_server *server)
{
    server->closed = true;
    while (!jg__list_empty(&server->listeners)) {
        jg_listener *listener = listener_of(server->listeners.next);

        server->stats.shed += listener->shed;
        jg_listener_close(listener);
    }
    complete_if_done(server);
}

void jg_server_close_clients(jg_server *server)
{
    jg_link *list = &server->connections;

    for (jg_link *link = list->next; link != list; link = link->next)
        jg__stream_stop_reading(&connection_of(link)->stream, -ECONNABORTED);
}

void jg_server_abort_clients(jg_server *server)
{
    jg_link *list = &server->connections;

    for (jg_link *link = list->next; link != list; link = link->next)
        jg_stream_abort(&connection_of(link)->stream);
}

int jg_server_wait_start(jg_server *server, jg_op *op)
{
    static const jg_provider provider = {"server", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, server);

    if (r < 0)
        return r;

    jg__waiters_append(&server->waiters, op);
    complete_if_done(server);
    return 0;
}

int jg_server_wait(jg_server *server)
{
    return jg__await_started(jg_server_wait_start(server, jg__coro_op()));
}

void jg_server_stat(const jg_server *server, jg_server_stats *ret_stats)
{
    const jg_link *list = &server->listeners;

    *ret_stats = server->stats;
    for (jg_link *link = list->next; link != list; link = link->next)
        ret_stats->shed += listener_of(link)->shed;
}

int jg_serve(jg_listener *listener, jg_server_fn fn, void *arg, const jg_server_options *options)
{
    const jg_scope_options scope_options = {.name = options ? options->name : NULL,
                                            .policy = JG_KEEP_GOING};
    jg_server server;
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &scope_options);
    jg_server_open(&server, &scope, fn, arg, options);
    r = jg_server_add(&server, listener);
    if (r == 0)
        r = jg_server_wait(&server);
    jg_server_close(&server);
    jg_listener_close(listener); /* if it could not be added */
    return jg_scope_leave(&scope, r);
}
