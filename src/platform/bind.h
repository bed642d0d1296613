/* SPDX-License-Identifier: MIT
 *
 * Sockets of servers: bound, listening, and accepted from.
 */
#ifndef JG_PLATFORM_BIND_H
#define JG_PLATFORM_BIND_H

#include <juggle/address.h>

/*
 * A stream socket that is bound to an address; `shared`: others of this user may be, too, and
 * connections are divided among those that listen. Returns the descriptor or an error.
 */
int jg__bind(const jg_address *address, bool shared);

/* Have it listen. Returns 0 or an error. */
int jg__bind_listen(int fd, int backlog);

/* Accept a connection, which is non-blocking. Returns its descriptor; -EAGAIN if there is none, or
   the connection failed meanwhile; or another error. */
int jg__bind_accept(int fd);

/* The address of a socket, and of its peer. Returns 0 or an error. */
int jg__bind_own(int fd, jg_address *ret_address);
int jg__bind_peer(int fd, jg_address *ret_address);

#endif
