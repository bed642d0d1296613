/* SPDX-License-Identifier: MIT
 *
 * Processes, with calls of ours that fail, and calls of the child before it is another program.
 */
#include "faults.h"

#include "platform/sanitizer.h"
#include "support.h"

#include <juggle.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs get what they are given, and give it back. */
static int run_cat(void *arg)
{
    static const char *const argv[] = {"cat", NULL};
    static char text[20000];
    const jg_process_options options = {
        .input = JG_PROCESS_PIPE, .output = JG_PROCESS_PIPE, .errors = JG_PROCESS_PIPE};
    jg_process_result result;
    int r;

    (void)arg;
    memset(text, 'x', sizeof(text));
    r = jg_process_run(argv, &options, text, sizeof(text), &result);
    if (r == 0 && (result.output.size != sizeof(text) || result.errors.size != 0))
        r = JG_EINCOMPLETE;
    jg_process_result_fini(&result);
    return r;
}

/* One that ends by itself. */
static int run_shell(void *arg)
{
    static const char *const argv[] = {"/bin/sh", "-c", "test $PWD = / && exit 3", NULL};
    const jg_process_options options = {.directory = "/",
                                        .input = JG_PROCESS_NULL,
                                        .output = JG_PROCESS_FD,
                                        .output_fd = 2,
                                        .errors = JG_PROCESS_STDOUT,
                                        .flags = JG_PROCESS_GROUP};
    jg_process process;
    int r = jg_process_spawn(&process, fault_loop(), argv, &options);

    (void)arg;
    if (r < 0)
        return r;
    r = jg_process_wait(&process);
    jg_process_close(&process);
    return r == 3 << 8 ? 0 : r;
}

/* One that is told to end, and one that is killed. */
static int run_and_end(void *arg)
{
    static const char *const argv[] = {"cat", NULL};
    const jg_process_options options = {.input = JG_PROCESS_PIPE, .flags = JG_PROCESS_SESSION};
    jg_process process;
    int r = 0;

    (void)arg;
    for (int i = 0; i < 2 && r == 0; i++) {
        r = jg_process_spawn(&process, fault_loop(), argv, &options);
        if (r < 0)
            return r;
        if (i == 0)
            r = jg_process_terminate(&process);
        if (i == 0 && r == 0)
            r = jg_process_wait(&process);
        if (r == SIGTERM)
            r = 0;
        jg_process_close(&process);
    }
    return r;
}

/* One that could not be killed ends by itself, as its input does. */
static void no_child_is_left(void *arg)
{
    const bool *may_be_left = arg;

    while (*may_be_left && waitpid(-1, NULL, 0) > 0)
        ;
    test_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* The last one is made after a fork, for a loop that may live there. */
#define IN_CHILD " close pthread_mutex_init "

/* A process does not want its input. */
static const int unread[] = {JG_EINCOMPLETE, 0};

static void try_all(void **state)
{
    static bool no = false, yes = true;
    struct fault_scenario table[] = {
        {"cat", run_cat, &no, .unheard = " close kill "},
        {"cat, in the child", run_cat, &no, .unheard = IN_CHILD, .in_child = true},
        {"shell", run_shell, &no, .unheard = " close kill "},
        {"shell, in the child", run_shell, &no, .unheard = IN_CHILD, .in_child = true},
        {"cat, in bad times", run_cat, &no, .unheard = " close kill ", .times = 20},
        {"low descriptors", run_cat, &no, .unheard = " close kill ", .low = true},
        {"low descriptors, in the child", run_cat, &no, .unheard = IN_CHILD, .low = true,
         .in_child = true},
        {"end", run_and_end, &yes, .unheard = " close kill "},
        {"end, in the child", run_and_end, &yes, .unheard = IN_CHILD, .in_child = true},
    };

    (void)state;
    if (JG__TSAN)
        skip(); /* without a process descriptor it is SIGCHLD, which it may keep for ever */
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        table[i].consequences = unread;
        table[i].after = no_child_is_left;
    }
    assert_true(fault_each(table, sizeof(table) / sizeof(table[0])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_processes", tests, NULL, NULL);
}
