/* SPDX-License-Identifier: MIT
 *
 * tasks coroutines|steps|guards COUNT: what tasks cost that only wait.
 *
 * coroutines  bytes of resident memory for each coroutine that sleeps; all have their guards
 * steps       the same for tasks made of steps, their own memory included
 * guards      how many stacks have a guard where each takes two mappings of the process, as before
 *             Linux 6.13; all can be used
 *
 * Prints a line bench=… and ends with 1 if it is more than promised.
 */
#include "idle.h"

#include "base/alloc.h"
#include "platform/stack.h"

#include <string.h>

static long guarded;
static long ended;

static int sleep_long(void *arg)
{
    /* The control block lies above the stack. What the pool knows has a line, then comes the task. */
    const char *task = (const char *)jg_task_current();
    const jg__stack *stack = (const jg__stack *)(const void *)(task - JG__CACHELINE);

    check(stack->taken && stack->low < (char *)&stack, "this is no stack");
    guarded += stack->guarded;
    ended += jg_sleep(*(jg_time *)arg) == 0;
    return 0;
}

static int measure_coroutines(void *arg)
{
    jg_time span = JG_SECOND;
    jg_scope scope;
    long before;

    (void)arg;
    before = resident();
    jg_scope_enter(&scope, NULL);
    for (long i = 0; i < count; i++)
        check(jg_spawn(&scope, sleep_long, &span, NULL) == 0, "a coroutine cannot be spawned");
    jg_sleep(span / 2);
    report("coroutines", (double)(resident() - before) / (double)count, "bytes");
    check(resident() - before <= count * COROUTINE_BYTES, "that is too much");
    check(ended == 0, "they should sleep");
    check(guarded == count, "some stacks have no guard");
    return jg_scope_leave(&scope, 0);
}

struct sleeping {
    jg_task task;
    jg_sleeper sleeper;
};

static int step(jg_task *task, void *arg, int status)
{
    struct sleeping *sleeping = arg;
    int r;

    if (sleeping->sleeper.op) {
        ended++;
        return status;
    }
    r = jg_sleep_start(&sleeping->sleeper, JG_SECOND, jg_task_op(task));
    return r < 0 ? r : JG_PENDING;
}

static int measure_steps(void *arg)
{
    struct sleeping *all;
    jg_scope scope;
    long before;
    int r;

    (void)arg;
    before = resident();
    all = calloc((size_t)count, sizeof(*all));
    check(all != NULL, "no memory");
    jg_scope_enter(&scope, NULL);
    for (long i = 0; i < count; i++) {
        jg_task_init(&all[i].task, NULL, step, &all[i]);
        check(jg_task_spawn(&scope, &all[i].task, NULL) == 0, "a task cannot be spawned");
    }
    jg_sleep(JG_SECOND / 2);
    report("steps", (double)(resident() - before) / (double)count, "bytes");
    check(resident() - before <= count * STEP_BYTES, "that is too much");
    check(ended == 0, "they should sleep");
    r = jg_scope_leave(&scope, 0);
    free(all);
    return r;
}

static void measure_guards(void)
{
    jg__stacks stacks;
    jg__stack *stack;

    jg__stacks_init(&stacks, &jg__malloc, sizeof(jg__stack));
    stacks.heavy_guards = true;
    for (long i = 0; i < count; i++) {
        check(jg__stack_take(&stacks, 0, &stack) == 0, "a stack cannot be had");
        memset((char *)stack - 64, 1, 64);
        guarded += stack->guarded;
    }
    report("guards", (double)guarded, "guards");
    check((long)stacks.unguarded == count - guarded, "the others are not counted");
    jg__stacks_fini(&stacks);
}

int main(int argc, char **argv)
{
    /* The virtual clock spares the waiting. */
    const jg_loop_options loop = {.flags = JG_LOOP_VIRTUAL_TIME};
    const jg_run_options options = {.loop = &loop};

    check(argc == 3, "usage: tasks coroutines|steps|guards COUNT");
    count = atol(argv[2]);
    if (strcmp(argv[1], "guards") == 0) {
        measure_guards();
        return 0;
    }
    check(jg_run(strcmp(argv[1], "steps") == 0 ? measure_steps : measure_coroutines, NULL,
                 &options) == 0,
          "jg_run failed");
    check(ended == count, "all should have ended");
    return 0;
}
