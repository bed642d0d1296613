/* SPDX-License-Identifier: MIT
 *
 * Test kit: a test that cancels code at each of its awaits, fails each of its allocations, and
 * shuffles who runs first; and a mistake that it finds.
 */
#include "common.h"

#include <juggle/test_kit.h>

struct pool {
    bool careless;
    int free; /* connections */
};

/* Borrows a connection. */
static int query(void *arg)
{
    struct pool *pool = arg;
    int r;

    pool->free--;
    r = jg_sleep(10 * JG_MILLISECOND); /* stands for the query */
    if (r < 0 && pool->careless)
        return r; /* and keeps it */
    pool->free++;
    return r;
}

static int query_twice(void *arg)
{
    jg_job jobs[] = {{.fn = query, .arg = arg}, {.fn = query, .arg = arg}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static void fill(void *arg, const jg_allocator *allocator)
{
    struct pool *pool = arg;

    (void)allocator; /* for code that allocates */
    pool->free = 5;
}

/* However it ends, the pool is full again. */
static bool is_full(void *arg, int status)
{
    const struct pool *pool = arg;

    (void)status;
    return pool->free == 5;
}

static void print_line(void *arg, const char *line)
{
    (void)arg;
    printf("  %s\n", line);
}

static void test(const char *name, bool careless)
{
    const jg_test_options options = {.setup = fill, .check = is_full, .report = print_line};
    struct pool pool = {.careless = careless};

    printf("%s:\n", name);
    printf("  cancelled at each await: %d\n", jg_test_cancel_each(query_twice, &pool, &options));
    printf("  each allocation failing: %d\n", jg_test_fail_each(query_twice, &pool, &options));
    printf("  in shuffled order: %d\n", jg_test_shuffle_each(query_twice, &pool, &options));
}

int main(void)
{
    test("careful", false);
    test("careless", true);
    return 0;
}
