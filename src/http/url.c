/* SPDX-License-Identifier: MIT
 *
 * URLs: taking them apart and resolving references, RFC 3986.
 */
#include <juggle/url.h>

#include "http/authority.h"
#include "http/chars.h"
#include "http/output.h"

/* A URI reference, RFC 3986 4.1: pieces that are not there have no data, but the path. */
struct reference {
    jg_text scheme;
    jg_text authority;
    jg_text path;
    jg_text query;
    jg_text fragment;
};

/* The length of `text` up to one of `stops`. */
static size_t span_to(jg_text text, const char *stops)
{
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (strchr(stops, text.data[i]) != NULL && text.data[i] != '\0')
            break;
    }
    return i;
}

static void skip(jg_text *text, size_t size)
{
    text->data += size;
    text->size -= size;
}

/* Take the part that ends at one of `stops` and begins behind the first byte, which introduces it.
 */
static jg_text take(jg_text *text, const char *stops)
{
    jg_text part;

    skip(text, 1);
    part = jg_text_of(text->data, span_to(*text, stops));
    skip(text, part.size);
    return part;
}

static bool is_scheme(jg_text text)
{
    return jg__all(text, JG__SCHEME) && jg__is_letter(text.data[0]);
}

static int split(jg_text text, struct reference *ret_parts)
{
    struct reference parts = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    size_t i, size = span_to(text, ":/?#");

    if (text.data == NULL)
        return -EINVAL;
    for (i = 0; i < text.size; i++) {
        if (text.data[i] != '#' && !jg__is(text.data[i], JG__TARGET))
            return -EINVAL;
    }
    if (size < text.size && text.data[size] == ':') {
        parts.scheme = jg_text_of(text.data, size);
        if (!is_scheme(parts.scheme))
            return -EINVAL;
        skip(&text, size + 1);
    }
    if (text.size >= 2 && text.data[0] == '/' && text.data[1] == '/') {
        skip(&text, 1);
        parts.authority = take(&text, "/?#");
    }
    parts.path = jg_text_of(text.data, span_to(text, "?#"));
    skip(&text, parts.path.size);
    if (text.size > 0 && text.data[0] == '?')
        parts.query = take(&text, "#");
    if (text.size > 0) {
        parts.fragment = take(&text, "");
        if (memchr(parts.fragment.data, '#', parts.fragment.size) != NULL)
            return -EINVAL;
    }
    *ret_parts = parts;
    return 0;
}

int jg_url_parse(jg_text text, jg_url *ret_url)
{
    static const struct {
        const char *name;
        uint16_t port;
        bool secure;
    } schemes[] = {
        {"http", 80, false}, {"https", 443, true}, {"ws", 80, false}, {"wss", 443, true}};
    const size_t count = sizeof(schemes) / sizeof(schemes[0]);
    struct jg__authority authority;
    struct reference parts;
    size_t i = 0;
    int r = split(text, &parts);

    if (r < 0)
        return r;
    if (parts.scheme.data == NULL)
        return -EINVAL;
    while (i < count && !jg_text_is_nocase(parts.scheme, schemes[i].name))
        i++;
    if (i == count)
        return -EPROTONOSUPPORT;
    if (parts.authority.data == NULL || jg__authority_parse(parts.authority, &authority) < 0)
        return -EINVAL;

    *ret_url = (jg_url){
        .scheme = parts.scheme,
        .authority = parts.authority,
        .host = authority.host,
        .path = parts.path,
        .query = parts.query,
        .fragment = parts.fragment,
        .port = authority.port != 0 ? authority.port : schemes[i].port,
        .secure = schemes[i].secure,
    };
    return 0;
}

/* RFC 3986 5.2.4: write the segments of a path, each after a "/", and resolve dots. Nothing before
   `start` is taken back. `last`: the path ends with these segments. */
static void write_segments(struct jg__output *output, size_t start, jg_text path, bool last)
{
    jg_text segment;

    while (jg__cut(&path, '/', &segment)) {
        bool up = jg_text_is(segment, "..");

        if (!up && !jg_text_is(segment, ".")) {
            jg__output_byte(output, '/');
            jg__output_text(output, segment);
            continue;
        }
        while (up && output->size > start && output->data[--output->size] != '/')
            continue;
        if (last && path.data == NULL)
            jg__output_byte(output, '/');
    }
}

/* RFC 3986 5.2.2 and 5.2.3, for a reference without a scheme and an authority of its own. */
static void write_path(struct jg__output *output, jg_text base, jg_text path)
{
    size_t start = output->size;
    size_t directory = base.size;

    if (path.size > 0 && path.data[0] == '/') {
        skip(&path, 1);
        write_segments(output, start, path, true);
        return;
    }
    while (directory > 0 && base.data[directory - 1] != '/')
        directory--;
    if (directory > 1)
        write_segments(output, start, jg_text_of(base.data + 1, directory - 2), false);
    write_segments(output, start, path, true);
}

static void write_part(struct jg__output *output, const char *introduction, jg_text part)
{
    if (part.data == NULL)
        return;
    jg__output_string(output, introduction);
    jg__output_text(output, part);
}

int jg_url_resolve(const jg_url *base, jg_text reference, char *buffer, size_t capacity,
                   size_t *ret_size)
{
    struct jg__output output = jg__output(buffer, capacity);
    struct reference parts;
    int r = split(reference, &parts);

    if (r < 0)
        return r;
    if (parts.scheme.data != NULL && parts.authority.data == NULL) { /* mailto: and the like */
        jg__output_text(&output, reference);
        return jg__output_end(&output, ret_size);
    }
    jg__output_text(&output, parts.scheme.data != NULL ? parts.scheme : base->scheme);
    jg__output_byte(&output, ':');
    if (parts.authority.data != NULL) {
        write_part(&output, "//", parts.authority);
        if (parts.path.size > 0)
            write_path(&output, parts.path, parts.path);
    } else {
        write_part(&output, "//", base->authority);
        if (parts.path.size > 0)
            write_path(&output, base->path, parts.path);
        else
            jg__output_text(&output, base->path);
    }
    if (parts.query.data == NULL && parts.path.size == 0 && parts.authority.data == NULL)
        parts.query = base->query;
    write_part(&output, "?", parts.query);
    write_part(&output, "#", parts.fragment);
    return jg__output_end(&output, ret_size);
}
