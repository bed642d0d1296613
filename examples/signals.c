/* SPDX-License-Identifier: MIT
 *
 * Signals and the end of a child process, as callbacks that may do anything.
 */
#include "common.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct watched {
    int signo;
    const char *name;
    jg_signal signal;
} watched[] = {
    {.signo = SIGUSR1, .name = "SIGUSR1"},
    {.signo = SIGHUP, .name = "SIGHUP"},
    {.signo = SIGINT, .name = "SIGINT"},
    {.signo = SIGTERM, .name = "SIGTERM"},
};

enum { WATCHED = sizeof watched / sizeof watched[0] };

static void on_signal(void *arg, int signo)
{
    struct watched *it = arg;

    printf("got %s\n", it->name);
    if (signo == SIGINT || signo == SIGTERM)
        for (int i = 0; i < WATCHED; i++)
            jg_signal_stop(&watched[i].signal);
}

static void on_child(void *arg, int status)
{
    (void)arg;
    if (status >= 0 && WIFEXITED(status))
        printf("the child ended with status %d\n", WEXITSTATUS(status));
    else
        printf("the child ended otherwise\n");
}

int main(void)
{
    char *command[] = {"sh", "-c", "exit 3", NULL};
    jg_child child;
    jg_loop *loop;
    pid_t pid;

    setvbuf(stdout, NULL, _IOLBF, 0);
    check(jg_loop_new(NULL, &loop), "loop");
    for (int i = 0; i < WATCHED; i++) {
        jg_signal_init(&watched[i].signal, on_signal, &watched[i]);
        check(jg_signal_start(loop, &watched[i].signal, watched[i].signo), watched[i].name);
    }
    check(-posix_spawnp(&pid, command[0], NULL, NULL, command, environ), command[0]);
    jg_child_init(&child, on_child, NULL);
    check(jg_child_start(loop, &child, (int)pid), "child");

    printf("process %d waits for SIGUSR1 and SIGHUP; SIGINT and SIGTERM end it\n", (int)getpid());
    check(jg_loop_run(loop), "loop");
    return jg_loop_free(loop);
}
