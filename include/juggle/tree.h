/* SPDX-License-Identifier: MIT
 *
 * The live tree of scopes and tasks, for people.
 */
#ifndef JUGGLE_TREE_H
#define JUGGLE_TREE_H

#include <juggle/task.h>

JG_BEGIN_DECLS

/* One line of text, without its end; valid during the call. */
typedef void (*jg_line_fn)(void *arg, const char *line);

/**
 * Tell of a scope, the tasks in it, and the scopes inside, one line each, indented by depth:
 *
 *     scope root
 *       task main: runs
 *       scope gather of main, 1.250 s left
 *         task fetch: waits for sleep
 *
 * fn        changes no scope and no task, and does not suspend.
 *
 * Returns   nothing; it does not allocate.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_scope_describe(jg_scope *scope, jg_line_fn fn, void *arg);

/* The outermost scope around a task that was spawned: the root of its tree. */
JG_API jg_scope *jg_task_root(const jg_task *task);

JG_END_DECLS

#endif
