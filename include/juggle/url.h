/* SPDX-License-Identifier: MIT
 *
 * URLs of the schemes http, https, ws and wss (RFC 3986), and what is in their pieces: escapes,
 * dot segments, and forms.
 */
#ifndef JUGGLE_URL_H
#define JUGGLE_URL_H

#include <juggle/text.h>

JG_BEGIN_DECLS

/* A URL in its pieces, which lie in the text it was parsed from and are still escaped. */
typedef struct jg_url {
    jg_text scheme;
    jg_text authority; /* host and port as written: what Host wants */
    jg_text host;      /* an IPv6 address without its brackets */
    jg_text path;      /* begins with "/", or is empty, which means "/" */
    jg_text query;     /* without "?"; no data if there is none, as for the fragment */
    jg_text fragment;  /* without "#" */
    uint16_t port;     /* that of the scheme if none is written */
    bool secure;       /* https or wss */
} jg_url;

/**
 * Take a URL apart. User information, as in "http://user@host/", is refused: it is used to deceive
 * people more than for logging in.
 *
 * Returns   0, -EINVAL, or -EPROTONOSUPPORT for another scheme.
 * Owns      nothing; the pieces lie in `text`.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_url_parse(jg_text text, jg_url *ret_url);

/**
 * Resolve a reference, such as the value of Location, against the URL it was found at: RFC 3986
 * 5.2. The result can be parsed as a URL if the reference does not go to another scheme.
 *
 * buffer    gets the result and a NUL.
 * ret_size  without the NUL; may be NULL.
 *
 * Returns   0, -EINVAL for characters that no URL has, or -ENOBUFS.
 * Owns      nothing; the buffer must not overlap what is read.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_url_resolve(const jg_url *base, jg_text reference, char *buffer, size_t capacity,
                          size_t *ret_size);

/* How a text is escaped: "%20" for a space, or as forms do, where "+" stands for it. */
typedef enum jg_url_escapes { JG_URL_PLAIN, JG_URL_FORM } jg_url_escapes;

/**
 * Undo the escapes of a text, "%41" for "A". This may be done in place, buffer == text.data: the
 * result is never longer. It can have any bytes, NUL as well.
 *
 * buffer    gets the result, and a NUL if there is room.
 *
 * Returns   0, -EINVAL for a "%" without two hexadecimal digits, or -ENOBUFS.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_url_unescape(jg_text text, jg_url_escapes escapes, char *buffer, size_t capacity,
                           size_t *ret_size);

/**
 * Escape a text so that it can be a segment of a path, a name or a value: all but letters, digits
 * and -._~ become "%41"; in forms a space becomes "+".
 *
 * buffer    gets the result and a NUL.
 * ret_size  without the NUL; may be NULL.
 *
 * Returns   0, or -ENOBUFS; three times the size and one byte always suffice.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_url_escape(jg_text text, jg_url_escapes escapes, char *buffer, size_t capacity,
                         size_t *ret_size);

/**
 * Take the next "name=value" from a query or a form. Both are left escaped, as JG_URL_FORM; a value
 * without "=" has no data. Empty pairs are skipped.
 *
 * rest      begins as the whole and is left with what follows.
 *
 * Returns   false if there is none left.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API bool jg_url_query_next(jg_text *rest, jg_text *ret_name, jg_text *ret_value);

/**
 * Turn the path of a request into a relative path in a directory of files. Escapes are undone once,
 * "." and ".." are resolved, empty segments dropped. What would leave the directory, an escaped "/"
 * and NUL are refused, so that the result never has a segment "..", never begins with "/" and may
 * be given to openat. Links in the directory are followed as its owner made them.
 *
 * buffer    gets the result and a NUL; "" is the directory itself. A result that ends in "/" asks
 *           for a directory.
 * ret_size  without the NUL; may be NULL.
 *
 * Returns   0, -EINVAL, or -ENOBUFS.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_url_file_path(jg_text path, char *buffer, size_t capacity, size_t *ret_size);

JG_END_DECLS

#endif
