/* SPDX-License-Identifier: MIT
 *
 * The ends of child processes.
 */
#ifndef JG_PLATFORM_REAP_H
#define JG_PLATFORM_REAP_H

#include <signal.h>
#include <stdbool.h>

#define JG__SIGNAL_CHILD SIGCHLD
#define JG__SIGNAL_KILL  SIGKILL

/*
 * A descriptor that becomes readable when a process ends. -ENOSYS where the system has none, is too
 * old or forbids it.
 */
int jg__process_open(int pid);

/* Whether a child has ended, leaving it to be reaped: 1, 0 or -ECHILD. */
int jg__process_ended(int pid);

/* Reap a child that has ended. Returns 1 with its status, 0 if it has not ended yet, or -ECHILD. */
int jg__process_reap(int pid, int *ret_status);

/* Reap a child that is about to end, waiting for that. */
void jg__process_join(int pid);

/*
 * Send a signal to a child that has not been reaped: through its descriptor if that is not
 * negative, which cannot hit another process in any case; or to the process group that it leads.
 * Returns 0 or -errno.
 */
int jg__process_signal(int pid, int fd, bool group, int signo);

#endif
