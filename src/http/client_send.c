/* SPDX-License-Identifier: MIT
 *
 * What an HTTP client sends.
 *
 * The body goes out while the response is waited for, so that neither side waits for the other for
 * ever: from memory without a copy, or as a coroutine writes it. A server that has heard enough may
 * answer and close before all is sent. So an error of sending is not the exchange's: whether there
 * is a response is for reading to tell.
 */
#include "http/client.h"

#include "coro/coro.h"
#include "http/writer.h"
#include "io/stream.h"

#include <errno.h>

#define TEXT(literal) jg_text_of(literal, sizeof(literal) - 1)

#define WITH_HEAD 32768  /* bytes of a body that are sent together with the head */
#define PIECE     65536u /* of what is uploaded, after which the server has to keep up */

/* ---------------------------------------------------------------- the head */

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && !jg_text_is_nocase(jg_text_from(name), *names))
        names++;
    return *names != NULL;
}

/* Whether a field is ours to write, or would make two messages of one. */
static bool is_reserved(const jg_http_pair *field)
{
    static const char *const reserved[] = {
        "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
        "Expect",         "Trailer",           "TE",         "Upgrade",    NULL,
    };

    return is_one_of(field->name, reserved) &&
           !(jg_text_is_nocase(jg_text_from(field->name), "Connection") && field->value &&
             jg_text_is_nocase(jg_text_from(field->value), "close"));
}

/* Whether a field stays behind, after the redirects that there were. */
static bool is_dropped(const jg_http_response *response, const char *name)
{
    static const char *const credentials[] = {"Authorization", "Cookie", "Proxy-Authorization",
                                              "Host", NULL};
    static const char *const of_body[] = {"Content-Type", "Content-Encoding", "Content-Language",
                                          "Content-Location", NULL};

    return (response->crossed && is_one_of(name, credentials)) ||
           (response->bodiless && is_one_of(name, of_body));
}

static bool is_given(const jg_http_response *response, const char *name)
{
    const jg_http_fetch_options *what = &response->what;

    for (size_t i = 0; i < what->field_count; i++) {
        if (jg_text_is_nocase(jg_text_from(what->fields[i].name), name))
            return !is_dropped(response, name);
    }
    return false;
}

static int write_fields(const jg_http_response *response, struct jg__output *output)
{
    const jg_http_fetch_options *what = &response->what;
    bool has_host = false;

    for (size_t i = 0; i < what->field_count; i++) {
        const jg_http_pair *field = &what->fields[i];
        bool is_host;
        int r;

        if (!field->name || is_reserved(field))
            return -EINVAL;
        is_host = jg_text_is_nocase(jg_text_from(field->name), "Host");
        if (is_host && has_host)
            return -EINVAL;
        has_host |= is_host;
        if (is_dropped(response, field->name))
            continue;
        r = jg__write_field(output, jg_text_from(field->name), jg_text_from(field->value));
        if (r < 0)
            return r;
    }
    return 0;
}

/* What tells where the body ends. A method that is meant to have one says so if it has none. */
static void write_framing(const jg_http_response *response, struct jg__output *output)
{
    static const char *const with_body[] = {"POST", "PUT", "PATCH", NULL};
    const jg_http_fetch_options *what = &response->what;

    if (!jg__http_has_body(response)) {
        if (is_one_of(jg__http_method(response), with_body))
            (void)jg__write_length(output, 0);
        return;
    }
    if (what->length == JG_HTTP_UNKNOWN_LENGTH)
        (void)jg__write_field(output, TEXT("Transfer-Encoding"), TEXT("chunked"));
    else
        (void)jg__write_length(output, (uint64_t)what->length);
    if (what->expect)
        (void)jg__write_field(output, TEXT("Expect"), TEXT("100-continue"));
}

static int write_head(const jg_http_response *response, const jg_url *url, jg_text agent,
                      struct jg__output *output)
{
    const jg_text target = {url->path.data,
                            url->path.size + (url->query.data ? url->query.size + 1 : 0)};
    int r = jg__write_request(output, jg_text_from(jg__http_method(response)), target);

    if (r == 0 && !is_given(response, "Host"))
        r = jg__write_field(output, TEXT("Host"), url->authority);
    if (r == 0)
        r = write_fields(response, output);
    if (r == 0 && !is_given(response, "User-Agent"))
        r = jg__write_field(output, TEXT("User-Agent"), agent);
    if (r == 0 && !is_given(response, "Accept"))
        r = jg__write_field(output, TEXT("Accept"), TEXT("*/*"));
    if (r < 0)
        return r;

    write_framing(response, output);
    return jg__write_end(output);
}

/* At least as many bytes as the head takes. */
static size_t head_size(const jg_http_response *response, jg_text agent)
{
    size_t size =
        256 + jg_text_from(jg__http_method(response)).size + 2 * response->url.size + agent.size;

    for (size_t i = 0; i < response->what.field_count; i++)
        size += jg_text_from(response->what.fields[i].name).size +
                jg_text_from(response->what.fields[i].value).size + 4;
    return size;
}

int jg__http_write_head(jg_http_response *response, const jg_url *url, jg_text *ret_head)
{
    const char *own = response->client->options.user_agent;
    const jg_text agent = own ? jg_text_from(own) : TEXT("juggle");
    const size_t capacity = head_size(response, agent);
    struct jg__output output = jg__output(jg__http_memory_take(response, capacity), capacity);
    int r;

    if (!output.data)
        return -ENOMEM;

    r = write_head(response, url, agent, &output);
    if (r == 0)
        *ret_head = jg_text_of(output.data, output.size);
    return r;
}

/* Whether an error is that of the connection. Others had nothing sent. */
static bool is_broken(int error)
{
    return error < 0 && error != -ENOMEM && error != -ENOBUFS && error != -ECANCELED;
}

int jg__http_send_head(jg_http_response *response, jg_text head, bool wait)
{
    const jg_http_fetch_options *what = &response->what;
    struct jg_http_upload *upload = &response->link->upload;
    const bool has_body = jg__http_has_body(response);
    const bool together = has_body && what->body && what->length <= WITH_HEAD && !wait;
    const struct iovec pieces[2] = {
        {(void *)(uintptr_t)head.data, head.size},
        {(void *)(uintptr_t)what->body, together ? (size_t)what->length : 0},
    };
    int r = jg_stream_writev(&response->link->stream, pieces, together ? 2 : 1);

    upload->broken = is_broken(r);
    upload->complete = r == 0 && (!has_body || together);
    response->link->keep = !is_given(response, "Connection");
    return upload->broken ? 0 : r;
}

/* ---------------------------------------------------------------- the body */

static void end_upload(struct jg_http_upload *upload, int status)
{
    upload->running = false;
    upload->complete = status >= 0 && !upload->broken;
    (void)jg_future_set(&upload->done, 0); /* it is set once */
    if (status >= 0 || upload->broken)
        return;
    upload->error = status;
    jg_stream_abort(&upload->link->stream); /* so whoever waits for the response is told */
}

/* A body in memory was written, or could not be. */
static void on_written(void *arg)
{
    struct jg_http_upload *upload = arg;

    upload->broken = is_broken(jg_op_status(&upload->op));
    end_upload(upload, jg_op_status(&upload->op));
}

/* Returns 0; an error that is to be returned. */
static int write_piece(struct jg_http_upload *upload, const char *data, size_t size)
{
    jg_stream *stream = &upload->link->stream;
    char head[12];
    struct jg__output output = jg__output(head, sizeof(head));
    int r;

    if (upload->chunked) {
        for (int shift = 28; shift >= 0; shift -= 4) {
            unsigned digit = (unsigned)(size >> shift) & 15;

            if (digit > 0 || output.size > 0)
                jg__output_byte(&output, "0123456789abcdef"[digit]);
        }
        jg__output_text(&output, TEXT("\r\n"));
    }
    /* Whatever there is of the head before it, this is not refused for it: it drains. */
    r = jg__stream_writev_always(stream,
                                 (struct iovec[]){
                                     {head, output.size},
                                     {(void *)(uintptr_t)data, size},
                                     {(void *)(uintptr_t) "\r\n", upload->chunked ? 2 : 0},
                                 },
                                 3);
    if (r == 0)
        r = jg_stream_drain(stream);
    return r;
}

int jg_http_upload_write(jg_http_upload *upload, const void *data, size_t size)
{
    const char *bytes = data;
    int r = 0;

    if (!upload->chunked && size > upload->left)
        return -EMSGSIZE;

    while (r == 0 && size > 0) {
        size_t piece = size < PIECE ? size : PIECE;

        r = write_piece(upload, bytes, piece);
        upload->left -= upload->chunked ? 0 : piece;
        bytes += piece;
        size -= piece;
    }
    upload->broken |= is_broken(r);
    return r;
}

/* Wait until the transport has all that was written: with no mark, draining does. */
static int flush(jg_stream *stream)
{
    const uint32_t mark = stream->high_mark;
    int r;

    stream->high_mark = 0;
    r = jg_stream_drain(stream);
    stream->high_mark = mark;
    return r;
}

static int run_upload(void *arg)
{
    struct jg_http_upload *upload = arg;
    jg_stream *stream = &upload->link->stream;
    int r = upload->fn(upload, upload->arg);

    if (r >= 0 && upload->left > 0 && !upload->broken)
        r = JG_EINCOMPLETE;
    if (r >= 0 && !upload->broken) {
        r = upload->chunked ? jg__stream_write_always(stream, "0\r\n\r\n", 5) : 0;
        if (r == 0)
            r = flush(stream);
        upload->broken = is_broken(r);
    }
    end_upload(upload, r);
    return 0;
}

static int spawn_upload(struct jg_http_upload *upload, jg_loop *loop)
{
    static const jg_spawn_options options = {.name = "http upload"};
    int r;

    jg_scope_open(&upload->scope, loop, NULL, &(jg_scope_options){.name = "http upload"});
    upload->scoped = true;
    r = jg_spawn(&upload->scope, run_upload, upload, &options);
    upload->running = r == 0;
    return r;
}

int jg__http_send_body(jg_http_response *response)
{
    const jg_http_fetch_options *what = &response->what;
    jg__http_link *link = response->link;
    struct jg_http_upload *upload = &link->upload;
    jg_loop *loop = response->client->loop;
    int r;

    if (upload->complete || upload->broken)
        return 0;

    upload->fn = what->upload;
    upload->arg = what->upload_arg;
    upload->chunked = what->length == JG_HTTP_UNKNOWN_LENGTH;
    upload->left = upload->chunked ? 0 : (uint64_t)what->length;
    if (upload->fn)
        return spawn_upload(upload, loop);

    jg_op_init(&upload->op, loop, on_written, upload);
    r = jg_stream_write_all_start(&link->stream, &upload->writing, what->body, (size_t)what->length,
                                  &upload->op);
    upload->broken = r < 0;
    upload->running = r == 0;
    return 0;
}

void jg__http_upload_stop(jg__http_link *link)
{
    struct jg_http_upload *upload = &link->upload;

    if (upload->scoped) {
        jg_op *op = jg__coro_op();

        jg_scope_cancel(&upload->scope);
        jg_scope_close(&upload->scope, 0, op);
        (void)jg_await(op); /* it is not cut short */
    } else if (upload->running) {
        jg_op_cancel(&upload->op);
        jg__unlink(&upload->op.call.link);
    }
    upload->scoped = false;
    upload->running = false;
}
