/* SPDX-License-Identifier: MIT
 *
 * WebSocket frames. What a peer does against the rules ends in one place, break_off, with the code
 * to close with.
 */
#include "http/frame.h"

#include "http/chars.h"

#include <errno.h>

enum { HEAD, PAYLOAD, CLOSED, BROKEN };

void jg__frame_decoder_init(struct jg__frame_decoder *decoder, bool masked, uint64_t limit)
{
    memset(decoder, 0, sizeof(*decoder));
    decoder->masked = masked;
    decoder->limit = limit;
}

void jg__frame_mask(char *data, size_t size, const uint8_t mask[4], unsigned phase)
{
    uint8_t bytes[8];
    uint64_t pattern, word;
    size_t i;

    for (i = 0; i < 8; i++)
        bytes[i] = mask[(phase + i) % 4];
    memcpy(&pattern, bytes, 8);
    for (i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= pattern;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++)
        data[i] = (char)(data[i] ^ (char)bytes[i % 8]);
}

bool jg__close_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static int break_off(struct jg__frame_decoder *decoder, unsigned code)
{
    decoder->state = BROKEN;
    decoder->close_code = (uint16_t)code;
    return -EPROTO;
}

static bool is_control(unsigned opcode)
{
    return opcode >= JG__FRAME_CLOSE;
}

/* How many bytes the head has, as far as its first two tell. */
static unsigned head_size(const struct jg__frame_decoder *decoder)
{
    unsigned length;

    if (decoder->head_size < 2)
        return 2;
    length = decoder->head[1] & 0x7f;
    return 2 + (length == 127 ? 8u : length == 126 ? 2u : 0u) + (decoder->masked ? 4u : 0u);
}

/* RFC 6455 5.2 and 5.4: what the first two bytes must be like. */
static bool is_valid_start(const struct jg__frame_decoder *decoder)
{
    unsigned opcode = decoder->head[0] & 0x0f, length = decoder->head[1] & 0x7f;
    bool final = (decoder->head[0] & 0x80) != 0;

    if ((decoder->head[0] & 0x70) != 0 || ((decoder->head[1] & 0x80) != 0) != decoder->masked)
        return false;
    switch (opcode) {
    case JG__FRAME_CONTINUATION:
        return decoder->message != 0;
    case JG__FRAME_TEXT:
    case JG__FRAME_BINARY:
        return decoder->message == 0;
    case JG__FRAME_CLOSE:
        return final && length <= JG__FRAME_CONTROL_SIZE && length != 1;
    case JG__FRAME_PING:
    case JG__FRAME_PONG:
        return final && length <= JG__FRAME_CONTROL_SIZE;
    default:
        return false;
    }
}

/* The head is complete: begin the payload. The length must be written in the shortest way. */
static int begin_payload(struct jg__frame_decoder *decoder)
{
    unsigned length = decoder->head[1] & 0x7f,
             bytes = length == 127   ? 8u
                     : length == 126 ? 2u
                                     : 0u,
             i;
    uint64_t size = bytes == 0 ? length : 0;

    for (i = 0; i < bytes; i++)
        size = size << 8 | decoder->head[2 + i];
    if ((bytes == 2 && size < 126) || (bytes == 8 && (size <= UINT16_MAX || size > INT64_MAX)))
        return break_off(decoder, JG__CLOSE_PROTOCOL_ERROR);

    decoder->opcode = decoder->head[0] & 0x0f;
    decoder->final = (decoder->head[0] & 0x80) != 0;
    decoder->left = size;
    decoder->phase = 0;
    decoder->head_size = 0;
    decoder->control_size = 0;
    if (decoder->masked)
        memcpy(decoder->mask, decoder->head + 2 + bytes, 4);
    decoder->state = PAYLOAD;
    if (is_control(decoder->opcode))
        return 0;

    if (decoder->opcode != JG__FRAME_CONTINUATION) {
        decoder->message = decoder->opcode;
        decoder->message_size = 0;
        decoder->utf8 = (struct jg__utf8){0, 0, 0};
    }
    if (size > decoder->limit || decoder->message_size > decoder->limit - size)
        return break_off(decoder, JG__CLOSE_TOO_BIG);
    decoder->message_size += size;
    return 0;
}

/* Take a byte of a head. */
static int take_head(struct jg__frame_decoder *decoder, char byte)
{
    decoder->head[decoder->head_size++] = (uint8_t)byte;
    if (decoder->head_size == 2 && !is_valid_start(decoder))
        return break_off(decoder, JG__CLOSE_PROTOCOL_ERROR);
    return decoder->head_size < head_size(decoder) ? 0 : begin_payload(decoder);
}

/* A control frame is complete. */
static int finish_control(struct jg__frame_decoder *decoder, struct jg__frame_event *event)
{
    struct jg__utf8 utf8 = {0, 0, 0};

    decoder->state = HEAD;
    *event = (struct jg__frame_event){
        (enum jg__opcode)decoder->opcode, {decoder->control, decoder->control_size}, true, 0};
    if (decoder->opcode != JG__FRAME_CLOSE)
        return 1;
    decoder->state = CLOSED;
    event->close_code = JG__CLOSE_NO_STATUS;
    if (event->data.size == 0)
        return 1;
    event->close_code =
        (uint16_t)((uint8_t)decoder->control[0] << 8 | (uint8_t)decoder->control[1]);
    event->data = jg_text_of(event->data.data + 2, event->data.size - 2);
    if (!jg__close_code_is_valid(event->close_code))
        return break_off(decoder, JG__CLOSE_PROTOCOL_ERROR);
    if (!jg__utf8_feed(&utf8, event->data) || utf8.left > 0)
        return break_off(decoder, JG__CLOSE_INVALID_TEXT);
    return 1;
}

/* A piece of a message. */
static int deliver(struct jg__frame_decoder *decoder, jg_text piece, struct jg__frame_event *event)
{
    bool end = decoder->left == 0, final = end && decoder->final;
    uint8_t message = decoder->message;

    if (message == JG__FRAME_TEXT &&
        (!jg__utf8_feed(&decoder->utf8, piece) || (final && decoder->utf8.left > 0)))
        return break_off(decoder, JG__CLOSE_INVALID_TEXT);
    if (end)
        decoder->state = HEAD;
    if (final)
        decoder->message = 0;
    *event = (struct jg__frame_event){(enum jg__opcode)message, piece, final, 0};
    return piece.size > 0 || final;
}

/* Go on with the payload: as jg__frame_feed. */
static int take_payload(struct jg__frame_decoder *decoder, char *data, size_t size,
                        struct jg__frame_event *event)
{
    if (decoder->masked)
        jg__frame_mask(data, size, decoder->mask, decoder->phase);
    decoder->phase = (uint8_t)((decoder->phase + size) % 4);
    decoder->left -= size;
    if (!is_control(decoder->opcode))
        return deliver(decoder, jg_text_of(data, size), event);
    if (size > 0)
        memcpy(decoder->control + decoder->control_size, data, size);
    decoder->control_size = (uint8_t)(decoder->control_size + size);
    return decoder->left == 0 ? finish_control(decoder, event) : 0;
}

int jg__frame_feed(struct jg__frame_decoder *decoder, char *data, size_t size, size_t *ret_used,
                   struct jg__frame_event *ret_event)
{
    size_t used = 0, piece;
    struct jg__frame_event event;
    int r = 0;

    while (r == 0) {
        if (decoder->state == BROKEN)
            return -EPROTO;
        if (decoder->state == CLOSED)
            used = size;
        /* A frame without payload is complete with its head. */
        if (used == size && (decoder->state != PAYLOAD || decoder->left > 0))
            break;
        if (decoder->state == HEAD) {
            r = take_head(decoder, data[used++]);
            continue;
        }
        piece = size - used < decoder->left ? size - used : (size_t)decoder->left;
        r = take_payload(decoder, data + used, piece, &event);
        used += piece;
    }
    if (r < 0)
        return r;
    if (r > 0)
        *ret_event = event;
    *ret_used = used;
    return r;
}

size_t jg__frame_head(uint8_t head[JG__FRAME_HEAD_SIZE], enum jg__opcode opcode, bool final,
                      uint64_t size, const uint8_t mask[4])
{
    unsigned bytes = size < 126 ? 0 : size <= UINT16_MAX ? 2 : 8, i;
    size_t at = 2;

    head[0] = (uint8_t)((final ? 0x80u : 0u) | (unsigned)opcode);
    head[1] = (uint8_t)((mask != NULL ? 0x80u : 0u) | (bytes == 0   ? (unsigned)size
                                                       : bytes == 2 ? 126u
                                                                    : 127u));
    for (i = bytes; i > 0; i--)
        head[at++] = (uint8_t)(size >> (8 * (i - 1)));
    if (mask != NULL) {
        memcpy(head + at, mask, 4);
        at += 4;
    }
    return at;
}
