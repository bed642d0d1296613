/* SPDX-License-Identifier: MIT */
#include "task/task.h"

#include <errno.h>

void jg_op_init(jg_op *op, jg_loop *loop, jg_call_fn fn, void *arg)
{
    *op = (jg_op){.loop = loop};
    jg_call_init(&op->call, fn, arg);
}

bool jg_op_pending(const jg_op *op)
{
    return jg__op_pending(op);
}

int jg_op_status(const jg_op *op)
{
    return op->status;
}

int jg_op_start(jg_op *op, const jg_provider *provider, void *data)
{
    return jg__op_start(op, provider, data);
}

void jg_op_complete(jg_op *op, int status)
{
    jg__op_complete(op, status);
}

void jg_op_cancel(jg_op *op)
{
    if ((op->flags & (JG__OP_PENDING | JG__OP_CANCELLED)) != JG__OP_PENDING)
        return;

    jg__check_thread(op->loop);
    op->flags |= JG__OP_CANCELLED;
    op->provider->cancel(op);
}

void jg_future_init(jg_future *future)
{
    *future = (jg_future){.status = 0};
}

int jg_future_set(jg_future *future, int status)
{
    if (future->done)
        return -EALREADY;

    future->done = true;
    future->status = status;
    jg__waiters_complete(&future->waiters, status);
    return 0;
}

/* For providers that keep their ops in a list and nowhere else: completing takes it out. */
void jg__op_cancel_listed(jg_op *op)
{
    jg_op_complete(op, -ECANCELED);
}

int jg_future_wait_start(jg_future *future, jg_op *op)
{
    static const jg_provider provider = {"future", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, future);

    if (r < 0)
        return r;

    if (future->done)
        jg_op_complete(op, future->status);
    else
        jg__waiters_append(&future->waiters, op);
    return 0;
}

static void wake_up(void *arg)
{
    jg_sleeper *sleeper = arg;

    jg_op_complete(sleeper->op, 0);
}

static void cancel_sleep(jg_op *op)
{
    jg_sleeper *sleeper = op->data;

    jg_timer_stop(&sleeper->timer);
    jg_op_complete(op, -ECANCELED);
}

int jg_sleep_start(jg_sleeper *sleeper, jg_time delay, jg_op *op)
{
    static const jg_provider provider = {"sleep", cancel_sleep};
    int r = jg_op_start(op, &provider, sleeper);

    if (r < 0)
        return r;

    if (delay <= 0) {
        jg_op_complete(op, 0); /* no timer is needed for the next turn */
        return 0;
    }

    jg_timer_init(&sleeper->timer, wake_up, sleeper);
    sleeper->op = op;
    jg_call_later(op->loop, &sleeper->timer, delay);
    return 0;
}
