/* SPDX-License-Identifier: MIT
 *
 * Signals of the process, handed to the loops that want them.
 *
 * Each loop has a port. A signal handler marks the signal in every port that watches it and wakes
 * that port's poller; it does nothing else. The list of ports is walked by handlers in any thread,
 * so a port that leaves it waits until no handler is running.
 */
#ifndef JG_PLATFORM_SIGNALS_H
#define JG_PLATFORM_SIGNALS_H

#include "platform/poller.h"

#define JG__SIGNAL_MAX   64
#define JG__SIGNAL_WORDS (JG__SIGNAL_MAX / 32)

typedef struct jg__sigport {
    struct jg__sigport *next;
    jg__poller *poller;
    uint32_t watched[JG__SIGNAL_WORDS]; /* see jg__signal_word and _bit */
    uint32_t pending[JG__SIGNAL_WORDS];
} jg__sigport;

/* Words of 32 bits, which are atomic without locks everywhere; those of 64 are not. */
static inline int jg__signal_word(int signo)
{
    return (signo - 1) / 32;
}

static inline uint32_t jg__signal_bit(int signo)
{
    return (uint32_t)1 << (signo - 1) % 32;
}

/* Put a port on the list, or take it off. Neither can fail. */
void jg__sigport_open(jg__sigport *port, jg__poller *poller);
void jg__sigport_close(jg__sigport *port);

/*
 * Have a signal handled, once more or once less; the last release restores what was there before.
 * Returns 0, or -EINVAL for what is no signal or cannot be caught.
 */
int jg__signal_retain(int signo);
void jg__signal_release(int signo);

/*
 * Retain SIGCHLD if it has to be, for children to stay until they are reaped: somebody ignores it.
 * Returns whether it was; then it has to be released.
 */
bool jg__signal_retain_children(void);

/* SIGINT and SIGTERM. */
extern const int jg__signal_interrupt, jg__signal_terminate;

/* Send a signal to this process, and, if that is possible now, see it delivered. */
void jg__signal_raise(int signo);

/* In a forked child: no signal of the child may wake a loop of the parent. */
void jg__signals_forked(void);

#endif
