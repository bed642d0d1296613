/* SPDX-License-Identifier: MIT
 *
 * Run commands: shell commands side by side, a few at a time, each line of what they print with the
 * number of its command.
 *
 *     run_commands [-j K] [COMMAND...]
 *
 * Without commands they are the lines of the standard input. At most K run at a time, 4 if it is not
 * said. Ctrl-C terminates those that run, kills what has not ended two seconds later, and ends.
 */
#include "common.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST = 4096 };

static const jg_time GRACE = 2 * JG_SECOND;

struct command {
    int number;
    char text[LONGEST];
};

struct board {
    int at_a_time;
    char **commands; /* NULL: they are read */
    jg_queue queue;
    jg_stream output;
    int failed;
};

/* ------------------------------------------------------------- a command */

/* Print a line, which may lack its end. */
static int print_line(struct board *board, int number, const char *text, size_t size)
{
    char prefix[16];
    const bool ended = size > 0 && text[size - 1] == '\n';
    const struct iovec pieces[] = {
        {prefix, (size_t)snprintf(prefix, sizeof prefix, "%d: ", number)},
        {(char *)text, size},
        {(char *)"\n", ended ? 0 : 1},
    };
    int r = jg_stream_writev(&board->output, pieces, 3);

    return r < 0 ? r : jg_stream_drain(&board->output);
}

static int print_lines(struct board *board, int number, jg_stream *from)
{
    char line[LONGEST];
    int r;

    do {
        r = jg_stream_read_line(from, line, sizeof line);
        if (r == -EMSGSIZE) /* too long a line goes out in parts */
            r = jg_stream_read(from, line, sizeof line);
        if (r > 0 && print_line(board, number, line, (size_t)r) < 0)
            r = -EPIPE;
    } while (r > 0);
    return r;
}

static int wait_for_end(void *process)
{
    return jg_process_wait(process);
}

static int terminate(void *process)
{
    (void)jg_process_terminate(process); /* it may have ended */
    return jg_wait_for(wait_for_end, process, GRACE);
}

static void tell(const struct command *command, int status)
{
    if (status < 0)
        fprintf(stderr, "%d: %s\n", command->number, jg_strerror(status));
    else if (WIFSIGNALED(status))
        fprintf(stderr, "%d: ended by signal %d\n", command->number, WTERMSIG(status));
    else if (status != 0)
        fprintf(stderr, "%d: exit status %d\n", command->number, WEXITSTATUS(status));
}

static int run_command(struct board *board, const struct command *command)
{
    const char *const argv[] = {"/bin/sh", "-c", command->text, NULL};
    const jg_process_options options = {
        .input = JG_PROCESS_NULL,
        .output = JG_PROCESS_PIPE,
        .errors = JG_PROCESS_STDOUT,
        .flags = JG_PROCESS_GROUP, /* a signal reaches what the shell has started, too */
    };
    jg_process process;
    int status = jg_process_spawn(&process, jg_task_loop(jg_task_current()), argv, &options);
    int r = 0;

    if (status == 0) {
        r = print_lines(board, command->number, &process.output);
        status = r < 0 ? r : jg_process_wait(&process);
        if (status < 0)
            (void)jg_shield(terminate, &process);
        jg_process_close(&process); /* which kills it, if it is still there */
    }
    board->failed += status != 0;
    if (r == 0 && status != -ECANCELED)
        tell(command, status);
    return r;
}

static int work(void *arg)
{
    struct board *board = arg;
    struct command command;
    int r = 0;

    while (r == 0 && (r = jg_queue_get(&board->queue, &command)) == 0)
        r = run_command(board, &command);
    return r == JG_ESHUTDOWN ? 0 : r;
}

/* ------------------------------------------------------------- all of them */

static int put_arguments(struct board *board, struct command *command)
{
    int r = 0;

    for (char **text = board->commands; *text && r == 0; text++) {
        command->number++;
        if (strlen(*text) >= LONGEST)
            return -E2BIG;
        strcpy(command->text, *text);
        r = jg_queue_put(&board->queue, command);
    }
    return r;
}

static int put_lines(struct board *board, struct command *command)
{
    jg_stream input;
    int r = jg_stream_open_shared(&input, jg_task_loop(jg_task_current()), 0, NULL);

    while (r >= 0 && (r = jg_stream_read_line(&input, command->text, LONGEST)) > 0) {
        command->number++;
        r = jg_queue_put(&board->queue, command);
    }
    jg_stream_abort(&input);
    return r;
}

static int put_commands(void *arg)
{
    struct board *board = arg;
    struct command command = {.number = 0};
    int r = board->commands ? put_arguments(board, &command) : put_lines(board, &command);

    (void)jg_queue_shutdown(&board->queue, false);
    return r;
}

static int run_all(void *arg)
{
    const jg_queue_options options = {.item_size = sizeof(struct command), .limit = 1};
    struct board *board = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_job *jobs = calloc((size_t)board->at_a_time + 1, sizeof *jobs);
    int r = jobs ? jg_queue_init(&board->queue, loop, &options) : -ENOMEM;

    if (r < 0)
        goto out;

    r = jg_stream_open_shared(&board->output, loop, 1, NULL);
    if (r == 0) {
        jobs[0] = (jg_job){.fn = put_commands, .arg = board};
        for (int i = 1; i <= board->at_a_time; i++)
            jobs[i] = (jg_job){.fn = work, .arg = board};
        r = jg_gather(jobs, (size_t)board->at_a_time + 1, JG_FAIL_FAST);
        if (r == 0)
            r = jg_stream_close(&board->output, JG_FOREVER);
        jg_stream_abort(&board->output);
    }
    (void)jg_queue_fini(&board->queue);
out:
    free(jobs);
    return r;
}

int main(int argc, char **argv)
{
    struct board board = {.at_a_time = 4};
    int option, r;

    while ((option = getopt(argc, argv, "j:")) == 'j')
        board.at_a_time = atoi(optarg);
    if (option != -1 || board.at_a_time < 1 || board.at_a_time > 10000) {
        fprintf(stderr, "usage: run_commands [-j K] [COMMAND...]\n");
        return 2;
    }
    if (optind < argc)
        board.commands = argv + optind;
    r = jg_run(run_all, &board, NULL);
    if (r == -ECANCELED)
        return 130; /* as a shell says of what Ctrl-C has ended */
    return check(r, "run_commands") > 0 || board.failed > 0;
}
