/* SPDX-License-Identifier: MIT
 *
 * What the modules of this layer share: everything below, the public header, and how an op gets
 * into the queue of a lock.
 */
#ifndef JG_SYNC_SYNC_H
#define JG_SYNC_SYNC_H

#include "coro/coro.h"

#include <juggle/sync.h>

/* Have a pending op, which is in no list, complete with `status` once it holds the lock. */
void jg__lock_enter(jg_lock *lock, jg_op *op, int status);

#endif
