/* SPDX-License-Identifier: MIT
 *
 * Streams in memory for tests: two ends, and what is under way from each to the other.
 *
 * Each end has a list of the pieces that travel to it, with the times at which they arrive. It is
 * told of what it waits for by a timer of its own, never inside a function of its stream. The pair
 * is freed when both ends are closed.
 */
#include "io/stream.h"

#include "base/time.h"

#include <juggle/test.h>

#include <errno.h>
#include <string.h>

#define CAPACITY 65536

struct piece {
    jg_link link;
    jg_time when; /* it arrives */
    size_t begin, end, capacity;
    char data[];
};

/* What makes an end fail in one direction. */
struct fault {
    bool set;
    size_t after;
    int error;
};

struct end {
    jg_stream *stream; /* NULL: closed */
    struct pair *pair;
    jg_link pieces; /* to be read here, in order */
    size_t size;    /* of all of them */
    jg_timer timer; /* calls jg_stream_ready for what is waited for */
    unsigned waiting;
    bool ended, cut; /* the peer wrote its last, or is gone for good */
    struct fault read_fault, write_fault;
};

struct pair {
    struct end ends[2];
    jg_test_pair_options options;
    jg_loop *loop;
};

static struct end *end_of(const jg_stream *stream)
{
    return jg_stream_data(stream);
}

static struct end *peer_of(struct end *end)
{
    return &end->pair->ends[end == &end->pair->ends[0]];
}

static struct piece *first_piece(const struct end *end)
{
    if (jg__list_empty(&end->pieces))
        return NULL;
    return jg__container_of(end->pieces.next, struct piece, link);
}

static void free_piece(struct end *end, struct piece *piece)
{
    end->size -= piece->end - piece->begin;
    jg__unlink(&piece->link);
    jg__free(&end->pair->loop->allocator, piece, sizeof(*piece) + piece->capacity);
}

static bool is_due(const struct fault *fault)
{
    return fault->set && fault->after == 0;
}

/* When there is something to read, if only an end or an error. */
static jg_time readable_at(const struct end *end)
{
    const struct piece *piece = first_piece(end);

    if (is_due(&end->read_fault))
        return 0;
    if (piece)
        return piece->when;
    return end->ended || end->cut ? 0 : JG_FOREVER;
}

static bool is_writable(struct end *end)
{
    const struct end *peer = peer_of(end);

    return is_due(&end->write_fault) || !peer->stream || peer->size < end->pair->options.capacity;
}

/* Have the end told when what it waits for is there. */
static void arrange(struct end *end)
{
    jg_time when = JG_FOREVER;

    if (!end->stream)
        return;
    if (end->waiting & JG_READ)
        when = readable_at(end);
    if (end->waiting & JG_WRITE && is_writable(end))
        when = 0;
    if (when != JG_FOREVER)
        jg_call_at(end->pair->loop, &end->timer, when);
}

static void on_time(void *arg)
{
    struct end *end = arg;
    unsigned events = 0;

    if (end->waiting & JG_WRITE && is_writable(end))
        events |= JG_WRITE;
    if (end->waiting & JG_READ && readable_at(end) <= jg_loop_time(end->pair->loop))
        events |= JG_READ;
    end->waiting &= ~events;
    arrange(end);
    jg_stream_ready(end->stream, (int)events);
}

static ssize_t read_pair(jg_stream *stream, void *buf, size_t size)
{
    struct end *end = end_of(stream);
    struct piece *piece = first_piece(end);

    if (is_due(&end->read_fault))
        return end->read_fault.error;
    if (end->read_fault.set && size > end->read_fault.after)
        size = end->read_fault.after;
    if (!piece && end->cut)
        return -ECONNRESET;
    if (!piece && end->ended)
        return 0;
    if (!piece || piece->when > jg_loop_time(stream->loop))
        return -EAGAIN;

    if (size > piece->end - piece->begin)
        size = piece->end - piece->begin;
    memcpy(buf, piece->data + piece->begin, size);
    piece->begin += size;
    end->size -= size;
    end->read_fault.after -= end->read_fault.set ? size : 0;
    if (piece->begin == piece->end)
        free_piece(end, piece);
    arrange(peer_of(end));
    return (ssize_t)size;
}

/* How much of `total` bytes goes through in one piece now; or an error. */
static ssize_t passable(struct end *end, size_t total)
{
    const struct end *peer = peer_of(end);
    const jg_test_pair_options *options = &end->pair->options;

    if (is_due(&end->write_fault))
        return end->write_fault.error;
    if (!peer->stream)
        return end->cut ? -ECONNRESET : -EPIPE;
    if (peer->size >= options->capacity)
        return -EAGAIN;

    if (end->write_fault.set && total > end->write_fault.after)
        total = end->write_fault.after;
    if (total > options->capacity - peer->size)
        total = options->capacity - peer->size;
    if (options->piece > 0 && total > options->piece)
        total = options->piece;
    return (ssize_t)total;
}

/* When a piece arrives that is sent now: each takes its time after the one before. */
static jg_time arrival(struct end *end)
{
    jg_time when = jg_loop_time(end->pair->loop);

    if (!jg__list_empty(&end->pieces)) {
        const struct piece *last = jg__container_of(end->pieces.prev, struct piece, link);

        if (last->when > when)
            when = last->when;
    }
    return jg__time_add(when, end->pair->options.delay);
}

static ssize_t write_pair(jg_stream *stream, const struct iovec *pieces, int count)
{
    struct end *end = end_of(stream), *peer = peer_of(end);
    size_t total = 0;
    struct piece *piece;
    ssize_t size;

    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    size = passable(end, total);
    if (size <= 0)
        return size;

    piece = jg__alloc(&stream->loop->allocator, sizeof(*piece) + (size_t)size);
    if (!piece)
        return -ENOMEM;

    *piece = (struct piece){.when = arrival(peer), .capacity = (size_t)size};
    for (int i = 0; piece->end < piece->capacity; i++) {
        size_t part = pieces[i].iov_len, left = piece->capacity - piece->end;

        part = part < left ? part : left;
        if (part > 0)
            memcpy(piece->data + piece->end, pieces[i].iov_base, part);
        piece->end += part;
    }
    jg__list_append(&peer->pieces, &piece->link);
    peer->size += piece->end;
    end->write_fault.after -= end->write_fault.set ? piece->end : 0;
    arrange(peer);
    return size;
}

static int wait_for_pair(jg_stream *stream, unsigned events)
{
    struct end *end = end_of(stream);

    end->waiting |= events;
    arrange(end);
    return 0;
}

static int shut_pair(jg_stream *stream)
{
    struct end *peer = peer_of(end_of(stream));

    peer->ended = true;
    arrange(peer);
    return 0;
}

static void close_pair(jg_stream *stream, bool cut)
{
    struct end *end = end_of(stream), *peer = peer_of(end);
    struct pair *pair = end->pair;

    end->stream = NULL;
    jg_timer_stop(&end->timer);
    while (first_piece(end))
        free_piece(end, first_piece(end));
    if (!peer->stream) {
        jg__free(&pair->loop->allocator, pair, sizeof(*pair));
        return;
    }
    peer->ended = true;
    peer->cut = cut;
    arrange(peer);
}

static const jg_transport pair_transport = {
    .name = "pair",
    .read = read_pair,
    .write = write_pair,
    .wait = wait_for_pair,
    .shut = shut_pair,
    .close = close_pair,
};

static int open_end(struct end *end, jg_stream *stream)
{
    const struct pair *pair = end->pair;
    int r = jg_stream_open_with(stream, pair->loop, &pair_transport, end, &pair->options.stream);

    if (r == 0)
        end->stream = stream;
    return r;
}

int jg_test_pair(jg_loop *loop, jg_stream *a, jg_stream *b, const jg_test_pair_options *options)
{
    struct pair *pair;
    int r;

    jg__check_thread(loop);
    if (options && options->delay < 0)
        return -EINVAL;

    pair = jg__alloc(&loop->allocator, sizeof(*pair));
    if (!pair)
        return -ENOMEM;

    *pair = (struct pair){.loop = loop};
    if (options)
        pair->options = *options;
    if (pair->options.capacity == 0)
        pair->options.capacity = CAPACITY;
    for (int i = 0; i < 2; i++) {
        pair->ends[i].pair = pair;
        jg__list_init(&pair->ends[i].pieces);
        jg_timer_init(&pair->ends[i].timer, on_time, &pair->ends[i]);
    }
    r = open_end(&pair->ends[0], a);
    if (r < 0) {
        jg__free(&loop->allocator, pair, sizeof(*pair));
        return r;
    }
    return open_end(&pair->ends[1], b); /* as the first one, it succeeds */
}

int jg_test_pair_fail(jg_stream *stream, unsigned events, size_t after, int error)
{
    struct end *end;

    if (stream->transport != &pair_transport || events == 0 ||
        events & ~(unsigned)(JG_READ | JG_WRITE) || error > 0 || (error == 0 && events & JG_WRITE))
        return -EINVAL;

    end = end_of(stream);
    if (events & JG_READ)
        end->read_fault = (struct fault){true, after, error};
    if (events & JG_WRITE)
        end->write_fault = (struct fault){true, after, error};
    arrange(end);
    return 0;
}
