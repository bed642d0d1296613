/* SPDX-License-Identifier: MIT
 *
 * A client for the tests of server examples; on purpose it does without juggle.
 *
 *     client HOST:PORT talk            standard input to the server, its answer to standard output
 *     client HOST:PORT echo CONNECTIONS MESSAGES SIZE [PAUSE_MS]       ping-pong on all of them
 *     client HOST:PORT slow BYTES      sends until nothing moves any more, only then reads
 *     client HOST:PORT reset BYTES     sends, does not read, resets the connection
 *     client HOST:PORT idle NUMBER     connects, prints "ready" and waits for the end of input
 *     client HOST:PORT crowd NUMBER    connects all, which are all answered, with whatever
 *     client HOST:PORT udp NUMBER SIZE                 datagrams, some at a time, that have to come back
 *     client HOST:PORT script          does what standard input says on numbered connections:
 *                                      "1>TEXT" sends a line, "1<TEXT" expects one, "1." ends
 *
 * HOST is an address. The status is 0 if the server did its part, 1 if not, 2 for a wrong usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_SIZE = 65536,
    PER_SOURCE = 5000, /* connections from one loopback address, well below the number of ports */
};

static struct addrinfo *server;

static void fail(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

static void require(bool condition, const char *what)
{
    if (!condition)
        fail(what);
}

static void find_server(const char *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    const char *colon = strrchr(address, ':');
    char host[64];

    require(colon != NULL, address);
    if (address[0] == '[')
        snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2, address + 1);
    else
        snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    require(getaddrinfo(host, colon + 1, &hints, &server) == 0, address);
}

/* Connect; the n-th connection over loopback comes from an address that has ports left. */
static int dial(int n)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    int fd = socket(server->ai_family, SOCK_STREAM, 0);

    require(fd >= 0, "socket");
    if (n >= PER_SOURCE) {
        source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(n / PER_SOURCE));
        require(bind(fd, (struct sockaddr *)&source, sizeof source) == 0, "bind");
    }
    require(connect(fd, server->ai_addr, server->ai_addrlen) == 0, "connect");
    return fd;
}

static int *dial_all(int connections)
{
    int *fds = calloc((size_t)connections, sizeof *fds);

    require(fds != NULL, "memory");
    for (int i = 0; i < connections; i++)
        fds[i] = dial(i);
    return fds;
}

static void set_nonblocking(int fd)
{
    require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        require(n > 0, "send");
        data += n;
        size -= (size_t)n;
    }
}

static void pause_for(int milliseconds)
{
    (void)poll(NULL, 0, milliseconds);
}

/* The byte at an offset of a stream; every stream differs from its neighbours. */
static char pattern(long stream, long offset)
{
    return (char)(stream * 31 + offset + (offset >> 8) * 7);
}

static void fill(char *data, long stream, long offset, long size)
{
    for (long i = 0; i < size; i++)
        data[i] = pattern(stream, offset + i);
}

static void expect(const char *data, long stream, long offset, long size)
{
    errno = 0;
    for (long i = 0; i < size; i++)
        require(data[i] == pattern(stream, offset + i), "other bytes came back");
}

static void talk(void)
{
    static char data[MAX_SIZE];
    int fd = dial(0);
    ssize_t n;

    while ((n = read(STDIN_FILENO, data, sizeof data)) > 0)
        send_all(fd, data, (size_t)n);
    require(shutdown(fd, SHUT_WR) == 0, "shutdown");
    while ((n = recv(fd, data, sizeof data, 0)) > 0)
        fwrite(data, 1, (size_t)n, stdout);
    require(n == 0, "recv");
    close(fd);
}

static void round_trip(const int *fds, int connections, int message, int size)
{
    static char data[MAX_SIZE];

    for (int i = 0; i < connections; i++) {
        fill(data, i + message, 0, size);
        send_all(fds[i], data, (size_t)size);
    }
    for (int i = 0; i < connections; i++) {
        errno = 0;
        require(recv(fds[i], data, (size_t)size, MSG_WAITALL) == size, "recv");
        expect(data, i + message, 0, size);
    }
}

/* Say that nothing more comes; the server has to close the connection then. */
static void finish(int fd)
{
    char byte;

    require(shutdown(fd, SHUT_WR) == 0, "shutdown");
    errno = 0;
    require(recv(fd, &byte, 1, 0) == 0, "end of file");
    close(fd);
}

static void echo(int connections, int messages, int size, int pause)
{
    int *fds;

    pause_for(pause);
    fds = dial_all(connections);
    for (int i = 0; i < messages; i++) {
        if (i == messages / 2)
            pause_for(pause);
        round_trip(fds, connections, i, size);
    }
    pause_for(pause);
    for (int i = 0; i < connections; i++)
        finish(fds[i]);
    free(fds);
}

/* Send what is accepted at once. Returns how much. */
static long push(int fd, long sent, long total)
{
    static char data[MAX_SIZE];
    long size = total - sent < MAX_SIZE ? total - sent : MAX_SIZE;
    ssize_t n;

    fill(data, 0, sent, size);
    n = send(fd, data, (size_t)size, MSG_NOSIGNAL);
    require(n >= 0 || errno == EAGAIN, "send");
    return n < 0 ? 0 : n;
}

/* Send without reading until the server has stopped to take anything. Returns how much it was. */
static long push_until_stalled(int fd, long total)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    long sent = 0;

    while (sent < total && poll(&writable, 1, 200) == 1)
        sent += push(fd, sent, total);
    return sent;
}

static void slow(long total)
{
    int fd = dial(0), small = 65536;
    long sent, received = 0;
    ssize_t n = -1;
    char data[4096];

    /* So that the kernel does not keep most of it on our behalf. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    set_nonblocking(fd);
    sent = push_until_stalled(fd, total);
    require(sent < total, "the server took everything while nobody read");
    printf("stalled after %ld bytes\n", sent);
    while (n != 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        if (sent < total)
            ready.events |= POLLOUT;
        require(poll(&ready, 1, -1) == 1, "poll");
        if (ready.revents & POLLOUT) {
            sent += push(fd, sent, total);
            if (sent == total)
                require(shutdown(fd, SHUT_WR) == 0, "shutdown");
        }
        if (ready.revents & POLLIN) {
            n = recv(fd, data, sizeof data, 0);
            require(n >= 0, "recv");
            expect(data, 0, received, n);
            received += n;
        }
    }
    errno = 0;
    require(received == total, "not all came back");
    close(fd);
}

static void reset(long total)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int fd = dial(0);

    set_nonblocking(fd);
    push_until_stalled(fd, total);
    require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0, "SO_LINGER");
    close(fd);
}

static void idle(int connections)
{
    struct rlimit limit;
    char byte;

    require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if it was too low, socket fails */
    free(dial_all(connections));
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

static void crowd(int connections)
{
    int *fds = dial_all(connections);
    char byte;

    for (int i = 0; i < connections; i++)
        require(read(fds[i], &byte, 1) == 1, "answer");
    free(fds);
}

static void datagrams(int number, int size)
{
    static char data[MAX_SIZE];
    const int at_once = size > 10000 ? 1 : 10; /* as many as the buffers of sockets have room for */
    int fd = socket(server->ai_family, SOCK_DGRAM, 0);

    require(fd >= 0 && connect(fd, server->ai_addr, server->ai_addrlen) == 0, "connect");
    for (int i = 0; i < number; i += at_once) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};

        for (int j = i; j < i + at_once; j++) {
            fill(data, j, 0, size);
            require(send(fd, data, (size_t)size, 0) == size, "send");
        }
        for (int j = i; j < i + at_once; j++) {
            errno = 0;
            require(poll(&readable, 1, 5000) == 1, "a datagram was lost");
            require(recv(fd, data, sizeof data, 0) == size, "recv");
            expect(data, j, 0, size);
        }
    }
    close(fd);
}

/* Do one line of a script with the connection that it is about. */
static void act(FILE **connection, char verb, const char *text)
{
    char answer[1024];

    if (!*connection) {
        *connection = fdopen(dial(0), "r+");
        require(*connection != NULL, "fdopen");
    }
    if (verb == '>') {
        send_all(fileno(*connection), text, strlen(text));
    } else if (verb == '<') {
        errno = 0;
        require(fgets(answer, sizeof answer, *connection) != NULL, "a line");
        if (strcmp(answer, text) != 0)
            fprintf(stderr, "got: %sinstead of: %s", answer, text);
        require(strcmp(answer, text) == 0, "another line came");
    } else {
        fclose(*connection);
        *connection = NULL;
    }
}

static void script(void)
{
    static FILE *connections[100];
    char line[1024];

    while (fgets(line, sizeof line, stdin)) {
        char *verb = line + strspn(line, "0123456789");

        act(&connections[atoi(line) % 100], *verb, verb + 1);
    }
}

static void usage(void)
{
    fprintf(stderr, "usage: client HOST:PORT VERB [NUMBER...], see %s\n", __FILE__);
    exit(2);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    long number[4] = {0};

    for (int i = 3; i < argc && i < 7; i++)
        number[i - 3] = atol(argv[i]);
    if (argc > 2)
        find_server(argv[1]);

    if (strcmp(verb, "talk") == 0 && argc == 3)
        talk();
    else if (strcmp(verb, "echo") == 0 && argc >= 6 && number[2] <= MAX_SIZE)
        echo((int)number[0], (int)number[1], (int)number[2], (int)number[3]);
    else if (strcmp(verb, "slow") == 0 && argc == 4)
        slow(number[0]);
    else if (strcmp(verb, "reset") == 0 && argc == 4)
        reset(number[0]);
    else if (strcmp(verb, "idle") == 0 && argc == 4)
        idle((int)number[0]);
    else if (strcmp(verb, "crowd") == 0 && argc == 4)
        crowd((int)number[0]);
    else if (strcmp(verb, "udp") == 0 && argc == 5 && number[1] <= MAX_SIZE)
        datagrams((int)number[0], (int)number[1]);
    else if (strcmp(verb, "script") == 0 && argc == 3)
        script();
    else
        usage();

    freeaddrinfo(server);
    require(fflush(stdout) == 0, "standard output");
    return 0;
}
