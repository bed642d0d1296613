/* SPDX-License-Identifier: MIT
 *
 * What the modules of this layer share: everything below, and the public header.
 */
#ifndef JG_CORO_CORO_H
#define JG_CORO_CORO_H

#include "platform/context.h"
#include "task/task.h"

#include <juggle/coro.h>

/*
 * For the coroutine form of a start function: the op of the current coroutine, which must be one,
 * to start; and the wait for it, unless starting it failed with r.
 */
jg_op *jg__coro_op(void);

static inline int jg__await_started(int r)
{
    return r < 0 ? r : jg_await(jg__coro_op());
}

/*
 * Whether the current coroutine may take what is ready without starting an op. That counts as an
 * await. If not, because its scope is cancelled or its budget spent, it goes the long way.
 */
bool jg__coro_spend(void);

/*
 * An error of the current coroutine that its function cannot return any more: the body of the
 * innermost scope fails with it, or, if the coroutine has entered none, the coroutine.
 */
void jg__body_failed(int error);

#endif
