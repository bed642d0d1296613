/* SPDX-License-Identifier: MIT
 *
 * Callbacks that take long, and what only a loop that looks for them counts.
 *
 * Whatever a callback belongs to may be gone when it returns. So what is called is noted before.
 * The clock is read once a callback: where one ends the next begins, and what the loop does in
 * between is little.
 */
#include "core/loop.h"

#include "platform/symbol.h"

static void note(jg__lap *lap, const char *kind, uintptr_t function, int number)
{
    *lap = (jg__lap){.kind = kind, .function = function, .number = number};
}

static void note_call(const jg_loop *loop, const jg_call *call, jg__lap *lap)
{
    note(lap, "call", jg__address(call->fn), -1);
    if (jg__wake_owns(call)) {
        note(lap, "wake", jg__address(jg__container_of(call, jg_wake, call)->fn), -1);
    } else if (jg__signal_owns(call)) {
        const jg_signal *signal = jg__container_of(call, jg_signal, call);

        note(lap, "signal", jg__address(signal->fn), signal->handle.number);
    } else if (jg__child_owns(call)) {
        const jg_child *child = jg__container_of(call, jg_child, call);

        note(lap, "child", jg__address(child->fn), child->handle.number);
    } else if (loop->note_call) {
        loop->note_call(call, lap);
    }
}

void jg__lap_begin_event(const jg_loop *loop, int fd, int events, jg__lap *lap)
{
    const jg_watcher *w = loop->descriptors[fd].watchers;

    /* If several want the event, the first stands for all of them. */
    while (w && w->next && events > 0 && !(events & w->handle.events))
        w = w->next;
    if (w && jg__child_watches(w)) {
        const jg_child *child = jg__container_of(w, jg_child, watcher);

        note(lap, "child", jg__address(child->fn), child->handle.number);
    } else {
        note(lap, "watcher", w ? jg__address(w->fn) : 0, fd);
    }
}

static void report(jg_loop *loop, const jg__lap *lap, jg_time took)
{
    jg__line line;

    jg__line_init(&line);
    jg__line_add(&line, "%s ", lap->kind);
    if (lap->name[0])
        jg__line_add_name(&line, lap->name);
    else
        jg__line_add_symbol(&line, lap->function);
    if (lap->number >= 0)
        jg__line_add(&line, " (number %d)", lap->number);
    jg__line_add(&line, " took ");
    jg__line_add_time(&line, took);
    jg__loop_error(loop, JG_ESLOW, line.text);
}

void jg__lap_end(jg_loop *loop, const jg__lap *lap)
{
    jg_counters *counters = &loop->counters;
    jg_time now = jg_loop_now(loop);
    jg_time took = now - loop->lap;

    loop->lap = now;
    counters->calls++;
    if (took > counters->longest_call)
        counters->longest_call = took;
    if (now - loop->turn_began > counters->longest_turn)
        counters->longest_turn = now - loop->turn_began;
    if (took < loop->slow_callback)
        return;

    counters->slow++;
    report(loop, lap, took);
    loop->lap = jg_loop_now(loop); /* the report is nobody's fault */
}

void jg__lap_batch(jg_loop *loop)
{
    while (!jg__list_empty(&loop->batch)) {
        jg_call *call = jg__container_of(jg__list_pop(&loop->batch), jg_call, link);
        jg__lap lap;

        note_call(loop, call, &lap);
        call->fn(call->arg);
        jg__lap_end(loop, &lap);
    }
}

void jg__lap_turn(jg_loop *loop)
{
    jg_time now = jg_loop_now(loop);

    loop->counters.idle += now - loop->lap;
    loop->lap = loop->turn_began = now;
    jg__lap_batch(loop);
}

void jg__lap_timer(jg_loop *loop, jg_call_fn fn, void *arg)
{
    jg__lap lap;

    note(&lap, "timer", jg__address(fn), -1);
    fn(arg);
    jg__lap_end(loop, &lap);
}

jg_counters jg_loop_counters(const jg_loop *loop)
{
    return loop->counters;
}
