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

/* Open a file, in a directory, or in the current one if that is negative. Never waits. Returns 0;
   -EISDIR; -ENOENT, also for what is not a regular file; or another error. */
int jg__served_open(int directory, const char *path, jg__served *ret_file);

#endif
