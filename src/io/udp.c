/* SPDX-License-Identifier: MIT
 *
 * Datagrams.
 *
 * The socket is watched level-triggered, for reading from the first receive that had to wait until
 * it is ready with nobody waiting, for writing while somebody does. Invariant: the loop is kept
 * running (HELD) exactly while an op waits.
 */
#include <juggle/udp.h>

#include "coro/coro.h"
#include "io/grant.h"
#include "platform/datagram.h"
#include "platform/descriptor.h"
#include "platform/endpoint.h"

#include <errno.h>
#include <limits.h>

/* Flags, besides JG_READ and JG_WRITE, which say what is watched for. */
#define HELD      (1u << 3)
#define CONNECTED (1u << 4)

static int fd_of(const jg_udp *udp)
{
    return udp->watcher.handle.number;
}

static bool is_open(const jg_udp *udp)
{
    return udp->loop && fd_of(udp) >= 0;
}

/* Watch for what is waited for. What is still watched for reading stays so. */
static void settle(jg_udp *udp)
{
    const bool receives = jg__has_waiters(&udp->receivers), sends = jg__has_waiters(&udp->senders);
    unsigned wanted = udp->flags & JG_READ;

    if (receives)
        wanted |= JG_READ;
    if (sends)
        wanted |= JG_WRITE;
    if (wanted != (udp->flags & (JG_READ | JG_WRITE)))
        (void)jg_watcher_modify(&udp->watcher, wanted); /* it is started, and those are events */
    udp->flags = (uint16_t)((udp->flags & (HELD | CONNECTED)) | wanted);
    if ((receives || sends) != !!(udp->flags & HELD)) {
        udp->flags ^= HELD;
        udp->loop->active += udp->flags & HELD ? 1u : -1u;
    }
}

/* Tell the error that is left over to the first who waits. */
static void tell_error(jg_udp *udp, jg_link *waiters)
{
    if (!udp->error || !jg__has_waiters(waiters))
        return;
    jg_op_complete(jg__op_of(waiters->next), udp->error);
    udp->error = 0;
}

/* Go on with the receives that wait, as far as is granted. */
static void receive_on(jg_udp *udp)
{
    tell_error(udp, &udp->receivers);
    while (udp->grant.left > 0 && jg__has_waiters(&udp->receivers)) {
        jg_op *op = jg__op_of(udp->receivers.next);
        const jg_udp_request *request = op->data;
        int r = jg__datagrams_receive(fd_of(udp), request->datagrams, request->count, &udp->error);

        if (r == -EAGAIN) {
            jg__grant_end(&udp->grant);
            break;
        }
        jg__grant_spend(&udp->grant, udp->loop->turns);
        jg_op_complete(op, r);
        tell_error(udp, &udp->receivers);
    }
}

/* Go on with the sends that wait. */
static void send_on(jg_udp *udp)
{
    tell_error(udp, &udp->senders);
    while (jg__has_waiters(&udp->senders)) {
        jg_op *op = jg__op_of(udp->senders.next);
        const jg_udp_request *request = op->data;
        int r = jg__datagrams_send(fd_of(udp), request->datagrams, request->count,
                                   udp->flags & CONNECTED, &udp->error);

        if (r == -EAGAIN)
            break;
        jg_op_complete(op, r);
        tell_error(udp, &udp->senders);
    }
}

/* End all that waits. */
static void end(jg_udp *udp, int error)
{
    jg__waiters_complete(&udp->receivers, error);
    jg__waiters_complete(&udp->senders, error);
    udp->flags &= (uint16_t)~JG_READ;
    settle(udp);
}

static void on_events(void *arg, int events)
{
    jg_udp *udp = arg;

    if (events < 0) {
        if (events != -EBADF) /* then the number may be somebody else's */
            jg__fd_close(fd_of(udp));
        udp->watcher.handle.number = -1;
        end(udp, events);
        return;
    }
    if (events & JG_READ) {
        if (!jg__has_waiters(&udp->receivers)) {
            udp->flags &= (uint16_t)~JG_READ;
            (void)jg_watcher_modify(&udp->watcher, udp->flags & JG_WRITE);
        }
        jg__grant_renew(&udp->grant, udp->loop->turns);
        receive_on(udp);
    }
    if (events & JG_WRITE)
        send_on(udp);
    settle(udp);
}

static void cancel(jg_op *op)
{
    const jg_udp_request *request = op->data;

    jg_op_complete(op, -ECANCELED);
    settle(request->udp);
}

/* Begin to wait, behind those who do. */
static int start(jg_udp *udp, jg_udp_request *request, jg_datagram *datagrams, size_t count,
                 const jg_provider *provider, jg_link *waiters, jg_op *op)
{
    int r;

    if (!is_open(udp))
        return -EBADF;
    if (count == 0)
        return -EINVAL;

    r = jg_op_start(op, provider, request);
    if (r < 0)
        return r;

    *request = (jg_udp_request){
        .udp = udp, .datagrams = datagrams, .count = count < INT_MAX ? count : INT_MAX};
    jg__waiters_append(waiters, op);
    return 0;
}

int jg_udp_receive_start(jg_udp *udp, jg_udp_request *request, jg_datagram *datagrams, size_t count,
                         jg_op *op)
{
    static const jg_provider provider = {"UDP receive", cancel};
    int r = start(udp, request, datagrams, count, &provider, &udp->receivers, op);

    if (r < 0)
        return r;

    receive_on(udp);
    settle(udp);
    return 0;
}

int jg_udp_receive(jg_udp *udp, jg_datagram *datagrams, size_t count)
{
    jg_udp_request request;

    return jg__await_started(jg_udp_receive_start(udp, &request, datagrams, count, jg__coro_op()));
}

int jg_udp_send_start(jg_udp *udp, jg_udp_request *request, jg_datagram *datagrams, size_t count,
                      jg_op *op)
{
    static const jg_provider provider = {"UDP send", cancel};
    const bool first = !jg__has_waiters(&udp->senders);
    int r = start(udp, request, datagrams, count, &provider, &udp->senders, op);

    if (r < 0)
        return r;

    if (first)
        send_on(udp);
    settle(udp);
    return 0;
}

int jg_udp_send(jg_udp *udp, jg_datagram *datagrams, size_t count)
{
    jg_udp_request request;

    return jg__await_started(jg_udp_send_start(udp, &request, datagrams, count, jg__coro_op()));
}

/* ---------------------------------------------------------------- open and close */

static bool is_valid(const jg_address *local, const jg_address *peer, const jg_udp_options *options)
{
    const jg_family family = jg_address_family(local ? local : peer);

    if (local && peer && jg_address_family(peer) != family)
        return false;
    return (family == JG_IPV4 || family == JG_IPV6) && options->hops >= 0 &&
           options->hops <= UINT8_MAX && options->receive_buffer >= 0 && options->send_buffer >= 0;
}

static int prepare(int fd, const jg_address *local, const jg_address *peer,
                   const jg_udp_options *options)
{
    const jg_family family = jg_address_family(local ? local : peer);
    int r = jg__datagrams_tune(fd, family, options);

    if (r == 0 && options->reuse_address)
        r = jg__endpoint_reuse_address(fd);
    if (r == 0 && options->reuse_port)
        r = jg__endpoint_reuse_port(fd);
    if (r == 0 && family == JG_IPV6) {
        r = jg__endpoint_v6_only(fd, options->v6_only);
        if (!options->v6_only)
            r = 0; /* there are systems with IPv6 sockets of no other kind */
    }
    if (r == 0 && local)
        r = jg__endpoint_bind(fd, local);
    if (r == 0 && peer)
        r = jg__endpoint_connect(fd, peer);
    return r == -EINPROGRESS ? 0 : r; /* a signal came: there is nobody to wait for */
}

int jg_udp_open(jg_udp *udp, jg_loop *loop, const jg_address *local, const jg_address *peer,
                const jg_udp_options *options)
{
    static const jg_udp_options defaults = {0};
    int fd, r;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    if ((!local && !peer) || !is_valid(local, peer, options))
        return -EINVAL;

    fd = jg__endpoint_open(jg_address_family(local ? local : peer), true);
    if (fd < 0)
        return fd;

    r = prepare(fd, local, peer, options);
    if (r < 0)
        goto fail;

    *udp = (jg_udp){.loop = loop, .flags = peer ? CONNECTED : 0};
    jg_watcher_init(&udp->watcher, on_events, udp);
    udp->watcher.handle.flags |= JG__UNREF; /* what waits keeps the loop running */
    r = jg_watcher_start(loop, &udp->watcher, fd, 0);
    if (r == 0)
        return 0;

    udp->loop = NULL;
fail:
    jg__fd_close(fd);
    return r;
}

void jg_udp_close(jg_udp *udp)
{
    if (!udp->loop)
        return;

    jg__check_thread(udp->loop);
    (void)jg_watcher_close(&udp->watcher); /* whatever it returns, the descriptor is gone */
    udp->watcher.handle.number = -1;
    end(udp, -ECONNABORTED);
    udp->loop = NULL;
}

static int change_membership(jg_udp *udp, const jg_address *group, unsigned interface, bool join)
{
    jg_address local;
    int r = jg_udp_address(udp, &local);

    if (r < 0)
        return r;
    if (jg_address_family(group) != jg_address_family(&local))
        return -EINVAL;
    return jg__datagrams_membership(fd_of(udp), group, interface, join);
}

int jg_udp_join(jg_udp *udp, const jg_address *group, unsigned interface)
{
    return change_membership(udp, group, interface, true);
}

int jg_udp_leave(jg_udp *udp, const jg_address *group, unsigned interface)
{
    return change_membership(udp, group, interface, false);
}

int jg_udp_address(const jg_udp *udp, jg_address *ret_address)
{
    return is_open(udp) ? jg__endpoint_local(fd_of(udp), ret_address) : -EBADF;
}

int jg_udp_fd(const jg_udp *udp)
{
    return is_open(udp) ? fd_of(udp) : -EBADF;
}
