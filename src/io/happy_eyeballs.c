/* SPDX-License-Identifier: MIT
 *
 * Connecting to the first of several addresses that answers (RFC 8305, section 5), and to a host by
 * its name.
 *
 * A race is memory of the loop, from start until its op completes. Its attempts are connects like
 * any other, into streams of their own; the stream of the winner is moved to that of the caller.
 */
#include <juggle/net.h>

#include "base/time.h"
#include "coro/coro.h"
#include "io/stream.h"

#include <errno.h>
#include <string.h>

#define ATTEMPT_DELAY (250 * JG_MILLISECOND)
#define MOST          64 /* addresses of a name */

struct attempt {
    struct race *race;
    jg_connecting connecting;
    jg_stream stream;
    jg_op op;
    jg_address address;
};

struct race {
    jg_loop *loop;
    jg_op *op;
    jg_stream *stream;
    jg_connect_options options; /* of the attempts */
    jg_timer limit;             /* for all */
    jg_timer next;              /* attempt */
    size_t count, begun, failed;
    int error; /* the most telling one so far */
    struct attempt attempts[];
};

/* ---------------------------------------------------------------- errors */

/* How much an error tells. */
static int rank(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return 4; /* it was we who could not, and another time may */
    default:
        return 3; /* what the host, or a firewall, answered */
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return 2;
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EINVAL:
        return 1; /* it was not even tried */
    case 0:
        return 0;
    }
}

static void note_failure(struct race *race, const struct attempt *attempt, int error)
{
    if (race->failed < race->options.failure_room)
        race->options.failures[race->failed] =
            (jg_connect_failure){.address = attempt->address, .error = error};
    race->failed++;
    if (rank(error) > rank(race->error))
        race->error = error;
}

/* ---------------------------------------------------------------- the race */

static size_t size_of(size_t count)
{
    return sizeof(struct race) + count * sizeof(struct attempt);
}

static void finish(struct race *race, int status)
{
    jg_timer_stop(&race->limit);
    jg_timer_stop(&race->next);
    for (size_t i = 0; i < race->begun; i++) {
        struct attempt *attempt = &race->attempts[i];

        jg_op_cancel(&attempt->op);
        (void)jg_call_cancel(&attempt->op.call); /* nobody listens any more */
        jg_stream_abort(&attempt->stream);
    }
    jg_op_complete(race->op, status);
    jg__free(&race->loop->allocator, race, size_of(race->count));
}

/* Move an open stream that nothing was done with. It watches its socket when it has to wait. */
static void move(jg_stream *from, jg_stream *to)
{
    jg_watcher_stop(&from->own.watcher); /* the number stays */
    *to = *from;
    to->own.watcher.arg = to;
    jg__stream_use(from, NULL);
}

static void begin_next(struct race *race);

static void on_done(void *arg)
{
    struct attempt *attempt = arg;
    struct race *race = attempt->race;
    int r = jg_op_status(&attempt->op);

    if (r == 0) {
        move(&attempt->stream, race->stream);
        finish(race, 0);
        return;
    }
    note_failure(race, attempt, r);
    begin_next(race);
}

/* Begin the next attempt that can be begun, or end if there is nothing left to hope for. */
static void begin_next(struct race *race)
{
    while (race->begun < race->count) {
        struct attempt *attempt = &race->attempts[race->begun++];
        int r;

        jg_op_init(&attempt->op, race->loop, on_done, attempt);
        r = jg_connect_start(&attempt->connecting, &attempt->stream, &attempt->address,
                             &race->options, &attempt->op);
        if (r == 0) {
            jg_call_later(race->loop, &race->next, race->options.attempt_delay);
            return;
        }
        jg__stream_use(&attempt->stream, NULL);
        note_failure(race, attempt, r);
    }
    jg_timer_stop(&race->next);
    if (race->failed == race->count)
        finish(race, race->error);
}

static void on_next(void *arg)
{
    begin_next(arg);
}

static void on_late(void *arg)
{
    finish(arg, -ETIMEDOUT);
}

static void cancel(jg_op *op)
{
    finish(op->data, -ECANCELED);
}

static bool is_valid(const jg_address *addresses, size_t count, const jg_connect_options *options)
{
    for (size_t i = 0; i < count; i++) {
        if (jg_address_family(&addresses[i]) == JG_FAMILY_NONE)
            return false;
    }
    return count > 0 && count <= INT16_MAX && options->keep_alive >= 0 &&
           options->stream.high_mark <= JG__STREAM_HIGH_MARK;
}

static void clear_failures(const jg_connect_options *options)
{
    for (size_t i = 0; i < options->failure_room; i++)
        options->failures[i] = (jg_connect_failure){.error = 0};
}

int jg_connect_any_start(jg_stream *stream, const jg_address *addresses, size_t count,
                         const jg_connect_options *options, jg_op *op)
{
    static const jg_connect_options defaults = {0};
    static const jg_provider provider = {"connect", cancel};
    struct race *race;
    int r;

    jg__check_thread(op->loop);
    if (!options)
        options = &defaults;
    if (!is_valid(addresses, count, options))
        return -EINVAL;

    race = jg__alloc(&op->loop->allocator, size_of(count));
    if (!race)
        return -ENOMEM;
    r = jg_op_start(op, &provider, race);
    if (r < 0) {
        jg__free(&op->loop->allocator, race, size_of(count));
        return r;
    }

    *race = (struct race){
        .loop = op->loop, .op = op, .stream = stream, .options = *options, .count = count};
    for (size_t i = 0; i < count; i++)
        race->attempts[i] = (struct attempt){.race = race, .address = addresses[i]};
    race->options.timeout = 0;
    if (race->options.attempt_delay <= 0)
        race->options.attempt_delay = ATTEMPT_DELAY;
    *stream = (jg_stream){.transport = NULL};
    clear_failures(options);
    jg_timer_init(&race->limit, on_late, race);
    jg_timer_init(&race->next, on_next, race);
    if (options->timeout > 0 && options->timeout != JG_FOREVER)
        jg_call_later(op->loop, &race->limit, options->timeout);
    begin_next(race);
    return 0;
}

int jg_connect_any(jg_stream *stream, const jg_address *addresses, size_t count,
                   const jg_connect_options *options)
{
    return jg__await_started(
        jg_connect_any_start(stream, addresses, count, options, jg__coro_op()));
}

/* ---------------------------------------------------------------- by name */

struct call {
    jg_loop *loop;
    jg_op *op;
    jg_stream *stream;
    jg_connect_options options;
    jg_timer limit;
    jg_op inner; /* of resolving, then of connecting */
    bool is_late;
    jg_address addresses[MOST];
};

static void end_call(struct call *call, int status)
{
    jg_timer_stop(&call->limit);
    jg_op_complete(call->op, status == -ECANCELED && call->is_late ? -ETIMEDOUT : status);
    jg__free(&call->loop->allocator, call, sizeof(*call));
}

static void on_connected(void *arg)
{
    struct call *call = arg;

    end_call(call, jg_op_status(&call->inner));
}

static void on_resolved(void *arg)
{
    struct call *call = arg;
    int r = jg_op_status(&call->inner);

    /* One who was asked to end while the name was on its way does not go on. */
    if (r > 0 && (call->is_late || call->op->flags & JG__OP_CANCELLED))
        r = -ECANCELED;
    if (r > 0) {
        jg_op_init(&call->inner, call->loop, on_connected, call);
        r = jg_connect_any_start(call->stream, call->addresses, (size_t)r, &call->options,
                                 &call->inner);
    }
    if (r < 0)
        end_call(call, r);
}

static void cancel_call(jg_op *op)
{
    struct call *call = op->data;

    jg_op_cancel(&call->inner);
}

static void on_call_late(void *arg)
{
    struct call *call = arg;

    call->is_late = true;
    jg_op_cancel(&call->inner);
}

/* Start with both ops, the outer one last to fail. */
static int start_call(struct call *call, const char *host, uint16_t port)
{
    static const jg_provider provider = {"connect", cancel_call};
    int r = jg_op_start(call->op, &provider, call);

    if (r < 0)
        return r;

    jg_op_init(&call->inner, call->loop, on_resolved, call);
    r = jg_resolve_start(host, port, call->options.resolve, call->addresses, MOST, &call->inner);
    if (r < 0)
        end_call(call, r);
    return 0;
}

int jg_connect_name_start(jg_stream *stream, const char *host, uint16_t port,
                          const jg_connect_options *options, jg_op *op)
{
    static const jg_connect_options defaults = {0};
    jg_time timeout;
    struct call *call;
    int r;

    jg__check_thread(op->loop);
    if (!options)
        options = &defaults;
    call = jg__alloc(&op->loop->allocator, sizeof(*call));
    if (!call)
        return -ENOMEM;

    *call = (struct call){.loop = op->loop, .op = op, .stream = stream, .options = *options};
    timeout = options->timeout;
    call->options.timeout = 0;
    *stream = (jg_stream){.transport = NULL};
    clear_failures(options);
    jg_timer_init(&call->limit, on_call_late, call);
    if (timeout > 0 && timeout != JG_FOREVER)
        jg_call_later(op->loop, &call->limit, timeout);
    r = start_call(call, host, port);
    if (r < 0) {
        jg_timer_stop(&call->limit);
        jg__free(&op->loop->allocator, call, sizeof(*call));
    }
    return r;
}

int jg_connect_name(jg_stream *stream, const char *host, uint16_t port,
                    const jg_connect_options *options)
{
    return jg__await_started(jg_connect_name_start(stream, host, port, options, jg__coro_op()));
}
