/* SPDX-License-Identifier: MIT
 *
 * Sockets that listen, at numeric addresses "127.0.0.1:8080" and "[::1]:8080".
 */
#ifndef JG_PLATFORM_BIND_H
#define JG_PLATFORM_BIND_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A socket that is bound to an address; `shared`: others of this user may be, too, and connections
 * are divided among those that listen. Returns the descriptor; -EINVAL for what is no address, or
 * another error.
 */
int jg__listen_bind(const char *address, bool shared);

/* Have it listen. Returns 0 or an error. */
int jg__listen_start(int fd, int backlog);

/* Accept a connection, which is non-blocking. Returns its descriptor; -EAGAIN if there is none, or
   the connection failed meanwhile; or another error. */
int jg__listen_accept(int fd);

/* Write an address of a socket as jg__listen_bind reads it: its own, or its peer's without the
   port. Returns 0 or an error. */
int jg__socket_own_text(int fd, char *text, size_t size);
int jg__socket_peer_text(int fd, char *text, size_t size);

#endif
