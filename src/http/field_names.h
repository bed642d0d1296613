/* SPDX-License-Identifier: MIT
 *
 * The names of fields that are recognised.
 */
#ifndef JG_HTTP_FIELD_NAMES_H
#define JG_HTTP_FIELD_NAMES_H

#include <juggle/http_parser.h>

/* Which name this is, JG_HTTP_NAMES if it is none of them. It has at least one byte; eight bytes
   can be read even if it has less. */
jg_http_name jg__http_name(const char *name, size_t size);

#endif
