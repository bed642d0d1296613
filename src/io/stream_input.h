/* SPDX-License-Identifier: MIT
 *
 * What a stream has received and nobody has read: its input, a block that is not empty, or none.
 *
 * Streams receive by a large buffer that those of a loop share, and keep what came in blocks as
 * large as that takes. Nothing that was received is lost: memory for it is there before it is
 * received, since a stream that can get none of its own keeps the shared buffer.
 */
#ifndef JG_IO_STREAM_INPUT_H
#define JG_IO_STREAM_INPUT_H

#include "io/stream.h"

typedef struct jg__block {
    struct jg__block *next; /* among those that are free */
    uint32_t capacity;
    uint32_t begin, end; /* of what was not read */
    uint32_t searched;   /* of that, how much has no separator */
    char data[];
} jg__block;

static inline uint32_t jg__input_size(const jg_stream *stream)
{
    return stream->input ? stream->input->end - stream->input->begin : 0;
}

/* Drop the first bytes, of which there are so many. */
void jg__input_drop(jg_stream *stream, uint32_t size);

/* Move up to `size` bytes to `target`. Returns how many. */
uint32_t jg__input_take(jg_stream *stream, void *target, size_t size);

/* Receive some more. Returns as jg__stream_receive, or -ENOMEM with nothing received. */
ssize_t jg__input_fill(jg_stream *stream);

/* Drop everything. */
void jg__input_free(jg_stream *stream);

/* Read from the transport. Returns as it does, or -EAGAIN if that is known. */
ssize_t jg__stream_receive(jg_stream *stream, void *buf, size_t size);

/* The transport was to read so much and returned n. Returns the same, or what it means. */
ssize_t jg__stream_note_received(jg_stream *stream, ssize_t n, size_t size);

/* Give the memory back that the streams of a loop share, when there are none. */
void jg__blocks_fini(jg__streams *streams);

#endif
