/* SPDX-License-Identifier: MIT
 *
 * Rate limit: calls to a service that allows three at once and forty a second, by two semaphores,
 * one of which a timer fills.
 */
#include "common.h"

#define AT_ONCE  3
#define PER_CALL (25 * JG_MILLISECOND)
#define CALLS    12

struct limiter {
    jg_semaphore slots;  /* one for each call that may be in flight */
    jg_semaphore starts; /* one for each that may begin by now; unused ones do not pile up */
    jg_timer timer;
    jg_time began;
    int in_flight;
};

struct call {
    struct limiter *limiter;
    int number;
};

static void allow_one(void *arg)
{
    struct limiter *limiter = arg;

    if (jg_semaphore_value(&limiter->starts) == 0)
        jg_semaphore_release(&limiter->starts);
}

static void say(const struct call *call, const char *what)
{
    const struct limiter *limiter = call->limiter;
    jg_loop *loop = jg_task_loop(jg_task_current());

    printf("%4d ms: call %d %s, %d in flight\n",
           (int)((jg_loop_now(loop) - limiter->began) / JG_MILLISECOND), call->number, what,
           limiter->in_flight);
}

/* Stands for the call itself: the first ones are fast, the others slow. */
static int talk(const struct call *call)
{
    return jg_sleep((call->number <= CALLS / 2 ? 20 : 100) * JG_MILLISECOND);
}

static int make_call(void *arg)
{
    const struct call *call = arg;
    struct limiter *limiter = call->limiter;
    int r = jg_semaphore_acquire(&limiter->slots);

    if (r < 0)
        return r;

    r = jg_semaphore_acquire(&limiter->starts);
    if (r == 0) {
        limiter->in_flight++;
        say(call, "begins");
        r = talk(call);
        limiter->in_flight--;
        say(call, "ends");
    }
    jg_semaphore_release(&limiter->slots);
    return r;
}

static int make_calls(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    struct limiter limiter = {.began = jg_loop_now(loop)};
    struct call calls[CALLS];
    jg_job jobs[CALLS];
    int r;

    (void)arg;
    jg_semaphore_init(&limiter.slots, AT_ONCE, AT_ONCE);
    jg_semaphore_init(&limiter.starts, 1, 1);
    jg_timer_init(&limiter.timer, allow_one, &limiter);
    r = jg_call_every(loop, &limiter.timer, PER_CALL);
    if (r < 0)
        return r;

    for (int i = 0; i < CALLS; i++) {
        calls[i] = (struct call){&limiter, i + 1};
        jobs[i] = (jg_job){.fn = make_call, .arg = &calls[i]};
    }
    r = jg_gather(jobs, CALLS, JG_FAIL_FAST);
    jg_timer_stop(&limiter.timer);
    return r;
}

int main(void)
{
    return check(jg_run(make_calls, NULL, NULL), "calls");
}
