/* SPDX-License-Identifier: MIT
 *
 * Calls and the reference flag of handles.
 */
#include "core/loop.h"

void jg_call_init(jg_call *call, jg_call_fn fn, void *arg)
{
    *call = (jg_call){.fn = fn, .arg = arg};
}

void jg_call_soon(jg_loop *loop, jg_call *call)
{
    jg__check_thread(loop);
    jg__loop_queue(loop, call);
}

bool jg_call_cancel(jg_call *call)
{
    bool queued = jg__linked(&call->link);

    jg__unlink(&call->link);
    return queued;
}

void jg_handle_ref(jg_handle *handle)
{
    if (!(handle->flags & JG__UNREF))
        return;
    if (handle->loop) {
        jg__check_thread(handle->loop);
        handle->loop->active++;
    }
    handle->flags &= (uint16_t)~JG__UNREF;
}

void jg_handle_unref(jg_handle *handle)
{
    if (handle->flags & JG__UNREF)
        return;
    if (handle->loop) {
        jg__check_thread(handle->loop);
        handle->loop->active--;
    }
    handle->flags |= JG__UNREF;
}
