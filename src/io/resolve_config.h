/* SPDX-License-Identifier: MIT
 *
 * The files that say how names are looked up: resolv.conf(5), hosts(5), nsswitch.conf(5). Text in,
 * struct out; what is not understood is skipped, as everybody does.
 */
#ifndef JG_IO_RESOLVE_CONFIG_H
#define JG_IO_RESOLVE_CONFIG_H

#include "base/alloc.h"

#include <juggle/address.h>

#define JG__SERVERS 4
#define JG__SEARCH  6

typedef struct jg__resolve_config {
    jg_address servers[JG__SERVERS];
    int server_count; /* at least 1 */
    int search_count;
    char search[JG__SEARCH][256];
    int ndots;
    int attempts;    /* with each server */
    jg_time timeout; /* ns of one attempt */
    bool rotate;
} jg__resolve_config;

/* A file in memory. One that is not there, or not for us to read, is empty. */
typedef struct jg__text {
    char *bytes;
    size_t size;
    size_t allocated;
} jg__text;

/* Returns 0; -ENOMEM, -EMFILE, -ENFILE or -EIO. */
int jg__text_read(const jg_allocator *allocator, const char *path, jg__text *ret_text);
void jg__text_free(const jg_allocator *allocator, jg__text *text);

void jg__resolve_config_parse(const jg__text *text, jg__resolve_config *ret_config);

/* The addresses that hosts(5) has for a name. Returns how many there are, up to `room`. */
size_t jg__hosts_find(const jg__text *text, const char *name, jg_family family, uint16_t port,
                      jg_address *addresses, size_t room);

/* Whether nsswitch.conf(5) has names looked up in files and DNS alone. `otherwise`: it says
 * nothing.
 */
bool jg__nsswitch_is_plain(const jg__text *text, bool otherwise);

/* As names are compared: without regard to case, and to a dot at the end. */
bool jg__names_equal(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
