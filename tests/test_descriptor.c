/* SPDX-License-Identifier: MIT
 *
 * Streams on descriptors: sockets, pipes and files; and the edge-triggered watchers under them.
 *
 * The loops are in real time where a test waits for the kernel, which is at once.
 */
#include "support.h"

#include "core/loop.h"

#include <juggle/coro.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends of a connection, and the loop that has the streams on them. */
struct desk {
    jg_loop *loop;
    jg_scope root;
    jg_op left;
    int fds[2]; /* -1: a stream's */
    jg_stream a, b;
    int open_before;
    size_t size;
};

static void on_count(void *arg)
{
    ++*(int *)arg;
}

static void on_left(void *arg)
{
    (void)arg;
}

static void desk_open(struct desk *desk, bool tcp)
{
    memset(desk, 0, sizeof(*desk));
    desk->open_before = test_open_descriptors();
    desk->loop = test_loop(0);
    jg_scope_open(&desk->root, desk->loop, NULL, NULL);
    jg_op_init(&desk->left, desk->loop, on_left, NULL);
    if (tcp)
        test_tcp_pair(desk->fds);
    else
        test_socketpair(desk->fds);
}

static void use_pipe(struct desk *desk)
{
    assert_int_equal(close(desk->fds[0]), 0);
    assert_int_equal(close(desk->fds[1]), 0);
    assert_int_equal(pipe(desk->fds), 0);
}

static void open_stream(struct desk *desk, jg_stream *stream, int i)
{
    assert_int_equal(jg_stream_open(stream, desk->loop, desk->fds[i], NULL), 0);
    assert_int_equal(jg_stream_fd(stream), desk->fds[i]);
    desk->fds[i] = -1;
}

static void run(struct desk *desk, jg_coro_fn fn)
{
    assert_int_equal(jg_spawn(&desk->root, fn, desk, NULL), 0);
}

static void desk_close(struct desk *desk)
{
    int open;

    jg_scope_close(&desk->root, 0, &desk->left);
    assert_int_equal(jg_loop_run(desk->loop), 0);
    assert_int_equal(jg_op_status(&desk->left), 0);
    jg_stream_abort(&desk->a);
    jg_stream_abort(&desk->b);
    for (int i = 0; i < 2; i++) {
        if (desk->fds[i] >= 0)
            assert_int_equal(close(desk->fds[i]), 0);
    }
    test_loop_done(desk->loop);
    open = test_open_descriptors();
    assert_int_equal(open, desk->open_before);
}

static void await_events(int fd, short events)
{
    struct pollfd wanted = {.fd = fd, .events = events};

    test_check(poll(&wanted, 1, 5000) == 1);
}

static void reset(int fd)
{
    struct linger hard = {.l_onoff = 1};

    test_check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    test_check(close(fd) == 0);
}

/* The loop, which something keeps running, sleeps. */
static void assert_quiet(jg_loop *loop)
{
    const jg_time began = test_clock();
    const uint16_t turns = loop->turns;

    assert_int_equal(jg_loop_run_once(loop, 20 * JG_MILLISECOND), 1);
    assert_true(test_clock() - began >= 20 * JG_MILLISECOND);
    assert_true((uint16_t)(loop->turns - turns) <= 3);
}

/* ---------------------------------------------------------------- sockets */

enum { MUCH = 3000000 };

static char byte_at(size_t i)
{
    return (char)(i * 31 % 253);
}

static int send_much(void *arg)
{
    struct desk *desk = arg;
    char *data = malloc(MUCH);
    size_t sent;

    test_check(data != NULL);
    for (size_t i = 0; i < MUCH; i++)
        data[i] = byte_at(i);
    for (size_t i = 0; i < MUCH / 3;) {
        size_t step = 1 + i % 10007;

        test_check(jg_stream_write(&desk->a, data + i, step) == 0);
        test_check(jg_stream_drain(&desk->a) == 0);
        i += step;
        desk->size = i;
    }
    test_check(jg_stream_write_all(&desk->a, data + desk->size, MUCH - desk->size, &sent) == 0);
    test_check(sent == MUCH - desk->size);
    test_check(jg_stream_shut(&desk->a) == 0);
    free(data);
    return 0;
}

static int echo_much(void *arg)
{
    struct desk *desk = arg;
    char buf[7000];
    int r;

    for (;;) {
        r = jg_stream_read(&desk->b, buf, sizeof(buf));
        test_check(r >= 0);
        if (r == 0)
            break;
        test_check(jg_stream_write(&desk->b, buf, (size_t)r) == 0);
        test_check(jg_stream_drain(&desk->b) == 0);
    }
    return jg_stream_close(&desk->b, JG_SECOND);
}

static int check_much(void *arg)
{
    struct desk *desk = arg;
    char buf[5000];
    size_t got = 0;
    int r;

    for (;;) {
        r = jg_stream_read(&desk->a, buf, sizeof(buf));
        test_check(r >= 0);
        if (r == 0)
            break;
        for (int i = 0; i < r; i++)
            test_check(buf[i] == byte_at(got + (size_t)i));
        got += (size_t)r;
    }
    test_check(got == MUCH);
    test_check(jg_stream_bytes_in(&desk->a) == MUCH && jg_stream_bytes_out(&desk->a) == MUCH);
    return 0;
}

static void much_goes_there_and_back(void **state)
{
    struct desk desk;

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        desk_open(&desk, tcp);
        open_stream(&desk, &desk.a, 0);
        open_stream(&desk, &desk.b, 1);
        run(&desk, send_much);
        run(&desk, echo_much);
        run(&desk, check_much);
        desk_close(&desk);
    }
}

static int read_then_end(void *arg)
{
    struct desk *desk = arg;
    char buf[64];
    int r;

    r = jg_stream_read(&desk->a, buf, sizeof(buf));
    test_check(r == 1);
    /* More comes, and the end with it, before this is read. */
    test_check(send(desk->fds[1], "more", 4, 0) == 4);
    test_check(shutdown(desk->fds[1], SHUT_WR) == 0);
    test_check(jg_sleep(5 * JG_MILLISECOND) == 0);
    r = jg_stream_read(&desk->a, buf, sizeof(buf));
    test_check(r == 4);
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == 0);
    test_check(jg_stream_write(&desk->a, "still", 5) == 0);
    test_check(recv(desk->fds[1], buf, sizeof(buf), 0) == 5);
    return 0;
}

static void an_end_that_comes_with_data_is_not_missed(void **state)
{
    struct desk desk;

    (void)state;
    for (int registered = 0; registered < 2; registered++) {
        for (int tcp = 0; tcp < 2; tcp++) {
            desk_open(&desk, tcp);
            open_stream(&desk, &desk.a, 0);
            if (!registered)
                assert_int_equal(send(desk.fds[1], "x", 1, 0), 1);
            run(&desk, read_then_end);
            assert_true(jg_loop_run_once(desk.loop, 0) >= 0);
            if (registered)
                assert_int_equal(send(desk.fds[1], "x", 1, 0), 1);
            desk_close(&desk);
        }
    }
}

static int write_into_reset(void *arg)
{
    struct desk *desk = arg;
    static char data[4000000];
    size_t sent;
    int r;

    r = jg_stream_write_all(&desk->a, data, sizeof(data), &sent);
    test_check(r == -ECONNRESET || r == -EPIPE);
    test_check(sent < sizeof(data));
    test_check(jg_stream_write(&desk->a, "x", 1) == r);
    test_check(jg_stream_read(&desk->a, data, 1) <= 0);
    return 0;
}

static int reset_soon(void *arg)
{
    struct desk *desk = arg;

    test_check(jg_sleep(5 * JG_MILLISECOND) == 0);
    reset(desk->fds[1]);
    desk->fds[1] = -1;
    return 0;
}

static void a_reset_ends_writing_without_a_signal(void **state)
{
    const int little = 65536; /* else the kernel may take all of it */
    struct desk desk;

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        desk_open(&desk, tcp);
        assert_int_equal(setsockopt(desk.fds[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)),
                         0);
        assert_int_equal(setsockopt(desk.fds[1], SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)),
                         0);
        open_stream(&desk, &desk.a, 0);
        run(&desk, write_into_reset);
        run(&desk, reset_soon);
        desk_close(&desk);
    }
}

static int read_before_reset(void *arg)
{
    struct desk *desk = arg;
    char buf[16];

    test_check(send(desk->fds[1], "data", 4, 0) == 4);
    await_events(jg_stream_fd(&desk->a), POLLIN);
    reset(desk->fds[1]);
    desk->fds[1] = -1;
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == 4);
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == -ECONNRESET);
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == -ECONNRESET);
    return 0;
}

static void data_before_a_reset_is_read(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    run(&desk, read_before_reset);
    desk_close(&desk);
}

static void a_peer_of_an_aborted_stream_is_not_deceived(void **state)
{
    static char data[8000000];
    struct desk desk;
    ssize_t n;

    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        desk_open(&desk, true);
        open_stream(&desk, &desk.a, 0);
        assert_int_equal(jg_stream_write(&desk.a, data, cut ? sizeof(data) : 10), 0);
        assert_int_equal(jg_stream_queued(&desk.a) > 0, cut);
        jg_stream_abort(&desk.a);
        assert_int_equal(jg_stream_fd(&desk.a), -EBADF);
        do
            n = recv(desk.fds[1], data, sizeof(data), 0);
        while (n > 0);
        assert_int_equal(n, cut ? -1 : 0);
        desk_close(&desk);
    }
}

static void a_write_cancelled_half_way_cuts_a_close_that_waits_for_it(void **state)
{
    static char data[32 << 20];
    jg_stream_closing closing;
    jg_stream_writing writing;
    jg_op written, closed;
    int completed = 0;
    struct desk desk;
    ssize_t n;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    jg_op_init(&written, desk.loop, on_count, &completed);
    jg_op_init(&closed, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_write_all_start(&desk.a, &writing, data, sizeof(data), &written), 0);
    assert_int_equal(jg_stream_close_start(&desk.a, &closing, JG_SECOND, &closed), 0);
    assert_true(writing.sent > 0 && writing.sent < sizeof(data));
    jg_op_cancel(&written);
    assert_int_equal(jg_loop_run(desk.loop), 0);
    assert_int_equal(completed, 2);
    assert_int_equal(jg_op_status(&written), -ECANCELED);
    assert_int_equal(jg_op_status(&closed), -ECANCELED);
    do
        n = recv(desk.fds[1], data, sizeof(data), 0);
    while (n > 0);
    assert_int_equal(n, -1); /* a reset, and no regular end */
    desk_close(&desk);
}

/* Send a byte along with a descriptor. */
static void send_descriptor(int fd, int passed)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec piece = {(char *)"c", 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &passed, sizeof(int));
    test_check(sendmsg(fd, &message, 0) == 1);
}

/* What came is in parts, each of which a read ends with. */
static int read_parts(void *arg)
{
    struct desk *desk = arg;
    const jg_scope_options options = {.timeout = JG_SECOND};
    char buf[64];
    jg_scope scope;
    int r;

    for (int round = 0; round < 2; round++) {
        jg_scope_enter(&scope, &options);
        for (size_t got = 0; got < 6; got += (size_t)r) {
            r = jg_stream_read(&desk->a, buf, sizeof(buf));
            test_check(r > 0);
            desk->size += (size_t)r;
        }
        test_check(jg_scope_leave(&scope, 0) == 0);
    }
    return 0;
}

static void what_is_behind_a_short_read_is_read(void **state)
{
    struct desk desk;

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        desk_open(&desk, tcp);
        open_stream(&desk, &desk.a, 0);
        run(&desk, read_parts);
        for (size_t round = 0; round < 2; round++) {
            for (int tries = 0; tries < 3; tries++)
                assert_true(jg_loop_run_once(desk.loop, JG_MILLISECOND) >= 0);
            assert_int_equal(desk.size, 6 * round);
            if (tcp) {
                assert_int_equal(send(desk.fds[1], "abc", 3, 0), 3);
                assert_int_equal(send(desk.fds[1], "!", 1, MSG_OOB), 1);
            } else {
                assert_int_equal(send(desk.fds[1], "ab", 2, 0), 2);
                send_descriptor(desk.fds[1], desk.fds[1]);
            }
            assert_int_equal(send(desk.fds[1], "def", 3, 0), 3);
            await_events(jg_stream_fd(&desk.a), POLLIN);
            if (tcp)
                await_events(jg_stream_fd(&desk.a), POLLPRI);
        }
        desk_close(&desk);
        assert_int_equal(desk.size, 12);
    }
}

static int half_close(void *arg)
{
    struct desk *desk = arg;
    char buf[16];

    test_check(jg_stream_write(&desk->a, "ping", 4) == 0);
    test_check(jg_stream_shut(&desk->a) == 0);
    test_check(jg_stream_read(&desk->b, buf, sizeof(buf)) == 4);
    test_check(jg_stream_read(&desk->b, buf, sizeof(buf)) == 0);
    test_check(jg_stream_write(&desk->b, "pong", 4) == 0);
    test_check(jg_stream_shut(&desk->b) == 0);
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == 4);
    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) == 0);
    test_check(jg_stream_close(&desk->a, JG_FOREVER) == 0);
    test_check(jg_stream_close(&desk->b, JG_FOREVER) == 0);
    return 0;
}

static void both_halves_close_one_by_one(void **state)
{
    struct desk desk;

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        desk_open(&desk, tcp);
        open_stream(&desk, &desk.a, 0);
        open_stream(&desk, &desk.b, 1);
        run(&desk, half_close);
        desk_close(&desk);
    }
}

static int close_unread(void *arg)
{
    struct desk *desk = arg;
    static char data[8000000];

    test_check(jg_stream_write(&desk->a, data, sizeof(data)) == 0);
    test_check(jg_stream_close(&desk->a, 10 * JG_MILLISECOND) == -ETIMEDOUT);
    return 0;
}

static void a_peer_that_never_reads_does_not_hold_a_close(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    run(&desk, close_unread);
    desk_close(&desk);
}

/* ---------------------------------------------------------------- the loop */

static int cancel_a_read(void *arg)
{
    struct desk *desk = arg;
    const jg_scope_options options = {.timeout = 1};
    jg_scope scope;
    char byte;
    int r;

    jg_scope_enter(&scope, &options);
    r = jg_stream_read(&desk->a, &byte, 1);
    test_check(r == -ECANCELED);
    test_check(jg_scope_leave(&scope, r) == -ETIMEDOUT);
    return 0;
}

static void an_idle_stream_does_not_keep_the_loop_running(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    run(&desk, cancel_a_read);
    assert_int_equal(jg_loop_run(desk.loop), 0);
    assert_false(jg_loop_alive(desk.loop));
    desk_close(&desk);
}

static void a_stream_that_waits_keeps_the_loop_asleep(void **state)
{
    static char data[8000000];
    struct desk desk;
    int completed = 0;
    char byte;
    jg_op op;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    jg_op_init(&op, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
    assert_true(jg_loop_run_once(desk.loop, 0) == 1);
    assert_quiet(desk.loop); /* there is room to write, which nobody wants */
    assert_int_equal(send(desk.fds[1], "xy", 2, 0), 2);
    while (completed == 0)
        assert_true(jg_loop_run_once(desk.loop, JG_SECOND) >= 0);
    assert_int_equal(jg_stream_write(&desk.a, data, sizeof(data)), 0);
    assert_quiet(desk.loop); /* there is a byte to read, which nobody wants either */
    assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
    assert_false(jg_op_pending(&op));
    assert_int_equal(byte, 'y');
    assert_true(jg_loop_run_once(desk.loop, 0) == 1);
    assert_quiet(desk.loop);
    jg_stream_abort(&desk.a); /* it would wait for ever */
    desk_close(&desk);
}

static void a_hang_up_that_nobody_reads_keeps_the_loop_asleep(void **state)
{
    struct desk desk;
    int completed = 0;
    jg_timer timer;
    char byte;
    jg_op op;

    (void)state;
    desk_open(&desk, false);
    open_stream(&desk, &desk.a, 0);
    jg_op_init(&op, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
    assert_int_equal(send(desk.fds[1], "xy", 2, 0), 2);
    while (completed == 0)
        assert_true(jg_loop_run_once(desk.loop, JG_SECOND) >= 0);
    assert_int_equal(close(desk.fds[1]), 0);
    desk.fds[1] = -1;
    jg_timer_init(&timer, on_count, &completed);
    jg_call_later(desk.loop, &timer, JG_SECOND);
    assert_true(jg_loop_run_once(desk.loop, 0) == 1);
    assert_quiet(desk.loop);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
        assert_false(jg_op_pending(&op));
        assert_int_equal(jg_op_status(&op), 1 - i);
        assert_true(jg_loop_run_once(desk.loop, 0) == 1);
    }
    jg_timer_stop(&timer);
    desk_close(&desk);
}

static void a_descriptor_closed_by_others_fails_its_stream(void **state)
{
    struct desk desk;
    int completed = 0;
    jg_watcher other;
    char byte;
    jg_op op;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    jg_op_init(&op, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
    jg_watcher_init(&other, test_count_event, &completed);
    assert_int_equal(jg_watcher_start(desk.loop, &other, jg_stream_fd(&desk.a), 0), 0);
    assert_int_equal(jg_watcher_close(&other), 0);
    assert_int_equal(jg_loop_run(desk.loop), 0);
    assert_int_equal(completed, 1);
    assert_int_equal(jg_op_status(&op), -EBADF);
    assert_int_equal(jg_stream_write(&desk.a, "x", 1), -EBADF);
    desk_close(&desk);
}

/* Some pollers learn of it at once, others when the number is another one's. */
static void a_stream_that_lost_its_descriptor_leaves_the_next_of_the_number_alone(void **state)
{
    struct desk desk;
    int pair[2], completed = 0;
    jg_op op, other;
    char byte;

    (void)state;
    desk_open(&desk, false);
    open_stream(&desk, &desk.a, 0);
    jg_op_init(&op, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_read_start(&desk.a, &byte, 1, &op), 0);
    assert_true(jg_loop_run_once(desk.loop, 0) >= 0);
    desk.fds[0] = jg_stream_fd(&desk.a);
    assert_int_equal(close(desk.fds[0]), 0);
    assert_true(jg_loop_run_once(desk.loop, 0) >= 0);

    test_socketpair(pair);
    if (pair[0] != desk.fds[0]) {
        assert_int_equal(dup2(pair[0], desk.fds[0]), desk.fds[0]);
        assert_int_equal(close(pair[0]), 0);
        pair[0] = desk.fds[0];
    }
    open_stream(&desk, &desk.b, 0);
    jg_op_init(&other, desk.loop, on_count, &completed);
    assert_int_equal(jg_stream_read_start(&desk.b, &byte, 1, &other), 0);
    while (jg_op_pending(&op))
        assert_true(jg_loop_run_once(desk.loop, JG_SECOND) >= 0);
    assert_int_equal(jg_op_status(&op), -EBADF);
    assert_int_equal(jg_stream_fd(&desk.a), -EBADF);
    jg_stream_abort(&desk.a);

    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    while (jg_op_pending(&other))
        assert_true(jg_loop_run_once(desk.loop, JG_SECOND) >= 0);
    assert_int_equal(jg_op_status(&other), 1);
    assert_int_equal(close(pair[1]), 0);
    desk_close(&desk);
}

static int read_one_by_one(void *arg)
{
    struct desk *desk = arg;
    char byte;

    for (int i = 0; i < 3; i++) {
        test_check(jg_stream_read(&desk->a, &byte, 1) == 1);
        desk->size++;
    }
    return 0;
}

static void what_comes_is_read_in_the_turn_that_was_told_of_it(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    run(&desk, read_one_by_one);
    for (int i = 0; i < 3; i++) {
        assert_true(jg_loop_run_once(desk.loop, JG_MILLISECOND) >= 0);
        assert_int_equal(send(desk.fds[1], "x", 1, 0), 1);
        await_events(jg_stream_fd(&desk.a), POLLIN);
        assert_true(jg_loop_run_once(desk.loop, 0) >= 0);
        assert_int_equal(desk.size, i + 1);
    }
    desk_close(&desk);
}

static void a_watcher_of_the_same_descriptor_does_not_disturb(void **state)
{
    struct desk desk;
    jg_watcher other;
    int events = 0;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    run(&desk, read_one_by_one);
    assert_int_equal(jg_loop_run_once(desk.loop, 0), 1);
    jg_watcher_init(&other, test_count_event, &events);
    assert_int_equal(jg_watcher_start(desk.loop, &other, jg_stream_fd(&desk.a), JG_READ), 0);
    assert_int_equal(jg_loop_run_once(desk.loop, 0), 1); /* tells once that there is room */
    assert_quiet(desk.loop);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(desk.fds[1], "x", 1, 0), 1);
        for (int tries = 0; tries < 10; tries++)
            assert_true(jg_loop_run_once(desk.loop, JG_MILLISECOND) >= 0);
        if (i == 1)
            jg_watcher_stop(&other);
    }
    assert_true(events >= 1);
    assert_int_equal(desk.size, 3);
    desk_close(&desk);
}

/* ---------------------------------------------------------------- pipes and files */

static int read_pipe(void *arg)
{
    struct desk *desk = arg;
    char buf[64];

    test_check(jg_stream_read_line(&desk->a, buf, sizeof(buf)) == 6);
    test_check(strcmp(buf, "hello\n") == 0);
    test_check(jg_stream_read_line(&desk->a, buf, sizeof(buf)) == 0);
    return 0;
}

static int write_pipe(void *arg)
{
    struct desk *desk = arg;

    test_check(jg_sleep(JG_MILLISECOND) == 0);
    test_check(jg_stream_write(&desk->b, "hello\n", 6) == 0);
    test_check(jg_stream_shut(&desk->b) == 0);
    test_check(jg_stream_close(&desk->b, JG_SECOND) == 0);
    return 0;
}

static void a_pipe_is_a_stream_and_blocks_again_when_that_is_closed(void **state)
{
    struct desk desk;
    int copy;

    (void)state;
    desk_open(&desk, false);
    use_pipe(&desk);
    copy = dup(desk.fds[0]);
    open_stream(&desk, &desk.a, 0);
    open_stream(&desk, &desk.b, 1);
    run(&desk, read_pipe);
    run(&desk, write_pipe);
    assert_int_equal(jg_loop_run(desk.loop), 0);
    assert_true(fcntl(copy, F_GETFL) & O_NONBLOCK);
    jg_stream_abort(&desk.a);
    assert_false(fcntl(copy, F_GETFL) & O_NONBLOCK);
    assert_int_equal(close(copy), 0);
    desk_close(&desk);
}

static int fill_pipe(void *arg)
{
    struct desk *desk = arg;
    static char data[1000000];
    size_t sent;

    test_check(jg_stream_write_all(&desk->b, data, sizeof(data), &sent) == -EPIPE);
    test_check(sent > 0 && sent < sizeof(data));
    test_check(jg_stream_write(&desk->b, "x", 1) == -EPIPE);
    return 0;
}

static int break_pipe(void *arg)
{
    struct desk *desk = arg;
    char buf[10000];

    test_check(jg_stream_read(&desk->a, buf, sizeof(buf)) > 0);
    test_check(jg_sleep(JG_MILLISECOND) == 0);
    jg_stream_abort(&desk->a);
    return 0;
}

static void a_broken_pipe_raises_no_signal(void **state)
{
    struct desk desk;
    sigset_t pending;

    (void)state;
    desk_open(&desk, false);
    use_pipe(&desk);
    open_stream(&desk, &desk.a, 0);
    open_stream(&desk, &desk.b, 1);
    run(&desk, fill_pipe);
    run(&desk, break_pipe);
    desk_close(&desk);
    assert_int_equal(sigpending(&pending), 0);
    assert_false(sigismember(&pending, SIGPIPE));
}

static int copy_file(void *arg)
{
    struct desk *desk = arg;
    char buf[100];
    size_t count;

    test_check(jg_stream_write(&desk->a, "some ", 5) == 0);
    test_check(jg_stream_write(&desk->a, "words", 5) == 0);
    test_check(jg_stream_close(&desk->a, 0) == 0);
    test_check(jg_stream_read_exactly(&desk->b, buf, sizeof(buf), &count) == JG_EINCOMPLETE);
    test_check(count == 10 && memcmp(buf, "some words", 10) == 0);
    return 0;
}

static void a_file_is_written_at_once(void **state)
{
    char name[] = "/tmp/juggle-test-XXXXXX";
    struct desk desk;

    (void)state;
    desk_open(&desk, false);
    assert_int_equal(close(desk.fds[0]), 0);
    assert_int_equal(close(desk.fds[1]), 0);
    desk.fds[0] = mkstemp(name);
    desk.fds[1] = open(name, O_RDONLY);
    assert_true(desk.fds[0] >= 0 && desk.fds[1] >= 0);
    assert_int_equal(unlink(name), 0);
    open_stream(&desk, &desk.a, 0);
    open_stream(&desk, &desk.b, 1);
    run(&desk, copy_file);
    desk_close(&desk);
}

static int write_line_and_more(void *arg)
{
    const struct desk *desk = arg;

    test_check(jg_sleep(0) == 0);
    test_check(write(desk->fds[1], "cd\nrest", 7) == 7);
    return 0;
}

static int read_second(void *arg)
{
    struct desk *desk = arg;
    char byte;

    test_check(jg_stream_read(&desk->a, &byte, 1) == -EBUSY);
    test_check(write(desk->fds[1], "!", 1) == 1);
    return 0;
}

static int read_in_every_state(void *arg)
{
    struct desk *desk = arg;
    char bytes[16];
    jg_scope scope;

    jg_scope_enter(&scope, &(jg_scope_options){.timeout = 10 * JG_SECOND});
    test_check(write(desk->fds[1], "ab", 2) == 2);
    test_check(jg_stream_read(&desk->a, bytes, sizeof(bytes)) == 2); /* not watched yet */
    test_check(jg_spawn(&scope, write_line_and_more, desk, NULL) == 0);
    test_check(jg_stream_read(&desk->a, bytes, 1) == 1 && bytes[0] == 'c');
    test_check(jg_stream_read_line(&desk->a, bytes, sizeof(bytes)) == 2);
    test_check(jg_stream_read(&desk->a, bytes, 0) == 0);
    test_check(jg_stream_read(&desk->a, bytes, sizeof(bytes)) == 4); /* left over */
    test_check(memcmp(bytes, "rest", 4) == 0);
    jg_watcher_stop(&desk->a.own.watcher); /* as it is when a stream has been moved */
    test_check(jg_spawn(&scope, read_second, desk, NULL) == 0);
    test_check(jg_stream_read(&desk->a, bytes, sizeof(bytes)) == 1 && bytes[0] == '!');
    jg_stream_abort(&desk->a);
    test_check(jg_stream_read(&desk->a, bytes, sizeof(bytes)) == -EBADF);
    test_check(jg_stream_write(&desk->a, bytes, 1) == -EBADF);
    test_check(jg_scope_leave(&scope, 0) == 0);
    return 0;
}

static void a_plain_read_works_in_every_state_of_a_socket(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, false);
    open_stream(&desk, &desk.a, 0);
    run(&desk, read_in_every_state);
    desk_close(&desk);
}

static int write_twice(void *arg)
{
    struct desk *desk = arg;
    char bytes[4];

    test_check(jg_sleep(0) == 0);
    test_check(jg_stream_write(&desk->a, "", 0) == 0);
    test_check(jg_stream_write(&desk->a, "1", 1) == 0 && jg_stream_queued(&desk->a) == 0);
    test_check(jg_stream_write(&desk->a, "2", 1) == 0 && jg_stream_queued(&desk->a) == 1);
    test_check(jg_sleep(0) == 0);
    test_check(jg_stream_queued(&desk->a) == 0);
    test_check(jg_stream_write(&desk->a, "3", 1) == 0);
    test_check(jg_stream_bytes_out(&desk->a) == 3);
    test_check(read(desk->fds[1], bytes, sizeof(bytes)) == 3);
    test_check(memcmp(bytes, "123", 3) == 0);
    return 0;
}

static void only_the_first_write_of_a_turn_goes_out_at_once(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, false);
    open_stream(&desk, &desk.a, 0);
    run(&desk, write_twice);
    desk_close(&desk);
}

static int write_to_a_full_socket(void *arg)
{
    struct desk *desk = arg;
    int fd = jg_stream_fd(&desk->a);

    while (send(fd, "x", 1, MSG_DONTWAIT) == 1)
        continue;
    test_check(jg_stream_write(&desk->a, "y", 1) == 0);
    test_check(jg_stream_queued(&desk->a) == 1);
    jg_stream_abort(&desk->a);
    return 0;
}

static void what_a_full_socket_does_not_take_is_queued(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, false);
    open_stream(&desk, &desk.a, 0);
    run(&desk, write_to_a_full_socket);
    desk_close(&desk);
}

/* ---------------------------------------------------------------- forks */

static void abort_in_child(void *arg)
{
    struct desk *desk = arg;

    jg_stream_abort(&desk->a);
    jg_stream_abort(&desk->b);
}

static void go_on_and_abort_in_child(void *arg)
{
    struct desk *desk = arg;

    test_check(jg_loop_fork(desk->loop) == 0);
    abort_in_child(desk);
}

static void a_pipe_does_not_block_because_a_forked_child_closed_it(void **state)
{
    struct desk desk;

    (void)state;
    desk_open(&desk, false);
    use_pipe(&desk);
    open_stream(&desk, &desk.b, 1);
    assert_int_equal(jg_stream_write(&desk.b, "x", 1), 0);
    test_in_child(abort_in_child, &desk);
    test_in_child(go_on_and_abort_in_child, &desk);
    assert_true(fcntl(jg_stream_fd(&desk.b), F_GETFL) & O_NONBLOCK);
    desk_close(&desk);
}

static void a_connection_is_not_reset_because_a_forked_child_closed_it(void **state)
{
    static char data[8000000];
    struct linger linger = {.l_onoff = -1};
    socklen_t size = sizeof(linger);
    struct desk desk;

    (void)state;
    desk_open(&desk, true);
    open_stream(&desk, &desk.a, 0);
    assert_int_equal(jg_stream_write(&desk.a, data, sizeof(data)), 0);
    assert_true(jg_stream_queued(&desk.a) > 0);
    test_in_child(abort_in_child, &desk);
    test_in_child(go_on_and_abort_in_child, &desk);
    assert_int_equal(getsockopt(jg_stream_fd(&desk.a), SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    assert_int_equal(linger.l_onoff, 0);
    jg_stream_abort(&desk.a);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_goes_there_and_back),
        cmocka_unit_test(an_end_that_comes_with_data_is_not_missed),
        cmocka_unit_test(a_reset_ends_writing_without_a_signal),
        cmocka_unit_test(data_before_a_reset_is_read),
        cmocka_unit_test(a_peer_of_an_aborted_stream_is_not_deceived),
        cmocka_unit_test(a_write_cancelled_half_way_cuts_a_close_that_waits_for_it),
        cmocka_unit_test(what_is_behind_a_short_read_is_read),
        cmocka_unit_test(both_halves_close_one_by_one),
        cmocka_unit_test(a_peer_that_never_reads_does_not_hold_a_close),
        cmocka_unit_test(an_idle_stream_does_not_keep_the_loop_running),
        cmocka_unit_test(a_stream_that_waits_keeps_the_loop_asleep),
        cmocka_unit_test(a_hang_up_that_nobody_reads_keeps_the_loop_asleep),
        cmocka_unit_test(a_descriptor_closed_by_others_fails_its_stream),
        cmocka_unit_test(a_stream_that_lost_its_descriptor_leaves_the_next_of_the_number_alone),
        cmocka_unit_test(what_comes_is_read_in_the_turn_that_was_told_of_it),
        cmocka_unit_test(a_watcher_of_the_same_descriptor_does_not_disturb),
        cmocka_unit_test(a_pipe_is_a_stream_and_blocks_again_when_that_is_closed),
        cmocka_unit_test(a_broken_pipe_raises_no_signal),
        cmocka_unit_test(a_file_is_written_at_once),
        cmocka_unit_test(a_plain_read_works_in_every_state_of_a_socket),
        cmocka_unit_test(only_the_first_write_of_a_turn_goes_out_at_once),
        cmocka_unit_test(what_a_full_socket_does_not_take_is_queued),
        cmocka_unit_test(a_pipe_does_not_block_because_a_forked_child_closed_it),
        cmocka_unit_test(a_connection_is_not_reset_because_a_forked_child_closed_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
