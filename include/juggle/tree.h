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
 *       task main: waits for 2 tasks of scope gather for 0.750 s at main_body+0x5d, stack 1 of 256 KiB
 *       scope gather of main, 1.250 s left
 *         task fetch: waits for sleep for 0.750 s at program+0x1a2c, stack 2 of 64 KiB
 *         task parse: runs, stack 2 of 64 KiB
 *
 * A task without a name is called by its function. A coroutine waits at the call in your code, as
 * addr2line knows it; a task of steps, at its step. Functions of a program have names here if it is
 * linked with -rdynamic. The stack is what it needed at most; a coroutine that has its stack from
 * another, which ended, may show what that one needed. Names are shown without control characters.
 *
 * asyncio: print_call_graph, all_tasks.
 *
 * fn        changes no scope and no task, and does not suspend; NULL prints to standard error.
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
