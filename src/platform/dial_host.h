/* SPDX-License-Identifier: MIT
 *
 * Connecting a socket to a host that is given as an address or a name.
 */
#ifndef JG_PLATFORM_DIAL_HOST_H
#define JG_PLATFORM_DIAL_HOST_H

#include <stdint.h>

/* Begin to connect. A name is looked up, which blocks. Returns the descriptor, which is non-blocking
   and writable when the connection is made or has failed; or an error. */
int jg__dial_host(const char *host, uint16_t port);

/* What came of it: 0 or an error. */
int jg__dial_result(int fd);

#endif
