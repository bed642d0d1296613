/* SPDX-License-Identifier: MIT
 *
 * A TCP echo server with a coroutine for each client: [HOST:]PORT
 *
 * The counterpart of echo_callbacks. The state of a client is where its function is, and a client
 * that does not read holds back nobody but itself.
 */
#include "server.h"

static jg_scope clients;

static int echo(jg_stream *stream)
{
    char buffer[16384];
    int r;

    for (;;) {
        r = jg_stream_read(stream, buffer, sizeof buffer);
        if (r <= 0)
            return r;
        r = jg_stream_write(stream, buffer, (size_t)r);
        if (r == 0)
            r = jg_stream_drain(stream);
        if (r < 0)
            return r;
    }
}

static int client(void *arg)
{
    jg_stream stream;
    int fd = *(int *)arg, r;

    free(arg);
    r = jg_stream_open(&stream, jg_task_loop(jg_task_current()), fd, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = echo(&stream);
    if (r < 0 && r != -ECANCELED)
        fprintf(stderr, "client: %s\n", jg_strerror(r));
    (void)jg_stream_close(&stream, 5 * JG_SECOND); /* a client that does not read loses the rest */
    return 0;
}

static int on_client(jg_loop *loop, int fd)
{
    int *arg = malloc(sizeof *arg), r;

    (void)loop;
    if (!arg)
        return -ENOMEM;

    *arg = fd;
    r = jg_spawn(&clients, client, arg, NULL);
    if (r < 0)
        free(arg);
    return r;
}

static void on_left(void *arg)
{
    (void)arg;
}

int main(int argc, char **argv)
{
    static struct server server;
    jg_loop *loop;
    jg_op left;

    check(jg_loop_new(NULL, &loop), "loop");
    jg_scope_open(&clients, loop, NULL, NULL);
    serve(&server, loop, argc, argv, on_client);
    check(jg_loop_run(loop), "loop");

    jg_scope_cancel(&clients);
    jg_op_init(&left, loop, on_left, NULL);
    jg_scope_close(&clients, 0, &left);
    check(jg_loop_run(loop), "loop");
    return jg_loop_free(loop);
}
