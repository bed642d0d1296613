/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
#    define HAS_LENGTH 1
#else
#    define HAS_LENGTH 0
#endif

_Static_assert(sizeof(struct sockaddr_un) <= sizeof(((jg_address *)NULL)->storage),
               "a Unix address fits");

/* Through memcpy, since `storage` has a type of its own. */
static void store(const void *sockaddr, size_t size, jg_address *ret_address)
{
    *ret_address = (jg_address){.size = (uint32_t)size};
    memcpy(ret_address->storage, sockaddr, size);
#if HAS_LENGTH
    *(uint8_t *)ret_address->storage = (uint8_t)size;
#endif
}

static void load(const jg_address *address, void *ret_sockaddr, size_t size)
{
    memset(ret_sockaddr, 0, size);
    memcpy(ret_sockaddr, address->storage, address->size < size ? address->size : size);
}

static int family_of(const jg_address *address)
{
    struct sockaddr any;

    if (address->size < offsetof(struct sockaddr, sa_family) + sizeof(any.sa_family))
        return AF_UNSPEC;
    load(address, &any, sizeof(any));
    return any.sa_family;
}

jg_family jg_address_family(const jg_address *address)
{
    switch (family_of(address)) {
    case AF_INET:
        return JG_IPV4;
    case AF_INET6:
        return JG_IPV6;
    case AF_UNIX:
        return JG_UNIX;
    default:
        return JG_FAMILY_NONE;
    }
}

void jg__address_ipv4(const uint8_t bytes[4], uint16_t port, jg_address *ret_address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    memcpy(&in.sin_addr, bytes, 4);
    store(&in, sizeof(in), ret_address);
}

void jg__address_ipv6(const uint8_t bytes[16], uint32_t scope, uint16_t port,
                      jg_address *ret_address)
{
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};

    memcpy(&in6.sin6_addr, bytes, 16);
    store(&in6, sizeof(in6), ret_address);
}

int jg__address_unix(const char *name, size_t length, bool is_abstract, jg_address *ret_address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const size_t room = sizeof(un.sun_path) - 1; /* for the first or the last byte, which is 0 */

    if (length == 0)
        return -EINVAL;
#ifndef __linux__
    if (is_abstract)
        return -ENOTSUP;
#endif
    if (length > room)
        return -ENAMETOOLONG;

    memcpy(un.sun_path + is_abstract, name, length);
    store(&un, offsetof(struct sockaddr_un, sun_path) + length + 1, ret_address);
    return 0;
}

/* The number of an interface, given as that or as its name. Returns 0 for none. */
static uint32_t scope_of(const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    if (*name >= '0' && *name <= '9' && *end == '\0' && number <= UINT32_MAX)
        return (uint32_t)number;
    return if_nametoindex(name);
}

int jg__address_numeric(const char *host, uint16_t port, jg_address *ret_address)
{
    const char *percent = strchr(host, '%');
    uint8_t bytes[16];
    char text[INET6_ADDRSTRLEN];
    size_t length = percent ? (size_t)(percent - host) : strlen(host);
    uint32_t scope = 0;

    if (length >= sizeof(text))
        return -EINVAL;
    memcpy(text, host, length);
    text[length] = '\0';
    if (!percent && inet_pton(AF_INET, text, bytes) == 1) {
        jg__address_ipv4(bytes, port, ret_address);
        return 0;
    }
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return -EINVAL;

    if (percent) {
        scope = scope_of(percent + 1);
        if (scope == 0)
            return percent[1] ? -ENODEV : -EINVAL;
    }
    jg__address_ipv6(bytes, scope, port, ret_address);
    return 0;
}

void jg__address_host(const jg_address *address, char text[JG_ADDRESS_TEXT])
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    char interface[IF_NAMESIZE];
    size_t length;

    if (family_of(address) == AF_INET) {
        load(address, &in, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, text, JG_ADDRESS_TEXT);
        return;
    }

    load(address, &in6, sizeof(in6));
    (void)inet_ntop(AF_INET6, &in6.sin6_addr, text, JG_ADDRESS_TEXT);
    length = strlen(text);
    if (in6.sin6_scope_id == 0)
        return;
    if (if_indextoname(in6.sin6_scope_id, interface))
        snprintf(text + length, JG_ADDRESS_TEXT - length, "%%%s", interface);
    else
        snprintf(text + length, JG_ADDRESS_TEXT - length, "%%%u", (unsigned)in6.sin6_scope_id);
}

size_t jg__address_path(const jg_address *address, const char **ret_name, bool *ret_is_abstract)
{
    const char *path = (const char *)address->storage + offsetof(struct sockaddr_un, sun_path);
    size_t room = sizeof(struct sockaddr_un);

    if (address->size < room)
        room = address->size;
    room -= offsetof(struct sockaddr_un, sun_path);
    *ret_is_abstract = room > 0 && path[0] == '\0';
    *ret_name = path + *ret_is_abstract;
    return *ret_is_abstract ? room - 1 : strnlen(path, room);
}

uint16_t jg_address_port(const jg_address *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    switch (family_of(address)) {
    case AF_INET:
        load(address, &in, sizeof(in));
        return ntohs(in.sin_port);
    case AF_INET6:
        load(address, &in6, sizeof(in6));
        return ntohs(in6.sin6_port);
    default:
        return 0;
    }
}

void jg_address_set_port(jg_address *address, uint16_t port)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    switch (family_of(address)) {
    case AF_INET:
        load(address, &in, sizeof(in));
        in.sin_port = htons(port);
        store(&in, sizeof(in), address);
        break;
    case AF_INET6:
        load(address, &in6, sizeof(in6));
        in6.sin6_port = htons(port);
        store(&in6, sizeof(in6), address);
        break;
    default:
        break;
    }
}

static bool same_ipv6(const jg_address *a, const jg_address *b)
{
    struct sockaddr_in6 x, y;

    load(a, &x, sizeof(x));
    load(b, &y, sizeof(y));
    return memcmp(&x.sin6_addr, &y.sin6_addr, sizeof(x.sin6_addr)) == 0 &&
           x.sin6_port == y.sin6_port && x.sin6_scope_id == y.sin6_scope_id;
}

static bool same_ipv4(const jg_address *a, const jg_address *b)
{
    struct sockaddr_in x, y;

    load(a, &x, sizeof(x));
    load(b, &y, sizeof(y));
    return x.sin_addr.s_addr == y.sin_addr.s_addr && x.sin_port == y.sin_port;
}

/* By what they mean: there are padding, and the flow label of IPv6, which an address may lack. */
bool jg_address_equal(const jg_address *a, const jg_address *b)
{
    const char *p, *q;
    bool p_abstract, q_abstract;
    size_t length;

    if (family_of(a) != family_of(b))
        return false;

    switch (family_of(a)) {
    case AF_INET:
        return same_ipv4(a, b);
    case AF_INET6:
        return same_ipv6(a, b);
    case AF_UNIX:
        length = jg__address_path(a, &p, &p_abstract);
        return jg__address_path(b, &q, &q_abstract) == length && p_abstract == q_abstract &&
               memcmp(p, q, length) == 0;
    default:
        return a->size == b->size && memcmp(a->storage, b->storage, a->size) == 0;
    }
}
