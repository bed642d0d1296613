/* SPDX-License-Identifier: MIT
 *
 * Sockets that ask one server one thing: connected, so that the kernel passes on nothing of others.
 */
#ifndef JG_PLATFORM_DIAL_H
#define JG_PLATFORM_DIAL_H

#include <juggle/address.h>

/*
 * A socket, connected or, if it is a stream, connecting; non-blocking and close-on-exec. Its own
 * port is one that the system chooses at random. Returns the descriptor or -errno.
 */
int jg__dial(const jg_address *address, bool stream);

/* Both return bytes or -errno; sending raises no signal. */
int jg__dial_send(int fd, const void *data, size_t size);
int jg__dial_receive(int fd, void *buffer, size_t size);

/* Whether the system has a route to an address. Nothing is sent. */
bool jg__is_routable(const jg_address *address);

#endif
