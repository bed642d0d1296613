/* SPDX-License-Identifier: MIT
 *
 * Addresses as text.
 */
#include "platform/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOST_SIZE 80 /* of the longest: IPv6 with the name of an interface */

static int parse_port(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(*text - '0');
        if (port > 65535)
            return -EINVAL;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

static int parse_host(const char *text, size_t length, uint16_t port, jg_address *ret_address)
{
    char host[HOST_SIZE];

    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    return jg__address_numeric(host, port, ret_address);
}

/* "[HOST]" or "[HOST]:PORT", for IPv6 alone. */
static int parse_bracketed(const char *text, jg_address *ret_address)
{
    const char *end = strchr(text, ']');
    jg_address address;
    uint16_t port = 0;
    int r = 0;

    if (!end || (end[1] && end[1] != ':'))
        return -EINVAL;
    if (end[1])
        r = parse_port(end + 2, &port);
    if (r == 0)
        r = parse_host(text + 1, (size_t)(end - text - 1), port, &address);
    if (r == 0 && jg_address_family(&address) != JG_IPV6)
        r = -EINVAL;
    if (r == 0)
        *ret_address = address;
    return r;
}

int jg_address_parse(const char *text, jg_address *ret_address)
{
    const char *colon = strchr(text, ':');
    uint16_t port;
    int r;

    if (text[0] == '/')
        return jg__address_unix(text, strlen(text), false, ret_address);
    if (strncmp(text, "unix:@", 6) == 0)
        return jg__address_unix(text + 6, strlen(text + 6), true, ret_address);
    if (strncmp(text, "unix:", 5) == 0)
        return jg__address_unix(text + 5, strlen(text + 5), false, ret_address);
    if (text[0] == '[')
        return parse_bracketed(text, ret_address);
    if (!colon || strchr(colon + 1, ':'))
        return parse_host(text, strlen(text), 0, ret_address);

    r = parse_port(colon + 1, &port);
    return r < 0 ? r : parse_host(text, (size_t)(colon - text), port, ret_address);
}

/* Returns the length. */
static int format_unix(const jg_address *address, char *text, size_t size)
{
    const char *name;
    bool is_abstract;
    int length = (int)jg__address_path(address, &name, &is_abstract);
    int head = snprintf(text, size, is_abstract ? "unix:@" : "unix:");

    for (int i = 0; i < length; i++) {
        const bool prints = name[i] >= ' ' && name[i] != 127;

        text[head + i] = prints || !is_abstract ? name[i] : '?';
    }
    text[head + length] = '\0';
    return head + length;
}

int jg_address_format(const jg_address *address, char *text, size_t size)
{
    char whole[JG_ADDRESS_TEXT], host[JG_ADDRESS_TEXT];
    int length;

    switch (jg_address_family(address)) {
    case JG_IPV4:
        jg__address_host(address, host);
        length = snprintf(whole, sizeof(whole), "%.60s:%u", host, jg_address_port(address));
        break;
    case JG_IPV6:
        jg__address_host(address, host);
        length = snprintf(whole, sizeof(whole), "[%.80s]:%u", host, jg_address_port(address));
        break;
    case JG_UNIX:
        length = format_unix(address, whole, sizeof(whole));
        break;
    default:
        return -EINVAL;
    }

    if ((size_t)length >= size)
        return -ENOBUFS;
    memcpy(text, whole, (size_t)length + 1);
    return length;
}
