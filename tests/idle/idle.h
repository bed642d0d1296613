/* SPDX-License-Identifier: MIT
 *
 * What the programs share that measure the memory of what is idle.
 */
#ifndef JUGGLE_TESTS_IDLE_H
#define JUGGLE_TESTS_IDLE_H

#include <juggle.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What is promised, of a coroutine that waits and of what waits without one. */
enum { COROUTINE_BYTES = 4608, STEP_BYTES = 300 };

static long count;

static inline void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Bytes of memory in use by this process. */
static inline long resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    check(file && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm cannot be read");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static inline void report(const char *what, double value, const char *unit)
{
    printf("bench=idle_%s lib=juggle n=%ld value=%.1f unit=%s\n", what, count, value, unit);
}

#endif
