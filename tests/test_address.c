/* SPDX-License-Identifier: MIT
 *
 * Addresses: their text, what is refused, their parts, and that the system takes them.
 */
#include "support.h"

#include <juggle/address.h>

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static jg_address parse(const char *text)
{
    jg_address address;

    assert_int_equal(jg_address_parse(text, &address), 0);
    return address;
}

static void expect_text(const char *text, const char *expected)
{
    const jg_address address = parse(text);
    jg_address again;
    char out[JG_ADDRESS_TEXT];

    assert_int_equal(jg_address_format(&address, out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
    again = parse(out);
    assert_true(jg_address_equal(&address, &again));
}

static void what_is_parsed_is_formatted_and_parsed_again(void **state)
{
    (void)state;
    expect_text("127.0.0.1:80", "127.0.0.1:80");
    expect_text("127.0.0.1", "127.0.0.1:0");
    expect_text("255.255.255.255:65535", "255.255.255.255:65535");
    expect_text("[::1]:80", "[::1]:80");
    expect_text("[2001:0DB8::0:1]", "[2001:db8::1]:0");
    expect_text("::", "[::]:0");
    expect_text("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:0");
    expect_text("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:0");
    expect_text("/run/socket", "unix:/run/socket");
    expect_text("unix:relative", "unix:relative");
#ifdef __linux__
    expect_text("unix:@abstract", "unix:@abstract");
#else
    jg_address address;

    assert_int_equal(jg_address_parse("unix:@abstract", &address), -ENOTSUP);
#endif
    expect_text("unix:/with:colon", "unix:/with:colon");
}

static void scopes_are_interfaces_by_name_or_number(void **state)
{
    char loopback[IF_NAMESIZE] = "", text[64], out[JG_ADDRESS_TEXT];
    jg_address address, other;

    (void)state;
    assert_non_null(if_indextoname(1, loopback));
    snprintf(text, sizeof(text), "[fe80::1%%%s]:5", loopback);
    expect_text(text, text);
    expect_text("[fe80::1%1]:5", text);
    address = parse("fe80::1%4000000000");
    assert_true(jg_address_format(&address, out, sizeof(out)) > 0);
    assert_string_equal(out, "[fe80::1%4000000000]:0");
    other = parse("fe80::1");
    assert_false(jg_address_equal(&address, &other));
    assert_int_equal(jg_address_parse("[fe80::1%nosuch0]:5", &address), -ENODEV);
    assert_int_equal(jg_address_parse("[fe80::1%]:5", &address), -EINVAL);
    assert_int_equal(jg_address_parse("127.0.0.1%1", &address), -EINVAL);
}

static void what_is_no_address_is_refused_and_nothing_written(void **state)
{
    static const char *const texts[] = {
        "",
        "host",
        "host:80",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4x",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4:65536",
        "1.2.3.4: 1",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1]:99999",
        "[1.2.3.4]:80",
        ":::",
        "1:2:3:4:5:6:7:8:9",
        ":80",
        "[]:80",
        "unix:",
        "unix:@",
        "[::1]:80:90",
        "99999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    };
    jg_address address, before;

    (void)state;
    memset(&address, 0x5a, sizeof(address));
    before = address;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(jg_address_parse(texts[i], &address), -EINVAL);
        assert_memory_equal(&address, &before, sizeof(address));
    }
}

static void unix_names_are_as_long_as_the_system_takes(void **state)
{
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    char text[200] = "unix:", out[JG_ADDRESS_TEXT];
    jg_address address;

    (void)state;
    memset(text + 5, 'x', longest);
    text[5 + longest] = '\0';
    expect_text(text, text);
    text[5 + longest] = 'x';
    text[6 + longest] = '\0';
#ifdef __linux__
    text[5] = '@';
    expect_text(text, text);
    text[6 + longest] = 'x';
    text[7 + longest] = '\0';
    assert_int_equal(jg_address_parse(text, &address), -ENAMETOOLONG);
    text[5] = 'x';
#endif
    assert_int_equal(jg_address_parse(text, &address), -ENAMETOOLONG);
    assert_in_range(sizeof(out), longest + 7, 200);
}

static void a_text_that_does_not_fit_is_not_written(void **state)
{
    const jg_address address = parse("127.0.0.1:80"), none = {.size = 0};
    char text[16] = "unchanged";

    (void)state;
    assert_int_equal(jg_address_format(&address, text, 12), -ENOBUFS);
    assert_int_equal(jg_address_format(&address, NULL, 0), -ENOBUFS);
    assert_int_equal(jg_address_format(&none, text, sizeof(text)), -EINVAL);
    assert_string_equal(text, "unchanged");
    assert_int_equal(jg_address_format(&address, text, 13), 12);
}

static void the_parts_can_be_read_and_the_port_changed(void **state)
{
    jg_address v4 = parse("1.2.3.4:80"), v6 = parse("[::1]:443"), un = parse("/x");
    const jg_address other = parse("1.2.3.4:81"), none = {.size = 0};

    (void)state;
    assert_int_equal(jg_address_family(&v4), JG_IPV4);
    assert_int_equal(jg_address_family(&v6), JG_IPV6);
    assert_int_equal(jg_address_family(&un), JG_UNIX);
    assert_int_equal(jg_address_family(&none), JG_FAMILY_NONE);
    assert_int_equal(jg_address_port(&v4), 80);
    assert_int_equal(jg_address_port(&v6), 443);
    assert_int_equal(jg_address_port(&un), 0);
    assert_false(jg_address_equal(&v4, &other));
    jg_address_set_port(&v4, 81);
    jg_address_set_port(&v6, 81);
    jg_address_set_port(&un, 81);
    assert_true(jg_address_equal(&v4, &other));
    assert_int_equal(jg_address_port(&v6), 81);
    assert_false(jg_address_equal(&v4, &v6));
    assert_false(jg_address_equal(&v6, &un));
}

static void expect_bind(const char *text, int family)
{
    jg_address address = parse(text), bound = {.size = 0};
    socklen_t size = sizeof(bound.storage);
    int fd = socket(family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)address.storage, address.size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)bound.storage, &size), 0);
    bound.size = (uint32_t)size;
    if (family == AF_INET)
        jg_address_set_port(&bound, 0);
    assert_true(jg_address_equal(&address, &bound));
    close(fd);
}

static void the_system_takes_them(void **state)
{
    char text[64];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    jg_address unnamed = {.size = 0};
    socklen_t size = sizeof(unnamed.storage);

    (void)state;
    expect_bind("127.0.0.1:0", AF_INET);
#ifdef __linux__
    snprintf(text, sizeof(text), "unix:@juggle_test_%d", (int)getpid());
    expect_bind(text, AF_UNIX);
#endif
    snprintf(text, sizeof(text), "/tmp/juggle_test_%d", (int)getpid());
    expect_bind(text, AF_UNIX);
    assert_int_equal(unlink(text), 0);

    assert_int_equal(getsockname(fd, (struct sockaddr *)unnamed.storage, &size), 0);
    unnamed.size = (uint32_t)size;
    assert_int_equal(jg_address_family(&unnamed), JG_UNIX);
    assert_int_equal(jg_address_format(&unnamed, text, sizeof(text)), 5);
    assert_string_equal(text, "unix:");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_formatted_and_parsed_again),
        cmocka_unit_test(scopes_are_interfaces_by_name_or_number),
        cmocka_unit_test(what_is_no_address_is_refused_and_nothing_written),
        cmocka_unit_test(unix_names_are_as_long_as_the_system_takes),
        cmocka_unit_test(a_text_that_does_not_fit_is_not_written),
        cmocka_unit_test(the_parts_can_be_read_and_the_port_changed),
        cmocka_unit_test(the_system_takes_them),
    };

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
