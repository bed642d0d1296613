/* SPDX-License-Identifier: MIT
 *
 * Fetch: URLs at once, in the time of the slowest; the results in the order that was asked for.
 *
 *     fetch [-t SECONDS] URL...
 */
#include "common.h"

#include <string.h>

struct page {
    jg_http_client *client;
    const char *url;
    int status;
    uint64_t size; /* bytes */
    jg_time took;
};

struct program {
    struct page *pages;
    int count;
    jg_time timeout; /* ns for each; 0: the client's default */
    bool failed;
};

static int fetch(void *arg)
{
    struct page *page = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    const jg_time start = jg_loop_now(loop);
    jg_http_response response;
    char data[4096];
    int r = jg_http_fetch(page->client, page->url, NULL, &response);

    if (r >= 0) {
        page->status = r;
        while ((r = jg_http_response_read(&response, data, sizeof(data))) > 0)
            page->size += (uint64_t)r;
        jg_http_response_end(&response);
    }
    page->took = jg_loop_now(loop) - start;
    return r;
}

static int fetch_all(struct program *program, jg_http_client *client, jg_job *jobs)
{
    for (int i = 0; i < program->count; i++) {
        program->pages[i].client = client;
        jobs[i] = (jg_job){.fn = fetch, .arg = &program->pages[i]};
    }
    return jg_gather(jobs, (size_t)program->count, JG_KEEP_GOING);
}

/* A word for what went wrong. */
static const char *name_of(int error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {
        {-ECONNREFUSED, "refused"},
        {-ECONNRESET, "reset"},
        {-EHOSTUNREACH, "unreachable"},
        {-ENETUNREACH, "unreachable"},
        {-EINVAL, "bad-url"},
        {-EPROTONOSUPPORT, "bad-scheme"},
        {-ECANCELED, "cancelled"},
        {JG_EHTTP_NO_TLS, "no-tls"},
        {JG_EHTTP_NO_RESPONSE, "no-response"},
        {JG_EHTTP_TRUNCATED, "truncated"},
        {JG_EHTTP_CONNECT_TIMEOUT, "timeout"},
        {JG_EHTTP_IDLE_TIMEOUT, "timeout"},
        {JG_EHTTP_TOTAL_TIMEOUT, "timeout"},
        {JG_EHTTP_REDIRECTS, "redirects"},
        {JG_EHTTP_LOCATION, "bad-redirect"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].error == error)
            return names[i].name;
    }
    return jg_http_error_status(error) ? "malformed" : "failed";
}

static int milliseconds(jg_time time)
{
    return (int)(time / JG_MILLISECOND);
}

static void report(struct program *program, const jg_job *jobs, jg_time elapsed)
{
    jg_time sequential = 0;

    for (int i = 0; i < program->count; i++) {
        const struct page *page = &program->pages[i];

        sequential += page->took;
        if (jobs[i].status < 0) {
            program->failed = true;
            printf("error %s %s\n", name_of(jobs[i].status), page->url);
        } else {
            printf("%d %llu %s\n", page->status, (unsigned long long)page->size, page->url);
        }
    }
    fprintf(stderr, "%d URLs in %d ms; one after the other: %d ms\n", program->count,
            milliseconds(elapsed), milliseconds(sequential));
}

static int run(void *arg)
{
    struct program *program = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    const jg_time start = jg_loop_now(loop);
    jg_job *jobs = calloc((size_t)program->count, sizeof(*jobs));
    jg_http_client client;
    int r;

    if (!jobs)
        return -ENOMEM;
    r = jg_http_client_open(&client, loop,
                            &(jg_http_client_options){.total_timeout = program->timeout});
    if (r == 0) {
        r = fetch_all(program, &client, jobs);
        jg_http_client_close(&client);
    }
    if (r == 0)
        report(program, jobs, jg_loop_now(loop) - start);
    free(jobs);
    return r;
}

int main(int argc, char **argv)
{
    struct program program = {.count = argc - 1};
    char **urls = argv + 1;

    if (argc > 2 && strcmp(argv[1], "-t") == 0) {
        program.timeout = (jg_time)(atof(argv[2]) * (double)JG_SECOND);
        program.count -= 2;
        urls += 2;
    }
    if (program.count < 1 || program.timeout < 0) {
        fprintf(stderr, "usage: %s [-t SECONDS] URL...\n", argv[0]);
        return 2;
    }
    program.pages = calloc((size_t)program.count, sizeof(*program.pages));
    if (!program.pages)
        return 1;
    for (int i = 0; i < program.count; i++)
        program.pages[i].url = urls[i];
    check(jg_run(run, &program, NULL), "fetch");
    free(program.pages);
    return program.failed;
}
