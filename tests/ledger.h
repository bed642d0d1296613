/* SPDX-License-Identifier: MIT
 *
 * What coroutines of tests hold while they are cancelled, and must have released in the end.
 */
#ifndef JG_TESTS_LEDGER_H
#define JG_TESTS_LEDGER_H

#include <juggle/coro.h>

struct ledger {
    int held;
    int released;
};

struct holding {
    jg_defer defer;
    struct ledger *ledger;
};

static inline void release(void *arg)
{
    struct holding *holding = arg;

    (void)jg_sleep(3); /* it is shielded */
    holding->ledger->held--;
    holding->ledger->released++;
}

static inline void hold(struct holding *holding, jg_scope *scope, struct ledger *ledger)
{
    ledger->held++;
    holding->ledger = ledger;
    jg_scope_defer(scope, &holding->defer, release, holding);
}

/* A coroutine that holds something and waits for what never comes. */
static inline int wait_for_nobody(void *arg)
{
    jg_future never = {.done = false};
    struct holding holding;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    hold(&holding, &scope, arg);
    return jg_scope_leave(&scope, jg_future_wait(&never));
}

#endif
