/* SPDX-License-Identifier: MIT
 *
 * Timers: the wheel, the clock and the turn.
 */
#include "base/time.h"
#include "core/loop.h"

#include <errno.h>

void jg_timer_init(jg_timer *timer, jg_call_fn fn, void *arg)
{
    *timer = (jg_timer){.fn = fn, .arg = arg};
    jg__handle_init(&timer->handle);
}

static void set(jg_loop *loop, jg_timer *timer, jg_time deadline, jg_time interval)
{
    if (timer->handle.loop) {
        jg__check(timer->handle.loop == loop, "the timer is started on another loop");
        timer->interval = interval;
        if (jg__wheel_extend(&loop->wheel, timer, deadline))
            return;
        jg__wheel_remove(&loop->wheel, timer);
    } else {
        jg__handle_start(loop, &timer->handle);
    }
    timer->deadline = deadline;
    timer->interval = interval;
    jg__wheel_insert(&loop->wheel, timer);
}

void jg_call_later(jg_loop *loop, jg_timer *timer, jg_time delay)
{
    jg__check_thread(loop);
    set(loop, timer, jg__time_add(jg_loop_now(loop), delay), 0);
}

void jg_call_at(jg_loop *loop, jg_timer *timer, jg_time deadline)
{
    jg__check_thread(loop);
    set(loop, timer, deadline, 0);
}

int jg_call_every(jg_loop *loop, jg_timer *timer, jg_time interval)
{
    jg__check_thread(loop);
    if (interval < 1)
        return -EINVAL;

    set(loop, timer, jg__time_add(jg_loop_now(loop), interval), interval);
    return 0;
}

void jg_timer_stop(jg_timer *timer)
{
    jg_loop *loop = timer->handle.loop;

    if (!loop)
        return;

    jg__check_thread(loop);
    jg__wheel_remove(&loop->wheel, timer);
    jg__handle_stop(&timer->handle);
}

/* The first deadline on the timer's grid that is still to come. */
static jg_time next_on_grid(const jg_timer *timer, jg_time now)
{
    jg_time next = jg__time_add(timer->deadline, timer->interval);

    if (next > now)
        return next;
    return jg__time_add(now - (now - timer->deadline) % timer->interval, timer->interval);
}

bool jg__timers_run(jg_loop *loop)
{
    bool called = false;

    do {
        while (!jg__list_empty(&loop->due)) {
            jg_timer *timer = jg__container_of(jg__list_pop(&loop->due), jg_timer, link);

            if (timer->interval > 0) {
                timer->deadline = next_on_grid(timer, loop->wheel.horizon);
                jg__wheel_insert(&loop->wheel, timer);
            } else {
                jg__handle_stop(&timer->handle);
            }
            called = true;
            loop->counters.timers++;
            if (__builtin_expect(loop->slow_callback > 0, 0))
                jg__lap_timer(loop, timer->fn, timer->arg);
            else
                timer->fn(timer->arg);
        }
    } while (jg__wheel_take(&loop->wheel, &loop->due));
    return called;
}
