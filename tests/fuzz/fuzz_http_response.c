/* SPDX-License-Identifier: MIT
 *
 * Responses: what a connection's bytes mean must not depend on how they were split. The first byte
 * is the method of the request.
 */
#include "../http_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct transcript parse(jg_http_method method, const char *data, size_t size, size_t first,
                               size_t step)
{
    static const jg_http_limits limits = {256, 1024};
    static jg_http_field fields[16];
    jg_http_parser parser;

    jg_http_parser_init_response(&parser, method, fields, 16, &limits);
    return transcribe(&parser, data, size, (struct arrivals){first, step});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data + 1;
    jg_http_method method;
    struct transcript whole;

    if (size == 0 || size > 4096)
        return 0;
    method = (jg_http_method)(data[0] % (JG_HTTP_PATCH + 1));
    size--;
    whole = parse(method, bytes, size, size, 1);
    if (parse(method, bytes, size, 0, 1).hash != whole.hash ||
        parse(method, bytes, size, size / 2, size).hash != whole.hash ||
        parse(method, bytes, size, 7, 13).hash != whole.hash)
        abort();
    return 0;
}
