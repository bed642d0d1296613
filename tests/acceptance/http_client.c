/* SPDX-License-Identifier: MIT
 *
 * A client to test from outside: METHOD URL [METHOD URL...], one request after the other in one
 * session, a line for each: "OK STATUS BYTES CRC32" or "ERR text". METHOD is GET, HEAD, POST:N for N
 * bytes of body, POSTC:N for as many in chunks, or SLEEP with seconds in place of the URL. A request
 * may take $H1_TIMEOUT seconds, 3 by default.
 */
#include <juggle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program {
    char **args;
    int count, failures;
};

/* CRC-32 of IEEE 802.3, bit by bit; begins with 0. */
static uint32_t add_to_crc(uint32_t crc, const char *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Write as many bytes as *arg says. */
static int upload(jg_http_upload *upload, void *arg)
{
    long long left = *(const long long *)arg;
    char data[16384];
    int r = 0;

    memset(data, 'x', sizeof(data));
    while (r == 0 && left > 0) {
        size_t size = left < (long long)sizeof(data) ? (size_t)left : sizeof(data);

        r = jg_http_upload_write(upload, data, size);
        left -= (long long)size;
    }
    return r;
}

/* Returns 0, with the line printed, or an error. */
static int request(jg_http_client *client, const jg_http_fetch_options *options, const char *url)
{
    jg_http_response response;
    char data[65536];
    uint64_t size = 0;
    uint32_t crc = 0;
    int r = jg_http_fetch(client, url, options, &response), status = r;

    if (r < 0)
        return r;
    while ((r = jg_http_response_read(&response, data, sizeof(data))) > 0) {
        crc = add_to_crc(crc, data, (size_t)r);
        size += (uint64_t)r;
    }
    jg_http_response_end(&response);
    if (r == 0)
        printf("OK %d %llu %08x\n", status, (unsigned long long)size, (unsigned)crc);
    return r;
}

static int perform(jg_http_client *client, const char *method, const char *url)
{
    jg_http_fetch_options options = {.method = method};
    const char *colon = strchr(method, ':');
    long long length = colon ? atoll(colon + 1) : 0;

    if (strcmp(method, "SLEEP") == 0)
        return jg_sleep((jg_time)(strtod(url, NULL) * (double)JG_SECOND));
    if (colon) {
        options.method = "POST";
        options.upload = upload;
        options.upload_arg = &length;
        options.length = strncmp(method, "POSTC:", 6) == 0 ? JG_HTTP_UNKNOWN_LENGTH : length;
    }
    return request(client, &options, url);
}

static int run(void *arg)
{
    struct program *program = arg;
    const char *timeout = getenv("H1_TIMEOUT");
    const jg_http_client_options options = {
        .total_timeout = (jg_time)((timeout ? strtod(timeout, NULL) : 3) * (double)JG_SECOND),
        .max_redirects = 10,
    };
    jg_http_client client;
    int r = jg_http_client_open(&client, jg_task_loop(jg_task_current()), &options);

    if (r < 0)
        return r;
    for (int i = 0; i + 1 < program->count; i += 2) {
        r = perform(&client, program->args[i], program->args[i + 1]);
        if (r < 0) {
            printf("ERR %s\n", jg_strerror(r));
            program->failures++;
        }
        fflush(stdout);
    }
    jg_http_client_close(&client);
    return 0;
}

int main(int argc, char **argv)
{
    struct program program = {.args = argv + 1, .count = argc - 1};
    int r;

    if (argc < 3 || argc % 2 == 0) {
        fprintf(stderr, "usage: %s METHOD URL [METHOD URL...]\n", argv[0]);
        return 2;
    }
    r = jg_run(run, &program, NULL);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[0], jg_strerror(r));
    return r < 0 || program.failures > 0;
}
