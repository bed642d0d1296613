/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/overflow.h"

#include "base/atomic.h"
#include "platform/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#    define MAP_ANONYMOUS MAP_ANON
#endif
#if !defined(MAP_STACK) || defined(__FreeBSD__) || defined(__DragonFly__)
#    undef MAP_STACK
#    define MAP_STACK 0
#endif

/* With room for the registers of large vector units, which the kernel saves there. */
#define SIGNAL_STACK_SIZE ((size_t)64 << 10)

static const int signals[2] = {SIGSEGV, SIGBUS};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static jg__overflow *list;
static unsigned running; /* handlers that may be looking at the list */
static struct sigaction previous[2];

static pthread_key_t key; /* the signal stack of a thread, if it is ours */
static bool has_key;

/* Let the fault, which repeats when the handler returns, or the signal, which does not, go to
 * whatever was there before. */
static void pass_on(int signo, siginfo_t *info, void *context)
{
    const struct sigaction *action = &previous[signo == SIGBUS];

    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(signo, info, context);
    } else if (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN) {
        if (info->si_code > 0 || action->sa_handler == SIG_DFL)
            (void)sigaction(signo, action, NULL);
        if (info->si_code <= 0 && action->sa_handler == SIG_DFL)
            (void)raise(signo);
    } else {
        action->sa_handler(signo);
    }
}

static bool report(const void *address)
{
    const uintptr_t self = jg__thread_self();
    bool found = false;

    jg__fetch_add(&running, 1);
    for (jg__overflow *overflow = jg__load(&list); overflow && !found;
         overflow = jg__load(&overflow->next)) {
        jg__stack *stack;

        if (jg__load(&overflow->thread) != self)
            continue;
        stack = jg__stack_overflowed(overflow->stacks, address);
        if (stack) {
            overflow->fn(overflow->arg, stack);
            found = true;
        }
    }
    jg__fetch_sub(&running, 1);
    return found;
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    int saved = errno;

    /* A code above 0 comes from the kernel: not from kill(). */
    if (info->si_code > 0 && report(info->si_addr))
        (void)sigaction(signo, &previous[signo == SIGBUS], NULL);
    else
        pass_on(signo, info, context);
    errno = saved;
}

static void free_signal_stack(void *low)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    stack_t current;

    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == low)
        (void)sigaltstack(&none, NULL);
    munmap(low, SIGNAL_STACK_SIZE);
}

/* Not by pthread_once, which a child may wait in for a thread that it does not have. */
static bool ensure_key(void)
{
    bool has;

    pthread_mutex_lock(&mutex);
    if (!has_key)
        has_key = pthread_key_create(&key, free_signal_stack) == 0;
    has = has_key;
    pthread_mutex_unlock(&mutex);
    return has;
}

/* Give the thread a signal stack unless it has one. */
static int ensure_signal_stack(void)
{
    stack_t stack = {.ss_size = SIGNAL_STACK_SIZE};
    stack_t current;

    if (!ensure_key())
        return -ENOMEM;
    if (sigaltstack(NULL, &current) == 0 && !(current.ss_flags & SS_DISABLE))
        return 0;

    stack.ss_sp = mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -ENOMEM;

    if (pthread_setspecific(key, stack.ss_sp) != 0 || sigaltstack(&stack, NULL) < 0) {
        (void)pthread_setspecific(key, NULL);
        munmap(stack.ss_sp, SIGNAL_STACK_SIZE);
        return -ENOMEM;
    }
    return 0;
}

/* The first one installs the handler; the rest of the disposition stays as it was. */
static void install(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction action;

        (void)sigaction(signals[i], NULL, &previous[i]); /* cannot fail, nor can the other */
        action = previous[i];
        action.sa_sigaction = on_fault;
        action.sa_flags = (action.sa_flags & SA_NODEFER) | SA_SIGINFO | SA_ONSTACK;
        (void)sigaction(signals[i], &action, NULL);
    }
}

/* The last one takes it away, unless another handler was installed over it, which may call it. */
static void uninstall(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction action;

        (void)sigaction(signals[i], NULL, &action);
        if ((action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_fault)
            (void)sigaction(signals[i], &previous[i], NULL);
    }
}

int jg__overflow_watch(jg__overflow *overflow, const jg__stacks *stacks, jg__overflow_fn fn,
                       void *arg)
{
    int r = ensure_signal_stack();

    if (r < 0)
        return r;

    *overflow = (jg__overflow){
        .stacks = stacks,
        .thread = jg__thread_self(),
        .fn = fn,
        .arg = arg,
    };
    pthread_mutex_lock(&mutex);
    overflow->next = list;
    jg__store(&list, overflow);
    if (!overflow->next)
        install();
    pthread_mutex_unlock(&mutex);
    return 0;
}

int jg__overflow_adopt(jg__overflow *overflow)
{
    int r = ensure_signal_stack();

    if (r == 0)
        jg__store(&overflow->thread, jg__thread_self());
    return r;
}

void jg__overflow_unwatch(jg__overflow *overflow)
{
    pthread_mutex_lock(&mutex);
    for (jg__overflow **place = &list; *place; place = &(*place)->next) {
        if (*place == overflow) {
            jg__store(place, overflow->next);
            break;
        }
    }
    if (!list)
        uninstall();
    pthread_mutex_unlock(&mutex);

    while (jg__load(&running) > 0)
        sched_yield();
}

/* What other threads watched stays in the list, as its memory does. */
void jg__overflow_forked(void)
{
    pthread_mutex_init(&mutex, NULL);
    running = 0;
}
