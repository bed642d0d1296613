/* SPDX-License-Identifier: MIT
 *
 * Which file a number means: descriptors that are closed, closed behind the loop's back, reused,
 * duplicated, or shared with a forked child. A kernel may go on reporting a file whose descriptor
 * was closed as long as a duplicate is left; whoever has the number then must not hear of it, and
 * the loop must not turn on the spot.
 */
#include "support.h"

#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A watcher that counts its calls and then does what the test says. */
struct probe {
    jg_watcher watcher;
    jg_loop *loop;
    int calls;
    int events; /* of the last call */
    int fd;
    void (*then)(struct probe *self);
    struct probe *other;
    struct probe *successor;
    int spare[2]; /* descriptors for `then` */
};

static void on_probe(void *arg, int events)
{
    struct probe *probe = arg;

    probe->calls++;
    probe->events = events;
    if (probe->then) {
        probe->then(probe);
    }
}

static void probe_init(struct probe *probe, jg_loop *loop)
{
    probe->loop = loop;
    jg_watcher_init(&probe->watcher, on_probe, probe);
}

static void probe_start(struct probe *probe, jg_loop *loop, int fd, unsigned events)
{
    probe_init(probe, loop);
    probe->fd = fd;
    assert_int_equal(jg_watcher_start(loop, &probe->watcher, fd, events), 0);
}

static bool started(const struct probe *probe)
{
    return jg_handle_started(&probe->watcher.handle);
}

static void turn(jg_loop *loop)
{
    int r = jg_loop_run_once(loop, 0);

    assert_true(r == 0 || r == 1);
}

static void test_pipe(int fds[2])
{
    int i;

    assert_int_equal(pipe(fds), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fcntl(fds[i], F_SETFD, FD_CLOEXEC), 0);
    }
}

static void close_both(int fds[2])
{
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void get(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Give a free number to the file of another descriptor, which is closed. */
static void move(int from, int to)
{
    assert_false(is_open(to));
    assert_int_equal(dup2(from, to), to);
    assert_int_equal(close(from), 0);
}

static jg_time cpu_time(void)
{
    struct timespec used;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (jg_time)used.tv_sec * JG_SECOND + used.tv_nsec;
}

/* A loop in real time with a watcher that keeps it alive and never hears anything. */
struct bench {
    jg_loop *loop;
    struct probe idle;
    int fds[2];
    int leaks;
};

static void count_leak(void *arg, int error, const char *what)
{
    struct bench *bench = arg;

    (void)what;
    test_check(error == JG_ELEAKED);
    bench->leaks++;
}

static void bench_open(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->loop = test_loop_with((jg_loop_options){.on_error = count_leak, .on_error_arg = bench});
    (void)jg_loop_fd(bench->loop); /* is made now, and takes no number that a test wants */
    test_pipe(bench->fds);
    probe_start(&bench->idle, bench->loop, bench->fds[0], JG_READ);
}

/* The loop has nothing to do: it sleeps, and its kernel object is silent. */
static void assert_quiet(struct bench *bench)
{
    jg_time used, began;
    struct pollfd kernel = {.events = POLLIN};

    used = cpu_time();
    began = test_clock();
    assert_int_equal(jg_loop_run_once(bench->loop, 40 * JG_MILLISECOND), 1);
    assert_true(test_clock() - began >= 40 * JG_MILLISECOND);
    assert_true(cpu_time() - used < 25 * JG_MILLISECOND);
    kernel.fd = jg_loop_fd(bench->loop);
    if (kernel.fd >= 0) {
        assert_true(jg_loop_prepare(bench->loop) == JG_FOREVER);
        assert_int_equal(poll(&kernel, 1, 0), 0);
    }
}

/* The idle watcher still hears when there is something to hear. */
static void bench_close(struct bench *bench)
{
    assert_int_equal(bench->idle.calls, 0);
    put(bench->fds[1]);
    turn(bench->loop);
    assert_int_equal(bench->idle.calls, 1);
    assert_int_equal(bench->idle.events, JG_READ);
    jg_watcher_stop(&bench->idle.watcher);
    close_both(bench->fds);
    test_loop_done(bench->loop);
}

/* Ways to be rid of a watcher and its descriptor. */

static void by_watcher_close(struct probe *probe)
{
    assert_int_equal(jg_watcher_close(&probe->watcher), 0);
}

static void by_stop_and_close(struct probe *probe)
{
    jg_watcher_stop(&probe->watcher);
    assert_int_equal(close(probe->fd), 0);
}

/* The wrong order, which the documentation forbids and programs use. */
static void by_close_and_stop(struct probe *probe)
{
    assert_int_equal(close(probe->fd), 0);
    jg_watcher_stop(&probe->watcher);
}

static void (*const ways[])(struct probe *probe) = {by_watcher_close, by_stop_and_close,
                                                    by_close_and_stop};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int way; /* which of them callbacks use */

/* Reused numbers */

/* Close the other's descriptor and give its number to spare[0], which the successor watches. */
static void replace_other(struct probe *self)
{
    ways[way](self->other);
    move(self->spare[0], self->other->fd);
    probe_start(self->successor, self->loop, self->other->fd, JG_READ);
}

/* Two descriptors are ready in the same turn; whichever comes first replaces the other. */
static void an_event_does_not_reach_the_successor_of_a_closed_descriptor(void **state)
{
    (void)state;
    for (way = 0; way < WAYS; way++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct probe a = {.then = replace_other}, b = {.then = replace_other}, c = {0};
        struct probe *first;
        int one[2], two[2], fresh[2];

        test_pipe(one);
        test_pipe(two);
        test_pipe(fresh);
        put(one[1]);
        put(two[1]);
        probe_start(&a, loop, one[0], JG_READ);
        probe_start(&b, loop, two[0], JG_READ);
        a.other = &b;
        b.other = &a;
        a.successor = b.successor = &c;
        a.spare[0] = b.spare[0] = fresh[0];
        turn(loop);
        assert_int_equal(a.calls + b.calls, 1);
        assert_int_equal(c.calls, 0);
        first = a.calls ? &a : &b;
        first->then = NULL;
        turn(loop);
        assert_int_equal(first->calls, 2);
        assert_int_equal(c.calls, 0);
        put(fresh[1]);
        turn(loop);
        assert_int_equal(c.calls, 1);
        assert_int_equal(c.events, JG_READ);
        jg_watcher_stop(&first->watcher);
        by_watcher_close(&c);
        close(first->fd);
        close(one[1]);
        close(two[1]);
        close(fresh[1]);
        test_loop_done(loop);
    }
}

/* As above, with the watcher's own descriptor and another watcher of it still to come. */
static void replace_self(struct probe *self)
{
    jg_watcher_stop(&self->other->watcher);
    ways[way](self);
    move(self->spare[0], self->fd);
    probe_start(self->successor, self->loop, self->fd, JG_READ);
}

static void an_event_does_not_reach_the_successor_of_the_callbacks_own_descriptor(void **state)
{
    (void)state;
    for (way = 0; way < WAYS; way++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct probe a = {.then = replace_self}, b = {.then = replace_self}, c = {0};
        int fds[2], fresh[2];

        test_pipe(fds);
        test_pipe(fresh);
        put(fds[1]);
        probe_start(&a, loop, fds[0], JG_READ);
        probe_start(&b, loop, fds[0], JG_READ);
        a.other = &b;
        b.other = &a;
        a.successor = b.successor = &c;
        a.spare[0] = b.spare[0] = fresh[0];
        turn(loop);
        turn(loop);
        assert_int_equal(a.calls + b.calls, 1);
        assert_int_equal(c.calls, 0);
        put(fresh[1]);
        turn(loop);
        assert_int_equal(c.calls, 1);
        by_watcher_close(&c);
        close(fds[1]);
        close(fresh[1]);
        test_loop_done(loop);
    }
}

/* One callback: stop, close, a new descriptor of the same number, start with the same watcher. */
static void restart_on_successor(struct probe *self)
{
    ways[way](self);
    move(self->spare[0], self->fd);
    assert_int_equal(jg_watcher_start(self->loop, &self->watcher, self->fd, JG_READ), 0);
    self->then = NULL;
}

static void a_watcher_may_go_on_with_the_successor_of_its_descriptor(void **state)
{
    (void)state;
    for (way = 0; way < WAYS; way++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct probe probe = {.then = restart_on_successor};
        int fds[2], fresh[2];

        test_pipe(fds);
        test_pipe(fresh);
        put(fds[1]);
        probe_start(&probe, loop, fds[0], JG_READ);
        probe.spare[0] = fresh[0];
        turn(loop);
        assert_int_equal(probe.calls, 1);
        turn(loop);
        assert_int_equal(probe.calls, 1);
        put(fresh[1]);
        turn(loop);
        turn(loop);
        assert_int_equal(probe.calls, 3);
        by_watcher_close(&probe);
        close(fds[1]);
        close(fresh[1]);
        test_loop_done(loop);
    }
}

/* Outside of callbacks, and very often: whatever the loop counts to tell a descriptor from its
   successor has time to wrap if it is small. */
static void a_number_can_be_reused_again_and_again(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    const int rounds = test_is_slow() ? 3000 : 70000;
    int fds[2], round;

    (void)state;
    test_pipe(fds);
    put(fds[1]);
    for (round = 0; round < rounds; round++) {
        struct probe probe = {0};
        int fd = dup(fds[round % 2]);

        assert_true(fd >= 0);
        probe_start(&probe, loop, fd, JG_READ);
        if (round % 64 < 2) {
            turn(loop);
            assert_int_equal(probe.calls, round % 2 == 0);
        }
        ways[round % WAYS](&probe);
    }
    turn(loop);
    close_both(fds);
    test_loop_done(loop);
}

/* The same with a counter that is made to wrap between the start and the turn. */
static void numbers_are_told_apart_when_the_count_of_registrations_wraps(void **state)
{
    static const uint32_t later[] = {0x7fffffff, 0x80000000, 0x80000001, 0xfffffff0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        struct bench bench;
        struct probe file = {0}, closed = {0}, kept = {0};
        int fds[2], duplicate;

        bench_open(&bench);
        test_socketpair(fds);
        duplicate = dup(fds[0]);
        probe_start(&file, bench.loop, open("/dev/null", O_RDWR), JG_READ);
        probe_start(&closed, bench.loop, fds[0], JG_READ);
        probe_start(&kept, bench.loop, fds[1], JG_READ);
        turn(bench.loop);
        bench.loop->generation += later[i];
        put(fds[0]);
        turn(bench.loop);
        assert_int_equal(file.calls, 2);
        assert_int_equal(kept.calls, 1);
        by_watcher_close(&file);
        by_watcher_close(&closed);
        bench.loop->generation += later[i];
        get(fds[1]);
        put(fds[1]);
        assert_quiet(&bench);
        assert_int_equal(closed.calls, 0);
        assert_int_equal(kept.calls, 1);
        by_watcher_close(&kept);
        close(duplicate);
        bench_close(&bench);
    }
}

/* Live duplicates */

static void a_closed_descriptor_with_a_live_duplicate_is_forgotten(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS; i++) {
        struct bench bench;
        struct probe probe = {0};
        int fds[2], duplicate;

        bench_open(&bench);
        test_socketpair(fds);
        duplicate = dup(fds[0]);
        assert_true(duplicate >= 0);
        probe_start(&probe, bench.loop, fds[0], JG_READ);
        turn(bench.loop);
        ways[i](&probe);
        put(fds[1]);
        assert_quiet(&bench);
        assert_int_equal(probe.calls, 0);
        put(fds[1]);
        assert_quiet(&bench);
        assert_int_equal(probe.calls, 0);
        close(duplicate);
        close(fds[1]);
        bench_close(&bench);
    }
}

static void close_self(struct probe *self)
{
    ways[way](self);
}

static void a_closed_descriptor_is_forgotten_also_if_its_own_callback_closed_it(void **state)
{
    (void)state;
    for (way = 0; way < WAYS; way++) {
        struct bench bench;
        struct probe probe = {.then = close_self};
        int fds[2], duplicate;

        bench_open(&bench);
        test_socketpair(fds);
        duplicate = dup(fds[0]);
        assert_true(duplicate >= 0);
        probe_start(&probe, bench.loop, fds[0], JG_READ);
        put(fds[1]);
        turn(bench.loop);
        assert_int_equal(probe.calls, 1);
        assert_quiet(&bench);
        assert_int_equal(probe.calls, 1);
        close(duplicate);
        close(fds[1]);
        bench_close(&bench);
    }
}

/* The old file stays ready, and so does the registration that the kernel may still have of it. */
static void a_number_can_be_watched_again_while_the_old_file_lives(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS; i++) {
        struct bench bench;
        struct probe old = {0}, new = {0};
        int fds[2], fresh[2], duplicate;

        bench_open(&bench);
        test_socketpair(fds);
        test_socketpair(fresh);
        duplicate = dup(fds[0]);
        assert_true(duplicate >= 0);
        probe_start(&old, bench.loop, fds[0], JG_READ);
        turn(bench.loop);
        ways[i](&old);
        move(fresh[0], fds[0]);
        probe_start(&new, bench.loop, fds[0], JG_READ);
        put(fds[1]);
        assert_quiet(&bench);
        assert_int_equal(old.calls + new.calls, 0);
        put(fresh[1]);
        turn(bench.loop);
        turn(bench.loop);
        assert_int_equal(new.calls, 2);
        assert_int_equal(new.events, JG_READ);
        assert_int_equal(jg_watcher_modify(&new.watcher, JG_WRITE), 0);
        turn(bench.loop);
        assert_int_equal(new.calls, 3);
        assert_int_equal(new.events, JG_WRITE);
        jg_watcher_stop(&new.watcher);
        assert_quiet(&bench);
        assert_int_equal(old.calls, 0);
        assert_int_equal(new.calls, 3);
        close(fds[0]);
        close(fds[1]);
        close(fresh[1]);
        close(duplicate);
        bench_close(&bench);
    }
}

/* A number means one file, then another, then the first again, while both live on: the kernel may
   have a registration of each, and it is not enough that it knows the one that is started. */
static void a_number_that_gets_an_old_file_again_serves_only_that(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS * WAYS; i++) {
        struct bench bench;
        struct probe probe = {0};
        int first[2], second[2], number;

        bench_open(&bench);
        test_socketpair(first);
        test_socketpair(second);
        number = dup(first[0]);
        probe_start(&probe, bench.loop, number, JG_READ);
        turn(bench.loop);
        ways[i % WAYS](&probe);
        turn(bench.loop);
        assert_int_equal(dup2(second[0], number), number);
        probe_start(&probe, bench.loop, number, JG_READ);
        turn(bench.loop);
        ways[i / WAYS](&probe);
        assert_int_equal(dup2(first[0], number), number);
        probe_start(&probe, bench.loop, number, JG_READ);
        put(second[1]);
        assert_quiet(&bench);
        assert_int_equal(probe.calls, 0);
        put(first[1]);
        turn(bench.loop);
        assert_int_equal(probe.calls, 1);
        by_watcher_close(&probe);
        close_both(first);
        close_both(second);
        bench_close(&bench);
    }
}

/* The same, all of it before a turn and with a watcher that has yet to hear of the first close. */
static void a_lost_watcher_does_not_vouch_for_the_file_of_its_number(void **state)
{
    struct bench bench;
    struct probe probe = {0}, lost = {0};
    int first[2], second[2], number;

    (void)state;
    bench_open(&bench);
    test_socketpair(first);
    test_socketpair(second);
    number = dup(first[0]);
    probe_start(&probe, bench.loop, number, JG_READ);
    probe_start(&lost, bench.loop, number, JG_READ);
    turn(bench.loop);
    by_watcher_close(&probe);
    assert_int_equal(dup2(second[0], number), number);
    probe_start(&probe, bench.loop, number, JG_READ);
    by_stop_and_close(&probe);
    assert_int_equal(dup2(first[0], number), number);
    probe_start(&probe, bench.loop, number, JG_READ);
    put(second[1]);
    turn(bench.loop);
    turn(bench.loop);
    assert_int_equal(lost.calls, 1);
    assert_int_equal(lost.events, -EBADF);
    assert_int_equal(probe.calls, 0);
    assert_quiet(&bench);
    put(first[1]);
    turn(bench.loop);
    assert_int_equal(probe.calls, 1);
    by_watcher_close(&probe);
    close_both(first);
    close_both(second);
    bench_close(&bench);
}

/* The number is free, its file lives on: a start must notice that it is not open. */
static void a_closed_number_is_refused_even_if_its_file_lives(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS; i++) {
        struct bench bench;
        struct probe probe = {0};
        int fds[2], duplicate;

        bench_open(&bench);
        test_socketpair(fds);
        duplicate = dup(fds[0]);
        probe_start(&probe, bench.loop, fds[0], JG_READ);
        turn(bench.loop);
        ways[i](&probe);
        assert_int_equal(jg_watcher_start(bench.loop, &probe.watcher, fds[0], JG_READ), -EBADF);
        assert_false(started(&probe));
        close(duplicate);
        close(fds[1]);
        bench_close(&bench);
    }
}

static void duplicates_are_watched_separately(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS; i++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        struct probe a = {0}, b = {0};
        int fds[2], duplicate;

        test_socketpair(fds);
        duplicate = dup(fds[0]);
        assert_true(duplicate >= 0);
        put(fds[1]);
        probe_start(&a, loop, fds[0], JG_READ);
        probe_start(&b, loop, duplicate, JG_WRITE);
        turn(loop);
        assert_int_equal(a.events, JG_READ);
        assert_int_equal(b.events, JG_WRITE);
        ways[i](&a);
        turn(loop);
        turn(loop);
        assert_int_equal(a.calls, 1);
        assert_int_equal(b.calls, 3);
        ways[i](&b);
        turn(loop);
        assert_int_equal(a.calls + b.calls, 4);
        close(fds[1]);
        test_loop_done(loop);
    }
}

/* A stop is enough: the descriptor stays open and ready, and nobody hears of it. */
static void a_stopped_descriptor_that_stays_open_is_forgotten(void **state)
{
    struct bench bench;
    struct probe probe = {0};
    int fds[2];

    (void)state;
    bench_open(&bench);
    test_socketpair(fds);
    put(fds[1]);
    probe_start(&probe, bench.loop, fds[0], JG_READ | JG_WRITE);
    turn(bench.loop);
    jg_watcher_stop(&probe.watcher);
    assert_quiet(&bench);
    assert_int_equal(probe.calls, 1);
    close_both(fds);
    bench_close(&bench);
}

/* Many at once, so that getting rid of one must not bring back another or lose a living one. */
static void many_closed_descriptors_with_live_duplicates_are_forgotten(void **state)
{
    enum { COUNT = 20 };
    struct bench bench;
    struct probe closed[COUNT], living[COUNT];
    int fds[COUNT][2], duplicates[COUNT], i;

    (void)state;
    bench_open(&bench);
    memset(closed, 0, sizeof(closed));
    memset(living, 0, sizeof(living));
    for (i = 0; i < COUNT; i++) {
        test_socketpair(fds[i]);
        duplicates[i] = dup(fds[i][0]);
        assert_true(duplicates[i] >= 0);
        put(fds[i][1]);
        probe_start(&closed[i], bench.loop, fds[i][0], JG_READ);
        probe_start(&living[i], bench.loop, fds[i][1], JG_READ);
    }
    turn(bench.loop);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(closed[i].calls, 1);
        ways[i % WAYS](&closed[i]);
    }
    assert_quiet(&bench);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(closed[i].calls, 1);
        assert_int_equal(living[i].calls, 0);
        put(duplicates[i]);
    }
    turn(bench.loop);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(closed[i].calls, 1);
        assert_int_equal(living[i].calls, 1);
        by_watcher_close(&living[i]);
        close(duplicates[i]);
    }
    bench_close(&bench);
}

/* Whoever embeds a loop keeps its descriptor in a set of its own, and must go on hearing of it when
   the loop had to get rid of a closed descriptor. */
static void run_inner(struct probe *self)
{
    turn(self->other->loop);
}

static void a_loop_that_is_watched_by_another_stays_watched(void **state)
{
    jg_loop *outer = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe of_inner = {.then = run_inner}, probe = {0};
    struct bench inner;
    int fds[2], duplicate, calls;

    (void)state;
    bench_open(&inner);
    if (jg_loop_fd(inner.loop) >= 0) {
        test_socketpair(fds);
        duplicate = dup(fds[0]);
        probe_start(&probe, inner.loop, fds[0], JG_READ);
        turn(inner.loop);
        probe_start(&of_inner, outer, jg_loop_fd(inner.loop), JG_READ);
        of_inner.other = &inner.idle;
        assert_true(jg_loop_prepare(inner.loop) == JG_FOREVER);
        turn(outer);
        by_watcher_close(&probe);
        put(fds[1]);
        assert_quiet(&inner);
        assert_true(jg_loop_prepare(inner.loop) == JG_FOREVER);
        calls = of_inner.calls;
        turn(outer);
        assert_int_equal(of_inner.calls, calls);
        put(inner.fds[1]);
        turn(outer);
        assert_int_equal(of_inner.calls, calls + 1);
        assert_int_equal(inner.idle.calls, 1);
        get(inner.fds[0]);
        inner.idle.calls = 0;
        jg_watcher_stop(&of_inner.watcher);
        close(duplicate);
        close(fds[1]);
    }
    bench_close(&inner);
    test_loop_done(outer);
}

/* Closed behind the loop's back */

static void modifying_a_descriptor_closed_behind_the_loops_back_reports_ebadf(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe victim = {0}, other = {0};
    int fds[2], witness[2], with_duplicate;

    (void)state;
    for (with_duplicate = 0; with_duplicate < 2; with_duplicate++) {
        int duplicate = -1;

        memset(&victim, 0, sizeof(victim));
        memset(&other, 0, sizeof(other));
        test_socketpair(fds);
        test_socketpair(witness);
        put(witness[1]);
        probe_start(&victim, loop, fds[0], JG_READ);
        probe_start(&other, loop, witness[0], JG_READ);
        turn(loop);
        assert_int_equal(other.calls, 1);
        if (with_duplicate) {
            duplicate = dup(fds[0]);
        }
        close(fds[0]);
        assert_int_equal(jg_watcher_modify(&victim.watcher, JG_READ | JG_WRITE), 0);
        assert_int_equal(victim.calls, 0);
        turn(loop);
        assert_int_equal(victim.calls, 1);
        assert_int_equal(victim.events, -EBADF);
        assert_false(started(&victim));
        assert_int_equal(other.calls, 2);
        turn(loop);
        assert_int_equal(victim.calls, 1);
        assert_int_equal(other.calls, 3);
        assert_int_equal(jg_watcher_modify(&victim.watcher, JG_READ), -EINVAL);
        jg_watcher_stop(&victim.watcher);
        jg_watcher_stop(&other.watcher);
        close(fds[1]);
        if (duplicate >= 0) {
            close(duplicate);
        }
        close_both(witness);
    }
    test_loop_done(loop);
}

static void every_watcher_of_a_lost_descriptor_gets_ebadf_once(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probes[4];
    int fds[2], i;

    (void)state;
    memset(probes, 0, sizeof(probes));
    test_socketpair(fds);
    for (i = 0; i < 4; i++) {
        probe_start(&probes[i], loop, fds[0], i == 3 ? 0 : JG_READ);
    }
    turn(loop);
    close(fds[0]);
    assert_int_equal(jg_watcher_modify(&probes[1].watcher, JG_WRITE), 0);
    turn(loop);
    turn(loop);
    for (i = 0; i < 4; i++) {
        assert_int_equal(probes[i].calls, 1);
        assert_int_equal(probes[i].events, -EBADF);
        assert_false(started(&probes[i]));
    }
    assert_false(jg_loop_alive(loop));
    close(fds[1]);
    test_loop_done(loop);
}

static void *close_it(void *arg)
{
    const int *fd = arg;

    test_check(close(*fd) == 0);
    return NULL;
}

static void another_thread_may_close_a_descriptor_too(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe victim = {0}, other = {0};
    pthread_t thread;
    int fds[2];

    (void)state;
    test_socketpair(fds);
    probe_start(&victim, loop, fds[0], JG_READ);
    probe_start(&other, loop, fds[1], JG_READ);
    turn(loop);
    assert_int_equal(pthread_create(&thread, NULL, close_it, &fds[0]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(jg_watcher_modify(&victim.watcher, JG_WRITE), 0);
    turn(loop);
    assert_int_equal(victim.events, -EBADF);
    assert_int_equal(other.events, JG_READ); /* the peer was closed */
    jg_watcher_stop(&other.watcher);
    close(fds[1]);
    test_loop_done(loop);
}

static void a_descriptor_may_be_closed_between_start_and_turn(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe victim = {0}, other = {0};
    int fds[2], i;

    (void)state;
    test_socketpair(fds);
    put(fds[0]);
    probe_start(&victim, loop, fds[0], JG_READ);
    probe_start(&other, loop, fds[1], JG_READ);
    close(fds[0]);
    for (i = 1; i <= 3; i++) {
        turn(loop);
        assert_int_equal(other.calls, i);
    }
    /* Whether the loop notices depends on when the backend tells the kernel. */
    if (victim.calls > 0) {
        assert_int_equal(victim.calls, 1);
        assert_int_equal(victim.events, -EBADF);
        assert_false(started(&victim));
    }
    jg_watcher_stop(&victim.watcher);
    jg_watcher_stop(&other.watcher);
    close(fds[1]);
    test_loop_done(loop);
}

/* The number means another file by the time the change is applied: the watcher serves that one, or
   is told; it never hears of the old file. */
static void modifying_after_the_number_was_reused_never_serves_the_old_file(void **state)
{
    int with_duplicate;

    (void)state;
    for (with_duplicate = 0; with_duplicate < 2; with_duplicate++) {
        struct bench bench;
        struct probe probe = {0};
        int fds[2], fresh[2], duplicate = -1;

        bench_open(&bench);
        test_socketpair(fds);
        test_socketpair(fresh);
        probe_start(&probe, bench.loop, fds[0], JG_READ | JG_HANGUP);
        turn(bench.loop);
        if (with_duplicate) {
            duplicate = dup(fds[0]);
            put(fds[1]);
        }
        close(fds[0]);
        move(fresh[0], fds[0]);
        assert_int_equal(jg_watcher_modify(&probe.watcher, JG_READ), 0);
        turn(bench.loop);
        turn(bench.loop);
        if (started(&probe)) {
            assert_int_equal(probe.calls, 0);
            put(fresh[1]);
            turn(bench.loop);
            assert_int_equal(probe.calls, 1);
            assert_int_equal(probe.events, JG_READ);
            get(fds[0]);
        } else {
            assert_int_equal(probe.calls, 1);
            assert_true(probe.events < 0);
        }
        assert_quiet(&bench);
        assert_int_equal(probe.calls, 1);
        jg_watcher_stop(&probe.watcher);
        assert_quiet(&bench);
        close(fds[0]);
        close(fds[1]);
        close(fresh[1]);
        if (duplicate >= 0) {
            close(duplicate);
        }
        bench_close(&bench);
    }
}

static void restart_elsewhere(struct probe *self)
{
    if (self->events < 0) {
        assert_false(started(self));
        probe_start(self, self->loop, self->spare[0], JG_READ);
    }
}

static void a_watcher_may_restart_when_it_is_told_of_an_error(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe probe = {.then = restart_elsewhere};
    int fds[2], fresh[2];

    (void)state;
    test_socketpair(fds);
    test_socketpair(fresh);
    put(fresh[1]);
    probe.spare[0] = fresh[0];
    probe_start(&probe, loop, fds[0], JG_READ);
    turn(loop);
    close(fds[0]);
    assert_int_equal(jg_watcher_modify(&probe.watcher, JG_WRITE), 0);
    turn(loop);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.events, -EBADF);
    turn(loop);
    assert_int_equal(probe.calls, 2);
    assert_int_equal(probe.events, JG_READ);
    jg_watcher_stop(&probe.watcher);
    close(fds[1]);
    close_both(fresh);
    test_loop_done(loop);
}

/* A closed watcher and others of the same descriptor */

static void other_watchers_of_a_closed_descriptor_get_ebadf_once(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe a = {0}, b = {0}, paused = {0};
    int fds[2], duplicate;

    (void)state;
    test_socketpair(fds);
    put(fds[1]);
    duplicate = dup(fds[0]); /* so that the file stays ready */
    probe_start(&a, loop, fds[0], JG_READ);
    probe_start(&b, loop, fds[0], JG_READ | JG_WRITE);
    probe_start(&paused, loop, fds[0], 0);
    turn(loop);
    by_watcher_close(&a);
    assert_int_equal(b.calls, 1);
    turn(loop);
    assert_int_equal(b.calls, 2);
    assert_int_equal(b.events, -EBADF);
    assert_int_equal(paused.calls, 1);
    assert_int_equal(paused.events, -EBADF);
    assert_false(started(&b));
    assert_false(started(&paused));
    assert_false(jg_loop_alive(loop));
    turn(loop);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 2);
    close(duplicate);
    close(fds[1]);
    test_loop_done(loop);
}

static void close_own_watcher(struct probe *self)
{
    if (started(self)) {
        by_watcher_close(self);
    }
}

/* Both are ready, the first closes: the second gets the error and not the event. */
static void a_watcher_whose_descriptor_another_closed_first_gets_ebadf_and_no_event(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe a = {.then = close_own_watcher}, b = {.then = close_own_watcher};
    int fds[2];

    (void)state;
    test_socketpair(fds);
    put(fds[1]);
    probe_start(&a, loop, fds[0], JG_READ);
    probe_start(&b, loop, fds[0], JG_READ);
    turn(loop);
    turn(loop);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_true((a.events == JG_READ && b.events == -EBADF) ||
                (b.events == JG_READ && a.events == -EBADF));
    assert_false(jg_loop_alive(loop));
    close(fds[1]);
    test_loop_done(loop);
}

/* The number is reused at once: the old watcher gets its error, the new one its events. */
static void the_error_does_not_reach_a_watcher_of_the_successor(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe a = {0}, b = {0}, new = {0};
    int fds[2], fresh[2];

    (void)state;
    test_socketpair(fds);
    test_socketpair(fresh);
    put(fds[1]);
    put(fresh[1]);
    probe_start(&a, loop, fds[0], JG_READ);
    probe_start(&b, loop, fds[0], JG_READ);
    turn(loop);
    by_watcher_close(&a);
    move(fresh[0], fds[0]);
    probe_start(&new, loop, fds[0], JG_READ);
    turn(loop);
    turn(loop);
    assert_int_equal(b.calls, 2);
    assert_int_equal(b.events, -EBADF);
    assert_int_equal(new.calls, 2);
    assert_int_equal(new.events, JG_READ);
    by_watcher_close(&new);
    close(fds[1]);
    close(fresh[1]);
    test_loop_done(loop);
}

static void a_lost_watcher_that_is_stopped_hears_nothing(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe a = {0}, *b = calloc(1, sizeof(*b));
    int fds[2], calls;

    (void)state;
    assert_non_null(b);
    test_socketpair(fds);
    probe_start(&a, loop, fds[0], JG_READ);
    probe_start(b, loop, fds[0], JG_READ);
    turn(loop);
    by_watcher_close(&a);
    jg_watcher_stop(&b->watcher);
    calls = b->calls;
    free(b);
    assert_int_equal(calls, 0);
    assert_false(jg_loop_alive(loop));
    turn(loop);
    close(fds[1]);
    test_loop_done(loop);
}

/* Closing the second watcher of a closed descriptor must not close who has the number by then. */
static void closing_a_lost_watcher_spares_the_successor(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct probe a = {0}, b = {0};
    int fds[2], fresh[2];

    (void)state;
    test_socketpair(fds);
    test_socketpair(fresh);
    probe_start(&a, loop, fds[0], JG_READ);
    probe_start(&b, loop, fds[0], JG_READ);
    turn(loop);
    by_watcher_close(&a);
    move(fresh[0], fds[0]);
    (void)jg_watcher_close(&b.watcher); /* its result is not specified */
    assert_false(started(&b));
    assert_true(is_open(fds[0]));
    turn(loop);
    assert_int_equal(b.calls, 0);
    close_both(fds);
    close(fresh[1]);
    test_loop_done(loop);
}

/* Forks */

/* A child that holds duplicates of everything and does nothing, until release() or our end. */
static pid_t holder(int *ret_release)
{
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;

        close(fds[1]);
        while (read(fds[0], &byte, 1) < 0 && errno == EINTR) {
        }
        _exit(0);
    }
    close(fds[0]);
    *ret_release = fds[1];
    return pid;
}

/* By a signal: its memory, which is ours, does not concern a leak checker there. */
static void release(pid_t pid, int fd)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(fd);
}

static void a_closed_descriptor_that_a_child_holds_is_forgotten(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WAYS; i++) {
        struct bench bench;
        struct probe probe = {0}, new = {0};
        int fds[2], fresh[2], release_fd;
        pid_t pid;

        bench_open(&bench);
        test_socketpair(fds);
        probe_start(&probe, bench.loop, fds[0], JG_READ);
        turn(bench.loop);
        pid = holder(&release_fd);
        ways[i](&probe);
        put(fds[1]);
        assert_quiet(&bench);
        test_socketpair(fresh);
        if (fresh[0] != fds[0] && fresh[1] != fds[0]) {
            move(fresh[0], fds[0]);
            fresh[0] = fds[0];
        }
        probe_start(&new, bench.loop, fresh[0], JG_READ);
        put(fds[1]);
        assert_quiet(&bench);
        assert_int_equal(probe.calls + new.calls, 0);
        put(fresh[1]);
        turn(bench.loop);
        assert_int_equal(new.calls, 1);
        by_watcher_close(&new);
        close(fresh[1]);
        close(fds[1]);
        release(pid, release_fd);
        bench_close(&bench);
    }
}

struct family {
    struct bench bench;
    struct probe probes[WAYS];
    int fds[WAYS][2];
};

static void family_open(struct family *family)
{
    int i;

    memset(family, 0, sizeof(*family));
    bench_open(&family->bench);
    for (i = 0; i < WAYS; i++) {
        test_socketpair(family->fds[i]);
        probe_start(&family->probes[i], family->bench.loop, family->fds[i][0], JG_READ);
    }
    turn(family->bench.loop);
}

/* In the parent everything is as if there had been no child. */
static void family_close(struct family *family)
{
    int i;

    for (i = 0; i < WAYS; i++) {
        assert_int_equal(family->probes[i].calls, 0);
        put(family->fds[i][1]);
    }
    turn(family->bench.loop);
    for (i = 0; i < WAYS; i++) {
        assert_int_equal(family->probes[i].calls, 1);
        assert_int_equal(family->probes[i].events, JG_READ);
        assert_int_equal(jg_watcher_modify(&family->probes[i].watcher, JG_WRITE), 0);
    }
    turn(family->bench.loop);
    for (i = 0; i < WAYS; i++) {
        assert_int_equal(family->probes[i].events, JG_WRITE);
        ways[i](&family->probes[i]);
        close(family->fds[i][1]);
    }
    assert_quiet(&family->bench);
    bench_close(&family->bench);
}

static void child_stops_and_frees(void *arg)
{
    struct family *family = arg;
    int i;

    for (i = 0; i < WAYS; i++) {
        ways[i](&family->probes[i]);
        test_check(!started(&family->probes[i]));
    }
    jg_watcher_stop(&family->bench.idle.watcher);
    test_loop_done(family->bench.loop);
}

static void a_child_may_stop_and_close_without_harm_to_the_parent(void **state)
{
    struct family family;

    (void)state;
    family_open(&family);
    test_in_child(child_stops_and_frees, &family);
    family_close(&family);
}

static void child_leaks(void *arg)
{
    struct family *family = arg;

    test_check(jg_loop_free(family->bench.loop) == WAYS + 1);
    test_check(family->bench.leaks == WAYS + 1);
}

static void a_child_may_free_the_loop_with_its_watchers(void **state)
{
    struct family family;

    (void)state;
    family_open(&family);
    test_in_child(child_leaks, &family);
    family_close(&family);
}

static void child_goes_on(void *arg)
{
    struct family *family = arg;
    jg_loop *loop = family->bench.loop;
    int own[2], i;
    struct probe added = {0};

    test_check(jg_loop_run_once(loop, 0) == JG_EFORKED);
    test_check(jg_loop_fork(loop) == 0);
    put(family->fds[0][1]);
    turn(loop);
    test_check(family->probes[0].calls == 1 && family->probes[0].events == JG_READ);
    test_check(family->probes[1].calls == 0 && family->bench.idle.calls == 0);
    get(family->fds[0][0]);
    for (i = 0; i < WAYS; i++) {
        ways[i](&family->probes[i]);
    }
    test_socketpair(own);
    probe_start(&added, loop, own[0], JG_READ);
    put(own[1]);
    turn(loop);
    test_check(added.calls == 1);
    by_watcher_close(&added);
    jg_watcher_stop(&family->bench.idle.watcher);
    test_loop_done(loop);
}

static void a_child_may_go_on_with_watchers_of_its_own(void **state)
{
    struct family family;

    (void)state;
    family_open(&family);
    test_in_child(child_goes_on, &family);
    family_close(&family);
}

/* Changes that the parent made and had not applied when it forked are the child's as well. */
static void child_has_the_changes(void *arg)
{
    struct family *family = arg;

    test_check(jg_loop_fork(family->bench.loop) == 0);
    turn(family->bench.loop);
    test_check(family->probes[0].calls == 1 && family->probes[0].events == JG_WRITE);
    test_check(family->probes[1].calls == 0);
    test_check(family->probes[2].calls == 0);
    test_check(jg_loop_free(family->bench.loop) == WAYS); /* one was stopped, one is idle */
}

static void changes_not_yet_applied_survive_a_fork(void **state)
{
    struct family family;

    (void)state;
    family_open(&family);
    put(family.fds[0][1]);
    put(family.fds[1][1]);
    put(family.fds[2][1]);
    assert_int_equal(jg_watcher_modify(&family.probes[0].watcher, JG_WRITE), 0);
    assert_int_equal(jg_watcher_modify(&family.probes[1].watcher, 0), 0);
    jg_watcher_stop(&family.probes[2].watcher);
    test_in_child(child_has_the_changes, &family);
    turn(family.bench.loop);
    assert_int_equal(family.probes[0].calls, 1);
    assert_int_equal(family.probes[0].events, JG_WRITE);
    assert_int_equal(family.probes[1].calls + family.probes[2].calls, 0);
    by_watcher_close(&family.probes[0]);
    by_watcher_close(&family.probes[1]);
    close(family.fds[0][1]);
    close(family.fds[1][1]);
    close_both(family.fds[2]);
    bench_close(&family.bench);
}

/* Standard descriptors */

static void child_without_standard_descriptors(void *arg)
{
    int fds[2], fd;
    struct probe probe = {0};
    jg_loop *loop;

    (void)arg;
    for (fd = 0; fd <= 2; fd++) {
        (void)close(fd); /* whatever was open */
    }
    loop = test_loop(0);
    for (fd = 0; fd <= 2; fd++) {
        test_check(!is_open(fd));
    }
    /* They are good for watching all the same. */
    test_check(pipe(fds) == 0 && fds[0] == 0 && fds[1] == 1);
    probe_start(&probe, loop, fds[0], JG_READ);
    put(fds[1]);
    turn(loop);
    test_check(probe.calls == 1);
    test_check(!is_open(2));
    by_watcher_close(&probe);
    test_check(close(1) == 0);
    test_loop_done(loop);
}

static void a_loop_never_takes_the_standard_descriptors(void **state)
{
    (void)state;
    test_in_child(child_without_standard_descriptors, NULL);
}

/* Every test leaves as many descriptors open as it found. */
static int open_at_start;

static int count_descriptors(void **state)
{
    (void)state;
    open_at_start = test_open_descriptors();
    return 0;
}

static int compare_descriptors(void **state)
{
    (void)state;
    return test_open_descriptors() - open_at_start;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, count_descriptors, compare_descriptors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_does_not_reach_the_successor_of_a_closed_descriptor),
        TEST(an_event_does_not_reach_the_successor_of_the_callbacks_own_descriptor),
        TEST(a_watcher_may_go_on_with_the_successor_of_its_descriptor),
        TEST(a_number_can_be_reused_again_and_again),
        TEST(numbers_are_told_apart_when_the_count_of_registrations_wraps),
        TEST(a_closed_descriptor_with_a_live_duplicate_is_forgotten),
        TEST(a_closed_descriptor_is_forgotten_also_if_its_own_callback_closed_it),
        TEST(a_number_can_be_watched_again_while_the_old_file_lives),
        TEST(a_number_that_gets_an_old_file_again_serves_only_that),
        TEST(a_lost_watcher_does_not_vouch_for_the_file_of_its_number),
        TEST(a_closed_number_is_refused_even_if_its_file_lives),
        TEST(duplicates_are_watched_separately),
        TEST(a_stopped_descriptor_that_stays_open_is_forgotten),
        TEST(many_closed_descriptors_with_live_duplicates_are_forgotten),
        TEST(a_loop_that_is_watched_by_another_stays_watched),
        TEST(modifying_a_descriptor_closed_behind_the_loops_back_reports_ebadf),
        TEST(every_watcher_of_a_lost_descriptor_gets_ebadf_once),
        TEST(another_thread_may_close_a_descriptor_too),
        TEST(a_descriptor_may_be_closed_between_start_and_turn),
        TEST(modifying_after_the_number_was_reused_never_serves_the_old_file),
        TEST(a_watcher_may_restart_when_it_is_told_of_an_error),
        TEST(other_watchers_of_a_closed_descriptor_get_ebadf_once),
        TEST(a_watcher_whose_descriptor_another_closed_first_gets_ebadf_and_no_event),
        TEST(the_error_does_not_reach_a_watcher_of_the_successor),
        TEST(a_lost_watcher_that_is_stopped_hears_nothing),
        TEST(closing_a_lost_watcher_spares_the_successor),
        TEST(a_closed_descriptor_that_a_child_holds_is_forgotten),
        TEST(a_child_may_stop_and_close_without_harm_to_the_parent),
        TEST(a_child_may_free_the_loop_with_its_watchers),
        TEST(a_child_may_go_on_with_watchers_of_its_own),
        TEST(changes_not_yet_applied_survive_a_fork),
        TEST(a_loop_never_takes_the_standard_descriptors),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
