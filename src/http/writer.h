/* SPDX-License-Identifier: MIT
 *
 * Writing heads into a buffer of fixed size. Whatever text comes in from outside, the head has the
 * lines that it was given and no others: a line break cannot be smuggled into a field.
 */
#ifndef JG_HTTP_WRITER_H
#define JG_HTTP_WRITER_H

#include "http/output.h"

/* The reason phrase of a status, RFC 9110 15; "" if it has none. */
const char *jg__http_reason(int status);

/* Each of these returns 0; -EINVAL for what a head cannot have, or -ENOBUFS. Then nothing was
   written. */

/* "HTTP/1.1 200 OK" and its CRLF; 100 to 999. */
int jg__write_status(struct jg__output *output, int status);

/* "GET / HTTP/1.1" and its CRLF. */
int jg__write_request(struct jg__output *output, jg_text method, jg_text target);

/* A field line. The value may have tabs and bytes beyond ASCII, but no other controls. */
int jg__write_field(struct jg__output *output, jg_text name, jg_text value);

/* Content-Length. */
int jg__write_length(struct jg__output *output, uint64_t length);

/* The empty line at the end. */
int jg__write_end(struct jg__output *output);

#endif
