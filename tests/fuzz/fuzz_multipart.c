/* SPDX-License-Identifier: MIT
 *
 * Multipart bodies with the boundary "xy": the parts must not depend on how the bytes were split.
 */
#include <juggle/http_field.h>
#include <juggle/http_multipart.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(uint64_t *hash, const char *data, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        *hash = (*hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
}

static void add_part(uint64_t *hash, const jg_http_multipart *multipart)
{
    jg_text field = jg_http_multipart_field(multipart, "content-disposition");
    char name[32];
    size_t size;

    add(hash, "<", 1);
    if (field.data != NULL && jg_http_parameter(field, "name", name, sizeof(name), &size) == 0)
        add(hash, name, size);
}

static uint64_t run(const uint8_t *data, size_t size, size_t first, size_t step)
{
    size_t at = 0, arrived = first < size ? first : size, used;
    jg_http_multipart multipart;
    uint64_t hash = 1;
    char head[128];
    jg_text piece;
    int r;

    if (jg_http_multipart_init(&multipart, jg_text_from("xy"), head, sizeof(head)) < 0)
        abort();
    for (;;) {
        char *copy = malloc(arrived - at + 1);

        if (copy == NULL)
            abort();
        memcpy(copy, data + at, arrived - at);
        r = jg_http_multipart_feed(&multipart, copy, arrived - at, &used, &piece);
        if (r == JG_HTTP_MULTIPART_DATA)
            add(&hash, piece.data, piece.size);
        free(copy);
        if (r == JG_HTTP_MULTIPART_PART)
            add_part(&hash, &multipart);
        if (r < 0 || r == JG_HTTP_MULTIPART_END) {
            add(&hash, r < 0 ? "!" : ".", 1);
            return hash;
        }
        at += used;
        if (r != JG_HTTP_MULTIPART_MORE)
            continue;
        if (at != arrived)
            abort();
        if (arrived == size)
            return hash;
        arrived = size - arrived < step ? size : arrived + step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole;

    if (size > 4096)
        return 0;
    whole = run(data, size, size, 1);
    if (run(data, size, 0, 1) != whole || run(data, size, 5, 11) != whole)
        abort();
    return 0;
}
