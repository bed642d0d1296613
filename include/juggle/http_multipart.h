/* SPDX-License-Identifier: MIT
 *
 * Multipart bodies as forms with files send them: multipart/form-data, RFC 7578 and RFC 2046 5.1.
 * The parser takes bytes as they come, in pieces of any size, and hands out the parts' data without
 * copying. Only the head of the current part is kept.
 */
#ifndef JUGGLE_HTTP_MULTIPART_H
#define JUGGLE_HTTP_MULTIPART_H

#include <juggle/text.h>

JG_BEGIN_DECLS

/* All of it is the parser's own. */
typedef struct jg_http_multipart {
    char *head; /* of the current part */
    size_t head_capacity;
    size_t head_size;
    uint8_t state;
    uint8_t matched; /* bytes of the delimiter that were found last */
    uint8_t delimiter_size;
    char delimiter[75]; /* CRLF, "--" and the boundary */
    int error;
} jg_http_multipart;

/* What jg_http_multipart_feed found. */
enum {
    JG_HTTP_MULTIPART_MORE,
    JG_HTTP_MULTIPART_PART, /* the head of a part, see jg_http_multipart_field */
    JG_HTTP_MULTIPART_DATA, /* data of that part; it ends with the next part or with _END */
    JG_HTTP_MULTIPART_END,  /* there are no more parts */
};

/**
 * Prepare a parser.
 *
 * boundary  the parameter "boundary" of Content-Type, 1 to 70 bytes; it is copied.
 * buffer    where heads of parts are kept; `capacity` bytes limit them. 1 KiB is plenty.
 *
 * Returns   0, or -EINVAL for a boundary that RFC 2046 does not allow.
 * Owns      nothing; the buffer must stay as long as the parser.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_multipart_init(jg_http_multipart *multipart, jg_text boundary, char *buffer,
                                  size_t capacity);

/**
 * Go on with the body, up to the next event.
 *
 * data      what follows what was used so far.
 * ret_used  how many bytes of it are done with; all of them for JG_HTTP_MULTIPART_MORE. May be 0.
 * ret_data  for JG_HTTP_MULTIPART_DATA: a piece, not empty, in `data` or in the parser; valid until
 *           the next call.
 *
 * Returns   an event; or -EBADMSG for a malformed body, -ENOBUFS for a head that exceeds the
 *           buffer, which also each further call returns. A body that ends before _END is cut
 *           short.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_multipart_feed(jg_http_multipart *multipart, const char *data, size_t size,
                                  size_t *ret_used, jg_text *ret_data);

/* The value of a field of the current part, by its name without regard to case; no data if it has
   none. jg_http_parameter takes "name" and "filename" from that of Content-Disposition. */
JG_API jg_text jg_http_multipart_field(const jg_http_multipart *multipart, const char *name);

JG_END_DECLS

#endif
