/* SPDX-License-Identifier: MIT
 *
 * Names: what is known at once, and our queries against scripted servers on loopback, which run on
 * the same loop. Time is virtual only where a server is silent: it must not jump while a datagram
 * is on its way.
 */
#include "support.h"
#include "world.h"

#include "io/dns_message.h"
#include "io/resolve_config.h"
#include "platform/dial.h"

#include <juggle/coro.h>
#include <juggle/resolve.h>

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* -------------------------------------------------------------- servers */

/* What a server does about a name: the flags may be combined. */
enum {
    SILENT = 1 << 0,
    TRUNCATED = 1 << 1,    /* over UDP: ask again over TCP */
    WRONG_ID = 1 << 2,     /* before the right answer, one with another id */
    WRONG_NAME = 1 << 3,   /* before it, one to another question */
    WRONG_SOURCE = 1 << 4, /* before it, one from another port */
    BROKEN = 1 << 5,       /* a name that points to itself */
    NO_EDNS = 1 << 6,      /* FORMERR for queries with EDNS */
    HANG_UP = 1 << 7,      /* over TCP: before the end of the answer */
    DRIBBLE = 1 << 8       /* over TCP: a byte at a time */
};

struct rule {
    const char *name;
    int type; /* 0: both */
    int flags;
    int code;
    int count;         /* of addresses: 127.0.0.1 and up, or ::1 and up */
    const char *alias; /* the addresses are of this name, and the name is an alias of it */
};

struct server {
    jg_loop *loop;
    jg_address address;
    const struct rule *rules;
    size_t rule_count;
    int queries, stream_queries;
    jg_watcher udp, listener, stream;
    char asked[512]; /* names, in order */
};

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

static const struct rule *find_rule(const struct server *server, const char *name, int type)
{
    static const struct rule none = {.code = JG__DNS_NXDOMAIN};

    for (size_t i = 0; i < server->rule_count; i++) {
        const struct rule *rule = &server->rules[i];

        if (strcmp(rule->name, name) == 0 && (rule->type == 0 || rule->type == type))
            return rule;
    }
    return &none;
}

static int put_addresses(uint8_t *to, const struct rule *rule, const char *name, int type)
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
static int reply_to(struct server *server, const uint8_t *query, bool stream, uint8_t *reply,
                    const struct rule **ret_rule)
{
    char name[300];
    int at = get_name(query, name);
    const int type = query[at - 3];
    const struct rule *rule = find_rule(server, name, type);
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
    struct server *server = arg;
    const int fd = server->udp.handle.number;
    uint8_t query[512], reply[4096], bad[4096];
    jg_address peer;
    socklen_t size = sizeof(peer.storage);
    const struct rule *rule;
    int length, other;

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
    if (rule->flags & WRONG_SOURCE) {
        other = socket(AF_INET, SOCK_DGRAM, 0);
        (void)sendto(other, bad, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
        close(other);
    }
    (void)sendto(fd, reply, (size_t)length, 0, (struct sockaddr *)peer.storage, size);
}

static void on_stream(void *arg, int events)
{
    struct server *server = arg;
    const int fd = server->stream.handle.number;
    uint8_t query[512], reply[4096];
    const struct rule *rule;
    ssize_t n = recv(fd, query, sizeof(query), 0);
    int length;

    (void)events;
    if (n < 14) {
        jg_watcher_close(&server->stream);
        return;
    }
    test_check(n == 2 + (query[0] << 8 | query[1]));
    length = reply_to(server, query + 2, true, reply + 2, &rule);
    if (length == 0)
        return;
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
    struct server *server = arg;
    int fd = accept(server->listener.handle.number, NULL, NULL);

    (void)events;
    test_check(fd >= 0);
    if (jg_handle_started(&server->stream.handle))
        jg_watcher_close(&server->stream);
    test_check(jg_watcher_start(server->loop, &server->stream, fd, JG_READ) == 0);
}

static int bind_to(struct server *server, int type)
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

static void watch(struct server *server, jg_watcher *watcher, jg_watcher_fn fn, int fd)
{
    jg_watcher_init(watcher, fn, server);
    jg_handle_unref(&watcher->handle);
    if (fd >= 0)
        assert_int_equal(jg_watcher_start(server->loop, watcher, fd, JG_READ), 0);
}

static void server_start(struct server *server, jg_loop *loop, const struct rule *rules,
                         size_t count)
{
    int listener, udp;

    *server = (struct server){.loop = loop, .rules = rules, .rule_count = count};

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

static void server_stop(struct server *server)
{
    jg_watcher_close(&server->udp);
    jg_watcher_close(&server->listener);
    (void)jg_watcher_close(&server->stream); /* if there is one */
}

/* -------------------------------------------------------------- fixture */

static void write_file(char path[64], const char *text)
{
    int fd;

    strcpy(path, "/tmp/juggle_resolve_XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* A loop with two servers, and files in place of the machine's. */
struct fixture {
    jg_loop *loop;
    struct server servers[2];
    jg_address addresses[2];
    char config[64], hosts[64];
    jg_resolve_options options;
    jg_address found[16];
    jg_op op;
    int calls;
};

static void setup(struct fixture *fixture, unsigned flags, const char *config,
                  const struct rule *first, size_t first_count, const struct rule *second,
                  size_t second_count)
{
    *fixture = (struct fixture){.loop = test_loop(flags)};
    server_start(&fixture->servers[0], fixture->loop, first, first_count);
    server_start(&fixture->servers[1], fixture->loop, second, second_count);
    for (int i = 0; i < 2; i++)
        fixture->addresses[i] = fixture->servers[i].address;
    write_file(fixture->config, config);
    write_file(fixture->hosts, "");
    fixture->options = (jg_resolve_options){.config = fixture->config,
                                            .hosts = fixture->hosts,
                                            .servers = fixture->addresses,
                                            .server_count = 2};
    jg_op_init(&fixture->op, fixture->loop, test_count_call, &fixture->calls);
}

#define COUNT(rules) (sizeof(rules) / sizeof((rules)[0]))
#define SETUP(fixture, config, rules) \
    setup(fixture, 0, config, rules, COUNT(rules), rules, COUNT(rules))

static void teardown(struct fixture *fixture)
{
    server_stop(&fixture->servers[0]);
    server_stop(&fixture->servers[1]);
    unlink(fixture->config);
    unlink(fixture->hosts);
    test_loop_done(fixture->loop);
}

static int start(struct fixture *fixture, const char *host)
{
    return jg_resolve_start(host, 80, &fixture->options, fixture->found, 16, &fixture->op);
}

/* Look up a name. Returns the addresses as a text, or the error. */
static const char *look_up(struct fixture *fixture, const char *host)
{
    static char text[2048];
    int calls = fixture->calls;
    int at = 0, r;

    assert_int_equal(start(fixture, host), 0);
    assert_int_equal(fixture->calls, calls);
    assert_int_equal(jg_loop_run(fixture->loop), 0);
    assert_int_equal(fixture->calls, calls + 1);
    r = jg_op_status(&fixture->op);
    if (r < 0) {
        snprintf(text, sizeof(text), "error %d", r);
        return text;
    }
    text[0] = '\0';
    for (int i = 0; i < r; i++) {
        char one[JG_ADDRESS_TEXT];

        assert_true(jg_address_format(&fixture->found[i], one, sizeof(one)) > 0);
        at += snprintf(text + at, sizeof(text) - (size_t)at, i ? " %s" : "%s", one);
    }
    return text;
}

static void expect_error(struct fixture *fixture, const char *host, int error)
{
    char text[32];

    snprintf(text, sizeof(text), "error %d", error);
    assert_string_equal(look_up(fixture, host), text);
}

static int queries(const struct fixture *fixture)
{
    return fixture->servers[0].queries + fixture->servers[1].queries;
}

static bool has_ipv6(void)
{
    jg_address address;

    return jg_address_parse("[::1]:9", &address) == 0 && jg__is_routable(&address);
}

static const struct rule nothing[1] = {{.name = "none.test"}};

/* ------------------------------------------------------ without queries */

static void numeric_addresses_are_known_at_once(void **state)
{
    struct fixture fixture;
    char loopback[IF_NAMESIZE], text[64];

    (void)state;
    SETUP(&fixture, "", nothing);
    assert_string_equal(look_up(&fixture, "1.2.3.4"), "1.2.3.4:80");
    assert_string_equal(look_up(&fixture, "2001:db8::1"), "[2001:db8::1]:80");
    assert_non_null(if_indextoname(1, loopback));
    snprintf(text, sizeof(text), "[fe80::1%%%s]:80", loopback);
    assert_string_equal(look_up(&fixture, "fe80::1%1"), text);
    assert_int_equal(start(&fixture, "fe80::1%nosuch0"), -ENODEV);
    fixture.options.family = JG_IPV6;
    expect_error(&fixture, "1.2.3.4", JG_ENOADDRESS);
    assert_int_equal(queries(&fixture), 0);
    teardown(&fixture);
}

static void the_hosts_file_comes_before_servers(void **state)
{
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", nothing);
    unlink(fixture.hosts);
    write_file(fixture.hosts, "# comment\n"
                              "10.0.0.1\tone.test One # two.test\n"
                              "10.0.0.2 \t other.test   alias\r\n"
                              "not-an-address one.test\n"
                              "10.0.0.3 one.test\n"
                              "fd00::1 six.test");
    fixture.options.family = JG_IPV4;
    assert_string_equal(look_up(&fixture, "one.test"), "10.0.0.1:80 10.0.0.3:80");
    assert_string_equal(look_up(&fixture, "ONE"), "10.0.0.1:80");
    assert_string_equal(look_up(&fixture, "alias."), "10.0.0.2:80");
    assert_int_equal(queries(&fixture), 0);
    expect_error(&fixture, "two.test", JG_ENONAME);
    expect_error(&fixture, "six.test", JG_ENONAME);
    assert_int_equal(queries(&fixture), 2);
    fixture.options.family = JG_FAMILY_NONE;
    assert_string_equal(look_up(&fixture, "six.test"), "[fd00::1]:80");
    assert_int_equal(queries(&fixture), 2);
    teardown(&fixture);
}

static void localhost_is_never_asked_for(void **state)
{
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", nothing);
    fixture.options.family = JG_IPV4;
    assert_string_equal(look_up(&fixture, "localhost"), "127.0.0.1:80");
    assert_string_equal(look_up(&fixture, "a.LocalHost."), "127.0.0.1:80");
    fixture.options.family = JG_IPV6;
    assert_string_equal(look_up(&fixture, "localhost"), "[::1]:80");
    assert_int_equal(queries(&fixture), 0);
    expect_error(&fixture, "notlocalhost", JG_ENONAME);
    assert_int_equal(queries(&fixture), 1);
    teardown(&fixture);
}

static void bad_arguments_are_refused(void **state)
{
    static const char *const names[] = {"", ".", "a..b", "a b", "a/b", "-\x80", "[::1]", "a:b"};
    struct fixture fixture;
    char name[400];

    (void)state;
    SETUP(&fixture, "", nothing);
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(start(&fixture, names[i]), -EINVAL);
    memset(name, 'a', sizeof(name));
    name[299] = '\0';
    assert_int_equal(start(&fixture, name), -EINVAL);
    assert_int_equal(jg_resolve_start("a", 80, &fixture.options, fixture.found, 0, &fixture.op),
                     -EINVAL);
    fixture.options.server_count = 5;
    assert_int_equal(start(&fixture, "a"), -EINVAL);
    fixture.options.server_count = 2;
    fixture.options.family = JG_UNIX;
    assert_int_equal(start(&fixture, "a"), -EINVAL);
    assert_false(jg_op_pending(&fixture.op));
    teardown(&fixture);
}

/* -------------------------------------------------------------- answers */

static void both_families_are_asked_for_and_take_turns(void **state)
{
    static const struct rule rules[] = {
        {.name = "a.test", .type = JG__DNS_A, .count = 3},
        {.name = "a.test", .type = JG__DNS_AAAA, .count = 2},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    assert_string_equal(look_up(&fixture, "a.test"),
                        has_ipv6() ? "[::1]:80 127.0.0.1:80 [::2]:80 127.0.0.2:80 127.0.0.3:80"
                                   : "127.0.0.1:80 [::1]:80 127.0.0.2:80 [::2]:80 127.0.0.3:80");
    assert_int_equal(queries(&fixture), 2);
    fixture.options.family = JG_IPV4;
    assert_string_equal(look_up(&fixture, "A.Test."), "127.0.0.1:80 127.0.0.2:80 127.0.0.3:80");
    assert_int_equal(queries(&fixture), 3);
    fixture.options.family = JG_IPV6;
    assert_string_equal(look_up(&fixture, "a.test"), "[::1]:80 [::2]:80");
    assert_int_equal(queries(&fixture), 4);
    teardown(&fixture);
}

static void more_addresses_than_room_are_left_out(void **state)
{
    static const struct rule rules[] = {{.name = "a.test", .type = JG__DNS_A, .count = 3},
                                        {.name = "a.test"}};
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    assert_int_equal(jg_resolve_start("a.test", 1, &fixture.options, fixture.found, 2, &fixture.op),
                     0);
    assert_int_equal(jg_loop_run(fixture.loop), 0);
    assert_int_equal(jg_op_status(&fixture.op), 2);
    assert_int_equal(fixture.found[2].size, 0);
    teardown(&fixture);
}

static void aliases_and_absent_names_and_addresses_are_told_apart(void **state)
{
    static const struct rule rules[] = {
        {.name = "alias.test", .type = JG__DNS_A, .count = 1, .alias = "cdn.example"},
        {.name = "alias.test"},
        {.name = "empty.test"},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    assert_string_equal(look_up(&fixture, "alias.test"), "127.0.0.1:80");
    expect_error(&fixture, "empty.test", JG_ENOADDRESS);
    expect_error(&fixture, "none.test", JG_ENONAME);
    assert_int_equal(fixture.servers[1].queries, 0);
    assert_string_equal(jg_strerror(JG_ENONAME), "no such name");
    teardown(&fixture);
}

static void a_truncated_answer_is_asked_for_again_over_tcp(void **state)
{
    static const struct rule rules[] = {
        {.name = "large.test", .flags = TRUNCATED, .count = 8},
        {.name = "slow.test", .flags = TRUNCATED | DRIBBLE, .count = 2},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    fixture.options.family = JG_IPV4;
    assert_string_equal(look_up(&fixture, "large.test"),
                        "127.0.0.1:80 127.0.0.2:80 127.0.0.3:80 127.0.0.4:80 127.0.0.5:80 "
                        "127.0.0.6:80 127.0.0.7:80 127.0.0.8:80");
    assert_int_equal(fixture.servers[0].stream_queries, 1);
    assert_string_equal(look_up(&fixture, "slow.test"), "127.0.0.1:80 127.0.0.2:80");
    assert_int_equal(fixture.servers[0].stream_queries, 2);
    assert_int_equal(queries(&fixture), 4);
    teardown(&fixture);
}

static void what_is_not_the_answer_is_ignored(void **state)
{
    static const struct rule rules[] = {
        {.name = "id.test", .flags = WRONG_ID, .count = 1},
        {.name = "name.test", .flags = WRONG_NAME, .count = 1},
        {.name = "source.test", .flags = WRONG_SOURCE, .count = 1},
        {.name = "all.test", .flags = WRONG_ID | WRONG_NAME | WRONG_SOURCE, .count = 1},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    fixture.options.family = JG_IPV4;
    for (size_t i = 0; i < COUNT(rules); i++)
        assert_string_equal(look_up(&fixture, rules[i].name), "127.0.0.1:80");
    assert_int_equal(queries(&fixture), 4);
    teardown(&fixture);
}

/* ------------------------------------------------------------- failures */

static void another_server_is_asked_when_one_fails(void **state)
{
    static const struct rule bad[] = {
        {.name = "fails.test", .code = JG__DNS_SERVFAIL},
        {.name = "refuses.test", .code = 5},
        {.name = "broken.test", .flags = BROKEN},
        {.name = "hangs-up.test", .flags = TRUNCATED | HANG_UP, .count = 1},
    };
    static const struct rule good[] = {
        {.name = "fails.test", .count = 1},
        {.name = "refuses.test", .count = 1},
        {.name = "broken.test", .count = 1},
        {.name = "hangs-up.test", .count = 1},
    };
    struct fixture fixture;

    (void)state;
    setup(&fixture, 0, "", bad, COUNT(bad), good, COUNT(good));
    fixture.options.family = JG_IPV4;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_string_equal(look_up(&fixture, good[i].name), "127.0.0.1:80");
    assert_int_equal(fixture.servers[0].queries, 5);
    assert_int_equal(fixture.servers[1].queries, 4);
    teardown(&fixture);
}

static void when_all_servers_fail_the_error_tells_how(void **state)
{
    static const struct rule rules[] = {
        {.name = "fails.test", .code = JG__DNS_SERVFAIL},
        {.name = "refuses.test", .code = 5},
        {.name = "broken.test", .flags = BROKEN},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "options attempts:3", rules);
    fixture.options.family = JG_IPV4;
    expect_error(&fixture, "fails.test", JG_ETRYAGAIN);
    assert_int_equal(queries(&fixture), 6);
    expect_error(&fixture, "refuses.test", JG_ENAMEFAIL);
    expect_error(&fixture, "broken.test", JG_ENAMEFAIL);
    teardown(&fixture);
}

static void a_server_without_edns_is_asked_without_it(void **state)
{
    static const struct rule rules[] = {{.name = "old.test", .flags = NO_EDNS, .count = 1}};
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    fixture.options.family = JG_IPV4;
    assert_string_equal(look_up(&fixture, "old.test"), "127.0.0.1:80");
    assert_int_equal(fixture.servers[0].queries, 2);
    assert_int_equal(fixture.servers[1].queries, 0);
    teardown(&fixture);
}

static void a_server_that_is_not_there_costs_no_time(void **state)
{
    static const struct rule rules[] = {{.name = "a.test", .count = 1}};
    struct fixture fixture;
    jg_time start_time;

    (void)state;
    SETUP(&fixture, "options timeout:30", rules);
    fixture.options.family = JG_IPV4;
    (void)jg_watcher_close(&fixture.servers[0].udp);
    start_time = test_clock();
    assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    assert_true(test_clock() - start_time < 10 * JG_SECOND);
    teardown(&fixture);
}

static void silence_costs_the_timeout_and_then_another_server_is_asked(void **state)
{
    static const struct rule silent[] = {{.name = "a.test", .flags = SILENT},
                                         {.name = "b.test", .flags = SILENT}};
    static const struct rule good[] = {{.name = "a.test", .count = 1},
                                       {.name = "b.test", .flags = SILENT}};
    struct fixture fixture;
    jg_time start_time;

    (void)state;
    setup(&fixture, JG_LOOP_VIRTUAL_TIME, "options timeout:3 attempts:2", silent, 2, good, 2);
    fixture.options.family = JG_IPV4;
    start_time = jg_loop_now(fixture.loop);
    assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    assert_true(jg_loop_now(fixture.loop) - start_time >= 3 * JG_SECOND);
    start_time = jg_loop_now(fixture.loop);
    expect_error(&fixture, "b.test", JG_ETRYAGAIN);
    assert_int_equal(jg_loop_now(fixture.loop) - start_time, 12 * JG_SECOND);
    teardown(&fixture);
}

static void one_family_does_not_wait_long_for_the_other(void **state)
{
    static const struct rule rules[] = {
        {.name = "a.test", .type = JG__DNS_A, .count = 1},
        {.name = "a.test", .type = JG__DNS_AAAA, .flags = SILENT},
    };
    struct fixture fixture;
    jg_time start_time;

    (void)state;
    setup(&fixture, 0, "", rules, 2, rules, 2);
    start_time = test_clock();
    assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    assert_in_range(test_clock() - start_time, 300 * JG_MILLISECOND, 4 * JG_SECOND);
    teardown(&fixture);
}

static void rotating_asks_each_server_first_at_times(void **state)
{
    static const struct rule rules[] = {{.name = "a.test", .count = 1}};
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "options rotate", rules);
    fixture.options.family = JG_IPV4;
    for (int i = 0; i < 64; i++)
        assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    assert_int_equal(queries(&fixture), 64);
    assert_in_range(fixture.servers[0].queries, 1, 63);
    teardown(&fixture);
}

/* ---------------------------------------------------------- search list */

static void expect_asked(struct fixture *fixture, const char *host, const char *answer,
                         const char *asked)
{
    fixture->servers[0].asked[0] = '\0';
    assert_string_equal(look_up(fixture, host), answer);
    assert_string_equal(fixture->servers[0].asked, asked);
}

static void the_search_list_makes_names_in_the_order_that_dots_tell(void **state)
{
    static const struct rule rules[] = {
        {.name = "host.two.test", .type = JG__DNS_A, .count = 1},
        {.name = "host.two.test"},
        {.name = "a.b", .type = JG__DNS_A, .count = 1},
        {.name = "a.b"},
        {.name = "empty.one.test"},
        {.name = "fails.one.test", .code = JG__DNS_SERVFAIL},
        {.name = "fails.two.test", .count = 1},
    };
    struct fixture fixture;
    char text[32];

    (void)state;
    SETUP(&fixture, "search one.test two.test.\noptions ndots:2 attempts:1\n", rules);
    fixture.options.server_count = 1;
    expect_asked(&fixture, "host", "127.0.0.1:80", "host.one.test host.two.test ");
    expect_asked(&fixture, "a.b", "127.0.0.1:80", "a.b.one.test a.b.two.test a.b ");
    expect_asked(&fixture, "a.b.", "127.0.0.1:80", "a.b ");
    snprintf(text, sizeof(text), "error %d", JG_ENONAME);
    expect_asked(&fixture, "x.y.z", text, "x.y.z x.y.z.one.test x.y.z.two.test ");
    expect_asked(&fixture, "host.", text, "host ");
    snprintf(text, sizeof(text), "error %d", JG_ENOADDRESS);
    expect_asked(&fixture, "empty", text, "empty.one.test empty.two.test empty ");
    snprintf(text, sizeof(text), "error %d", JG_ETRYAGAIN);
    expect_asked(&fixture, "fails", text, "fails.one.test "); /* it might be there: do not go on */
    teardown(&fixture);
}

/* --------------------------------------------------- cancelling, memory */

static void cancelling_ends_a_lookup_at_once_and_leaves_nothing(void **state)
{
    static const struct rule rules[] = {
        {.name = "silent.test", .flags = SILENT},
        {.name = "a.test", .flags = TRUNCATED | DRIBBLE, .count = 1},
    };
    struct fixture fixture;
    int before;

    (void)state;
    SETUP(&fixture, "", rules);
    expect_error(&fixture, "none.test", JG_ENONAME);
    before = test_open_descriptors();
    for (int turns = 0; turns < 12; turns++) {
        for (size_t i = 0; i < COUNT(rules); i++) {
            bool pending;

            fixture.calls = 0;
            assert_int_equal(start(&fixture, rules[i].name), 0);
            for (int k = 0; k < turns; k++)
                (void)jg_loop_run_once(fixture.loop, 0);
            pending = jg_op_pending(&fixture.op);
            jg_op_cancel(&fixture.op);
            assert_false(jg_op_pending(&fixture.op));
            assert_int_equal(jg_loop_run(fixture.loop), 0);
            assert_int_equal(fixture.calls, 1);
            if (pending)
                assert_int_equal(jg_op_status(&fixture.op), -ECANCELED);
            for (int k = 0; k < 2; k++)
                (void)jg_watcher_close(&fixture.servers[k].stream); /* if it has one */
            assert_int_equal(test_open_descriptors(), before);
        }
    }
    teardown(&fixture);
}

static int resolve_silent(void *arg)
{
    struct fixture *fixture = arg;

    return jg_resolve("silent.test", 80, &fixture->options, fixture->found, 16);
}

static int resolve_in_time(void *arg)
{
    return jg_wait_for(resolve_silent, arg, 2 * JG_SECOND);
}

static void deadlines_hold_for_lookups(void **state)
{
    static const struct rule rules[] = {{.name = "silent.test", .flags = SILENT}};
    struct fixture fixture;
    jg_scope root;
    int status = 12345;

    (void)state;
    setup(&fixture, JG_LOOP_VIRTUAL_TIME, "", rules, 1, rules, 1);
    jg_scope_open(&root, fixture.loop, NULL, NULL);
    assert_int_equal(
        jg_spawn(&root, resolve_in_time, &fixture, &(jg_spawn_options){.ret_status = &status}), 0);
    jg_scope_close(&root, 0, &fixture.op);
    assert_int_equal(jg_loop_run(fixture.loop), 0);
    assert_int_equal(status, -ETIMEDOUT);
    teardown(&fixture);
}

static void each_allocation_may_fail(void **state)
{
    static const struct rule rules[] = {{.name = "a.test", .flags = TRUNCATED, .count = 1}};
    struct fixture fixture;
    struct test_memory *memory;

    (void)state;
    SETUP(&fixture, "search test\noptions attempts:1", rules);
    unlink(fixture.hosts);
    write_file(fixture.hosts, "10.0.0.1 other\n");
    fixture.options.family = JG_IPV4;
    memory = test_loop_memory(fixture.loop);
    for (long n = 1;; n++) {
        int r;

        memory->fail_at = memory->calls + n;
        r = start(&fixture, "a.test");
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            continue;
        }
        assert_int_equal(jg_loop_run(fixture.loop), 0);
        r = jg_op_status(&fixture.op);
        assert_true(r == 1 || r == -ENOMEM);
        if (memory->calls < memory->fail_at)
            break;
        assert_true(n < 50);
    }
    memory->fail_at = 0;
    assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    teardown(&fixture);
}

/* ----------------------------------------------------------- the system */

static void the_system_looks_up_what_it_knows(void **state)
{
    struct fixture fixture;
    char host[256];
    int r;

    (void)state;
    SETUP(&fixture, "", nothing);
    fixture.options.way = JG_RESOLVE_SYSTEM;
    fixture.options.server_count = 0;
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    assert_int_equal(start(&fixture, host), 0);
    assert_int_equal(jg_loop_run(fixture.loop), 0);
    r = jg_op_status(&fixture.op);
    assert_true(r > 0 || (r <= JG_ENONAME && r >= JG_ENAMEFAIL));
    for (int i = 0; i < r; i++)
        assert_int_equal(jg_address_port(&fixture.found[i]), 80);
    assert_int_equal(queries(&fixture), 0);
    teardown(&fixture);
}

static void looking_up_by_the_system_can_be_abandoned(void **state)
{
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", nothing);
    fixture.options.way = JG_RESOLVE_SYSTEM;
    fixture.options.server_count = 0;
    for (int i = 0; i < 5; i++) {
        fixture.calls = 0;
        assert_int_equal(start(&fixture, "juggle-test.invalid"), 0);
        if (i % 2)
            usleep(200);
        jg_op_cancel(&fixture.op);
        assert_int_equal(jg_loop_run(fixture.loop), 0);
        assert_int_equal(fixture.calls, 1);
        assert_true(jg_op_status(&fixture.op) < 0);
    }
    teardown(&fixture);
}

/* ---------------------------------------------------------------- files */

static jg__text text_of(const char *string)
{
    return (jg__text){.bytes = (char *)(uintptr_t)string, .size = strlen(string)};
}

static void the_configuration_is_read_as_the_manual_has_it(void **state)
{
    const jg__text full = text_of("; comment\n# nameserver 9.9.9.9\n"
                                  "nameserver 10.0.0.1\n nameserver\tfd00::1 # comment\r\n"
                                  "nameserver bad\nnameserver\n"
                                  "domain old.test\nsearch a.test b.test. .\n"
                                  "options ndots:20 timeout:0 attempts:x rotate:no bogus\n"
                                  "options attempts:9 rotate");
    const jg__text empty = text_of("");
    jg__resolve_config config;
    char text[JG_ADDRESS_TEXT];

    (void)state;
    jg__resolve_config_parse(&full, &config);
    assert_int_equal(config.server_count, 2);
    assert_true(jg_address_format(&config.servers[0], text, sizeof(text)) > 0);
    assert_string_equal(text, "10.0.0.1:53");
    assert_true(jg_address_format(&config.servers[1], text, sizeof(text)) > 0);
    assert_string_equal(text, "[fd00::1]:53");
    assert_int_equal(config.search_count, 2);
    assert_string_equal(config.search[0], "a.test");
    assert_string_equal(config.search[1], "b.test");
    assert_int_equal(config.ndots, 15);
    assert_int_equal(config.timeout, JG_SECOND);
    assert_int_equal(config.attempts, 5);
    assert_true(config.rotate);

    jg__resolve_config_parse(&empty, &config);
    assert_int_equal(config.server_count, 1);
    assert_int_equal(config.search_count, 0);
    assert_int_equal(config.ndots, 1);
    assert_int_equal(config.attempts, 2);
    assert_int_equal(config.timeout, 5 * JG_SECOND);
    assert_false(config.rotate);
}

static void our_queries_are_the_default_where_they_are_all_there_is(void **state)
{
    static const struct {
        const char *text;
        bool is_plain;
    } cases[] = {
        {"hosts: files dns\n", true},
        {"passwd: files ldap\nhosts:\tdns # myhostname\n", true},
        {"hosts: files mdns4_minimal [NOTFOUND=return] dns\n", false},
        {"hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", false},
        {"#hosts: files dns\nhosts: nis\n", false},
    };
    const jg__text empty = text_of("passwd: files\n");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const jg__text text = text_of(cases[i].text);

        assert_int_equal(jg__nsswitch_is_plain(&text, !cases[i].is_plain), cases[i].is_plain);
    }
    assert_true(jg__nsswitch_is_plain(&empty, true));
    assert_false(jg__nsswitch_is_plain(&empty, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_addresses_are_known_at_once),
        cmocka_unit_test(the_hosts_file_comes_before_servers),
        cmocka_unit_test(localhost_is_never_asked_for),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(both_families_are_asked_for_and_take_turns),
        cmocka_unit_test(more_addresses_than_room_are_left_out),
        cmocka_unit_test(aliases_and_absent_names_and_addresses_are_told_apart),
        cmocka_unit_test(a_truncated_answer_is_asked_for_again_over_tcp),
        cmocka_unit_test(what_is_not_the_answer_is_ignored),
        cmocka_unit_test(another_server_is_asked_when_one_fails),
        cmocka_unit_test(when_all_servers_fail_the_error_tells_how),
        cmocka_unit_test(a_server_without_edns_is_asked_without_it),
        cmocka_unit_test(a_server_that_is_not_there_costs_no_time),
        cmocka_unit_test(silence_costs_the_timeout_and_then_another_server_is_asked),
        cmocka_unit_test(one_family_does_not_wait_long_for_the_other),
        cmocka_unit_test(rotating_asks_each_server_first_at_times),
        cmocka_unit_test(the_search_list_makes_names_in_the_order_that_dots_tell),
        cmocka_unit_test(cancelling_ends_a_lookup_at_once_and_leaves_nothing),
        cmocka_unit_test(deadlines_hold_for_lookups),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(the_system_looks_up_what_it_knows),
        cmocka_unit_test(looking_up_by_the_system_can_be_abandoned),
        cmocka_unit_test(the_configuration_is_read_as_the_manual_has_it),
        cmocka_unit_test(our_queries_are_the_default_where_they_are_all_there_is),
    };

    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
