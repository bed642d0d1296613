/* SPDX-License-Identifier: MIT
 *
 * What stands in the fields of HTTP messages: lists, parameters, dates and cookies.
 */
#ifndef JUGGLE_HTTP_FIELD_H
#define JUGGLE_HTTP_FIELD_H

#include <juggle/text.h>

JG_BEGIN_DECLS

/* A field to be sent: name and value, strings without control characters. */
typedef struct jg_http_pair {
    const char *name, *value;
} jg_http_pair;

/**
 * Take the next element from a comma-separated list (RFC 9110 5.6.1), such as "close, upgrade".
 * Empty elements are skipped, commas in quoted strings do not separate.
 *
 * rest      begins as the whole value and is left with what follows the element.
 * ret_item  the element without the space around it.
 *
 * Returns   false if there is no further element.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API bool jg_http_list_next(jg_text *rest, jg_text *ret_item);

/* Whether a list has an element, without regard to case. */
JG_API bool jg_http_list_has(jg_text list, const char *item);

/* What stands before the parameters of a value: "text/html" of "text/html; charset=utf-8". */
JG_API jg_text jg_http_value(jg_text field);

/**
 * Find a parameter (RFC 9110 5.6.6), as the charset of "text/html; charset=utf-8", and take the
 * quotes off it.
 *
 * name      without regard to case.
 * buffer    gets the parameter's value and a NUL; `capacity` bytes.
 * ret_size  without the NUL; may be NULL.
 *
 * Returns   0, or -ENOENT for no such parameter, -EINVAL for malformed ones, -ENOBUFS for one that
 *           is larger than the buffer.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_parameter(jg_text field, const char *name, char *buffer, size_t capacity,
                             size_t *ret_size);

/* Room for a date and its NUL. */
#define JG_HTTP_DATE_SIZE 30

/**
 * Write a date as RFC 9110 5.6.7 wants it: "Sun, 06 Nov 1994 08:49:37 GMT".
 *
 * seconds   since 1970, as time() returns them.
 *
 * Returns   0, or -ERANGE for a year outside of 0 to 9999.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_date_format(int64_t seconds, char buffer[JG_HTTP_DATE_SIZE]);

/**
 * Read a date in any of the three forms of RFC 9110 5.6.7.
 *
 * now       seconds since 1970; decides the century of the form that has two digits of the year.
 *
 * Returns   0, or -EINVAL.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_date_parse(jg_text date, int64_t now, int64_t *ret_seconds);

/**
 * Take the next cookie from the value of a Cookie field (RFC 6265 5.4). What is not name=value is
 * skipped; quotes around a value are taken off.
 *
 * Returns   false if there is no further cookie.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API bool jg_http_cookie_next(jg_text *rest, jg_text *ret_name, jg_text *ret_value);

typedef enum jg_http_same_site {
    JG_HTTP_SAME_SITE_UNSET,
    JG_HTTP_SAME_SITE_LAX,
    JG_HTTP_SAME_SITE_STRICT,
    JG_HTTP_SAME_SITE_NONE, /* browsers want `secure` with it */
} jg_http_same_site;

/* A cookie to set; zero or NULL leaves an attribute out. */
typedef struct jg_http_cookie {
    const char *name;
    const char *value; /* NULL is "" */
    const char *path;
    const char *domain;
    int64_t max_age; /* seconds; negative ones delete the cookie */
    bool secure;
    bool http_only;
    jg_http_same_site same_site;
} jg_http_cookie;

/**
 * Write the value of a Set-Cookie field (RFC 6265 4.1), and a NUL.
 *
 * ret_size  without the NUL; may be NULL.
 *
 * Returns   0, or -EINVAL if name, value, path or domain have characters that they must not have,
 *           -ENOBUFS if the buffer is too small.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_cookie_format(const jg_http_cookie *cookie, char *buffer, size_t capacity,
                                 size_t *ret_size);

JG_END_DECLS

#endif
