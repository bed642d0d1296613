/* SPDX-License-Identifier: MIT
 *
 * Names to addresses. asyncio: getaddrinfo.
 *
 * Numeric addresses, names in /etc/hosts and "localhost" are known at once. For all others there
 * are two ways:
 *
 *  - JG_RESOLVE_DNS: our own queries to the name servers of /etc/resolv.conf, with its search list
 *    and options. Thousands can be pending, without threads, and cancelling ends one at once.
 *  - JG_RESOLVE_SYSTEM: getaddrinfo in an executor, of the loop's and for names alone. It knows all
 *    that the machine knows, multicast DNS, directories and resolvers of VPNs among it, but takes
 *    one of 16 threads for each name. Cancelling abandons it: the thread goes on until the system
 *    gives up.
 *
 * The default is our own queries where they have the same answer: where /etc/nsswitch.conf says
 * that hosts are looked up in files and DNS alone, and the name does not end in ".local"; else the
 * system. So a program does not see another world than the rest of the machine does, and still is
 * fast on servers and in containers.
 *
 * The files are read, blocking, for each name that is not numeric, so that changes count at once;
 * nothing is cached.
 */
#ifndef JUGGLE_RESOLVE_H
#define JUGGLE_RESOLVE_H

#include <juggle/address.h>
#include <juggle/op.h>

JG_BEGIN_DECLS

typedef enum jg_resolve_way {
    JG_RESOLVE_DEFAULT,
    JG_RESOLVE_DNS,
    JG_RESOLVE_SYSTEM
} jg_resolve_way;

/* Zeroed memory is a valid set of options; so is NULL in its place. Nothing of it has to stay. */
typedef struct jg_resolve_options {
    jg_resolve_way way;
    jg_family family;   /* JG_IPV4 or JG_IPV6: of that alone; JG_FAMILY_NONE: both */
    const char *config; /* path in place of /etc/resolv.conf; or NULL */
    const char *hosts;  /* path in place of /etc/hosts; or NULL */
    const jg_address
        *servers; /* at most 4, to be asked in our own way in place of those in config */
    size_t server_count;
} jg_resolve_options;

/**
 * Look up the addresses of a host. Both families are asked for at the same time. The addresses come
 * in an order to try to connect in: the families take turns, IPv6 first if the machine has a route
 * to the first such address (RFC 8305, section 4); within a family in the order of the answer.
 *
 * host      a name, an IPv4 or an IPv6 address, with a scope if it has one: "fe80::1%eth0".
 * port      of the addresses.
 * options   or NULL.
 * addresses room for `room` of them, at least 1; others are left out.
 *
 * Returns   how many addresses there are, at least 1. JG_ENONAME: the name does not exist.
 *           JG_ENOADDRESS: it does, with no address of this family. JG_ETRYAGAIN: no server could
 *           tell in time. JG_ENAMEFAIL: they refuse. -EINVAL for what is no name, -ENODEV for a
 *           scope that does not exist; -ENOMEM, -EMFILE, -ENETUNREACH and the like; -ENOBUFS if
 *           too much waits for the executor; -ECANCELED.
 * Owns      nothing; `addresses` must stay until it returns, or the op has completed.
 * Thread    loop.
 * Suspends  jg_resolve yes, jg_resolve_start, whose op completes with the number, no.
 */
JG_API int jg_resolve(const char *host, uint16_t port, const jg_resolve_options *options,
                      jg_address *addresses, size_t room);
JG_API int jg_resolve_start(const char *host, uint16_t port, const jg_resolve_options *options,
                            jg_address *addresses, size_t room, jg_op *op);

JG_END_DECLS

#endif
