/* SPDX-License-Identifier: MIT
 *
 * The input and output of an echo server, the same for every loop under test: read, try to send at
 * once, and only if the socket is full keep the rest and wait for room. While something is kept
 * nothing more is read, so a client that does not read costs one buffer.
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What to wait for next. */
enum echo_want { ECHO_GONE, ECHO_READ, ECHO_WRITE };

struct echo {
    int fd;
    enum echo_want want;
    char *kept; /* not sent yet: the bytes from `sent` to `length` */
    size_t sent, length;
};

extern char echo_buffer[65536];

/* Listen on a free port of 127.0.0.1 and print «listening on HOST:PORT». */
int echo_listen(void);

/* Accept one connection; -1 if there is none. */
int echo_accept(int listener);

/* A connection was accepted by other means. */
void echo_began(void);

/* A connection has ended and its descriptor is closed. The last one ends the program. */
void echo_ended(struct echo *echo);

/* The paths that are rare. */
enum echo_want echo_keep(struct echo *echo, const char *bytes, size_t length);
enum echo_want echo_flush(struct echo *echo);

static inline enum echo_want echo_turn(struct echo *echo)
{
    ssize_t got, sent;

    if (echo->want == ECHO_WRITE)
        return echo_flush(echo);
    got = recv(echo->fd, echo_buffer, sizeof echo_buffer, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN ? ECHO_READ : ECHO_GONE;
    sent = send(echo->fd, echo_buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent == got)
        return ECHO_READ;
    if (sent < 0 && errno != EAGAIN)
        return ECHO_GONE;
    sent = sent < 0 ? 0 : sent;
    return echo_keep(echo, echo_buffer + sent, (size_t)(got - sent));
}

#endif
