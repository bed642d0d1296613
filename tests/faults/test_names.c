/* SPDX-License-Identifier: MIT
 *
 * Names that are looked up while system calls fail: in a file, at a name server on the same loop,
 * over UDP and TCP, and by the system. The server's own calls do not fail.
 */
#include "faults.h"

#include "support.h"

#include <juggle.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---------------------------------------------------------------- a name server */

enum { HEADER = 12, TRUNCATED = 2, OF_ADDRESS = 1 };

struct server {
    struct sockaddr_in address;
    jg_watcher udp, listener, stream;
    int fds[3];         /* of these; -1: none */
    uint8_t query[512]; /* over TCP, with its length before it */
    size_t received;
};

static const uint8_t address_record[] = {0xc0, HEADER, 0, OF_ADDRESS, 0,   1, 0, 0,
                                         0,    60,     0, 4,          127, 0, 0, 1};

/* Answer a query: every name has one address of the fourth version. Returns the size. */
static size_t answer(const uint8_t *query, bool stream, uint8_t *reply)
{
    size_t size = HEADER;
    bool asks_for_it;

    while (query[size] > 0)
        size += query[size] + 1u;
    size += 5;
    asks_for_it = query[size - 3] == OF_ADDRESS;
    memcpy(reply, query, size);
    memset(reply + 2, 0, HEADER - 2);
    reply[2] = 0x80;
    reply[5] = 1;
    if (query[HEADER + 1] == 'l' && !stream) /* it is long */
        reply[2] |= TRUNCATED;
    else if (asks_for_it) {
        reply[7] = 1;
        memcpy(reply + size, address_record, sizeof(address_record));
        size += sizeof(address_record);
    }
    return size;
}

static void on_datagram(void *arg, int events)
{
    struct server *server = arg;
    struct sockaddr_in peer;
    socklen_t peer_size = sizeof(peer);
    uint8_t query[512], reply[512];

    if (events < 0 || recvfrom(server->fds[0], query, sizeof(query), MSG_DONTWAIT,
                               (struct sockaddr *)&peer, &peer_size) < HEADER)
        return;
    (void)sendto(server->fds[0], reply, answer(query, false, reply), 0, (struct sockaddr *)&peer,
                 peer_size);
}

/* The i-th of the descriptors. */
static void close_watched(struct server *server, int i)
{
    jg_watcher *const watchers[] = {&server->udp, &server->listener, &server->stream};

    if (server->fds[i] >= 0 && jg_watcher_close(watchers[i]) < 0)
        (void)close(server->fds[i]); /* watching it had failed */
    server->fds[i] = -1;
}

static void on_bytes(void *arg, int events)
{
    struct server *server = arg;
    int fd = server->fds[2];
    uint8_t reply[512];
    ssize_t n = -1;
    size_t size;

    if (events > 0)
        n = recv(fd, server->query + server->received, sizeof(server->query) - server->received, 0);
    if (n > 0) {
        server->received += (size_t)n;
        if (server->received < 2 || server->received < 2u + server->query[1])
            return;
        size = answer(server->query + 2, true, reply + 2);
        reply[0] = 0;
        reply[1] = (uint8_t)size;
        (void)send(fd, reply, size + 2, MSG_NOSIGNAL);
    }
    close_watched(server, 2);
}

static void on_connection(void *arg, int events)
{
    struct server *server = arg;
    int fd;

    if (events < 0 || server->fds[2] >= 0)
        return;
    fd = accept4(server->fds[1], NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    server->received = 0;
    server->fds[2] = fd;
    if (jg_watcher_start(server->listener.handle.loop, &server->stream, fd, JG_READ) < 0)
        close_watched(server, 2);
}

static int bound_socket(int type, struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    test_check(fd >= 0 && bind(fd, (struct sockaddr *)address, size) == 0);
    test_check(getsockname(fd, (struct sockaddr *)address, &size) == 0);
    return fd;
}

static int open_server(struct server *server, jg_loop *loop)
{
    const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    int r;

    *server = (struct server){
        .address = {.sin_family = AF_INET, .sin_addr = loopback},
        .fds = {-1, -1, -1},
    };
    server->fds[1] = bound_socket(SOCK_STREAM, &server->address);
    server->fds[0] = bound_socket(SOCK_DGRAM, &server->address);
    test_check(listen(server->fds[1], 5) == 0);
    jg_watcher_init(&server->udp, on_datagram, server);
    jg_watcher_init(&server->listener, on_connection, server);
    jg_watcher_init(&server->stream, on_bytes, server);
    r = jg_watcher_start(loop, &server->udp, server->fds[0], JG_READ);
    return r < 0 ? r : jg_watcher_start(loop, &server->listener, server->fds[1], JG_READ);
}

static void close_server(struct server *server)
{
    for (int i = 0; i < 3; i++)
        close_watched(server, i);
}

/* ---------------------------------------------------------------- names */

struct look_up {
    const char *name;
    jg_resolve_options options;
    jg_address server;
};

static int look_up(void *arg)
{
    struct look_up *state = arg;
    jg_address addresses[4], expected;
    int r = jg_resolve(state->name, 80, &state->options, addresses, 4);

    if (r < 0)
        return r;
    test_check(jg_address_parse("127.0.0.1:80", &expected) == 0);
    return r == 1 && jg_address_equal(&addresses[0], &expected) ? 0 : JG_ENOADDRESS;
}

static int ask_server(void *arg)
{
    struct look_up *state = arg;
    struct server server;
    int r = open_server(&server, fault_loop());

    if (r == 0) {
        state->server.size = sizeof(server.address);
        memcpy(state->server.storage, &server.address, sizeof(server.address));
        r = look_up(state);
    }
    close_server(&server);
    return r;
}

/* ---------------------------------------------------------------- the runs */

/* What is tried once more, and what then may be the end of it. */
#define AGAIN " socket connect epoll_ctl send recv getentropy "
static const int unanswered[] = {JG_ETRYAGAIN, JG_ENAMEFAIL, JG_ENONAME, JG_ENOADDRESS, 0};

static void try_all(void **state)
{
    static struct look_up file = {.name = "last"}, udp = {.name = "short"}, tcp = {.name = "long"},
                          system = {.name = "name"}, local = {.name = "name.local"};
    static char path[64];
    const struct fault_scenario table[] = {
        {"hosts", look_up, &file, .unheard = " close "},
        {"UDP", ask_server, &udp, .consequences = unanswered, .unheard = " close " AGAIN},
        {"TCP", ask_server, &tcp, .consequences = unanswered, .unheard = " close " AGAIN},
        {"bad times", ask_server, &udp, .consequences = unanswered, .unheard = " close " AGAIN,
         .times = 20},
        {"low descriptors", ask_server, &tcp, .consequences = unanswered,
         .unheard = " close fcntl " AGAIN, .low = true},
        {"as configured", look_up, &local, .consequences = unanswered, .unheard = " close "},
        {"the system", look_up, &system, .consequences = unanswered, .unheard = " close "},
    };
    FILE *hosts;
    bool good;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/juggle-faults-%d", (int)getpid());
    hosts = fopen(path, "we");
    assert_true(hosts && fputs("::1 first\n127.0.0.1 last\n", hosts) >= 0 && fclose(hosts) == 0);
    file.options = (jg_resolve_options){.hosts = path};
    udp.options = (jg_resolve_options){
        .config = "/dev/null", .hosts = "/dev/null", .servers = &udp.server, .server_count = 1};
    tcp.options = udp.options;
    tcp.options.servers = &tcp.server;
    local.options =
        (jg_resolve_options){.hosts = "/dev/null"}; /* which "local" is the system's by */
    system.options = (jg_resolve_options){.hosts = "/dev/null", .way = JG_RESOLVE_SYSTEM};
    good = fault_each(table, sizeof(table) / sizeof(table[0]));
    (void)unlink(path);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_names", tests, NULL, NULL);
}
