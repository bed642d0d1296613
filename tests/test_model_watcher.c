/* SPDX-License-Identifier: MIT
 *
 * Watchers against a model that is too simple to be wrong: before each turn poll(2) is asked about
 * every watched descriptor, and the callbacks of the turn must be those that it announces, each
 * once and with just those events.
 *
 * In between, and inside callbacks, random things happen: descriptors are opened, duplicated,
 * written, read, shut down and closed in every way there is, so that numbers are reused all the
 * time; watchers are started, modified, paused, stopped, restarted and freed. The sequence depends
 * on a seed only, which is printed; JUGGLE_TEST_SEED=<n> runs that one again, JUGGLE_TEST_TRACE=1
 * shows every step of it.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef POLLRDHUP
#    define POLLRDHUP 0 /* then a half-closed peer is no hang-up for poll(2), nor for the loop */
#endif

enum {
    ALL = JG_READ | JG_WRITE | JG_HANGUP,
    MOST_NUMBERS = 48, /* descriptors open at a time */
    MOST_WATCHERS = 64,
    LOST_MATTERS = 2 /* turns in which a watcher of a closed descriptor must be told */
};

struct model;

struct watched {
    jg_watcher watcher;
    struct model *model;
    int fd;
    unsigned wanted;
    bool started;

    /* The descriptor was closed by another watcher, or behind the loop's back: it gets -EBADF. */
    bool lost;
    int lost_turns;

    /* Of this turn. */
    int announced; /* what poll(2) said about what was wanted */
    int possible;  /* what it would have said if everything had been wanted */
    bool fresh;    /* started in this turn: not called */
    bool modified; /* in this turn: called with what both poll(2) and its events allow, or not */
    bool called;
};

struct model {
    jg_loop *loop;
    uint64_t random;
    struct watched *watchers[MOST_WATCHERS];
    int watcher_count;
    int numbers[MOST_NUMBERS]; /* open descriptors, watched or not */
    int number_count;
    bool in_turn;
    bool calm; /* callbacks change nothing */
    bool trace;
    long steps, turns, calls, errors, changes_in_turns, reused;
};

static unsigned pick(struct model *model, unsigned below)
{
    /* xorshift; the low bits are the weak ones */
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (unsigned)((model->random >> 20) % below);
}

static void say(const struct model *model, const char *what, const void *who, int number,
                unsigned events)
{
    if (model->trace) {
        printf("%s%s %p %d %u\n", model->in_turn ? "    " : "", what, who, number, events);
        fflush(stdout);
    }
}

/* Descriptors */

static void own(struct model *model, int fd)
{
    assert_true(fd >= 0);
    assert_true(model->number_count < MOST_NUMBERS);
    say(model, "open", NULL, fd, 0);
    model->numbers[model->number_count++] = fd;
}

static void disown(struct model *model, int fd)
{
    int i;

    for (i = 0; model->numbers[i] != fd; i++) {
        assert_true(i < model->number_count);
    }
    model->numbers[i] = model->numbers[--model->number_count];
}

static bool room_for(const struct model *model, int count)
{
    return model->number_count + count <= MOST_NUMBERS;
}

static void open_something(struct model *model)
{
    char name[] = "/tmp/juggle-test-XXXXXX";
    int fds[2], i;

    if (!room_for(model, 2)) {
        return;
    }
    switch (pick(model, 8)) {
    case 0:
        own(model, open("/dev/null", O_RDWR));
        return;
    case 1:
        fds[0] = mkstemp(name);
        own(model, fds[0]);
        assert_int_equal(unlink(name), 0);
        return;
    case 2:
    case 3:
    case 4:
        assert_int_equal(pipe(fds), 0);
        break;
    default:
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        break;
    }
    for (i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
        own(model, fds[i]);
    }
}

static void use_descriptor(struct model *model, int fd)
{
    static char data[65536];
    int i;

    /* Errors are part of it: the end is of the wrong kind, full, empty or broken. */
    switch (pick(model, 6)) {
    case 0:
        (void)!write(fd, data, 1 + pick(model, 100));
        break;
    case 1:
        (void)!read(fd, data, 1 + pick(model, 100));
        break;
    case 2: /* until it is full; a file takes it all, hence not for ever */
        for (i = 0; i < 20 && write(fd, data, sizeof(data)) > 0; i++) {
        }
        break;
    case 3: /* until it is empty */
        for (i = 0; i < 20 && read(fd, data, sizeof(data)) > 0; i++) {
        }
        break;
    case 4:
        (void)shutdown(fd, SHUT_WR);
        break;
    default:
        (void)shutdown(fd, SHUT_RD);
        break;
    }
}

static bool can_be_waited_for(int fd)
{
    struct pollfd nothing = {.fd = fd, .events = POLLIN | POLLOUT};
    int flags = fcntl(fd, F_GETFL);

    /* Pipes and sockets are non-blocking here, files and /dev/null are not. */
    return poll(&nothing, 1, 0) >= 0 && flags & O_NONBLOCK;
}

/* Watchers */

static void on_event(void *arg, int events);
static void turn(struct model *model);

static struct watched *new_watcher(struct model *model)
{
    struct watched *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->model = model;
    jg_watcher_init(&w->watcher, on_event, w);
    model->watchers[model->watcher_count++] = w;
    return w;
}

static void start(struct model *model, struct watched *w, int fd)
{
    unsigned wanted = pick(model, ALL + 1);

    say(model, "start", w, fd, wanted);
    assert_int_equal(jg_watcher_start(model->loop, &w->watcher, fd, wanted), 0);
    w->fd = fd;
    w->wanted = wanted;
    w->started = true;
    w->lost = false;
    w->fresh = true;
    w->announced = 0;
}

/* The watcher was stopped, one way or another. */
static void stopped(struct watched *w)
{
    assert_false(jg_handle_started(&w->watcher.handle));
    w->started = false;
    w->lost = false;
    w->announced = 0;
}

static void stop(struct watched *w)
{
    say(w->model, "stop", w, w->fd, w->wanted);
    jg_watcher_stop(&w->watcher);
    stopped(w);
}

static void lose(struct watched *w)
{
    w->lost = true;
    w->lost_turns = 0;
    w->announced = 0;
}

/* Free a watcher, started or not, and fill the hole. */
static void drop_watcher(struct model *model, int index)
{
    struct watched *w = model->watchers[index];

    if (w->started) {
        stop(w);
    }
    memset(w, 0xdd, sizeof(*w));
    free(w);
    model->watchers[index] = model->watchers[--model->watcher_count];
}

static void stop_all_of(struct model *model, int fd)
{
    int i;

    for (i = 0; i < model->watcher_count; i++) {
        struct watched *w = model->watchers[i];

        if (w->started && !w->lost && w->fd == fd) {
            stop(w);
        }
    }
}

static void lose_all_of(struct model *model, int fd)
{
    int i;

    for (i = 0; i < model->watcher_count; i++) {
        struct watched *w = model->watchers[i];

        if (w->started && !w->lost && w->fd == fd) {
            lose(w);
        }
    }
}

/* A watcher closes its descriptor; the others of the descriptor lose theirs. */
static void close_through_watcher(struct model *model, struct watched *w)
{
    int fd = w->fd;

    say(model, "close through", w, fd, w->wanted);
    assert_int_equal(jg_watcher_close(&w->watcher), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    stopped(w);
    lose_all_of(model, fd);
}

static void close_something(struct model *model, int fd)
{
    struct watched *w = NULL;
    int i;

    for (i = 0; i < model->watcher_count && !w; i++) {
        if (model->watchers[i]->started && !model->watchers[i]->lost &&
            model->watchers[i]->fd == fd) {
            w = model->watchers[i];
        }
    }
    say(model, "close", w, fd, 0);
    disown(model, fd);
    switch (pick(model, 3)) {
    case 0: /* the right order */
        stop_all_of(model, fd);
        assert_int_equal(close(fd), 0);
        break;
    case 1: /* the wrong one */
        assert_int_equal(close(fd), 0);
        stop_all_of(model, fd);
        break;
    default:
        if (w) {
            close_through_watcher(model, w);
        } else {
            assert_int_equal(close(fd), 0);
        }
        break;
    }
    /* The number's successor is there at once, watched by one who stopped, or by a new one. */
    if (pick(model, 2) && model->number_count > 0) {
        int next = dup(model->numbers[pick(model, (unsigned)model->number_count)]);

        own(model, next);
        model->reused += next == fd;
        if (w && !w->started) {
            start(model, w, next);
        }
    }
}

/*
 * Close behind the loop's back, and change what is wanted, so that the kernel must be asked. This
 * takes a turn before, to know what the kernel was told, and one after, before the number means
 * something else: who has it then would be the one watched.
 */
static void close_and_modify(struct model *model, struct watched *w)
{
    unsigned others = 0, wanted = 1 + pick(model, ALL);
    int i;

    model->calm = true;
    turn(model);
    if (w->started && can_be_waited_for(w->fd)) {
        for (i = 0; i < model->watcher_count; i++) {
            const struct watched *other = model->watchers[i];

            if (other != w && other->started && other->fd == w->fd) {
                others |= other->wanted;
            }
        }
        if ((others | wanted) != (others | w->wanted)) {
            say(model, "close and modify", w, w->fd, wanted);
            disown(model, w->fd);
            assert_int_equal(close(w->fd), 0);
            assert_int_equal(jg_watcher_modify(&w->watcher, wanted), 0);
            lose_all_of(model, w->fd);
            turn(model);
        }
    }
    model->calm = false;
}

/* What must be refused is, and changes nothing. */
static void try_nonsense(struct model *model, struct watched *w)
{
    int free_number = dup(0);

    assert_true(free_number >= 0);
    close(free_number);
    if (w->started) {
        assert_int_equal(jg_watcher_start(model->loop, &w->watcher, 0, JG_READ), -EALREADY);
        assert_int_equal(jg_watcher_modify(&w->watcher, ALL + 1), -EINVAL);
    } else {
        assert_int_equal(jg_watcher_start(model->loop, &w->watcher, free_number, JG_READ), -EBADF);
        assert_int_equal(jg_watcher_start(model->loop, &w->watcher, 0, 0x80), -EINVAL);
        assert_int_equal(jg_watcher_modify(&w->watcher, JG_READ), -EINVAL);
        assert_int_equal(jg_watcher_close(&w->watcher), -EINVAL);
    }
    assert_int_equal(jg_handle_started(&w->watcher.handle), w->started);
}

/* One random thing. `self` is the watcher whose callback does it, or NULL. */
static void step(struct model *model, struct watched *self)
{
    unsigned what = pick(model, 100);
    int index = model->watcher_count > 0 ? (int)pick(model, (unsigned)model->watcher_count) : -1;
    int place = model->number_count > 0 ? (int)pick(model, (unsigned)model->number_count) : -1;
    struct watched *w = index < 0 ? NULL : model->watchers[index];

    if (self && pick(model, 3) == 0) {
        w = self;
    }
    model->steps++;
    model->changes_in_turns += model->in_turn;
    if (what < 8 || place < 0) {
        open_something(model);
    } else if (what < 40) {
        use_descriptor(model, model->numbers[place]);
    } else if (what < 46) {
        if (room_for(model, 1)) {
            own(model, dup(model->numbers[place]));
        }
    } else if (what < 54) {
        close_something(model, model->numbers[place]);
    } else if (what < 66 || !w) {
        if (model->watcher_count < MOST_WATCHERS) {
            start(model, new_watcher(model), model->numbers[place]);
        }
    } else if (what < 80) {
        if (w->started && !w->lost) {
            unsigned wanted = pick(model, ALL + 1);

            say(model, "modify", w, w->fd, wanted);
            assert_int_equal(jg_watcher_modify(&w->watcher, wanted), 0);
            w->wanted = wanted;
            w->modified = true;
        }
    } else if (what < 88) {
        if (w->started) {
            stop(w);
        } else {
            start(model, w, model->numbers[place]);
        }
    } else if (what < 93) {
        if (w->started) {
            stop(w);
        }
        start(model, w, model->numbers[place]);
    } else if (what < 95) {
        if (!model->in_turn) {
            close_and_modify(model, w);
        }
    } else if (what < 98) {
        if (w != self) { /* who looks at itself after its steps */
            drop_watcher(model, index);
        }
    } else {
        try_nonsense(model, w);
    }
}

static int from_poll(short got)
{
    if (got & (POLLERR | POLLHUP)) {
        return ALL;
    }
    return (got & POLLIN ? JG_READ : 0) | (got & POLLOUT ? JG_WRITE : 0) |
           (got & POLLRDHUP ? JG_HANGUP : 0);
}

static void on_event(void *arg, int events)
{
    struct watched *w = arg;
    struct model *model = w->model;
    unsigned steps;

    say(model, "event", w, w->fd, (unsigned)events);
    assert_true(model->in_turn);
    assert_true(w->started);
    if (events < 0) {
        assert_int_equal(events, -EBADF);
        assert_true(w->lost);
        stopped(w);
        w->called = true; /* not again in this turn, unless it is lost again */
        model->errors++;
    } else {
        assert_false(w->lost);
        assert_false(w->fresh);
        assert_false(w->called);
        w->called = true;
        assert_true(events != 0);
        if (w->modified) {
            assert_int_equal(events & ~(w->possible & (int)w->wanted), 0);
        } else {
            assert_int_equal(events, w->announced);
        }
        model->calls++;
    }
    if (model->calm) {
        return;
    }
    for (steps = pick(model, 4); steps > 0 && steps < 3; steps--) {
        step(model, w);
    }
}

/* Ask poll(2) what the turn must bring. */
static void announce(struct model *model)
{
    int i;

    for (i = 0; i < model->watcher_count; i++) {
        struct watched *w = model->watchers[i];
        struct pollfd all = {.fd = w->fd, .events = POLLIN | POLLOUT | POLLRDHUP};

        w->announced = w->possible = 0;
        w->fresh = w->modified = w->called = false;
        if (w->started && !w->lost) {
            assert_true(poll(&all, 1, 0) >= 0);
            assert_false(all.revents & POLLNVAL);
            w->possible = from_poll(all.revents);
            w->announced = w->possible & (int)w->wanted;
        }
    }
}

static void check(struct model *model)
{
    int i, started = 0;

    for (i = 0; i < model->watcher_count; i++) {
        struct watched *w = model->watchers[i];

        assert_int_equal(jg_handle_started(&w->watcher.handle), w->started);
        started += w->started;
        if (w->lost) {
            if (++w->lost_turns >= LOST_MATTERS) {
                fail_msg("watcher %p lost descriptor %d and was not told", (void *)w, w->fd);
            }
        } else if (w->started && !w->fresh && !w->modified && w->called != (w->announced != 0)) {
            fail_msg("watcher %p of %d: announced %d, %scalled", (void *)w, w->fd, w->announced,
                     w->called ? "" : "not ");
        }
    }
    assert_int_equal(jg_loop_alive(model->loop), started > 0);
}

static void turn(struct model *model)
{
    int r;

    announce(model);
    say(model, "turn", NULL, (int)model->turns, 0);
    model->in_turn = true;
    r = jg_loop_run_once(model->loop, 0);
    model->in_turn = false;
    model->turns++;
    check(model);
    assert_int_equal(r, jg_loop_alive(model->loop));
}

/* When nobody wants anything, the kernel tells of nothing. */
static void pause_all(struct model *model)
{
    struct pollfd kernel = {.events = POLLIN};
    int i;

    for (i = 0; i < model->watcher_count; i++) {
        struct watched *w = model->watchers[i];

        if (w->started && !w->lost) {
            assert_int_equal(jg_watcher_modify(&w->watcher, 0), 0);
            w->wanted = 0;
        }
    }
    model->calm = true;
    for (i = 0; i < 3; i++) { /* it may take one to get rid of closed descriptors */
        turn(model);
    }
    model->calm = false;
    assert_true(jg_loop_prepare(model->loop) == JG_FOREVER);
    kernel.fd = jg_loop_fd(model->loop);
    if (kernel.fd >= 0) {
        assert_int_equal(poll(&kernel, 1, 0), 0);
    }
}

static void run(uint64_t seed, long steps)
{
    struct model model = {.random = seed * 0x9e3779b97f4a7c15u + 1};
    int open_before = test_open_descriptors();
    unsigned i;

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    model.trace = getenv("JUGGLE_TEST_TRACE") != NULL;
    model.loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    while (model.steps < steps) {
        for (i = pick(&model, 5); i > 0; i--) {
            step(&model, NULL);
        }
        turn(&model);
        if (model.turns % 64 == 0) {
            pause_all(&model);
        }
    }
    while (model.watcher_count > 0) {
        drop_watcher(&model, 0);
    }
    while (model.number_count > 0) {
        assert_int_equal(close(model.numbers[--model.number_count]), 0);
    }
    test_loop_done(model.loop);
    assert_int_equal(test_open_descriptors(), open_before);
    printf(
        "%ld steps, %ld inside callbacks; %ld turns, %ld calls, %ld errors, %ld numbers reused\n",
        model.steps, model.changes_in_turns, model.turns, model.calls, model.errors, model.reused);

    /* It did exercise what it is for. */
    assert_true(model.changes_in_turns > steps / 20);
    assert_true(model.calls > steps / 10);
    assert_true(model.errors > steps / 1000);
    assert_true(model.reused > steps / 1000);
}

static void callbacks_are_those_that_poll_announces(void **state)
{
    const char *given = getenv("JUGGLE_TEST_SEED");
    const long steps = test_is_slow() ? 4000 : 25000;
    uint64_t seed;

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    if (given) {
        run(strtoull(given, NULL, 10), steps);
    } else {
        for (seed = 1; seed <= 3; seed++) {
            run(seed, steps);
        }
        run((uint64_t)test_clock(), steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_are_those_that_poll_announces),
    };

    return cmocka_run_group_tests_name("model_watcher", tests, NULL, NULL);
}
