/* SPDX-License-Identifier: MIT
 *
 * The loop as its own modules see it: loop.c turns it; timer.c, watcher.c, wake.c, signal.c and
 * child.c each keep one kind of object; walk.c shows them.
 *
 * Invariants: `active` counts the started handles that are not unref'd. A handle is started exactly
 * if its `loop` is set. All fields belong to the loop's thread, but for `inbox`, `sleeping`,
 * `senders` and the signal port.
 */
#ifndef JG_CORE_LOOP_H
#define JG_CORE_LOOP_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/check.h"
#include "base/list.h"
#include "base/line.h"
#include "core/wheel.h"
#include "platform/poller.h"
#include "platform/signals.h"
#include "platform/thread.h"

#include <juggle/loop.h>

/* Flags of handles. */
#define JG__UNREF  (1u << 0) /* does not keep the loop alive */
#define JG__HIDDEN (1u << 1) /* part of another object: not shown by a walk */
#define JG__FAILED (1u << 2) /* a watcher whose descriptor is gone: `wanted` is the error */
#define JG__FRESH \
    (1u << 3) /* a watcher started since the last wait: `events` comes with the next */

typedef struct jg__descriptor {
    jg_watcher *watchers; /* in the order they were started */
    uint32_t generation;  /* of the registration */
    uint8_t wanted;       /* what the watchers want */
    uint8_t known;        /* what the kernel was asked for */
    uint8_t flags;        /* see watcher.c */
} jg__descriptor;

/* What the layers above keep for a loop: the first member of a struct of theirs. */
typedef struct jg__part {
    int (*close)(struct jg__part *part);   /* before the objects are stopped; returns the leaks */
    void (*free)(struct jg__part *part);   /* at last; has to be there, the others may be NULL */
    int (*adopt)(struct jg__part *part);   /* see jg_loop_adopt; may be asked again, if one fails */
    void (*forked)(struct jg__part *part); /* in jg_loop_fork, with the loop whole again */
} jg__part;

enum { JG__PART_COROS, JG__PART_EXECUTORS, JG__PART_STREAMS, JG__PART_PROCESSES, JG__PARTS };

/* What is being called, while slow callbacks are looked for. */
typedef struct jg__lap {
    const char *kind;
    uintptr_t function;
    int number;    /* descriptor, signal or process; -1 where there is none */
    char name[72]; /* of a task; else empty */
} jg__lap;

struct jg_loop {
    jg_link batch;    /* calls of this turn; events may add to it */
    jg_link ready;    /* calls for the next turn */
    jg_link due;      /* timers of this turn */
    uintptr_t thread; /* whose loop this is */
    unsigned forks;   /* jg__fork_count when it was made */
    unsigned active;
    bool running;
    bool stopping;
    bool was_stopped; /* the last run ended so */
    bool time_known;  /* `time` was read in this turn */
    bool has_due;     /* there may be timers to run in this turn */
    bool rebuild;     /* the kernel reports what it should have forgotten */
    bool has_edges;   /* there have been edge-triggered watchers */
    uint16_t turns;   /* counted, modulo 65536 */
    jg_time time;
    jg__clock clock;

    /* Watchers. */
    jg__poller *poller;
    jg__descriptor *descriptors; /* indexed by descriptor */
    int *changed;                /* descriptors whose interest may have changed */
    int *always;                 /* descriptors that are always ready */
    int reach;                   /* capacity of these three */
    int changed_count, always_count;
    int registered;      /* descriptors that the poller knows */
    bool is_watched;     /* by another loop: jg_loop_fd was asked for */
    int always_next;     /* in `always`, while it is dispatched */
    uint32_t generation; /* the last one given out */
    uint32_t generation_at_wait;
    jg_watcher *cursor; /* next watcher of the descriptor being dispatched; else NULL */
    jg__event *events;
    int max_events;

    /* From other threads and from signal handlers. */
    jg_call *inbox; /* newest first, linked by link.next */
    int sleeping;   /* whoever sets it back to 0 wakes the poller */
    int senders;    /* threads that look at the loop without keeping it alive */
    jg_link wakes;
    jg__sigport port;
    jg_link signals;

    jg_link children;
    jg_signal child_signal; /* started while children need it */

    jg_link roots; /* scopes of the layer above that are in no other */

    jg__part *parts[JG__PARTS];         /* made when they are first needed, until then NULL */
    void (*before_wait)(jg_loop *loop); /* called once before the next wait; or NULL */

    /* Of the test kit: a task in a tested scope spawns, starts something or begins to wait. */
    jg_call_fn on_point;
    void *on_point_arg;

    /* For those who watch. */
    jg_counters counters;
    uint64_t tasks_spawned, tasks_ended; /* of the layer above */
    jg_time slow_callback;               /* 0: nobody looks */
    jg_time lap;                         /* when the callback that runs began, or the last ended */
    jg_time turn_began;
    void (*note_call)(const jg_call *call, jg__lap *lap); /* of the layer above, or NULL */

    jg_error_fn on_error;
    void *on_error_arg;
    unsigned flags;
    uint64_t shuffle; /* random bits of jg_test_shuffle; 0: what is ready runs in order */
    jg_allocator allocator;
    jg__wheel wheel;
};

/*
 * The loops of the process, for debuggers. Bitwise complements of the addresses, which checkers for
 * leaks do not take for references.
 */
extern uintptr_t jg__loops[256];

#define jg__check_thread(l)                                    \
    jg__check((l) != NULL && (l)->thread == jg__thread_self(), \
              "the loop is NULL or belongs to another thread")

/* The fork that made this process happened after the loop was made. */
static inline bool jg__loop_forked(const jg_loop *loop)
{
    return loop->forks != jg__fork_count;
}

static inline void jg__handle_init(jg_handle *handle)
{
    *handle = (jg_handle){.number = -1};
}

static inline void jg__handle_start(jg_loop *loop, jg_handle *handle)
{
    handle->loop = loop;
    if (!(handle->flags & JG__UNREF))
        loop->active++;
}

static inline void jg__handle_stop(jg_handle *handle)
{
    if (!(handle->flags & JG__UNREF))
        handle->loop->active--;
    handle->loop = NULL;
}

/* Queue a call that may be queued already. */
static inline void jg__loop_queue(jg_loop *loop, jg_call *call)
{
    if (!jg__linked(&call->link))
        jg__list_append(&loop->ready, &call->link);
}

/* jg_loop_time, for those who know that this is the loop's thread. */
static inline jg_time jg__loop_time(jg_loop *loop)
{
    if (!loop->time_known) {
        loop->time = jg__clock_now(&loop->clock);
        loop->time_known = true;
    }
    return loop->time;
}

void jg__loop_error(jg_loop *loop, int error, const char *what);

/*
 * slow.c: only if slow callbacks are looked for. Begin step 4 and run the calls of the batch; run
 * those that it has got since; run a timer; note what an event is going to call, and then that it
 * has returned.
 */
void jg__lap_turn(jg_loop *loop);
void jg__lap_batch(jg_loop *loop);
void jg__lap_timer(jg_loop *loop, jg_call_fn fn, void *arg);
void jg__lap_begin_event(const jg_loop *loop, int fd, int events, jg__lap *lap);
void jg__lap_end(jg_loop *loop, const jg__lap *lap);

/* timer.c: run the timers of this turn. Returns whether there were any. */
bool jg__timers_run(jg_loop *loop);

/* watcher.c */
int jg__watchers_init(jg_loop *loop, unsigned max_events);
void jg__watchers_fini(jg_loop *loop);

/* Tell the kernel what changed. Returns whether there are watchers that failed and are to be told.
 */
bool jg__watchers_flush(jg_loop *loop);

/* Whether a watched descriptor that is always ready is wanted. */
bool jg__watchers_busy(const jg_loop *loop);

/*
 * Run the edge-triggered ones of the watchers for the first n of loop->events, and take these
 * events out. Returns how many are left.
 *
 * They run before the turn's calls are taken, so that what they complete is part of this turn: the
 * loop does not wait again before it runs. They may call nothing that is not of the library.
 */
int jg__watchers_collect(jg_loop *loop, int n);

/*
 * Watch a descriptor for all events, edge-triggered: each is reported once, until it is rearmed or,
 * at the latest, something more happens. See jg_watcher_start. Where others watch the descriptor,
 * too, or the backend has no edges, an event is left out after it was reported.
 */
int jg__watcher_start_edge(jg_loop *loop, jg_watcher *watcher, int fd);

/*
 * These events were acted on until they did not hold any more: report them when they do again. As a
 * rule there is nothing to do.
 */
void jg__watcher_unpause(jg_watcher *watcher, unsigned events);

static inline void jg__watcher_rearm(jg_watcher *watcher, unsigned events)
{
    if ((watcher->wanted & events) != events)
        jg__watcher_unpause(watcher, events);
}

/*
 * Run the watchers that failed, those for the first n of loop->events, and those always ready.
 * Returns whether there were any.
 */
bool jg__watchers_dispatch(jg_loop *loop, int n);

/* Make the kernel's side anew. Returns 0 or -errno, then with the old side still there. */
int jg__watchers_rebuild(jg_loop *loop, bool forked);

/* wake.c: whether anything was sent; and queue it. */
static inline bool jg__inbox_full(jg_loop *loop)
{
    return jg__load(&loop->inbox) != NULL;
}

void jg__inbox_drain(jg_loop *loop);

/* signal.c: whether a watched signal came; and queue its watchers. */
static inline bool jg__signals_pending(jg_loop *loop)
{
    uint32_t pending = 0;

    for (int word = 0; word < JG__SIGNAL_WORDS; word++)
        pending |= jg__load(&loop->port.pending[word]);
    return pending != 0;
}

void jg__signals_drain(jg_loop *loop);

/* In a forked child: handle the watched signals again; and tell the children that they are lost. */
void jg__signals_adopt(jg_loop *loop);
void jg__children_disown(jg_loop *loop);

/*
 * Send a signal to a started child, or to the process group that it leads. Until the callback it is
 * not reaped, so that no other process has its number. Returns 0 or -errno.
 */
int jg__child_signal(const jg_child *child, bool group, int signo);

/* Whether a call is the inner part of a wake, signal or child. */
bool jg__wake_owns(const jg_call *call);
bool jg__signal_owns(const jg_call *call);
bool jg__child_owns(const jg_call *call);

/* test.c: put what is ready in this turn, with the first n of loop->events, in a random order. */
void jg__loop_shuffle(jg_loop *loop, int n);

/* Whether a watcher is the inner part of a child. */
bool jg__child_watches(const jg_watcher *watcher);

/* walk.c: stop everything that is started, reporting it. Returns how much it was. */
int jg__loop_stop_all(jg_loop *loop);

#endif
