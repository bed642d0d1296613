/* SPDX-License-Identifier: MIT
 *
 * Runs of scenarios, by means of the test kit: of its two runs, the first one is left alone, which
 * shows that the scenario works after what the one before went through, and the second one meets
 * the fault.
 */
#include "faults.h"

#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SECONDS = 30, MOST_CALLS = 2000 };

/* Shared with children. */
static struct {
    int number;  /* of the call that fails */
    int variant; /* which of its errors */
    bool armed;
    bool in_child;
    int calls;
    int error;    /* it failed with, as it is in the list; 0: it did not */
    int variants; /* that it has */
    int left;     /* times that it is to fail after that */
    int times;
    char call[32];
} * state;

const int fault_of_peer[] = {-ECONNRESET, -EPIPE, JG_EINCOMPLETE, 0};

static bool is_child; /* this process is */

/* What the runs of a scenario have in common. */
struct series {
    const struct fault_scenario *scenario;
    int runs;  /* of the present two */
    int saved; /* what descriptor 0 is */
};

jg_loop *fault_loop(void)
{
    return jg_task_loop(jg_task_current());
}

/* Among the threads of an executor. A child has only the one that forked. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    if (!is_child)
        pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    if (!is_child)
        pthread_mutex_unlock(&mutex);
}

/* A call that was interrupted is so once more when it is made again. */
static bool fails_again(const char *call)
{
    if (state->error == 0 || state->left == 0 || strcmp(call, state->call) != 0)
        return false;
    state->left--;
    return true;
}

static bool is_due(const char *call)
{
    const int calls = ++state->calls;

    if (calls != state->number)
        return calls > state->number && fails_again(call);
    snprintf(state->call, sizeof(state->call), "%s", call);
    return true;
}

bool fault_is_due(const char *call)
{
    bool due;

    if (!state || !state->armed || is_child != state->in_child)
        return false;
    lock();
    due = is_due(call);
    unlock();
    return due;
}

static int choose(const int *errors)
{
    int count = 0;

    while (errors[count])
        count++;
    if (state->error == 0) {
        state->variants = count;
        state->error = count > 0 ? errors[state->variant % count] : 0;
        state->left =
            state->times > 0 ? state->times - 1 : state->error == (EINTR | FAULT_HARMLESS);
    }
    for (int i = 0; i < count; i++) {
        if (errors[i] == state->error)
            return state->error;
    }
    return 0; /* it is of another kind of descriptor now */
}

int fault_choose(const int *errors)
{
    int error;

    lock();
    error = choose(errors);
    unlock();
    return error;
}

void fault_set_child(bool on)
{
    is_child = on;
}

static const char *text_of(int error)
{
    return error == 0 ? "nothing" : error == FAULT_SHORT ? "one byte" : strerror(error & 0x7ff);
}

static void describe(const struct series *series)
{
    fprintf(stderr, "%s: call %d, %s, with %s (variant %d)%s:\n", series->scenario->name,
            state->number, state->call, text_of(state->error), state->variant,
            series->runs == 1 ? ", and then undisturbed" : "");
}

/* The kit's own heading says nothing here: the lines after it are indented. */
static void print_line(void *arg, const char *line)
{
    if (line[0] == ' ')
        fprintf(stderr, "%s\n", line);
    else
        describe(arg);
}

static const struct series *current; /* for on_end */

/* A check failed, or a run did not end. */
static void on_end(int signo)
{
    if (!is_child)
        describe(current);
    (void)signal(SIGABRT, SIG_DFL);
    if (signo == SIGALRM)
        test_fail(__FILE__, __LINE__, "a run ends");
}

static void before_run(void *arg, const jg_allocator *allocator)
{
    struct series *series = arg;

    (void)allocator;
    series->runs++;
    if (series->scenario->low) {
        series->saved = fcntl(0, F_DUPFD_CLOEXEC, 3);
        close(0);
    }
    alarm(SECONDS);
    if (series->runs == 1)
        return;
    state->calls = state->error = state->variants = state->left = 0;
    state->times = series->scenario->times;
    state->call[0] = '\0';
    state->armed = true;
}

static void after_run(void *arg)
{
    const struct series *series = arg;

    state->armed = false;
    alarm(0);
    if (series->scenario->low) {
        test_check(dup2(series->saved, 0) == 0);
        close(series->saved);
    }
    if (series->scenario->after)
        series->scenario->after(series->scenario->arg);
}

static int run_scenario(void *arg)
{
    const struct series *series = arg;

    return series->scenario->fn(series->scenario->arg);
}

/* Memory is the same without advice; a stack without its guard is counted. */
#define NEVER_HEARD " madvise mprotect munmap "

static bool is_unheard(const struct fault_scenario *scenario)
{
    char name[sizeof(state->call) + 2];

    snprintf(name, sizeof(name), " %s ", state->call);
    return strstr(NEVER_HEARD, name) || (scenario->unheard && strstr(scenario->unheard, name));
}

static bool is_consequence(const struct fault_scenario *scenario, int status)
{
    const int *consequence = scenario->consequences;

    while (consequence && *consequence && *consequence != status)
        consequence++;
    return consequence && *consequence;
}

static bool is_in_order(void *arg, int status)
{
    const struct series *series = arg;
    const struct fault_scenario *scenario = series->scenario;
    const bool met = series->runs == 2 && state->error != 0;

    if (status == 0)
        return !met || state->error & FAULT_HARMLESS || is_unheard(scenario);
    if (!met)
        return false;
    if (state->error & FAULT_HARMLESS)
        return is_unheard(scenario) && is_consequence(scenario, status);
    return status == -state->error || is_consequence(scenario, status);
}

/* What the test kit does, for what is no coroutine. */
static bool run_plain(struct series *series)
{
    const int descriptors = test_open_descriptors();
    bool good = true;

    for (int i = 0; i < 2 && good; i++) {
        int status;

        before_run(series, NULL);
        status = run_scenario(series);
        good = is_in_order(series, status);
        after_run(series);
        if (!good || test_open_descriptors() > descriptors) {
            describe(series);
            fprintf(stderr, "  ended with %d, and %d more descriptors\n", status,
                    test_open_descriptors() - descriptors);
            good = false;
        }
    }
    return good;
}

/* Returns whether the two runs were in order. */
static bool run_twice(struct series *series)
{
    const jg_test_options options = {.setup = before_run,
                                     .teardown = after_run,
                                     .check = is_in_order,
                                     .only = INT_MAX - 1,
                                     .report = print_line,
                                     .report_arg = series};

    series->runs = 0;
    if (series->scenario->plain)
        return run_plain(series);
    return jg_test_fail_each(run_scenario, series, &options) == 0;
}

static int get_number(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text ? atoi(text) : otherwise;
}

/* Whoever looks for the cause of a failure sets these two to what it was reported with. */
#define CALL    "FAULTS_CALL"
#define VARIANT "FAULTS_VARIANT"

static bool try_each_call(const struct fault_scenario *scenario)
{
    const int only = get_number(CALL, 0), only_variant = get_number(VARIANT, -1);
    const int step = test_is_emulated() ? 3 : 1;
    static struct series series;
    bool good = true;

    series = (struct series){.scenario = scenario};
    memset(state, 0, sizeof(*state));
    state->in_child = scenario->in_child;
    current = &series;
    for (int number = only ? only : 1; number < MOST_CALLS; number += step) {
        int variants = 1;

        /* Where all is slow, one of the errors has to do. */
        for (int variant = 0; variant < variants; variant++) {
            state->number = number;
            state->variant = test_is_slow() ? number : variant;
            if (only_variant >= 0)
                state->variant = only_variant;
            good &= run_twice(&series);
            if (!test_is_slow() && only_variant < 0 && state->variants > variants)
                variants = state->variants;
        }
        if (only || state->calls < number)
            break;
    }
    return good;
}

bool fault_each(const struct fault_scenario *scenarios, size_t count)
{
    bool good = true;

    if (!state) {
        state =
            mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        test_check(state != MAP_FAILED);
        test_check(signal(SIGALRM, on_end) != SIG_ERR && signal(SIGABRT, on_end) != SIG_ERR);
    }
    for (size_t i = 0; i < count; i++)
        good &= try_each_call(&scenarios[i]);
    return good;
}
