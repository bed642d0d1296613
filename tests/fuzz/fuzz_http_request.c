/* SPDX-License-Identifier: MIT
 *
 * Requests: what a connection's bytes mean must not depend on how they were split.
 */
#include "../http_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct transcript parse(const char *data, size_t size, size_t first, size_t step)
{
    static const jg_http_limits limits = {256, 1024};
    static jg_http_field fields[16];
    jg_http_parser parser;

    jg_http_parser_init(&parser, fields, 16, &limits);
    return transcribe(&parser, data, size, (struct arrivals){first, step});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct transcript whole;

    if (size > 4096)
        return 0;
    whole = parse(bytes, size, size, 1);
    if (parse(bytes, size, 0, 1).hash != whole.hash ||
        parse(bytes, size, size / 2, size).hash != whole.hash ||
        parse(bytes, size, 7, 13).hash != whole.hash)
        abort();
    return 0;
}
