/* SPDX-License-Identifier: MIT
 *
 * Sockets that listen: accepting, the paths of Unix sockets, and descriptors that were inherited.
 */
#ifndef JG_PLATFORM_LISTEN_H
#define JG_PLATFORM_LISTEN_H

#include <juggle/address.h>

/* 0 or -errno. A backlog <= 0 is the most there can be. */
int jg__listen(int fd, int backlog);

/* 0; -EBADF, -ENOTSOCK, -EINVAL if it is no stream socket that listens. */
int jg__listen_check(int fd);

/*
 * Accept a connection: non-blocking, close-on-exec, not delaying writes if the listener does not.
 * Returns the descriptor; -EAGAIN if none waits; -EBADF, -EINVAL, -ENOTSOCK: the listener is
 * broken; other errors are those of now. What is wrong with one connection alone is none.
 */
int jg__accept(int fd, bool no_delay, jg_address *ret_peer);

/* A descriptor to be given up when there is no other, or -errno. */
int jg__reserve_open(void);

/*
 * Whether the path of a Unix address is a socket that nobody listens to; it is removed then. The
 * others are about the file of that path: which it is, all 0 if there is none; and to remove it.
 */
bool jg__unix_clear(const jg_address *address);
void jg__unix_identify(const jg_address *address, uint64_t ret_inode[2]);
void jg__unix_unlink(const jg_address *address, const uint64_t inode[2]);

/* See jg_inherited_fd. */
int jg__inherited_fd(const char *name, int index);

#endif
