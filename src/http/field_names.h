/* SPDX-License-Identifier: MIT
 *
 * The names of fields that are recognised.
 */
#ifndef JG_HTTP_FIELD_NAMES_H
#define JG_HTTP_FIELD_NAMES_H

#include <juggle/http_parser.h>

/* More than the longest of them, in whole words. */
#define JG__NAME_SIZE 32

/* Which name this is, JG_HTTP_NAMES if it is none of them. It has at least one byte, and there are
   seven more that can be read after it. */
enum jg_http_name jg__http_name(const char *name, size_t size);

#endif
