/* SPDX-License-Identifier: MIT
 *
 * Timers: one that fires once, one that repeats, an idle timeout that activity pushes back.
 */
#include "common.h"

static jg_loop *loop;
static jg_time start;
static jg_timer once, tick, idle;

static void say(const char *what)
{
    printf("%4d ms  %s\n", (int)((jg_loop_now(loop) - start) / JG_MILLISECOND), what);
}

static void on_tick(void *arg)
{
    (void)arg;
    say("tick");
    /* To set a timer that is started moves it, and costs next to nothing. */
    jg_call_later(loop, &idle, 100 * JG_MILLISECOND);
}

static void on_once(void *arg)
{
    (void)arg;
    say("once: no more ticks");
    jg_timer_stop(&tick);
}

static void on_idle(void *arg)
{
    (void)arg;
    say("idle: no tick for 100 ms");
}

int main(void)
{
    check(jg_loop_new(NULL, &loop), "loop");
    jg_timer_init(&once, on_once, NULL);
    jg_timer_init(&tick, on_tick, NULL);
    jg_timer_init(&idle, on_idle, NULL);

    start = jg_loop_now(loop);
    jg_call_later(loop, &once, 225 * JG_MILLISECOND);
    check(jg_call_every(loop, &tick, 50 * JG_MILLISECOND), "tick");
    jg_call_later(loop, &idle, 100 * JG_MILLISECOND);

    /* Runs until no timer is left, for about 300 ms. */
    check(jg_loop_run(loop), "loop");
    return jg_loop_free(loop);
}
