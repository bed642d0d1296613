/* SPDX-License-Identifier: MIT
 *
 * Writing to streams, over a transport of the test's own that takes as much as it is told to and
 * records what it got.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 8 };

/* What a stream writes to. */
struct sink {
    struct world world;
    jg_stream stream;
    char got[300000];
    size_t size;
    size_t room;  /* bytes that it takes before -EAGAIN */
    size_t piece; /* bytes that it takes at a time; 0: no limit */
    int calls;    /* of write */
    int readable; /* bytes, which come one by one */
    int error;    /* that writes return once there is no room; 0: none */
    unsigned waiting;
    int wait_error;
    bool ended; /* after what is readable */
    int shuts, closes;
    bool cut;

    /* Ops of the test, and the order in which they completed. */
    jg_op ops[MOST];
    jg_stream_writing writings[MOST];
    struct test_trace trace;
};

static ssize_t sink_read(jg_stream *stream, void *buf, size_t size)
{
    struct sink *sink = jg_stream_data(stream);

    test_check(size > 0);
    if (sink->readable == 0)
        return sink->ended ? 0 : -EAGAIN;
    sink->readable--;
    *(char *)buf = 'r';
    return 1;
}

static ssize_t sink_write(jg_stream *stream, const struct iovec *pieces, int count)
{
    struct sink *sink = jg_stream_data(stream);
    size_t limit = sink->room, taken = 0;

    sink->calls++;
    if (sink->piece > 0 && limit > sink->piece)
        limit = sink->piece;
    if (limit == 0)
        return sink->error ? sink->error : -EAGAIN;
    for (int i = 0; i < count && taken < limit; i++) {
        size_t size = pieces[i].iov_len < limit - taken ? pieces[i].iov_len : limit - taken;

        test_check(sink->size + size <= sizeof(sink->got));
        if (size > 0)
            memcpy(sink->got + sink->size, pieces[i].iov_base, size);
        sink->size += size;
        taken += size;
    }
    sink->room -= taken;
    return (ssize_t)taken;
}

static int sink_wait(jg_stream *stream, unsigned events)
{
    struct sink *sink = jg_stream_data(stream);

    sink->waiting |= events;
    return sink->wait_error;
}

static int sink_shut(jg_stream *stream)
{
    ((struct sink *)jg_stream_data(stream))->shuts++;
    return 0;
}

static void sink_close(jg_stream *stream, bool cut)
{
    struct sink *sink = jg_stream_data(stream);

    sink->closes++;
    sink->cut = cut;
}

static const jg_transport sink_transport = {
    .name = "sink",
    .read = sink_read,
    .write = sink_write,
    .wait = sink_wait,
    .shut = sink_shut,
    .close = sink_close,
};

static void open_sink(struct sink *sink, size_t room, size_t high_mark)
{
    const jg_stream_options options = {.high_mark = high_mark};

    memset(sink, 0, sizeof(*sink));
    world_init(&sink->world);
    sink->room = room;
    assert_int_equal(
        jg_stream_open_with(&sink->stream, sink->world.loop, &sink_transport, sink, &options), 0);
}

static void close_sink(struct sink *sink)
{
    jg_stream_abort(&sink->stream);
    assert_int_equal(sink->closes, 1);
    world_done(&sink->world);
}

static void turn(struct sink *sink)
{
    assert_true(jg_loop_run_once(sink->world.loop, 0) >= 0);
}

static void give_room(struct sink *sink, size_t room)
{
    sink->room += room;
    jg_stream_ready(&sink->stream, JG_WRITE);
}

static void add_letter(void *arg)
{
    struct test_mark *mark = arg;

    test_trace_add(mark->trace, mark->letter);
}

static struct test_mark marks[MOST];

/* Prepare an op that leaves the letter of its number: a, b, … */
static jg_op *op_of(struct sink *sink, int i)
{
    marks[i] = (struct test_mark){&sink->trace, (char)('a' + i)};
    jg_op_init(&sink->ops[i], sink->world.loop, add_letter, &marks[i]);
    return &sink->ops[i];
}

static int put(struct sink *sink, const char *text)
{
    return jg_stream_write(&sink->stream, text, strlen(text));
}

static int put_all(struct sink *sink, int i, const char *text)
{
    return jg_stream_write_all_start(&sink->stream, &sink->writings[i], text, strlen(text),
                                     op_of(sink, i));
}

static void assert_got(const struct sink *sink, const char *text)
{
    assert_int_equal(sink->size, strlen(text));
    assert_memory_equal(sink->got, text, strlen(text));
}

/* ---------------------------------------------------------------- when it is sent */

static struct sink sink;

static void the_first_write_of_a_turn_goes_out_at_once_the_others_together(void **state)
{
    (void)state;
    open_sink(&sink, 1000, 0);
    assert_int_equal(put(&sink, "first"), 0);
    assert_got(&sink, "first");
    assert_int_equal(put(&sink, " second"), 0);
    assert_int_equal(put(&sink, " third"), 0);
    assert_int_equal(jg_stream_queued(&sink.stream), 13);
    assert_int_equal(sink.calls, 1);
    turn(&sink);
    assert_got(&sink, "first second third");
    assert_int_equal(sink.calls, 2);
    assert_int_equal(sink.waiting, 0);
    assert_int_equal(put(&sink, "."), 0);
    assert_int_equal(sink.calls, 3);
    assert_int_equal(jg_stream_bytes_out(&sink.stream), 19);
    close_sink(&sink);
    assert_false(sink.cut);
}

static void what_waits_to_go_out_keeps_the_loop_running(void **state)
{
    (void)state;
    open_sink(&sink, 1000, 0);
    assert_int_equal(put(&sink, "first"), 0);
    assert_false(jg_loop_alive(sink.world.loop));
    assert_int_equal(put(&sink, " second"), 0);
    assert_true(jg_loop_alive(sink.world.loop));
    assert_int_equal(jg_loop_run(sink.world.loop), 0);
    assert_got(&sink, "first second");
    assert_int_equal(put(&sink, "x"), 0);
    assert_int_equal(put(&sink, "dropped"), 0);
    jg_stream_abort(&sink.stream);
    assert_true(sink.cut);
    memset(&sink.stream, 0xff, sizeof(sink.stream)); /* nobody looks at it any more */
    assert_int_equal(jg_loop_run(sink.world.loop), 0);
    assert_false(jg_loop_alive(sink.world.loop));
    memset(&sink.stream, 0, sizeof(sink.stream));
    close_sink(&sink);
}

static void with_that_sent_there_is_nothing_to_wait_for(void **state)
{
    (void)state;
    open_sink(&sink, 100, 0);
    assert_int_equal(put(&sink, "a"), 0);
    assert_int_equal(put(&sink, "b"), 0);
    assert_int_equal(jg_loop_run_once(sink.world.loop, JG_FOREVER), 0);
    assert_got(&sink, "ab");
    close_sink(&sink);
}

static void writing_in_pieces_is_one_write(void **state)
{
    struct iovec pieces[] = {{(char *)"a", 1}, {(char *)"", 0}, {NULL, 0}, {(char *)"bcd", 3}};
    static struct iovec many[3000];
    size_t size;

    (void)state;
    open_sink(&sink, 3, 0);
    assert_int_equal(jg_stream_writev(&sink.stream, pieces, 4), 0);
    assert_got(&sink, "abc");
    assert_int_equal(jg_stream_writev(&sink.stream, &pieces[1], 2), 0);
    assert_int_equal(jg_stream_write(&sink.stream, NULL, 0), 0);
    assert_int_equal(sink.calls, 1);
    give_room(&sink, 100000);
    assert_got(&sink, "abcd");
    pieces[0].iov_len = ((size_t)1 << 30) + 1;
    assert_int_equal(jg_stream_writev(&sink.stream, pieces, 1), -EMSGSIZE);
    size = sink.size;
    for (int i = 0; i < 3000; i++)
        many[i] = (struct iovec){(char *)"xy", 2};
    turn(&sink);
    assert_int_equal(jg_stream_writev(&sink.stream, many, 3000), 0);
    turn(&sink);
    assert_int_equal(sink.size, size + 6000);
    close_sink(&sink);
}

/* ---------------------------------------------------------------- partial writes */

/* Copies, pieces and write_alls in a queue, sent with room for `room` bytes at a time. */
static void send_by(size_t room, size_t piece)
{
    const char *text = "0123456789abcdefghijABCDEFGHIJ+-*/=last";
    struct iovec pieces[] = {{(char *)"abc", 3}, {(char *)"defghij", 7}};
    char copied[11] = "0123456789";

    open_sink(&sink, room, 0);
    sink.piece = piece;
    assert_int_equal(put(&sink, copied), 0);
    memset(copied, 'x', 10);
    assert_int_equal(jg_stream_writev(&sink.stream, pieces, 2), 0);
    assert_int_equal(put_all(&sink, 0, "ABCDE"), 0);
    assert_int_equal(put_all(&sink, 1, "FGHIJ"), 0);
    assert_int_equal(put_all(&sink, 2, ""), 0);
    assert_int_equal(put(&sink, "+-*/="), 0);
    assert_int_equal(put_all(&sink, 3, "last"), 0);
    for (int i = 0; i < 40 && jg_op_pending(&sink.ops[3]); i++)
        give_room(&sink, room);
    turn(&sink);
    assert_got(&sink, text);
    assert_int_equal(jg_stream_queued(&sink.stream), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jg_op_status(&sink.ops[i]), 0);
    assert_int_equal(sink.writings[3].sent, 4);
    close_sink(&sink);
}

static void writes_may_stop_at_any_byte(void **state)
{
    (void)state;
    for (size_t room = 1; room <= 40; room++) {
        for (size_t piece = 0; piece < 8; piece++)
            send_by(room, piece);
    }
}

static void an_exact_transport_is_not_asked_again_before_it_is_ready(void **state)
{
    jg_transport exact = sink_transport;

    (void)state;
    exact.exact = true;
    open_sink(&sink, 3, 0);
    jg_stream_abort(&sink.stream);
    sink.closes = 0;
    assert_int_equal(jg_stream_open_with(&sink.stream, sink.world.loop, &exact, &sink, NULL), 0);
    assert_int_equal(put(&sink, "abcde"), 0);
    assert_int_equal(put(&sink, "f"), 0);
    turn(&sink);
    assert_int_equal(sink.calls, 1);
    assert_int_equal(sink.waiting, JG_WRITE);
    give_room(&sink, 2);
    assert_int_equal(sink.calls, 2);
    give_room(&sink, 100);
    assert_int_equal(sink.calls, 3);
    assert_got(&sink, "abcdef");
    close_sink(&sink);
}

static void a_long_write_gives_way_but_does_not_wait(void **state)
{
    static char text[1000];
    int turns = 1;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    open_sink(&sink, sizeof(text), 0);
    sink.piece = 10;
    assert_int_equal(put_all(&sink, 0, text), 0);
    for (; jg_op_pending(&sink.ops[0]); turns++) {
        assert_true(sink.calls <= 20 * turns);
        assert_int_equal(sink.waiting, 0);
        assert_true(jg_loop_alive(sink.world.loop));
        turn(&sink);
    }
    assert_true(turns > 4);
    assert_int_equal(jg_op_status(&sink.ops[0]), 0);
    assert_int_equal(sink.waiting, 0);
    assert_got(&sink, text);
    close_sink(&sink);
}

static void large_copies_are_sent_in_order(void **state)
{
    static char text[30000], expected[300000];
    size_t size = 0;

    (void)state;
    open_sink(&sink, 10, 0);
    for (int i = 0; i < 30; i++) {
        size_t length = (size_t)(i * 777 % 9000 + 1);

        memset(text, 'a' + i % 26, length);
        assert_int_equal(jg_stream_write(&sink.stream, text, length), 0);
        memcpy(expected + size, text, length);
        size += length;
        give_room(&sink, 1000);
    }
    give_room(&sink, 300000);
    assert_int_equal(sink.size, size);
    assert_memory_equal(sink.got, expected, size);
    close_sink(&sink);
}

/* ---------------------------------------------------------------- errors */

static void an_error_half_way_fails_the_rest_in_order_and_once(void **state)
{
    (void)state;
    open_sink(&sink, 3, 8);
    assert_int_equal(put_all(&sink, 0, "ab"), 0);
    assert_int_equal(put_all(&sink, 1, "cd"), 0);
    assert_int_equal(put(&sink, "efghijklm"), 0);
    assert_int_equal(put_all(&sink, 2, "no"), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 3)), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 4)), 0);
    sink.error = -ECONNRESET;
    give_room(&sink, 0);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "abcde");
    assert_int_equal(jg_op_status(&sink.ops[0]), 0);
    for (int i = 1; i < 5; i++)
        assert_int_equal(jg_op_status(&sink.ops[i]), -ECONNRESET);
    assert_int_equal(sink.writings[1].sent, 1);
    assert_int_equal(jg_stream_queued(&sink.stream), 0);
    assert_int_equal(put(&sink, "x"), -ECONNRESET);
    assert_int_equal(put_all(&sink, 5, "x"), -ECONNRESET);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 6)), -ECONNRESET);
    assert_int_equal(jg_stream_shut(&sink.stream), -ECONNRESET);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "abcde");
    assert_got(&sink, "abc");
    close_sink(&sink);
    assert_int_equal(sink.shuts, 0);
}

static void an_error_at_once_is_returned(void **state)
{
    (void)state;
    open_sink(&sink, 0, 0);
    sink.error = -EPIPE;
    assert_int_equal(put(&sink, "x"), -EPIPE);
    assert_int_equal(put(&sink, "x"), -EPIPE);
    assert_int_equal(sink.calls, 1);
    close_sink(&sink);
}

static void a_transport_that_cannot_wait_fails_what_waits(void **state)
{
    char byte;

    (void)state;
    open_sink(&sink, 2, 0);
    sink.wait_error = -ENOSPC;
    assert_int_equal(jg_stream_read_start(&sink.stream, &byte, 1, op_of(&sink, 0)), 0);
    assert_int_equal(jg_op_status(&sink.ops[0]), -ENOSPC);
    assert_int_equal(put_all(&sink, 1, "12345"), 0);
    assert_int_equal(jg_op_status(&sink.ops[1]), -ENOSPC);
    assert_int_equal(sink.writings[1].sent, 2);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "ab");
    close_sink(&sink);
    open_sink(&sink, 2, 0);
    sink.wait_error = -ENOSPC;
    assert_int_equal(put(&sink, "12345"), 0);
    turn(&sink);
    assert_int_equal(put(&sink, "12345"), -ENOSPC);
    close_sink(&sink);
    open_sink(&sink, 0, 0);
    sink.wait_error = -ENOSPC;
    assert_int_equal(put(&sink, "12345"), -ENOSPC);
    close_sink(&sink);
}

static void without_memory_a_write_that_was_not_begun_changes_nothing(void **state)
{
    struct test_memory *memory;

    (void)state;
    open_sink(&sink, 0, 0);
    memory = test_loop_memory(sink.world.loop);
    memory->fail_at = memory->calls + 1;
    assert_int_equal(put(&sink, "abc"), -ENOMEM);
    assert_int_equal(put(&sink, "def"), 0);
    give_room(&sink, 100);
    assert_got(&sink, "def");
    sink.room = 1;
    turn(&sink);
    memory->fail_at = memory->calls + 1;
    assert_int_equal(put(&sink, "ghi"), -ENOMEM);
    assert_int_equal(put(&sink, "jkl"), -ENOMEM);
    assert_got(&sink, "defg");
    close_sink(&sink);
}

/* ---------------------------------------------------------------- back-pressure */

static void drains_wait_above_the_high_mark_until_a_quarter_of_it(void **state)
{
    (void)state;
    open_sink(&sink, 0, 8);
    assert_int_equal(put(&sink, "12345678"), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 0)), 0);
    assert_false(jg_op_pending(&sink.ops[0]));
    assert_int_equal(put(&sink, "9"), 0);
    for (int i = 1; i < 5; i++)
        assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, i)), 0);
    jg_op_cancel(&sink.ops[1]);
    jg_op_cancel(&sink.ops[3]);
    give_room(&sink, 6);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "abd");
    assert_int_equal(jg_stream_queued(&sink.stream), 3);
    give_room(&sink, 1);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "abdce");
    assert_int_equal(jg_op_status(&sink.ops[1]), -ECANCELED);
    assert_int_equal(jg_op_status(&sink.ops[2]), 0);
    assert_int_equal(jg_op_status(&sink.ops[4]), 0);
    close_sink(&sink);
}

static void a_drain_sends_what_waits_for_the_end_of_the_turn(void **state)
{
    (void)state;
    open_sink(&sink, 1000, 4);
    assert_int_equal(put(&sink, "a"), 0);
    assert_int_equal(put(&sink, "bcdefgh"), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 0)), 0);
    assert_false(jg_op_pending(&sink.ops[0]));
    assert_got(&sink, "abcdefgh");
    turn(&sink);
    close_sink(&sink);
}

static void more_than_16_times_the_high_mark_is_refused(void **state)
{
    (void)state;
    open_sink(&sink, 0, 2);
    for (int i = 0; i < 8; i++)
        assert_int_equal(put(&sink, "1234"), 0);
    assert_int_equal(put(&sink, "5"), -ENOBUFS);
    assert_int_equal(jg_stream_queued(&sink.stream), 32);
    give_room(&sink, 1);
    assert_int_equal(put(&sink, "5"), 0);
    assert_int_equal(put(&sink, "5"), -ENOBUFS);
    close_sink(&sink);
}

/* ---------------------------------------------------------------- cancelling, the end */

static void a_cancelled_write_all_tells_how_far_it_came(void **state)
{
    (void)state;
    open_sink(&sink, 4, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(put_all(&sink, i, "abc"), 0);
    jg_op_cancel(&sink.ops[3]);
    jg_op_cancel(&sink.ops[1]);
    jg_op_cancel(&sink.ops[1]);
    assert_int_equal(sink.writings[1].sent, 1);
    assert_int_equal(sink.writings[3].sent, 0);
    give_room(&sink, 100);
    turn(&sink);
    assert_string_equal(sink.trace.letters, "adbc");
    assert_got(&sink, "abcaabc");
    assert_int_equal(put_all(&sink, 4, "z"), 0);
    sink.room = 0;
    assert_int_equal(put_all(&sink, 5, "z"), 0);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    assert_int_equal(sink.shuts, 0);
    jg_op_cancel(&sink.ops[5]);
    assert_int_equal(sink.shuts, 1);
    turn(&sink);
    close_sink(&sink);
}

static void shutting_waits_for_what_is_queued(void **state)
{
    (void)state;
    open_sink(&sink, 2, 0);
    assert_int_equal(put(&sink, "abc"), 0);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    assert_int_equal(put(&sink, "d"), -EPIPE);
    assert_int_equal(put_all(&sink, 0, "d"), -EPIPE);
    assert_int_equal(sink.shuts, 0);
    give_room(&sink, 2);
    assert_int_equal(sink.shuts, 1);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    assert_int_equal(sink.shuts, 1);
    close_sink(&sink);
}

static void what_was_cut_short_is_no_regular_end(void **state)
{
    (void)state;
    open_sink(&sink, 2, 0);
    assert_int_equal(put_all(&sink, 0, "abc"), 0);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    jg_op_cancel(&sink.ops[0]);
    turn(&sink);
    assert_int_equal(jg_op_status(&sink.ops[0]), -ECANCELED);
    assert_int_equal(sink.shuts, 0);
    jg_stream_abort(&sink.stream);
    assert_true(sink.cut);
    close_sink(&sink);
}

static void after_what_was_cut_short_the_peers_end_is_still_one(void **state)
{
    char buf[8];

    (void)state;
    open_sink(&sink, 2, 0);
    assert_int_equal(put_all(&sink, 0, "abc"), 0);
    assert_int_equal(jg_stream_shut(&sink.stream), 0);
    jg_op_cancel(&sink.ops[0]);
    sink.readable = 1;
    sink.ended = true;
    for (int i = 1; i >= 0; i--) {
        jg_op *op = op_of(&sink, 2 - i);

        assert_int_equal(jg_stream_read_start(&sink.stream, buf, sizeof(buf), op), 0);
        turn(&sink);
        assert_int_equal(jg_op_status(op), i);
    }
    assert_true(jg_stream_at_eof(&sink.stream));
    close_sink(&sink);
}

static void closing_sends_what_waits_for_the_end_of_the_turn(void **state)
{
    jg_stream_closing closing;

    (void)state;
    open_sink(&sink, 100, 0);
    assert_int_equal(put(&sink, "abc"), 0);
    assert_int_equal(put(&sink, "def"), 0);
    assert_int_equal(jg_stream_close_start(&sink.stream, &closing, 0, op_of(&sink, 0)), 0);
    assert_int_equal(jg_op_status(&sink.ops[0]), 0);
    assert_int_equal(sink.closes, 1);
    assert_false(sink.cut);
    assert_got(&sink, "abcdef");
    turn(&sink);
    close_sink(&sink);
}

static void aborting_completes_all_that_is_pending(void **state)
{
    char byte;

    (void)state;
    open_sink(&sink, 0, 2);
    assert_int_equal(put_all(&sink, 0, "abc"), 0);
    assert_int_equal(put(&sink, "abc"), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 1)), 0);
    assert_int_equal(jg_stream_read_start(&sink.stream, &byte, 1, op_of(&sink, 2)), 0);
    jg_stream_abort(&sink.stream);
    memset(&sink.stream, 0, sizeof(sink.stream));
    turn(&sink);
    for (int i = 0; i < 3; i++)
        assert_int_equal(jg_op_status(&sink.ops[i]), -ECONNABORTED);
    assert_int_equal(strlen(sink.trace.letters), 3);
    assert_true(sink.cut);
    close_sink(&sink);
}

static void a_close_lets_drains_go_on(void **state)
{
    jg_stream_closing closing;

    (void)state;
    open_sink(&sink, 0, 4);
    assert_int_equal(put(&sink, "abcdef"), 0);
    assert_int_equal(jg_stream_drain_start(&sink.stream, op_of(&sink, 0)), 0);
    assert_int_equal(jg_stream_close_start(&sink.stream, &closing, JG_FOREVER, op_of(&sink, 1)), 0);
    turn(&sink);
    assert_true(jg_op_pending(&sink.ops[0]) && jg_op_pending(&sink.ops[1]));
    sink.room = 6;
    jg_stream_ready(&sink.stream, JG_WRITE);
    turn(&sink);
    assert_int_equal(jg_op_status(&sink.ops[0]), 0);
    assert_int_equal(jg_op_status(&sink.ops[1]), 0);
    assert_got(&sink, "abcdef");
    close_sink(&sink);
}

static void a_long_read_gives_way_but_does_not_wait(void **state)
{
    char buf[100];
    size_t count;

    (void)state;
    open_sink(&sink, 0, 0);
    sink.readable = 90;
    assert_int_equal(jg_stream_read_exactly_start(&sink.stream, buf, 40, &count, op_of(&sink, 0)),
                     0);
    assert_true(jg_op_pending(&sink.ops[0]));
    assert_true(sink.readable > 50);
    assert_true(jg_loop_alive(sink.world.loop));
    assert_int_equal(jg_loop_run(sink.world.loop), 0);
    assert_int_equal(jg_op_status(&sink.ops[0]), 0);
    assert_int_equal(count, 40);
    assert_int_equal(jg_stream_read_line_start(&sink.stream, buf, 41, op_of(&sink, 1)), 0);
    assert_int_equal(jg_loop_run(sink.world.loop), 0);
    assert_int_equal(jg_op_status(&sink.ops[1]), -EMSGSIZE);
    assert_int_equal(sink.waiting, 0);
    close_sink(&sink);
}

static void a_read_that_has_all_ends_before_it_gives_way(void **state)
{
    char buf[100];
    size_t count;

    (void)state;
    for (int size = 1; size < 60; size++) {
        open_sink(&sink, 0, 0);
        sink.readable = size;
        assert_int_equal(
            jg_stream_read_exactly_start(&sink.stream, buf, (size_t)size, &count, op_of(&sink, 0)),
            0);
        while (count < (size_t)size)
            turn(&sink);
        jg_op_cancel(&sink.ops[0]);
        turn(&sink);
        assert_int_equal(jg_op_status(&sink.ops[0]), 0);
        close_sink(&sink);
    }
}

static void a_failed_transport_fails_both_ways(void **state)
{
    char byte;

    (void)state;
    open_sink(&sink, 0, 2);
    assert_int_equal(put_all(&sink, 0, "abc"), 0);
    assert_int_equal(jg_stream_read_start(&sink.stream, &byte, 1, op_of(&sink, 1)), 0);
    jg_stream_ready(&sink.stream, -EBADF);
    turn(&sink);
    assert_int_equal(jg_op_status(&sink.ops[1]), -EBADF);
    assert_int_equal(jg_op_status(&sink.ops[0]), -EBADF);
    close_sink(&sink);
}

static void bad_options_are_refused(void **state)
{
    const jg_stream_options options = {.high_mark = ((size_t)1 << 27) + 1};
    jg_stream stream;

    (void)state;
    open_sink(&sink, 0, 0);
    assert_int_equal(
        jg_stream_open_with(&stream, sink.world.loop, &sink_transport, &sink, &options), -EINVAL);
    assert_int_equal(jg_stream_open(&stream, sink.world.loop, -1, NULL), -EBADF);
    assert_int_equal(jg_stream_fd(&sink.stream), -EBADF);
    assert_true(sizeof(jg_stream) <= 160);
    close_sink(&sink);
}

/* ---------------------------------------------------------------- reads after it */

static int read_after_reset(void *arg)
{
    const struct linger reset = {.l_onoff = 1};
    jg_loop *loop = arg;
    jg_stream stream;
    char text[8];
    int fds[2];

    test_tcp_pair(fds);
    test_check(jg_stream_open(&stream, loop, fds[0], NULL) == 0);
    test_check(send(fds[1], "part", 4, 0) == 4);
    test_check(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
    close(fds[1]);

    test_check(jg_stream_write(&stream, "x", 1) == -ECONNRESET);
    /* Not all systems keep what came before. */
    if (jg_stream_read(&stream, text, sizeof(text)) == 4)
        test_check(jg_stream_read(&stream, text, sizeof(text)) == -ECONNRESET);
    test_check(!jg_stream_at_eof(&stream));
    jg_stream_abort(&stream);
    return 0;
}

static void a_reset_that_a_write_met_is_no_regular_end(void **state)
{
    jg_loop *loop = test_loop(0);

    (void)state;
    assert_int_equal(jg_run_until_complete(loop, read_after_reset, loop, NULL), 0);
    test_loop_done(loop);
}

static int read_after_lost_write(void *arg)
{
    jg_stream a, b;
    char text[8];

    test_check(jg_test_pair(arg, &a, &b, NULL) == 0);
    test_check(jg_test_pair_fail(&a, JG_WRITE, 1, -ENOBUFS) == 0);
    test_check(jg_stream_write(&a, "q", 1) == 0);
    test_check(jg_stream_write(&a, "uestion", 7) == 0); /* it goes out with the end of the turn */
    test_check(jg_stream_read(&a, text, sizeof(text)) == -ENOBUFS);
    jg_stream_abort(&a);
    jg_stream_abort(&b);
    return 0;
}

static void who_waits_for_the_answer_to_what_was_lost_is_told(void **state)
{
    jg_loop *loop = test_loop(0);

    (void)state;
    assert_int_equal(jg_run_until_complete(loop, read_after_lost_write, loop, NULL), 0);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_write_of_a_turn_goes_out_at_once_the_others_together),
        cmocka_unit_test(what_waits_to_go_out_keeps_the_loop_running),
        cmocka_unit_test(with_that_sent_there_is_nothing_to_wait_for),
        cmocka_unit_test(writing_in_pieces_is_one_write),
        cmocka_unit_test(writes_may_stop_at_any_byte),
        cmocka_unit_test(an_exact_transport_is_not_asked_again_before_it_is_ready),
        cmocka_unit_test(large_copies_are_sent_in_order),
        cmocka_unit_test(an_error_half_way_fails_the_rest_in_order_and_once),
        cmocka_unit_test(an_error_at_once_is_returned),
        cmocka_unit_test(a_transport_that_cannot_wait_fails_what_waits),
        cmocka_unit_test(without_memory_a_write_that_was_not_begun_changes_nothing),
        cmocka_unit_test(drains_wait_above_the_high_mark_until_a_quarter_of_it),
        cmocka_unit_test(a_drain_sends_what_waits_for_the_end_of_the_turn),
        cmocka_unit_test(more_than_16_times_the_high_mark_is_refused),
        cmocka_unit_test(a_cancelled_write_all_tells_how_far_it_came),
        cmocka_unit_test(shutting_waits_for_what_is_queued),
        cmocka_unit_test(what_was_cut_short_is_no_regular_end),
        cmocka_unit_test(after_what_was_cut_short_the_peers_end_is_still_one),
        cmocka_unit_test(closing_sends_what_waits_for_the_end_of_the_turn),
        cmocka_unit_test(aborting_completes_all_that_is_pending),
        cmocka_unit_test(a_close_lets_drains_go_on),
        cmocka_unit_test(a_long_write_gives_way_but_does_not_wait),
        cmocka_unit_test(a_long_read_gives_way_but_does_not_wait),
        cmocka_unit_test(a_read_that_has_all_ends_before_it_gives_way),
        cmocka_unit_test(a_failed_transport_fails_both_ways),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(a_reset_that_a_write_met_is_no_regular_end),
        cmocka_unit_test(who_waits_for_the_answer_to_what_was_lost_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
