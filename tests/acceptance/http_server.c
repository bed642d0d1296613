/* SPDX-License-Identifier: MIT
 *
 * A server to test from outside: HOST:PORT [--header-timeout S] [--body-timeout S]
 * [--idle-timeout S] [--handler-timeout S] [--workers N] [--access-log] [--fail]
 *
 * With --fail its set-up does.
 */
#include <juggle.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "Hello, World!", 13);
}

/* Send the body back as it comes. */
static int echo(jg_http_request *request, void *arg)
{
    const jg_http_head *head = jg_http_request_head(request);
    const bool sized = head->framing != JG_HTTP_CHUNKED;
    char buffer[16384];
    int r;

    (void)arg;
    r = jg_http_read(request, buffer, sizeof(buffer));
    if (r >= 0) {
        int started = jg_http_begin(request, 200, "application/octet-stream",
                                    sized ? (int64_t)head->content_length : JG_HTTP_NO_LENGTH);

        if (started < 0)
            return started;
    }
    while (r > 0) {
        r = jg_http_write(request, buffer, (size_t)r);
        if (r == 0)
            r = jg_http_read(request, buffer, sizeof(buffer));
    }
    return r;
}

/* Read the body and forget it. Returns 0 or an error. */
static int discard_body(jg_http_request *request, uint64_t *ret_size)
{
    char buffer[16384];
    int r;

    *ret_size = 0;
    while ((r = jg_http_read(request, buffer, sizeof(buffer))) > 0)
        *ret_size += (uint64_t)r;
    return r;
}

static int discard(jg_http_request *request, void *arg)
{
    char text[24];
    uint64_t size;
    int r = discard_body(request, &size);

    (void)arg;
    if (r < 0)
        return r;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
    return jg_http_respond(request, 200, "text/plain", text, strlen(text));
}

static int fields(jg_http_request *request, void *arg)
{
    const jg_http_head *head = jg_http_request_head(request);
    char *text = jg_http_request_alloc(request, head->size + head->field_count * 4 + 1), *end;
    uint64_t size;
    int r = discard_body(request, &size);

    (void)arg;
    if (r < 0)
        return r;
    if (!text)
        return -ENOMEM;
    end = text;
    for (uint32_t i = 0; i < head->field_count; i++) {
        jg_text name = jg_http_head_name(head, &head->fields[i]);
        jg_text value = jg_http_head_text(head, head->fields[i].value);

        end += sprintf(end, "%.*s: %.*s\n", (int)name.size, name.data, (int)value.size, value.data);
    }
    return jg_http_respond(request, 200, "text/plain", text, (size_t)(end - text));
}

static int host(jg_http_request *request, void *arg)
{
    jg_text text = jg_http_request_host(request);

    (void)arg;
    return jg_http_respond(request, 200, "text/plain", text.data, text.size);
}

/* The number that a path ends with, or -1. */
static long long number_of(const jg_http_request *request)
{
    jg_text text = jg_http_request_capture(request, "n");

    if (text.size == 0 || text.size > 12 || strspn(text.data, "0123456789") != text.size)
        return -1;
    return atoll(text.data);
}

static int status(jg_http_request *request, void *arg)
{
    long long number = number_of(request);

    (void)arg;
    return number >= 200 && number <= 599 ? (int)number : 400;
}

/* N bytes, with their length if `arg` is not NULL. */
static int produce(jg_http_request *request, void *arg)
{
    static const char piece[8192] = {'x'};
    long long left = number_of(request);
    int r;

    if (left < 0)
        return 400;
    r = jg_http_begin(request, 200, "application/octet-stream", arg ? left : JG_HTTP_NO_LENGTH);
    while (r == 0 && left > 0) {
        size_t size = left < (long long)sizeof(piece) ? (size_t)left : sizeof(piece);

        r = jg_http_write(request, piece, size);
        left -= (long long)size;
    }
    return r;
}

static int close_after(jg_http_request *request, void *arg)
{
    int r = jg_http_add_field(request, "Connection", "close");

    return r < 0 ? r : hello(request, arg);
}

static int sleep_first(jg_http_request *request, void *arg)
{
    long long ms = number_of(request);
    int r = ms >= 0 ? jg_sleep(ms * JG_MILLISECOND) : 400;

    return r != 0 ? r : hello(request, arg);
}

/* The head at once, the body after some time. */
static int drip(jg_http_request *request, void *arg)
{
    long long ms = number_of(request);
    int r = ms >= 0 ? jg_http_begin(request, 200, "text/plain", 13) : 400;

    (void)arg;
    if (r == 0)
        r = jg_sleep(ms * JG_MILLISECOND);
    return r == 0 ? jg_http_write(request, "Hello, World!", 13) : r;
}

static int fail(jg_http_request *request, void *arg)
{
    (void)request;
    (void)arg;
    return -EIO;
}

static int end_process(jg_http_request *request, void *arg)
{
    (void)arg;
    exit((int)number_of(request));
}

static int fail_setup(void *arg)
{
    (void)arg;
    return -EIO;
}

static int tear_down(void *arg)
{
    (void)arg;
    return 0;
}

static void report(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", what, jg_strerror(error));
}

static const struct {
    const char *methods, *path;
    jg_http_handler_fn handler;
    void *arg;
} routes[] = {
    {"GET", "/", hello, NULL},
    {"POST", "/echo", echo, NULL},
    {"POST", "/discard", discard, NULL},
    {"GET", "/ext/probe", hello, NULL},
    {"*", "/ext/headers", fields, NULL},
    {"*", "/ext/host", host, NULL},
    {"*", "/ext/status/{n}", status, NULL},
    {"GET", "/ext/stream/{n}", produce, NULL},
    {"GET", "/ext/big/{n}", produce, "sized"},
    {"*", "/ext/close", close_after, NULL},
    {"*", "/ext/early", hello, NULL},
    {"*", "/ext/sleep/{n}", sleep_first, NULL},
    {"*", "/ext/drip/{n}", drip, NULL},
    {"*", "/ext/throw", fail, NULL},
    {"*", "/ext/exit/{n}", end_process, NULL},
};

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s HOST:PORT [--header-timeout S] [--body-timeout S] [--idle-timeout S] "
            "[--handler-timeout S] [--workers N] [--access-log] [--fail]\n",
            program);
    return 2;
}

/* Seconds, of which there may be parts. */
static jg_time seconds(const char *text)
{
    return (jg_time)(strtod(text, NULL) * (double)JG_SECOND);
}

static int parse_option(jg_run_app_options *options, const char *name, const char *value)
{
    if (strcmp(name, "--header-timeout") == 0)
        options->server.header_timeout = seconds(value);
    else if (strcmp(name, "--body-timeout") == 0)
        options->server.body_timeout = seconds(value);
    else if (strcmp(name, "--idle-timeout") == 0)
        options->server.idle_timeout = seconds(value);
    else if (strcmp(name, "--handler-timeout") == 0)
        options->server.handler_timeout = seconds(value);
    else if (strcmp(name, "--workers") == 0)
        options->workers = (unsigned)atoi(value);
    else
        return -EINVAL;
    return 0;
}

int main(int argc, char **argv)
{
    jg_run_app_options options = {.loop = {.on_error = report}};
    bool fails = false;
    jg_app *app;
    int r;

    if (argc < 2)
        return usage(argv[0]);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--access-log") == 0)
            options.access_log = true;
        else if (strcmp(argv[i], "--fail") == 0)
            fails = true;
        else if (i + 1 == argc || parse_option(&options, argv[i], argv[i + 1]) < 0)
            return usage(argv[0]);
        else
            i++;
    }

    r = jg_app_new(NULL, &app);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]) && r == 0; i++)
        r = jg_app_route(app, routes[i].methods, routes[i].path, routes[i].handler, routes[i].arg);
    if (r == 0 && fails)
        r = jg_app_context(app, fail_setup, tear_down, NULL);
    if (r == 0)
        r = jg_run_app(app, argv[1], &options);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], jg_strerror(r));
    jg_app_free(app);
    return r < 0;
}
