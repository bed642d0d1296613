/* SPDX-License-Identifier: MIT
 *
 * Parsing HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): bytes in, structs out. The parser reads nothing,
 * allocates nothing and copies nothing; it can be used without the rest of juggle.
 *
 * A jg_http_parser finds the head of a message in a contiguous buffer, a jg_http_body takes the
 * framing off the body that follows. Both are strict: what two recipients could understand in
 * different ways is refused, never guessed. What they decide depends on the bytes alone, not on how
 * these were split on their way.
 */
#ifndef JUGGLE_HTTP_PARSER_H
#define JUGGLE_HTTP_PARSER_H

#include <juggle/text.h>

JG_BEGIN_DECLS

/* Why a message was refused. jg_http_error_status has the status code to answer with. */
enum {
    JG_EHTTP_LINE = -4200,        /* the first line is malformed */
    JG_EHTTP_METHOD = -4201,      /* the method is not a token */
    JG_EHTTP_TARGET = -4202,      /* the target is invalid, or of a form the method has not */
    JG_EHTTP_VERSION = -4203,     /* a version other than HTTP/1.x */
    JG_EHTTP_FIELD = -4204,       /* a field line is malformed */
    JG_EHTTP_HOST = -4205,        /* Host is missing, repeated or invalid */
    JG_EHTTP_LENGTH = -4206,      /* Content-Length is repeated or invalid */
    JG_EHTTP_CODING = -4207,      /* Transfer-Encoding is invalid here */
    JG_EHTTP_UNSUPPORTED = -4208, /* a transfer coding other than chunked */
    JG_EHTTP_LONG_LINE = -4209,   /* the first line exceeds its limit */
    JG_EHTTP_LARGE_HEAD = -4210,  /* the head exceeds its limit */
    JG_EHTTP_MANY_FIELDS = -4211, /* more fields than there is room for */
    JG_EHTTP_CHUNK = -4212,       /* chunked framing is malformed */
    JG_EHTTP_LARGE_CHUNK = -4213, /* chunk extensions or trailers exceed their limit */
    JG_EHTTP_TRUNCATED = -4214,   /* the connection ended within a message */
};

/* The status code a server answers such an error with: 400, 414, 431, 501 or 505; 0 for values
   that are not of the list above. */
JG_API int jg_http_error_status(int error);

typedef enum jg_http_method {
    JG_HTTP_OTHER, /* any other token; jg_http_head.method_name has it */
    JG_HTTP_GET,
    JG_HTTP_HEAD,
    JG_HTTP_POST,
    JG_HTTP_PUT,
    JG_HTTP_DELETE,
    JG_HTTP_CONNECT,
    JG_HTTP_OPTIONS,
    JG_HTTP_TRACE,
    JG_HTTP_PATCH,
} jg_http_method;

/* The four forms of a request's target, RFC 9112 3.2. */
typedef enum jg_http_form {
    JG_HTTP_ORIGIN_FORM,    /* /path?query */
    JG_HTTP_ABSOLUTE_FORM,  /* http://host/path?query */
    JG_HTTP_AUTHORITY_FORM, /* host:port, of CONNECT */
    JG_HTTP_ASTERISK_FORM,  /* the "*" of OPTIONS */
} jg_http_form;

/* Where a body ends, RFC 9112 6.3. */
typedef enum jg_http_framing {
    JG_HTTP_NO_BODY,
    JG_HTTP_SIZED,       /* after jg_http_head.content_length bytes, at least one */
    JG_HTTP_CHUNKED,     /* with the last chunk and its trailers */
    JG_HTTP_UNTIL_CLOSE, /* with the connection; responses only */
} jg_http_framing;

/* Flags of a head. */
#define JG_HTTP_KEEP_ALIVE      (1u << 0) /* the connection outlives this message: RFC 9112 9.3 */
#define JG_HTTP_EXPECT_CONTINUE (1u << 1) /* the client waits for 100 before it sends the body */
#define JG_HTTP_WANTS_UPGRADE   (1u << 2) /* Connection and Upgrade ask for another protocol */

/* Fields that are recognised while they are parsed: jg_http_head_known finds them without a
   search. */
typedef enum jg_http_name {
    JG_HTTP_ACCEPT,
    JG_HTTP_ACCEPT_ENCODING,
    JG_HTTP_ACCEPT_LANGUAGE,
    JG_HTTP_AUTHORIZATION,
    JG_HTTP_CACHE_CONTROL,
    JG_HTTP_CONNECTION,
    JG_HTTP_CONTENT_DISPOSITION,
    JG_HTTP_CONTENT_ENCODING,
    JG_HTTP_CONTENT_LENGTH,
    JG_HTTP_CONTENT_RANGE,
    JG_HTTP_CONTENT_TYPE,
    JG_HTTP_COOKIE,
    JG_HTTP_DATE,
    JG_HTTP_ETAG,
    JG_HTTP_EXPECT,
    JG_HTTP_HOST,
    JG_HTTP_IF_MATCH,
    JG_HTTP_IF_MODIFIED_SINCE,
    JG_HTTP_IF_NONE_MATCH,
    JG_HTTP_IF_RANGE,
    JG_HTTP_IF_UNMODIFIED_SINCE,
    JG_HTTP_LAST_MODIFIED,
    JG_HTTP_LOCATION,
    JG_HTTP_ORIGIN,
    JG_HTTP_RANGE,
    JG_HTTP_REFERER,
    JG_HTTP_SEC_WEBSOCKET_ACCEPT,
    JG_HTTP_SEC_WEBSOCKET_EXTENSIONS,
    JG_HTTP_SEC_WEBSOCKET_KEY,
    JG_HTTP_SEC_WEBSOCKET_PROTOCOL,
    JG_HTTP_SEC_WEBSOCKET_VERSION,
    JG_HTTP_SERVER,
    JG_HTTP_SET_COOKIE,
    JG_HTTP_TRANSFER_ENCODING,
    JG_HTTP_UPGRADE,
    JG_HTTP_USER_AGENT,
    JG_HTTP_NAMES, /* how many there are; in a jg_http_field: any other name */
} jg_http_name;

/* A piece of the head, by its place in the buffer, so that the buffer may move. */
typedef struct jg_http_span {
    uint32_t offset;
    uint32_t size;
} jg_http_span;

typedef struct jg_http_field {
    uint32_t offset;    /* of the name */
    uint16_t name_size; /* bytes */
    uint16_t name;      /* jg_http_name */
    jg_http_span value; /* without the space around it */
} jg_http_field;

/* A head. What does not belong to its kind of message is 0 or empty. */
typedef struct jg_http_head {
    const char *data; /* the buffer; set this anew if that moves */
    jg_http_field *fields;
    uint32_t field_count;
    uint32_t size; /* bytes of the head; the body begins there */
    unsigned flags;
    uint16_t status; /* of a response */
    uint8_t minor;   /* the version: 0 for HTTP/1.0, 1 for 1.1 and later ones of HTTP/1 */
    uint8_t method;  /* of a request: jg_http_method */
    uint8_t form;    /* of a request: jg_http_form */
    uint8_t framing; /* jg_http_framing */
    uint64_t content_length;
    jg_http_span method_name;
    jg_http_span target;
    jg_http_span path;      /* the target's, still escaped; empty for "*", authority-form and
                               absolute-form without a path */
    jg_http_span query;     /* the target's, after the "?" */
    jg_http_span authority; /* host and port: the target's if it has them, else the value of Host */
    jg_http_span reason;    /* of a response */
    uint64_t known;         /* bits of those fields that are there, 1 << jg_http_name */
    uint16_t first[JG_HTTP_NAMES]; /* and where in `fields` each comes first */
} jg_http_head;

/* Limits. A value of 0 stands for the default. */
typedef struct jg_http_limits {
    uint32_t line_size; /* bytes of the first line with its CRLF; default 8 KiB */
    uint32_t head_size; /* bytes of the whole head; default 32 KiB, at most 1 MiB */
} jg_http_limits;

typedef struct jg_http_parser {
    jg_http_head head;
    uint32_t at;      /* where the line begins that is parsed next */
    uint32_t scanned; /* no line feed lies between `at` and here */
    uint32_t line_size;
    uint32_t head_size;
    uint32_t capacity;
    uint8_t state;
    uint8_t response;
    uint8_t options; /* of Connection */
    uint8_t request_method;
    int error;
} jg_http_parser;

/**
 * Prepare a parser of requests. It then parses one head after the other.
 *
 * fields    room for the fields of a head; `capacity` of them, at most 65535, is the limit.
 * limits    NULL for the defaults.
 *
 * Returns   nothing.
 * Owns      nothing; `fields` must stay until the head is no longer used.
 * Thread    any.
 * Suspends  no.
 */
JG_API void jg_http_parser_init(jg_http_parser *parser, jg_http_field *fields, size_t capacity,
                                const jg_http_limits *limits);

/* As jg_http_parser_init, for the response to a request of `method`, which has a say in where the
   body ends. Interim responses (1xx) are parsed as heads of their own, each without a body. */
JG_API void jg_http_parser_init_response(jg_http_parser *parser, jg_http_method method,
                                         jg_http_field *fields, size_t capacity,
                                         const jg_http_limits *limits);

/**
 * Parse what has arrived. Give it the message from its first byte, again with more bytes as long
 * as it is incomplete; no byte is looked at more than a constant number of times for that. After
 * a complete head, which is in parser->head, the next call begins another one; after an error each
 * call repeats that error.
 *
 * data      the message so far; it may be somewhere else in each call. NULL only if size is 0.
 *
 * Returns   the size of the head in bytes, 0 if it is not complete, or a negative JG_EHTTP_ code.
 * Owns      nothing; the head refers to `data`.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_parser_feed(jg_http_parser *parser, const char *data, size_t size);

/* The text of a span, and of a field's name and value. */
static inline jg_text jg_http_head_text(const jg_http_head *head, jg_http_span span)
{
    return jg_text_of(head->data + span.offset, span.size);
}

static inline jg_text jg_http_head_name(const jg_http_head *head, const jg_http_field *field)
{
    return jg_text_of(head->data + field->offset, field->name_size);
}

/* The first field of a recognised name, or NULL. */
static inline const jg_http_field *jg_http_head_known(const jg_http_head *head, jg_http_name name)
{
    return (head->known >> name & 1) != 0 ? &head->fields[head->first[name]] : NULL;
}

/* The value of the first field of a recognised name; without data if there is none. */
static inline jg_text jg_http_head_value(const jg_http_head *head, jg_http_name name)
{
    const jg_http_field *field = jg_http_head_known(head, name);

    return field != NULL ? jg_http_head_text(head, field->value) : jg_text_of(NULL, 0);
}

/**
 * Find a field by any name, without regard to case.
 *
 * after     NULL for the first one, else the field to look behind.
 *
 * Returns   the field, or NULL.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API const jg_http_field *jg_http_head_find(const jg_http_head *head, const char *name,
                                              const jg_http_field *after);

/* Takes the framing off a body. Everything but the two limits is its own. */
typedef struct jg_http_body {
    uint64_t left;           /* bytes of the body, or of the chunk */
    uint32_t extension_left; /* bytes that chunk extensions may still have, 4 KiB in all */
    uint32_t trailer_left;   /* bytes that the trailers may still have, 8 KiB in all */
    uint8_t state;
    uint8_t digits;
    uint8_t name_size;
    char name[24]; /* of a trailer */
} jg_http_body;

/* What jg_http_body_feed found. */
enum { JG_HTTP_BODY_MORE, JG_HTTP_BODY_DATA, JG_HTTP_BODY_END };

/**
 * Begin the body of a message.
 *
 * Returns   nothing.
 * Owns      nothing; the head is no longer needed afterwards.
 * Thread    any.
 * Suspends  no.
 */
JG_API void jg_http_body_init(jg_http_body *body, const jg_http_head *head);

/**
 * Go on with the body, up to the end of the next piece of data. Trailers are checked and dropped;
 * those that would change the framing (RFC 9110 6.5.1) are errors.
 *
 * data      what follows what was used so far.
 * ret_used  how many bytes of it are done with; all of them for JG_HTTP_BODY_MORE.
 * ret_data  for JG_HTTP_BODY_DATA: a piece of the body, not empty, that lies in `data`.
 *
 * Returns   JG_HTTP_BODY_MORE, _DATA, or _END for the message is complete; or a negative JG_EHTTP_
 *           code, which also each further call returns.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API int jg_http_body_feed(jg_http_body *body, const char *data, size_t size, size_t *ret_used,
                             jg_text *ret_data);

/* The connection ended: 0 if the body is complete thereby, else JG_EHTTP_TRUNCATED. */
JG_API int jg_http_body_close(const jg_http_body *body);

JG_END_DECLS

#endif
