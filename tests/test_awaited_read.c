/* SPDX-License-Identifier: MIT
 *
 * A coroutine that reads is woken when there is something and receives it when it runs: what others
 * do in between, in the same turn. Whatever it is, no byte is lost, and nobody is told twice.
 */
#include "support.h"

#include "core/loop.h"

#include <juggle/coro.h>
#include <juggle/stream.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A coroutine that reads from a stream, and somebody who is called right before it runs. */
struct desk {
    jg_loop *loop;
    jg_scope root, inner;
    jg_stream stream;
    int peer, open_before;
    jg_op left, other;
    jg_call call;
    void (*interfere)(struct desk *desk);
    char bytes[8];
    int result; /* of the read; JG_PENDING until it returned */
};

static int read_twice(void *arg)
{
    struct desk *desk = arg;

    test_check(jg_stream_read(&desk->stream, desk->bytes, sizeof(desk->bytes)) == 1);
    jg_scope_enter(&desk->inner, NULL);
    desk->result = jg_stream_read(&desk->stream, desk->bytes, sizeof(desk->bytes));
    test_check(jg_scope_leave(&desk->inner, 0) == 0);
    return 0;
}

static void on_other(void *arg)
{
    (void)arg;
}

static void on_call(void *arg)
{
    struct desk *desk = arg;

    assert_int_equal(desk->result, JG_PENDING);
    desk->interfere(desk);
}

static void turn(struct desk *desk)
{
    assert_true(jg_loop_run_once(desk->loop, 0) >= 0);
}

/* Send to a stream by its peer, and wait until it is there. */
static void send_to(const jg_stream *stream, int peer, const char *text)
{
    struct pollfd readable = {.fd = jg_stream_fd(stream), .events = POLLIN};
    ssize_t size = (ssize_t)strlen(text);

    assert_int_equal(send(peer, text, (size_t)size, 0), size);
    assert_int_equal(poll(&readable, 1, 5000), 1);
}

static void send_text(struct desk *desk, const char *text)
{
    send_to(&desk->stream, desk->peer, text);
}

/* Have a coroutine wait for bytes on one of two sockets. */
static void sit_down(struct desk *desk, int (*make_pair)(int fds[2]))
{
    int fds[2];

    memset(desk, 0, sizeof(*desk));
    desk->open_before = test_open_descriptors();
    desk->loop = test_loop(0);
    desk->result = JG_PENDING;
    jg_scope_open(&desk->root, desk->loop, NULL, NULL);
    jg_op_init(&desk->left, desk->loop, on_other, NULL);
    jg_op_init(&desk->other, desk->loop, on_other, NULL);
    jg_call_init(&desk->call, on_call, desk);
    assert_int_equal(make_pair(fds), 0);
    assert_int_equal(jg_stream_open(&desk->stream, desk->loop, fds[0], NULL), 0);
    desk->peer = fds[1];
    assert_int_equal(jg_spawn(&desk->root, read_twice, desk, NULL), 0);

    turn(desk);
    send_text(desk, "a"); /* the first read of a stream is not like the others */
    turn(desk);
    turn(desk);
    assert_int_equal(jg_stream_bytes_in(&desk->stream), 1);
}

/* The same, then interfere between their arrival and its return. */
static void meet_over(struct desk *desk, int (*make_pair)(int fds[2]),
                      void (*interfere)(struct desk *desk))
{
    sit_down(desk, make_pair);
    desk->interfere = interfere;
    jg_call_soon(desk->loop, &desk->call);
    send_text(desk, "bc");
    turn(desk);
    turn(desk); /* for whoever was told in the last */
}

static void meet(struct desk *desk, void (*interfere)(struct desk *desk))
{
    meet_over(desk, test_tcp_pair, interfere);
}

static void part(struct desk *desk)
{
    jg_scope_close(&desk->root, 0, &desk->left);
    assert_int_equal(jg_loop_run(desk->loop), 0);
    assert_int_equal(jg_op_status(&desk->left), 0);
    jg_stream_abort(&desk->stream);
    if (desk->peer >= 0)
        assert_int_equal(close(desk->peer), 0);
    test_loop_done(desk->loop);
    assert_int_equal(test_open_descriptors(), desk->open_before);
}

static void stand_by(struct desk *desk)
{
    (void)desk;
}

static void a_woken_reader_receives_what_there_is(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, stand_by);
    assert_int_equal(desk.result, 2);
    assert_memory_equal(desk.bytes, "bc", 2);
    assert_int_equal(jg_stream_bytes_in(&desk.stream), 3);
    part(&desk);
}

static void send_more(struct desk *desk)
{
    send_text(desk, "d");
}

static void bytes_that_follow_before_it_runs_come_along(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, send_more);
    assert_int_equal(desk.result, 3);
    assert_memory_equal(desk.bytes, "bcd", 3);
    part(&desk);
}

static void cancel(struct desk *desk)
{
    jg_scope_cancel(&desk->inner);
}

static void cancelled_before_it_runs_it_leaves_the_bytes_to_the_next(void **state)
{
    struct desk desk;
    char bytes[8];

    (void)state;
    meet(&desk, cancel);
    assert_int_equal(desk.result, -ECANCELED);
    assert_int_equal(jg_stream_bytes_in(&desk.stream), 1);

    assert_int_equal(jg_stream_read_start(&desk.stream, bytes, sizeof(bytes), &desk.other), 0);
    turn(&desk);
    assert_false(jg_op_pending(&desk.other));
    assert_int_equal(jg_op_status(&desk.other), 2);
    assert_memory_equal(bytes, "bc", 2);
    part(&desk);
}

static void abort_stream(struct desk *desk)
{
    jg_stream_abort(&desk->stream);
    memset(&desk->stream, 0xdd, sizeof(desk->stream)); /* its memory is ours again */
}

static void a_stream_aborted_before_it_runs_is_not_touched(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, abort_stream);
    assert_int_equal(desk.result, -ECONNABORTED);
    for (size_t i = 0; i < sizeof(desk.stream); i++)
        assert_int_equal(((const unsigned char *)&desk.stream)[i], 0xdd);
    memset(&desk.stream, 0, sizeof(desk.stream));
    part(&desk);
}

static void read_beside(struct desk *desk)
{
    char byte;

    assert_int_equal(jg_stream_read_start(&desk->stream, &byte, 1, &desk->other), -EBUSY);
}

static void a_second_reader_is_refused_until_it_ran(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, read_beside);
    assert_int_equal(desk.result, 2);
    part(&desk);
}

static void receive(struct desk *desk)
{
    char bytes[8];

    assert_int_equal(recv(jg_stream_fd(&desk->stream), bytes, sizeof(bytes), 0), 2);
}

static void bytes_taken_by_others_make_it_wait_for_more(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, receive);
    assert_int_equal(desk.result, JG_PENDING);
    assert_true(jg_loop_alive(desk.loop));
    send_text(&desk, "d");
    turn(&desk);
    turn(&desk);
    assert_int_equal(desk.result, 1);
    assert_int_equal(desk.bytes[0], 'd');
    part(&desk);
}

static void receive_and_hang_up(struct desk *desk)
{
    receive(desk);
    assert_int_equal(close(desk->peer), 0);
    desk->peer = -1;
}

static void an_end_is_read_in_place_of_bytes_taken_by_others(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, receive_and_hang_up);
    assert_int_equal(desk.result, 0);
    assert_true(jg_stream_at_eof(&desk.stream));
    part(&desk);
}

static void tell_again(struct desk *desk)
{
    jg_stream_ready(&desk->stream, JG_READ);
}

static void told_twice_it_receives_once(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, tell_again);
    assert_int_equal(desk.result, 2);
    assert_memory_equal(desk.bytes, "bc", 2);
    assert_int_equal(jg_stream_bytes_in(&desk.stream), 3);
    part(&desk);
}

static void stop(struct desk *desk)
{
    jg_loop_stop(desk->loop);
}

static void stopping_the_loop_does_not_hold_it_up(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, stop);
    assert_int_equal(desk.result, 2);
    part(&desk);
}

/* What is there is read at once, with no event to come. */
static void read_on(struct desk *desk, const char *text)
{
    char bytes[8];
    int size = (int)strlen(text);

    assert_int_equal(jg_stream_read_start(&desk->stream, bytes, sizeof(bytes), &desk->other), 0);
    assert_false(jg_op_pending(&desk->other));
    assert_int_equal(jg_op_status(&desk->other), size);
    assert_memory_equal(bytes, text, (size_t)size);
    turn(desk);
}

static void what_it_has_no_room_for_is_there_for_the_next(void **state)
{
    struct desk desk;

    (void)state;
    sit_down(&desk, test_tcp_pair);
    send_text(&desk, "bcdefghijkl");
    turn(&desk);
    turn(&desk);
    assert_int_equal(desk.result, 8);
    assert_memory_equal(desk.bytes, "bcdefghi", 8);
    read_on(&desk, "jkl");
    part(&desk);
}

static void bytes_that_come_when_it_was_cancelled_wake_nobody(void **state)
{
    struct desk desk;

    (void)state;
    sit_down(&desk, test_tcp_pair);
    jg_scope_cancel(&desk.inner);
    send_text(&desk, "bc"); /* the coroutine is yet to be told */
    turn(&desk);
    assert_int_equal(desk.result, -ECANCELED);
    send_text(&desk, "de");
    turn(&desk);
    read_on(&desk, "bcde");
    part(&desk);
}

/* Where a short read does not tell that there is no more. */
static void a_socket_of_the_unix_family_is_asked_again(void **state)
{
    struct desk desk;

    (void)state;
    meet_over(&desk, test_socketpair, stand_by);
    assert_int_equal(desk.result, 2);
    send_text(&desk, "de");
    read_on(&desk, "de");
    part(&desk);
}

static void hang_up(struct desk *desk)
{
    assert_int_equal(close(desk->peer), 0);
    desk->peer = -1;
}

static void an_end_that_follows_before_it_runs_is_for_the_next(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, hang_up);
    assert_int_equal(desk.result, 2);
    turn(&desk);
    read_on(&desk, "");
    assert_true(jg_stream_at_eof(&desk.stream));
    part(&desk);
}

static void bytes_and_the_end_at_once_are_both_read(void **state)
{
    struct desk desk;

    (void)state;
    sit_down(&desk, test_tcp_pair);
    send_text(&desk, "bc");
    hang_up(&desk);
    turn(&desk);
    turn(&desk);
    assert_int_equal(desk.result, 2);
    read_on(&desk, "");
    part(&desk);
}

static void break_off(struct desk *desk)
{
    const struct linger linger = {.l_onoff = 1};

    receive(desk);
    assert_int_equal(setsockopt(desk->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    hang_up(desk);
    assert_true(jg_stream_write(&desk->stream, "x", 1) < 0);
}

/* The system tells whoever wrote, and us an end that the peer never sent. */
static void a_connection_that_broke_before_it_runs_did_not_end(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, break_off);
    assert_true(desk.result == -ECONNRESET || desk.result == -EPIPE);
    part(&desk);
}

static char much[16 << 20]; /* more than the system takes of what nobody reads */

static void close_with_much_to_send(struct desk *desk)
{
    static jg_stream_closing closing;

    assert_int_equal(jg_stream_write(&desk->stream, much, sizeof(much)), 0);
    assert_int_equal(jg_stream_close_start(&desk->stream, &closing, JG_FOREVER, &desk->other), 0);
    assert_true(jg_op_pending(&desk->other));
}

static void a_close_that_waits_takes_its_place(void **state)
{
    struct desk desk;

    (void)state;
    meet(&desk, close_with_much_to_send);
    assert_int_equal(desk.result, -ECONNABORTED);
    assert_true(jg_op_pending(&desk.other));
    send_text(&desk, "d"); /* of no concern to anybody */
    turn(&desk);
    turn(&desk);
    assert_true(jg_op_pending(&desk.other));
    jg_stream_abort(&desk.stream);
    assert_int_equal(jg_op_status(&desk.other), -ECONNABORTED);
    part(&desk);
}

static void bytes_and_room_at_once_serve_both_ways(void **state)
{
    struct desk desk;
    size_t queued;

    (void)state;
    sit_down(&desk, test_tcp_pair);
    assert_int_equal(jg_stream_write(&desk.stream, much, sizeof(much)), 0);
    turn(&desk);
    queued = jg_stream_queued(&desk.stream);
    assert_true(queued > 0);
    while (recv(desk.peer, much, sizeof(much), MSG_DONTWAIT) > 0)
        ;
    send_text(&desk, "bc");
    for (int i = 0; i < 1000 && jg_stream_queued(&desk.stream) == queued; i++)
        assert_true(jg_loop_run_once(desk.loop, JG_MILLISECOND) >= 0);
    turn(&desk);
    assert_true(jg_stream_queued(&desk.stream) < queued);
    assert_int_equal(desk.result, 2);
    jg_stream_abort(&desk.stream); /* the rest would keep the loop running */
    part(&desk);
}

static void ignore_events(void *arg, int events)
{
    (void)arg;
    (void)events;
}

static void oversleep(struct desk *desk)
{
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

    send_text(desk, "bc");
    jg_scope_reschedule(&desk->inner, jg_loop_now(desk->loop) + JG_MILLISECOND);
    (void)nanosleep(&pause, NULL);
}

/* Have bytes and a deadline come in the same turn: descriptors go first. */
static void be_late(bool is_watched, jg_time slow_callback)
{
    struct desk desk;
    jg_watcher watcher;

    sit_down(&desk, test_tcp_pair);
    jg_watcher_init(&watcher, ignore_events, NULL);
    if (is_watched)
        assert_int_equal(
            jg_watcher_start(desk.loop, &watcher, jg_stream_fd(&desk.stream), JG_HANGUP), 0);
    desk.loop->slow_callback = slow_callback;
    desk.interfere = oversleep;
    jg_call_soon(desk.loop, &desk.call);
    turn(&desk);
    turn(&desk);
    turn(&desk);
    assert_int_equal(desk.result, 2);
    jg_watcher_stop(&watcher);
    part(&desk);
}

static void bytes_that_came_are_read_before_a_deadline_passes(void **state)
{
    (void)state;
    be_late(false, 0);
}

static void so_they_are_if_others_watch_the_descriptor(void **state)
{
    (void)state;
    be_late(true, 0);
    be_late(true, 10 * JG_SECOND); /* slow ones are looked for */
}

struct visit {
    jg_stream stream;
    char bytes[8];
    int result;
};

static int read_abroad(void *arg)
{
    struct visit *visit = arg;

    test_check(jg_stream_read(&visit->stream, visit->bytes, sizeof(visit->bytes)) == 1);
    (void)jg_loop_time(jg_task_loop(jg_task_current())); /* of which the short way makes use */
    visit->result = jg_stream_read(&visit->stream, visit->bytes, sizeof(visit->bytes));
    return 0;
}

/* As long as they share a thread. */
static void a_stream_of_another_loop_can_be_read(void **state)
{
    struct visit visit = {.result = JG_PENDING};
    jg_loop *home = test_loop(0), *abroad = test_loop(0);
    jg_scope root;
    jg_op left;
    int fds[2];

    (void)state;
    jg_scope_open(&root, home, NULL, NULL);
    jg_op_init(&left, home, on_other, NULL);
    test_tcp_pair(fds);
    assert_int_equal(jg_stream_open(&visit.stream, abroad, fds[0], NULL), 0);
    assert_int_equal(jg_spawn(&root, read_abroad, &visit, NULL), 0);
    for (int i = 0; i < 6; i++) {
        if (i == 2)
            send_to(&visit.stream, fds[1], "a");
        if (i == 4)
            send_to(&visit.stream, fds[1], "bc");
        assert_true(jg_loop_run_once(home, 0) >= 0);
        assert_true(jg_loop_run_once(abroad, 0) >= 0);
    }
    assert_true(jg_loop_run_once(home, 0) >= 0);
    assert_int_equal(visit.result, 2);
    assert_memory_equal(visit.bytes, "bc", 2);

    jg_scope_close(&root, 0, &left);
    assert_int_equal(jg_loop_run(home), 0);
    assert_false(jg_loop_alive(home));
    assert_false(jg_loop_alive(abroad));
    jg_stream_abort(&visit.stream);
    assert_int_equal(close(fds[1]), 0);
    test_loop_done(home);
    test_loop_done(abroad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_woken_reader_receives_what_there_is),
        cmocka_unit_test(bytes_that_follow_before_it_runs_come_along),
        cmocka_unit_test(cancelled_before_it_runs_it_leaves_the_bytes_to_the_next),
        cmocka_unit_test(a_stream_aborted_before_it_runs_is_not_touched),
        cmocka_unit_test(a_second_reader_is_refused_until_it_ran),
        cmocka_unit_test(bytes_taken_by_others_make_it_wait_for_more),
        cmocka_unit_test(an_end_is_read_in_place_of_bytes_taken_by_others),
        cmocka_unit_test(told_twice_it_receives_once),
        cmocka_unit_test(stopping_the_loop_does_not_hold_it_up),
        cmocka_unit_test(what_it_has_no_room_for_is_there_for_the_next),
        cmocka_unit_test(bytes_that_come_when_it_was_cancelled_wake_nobody),
        cmocka_unit_test(a_socket_of_the_unix_family_is_asked_again),
        cmocka_unit_test(an_end_that_follows_before_it_runs_is_for_the_next),
        cmocka_unit_test(bytes_and_the_end_at_once_are_both_read),
        cmocka_unit_test(a_connection_that_broke_before_it_runs_did_not_end),
        cmocka_unit_test(a_close_that_waits_takes_its_place),
        cmocka_unit_test(bytes_and_room_at_once_serve_both_ways),
        cmocka_unit_test(bytes_that_came_are_read_before_a_deadline_passes),
        cmocka_unit_test(so_they_are_if_others_watch_the_descriptor),
        cmocka_unit_test(a_stream_of_another_loop_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
