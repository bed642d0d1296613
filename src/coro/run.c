/* SPDX-License-Identifier: MIT
 *
 * A main coroutine on a loop: run until it and all that it spawned have ended; and jg_run, with a
 * loop of its own and the signals that end programs.
 */
#include "coro/run.h"

#include <juggle/tree.h>

#include <errno.h>

static void on_ended(void *arg)
{
    jg__main *main = arg;

    jg_loop_stop(main->loop);
}

void jg__main_init(jg__main *main, jg_loop *loop)
{
    *main = (jg__main){.loop = loop};
    jg_scope_open(&main->root, loop, NULL, &(jg_scope_options){.name = "root"});
    jg_op_init(&main->ended, loop, on_ended, main);
}

int jg__main_start(jg__main *main, jg_coro_fn fn, void *arg, const jg_spawn_options *options)
{
    jg_spawn_options own = {0};
    int r;

    if (options)
        own = *options;
    if (!own.name)
        own.name = "main";
    if (own.stack_size == 0)
        own.stack_size = JG__MAIN_STACK;
    own.ret_status = &main->status;
    r = jg_spawn(&main->root, fn, arg, &own);
    if (r == 0)
        jg_scope_close(&main->root, 0, &main->ended);
    else
        jg__scope_clean_up(&main->root); /* the loop must not know it any more */
    return r;
}

int jg__main_result(const jg__main *main)
{
    int r = jg_op_status(&main->ended);

    return r < 0 ? r : main->status;
}

static void report_line(void *arg, const char *line)
{
    jg__main *main = arg;

    jg__loop_error(main->loop, JG_EDEADLOCK, line);
}

static void report_deadlock(jg__main *main)
{
    if (!main->loop->on_error)
        return;

    report_line(main, "tasks are left that nothing can wake:");
    jg_scope_describe(&main->root, report_line, main);
}

/* Turn until the root scope was left. If nothing can wake what is in there, cancel it. */
static int turn_until_ended(jg__main *main)
{
    bool deadlocked = false;
    int r;

    for (;;) {
        r = jg_loop_run(main->loop);
        if (r < 0 || !jg_op_pending(&main->ended))
            break;

        /* If somebody stopped the loop, that is meant for all of it. */
        if (!main->loop->was_stopped) {
            jg__check(!deadlocked, "tasks are left that neither wake nor can be cancelled");
            deadlocked = true;
            report_deadlock(main);
        }
        jg_scope_cancel(&main->root);
    }

    jg_call_cancel(&main->ended.call); /* it may be queued if the loop failed */
    if (r < 0)
        return r;
    return deadlocked ? JG_EDEADLOCK : jg__main_result(main);
}

int jg_run_until_complete(jg_loop *loop, jg_coro_fn fn, void *arg, const jg_spawn_options *options)
{
    jg__main main;
    int r;

    jg__check_thread(loop);
    if (loop->running)
        return -EBUSY;

    jg__main_init(&main, loop);
    r = jg__main_start(&main, fn, arg, options);
    if (r < 0)
        return r;

    r = turn_until_ended(&main);
    if (options && options->ret_status && !jg_op_pending(&main.ended))
        *options->ret_status = main.status;
    return r;
}

struct run {
    jg__main main;
    jg_signal signals[2];
    jg_signal dump;
    bool interrupted;
};

static void stop_signals(struct run *run)
{
    for (int i = 0; i < 2; i++)
        jg_signal_stop(&run->signals[i]);
}

static void on_dump(void *arg, int signo)
{
    struct run *run = arg;

    (void)signo;
    jg_scope_describe(&run->main.root, NULL, NULL);
}

/* The first time, ask everything to end; the second time, end as if nobody had handled it. */
static void on_signal(void *arg, int signo)
{
    struct run *run = arg;

    if (run->interrupted) {
        stop_signals(run);
        jg__signal_raise(signo);
        return;
    }
    run->interrupted = true;
    jg_scope_cancel(&run->main.root);
}

static int start_signals(struct run *run, const jg_run_options *options)
{
    const int signos[2] = {jg__signal_interrupt, jg__signal_terminate};
    int r = 0;

    jg_handle_unref(&run->dump.handle);
    if (options->dump_signal)
        r = jg_signal_start(run->main.loop, &run->dump, options->dump_signal);
    for (int i = 0; i < 2 && r == 0 && !options->no_signals; i++) {
        jg_handle_unref(&run->signals[i].handle);
        r = jg_signal_start(run->main.loop, &run->signals[i], signos[i]);
    }
    return r;
}

int jg_run(jg_coro_fn fn, void *arg, const jg_run_options *options)
{
    static const jg_run_options defaults = {0};
    struct run run = {.interrupted = false};
    jg_loop *loop;
    int r;

    if (!options)
        options = &defaults;
    r = jg_loop_new(options->loop, &loop);
    if (r < 0)
        return r;

    jg__main_init(&run.main, loop);
    for (int i = 0; i < 2; i++)
        jg_signal_init(&run.signals[i], on_signal, &run);
    jg_signal_init(&run.dump, on_dump, &run);
    r = start_signals(&run, options);
    if (r == 0)
        r = jg__main_start(&run.main, fn, arg,
                           &(jg_spawn_options){.stack_size = options->stack_size});
    if (r == 0)
        r = turn_until_ended(&run.main);

    stop_signals(&run);
    jg_signal_stop(&run.dump);
    (void)jg_loop_free(loop); /* leaks went to the error hook */
    return r;
}
