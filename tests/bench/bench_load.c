/* SPDX-License-Identifier: MIT
 *
 * The load for an echo server: starts it on the first core, and from the last core keeps one
 * message under way on each of many connections. Every message is compared with its echo.
 *
 *   bench_load [-c CONNECTIONS] [-s BYTES] [-t SECONDS | -m MESSAGES] [-l LABEL] SERVER [ARGUMENT…]
 *
 * With -m exactly so many messages are sent and nothing is reported: for counting what the server
 * does. The server prints a line that ends in its port, and exits with status 0 when its last
 * connection has ended. Its CPU time is read from the outside, over the time that is measured only.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    size_t sent, received; /* of the message under way */
    int64_t start;
    char *message;
    bool waits_for_room;
};

struct server {
    pid_t pid;
    clockid_t cpu;
    int port;
};

struct load {
    long connections, messages;
    size_t size;
    double seconds;
    const char *label;
    int poller;
    struct connection *connection;
    long left;      /* messages still to be sent, if they are counted */
    long underway;  /* connections with a message */
    bool measuring; /* record latencies */
    uint32_t *latencies;
    long answered, room;
};

static char answer[1 << 20];

static void start_server(struct server *server, char **command)
{
    int out[2];
    char line[256];
    FILE *from;

    bench_check(pipe2(out, O_CLOEXEC) == 0, "pipe2");
    server->pid = fork();
    bench_check(server->pid >= 0, "fork");
    if (server->pid == 0) {
        bench_pin(false);
        dup2(out[1], STDOUT_FILENO);
        execvp(command[0], command);
        bench_check(false, command[0]);
    }
    close(out[1]);
    from = fdopen(out[0], "r");
    bench_check(from != NULL && fgets(line, sizeof line, from) != NULL, "the server's first line");
    bench_check(strrchr(line, ':') != NULL, "the server's port");
    server->port = atoi(strrchr(line, ':') + 1);
    bench_check(clock_getcpuclockid(server->pid, &server->cpu) == 0, "clock_getcpuclockid");
}

static void join_server(const struct server *server)
{
    int status;

    bench_check(waitpid(server->pid, &status, 0) == server->pid, "waitpid");
    bench_check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server's exit status");
}

static int64_t cpu_time(const struct server *server)
{
    struct timespec time;

    bench_check(clock_gettime(server->cpu, &time) == 0, "the server's CPU time");
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void connect_to(struct load *load, struct connection *connection, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_check(connection->fd >= 0, "socket");
    bench_check(connect(connection->fd, (struct sockaddr *)&address, sizeof address) == 0,
                "connect");
    bench_check(fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
    bench_check(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0,
                "TCP_NODELAY");
    bench_check(epoll_ctl(load->poller, EPOLL_CTL_ADD, connection->fd, &event) == 0, "epoll_ctl");
    connection->message = bench_alloc(1, load->size);
    for (size_t i = 0; i < load->size; i++)
        connection->message[i] = (char)bench_random();
}

static void wait_for_room(const struct load *load, struct connection *connection, bool wait)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    if (wait)
        event.events |= EPOLLOUT;
    connection->waits_for_room = wait;
    bench_check(epoll_ctl(load->poller, EPOLL_CTL_MOD, connection->fd, &event) == 0, "epoll_ctl");
}

static void send_rest(const struct load *load, struct connection *connection)
{
    size_t left = load->size - connection->sent;
    ssize_t sent = send(connection->fd, connection->message + connection->sent, left, MSG_NOSIGNAL);

    bench_check(sent >= 0 || errno == EAGAIN, "send");
    connection->sent += sent < 0 ? 0 : (size_t)sent;
    if (connection->waits_for_room != (connection->sent < load->size))
        wait_for_room(load, connection, connection->sent < load->size);
}

static void send_message(struct load *load, struct connection *connection)
{
    if (load->left == 0)
        return;
    load->left--;
    load->underway++;
    memcpy(connection->message, &load->left, sizeof load->left); /* no two are alike */
    connection->sent = connection->received = 0;
    connection->start = bench_now();
    send_rest(load, connection);
}

static void record(struct load *load, int64_t latency)
{
    if (!load->measuring)
        return;
    if (load->answered == load->room) {
        load->room = load->room ? 2 * load->room : 1 << 20;
        load->latencies = realloc(load->latencies, (size_t)load->room * sizeof *load->latencies);
        bench_check(load->latencies != NULL, "out of memory");
    }
    load->latencies[load->answered++] = (uint32_t)latency;
}

static void receive(struct load *load, struct connection *connection)
{
    size_t left = load->size - connection->received;
    ssize_t got = recv(connection->fd, answer, left, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    bench_check(got > 0, "the server must not close a connection");
    bench_check(memcmp(answer, connection->message + connection->received, (size_t)got) == 0,
                "an echo must equal the message");
    connection->received += (size_t)got;
    if (connection->received < load->size)
        return;
    load->underway--;
    record(load, bench_now() - connection->start);
    send_message(load, connection);
}

static void run_until(struct load *load, int64_t end)
{
    struct epoll_event events[256];

    while (load->underway > 0 && bench_now() < end) {
        int count = epoll_wait(load->poller, events, 256, 10000);

        bench_check(count > 0, "the server must answer within 10 s");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                send_rest(load, connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                receive(load, connection);
        }
    }
}

static int compare_latencies(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void measure(struct load *load, const struct server *server)
{
    int64_t warm = (int64_t)(load->seconds * 1e9 / 5), start, end, cpu;
    char n[32];
    size_t count;

    run_until(load, bench_now() + warm);
    load->measuring = true;
    start = bench_now();
    cpu = cpu_time(server);
    run_until(load, start + (int64_t)(load->seconds * 1e9));
    cpu = cpu_time(server) - cpu;
    end = bench_now();

    load->measuring = false;
    count = (size_t)load->answered;
    bench_check(count > 0, "no messages");
    qsort(load->latencies, count, sizeof *load->latencies, compare_latencies);
    snprintf(n, sizeof n, "%ldx%zu", load->connections, load->size);
    bench_result("echo-rate", load->label, n, (double)count * 1e9 / (double)(end - start), "msg/s");
    bench_result("echo-cpu", load->label, n, (double)cpu / (double)count, "ns");
    bench_result("echo-p50", load->label, n, load->latencies[count / 2] / 1e3, "us");
    bench_result("echo-p99", load->label, n, load->latencies[count * 99 / 100] / 1e3, "us");
}

static void usage(void)
{
    fputs("usage: bench_load [-c CONNECTIONS] [-s BYTES] [-t SECONDS | -m MESSAGES] [-l LABEL]\n"
          "                  SERVER [ARGUMENT…]\n",
          stderr);
    exit(2);
}

static void read_arguments(struct load *load, int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "+c:s:t:m:l:")) != -1) {
        if (option == 'c')
            load->connections = atol(optarg);
        else if (option == 's')
            load->size = (size_t)atol(optarg);
        else if (option == 't')
            load->seconds = atof(optarg);
        else if (option == 'm')
            load->messages = atol(optarg);
        else if (option == 'l')
            load->label = optarg;
        else
            usage();
    }
    if (optind == argc || load->connections < 1 || load->size < sizeof load->left ||
        load->size > sizeof answer)
        usage();
}

int main(int argc, char **argv)
{
    struct load load = {.connections = 64, .size = 64, .seconds = 0.5, .label = "server"};
    struct server server;

    read_arguments(&load, argc, argv);
    bench_raise_descriptor_limit();
    start_server(&server, argv + optind);
    bench_pin(true);
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    bench_check(load.poller >= 0, "epoll_create1");
    load.connection = bench_alloc((size_t)load.connections, sizeof *load.connection);
    for (long i = 0; i < load.connections; i++)
        connect_to(&load, &load.connection[i], server.port);

    load.left = load.messages > 0 ? load.messages : -1;
    for (long i = 0; i < load.connections; i++)
        send_message(&load, &load.connection[i]);
    if (load.messages == 0) {
        measure(&load, &server);
        load.left = 0;
    }
    run_until(&load, INT64_MAX);
    for (long i = 0; i < load.connections; i++)
        close(load.connection[i].fd);
    join_server(&server);
    return 0;
}
