/* SPDX-License-Identifier: MIT
 *
 * Events. Nobody waits for one that is set.
 */
#include "sync/sync.h"

void jg_event_init(jg_event *event)
{
    *event = (jg_event){.set = false};
}

void jg_event_set(jg_event *event)
{
    event->set = true;
    jg__waiters_complete(&event->waiters, 0);
}

void jg_event_clear(jg_event *event)
{
    event->set = false;
}

int jg_event_wait_start(jg_event *event, jg_op *op)
{
    static const jg_provider provider = {"event", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, event);

    if (r < 0)
        return r;

    if (event->set)
        jg_op_complete(op, 0);
    else
        jg__waiters_append(&event->waiters, op);
    return 0;
}

int jg_event_wait(jg_event *event)
{
    if (event->set && jg__coro_spend())
        return 0;
    return jg__await_started(jg_event_wait_start(event, jg__coro_op()));
}
