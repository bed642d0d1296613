/* SPDX-License-Identifier: MIT
 *
 * The system's own way to look up names.
 */
#ifndef JG_PLATFORM_NAMES_H
#define JG_PLATFORM_NAMES_H

#include <juggle/address.h>

/* Whether /etc/resolv.conf is what programs go by, where nothing says otherwise. */
extern const bool jg__has_resolv_conf;

/*
 * The addresses of a name, in the order of getaddrinfo, of one family or, with JG_FAMILY_NONE, of
 * both. It blocks. Returns how many there are, up to `room`, or an error.
 */
int jg__names_look_up(const char *host, jg_family family, uint16_t port, jg_address *addresses,
                      size_t room);

#endif
