/* SPDX-License-Identifier: MIT
 *
 * What the test of the commands for gdb looks at: coroutines suspended several calls deep, in
 * scopes inside one another, a task made of steps, and a second loop in another thread. When all
 * wait, it stops in look_here(), and then aborts.
 */
#define _POSIX_C_SOURCE 200809L

#include <juggle.h>

#include <pthread.h>
#include <stdlib.h>

/* Not inlined, and no last call becomes a jump: the names are to be seen in the backtrace. */
#define FRAME __attribute__((noinline))
static volatile int zero;

static FRAME int innermost(jg_future *future, long depth)
{
    return jg_future_wait(future) + (int)depth * zero;
}

static FRAME int recurse(jg_future *future, long depth)
{
    int r = depth > 0 ? recurse(future, depth - 1) : innermost(future, depth);

    return r + zero;
}

static int wait_deep(void *arg)
{
    return recurse(arg, 3) + zero;
}

static int sleep_long(void *arg)
{
    (void)arg;
    return jg_sleep(1000 * JG_SECOND) + zero;
}

static int step(jg_task *task, void *arg, int status)
{
    static jg_sleeper sleeper;

    (void)arg;
    if (jg_op_status(jg_task_op(task)) < 0)
        return status;
    jg_sleep_start(&sleeper, 1000 * JG_SECOND, jg_task_op(task));
    return JG_PENDING;
}

static FRAME void look_here(void)
{
    __asm__ volatile("" : : : "memory");
}

static pthread_barrier_t barrier;

static int main_coroutine(void *arg)
{
    const jg_spawn_options deep = {.name = "deep"}, sleeper = {.name = "sleeper"};
    jg_scope outer, inner;
    jg_future future;
    jg_task steps;

    (void)arg;
    jg_future_init(&future);
    jg_scope_enter(&outer, &(jg_scope_options){.name = "outer"});
    jg_spawn(&outer, wait_deep, &future, &deep);
    jg_scope_enter(&inner, &(jg_scope_options){.name = "inner", .timeout = 100 * JG_SECOND});
    jg_spawn(&inner, sleep_long, NULL, &sleeper);
    jg_task_init(&steps, "steps", step, NULL);
    jg_task_spawn(&inner, &steps, NULL);

    jg_sleep(10 * JG_MILLISECOND);
    pthread_barrier_wait(&barrier);
    look_here();
    abort();
}

static int block_thread(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    return jg_sleep(1000 * JG_SECOND) + zero;
}

static int in_thread(void *arg)
{
    jg_job jobs[] = {{block_thread, NULL, 0}};

    (void)arg;
    return jg_gather(jobs, 1, JG_FAIL_FAST);
}

static void *run_thread(void *arg)
{
    jg_run(in_thread, arg, &(jg_run_options){.no_signals = true});
    return NULL;
}

int main(void)
{
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, run_thread, NULL) != 0)
        return 1;
    return jg_run(main_coroutine, NULL, NULL) < 0;
}
