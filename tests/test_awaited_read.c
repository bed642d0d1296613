/* SPDX-License-Identifier: MIT
 *
 * A coroutine that reads is woken when there is something and receives it when it runs: what others
 * do in between, in the same turn. Whatever it is, no byte is lost, and nobody is told twice.
 */
#include "support.h"

#include <juggle/coro.h>
#include <juggle/stream.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
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

static void send_text(struct desk *desk, const char *text)
{
    struct pollfd readable = {.fd = jg_stream_fd(&desk->stream), .events = POLLIN};
    ssize_t size = (ssize_t)strlen(text);

    assert_int_equal(send(desk->peer, text, (size_t)size, 0), size);
    assert_int_equal(poll(&readable, 1, 5000), 1);
}

/* Have a coroutine wait for bytes, then interfere between their arrival and its return. */
static void meet(struct desk *desk, void (*interfere)(struct desk *desk))
{
    int fds[2];

    memset(desk, 0, sizeof(*desk));
    desk->open_before = test_open_descriptors();
    desk->loop = test_loop(0);
    desk->interfere = interfere;
    desk->result = JG_PENDING;
    jg_scope_open(&desk->root, desk->loop, NULL, NULL);
    jg_op_init(&desk->left, desk->loop, on_other, NULL);
    jg_op_init(&desk->other, desk->loop, on_other, NULL);
    jg_call_init(&desk->call, on_call, desk);
    test_tcp_pair(fds);
    assert_int_equal(jg_stream_open(&desk->stream, desk->loop, fds[0], NULL), 0);
    desk->peer = fds[1];
    assert_int_equal(jg_spawn(&desk->root, read_twice, desk, NULL), 0);

    turn(desk);
    send_text(desk, "a"); /* the first read of a stream is not like the others */
    turn(desk);
    turn(desk);
    assert_int_equal(jg_stream_bytes_in(&desk->stream), 1);

    jg_call_soon(desk->loop, &desk->call);
    send_text(desk, "bc");
    turn(desk);
    turn(desk); /* for whoever was told in the last */
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
