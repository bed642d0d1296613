/* SPDX-License-Identifier: MIT
 *
 * Tasktree: a program that shows what its tasks are doing, while they do it.
 *
 *     tasktree [SECONDS]
 *
 * It works for so long, or for 60 ms. SIGQUIT, which is Ctrl-\ in a terminal, shows the tree at any
 * time. Linked with -rdynamic, and with functions that are not static, the tree has their names.
 */
#include "common.h"

#include <signal.h>

static int nap(void *arg)
{
    return jg_sleep(*(const jg_time *)arg);
}

static int work(void *arg)
{
    const jg_time naps[] = {30 * JG_MILLISECOND, *(const jg_time *)arg};
    const jg_spawn_options names[] = {{.name = "short nap"}, {.name = "long nap"}};
    jg_scope scope;
    int r = 0;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "work", .timeout = 60 * JG_SECOND});
    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_spawn(&scope, nap, (void *)(uintptr_t)&naps[i], &names[i]);
    return jg_scope_leave(&scope, r);
}

static void print_line(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

/* Show the whole tree three times. */
static int show(void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; i < 3 && r == 0; i++) {
        r = jg_sleep(20 * JG_MILLISECOND);
        printf("-- after %d ms\n", (i + 1) * 20);
        jg_scope_describe(jg_task_root(jg_task_current()), print_line, NULL);
        fflush(stdout);
    }
    return r;
}

static int demonstrate(void *arg)
{
    const jg_spawn_options worker = {.name = "worker"}, observer = {.name = "observer"};
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "demonstration"});
    r = jg_spawn(&scope, work, arg, &worker);
    if (r == 0)
        r = jg_spawn(&scope, show, NULL, &observer);
    return jg_scope_leave(&scope, r);
}

int main(int argc, char **argv)
{
    jg_time span = argc > 1 ? atoi(argv[1]) * JG_SECOND : 60 * JG_MILLISECOND;
    const jg_run_options options = {.dump_signal = SIGQUIT};

    return check(jg_run(demonstrate, &span, &options), "tasktree");
}
