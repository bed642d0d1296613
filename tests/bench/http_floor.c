/* SPDX-License-Identifier: MIT
 *
 * The least an HTTP server can do: it looks for ends of heads, and has one answer for all, without
 * a date. Everything that came with one read is answered with one write.
 */
#include "bench.h"
#include "echo.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MOST 256 /* requests in one read that are answered */

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 13\r\n\r\nHello, World!";

static char answers[MOST * (sizeof answer - 1)], input[65536];

struct connection {
    int fd;
    unsigned matched; /* bytes of the end of a head */
};

static size_t count_heads(struct connection *connection, size_t size)
{
    static const char end[] = "\r\n\r\n";
    unsigned matched = connection->matched;
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        matched = input[i] == end[matched] ? matched + 1 : input[i] == '\r';
        if (matched == 4) {
            count++;
            matched = 0;
        }
    }
    connection->matched = matched;
    return count;
}

static void serve(struct connection *connection)
{
    ssize_t got = recv(connection->fd, input, sizeof input, 0);
    size_t size;

    if (got <= 0) {
        close(connection->fd);
        free(connection);
        return;
    }
    size = count_heads(connection, (size_t)got) * (sizeof answer - 1);
    bench_check(size <= sizeof answers, "more requests at once than expected");
    if (size > 0 && send(connection->fd, answers, size, MSG_NOSIGNAL) != (ssize_t)size)
        (void)shutdown(connection->fd, SHUT_RDWR); /* wrk has ended, or does not read */
}

int main(void)
{
    int listener = echo_listen(), poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[256], event = {.events = EPOLLIN};

    for (size_t i = 0; i < MOST; i++)
        memcpy(answers + i * (sizeof answer - 1), answer, sizeof answer - 1);
    bench_check(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);

        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            if (connection) {
                serve(connection);
                continue;
            }
            connection = bench_alloc(1, sizeof *connection);
            connection->fd = echo_accept(listener);
            event.data.ptr = connection;
            bench_check(connection->fd >= 0, "accept");
            bench_check(epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) == 0, "epoll_ctl");
        }
    }
}
