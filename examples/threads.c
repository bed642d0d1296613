/* SPDX-License-Identifier: MIT
 *
 * Work for other threads: each job that is done wakes the loop, which ticks on meanwhile.
 */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 3, JOBS = 8 };

struct job {
    int limit, primes;
    jg_wake done;
};

static struct job jobs[JOBS];
static atomic_int taken; /* jobs before this index have gone to a thread */
static int finished, ticks;
static jg_loop *loop;

static int count_primes(int limit)
{
    int count = 0;

    for (int n = 2; n < limit; n++) {
        int divisor = 2;

        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        count += divisor * divisor > n;
    }
    return count;
}

static void *work(void *arg)
{
    int i;

    (void)arg;
    while ((i = atomic_fetch_add(&taken, 1)) < JOBS) {
        jobs[i].primes = count_primes(jobs[i].limit);
        jg_wake_send(&jobs[i].done); /* what was written before, the callback sees */
    }
    return NULL;
}

static void on_done(void *arg)
{
    (void)arg;
    printf("%d of %d jobs are done\n", ++finished, JOBS);
    if (finished == JOBS)
        jg_loop_stop(loop);
}

static void on_tick(void *arg)
{
    (void)arg;
    ticks++;
}

int main(void)
{
    pthread_t threads[THREADS];
    jg_timer tick;

    check(jg_loop_new(NULL, &loop), "loop");
    jg_timer_init(&tick, on_tick, NULL);
    check(jg_call_every(loop, &tick, JG_MILLISECOND), "tick");
    for (int i = 0; i < JOBS; i++) {
        jobs[i].limit = 20000 * (i + 1);
        jg_wake_init(&jobs[i].done, on_done, NULL);
        jg_wake_start(loop, &jobs[i].done);
    }
    for (int i = 0; i < THREADS; i++)
        check(-pthread_create(&threads[i], NULL, work, NULL), "thread");

    check(jg_loop_run(loop), "loop");
    for (int i = 0; i < THREADS; i++)
        check(-pthread_join(threads[i], NULL), "thread");
    for (int i = 0; i < JOBS; i++) {
        printf("%d primes are below %d\n", jobs[i].primes, jobs[i].limit);
        jg_wake_stop(&jobs[i].done); /* not before the threads have ended: they might be in send */
    }
    printf("the loop %s meanwhile\n", ticks > 0 ? "ticked" : "stood still");
    jg_timer_stop(&tick);
    return jg_loop_free(loop);
}
