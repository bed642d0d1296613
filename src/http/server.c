/* SPDX-License-Identifier: MIT
 *
 * The HTTP server: its connections, what it keeps for them, and its end.
 *
 * Invariant: `connections` has every connection whose stream is not closed, or whose op has yet to
 * be told. The scope of the handlers is left when that list is empty and the server is closing.
 */
#include "http/server.h"

#include "coro/coro.h"
#include "platform/clock.h"

#include <juggle/http_field.h>

#include <errno.h>
#include <string.h>

enum { CONNECTIONS, REQUESTS, BUFFERS };

/* How many of each are kept for others when they are free. */
static const uint32_t spares[] = {256, 64, 16};

static void set_default(jg_time *time, jg_time value)
{
    if (*time == 0)
        *time = value;
}

static void set_defaults(jg_http_server_options *options)
{
    if (options->max_fields == 0)
        options->max_fields = 100;
    if (options->max_connections == 0)
        options->max_connections = 65536;
    if (options->max_pipelined == 0)
        options->max_pipelined = 64;
    set_default(&options->header_timeout, 30 * JG_SECOND);
    set_default(&options->body_timeout, 60 * JG_SECOND);
    set_default(&options->idle_timeout, 75 * JG_SECOND);
    set_default(&options->handler_timeout, JG_FOREVER);
    set_default(&options->linger_timeout, 5 * JG_SECOND);
}

static void on_left(void *arg);
static void on_grace_over(void *arg);

int jg_http_server_open(jg_http_server *server, jg_loop *loop, jg_http_handler_fn handler,
                        void *arg, const jg_http_server_options *options)
{
    jg__check_thread(loop);
    jg__check(handler != NULL, "there is no handler");
    if (options && (options->max_fields > UINT16_MAX || options->header_timeout < 0 ||
                    options->body_timeout < 0 || options->idle_timeout < 0 ||
                    options->handler_timeout < 0 || options->linger_timeout < 0))
        return -EINVAL;

    *server = (jg_http_server){.loop = loop, .handler = handler, .arg = arg, .open = true};
    if (options)
        server->options = *options;
    set_defaults(&server->options);
    jg__list_init(&server->connections);
    jg_scope_open(&server->scope, loop, NULL,
                  &(jg_scope_options){.name = "http server", .policy = JG_KEEP_GOING});
    jg_op_init(&server->left, loop, on_left, server);
    jg_timer_init(&server->timer, on_grace_over, server);
    return 0;
}

size_t jg_http_server_connections(const jg_http_server *server)
{
    return server->connection_count;
}

/* ---------------------------------------------------------------- what it keeps */

static size_t request_size(const jg_http_server *server)
{
    return sizeof(jg_http_request) + server->options.max_fields * sizeof(jg_http_field);
}

jg_http_request *jg__http_request_take(jg_http_server *server)
{
    jg_http_request *request = server->free_requests;

    if (request) {
        server->free_requests = (jg_http_request *)(void *)request->connection;
        server->free_counts[REQUESTS]--;
    } else {
        request = jg__alloc(&server->loop->allocator, request_size(server));
        if (!request)
            return NULL;
        request->parser_ready = false;
        request->fields = request->own_fields;
        request->fields_capacity = sizeof(request->own_fields);
        request->blocks = NULL;
        request->values = NULL;
    }
    if (!request->parser_ready) {
        jg_http_parser_init(&request->parser, request->field_table, server->options.max_fields,
                            &server->options.limits);
        request->parser_ready = true;
    }
    return request;
}

void jg__http_request_give(jg_http_server *server, jg_http_request *request)
{
    if (server->free_counts[REQUESTS] == spares[REQUESTS]) {
        jg__free(&server->loop->allocator, request, request_size(server));
        return;
    }
    request->connection = (jg__connection *)(void *)server->free_requests;
    server->free_requests = request;
    server->free_counts[REQUESTS]++;
}

jg__http_buffer *jg__http_buffer_take(jg_http_server *server)
{
    jg__http_buffer *buffer = server->free_buffers;

    if (buffer) {
        server->free_buffers = buffer->next;
        server->free_counts[BUFFERS]--;
    } else {
        buffer = jg__alloc(&server->loop->allocator, sizeof(*buffer));
        if (!buffer)
            return NULL;
    }
    buffer->size = 0;
    return buffer;
}

void jg__http_buffer_give(jg_http_server *server, jg__http_buffer *buffer)
{
    if (server->free_counts[BUFFERS] == spares[BUFFERS]) {
        jg__free(&server->loop->allocator, buffer, sizeof(*buffer));
        return;
    }
    buffer->next = server->free_buffers;
    server->free_buffers = buffer;
    server->free_counts[BUFFERS]++;
}

static void free_spares(jg_http_server *server)
{
    const jg_allocator *allocator = &server->loop->allocator;

    while (server->free_connections) {
        jg__connection *connection = server->free_connections;

        server->free_connections = (jg__connection *)(void *)connection->link.next;
        jg__free(allocator, connection, sizeof(*connection));
    }
    while (server->free_requests) {
        jg_http_request *request = server->free_requests;

        server->free_requests = (jg_http_request *)(void *)request->connection;
        jg__free(allocator, request, request_size(server));
    }
    while (server->free_buffers) {
        jg__http_buffer *buffer = server->free_buffers;

        server->free_buffers = buffer->next;
        jg__free(allocator, buffer, sizeof(*buffer));
    }
}

const char *jg__http_date_line(jg_http_server *server)
{
    jg_time now = jg_loop_time(server->loop);
    jg_time wall;

    if (now < server->date_until)
        return server->date;

    wall = jg__wall_clock();
    memcpy(server->date, "Date: ", 6);
    if (jg_http_date_format(wall / JG_SECOND, server->date + 6) < 0)
        memcpy(server->date + 6, "Thu, 01 Jan 1970 00:00:00 GMT", 29);
    memcpy(server->date + 35, "\r\n", 2);
    server->date_until = now + JG_SECOND - wall % JG_SECOND;
    return server->date;
}

/* ---------------------------------------------------------------- connections */

static jg__connection *take_connection(jg_http_server *server)
{
    jg__connection *connection = server->free_connections;

    if (!connection)
        return jg__alloc(&server->loop->allocator, sizeof(*connection));

    server->free_connections = (jg__connection *)(void *)connection->link.next;
    server->free_counts[CONNECTIONS]--;
    return connection;
}

static void give_connection(jg_http_server *server, jg__connection *connection)
{
    if (server->free_counts[CONNECTIONS] == spares[CONNECTIONS]) {
        jg__free(&server->loop->allocator, connection, sizeof(*connection));
        return;
    }
    connection->link.next = (jg_link *)(void *)server->free_connections;
    server->free_connections = connection;
    server->free_counts[CONNECTIONS]++;
}

static int refuse(const jg_http_server *server)
{
    jg__check(server->open, "the server is not open");
    if (server->closing)
        return -ESHUTDOWN;
    return server->connection_count >= server->options.max_connections ? -EBUSY : 0;
}

static void add(jg__connection *connection)
{
    jg_http_server *server = connection->server;

    jg__list_append(&server->connections, &connection->link);
    server->connection_count++;
    jg__http_begin_connection(connection);
}

int jg_http_serve(jg_http_server *server, jg_stream *stream, jg_call_fn on_closed, void *arg)
{
    jg__connection *connection;
    int r = refuse(server);

    if (r < 0)
        return r;

    connection = take_connection(server);
    if (!connection)
        return -ENOMEM;

    connection->server = server;
    connection->stream = stream;
    connection->on_closed = on_closed;
    connection->arg = arg;
    add(connection);
    return 0;
}

int jg_http_serve_fd(void *arg, int fd, const jg_address *peer)
{
    jg_http_server *server = arg;
    jg__connection *connection;
    int r = refuse(server);

    if (r < 0)
        return r;

    connection = take_connection(server);
    if (!connection)
        return -ENOMEM;

    r = jg_stream_open(&connection->stream_of_fd, server->loop, fd, &server->options.stream);
    if (r < 0) {
        give_connection(server, connection);
        return r;
    }
    if (peer)
        jg__stream_tell_peer(&connection->stream_of_fd, peer);
    connection->server = server;
    connection->stream = &connection->stream_of_fd;
    connection->on_closed = NULL;
    add(connection);
    return 0;
}

/* ---------------------------------------------------------------- the end */

static void end_if_empty(jg_http_server *server)
{
    if (server->closing && server->connection_count == 0 && !jg_op_pending(&server->left))
        jg_scope_close(&server->scope, 0, &server->left);
}

void jg__http_forget(jg__connection *connection)
{
    jg_http_server *server = connection->server;
    jg_call_fn on_closed = connection->on_closed;
    void *arg = connection->arg;

    jg__unlink(&connection->link);
    server->connection_count--;
    give_connection(server, connection);
    if (on_closed)
        on_closed(arg);
    end_if_empty(server);
}

static void on_left(void *arg)
{
    jg_http_server *server = arg;
    jg_op *closer = server->closer;

    jg_timer_stop(&server->timer);
    free_spares(server);
    server->open = false;
    jg_op_complete(closer, server->forced ? -ETIMEDOUT : 0);
}

static void for_each(jg_http_server *server, void (*fn)(jg__connection *connection))
{
    jg_link *link = server->connections.next, *next;

    for (; link != &server->connections; link = next) {
        next = link->next;
        fn(jg__container_of(link, jg__connection, link));
    }
}

static void on_grace_over(void *arg)
{
    jg_http_server *server = arg;

    if (server->connection_count == 0)
        return;

    server->forced = true;
    jg_scope_cancel(&server->scope);
    for_each(server, jg__http_cut);
}

static void cancel_close(jg_op *op)
{
    jg_http_server *server = op->data;

    on_grace_over(server);
}

int jg_http_server_close_start(jg_http_server *server, jg_time grace, jg_op *op)
{
    static const jg_provider provider = {"http server close", cancel_close};
    int r;

    if (!server->open)
        return -EBADF;
    if (server->closing)
        return -EALREADY;

    r = jg_op_start(op, &provider, server);
    if (r < 0)
        return r;

    server->closing = true;
    server->closer = op;
    for_each(server, jg__http_close_idle); /* they end later */
    if (server->connection_count > 0 && grace <= 0)
        on_grace_over(server);
    else if (server->connection_count > 0 && grace != JG_FOREVER)
        jg_call_later(server->loop, &server->timer, grace);
    end_if_empty(server);
    return 0;
}

int jg_http_server_close(jg_http_server *server, jg_time grace)
{
    return jg__await_started(jg_http_server_close_start(server, grace, jg__coro_op()));
}
