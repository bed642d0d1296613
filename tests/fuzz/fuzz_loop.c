/* SPDX-License-Identifier: MIT
 *
 * Calls, wakes, timers and watchers on a loop, started, changed and stopped as the bytes decide,
 * between turns and inside callbacks. The model knows what each turn has to call: the calls that
 * were queued, in their order, and the wakes that were sent; the watchers whose descriptors the
 * script has ready; the timers that are due, by deadline, equal ones in the order they were set.
 * Each of them unless it was stopped before its turn came, and nothing that was started meanwhile.
 */
#include "model.h"

enum { CALLS = 6, WAKES = 2, WATCHERS = 8, TIMERS = 10, DESCRIPTORS = 4, LINES = 32, ALL = 7 };

enum phase { OUTSIDE, FIRST, EVENTS, LAST }; /* of a turn, which only goes on */

struct call {
    jg_call call;
    bool due;
};

struct wake {
    jg_wake wake;
    bool started, sent, due;
    bool unref; /* it does not keep the loop alive, whenever it is started */
};

struct watcher {
    jg_watcher watcher;
    bool started, unref;
    bool fresh, changed; /* in this turn */
    int fd;
    unsigned wanted;
    int due; /* the events, or the error; 0: none */
};

struct timer {
    jg_timer timer;
    bool started, unref;
    jg_time deadline, interval;
    long order; /* of setting */
    long due;   /* the order as it was when the turn began; 0: not due */
};

/* What the script has of a descriptor. */
struct line {
    jg_time when;
    int fd, events;
};

static struct {
    jg_loop *loop;
    struct decisions decisions;
    enum phase phase;
    jg_time now; /* of the turn */
    long order;
    struct call calls[CALLS];
    struct call *queue[CALLS];
    int queued;
    struct wake wakes[WAKES];
    struct watcher watchers[WATCHERS];
    struct timer timers[TIMERS];
    struct line lines[LINES];
    int line_count;
    int failing[DESCRIPTORS]; /* lines that are errors */
    bool broken[DESCRIPTORS]; /* by one of them, in this turn */
} model;

static unsigned below(unsigned limit)
{
    return decide(&model.decisions, limit);
}

/* From none to years, all orders of magnitude alike. */
static jg_time span(void)
{
    unsigned bits = below(56);

    return bits < 3 ? (jg_time)bits : ((jg_time)1 << bits) + (jg_time)below(256) - 128;
}

static void phase_is(enum phase phase)
{
    model_check(model.phase != OUTSIDE && model.phase <= phase);
    model.phase = phase;
}

static void operate(void);

/* What a callback does. */
static void meddle(void)
{
    for (unsigned count = below(4); count > 1; count--)
        operate();
}

/* ---------------------------------------------------------------- calls, wakes */

static bool take_call(struct call *call)
{
    for (int i = 0; i < model.queued; i++) {
        if (model.queue[i] != call)
            continue;
        model.queued--;
        memmove(&model.queue[i], &model.queue[i + 1],
                (size_t)(model.queued - i) * sizeof(model.queue[0]));
        return true;
    }
    return false;
}

static void on_call(void *arg)
{
    struct call *call = arg;

    phase_is(FIRST);
    model_check(call->due && model.queued > 0 && model.queue[0] == call);
    (void)take_call(call);
    call->due = false;
    meddle();
}

static void operate_call(struct call *call)
{
    bool queued = false;

    for (int i = 0; i < model.queued; i++)
        queued |= model.queue[i] == call;
    if (below(4) > 0) {
        if (!queued)
            model.queue[model.queued++] = call;
        jg_call_soon(model.loop, &call->call);
    } else {
        model_check(jg_call_cancel(&call->call) == queued);
        (void)take_call(call);
        call->due = false;
    }
}

static void on_wake(void *arg)
{
    struct wake *wake = arg;

    phase_is(FIRST);
    model_check(wake->started && wake->due);
    wake->due = wake->sent = false;
    meddle();
}

static void operate_wake(struct wake *wake)
{
    if (wake->started && below(4) == 0) {
        jg_wake_stop(&wake->wake);
        wake->started = wake->sent = wake->due = false;
    } else if (wake->started) {
        jg_wake_send(&wake->wake);
        wake->sent = true;
    } else {
        jg_wake_start(model.loop, &wake->wake);
        wake->started = true;
    }
}

/* ---------------------------------------------------------------- watchers */

static void stopped(struct watcher *watcher)
{
    model_check(!jg_handle_started(&watcher->watcher.handle));
    watcher->started = false;
    watcher->due = 0;
}

static void on_event(void *arg, int events)
{
    struct watcher *watcher = arg;

    phase_is(EVENTS);
    model_check(watcher->started && watcher->due != 0);
    if (events < 0) {
        model_check(events == watcher->due);
        stopped(watcher);
    } else if (watcher->changed) {
        model_check(watcher->due > 0 && events && !(events & ~watcher->due));
    } else {
        model_check(!watcher->fresh);
        model_check(events == (watcher->due & (int)watcher->wanted));
    }
    watcher->due = 0;
    meddle();
}

/* With an error to come somebody has to want something, so that it comes. */
static unsigned some_events(int fd)
{
    unsigned events = below(ALL + 1);

    return events == 0 && model.failing[fd] ? JG_READ : events;
}

static void operate_watcher(struct watcher *watcher)
{
    int fd = watcher->started ? watcher->fd : (int)below(DESCRIPTORS);
    unsigned events = some_events(fd);

    if (model.phase != OUTSIDE && model.broken[fd])
        return; /* the descriptor is not there any more, as far as the script is concerned */
    if (!watcher->started) {
        model_check(jg_watcher_modify(&watcher->watcher, JG_READ) == -EINVAL);
        model_check(jg_watcher_start(model.loop, &watcher->watcher, fd, ALL + 1) == -EINVAL);
        model_check(jg_watcher_start(model.loop, &watcher->watcher, fd, events) == 0);
        watcher->started = watcher->fresh = true;
        watcher->changed = false;
        watcher->fd = fd;
        watcher->wanted = events;
    } else if (below(2)) {
        model_check(jg_watcher_modify(&watcher->watcher, events) == 0);
        watcher->wanted = events;
        watcher->changed = true;
    } else {
        model_check(jg_watcher_start(model.loop, &watcher->watcher, fd, events) == -EALREADY);
        jg_watcher_stop(&watcher->watcher);
        stopped(watcher);
    }
}

/* What those who watch a descriptor want together. */
static unsigned wanted_of(int fd, bool *ret_watched, bool *ret_paused)
{
    unsigned wanted = 0;

    *ret_watched = *ret_paused = false;
    for (int i = 0; i < WATCHERS; i++) {
        const struct watcher *watcher = &model.watchers[i];

        if (!watcher->started || watcher->fd != fd)
            continue;
        *ret_watched = true;
        *ret_paused |= watcher->wanted == 0;
        wanted |= watcher->wanted;
    }
    return wanted;
}

static bool is_taken(const struct line *line)
{
    bool watched, paused;
    unsigned wanted = wanted_of(line->fd, &watched, &paused);

    return line->events < 0 ? watched : (wanted & (unsigned)line->events) != 0;
}

static void announce(void)
{
    struct line line = {jg_loop_now(model.loop) + span() - 2, (int)below(DESCRIPTORS),
                        (int)(1 + below(ALL))};
    int place = model.line_count;
    bool watched, paused;

    if (place == LINES)
        return;
    (void)wanted_of(line.fd, &watched, &paused);
    if (!paused && below(8) == 0) {
        line.events = -EIO;
        model.failing[line.fd]++;
    }
    while (place > 0 && model.lines[place - 1].when > line.when)
        place--;
    memmove(&model.lines[place + 1], &model.lines[place],
            (size_t)(model.line_count - place) * sizeof(line));
    model.lines[place] = line;
    model.line_count++;
    model_check(jg_test_script(model.loop, line.when, line.fd, line.events) == 0);
}

/* The lines that the turn brings: one for a descriptor. */
static void take_lines(void)
{
    bool reported[DESCRIPTORS] = {false};
    int kept = 0, count = model.line_count, taken[DESCRIPTORS] = {0};

    memset(model.broken, 0, sizeof(model.broken));
    for (int i = 0; i < count; i++) {
        struct line line = model.lines[i];

        if (line.when > model.now || reported[line.fd] || !is_taken(&line)) {
            model.lines[kept++] = line;
            continue;
        }
        reported[line.fd] = true;
        model.broken[line.fd] = line.events < 0;
        taken[line.fd] = line.events;
        model.failing[line.fd] -= line.events < 0;
    }
    model.line_count = kept;
    for (int i = 0; i < WATCHERS; i++) {
        struct watcher *watcher = &model.watchers[i];

        watcher->fresh = watcher->changed = false;
        watcher->due = watcher->started ? taken[watcher->fd] : 0;
    }
}

/* ---------------------------------------------------------------- timers */

static void set(struct timer *timer, jg_time deadline, jg_time interval)
{
    timer->started = true;
    timer->deadline = deadline;
    timer->interval = interval;
    timer->order = ++model.order;
    timer->due = 0;
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void on_timer(void *arg)
{
    struct timer *timer = arg;

    phase_is(LAST);
    model_check(timer->started && timer->due);
    for (int i = 0; i < TIMERS; i++) /* none that is due should have come before */
        model_check(&model.timers[i] == timer || !model.timers[i].due ||
                    is_before(timer, &model.timers[i]));
    timer->due = 0;
    if (timer->interval > 0) {
        jg_time passed = model.now - timer->deadline;

        set(timer, timer->deadline + (passed / timer->interval + 1) * timer->interval,
            timer->interval);
    } else {
        timer->started = false;
    }
    model_check(jg_handle_started(&timer->timer.handle) == timer->started);
    meddle();
}

static void operate_timer(struct timer *timer)
{
    const jg_time now = jg_loop_now(model.loop);
    const struct timer *other = &model.timers[below(TIMERS)];
    jg_time delay = span();

    switch (below(6)) {
    case 0:
        jg_call_later(model.loop, &timer->timer, delay);
        set(timer, now + delay, 0);
        break;
    case 1:
        jg_call_at(model.loop, &timer->timer, now - delay);
        set(timer, now - delay, 0);
        break;
    case 2: /* the same as another one's */
        jg_call_at(model.loop, &timer->timer, other->deadline);
        set(timer, other->deadline, 0);
        break;
    case 3:
        delay = below(2) ? 1 + below(8) : delay + 129;
        model_check(jg_call_every(model.loop, &timer->timer, 0) == -EINVAL);
        model_check(jg_call_every(model.loop, &timer->timer, delay) == 0);
        set(timer, now + delay, delay);
        break;
    default:
        jg_timer_stop(&timer->timer);
        timer->started = false;
        timer->due = 0;
        break;
    }
}

/* ---------------------------------------------------------------- turns */

static void operate_reference(void)
{
    struct timer *timer = &model.timers[below(TIMERS)];
    struct watcher *watcher = &model.watchers[below(WATCHERS)];
    struct wake *wake = &model.wakes[below(WAKES)];
    bool unref = below(2);

    timer->unref = watcher->unref = wake->unref = unref;
    (unref ? jg_handle_unref : jg_handle_ref)(&timer->timer.handle);
    (unref ? jg_handle_unref : jg_handle_ref)(&watcher->watcher.handle);
    (unref ? jg_handle_unref : jg_handle_ref)(&wake->wake.handle);
}

static void operate(void)
{
    switch (below(8)) {
    case 0:
        operate_call(&model.calls[below(CALLS)]);
        break;
    case 1:
        operate_wake(&model.wakes[below(WAKES)]);
        break;
    case 2:
    case 3:
        operate_watcher(&model.watchers[below(WATCHERS)]);
        break;
    case 4:
        announce();
        break;
    case 5:
    case 6:
        operate_timer(&model.timers[below(TIMERS)]);
        break;
    default:
        operate_reference();
        break;
    }
}

static bool is_alive(void)
{
    bool alive = model.queued > 0;

    for (int i = 0; i < WAKES; i++)
        alive |= model.wakes[i].started && !model.wakes[i].unref;
    for (int i = 0; i < WATCHERS; i++)
        alive |= model.watchers[i].started && !model.watchers[i].unref;
    for (int i = 0; i < TIMERS; i++)
        alive |= model.timers[i].started && !model.timers[i].unref;
    return alive;
}

/* When the first thing happens for which the loop would wait; JG_FOREVER: never. */
static jg_time first_deadline(void)
{
    jg_time first = JG_FOREVER;

    for (int i = 0; i < TIMERS; i++) {
        if (model.timers[i].started && model.timers[i].deadline < first)
            first = model.timers[i].deadline;
    }
    for (int i = 0; i < model.line_count; i++) {
        if (model.lines[i].when < first && is_taken(&model.lines[i]))
            first = model.lines[i].when;
    }
    return first;
}

static bool was_sent(void)
{
    bool sent = false;

    for (int i = 0; i < WAKES; i++)
        sent |= model.wakes[i].sent;
    return sent;
}

static void turn(void)
{
    jg_time first = first_deadline(), now = jg_loop_now(model.loop);
    bool waits = below(2) && first != JG_FOREVER;
    int alive;

    model.now = now;
    if (waits && is_alive() && model.queued == 0 && !was_sent() && first > now)
        model.now = first;
    for (int i = 0; i < model.queued; i++)
        model.queue[i]->due = true;
    for (int i = 0; i < WAKES; i++)
        model.wakes[i].due = model.wakes[i].sent;
    take_lines();
    for (int i = 0; i < TIMERS; i++) {
        struct timer *timer = &model.timers[i];

        timer->due = timer->started && timer->deadline <= model.now ? timer->order : 0;
    }

    model.phase = FIRST;
    alive = jg_loop_run_once(model.loop, waits ? JG_FOREVER : 0);
    model.phase = OUTSIDE;
    model_check(jg_loop_time(model.loop) == model.now);
    model_check(alive == is_alive() || (alive && was_sent())); /* it may be queued by then */
    for (int i = 0; i < CALLS; i++)
        model_check(!model.calls[i].due);
    for (int i = 0; i < WAKES; i++)
        model_check(!model.wakes[i].due);
    for (int i = 0; i < TIMERS; i++)
        model_check(!model.timers[i].due);
    for (int i = 0; i < WATCHERS; i++) {
        const struct watcher *watcher = &model.watchers[i];

        model_check(watcher->fresh || watcher->changed || watcher->due >= 0);
        model_check(watcher->fresh || watcher->changed || !(watcher->due & (int)watcher->wanted));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&model, 0, sizeof(model));
    model.decisions = decisions_of_bytes(data, size);
    model.loop = model_loop();
    for (int i = 0; i < CALLS; i++)
        jg_call_init(&model.calls[i].call, on_call, &model.calls[i]);
    for (int i = 0; i < WAKES; i++)
        jg_wake_init(&model.wakes[i].wake, on_wake, &model.wakes[i]);
    for (int i = 0; i < WATCHERS; i++)
        jg_watcher_init(&model.watchers[i].watcher, on_event, &model.watchers[i]);
    for (int i = 0; i < TIMERS; i++)
        jg_timer_init(&model.timers[i].timer, on_timer, &model.timers[i]);

    while (!decisions_over(&model.decisions)) {
        operate();
        if (below(8) == 0)
            model_check(jg_test_advance(model.loop, below(2) ? below(16) : span() + 126) == 0);
        if (below(3) == 0)
            turn();
        if (jg_loop_now(model.loop) > JG_FOREVER / 8)
            break;
    }

    for (int i = 0; i < CALLS; i++)
        (void)jg_call_cancel(&model.calls[i].call);
    for (int i = 0; i < WAKES; i++)
        jg_wake_stop(&model.wakes[i].wake);
    for (int i = 0; i < WATCHERS; i++)
        jg_watcher_stop(&model.watchers[i].watcher);
    for (int i = 0; i < TIMERS; i++)
        jg_timer_stop(&model.timers[i].timer);
    model_check(jg_loop_run_once(model.loop, 0) == 0);
    model_check(jg_loop_free(model.loop) == 0);
    return 0;
}
