/* SPDX-License-Identifier: MIT
 *
 * The test kit of coroutines: see <juggle/test_kit.h>.
 *
 * A run is a loop, a main coroutine, and at most one disturbance; nothing of it outlives the run.
 * The points at which it may be cancelled are counted here before each turn, and by scopes that are
 * marked as tested, which is all of them below the root.
 */
#include <juggle/test_kit.h>

#include "base/alloc.h"
#include "coro/run.h"
#include "platform/descriptor.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#define MOST_TURNS  (1 << 18) /* a run that takes more is taken for one that never ends */
#define DESCRIPTORS 256       /* new ones are the lowest free: looking at these is enough */
#define SEEDS       100

enum disturbance { NOTHING, CANCEL, FAIL, SHUFFLE };

struct run {
    const jg_test_options *options;
    enum disturbance disturbance;
    int number; /* of the point, allocation or seed */

    jg__main main;
    int points; /* passed */
    int turns;
    bool cancelled;
    char where[80]; /* it was cancelled */

    const jg_allocator *base;
    int allocations;
    size_t blocks, bytes;
    bool fails; /* allocations do: the run has begun, and not ended */

    bool reported; /* something was */
    bool leaked, hung;
};

static void print_line(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

static void tell(const struct run *run, const char *line)
{
    if (run->options->report)
        run->options->report(run->options->report_arg, line);
    else
        print_line(NULL, line);
}

static void tell_indented(void *arg, const char *line)
{
    const struct run *run = arg;
    char text[240];

    snprintf(text, sizeof(text), "  %s", line);
    tell(run, text);
}

/* Before the first thing that is reported of a run: which run it was. */
static void tell_heading(struct run *run)
{
    static const char *const texts[] = {"undisturbed:", "cancelled at point %d, %s:",
                                        "with allocation %d failing:", "shuffled with seed %d:"};
    char text[160];

    if (run->reported)
        return;

    run->reported = true;
    snprintf(text, sizeof(text), texts[run->disturbance], run->number, run->where);
    tell(run, text);
}

static void report(struct run *run, const char *format, ...)
{
    char text[200];
    va_list arguments;

    tell_heading(run);
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tell_indented(run, text);
}

/* Before a turn if there is no task, else a task spawns, starts something or begins to wait. */
static void pass_point(struct run *run, const jg_task *task)
{
    double time = (double)jg_loop_now(run->main.loop) / (double)JG_SECOND;

    if (run->cancelled || ++run->points != run->number || run->disturbance != CANCEL)
        return;

    run->cancelled = true;
    if (task)
        snprintf(run->where, sizeof(run->where), "in task %s at %.9f s",
                 jg_task_name(task) ? jg_task_name(task) : "?", time);
    else
        snprintf(run->where, sizeof(run->where), "before turn %d at %.9f s", run->turns, time);
    jg_scope_cancel(&run->main.root);
}

static void on_point(void *arg)
{
    pass_point(arg, jg_task_current());
}

static void *resize(void *arg, void *block, size_t old_size, size_t new_size)
{
    struct run *run = arg;
    void *moved;

    if (new_size > 0 && run->fails && ++run->allocations == run->number)
        return NULL;

    moved = jg__resize(run->base, block, old_size, new_size);
    if (new_size > 0 && !moved)
        return NULL;

    run->blocks += (size_t)(new_size > 0 && !block);
    run->blocks -= (size_t)(new_size == 0);
    run->bytes += new_size - old_size;
    return moved;
}

/* Whether there was an occasion for the disturbance. */
static bool was_disturbed(const struct run *run)
{
    switch (run->disturbance) {
    case CANCEL:
        return run->cancelled;
    case FAIL:
        return run->allocations >= run->number;
    case SHUFFLE:
        return true;
    default:
        return false;
    }
}

static void on_error(void *arg, int error, const char *what)
{
    struct run *run = arg;
    const jg_loop_options *options = run->options->loop;

    if (error == JG_ELEAKED) {
        run->leaked = true;
        report(run, "%s", what);
    }
    if (options && options->on_error)
        options->on_error(options->on_error_arg, error, what);
}

/* It does not end by itself. */
static void report_hang(struct run *run, const char *what)
{
    run->hung = true;
    report(run, "%s", what);
    jg_scope_describe(&run->main.root, tell_indented, run);
}

/* Turn until all has ended. Returns 0, or an error with tasks left. */
static int turn_until_ended(struct run *run)
{
    jg_loop *loop = run->main.loop;

    while (jg_op_pending(&run->main.ended)) {
        int r;

        run->turns++;
        pass_point(run, NULL);
        r = jg_loop_run_once(loop, -1);
        if (r < 0)
            return r;
        if (!jg_op_pending(&run->main.ended))
            break;

        if (run->turns == MOST_TURNS) {
            report_hang(run, "does not end:");
            return JG_EDEADLOCK;
        }
        if (!jg_loop_alive(loop)) {
            bool lost = jg_scope_cancelled(&run->main.root);

            report_hang(run, lost ? "neither wakes nor can be cancelled:" : "nothing can wake:");
            if (lost)
                return JG_EDEADLOCK;
        }
        if (r == 0)
            jg_scope_cancel(&run->main.root); /* as jg_run does, also if it was stopped */
    }
    return 0;
}

static int run_main(struct run *run, jg_loop *loop, jg_coro_fn fn, void *arg)
{
    const jg_spawn_options main_options = {.stack_size = run->options->stack_size};
    int r;

    loop->on_point = on_point;
    loop->on_point_arg = run;
    if (run->disturbance == SHUFFLE)
        jg_test_shuffle(loop, (uint64_t)run->number);

    jg__main_init(&run->main, loop);
    r = jg__main_start(&run->main, fn, arg, &main_options);
    run->main.root.flags |= JG__SCOPE_TESTED;
    if (r == 0)
        r = turn_until_ended(run);
    jg_call_cancel(&run->main.ended.call);
    return r < 0 ? r : jg__main_result(&run->main);
}

/* Returns what jg_run would. */
static int run_on_loop(struct run *run, jg_coro_fn fn, void *arg, const jg_allocator *allocator)
{
    jg_loop_options options = {0};
    jg_loop *loop;
    int r;

    if (run->options->loop)
        options = *run->options->loop;
    options.flags |= JG_LOOP_VIRTUAL_TIME;
    options.allocator = allocator;
    options.on_error = on_error;
    options.on_error_arg = run;

    run->fails = run->disturbance == FAIL;
    r = jg_loop_new(&options, &loop);
    if (r == 0) {
        r = run_main(run, loop, fn, arg);
        (void)jg_loop_free(loop); /* leaks went to the error hook */
    }
    run->fails = false;
    return r;
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < DESCRIPTORS; fd++)
        count += jg__fd_check(fd) == 0;
    return count;
}

static bool is_expected(const struct run *run, void *arg, int status, int undisturbed)
{
    static const int errors[] = {[CANCEL] = -ECANCELED, [FAIL] = -ENOMEM, [SHUFFLE] = 0};

    if (run->options->check)
        return run->options->check(arg, status);
    if (run->disturbance == NOTHING || status == undisturbed)
        return true;
    return errors[run->disturbance] < 0 && status == errors[run->disturbance];
}

/* Run once. Returns 0 if the run was in order, else an error; `status` is what it ended with. */
static int run_once(struct run *run, jg_coro_fn fn, void *arg, int *status)
{
    const jg_allocator allocator = {.resize = resize, .arg = run};
    const jg_test_options *options = run->options;
    int descriptors = open_descriptors(), undisturbed = *status;
    bool expected;

    run->base = options->loop && options->loop->allocator ? options->loop->allocator : &jg__malloc;
    if (options->setup)
        options->setup(arg, &allocator);
    *status = run_on_loop(run, fn, arg, &allocator);
    expected = is_expected(run, arg, *status, undisturbed);
    if (options->teardown)
        options->teardown(arg);

    if (!expected)
        report(run, "ended with %d (%s)%s", *status, jg_strerror(*status),
               options->check ? ", which the check refused" : "");
    if (run->blocks > 0)
        report(run, "blocks of memory not freed: %zu, %zu bytes", run->blocks, run->bytes);
    if (open_descriptors() > descriptors)
        report(run, "descriptors left open: %d", open_descriptors() - descriptors);

    if (!run->main.loop && run->disturbance == NOTHING)
        return *status;
    if (run->hung)
        return JG_EDEADLOCK;
    if (run->leaked || run->blocks > 0 || open_descriptors() > descriptors)
        return JG_ELEAKED;
    return expected ? 0 : -EINVAL;
}

static int run_each(enum disturbance disturbance, jg_coro_fn fn, void *arg,
                    const jg_test_options *options, int last)
{
    static const jg_test_options defaults = {0};
    int undisturbed = 0, r;
    struct run run;

    if (!options)
        options = &defaults;
    run = (struct run){.options = options};
    r = run_once(&run, fn, arg, &undisturbed);
    if (r < 0)
        return r;

    for (int n = options->only ? options->only : 1; n <= last; n++) {
        int status = undisturbed;

        run = (struct run){.options = options, .disturbance = disturbance, .number = n};
        if (run_once(&run, fn, arg, &status) < 0)
            return n;
        if (options->only || !was_disturbed(&run))
            break;
    }
    return 0;
}

int jg_test_cancel_each(jg_coro_fn fn, void *arg, const jg_test_options *options)
{
    return run_each(CANCEL, fn, arg, options, INT_MAX - 1);
}

int jg_test_fail_each(jg_coro_fn fn, void *arg, const jg_test_options *options)
{
    return run_each(FAIL, fn, arg, options, INT_MAX - 1);
}

int jg_test_shuffle_each(jg_coro_fn fn, void *arg, const jg_test_options *options)
{
    return run_each(SHUFFLE, fn, arg, options, options && options->seeds ? options->seeds : SEEDS);
}
