/* SPDX-License-Identifier: MIT
 *
 * Datagrams of a socket, and what can be set for it besides what all sockets have.
 */
#ifndef JG_PLATFORM_DATAGRAM_H
#define JG_PLATFORM_DATAGRAM_H

#include <juggle/udp.h>

/*
 * Receive or send some of these, at least one: they return how many. -EAGAIN: none for now. An error
 * that came behind the first datagram, and that the system will not tell again, is in `ret_later`,
 * which is untouched without. An error that Linux itself drops when it ends a batch of sendmmsg is
 * lost: its SO_ERROR does not have it either.
 */
int jg__datagrams_receive(int fd, jg_datagram *datagrams, size_t count, int16_t *ret_later);
int jg__datagrams_send(int fd, const jg_datagram *datagrams, size_t count, bool connected,
                       int16_t *ret_later);

/* The options that are about datagrams, before the socket is bound. Returns 0 or -errno. */
int jg__datagrams_tune(int fd, jg_family family, const jg_udp_options *options);

/* Join a group, or leave it. Returns 0, -ENOTSUP or -errno. */
int jg__datagrams_membership(int fd, const jg_address *group, unsigned interface, bool join);

#endif
