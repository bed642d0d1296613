/* SPDX-License-Identifier: MIT
 *
 * WebSocket frames: the messages must not depend on how the bytes were split. The first byte tells
 * whether they are masked.
 */
#include "http/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
    uint64_t hash;
    uint64_t messages;
};

static void add(struct digest *digest, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t i;

    for (i = 0; i < size; i++)
        digest->hash = (digest->hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

/* Everything but how a message was cut into pieces. Pieces of a text that turns out invalid are not
   delivered alike, so the data of a message counts when it is complete. */
static void add_event(struct digest *digest, struct digest *message,
                      const struct jg__frame_event *event)
{
    uint8_t opcode = (uint8_t)event->opcode;

    if (opcode < JG__FRAME_CLOSE) {
        add(message, event->data.data, event->data.size);
        if (!event->final)
            return;
        add(digest, &message->hash, sizeof(message->hash));
        message->hash = 0;
    } else {
        add(digest, event->data.data, event->data.size);
        add(digest, &event->close_code, sizeof(event->close_code));
    }
    add(digest, &opcode, 1);
    digest->messages++;
}

static struct digest run(bool masked, const uint8_t *data, size_t size, size_t first, size_t step)
{
    struct digest digest = {0, 0}, message = {0, 0};
    struct jg__frame_decoder decoder;
    struct jg__frame_event event;
    size_t at = 0, arrived = first < size ? first : size, used;
    int r;

    jg__frame_decoder_init(&decoder, masked, 1000);
    for (;;) {
        char *copy = malloc(arrived - at + 1);

        if (copy == NULL)
            abort();
        memcpy(copy, data + at, arrived - at);
        r = jg__frame_feed(&decoder, copy, arrived - at, &used, &event);
        if (r > 0)
            add_event(&digest, &message, &event);
        free(copy);
        if (r < 0) {
            add(&digest, &decoder.close_code, sizeof(decoder.close_code));
            return digest;
        }
        at += used;
        if (r > 0)
            continue;
        if (at != arrived)
            abort();
        if (arrived == size)
            return digest;
        arrived = size - arrived < step ? size : arrived + step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest whole, split;
    bool masked;

    if (size == 0 || size > 4096)
        return 0;
    masked = (data[0] & 1) != 0;
    data++;
    size--;
    whole = run(masked, data, size, size, 1);
    split = run(masked, data, size, 0, 1);
    if (split.hash != whole.hash || split.messages != whole.messages)
        abort();
    split = run(masked, data, size, 5, 11);
    if (split.hash != whole.hash || split.messages != whole.messages)
        abort();
    return 0;
}
