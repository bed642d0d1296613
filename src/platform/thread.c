/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "platform/thread.h"

#include "platform/overflow.h"
#include "platform/signals.h"
#include "platform/stack.h"

#include <sched.h>

void jg__thread_yield(void)
{
    (void)sched_yield();
}

unsigned jg__fork_count;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watch_error;

static void in_child(void)
{
    jg__fork_count++;
    jg__signals_forked();
    jg__overflow_forked();
    jg__stacks_forked();
}

static void watch(void)
{
    watch_error = -pthread_atfork(NULL, NULL, in_child);
}

int jg__fork_watch(void)
{
    pthread_once(&once, watch);
    return watch_error;
}
