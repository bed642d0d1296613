/* SPDX-License-Identifier: MIT
 *
 * The script backend: a poller whose descriptors are numbers and whose events are announced.
 */
#ifndef JG_PLATFORM_SCRIPT_H
#define JG_PLATFORM_SCRIPT_H

#include "platform/poller.h"

/* See jg_test_script. Returns 0 or -ENOMEM. */
int jg__script_announce(jg__poller *poller, jg_time when, int fd, int events);

#endif
