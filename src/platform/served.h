/* SPDX-License-Identifier: MIT
 *
 * Files that are sent to clients: regular ones, and nothing else.
 */
#ifndef JG_PLATFORM_SERVED_H
#define JG_PLATFORM_SERVED_H

#include <juggle/base.h>

#include <sys/types.h>

typedef struct jg__served {
    int fd;
    uint64_t size;
    int64_t modified; /* ns since 1970 */
} jg__served;

/* A directory to open files in. Returns a descriptor or an error. */
int jg__served_directory(const char *path);

/* Open a file, in a directory, or in the current one if that is negative. Never waits. Returns 0;
   -EISDIR; -ENOENT, also for what is not a regular file; or another error. */
int jg__served_open(int directory, const char *path, jg__served *ret_file);

/* As pread. Returns how many bytes were read, 0 at the end, or an error. */
ssize_t jg__served_read(const jg__served *file, void *buf, size_t size, uint64_t offset);

#endif
