/* SPDX-License-Identifier: MIT
 *
 * A pipeline: three stages joined by two queues. The end travels down it, cancellation travels up.
 *
 * When the source ends it shuts its queue down, the next stage gets what is left and does the same.
 * When the sink has enough it shuts its queue down and drops what is there, so that the stage above
 * is refused and does the same. Nobody needs to know who else there is.
 */
#include "common.h"

enum { LIMIT = 4 };

struct pipeline {
    jg_queue numbers, primes;
    int wanted; /* primes that the sink is content with */
    uint64_t sourced, tested, passed, printed;
};

/* Natural numbers, until somebody cancels this or refuses them. */
static int source(void *arg)
{
    struct pipeline *pipeline = arg;
    int r, number = 2;

    for (; (r = jg_queue_put(&pipeline->numbers, &number)) == 0; number++)
        pipeline->sourced++;
    (void)jg_queue_shutdown(&pipeline->numbers, false);
    return r == JG_ESHUTDOWN ? 0 : r;
}

static bool is_prime(int number)
{
    int divisor = 2;

    while (divisor * divisor <= number && number % divisor != 0)
        divisor++;
    return divisor * divisor > number;
}

/* The primes of them. */
static int filter(void *arg)
{
    struct pipeline *pipeline = arg;
    int number, r = 0;

    while (r == 0 && (r = jg_queue_get(&pipeline->numbers, &number)) == 0) {
        pipeline->tested++;
        if (is_prime(number)) {
            r = jg_queue_put(&pipeline->primes, &number);
            pipeline->passed += r == 0;
        }
    }
    (void)jg_queue_shutdown(&pipeline->primes, false);
    (void)jg_queue_shutdown(&pipeline->numbers, true);
    return r == JG_ESHUTDOWN ? 0 : r;
}

/* The slowest of the three: the queues fill up behind it. */
static int sink(void *arg)
{
    struct pipeline *pipeline = arg;
    int prime, r = 0;

    while (pipeline->wanted-- > 0 && (r = jg_queue_get(&pipeline->primes, &prime)) == 0) {
        check(jg_sleep(2 * JG_MILLISECOND), "sleep"); /* behind the shield nothing cancels it */
        pipeline->printed++;
        printf("%d\n", prime);
    }
    (void)jg_queue_shutdown(&pipeline->primes, true);
    return r == JG_ESHUTDOWN ? 0 : r;
}

static void report(const char *name, const jg_queue *queue, uint64_t accepted, uint64_t done)
{
    jg_queue_stats stats;

    jg_queue_stat(queue, &stats);
    printf("%s: accepted %llu, done %llu, dropped %llu\n", name, (unsigned long long)accepted,
           (unsigned long long)done, (unsigned long long)stats.dropped);
}

/* The source can be cancelled from outside, the others are shielded: they end when it has. */
static int run(const char *name, int wanted)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = LIMIT};
    struct pipeline pipeline = {.wanted = wanted};
    jg_scope upper, lower;
    int r;

    printf("-- %s\n", name);
    check(jg_queue_init(&pipeline.numbers, jg_task_loop(jg_task_current()), &options), "queue");
    check(jg_queue_init(&pipeline.primes, jg_task_loop(jg_task_current()), &options), "queue");
    jg_scope_enter(&upper, &(jg_scope_options){.name = "source"});
    jg_scope_enter(&lower, &(jg_scope_options){.name = "filter and sink", .shield = true});
    check(jg_spawn(&upper, source, &pipeline, NULL), "source");
    check(jg_spawn(&lower, filter, &pipeline, NULL), "filter");
    check(jg_spawn(&lower, sink, &pipeline, NULL), "sink");
    r = jg_scope_leave(&lower, 0);
    r = jg_scope_leave(&upper, r);

    report("numbers", &pipeline.numbers, pipeline.sourced, pipeline.tested);
    report("primes", &pipeline.primes, pipeline.passed, pipeline.printed);
    (void)jg_queue_fini(&pipeline.numbers); /* both are empty */
    (void)jg_queue_fini(&pipeline.primes);
    return r;
}

static int demonstrate(void *arg)
{
    int r = run("until the sink has ten", 10);

    (void)arg;
    if (r == 0)
        r = run("until Ctrl-C", INT32_MAX);
    return r == -ECANCELED ? 0 : r;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return check(jg_run(demonstrate, NULL, NULL), "pipeline");
}
