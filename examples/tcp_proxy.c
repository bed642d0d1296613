/* SPDX-License-Identifier: MIT
 *
 * A TCP proxy: [HOST:]PORT TARGET-HOST:PORT
 *
 * What a client sends goes to the target, and back, each way at the speed of who takes it. An end
 * that one side says is passed on while the other way goes on. Bytes stay in the buffer they were
 * received in, and an idle connection has none.
 */
#include "server.h"

struct target {
    jg_address listen;
    char host[256];
    uint16_t port;
};

/* One of the two ways. */
struct way {
    jg_stream *from, *to;
};

static int pump(void *arg)
{
    struct way *way = arg;
    const void *data;
    int size, r;

    for (;;) {
        size = jg_stream_peek(way->from, 1, &data);
        if (size <= 0)
            break;
        r = jg_stream_write_all(way->to, data, (size_t)size, NULL);
        if (r < 0)
            return r;
        jg_stream_consume(way->from, (size_t)size);
    }
    return size < 0 ? size : jg_stream_shut(way->to);
}

static int forward(jg_stream *client, void *arg)
{
    const jg_connect_options options = {.timeout = 10 * JG_SECOND};
    const struct target *target = arg;
    jg_stream server;
    struct way ways[] = {{client, &server}, {&server, client}};
    jg_job jobs[] = {{.fn = pump, .arg = &ways[0]}, {.fn = pump, .arg = &ways[1]}};
    int r = jg_connect_name(&server, target->host, target->port, &options);

    if (r < 0) {
        if (r != -ECANCELED)
            fprintf(stderr, "%s: %s\n", target->host, jg_strerror(r));
        return r;
    }
    r = jg_gather(jobs, 2, JG_FAIL_FAST);
    jg_stream_abort(&server);
    return r;
}

static int serve(void *arg)
{
    struct target *target = arg;
    jg_listener listener;

    listen_on(&listener, jg_task_loop(jg_task_current()), &target->listen);
    return jg_serve(&listener, forward, target, NULL);
}

int main(int argc, char **argv)
{
    static const char usage[] = "[HOST:]PORT TARGET-HOST:PORT";
    struct target target;
    const char *colon = argc == 3 ? strrchr(argv[2], ':') : NULL;
    const char *begin = argc == 3 ? argv[2] : "";
    size_t length = colon ? (size_t)(colon - begin) : 0;

    target.listen = parse_address(argv, length > 0 ? argv[1] : NULL, usage);
    target.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    if (begin[0] == '[' && length >= 2) { /* an IPv6 address */
        begin++;
        length -= 2;
    }
    snprintf(target.host, sizeof target.host, "%.*s", (int)length, begin);
    return run_server(serve, &target);
}
