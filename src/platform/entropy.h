/* SPDX-License-Identifier: MIT
 *
 * Random bytes that nobody can guess.
 */
#ifndef JG_PLATFORM_ENTROPY_H
#define JG_PLATFORM_ENTROPY_H

#include <stddef.h>

/* Fill at most 256 bytes. Returns 0 or -errno. */
int jg__entropy(void *buffer, size_t size);

#endif
