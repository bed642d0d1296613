/* SPDX-License-Identifier: MIT
 *
 * Descriptors of our own: close-on-exec, non-blocking, and never 0, 1 or 2, where a program that
 * was started without them would print into our kernel objects.
 */
#ifndef JG_PLATFORM_DESCRIPTOR_H
#define JG_PLATFORM_DESCRIPTOR_H

/*
 * Move a fresh descriptor above 2 and make it close-on-exec. A negative value passes through.
 * Returns the descriptor or -errno, with `fd` closed.
 */
int jg__fd_tidy(int fd);

/* 0, or an error of close(2); the descriptor is closed in any case. Ignores negative ones. */
int jg__fd_close(int fd);

/* 0 if the descriptor is open, else -EBADF. */
int jg__fd_check(int fd);

/* Write a text to standard error, as far as it will go. Async-signal-safe. */
void jg__print_error(const char *text);

/*
 * Something to wake a poller with: readable after a write. [0] is for reading, [1] for writing, and
 * both may be the same. Returns 0 or -errno.
 */
int jg__wakefd_open(int ret_fds[2]);
void jg__wakefd_close(int fds[2]);

/* Any thread; async-signal-safe; keeps errno. */
void jg__wakefd_write(int fd);
void jg__wakefd_drain(int fd);

#endif
