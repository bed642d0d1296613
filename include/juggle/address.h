/* SPDX-License-Identifier: MIT
 *
 * Addresses of sockets: IPv4, IPv6 and Unix, as values.
 */
#ifndef JUGGLE_ADDRESS_H
#define JUGGLE_ADDRESS_H

#include <juggle/base.h>

JG_BEGIN_DECLS

typedef enum jg_family { JG_FAMILY_NONE, JG_IPV4, JG_IPV6, JG_UNIX } jg_family;

/*
 * Zeroed memory is no address. For system calls, a pointer to `storage` is one to a struct sockaddr
 * of `size` bytes.
 */
typedef struct jg_address {
    uint64_t storage[14];
    uint32_t size;
} jg_address;

/* Enough for every text of an address, its end included. */
#define JG_ADDRESS_TEXT 128

/**
 * Read an address. Names are not looked up: see resolve.h. The forms are
 *
 *     127.0.0.1:80    [::1]:80    [fe80::1%eth0]:80    127.0.0.1    ::1    (the port is then 0)
 *     /run/socket     unix:relative/socket    unix:@abstract    (of Linux)
 *
 * Returns   0 and the address; -EINVAL; -ENAMETOOLONG; -ENODEV for an interface that does not
 *           exist; -ENOTSUP for an abstract name where there are none.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_address_parse(const char *text, jg_address *ret_address);

/**
 * Write an address as jg_address_parse reads it; a Unix one always with "unix:". Bytes of an
 * abstract name that cannot be printed become "?".
 *
 * size      bytes; JG_ADDRESS_TEXT are enough.
 *
 * Returns   the length; -ENOBUFS if it does not fit, -EINVAL for what is no address, with nothing
 *           written.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_address_format(const jg_address *address, char *text, size_t size);

/* The family; JG_FAMILY_NONE for what is none of the others. */
JG_API jg_family jg_address_family(const jg_address *address);

/* The port, 0 where there is none. */
JG_API uint16_t jg_address_port(const jg_address *address);

/* Change the port; nothing happens where there is none. */
JG_API void jg_address_set_port(jg_address *address, uint16_t port);

/* Whether they are the same, port and scope included. */
JG_API bool jg_address_equal(const jg_address *a, const jg_address *b);

JG_END_DECLS

#endif
