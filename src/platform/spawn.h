/* SPDX-License-Identifier: MIT
 *
 * Child processes: how they begin.
 *
 * The child is made by vfork where the system has it: nothing of this process is copied, however
 * large it is. Between there and exec it runs on our memory, with all signals blocked, and makes
 * system calls only; so it may be forked off in the middle of whatever other threads do.
 */
#ifndef JG_PLATFORM_SPAWN_H
#define JG_PLATFORM_SPAWN_H

#include <stdbool.h>

typedef struct jg__spawn {
    const char *file; /* looked for in PATH, unless there is a '/' in it */
    const char *const *argv;
    const char *const *environment; /* NULL: ours */
    const char *directory;          /* NULL: ours */
    int fds[3];                     /* what become the child's 0, 1 and 2; all others are closed */
    bool group;                     /* it leads a process group of its own, */
    bool session;                   /* or a session */
} jg__spawn;

/*
 * Start a program. It has no signal blocked or handled, and ignores what we do but for SIGPIPE and
 * SIGCHLD. Returns its process number, or why it could not be started, exec's errors among them;
 * then there is no child.
 */
int jg__spawn_run(const jg__spawn *spawn);

/* A pipe, close-on-exec: [0] is for reading, [1] for writing. Returns 0 or -errno. */
int jg__pipe_open(int ret_fds[2]);

/* /dev/null, for reading and writing. */
int jg__null_open(void);

#endif
