/* SPDX-License-Identifier: MIT
 *
 * Worker processes: forked, watched, and started again when they die.
 */
#ifndef JG_PLATFORM_PREFORK_H
#define JG_PLATFORM_PREFORK_H

enum { JG__WORKER_FIRST = 1, JG__WORKER_OTHER, JG__WORKER_AGAIN };

/*
 * Keep so many workers running until SIGINT or SIGTERM, which is passed on to them. A worker that
 * ends, however it does, is started again, after a second if it has not lived as long. But if those
 * that come first say by jg__prefork_exit that they cannot work, that ends the whole.
 *
 * Returns which one this is in the workers, which then do their work and end; in the parent, when
 * all have ended, 0, or what a worker said, or an error.
 */
int jg__prefork(unsigned count);

/* End a worker, with 0 or the error for which it cannot work. */
_Noreturn void jg__prefork_exit(int result);

#endif
