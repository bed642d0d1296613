/* SPDX-License-Identifier: MIT
 *
 * A TCP echo server of nothing but callbacks, for thousands of clients: [HOST:]PORT
 *
 * What a client sends is read into one buffer that all share, and sent back at once. Only what it
 * does not take yet is kept, and until that is gone nothing more is read from it. So an idle client
 * costs its struct, and one that never reads costs a buffer more.
 */
#include "server.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static jg_loop *loop;
static jg_listener listener;
static jg_signal signals[2];

struct client {
    jg_watcher watcher;
    int fd;
    char *kept; /* what is not sent yet; as a rule NULL */
    size_t unsent;
};

static char buffer[65536];

static void disconnect(struct client *client, int error)
{
    if (error < 0)
        fprintf(stderr, "client: %s\n", jg_strerror(error));
    (void)jg_watcher_close(&client->watcher); /* whatever it returns, the descriptor is gone */
    free(client->kept);
    free(client);
}

/* These two return 1 to go on, 0 when the client has sent all it had, or a negative error. */
static int send_or_keep(struct client *client, const char *data, size_t size)
{
    ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return -errno;

    client->unsent = size - (size_t)(sent < 0 ? 0 : sent);
    if (client->unsent > 0) {
        if (!client->kept)
            client->kept = malloc(client->unsent);
        if (!client->kept)
            return -ENOMEM;

        memmove(client->kept, data + size - client->unsent, client->unsent);
    } else {
        free(client->kept);
        client->kept = NULL;
    }
    check(jg_watcher_modify(&client->watcher, client->kept ? JG_WRITE : JG_READ), "client");
    return 1;
}

static int receive(struct client *client)
{
    ssize_t size = recv(client->fd, buffer, sizeof buffer, 0);

    if (size <= 0)
        return size == 0 ? 0 : errno == EAGAIN ? 1 : -errno;

    return send_or_keep(client, buffer, (size_t)size);
}

static void on_ready(void *arg, int events)
{
    struct client *client = arg;
    int r = events;

    if (events >= 0)
        r = client->kept ? send_or_keep(client, client->kept, client->unsent) : receive(client);
    if (r <= 0)
        disconnect(client, r);
}

static int on_client(void *arg, int fd, const jg_address *peer)
{
    struct client *client = calloc(1, sizeof *client);
    int r;

    (void)arg;
    (void)peer;
    if (!client)
        return -ENOMEM;

    client->fd = fd;
    jg_watcher_init(&client->watcher, on_ready, client);
    r = jg_watcher_start(loop, &client->watcher, fd, JG_READ);
    if (r < 0)
        free(client);
    return r;
}

static void on_signal(void *arg, int signo)
{
    (void)arg;
    (void)signo;
    jg_listener_close(&listener);
    for (int i = 0; i < 2; i++)
        jg_signal_stop(&signals[i]);
    jg_loop_stop(loop);
}

static void on_left(void *arg, const jg_started *started)
{
    (void)arg;
    disconnect((struct client *)started->arg, 0);
}

int main(int argc, char **argv)
{
    const int signos[] = {SIGINT, SIGTERM};
    jg_address address = only_address(argv);

    (void)argc;
    raise_limit();
    check(jg_loop_new(&(jg_loop_options){.on_error = print_error}, &loop), "loop");
    for (int i = 0; i < 2; i++) {
        jg_signal_init(&signals[i], on_signal, NULL);
        check(jg_signal_start(loop, &signals[i], signos[i]), "signal");
    }
    listen_on(&listener, loop, &address);
    check(jg_listener_start(&listener, on_client, NULL), "listen");
    check(jg_loop_run(loop), "loop");
    jg_loop_walk(loop, on_left, NULL);
    return jg_loop_free(loop);
}
