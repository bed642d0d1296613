/* SPDX-License-Identifier: MIT
 *
 * Scopes: a tree over all tasks of a loop.
 *
 * A task spawned in a scope is in its list; a scope that a task enters hangs below the one that was
 * innermost for that task. JG__SCOPE_STOPS is kept for every scope that cancellation reaches, so
 * that asking costs one load; setting it walks the tree below once, without recursion, since the
 * tree may be deeper than a coroutine's stack.
 *
 * JG__SCOPE_CUT notes that somebody was told -ECANCELED. A scope that nothing was cut in ends with
 * what its body returned, even if it was cancelled: completion wins.
 */
#include "task/task.h"

#include "base/time.h"

#include <errno.h>

#define DEFAULT_GRACE (10 * JG_SECOND)

static jg_scope *scope_of(jg_link *link)
{
    return jg__container_of(link, jg_scope, link);
}

void jg__scope_note_cut(jg_scope *scope)
{
    for (; scope && scope->flags & JG__SCOPE_STOPS; scope = scope->parent) {
        scope->flags |= JG__SCOPE_CUT;
        if (scope->flags & JG__SCOPE_SHIELD)
            break; /* it stops for itself: the outer ones do not reach it */
    }
}

bool jg__scope_refuses_marked(jg_scope *scope)
{
    if (scope->flags & JG__SCOPE_TESTED)
        scope->loop->on_point(scope->loop->on_point_arg); /* which may cancel it */
    jg__scope_note_cut(scope);
    return scope->flags & JG__SCOPE_STOPS;
}

bool jg_scope_cancelled(const jg_scope *scope)
{
    return scope->flags & JG__SCOPE_STOPS;
}

static void cancel(jg_scope *scope);

static void expire(void *arg)
{
    jg_scope *scope = arg;

    if (scope->flags & JG__SCOPE_CANCELLED)
        return;

    scope->flags |= JG__SCOPE_EXPIRED;
    cancel(scope);
}

void jg_scope_open(jg_scope *scope, jg_loop *loop, jg_task *owner, const jg_scope_options *options)
{
    static const jg_scope_options defaults = {0};

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    *scope = (jg_scope){
        .loop = loop,
        .owner = owner,
        .name = options->name,
        .policy = options->policy,
        .grace = options->grace > 0 ? options->grace : DEFAULT_GRACE,
    };
    jg__list_init(&scope->scopes);
    jg__list_init(&scope->tasks);
    jg_timer_init(&scope->timer, expire, scope);
    if (options->shield)
        scope->flags |= JG__SCOPE_SHIELD;
    if (owner) {
        scope->parent = owner->scope;
        jg__list_append(&scope->parent->scopes, &scope->link);
        owner->scope = scope;
        scope->flags |=
            scope->parent->flags & (JG__SCOPE_TESTED | (options->shield ? 0 : JG__SCOPE_STOPS));
    } else {
        jg__list_append(&loop->roots, &scope->link);
        loop->note_call = jg__task_note;
    }
    if (options->timeout < 0)
        expire(scope);
    else if (options->timeout > 0 && options->timeout != JG_FOREVER)
        jg_call_later(loop, &scope->timer, options->timeout);
}

/* Ask what a task waits for to end. */
static void interrupt(jg_task *task)
{
    if (task->awaiting && !(task->awaiting->flags & JG__OP_SHIELDED))
        jg_op_cancel(task->awaiting);
}

/* Have a scope stop that does not yet: all whose innermost scope it is. */
static void stop(jg_scope *scope)
{
    scope->flags |= JG__SCOPE_STOPS;
    if (scope->owner && scope->owner->scope == scope)
        interrupt(scope->owner);
    for (jg_link *link = scope->tasks.next; link != &scope->tasks; link = link->next) {
        jg_task *task = jg__container_of(link, jg_task, link);

        if (task->scope == scope)
            interrupt(task);
    }
}

jg_scope *jg__scope_next(jg_scope *root, jg_scope *scope, bool down)
{
    if (down && !jg__list_empty(&scope->scopes))
        return scope_of(scope->scopes.next);
    for (; scope != root; scope = scope->parent) {
        if (scope->link.next != &scope->parent->scopes)
            return scope_of(scope->link.next);
    }
    return NULL;
}

static void cancel(jg_scope *scope)
{
    bool reached = true;

    scope->flags |= JG__SCOPE_CANCELLED;
    for (jg_scope *s = scope; s; s = jg__scope_next(scope, s, reached)) {
        reached = !(s->flags & JG__SCOPE_STOPS) && (s == scope || !(s->flags & JG__SCOPE_SHIELD));
        if (reached)
            stop(s);
    }
}

void jg_scope_cancel(jg_scope *scope)
{
    jg__check_thread(scope->loop);
    if (!(scope->flags & (JG__SCOPE_CANCELLED | JG__SCOPE_CLEANING | JG__SCOPE_ENDED)))
        cancel(scope);
}

void jg_scope_reschedule(jg_scope *scope, jg_time deadline)
{
    if (scope->flags & (JG__SCOPE_EXPIRED | JG__SCOPE_CLEANING | JG__SCOPE_ENDED))
        return;
    if (deadline == JG_FOREVER)
        jg_timer_stop(&scope->timer);
    else
        jg_call_at(scope->loop, &scope->timer, deadline);
}

void jg_scope_defer(jg_scope *scope, jg_defer *defer, jg_call_fn fn, void *arg)
{
    *defer = (jg_defer){.next = scope->defers, .fn = fn, .arg = arg};
    scope->defers = defer;
}

void jg__scope_body_ended(jg_scope *scope, int status)
{
    jg__check(!scope->owner || scope->owner->scope == scope, "an inner scope is still open");
    if (status >= 0 || scope->policy == JG_KEEP_GOING)
        return;
    if (!(scope->flags & JG__SCOPE_STOPS))
        scope->flags |= JG__SCOPE_FAILED; /* its error, even -ECANCELED, is not ours */
    jg_scope_cancel(scope);
}

static void cancel_join(jg_op *op)
{
    (void)op; /* the tasks are asked, each by itself; the join ends when they have */
}

const jg_provider jg__scope_provider = {"tasks of a scope", cancel_join};

void jg__scope_join(jg_scope *scope, jg_op *op)
{
    /* Without its task for a moment: this wait is not refused in a cancelled scope. */
    jg_task *task = op->task;

    op->task = NULL;
    (void)jg_op_start(op, &jg__scope_provider, scope); /* only a task's can be refused */
    op->task = task;
    op->flags |= JG__OP_SHIELDED;
    if (task)
        task->awaiting = op;
    scope->joiner = op;
}

/* Whether the scopes around this one stop what is in it. */
static bool stopped_from_outside(const jg_scope *scope)
{
    return scope->parent && !(scope->flags & JG__SCOPE_SHIELD) &&
           scope->parent->flags & JG__SCOPE_STOPS;
}

int jg__scope_result(const jg_scope *scope, int status)
{
    bool cut = scope->flags & JG__SCOPE_CUT || status == -ECANCELED;

    if (scope->error < 0 && scope->policy != JG_KEEP_GOING && !(scope->flags & JG__SCOPE_WON))
        return scope->error;
    if (status < 0 && status != -ECANCELED)
        return status;
    if (scope->flags & JG__SCOPE_WON)
        return status > 0 ? status : 0; /* the result was there first */
    if (cut && stopped_from_outside(scope))
        return -ECANCELED;
    if (cut && scope->flags & JG__SCOPE_EXPIRED)
        return -ETIMEDOUT;
    if (cut && scope->flags & JG__SCOPE_CANCELLED && !(scope->flags & JG__SCOPE_FAILED))
        return status > 0 ? status : 0;
    return status;
}

void jg__scope_clean_up(jg_scope *scope)
{
    /* As if newly entered, shielded, with the grace time as its deadline. */
    scope->flags = JG__SCOPE_SHIELD | JG__SCOPE_CLEANING | (scope->flags & JG__SCOPE_TESTED);
    if (scope->defers)
        jg_call_later(scope->loop, &scope->timer, scope->grace);
    while (scope->defers) {
        jg_defer *defer = scope->defers;

        scope->defers = defer->next;
        defer->fn(defer->arg);
    }

    jg_timer_stop(&scope->timer);
    scope->joiner = NULL;
    scope->flags |= JG__SCOPE_ENDED;
    jg__unlink(&scope->link);
    if (scope->owner)
        scope->owner->scope = scope->parent;
}

/* All tasks of a scope that is being closed have ended. */
static void close_now(jg_scope *scope)
{
    jg_op *op = scope->joiner;
    int r = jg__scope_result(scope, scope->status);

    jg__scope_clean_up(scope);
    jg_op_complete(op, r);
}

void jg_scope_close(jg_scope *scope, int status, jg_op *op)
{
    jg__check(!(scope->flags & (JG__SCOPE_CLOSING | JG__SCOPE_CLEANING | JG__SCOPE_ENDED)),
              "the scope is closed already");
    jg__scope_body_ended(scope, status);
    scope->status = status;
    scope->flags |= JG__SCOPE_CLOSING;
    jg__scope_join(scope, op);
    if (scope->running == 0)
        close_now(scope);
}

void jg__scope_task_ended(jg_scope *scope, int status)
{
    bool failed = status < 0 && status != -ECANCELED;

    scope->running--;
    if (failed && scope->error == 0)
        scope->error = status;
    if (failed && scope->policy == JG_FAIL_FAST)
        jg_scope_cancel(scope);
    if (status >= 0 && scope->policy == JG_FIRST_WINS && !(scope->flags & JG__SCOPE_WON)) {
        scope->flags |= JG__SCOPE_WON;
        jg_scope_cancel(scope);
    }
    if (scope->running > 0 || !scope->joiner)
        return;
    if (scope->flags & JG__SCOPE_CLOSING) {
        close_now(scope);
    } else {
        jg_op *joiner = scope->joiner;

        scope->joiner = NULL; /* others may be spawned, and end, before it runs */
        jg_op_complete(joiner, 0);
    }
}
