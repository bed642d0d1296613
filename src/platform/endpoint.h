/* SPDX-License-Identifier: MIT
 *
 * Sockets before bytes move over them: made, bound, connected, named, tuned.
 *
 * All descriptors made here are non-blocking and close-on-exec, and raise no signal.
 */
#ifndef JG_PLATFORM_ENDPOINT_H
#define JG_PLATFORM_ENDPOINT_H

#include <juggle/address.h>

/* The descriptor or -errno. -EINVAL for what is no address. */
int jg__endpoint_open(jg_family family, bool datagrams);

/* The same care for a descriptor that came from elsewhere. Returns it or -errno; it is not closed. */
int jg__endpoint_adopt(int fd);

/* All of these return 0 or -errno. */
int jg__endpoint_bind(int fd, const jg_address *address);
int jg__endpoint_local(int fd, jg_address *ret_address);
int jg__endpoint_peer(int fd, jg_address *ret_address);

/* -EINPROGRESS: it goes on, also after a signal. -EAGAIN: of a Unix socket, to be tried again. */
int jg__endpoint_connect(int fd, const jg_address *address);

/* How the connecting ended: 0 or a negative error. The error is taken from the socket. */
int jg__endpoint_result(int fd);

/* A connection over TCP that met itself, as one to a free local port may. */
bool jg__endpoint_is_loop(int fd, const jg_address *target);

/* Options: 0, or -errno, with -ENOTSUP for one that does not exist here. */
int jg__endpoint_reuse_address(int fd);
int jg__endpoint_reuse_port(int fd);
int jg__endpoint_v6_only(int fd, bool on);

/* Choose the local port of a bound socket only when it connects, if the system can. */
void jg__endpoint_late_port(int fd);

/*
 * Of TCP: do not delay writes; and that together with asking a peer that is silent for so many ns
 * whether it is still there, or not for 0. Returns 0, -EINVAL or -errno.
 */
void jg__endpoint_no_delay(int fd);
int jg__endpoint_tune(int fd, bool nagle, jg_time silence);

/* Who was at the other end of a Unix socket when it was connected. `pid` is -1 where unknown. */
int jg__endpoint_credentials(int fd, int64_t *ret_pid, uint32_t *ret_uid, uint32_t *ret_gid);

#endif
