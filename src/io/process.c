/* SPDX-License-Identifier: MIT
 *
 * Processes: spawned, waited for, signalled and closed.
 *
 * What the loop waits on is a record of ours, since it outlives the jg_process of one that is
 * closed before it has ended: it is then killed, and the record stays until it is reaped, at the
 * latest in jg_loop_free. While there is a record the process is not reaped, and its number its own.
 */
#include <juggle/process.h>

#include "io/stream.h"
#include "platform/descriptor.h"
#include "platform/reap.h"
#include "platform/socket.h"
#include "platform/spawn.h"

#include <errno.h>

#define LIMIT ((size_t)16 << 20)

struct jg__process {
    jg_child child;
    jg_link link;
    jg_process *process; /* NULL: it was closed */
    jg_loop *loop;
    int pid;
    bool group;   /* leads one */
    bool retains; /* SIGCHLD */
    bool lost;    /* it is a child of the process that forked this one */
};

/* What runs on a loop. */
struct processes {
    jg__part part;
    jg_loop *loop;
    jg_link list;
};

/* ------------------------------------------------------------- records */

static void free_record(struct jg__process *record)
{
    if (record->retains)
        jg__signal_release(JG__SIGNAL_CHILD);
    jg_child_stop(&record->child);
    jg__unlink(&record->link);
    jg__free(&record->loop->allocator, record, sizeof(*record));
}

static bool is_lost(const struct jg__process *record)
{
    return record->lost || jg__loop_forked(record->loop);
}

/* Returns 0, also if it has just ended, or an error: it may be another user's by now. */
static int kill_record(const struct jg__process *record)
{
    if (is_lost(record))
        return JG_EFORKED;
    return jg__child_signal(&record->child, record->group, JG__SIGNAL_KILL);
}

static int close_all(jg__part *part)
{
    struct processes *processes = (struct processes *)part;
    int leaked = 0;

    while (!jg__list_empty(&processes->list)) {
        struct jg__process *record =
            jg__container_of(processes->list.next, struct jg__process, link);

        if (record->process) {
            jg__loop_error(processes->loop, JG_ELEAKED, "a process was not closed");
            leaked++;
            record->process->running = NULL;
        }
        if (kill_record(record) == 0)
            jg__process_join(record->pid);
        free_record(record);
    }
    return leaked;
}

static void free_all(jg__part *part)
{
    struct processes *processes = (struct processes *)part;

    jg__free(&processes->loop->allocator, processes, sizeof(*processes));
}

static void disown_all(jg__part *part)
{
    struct processes *processes = (struct processes *)part;

    for (jg_link *link = processes->list.next; link != &processes->list; link = link->next)
        jg__container_of(link, struct jg__process, link)->lost = true;
}

static int reserve_processes(jg_loop *loop)
{
    struct processes *processes;

    if (loop->parts[JG__PART_PROCESSES])
        return 0;

    processes = jg__alloc(&loop->allocator, sizeof(*processes));
    if (!processes)
        return -ENOMEM;

    *processes = (struct processes){
        .part = {.close = close_all, .free = free_all, .forked = disown_all},
        .loop = loop,
    };
    jg__list_init(&processes->list);
    loop->parts[JG__PART_PROCESSES] = &processes->part;
    return 0;
}

static void on_end(void *arg, int status)
{
    struct jg__process *record = arg;
    jg_process *process = record->process;

    free_record(record);
    if (!process)
        return;

    process->running = NULL;
    process->ended = true;
    process->status = status;
    jg__waiters_complete(&process->waiters, status);
}

/* A record for a process that has yet to be started. */
static int new_record(jg_process *process, jg_loop *loop, struct jg__process **ret_record)
{
    struct jg__process *record;
    struct processes *processes;
    int r = reserve_processes(loop);

    if (r < 0)
        return r;
    record = jg__alloc(&loop->allocator, sizeof(*record));
    if (!record)
        return -ENOMEM;

    processes = (struct processes *)loop->parts[JG__PART_PROCESSES];
    *record = (struct jg__process){.process = process, .loop = loop};
    jg_child_init(&record->child, on_end, record);
    record->retains = jg__signal_retain_children();
    jg__list_append(&processes->list, &record->link);
    *ret_record = record;
    return 0;
}

/* ------------------------------------------------------------- spawning */

/* What a process gets for its descriptors, and which of them are to be closed here. */
struct stdio {
    int fds[3];
    int ours[3];
};

/* A pipe between a stream and the process. */
static int make_pipe(jg_process *process, jg_stream *stream, bool input, int *ret_fd)
{
    int ends[2];
    int r = jg__pipe_open(ends);

    if (r < 0)
        return r;

    (void)jg__file_set_blocking(ends[input], false); /* a fresh pipe: that works */
    r = jg__stream_open_fd(stream, process->loop, ends[input], &jg__file_transport, NULL);
    if (r < 0) {
        jg__fd_close(ends[0]);
        jg__fd_close(ends[1]);
        return r;
    }
    *ret_fd = ends[!input];
    return 0;
}

static int redirect(jg_process *process, struct stdio *io, int i, jg_process_stdio kind, int fd)
{
    jg_stream *const streams[3] = {&process->input, &process->output, &process->errors};
    int r = 0;

    switch (kind) {
    case JG_PROCESS_INHERIT:
        io->fds[i] = i;
        return 0;
    case JG_PROCESS_FD:
        io->fds[i] = fd;
        return jg__fd_check(fd);
    case JG_PROCESS_STDOUT:
        io->fds[i] = io->fds[1];
        return i == 2 ? 0 : -EINVAL;
    case JG_PROCESS_NULL:
        r = io->ours[i] = jg__null_open();
        break;
    case JG_PROCESS_PIPE:
        r = make_pipe(process, streams[i], i == 0, &io->ours[i]);
        break;
    default:
        return -EINVAL;
    }
    io->fds[i] = io->ours[i];
    return r;
}

static void abort_streams(jg_process *process)
{
    jg_stream_abort(&process->input);
    jg_stream_abort(&process->output);
    jg_stream_abort(&process->errors);
}

/* Start it and have the loop wait for it. */
static int start(struct jg__process *record, const jg__spawn *spawn)
{
    int r, pid = jg__spawn_run(spawn);

    if (pid < 0)
        return pid;

    r = jg_child_start(record->loop, &record->child, pid);
    if (r < 0) {
        (void)jg__process_signal(pid, -1, spawn->group, JG__SIGNAL_KILL); /* it may be gone */
        jg__process_join(pid);
        return r;
    }
    record->pid = pid;
    record->group = spawn->group;
    return 0;
}

/* Redirect and start what has a record. */
static int spawn(jg_process *process, struct jg__process *record, const char *const argv[],
                 const jg_process_options *options)
{
    const bool session = options->flags & JG_PROCESS_SESSION;
    struct stdio io = {.ours = {-1, -1, -1}};
    int r = redirect(process, &io, 0, options->input, options->input_fd);

    if (r >= 0)
        r = redirect(process, &io, 1, options->output, options->output_fd);
    if (r >= 0)
        r = redirect(process, &io, 2, options->errors, options->errors_fd);
    if (r >= 0) {
        const jg__spawn program = {
            .file = options->file ? options->file : argv[0],
            .argv = argv,
            .environment = options->environment,
            .directory = options->directory,
            .fds = {io.fds[0], io.fds[1], io.fds[2]},
            .group = session || options->flags & JG_PROCESS_GROUP,
            .session = session,
        };

        r = start(record, &program);
    }
    for (int i = 0; i < 3; i++)
        jg__fd_close(io.ours[i]);
    return r;
}

int jg_process_spawn(jg_process *process, jg_loop *loop, const char *const argv[],
                     const jg_process_options *options)
{
    static const jg_process_options defaults = {0};
    struct jg__process *record;
    int r;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    *process = (jg_process){.loop = loop};
    if (jg__loop_forked(loop))
        return JG_EFORKED;
    if (!argv[0] || options->flags & ~(unsigned)(JG_PROCESS_GROUP | JG_PROCESS_SESSION))
        return -EINVAL;

    r = new_record(process, loop, &record);
    if (r < 0)
        return r;

    r = spawn(process, record, argv, options);
    if (r < 0) {
        abort_streams(process);
        free_record(record);
        return r;
    }
    process->running = record;
    process->pid = record->pid;
    process->limit = options->limit ? options->limit : LIMIT;
    return 0;
}

/* ------------------------------------------------------------- a process */

void jg_process_close(jg_process *process)
{
    struct jg__process *record = process->running;

    abort_streams(process);
    if (!record)
        return;

    jg__check_thread(process->loop);
    (void)kill_record(record); /* else it ends when it likes */
    record->process = NULL;
    jg_handle_unref(&record->child.handle);
    record->child.handle.flags |= JG__HIDDEN;
    process->running = NULL;
    jg__waiters_complete(&process->waiters, -ECONNABORTED);
}

int jg_process_wait_start(jg_process *process, jg_op *op)
{
    static const jg_provider provider = {"process", jg__op_cancel_listed};
    int r;

    if (!process->running && !process->ended)
        return -ECHILD;

    r = jg_op_start(op, &provider, process);
    if (r < 0)
        return r;

    if (process->ended)
        jg_op_complete(op, process->status);
    else
        jg__waiters_append(&process->waiters, op);
    return 0;
}

int jg_process_wait(jg_process *process)
{
    return jg__await_started(jg_process_wait_start(process, jg__coro_op()));
}

int jg_process_send_signal(jg_process *process, int signo)
{
    struct jg__process *record = process->running;

    if (!record)
        return -ESRCH;

    jg__check_thread(process->loop);
    if (is_lost(record))
        return JG_EFORKED;
    return jg__child_signal(&record->child, record->group, signo);
}

int jg_process_terminate(jg_process *process)
{
    return jg_process_send_signal(process, jg__signal_terminate);
}

int jg_process_kill(jg_process *process)
{
    return jg_process_send_signal(process, JG__SIGNAL_KILL);
}

int jg_process_pid(const jg_process *process)
{
    return process->pid > 0 ? process->pid : -ESRCH;
}

int jg_process_status(const jg_process *process)
{
    return process->ended ? process->status : -EAGAIN;
}
