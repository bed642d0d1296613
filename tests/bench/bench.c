/* SPDX-License-Identifier: MIT
 *
 * What every benchmark program shares; see bench.h.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t bench_random(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void bench_fail(const char *what)
{
    fprintf(stderr, "benchmark failed: %s (last error: %s)\n", what, strerror(errno));
    exit(1);
}

void *bench_alloc(size_t count, size_t size)
{
    void *block = malloc(count * size);

    bench_check(block != NULL, "out of memory");
    return memset(block, 0, count * size);
}

void bench_pin(bool last)
{
    cpu_set_t allowed, one;
    size_t chosen = CPU_SETSIZE;

    bench_check(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity");
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && (chosen == CPU_SETSIZE || last))
            chosen = cpu;
    }
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    bench_check(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

void bench_raise_descriptor_limit(void)
{
    struct rlimit limit;

    bench_check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    bench_check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

void bench_result(const char *bench, const char *lib, const char *n, double value, const char *unit)
{
    printf("bench=%s lib=%s n=%s value=%.2f unit=%s\n", bench, lib, n, value, unit);
    fflush(stdout);
}
