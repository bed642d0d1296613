/* SPDX-License-Identifier: MIT
 *
 * Deterministic simulation: a whole program of clients, servers, workers and timers in one process,
 * in virtual time, connected through memory. A seed decides everything: the order of what is ready,
 * how long things take, how bytes are split, what fails and what is cancelled.
 *
 * What happens is noted, and the notes are hashed, so that two runs of a seed can be compared. A
 * seed that fails is told on stderr in whatever way it does: a check, an assertion, a sanitizer.
 *
 *     JUGGLE_TEST_SEED=7 JUGGLE_TEST_TRACE=1 test_simulation    runs that seed alone, and shows it
 *     JUGGLE_TEST_SEED=1000 JUGGLE_TEST_COUNT=500 …             runs so many from there on
 */
#ifndef JG_TESTS_SIMULATION_H
#define JG_TESTS_SIMULATION_H

#include "support.h"

#include <juggle/tree.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_VICTIMS = 64, MOST_TURNS = 200000 };

/* Mistakes that tests of the simulation itself plant, which it must find. */
enum planted { NOTHING_PLANTED, PLANTED_TWICE, PLANTED_SILENCE, PLANTED_LEAK, PLANTED_WAIT };

struct simulation {
    uint64_t seed, random, hash;
    enum planted planted;
    bool calm;  /* nothing fails and nothing is cancelled: all must succeed */
    bool trace; /* show the notes */
    jg_loop *loop;
    jg_scope root;
    jg_op left;
    bool ended;
    jg_scope *victims[MOST_VICTIMS]; /* may be cancelled now */
    int victim_count;
    long notes, cuts, faults;
};

/* A random number below `below`: Marsaglia's generator, whose low bits are the weak ones. */
static inline unsigned simulation_random(struct simulation *sim, unsigned below)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;
    return (unsigned)((sim->random >> 20) % below);
}

static inline bool simulation_chance(struct simulation *sim, unsigned one_in)
{
    return simulation_random(sim, one_in) == 0;
}

/* Mostly short, sometimes long. */
static inline jg_time simulation_span(struct simulation *sim)
{
    static const unsigned most[] = {1, 1, 3, 50, 2000};

    return (jg_time)simulation_random(sim, most[simulation_random(sim, 5)]) * JG_MICROSECOND * 10;
}

/* Something happened. */
static inline void simulation_note(struct simulation *sim, const char *what, int who, int status)
{
    const jg_time now = jg_loop_time(sim->loop);
    const uint64_t numbers[] = {(uint64_t)now, (uint64_t)who, (uint64_t)status};

    sim->notes++;
    for (const char *at = what; *at; at++)
        sim->hash = (sim->hash ^ (uint64_t)(unsigned char)*at) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 3; i++)
        sim->hash = (sim->hash ^ numbers[i] ^ numbers[i] >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    if (sim->trace)
        fprintf(stderr, "%12.6f ms  %s %d: %d\n", (double)now / 1e6, what, who, status);
}

/* ------------------------------------------------------- disturbance */

static inline void simulation_expose(struct simulation *sim, jg_scope *scope)
{
    test_check(sim->victim_count < MOST_VICTIMS);
    sim->victims[sim->victim_count++] = scope;
}

static inline void simulation_withdraw(struct simulation *sim, const jg_scope *scope)
{
    int i = 0;

    while (sim->victims[i] != scope)
        test_check(++i < sim->victim_count);
    sim->victims[i] = sim->victims[--sim->victim_count];
}

/* A coroutine that cancels somebody now and then, or has the clock jump as a slow callback would. */
static inline int simulation_disturb(void *arg)
{
    struct simulation *sim = arg;

    for (unsigned left = simulation_random(sim, 12); left > 0; left--) {
        if (jg_sleep(simulation_span(sim)) < 0)
            break;
        if (simulation_chance(sim, 4)) {
            test_check(jg_test_advance(sim->loop, simulation_span(sim)) == 0);
        } else if (!sim->calm && sim->victim_count > 0) {
            unsigned place = simulation_random(sim, (unsigned)sim->victim_count);

            simulation_note(sim, "cancel", (int)place, sim->victim_count);
            sim->cuts++;
            jg_scope_cancel(sim->victims[place]);
        }
    }
    return 0;
}

/* Call fn(arg) in a scope that may be cancelled until it returns. Sets *ret_cut if it was. */
static inline int simulation_exposed(struct simulation *sim, jg_coro_fn fn, void *arg,
                                     const jg_scope_options *options, bool *ret_cut)
{
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, options);
    simulation_expose(sim, &scope);
    r = fn(arg);
    simulation_withdraw(sim, &scope);
    if (jg_scope_cancelled(&scope))
        *ret_cut = true;
    return jg_scope_leave(&scope, r);
}

/* A connection through memory, as fast, as large and as whole as the seed wants it. */
static inline int simulation_connect(struct simulation *sim, jg_stream *a, jg_stream *b)
{
    jg_test_pair_options options = {0};
    int r;

    if (simulation_chance(sim, 2))
        options.delay = simulation_span(sim) / 20;
    if (simulation_chance(sim, 2))
        options.piece = 1 + simulation_random(sim, 60);
    if (simulation_chance(sim, 2))
        options.capacity = 1 + simulation_random(sim, 200);
    if (simulation_chance(sim, 2))
        options.stream.high_mark = 1 + simulation_random(sim, 300);
    r = jg_test_pair(sim->loop, a, b, &options);
    simulation_note(sim, "connect", (int)options.piece, (int)options.capacity);
    return r;
}

/* Have a connection fail at random. Returns whether it will. */
static inline bool simulation_break(struct simulation *sim, jg_stream *a, jg_stream *b)
{
    jg_stream *stream = simulation_chance(sim, 2) ? a : b;
    size_t after = simulation_random(sim, 400);
    int r;

    if (sim->calm || !simulation_chance(sim, 5))
        return false;

    sim->faults++;
    if (simulation_chance(sim, 3))
        r = jg_test_pair_fail(stream, JG_READ, after, 0);
    else if (simulation_chance(sim, 2))
        r = jg_test_pair_fail(stream, JG_READ, after, -ECONNRESET);
    else
        r = jg_test_pair_fail(stream, JG_WRITE, after, -EPIPE);
    test_check(r == 0);
    simulation_note(sim, "break", stream == a, (int)after);
    return true;
}

/* ------------------------------------------------------------- a run */

static inline void simulation_left(void *arg)
{
    struct simulation *sim = arg;

    sim->ended = true;
}

/* A handler that was cancelled, say: that is no fault of the library's. */
static inline void simulation_error(void *arg, int error, const char *what)
{
    struct simulation *sim = arg;

    if (sim->loop)
        simulation_note(sim, what, 0, error);
}

/* Run main(arg) and all that it spawns to the end, after which nothing may be left. */
static inline void simulation_run(struct simulation *sim, jg_coro_fn main, void *arg)
{
    const jg_spawn_options options = {.name = "main", .stack_size = (size_t)256 << 10};
    const int descriptors = test_open_descriptors();
    jg_task_counters tasks;
    int turns = 0, alive = 1;

    sim->random = (sim->seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 16; i++) /* small seeds have few bits at first */
        (void)simulation_random(sim, 2);
    sim->calm = simulation_chance(sim, 4);
    sim->trace = getenv("JUGGLE_TEST_TRACE") != NULL;
    sim->loop = test_loop_with((jg_loop_options){
        .flags = JG_LOOP_VIRTUAL_TIME, .on_error = simulation_error, .on_error_arg = sim});
    if (simulation_chance(sim, 4) == 0)
        jg_test_shuffle(sim->loop, sim->random);

    jg_scope_open(&sim->root, sim->loop, NULL, NULL);
    jg_op_init(&sim->left, sim->loop, simulation_left, sim);
    test_check(jg_spawn(&sim->root, main, arg, &options) == 0);
    jg_scope_close(&sim->root, 0, &sim->left);
    while (!sim->ended && alive) {
        alive = jg_loop_run_once(sim->loop, JG_FOREVER);
        test_check(alive >= 0);
        test_check(++turns < MOST_TURNS); /* else it goes in circles */
    }
    if (!sim->ended)
        jg_scope_describe(&sim->root, NULL, NULL);
    test_check(sim->ended); /* else those above wait for each other */

    test_check(jg_op_status(&sim->left) == 0);
    test_check(sim->victim_count == 0);
    tasks = jg_loop_task_counters(sim->loop);
    test_check(tasks.spawned == tasks.ended && tasks.stacks == 0);
    simulation_note(sim, "end", (int)tasks.spawned, turns);
    test_loop_done(sim->loop);
    test_check(test_open_descriptors() == descriptors);
}

/* ------------------------------------------------------------ seeds */

static uint64_t simulation_seed;

/* Whether somebody wants certain seeds, and not the usual tests. */
static inline bool simulation_is_chosen(void)
{
    return getenv("JUGGLE_TEST_SEED") != NULL;
}

static bool simulation_going;

/* Nothing but write may be used here. */
static inline void simulation_tell(void)
{
    char text[64] = "JUGGLE_TEST_SEED=", digits[24];
    size_t length = strlen(text), count = 0;

    if (!simulation_going)
        return;
    for (uint64_t left = simulation_seed; count == 0 || left > 0; left /= 10)
        digits[count++] = (char)('0' + left % 10);
    while (count > 0)
        text[length++] = digits[--count];
    text[length++] = '\n';
    (void)!write(STDERR_FILENO, text, length);
}

static inline void simulation_aborted(int number)
{
    simulation_tell();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* Run a seed, which is told if it does not come to its end. */
static inline void simulation_try(void (*run)(struct simulation *sim), struct simulation *sim)
{
    simulation_seed = sim->seed;
    simulation_going = true;
    test_on_death(simulation_tell);
    (void)signal(SIGABRT, simulation_aborted);
    run(sim);
    simulation_going = false;
}

/* For a program whose run ended in a way that it survived: cmocka's teardown. */
static inline int simulation_teardown(void **state)
{
    (void)state;
    simulation_tell();
    return 0;
}

/* Run as many seeds as the environment says, else `count` from 1 on. Something must have happened
   in them. */
static inline void simulation_try_all(void (*run)(struct simulation *sim), int count)
{
    const char *first = getenv("JUGGLE_TEST_SEED"), *many = getenv("JUGGLE_TEST_COUNT");
    uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
    long notes = 0, cuts = 0, faults = 0;

    if (first)
        count = many ? atoi(many) : 1;
    for (int i = 0; i < count; i++, seed++) {
        struct simulation sim = {.seed = seed};

        simulation_try(run, &sim);
        notes += sim.notes;
        cuts += sim.cuts;
        faults += sim.faults;
    }
    print_message("%d seeds: %ld notes, %ld cancellations, %ld failing connections\n", count, notes,
                  cuts, faults);
    if (count >= 50)
        test_check(notes > 25L * count && cuts > count / 2 && faults > count / 4);
}

/* Every seed twice: it happens in just the same way, and in another way than with other seeds. */
static inline void simulation_compare(void (*run)(struct simulation *sim), int count)
{
    uint64_t last = 0;

    for (int i = 0; i < count; i++) {
        struct simulation once = {.seed = 1000 + (uint64_t)i}, again = once;

        simulation_try(run, &once);
        simulation_try(run, &again);
        test_check(once.hash == again.hash && once.notes == again.notes);
        test_check(once.hash != last);
        last = once.hash;
    }
}

#endif
