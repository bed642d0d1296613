/* SPDX-License-Identifier: MIT */
#include <juggle/tree.h>

#include "base/line.h"
#include "base/time.h"
#include "platform/descriptor.h"
#include "task/task.h"

#define DEEPEST 40 /* levels that are indented; below, the lines stay in sight */

struct description {
    jg_line_fn fn;
    void *arg;
    int depth;
};

static void begin_line(const struct description *to, jg__line *line)
{
    jg__line_init(line);
    jg__line_add(line, "%*s", (to->depth < DEEPEST ? to->depth : DEEPEST) * 2, "");
}

/* A name, or else the function that the task runs. */
static void add_task_name(jg__line *line, const jg_task *task)
{
    if (task->name)
        jg__line_add_name(line, task->name);
    else
        jg__line_add_symbol(line, jg__task_function(task));
}

static void add_wait(jg__line *line, const jg_op *op)
{
    const jg_scope *scope = op->data;

    if (op->provider != &jg__scope_provider)
        jg__line_add(line, "waits for %s", op->provider->name);
    else if (scope->flags & JG__SCOPE_CLEANING)
        jg__line_add(line, "waits for a deferred call");
    else
        jg__line_add(line, "waits for %u task%s", scope->running, scope->running == 1 ? "" : "s");
    if (op->provider == &jg__scope_provider && scope->name) {
        jg__line_add(line, " of scope ");
        jg__line_add_name(line, scope->name);
    }
}

static void describe_task(const struct description *to, const jg_task *task)
{
    const jg_op *op = task->awaiting;
    jg__line line;

    begin_line(to, &line);
    jg__line_add(&line, "task ");
    add_task_name(&line, task);
    jg__line_add(&line, ": ");
    if (task == jg__current) {
        jg__line_add(&line, "runs");
    } else if (op && jg_op_pending(op)) {
        add_wait(&line, op);
        jg__line_add(&line, " for ");
        jg__line_add_time(&line, jg_loop_now(task->op.loop) - task->since);
    } else {
        jg__line_add(&line, "is ready");
    }
    if (task != jg__current) {
        jg__line_add(&line, " at ");
        jg__line_add_symbol(&line, task->kind ? task->kind->site(task) : jg__address(task->step));
    }
    if (task->kind) {
        size_t size, used = task->kind->stack_used(task, &size);

        jg__line_add(&line, ", stack %zu of %zu KiB", (used + 1023) / 1024, (size + 1023) / 1024);
    }
    to->fn(to->arg, line.text);
}

static const char *state_of(const jg_scope *scope)
{
    if (scope->flags & JG__SCOPE_CLEANING)
        return ", cleans up";
    if (scope->flags & JG__SCOPE_EXPIRED)
        return ", timed out";
    if (scope->flags & JG__SCOPE_CANCELLED)
        return ", cancelled";
    return scope->flags & JG__SCOPE_STOPS ? ", cancelled from outside" : "";
}

static void describe_scope(const struct description *to, const jg_scope *scope)
{
    static const char *const policies[] = {"", ", keeps going", ", first wins"};
    jg_time left = JG_FOREVER;
    jg__line line;

    begin_line(to, &line);
    jg__line_add(&line, "scope ");
    jg__line_add_name(&line, scope->name);
    if (scope->owner) {
        jg__line_add(&line, " of ");
        add_task_name(&line, scope->owner);
    }
    if (jg_handle_started(&scope->timer.handle))
        left = jg__time_until(scope->timer.deadline, jg_loop_now(scope->loop));
    if (left != JG_FOREVER) {
        jg__line_add(&line, ", ");
        jg__line_add_time(&line, left);
        jg__line_add(&line, " left");
    }
    jg__line_add(&line, "%s", state_of(scope));
    if ((scope->flags & (JG__SCOPE_SHIELD | JG__SCOPE_CLEANING)) == JG__SCOPE_SHIELD)
        jg__line_add(&line, ", shielded");
    jg__line_add(&line, "%s", policies[scope->policy]);
    to->fn(to->arg, line.text);
}

static int depth_below(const jg_scope *root, const jg_scope *scope)
{
    int depth = 0;

    for (; scope != root; scope = scope->parent)
        depth++;
    return depth;
}

static void print(void *arg, const char *line)
{
    (void)arg;
    jg__print_error(line);
    jg__print_error("\n");
}

void jg_scope_describe(jg_scope *scope, jg_line_fn fn, void *arg)
{
    struct description to = {.fn = fn ? fn : print, .arg = arg};

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
