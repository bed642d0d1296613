/* SPDX-License-Identifier: MIT
 *
 * The benchmarks. Each bench_<library>.c defines BENCH_LIB and the types bench_call, bench_timer,
 * bench_span and bench_watcher, includes this file, and then defines the functions declared first.
 * So all libraries do the same work, counted and checked by the same code, and what is specific to
 * one of them is compiled into the loop that is timed.
 *
 *   bench_<library> ready|timers|quiet|pass|add|echo [-v VARIANT] [-n SIZE] [-c COUNT]
 */
#ifndef BENCHES_H
#define BENCHES_H

#include "bench.h"
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* One of the ways in which a library can do the work, or "" */
static const char *bench_variant = "";

static void loop_open(void);
static void loop_close(void);
static void loop_run(void);         /* until nothing is left or loop_stop() */
static void loop_turn(void);        /* once, without waiting */
static void loop_stop(void);        /* from a callback */
static void loop_update_time(void); /* for a library that sets timers by a cached clock */

/* A call whose callback arms it again while bench_call_again() says so. */
static inline void call_init(bench_call *call);
static inline void call_arm(bench_call *call);

/* A timer whose callback calls bench_timer_fired(). Spans are made before the clock starts. */
static inline bench_span timer_span(int64_t ns);
static inline void timer_init(bench_timer *timer);
static inline void timer_start(bench_timer *timer, bench_span span);
static inline void timer_restart(bench_timer *timer, bench_span span);
static inline void timer_stop(bench_timer *timer);

/* A watcher for reading, level-triggered, whose callback calls bench_watcher_ready(watcher). */
static inline void watcher_start(bench_watcher *watcher, int fd);
static inline void watcher_stop(bench_watcher *watcher);

/* Echo until the last connection has ended. */
static void echo_serve(int listener);

/* Calls or events before those that are measured: always as many, so that the difference of two
 * runs is the difference of their counts. */
enum { WARM_UP = 20000 };

#define NOINLINE __attribute__((noinline))

static void report(const char *bench, long n, int64_t ns, long operations)
{
    char lib[64], size[24];

    snprintf(lib, sizeof lib, "%s%s%s", BENCH_LIB, *bench_variant ? "-" : "", bench_variant);
    snprintf(size, sizeof size, "%ld", n);
    bench_result(bench, lib, size, (double)ns / (double)operations, "ns");
}

static inline bool is_variant(const char *name)
{
    return strcmp(bench_variant, name) == 0;
}

/* Ready queue: n calls are outstanding, each arms itself again, until `count` have run. A
 * descriptor that stays quiet is watched, as in real programs: so each turn has to ask the kernel
 * for news, which a library may leave out where there is nothing that it could tell. */

static long calls_left, calls_ran, calls_wanted;

static inline bool bench_call_again(void)
{
    calls_ran++;
    if (calls_left == 0) {
        if (calls_ran == calls_wanted)
            loop_stop();
        return false;
    }
    calls_left--;
    return true;
}

static void ready_round(bench_call *calls, long n, long count)
{
    calls_ran = 0;
    calls_wanted = count;
    calls_left = count - n;
    for (long i = 0; i < n; i++)
        call_arm(&calls[i]);
    loop_run();
    bench_check(calls_ran == count, "every call must run");
}

static void bench_ready(long n, long count)
{
    bench_call *calls = bench_alloc((size_t)n, sizeof *calls);
    bench_watcher *quiet = bench_alloc(1, sizeof *quiet);
    int64_t start;

    loop_open();
    watcher_start(quiet, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    for (long i = 0; i < n; i++)
        call_init(&calls[i]);
    ready_round(calls, n, n + WARM_UP);
    start = bench_now();
    ready_round(calls, n, count);
    report("ready", n, bench_now() - start, count);
}

/* Timers: n of them, and n moves among few of them. The phases are functions of their own, so that
 * a profiler can tell them apart. */

#define SECOND ((int64_t)1000000000)

struct timer_plan {
    bench_timer *timers;
    long n, few;
    uint32_t *order; /* a permutation of 0 … n - 1 */
    bench_span *spans;
    int64_t *deadlines; /* ns, of the few, for moves that only go later */
};

static long timers_fired;

static inline void bench_timer_fired(void)
{
    timers_fired++;
}

static int64_t random_span(int64_t from, int64_t to)
{
    return from + (int64_t)(bench_random() % (uint64_t)(to - from));
}

static void plan_order(struct timer_plan *plan)
{
    for (long i = 0; i < plan->n; i++) {
        long j = (long)(bench_random() % (uint64_t)(i + 1));

        plan->order[i] = plan->order[j];
        plan->order[j] = (uint32_t)i;
    }
}

static void plan_spans(struct timer_plan *plan, int64_t from, int64_t to)
{
    for (long i = 0; i < plan->n; i++)
        plan->spans[i] = timer_span(random_span(from, to));
}

/* The timer that the i-th move moves. */
static inline size_t moved(const struct timer_plan *plan, long i)
{
    return plan->order[i] % (uint32_t)plan->few;
}

/* The i-th move puts its timer up to a second later than it was. */
static void plan_later_spans(struct timer_plan *plan, int64_t from)
{
    for (long i = 0; i < plan->few; i++)
        plan->deadlines[i] = from;
    for (long i = 0; i < plan->n; i++) {
        int64_t *deadline = &plan->deadlines[moved(plan, i)];

        *deadline += random_span(1, SECOND);
        plan->spans[i] = timer_span(*deadline);
    }
}

static void insert_all(const struct timer_plan *plan)
{
    for (long i = 0; i < plan->n; i++)
        timer_start(&plan->timers[i], plan->spans[i]);
}

static void cancel_all(const struct timer_plan *plan)
{
    for (long i = 0; i < plan->n; i++)
        timer_stop(&plan->timers[plan->order[i]]);
}

static void move_all(const struct timer_plan *plan)
{
    for (long i = 0; i < plan->n; i++)
        timer_restart(&plan->timers[moved(plan, i)], plan->spans[i]);
}

static NOINLINE void timers_insert(const struct timer_plan *plan)
{
    int64_t start = bench_now();

    insert_all(plan);
    report("timer-insert", plan->n, bench_now() - start, plan->n);
}

static NOINLINE void timers_cancel(const struct timer_plan *plan)
{
    int64_t start = bench_now();

    cancel_all(plan);
    report("timer-cancel", plan->n, bench_now() - start, plan->n);
}

static NOINLINE void timers_rearm(const struct timer_plan *plan)
{
    int64_t start = bench_now();

    move_all(plan);
    report("timer-rearm", plan->few, bench_now() - start, plan->n);
}

static NOINLINE void timers_later(const struct timer_plan *plan)
{
    int64_t start = bench_now();

    move_all(plan);
    report("timer-later", plan->few, bench_now() - start, plan->n);
}

static NOINLINE void timers_expire(const struct timer_plan *plan)
{
    int64_t start = bench_now();

    loop_run();
    report("timer-expire", plan->n, bench_now() - start, plan->n);
    bench_check(timers_fired == plan->n, "every timer must fire once");
}

static void sleep_for(int64_t ns)
{
    struct timespec span = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};

    while (nanosleep(&span, &span) != 0)
        continue;
}

static void bench_timers(long n, long count)
{
    struct timer_plan plan = {.timers = bench_alloc((size_t)n, sizeof *plan.timers),
                              .n = n,
                              .few = n < 100000 ? n : 100000,
                              .order = bench_alloc((size_t)n, sizeof *plan.order),
                              .spans = bench_alloc((size_t)n, sizeof *plan.spans),
                              .deadlines = bench_alloc((size_t)n, sizeof *plan.deadlines)};

    (void)count;
    loop_open();
    for (long i = 0; i < n; i++)
        timer_init(&plan.timers[i]);
    plan_order(&plan);

    /* Deadlines of a busy server. The first pass lets the library's own memory grow. */
    plan_spans(&plan, 10 * SECOND, 70 * SECOND);
    loop_update_time();
    insert_all(&plan);
    cancel_all(&plan);
    timers_insert(&plan);
    timers_cancel(&plan);

    for (long i = 0; i < plan.few; i++)
        timer_start(&plan.timers[i], plan.spans[i]);
    plan_spans(&plan, 10 * SECOND, 70 * SECOND);
    timers_rearm(&plan);
    plan_later_spans(&plan, 70 * SECOND);
    timers_later(&plan);
    for (long i = 0; i < plan.few; i++)
        timer_stop(&plan.timers[i]);

    /* All fall due while the program sleeps, whether they count from a cached clock or from now. */
    plan_spans(&plan, SECOND / 10, SECOND);
    loop_update_time();
    insert_all(&plan);
    sleep_for(SECOND + SECOND / 20);
    timers_expire(&plan);
}

/* Descriptors: n are watched, 100 are active. Of one kind nothing is ever read, so that only the
 * loop is measured; of the other each reader passes a byte on to the next descriptor. */

struct slot {
    bench_watcher watcher; /* first, so that it is found from the watcher */
    int fd, next;          /* read from, write to; next is -1 if nothing is read */
};

enum { ACTIVE = 100 };

static long events_left, writes_left;

static inline void bench_watcher_ready(bench_watcher *watcher)
{
    struct slot *slot = (struct slot *)watcher;
    char byte;

    if (slot->next >= 0) {
        bench_check(read(slot->fd, &byte, 1) == 1, "a ready descriptor must have a byte");
        if (writes_left > 0) {
            writes_left--;
            bench_check(write(slot->next, &byte, 1) == 1, "write");
        }
    }
    if (--events_left == 0)
        loop_stop();
}

static void open_eventfds(struct slot *slots, long n)
{
    for (long i = 0; i < n; i++) {
        slots[i].fd = eventfd(i < ACTIVE, EFD_NONBLOCK | EFD_CLOEXEC);
        slots[i].next = -1;
        bench_check(slots[i].fd >= 0, "eventfd");
    }
}

static void open_pairs(struct slot *slots, long n)
{
    for (long i = 0; i < n; i++) {
        int fds[2];

        bench_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
                    "socketpair");
        slots[i].fd = fds[0];
        slots[(i + n - 1) % n].next = fds[1];
    }
}

static void events_round(struct slot *slots, long n, long count)
{
    events_left = count;
    if (slots[0].next >= 0) {
        writes_left = count - ACTIVE;
        for (long i = 0; i < ACTIVE; i++)
            bench_check(write(slots[i * (n / ACTIVE)].next, "", 1) == 1, "write");
    }
    loop_run();
    bench_check(events_left <= 0, "every event must arrive");
}

static void bench_events(struct slot *slots, const char *name, long n, long count)
{
    int64_t start;

    bench_check(n >= ACTIVE, "at least 100 descriptors");
    loop_open();
    for (long i = 0; i < n; i++)
        watcher_start(&slots[i].watcher, slots[i].fd);
    events_round(slots, n, ACTIVE + WARM_UP);
    start = bench_now();
    events_round(slots, n, count);
    report(name, n, bench_now() - start, count);
}

static void bench_quiet(long n, long count)
{
    struct slot *slots = bench_alloc((size_t)n, sizeof *slots);

    open_eventfds(slots, n);
    bench_events(slots, "fd-quiet", n, count);
}

static void bench_pass(long n, long count)
{
    struct slot *slots = bench_alloc((size_t)n, sizeof *slots);

    open_pairs(slots, n);
    bench_events(slots, "fd-pass", n, count);
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Adding: n descriptors to an empty loop, `count` times, until the kernel knows them. */
static void bench_add(long n, long count)
{
    struct slot *slots = bench_alloc((size_t)n, sizeof *slots);
    int64_t *times = bench_alloc((size_t)count, sizeof *times);

    open_pairs(slots, n);
    for (long round = 0; round < count; round++) {
        int64_t start;

        loop_open();
        start = bench_now();
        for (long i = 0; i < n; i++)
            watcher_start(&slots[i].watcher, slots[i].fd);
        loop_turn();
        times[round] = bench_now() - start;
        for (long i = 0; i < n; i++)
            watcher_stop(&slots[i].watcher);
        loop_close();
    }
    qsort(times, (size_t)count, sizeof *times, compare_times);
    report("fd-add", n, times[count / 2], n);
}

static void bench_echo(long n, long count)
{
    (void)n;
    (void)count;
    loop_open();
    echo_serve(echo_listen());
}

static const struct bench {
    const char *name;
    void (*run)(long n, long count);
    long n, count;
} benches[] = {
    {"ready", bench_ready, 1000, 10000000},
    {"timers", bench_timers, 1000000, 0},
    {"quiet", bench_quiet, 100, 1000000},
    {"pass", bench_pass, 100, 300000},
    {"add", bench_add, 9900, 7},
    {"echo", bench_echo, 0, 0},
};

static NOINLINE void usage(void)
{
    fputs("usage: bench_" BENCH_LIB
          " ready|timers|quiet|pass|add|echo [-v VARIANT] [-n SIZE] [-c COUNT]\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    const struct bench *bench = NULL;
    long n, count;
    int option;

    for (size_t i = 0; argc > 1 && i < sizeof benches / sizeof *benches; i++) {
        if (strcmp(argv[1], benches[i].name) == 0)
            bench = &benches[i];
    }
    if (bench == NULL)
        usage();
    n = bench->n;
    count = bench->count;
    optind = 2;
    while ((option = getopt(argc, argv, "v:n:c:")) != -1) {
        if (option == 'v')
            bench_variant = optarg;
        else if (option == 'n')
            n = atol(optarg);
        else if (option == 'c')
            count = atol(optarg);
        else
            usage();
    }
    bench_pin(false);
    bench_raise_descriptor_limit();
    bench->run(n, count);
    return 0;
}

#endif
