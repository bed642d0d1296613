/* SPDX-License-Identifier: MIT
 *
 * What all examples share: how they end after an error.
 */
#ifndef JUGGLE_EXAMPLES_COMMON_H
#define JUGGLE_EXAMPLES_COMMON_H

#include <juggle.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns the result, unless it is an error: the program cannot go on without what failed. */
static inline int check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, jg_strerror(result));
        exit(1);
    }
    return result;
}

/* As check, for what reports errors by -1 and errno. */
static inline int check_errno(int result, const char *what)
{
    return check(result < 0 ? -errno : result, what);
}

#endif
