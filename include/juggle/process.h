/* SPDX-License-Identifier: MIT
 *
 * Processes: run programs, talk to them through streams, wait for them. asyncio: subprocess.
 *
 * A process belongs to whoever spawned it, who closes it: if it still runs then it is killed. It is
 * reaped by the loop, also after that, so that there are no zombies; nobody else may wait for it.
 * If this program ignores SIGCHLD, or was started with it ignored, it does not for as long as a
 * process runs.
 *
 * How a process ended is a status as from waitpid(2), for WIFEXITED and the like of <sys/wait.h>: 0
 * if it exited with 0. It is -ECHILD where somebody else reaped the process, or this one was forked
 * and it is the parent's.
 */
#ifndef JUGGLE_PROCESS_H
#define JUGGLE_PROCESS_H

#include <juggle/stream.h>

JG_BEGIN_DECLS

/* What a process has for its standard input, output or errors. */
typedef enum jg_process_stdio {
    JG_PROCESS_INHERIT, /* what this process has */
    JG_PROCESS_NULL,    /* /dev/null. asyncio: DEVNULL */
    JG_PROCESS_PIPE,    /* a pipe to a stream of jg_process */
    JG_PROCESS_FD,      /* a descriptor of yours, which stays yours */
    JG_PROCESS_STDOUT   /* of its errors: the same as its output */
} jg_process_stdio;

enum {
    JG_PROCESS_GROUP = 1u << 0,  /* it leads a process group, which is what signals are sent to */
    JG_PROCESS_SESSION = 1u << 1 /* it leads a session as well, without a terminal: setsid(2) */
};

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_process_options {
    const char *file;               /* the program; NULL: argv[0] */
    const char *const *environment; /* "NAME=value", then NULL; NULL: that of this process */
    const char *directory;          /* where it starts; NULL: where this process is */
    jg_process_stdio input, output, errors;
    int input_fd, output_fd, errors_fd; /* of those that are JG_PROCESS_FD */
    unsigned flags;                     /* JG_PROCESS_… */
    size_t limit;  /* bytes of each output that communicate and run keep; 0: 16 MiB */
    jg_time grace; /* ns that run gives it to end by itself when it is cancelled; 0: 5 s */
} jg_process_options;

/* A process, in your memory. */
typedef struct jg_process {
    jg_stream input, output, errors; /* those that are pipes: yours to use */

    /* These are its own. */
    struct jg__process *running; /* NULL: it is not */
    jg_link waiters;
    jg_loop *loop;
    size_t limit;
    int pid;
    int status;
    bool ended;
} jg_process;

/**
 * Start a program. That blocks, for a fraction of a millisecond as a rule: when it returns, the
 * program runs. asyncio: create_subprocess_exec. For a shell command: "/bin/sh", "-c", command.
 *
 * The program has no descriptors but 0, 1 and 2, no signal blocked or handled, and ignores what
 * this process ignores, but for SIGPIPE and SIGCHLD.
 *
 * process   not running; need not be initialised.
 * argv      arguments, the first one is the program, then NULL. Without a '/' it is looked for in
 *           the PATH of its environment; a relative path counts from its directory.
 * options   or NULL.
 *
 * Returns   0; what exec or changing the directory failed with, -ENOENT, -EACCES, -E2BIG, -ENOEXEC
 *           and the like; -EINVAL, -EBADF, -EMFILE, -ENFILE, -EAGAIN, -ENOMEM, JG_EFORKED.
 * Owns      nothing that was given; `process` must stay until it is closed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_process_spawn(jg_process *process, jg_loop *loop, const char *const argv[],
                            const jg_process_options *options);

/**
 * Close a process: its streams are aborted, and it is killed if it still runs, unless it runs as a
 * user that we may not send signals to. What waits for it completes with -ECONNABORTED. Harmless
 * for zeroed memory, and if it is closed.
 *
 * Returns   nothing; it cannot fail and does not allocate.
 * Owns      nothing; the memory is yours again, that of pending ops once they completed.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_process_close(jg_process *process);

/**
 * Wait for a process to end. Any number may. There may still be output to be read.
 *
 * Returns   its status, >= 0, or -ECHILD, see above; -ECANCELED, which leaves it running.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_process_wait(jg_process *process);
JG_API int jg_process_wait_start(jg_process *process, jg_op *op);

/**
 * Send a signal to a process. There is no risk of another process getting it that has the same
 * number later. terminate sends SIGTERM, kill SIGKILL.
 *
 * Returns   0, also if it has ended and the loop has yet to see that; -ESRCH after that; -EINVAL,
 *           -EPERM; JG_EFORKED for one of the parent.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_process_send_signal(jg_process *process, int signo);
JG_API int jg_process_terminate(jg_process *process);
JG_API int jg_process_kill(jg_process *process);

/* Its number, also after it has ended; -ESRCH if it was never spawned. */
JG_API int jg_process_pid(const jg_process *process);

/* Its status, or -EAGAIN as long as it runs. asyncio: returncode. */
JG_API int jg_process_status(const jg_process *process);

/* ------------------------------------------------------------- all of its output */

/* What a process wrote. Free it with jg_process_result_fini, whatever came of it. */
typedef struct jg_process_result {
    struct jg_process_text {
        char *data;      /* with a 0 after it; NULL: nothing was written, or there was no pipe */
        size_t size;     /* bytes, without that 0 */
        size_t capacity; /* that was allocated */
    } output, errors;
    jg_allocator allocator;
} jg_process_result;

/* Give the memory back. Harmless for zeroed memory, and a second time. Before the loop's allocator
   is gone, on the loop's thread. */
JG_API void jg_process_result_fini(jg_process_result *result);

/* What a pending communicate needs; in your memory. */
typedef struct jg_process_communication {
    jg_process *process;
    jg_process_result *result;
    jg_op *op;
    jg_op writer, output, errors, waiter;
    jg_stream_writing writing;
    jg_timer timer;
    jg_time grace;
    int left;
    int status;
    bool owner, ending;
} jg_process_communication;

/**
 * Write to a process what it is to have as input, then the end of file, and meanwhile read all that
 * it writes, until it has ended. What is not a pipe is left out. A process that does not want all of
 * its input is no error. asyncio: Process.communicate.
 *
 * data      `size` bytes; NULL if that is 0.
 * ret_result  in any case what was written until then, also after errors and a cancellation.
 *
 * Returns   as wait; -EMSGSIZE if it writes more than the limit; -EBUSY if its output is being read
 *           already; -ECONNABORTED, -ENOMEM, -EBADF; -ECANCELED. The process goes on after these.
 * Owns      `process`, `data` and `ret_result` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_process_communicate(jg_process *process, const void *data, size_t size,
                                  jg_process_result *ret_result);
JG_API int jg_process_communicate_start(jg_process *process,
                                        jg_process_communication *communication, const void *data,
                                        size_t size, jg_process_result *ret_result, jg_op *op);

/* What a pending run needs; in your memory. */
typedef struct jg_process_running {
    jg_process process;
    jg_process_communication communication;
} jg_process_running;

/**
 * Run a program: spawn it, communicate, close it. It never leaves a process behind: if it is
 * cancelled, or there is an error, the process gets SIGTERM, SIGKILL if it has not ended by the end
 * of the grace time, and is waited for. As Python's subprocess.run; asyncio has none.
 *
 * options   or NULL. Only what is JG_PROCESS_PIPE is written to or captured.
 * data      as for communicate.
 *
 * Returns   as spawn and communicate. Of the start form all errors but -ECANCELED are the op's.
 * Owns      `data` and `ret_result` until it completed.
 * Thread    loop.
 * Suspends  yes; start no.
 */
JG_API int jg_process_run(const char *const argv[], const jg_process_options *options,
                          const void *data, size_t size, jg_process_result *ret_result);
JG_API int jg_process_run_start(jg_process_running *running, const char *const argv[],
                                const jg_process_options *options, const void *data, size_t size,
                                jg_process_result *ret_result, jg_op *op);

JG_END_DECLS

#endif
