/* SPDX-License-Identifier: MIT */
#include <juggle/tree.h>

#include "base/time.h"
#include "task/task.h"

#include <stdio.h>

struct description {
    jg_line_fn fn;
    void *arg;
    int depth;
};

static const char *name_or(const char *name, const char *otherwise)
{
    return name ? name : otherwise;
}

static void describe_task(const struct description *to, const jg_task *task)
{
    const jg_op *op = task->awaiting;
    char line[160];

    if (task == jg__current)
        snprintf(line, sizeof(line), "%*stask %s: runs", to->depth * 2, "",
                 name_or(task->name, "?"));
    else if (op && jg_op_pending(op))
        snprintf(line, sizeof(line), "%*stask %s: waits for %s", to->depth * 2, "",
                 name_or(task->name, "?"), op->provider->name);
    else
        snprintf(line, sizeof(line), "%*stask %s: is ready", to->depth * 2, "",
                 name_or(task->name, "?"));
    to->fn(to->arg, line);
}

static void describe_scope(const struct description *to, const jg_scope *scope)
{
    jg_time left = JG_FOREVER;
    char owner[64] = "", deadline[48] = "", line[200];

    if (scope->owner)
        snprintf(owner, sizeof(owner), " of %s", name_or(scope->owner->name, "?"));
    if (jg_handle_started(&scope->timer.handle))
        left = jg__time_until(scope->timer.deadline, jg_loop_now(scope->loop));
    if (left != JG_FOREVER)
        snprintf(deadline, sizeof(deadline), ", %.3f s left", (double)left / (double)JG_SECOND);
    snprintf(line, sizeof(line), "%*sscope %s%s%s%s", to->depth * 2, "", name_or(scope->name, "?"),
             owner, deadline, jg_scope_cancelled(scope) ? ", cancelled" : "");
    to->fn(to->arg, line);
}

static int depth_below(const jg_scope *root, const jg_scope *scope)
{
    int depth = 0;

    for (; scope != root; scope = scope->parent)
        depth++;
    return depth;
}

void jg_scope_describe(jg_scope *scope, jg_line_fn fn, void *arg)
{
    struct description to = {.fn = fn, .arg = arg};

    jg__check_thread(scope->loop);
    for (jg_scope *s = scope; s; s = jg__scope_next(scope, s, true)) {
        to.depth = depth_below(scope, s);
        describe_scope(&to, s);
        to.depth++;
        for (jg_link *link = s->tasks.next; link != &s->tasks; link = link->next)
            describe_task(&to, jg__container_of(link, jg_task, link));
    }
}

jg_scope *jg_task_root(const jg_task *task)
{
    jg_scope *scope = task->home;

    while (scope->parent)
        scope = scope->parent;
    return scope;
}
