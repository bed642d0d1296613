/* SPDX-License-Identifier: MIT
 *
 * WebSockets: messages, and how they end.
 *
 * Invariants: a frame is given to the stream as a whole or not at all, so that whatever is cancelled
 * leaves the stream between two frames. What came is taken out of the stream when the next thing is
 * asked of it, not before, so that a message can be lent from there, and nothing is lost if there is
 * no memory to copy a piece of one. After `error` is set, or the peer's close came, nothing more is
 * read but by jg_websocket_close.
 */
#include "http/websocket.h"

#include "coro/coro.h"
#include "http/chars.h"
#include "http/frame.h"
#include "io/stream.h"
#include "platform/entropy.h"

#include <errno.h>
#include <string.h>

#define MAX_MESSAGE   ((size_t)1 << 20)
#define MOST_SENT     ((size_t)1 << 30)
#define SMALL         512u  /* bytes of a frame that is masked on the stack */
#define SMALLEST      4096u /* bytes of a buffer for the pieces of a message */
#define CLOSE_TIMEOUT (10 * JG_SECOND)

_Static_assert(sizeof(struct jg__frame_decoder) <= sizeof(((jg_websocket *)0)->decoder),
               "the decoder has room");

static struct jg__frame_decoder *decoder_of(jg_websocket *ws)
{
    return (struct jg__frame_decoder *)(void *)ws->decoder;
}

/* ---------------------------------------------------------------- sending frames */

/* Four bytes that nobody can guess, RFC 6455 5.3. */
static int make_mask(jg_websocket *ws, uint8_t mask[4])
{
    if (ws->random_left == 0) {
        int r = jg__entropy(ws->random, sizeof(ws->random));

        if (r < 0)
            return r;
        ws->random_left = sizeof(ws->random);
    }
    ws->random_left = (uint8_t)(ws->random_left - 4);
    memcpy(mask, ws->random + ws->random_left, 4);
    return 0;
}

/* Give a copy of a frame to the stream, since the original is not ours to mask. */
static int write_masked(jg_websocket *ws, enum jg__opcode opcode, const void *data, size_t size)
{
    const jg_allocator *allocator = &ws->loop->allocator;
    const size_t room = JG__FRAME_HEAD_SIZE + size;
    char small[SMALL], *frame = small;
    uint8_t head[JG__FRAME_HEAD_SIZE], mask[4];
    size_t head_size;
    int r = make_mask(ws, mask);

    if (r < 0)
        return r;
    if (room > sizeof(small))
        frame = jg__alloc(allocator, room);
    if (!frame)
        return -ENOMEM;

    head_size = jg__frame_head(head, opcode, true, size, mask);
    memcpy(frame, head, head_size);
    if (size > 0)
        memcpy(frame + head_size, data, size);
    jg__frame_mask(frame + head_size, size, mask, 0);
    r = jg__stream_write_always(ws->stream, frame, head_size + size);
    if (frame != small)
        jg__free(allocator, frame, room);
    return r;
}

/* Messages wait until the peer has taken those before, and pongs do; a close comes once. So what is
   queued is bounded, and no frame refused for it. */
static int write_frame(jg_websocket *ws, enum jg__opcode opcode, const void *data, size_t size)
{
    uint8_t head[JG__FRAME_HEAD_SIZE];
    struct iovec pieces[2];

    if (ws->client)
        return write_masked(ws, opcode, data, size);

    pieces[0] = (struct iovec){head, jg__frame_head(head, opcode, true, size, NULL)};
    pieces[1] = (struct iovec){(void *)(uintptr_t)data, size};
    return jg__stream_writev_always(ws->stream, pieces, size > 0 ? 2 : 1);
}

/* Say that it is the end. */
static int write_close(jg_websocket *ws, unsigned code, jg_text reason)
{
    char payload[JG__FRAME_CONTROL_SIZE] = {(char)(code >> 8), (char)code};
    int r;

    if (reason.size > 0)
        memcpy(payload + 2, reason.data, reason.size);
    r = write_frame(ws, JG__FRAME_CLOSE, payload,
                    code == JG_WEBSOCKET_NO_CODE ? 0 : reason.size + 2);
    if (r == 0)
        ws->shut = true;
    return r;
}

static bool is_backed_up(const jg_websocket *ws)
{
    return jg_stream_queued(ws->stream) > ws->stream->high_mark;
}

/* ---------------------------------------------------------------- pings */

static void on_drained(void *arg)
{
    jg_websocket *ws = arg;

    ws->pong_waits = false;
    if (!ws->shut && jg_op_status(&ws->ponging) == 0)
        (void)write_frame(ws, JG__FRAME_PONG, ws->pong, ws->pong_size); /* the peer asks again */
}

/* To a peer that asks more than it listens the last question alone is answered, when it does listen:
   RFC 6455 5.5.3. So its pings take no more memory than that. */
static void answer_ping(jg_websocket *ws, jg_text payload)
{
    if (ws->shut)
        return;
    if (!ws->pong_waits && !is_backed_up(ws)) {
        (void)write_frame(ws, JG__FRAME_PONG, payload.data, payload.size);
        return;
    }
    memcpy(ws->pong, payload.data, payload.size);
    ws->pong_size = (uint8_t)payload.size;
    if (!ws->pong_waits)
        ws->pong_waits = jg_stream_drain_start(ws->stream, &ws->ponging) == 0;
}

/* ---------------------------------------------------------------- the end */

/* It is over. Whoever waits gets to know. */
static void give_up(jg_websocket *ws, int error)
{
    ws->error = error;
    ws->shut = true;
    jg_timer_stop(&ws->alive);
    jg_timer_stop(&ws->closing);
    if (ws->reader)
        jg_op_cancel(ws->reader);
    if (ws->sender)
        jg_op_cancel(ws->sender);
}

/* The status of a wait, which may have been cut short by giving up. */
static int waited(const jg_websocket *ws, int r)
{
    return r == -ECANCELED && ws->error ? ws->error : r;
}

/* The peer broke the rules: RFC 6455 7.1.7. */
static int fail(jg_websocket *ws, unsigned code)
{
    if (!ws->shut)
        (void)write_close(ws, code, jg_text_of(NULL, 0)); /* it is over in any case */
    give_up(ws, code == JG__CLOSE_TOO_BIG        ? -EMSGSIZE
                : code == JG__CLOSE_INVALID_TEXT ? -EILSEQ
                                                 : -EPROTO);
    return ws->error;
}

/* The peer closes, or answers our close. */
static void end(jg_websocket *ws, const struct jg__frame_event *event)
{
    ws->close_code = event->close_code;
    jg_timer_stop(&ws->alive);
    jg_timer_stop(&ws->closing);
    if (!ws->shut)
        (void)write_close(ws, event->close_code, jg_text_of(NULL, 0)); /* it will see our end */
    ws->shut = true;
}

static void on_close_timeout(void *arg)
{
    give_up(arg, -ETIMEDOUT);
}

/* A time of keep_alive is over. Who waited less than all of it is judged the next time. */
static void on_alive(void *arg)
{
    jg_websocket *ws = arg;
    const uint64_t in = jg_stream_bytes_in(ws->stream), out = jg_stream_bytes_out(ws->stream);
    bool is_quiet = ws->reader && in == ws->bytes_in;

    if ((is_quiet && ws->pinged) || (ws->sender && out == ws->bytes_out)) {
        give_up(ws, -ETIMEDOUT);
        return;
    }
    if (ws->stream->write_error) { /* which a peer that waits for us would not tell */
        give_up(ws, ws->stream->write_error);
        return;
    }
    ws->pinged = is_quiet && !ws->shut && write_frame(ws, JG__FRAME_PING, NULL, 0) == 0;
    ws->bytes_in = in;
    ws->bytes_out = jg_stream_bytes_out(ws->stream);
}

/* ---------------------------------------------------------------- receiving */

/* Give back what the last message was in. */
static void drop_message(jg_websocket *ws)
{
    jg__free(&ws->loop->allocator, ws->message, ws->capacity);
    ws->message = NULL;
    ws->size = ws->capacity = 0;
    ws->is_whole = false;
}

static int append(jg_websocket *ws, jg_text piece)
{
    const size_t needed = ws->size + piece.size; /* the decoder has seen to the limit */
    size_t capacity = ws->capacity * 2 < ws->limit ? ws->capacity * 2 : ws->limit;
    char *message;

    if (piece.size == 0)
        return 0;
    if (!ws->message || needed > ws->capacity) {
        if (capacity < SMALLEST)
            capacity = SMALLEST;
        if (capacity < needed)
            capacity = needed;
        message = jg__resize(&ws->loop->allocator, ws->message, ws->capacity, capacity);
        if (!message)
            return -ENOMEM;
        ws->message = message;
        ws->capacity = capacity;
    }
    memcpy(ws->message + ws->size, piece.data, piece.size);
    ws->size = needed;
    return 0;
}

/* Take the piece of a message that came. Returns 1 if it is complete thereby. */
static int take_piece(jg_websocket *ws, jg_websocket_message *message)
{
    jg_text data = ws->piece;
    int r;

    if (ws->size > 0 || !ws->is_final) {
        r = append(ws, ws->piece);
        if (r < 0)
            return r;
        data = jg_text_of(ws->message, ws->size);
    }
    ws->has_piece = false;
    ws->is_whole = ws->is_final;
    if (!ws->is_final)
        return 0;
    *message = (jg_websocket_message){(jg_websocket_type)ws->message_type, data};
    return 1;
}

static int wait_for_input(jg_websocket *ws, const void **ret_data)
{
    jg_op *op = jg__coro_op();
    int r;

    if (ws->used > 0 && jg_stream_is_open(ws->stream))
        jg_stream_consume(ws->stream, ws->used);
    ws->used = 0;
    r = jg_stream_peek_start(ws->stream, 1, ret_data, op);
    if (r < 0)
        return r;
    ws->reader = op;
    r = jg_await(op);
    ws->reader = NULL;
    return waited(ws, r);
}

/* Go on up to the next frame, or piece of one. Returns 1, and a message; 0, or an error. */
static int go_on(jg_websocket *ws, jg_websocket_message *message)
{
    struct jg__frame_event event;
    const void *data = NULL;
    int r = wait_for_input(ws, &data);

    if (r == 0) {
        give_up(ws, JG_EINCOMPLETE);
        return ws->error;
    }
    if (r < 0)
        return r;

    r = jg__frame_feed(decoder_of(ws), (char *)(uintptr_t)data, (size_t)r, &ws->used, &event);
    if (r < 0)
        return fail(ws, decoder_of(ws)->close_code);
    if (r == 0)
        return 0;
    if (event.opcode == JG__FRAME_PING)
        answer_ping(ws, event.data);
    if (event.opcode == JG__FRAME_CLOSE)
        end(ws, &event);
    if (event.opcode >= JG__FRAME_CLOSE)
        return 0;
    ws->piece = event.data;
    ws->message_type = (uint8_t)event.opcode;
    ws->is_final = event.final;
    ws->has_piece = true;
    return take_piece(ws, message);
}

int jg_websocket_receive(jg_websocket *ws, jg_websocket_message *ret_message)
{
    int r = 0;

    if (!ws->stream)
        return -EBADF;
    if (ws->is_whole)
        drop_message(ws);
    if (ws->has_piece)
        r = take_piece(ws, ret_message);
    while (r == 0) {
        if (ws->error)
            return ws->error;
        if (ws->close_code != 0)
            return 0;
        r = go_on(ws, ret_message);
    }
    return r;
}

/* ---------------------------------------------------------------- sending */

static int refuse(const jg_websocket *ws)
{
    if (!ws->stream)
        return -EBADF;
    return ws->error ? ws->error : ws->shut ? -EPIPE : 0;
}

static int check_message(const jg_websocket *ws, jg_websocket_type type, jg_text data)
{
    struct jg__utf8 utf8 = {0, 0, 0};

    if (type != JG_WEBSOCKET_TEXT && type != JG_WEBSOCKET_BINARY)
        return -EINVAL;
    if (data.size > MOST_SENT - JG__FRAME_HEAD_SIZE)
        return -EMSGSIZE;
    if (type == JG_WEBSOCKET_TEXT && data.size > 0 &&
        (!jg__utf8_feed(&utf8, data) || utf8.left > 0))
        return -EILSEQ;
    return refuse(ws);
}

/* Wait until the peer has taken most of what was sent. */
static int wait_for_room(jg_websocket *ws)
{
    jg_op *op = jg__coro_op();
    int r;

    if (!is_backed_up(ws))
        return 0;
    r = jg_stream_drain_start(ws->stream, op);
    if (r < 0)
        return r;
    ws->sender = op;
    r = jg_await(op);
    ws->sender = NULL;
    return waited(ws, r);
}

int jg_websocket_send(jg_websocket *ws, jg_websocket_type type, const void *data, size_t size)
{
    int r = check_message(ws, type, jg_text_of(data, size));

    if (r == 0)
        r = jg_lock_acquire(&ws->turn);
    if (r < 0)
        return r;

    r = refuse(ws); /* it may be over by now, and again after the wait */
    if (r == 0)
        r = wait_for_room(ws);
    if (r == 0)
        r = refuse(ws);
    if (r == 0)
        r = write_frame(ws, (enum jg__opcode)type, data, size);
    jg_lock_release(&ws->turn);
    return r;
}

int jg_websocket_try_send(jg_websocket *ws, jg_websocket_type type, const void *data, size_t size)
{
    int r = check_message(ws, type, jg_text_of(data, size));

    if (r < 0)
        return r;
    if (jg_lock_locked(&ws->turn) || is_backed_up(ws))
        return -EAGAIN;
    return write_frame(ws, (enum jg__opcode)type, data, size);
}

/* ---------------------------------------------------------------- beginning and end */

void jg__websocket_begin(jg_websocket *ws, jg_stream *stream, bool client, const char *protocol,
                         const jg_websocket_options *options)
{
    static const jg_websocket_options none = {.max_message = 0};

    if (!options)
        options = &none;
    memset(ws, 0, offsetof(jg_websocket, own)); /* which may be the stream */
    ws->stream = stream;
    ws->loop = stream->loop;
    ws->client = client;
    ws->protocol = protocol;
    ws->limit = options->max_message > 0 ? options->max_message : MAX_MESSAGE;
    ws->close_timeout = options->close_timeout > 0 ? options->close_timeout : CLOSE_TIMEOUT;
    ws->bytes_in = jg_stream_bytes_in(stream);
    ws->bytes_out = jg_stream_bytes_out(stream);
    jg__frame_decoder_init(decoder_of(ws), !client, ws->limit);
    jg_op_init(&ws->ponging, ws->loop, on_drained, ws);
    jg_timer_init(&ws->alive, on_alive, ws);
    jg_timer_init(&ws->closing, on_close_timeout, ws);
    if (options->keep_alive > 0)
        (void)jg_call_every(ws->loop, &ws->alive, options->keep_alive); /* which is at least 1 */
}

int jg_websocket_shut(jg_websocket *ws, int code, const char *reason)
{
    jg_text text = jg_text_from(reason);
    struct jg__utf8 utf8 = {0, 0, 0};
    int r;

    if (!ws->stream)
        return -EBADF;
    if (code < 0 || !jg__close_code_is_valid((unsigned)code) ||
        text.size > JG__FRAME_CONTROL_SIZE - 2 ||
        (text.size > 0 && (!jg__utf8_feed(&utf8, text) || utf8.left > 0)))
        return -EINVAL;
    if (ws->shut)
        return -EALREADY;

    r = write_close(ws, (unsigned)code, text);
    if (r == 0 && ws->close_timeout != JG_FOREVER)
        jg_call_later(ws->loop, &ws->closing, ws->close_timeout);
    return r;
}

/* Drop what comes until the peer has closed; and wait for the end of the connection, if it is the
   server who ends that. */
static int wait_for_close(jg_websocket *ws)
{
    jg_websocket_message dropped;
    const void *data;
    int r;

    do
        r = jg_websocket_receive(ws, &dropped);
    while (r > 0);
    if (r < 0 || !ws->client)
        return r;

    if (ws->close_timeout != JG_FOREVER)
        jg_call_later(ws->loop, &ws->closing, ws->close_timeout);
    do {
        r = wait_for_input(ws, &data);
        ws->used = r > 0 ? (size_t)r : 0;
    } while (r > 0);
    return r == -ECANCELED ? r : 0; /* both have closed: how the connection ended is no matter */
}

/* Nothing of it may be used by anybody any more. */
static void release(jg_websocket *ws)
{
    jg_timer_stop(&ws->alive);
    jg_timer_stop(&ws->closing);
    jg_op_cancel(&ws->ponging);
    jg__unlink(&ws->ponging.call.link);
    drop_message(ws);
    if (ws->stream == &ws->own)
        jg_stream_abort(&ws->own); /* nothing is left to be sent, unless nobody listens */
    ws->stream = NULL;
}

int jg_websocket_close(jg_websocket *ws, int code, const char *reason)
{
    int r;

    if (!ws->stream)
        return -EBADF;

    jg__check(!ws->reader && !jg_lock_locked(&ws->turn), "somebody still receives or sends");
    r = jg_websocket_shut(ws, code, reason);
    if (r == 0 || r == -EALREADY)
        r = wait_for_close(ws);
    release(ws);
    return r;
}

jg_text jg_websocket_close_reason(const jg_websocket *ws)
{
    const struct jg__frame_decoder *decoder = (const void *)ws->decoder;

    if (ws->close_code == 0 || decoder->control_size < 2)
        return jg_text_of(NULL, 0);
    return jg_text_of(decoder->control + 2, decoder->control_size - 2u);
}
