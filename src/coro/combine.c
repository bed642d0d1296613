/* SPDX-License-Identifier: MIT
 *
 * Combinators: most are a scope and a few lines.
 */
#include "coro/coro.h"

#include <errno.h>

int jg_gather(jg_job *jobs, size_t count, jg_policy policy)
{
    jg_scope scope;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        jobs[i].status = -ECANCELED;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "gather", .policy = policy});
    for (size_t i = 0; i < count && r == 0; i++) {
        const jg_spawn_options options = {.ret_status = &jobs[i].status};

        r = jg_spawn(&scope, jobs[i].fn, jobs[i].arg, &options);
    }
    return jg_scope_leave(&scope, r);
}

int jg_wait_for(jg_coro_fn fn, void *arg, jg_time timeout)
{
    jg_scope scope;

    jg_scope_enter(&scope,
                   &(jg_scope_options){.name = "wait_for", .timeout = timeout > 0 ? timeout : -1});
    return jg_scope_leave(&scope, fn(arg));
}

int jg_shield(jg_coro_fn fn, void *arg)
{
    jg_scope scope;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "shield", .shield = true});
    return jg_scope_leave(&scope, fn(arg));
}

static bool is_satisfied(jg_op *const *ops, size_t count, jg_when when)
{
    size_t completed = 0;
    bool failed = false;

    for (size_t i = 0; i < count; i++) {
        if (jg_op_pending(ops[i]))
            continue;
        completed++;
        failed |= jg_op_status(ops[i]) < 0;
    }
    return completed == count || (when == JG_FIRST_COMPLETED && completed > 0) ||
           (when == JG_FIRST_ERROR && failed);
}

int jg_wait(jg_op *const *ops, size_t count, jg_when when)
{
    static const jg_provider provider = {"several ops", jg__op_cancel_listed};
    jg_task *task = jg_task_current();
    jg_op *any = jg_task_op(task);
    int r = 0;

    while (r == 0 && !is_satisfied(ops, count, when)) {
        r = jg_op_start(any, &provider, NULL);
        if (r < 0)
            break;
        task->any = any;
        r = jg_await(any);
        task->any = NULL;
    }

    /* What has completed is delivered herewith: its memory may go. */
    for (size_t i = 0; i < count; i++) {
        if (!jg_op_pending(ops[i]))
            jg__unlink(&ops[i]->call.link);
    }
    return r;
}
