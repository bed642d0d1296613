/* SPDX-License-Identifier: MIT
 *
 * How an HTTP client connects by itself: over TCP, in the clear.
 */
#include "http/client.h"

#include "coro/coro.h"
#include "platform/descriptor.h"
#include "platform/dial_host.h"

#include <errno.h>

struct dialing {
    jg_watcher watcher;
    jg_op *op;
};

static void on_writable(void *arg, int events)
{
    struct dialing *dialing = arg;

    jg_watcher_stop(&dialing->watcher);
    jg_op_complete(dialing->op, events < 0 ? events : 0);
}

static void cancel_dial(jg_op *op)
{
    struct dialing *dialing = op->data;

    jg_watcher_stop(&dialing->watcher);
    jg_op_complete(op, -ECANCELED);
}

static int start_dial(struct dialing *dialing, jg_loop *loop, int fd, jg_op *op)
{
    static const jg_provider provider = {"connect", cancel_dial};
    int r;

    dialing->op = op;
    jg_watcher_init(&dialing->watcher, on_writable, dialing);
    r = jg_watcher_start(loop, &dialing->watcher, fd, JG_WRITE);
    if (r < 0)
        return r;

    r = jg_op_start(op, &provider, dialing);
    if (r < 0)
        jg_watcher_stop(&dialing->watcher);
    return r;
}

int jg__http_connect(void *loop, jg_stream *stream, const char *host, uint16_t port, bool secure)
{
    struct dialing dialing;
    int fd, r;

    if (secure)
        return JG_EHTTP_NO_TLS;
    fd = jg__dial_host(host, port);
    if (fd < 0)
        return fd;

    r = jg__await_started(start_dial(&dialing, loop, fd, jg__coro_op()));
    if (r == 0)
        r = jg__dial_result(fd);
    if (r == 0)
        r = jg_stream_open(stream, loop, fd, NULL);
    if (r < 0)
        (void)jg__fd_close(fd);
    return r;
}
