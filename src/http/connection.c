/* SPDX-License-Identifier: MIT
 *
 * What happens on one connection of an HTTP server.
 *
 * Callbacks wait for a head. A coroutine then calls the handler, and goes on with the next request
 * as long as there is one among what was received already; so requests that came together cost one
 * coroutine, and their answers leave together. When it ends, callbacks wait again.
 *
 * The end is regular, with what was written sent, our side ended, and some time for the client to
 * end its own, since closing with input unread would destroy the answer on its way; or it is a cut.
 * In both cases the connection is forgotten in a call of its op, never while something uses it.
 */
#include "http/server.h"

#include "coro/coro.h"
#include "io/stream_input.h"
#include "platform/socket.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------- the end */

/* Done with the request, if there is one. */
static void drop_request(jg__connection *c)
{
    if (!c->request)
        return;
    jg__http_request_end(c->request);
    jg__http_request_give(c->server, c->request);
    c->request = NULL;
}

/* Close at once. What is not sent is lost, and then the client sees no regular end. */
static void cut(jg__connection *c)
{
    if (c->state == JG__HTTP_GONE)
        return;

    if (c->output) {
        (void)jg_call_cancel(&c->flush);
        jg__http_buffer_give(c->server, c->output);
        c->output = NULL;
    }
    /* Half an answer that ends with the connection must not look like a whole one. */
    if (c->request && c->request->status != 0 && jg_stream_fd(c->stream) >= 0)
        jg__socket_cut(jg_stream_fd(c->stream));
    drop_request(c);
    if (c->state != JG__HTTP_CLOSE)
        jg_timer_stop(&c->own.timer);
    c->state = JG__HTTP_GONE;
    jg_stream_abort(c->stream); /* completes what is pending */
    jg__loop_queue(c->server->loop, &c->op.call);
}

/* Close when all is sent. The op is not pending. */
static void close_stream(jg__connection *c)
{
    jg_time timeout = c->server->options.body_timeout;

    if (jg_stream_queued(c->stream) == 0 || c->server->forced) {
        cut(c);
        return;
    }
    jg_timer_stop(&c->own.timer); /* whose memory is the closing's now */
    c->state = JG__HTTP_CLOSE;
    if (jg_stream_close_start(c->stream, &c->own.closing, timeout, &c->op) < 0) {
        c->state = JG__HTTP_LINGER;
        cut(c);
    }
}

static void wait_for_input(jg__connection *c, size_t wanted)
{
    c->wanted = wanted;
    if (jg_stream_peek_start(c->stream, wanted, &c->input, &c->op) < 0)
        cut(c); /* it was closed behind our back */
}

/* Do not wait for input any more. */
static void stop_waiting(jg__connection *c)
{
    jg_op_cancel(&c->op);
    jg__unlink(&c->op.call.link);
}

/* End our side, and wait for the client's end. */
static void finish(jg__connection *c)
{
    drop_request(c);
    if (jg__http_flush(c) < 0 || jg_stream_shut(c->stream) < 0) {
        cut(c);
        return;
    }
    if ((c->at_end || c->server->forced) && !jg_op_pending(&c->op)) {
        close_stream(c);
        return;
    }
    c->state = JG__HTTP_LINGER;
    jg__http_set_deadline(c, jg__http_after(c, c->server->options.linger_timeout));
    if (!jg_op_pending(&c->op))
        wait_for_input(c, 1);
}

void jg__http_cut(jg__connection *c)
{
    if (c->state != JG__HTTP_BUSY) /* else its coroutine is cancelled, and does it */
        cut(c);
}

void jg__http_close_idle(jg__connection *c)
{
    if (c->state != JG__HTTP_IDLE || !jg_op_pending(&c->op))
        return;
    stop_waiting(c);
    close_stream(c);
}

/* ---------------------------------------------------------------- answering */

static bool is_stopped(const jg__connection *c)
{
    return c->request->cut_short || jg_scope_cancelled(&c->server->scope);
}

/* The status that answers an error of the handler; 0 if there is nobody to answer. */
static int status_of_error(jg__connection *c, int error)
{
    jg_http_request *request = c->request;
    int status;

    if (c->error)
        return 0;
    if (error == -ECANCELED && is_stopped(c))
        return c->at_end ? 0 : 503;
    if (error == request->read_error && error < 0) {
        request->keep_alive = false;
        status = jg_http_error_status(error);
        if (error == -ETIMEDOUT)
            return 408;
        if (error == -EMSGSIZE)
            return 413;
        if (status > 0 || error == -ENOMEM)
            return status > 0 ? status : 503;
        return 0;
    }
    jg__loop_error(c->server->loop, error, "a handler of HTTP requests failed");
    return 500;
}

/* What the handler returned, and may have answered, becomes a whole answer. Returns 0, or an error
   if the connection has to be cut. */
static int conclude(jg__connection *c, int r)
{
    jg_http_request *request = c->request;

    if (request->status != 0 || request->upgraded) {
        if (r < 0 && status_of_error(c, r) == 500)
            return r;
        return r < 0 ? r : jg__http_response_end(request);
    }
    if (r == 0 || (r > 0 && (r < 200 || r > 599))) {
        jg__loop_error(c->server->loop, -EINVAL, "a handler of HTTP requests did not answer");
        r = 500;
    } else if (r < 0) {
        int status = status_of_error(c, r);

        if (status == 0)
            return r;
        jg__http_drop_fields(request);
        r = status;
    }
    return jg__http_answer_plain(request, r);
}

/* Whether the server answers by itself: with this status. */
static int refuse(const jg_http_request *request)
{
    const jg_http_head *head = &request->parser.head;

    if (head->method == JG_HTTP_CONNECT)
        return 501;
    if (head->minor >= 1 && jg_http_head_known(head, JG_HTTP_EXPECT) &&
        !jg_text_is_nocase(jg_http_head_value(head, JG_HTTP_EXPECT), "100-continue"))
        return 417;
    return 0;
}

/* With limits on the handler that reach nobody else. */
static int call_in_scope(jg__connection *c)
{
    jg_http_server *server = c->server;
    jg_http_request *request = c->request;
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, NULL);
    request->scope = &scope;
    c->limit = jg__http_after(c, server->options.handler_timeout);
    jg__http_set_waits_deadline(c);
    if (server->options.flags & JG_HTTP_CANCEL_ON_DISCONNECT && request->moved &&
        request->body_ended && !(request->parser.head.flags & JG_HTTP_WANTS_UPGRADE)) {
        c->wanted = jg_stream_buffered(c->stream) + 1;
        (void)jg_stream_peek_start(c->stream, c->wanted, &c->input, &c->op); /* it is still open */
    }
    r = server->handler(request, server->arg);
    stop_waiting(c);
    c->limit = JG_FOREVER;
    request->scope = NULL;
    (void)jg_scope_leave(&scope, r); /* there is nobody else in it that could have failed */
    return r;
}

static int call_handler(jg__connection *c)
{
    const jg_http_server_options *options = &c->server->options;

    if (options->handler_timeout != JG_FOREVER || options->flags & JG_HTTP_CANCEL_ON_DISCONNECT)
        return call_in_scope(c);
    return c->server->handler(c->request, c->server->arg);
}

/* Answer the request. Returns whether the connection goes on; if not, its end has begun. */
static bool answer(jg__connection *c)
{
    jg_http_server *server = c->server;
    jg_http_request *request = c->request;
    int r = refuse(request);

    if (r == 0)
        r = call_handler(c);
    else
        request->keep_alive = false;
    r = conclude(c, r);
    if (server->options.on_done)
        server->options.on_done(server->options.on_done_arg, request);
    if (r < 0 || c->error) {
        cut(c);
        return false;
    }
    if (request->keep_alive && !request->body_ended && jg__http_request_drain(request) != 0)
        request->keep_alive = false;
    if (!request->moved)
        jg_stream_consume(c->stream, request->parser.head.size);
    jg__http_request_end(request);
    if (!request->keep_alive) {
        finish(c);
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- heads */

/* There is no memory to answer with. */
static void refuse_service(jg__connection *c)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";

    (void)jg__http_send(c, text, sizeof(text) - 1); /* it is the end anyway */
    finish(c);
}

/* The head cannot be understood, or did not come in time: say so and end. */
static void refuse_head(jg__connection *c, int status)
{
    jg_http_request *request = c->request;

    /* What was parsed by then depends on how the bytes came: the answer must not. */
    request->parser.head.method = JG_HTTP_OTHER;
    request->parser.head.minor = 1;
    request->parser.head.framing = JG_HTTP_NO_BODY;
    request->parser.head.flags = 0;
    (void)jg__http_request_begin(request); /* which has nothing to copy, then */
    request->keep_alive = false;
    if (jg__http_answer_plain(request, status) < 0) {
        cut(c);
        return;
    }
    if (c->server->options.on_done)
        c->server->options.on_done(c->server->options.on_done_arg, request);
    finish(c);
}

static void become_idle(jg__connection *c)
{
    c->state = JG__HTTP_IDLE;
    drop_request(c);
    if (jg__http_flush(c) < 0) {
        cut(c);
        return;
    }
    if (c->server->closing) {
        close_stream(c);
        return;
    }
    jg__http_set_deadline(c, jg__http_after(c, c->server->options.idle_timeout));
    wait_for_input(c, 1);
}

/* Parse what there is of a head. Returns 1 if it is complete; else callbacks go on. */
static int parse(jg__connection *c, const char *data, size_t size)
{
    jg_http_request *request = c->request;
    int r = jg_http_parser_feed(&request->parser, data, size);

    request->parser_ready = r > 0; /* else it would go on with this head */
    if (r > 0) {
        r = jg__http_request_begin(request);
        if (r == 0)
            return 1;
        refuse_service(c);
        return 0;
    }
    if (r == 0 && !c->at_end) {
        if (c->state != JG__HTTP_HEAD)
            jg__http_set_deadline(c, jg__http_after(c, c->server->options.header_timeout));
        else if (c->deadline <= jg_loop_time(c->server->loop)) {
            refuse_head(c, 408); /* these bytes came at the last moment */
            return 0;
        }
        c->state = JG__HTTP_HEAD;
        (void)jg__http_flush(c); /* an error will be seen in the answer */
        wait_for_input(c, size + 1);
        return 0;
    }
    /* RFC 9112 2.2: an empty line alone is no request, but what some clients end theirs with. */
    if (r == 0 && size == 2 && memcmp(data, "\r\n", 2) == 0)
        finish(c);
    else
        refuse_head(c, r == 0 ? 400 : jg_http_error_status(r));
    return 0;
}

/* Go on with a request that came together with the one before. Returns 1 if there is one. */
static int next(jg__connection *c)
{
    const jg__block *input = c->stream->input;

    if (!input) {
        become_idle(c);
        return 0;
    }
    c->deadline = JG_FOREVER;
    return parse(c, input->data + input->begin, input->end - input->begin);
}

/* Let the client take what was written, and others have their turn. Returns 0 or an error. */
static int give_way(jg__connection *c)
{
    int r = jg__http_flush(c);

    if (r == 0)
        r = jg__http_drain(c);
    return r < 0 ? r : jg_sleep(0);
}

static int converse(void *arg)
{
    jg__connection *c = arg;
    uint32_t left = c->server->options.max_pipelined;

    while (answer(c)) {
        left--;
        if (left == 0) {
            left = c->server->options.max_pipelined;
            if (give_way(c) < 0) {
                cut(c);
                break;
            }
        }
        if (next(c) <= 0)
            break;
    }
    return 0;
}

/* Have a coroutine answer. The loop has just called us, so it may as well run at once, as its
   first step is the last in the queue: that spares a turn. */
static void start(jg__connection *c)
{
    static const jg_spawn_options options = {.name = "http request"};
    jg_http_server *server = c->server;
    jg_call *call;

    if (jg_spawn(&server->scope, converse, c, &options) < 0) {
        refuse_service(c);
        return;
    }
    c->state = JG__HTTP_BUSY;
    c->deadline = JG_FOREVER;
    call = jg__container_of(server->loop->ready.prev, jg_call, link);
    jg__unlink(&call->link);
    call->fn(call->arg);
}

static void on_head_bytes(jg__connection *c, int status)
{
    if (status < 0) {
        cut(c);
        return;
    }
    c->at_end = (size_t)status < c->wanted;
    if (status == 0) {
        close_stream(c);
        return;
    }
    if (!c->request) {
        c->request = jg__http_request_take(c->server);
        if (!c->request) {
            refuse_service(c);
            return;
        }
        c->request->connection = c;
    }
    if (parse(c, c->input, (size_t)status) > 0)
        start(c);
}

static void on_lingering(jg__connection *c, int status)
{
    if (status < 0) {
        cut(c);
        return;
    }
    jg_stream_consume(c->stream, (size_t)status);
    c->at_end = (size_t)status < c->wanted;
    if (c->at_end)
        close_stream(c);
    else
        wait_for_input(c, 1);
}

/* The client is gone while the handler works. If it only sent more, that is left for later. */
static void on_watched(jg__connection *c, int status)
{
    jg_http_request *request = c->request;

    if (status >= 0 && (size_t)status >= c->wanted)
        return;
    c->at_end = true;
    if (request->scope) {
        request->cut_short = true;
        jg_scope_cancel(request->scope);
    }
}

static void on_op(void *arg)
{
    jg__connection *c = arg;
    const int status = jg_op_status(&c->op);

    switch (c->state) {
    case JG__HTTP_GONE:
    case JG__HTTP_CLOSE:
        jg__http_forget(c);
        break;
    case JG__HTTP_LINGER:
        on_lingering(c, status);
        break;
    case JG__HTTP_BUSY:
        on_watched(c, status);
        break;
    default:
        on_head_bytes(c, status);
    }
}

/* ---------------------------------------------------------------- time limits */

static void on_busy_too_long(jg__connection *c, jg_time now)
{
    if (c->limit <= now) {
        c->limit = JG_FOREVER;
        c->request->cut_short = true;
        jg_scope_cancel(c->request->scope);
    }
    for (int i = 0; i < 2; i++) {
        struct jg__http_wait *wait = &c->waits[i];

        if (!wait->op || wait->deadline > now || !jg_op_pending(wait->op))
            continue;
        /* Systems tell of room when there is much of it, which a slow client takes long to make. */
        if (i == JG__HTTP_WRITING)
            jg_stream_ready(c->stream, JG_WRITE);
        if (jg_op_pending(wait->op)) {
            wait->timed_out = true;
            jg_op_cancel(wait->op);
        }
    }
}

static void on_deadline(void *arg)
{
    jg__connection *c = arg;
    const jg_time now = jg_loop_time(c->server->loop);

    if (now < c->deadline) {
        jg__http_set_deadline(c, c->deadline);
        return;
    }
    if (c->state == JG__HTTP_BUSY) {
        on_busy_too_long(c, now);
        return;
    }
    if (!jg_op_pending(&c->op) && c->state != JG__HTTP_LINGER)
        return; /* something came in time, and is yet to be told: see what it makes of the head */
    if (c->state == JG__HTTP_HEAD)
        refuse_head(c, 408);
    else
        cut(c);
}

void jg__http_begin_connection(jg__connection *c)
{
    jg_loop *loop = c->server->loop;

    c->request = NULL;
    c->output = NULL;
    c->limit = JG_FOREVER;
    c->waits[0].op = c->waits[1].op = NULL;
    c->error = 0;
    c->at_end = false;
    jg_timer_init(&c->own.timer, on_deadline, c);
    jg_op_init(&c->op, loop, on_op, c);
    jg_call_init(&c->flush, jg__http_on_flush, c);
    become_idle(c);
}
