/* SPDX-License-Identifier: MIT
 *
 * URLs, escapes and paths of files. A path must stay in its directory, what was resolved must
 * resolve to itself, and what was escaped must come back.
 */
#include <juggle/url.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_file_path(jg_text text)
{
    char path[1024], *segment, *next;
    size_t size;

    if (jg_url_file_path(text, path, sizeof(path), &size) < 0)
        return;
    require(strlen(path) == size && path[0] != '/');
    for (segment = path; segment != NULL; segment = next) {
        next = strchr(segment, '/');
        if (next != NULL)
            *next++ = '\0';
        require(strcmp(segment, "..") != 0 && strcmp(segment, ".") != 0);
        require(segment[0] != '\0' || next == NULL);
    }
}

static void check_resolve(jg_text text)
{
    char buffer[2048], again[2048];
    jg_url base, url;
    size_t size;

    require(jg_url_parse(jg_text_from("http://a/b/c/d;p?q"), &base) == 0);
    if (jg_url_resolve(&base, text, buffer, sizeof(buffer), &size) < 0)
        return;
    require(strlen(buffer) == size);
    if (jg_url_parse(jg_text_of(buffer, size), &url) < 0)
        return;
    require(url.port != 0 && url.host.size > 0);
    require(url.path.size == 0 || url.path.data[0] == '/');
    require(jg_url_resolve(&base, jg_text_of(buffer, size), again, sizeof(again), NULL) == 0);
    require(strcmp(buffer, again) == 0);
}

static void check_escapes(jg_text text, jg_url_escapes escapes)
{
    char escaped[3 * 512 + 1], back[512], in_place[512];
    size_t size, placed;

    require(jg_url_escape(text, escapes, escaped, sizeof(escaped), &size) == 0);
    require(jg_url_unescape(jg_text_of(escaped, size), escapes, back, sizeof(back), &size) == 0);
    require(size == text.size && (size == 0 || memcmp(back, text.data, size) == 0));

    if (text.size > 0)
        memcpy(in_place, text.data, text.size);
    if (jg_url_unescape(text, escapes, back, sizeof(back), &size) < 0)
        return;
    require(jg_url_unescape(jg_text_of(in_place, text.size), escapes, in_place, text.size,
                            &placed) == 0);
    require(placed == size && memcmp(in_place, back, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jg_text text = {(const char *)data, size}, rest = text, name, value;
    jg_url url;

    if (size > 512)
        return 0;
    (void)jg_url_parse(text, &url);
    check_file_path(text);
    check_resolve(text);
    check_escapes(text, JG_URL_PLAIN);
    check_escapes(text, JG_URL_FORM);
    while (jg_url_query_next(&rest, &name, &value))
        require(name.size + value.size <= size);
    return 0;
}
