/* SPDX-License-Identifier: MIT
 *
 * What models share, which random tests and fuzzers drive: checks, and decisions, which are those of
 * a generator, or of the bytes that a fuzzer gives and, after the last one, of a generator again.
 */
#ifndef JG_TESTS_MODEL_H
#define JG_TESTS_MODEL_H

#include <juggle.h>
#include <juggle/test.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define model_check(condition) ((condition) ? (void)0 : model_fail(__FILE__, __LINE__, #condition))

static _Noreturn inline void model_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}

struct decisions {
    const uint8_t *data; /* NULL: a generator decides all */
    size_t left;         /* bytes */
    uint64_t random;
};

/* Those of a seed, by Marsaglia's generator, which must not be 0 and whose low bits are weak. */
static inline struct decisions decisions_of_seed(uint64_t seed)
{
    return (struct decisions){.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1};
}

static inline struct decisions decisions_of_bytes(const uint8_t *data, size_t size)
{
    static const uint8_t none;

    return (struct decisions){
        .data = data ? data : &none, .left = size, .random = size * 2654435761u + 1};
}

/* Whether there are no more bytes: it is time to come to an end. */
static inline bool decisions_over(const struct decisions *decisions)
{
    return decisions->data && decisions->left == 0;
}

/* A number below `below`. */
static inline unsigned decide(struct decisions *decisions, unsigned below)
{
    uint64_t *random = &decisions->random;

    if (decisions->data && decisions->left > 0) {
        unsigned value = *decisions->data++;

        decisions->left--;
        if (below > 256 && decisions->left > 0) {
            value = value << 8 | *decisions->data++;
            decisions->left--;
        }
        return value % below;
    }
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (unsigned)((*random >> 20) % below);
}

/* The seed of a random test: $JUGGLE_TEST_SEED, or another one each time. */
static inline uint64_t model_seed(void)
{
    const char *given = getenv("JUGGLE_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;

    fprintf(stderr, "JUGGLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* The loop of a fuzzer, with no kernel under it. */
static inline jg_loop *model_loop(void)
{
    const jg_loop_options options = {.backend = "script"};
    jg_loop *loop;

    model_check(jg_loop_new(&options, &loop) == 0);
    return loop;
}

#endif
