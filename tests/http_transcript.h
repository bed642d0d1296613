/* SPDX-License-Identifier: MIT
 *
 * What the parsers make of the bytes of a connection, as a line of text that does not tell how the
 * bytes were split: so that transcripts of all splits can be compared. Every call of the parser
 * gets a copy of its own, so that the buffer moves and no byte can be read that has not arrived.
 */
#ifndef JUGGLE_TESTS_HTTP_TRANSCRIPT_H
#define JUGGLE_TESTS_HTTP_TRANSCRIPT_H

#include <juggle/http_parser.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transcript {
    char text[4096]; /* what does not fit is in the hash only */
    size_t size;
    uint64_t hash;
};

/* How bytes arrive: `first` of them, then `step` more each time. */
struct arrivals {
    size_t first;
    size_t step;
};

static void transcript_add(struct transcript *transcript, const char *data, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        transcript->hash = (transcript->hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
        if (transcript->size < sizeof(transcript->text) - 1)
            transcript->text[transcript->size++] = data[i];
    }
    transcript->text[transcript->size] = '\0';
}

static void transcript_note(struct transcript *transcript, const char *format, ...)
{
    char buffer[256];
    va_list args;

    va_start(args, format);
    vsnprintf(buffer, sizeof(buffer), format, args);
    va_end(args);
    transcript_add(transcript, buffer, strlen(buffer));
}

static void transcript_span(struct transcript *transcript, const char *label,
                            const jg_http_head *head, jg_http_span span)
{
    if (span.size == 0)
        return;
    transcript_note(transcript, " %s=", label);
    transcript_add(transcript, head->data + span.offset, span.size);
}

static void transcript_head(struct transcript *transcript, const jg_http_head *head)
{
    static const char *const framings[] = {"none", "sized", "chunked", "close"};
    uint32_t i;

    transcript_note(transcript, "{1.%d", head->minor);
    if (head->status != 0)
        transcript_note(transcript, " %d", head->status);
    transcript_span(transcript, "method", head, head->method_name);
    transcript_span(transcript, "target", head, head->target);
    transcript_span(transcript, "path", head, head->path);
    transcript_span(transcript, "query", head, head->query);
    transcript_span(transcript, "authority", head, head->authority);
    transcript_span(transcript, "reason", head, head->reason);
    transcript_note(transcript, " form=%d body=%s", head->form, framings[head->framing]);
    if (head->framing == JG_HTTP_SIZED)
        transcript_note(transcript, ":%llu", (unsigned long long)head->content_length);
    if ((head->flags & JG_HTTP_KEEP_ALIVE) != 0)
        transcript_note(transcript, " keep");
    if ((head->flags & JG_HTTP_EXPECT_CONTINUE) != 0)
        transcript_note(transcript, " expect");
    if ((head->flags & JG_HTTP_WANTS_UPGRADE) != 0)
        transcript_note(transcript, " upgrade");
    for (i = 0; i < head->field_count; i++) {
        const jg_http_field *field = &head->fields[i];
        jg_text name = jg_http_head_name(head, field);
        jg_text value = jg_http_head_text(head, field->value);

        if (memchr(name.data, 0, name.size) || memchr(name.data, ' ', name.size))
            abort(); /* whatever comes, this is no name */
        transcript_note(transcript, " [");
        transcript_add(transcript, name.data, name.size);
        transcript_note(transcript, "|");
        transcript_add(transcript, value.data, value.size);
        transcript_note(transcript, "]");
    }
    transcript_note(transcript, "}");
}

static char *transcript_copy(const char *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

/* One call of a parser with [from, to): how many bytes are done with, or an error. `in_body` tells
   which parser it is. */
static int transcript_feed(struct transcript *transcript, jg_http_parser *parser,
                           jg_http_body *body, bool *in_body, const char *from, const char *to)
{
    char *copy = transcript_copy(from, (size_t)(to - from));
    size_t used = 0;
    jg_text piece;
    int r;

    if (!*in_body) {
        r = jg_http_parser_feed(parser, copy, (size_t)(to - from));
        if (r > 0) {
            transcript_head(transcript, &parser->head);
            jg_http_body_init(body, &parser->head);
            *in_body = true;
        }
        used = r > 0 ? (size_t)r : 0;
    } else {
        r = jg_http_body_feed(body, copy, (size_t)(to - from), &used, &piece);
        if (r == JG_HTTP_BODY_DATA)
            transcript_add(transcript, piece.data, piece.size);
        if (r == JG_HTTP_BODY_END) {
            transcript_note(transcript, ";");
            *in_body = false;
        }
    }
    free(copy);
    return r < 0 ? r : (int)used;
}

/* Parse [data, data + size) as a connection of one message after the other. The parser is one that
   was just prepared. */
static struct transcript transcribe(jg_http_parser *parser, const char *data, size_t size,
                                    struct arrivals arrivals)
{
    struct transcript transcript = {"", 0, 0};
    size_t arrived = arrivals.first < size ? arrivals.first : size, at = 0;
    bool in_body = false, was_in_body;
    jg_http_body body;
    int r;

    for (;;) {
        was_in_body = in_body;
        r = transcript_feed(&transcript, parser, &body, &in_body, data + at, data + arrived);
        if (r < 0) {
            transcript_note(&transcript, "!%s", jg_strerror(r));
            return transcript;
        }
        at += (size_t)r;
        if (r > 0 || in_body != was_in_body)
            continue;
        if (arrived == size)
            break;
        arrived = size - arrived < arrivals.step ? size : arrived + arrivals.step;
    }
    if (in_body)
        transcript_note(&transcript, "%s", jg_http_body_close(&body) < 0 ? "~cut" : ";");
    else if (at < size)
        transcript_note(&transcript, "~part");
    return transcript;
}

#endif
