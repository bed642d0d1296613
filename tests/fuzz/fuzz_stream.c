/* SPDX-License-Identifier: MIT
 *
 * Two streams that are connected in memory, read and written in every way there is, shut, closed,
 * aborted, cancelled and broken, as the bytes decide.
 *
 * The model is what was written in each direction, piece by piece. What is read is that, with nothing
 * lost, twice or in another order, however it is asked for; an end of file comes after the last of
 * it, and only if the writer ended properly; no error comes without its reason; and when nothing
 * goes on any more nobody waits for what is there.
 */
#include "model.h"

enum { PIECES = 400, WRITERS = 2, DRAINERS = 2, MOST = 300 };

enum form { READ, EXACTLY, UNTIL, LINE, PEEK, FORMS };

struct side;

/* An op of a side. */
struct pending {
    struct side *side;
    jg_op op;
    bool busy; /* until its callback ran */
    bool cancelled;
};

struct piece {
    int id;
    size_t size;
};

/* A write_all, and which piece it is. */
struct writer {
    struct pending wait;
    jg_stream_writing writing;
    int piece; /* -1: its size is known */
    char data[MOST];
};

struct side {
    jg_stream stream;
    struct side *peer;
    bool shut, closed; /* nothing can be written, nothing at all */
    bool cut;          /* something was dropped at the end */
    bool spoilt;       /* by cancelling: the close, or the last that was to be written */
    size_t mark;

    struct piece pieces[PIECES]; /* that were written */
    int count;

    int piece; /* of the peer's, that is read next */
    size_t at; /* in that */

    struct pending reader, closer, drainers[DRAINERS];
    struct writer writers[WRITERS];
    jg_stream_closing closing;
    enum form form;
    size_t size, exact;
    const void *peeked;
    char buffer[MOST];
};

static struct {
    jg_loop *loop;
    struct decisions decisions;
    bool faulty; /* any error may come */
    int last_id;
    struct side sides[2];
} model;

static unsigned below(unsigned limit)
{
    return decide(&model.decisions, limit);
}

static char byte_of(int id, size_t at)
{
    size_t value = (size_t)id * 5 + at * 3 + at / 7;

    return value % 11 == 0 ? '\n' : (char)('a' + value % 23);
}

static void fill(char *data, int id, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = byte_of(id, i);
}

/* The first piece of a side that a size is to be known of, as its op has completed. */
static void settle_writers(struct side *side)
{
    for (int i = 0; i < WRITERS; i++) {
        struct writer *writer = &side->writers[i];
        struct piece *piece = &side->pieces[writer->piece >= 0 ? writer->piece : 0];

        if (!writer->wait.busy || writer->piece < 0 || jg_op_pending(&writer->wait.op))
            continue;
        model_check(writer->writing.sent <= piece->size);
        if (jg_op_status(&writer->wait.op) == 0)
            model_check(writer->writing.sent == piece->size);
        piece->size = writer->writing.sent;
        model_check(side->peer->piece < writer->piece ||
                    (side->peer->piece == writer->piece && side->peer->at <= piece->size) ||
                    side->peer->piece > writer->piece);
        writer->piece = -1;
    }
}

/* What a side has written and its peer has yet to read. */
static size_t left_of(struct side *side)
{
    size_t left = 0;

    settle_writers(side);
    for (int i = side->peer->piece; i < side->count; i++)
        left += side->pieces[i].size;
    return left > 0 ? left - side->peer->at : 0;
}

/* Compare with what the peer wrote, and go on behind it if that is `taken`. */
static void compare(struct side *side, const char *data, size_t size, bool taken)
{
    struct side *peer = side->peer;
    int index = side->piece;
    size_t at = side->at;

    settle_writers(peer);
    for (size_t i = 0; i < size; i++) {
        while (index < peer->count && at == peer->pieces[index].size) {
            index++;
            at = 0;
        }
        model_check(index < peer->count);
        model_check(data[i] == byte_of(peer->pieces[index].id, at));
        at++;
    }
    if (!taken)
        return;
    side->piece = index;
    side->at = at;
    while (side->piece < peer->count && side->at == peer->pieces[side->piece].size &&
           side->piece + 1 < peer->count) {
        side->piece++;
        side->at = 0;
    }
}

/* ---------------------------------------------------------------- ops */

static bool begin(struct pending *wait, jg_call_fn fn, void *arg)
{
    if (wait->busy)
        return false;
    jg_op_init(&wait->op, model.loop, fn, arg);
    wait->cancelled = false;
    return true;
}

static void began(struct pending *wait, int r)
{
    wait->busy = r == 0;
}

/* Whether an error of an op has its reason. */
static void check_error(const struct pending *wait, int error, bool writes)
{
    const struct side *side = wait->side, *peer = side->peer;

    if (model.faulty)
        return;
    switch (error) {
    case -ECANCELED:
        model_check(wait->cancelled || (writes && side->spoilt));
        break;
    case -ECONNABORTED:
        model_check(side->closed);
        break;
    case -ETIMEDOUT:
        model_check(side->closed && writes);
        break;
    case -ECONNRESET:
        model_check(peer->closed);
        break;
    case -EPIPE:
        model_check(writes && peer->closed);
        break;
    default:
        model_check(!"an error that should not be");
    }
}

/* An end of file came with so much buffered that was not read. */
static void check_end(struct side *side, size_t buffered)
{
    const struct side *peer = side->peer;

    if (model.faulty)
        return;
    model_check((peer->shut || peer->closed) && !peer->cut);
    model_check(left_of(side->peer) == buffered);
}

/* ---------------------------------------------------------------- reading */

static void check_line(struct side *side, int r)
{
    const char *end = memchr(side->buffer, '\n', (size_t)r);

    model_check((size_t)r <= side->size - (side->form == LINE));
    compare(side, side->buffer, (size_t)r, true);
    if (end)
        model_check(end == side->buffer + r - 1);
    else
        check_end(side, 0);
    model_check(end || side->form == LINE);
    model_check(side->form == UNTIL || side->buffer[r] == 0);
}

static void check_peeked(struct side *side, int r)
{
    size_t size = (size_t)r;

    if (!jg_stream_is_open(&side->stream))
        return; /* with which what was peeked at went */
    model_check(size == jg_stream_buffered(&side->stream));
    if (size < side->size)
        check_end(side, size);
    compare(side, side->peeked, size, false);
    size = below((unsigned)size + 1);
    compare(side, side->peeked, size, true);
    jg_stream_consume(&side->stream, size);
}

static void on_read(void *arg)
{
    struct side *side = arg;
    int r = jg_op_status(&side->reader.op);

    side->reader.busy = false;
    if (side->form == EXACTLY) {
        model_check(r <= 0 && side->exact <= side->size);
        compare(side, side->buffer, side->exact, true);
        model_check((r == 0) == (side->exact == side->size));
        if (r == JG_EINCOMPLETE)
            check_end(side, 0);
        else if (r < 0)
            check_error(&side->reader, r, false);
    } else if (r == JG_EINCOMPLETE) {
        model_check(side->form == UNTIL);
        if (jg_stream_is_open(&side->stream))
            check_end(side, jg_stream_buffered(&side->stream));
    } else if (r == -EMSGSIZE) {
        model_check(side->form == UNTIL || side->form == LINE);
        if (jg_stream_is_open(&side->stream))
            model_check(jg_stream_buffered(&side->stream) >= side->size - (side->form == LINE));
    } else if (r < 0) {
        check_error(&side->reader, r, false);
    } else if (side->form == PEEK && r > 0) {
        check_peeked(side, r);
    } else if (r == 0) {
        if (side->size > 0)
            check_end(side, 0);
    } else if (side->form == READ) {
        model_check((size_t)r <= side->size);
        compare(side, side->buffer, (size_t)r, true);
    } else {
        check_line(side, r);
    }
}

static int start_read(struct side *side, jg_op *op)
{
    jg_stream *stream = &side->stream;

    switch (side->form) {
    case READ:
        return jg_stream_read_start(stream, side->buffer, side->size, op);
    case EXACTLY:
        return jg_stream_read_exactly_start(stream, side->buffer, side->size, &side->exact, op);
    case UNTIL:
        return jg_stream_read_until_start(stream, "\n", 1, side->buffer, side->size, op);
    case LINE:
        return jg_stream_read_line_start(stream, side->buffer, side->size, op);
    default:
        return jg_stream_peek_start(stream, side->size, &side->peeked, op);
    }
}

static void operate_read(struct side *side)
{
    const bool open = jg_stream_is_open(&side->stream);
    jg_op another;
    int r;

    if (side->reader.busy) {
        jg_op_init(&another, model.loop, on_read, side);
        if (open && jg_op_pending(&side->reader.op))
            model_check(jg_stream_read_start(&side->stream, &another, 1, &another) == -EBUSY);
        return;
    }
    side->form = (enum form)below(FORMS);
    side->size = below(MOST);
    if (side->form == LINE && side->size < 2)
        side->size = 2;
    (void)begin(&side->reader, on_read, side);
    r = start_read(side, &side->reader.op);
    model_check(r == (open ? 0 : -EBADF));
    began(&side->reader, r);
}

/* ---------------------------------------------------------------- writing */

/* Whether a write that was refused with this had to be. */
static void check_refused(const struct side *side, int r, size_t queued)
{
    switch (r) {
    case 0:
        model_check(!side->shut && !side->closed);
        break;
    case -ENOBUFS:
        model_check(queued >= 16 * side->mark);
        break;
    case -EBADF:
        model_check(side->closed);
        break;
    case -EPIPE:
        model_check(model.faulty || side->shut || side->closed || side->peer->closed);
        break;
    case -ECANCELED:
        model_check(side->spoilt);
        break;
    default:
        model_check(model.faulty || (r == -ECONNRESET && side->peer->closed));
    }
}

static struct piece *new_piece(struct side *side, size_t size)
{
    struct piece *piece = &side->pieces[side->count];

    *piece = (struct piece){.id = ++model.last_id, .size = size};
    return piece;
}

static void operate_write(struct side *side)
{
    char data[MOST];
    const size_t size = below(MOST), queued = jg_stream_queued(&side->stream);
    const size_t middle = below((unsigned)size + 1);
    const struct iovec pieces[] = {{data, middle}, {data + middle, size - middle}};
    int r;

    if (side->count == PIECES)
        return;
    fill(data, new_piece(side, size)->id, size);
    r = below(2) ? jg_stream_write(&side->stream, data, size)
                 : jg_stream_writev(&side->stream, pieces, 2);
    memset(data, '!', sizeof(data)); /* it is ours again */
    check_refused(side, r, queued);
    side->count += r == 0;
}

static void on_written(void *arg)
{
    struct writer *writer = arg;
    struct pending *wait = &writer->wait;
    int r = jg_op_status(&wait->op);

    settle_writers(wait->side);
    wait->busy = false;
    memset(writer->data, '!', sizeof(writer->data));
    model_check(r <= 0);
    if (r < 0)
        check_error(wait, r, true);
}

static void operate_write_all(struct side *side)
{
    struct writer *writer = &side->writers[below(WRITERS)];
    size_t size = below(MOST);
    int r;

    if (side->count == PIECES || !begin(&writer->wait, on_written, writer))
        return;
    fill(writer->data, new_piece(side, size)->id, size);
    r = jg_stream_write_all_start(&side->stream, &writer->writing, writer->data, size,
                                  &writer->wait.op);
    check_refused(side, r, 0);
    began(&writer->wait, r);
    if (r == 0)
        writer->piece = side->count++;
}

static void on_drained(void *arg)
{
    struct pending *wait = arg;
    int r = jg_op_status(&wait->op);

    wait->busy = false;
    model_check(r <= 0);
    if (r < 0)
        check_error(wait, r, true);
}

static void operate_drain(struct side *side)
{
    struct pending *drainer = &side->drainers[below(DRAINERS)];
    int r;

    if (!begin(drainer, on_drained, drainer))
        return;
    r = jg_stream_drain_start(&side->stream, &drainer->op);
    began(drainer, r);
    if (r == -EBADF)
        model_check(side->closed);
    else if (r < 0)
        check_error(drainer, r, true);
}

/* ---------------------------------------------------------------- the end */

static bool has_output(const struct side *side)
{
    bool has = jg_stream_queued(&side->stream) > 0;

    for (int i = 0; i < WRITERS; i++)
        has |= side->writers[i].wait.busy && jg_op_pending(&side->writers[i].wait.op);
    return has;
}

static void operate_shut(struct side *side)
{
    int r = jg_stream_shut(&side->stream);

    if (r == 0)
        side->shut = true;
    else
        check_refused(side, r, 0);
}

static void operate_abort(struct side *side)
{
    side->cut |= has_output(side);
    jg_stream_abort(&side->stream);
    side->closed = true;
    model_check(!jg_stream_is_open(&side->stream));
}

static void on_closed(void *arg)
{
    struct side *side = arg;
    int r = jg_op_status(&side->closer.op);

    side->closer.busy = false;
    model_check(r <= 0);
    if (r < 0)
        check_error(&side->closer, r, true);
    side->cut |= r < 0;
}

static void operate_close(struct side *side)
{
    const jg_time timeout = below(3) ? JG_FOREVER : (jg_time)below(100) * JG_MICROSECOND;
    const bool open = jg_stream_is_open(&side->stream);
    int r;

    if (!begin(&side->closer, on_closed, side))
        return;
    r = jg_stream_close_start(&side->stream, &side->closing, timeout, &side->closer.op);
    model_check(r == (open ? 0 : -EBADF));
    began(&side->closer, r);
    side->closed = true;
    if (r == 0 && !jg_op_pending(&side->closer.op))
        side->cut |= jg_op_status(&side->closer.op) < 0;
}

static void operate_break(struct side *side)
{
    static const int errors[] = {-ECONNRESET, -EPIPE, -EIO};
    unsigned events = 1 + below(3);
    int error = errors[below(3)];

    if (!side->stream.transport)
        return;
    model_check(jg_test_pair_fail(&side->stream, events, below(MOST), error) == 0);
    model.faulty = true;
}

static bool cancel(struct pending *wait)
{
    if (!wait->busy || !jg_op_pending(&wait->op))
        return false;
    wait->cancelled = true;
    jg_op_cancel(&wait->op);
    return true;
}

/* A part of what was to be written last is no proper end. */
static void cancel_writer(struct writer *writer)
{
    struct side *side = writer->wait.side;

    if (cancel(&writer->wait) && (side->shut || side->closed) && writer->writing.sent > 0)
        side->spoilt = side->cut = true;
}

/* A close that is cancelled drops what is left. */
static void cancel_close(struct side *side)
{
    if (cancel(&side->closer))
        side->spoilt = side->cut = true;
}

/* ---------------------------------------------------------------- the run */

static void operate(void)
{
    struct side *side = &model.sides[below(2)];

    switch (below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
        operate_read(side);
        break;
    case 4:
    case 5:
    case 6:
        operate_write(side);
        break;
    case 7:
    case 8:
        operate_write_all(side);
        break;
    case 9:
        operate_drain(side);
        break;
    case 10:
        (void)cancel(&side->reader);
        break;
    case 11:
        cancel_writer(&side->writers[below(WRITERS)]);
        break;
    case 12:
        if (below(2))
            (void)cancel(&side->drainers[below(DRAINERS)]);
        else
            cancel_close(side);
        break;
    case 13:
        if (below(4) == 0)
            operate_shut(side);
        break;
    case 14:
        if (below(8) == 0)
            operate_close(side);
        break;
    case 15:
        if (below(16) == 0)
            operate_abort(side);
        break;
    case 16:
        if (below(16) == 0)
            operate_break(side);
        break;
    default:
        model_check(jg_loop_run_once(model.loop, below(2) ? JG_FOREVER : 0) >= 0);
        break;
    }
}

static bool is_waiting(const struct pending *wait)
{
    return wait->busy && jg_op_pending(&wait->op);
}

/* Nothing goes on any more: nobody waits for what is there. */
static void rest(void)
{
    model_check(jg_loop_run(model.loop) == 0);
    for (int i = 0; i < 2 && !model.faulty; i++) {
        struct side *side = &model.sides[i];
        bool writes = is_waiting(&side->closer);

        for (int k = 0; k < WRITERS; k++)
            writes |= is_waiting(&side->writers[k].wait);
        for (int k = 0; k < DRAINERS; k++)
            writes |= is_waiting(&side->drainers[k]);
        if (side->peer->closed && !is_waiting(&side->peer->closer))
            model_check(!writes);
        else if (left_of(side) == 0)
            model_check(!writes);
        if (is_waiting(&side->reader) && side->form == READ && !side->peer->spoilt)
            model_check(left_of(side->peer) == 0 && !side->peer->shut &&
                        (!side->peer->closed || is_waiting(&side->peer->closer)));
        if (!side->reader.busy && jg_stream_is_open(&side->stream) && left_of(side->peer) == 0)
            model_check(jg_stream_buffered(&side->stream) == 0);
    }
}

static void open_pair(void)
{
    jg_test_pair_options options = {0};

    if (below(2))
        options.delay = below(50) * JG_MICROSECOND;
    options.piece = below(40);
    options.capacity = below(200);
    options.stream.high_mark = below(100);
    model_check(
        jg_test_pair(model.loop, &model.sides[0].stream, &model.sides[1].stream, &options) == 0);
    for (int i = 0; i < 2; i++) {
        struct side *side = &model.sides[i];

        side->peer = &model.sides[!i];
        side->mark = options.stream.high_mark ? options.stream.high_mark : 65536;
        side->reader.side = side->closer.side = side;
        for (int k = 0; k < DRAINERS; k++)
            side->drainers[k].side = side;
        for (int k = 0; k < WRITERS; k++)
            side->writers[k].wait.side = side;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&model, 0, sizeof(model));
    model.decisions = decisions_of_bytes(data, size);
    model.loop = model_loop();
    open_pair();
    while (!decisions_over(&model.decisions)) {
        operate();
        if (below(16) == 0)
            rest();
    }
    rest();

    for (int i = 0; i < 2; i++)
        operate_abort(&model.sides[i]);
    model_check(jg_loop_run(model.loop) == 0);
    for (int i = 0; i < 2; i++) {
        const struct side *side = &model.sides[i];

        model_check(!side->reader.busy && !side->closer.busy);
        for (int k = 0; k < WRITERS; k++)
            model_check(!side->writers[k].wait.busy);
        for (int k = 0; k < DRAINERS; k++)
            model_check(!side->drainers[k].busy);
    }
    model_check(jg_loop_free(model.loop) == 0);
    return 0;
}
