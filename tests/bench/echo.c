/* SPDX-License-Identifier: MIT
 *
 * The input and output of an echo server; see echo.h.
 */
#include "echo.h"
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

char echo_buffer[65536];

static long connections;

int echo_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    bench_check(fd >= 0, "socket");
    bench_check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    bench_check(listen(fd, 4096) == 0, "listen");
    bench_check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int echo_accept(int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        bench_check(errno == EAGAIN || errno == ECONNABORTED, "accept4");
        return -1;
    }
    bench_check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    echo_began();
    return fd;
}

void echo_began(void)
{
    connections++;
}

void echo_ended(struct echo *echo)
{
    free(echo->kept);
    if (--connections == 0)
        exit(0);
}

enum echo_want echo_keep(struct echo *echo, const char *bytes, size_t length)
{
    echo->kept = malloc(length);
    bench_check(echo->kept != NULL, "out of memory");
    memcpy(echo->kept, bytes, length);
    echo->sent = 0;
    echo->length = length;
    return ECHO_WRITE;
}

enum echo_want echo_flush(struct echo *echo)
{
    ssize_t sent = send(echo->fd, echo->kept + echo->sent, echo->length - echo->sent, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return ECHO_GONE;
    echo->sent += sent < 0 ? 0 : (size_t)sent;
    if (echo->sent < echo->length)
        return ECHO_WRITE;
    free(echo->kept);
    echo->kept = NULL;
    return ECHO_READ;
}
