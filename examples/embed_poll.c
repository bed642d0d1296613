/* SPDX-License-Identifier: MIT
 *
 * A foreign poll() loop in charge: standard input is its own, a timer and a signal are juggle's.
 */
#include "common.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static int input = STDIN_FILENO;
static int ticks;
static jg_timer tick;
static jg_signal interrupt;

static void on_tick(void *arg)
{
    (void)arg;
    printf("juggle: tick %d\n", ++ticks);
    if (ticks == 3)
        jg_timer_stop(&tick);
}

static void on_interrupt(void *arg, int signo)
{
    (void)arg;
    printf("juggle: signal %d, so that is it\n", signo);
    jg_timer_stop(&tick);
    input = -1;
}

static void read_input(void)
{
    char text[256];
    ssize_t size = read(input, text, sizeof text);

    check_errno((int)size, "standard input");
    if (size > 0) {
        printf("poll: %d bytes of input\n", (int)size);
    } else {
        printf("poll: end of input\n");
        input = -1;
    }
}

/* As poll wants it: milliseconds, rounded up so as not to be early; -1 is for ever. */
static int milliseconds(jg_time timeout)
{
    if (timeout == JG_FOREVER)
        return -1;

    timeout = timeout / JG_MILLISECOND + (timeout % JG_MILLISECOND > 0);
    return timeout < INT_MAX ? (int)timeout : INT_MAX;
}

int main(void)
{
    jg_loop *loop;

    setvbuf(stdout, NULL, _IOLBF, 0);
    check(jg_loop_new(NULL, &loop), "loop");
    jg_timer_init(&tick, on_tick, NULL);
    check(jg_call_every(loop, &tick, 50 * JG_MILLISECOND), "tick");
    jg_signal_init(&interrupt, on_interrupt, NULL);
    check(jg_signal_start(loop, &interrupt, SIGINT), "SIGINT");
    jg_handle_unref(&interrupt.handle); /* it may come, but is not what we live for */

    while (input >= 0 || jg_loop_alive(loop)) {
        struct pollfd wanted[] = {
            {.fd = input, .events = POLLIN}, /* left out when it is -1 */
            {.fd = check(jg_loop_fd(loop), "loop"), .events = POLLIN},
        };
        int timeout = milliseconds(jg_loop_prepare(loop));

        if (poll(wanted, 2, timeout) < 0 && errno != EINTR)
            check_errno(-1, "poll");
        if (wanted[0].revents)
            read_input();
        check(jg_loop_run_once(loop, 0), "loop");
    }
    jg_signal_stop(&interrupt);
    return jg_loop_free(loop);
}
