/* SPDX-License-Identifier: MIT
 *
 * The HTTP server of libevent.
 */
#include "bench.h"
#include "echo.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>

static void hello(struct evhttp_request *request, void *arg)
{
    struct evbuffer *body = evbuffer_new();

    (void)arg;
    bench_check(body != NULL, "evbuffer_new");
    bench_check(evbuffer_add(body, "Hello, World!", 13) == 0, "evbuffer_add");
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain");
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

int main(void)
{
    struct event_base *loop = event_base_new();
    struct evhttp *server = loop ? evhttp_new(loop) : NULL;

    signal(SIGPIPE, SIG_IGN); /* it writes to connections that wrk has closed */
    bench_check(server != NULL, "evhttp_new");
    bench_check(evhttp_set_cb(server, "/", hello, NULL) == 0, "evhttp_set_cb");
    bench_check(evhttp_accept_socket(server, echo_listen()) == 0, "evhttp_accept_socket");
    event_base_dispatch(loop);
    return 1;
}
