/* SPDX-License-Identifier: MIT
 *
 * For tests of your own coroutines: run one again and again, each time disturbed in another place,
 * until there is no further place. After each run nothing may be left: no task, no memory of the
 * loop, no timer or watcher or other object that is still started, no descriptor.
 *
 *     static void fetches_survive_cancellation(void)
 *     {
 *         assert(jg_test_cancel_each(fetch_all, &state, NULL) == 0);
 *     }
 *
 * The runs have virtual time, so that those that sleep take no longer than those that do not. What
 * waits for another thread or process, or for a peer over the network, waits in real time.
 */
#ifndef JUGGLE_TEST_KIT_H
#define JUGGLE_TEST_KIT_H

#include <juggle/coro.h>
#include <juggle/test.h>
#include <juggle/tree.h>

JG_BEGIN_DECLS

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_test_options {
    /* Before and after each run, outside of the loop. `allocator` is what the loop allocates from.
     * What you allocate from it is counted, and made to fail during the run, as well; give it back
     * in teardown at the latest. */
    void (*setup)(void *arg, const jg_allocator *allocator);
    void (*teardown)(void *arg);

    /* Whether a run may end so: with this status, which jg_run would return, and with arg in the
     * state it is in. NULL: with the status of the undisturbed run, or the error that the
     * disturbance stands for. Checks that fail here are reported with the number of the run. */
    bool (*check)(void *arg, int status);

    const jg_loop_options *loop; /* JG_LOOP_VIRTUAL_TIME is added */
    size_t stack_size;           /* of the main coroutine; 0: 256 KiB */
    int only;                    /* do this run alone, to debug it; 0: all */
    int seeds;                   /* of jg_test_shuffle_each; 0: 100 */
    jg_line_fn report;           /* told what went wrong; NULL: standard error is */
    void *report_arg;
} jg_test_options;

/**
 * Run fn(arg) as jg_run does, but for the signals: undisturbed at first, then
 *   - cancel_each: cancelled at the 1st, 2nd, 3rd … point: wherever a task spawns, starts
 *     something or begins to wait, and before each turn of the loop. The error is -ECANCELED.
 *   - fail_each: with the 1st, 2nd, 3rd … allocation failing. The error is -ENOMEM.
 *   - shuffle_each: with jg_test_shuffle and the seeds 1, 2, 3 … There is no error.
 * They end after the first run that was not in order, or that was not disturbed any more.
 *
 * options   or NULL.
 *
 * Returns   0 if all runs were in order; else the number of the first that was not: the point, the
 *           allocation or the seed; or, if it was the undisturbed one, an error of making the loop,
 *           JG_EDEADLOCK if it does not end, JG_ELEAKED, or -EINVAL if `check` refused it.
 * Owns      nothing.
 * Thread    any that runs no loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_test_cancel_each(jg_coro_fn fn, void *arg, const jg_test_options *options);
JG_API int jg_test_fail_each(jg_coro_fn fn, void *arg, const jg_test_options *options);
JG_API int jg_test_shuffle_each(jg_coro_fn fn, void *arg, const jg_test_options *options);

JG_END_DECLS

#endif
