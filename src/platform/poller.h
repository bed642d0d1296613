/* SPDX-License-Identifier: MIT
 *
 * The contract of a backend: how the loop waits for descriptors.
 *
 * A backend keeps registrations: descriptor, generation, events. The generation is a number that
 * the loop chose; every event carries that of the registration it came from, so that the loop can
 * tell an event of a closed descriptor from one of its successor with the same number. At most one
 * registration a descriptor; one event a descriptor and wait, with reading and writing merged.
 *
 * Events are level-triggered, unless a registration asks for JG__EDGE and the backend has it. An
 * error or hang-up of the descriptor is reported as JG_READ | JG_WRITE | JG_HANGUP, even if only
 * others were asked for, and may be if none were: the loop masks. Errors of a registration, as opposed to its
 * descriptor's, may come from the call that makes it or, for backends that submit changes late, as
 * an event with a negative error; such a registration is gone.
 *
 * When a descriptor is closed the kernel may or may not forget it (it does not if a duplicate is
 * left). The loop therefore treats -EBADF, -ENOENT and -EEXIST as news, not as failures.
 *
 * A poller is used by one thread, but for wake(). In a forked child only close and reopen are
 * called; they must not touch what the parent still uses.
 */
#ifndef JG_PLATFORM_POLLER_H
#define JG_PLATFORM_POLLER_H

#include "platform/clock.h"

#include <juggle/watcher.h>

#define JG__EVENTS_ALL (JG_READ | JG_WRITE | JG_HANGUP)

/* With events to register: report each once, and again when something more happens. */
#define JG__EDGE (1u << 3)

/* Reported of registrations with JG__EDGE: urgent data came, at which reading stops short. */
#define JG__URGENT (1u << 4)

typedef struct jg__event {
    int fd;
    uint32_t generation;
    int events; /* of JG_READ, JG_WRITE, JG_HANGUP, JG__URGENT; or a negative error */
} jg__event;

typedef struct jg__poller jg__poller;

typedef struct jg__poller_ops {
    const char *name;

    /* It decides how virtual time passes in wait(); otherwise the loop does. */
    bool moves_clock;

    /* It honours JG__EDGE; others ignore it. */
    bool has_edge;

    /* max_events is the most that wait() will be asked for. */
    int (*open)(const jg_allocator *allocator, unsigned max_events, jg__clock *clock,
                jg__poller **ret_poller);
    void (*close)(jg__poller *poller);

    /*
     * Start again with nothing registered and the number of fd() unchanged, after a fork or in the
     * same process. Where children get no copy of it, something else may have its number: then
     * there is a new one. On failure nothing changed.
     */
    int (*reopen)(jg__poller *poller, bool forked);

    /* -EPERM: cannot be waited for and is always ready. -EEXIST: registered already. */
    int (*add)(jg__poller *poller, int fd, uint32_t generation, unsigned events);

    /* -EBADF: not open. -ENOENT: not registered. */
    int (*modify)(jg__poller *poller, int fd, uint32_t generation, unsigned events);
    int (*remove)(jg__poller *poller, int fd);

    /* The descriptor is about to be closed: drop what the kernel will not drop by itself. */
    void (*forget)(jg__poller *poller, int fd);

    /*
     * Wait until something is registered as ready, wake() was called or `timeout` ns have passed
     * (never less, but for wake(), signals and spurious returns; JG_FOREVER waits without limit).
     * Returns how many events were stored, possibly 0; -EINTR after a signal.
     */
    int (*wait)(jg__poller *poller, jg__event *events, int max, jg_time timeout);

    /* End the current or the next wait. Any thread; async-signal-safe; keeps errno. */
    void (*wake)(jg__poller *poller);

    /* A descriptor that is readable when wait() would return at once; or -ENOTSUP, or an error. */
    int (*fd)(jg__poller *poller);
} jg__poller_ops;

/* Backends start with this. */
struct jg__poller {
    const jg__poller_ops *ops;
};

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
#    define JG__HAS_KQUEUE
#endif

extern const jg__poller_ops jg__epoll_ops, jg__kqueue_ops, jg__poll_ops, jg__script_ops;

/* The backends of this platform, the best first, ending with NULL. Alone in its file: tests have more
   of them. */
extern const jg__poller_ops *const jg__poller_all[];

/* The backend of that name, or $JUGGLE_BACKEND if NULL, or the best. NULL: there is none. */
const jg__poller_ops *jg__poller_find(const char *name);

#endif
