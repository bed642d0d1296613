/* SPDX-License-Identifier: MIT
 *
 * The benchmarks of coroutines without a library: the switch of juggle alone, a ring of those that
 * are ready, and a free list of stacks. No cancellation, no errors, no descriptors but one that is
 * polled each time the ring has gone round; the variant "nopoll" does not do that either.
 */
#include "platform/context.h"

#include <sys/epoll.h>
#include <sys/mman.h>

#define BENCH_LIB "floor"
struct flow;
typedef struct lib_baton {
    bool there;
    struct flow *waiting;
} lib_baton;
#include "coro_benches.h"

enum { STACK = 65536 };

struct flow {
    struct flow *next; /* in the ring of those that are ready, or the free list */
    void *sp;
    void (*fn)(long times);
    long times;
};

static struct flow *first, **last = &first, *free_flows, *current, scheduler;
static void (*main_fn)(long n, long count);
static long main_n, main_count, running;
static int poller;
static bool polls;

static inline void append(struct flow *flow)
{
    flow->next = NULL;
    *last = flow;
    last = &flow->next;
}

static inline void lib_yield(void)
{
    struct flow *self = current;

    append(self);
    jg__context_swap(&self->sp, scheduler.sp);
}

static inline void lib_baton_init(lib_baton *baton)
{
    *baton = (lib_baton){0};
}

static inline void lib_give(lib_baton *baton)
{
    if (baton->waiting)
        append(baton->waiting);
    else
        baton->there = true;
    baton->waiting = NULL;
}

static inline void lib_take(lib_baton *baton)
{
    struct flow *self = current;

    if (!baton->there) {
        baton->waiting = self;
        jg__context_swap(&self->sp, scheduler.sp);
    }
    baton->there = false;
}

static void *begin(void *arg)
{
    struct flow *flow = arg;

    flow->fn(flow->times);
    running--;
    flow->next = free_flows;
    free_flows = flow;
    return scheduler.sp;
}

static inline void start(void (*fn)(long times), long times)
{
    static size_t colour;
    struct flow *flow = free_flows;

    if (flow) {
        free_flows = flow->next;
    } else {
        char *low = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        bench_check(low != MAP_FAILED, "mmap");
        /* Not all at the same place of their page: they would compete for the same cache sets. */
        flow = (struct flow *)(void *)(low + STACK - 64 - colour++ % 16 * 64);
    }
    flow->fn = fn;
    flow->times = times;
    flow->sp = jg__context_frame((char *)flow - STACK / 2, STACK / 2, begin, flow);
    append(flow);
    running++;
}

/* The one that waits yields until all are done: at most once more than it has to. */
static inline void lib_spawn(long n, void (*fn)(long times), long times)
{
    long before = running;

    for (long i = 0; i < n; i++)
        start(fn, times);
    while (running > before)
        lib_yield();
}

struct step {
    struct step *next;
    long (*fn)(struct step *step, long *counter);
};

static long count_step(struct step *step, long *counter)
{
    (void)step;
    ++*counter;
    return 0;
}

static inline void lib_step(long n, long *counter)
{
    static struct step *steps;
    struct step *begin_of_list = NULL, **end_of_list = &begin_of_list;

    if (!steps)
        steps = bench_alloc((size_t)n, sizeof *steps);
    for (long i = 0; i < n; i++) {
        steps[i] = (struct step){.fn = count_step};
        *end_of_list = &steps[i];
        end_of_list = &steps[i].next;
    }
    for (struct step *step = begin_of_list; step; step = step->next)
        step->fn(step, counter);
    lib_yield();
}

static void run_main(long times)
{
    (void)times;
    main_fn(main_n, main_count);
}

static void poll_once(void)
{
    struct epoll_event events[16];

    bench_check(epoll_wait(poller, events, 16, 0) == 0, "epoll_wait");
}

static void lib_run(void (*fn)(long n, long count), long n, long count)
{
    main_fn = fn;
    main_n = n;
    main_count = count;
    polls = !is_variant("nopoll");
    poller = epoll_create1(EPOLL_CLOEXEC);
    bench_check(poller >= 0, "epoll_create1");

    start(run_main, 0);
    while (first) {
        struct flow *flow = first;

        /* A turn: those that are ready now. */
        first = NULL;
        last = &first;
        if (polls)
            poll_once();
        while (flow) {
            struct flow *next = flow->next;

            current = flow;
            jg__context_swap(&scheduler.sp, flow->sp);
            flow = next;
        }
    }
}
