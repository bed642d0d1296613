/* SPDX-License-Identifier: MIT
 *
 * Combinators: each is a scope and a few lines.
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
