/* SPDX-License-Identifier: MIT
 *
 * What web_app fetches from: three servers in the same process, each on a port of its own, that take
 * their time to answer; and how it fetches.
 */
#ifndef JUGGLE_EXAMPLES_WEB_APP_API_H
#define JUGGLE_EXAMPLES_WEB_APP_API_H

#include "common.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { APIS = 3 };

struct api {
    const char *name;
    int delay; /* ms until it answers */
    struct sockaddr_in address;
    jg_http_server server;
    jg_watcher listener;
    int fd;
};

static struct api apis[APIS] = {
    {.name = "stock", .delay = 200},
    {.name = "prices", .delay = 400},
    {.name = "reviews", .delay = 600},
};

static inline int api_answer(jg_http_request *request, void *arg)
{
    const struct api *api = arg;
    char text[100];
    int r = jg_sleep(api->delay * JG_MILLISECOND), size;

    if (r < 0)
        return r;
    size =
        snprintf(text, sizeof text, "{\"api\": \"%s\", \"took_ms\": %d}\n", api->name, api->delay);
    return jg_http_respond(request, 200, "application/json", text, (size_t)size);
}

static inline void api_on_connection(void *arg, int events)
{
    struct api *api = arg;
    int fd;

    check(events, api->name);
    fd = accept4(api->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && jg_http_serve_fd(&api->server, fd) < 0)
        close(fd);
}

static inline int api_start(void *arg)
{
    struct api *api = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    socklen_t size = sizeof api->address;

    api->address = (struct sockaddr_in){.sin_family = AF_INET};
    api->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* and the port 0: any that is free */
    api->fd = check_errno(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    check_errno(bind(api->fd, (struct sockaddr *)&api->address, size), "bind");
    check_errno(listen(api->fd, SOMAXCONN), "listen");
    check_errno(getsockname(api->fd, (struct sockaddr *)&api->address, &size), "getsockname");
    jg_watcher_init(&api->listener, api_on_connection, api);
    check(jg_http_server_open(&api->server, loop, api_answer, api, NULL), api->name);
    return jg_watcher_start(loop, &api->listener, api->fd, JG_READ);
}

static inline int api_stop(void *arg)
{
    struct api *api = arg;

    check(jg_watcher_close(&api->listener), api->name);
    return jg_http_server_close(&api->server, 0);
}

/* One call of an API. */
struct fetch {
    const struct api *api;
    jg_time started, ended; /* on the clock of the loop */
    int status;             /* of the response */
};

/* Send a request, and wait for the end of the response. */
static inline int exchange(jg_stream *stream, struct fetch *fetch)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char line[1000];
    int r = jg_stream_write(stream, request, sizeof request - 1);

    if (r == 0)
        r = jg_stream_read_line(stream, line, sizeof line);
    if (r < 0)
        return r;
    if (sscanf(line, "HTTP/1.%*d %d", &fetch->status) != 1)
        return -EPROTO;
    do
        r = jg_stream_read(stream, line, sizeof line);
    while (r > 0);
    return r;
}

/* A coroutine. */
static inline int fetch_run(void *arg)
{
    struct fetch *fetch = arg;
    const struct sockaddr_in *address = &fetch->api->address;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_stream stream;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    fetch->started = jg_loop_now(loop);
    if (fd < 0)
        return -errno;
    /* Over loopback a connection is there at once. */
    r = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    if (r == 0)
        r = jg_stream_open(&stream, loop, fd, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = exchange(&stream, fetch);
    jg_stream_abort(&stream);
    fetch->ended = jg_loop_now(loop);
    return r;
}

/* Call all of them, one after another or all at once. */
static inline int fetch_all(struct fetch fetches[APIS], bool at_once)
{
    jg_job jobs[APIS];
    int r = 0;

    for (int i = 0; i < APIS; i++) {
        fetches[i] = (struct fetch){.api = &apis[i]};
        jobs[i] = (jg_job){.fn = fetch_run, .arg = &fetches[i]};
    }
    if (at_once)
        return jg_gather(jobs, APIS, JG_FAIL_FAST);
    for (int i = 0; i < APIS && r == 0; i++)
        r = fetch_run(&fetches[i]);
    return r;
}

#endif
