/* SPDX-License-Identifier: MIT */
#include "io/stream_input.h"

#include <errno.h>
#include <string.h>

#define BUFFER 65536u
#define SMALL  1024u /* the blocks that are kept for others when they are free */
#define SPARES 64    /* as many of them */

/* ---------------------------------------------------------------- blocks */

static jg__block *make_block(const jg__streams *streams, uint32_t capacity)
{
    jg__block *block = jg__alloc(&streams->loop->allocator, sizeof(jg__block) + capacity);

    if (block)
        *block = (jg__block){.capacity = capacity};
    return block;
}

/* One that has room for this much. */
static jg__block *take_block(jg__streams *streams, uint32_t size)
{
    jg__block *block = streams->blocks;

    if (size > SMALL)
        return make_block(streams, size);
    if (!block)
        return make_block(streams, SMALL);

    streams->blocks = block->next;
    streams->block_count--;
    *block = (jg__block){.capacity = SMALL};
    return block;
}

static void discard(const jg__streams *streams, jg__block *block)
{
    if (block)
        jg__free(&streams->loop->allocator, block, sizeof(*block) + block->capacity);
}

static void free_block(jg__streams *streams, jg__block *block)
{
    if (block->capacity == SMALL && streams->block_count < SPARES) {
        block->next = streams->blocks;
        streams->blocks = block;
        streams->block_count++;
    } else if (block->capacity == BUFFER && !streams->buffer) {
        streams->buffer = block;
    } else {
        discard(streams, block);
    }
}

void jg__blocks_fini(jg__streams *streams)
{
    while (streams->blocks) {
        jg__block *block = streams->blocks;

        streams->blocks = block->next;
        discard(streams, block);
    }
    discard(streams, streams->buffer);
}

void jg__input_free(jg_stream *stream)
{
    if (stream->input)
        free_block(jg__streams_of(stream), stream->input);
    stream->input = NULL;
}

void jg__input_drop(jg_stream *stream, uint32_t size)
{
    jg__block *block = stream->input;

    if (size == 0)
        return;

    block->begin += size;
    block->searched = 0;
    if (block->begin == block->end)
        jg__input_free(stream);
}

uint32_t jg__input_take(jg_stream *stream, void *target, size_t size)
{
    uint32_t count = jg__input_size(stream);

    if (count > size)
        count = (uint32_t)size;
    if (count > 0)
        memcpy(target, stream->input->data + stream->input->begin, count);
    jg__input_drop(stream, count);
    return count;
}

/* ---------------------------------------------------------------- receiving */

/*
 * Whether a connection broke, by the error of a write. The system tells that once, to whoever asks
 * first: reads then see an end that the peer never sent. With EPIPE it had; the others are of this
 * side alone.
 */
static bool has_broken(int error)
{
    return error < 0 && error != -EPIPE && error != -ECANCELED && error != -ENOMEM &&
           error != -ENOBUFS;
}

/* The last thing there is to read: the end of file or an error. Returns it. */
__attribute__((noinline, cold)) static ssize_t note_last(jg_stream *stream, ssize_t n)
{
    if (n == 0 && has_broken(stream->write_error))
        n = stream->write_error;
    if (n == 0) {
        stream->flags |= JG__STREAM_END;
    } else {
        stream->flags &= (uint16_t)~JG__STREAM_PLAIN;
        stream->read_error = (int16_t)n;
    }
    return n;
}

ssize_t jg__stream_note_received(jg_stream *stream, ssize_t n, size_t size)
{
    if (n > 0) {
        stream->bytes_in += (uint64_t)n;
        /* After a hang-up there is the end yet to be read. */
        if ((size_t)n < size && stream->transport->exact &&
            !(stream->flags & (JG_HANGUP | JG__STREAM_INEXACT)))
            stream->flags &= (uint16_t)~JG_READ;
    } else if (n == -EAGAIN) {
        stream->flags &= (uint16_t)~JG_READ;
    } else {
        n = note_last(stream, n);
    }
    return n;
}

ssize_t jg__stream_receive(jg_stream *stream, void *buf, size_t size)
{
    if (!(stream->flags & JG_READ))
        return -EAGAIN;
    return jg__stream_note_received(stream, stream->transport->read(stream, buf, size), size);
}

/* Have room at the end of what is held. */
static int make_room(jg_stream *stream)
{
    jg__streams *streams = jg__streams_of(stream);
    jg__block *block = stream->input, *larger;
    const uint32_t size = jg__input_size(stream);

    if (block->end < block->capacity && block->capacity - block->end >= SMALL / 2)
        return 0;

    if (block->begin >= block->capacity / 2) {
        memmove(block->data, block->data + block->begin, size);
        block->begin = 0;
        block->end = size;
        return 0;
    }
    larger = take_block(streams, block->capacity < SMALL ? SMALL : block->capacity * 2);
    if (!larger)
        return -ENOMEM;

    memcpy(larger->data, block->data + block->begin, size);
    larger->end = size;
    larger->searched = block->searched;
    stream->input = larger;
    free_block(streams, block);
    return 0;
}

/* Keep what is in the shared buffer: by itself if it is large, or there is no other memory. */
static void keep(jg_stream *stream, uint32_t size)
{
    jg__streams *streams = jg__streams_of(stream);
    jg__block *block = size > BUFFER / 2 ? NULL : take_block(streams, size);

    if (block) {
        memcpy(block->data, streams->buffer->data, size);
    } else {
        block = streams->buffer;
        streams->buffer = NULL;
    }
    block->begin = 0;
    block->end = size;
    block->searched = 0;
    stream->input = block;
}

ssize_t jg__input_fill(jg_stream *stream)
{
    jg__streams *streams = jg__streams_of(stream);
    jg__block *block;
    ssize_t n;

    if (stream->input) {
        if (make_room(stream) < 0)
            return -ENOMEM;
        block = stream->input;
        n = jg__stream_receive(stream, block->data + block->end, block->capacity - block->end);
        if (n > 0)
            block->end += (uint32_t)n;
        return n;
    }

    if (!streams->buffer)
        streams->buffer = make_block(streams, BUFFER);
    if (!streams->buffer)
        return -ENOMEM;

    n = jg__stream_receive(stream, streams->buffer->data, BUFFER);
    if (n > 0)
        keep(stream, (uint32_t)n);
    return n;
}
