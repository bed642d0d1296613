/* SPDX-License-Identifier: MIT
 *
 * Background jobs: a server that stays prompt while workers are busy behind it: [HOST:]PORT
 *
 * Each client that connects brings a job, and reads "accepted" or, if the queue is full, "busy".
 * Workers wait and compute, in slices, between which the front has its turn. Ctrl-C closes the
 * front and gives accepted jobs 100 ms; what is not done by then is told of as dropped.
 */
#include "server.h"

#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 8, LIMIT = 64, SLICES = 50 };

static const jg_time GRACE = 100 * JG_MILLISECOND;

static jg_queue jobs; /* their numbers */
static int accepted, done, dropped;

/* A callback can use the queue as well: it does not wait. */
static int on_client(void *arg, int fd, const jg_address *peer)
{
    const char *answer = "busy\n";

    (void)arg;
    (void)peer;
    if (jg_queue_try_put(&jobs, &accepted) == 0) {
        accepted++;
        answer = "accepted\n";
    }
    (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL); /* who does not want it, need not */
    close(fd);
    return 0;
}

/* Stands for a query that takes a while, and for what is computed from its answer. */
static int work(jg_loop *loop)
{
    int r = jg_sleep(2 * JG_MILLISECOND);

    for (int i = 0; i < SLICES && r == 0; i++) {
        jg_time end = jg_loop_now(loop) + 100 * JG_MICROSECOND;

        while (jg_loop_now(loop) < end)
            continue;
        r = jg_sleep(0); /* everything else that is ready has its turn */
    }
    return r;
}

static int serve_jobs(void *arg)
{
    int job, r = 0;

    while (r == 0 && (r = jg_queue_get(&jobs, &job)) == 0) {
        r = work(arg);
        done += r == 0;
        dropped += r < 0; /* given up in the middle */
    }
    return r == JG_ESHUTDOWN ? 0 : r;
}

/* Until Ctrl-C: how much later than it should does the front get its turn? */
static void probe(jg_loop *loop)
{
    const jg_time pause = 2 * JG_MILLISECOND;
    jg_time due = jg_loop_now(loop) + pause, sum = 0, most = 0;
    int count = 0;

    while (jg_sleep(pause) == 0) {
        jg_time late = jg_loop_now(loop) - due;

        count++;
        sum += late;
        most = late > most ? late : most;
        due = jg_loop_now(loop) + pause;
    }
    printf("the front was late by %d us on average, by %d us at most\n",
           (int)(sum / (count > 0 ? count : 1) / JG_MICROSECOND), (int)(most / JG_MICROSECOND));
}

static int run(void *arg)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = LIMIT};
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_listener listener;
    jg_scope workers; /* a tree of its own, which Ctrl-C does not cancel */
    jg_op left;

    check(jg_queue_init(&jobs, loop, &options), "queue");
    jg_scope_open(&workers, loop, NULL, &(jg_scope_options){.name = "workers"});
    for (int i = 0; i < WORKERS; i++)
        check(jg_spawn(&workers, serve_jobs, loop, NULL), "worker");
    listen_on(&listener, loop, arg);
    check(jg_listener_start(&listener, on_client, NULL), "listen");
    probe(loop);

    jg_listener_close(&listener);
    (void)jg_queue_shutdown(&jobs, false); /* what is in there is still to be done */
    jg_scope_reschedule(&workers, jg_loop_now(loop) + GRACE);
    jg_op_self(&left);
    jg_scope_close(&workers, 0, &left);
    (void)jg_await(&left); /* until the workers have ended; nothing cuts that short */
    dropped += (int)jg_queue_fini(&jobs);
    printf("accepted %d, done %d, dropped %d\n", accepted, done, dropped);
    return 0;
}

int main(int argc, char **argv)
{
    jg_address address = only_address(argv);

    (void)argc;
    return run_server(run, &address);
}
