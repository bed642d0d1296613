/* SPDX-License-Identifier: MIT
 *
 * What every benchmark program shares: a clock, pinning, memory, and the line that reports a
 * result. Anything that goes wrong ends the program: a benchmark that did not do all of its work
 * has no result.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ns on the monotonic clock */
int64_t bench_now(void);

/* The same sequence in every run. */
uint64_t bench_random(void);

/* End the program, which has failed at `what`. */
void bench_fail(const char *what) __attribute__((noreturn));

static inline void bench_check(bool ok, const char *what)
{
    if (!ok)
        bench_fail(what);
}

/* Zeroed and touched, so that page faults are not part of what is measured. */
void *bench_alloc(size_t count, size_t size);

/* Keep this process on the first core that it may use, or on the last. */
void bench_pin(bool last);

/* As many descriptors as the system lets us have. */
void bench_raise_descriptor_limit(void);

/* The line bench=… lib=… n=… value=… unit=… */
void bench_result(const char *bench, const char *lib, const char *n, double value,
                  const char *unit);

#endif
