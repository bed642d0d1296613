/* SPDX-License-Identifier: MIT
 *
 * Addresses as the system has them.
 */
#ifndef JG_PLATFORM_ADDRESS_H
#define JG_PLATFORM_ADDRESS_H

#include <juggle/address.h>

/* Make addresses of bytes in network order. `scope` is the number of an interface, or 0. */
void jg__address_ipv4(const uint8_t bytes[4], uint16_t port, jg_address *ret_address);
void jg__address_ipv6(const uint8_t bytes[16], uint32_t scope, uint16_t port,
                      jg_address *ret_address);

/* Make one of a path or an abstract name. Returns 0, -EINVAL, -ENAMETOOLONG or -ENOTSUP. */
int jg__address_unix(const char *name, size_t length, bool is_abstract, jg_address *ret_address);

/* Make one of a numeric host, "::1%eth0" say. Returns 0, -EINVAL or -ENODEV. */
int jg__address_numeric(const char *host, uint16_t port, jg_address *ret_address);

/* Write the numeric host, which takes less than JG_ADDRESS_TEXT bytes. Not for Unix addresses. */
void jg__address_host(const jg_address *address, char text[JG_ADDRESS_TEXT]);

/* The name of a Unix address, which may contain any byte if it is abstract. Returns its length. */
size_t jg__address_path(const jg_address *address, const char **ret_name, bool *ret_is_abstract);

#endif
