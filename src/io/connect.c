/* SPDX-License-Identifier: MIT
 *
 * Connecting to one address.
 *
 * The stream is made at the start, so that nothing can fail at the end, but does not look open: it
 * has no transport until the socket is connected. Its watcher is ours until then, and goes on as it
 * is, so that the kernel is told of the socket once.
 */
#include <juggle/net.h>

#include "coro/coro.h"
#include "io/stream.h"
#include "platform/descriptor.h"
#include "platform/endpoint.h"

#include <errno.h>

/* How long a full backlog of a Unix socket is waited for, at first and at most: nobody tells. */
#define FIRST_PAUSE (1 * JG_MILLISECOND)
#define LAST_PAUSE  (100 * JG_MILLISECOND)

static int fd_of(const jg_connecting *connecting)
{
    return connecting->stream->own.watcher.handle.number;
}

/* The end: with the stream open, or closed after an error. */
static void finish(jg_connecting *connecting, int status)
{
    jg_stream *stream = connecting->stream;
    jg_watcher *watcher = &stream->own.watcher;

    jg_timer_stop(&connecting->timer);
    jg_timer_stop(&connecting->retry);
    connecting->op->loop->active--;
    jg__stream_use(stream, &jg__socket_transport);
    watcher->fn = connecting->ready;
    watcher->arg = stream;
    if (status < 0)
        jg_stream_abort(stream);
    jg_op_complete(connecting->op, status);
}

static void finish_connected(jg_connecting *connecting)
{
    const jg_family family = jg_address_family(&connecting->address);
    bool is_loop =
        family != JG_UNIX && jg__endpoint_is_loop(fd_of(connecting), &connecting->address);

    finish(connecting, is_loop ? -ECONNREFUSED : 0);
}

static void on_events(void *arg, int events)
{
    jg_connecting *connecting = arg;
    jg_stream *stream = connecting->stream;
    int r;

    if (events < 0) {
        if (events == -EBADF) /* then the number may be somebody else's */
            stream->own.watcher.handle.number = -1;
        finish(connecting, events);
        return;
    }
    if (!(events & JG_WRITE)) {
        jg__watcher_rearm(&stream->own.watcher, (unsigned)events);
        return;
    }

    r = jg__endpoint_result(fd_of(connecting));
    if (r < 0) {
        finish(connecting, r);
        return;
    }
    stream->flags |= (uint16_t)events; /* that the peer has hung up already is not told again */
    finish_connected(connecting);
}

/* Try to connect. */
static void attempt(jg_connecting *connecting)
{
    jg_stream *stream = connecting->stream;
    int r = jg__endpoint_connect(fd_of(connecting), &connecting->address);

    if (r == 0) {
        finish_connected(connecting);
        return;
    }
    if (r == -EAGAIN && jg_address_family(&connecting->address) == JG_UNIX) {
        jg_call_later(stream->loop, &connecting->retry, connecting->pause);
        if (connecting->pause < LAST_PAUSE)
            connecting->pause *= 2;
        return;
    }
    if (r == -EINPROGRESS)
        r = jg__watcher_start_edge(stream->loop, &stream->own.watcher, fd_of(connecting));
    if (r < 0)
        finish(connecting, r);
}

static void on_retry(void *arg)
{
    attempt(arg);
}

static void on_late(void *arg)
{
    finish(arg, -ETIMEDOUT);
}

static void cancel(jg_op *op)
{
    finish(op->data, -ECANCELED);
}

/* A socket that is ready to connect, or an error. */
static int prepare(const jg_address *address, const jg_connect_options *options)
{
    const jg_family family = jg_address_family(address);
    int fd, r = 0;

    if (options->local && jg_address_family(options->local) != family)
        return -EINVAL;
    fd = jg__endpoint_open(family, false);
    if (fd < 0)
        return fd;

    if (family != JG_UNIX)
        r = jg__endpoint_tune(fd, options->nagle, options->keep_alive);
    if (r == 0 && options->local) {
        if (jg_address_port(options->local) != 0)
            r = jg__endpoint_reuse_address(fd);
        else
            jg__endpoint_late_port(fd);
        if (r == 0)
            r = jg__endpoint_bind(fd, options->local);
    }
    if (r == 0)
        return fd;

    jg__fd_close(fd);
    return r;
}

int jg_connect_start(jg_connecting *connecting, jg_stream *stream, const jg_address *address,
                     const jg_connect_options *options, jg_op *op)
{
    static const jg_connect_options defaults = {0};
    static const jg_provider provider = {"connect", cancel};
    int fd, r;

    jg__check_thread(op->loop);
    if (!options)
        options = &defaults;
    fd = prepare(address, options);
    if (fd < 0)
        return fd;

    r = jg_stream_open(stream, op->loop, fd, &options->stream);
    if (r < 0) {
        jg__fd_close(fd);
        return r;
    }
    jg__stream_tell_peer(stream, address);
    r = jg_op_start(op, &provider, connecting);
    if (r < 0) {
        jg_stream_abort(stream);
        return r;
    }

    *connecting = (jg_connecting){
        .stream = stream,
        .op = op,
        .ready = stream->own.watcher.fn,
        .pause = FIRST_PAUSE,
        .address = *address,
    };
    jg__stream_use(stream, NULL);
    stream->own.watcher.fn = on_events;
    stream->own.watcher.arg = connecting;
    jg_timer_init(&connecting->timer, on_late, connecting);
    jg_timer_init(&connecting->retry, on_retry, connecting);
    if (options->timeout > 0 && options->timeout != JG_FOREVER)
        jg_call_later(op->loop, &connecting->timer, options->timeout);
    op->loop->active++;
    attempt(connecting);
    return 0;
}

int jg_connect(jg_stream *stream, const jg_address *address, const jg_connect_options *options)
{
    jg_connecting connecting;

    return jg__await_started(
        jg_connect_start(&connecting, stream, address, options, jg__coro_op()));
}

/* ---------------------------------------------------------------- looking */

int jg_stream_peer(const jg_stream *stream, jg_address *ret_address)
{
    return jg__endpoint_peer(jg_stream_fd(stream), ret_address);
}

int jg_stream_local(const jg_stream *stream, jg_address *ret_address)
{
    return jg__endpoint_local(jg_stream_fd(stream), ret_address);
}
