/* SPDX-License-Identifier: MIT
 *
 * Descriptors of our own: close-on-exec, non-blocking, and never 0, 1 or 2, where a program that
 * was started without them would print into our kernel objects.
 */
#ifndef JG_PLATFORM_DESCRIPTOR_H
#define JG_PLATFORM_DESCRIPTOR_H

#include <stdbool.h>

/*
 * Move a fresh descriptor above 2 and make it close-on-exec. A negative value passes through.
 * Returns the descriptor or -errno, with `fd` closed.
 */
int jg__fd_tidy(int fd);

/* 0, or an error of close(2); the descriptor is closed in any case. Ignores negative ones. */
int jg__fd_close(int fd);

/* How the flags of an open file, O_NONBLOCK above all, concern others. */
enum jg__sharing {
    JG__SHARED,     /* with whoever has the file from the same open(2) */
    JG__NOT_SHARED, /* it was opened again, and is non-blocking */
    JG__NO_MATTER   /* a regular file: its flags are shared, but there is nothing to wait for */
};

/*
 * Another descriptor of the same file, close-on-exec, with flags of its own if that can be had: a
 * terminal or a pipe can be opened again. Returns it or -errno.
 */
int jg__fd_share(int fd, enum jg__sharing *ret_sharing);

/* Whether it is a regular file or a block device: what cannot be waited for, and may yet be slow. */
bool jg__fd_is_disk(int fd);

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
