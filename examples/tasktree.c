/* SPDX-License-Identifier: MIT
 *
 * Tasktree: a program that shows what its tasks are doing, while they do it.
 */
#include "common.h"

static int nap(void *arg)
{
    return jg_sleep(*(const jg_time *)arg);
}

static int work(void *arg)
{
    const jg_time naps[] = {30 * JG_MILLISECOND, 60 * JG_MILLISECOND};
    const jg_spawn_options names[] = {{.name = "short nap"}, {.name = "long nap"}};
    jg_scope scope;
    int r = 0;

    (void)arg;
    jg_scope_enter(&scope, &(jg_scope_options){.name = "work", .timeout = JG_SECOND});
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_spawn(&scope, nap, (void *)(uintptr_t)&naps[i], &names[i]);
    return jg_scope_leave(&scope, r);
}

static void print_line(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

/* Show the whole tree three times; a program may as well do so when a signal asks for it. */
static int show(void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; i < 3 && r == 0; i++) {
        r = jg_sleep(20 * JG_MILLISECOND);
        printf("-- after %d ms\n", (i + 1) * 20);
        jg_scope_describe(jg_task_root(jg_task_current()), print_line, NULL);
    }
    return r;
}

static int demonstrate(void *arg)
{
    const jg_spawn_options worker = {.name = "worker"}, observer = {.name = "observer"};
    jg_scope scope;
    int r;

    (void)arg;
    jg_scope_enter(&scope, &(jg_scope_options){.name = "demonstration"});
    r = jg_spawn(&scope, work, NULL, &worker);
    if (r == 0)
        r = jg_spawn(&scope, show, NULL, &observer);
    return jg_scope_leave(&scope, r);
}

int main(void)
{
    return check(jg_run(demonstrate, NULL, NULL), "tasktree");
}
