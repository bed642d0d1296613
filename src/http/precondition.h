/* SPDX-License-Identifier: MIT
 *
 * Preconditions and byte ranges, RFC 9110 13 and 14: what is to be done with a request, told
 * from its fields and what they are compared with.
 */
#ifndef JG_HTTP_PRECONDITION_H
#define JG_HTTP_PRECONDITION_H

#include <juggle/http_parser.h>

/* What tells one state of a file from another. */
struct jg__validators {
    jg_text etag; /* with its quotes, and W/ before them if it is weak; no data: there is none */
    int64_t modified; /* seconds since 1970 */
};

/* Bytes first to last, both included. */
struct jg__range {
    uint64_t first;
    uint64_t last;
};

/* Room for an entity-tag and its NUL. */
#define JG__ETAG_SIZE 40

/* An entity-tag of a file's size and its time of modification in nanoseconds. */
void jg__etag_format(uint64_t size, int64_t modified, char buffer[JG__ETAG_SIZE]);

/* The status to answer with: 200 go on, 304 or 412. `now`: seconds since 1970. */
int jg__precondition_evaluate(const jg_http_head *head, const struct jg__validators *validators,
                              int64_t now);

/* The same for the range that is asked for, of `size` bytes, when all else is fine: 206 and the
   range; 416 if it lies outside; 200 if there is none, or one that is not to be honoured: invalid,
   more than one, or with an If-Range that does not hold. */
int jg__range_evaluate(const jg_http_head *head, const struct jg__validators *validators,
                       int64_t now, uint64_t size, struct jg__range *ret_range);

#endif
