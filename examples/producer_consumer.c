/* SPDX-License-Identifier: MIT
 *
 * Producers and consumers around one queue: a limit that slows the fast side down, and a Ctrl-C
 * after which no item that was accepted is lost.
 *
 * Ctrl-C cancels the producers. The last of them to end shuts the queue down, and the consumers,
 * which are shielded, get what is left in it.
 */
#include "common.h"

enum { PRODUCERS = 3, CONSUMERS = 2, LIMIT = 8 };

static jg_queue queue;
static int producing;
static uint64_t accepted, done;

static int produce(void *arg)
{
    int number = *(const int *)arg;
    int r = 0;

    producing++;
    while (r == 0) {
        r = jg_queue_put(&queue, &number); /* waits while the queue is full */
        accepted += r == 0;
        number += PRODUCERS;
    }

    producing--;
    if (producing == 0)
        (void)jg_queue_shutdown(&queue, false); /* which drops nothing */
    return r;
}

static int consume(void *arg)
{
    int number, r;

    (void)arg;
    while ((r = jg_queue_get(&queue, &number)) == 0) {
        check(jg_sleep(2 * JG_MILLISECOND), "work"); /* nothing cancels it behind the shield */
        done++;
        check(jg_queue_task_done(&queue), "done");
        if (done % 50 == 0)
            printf("%llu done, %zu wait; end it with Ctrl-C\n", (unsigned long long)done,
                   jg_queue_size(&queue));
    }
    return r == JG_ESHUTDOWN ? 0 : r;
}

static int run(void *arg)
{
    jg_scope producers, consumers;
    int numbers[PRODUCERS];
    int r = 0;

    (void)arg;
    check(jg_queue_init(&queue, jg_task_loop(jg_task_current()),
                        &(jg_queue_options){.item_size = sizeof(int), .limit = LIMIT}),
          "queue");

    jg_scope_enter(&producers, &(jg_scope_options){.name = "producers"});
    jg_scope_enter(&consumers, &(jg_scope_options){.name = "consumers", .shield = true});
    for (int i = 0; i < CONSUMERS && r == 0; i++)
        r = jg_spawn(&consumers, consume, NULL, NULL);
    for (int i = 0; i < PRODUCERS && r == 0; i++) {
        numbers[i] = i;
        r = jg_spawn(&producers, produce, &numbers[i], NULL);
    }
    check(r, "coroutines");
    check(jg_scope_leave(&consumers, 0), "consumers");
    r = jg_scope_leave(&producers, 0);

    return r == -ECANCELED ? 0 : r; /* that was Ctrl-C */
}

static int run_and_report(void *arg)
{
    jg_queue_stats stats;
    int r = run(arg);

    jg_queue_stat(&queue, &stats);
    printf("accepted %llu, done %llu, dropped %llu; at most %zu waited\n",
           (unsigned long long)accepted, (unsigned long long)done,
           (unsigned long long)stats.dropped, stats.peak);
    (void)jg_queue_fini(&queue); /* it is empty */
    return r;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return check(jg_run(run_and_report, NULL, NULL), "producer_consumer");
}
