/* SPDX-License-Identifier: MIT
 *
 * What web_app fetches from: three servers in the same process, each on a port of its own, that take
 * their time to answer; and how it fetches.
 */
#ifndef JUGGLE_EXAMPLES_WEB_APP_API_H
#define JUGGLE_EXAMPLES_WEB_APP_API_H

#include "common.h"

#include <juggle/http_client.h>

enum { APIS = 3 };

struct api {
    const char *name;
    int delay; /* ms until it answers */
    char url[JG_ADDRESS_TEXT + sizeof "http:///"];
    jg_http_server server;
    jg_listener listener;
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

static inline int api_start(void *arg)
{
    struct api *api = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    char text[JG_ADDRESS_TEXT];
    jg_address address;

    check(jg_address_parse("127.0.0.1", &address), "address"); /* any port that is free */
    check(jg_listen(&api->listener, loop, &address, NULL), "listen");
    check(jg_listener_address(&api->listener, &address), "address");
    check(jg_address_format(&address, text, sizeof text), "address");
    snprintf(api->url, sizeof api->url, "http://%s/", text);
    check(jg_http_server_open(&api->server, loop, api_answer, api, NULL), api->name);
    return jg_listener_start(&api->listener, jg_http_serve_fd, &api->server);
}

static inline int api_stop(void *arg)
{
    struct api *api = arg;

    jg_listener_close(&api->listener);
    return jg_http_server_close(&api->server, 0);
}

static jg_http_client api_client;

static inline int api_open_client(void *arg)
{
    (void)arg;
    return jg_http_client_open(&api_client, jg_task_loop(jg_task_current()), NULL);
}

static inline int api_close_client(void *arg)
{
    (void)arg;
    jg_http_client_close(&api_client);
    return 0;
}

/* One call of an API. */
struct fetch {
    const struct api *api;
    jg_time started, ended; /* on the clock of the loop */
    int status;             /* of the response */
};

/* A coroutine. */
static inline int fetch_run(void *arg)
{
    struct fetch *fetch = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_http_response response;
    jg_text body;
    int r;

    fetch->started = jg_loop_now(loop);
    r = jg_http_get(&api_client, fetch->api->url, 1000, &response, &body);
    fetch->ended = jg_loop_now(loop);
    if (r < 0)
        return r;
    fetch->status = r;
    jg_http_response_end(&response);
    return 0;
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
