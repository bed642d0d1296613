/* SPDX-License-Identifier: MIT
 *
 * Listeners.
 *
 * The socket is watched level-triggered until it is ready with nobody there, and then again when
 * somebody wants a connection: who takes one at a time does not tell the kernel so each time.
 *
 * Invariants: the loop is kept running (HELD) exactly while somebody wants a connection: `fn`, or
 * an op in `acceptors`. A connection that was accepted is handed over in the same moment. While
 * `timer` is started the socket is not watched.
 */
#include <juggle/net.h>

#include "coro/coro.h"
#include "io/grant.h"
#include "io/stream.h"
#include "platform/descriptor.h"
#include "platform/endpoint.h"
#include "platform/listen.h"

#include <errno.h>

#define FIRST_PAUSE (10 * JG_MILLISECOND)
#define LAST_PAUSE  (1 * JG_SECOND)

/* Flags of listeners. */
#define HELD     (1u << 0) /* it keeps the loop running */
#define NO_DELAY (1u << 1)

static bool is_open(const jg_listener *listener)
{
    return listener->loop && listener->watcher.handle.number >= 0;
}

static bool is_wanted(const jg_listener *listener)
{
    return listener->fn || jg__has_waiters(&listener->acceptors);
}

/* Do what follows from whether somebody wants a connection. */
static void settle(jg_listener *listener)
{
    bool wanted = is_wanted(listener);

    if (wanted && !(listener->flags & HELD)) {
        listener->flags |= HELD;
        listener->loop->active++;
    } else if (!wanted && listener->flags & HELD) {
        listener->flags &= (uint16_t)~HELD;
        listener->loop->active--;
    }
    if (wanted && !jg_handle_started(&listener->timer.handle))
        (void)jg_watcher_modify(&listener->watcher, JG_READ); /* it is started, and that an event */
}

/* The socket is of no use any more. */
static void lose(jg_listener *listener, int error)
{
    jg_timer_stop(&listener->timer);
    jg_watcher_stop(&listener->watcher);
    if (error != -EBADF) /* then the number may be somebody else's */
        jg__fd_close(listener->watcher.handle.number);
    listener->watcher.handle.number = -1;
    listener->fn = NULL;
    jg__waiters_complete(&listener->acceptors, error);
    settle(listener);
    jg__loop_error(listener->loop, error, "cannot accept connections any more");
}

/* ---------------------------------------------------------------- bad times */

/* Close one connection that waits, with the descriptor that was kept for that. */
static void shed(jg_listener *listener)
{
    jg_address peer;
    int fd;

    if (listener->reserve < 0)
        return;

    jg__fd_close(listener->reserve);
    fd = jg__accept(listener->watcher.handle.number, false, &peer);
    listener->shed += fd >= 0;
    jg__fd_close(fd);
    listener->reserve = jg__reserve_open();
}

static void back_off(jg_listener *listener, int error)
{
    const bool begins = listener->pause == 0;

    if (begins)
        listener->pause = FIRST_PAUSE;
    else if (listener->pause < LAST_PAUSE)
        listener->pause = listener->pause * 2 < LAST_PAUSE ? listener->pause * 2 : LAST_PAUSE;
    if (error == -EMFILE || error == -ENFILE)
        shed(listener);
    (void)jg_watcher_modify(&listener->watcher, 0); /* it is started */
    jg_call_later(listener->loop, &listener->timer, listener->pause);
    if (begins)
        jg__loop_error(listener->loop, error, "accepting connections has to wait");
}

static void on_pause_over(void *arg)
{
    jg_listener *listener = arg;

    if (listener->reserve < 0)
        listener->reserve = jg__reserve_open();
    settle(listener);
}

/* ---------------------------------------------------------------- accepting */

/*
 * Take one connection. Returns the descriptor, or an error: no more for now. The loop's error hook,
 * which may be told, may close the listener.
 */
static int take(jg_listener *listener, jg_address *ret_peer)
{
    int fd = jg__accept(listener->watcher.handle.number, listener->flags & NO_DELAY, ret_peer);

    if (fd >= 0) {
        jg__grant_spend(&listener->grant, listener->loop->turns);
        listener->pause = 0;
        listener->accepted++;
        return fd;
    }
    jg__grant_end(&listener->grant);
    if (fd == -EBADF || fd == -EINVAL || fd == -ENOTSOCK)
        lose(listener, fd);
    else if (fd != -EAGAIN)
        back_off(listener, fd);
    return fd;
}

/* Give a connection to the first op that waits. */
static void hand_over(jg_listener *listener, int fd, const jg_address *peer)
{
    const jg_stream_options options = {.high_mark = listener->high_mark};
    jg_op *op = jg__op_of(listener->acceptors.next);
    jg_stream *stream = op->data;
    jg_address *ret_peer = stream->extra;

    /* It cannot fail: the listener made what the streams of a loop need. */
    (void)jg_stream_open(stream, listener->loop, fd, &options);
    jg__stream_tell_peer(stream, peer);
    if (ret_peer)
        *ret_peer = *peer;
    jg_op_complete(op, 0);
}

/* Accept as many as are granted and wanted. Returns false if the listener was closed by that. */
static bool serve(jg_listener *listener)
{
    bool gone = false;

    listener->gone = &gone;
    while (listener->grant.left > 0 && is_wanted(listener)) {
        jg_address peer;
        int fd = take(listener, &peer);

        if (fd >= 0 && !listener->fn)
            hand_over(listener, fd, &peer);
        else if (fd >= 0 && listener->fn(listener->arg, fd, &peer) < 0)
            jg__fd_close(fd);
        if (gone)
            return false;
        if (fd < 0)
            break;
    }
    listener->gone = NULL;
    return true;
}

static void on_ready(void *arg, int events)
{
    jg_listener *listener = arg;

    if (events < 0) {
        lose(listener, events);
        return;
    }
    if (!is_wanted(listener)) {
        (void)jg_watcher_modify(&listener->watcher, 0);
        return;
    }
    jg__grant_renew(&listener->grant, listener->loop->turns);
    if (serve(listener))
        settle(listener);
}

static void cancel_accept(jg_op *op)
{
    const jg_stream *stream = op->data;
    jg_listener *listener = stream->own.data;

    jg_op_complete(op, -ECANCELED);
    settle(listener);
}

int jg_accept_start(jg_listener *listener, jg_stream *stream, jg_address *ret_peer, jg_op *op)
{
    static const jg_provider provider = {"accept", cancel_accept};
    int r;

    if (!is_open(listener))
        return -EBADF;
    if (listener->fn)
        return -EBUSY;

    r = jg_op_start(op, &provider, stream);
    if (r < 0)
        return r;

    /* Until it is open, its memory is that of the op. */
    *stream = (jg_stream){.extra = ret_peer, .own.data = listener};
    jg__waiters_append(&listener->acceptors, op);
    if (listener->gone || serve(listener))
        settle(listener);
    return 0;
}

int jg_accept(jg_listener *listener, jg_stream *stream, jg_address *ret_peer)
{
    return jg__await_started(jg_accept_start(listener, stream, ret_peer, jg__coro_op()));
}

int jg_listener_start(jg_listener *listener, jg_accept_fn fn, void *arg)
{
    if (!is_open(listener))
        return -EBADF;
    if (is_wanted(listener))
        return -EBUSY;

    listener->fn = fn;
    listener->arg = arg;
    settle(listener);
    return 0;
}

void jg_listener_stop(jg_listener *listener)
{
    if (!listener->fn)
        return;

    listener->fn = NULL;
    settle(listener);
}

/* ---------------------------------------------------------------- open and close */

/* Make a listener of a descriptor that listens. It is not closed on failure. */
static int open_listener(jg_listener *listener, jg_loop *loop, int fd, jg_family family,
                         const jg_listen_options *options)
{
    jg_stream probe;
    int r;

    /* Accepting must not fail for want of what all streams share, or for bad options. */
    r = jg_stream_open_with(&probe, loop, &jg__socket_transport, NULL, &options->stream);
    if (r == 0 && family != JG_UNIX)
        r = jg__endpoint_tune(fd, options->nagle, options->keep_alive);
    if (r < 0)
        return r;

    *listener = (jg_listener){
        .loop = loop,
        .high_mark = probe.high_mark,
        .forks = jg__fork_count,
        .flags = family != JG_UNIX && !options->nagle ? NO_DELAY : 0,
    };
    jg_timer_init(&listener->timer, on_pause_over, listener);
    jg_watcher_init(&listener->watcher, on_ready, listener);
    listener->timer.handle.flags |= JG__UNREF;
    listener->watcher.handle.flags |= JG__UNREF;
    r = jg_watcher_start(loop, &listener->watcher, fd, JG_READ);
    if (r < 0) {
        listener->loop = NULL;
        return r;
    }
    listener->reserve = jg__reserve_open();
    return 0;
}

/* Bind and listen. */
static int begin(int fd, const jg_address *address, const jg_listen_options *options)
{
    const jg_family family = jg_address_family(address);
    int r = 0;

    if (family != JG_UNIX)
        r = jg__endpoint_reuse_address(fd);
    if (r == 0 && options->reuse_port)
        r = family == JG_UNIX ? -ENOTSUP : jg__endpoint_reuse_port(fd);
    if (r == 0 && family == JG_IPV6) {
        r = jg__endpoint_v6_only(fd, options->v6_only);
        if (!options->v6_only)
            r = 0; /* there are systems with IPv6 sockets of no other kind */
    }
    if (r == 0)
        r = jg__endpoint_bind(fd, address);
    if (r == -EADDRINUSE && jg__unix_clear(address))
        r = jg__endpoint_bind(fd, address);
    return r < 0 ? r : jg__listen(fd, options->backlog);
}

int jg_listen(jg_listener *listener, jg_loop *loop, const jg_address *address,
              const jg_listen_options *options)
{
    static const jg_listen_options defaults = {0};
    uint64_t inode[2] = {0, 0};
    int fd, r;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    fd = jg__endpoint_open(jg_address_family(address), false);
    if (fd < 0)
        return fd;

    r = begin(fd, address, options);
    if (r == 0) {
        jg__unix_identify(address, inode);
        r = open_listener(listener, loop, fd, jg_address_family(address), options);
        if (r < 0)
            jg__unix_unlink(address, inode);
    }
    if (r < 0) {
        jg__fd_close(fd);
        return r;
    }
    listener->inode[0] = inode[0];
    listener->inode[1] = inode[1];
    return 0;
}

int jg_listen_fd(jg_listener *listener, jg_loop *loop, int fd, const jg_listen_options *options)
{
    static const jg_listen_options defaults = {0};
    jg_address address;
    int r;

    jg__check_thread(loop);
    r = jg__listen_check(fd);
    if (r == 0)
        r = jg__endpoint_local(fd, &address);
    if (r == 0)
        r = jg__endpoint_adopt(fd);
    if (r < 0)
        return r;
    return open_listener(listener, loop, fd, jg_address_family(&address),
                         options ? options : &defaults);
}

int jg_inherited_fd(const char *name, int index)
{
    return jg__inherited_fd(name, index);
}

void jg_listener_close(jg_listener *listener)
{
    jg_address address;

    if (!listener->loop)
        return;

    jg__check_thread(listener->loop);
    if (listener->inode[1] != 0 && listener->forks == jg__fork_count &&
        jg_listener_address(listener, &address) == 0)
        jg__unix_unlink(&address, listener->inode);
    if (listener->gone)
        *listener->gone = true;
    jg_timer_stop(&listener->timer);
    (void)jg_watcher_close(&listener->watcher); /* whatever it returns, the descriptor is gone */
    listener->watcher.handle.number = -1;
    jg__fd_close(listener->reserve);
    listener->fn = NULL;
    jg__waiters_complete(&listener->acceptors, -ECONNABORTED);
    settle(listener);
    jg__unlink(&listener->link);
    listener->loop = NULL;
}

int jg_listener_fd(const jg_listener *listener)
{
    return is_open(listener) ? listener->watcher.handle.number : -EBADF;
}

int jg_listener_address(const jg_listener *listener, jg_address *ret_address)
{
    return is_open(listener) ? jg__endpoint_local(listener->watcher.handle.number, ret_address)
                             : -EBADF;
}
