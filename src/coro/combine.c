/* SPDX-License-Identifier: MIT
 *
 * Combinators: most are a scope and a few lines.
 */
#include "coro/coro.h"

#include <errno.h>

int jg_gather(jg_job *jobs, size_t count, jg_policy policy)
{
    jg_task *task = jg__self(__func__);
    jg_scope scope;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        jobs[i].status = -ECANCELED;

    jg__waits_here(task);
    jg_scope_enter(&scope, &(jg_scope_options){.name = "gather", .policy = policy});
    for (size_t i = 0; i < count && r == 0; i++) {
        const jg_spawn_options options = {.ret_status = &jobs[i].status};

        r = jg_spawn(&scope, jobs[i].fn, jobs[i].arg, &options);
    }
    return jg__scope_leave(task, &scope, r);
}

/* A job of jg_as_completed: when it has ended it waits to be taken. */
static int run_job(void *arg)
{
    static const jg_provider provider = {"being taken", jg__op_cancel_listed};
    jg_task *task = jg_task_current();
    jg_as_completed *each = jg__container_of(task->home, jg_as_completed, scope);
    jg_job *job = arg;

    job->status = job->fn(job->arg);
    if (each->taker) {
        each->taken = job;
        jg_op_complete(each->taker, 0);
        each->taker = NULL;
    } else if (jg_op_start(jg_task_op(task), &provider, job) == 0) {
        jg__list_append(&each->ended, &task->op.call.link);
        (void)jg__await(task, jg_task_op(task)); /* taken or not, the job has ended */
    }
    return 0;
}

void jg_as_completed_begin(jg_as_completed *each, jg_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        jobs[i].status = -ECANCELED;

    each->taker = NULL;
    each->left = 0;
    each->error = 0;
    jg__list_init(&each->ended);
    jg_scope_enter(&each->scope,
                   &(jg_scope_options){.name = "as_completed", .policy = JG_KEEP_GOING});
    for (size_t i = 0; i < count && each->error == 0; i++) {
        each->error = jg_spawn(&each->scope, run_job, &jobs[i], NULL);
        each->left += each->error == 0;
    }
}

static void cancel_take(jg_op *op)
{
    jg_as_completed *each = op->data;

    each->taker = NULL;
    jg_op_complete(op, -ECANCELED);
}

/* Take a job that waits for it. */
static jg_job *take(jg_as_completed *each)
{
    jg_op *op = jg__op_of(each->ended.next);
    jg_job *job = op->data;

    jg_op_complete(op, 0);
    return job;
}

jg_job *jg_as_completed_next(jg_as_completed *each)
{
    static const jg_provider provider = {"jobs", cancel_take};
    jg_op *op = jg__coro_op();

    if (each->error < 0 || each->left == 0)
        return NULL;

    each->left--;
    if (!jg__list_empty(&each->ended))
        return take(each);

    each->error = jg_op_start(op, &provider, each);
    if (each->error < 0)
        return NULL;

    each->taker = op;
    each->error = jg__await(op->task, op);
    return each->error < 0 ? NULL : each->taken;
}

int jg_as_completed_end(jg_as_completed *each)
{
    jg_task *task = jg__self(__func__);

    jg__waits_here(task);
    jg_scope_cancel(&each->scope);
    return jg__scope_leave(task, &each->scope, each->error);
}

int jg_wait_for(jg_coro_fn fn, void *arg, jg_time timeout)
{
    jg_task *task = jg__self(__func__);
    jg_scope scope;
    int r;

    jg_scope_enter(&scope,
                   &(jg_scope_options){.name = "wait_for", .timeout = timeout > 0 ? timeout : -1});
    r = fn(arg);
    jg__waits_here(task);
    return jg__scope_leave(task, &scope, r);
}

int jg_shield(jg_coro_fn fn, void *arg)
{
    jg_task *task = jg__self(__func__);
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "shield", .shield = true});
    r = fn(arg);
    jg__waits_here(task);
    return jg__scope_leave(task, &scope, r);
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
    jg_task *task = jg__self(__func__);
    jg_op *any = jg_task_op(task);
    int r = 0;

    jg__waits_here(task);
    if (is_satisfied(ops, count, when))
        jg__coro_pay(task);
    while (r == 0 && !is_satisfied(ops, count, when)) {
        r = jg_op_start(any, &provider, NULL);
        if (r < 0)
            break;
        task->any = any;
        r = jg__await(task, any);
        task->any = NULL;
    }

    /* What has completed is delivered herewith: its memory may go. */
    task->awaiting = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!jg_op_pending(ops[i]))
            jg__unlink(&ops[i]->call.link);
    }
    return r;
}
