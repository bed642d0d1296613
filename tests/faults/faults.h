/* SPDX-License-Identifier: MIT
 *
 * System calls of the library that fail. Its objects are linked with the names of these calls
 * replaced, see symbols, so that calls.c makes them: one of them, the n-th of a run, fails with one
 * of the errors that the manual has for it, is interrupted, or moves a single byte.
 *
 * A scenario is a coroutine that ends with 0. It is run once for each call that it makes and for
 * each error of that call. After it nothing may be left, as of the runs of the test kit.
 */
#ifndef JG_TESTS_FAULTS_H
#define JG_TESTS_FAULTS_H

#include <juggle/coro.h>

#include <errno.h>
#include <stdbool.h>

struct fault_scenario {
    const char *name;
    jg_coro_fn fn;
    void *arg;

    /* What a run may end with besides its own error or 0: what others make of that error. Ends with
     * 0. NULL: nothing. */
    const int *consequences;

    /* Names of calls whose failure nobody needs to hear of, with spaces around each, and which,
     * being tried no more, may have those consequences when they are interrupted. The others must
     * not be lost: the run ends with an error. */
    const char *unheard;

    void (*after)(void *arg); /* each run; or NULL */
    int times;                /* the call fails, when it is made again; 0: once */
    bool low;                 /* descriptor 0 is free, and not to be used */
    bool in_child;            /* the calls of forked children fail, rather than ours */
    bool plain;               /* it is no coroutine, and makes its own loop */
};

/* Run these scenarios. Returns whether each run was in order; what was not is on stderr. */
bool fault_each(const struct fault_scenario *scenarios, size_t count);

/* What a scenario ends with if the peer is the one who met the error. */
extern const int fault_of_peer[];

/* The loop of the coroutine that runs. */
jg_loop *fault_loop(void);

/* ------------------------------------------------------------ for calls.c */

/* Of an error: nobody may notice. */
#define FAULT_HARMLESS 0x1000

/* Not an error: less is moved than could be. */
#define FAULT_SHORT (0x800 | FAULT_HARMLESS)

/* Whether this call is the one that is to fail. */
bool fault_is_due(const char *call);

/* Which of these errors, the last one 0, it is to fail with; 0: none of them, at least now. */
int fault_choose(const int *errors);

/* This process is a child, or is about to be one of two after fork(2). */
void fault_set_child(bool on);

#endif
