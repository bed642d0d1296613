/* SPDX-License-Identifier: MIT
 *
 * The ends of child processes.
 */
#ifndef JG_PLATFORM_REAP_H
#define JG_PLATFORM_REAP_H

#include <signal.h>
#include <stdbool.h>

#define JG__SIGNAL_CHILD SIGCHLD

/*
 * A descriptor that becomes readable when a process ends. -ENOSYS where the system has none, is too
 * old or forbids it.
 */
int jg__process_open(int pid);

/* Whether a child has ended, leaving it to be reaped: 1, 0 or -ECHILD. */
int jg__process_ended(int pid);

/* Reap a child that has ended. Returns 1 with its status, 0 if it has not ended yet, or -ECHILD. */
int jg__process_reap(int pid, int *ret_status);

#endif
