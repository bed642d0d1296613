/* SPDX-License-Identifier: MIT
 *
 * jg_run: a loop, a root scope and a main coroutine.
 */
#include "coro/coro.h"

#include <errno.h>

#define MAIN_STACK ((size_t)256 << 10)

struct run {
    jg_loop *loop;
    jg_scope root;
    jg_op ended; /* the root scope was left */
    jg_signal signals[2];
    bool interrupted;
};

static void stop_signals(struct run *run)
{
    for (int i = 0; i < 2; i++)
        jg_signal_stop(&run->signals[i]);
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
    jg_scope_cancel(&run->root);
}

static int start_signals(struct run *run)
{
    const int signos[2] = {jg__signal_interrupt, jg__signal_terminate};
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++) {
        jg_handle_unref(&run->signals[i].handle);
        r = jg_signal_start(run->loop, &run->signals[i], signos[i]);
    }
    return r;
}

static void on_ended(void *arg)
{
    struct run *run = arg;

    jg_loop_stop(run->loop);
}

/* Run the loop until the root scope was left. If nothing can wake what is in there, cancel it. */
static int turn_until_ended(struct run *run)
{
    bool deadlocked = false;
    int r;

    for (;;) {
        r = jg_loop_run(run->loop);
        if (r < 0 || !jg_op_pending(&run->ended))
            return r < 0 || !deadlocked ? r : JG_EDEADLOCK;

        /* Somebody stopped the loop: that is meant for all of it. */
        if (!jg_loop_alive(run->loop)) {
            jg__check(!deadlocked, "tasks are left that neither wake nor can be cancelled");
            deadlocked = true;
        }
        jg_scope_cancel(&run->root);
    }
}

int jg_run(jg_coro_fn fn, void *arg, const jg_run_options *options)
{
    static const jg_run_options defaults = {0};
    struct run run = {.interrupted = false};
    jg_spawn_options main_options = {.name = "main"};
    int status = 0;
    int r;

    if (!options)
        options = &defaults;
    r = jg_loop_new(options->loop, &run.loop);
    if (r < 0)
        return r;

    for (int i = 0; i < 2; i++)
        jg_signal_init(&run.signals[i], on_signal, &run);
    if (!options->no_signals)
        r = start_signals(&run);

    if (r == 0) {
        jg_scope_open(&run.root, run.loop, NULL, &(jg_scope_options){.name = "root"});
        jg_op_init(&run.ended, run.loop, on_ended, &run);
        main_options.stack_size = options->stack_size ? options->stack_size : MAIN_STACK;
        main_options.ret_status = &status;
        r = jg_spawn(&run.root, fn, arg, &main_options);
    }
    if (r == 0) {
        jg_scope_close(&run.root, 0, &run.ended);
        r = turn_until_ended(&run);
        if (r == 0 && jg_op_status(&run.ended) < 0)
            r = jg_op_status(&run.ended); /* the first error, of whichever coroutine */
    }

    stop_signals(&run);
    (void)jg_loop_free(run.loop); /* leaks went to the error hook */
    return r < 0 ? r : status;
}
