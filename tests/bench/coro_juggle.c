/* SPDX-License-Identifier: MIT
 *
 * The benchmarks of coroutines on juggle. A descriptor that stays quiet is watched, as in real
 * programs: so each turn asks the kernel for news. In the variant "nopoll" there is none.
 */
#include <juggle.h>

#include <sys/eventfd.h>

#define BENCH_LIB "juggle"
typedef jg_queue lib_baton;
#include "coro_benches.h"

struct main_call {
    void (*fn)(long n, long count);
    long n, count;
};

static void on_news(void *arg, int events)
{
    (void)arg;
    (void)events;
    bench_check(false, "nothing happens");
}

static int main_coroutine(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    struct main_call *call = arg;
    jg_watcher quiet;

    jg_watcher_init(&quiet, on_news, NULL);
    if (strcmp(bench_variant, "nopoll") != 0)
        bench_check(jg_watcher_start(loop, &quiet, eventfd(0, EFD_CLOEXEC), JG_READ) == 0,
                    "jg_watcher_start");
    call->fn(call->n, call->count);
    jg_watcher_stop(&quiet);
    return 0;
}

static void lib_run(void (*fn)(long n, long count), long n, long count)
{
    struct main_call call = {fn, n, count};

    bench_check(jg_run(main_coroutine, &call, NULL) == 0, "jg_run");
}

static inline void lib_yield(void)
{
    bench_check(jg_sleep(0) == 0, "jg_sleep");
}

static inline void lib_baton_init(lib_baton *baton)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = 1, .reserve = 1};

    jg_queue_fini(baton); /* of the last time; none is zeroed memory */
    bench_check(jg_queue_init(baton, jg_task_loop(jg_task_current()), &options) == 0,
                "jg_queue_init");
}

static inline void lib_give(lib_baton *baton)
{
    const int item = 1;

    bench_check(jg_queue_put(baton, &item) == 0, "jg_queue_put");
}

static inline void lib_take(lib_baton *baton)
{
    int item;

    bench_check(jg_queue_get(baton, &item) == 0, "jg_queue_get");
}

struct body {
    void (*fn)(long times);
    long times;
};

static int run_body(void *arg)
{
    const struct body *body = arg;

    body->fn(body->times);
    return 0;
}

static inline void lib_spawn(long n, void (*fn)(long times), long times)
{
    struct body body = {fn, times};
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    for (long i = 0; i < n; i++)
        bench_check(jg_spawn(&scope, run_body, &body, NULL) == 0, "jg_spawn");
    bench_check(jg_scope_leave(&scope, 0) == 0, "jg_scope_leave");
}

static int step(jg_task *task, void *arg, int status)
{
    (void)task;
    ++*(long *)arg;
    return status;
}

static inline void lib_step(long n, long *counter)
{
    static jg_task *tasks;
    jg_scope scope;

    if (!tasks)
        tasks = bench_alloc((size_t)n, sizeof *tasks);
    jg_scope_enter(&scope, NULL);
    for (long i = 0; i < n; i++) {
        jg_task_init(&tasks[i], NULL, step, counter);
        bench_check(jg_task_spawn(&scope, &tasks[i], NULL) == 0, "jg_task_spawn");
    }
    bench_check(jg_scope_leave(&scope, 0) == 0, "jg_scope_leave");
}
