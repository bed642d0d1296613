/* SPDX-License-Identifier: MIT
 *
 * The executors that a loop has of its own.
 */
#ifndef JG_IO_EXECUTOR_H
#define JG_IO_EXECUTOR_H

#include <juggle/executor.h>

/* Names have threads of their own: a network that is down must not keep files waiting. */
enum jg__executor_use { JG__EXECUTOR_COMMON, JG__EXECUTOR_NAMES, JG__EXECUTORS };

/* Made when it is first needed. Returns 0, -ENOMEM or JG_EFORKED. */
int jg__executor_own(jg_loop *loop, enum jg__executor_use use, jg_executor **ret_executor);

#endif
