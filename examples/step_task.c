/* SPDX-License-Identifier: MIT
 *
 * Step tasks: the same structure without stacks, for those who count bytes.
 */
#include "common.h"

struct countdown {
    jg_task task;
    jg_sleeper sleeper;
    const char *name;
    int left;
};

/* One step: called at first, and each time the sleep ends. Locals do not live from step to step. */
static int step(jg_task *task, void *arg, int status)
{
    struct countdown *countdown = arg;
    int r;

    if (status < 0)
        return status;
    printf("%s %d\n", countdown->name, countdown->left);
    if (countdown->left-- == 0)
        return 0;

    r = jg_sleep_start(&countdown->sleeper, 10 * JG_MILLISECOND, jg_task_op(task));
    return r < 0 ? r : JG_PENDING;
}

static void on_left(void *arg)
{
    printf("all done: %s\n", jg_strerror(jg_op_status(arg)));
}

int main(void)
{
    struct countdown a = {.name = "a", .left = 3}, b = {.name = "b", .left = 2};
    jg_scope scope;
    jg_loop *loop;
    jg_op left;

    check(jg_loop_new(NULL, &loop), "loop");
    jg_scope_open(&scope, loop, NULL, NULL);
    jg_task_init(&a.task, a.name, step, &a);
    jg_task_init(&b.task, b.name, step, &b);
    check(jg_task_spawn(&scope, &a.task, NULL), "a");
    check(jg_task_spawn(&scope, &b.task, NULL), "b");

    jg_op_init(&left, loop, on_left, &left);
    jg_scope_close(&scope, 0, &left);
    check(jg_loop_run(loop), "loop");
    printf("%zu bytes a task\n", sizeof(jg_task));
    return jg_loop_free(loop);
}
