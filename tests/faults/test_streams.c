/* SPDX-License-Identifier: MIT
 *
 * Streams on sockets and pipes, datagrams and files, whose system calls fail.
 */
#include "faults.h"

#include "support.h"

#include <juggle.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUCH = 300000 };

static char much[MUCH];
static FILE *much_in_a_file; /* without a name */

static void make_much(void)
{
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)(i * 7 + i / 256);
    much_in_a_file = tmpfile();
    assert_non_null(much_in_a_file);
    assert_int_equal(fwrite(much, 1, MUCH, much_in_a_file), MUCH);
    assert_int_equal(fflush(much_in_a_file), 0);
}

/* ---------------------------------------------------------------- much, both ways */

/* Two streams, the second of which may be the first one. */
struct flow {
    jg_stream from, to;
    int written;
    char path[64];
};

/* More than fits, in each of the ways to write. */
static int write_much(void *arg)
{
    struct flow *flow = arg;
    const size_t third = MUCH / 3;
    int r = jg_stream_write(&flow->from, much, third);

    if (r == 0)
        r = jg_stream_drain(&flow->from);
    if (r == 0)
        r = jg_stream_write_all(&flow->from, much + third, third, NULL);
    if (r == 0)
        r = jg_stream_write(&flow->from, much + 2 * third, MUCH - 2 * third);
    if (r == 0)
        r = jg_stream_drain(&flow->from);
    flow->written = r == 0 ? jg_stream_close(&flow->from, JG_SECOND) : r;
    jg_stream_abort(&flow->from);
    return flow->written == -EPIPE || flow->written == -ECONNRESET ? 0 : flow->written;
}

static int read_much(struct flow *flow)
{
    static char got[MUCH + 1];
    size_t count = 0;
    int r = jg_stream_read_exactly(&flow->to, got, sizeof(got), &count);

    test_check(memcmp(got, much, count) == 0);
    if (r != JG_EINCOMPLETE)
        return r;
    return count == MUCH ? 0 : flow->written < 0 ? flow->written : JG_EINCOMPLETE;
}

static int open_both(struct flow *flow, const int fds[2])
{
    int r = jg_stream_open(&flow->to, fault_loop(), fds[0], NULL);

    if (r < 0) {
        close(fds[0]);
        close(fds[1]);
        return r;
    }
    r = jg_stream_open(&flow->from, fault_loop(), fds[1], NULL);
    if (r < 0) {
        jg_stream_abort(&flow->to);
        close(fds[1]);
    }
    return r;
}

static int let_flow(struct flow *flow)
{
    jg_scope scope;
    int r;

    flow->written = 0;
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, write_much, flow, NULL);
    if (r == 0)
        r = read_much(flow);
    jg_stream_abort(&flow->to);
    r = jg_scope_leave(&scope, r);
    jg_stream_abort(&flow->from);
    return r < 0 ? r : flow->written;
}

static int flow_through_a_socket(void *arg)
{
    int fds[2], r;

    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    r = open_both(arg, fds);
    return r < 0 ? r : let_flow(arg);
}

static int flow_through_a_pipe(void *arg)
{
    int fds[2], r;

    test_check(pipe2(fds, O_CLOEXEC) == 0);
    r = open_both(arg, fds);
    return r < 0 ? r : let_flow(arg);
}

/* Both ends are somebody else's, too. */
static int flow_through_a_shared_pipe(void *arg)
{
    struct flow *flow = arg;
    int fds[2], r;

    test_check(pipe2(fds, O_CLOEXEC) == 0);
    r = jg_stream_open_shared(&flow->to, fault_loop(), fds[0], NULL);
    close(fds[0]);
    if (r == 0) {
        r = jg_stream_open_shared(&flow->from, fault_loop(), fds[1], NULL);
        if (r < 0)
            jg_stream_abort(&flow->to);
    }
    close(fds[1]);
    return r < 0 ? r : let_flow(flow);
}

/* The same, opened such that there is no way to open it again. */
static int flow_through_a_shared_socket(void *arg)
{
    struct flow *flow = arg;
    int fds[2], r;

    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    r = jg_stream_open_shared(&flow->to, fault_loop(), fds[0], NULL);
    close(fds[0]);
    if (r == 0) {
        r = jg_stream_open_shared(&flow->from, fault_loop(), fds[1], NULL);
        if (r < 0)
            jg_stream_abort(&flow->to);
    }
    close(fds[1]);
    return r < 0 ? r : let_flow(flow);
}

/* ---------------------------------------------------------------- files */

/* Make one, look at it, give it another name, and take it away. */
static int use_a_file(void *arg)
{
    struct flow *flow = arg;
    char got[500], other[80];
    jg_file_info info;
    int fd, r, closed;

    snprintf(other, sizeof(other), "%s.other", flow->path);
    fd = jg_file_open(flow->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return fd;

    r = jg_file_write(fd, much, 1000, 0);
    test_check(r <= 0 || r == 1000);
    if (r > 0)
        r = jg_file_write(fd, much, 10, JG_FILE_POSITION);
    if (r > 0)
        r = jg_file_sync(fd);
    if (r == 0)
        r = jg_file_truncate(fd, 500);
    if (r == 0)
        r = jg_file_stat(fd, NULL, &info);
    if (r == 0)
        r = jg_file_read(fd, got, 500, 0);
    test_check(r <= 0 || (r == 500 && info.size == 500 && memcmp(got, much, 500) == 0));
    if (r > 0)
        r = jg_file_read(fd, got, 500, 500);
    if (r == 0)
        r = jg_file_read(fd, got, 5, JG_FILE_POSITION);
    closed = jg_file_close(fd);
    if (r > 0)
        r = closed;
    if (r == 0)
        r = jg_file_rename(flow->path, other);
    if (r == 0)
        r = jg_file_stat(-1, other, &info);
    if (r == 0)
        r = jg_file_unlink(other);
    return r;
}

static void unlink_both(void *arg)
{
    const struct flow *flow = arg;
    char other[80];

    snprintf(other, sizeof(other), "%s.other", flow->path);
    (void)unlink(other);
    (void)unlink(flow->path);
}

/* ---------------------------------------------------------------- files to streams */

static int send_much(void *arg)
{
    struct flow *flow = arg;
    size_t sent = 0;
    int fd = fcntl(fileno(much_in_a_file), F_DUPFD_CLOEXEC, 3);

    test_check(fd >= 0);
    flow->written = jg_sendfile(&flow->from, fd, 0, MUCH, &sent);
    close(fd);
    if (flow->written == 0) {
        test_check(sent == MUCH);
        flow->written = jg_stream_close(&flow->from, JG_SECOND);
    }
    jg_stream_abort(&flow->from);
    return flow->written == -EPIPE || flow->written == -ECONNRESET ? 0 : flow->written;
}

static int send_a_file(void *arg)
{
    struct flow *flow = arg;
    int fds[2], r;
    jg_scope scope;

    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    r = open_both(flow, fds);
    if (r < 0)
        return r;

    flow->written = 0;
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, send_much, flow, NULL);
    if (r == 0)
        r = read_much(flow);
    jg_stream_abort(&flow->to);
    r = jg_scope_leave(&scope, r);
    jg_stream_abort(&flow->from);
    return r < 0 ? r : flow->written;
}

/* As a stream. */
static int read_a_file(void *arg)
{
    struct flow *flow = arg;
    int r, fd = fcntl(fileno(much_in_a_file), F_DUPFD_CLOEXEC, 3);

    test_check(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
    r = jg_stream_open(&flow->to, fault_loop(), fd, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    flow->written = 0;
    r = read_much(flow);
    jg_stream_abort(&flow->to);
    return r;
}

/* ---------------------------------------------------------------- descriptors */

static int pass(jg_passing *passing, jg_stream *stream)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r;

    test_check(fd >= 0);
    r = jg_passing_send(passing, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    return jg_stream_write(stream, "ab", 2);
}

static int pass_descriptors(void *arg)
{
    struct flow *flow = arg;
    jg_passing sender, receiver;
    jg_credentials credentials;
    char got[4];
    size_t count;
    int fds[2], r, fd;

    test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    r = open_both(flow, fds);
    if (r < 0)
        return r;

    r = jg_passing_open(&sender, &flow->from);
    if (r == 0)
        r = jg_passing_open(&receiver, &flow->to);
    if (r == 0)
        r = jg_stream_credentials(&flow->to, &credentials);
    for (int i = 0; i < 2 && r == 0; i++)
        r = pass(&sender, &flow->from);
    if (r == 0)
        r = jg_stream_close(&flow->from, JG_SECOND);
    if (r == 0)
        r = jg_stream_read_exactly(&flow->to, got, 4, &count);
    for (int i = 0; i < 2 && r == 0; i++) {
        fd = jg_passing_receive(&receiver);
        r = fd < 0 ? fd : 0;
        if (fd >= 0)
            close(fd);
    }
    jg_stream_abort(&flow->from);
    jg_stream_abort(&flow->to);
    return r;
}

/* ---------------------------------------------------------------- datagrams */

enum { BATCH = 20 };

static int open_pair(jg_udp *a, jg_udp *b)
{
    const jg_udp_options options = {.broadcast = true, .hops = 1, .receive_buffer = 100000};
    jg_address local, peer;
    int r;

    test_check(jg_address_parse("127.0.0.1:0", &local) == 0);
    r = jg_udp_open(a, fault_loop(), &local, NULL, &options);
    if (r < 0)
        return r;
    r = jg_udp_address(a, &peer);
    if (r == 0)
        r = jg_udp_open(b, fault_loop(), &local, &peer, NULL);
    if (r < 0)
        jg_udp_close(a);
    return r;
}

/* Some at a time, as many as the system takes. */
static int send_batch(jg_udp *udp, jg_datagram *datagrams)
{
    int sent = 0, r = 0;

    while (sent < BATCH) {
        r = jg_udp_send(udp, datagrams + sent, (size_t)(BATCH - sent));
        if (r < 0)
            return r;
        sent += r;
    }
    return 0;
}

static int receive_batch(jg_udp *udp, jg_datagram *datagrams)
{
    int got = 0;

    while (got < BATCH) {
        int r = jg_udp_receive(udp, datagrams + got, (size_t)(BATCH - got));

        if (r < 0)
            return r;
        for (int i = 0; i < r; i++, got++)
            test_check(datagrams[got].size == 1 && *(char *)datagrams[got].data == 'a' + got);
    }
    return 0;
}

static int send_datagrams(void *arg)
{
    char texts[BATCH], room[BATCH];
    jg_datagram sent[BATCH] = {{.size = 0}}, got[BATCH] = {{.size = 0}};
    jg_udp a, b;
    int r = open_pair(&a, &b);

    (void)arg;
    if (r < 0)
        return r;

    for (int i = 0; i < BATCH; i++) {
        texts[i] = (char)('a' + i);
        sent[i] = (jg_datagram){.data = &texts[i], .size = 1};
        got[i] = (jg_datagram){.data = &room[i], .capacity = 1};
    }
    r = send_batch(&b, sent);
    if (r == 0)
        r = receive_batch(&a, got);
    for (int i = 0; i < BATCH; i++)
        sent[i].address = got[i].address;
    if (r == 0)
        r = jg_udp_send(&a, sent, 1);
    if (r > 0)
        r = jg_udp_receive(&b, got, 1);
    jg_udp_close(&a);
    jg_udp_close(&b);
    return r < 0 ? r : 0;
}

/* Sockets with all their options, in groups that nobody else is in. */
static int join_group(const char *local_text, const char *group_text)
{
    const jg_udp_options options = {.reuse_address = true,
                                    .reuse_port = true,
                                    .v6_only = true,
                                    .no_loop = true,
                                    .hops = 1,
                                    .send_buffer = 100000};
    jg_address local, group;
    jg_udp udp;
    int r;

    test_check(jg_address_parse(local_text, &local) == 0 &&
               jg_address_parse(group_text, &group) == 0);
    r = jg_udp_open(&udp, fault_loop(), &local, NULL, &options);
    if (r < 0)
        return r;
    r = jg_udp_join(&udp, &group, 1);
    if (r == 0)
        r = jg_udp_leave(&udp, &group, 1);
    jg_udp_close(&udp);
    return r;
}

static int join_groups(void *arg)
{
    int r = join_group("0.0.0.0:0", "239.1.2.3");

    (void)arg;
    return r < 0 ? r : join_group("[::]:0", "ff01::1:2");
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* There may be no such address family here, or no loopback to join a group on. */
static bool has_groups(void)
{
    struct ipv6_mreq six = {.ipv6mr_interface = 1};
    struct group_req four = {.gr_interface = 1};
    int fds[2] = {socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET6, SOCK_DGRAM, 0)};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool has;

    (void)inet_pton(AF_INET, "239.1.2.3", &in.sin_addr);
    (void)inet_pton(AF_INET6, "ff01::1:2", &six.ipv6mr_multiaddr);
    memcpy(&four.gr_group, &in, sizeof(in));
    has = setsockopt(fds[0], IPPROTO_IP, MCAST_JOIN_GROUP, &four, sizeof(four)) == 0 &&
          setsockopt(fds[1], IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)) == 0;
    close(fds[0]);
    close(fds[1]);
    return has;
}

/* ---------------------------------------------------------------- the runs */

/* Without a thread it is read all the same, and blocks. */
#define THREADS " pthread_mutex_init pthread_cond_init pthread_create "

static void try_all(void **state)
{
    static struct flow flow;
    struct fault_scenario table[] = {
        {"much through a socket", flow_through_a_socket, .unheard = " getsockopt close "},
        {"much through a pipe", flow_through_a_pipe, .unheard = " close fstat "},
        {"much from a file", read_a_file, .unheard = " close fstat " THREADS},
        {"a shared pipe", flow_through_a_shared_pipe, .unheard = " close open fstat "},
        {"a shared socket", flow_through_a_shared_socket, .unheard = " close "},
        {"descriptors", pass_descriptors, .unheard = " close "},
        {"low descriptors", pass_descriptors, .unheard = " close fcntl ", .low = true},
        {"bad times", flow_through_a_socket, .unheard = " getsockopt close ", .times = 20},
        {"datagrams", send_datagrams, .unheard = " setsockopt close "},
        {"groups", has_groups() ? join_groups : do_nothing, .unheard = " close "},
        {"a file", use_a_file, .unheard = " close ", .after = unlink_both},
        {"sendfile", send_a_file, .unheard = " getsockopt close "},
    };
    bool good;

    (void)state;
    make_much();
    snprintf(flow.path, sizeof(flow.path), "/tmp/juggle-faults-%d", (int)getpid());
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        table[i].arg = &flow;
        table[i].consequences = fault_of_peer;
    }
    good = fault_each(table, sizeof(table) / sizeof(table[0]));
    fclose(much_in_a_file);
    unlink_both(&flow);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(try_all)};

    return cmocka_run_group_tests_name("faults_streams", tests, NULL, NULL);
}
