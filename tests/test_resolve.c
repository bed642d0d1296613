/* SPDX-License-Identifier: MIT
 *
 * Names: what is known at once, and our queries against scripted servers, see name_server.h. Time is
 * virtual only where a server is silent: it must not jump while a datagram is on its way.
 */
#include "name_server.h"
#include "world.h"

#include "io/dns_message.h"
#include "io/resolve_config.h"
#include "platform/dial.h"

#include <juggle/coro.h>
#include <juggle/resolve.h>

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    struct name_server servers[2];
    jg_address addresses[2];
    char config[64], hosts[64];
    jg_resolve_options options;
    jg_address found[16];
    jg_op op;
    int calls;
};

static void setup(struct fixture *fixture, unsigned flags, const char *config,
                  const struct name_rule *first, size_t first_count, const struct name_rule *second,
                  size_t second_count)
{
    *fixture = (struct fixture){.loop = test_loop(flags)};
    name_server_start(&fixture->servers[0], fixture->loop, first, first_count);
    name_server_start(&fixture->servers[1], fixture->loop, second, second_count);
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
    name_server_stop(&fixture->servers[0]);
    name_server_stop(&fixture->servers[1]);
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

static const struct name_rule nothing[1] = {{.name = "none.test"}};

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
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {{.name = "a.test", .type = JG__DNS_A, .count = 3},
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
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {
        {.name = "id.test", .flags = WRONG_ID, .count = 1},
        {.name = "name.test", .flags = WRONG_NAME, .count = 1},
        {.name = "type.test", .flags = WRONG_TYPE, .count = 1},
        {.name = "source.test", .flags = WRONG_SOURCE, .count = 1},
        {.name = "all.test",
         .flags = WRONG_ID | WRONG_NAME | WRONG_TYPE | WRONG_SOURCE,
         .count = 1},
    };
    struct fixture fixture;

    (void)state;
    SETUP(&fixture, "", rules);
    fixture.options.family = JG_IPV4;
    for (size_t i = 0; i < COUNT(rules); i++)
        assert_string_equal(look_up(&fixture, rules[i].name), "127.0.0.1:80");
    assert_int_equal(queries(&fixture), 5);
    teardown(&fixture);
}

/* ------------------------------------------------------------- failures */

static void another_server_is_asked_when_one_fails(void **state)
{
    static const struct name_rule bad[] = {
        {.name = "fails.test", .code = JG__DNS_SERVFAIL},
        {.name = "refuses.test", .code = 5},
        {.name = "broken.test", .flags = BROKEN},
        {.name = "hangs-up.test", .flags = TRUNCATED | HANG_UP, .count = 1},
        {.name = "lies.test", .flags = TRUNCATED | LIE, .count = 1},
    };
    static const struct name_rule good[] = {
        {.name = "fails.test", .count = 1},  {.name = "refuses.test", .count = 1},
        {.name = "broken.test", .count = 1}, {.name = "hangs-up.test", .count = 1},
        {.name = "lies.test", .count = 1},
    };
    struct fixture fixture;

    (void)state;
    setup(&fixture, 0, "", bad, COUNT(bad), good, COUNT(good));
    fixture.options.family = JG_IPV4;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_string_equal(look_up(&fixture, good[i].name), "127.0.0.1:80");
    assert_int_equal(fixture.servers[0].queries, 7);
    assert_int_equal(fixture.servers[1].queries, 5);
    teardown(&fixture);
}

static void when_all_servers_fail_the_error_tells_how(void **state)
{
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {{.name = "old.test", .flags = NO_EDNS, .count = 1}};
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
    static const struct name_rule rules[] = {{.name = "a.test", .count = 1}};
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
    static const struct name_rule silent[] = {{.name = "a.test", .flags = SILENT},
                                              {.name = "b.test", .flags = SILENT},
                                              {.name = "c.test", .flags = TRUNCATED | MUTE}};
    static const struct name_rule good[] = {{.name = "a.test", .count = 1},
                                            {.name = "b.test", .flags = SILENT},
                                            {.name = "c.test", .count = 1}};
    struct fixture fixture;
    jg_time start_time;

    (void)state;
    setup(&fixture, JG_LOOP_VIRTUAL_TIME, "options timeout:3 attempts:2", silent, 3, good, 3);
    fixture.options.family = JG_IPV4;
    start_time = jg_loop_now(fixture.loop);
    assert_string_equal(look_up(&fixture, "a.test"), "127.0.0.1:80");
    assert_true(jg_loop_now(fixture.loop) - start_time >= 3 * JG_SECOND);
    start_time = jg_loop_now(fixture.loop);
    expect_error(&fixture, "b.test", JG_ETRYAGAIN);
    assert_int_equal(jg_loop_now(fixture.loop) - start_time, 12 * JG_SECOND);
    start_time = jg_loop_now(fixture.loop);
    assert_string_equal(look_up(&fixture, "c.test"), "127.0.0.1:80");
    assert_int_equal(fixture.servers[0].stream_queries, 1);
    assert_true(jg_loop_now(fixture.loop) - start_time >= 3 * JG_SECOND);
    teardown(&fixture);
}

static void one_family_does_not_wait_long_for_the_other(void **state)
{
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {{.name = "a.test", .count = 1}};
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
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {
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
    static const struct name_rule rules[] = {{.name = "silent.test", .flags = SILENT}};
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
    static const struct name_rule rules[] = {{.name = "a.test", .flags = TRUNCATED, .count = 1}};
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

/* How many threads there are, where the system tells, or 0. */
static int count_threads(void)
{
    DIR *threads = opendir("/proc/self/task");
    int count = -2; /* two entries are the folder itself and the one above */

    if (!threads)
        return 0;
    while (readdir(threads))
        count++;
    closedir(threads);
    return count;
}

/* Until what was abandoned has returned, and there are no more threads than before: the C library
   would be called to account for what it has in hand if the process ended meanwhile. */
static void let_threads_end(int before)
{
    for (int tries = 0; count_threads() > before && tries < 10000; tries++)
        usleep(1000);
}

static void looking_up_by_the_system_can_be_abandoned(void **state)
{
    const int threads = count_threads();
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
    let_threads_end(threads);
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
