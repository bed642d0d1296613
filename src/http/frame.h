/* SPDX-License-Identifier: MIT
 *
 * WebSocket frames, RFC 6455 5 to 8. The decoder takes bytes as they come, unmasks them in place
 * and hands out messages in pieces; of control frames, which are small, it keeps the payload. It
 * has no extensions.
 */
#ifndef JG_HTTP_FRAME_H
#define JG_HTTP_FRAME_H

#include "http/utf8.h"

enum jg__opcode {
    JG__FRAME_CONTINUATION = 0,
    JG__FRAME_TEXT = 1,
    JG__FRAME_BINARY = 2,
    JG__FRAME_CLOSE = 8,
    JG__FRAME_PING = 9,
    JG__FRAME_PONG = 10,
};

/* RFC 6455 7.4.1, as far as we send them of our own accord. */
enum {
    JG__CLOSE_PROTOCOL_ERROR = 1002,
    JG__CLOSE_NO_STATUS = 1005, /* never sent: the frame had no code */
    JG__CLOSE_INVALID_TEXT = 1007,
    JG__CLOSE_TOO_BIG = 1009,
};

enum { JG__FRAME_HEAD_SIZE = 14, JG__FRAME_CONTROL_SIZE = 125 };

struct jg__frame_decoder {
    uint64_t limit;        /* bytes of a message */
    uint64_t message_size; /* so far, with all of the current frame */
    uint64_t left;         /* bytes of the current frame */
    struct jg__utf8 utf8;
    uint8_t state;
    uint8_t opcode;  /* of the current frame */
    uint8_t message; /* opcode of the current message; 0 between messages */
    bool masked;     /* frames must be: we are the server */
    bool final;      /* the current frame ends its message */
    uint8_t phase;   /* which byte of the mask is next */
    uint8_t mask[4];
    uint8_t head_size;
    uint8_t control_size;
    uint8_t head[JG__FRAME_HEAD_SIZE];
    char control[JG__FRAME_CONTROL_SIZE];
    uint16_t close_code; /* with which to close after an error */
};

struct jg__frame_event {
    enum jg__opcode opcode; /* of the message, or of the control frame */
    jg_text data;           /* of a message the next piece, in what was fed; else the payload, in
                               the decoder; of CLOSE the reason */
    bool final;             /* the message ends with it; data may be empty then */
    uint16_t close_code;    /* of CLOSE */
};

/* `masked`: it is a server that decodes, RFC 6455 5.1. */
void jg__frame_decoder_init(struct jg__frame_decoder *decoder, bool masked, uint64_t limit);

/* Go on up to the next event: 1 and the event, 0 if all bytes are used up, or -EPROTO and
   decoder->close_code, and so for ever after. Behind CLOSE everything is dropped. */
int jg__frame_feed(struct jg__frame_decoder *decoder, char *data, size_t size, size_t *ret_used,
                   struct jg__frame_event *ret_event);

/* Write the head of a frame: its size in bytes. `mask` NULL: it is a server that sends. */
size_t jg__frame_head(uint8_t head[JG__FRAME_HEAD_SIZE], enum jg__opcode opcode, bool final,
                      uint64_t size, const uint8_t mask[4]);

/* Mask or unmask; the first byte is that at `phase`, 0 to 3, of the mask. */
void jg__frame_mask(char *data, size_t size, const uint8_t mask[4], unsigned phase);

/* Whether an endpoint may send this code, RFC 6455 7.4. */
bool jg__close_code_is_valid(unsigned code);

#endif
