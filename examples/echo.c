/* SPDX-License-Identifier: MIT
 *
 * A TCP echo server with a coroutine for each client: [HOST:]PORT
 *
 * The counterpart of echo_callbacks. The state of a client is where its function is, and a client
 * that does not read holds back nobody but itself. An idle one has no buffer, and a page of stack.
 */
#include "server.h"

static int echo(jg_stream *stream, void *arg)
{
    const void *data;
    int size, r = 0;

    (void)arg;
    while (r == 0 && (size = jg_stream_peek(stream, 1, &data)) != 0) {
        r = size < 0 ? size : jg_stream_write(stream, data, (size_t)size);
        if (r < 0)
            break;
        jg_stream_consume(stream, (size_t)size);
        r = jg_stream_drain(stream);
    }
    if (r < 0 && r != -ECANCELED)
        fprintf(stderr, "client: %s\n", jg_strerror(r));
    return r;
}

static int serve(void *arg)
{
    jg_listener listener;

    listen_on(&listener, jg_task_loop(jg_task_current()), arg);
    return jg_serve(&listener, echo, NULL, NULL);
}

int main(int argc, char **argv)
{
    jg_address address = only_address(argv);

    (void)argc;
    return run_server(serve, &address);
}
