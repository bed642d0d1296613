/* SPDX-License-Identifier: MIT
 *
 * Writing into a buffer of fixed size. What does not fit is dropped and told once, at the end, so
 * that the steps between need no check.
 */
#ifndef JG_HTTP_OUTPUT_H
#define JG_HTTP_OUTPUT_H

#include <juggle/text.h>

#include <errno.h>
#include <string.h>

struct jg__output {
    char *data;
    size_t size; /* bytes written */
    size_t capacity;
    bool full; /* something was dropped */
};

static inline struct jg__output jg__output(char *buffer, size_t capacity)
{
    struct jg__output output = {buffer, 0, capacity, false};

    return output;
}

static inline void jg__output_text(struct jg__output *output, jg_text text)
{
    if (text.size > output->capacity - output->size) {
        output->full = true;
        return;
    }
    if (text.size > 0)
        memcpy(output->data + output->size, text.data, text.size);
    output->size += text.size;
}

static inline void jg__output_string(struct jg__output *output, const char *string)
{
    jg__output_text(output, jg_text_of(string, strlen(string)));
}

static inline void jg__output_byte(struct jg__output *output, char byte)
{
    jg__output_text(output, jg_text_of(&byte, 1));
}

/* At least `digits` decimal digits. */
static inline void jg__output_number(struct jg__output *output, uint64_t number, int digits)
{
    char buffer[20];
    char *p = buffer + sizeof(buffer);

    while (number > 0 || digits > 0) {
        *--p = (char)('0' + number % 10);
        number /= 10;
        digits--;
    }
    jg__output_text(output, jg_text_of(p, (size_t)(buffer + sizeof(buffer) - p)));
}

/* Put a NUL behind it: 0 and the size without that, or -ENOBUFS. */
static inline int jg__output_end(struct jg__output *output, size_t *ret_size)
{
    size_t size = output->size;

    jg__output_byte(output, '\0');
    if (output->full)
        return -ENOBUFS;
    if (ret_size != NULL)
        *ret_size = size;
    return 0;
}

#endif
