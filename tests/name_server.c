/* SPDX-License-Identifier: MIT */
#include "name_server.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Write a name as on the wire. Returns its size. */
static int put_name(uint8_t *to, const char *name)
{
    jg__dns_question question;

    assert_int_equal(jg__dns_ask(&question, name, 1), 0);
    memcpy(to, question.name, (size_t)question.size);
    return question.size;
}

static int put_record(uint8_t *to, const char *owner, int type, const uint8_t *data, int size)
{
    const uint8_t fixed[] = {0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)size};
    int at = put_name(to, owner);

    memcpy(to + at, fixed, sizeof(fixed));
    memcpy(to + at + sizeof(fixed), data, (size_t)size);
    return at + (int)sizeof(fixed) + size;
}

/* The name that is asked for, as text. Returns the offset behind the question. */
static int get_name(const uint8_t *query, char *name)
{
    int at = 12;

    while (query[at] > 0) {
        memcpy(name, query + at + 1, query[at]);
        name += query[at];
        *name++ = '.';
        at += query[at] + 1;
    }
    name[-1] = '\0';
    return at + 5;
}

static const struct name_rule *find_rule(const struct name_server *server, const char *name,
                                         int type)
{
    static const struct name_rule none = {.code = JG__DNS_NXDOMAIN};

    for (size_t i = 0; i < server->rule_count; i++) {
        const struct name_rule *rule = &server->rules[i];

        if (strcmp(rule->name, name) == 0 && (rule->type == 0 || rule->type == type))
            return rule;
    }
    return &none;
}

static int put_addresses(uint8_t *to, const struct name_rule *rule, const char *name, int type)
{
    const char *owner = rule->alias ? rule->alias : name;
    uint8_t alias[JG__DNS_NAME];
    int at = 0;

    if (rule->alias)
        at += put_record(to + at, name, 5, alias, put_name(alias, rule->alias));
    for (int i = 1; i <= rule->count; i++) {
        uint8_t v4[4] = {127, 0, 0, (uint8_t)i}, v6[16] = {[15] = (uint8_t)i};

        at += type == JG__DNS_A ? put_record(to + at, owner, type, v4, 4)
                                : put_record(to + at, owner, type, v6, 16);
    }
    return at;
}

/* Returns the size of the reply, 0 for none. */
static int reply_to(struct name_server *server, const uint8_t *query, bool stream, uint8_t *reply,
                    const struct name_rule **ret_rule)
{
    char name[300];
    int at = get_name(query, name);
    const int type = query[at - 3];
    const struct name_rule *rule = find_rule(server, name, type);
    const bool edns = query[11] > 0;
    const int code = edns && rule->flags & NO_EDNS ? JG__DNS_FORMERR : rule->code;

    server->queries++;
    server->stream_queries += stream;
    if (type == JG__DNS_A)
        snprintf(server->asked + strlen(server->asked), 100, "%.90s ", name);
    *ret_rule = rule;
    if (rule->flags & SILENT)
        return 0;

    memcpy(reply, query, (size_t)at);
    memset(reply + 6, 0, 6);
    reply[2] = 0x81;
    reply[3] = (uint8_t)(0x80 | code);
    if (rule->flags & BROKEN) {
        reply[7] = 1;
        reply[at] = 0xc0;
        reply[at + 1] = (uint8_t)at;
        memset(reply + at + 2, 0, 14);
        return at + 16;
    }
    if (rule->flags & TRUNCATED && !stream)
        reply[2] |= 0x02;
    else if (code == 0) {
        reply[7] = (uint8_t)(rule->count + (rule->alias != NULL));
        at += put_addresses(reply + at, rule, name, type);
    }
    return at;
}

static void on_datagram(void *arg, int events)
{
    struct name_server *server = arg;
    const int fd = server->udp.handle.number;
    uint8_t query[512], reply[4096], bad[4096];
    jg_address peer;
    socklen_t size = sizeof(peer.storage);
    const struct name_rule *rule;
    int length, other;
    char name[300];

    test_check(events == JG_READ);
    if (recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)peer.storage, &size) < 0)
        return;
    length = reply_to(server, query, false, reply, &rule);
    if (length == 0)
        return;

    memcpy(bad, reply, sizeof(bad));
    bad[length - 1] = 66; /* the last byte of an address */
    if (rule->flags & WRONG_ID) {
        bad[0] ^= 1;
        (void)sendto(fd, bad, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
        bad[0] ^= 1;
    }
    if (rule->flags & WRONG_NAME) {
        bad[13] ^= 1;
        (void)sendto(fd, bad, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
        bad[13] ^= 1;
    }
    if (rule->flags & WRONG_TYPE) {
        const int type = get_name(query, name) - 3;

        bad[type] ^= JG__DNS_A ^ JG__DNS_AAAA;
        (void)sendto(fd, bad, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
        bad[type] ^= JG__DNS_A ^ JG__DNS_AAAA;
    }
    if (rule->flags & WRONG_SOURCE) {
        other = socket(AF_INET, SOCK_DGRAM, 0);
        (void)sendto(other, bad, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
        close(other);
    }
    (void)sendto(fd, reply, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
}

static void on_stream(void *arg, int events)
{
    struct name_server *server = arg;
    const int fd = server->stream.handle.number;
    uint8_t query[512], reply[4096];
    const struct name_rule *rule;
    ssize_t n = recv(fd, query, sizeof(query), 0);
    int length;

    (void)events;
    if (n < 14) {
        jg_watcher_close(&server->stream);
        return;
    }
    test_check(n == 2 + (query[0] << 8 | query[1]));
    length = reply_to(server, query + 2, true, reply + 2, &rule);
    if (length == 0 || rule->flags & MUTE)
        return;
    reply[2] ^= rule->flags & LIE ? 1 : 0;
    reply[0] = (uint8_t)(length >> 8);
    reply[1] = (uint8_t)length;
    length += 2;
    if (rule->flags & HANG_UP) {
        (void)send(fd, reply, (size_t)length - 1, MSG_NOSIGNAL);
        jg_watcher_close(&server->stream);
        return;
    }
    if (!(rule->flags & DRIBBLE))
        (void)send(fd, reply, (size_t)length, MSG_NOSIGNAL);
    for (int i = 0; rule->flags & DRIBBLE && i < length; i++) {
        (void)send(fd, reply + i, 1, MSG_NOSIGNAL);
        usleep(50);
    }
}

static void on_connection(void *arg, int events)
{
    struct name_server *server = arg;
    int fd = accept(server->listener.handle.number, NULL, NULL);

    (void)events;
    test_check(fd >= 0);
    if (jg_handle_started(&server->stream.handle))
        jg_watcher_close(&server->stream);
    test_check(jg_watcher_start(server->loop, &server->stream, fd, JG_READ) == 0);
}

static int bind_to(struct name_server *server, int type)
{
    socklen_t size = sizeof(server->address.storage);
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)server->address.storage, server->address.size) < 0) {
        close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)server->address.storage, &size), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void watch(struct name_server *server, jg_watcher *watcher, jg_watcher_fn fn, int fd)
{
    jg_watcher_init(watcher, fn, server);
    jg_handle_unref(&watcher->handle);
    if (fd >= 0)
        assert_int_equal(jg_watcher_start(server->loop, watcher, fd, JG_READ), 0);
}

void name_server_start(struct name_server *server, jg_loop *loop, const struct name_rule *rules,
                       size_t count)
{
    int listener, udp;

    *server = (struct name_server){.loop = loop, .rules = rules, .rule_count = count};

    /* A port that is free for one of the two may not be for the other. */
    for (int tries = 0; tries < 100; tries++) {
        assert_int_equal(jg_address_parse("127.0.0.1:0", &server->address), 0);
        listener = bind_to(server, SOCK_STREAM);
        assert_true(listener >= 0);
        udp = bind_to(server, SOCK_DGRAM);
        if (udp >= 0)
            break;
        close(listener);
    }
    assert_true(udp >= 0);
    assert_int_equal(listen(listener, 8), 0);
    watch(server, &server->udp, on_datagram, udp);
    watch(server, &server->listener, on_connection, listener);
    watch(server, &server->stream, on_stream, -1);
}

void name_server_stop(struct name_server *server)
{
    jg_watcher_close(&server->udp);
    jg_watcher_close(&server->listener);
    (void)jg_watcher_close(&server->stream); /* if there is one */
}
