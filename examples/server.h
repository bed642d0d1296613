/* SPDX-License-Identifier: MIT
 *
 * What the servers share: listening on "[HOST:]PORT", accepting clients, and the end by a signal.
 */
#ifndef JUGGLE_EXAMPLES_SERVER_H
#define JUGGLE_EXAMPLES_SERVER_H

#include "common.h"

#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The address that "[HOST:]PORT" means. If it means none, the program ends with status 2. */
static inline struct addrinfo *parse_address(const char *program, const char *argument)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *address;
    const char *colon = strrchr(argument, ':');
    const char *port = colon ? colon + 1 : argument;
    size_t digits = strspn(port, "0123456789");
    char host[256] = "127.0.0.1";
    int r = EAI_NONAME;

    if (colon && argument[0] == '[' && colon[-1] == ']') /* an IPv6 address */
        snprintf(host, sizeof host, "%.*s", (int)(colon - argument) - 2, argument + 1);
    else if (colon)
        snprintf(host, sizeof host, "%.*s", (int)(colon - argument), argument);
    if (digits >= 1 && digits <= 5 && !port[digits] && atoi(port) <= 65535)
        r = getaddrinfo(host, port, &hints, &address);
    if (r != 0) {
        fprintf(stderr, "%s: %s\nusage: %s [HOST:]PORT\n", argument, gai_strerror(r), program);
        exit(2);
    }
    return address;
}

/*
 * A non-blocking socket that listens where the program's only argument says: "[HOST:]PORT", HOST
 * being 127.0.0.1 if it is not there; port 0 picks a free one. Prints "listening on HOST:PORT".
 */
static inline int listen_on(int argc, char **argv)
{
    struct addrinfo *address = parse_address(argv[0], argc == 2 ? argv[1] : "");
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char host[256], port[8];
    int fd, on = 1;

    fd = check_errno(socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                     "socket");
    check_errno(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
    check_errno(bind(fd, address->ai_addr, address->ai_addrlen), argv[1]);
    check_errno(listen(fd, SOMAXCONN), "listen");
    freeaddrinfo(address);

    check_errno(getsockname(fd, (struct sockaddr *)&bound, &size), "getsockname");
    if (getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        check(-EINVAL, "getnameinfo");
    printf(strchr(host, ':') ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
    check_errno(fflush(stdout), "stdout");
    return fd;
}

struct server {
    jg_loop *loop;
    int fd;
    jg_watcher listener;
    jg_timer pause;
    jg_signal interrupt, terminate;
    int (*on_client)(jg_loop *loop, int fd); /* 0, or a negative error: the socket is closed */
};

/* One client a turn: the listener stays ready while more of them wait. */
static inline void server_on_readable(void *arg, int events)
{
    struct server *server = arg;
    int fd, r;

    check(events, "listener");
    fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        r = server->on_client(server->loop, fd);
        if (r < 0) {
            fprintf(stderr, "client: %s\n", jg_strerror(r));
            close(fd);
        }
    } else if (errno != EAGAIN && errno != ECONNABORTED) {
        /* Out of descriptors, most likely: to try again at once would be a busy loop. */
        perror("accept");
        check(jg_watcher_modify(&server->listener, 0), "listener");
        jg_call_later(server->loop, &server->pause, 100 * JG_MILLISECOND);
    }
}

static inline void server_on_pause_over(void *arg)
{
    struct server *server = arg;

    check(jg_watcher_modify(&server->listener, JG_READ), "listener");
}

static inline void server_on_signal(void *arg, int signo)
{
    struct server *server = arg;

    (void)signo;
    check(jg_watcher_close(&server->listener), "listener");
    jg_timer_stop(&server->pause);
    jg_signal_stop(&server->interrupt);
    jg_signal_stop(&server->terminate);
    jg_loop_stop(server->loop);
}

/*
 * Give on_client the non-blocking socket of every client that connects to the address in argv.
 * SIGINT or SIGTERM ends that and stops the loop; the clients are left to the caller.
 */
static inline void serve(struct server *server, jg_loop *loop, int argc, char **argv,
                         int (*on_client)(jg_loop *loop, int fd))
{
    struct rlimit limit;

    server->loop = loop;
    server->on_client = on_client;
    jg_watcher_init(&server->listener, server_on_readable, server);
    jg_timer_init(&server->pause, server_on_pause_over, server);
    jg_signal_init(&server->interrupt, server_on_signal, server);
    jg_signal_init(&server->terminate, server_on_signal, server);
    check(jg_signal_start(loop, &server->interrupt, SIGINT), "SIGINT");
    check(jg_signal_start(loop, &server->terminate, SIGTERM), "SIGTERM");

    /* The number of descriptors is limited to 1024, as a rule, until a program asks for more. */
    check_errno(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* with fewer there are fewer clients, that is all */

    server->fd = listen_on(argc, argv);
    check(jg_watcher_start(loop, &server->listener, server->fd, JG_READ), "listener");
}

#endif
