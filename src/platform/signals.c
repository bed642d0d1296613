/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700

#include "platform/signals.h"

#include "base/atomic.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static jg__sigport *ports;
static unsigned running; /* handlers that may be looking at ports */
static unsigned retained[JG__SIGNAL_MAX + 1];
static struct sigaction previous[JG__SIGNAL_MAX + 1];

static void on_signal(int signo)
{
    const int word = jg__signal_word(signo);
    const uint32_t bit = jg__signal_bit(signo);

    jg__fetch_add(&running, 1);
    for (jg__sigport *port = jg__load(&ports); port; port = jg__load(&port->next)) {
        if ((jg__load(&port->watched[word]) & bit) &&
            !(jg__fetch_or(&port->pending[word], bit) & bit))
            port->poller->ops->wake(port->poller);
    }
    jg__fetch_sub(&running, 1);
}

void jg__sigport_open(jg__sigport *port, jg__poller *poller)
{
    *port = (jg__sigport){.poller = poller};
    pthread_mutex_lock(&mutex);
    port->next = ports;
    jg__store(&ports, port);
    pthread_mutex_unlock(&mutex);
}

void jg__sigport_close(jg__sigport *port)
{
    pthread_mutex_lock(&mutex);
    for (jg__sigport **place = &ports; *place; place = &(*place)->next) {
        if (*place == port) {
            jg__store(place, port->next);
            break;
        }
    }
    pthread_mutex_unlock(&mutex);

    /* A handler on this thread has returned by now; one on another needs a moment. */
    while (jg__load(&running) > 0)
        sched_yield();
}

/* With the mutex locked. */
static int retain(int signo)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    if (retained[signo] == 0 && sigaction(signo, &action, &previous[signo]) < 0)
        return -errno;
    retained[signo]++;
    return 0;
}

int jg__signal_retain(int signo)
{
    int r;

    if (signo < 1 || signo > JG__SIGNAL_MAX)
        return -EINVAL;

    pthread_mutex_lock(&mutex);
    r = retain(signo);
    pthread_mutex_unlock(&mutex);
    return r;
}

bool jg__signal_retain_children(void)
{
    struct sigaction action;
    bool wanted;

    pthread_mutex_lock(&mutex);
    (void)sigaction(SIGCHLD, NULL, &action); /* the arguments are good */
    wanted =
        retained[SIGCHLD] > 0 || action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT);
    if (wanted)
        (void)retain(SIGCHLD); /* it can be caught */
    pthread_mutex_unlock(&mutex);
    return wanted;
}

void jg__signal_release(int signo)
{
    pthread_mutex_lock(&mutex);
    if (--retained[signo] == 0)
        (void)sigaction(signo, &previous[signo], NULL); /* it was valid before */
    pthread_mutex_unlock(&mutex);
}

const int jg__signal_interrupt = SIGINT, jg__signal_terminate = SIGTERM;

void jg__signal_raise(int signo)
{
    (void)raise(signo); /* it is a valid signal, as it came before */
}

void jg__signals_forked(void)
{
    /* Other threads, and whatever they held, do not exist here. */
    pthread_mutex_init(&mutex, NULL);
    ports = NULL;
    running = 0;
}
