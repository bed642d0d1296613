/* SPDX-License-Identifier: MIT
 *
 * A main coroutine in a root scope, which are left together: what jg_run and the test kit share.
 */
#ifndef JG_CORO_RUN_H
#define JG_CORO_RUN_H

#include "coro/coro.h"

#define JG__MAIN_STACK ((size_t)256 << 10)

typedef struct jg__main {
    jg_loop *loop;
    jg_scope root;
    jg_op ended; /* pending until the root scope was left; its completion stops the loop */
    int status;  /* of the main coroutine */
} jg__main;

/* Open the root scope. */
void jg__main_init(jg__main *main, jg_loop *loop);

/* Start the coroutine, and leave the root scope as soon as all in it has ended. */
int jg__main_start(jg__main *main, jg_coro_fn fn, void *arg, const jg_spawn_options *options);

/* What the main coroutine returned, or the first error of another one, when all has ended. */
int jg__main_result(const jg__main *main);

#endif
