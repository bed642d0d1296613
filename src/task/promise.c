/* SPDX-License-Identifier: MIT
 *
 * Promises: ops that another thread completes.
 *
 * The thread writes the status and sends the wake, whose callback completes the op. From the moment
 * the wake is in the inbox the promise, and as soon as its consumer is done the loop, may be gone:
 * the thread counts as a sender of the loop meanwhile, and jg_loop_free waits until there is none.
 */
#include "task/task.h"

#define CANCELLED (1 << 0)
#define SET       (1 << 1)

static void on_wake(void *arg)
{
    jg_promise *promise = arg;

    jg__promise_end(promise, promise->status);
}

int jg__promise_start(jg_promise *promise, const jg_provider *provider, jg_op *op)
{
    int r = jg_op_start(op, provider, promise);

    if (r < 0)
        return r;

    *promise = (jg_promise){.op = op};
    jg_wake_init(&promise->wake, on_wake, promise);
    jg_wake_start(op->loop, &promise->wake);
    return 0;
}

bool jg__promise_cancel(jg_promise *promise)
{
    return !(jg__fetch_or(&promise->flags, CANCELLED) & SET);
}

void jg__promise_end(jg_promise *promise, int status)
{
    jg_wake_stop(&promise->wake);
    jg_op_complete(promise->op, status);
}

static void cancel(jg_op *op)
{
    jg_promise *promise = op->data;

    if (jg__promise_cancel(promise) && promise->on_cancel)
        promise->on_cancel(promise->arg);
}

int jg_promise_start(jg_promise *promise, jg_call_fn on_cancel, void *arg, jg_op *op)
{
    static const jg_provider provider = {"promise", cancel};
    int r = jg__promise_start(promise, &provider, op);

    if (r < 0)
        return r;

    promise->on_cancel = on_cancel;
    promise->arg = arg;
    return 0;
}

void jg_promise_set(jg_promise *promise, int status)
{
    jg_loop *loop = promise->wake.handle.loop;

    jg__check(loop != NULL, "the promise is not started");
    jg__check(!(jg__fetch_or(&promise->flags, SET) & SET), "the promise is set");
    jg__fetch_add(&loop->senders, 1);
    promise->status = status;
    jg_wake_send(&promise->wake);
    jg__fetch_sub(&loop->senders, 1);
}

bool jg_promise_cancelled(const jg_promise *promise)
{
    return jg__load(&promise->flags) & CANCELLED;
}
