/* SPDX-License-Identifier: MIT
 *
 * Files that are sent to clients: regular ones, and nothing else.
 */
#ifndef JG_PLATFORM_SERVED_H
#define JG_PLATFORM_SERVED_H

#include <juggle/base.h>

typedef struct jg__served {
    int fd;
    uint64_t size;
    int64_t modified; /* ns since 1970 */
} jg__served;

/* A directory to open files in. Returns a descriptor or an error. */
int jg__served_directory(const char *path);

/* Open a file, in a directory, or in the current one if that is negative. Never waits for anything
   but the disk; `at_once` nor for that: -EAGAIN if it would, or if there is no telling. Returns 0;
   -EISDIR; -ENOENT, also for what is not a regular file; or another error. */
int jg__served_open(int directory, const char *path, bool at_once, jg__served *ret_file);

/* Read once, in the same way. Returns how many bytes; 0 at the end of the file, which at once there
   is no telling; or an error. */
int jg__served_read(int fd, void *buffer, int size, int64_t offset, bool at_once);

#endif
