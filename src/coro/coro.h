/* SPDX-License-Identifier: MIT
 *
 * What the modules of this layer share: everything below, and the public header.
 */
#ifndef JG_CORO_CORO_H
#define JG_CORO_CORO_H

#include "platform/context.h"
#include "task/task.h"

#include <juggle/coro.h>

#endif
