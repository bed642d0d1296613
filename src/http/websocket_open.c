/* SPDX-License-Identifier: MIT
 *
 * How a WebSocket begins: the opening handshake of both sides, RFC 6455 4.
 */
#include "http/websocket.h"

#include "coro/coro.h"
#include "http/chars.h"
#include "http/handshake.h"
#include "http/writer.h"
#include "platform/entropy.h"

#include <juggle/http_client.h>
#include <juggle/http_field.h>
#include <juggle/net.h>
#include <juggle/url.h>

#include <errno.h>
#include <string.h>

enum { HEAD_SIZE = 4096, FIELDS = 64, INTERIM = 16 };

#define TEXT(literal) jg_text_of(literal, sizeof(literal) - 1)

/* Whether one of the fields Sec-WebSocket-Protocol has this name, which knows its case. */
static bool is_offered(const jg_http_head *head, const char *protocol)
{
    const jg_http_field *field = NULL;
    jg_text rest, item;

    while ((field = jg_http_head_find(head, "Sec-WebSocket-Protocol", field)) != NULL) {
        rest = jg_http_head_text(head, field->value);
        while (jg_http_list_next(&rest, &item)) {
            if (jg_text_is(item, protocol))
                return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- servers */

/* Whether the origin, SCHEME://HOST[:PORT], is of the host that is asked. */
static bool is_same_host(const jg_http_request *request, jg_text origin)
{
    jg_text host = jg_http_request_host(request);
    jg_url url;

    if (jg_url_parse(origin, &url) < 0 || url.authority.size != host.size)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        if (jg__lower(host.data[i]) != jg__lower(url.authority.data[i]))
            return false;
    }
    return true;
}

static bool is_allowed(const jg_http_request *request, const jg_websocket_options *options)
{
    jg_text origin = jg_http_request_field(request, "Origin");

    if (!origin.data)
        return true;
    if (options && options->allow_origin)
        return options->allow_origin(options->allow_arg, request, origin);
    return is_same_host(request, origin);
}

/* The best one that the client offers, or NULL. */
static const char *choose_protocol(const jg_http_head *head, const jg_websocket_options *options)
{
    const char *const *name = options ? options->protocols : NULL;

    for (; name && *name; name++) {
        if (is_offered(head, *name))
            return *name;
    }
    return NULL;
}

/* What to refuse the request with; 0: nothing. */
static int refuse(jg_http_request *request, const jg_websocket_options *options,
                  char ret_accept[JG__WEBSOCKET_ACCEPT_SIZE])
{
    int r = jg__websocket_request(jg_http_request_head(request), ret_accept);

    if (r == 0)
        return is_allowed(request, options) ? 0 : 403;
    if (r == 426) {
        int failed = jg_http_add_field(request, "Upgrade", "websocket");

        if (failed == 0)
            failed = jg_http_add_field(request, "Sec-WebSocket-Version", "13");
        if (failed < 0)
            return failed;
    }
    return r;
}

int jg_websocket_accept(jg_websocket *ws, jg_http_request *request,
                        const jg_websocket_options *options)
{
    const char *protocol = choose_protocol(jg_http_request_head(request), options);
    char accept[JG__WEBSOCKET_ACCEPT_SIZE];
    jg_stream *stream;
    int r = jg_http_request_status(request) != 0 ? -EALREADY : refuse(request, options, accept);

    if (r == 0)
        r = jg_http_add_field(request, "Sec-WebSocket-Accept", accept);
    if (r == 0 && protocol)
        r = jg_http_add_field(request, "Sec-WebSocket-Protocol", protocol);
    if (r == 0)
        r = jg_http_upgrade(request, "websocket", &stream);
    if (r == 0)
        jg__websocket_begin(ws, stream, false, protocol, options);
    return r;
}

/* ---------------------------------------------------------------- clients */

static int put_protocols(struct jg__output *output, const char *const *protocols)
{
    jg__output_string(output, "Sec-WebSocket-Protocol: ");
    for (const char *const *name = protocols; *name; name++) {
        if (!jg__all(jg_text_from(*name), JG__TOKEN))
            return -EINVAL;
        jg__output_string(output, name == protocols ? "" : ", ");
        jg__output_string(output, *name);
    }
    jg__output_string(output, "\r\n");
    return 0;
}

static int put_target(struct jg__output *output, const jg_url *url)
{
    jg__output_string(output, "GET ");
    jg__output_text(output, url->path.size > 0 ? url->path : TEXT("/"));
    if (url->query.data) {
        jg__output_byte(output, '?');
        jg__output_text(output, url->query);
    }
    jg__output_string(output, " HTTP/1.1\r\n");
    return jg__write_field(output, TEXT("Host"), url->authority);
}

static int put_fields(struct jg__output *output, const jg_websocket_options *options)
{
    int r = 0;

    if (options && options->protocols && *options->protocols)
        r = put_protocols(output, options->protocols);
    for (size_t i = 0; options && i < options->field_count && r == 0; i++)
        r = jg__write_field(output, jg_text_from(options->fields[i].name),
                            jg_text_from(options->fields[i].value));
    return r;
}

static int send_request(jg_stream *stream, const jg_url *url, const char *key,
                        const jg_websocket_options *options)
{
    char head[HEAD_SIZE];
    struct jg__output output = jg__output(head, sizeof(head));
    int r = put_target(&output, url);

    jg__output_string(&output, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    jg__output_string(&output, key);
    jg__output_string(&output, "\r\n");
    if (r == 0)
        r = put_fields(&output, options);
    jg__output_string(&output, "\r\n");
    if (output.full || r == -ENOBUFS)
        return -EMSGSIZE;
    return r < 0 ? r : jg_stream_write(stream, output.data, output.size);
}

/* The protocol that a response agrees to, which must be one that was asked for; or none. */
static int agreed_protocol(const jg_http_head *head, const jg_websocket_options *options,
                           const char **ret_protocol)
{
    const char *protocol = choose_protocol(head, options);

    if (jg_http_head_known(head, JG_HTTP_SEC_WEBSOCKET_EXTENSIONS))
        return -EPROTO;
    if (jg_http_head_known(head, JG_HTTP_SEC_WEBSOCKET_PROTOCOL) &&
        (!protocol ||
         !jg_text_is(jg_http_head_value(head, JG_HTTP_SEC_WEBSOCKET_PROTOCOL), protocol)))
        return -EPROTO;
    *ret_protocol = protocol;
    return 0;
}

/* Wait for a whole head, which stays in the stream. */
static int receive_head(jg_stream *stream, jg_http_parser *parser)
{
    const void *data = NULL;
    size_t wanted = 1;
    int r;

    for (;;) {
        int there = jg_stream_peek(stream, wanted, &data);

        if (there < 0)
            return there;
        if ((size_t)there < wanted)
            return JG_EHTTP_TRUNCATED;
        r = jg_http_parser_feed(parser, data, (size_t)there);
        if (r != 0)
            return r;
        wanted = (size_t)there + 1;
    }
}

/* Returns 0 and the protocol, the status of another response, or an error. */
static int receive_response(jg_stream *stream, const char *key, const jg_websocket_options *options,
                            const char **ret_protocol)
{
    jg_http_field fields[FIELDS];
    jg_http_parser parser;
    const jg_http_head *head = &parser.head;
    int r;

    jg_http_parser_init_response(&parser, JG_HTTP_GET, fields, FIELDS, NULL);
    for (int i = 0; i < INTERIM; i++) {
        r = receive_head(stream, &parser);
        if (r < 0)
            return r;
        if (head->status >= 200)
            return head->status;
        if (head->status == 101) {
            r = jg__websocket_response(head, key) ? agreed_protocol(head, options, ret_protocol)
                                                  : -EPROTO;
            jg_stream_consume(stream, head->size);
            return r;
        }
        jg_stream_consume(stream, head->size);
    }
    return -EPROTO;
}

/* Open a stream to where the URL points. */
static int connect_to(jg_stream *stream, const jg_url *url)
{
    char host[256];

    if (url->secure)
        return JG_EHTTP_NO_TLS;
    if (url->host.size >= sizeof(host))
        return -EINVAL; /* no name is as long */
    memcpy(host, url->host.data, url->host.size);
    host[url->host.size] = 0;
    return jg_connect_name(stream, host, url->port, NULL);
}

/* Agree on a stream that is connected. */
static int shake_hands(jg_websocket *ws, jg_stream *stream, const jg_url *url,
                       const jg_websocket_options *options)
{
    char key[JG__WEBSOCKET_KEY_SIZE];
    const char *protocol = NULL;
    uint8_t random[16];
    int r = jg__entropy(random, sizeof(random));

    if (r < 0)
        return r;

    jg__websocket_key(random, key);
    r = send_request(stream, url, key, options);
    if (r == 0)
        r = receive_response(stream, key, options, &protocol);
    if (r == 0)
        jg__websocket_begin(ws, stream, true, protocol, options);
    return r;
}

int jg_websocket_connect(jg_websocket *ws, jg_stream *stream, const char *url,
                         const jg_websocket_options *options)
{
    jg_url target;
    int r;

    if (jg_url_parse(jg_text_from(url), &target) < 0)
        return -EINVAL;
    if (stream)
        return shake_hands(ws, stream, &target, options);

    r = connect_to(&ws->own, &target);
    if (r < 0)
        return r;

    r = shake_hands(ws, &ws->own, &target, options);
    if (r != 0)
        jg_stream_abort(&ws->own);
    return r;
}
