/* SPDX-License-Identifier: MIT
 *
 * What the fields of a head mean for the message itself: where its body ends and whether the
 * connection outlives it.
 */
#ifndef JG_HTTP_MESSAGE_H
#define JG_HTTP_MESSAGE_H

#include <juggle/http_parser.h>

/* The fields that jg__http_message_field wants to see, 1 << name. */
#define JG__HTTP_MESSAGE_FIELDS                                                  \
    (UINT64_C(1) << JG_HTTP_CONNECTION | UINT64_C(1) << JG_HTTP_CONTENT_LENGTH | \
     UINT64_C(1) << JG_HTTP_EXPECT | UINT64_C(1) << JG_HTTP_HOST |               \
     UINT64_C(1) << JG_HTTP_TRANSFER_ENCODING)

/* Take a field into account, before it is marked as known. 0 or an error. */
int jg__http_message_field(jg_http_parser *parser, jg_http_name name, jg_http_span value);

/* All fields are there: decide. 0 or an error. */
int jg__http_message_end(jg_http_parser *parser);

#endif
