/* SPDX-License-Identifier: MIT */
#include <juggle/tree.h>

#include "base/text.h"
#include "base/time.h"
#include "platform/descriptor.h"
#include "task/task.h"

#define DEEPEST 40 /* levels that are indented; below, the lines stay in sight */

struct description {
    jg_line_fn fn;
    void *arg;
    int depth;
};

static void begin_line(const struct description *to, jg__text *text)
{
    jg__text_init(text);
    jg__text_add(text, "%*s", (to->depth < DEEPEST ? to->depth : DEEPEST) * 2, "");
}

/* A name, or else the function that the task runs. */
static void add_task_name(jg__text *text, const jg_task *task)
{
    if (task->name)
        jg__text_add_name(text, task->name);
    else
        jg__text_add_symbol(text, jg__task_function(task));
}

static void add_wait(jg__text *text, const jg_op *op)
{
    const jg_scope *scope = op->data;

    if (op->provider != &jg__scope_provider)
        jg__text_add(text, "waits for %s", op->provider->name);
    else if (scope->flags & JG__SCOPE_CLEANING)
        jg__text_add(text, "waits for a deferred call");
    else
        jg__text_add(text, "waits for %u task%s", scope->running, scope->running == 1 ? "" : "s");
    if (op->provider == &jg__scope_provider && scope->name) {
        jg__text_add(text, " of scope ");
        jg__text_add_name(text, scope->name);
    }
}

static void describe_task(const struct description *to, const jg_task *task)
{
    const jg_op *op = task->awaiting;
    jg__text text;

    begin_line(to, &text);
    jg__text_add(&text, "task ");
    add_task_name(&text, task);
    jg__text_add(&text, ": ");
    if (task == jg__current) {
        jg__text_add(&text, "runs");
    } else if (op && jg_op_pending(op)) {
        add_wait(&text, op);
        jg__text_add(&text, " for ");
        jg__text_add_time(&text, jg_loop_now(task->op.loop) - task->since);
    } else {
        jg__text_add(&text, "is ready");
    }
    if (task != jg__current) {
        jg__text_add(&text, " at ");
        jg__text_add_symbol(&text, task->kind ? task->kind->site(task) : jg__address(task->step));
    }
    if (task->kind) {
        size_t size, used = task->kind->stack_used(task, &size);

        jg__text_add(&text, ", stack %zu of %zu KiB", (used + 1023) / 1024, (size + 1023) / 1024);
    }
    to->fn(to->arg, text.line);
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
    jg__text text;

    begin_line(to, &text);
    jg__text_add(&text, "scope ");
    jg__text_add_name(&text, scope->name);
    if (scope->owner) {
        jg__text_add(&text, " of ");
        add_task_name(&text, scope->owner);
    }
    if (jg_handle_started(&scope->timer.handle))
        left = jg__time_until(scope->timer.deadline, jg_loop_now(scope->loop));
    if (left != JG_FOREVER) {
        jg__text_add(&text, ", ");
        jg__text_add_time(&text, left);
        jg__text_add(&text, " left");
    }
    jg__text_add(&text, "%s", state_of(scope));
    if ((scope->flags & (JG__SCOPE_SHIELD | JG__SCOPE_CLEANING)) == JG__SCOPE_SHIELD)
        jg__text_add(&text, ", shielded");
    jg__text_add(&text, "%s", policies[scope->policy]);
    to->fn(to->arg, text.line);
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
