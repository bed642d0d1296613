/* SPDX-License-Identifier: MIT
 *
 * Worker processes: forked, watched, and started again when they die.
 */
#ifndef JG_PLATFORM_PREFORK_H
#define JG_PLATFORM_PREFORK_H

/*
 * Keep so many workers running until SIGINT or SIGTERM, which is passed on to them. A worker that
 * was killed, or exits with 0, is started again, after a second if it has not lived as long. One
 * that exits with another status cannot do its work, and ends the whole.
 *
 * Returns 1 in the first worker, when it is started for the first time, and 2 in all others, which
 * then do their work and exit; in the parent, when all have ended, 0, or the negative of the exit
 * status that ended it, or an error.
 */
int jg__prefork(unsigned count);

/* Exit from a worker with the status that stands for a result: 0 or a negative error. */
_Noreturn void jg__prefork_exit(int result);

#endif
