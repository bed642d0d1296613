/* SPDX-License-Identifier: MIT
 *
 * The benchmarks of coroutines. Each coro_<library>.c defines BENCH_LIB and lib_baton, includes
 * this file, and then defines the functions declared first; coro_go.go is the same in Go.
 *
 *   coro_<library> yield|deep|pass|spawn|step [-v VARIANT] [-n SIZE] [-c COUNT]
 *
 *   yield   n coroutines take turns: one switch to the scheduler and back is one operation
 *   deep    the same, ten calls deep, into which each goes anew
 *   pass    n coroutines in pairs: one waits until the other gives, and then gives back
 *   spawn   n coroutines are started, run, end, and are waited for; each is one operation
 *   step    the same with tasks that have no stack
 */
#ifndef CORO_BENCHES_H
#define CORO_BENCHES_H

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of the ways in which a library can do the work, or "" */
static const char *bench_variant = "";

/* Call fn(n, count) in a coroutine, and wait for it. */
static void lib_run(void (*fn)(long n, long count), long n, long count);

/* Let all others run. */
static inline void lib_yield(void);

/* Something that one coroutine gives and another one takes, when it is there. */
static inline void lib_baton_init(lib_baton *baton);
static inline void lib_give(lib_baton *baton);
static inline void lib_take(lib_baton *baton);

/* Start n coroutines that call fn(times), and wait for them. */
static inline void lib_spawn(long n, void (*fn)(long times), long times);

/* Run n tasks without a stack that count themselves, and wait for them. */
static inline void lib_step(long n, long *counter);

enum { DEPTH = 10 };

static long done;
static volatile long zero;

static inline bool is_variant(const char *name)
{
    return strcmp(bench_variant, name) == 0;
}

static void yield_often(long times)
{
    for (long i = 0; i < times; i++) {
        done++;
        lib_yield();
    }
}

/* A frame each: no call may become a jump, and none is inlined. */
static __attribute__((noinline)) long go_down(long depth)
{
    if (depth == 0) {
        lib_yield();
        return zero;
    }
    return go_down(depth - 1) + zero;
}

static void go_down_often(long times)
{
    for (long i = 0; i < times; i++) {
        done++;
        go_down(DEPTH);
    }
}

struct pair {
    lib_baton there, back;
    bool one_has_come;
};

static struct pair *pairs;
static long passers;

static void pass_often(long times)
{
    struct pair *pair = &pairs[passers++ / 2];
    bool first = !pair->one_has_come;

    pair->one_has_come = !pair->one_has_come;
    for (long i = 0; i < times; i++) {
        done++;
        if (first) {
            lib_give(&pair->there);
            lib_take(&pair->back);
        } else {
            lib_take(&pair->there);
            lib_give(&pair->back);
        }
    }
}

static void count_once(long times)
{
    done += times;
}

static void yield_all(long n, long count)
{
    lib_spawn(n, yield_often, count / n);
}

static void go_down_all(long n, long count)
{
    lib_spawn(n, go_down_often, count / n);
}

static void pass_all(long n, long count)
{
    if (!pairs)
        pairs = bench_alloc((size_t)n / 2 + 1, sizeof *pairs);
    for (long i = 0; i < n / 2; i++) {
        lib_baton_init(&pairs[i].there);
        lib_baton_init(&pairs[i].back);
    }
    passers = 0;
    lib_spawn(n, pass_often, count / n);
}

static void spawn_all(long n, long count)
{
    for (long i = 0; i < count / n; i++)
        lib_spawn(n, count_once, 1);
}

static void step_all(long n, long count)
{
    for (long i = 0; i < count / n; i++)
        lib_step(n, &done);
}

struct coro_bench {
    const char *name;
    void (*fn)(long n, long count);
};

static const struct coro_bench coro_benches[] = {
    {"yield", yield_all}, {"deep", go_down_all}, {"pass", pass_all},
    {"spawn", spawn_all}, {"step", step_all},
};

static const struct coro_bench *measured;

static void measure(long n, long count)
{
    const long warm_up = n * (20000 / n + 1);
    char lib[64], size[24], name[24];
    int64_t start;

    count = count / n * n;
    measured->fn(n, warm_up);
    done = 0;
    start = bench_now();
    measured->fn(n, count);
    start = bench_now() - start;
    bench_check(done == count, "everything must run");

    snprintf(lib, sizeof lib, "%s%s%s", BENCH_LIB, *bench_variant ? "-" : "", bench_variant);
    snprintf(size, sizeof size, "%ld", n);
    snprintf(name, sizeof name, "coro-%s", measured->name);
    bench_result(name, lib, size, (double)start / (double)count, "ns");
}

int main(int argc, char **argv)
{
    long n = 1000, count = 1000000;
    int option;

    for (size_t i = 0; argc > 1 && i < sizeof coro_benches / sizeof *coro_benches; i++) {
        if (strcmp(argv[1], coro_benches[i].name) == 0)
            measured = &coro_benches[i];
    }
    bench_check(measured != NULL, "no such benchmark");
    optind = 2;
    while ((option = getopt(argc, argv, "v:n:c:")) != -1) {
        bench_check(option != '?', "no such option");
        if (option == 'v')
            bench_variant = optarg;
        else if (option == 'n')
            n = atol(optarg);
        else
            count = atol(optarg);
    }
    bench_pin(false);
    lib_run(measure, n, count);
    return 0;
}

#endif
