/* SPDX-License-Identifier: MIT
 *
 * Signals as events: the handler marks the loop's port and wakes its poller, see
 * platform/signals.h; here the marks become calls.
 */
#include "core/loop.h"

#include <errno.h>

static jg_signal *signal_of(jg_link *link)
{
    return jg__container_of(link, jg_signal, link);
}

static void run(void *arg)
{
    jg_signal *signal = arg;

    signal->fn(signal->arg, signal->handle.number);
}

bool jg__signal_owns(const jg_call *call)
{
    return call->fn == run;
}

void jg_signal_init(jg_signal *signal, jg_signal_fn fn, void *arg)
{
    *signal = (jg_signal){.fn = fn, .arg = arg};
    jg__handle_init(&signal->handle);
    jg_call_init(&signal->call, run, signal);
}

int jg_signal_start(jg_loop *loop, jg_signal *signal, int signo)
{
    int r;

    jg__check_thread(loop);
    if (signal->handle.loop)
        return -EALREADY;
    if (jg__loop_forked(loop))
        return JG_EFORKED;

    /* Watched first: a signal that comes once it is handled must not be lost. */
    if (signo >= 1 && signo <= JG__SIGNAL_MAX)
        jg__fetch_or(&loop->port.watched[jg__signal_word(signo)], jg__signal_bit(signo));
    r = jg__signal_retain(signo);
    if (r < 0)
        return r;

    signal->handle.number = signo;
    jg__handle_start(loop, &signal->handle);
    jg__list_append(&loop->signals, &signal->link);
    return 0;
}

static bool watched(jg_loop *loop, int signo)
{
    for (jg_link *link = loop->signals.next; link != &loop->signals; link = link->next) {
        if (signal_of(link)->handle.number == signo)
            return true;
    }
    return false;
}

void jg_signal_stop(jg_signal *signal)
{
    jg_loop *loop = signal->handle.loop;
    int signo = signal->handle.number;

    if (!loop)
        return;

    jg__check_thread(loop);
    jg__unlink(&signal->link);
    jg__unlink(&signal->call.link);
    jg__handle_stop(&signal->handle);
    jg__signal_release(signo);
    if (!watched(loop, signo)) {
        jg__fetch_and(&loop->port.watched[jg__signal_word(signo)], ~jg__signal_bit(signo));
        jg__fetch_and(&loop->port.pending[jg__signal_word(signo)], ~jg__signal_bit(signo));
    }
}

void jg__signals_drain(jg_loop *loop)
{
    uint32_t pending[JG__SIGNAL_WORDS];

    for (int word = 0; word < JG__SIGNAL_WORDS; word++)
        pending[word] = jg__exchange(&loop->port.pending[word], 0);

    for (jg_link *link = loop->signals.next; link != &loop->signals; link = link->next) {
        jg_signal *signal = signal_of(link);
        int signo = signal->handle.number;

        if (pending[jg__signal_word(signo)] & jg__signal_bit(signo)) {
            jg__loop_queue(loop, &signal->call);
            loop->counters.signals++;
        }
    }
}

void jg__signals_adopt(jg_loop *loop)
{
    const jg__sigport old = loop->port;

    /* The dispositions and their counts came along with the fork, the list of ports did not. */
    jg__sigport_open(&loop->port, loop->poller);
    for (int word = 0; word < JG__SIGNAL_WORDS; word++)
        jg__store(&loop->port.watched[word], old.watched[word]);
}
