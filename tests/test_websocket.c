/* SPDX-License-Identifier: MIT
 *
 * WebSockets: messages, control frames and the end, against a peer whose frames are made by hand;
 * the handshakes; and our client with our server.
 */
#include "http_table.h"

#include "http/frame.h"
#include "http/handshake.h"
#include "http/websocket.h"

#include <juggle/http_client.h>
#include <juggle/net.h>
#include <juggle/test_kit.h>
#include <juggle/websocket.h>

#include <stdarg.h>

/* ---------------------------------------------------------------- frames by hand */

struct bytes {
    size_t size;
    char data[300000];
};

#define FINAL  0x80
#define MASKED 0x80

/* A frame with any first byte, its length in the shortest way, masked if its sender is a client. */
static void put_frame(struct bytes *bytes, unsigned first, bool masked, const void *data,
                      size_t size)
{
    static const uint8_t mask[4] = {1, 0x80, 3, 0xff};
    uint8_t *to = (uint8_t *)bytes->data + bytes->size;
    size_t at = 0;
    unsigned flag = masked ? MASKED : 0;

    test_check(bytes->size + size + 14 <= sizeof(bytes->data));
    to[at++] = (uint8_t)first;
    if (size < 126) {
        to[at++] = (uint8_t)(flag | size);
    } else if (size < 65536) {
        to[at++] = (uint8_t)(flag | 126);
        to[at++] = (uint8_t)(size >> 8);
        to[at++] = (uint8_t)size;
    } else {
        to[at++] = (uint8_t)(flag | 127);
        for (int shift = 56; shift >= 0; shift -= 8)
            to[at++] = (uint8_t)((uint64_t)size >> shift);
    }
    if (masked) {
        memcpy(to + at, mask, 4);
        at += 4;
    }
    for (size_t i = 0; i < size; i++)
        to[at + i] = ((const uint8_t *)data)[i] ^ (masked ? mask[i % 4] : 0);
    bytes->size += at + size;
}

/* ---------------------------------------------------------------- one side and its peer */

struct line {
    struct world world;
    jg_stream ours, theirs;
    jg_websocket ws;
    bool client; /* ours is one */
    jg_websocket_options options;
    jg_test_pair_options pair;
    struct bytes input;  /* what the peer sends */
    size_t piece;        /* bytes at a time; 0: all at once */
    jg_time close_after; /* it has sent that, it sends a close; 0: it does not */
    bool cut;            /* the peer then ends the connection, instead of waiting for our end */
    bool deaf;           /* it does not read for ten minutes */
    size_t most_queued;
    struct bytes seen;   /* what the peer got: */
    char told[100000];   /* told of, frame by frame */
    char events[100000]; /* what our side got */
    int status;          /* of our close */
    jg_time ended_at;
};

static void note(char *log, size_t room, const char *format, ...)
{
    size_t size = strlen(log);
    va_list args;

    va_start(args, format);
    vsnprintf(log + size, room - size, format, args);
    va_end(args);
}

#define NOTE(log, ...) note(log, sizeof(log), __VA_ARGS__)

static struct line *line_new(void)
{
    struct line *line = calloc(1, sizeof(*line));

    test_check(line);
    world_init(&line->world);
    line->status = 12345;
    return line;
}

static void add(struct line *line, unsigned first, const char *text)
{
    put_frame(&line->input, first, !line->client, text, strlen(text));
}

static void add_close(struct line *line, unsigned code, const char *reason)
{
    char payload[200] = {(char)(code >> 8), (char)code};

    memcpy(payload + 2, reason, strlen(reason));
    put_frame(&line->input, FINAL | JG__FRAME_CLOSE, !line->client, payload, strlen(reason) + 2);
}

/* Tell of what the peer got, as frames of our role. Frames have the masks of clients only. */
static void tell(struct line *line)
{
    static char copy[sizeof(line->seen.data)];
    struct jg__frame_decoder decoder;
    struct jg__frame_event event;
    size_t at = 0, used = 0;
    size_t size = 0;

    memcpy(copy, line->seen.data, line->seen.size);
    jg__frame_decoder_init(&decoder, line->client, 1 << 30);
    while (jg__frame_feed(&decoder, copy + at, line->seen.size - at, &used, &event) > 0) {
        at += used;
        if (event.opcode == JG__FRAME_CLOSE) {
            NOTE(line->told, "close %u %.*s;", event.close_code, (int)event.data.size,
                 event.data.data);
        } else if (event.opcode >= JG__FRAME_PING) {
            NOTE(line->told, "%s %.*s;", event.opcode == JG__FRAME_PING ? "ping" : "pong",
                 (int)event.data.size, event.data.data);
        } else {
            size += event.data.size;
            if (event.data.size < 100)
                NOTE(line->told, "%.*s", (int)event.data.size, event.data.data);
            if (event.final) {
                NOTE(line->told, " %s %zu;", event.opcode == JG__FRAME_TEXT ? "text" : "binary",
                     size);
                size = 0;
            }
        }
    }
}

static int peer_sends(void *arg)
{
    struct line *line = arg;
    size_t piece = line->piece ? line->piece : line->input.size;

    for (size_t at = 0; at < line->input.size; at += piece) {
        size_t n = piece < line->input.size - at ? piece : line->input.size - at;

        if (jg_stream_write(&line->theirs, line->input.data + at, n) < 0 ||
            jg_stream_drain(&line->theirs) < 0 || jg_sleep(0) < 0)
            return 0;
    }
    if (line->close_after > 0) {
        line->input.size = 0;
        add_close(line, 1000, "");
        (void)jg_sleep(line->close_after);
        (void)jg_stream_write(&line->theirs, line->input.data, line->input.size);
    }
    if (line->cut)
        (void)jg_stream_shut(&line->theirs);
    return 0;
}

static int peer_reads(void *arg)
{
    struct line *line = arg;
    int r;

    if (line->deaf)
        (void)jg_sleep(600 * JG_SECOND);
    do {
        r = jg_stream_read(&line->theirs, line->seen.data + line->seen.size,
                           sizeof(line->seen.data) - line->seen.size);
        if (r > 0)
            line->seen.size += (size_t)r;
    } while (r > 0);
    return 0;
}

static void note_message(struct line *line, const jg_websocket_message *message)
{
    if (message->data.size < 100)
        NOTE(line->events, "%.*s", (int)message->data.size, message->data.data);
    NOTE(line->events, " %s %zu;", message->type == JG_WEBSOCKET_TEXT ? "text" : "binary",
         message->data.size);
}

/* Receive up to the end; close, and end the connection. */
static int side_receives(struct line *line)
{
    jg_websocket_message message;
    int r;

    while ((r = jg_websocket_receive(&line->ws, &message)) > 0)
        note_message(line, &message);
    if (r < 0 && r > -4096)
        NOTE(line->events, "error %d", -r);
    else if (r < 0)
        NOTE(line->events, "incomplete");
    else
        NOTE(line->events, "closed %d %.*s", jg_websocket_close_code(&line->ws),
             (int)jg_websocket_close_reason(&line->ws).size,
             jg_websocket_close_reason(&line->ws).data);
    return r;
}

static int side_ends(struct line *line)
{
    line->status = jg_websocket_close(&line->ws, JG_WEBSOCKET_NORMAL, "bye");
    line->ended_at = jg_loop_now(line->world.loop);
    test_check(jg_websocket_close(&line->ws, JG_WEBSOCKET_NORMAL, NULL) == -EBADF);
    (void)jg_stream_close(&line->ours, JG_SECOND);
    return 0;
}

static int side(void *arg)
{
    struct line *line = arg;

    (void)side_receives(line);
    return side_ends(line);
}

/* Run both, with `fn` as our side. */
static void line_run(struct line *line, jg_coro_fn fn)
{
    jg_scope *root = &line->world.root;

    test_check(jg_test_pair(line->world.loop, &line->ours, &line->theirs, &line->pair) == 0);
    jg__websocket_begin(&line->ws, &line->ours, line->client, NULL, &line->options);
    test_check(jg_spawn(root, fn, line, NULL) == 0);
    test_check(jg_spawn(root, peer_sends, line, NULL) == 0);
    test_check(jg_spawn(root, peer_reads, line, NULL) == 0);
    jg_scope_close(root, 0, &line->world.left);
    test_check(jg_loop_run(line->world.loop) == 0);
    jg_stream_abort(&line->theirs);
    test_check(line->world.result == 0);
    test_loop_done(line->world.loop);
    tell(line);
}

static void expect(struct line *line, const char *events, const char *told)
{
    if (strcmp(line->events, events) != 0 || strcmp(line->told, told) != 0)
        fprintf(stderr, "got «%s» and told «%s»\nnot «%s» and «%s»\n", line->events, line->told,
                events, told);
    assert_string_equal(line->events, events);
    assert_string_equal(line->told, told);
    free(line);
}

/* The same bytes in both roles, all at once and one by one. A client that has closed waits for the
   server to end the connection, so that the peer has to. */
static void exchange(void (*fill)(struct line *line), const char *events, const char *told)
{
    for (int i = 0; i < 4; i++) {
        struct line *line = line_new();

        line->client = i % 2;
        line->piece = i / 2;
        line->cut = true;
        fill(line);
        line_run(line, side);
        expect(line, events, told);
    }
}

/* ---------------------------------------------------------------- messages */

static void fill_messages(struct line *line)
{
    add(line, FINAL | JG__FRAME_TEXT, "hello");
    add(line, FINAL | JG__FRAME_BINARY, "\xff\xfe");
    add(line, FINAL | JG__FRAME_TEXT, "");
    add(line, FINAL | JG__FRAME_TEXT, "gr\xc3\xbc\xc3\x9f");
    add_close(line, 1000, "done");
}

static void messages_come_in_order(void **state)
{
    (void)state;
    exchange(fill_messages,
             "hello text 5;\xff\xfe binary 2; text 0;gr\xc3\xbc\xc3\x9f text 6;closed 1000 done",
             "close 1000 ;");
}

static void fill_fragments(struct line *line)
{
    add(line, JG__FRAME_TEXT, "");
    add(line, FINAL | JG__FRAME_PING, "one");
    add(line, JG__FRAME_CONTINUATION, "gr\xc3");
    add(line, FINAL | JG__FRAME_PONG, "unasked");
    add(line, JG__FRAME_CONTINUATION, "\xbc\xc3\x9f");
    add(line, FINAL | JG__FRAME_PING, "");
    add(line, FINAL | JG__FRAME_CONTINUATION, "");
    add(line, JG__FRAME_BINARY, "");
    add(line, FINAL | JG__FRAME_CONTINUATION, "b");
    put_frame(&line->input, FINAL | JG__FRAME_CLOSE, !line->client, NULL, 0);
}

static void fragments_are_joined_and_control_frames_between_them_are_answered(void **state)
{
    (void)state;
    exchange(fill_fragments, "gr\xc3\xbc\xc3\x9f text 6;b binary 1;closed 1005 ",
             "pong one;pong ;close 1005 ;");
}

static void large_messages_come_whole(void **state)
{
    static const size_t sizes[] = {125, 126, 65535, 65536, 100000};
    static char data[100000];

    (void)state;
    for (int client = 0; client < 2; client++) {
        struct line *line = line_new();
        char events[200] = "";

        line->client = client;
        line->cut = true;
        for (size_t i = 0; i < 5; i++) {
            size_t size = sizes[i] < 100000 ? sizes[i] : 50000;

            put_frame(&line->input, FINAL | JG__FRAME_BINARY, !client, data, size);
            note(events, sizeof(events), " binary %zu;", size);
        }
        add_close(line, 4000, "");
        line_run(line, side);
        strcat(events, "closed 4000 ");
        /* Those below 100 bytes would be in the log themselves. */
        expect(line, events, "close 4000 ;");
    }
}

/* Receives with a scope that is cancelled every microsecond, and goes on. */
static int impatient(void *arg)
{
    struct line *line = arg;
    jg_websocket_message message;
    jg_scope scope;
    int r, cancelled = 0;

    do {
        jg_scope_enter(&scope, &(jg_scope_options){.timeout = JG_MICROSECOND});
        r = jg_websocket_receive(&line->ws, &message);
        if (r > 0)
            note_message(line, &message);
        (void)jg_scope_leave(&scope, r);
        cancelled += r == -ECANCELED;
    } while (r > 0 || r == -ECANCELED);
    test_check(r == 0 && cancelled > 50);
    return side_ends(line);
}

static void a_cancelled_receive_loses_nothing(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->pair = (jg_test_pair_options){.piece = 1, .delay = 2 * JG_MICROSECOND};
    fill_fragments(line);
    line_run(line, impatient);
    expect(line, "gr\xc3\xbc\xc3\x9f text 6;b binary 1;", "pong one;pong ;close 1005 ;");
}

/* An allocation fails, one of those that receiving takes. */
static long failing;
static int failures;

static int short_of_memory(void *arg)
{
    struct line *line = arg;
    struct test_memory *memory = test_loop_memory(line->world.loop);
    jg_websocket_message message;

    test_check(jg_sleep(JG_MILLISECOND) == 0); /* all of it was sent by then */
    memory->fail_at = memory->calls + failing;
    while (jg_websocket_receive(&line->ws, &message) == -ENOMEM)
        failures++;
    memory->fail_at = 0;
    note_message(line, &message);
    (void)side_receives(line);
    return side_ends(line);
}

static void without_memory_nothing_is_lost(void **state)
{
    (void)state;
    for (failing = 1; failing < 10; failing++) {
        struct line *line = line_new();

        add(line, JG__FRAME_TEXT, "first ");
        add(line, FINAL | JG__FRAME_CONTINUATION, "last");
        add_close(line, 1000, "");
        line_run(line, short_of_memory);
        expect(line, "first last text 10;closed 1000 ", "close 1000 ;");
    }
    assert_int_equal(failures, 2); /* to read into, and to join it in */
}

static int looks_at_the_place(void *arg)
{
    struct line *line = arg;
    jg_websocket_message message;

    test_check(jg_websocket_receive(&line->ws, &message) == 1);
    test_check(jg_text_is(message.data, "hello") && !line->ws.message);
    jg_stream_abort(&line->ours);
    test_check(jg_websocket_receive(&line->ws, &message) == -EBADF);
    (void)jg_websocket_close(&line->ws, 1000, NULL);
    return 0;
}

static void a_message_in_one_piece_is_lent_from_the_stream(void **state)
{
    struct line *line = line_new();

    (void)state;
    add(line, FINAL | JG__FRAME_TEXT, "hello");
    line_run(line, looks_at_the_place);
    free(line);
}

/* ---------------------------------------------------------------- what peers do wrong */

struct wrong {
    const char *name;
    const char *bytes; /* unmasked; NULL: those of a masked one */
    size_t size;
    int error;
    unsigned code;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static void wrongs_end_it_with_their_code(void **state)
{
    static const struct wrong wrongs[] = {
        {"a reserved bit", BYTES("\xc1\x00"), EPROTO, 1002},
        {"an unknown opcode", BYTES("\x83\x00"), EPROTO, 1002},
        {"an unknown control opcode", BYTES("\x8b\x00"), EPROTO, 1002},
        {"a fragmented ping", BYTES("\x09\x00"), EPROTO, 1002},
        {"a large ping", BYTES("\x89\x7e\x00\x7e"), EPROTO, 1002},
        {"a continuation of nothing", BYTES("\x80\x00"), EPROTO, 1002},
        {"a message in a message", BYTES("\x01\x01x\x81\x01y"), EPROTO, 1002},
        {"a mask of a server", BYTES("\x81\x80\x01\x02\x03\x04"), EPROTO, 1002},
        {"a length that is too long", BYTES("\x82\x7e\x00\x01x"), EPROTO, 1002},
        {"a close of one byte", BYTES("\x88\x01x"), EPROTO, 1002},
        {"a close with 1005", BYTES("\x88\x02\x03\xed"), EPROTO, 1002},
        {"a close with 999", BYTES("\x88\x02\x03\xe7"), EPROTO, 1002},
        {"a reason that is no text", BYTES("\x88\x03\x03\xe8\xff"), EILSEQ, 1007},
        {"text that is none", BYTES("\x81\x01\xff"), EILSEQ, 1007},
        {"text that is cut", BYTES("\x81\x01\xc3"), EILSEQ, 1007},
        {"cut text in fragments", BYTES("\x01\x01\xc3\x80\x00"), EILSEQ, 1007},
        {"a large message", BYTES("\x82\x7e\x04\x01"), EMSGSIZE, 1009},
        {"a large message in fragments", BYTES("\x02\x01x\x80\x7e\x04\x00"), EMSGSIZE, 1009},
        {"a huge message", BYTES("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), EMSGSIZE, 1009},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        char events[100], told[100];
        struct line *line = line_new();

        line->client = true;
        line->options.max_message = 1024;
        memcpy(line->input.data, wrongs[i].bytes, wrongs[i].size);
        line->input.size = wrongs[i].size;
        line_run(line, side);
        if (line->status != -wrongs[i].error)
            fprintf(stderr, "%s\n", wrongs[i].name);
        assert_int_equal(line->status, -wrongs[i].error);
        snprintf(events, sizeof(events), "error %d", wrongs[i].error);
        snprintf(told, sizeof(told), "close %u ;", wrongs[i].code);
        expect(line, events, told);
    }
}

static void a_server_wants_masks(void **state)
{
    struct line *line = line_new();

    (void)state;
    put_frame(&line->input, FINAL | JG__FRAME_TEXT, false, "x", 1);
    line_run(line, side);
    expect(line, "error 71", "close 1002 ;");
}

static void fill_cut(struct line *line)
{
    add(line, FINAL | JG__FRAME_TEXT, "hello");
    add(line, JG__FRAME_TEXT, "wor");
}

static void an_end_without_a_close_is_an_error(void **state)
{
    (void)state;
    exchange(fill_cut, "hello text 5;incomplete", "");
}

/* ---------------------------------------------------------------- closing */

static int closes_first(void *arg)
{
    struct line *line = arg;
    jg_websocket_message message;

    test_check(jg_websocket_shut(&line->ws, 1005, NULL) == -EINVAL);
    test_check(jg_websocket_shut(&line->ws, 999, NULL) == -EINVAL);
    test_check(jg_websocket_shut(&line->ws, 5000, NULL) == -EINVAL);
    test_check(jg_websocket_shut(&line->ws, -1, NULL) == -EINVAL);
    test_check(jg_websocket_shut(&line->ws, 1000, "\xff") == -EINVAL);
    test_check(jg_websocket_shut(&line->ws, 1000,
                                 "0123456789012345678901234567890123456789"
                                 "0123456789012345678901234567890123456789"
                                 "01234567890123456789012345678901234567890123") == -EINVAL);
    test_check(jg_websocket_close_code(&line->ws) == JG_WEBSOCKET_LOST);
    test_check(jg_websocket_shut(&line->ws, 1001, "leaving") == 0);
    test_check(jg_websocket_shut(&line->ws, 1001, "leaving") == -EALREADY);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == -EPIPE);
    test_check(jg_websocket_try_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == -EPIPE);
    (void)side_receives(line);
    test_check(jg_websocket_receive(&line->ws, &message) == 0);
    return side_ends(line);
}

static void what_comes_after_our_close_is_still_received(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->pair.delay = JG_MILLISECOND;
    add(line, FINAL | JG__FRAME_PING, "not answered");
    add(line, FINAL | JG__FRAME_TEXT, "late");
    add_close(line, 1001, "");
    line_run(line, closes_first);
    assert_int_equal(line->status, 0);
    assert_int_equal(line->seen.size, 11); /* nothing follows the close */
    expect(line, "late text 4;closed 1001 ", "close 1001 leaving;");
}

static int ends_at_once(void *arg)
{
    return side_ends(arg);
}

static void closing_drops_what_comes_and_waits_for_the_peer(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->pair = (jg_test_pair_options){.piece = 1, .delay = 100 * JG_MILLISECOND};
    add(line, JG__FRAME_TEXT, "dropped");
    add(line, FINAL | JG__FRAME_CONTINUATION, "too");
    add_close(line, 1000, "");
    line_run(line, ends_at_once);
    assert_int_equal(line->status, 0);
    assert_true(line->ended_at > JG_SECOND && line->ended_at < 10 * JG_SECOND);
    expect(line, "", "close 1000 bye;");
}

static void a_peer_that_does_not_close_is_given_up(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct line *line = line_new();

        line->options.close_timeout = i == 0 ? 0 : 3 * JG_SECOND;
        for (int n = 0; n < 100; n++)
            add(line, FINAL | JG__FRAME_TEXT, "what do you mean?");
        line->pair = (jg_test_pair_options){.piece = 1, .delay = 100 * JG_MILLISECOND};
        line_run(line, ends_at_once);
        assert_int_equal(line->status, -ETIMEDOUT);
        assert_int_equal(line->ended_at, (i == 0 ? 10 : 3) * JG_SECOND);
        expect(line, "", "close 1000 bye;");
    }
}

static int receives_after_shut(void *arg)
{
    struct line *line = arg;

    test_check(jg_websocket_shut(&line->ws, 1000, NULL) == 0);
    return side(line);
}

static void receiving_ends_when_the_time_to_close_is_over(void **state)
{
    struct line *line = line_new();

    (void)state;
    line_run(line, receives_after_shut);
    assert_int_equal(line->ended_at, 10 * JG_SECOND);
    assert_int_equal(line->status, -ETIMEDOUT);
    expect(line, "error 110", "close 1000 ;");
}

static int dawdles(void *arg)
{
    struct line *line = arg;

    test_check(jg_websocket_shut(&line->ws, 1000, NULL) == 0);
    (void)side_receives(line);
    test_check(jg_sleep(60 * JG_SECOND) == 0);
    return side_ends(line);
}

static void once_both_have_closed_no_time_is_too_long(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = JG_SECOND;
    add_close(line, 1000, "");
    line_run(line, dawdles);
    assert_int_equal(line->status, 0);
    expect(line, "closed 1000 ", "close 1000 ;");
}

static void both_may_close_at_the_same_time(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        struct line *line = line_new();

        line->client = client;
        line->cut = true;
        line->pair.delay = JG_MILLISECOND;
        add_close(line, 4001, "me too");
        line_run(line, ends_at_once);
        assert_int_equal(line->status, 0);
        assert_int_equal(jg_websocket_close_code(&line->ws), 4001);
        expect(line, "", "close 1000 bye;");
    }
}

static void a_client_waits_for_the_server_to_end_the_connection(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->client = true;
    add_close(line, 1000, "");
    line_run(line, side);
    assert_int_equal(line->status, 0);
    assert_int_equal(line->ended_at, 10 * JG_SECOND);
    expect(line, "closed 1000 ", "close 1000 ;");
}

static int closes_wrongly(void *arg)
{
    struct line *line = arg;

    line->status = jg_websocket_close(&line->ws, 1006, NULL);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == -EBADF);
    jg_stream_abort(&line->ours);
    return 0;
}

static void a_wrong_code_closes_as_well(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = JG_SECOND;
    line_run(line, closes_wrongly);
    assert_int_equal(line->status, -EINVAL);
    expect(line, "", "");
}

static int closes_when_cancelled(void *arg)
{
    struct line *line = arg;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    jg_scope_cancel(&scope);
    (void)side_ends(line);
    return jg_scope_leave(&scope, 0);
}

static void in_a_cancelled_scope_the_peer_is_told_and_not_waited_for(void **state)
{
    struct line *line = line_new();

    (void)state;
    line_run(line, closes_when_cancelled);
    assert_int_equal(line->status, -ECANCELED);
    assert_int_equal(line->ended_at, 0);
    expect(line, "", "close 1000 bye;");
}

static void close_while_somebody_receives(void *arg)
{
    struct line *line = line_new();

    (void)arg;
    test_check(jg_test_pair(line->world.loop, &line->ours, &line->theirs, NULL) == 0);
    jg__websocket_begin(&line->ws, &line->ours, false, NULL, NULL);
    test_check(jg_spawn(&line->world.root, side, line, NULL) == 0);
    test_check(jg_spawn(&line->world.root, closes_wrongly, line, NULL) == 0);
    (void)jg_loop_run(line->world.loop);
}

static void closing_under_a_receiver_is_misuse(void **state)
{
    (void)state;
    test_expect_abort(close_while_somebody_receives, NULL, "somebody still receives or sends");
}

static int receives_twice(void *arg)
{
    struct line *line = arg;
    jg_websocket_message message;

    test_check(jg_sleep(JG_MILLISECOND) == 0);
    test_check(jg_websocket_receive(&line->ws, &message) == -EBUSY);
    return jg_websocket_shut(&line->ws, 1000, NULL);
}

static int side_with_another(void *arg)
{
    struct line *line = arg;

    test_check(jg_spawn(&line->world.root, receives_twice, line, NULL) == 0);
    return side(line);
}

static void one_receives_at_a_time_and_another_may_close(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->pair.delay = 2 * JG_MILLISECOND;
    add_close(line, 1000, "");
    line_run(line, side_with_another);
    expect(line, "closed 1000 ", "close 1000 ;");
}

/* ---------------------------------------------------------------- sending */

static char filler[100000];

static int sends(void *arg)
{
    struct line *line = arg;
    static const size_t sizes[] = {0, 125, 126, 65535, 65536};

    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "gr\xc3\xbc\xc3\x9f", 6) == 0);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "\xff", 1) == -EILSEQ);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "\xc3", 1) == -EILSEQ);
    test_check(jg_websocket_send(&line->ws, (jg_websocket_type)8, "\xc3", 1) == -EINVAL);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_BINARY, "", SIZE_MAX) == -EMSGSIZE);
    for (size_t i = 0; i < 5; i++)
        test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_BINARY, filler, sizes[i]) == 0);
    return side(line);
}

static void messages_are_framed_by_their_size(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        struct line *line = line_new();

        line->client = client;
        line->cut = true;
        add_close(line, 1000, "");
        line_run(line, sends);
        /* NULs end what is noted of the small ones. */
        assert_non_null(strstr(line->told, "gr\xc3\xbc\xc3\x9f text 6; binary 0;"));
        assert_non_null(strstr(line->told, "binary 126; binary 65535; binary 65536;close 1000 ;"));
        free(line);
    }
}

static int sends_and_closes(void *arg)
{
    struct line *line = arg;

    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_BINARY, filler, 100) == 0);
    return side_ends(line);
}

/* A stream refuses what is written with 16 times the high mark queued, but not a close. */
static void however_much_is_queued_the_close_follows(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        struct line *line = line_new();

        line->client = client;
        line->cut = true;
        line->pair = (jg_test_pair_options){.stream.high_mark = 1, .capacity = 10};
        add_close(line, 1000, "");
        line_run(line, sends_and_closes);
        assert_int_equal(line->status, 0);
        expect(line, "", " binary 100;close 1000 bye;");
    }
}

static int sends_masked(void *arg)
{
    struct line *line = arg;

    for (int i = 0; i < 20; i++)
        test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_BINARY, "", 0) == 0);
    return side(line);
}

static void each_frame_of_a_client_has_another_mask(void **state)
{
    struct line *line = line_new();
    int same = 0;

    (void)state;
    line->client = true;
    line->cut = true;
    add_close(line, 1000, "");
    line_run(line, sends_masked);
    for (size_t i = 0; i < 20; i++) {
        assert_memory_equal(line->seen.data + 6 * i, "\x82\x80", 2);
        for (size_t j = 0; j < i; j++)
            same += memcmp(line->seen.data + 6 * i + 2, line->seen.data + 6 * j + 2, 4) == 0;
    }
    assert_int_equal(same, 0);
    free(line);
}

struct sender {
    struct line *line;
    char text[5000];
    int result;
};

static int sends_one(void *arg)
{
    struct sender *sender = arg;
    struct line *line = sender->line;

    sender->result =
        jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, sender->text, sizeof(sender->text));
    if (jg_stream_queued(&line->ours) > line->most_queued)
        line->most_queued = jg_stream_queued(&line->ours);
    return 0;
}

static struct sender senders[30];

/* Many send at once to a peer that does not read; one of them is given up. */
static int sends_much(void *arg)
{
    struct line *line = arg;
    jg_scope scope, impatience;

    jg_scope_enter(&scope, NULL);
    jg_scope_enter(&impatience, &(jg_scope_options){.timeout = 10 * JG_SECOND});
    for (int i = 0; i < 30; i++) {
        struct sender *sender = &senders[i];

        *sender = (struct sender){.line = line, .result = 12345};
        memset(sender->text, 'a' + i % 26, sizeof(sender->text));
        test_check(jg_spawn(i == 20 ? &impatience : &scope, sends_one, sender, NULL) == 0);
    }
    (void)jg_scope_leave(&impatience, 0);
    test_check(jg_websocket_try_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == -EAGAIN);
    test_check(jg_scope_leave(&scope, 0) == 0);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == 0);
    return side(line);
}

static void many_send_whole_messages_in_turn_and_a_slow_reader_is_waited_for(void **state)
{
    struct line *line = line_new();
    size_t at = 0;

    (void)state;
    line->deaf = true;
    line->close_after = 700 * JG_SECOND;
    line->pair.capacity = 3000;
    line->pair.stream.high_mark = 8000;
    line_run(line, sends_much);
    assert_true(line->most_queued > 8000 && line->most_queued <= 8000 + 5004);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(senders[i].result, i == 20 ? -ECANCELED : 0);
        if (i == 20)
            continue;
        assert_memory_equal(line->seen.data + at, "\x81\x7e\x13\x88", 4);
        assert_memory_equal(line->seen.data + at + 4, senders[i].text, 5000);
        at += 5004;
    }
    assert_memory_equal(line->seen.data + at, "\x81\x01x", 3);
    free(line);
}

static int tries(void *arg)
{
    struct line *line = arg;
    int r, sent = 0;

    do {
        r = jg_websocket_try_send(&line->ws, JG_WEBSOCKET_BINARY, filler, 996);
        sent += r == 0;
    } while (r == 0);
    test_check(r == -EAGAIN && sent == 10);
    test_check(jg_sleep(700 * JG_SECOND) == 0);
    test_check(jg_websocket_try_send(&line->ws, JG_WEBSOCKET_BINARY, filler, 996) == 0);
    test_check(jg_lock_try_acquire(&line->ws.turn) == 0); /* somebody else has its turn */
    test_check(jg_websocket_try_send(&line->ws, JG_WEBSOCKET_BINARY, filler, 996) == -EAGAIN);
    jg_lock_release(&line->ws.turn);
    return side(line);
}

static void trying_to_send_never_waits(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->deaf = true;
    line->close_after = 800 * JG_SECOND;
    line->pair.capacity = 3000;
    line->pair.stream.high_mark = 8500;
    line_run(line, tries);
    assert_int_equal(line->seen.size, 11 * 1000 + 4);
    free(line);
}

static int shuts_or_waits(void *arg)
{
    struct line *line = arg;
    jg_scope scope;

    jg_scope_enter(&scope, NULL);
    for (int i = 0; i < 5; i++) {
        senders[i] = (struct sender){.line = line, .result = 12345};
        test_check(jg_spawn(&scope, sends_one, &senders[i], NULL) == 0);
    }
    test_check(jg_sleep(10 * JG_SECOND) == 0);
    if (line->options.keep_alive == 0)
        test_check(jg_websocket_shut(&line->ws, 1000, NULL) == 0);
    test_check(jg_scope_leave(&scope, 0) == 0);
    NOTE(line->events, "%lld s;", (long long)(jg_loop_now(line->world.loop) / JG_SECOND));
    return side(line);
}

static void who_waits_to_send_is_told_when_it_is_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct line *line = line_new();

        line->deaf = true;
        line->pair.capacity = 3000;
        line->pair.stream.high_mark = 4000;
        line->options.keep_alive = i == 0 ? 0 : 30 * JG_SECOND;
        line->options.close_timeout = i == 0 ? JG_FOREVER : 0;
        line->close_after = 700 * JG_SECOND;
        line_run(line, shuts_or_waits);
        assert_string_equal(line->events, i == 0 ? "600 s;closed 1000 " : "60 s;error 110");
        for (int n = 0; n < 5; n++)
            assert_int_equal(senders[n].result, n < 2 ? 0 : i == 0 ? -EPIPE : -ETIMEDOUT);
        free(line);
    }
}

/* ---------------------------------------------------------------- pings */

static int watches_queue(void *arg)
{
    struct line *line = arg;

    for (int i = 0; i < 1000; i++) {
        if (jg_stream_queued(&line->ours) > line->most_queued)
            line->most_queued = jg_stream_queued(&line->ours);
        if (jg_sleep(JG_MILLISECOND) < 0)
            break;
    }
    return 0;
}

static int side_watched(void *arg)
{
    struct line *line = arg;

    test_check(jg_spawn(&line->world.root, watches_queue, line, NULL) == 0);
    return side(line);
}

static void a_flood_of_pings_takes_little_memory_and_the_last_is_answered(void **state)
{
    struct line *line = line_new();
    const char *first = "pong is anybody there? I ask for the 0th time;";
    const char *last = "pong is anybody there? I ask for the 3999th time;close 1000 ;";
    char text[100];

    (void)state;
    line->deaf = true;
    line->pair.capacity = 1000;
    line->pair.stream.high_mark = 2000;
    line->close_after = 700 * JG_SECOND;
    for (int i = 0; i < 4000; i++) {
        snprintf(text, sizeof(text), "is anybody there? I ask for the %dth time", i);
        add(line, FINAL | JG__FRAME_PING, text);
    }
    line_run(line, side_watched);
    assert_int_equal(line->status, 0);
    assert_true(line->most_queued > 1900 && line->most_queued < 2100);
    assert_true(line->seen.size < 3200);
    assert_memory_equal(line->told, first, strlen(first));
    assert_string_equal(line->told + strlen(line->told) - strlen(last), last);
    free(line);
}

static void a_silent_peer_is_pinged_and_then_taken_for_lost(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = 20 * JG_SECOND;
    line_run(line, side);
    assert_int_equal(line->status, -ETIMEDOUT);
    assert_int_equal(line->ended_at, 40 * JG_SECOND);
    expect(line, "error 110", "ping ;");
}

static void a_peer_that_says_something_is_not_pinged(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = 2 * JG_SECOND;
    line->pair = (jg_test_pair_options){.piece = 1, .delay = JG_SECOND};
    add(line, FINAL | JG__FRAME_TEXT, "slow, but there");
    add_close(line, 1000, "");
    line_run(line, side);
    expect(line, "slow, but there text 15;closed 1000 ", "close 1000 ;");
}

static void a_peer_that_falls_silent_is_noticed(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = 2 * JG_SECOND;
    add(line, FINAL | JG__FRAME_TEXT, "goodbye");
    line_run(line, side);
    assert_int_equal(line->ended_at, 6 * JG_SECOND);
    expect(line, "goodbye text 7;error 110", "ping ;");
}

static int is_busy(void *arg)
{
    test_check(jg_sleep(100 * JG_SECOND) == 0);
    return side(arg);
}

static void nobody_is_lost_while_nobody_listens(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = 2 * JG_SECOND;
    add(line, FINAL | JG__FRAME_TEXT, "patience");
    add_close(line, 1000, "");
    line_run(line, is_busy);
    expect(line, "patience text 8;closed 1000 ", "close 1000 ;");
}

static int cannot_write(void *arg)
{
    struct line *line = arg;

    test_check(jg_test_pair_fail(&line->ours, JG_WRITE, 0, -EIO) == 0);
    test_check(jg_websocket_send(&line->ws, JG_WEBSOCKET_TEXT, "x", 1) == -EIO);
    return side(line);
}

static void a_receiver_is_told_that_writing_failed(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->options.keep_alive = 2 * JG_SECOND;
    line_run(line, cannot_write);
    assert_int_equal(line->ended_at, 2 * JG_SECOND);
    expect(line, "error 5", "");
}

/* With an answer to a ping that has to wait. */
static int closes_backed_up(void *arg)
{
    struct line *line = arg;
    jg_websocket_message message;
    jg_scope scope;

    jg_scope_enter(&scope, &(jg_scope_options){.timeout = JG_SECOND});
    test_check(jg_websocket_receive(&line->ws, &message) == -ECANCELED);
    (void)jg_scope_leave(&scope, -ECANCELED);
    test_check(line->ws.pong_waits);
    if (line->options.close_timeout == JG_FOREVER) {
        test_check(jg_websocket_shut(&line->ws, 1000, NULL) == 0);
        return side(line);
    }
    line->status = jg_websocket_close(&line->ws, 1000, NULL);
    memset(&line->ws, 0xa5, sizeof(line->ws)); /* the memory is ours */
    return jg_stream_close(&line->ours, JG_FOREVER);
}

static void a_waiting_pong_is_forgotten_when_it_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct line *line = line_new();

        line->deaf = true;
        line->pair.capacity = 1000;
        line->pair.stream.high_mark = 2000;
        line->options.close_timeout = i == 0 ? JG_FOREVER : JG_SECOND;
        line->close_after = 700 * JG_SECOND;
        for (int n = 0; n < 100; n++)
            add(line, FINAL | JG__FRAME_PING, "0123456789012345678901234567890123456789");
        line_run(line, closes_backed_up);
        assert_memory_equal(line->seen.data + line->seen.size - 4, "\x88\x02\x03\xe8", 4);
        assert_int_equal(line->status, i == 0 ? 0 : -ETIMEDOUT);
        free(line);
    }
}

static int sends_to_the_deaf(void *arg)
{
    struct line *line = arg;
    int r;

    do
        r = jg_websocket_send(&line->ws, JG_WEBSOCKET_BINARY, filler, 1000);
    while (r == 0);
    NOTE(line->events, "sending: error %d;", -r);
    return side(line);
}

static void a_peer_that_takes_nothing_is_taken_for_lost(void **state)
{
    struct line *line = line_new();

    (void)state;
    line->deaf = true;
    line->pair.capacity = 1000;
    line->options.keep_alive = 20 * JG_SECOND;
    line_run(line, sends_to_the_deaf);
    assert_int_equal(line->ended_at, 40 * JG_SECOND);
    assert_string_equal(line->events, "sending: error 110;error 110");
    free(line);
}

/* ---------------------------------------------------------------- accepting */

static bool is_friend(void *arg, const jg_http_request *request, jg_text origin)
{
    (void)arg;
    (void)request;
    return jg_text_is(origin, "http://friend");
}

static int echo(jg_http_request *request, void *arg)
{
    static const char *const protocols[] = {"chat.2", "chat.1", NULL};
    jg_websocket_options options = {.keep_alive = JG_SECOND, .protocols = protocols};
    jg_websocket_message message;
    jg_websocket ws;
    int r;

    (void)arg;
    if (jg_text_is(jg_http_request_path(request), "/friends"))
        options.allow_origin = is_friend;
    r = jg_websocket_accept(&ws, request, &options);
    if (r != 0)
        return r;
    test_check(jg_websocket_accept(&ws, request, &options) == -EALREADY);
    while ((r = jg_websocket_receive(&ws, &message)) > 0) {
        r = jg_websocket_send(&ws, message.type, message.data.data, message.data.size);
        if (r < 0)
            break;
    }
    (void)jg_websocket_close(&ws, r == -ECANCELED ? JG_WEBSOCKET_GOING_AWAY : JG_WEBSOCKET_FAILED,
                             NULL);
    return 0;
}

#define OPENING(rest)                                                                           \
    "GET / HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" rest "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define ACCEPTED(rest)                                                                  \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" rest "\r\n"
#define REFUSED(line, rest) \
    "HTTP/1.1 " line "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " rest

static void expect_answer(const char *request, const char *answer)
{
    struct table *table = table_new(echo, NULL);

    table->text = request;
    table_run(table);
    if (strncmp(table->output, answer, strlen(answer)) != 0)
        fprintf(stderr, "got\n%s\n", table->output);
    assert_memory_equal(table->output, answer, strlen(answer));
    free(table);
}

static void an_opening_is_accepted(void **state)
{
    (void)state;
    expect_answer(OPENING(VERSION), ACCEPTED(""));
    expect_answer(OPENING(VERSION "Origin: http://A:80\r\n"), ACCEPTED(""));
    expect_answer(OPENING(VERSION "Sec-WebSocket-Protocol: chat.1, chat.2\r\n"),
                  ACCEPTED("Sec-WebSocket-Protocol: chat.2\r\n"));
    expect_answer(
        OPENING(VERSION "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: y, chat.1\r\n"),
        ACCEPTED("Sec-WebSocket-Protocol: chat.1\r\n"));
    expect_answer(OPENING(VERSION "Sec-WebSocket-Protocol: CHAT.1\r\n"), ACCEPTED(""));
}

static void what_follows_an_opening_at_once_is_a_frame(void **state)
{
    static const char text[] = OPENING(VERSION) "\x81\x81\x00\x00\x00\x00x\x88\x80\x00\x00\x00\x00";
    struct table *table = table_new(echo, NULL);
    const char *frames;

    (void)state;
    table->text = text;
    table->size = sizeof(text) - 1;
    table_run(table);
    frames = strstr(table->output, "\r\n\r\n");
    assert_non_null(frames);
    assert_memory_equal(frames + 4, "\x81\x01x\x88\x00", 5);
    free(table);
}

static void openings_are_refused(void **state)
{
    (void)state;
    expect_answer(OPENING(""), REFUSED("426 Upgrade Required", "21"));
    expect_answer(OPENING("Sec-WebSocket-Version: 8\r\n"),
                  REFUSED("426 Upgrade Required",
                          "21\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n"));
    expect_answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED("400 Bad Request", ""));
    expect_answer(OPENING(VERSION "Origin: http://b\r\n"), REFUSED("403 Forbidden", ""));
    expect_answer(OPENING(VERSION "Origin: http://a:81\r\n"), REFUSED("403 Forbidden", ""));
    expect_answer(OPENING(VERSION "Origin: null\r\n"), REFUSED("403 Forbidden", ""));
    expect_answer(OPENING(VERSION "Origin: http://a:8080\r\n"), REFUSED("403 Forbidden", ""));
    expect_answer(OPENING(VERSION "Origin: http://a\r\n"), REFUSED("403 Forbidden", ""));
}

static void an_application_knows_which_origins_it_allows(void **state)
{
#define FRIENDS(origin)                                                                 \
    "GET /friends HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" VERSION "Origin: " origin "\r\n\r\n"
    (void)state;
    expect_answer(FRIENDS("http://friend"), ACCEPTED(""));
    expect_answer(FRIENDS("http://a"), REFUSED("403 Forbidden", ""));
}

/* ---------------------------------------------------------------- connecting */

struct opening {
    struct world world;
    jg_stream ours, theirs;
    const char *response; /* "%" stands for the right Sec-WebSocket-Accept */
    const char *url;
    jg_websocket_options options;
    char request[8192];
    const char *protocol;
    int result;
};

static int peer_answers(void *arg)
{
    struct opening *opening = arg;
    char accept[JG__WEBSOCKET_ACCEPT_SIZE] = "";
    jg_http_field fields[100];
    jg_http_parser parser;
    const char *p;
    int r = jg_stream_read_until(&opening->theirs, "\r\n\r\n", 4, opening->request,
                                 sizeof(opening->request) - 1);

    if (r <= 0)
        return 0;
    jg_http_parser_init(&parser, fields, 100, NULL);
    test_check(jg_http_parser_feed(&parser, opening->request, (size_t)r) == r);
    test_check(jg__websocket_request(&parser.head, accept) == 0);
    for (p = opening->response; *p; p++) {
        if (*p == '%')
            (void)jg_stream_write(&opening->theirs, accept, strlen(accept));
        else
            (void)jg_stream_write(&opening->theirs, p, 1);
        if (jg_sleep(0) < 0)
            break;
    }
    (void)jg_stream_shut(&opening->theirs);
    return 0;
}

static int connects(void *arg)
{
    struct opening *opening = arg;
    jg_websocket_message message;
    jg_websocket ws;

    opening->result = jg_websocket_connect(&ws, &opening->ours, opening->url, &opening->options);
    if (opening->result == 0) {
        opening->protocol = jg_websocket_protocol(&ws);
        test_check(jg_websocket_receive(&ws, &message) == 1);
        test_check(jg_text_is(message.data, "x"));
        (void)jg_websocket_close(&ws, 1000, NULL);
    }
    jg_stream_abort(&opening->ours);
    return 0;
}

static struct opening open_with(const char *url, const char *response,
                                const jg_websocket_options *options)
{
    struct opening opening = {.response = response, .url = url};
    struct opening *o = &opening;

    if (options)
        o->options = *options;
    world_init(&o->world);
    test_check(jg_test_pair(o->world.loop, &o->ours, &o->theirs, NULL) == 0);
    test_check(jg_spawn(&o->world.root, connects, o, NULL) == 0);
    test_check(jg_spawn(&o->world.root, peer_answers, o, NULL) == 0);
    jg_scope_close(&o->world.root, 0, &o->world.left);
    test_check(jg_loop_run(o->world.loop) == 0);
    jg_stream_abort(&o->theirs);
    test_loop_done(o->world.loop);
    return opening;
}

#define SWITCH    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
#define WELCOME   SWITCH "Sec-WebSocket-Accept: %\r\n"
#define A_MESSAGE "\r\n\x81\x01x"

static void a_client_asks_and_is_welcome(void **state)
{
    static const char *const protocols[] = {"one", "two", NULL};
    static const jg_http_pair fields[] = {{"Cookie", "a=b"}, {"Origin", "http://me"}};
    const jg_websocket_options options = {
        .protocols = protocols, .fields = fields, .field_count = 2};
    struct opening opening =
        open_with("ws://Host:8080/path?query#fragment",
                  WELCOME "Sec-WebSocket-Protocol: two\r\n" A_MESSAGE, &options);

    (void)state;
    assert_int_equal(opening.result, 0);
    assert_string_equal(opening.protocol, "two");
    assert_non_null(strstr(opening.request, "GET /path?query HTTP/1.1\r\nHost: Host:8080\r\n"));
    assert_non_null(strstr(opening.request, "Sec-WebSocket-Protocol: one, two\r\n"));
    assert_non_null(strstr(opening.request, "Cookie: a=b\r\nOrigin: http://me\r\n\r\n"));

    opening = open_with("ws://host", "HTTP/1.1 103 Early Hints\r\n\r\n" WELCOME A_MESSAGE, NULL);
    assert_int_equal(opening.result, 0);
    assert_null(opening.protocol);
    assert_non_null(strstr(opening.request, "GET / HTTP/1.1\r\nHost: host\r\n"));
}

static void answers_that_are_no_welcome(void **state)
{
    static const struct {
        const char *response;
        int result;
    } table[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
        {SWITCH "\r\n", -EPROTO},
        {SWITCH "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", -EPROTO},
        {"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %\r\n\r\n", -EPROTO},
        {WELCOME "Sec-WebSocket-Protocol: three\r\n\r\n", -EPROTO},
        {WELCOME "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", -EPROTO},
        {"HTTP/1.1 101 Switching", JG_EHTTP_TRUNCATED},
        {"", JG_EHTTP_TRUNCATED},
        {"SSH-2.0\r\n\r\n", JG_EHTTP_LINE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(open_with("ws://host/", table[i].response, NULL).result, table[i].result);
}

static void a_client_is_told_what_it_must_not_ask_for(void **state)
{
    static const char *const protocols[] = {"not one", NULL};
    static const jg_http_pair broken = {"Cookie", "a\r\nb"};
    static char large[5000];
    const jg_http_pair many = {"Cookie", large};

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    assert_int_equal(open_with("ftp://host/", "", NULL).result, -EINVAL);
    assert_int_equal(open_with("/path", "", NULL).result, -EINVAL);
    assert_int_equal(
        open_with("ws://a", "", &(jg_websocket_options){.protocols = protocols}).result, -EINVAL);
    assert_int_equal(
        open_with("ws://a", "", &(jg_websocket_options){.fields = &broken, .field_count = 1})
            .result,
        -EINVAL);
    assert_int_equal(
        open_with("ws://a", "", &(jg_websocket_options){.fields = &many, .field_count = 1}).result,
        -EMSGSIZE);
}

/* ---------------------------------------------------------------- both sides are ours */

struct call {
    jg_http_server server;
    jg_stream ours, theirs;
    int echoes; /* that came back as they were sent */
};

static int hangs_up(void *arg)
{
    struct call *call = arg;

    return jg_http_server_close(&call->server, JG_SECOND);
}

/* Send messages of some sizes and get them back. */
static int chats(jg_websocket *ws, struct call *call)
{
    static const size_t sizes[] = {0, 5, 300, 20000};
    jg_websocket_message message;
    int r = 0;

    for (size_t i = 0; i < 4 && r >= 0; i++) {
        r = jg_websocket_send(ws, JG_WEBSOCKET_BINARY, filler, sizes[i]);
        if (r == 0)
            r = jg_websocket_receive(ws, &message);
        if (r == 0)
            r = -EPIPE; /* the server had enough */
        call->echoes += r > 0 && message.data.size == sizes[i] &&
                        (sizes[i] == 0 || memcmp(message.data.data, filler, sizes[i]) == 0);
    }
    return r;
}

static int calls(void *arg)
{
    struct call *call = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    const jg_test_pair_options options = {.piece = 5000, .delay = JG_MILLISECOND};
    const jg_websocket_options alive = {.keep_alive = JG_SECOND};
    jg_websocket ws;
    int r, end;

    call->echoes = 0;
    r = jg_http_server_open(&call->server, loop, echo, NULL, NULL);
    if (r < 0)
        return r;
    r = jg_test_pair(loop, &call->ours, &call->theirs, &options);
    if (r == 0) {
        r = jg_http_serve(&call->server, &call->ours, NULL, NULL);
        if (r < 0)
            jg_stream_abort(&call->ours);
        else
            r = jg_websocket_connect(&ws, &call->theirs, "ws://a/", &alive);
        if (r == 0) {
            r = chats(&ws, call);
            end = jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL);
            r = r < 0 ? r : end;
        }
        jg_stream_abort(&call->theirs);
    }
    end = jg_shield(hangs_up, call);
    return r > 0 ? -EIO : r < 0 ? r : end;
}

static bool may_end_so(void *arg, int status)
{
    struct call *call = arg;

    return status < 0 || (status == 0 && call->echoes == 4);
}

static void our_client_and_our_server_understand_each_other(void **state)
{
    const jg_test_options options = {.check = may_end_so};
    struct call call;

    (void)state;
    assert_int_equal(jg_test_shuffle_each(calls, &call, &options), 0);
    assert_int_equal(call.echoes, 4);
}

static void they_survive_cancellation_anywhere(void **state)
{
    const jg_test_options options = {.check = may_end_so};
    struct call call;

    (void)state;
    assert_int_equal(jg_test_cancel_each(calls, &call, &options), 0);
    assert_int_equal(call.echoes, 4);
}

static void they_survive_a_lack_of_memory_anywhere(void **state)
{
    const jg_test_options options = {.check = may_end_so};
    struct call call;

    (void)state;
    assert_int_equal(jg_test_fail_each(calls, &call, &options), 0);
    assert_int_equal(call.echoes, 4);
}

/* The client stays quiet for a minute; then the server stops. */
static int stays(void *arg)
{
    struct call *call = arg;
    jg_websocket_message message;
    jg_websocket ws;
    int r = jg_websocket_connect(&ws, &call->theirs, "ws://a/", NULL);

    test_check(r == 0);
    test_check(jg_websocket_receive(&ws, &message) == 0);
    call->echoes = jg_websocket_close_code(&ws);
    test_check(jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL) == 0);
    return jg_stream_close(&call->theirs, JG_SECOND);
}

static int stops(void *arg)
{
    struct call *call = arg;

    (void)jg_sleep(60 * JG_SECOND);
    test_check(jg_http_server_close(&call->server, JG_SECOND) == -ETIMEDOUT);
    return 0;
}

static void keep_quiet(const jg_http_server_options *options)
{
    struct world world;
    struct call call = {.echoes = 0};

    world_init(&world);
    assert_int_equal(jg_http_server_open(&call.server, world.loop, echo, NULL, options), 0);
    assert_int_equal(jg_test_pair(world.loop, &call.ours, &call.theirs, NULL), 0);
    assert_int_equal(jg_http_serve(&call.server, &call.ours, NULL, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, stays, &call, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, stops, &call, NULL), 0);
    world_done(&world);
    assert_int_equal(call.echoes, JG_WEBSOCKET_GOING_AWAY);
}

static void a_quiet_client_is_kept_and_told_when_the_server_stops(void **state)
{
    (void)state;
    keep_quiet(NULL);
}

static void the_time_limits_of_requests_end_with_the_upgrade(void **state)
{
    (void)state;
    keep_quiet(&(jg_http_server_options){
        .header_timeout = JG_SECOND,
        .body_timeout = JG_SECOND,
        .idle_timeout = JG_SECOND,
        .handler_timeout = JG_SECOND,
        .flags = JG_HTTP_CANCEL_ON_DISCONNECT,
    });
}

/* ---------------------------------------------------------------- over TCP */

struct site {
    jg_http_server server;
    jg_listener listener;
    char url[JG_ADDRESS_TEXT + 16];
};

static int refuse_or_echo(jg_http_request *request, void *arg)
{
    return jg_text_is(jg_http_request_path(request), "/") ? echo(request, arg) : 404;
}

static int open_site(struct site *site)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_address address;
    int r;

    test_check(jg_address_parse("127.0.0.1:0", &address) == 0);
    test_check(jg_http_server_open(&site->server, loop, refuse_or_echo, NULL, NULL) == 0);
    r = jg_listen(&site->listener, loop, &address, NULL);
    if (r == 0)
        r = jg_listener_start(&site->listener, jg_http_serve_fd, &site->server);
    test_check(r == 0);
    test_check(jg_listener_address(&site->listener, &address) == 0);
    strcpy(site->url, "ws://");
    return jg_address_format(&address, site->url + 5, JG_ADDRESS_TEXT);
}

static int connects_by_url(void *arg)
{
    struct site site;
    jg_websocket_message message;
    jg_websocket ws;
    char missing[sizeof(site.url) + 16];

    (void)arg;
    test_check(open_site(&site) >= 0);
    for (int i = 0; i < 2; i++) {
        test_check(jg_websocket_connect(&ws, NULL, site.url, NULL) == 0);
        test_check(jg_websocket_send(&ws, JG_WEBSOCKET_TEXT, "hello", 5) == 0);
        test_check(jg_websocket_receive(&ws, &message) == 1);
        test_check(jg_text_is(message.data, "hello"));
        test_check(jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL) == 0);
        test_check(jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL) == -EBADF);
    }

    snprintf(missing, sizeof(missing), "%s/nothing", site.url);
    test_check(jg_websocket_connect(&ws, NULL, missing, NULL) == 404);
    jg_listener_close(&site.listener);
    test_check(jg_http_server_close(&site.server, JG_FOREVER) == 0);
    test_check(jg_websocket_connect(&ws, NULL, site.url, NULL) == -ECONNREFUSED);
    test_check(jg_websocket_connect(&ws, NULL, "wss://127.0.0.1/", NULL) == JG_EHTTP_NO_TLS);
    test_check(jg_websocket_connect(&ws, NULL, "ftp://127.0.0.1/", NULL) == -EINVAL);
    return 0;
}

/* To one who does not answer. */
static int connects_in_vain(void *arg)
{
    struct site site;
    jg_websocket ws;
    jg_scope scope;
    int r;

    (void)arg;
    test_check(open_site(&site) >= 0);
    jg_listener_stop(&site.listener);
    jg_scope_enter(&scope, &(jg_scope_options){.timeout = JG_SECOND});
    r = jg_websocket_connect(&ws, NULL, site.url, NULL);
    test_check(r == -ECANCELED);
    test_check(jg_scope_leave(&scope, r) == -ETIMEDOUT);
    jg_listener_close(&site.listener);
    return jg_http_server_close(&site.server, JG_FOREVER);
}

static void a_connect_that_takes_too_long_leaves_nothing(void **state)
{
    const int descriptors = test_open_descriptors();
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, connects_in_vain, NULL, NULL), 0);
    world_done(&world);
    assert_int_equal(world.result, 0);
    assert_int_equal(test_open_descriptors(), descriptors);
}

static void a_client_connects_by_url(void **state)
{
    const int descriptors = test_open_descriptors();

    (void)state;
    assert_int_equal(jg_run(connects_by_url, NULL, NULL), 0);
    assert_int_equal(test_open_descriptors(), descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order),
        cmocka_unit_test(fragments_are_joined_and_control_frames_between_them_are_answered),
        cmocka_unit_test(large_messages_come_whole),
        cmocka_unit_test(a_cancelled_receive_loses_nothing),
        cmocka_unit_test(without_memory_nothing_is_lost),
        cmocka_unit_test(a_message_in_one_piece_is_lent_from_the_stream),
        cmocka_unit_test(wrongs_end_it_with_their_code),
        cmocka_unit_test(a_server_wants_masks),
        cmocka_unit_test(an_end_without_a_close_is_an_error),
        cmocka_unit_test(what_comes_after_our_close_is_still_received),
        cmocka_unit_test(closing_drops_what_comes_and_waits_for_the_peer),
        cmocka_unit_test(a_peer_that_does_not_close_is_given_up),
        cmocka_unit_test(receiving_ends_when_the_time_to_close_is_over),
        cmocka_unit_test(once_both_have_closed_no_time_is_too_long),
        cmocka_unit_test(both_may_close_at_the_same_time),
        cmocka_unit_test(a_client_waits_for_the_server_to_end_the_connection),
        cmocka_unit_test(a_wrong_code_closes_as_well),
        cmocka_unit_test(in_a_cancelled_scope_the_peer_is_told_and_not_waited_for),
        cmocka_unit_test(closing_under_a_receiver_is_misuse),
        cmocka_unit_test(one_receives_at_a_time_and_another_may_close),
        cmocka_unit_test(messages_are_framed_by_their_size),
        cmocka_unit_test(however_much_is_queued_the_close_follows),
        cmocka_unit_test(each_frame_of_a_client_has_another_mask),
        cmocka_unit_test(many_send_whole_messages_in_turn_and_a_slow_reader_is_waited_for),
        cmocka_unit_test(trying_to_send_never_waits),
        cmocka_unit_test(who_waits_to_send_is_told_when_it_is_over),
        cmocka_unit_test(a_flood_of_pings_takes_little_memory_and_the_last_is_answered),
        cmocka_unit_test(a_silent_peer_is_pinged_and_then_taken_for_lost),
        cmocka_unit_test(a_peer_that_says_something_is_not_pinged),
        cmocka_unit_test(a_peer_that_falls_silent_is_noticed),
        cmocka_unit_test(nobody_is_lost_while_nobody_listens),
        cmocka_unit_test(a_receiver_is_told_that_writing_failed),
        cmocka_unit_test(a_waiting_pong_is_forgotten_when_it_ends),
        cmocka_unit_test(a_peer_that_takes_nothing_is_taken_for_lost),
        cmocka_unit_test(an_opening_is_accepted),
        cmocka_unit_test(what_follows_an_opening_at_once_is_a_frame),
        cmocka_unit_test(openings_are_refused),
        cmocka_unit_test(an_application_knows_which_origins_it_allows),
        cmocka_unit_test(a_client_asks_and_is_welcome),
        cmocka_unit_test(answers_that_are_no_welcome),
        cmocka_unit_test(a_client_is_told_what_it_must_not_ask_for),
        cmocka_unit_test(our_client_and_our_server_understand_each_other),
        cmocka_unit_test(they_survive_cancellation_anywhere),
        cmocka_unit_test(they_survive_a_lack_of_memory_anywhere),
        cmocka_unit_test(a_quiet_client_is_kept_and_told_when_the_server_stops),
        cmocka_unit_test(the_time_limits_of_requests_end_with_the_upgrade),
        cmocka_unit_test(a_client_connects_by_url),
        cmocka_unit_test(a_connect_that_takes_too_long_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
