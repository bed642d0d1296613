/* SPDX-License-Identifier: MIT
 *
 * The loop: its life, and its turn as numbered in <juggle/loop.h>.
 */
#include "core/loop.h"

#include "base/time.h"

#include <errno.h>

#define DEFAULT_MAX_EVENTS 128
#define HIGHEST_MAX_EVENTS 65536

uintptr_t jg__loops[256];

/* Put one entry of the table where another is, if it is there. */
static void enter_in_table(uintptr_t old, uintptr_t new)
{
    size_t i = 0;

    while (i < sizeof(jg__loops) / sizeof(*jg__loops)) {
        uintptr_t found = old;

        if (jg__compare_exchange(&jg__loops[i], &found, new))
            return;
        if (found != old)
            i++;
    }
}

static int validate(const jg_loop_options *options)
{
    const unsigned known = JG_LOOP_VIRTUAL_TIME | JG_LOOP_REAP_ON_SIGCHLD;

    if (options->flags & ~known || options->max_events > HIGHEST_MAX_EVENTS ||
        options->slow_callback < 0)
        return -EINVAL;
    return jg__poller_find(options->backend) ? 0 : -ENOTSUP;
}

static void release(jg_loop *loop)
{
    const jg_allocator allocator = loop->allocator;

    for (int i = 0; i < JG__PARTS; i++) {
        if (loop->parts[i])
            loop->parts[i]->free(loop->parts[i]);
    }
    if (loop->poller)
        loop->poller->ops->close(loop->poller);
    jg__watchers_fini(loop);
    jg__free(&allocator, loop, sizeof(*loop));
}

static void init_lists(jg_loop *loop)
{
    jg__list_init(&loop->ready);
    jg__list_init(&loop->batch);
    jg__list_init(&loop->due);
    jg__list_init(&loop->wakes);
    jg__list_init(&loop->signals);
    jg__list_init(&loop->children);
    jg__list_init(&loop->roots);
}

int jg_loop_new(const jg_loop_options *options, jg_loop **ret_loop)
{
    static const jg_loop_options defaults = {0};
    const jg__poller_ops *ops;
    jg_allocator allocator;
    unsigned max_events;
    jg_loop *loop;
    int r;

    if (!options)
        options = &defaults;
    r = validate(options);
    if (r == 0)
        r = jg__fork_watch();
    if (r < 0)
        return r;

    allocator = options->allocator ? *options->allocator : jg__malloc;
    loop = jg__alloc(&allocator, sizeof(*loop));
    if (!loop)
        return -ENOMEM;

    ops = jg__poller_find(options->backend);
    max_events = options->max_events ? options->max_events : DEFAULT_MAX_EVENTS;
    *loop = (jg_loop){
        .thread = jg__thread_self(),
        .forks = jg__fork_count,
        .on_error = options->on_error,
        .on_error_arg = options->on_error_arg,
        .flags = options->flags,
        .slow_callback = options->slow_callback,
        .allocator = allocator,
        .clock.is_virtual = ops->moves_clock || options->flags & JG_LOOP_VIRTUAL_TIME,
    };
    if (ops->moves_clock)
        loop->flags |= JG_LOOP_REAP_ON_SIGCHLD; /* no kernel to watch a process descriptor */
    init_lists(loop);
    jg__wheel_init(&loop->wheel, jg__clock_now(&loop->clock));

    r = jg__watchers_init(loop, max_events);
    if (r == 0)
        r = ops->open(&loop->allocator, max_events, &loop->clock, &loop->poller);
    if (r < 0) {
        release(loop);
        return r;
    }

    jg__sigport_open(&loop->port, loop->poller);
    enter_in_table(0, ~(uintptr_t)loop);
    *ret_loop = loop;
    return 0;
}

int jg_loop_free(jg_loop *loop)
{
    int leaked = 0;

    if (!loop)
        return 0;

    jg__check_thread(loop);
    jg__check(!loop->running || jg__loop_forked(loop), "the loop is running");
    for (int i = 0; i < JG__PARTS; i++) {
        if (loop->parts[i] && loop->parts[i]->close)
            leaked += loop->parts[i]->close(loop->parts[i]);
    }
    leaked += jg__loop_stop_all(loop);
    while (jg__load(&loop->senders) > 0 && !jg__loop_forked(loop))
        jg__thread_yield(); /* for the few instructions that it takes them to be done */
    jg__sigport_close(&loop->port);
    enter_in_table(~(uintptr_t)loop, 0);
    release(loop);
    return leaked;
}

void jg__loop_error(jg_loop *loop, int error, const char *what)
{
    if (loop->on_error)
        loop->on_error(loop->on_error_arg, error, what);
}

bool jg_loop_alive(const jg_loop *loop)
{
    return loop->active > 0 || !jg__list_empty(&loop->ready) || !jg__list_empty(&loop->batch);
}

jg_time jg_loop_now(const jg_loop *loop)
{
    return jg__clock_now(&loop->clock);
}

jg_time jg_loop_time(jg_loop *loop)
{
    jg__check_thread(loop);
    return jg__loop_time(loop);
}

/* Something other threads or signal handlers left for us. */
static bool was_poked(jg_loop *loop)
{
    return jg__inbox_full(loop) || jg__signals_pending(loop);
}

/*
 * Step 1, and how long step 2 may take, with `limit` the latest time that it may end. Other threads
 * know from here on that they must wake the poller, unless there is no sleep.
 */
static jg_time prepare(jg_loop *loop, jg_time limit)
{
    jg_time next;
    void (*before_wait)(jg_loop *) = loop->before_wait;
    int r;

    if (before_wait) {
        loop->before_wait = NULL;
        before_wait(loop);
    }
    if (loop->rebuild) {
        r = jg__watchers_rebuild(loop, false);
        loop->rebuild = false;
        if (r < 0)
            jg__loop_error(loop, r, "cannot renew the poller to forget closed descriptors");
    }

    if (loop->changed_count > 0 && jg__watchers_flush(loop))
        return 0;
    if (loop->stopping || !jg__list_empty(&loop->ready) || !jg__list_empty(&loop->batch) ||
        limit == 0)
        return 0;
    if (loop->before_wait || jg__watchers_busy(loop))
        return 0;
    if (before_wait && !jg_loop_alive(loop))
        return 0; /* that was all there was to do */

    next = jg__wheel_next(&loop->wheel);
    if (limit < next)
        next = limit;
    if (next != JG_FOREVER)
        next = jg__time_until(next, jg_loop_now(loop));
    if (next == 0)
        return 0;

    loop->counters.sleeps++;
    jg__store(&loop->sleeping, 1);
    return was_poked(loop) ? 0 : next;
}

/*
 * Whether the poller has nothing to say now. With no descriptor it knows of wake-ups alone, which
 * leave word with the loop; but where another loop watches ours it has to be told that they came.
 */
static bool has_no_news(const jg_loop *loop)
{
    return loop->registered == 0 && !loop->is_watched;
}

/* Step 2. Returns how many events there are, or an error. */
static int wait_for_events(jg_loop *loop, jg_time timeout)
{
    const jg__poller_ops *ops = loop->poller->ops;
    bool jump = loop->clock.is_virtual && !ops->moves_clock && timeout != JG_FOREVER;
    int n;

    loop->generation_at_wait = loop->generation;
    if (timeout == 0 && has_no_news(loop)) {
        jg__store_relaxed(&loop->sleeping, 0);
        return 0;
    }

    n = ops->wait(loop->poller, loop->events, loop->max_events, jump ? 0 : timeout);
    jg__store_relaxed(&loop->sleeping, 0);
    if (jump && n == 0 && !was_poked(loop))
        loop->clock.virtual_now += timeout;

    /* After a signal the turn goes on; if there is nothing to run, the next one waits again. */
    return n == -EINTR ? 0 : n;
}

/* Step 3. Returns how many of the n events are left for step 4. */
static int collect(jg_loop *loop, int n)
{
    loop->time_known = false;
    if (loop->has_edges && n > 0) {
        jg__list_splice(&loop->batch, &loop->ready);
        n = jg__watchers_collect(loop, n);
    }
    if (jg__inbox_full(loop))
        jg__inbox_drain(loop);
    if (jg__signals_pending(loop))
        jg__signals_drain(loop);
    jg__list_splice(&loop->batch, &loop->ready);

    loop->has_due = !jg__wheel_empty(&loop->wheel) &&
                    jg__wheel_advance(&loop->wheel, jg__loop_time(loop), &loop->due);
    return n;
}

static inline void run_batch(jg_loop *loop)
{
    while (!jg__list_empty(&loop->batch)) {
        jg_call *call = jg__container_of(jg__list_pop(&loop->batch), jg_call, link);

        call->fn(call->arg);
    }
}

/* What came in step 4 is called before what is due. */
__attribute__((noinline)) static void run_late(jg_loop *loop)
{
    if (loop->slow_callback > 0)
        jg__lap_batch(loop);
    run_batch(loop);
}

/* Step 4. Returns whether anything was called. */
static bool run(jg_loop *loop, int events)
{
    bool called = !jg__list_empty(&loop->batch);

    if (loop->slow_callback > 0)
        jg__lap_turn(loop);
    run_batch(loop);
    if (events > 0 || loop->changed_count > 0 || loop->always_count > 0)
        called |= jg__watchers_dispatch(loop, events);
    if (!jg__list_empty(&loop->batch))
        run_late(loop);
    if (loop->has_due)
        called |= jg__timers_run(loop);
    return called;
}

/* One turn. Returns 1 if it called anything, 0 if not, or an error. */
static int turn(jg_loop *loop, jg_time limit)
{
    int n;

    if (jg__loop_forked(loop))
        return JG_EFORKED;

    loop->counters.turns++;
    n = wait_for_events(loop, prepare(loop, limit));
    if (n < 0)
        return n;

    loop->turns++;
    n = collect(loop, n);
    if (loop->shuffle)
        jg__loop_shuffle(loop, n);
    return run(loop, n);
}

static int enter(jg_loop *loop)
{
    if (loop->running)
        return -EBUSY;

    loop->running = true;
    if (loop->slow_callback > 0)
        loop->lap = jg_loop_now(loop);
    return 0;
}

static void leave(jg_loop *loop)
{
    loop->running = false;
    loop->was_stopped = loop->stopping;
    loop->stopping = false;
}

int jg_loop_run(jg_loop *loop)
{
    int r;

    jg__check_thread(loop);
    r = enter(loop);
    if (r < 0)
        return r;

    while (jg_loop_alive(loop) || loop->stopping) {
        r = turn(loop, JG_FOREVER);
        if (r < 0 || loop->stopping)
            break;
    }
    leave(loop);
    return r < 0 ? r : 0;
}

int jg_loop_run_once(jg_loop *loop, jg_time timeout)
{
    jg_time limit = JG_FOREVER;
    int r;

    jg__check_thread(loop);
    r = enter(loop);
    if (r < 0)
        return r;

    if (timeout == 0 || !jg_loop_alive(loop))
        limit = 0;
    else if (timeout > 0)
        limit = jg__time_add(jg_loop_now(loop), timeout);

    /* A wait may end early and for nothing: by a foreign signal, or for a timer that was stopped. Or
       there was none, since all that was left to do was done before it. */
    do
        r = turn(loop, limit);
    while (r == 0 && limit > 0 && !loop->stopping && jg_loop_alive(loop) &&
           jg_loop_now(loop) < limit);

    if (r >= 0)
        r = jg_loop_alive(loop) && !loop->stopping;
    leave(loop);
    return r;
}

void jg_loop_stop(jg_loop *loop)
{
    jg__check_thread(loop);
    loop->stopping = true;
}

jg_time jg_loop_prepare(jg_loop *loop)
{
    jg__check_thread(loop);
    if (jg__loop_forked(loop))
        return 0;
    return prepare(loop, JG_FOREVER);
}

int jg_loop_fd(jg_loop *loop)
{
    jg__check_thread(loop);
    loop->is_watched = true;
    return loop->poller->ops->fd(loop->poller);
}

const char *jg_loop_backend(const jg_loop *loop)
{
    return loop->poller->ops->name;
}

int jg_loop_adopt(jg_loop *loop)
{
    int r = 0;

    if (loop->running)
        return -EBUSY;

    for (int i = 0; i < JG__PARTS && r == 0; i++) {
        if (loop->parts[i] && loop->parts[i]->adopt)
            r = loop->parts[i]->adopt(loop->parts[i]);
    }
    if (r == 0)
        loop->thread = jg__thread_self();
    return r;
}

int jg_loop_fork(jg_loop *loop)
{
    int r;

    if (!jg__loop_forked(loop))
        return 0;
    if (loop->running)
        return -EBUSY;

    r = jg__watchers_rebuild(loop, true);
    if (r < 0)
        return r;

    loop->thread = jg__thread_self();
    loop->forks = jg__fork_count;
    loop->rebuild = false;
    loop->sleeping = 0;
    loop->senders = 0;
    jg__signals_adopt(loop);
    jg__children_disown(loop);
    for (int i = 0; i < JG__PARTS; i++) {
        if (loop->parts[i] && loop->parts[i]->forked)
            loop->parts[i]->forked(loop->parts[i]);
    }
    return 0;
}
