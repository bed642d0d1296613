/* SPDX-License-Identifier: MIT
 *
 * Tasks: steps, driven by the completions of their ops.
 */
#include "task/task.h"

#include <errno.h>
#include <string.h>

JG__THREAD_LOCAL jg_task *jg__current;

jg_task *jg_task_current(void)
{
    return jg__current;
}

void jg__task_resume(void *arg)
{
    jg_op *op = arg;
    jg_task *task = op->task;
    jg_task *outer = jg__current;
    int r;

    if (task->awaiting != op) {
        /* One of several: the task finds it completed when it looks. */
        if (task->any && jg_op_pending(task->any))
            jg_op_complete(task->any, 0);
        return;
    }

    jg__task_begin_step(task);
    r = task->step(task, task->arg, op->status);
    task = jg__current; /* a coroutine may have handed over to another one */
    jg__current = outer;
    if (r != JG_PENDING)
        jg__task_end(task, r);
    else if (!task->kind && task->awaiting && task->awaiting->flags & JG__OP_PENDING)
        jg__task_waits(task);
    else
        jg__check(task->awaiting != NULL || jg__linked(&task->op.call.link),
                  "a step returned JG_PENDING with no op started");
}

uintptr_t jg__task_function(const jg_task *task)
{
    return task->kind ? task->kind->function(task) : jg__address(task->step);
}

void jg__task_note(const jg_call *call, jg__lap *lap)
{
    const jg_task *task;

    if (call->fn != jg__task_resume)
        return;

    task = ((const jg_op *)call->arg)->task;
    lap->kind = "task";
    lap->function = jg__task_function(task);
    if (task->name)
        strncpy(lap->name, task->name, sizeof(lap->name) - 1);
}

void jg_task_init(jg_task *task, const char *name, jg_step_fn step, void *arg)
{
    /* One by one: a struct as large as this is cleared by a loop, which takes long to start. */
    task->op = (jg_op){.status = 0};
    task->link.next = NULL;
    task->home = task->scope = NULL;
    task->awaiting = task->any = NULL;
    task->step = step;
    task->arg = arg;
    task->name = name;
    task->ret_status = NULL;
    task->kind = NULL;
    task->where = NULL;
    task->since = 0;
    task->budget = 0;
    task->parked = false;
}

void jg__op_of_task(jg_op *op, jg_task *task, jg_loop *loop)
{
    *op = (jg_op){.call = {.fn = jg__task_resume, .arg = op}, .loop = loop, .task = task};
}

int jg_task_spawn(jg_scope *scope, jg_task *task, int *ret_status)
{
    jg__check_thread(scope->loop);
    jg__check(!task->home, "the task is running");
    if (scope->flags & (JG__SCOPE_CLEANING | JG__SCOPE_ENDED) || jg__scope_refuses(scope))
        return -ECANCELED;

    jg__op_of_task(&task->op, task, scope->loop);
    task->ret_status = ret_status;
    task->home = task->scope = scope;
    task->awaiting = &task->op; /* which completes with 0, as it were */
    jg__list_append(&scope->tasks, &task->link);
    scope->running++;
    scope->loop->tasks_spawned++;
    jg__list_append(&scope->loop->ready, &task->op.call.link);
    return 0;
}

void jg__task_end(jg_task *task, int status)
{
    jg_scope *home = task->home;

    jg__check(task->scope == home, "a task ended inside a scope that it has not left");
    jg__check(!jg__op_pending(&task->op), "a task ended with its op pending");
    jg__unlink(&task->link);
    jg__unlink(&task->op.call.link);
    task->home = task->scope = NULL;
    home->loop->tasks_ended++;
    if (task->ret_status)
        *task->ret_status = status;
    if (task->kind)
        task->kind->release(task);
    jg__scope_task_ended(home, status);
}
