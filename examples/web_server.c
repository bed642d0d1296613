/* SPDX-License-Identifier: MIT
 *
 * A web application: [HOST:]PORT [FOLDER]
 *
 * GET / says hello; POST /echo sends the body back as it comes; GET /slow?ms=N takes its time, in
 * which others are served; POST /jobs leaves work to be done in the background, GET /jobs tells how
 * far that is; GET /files/… serves the folder, by default the current one. Ctrl-C stops accepting,
 * finishes what is under way, and ends.
 */
#include "common.h"

#include <string.h>

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "Hello, World!", 13);
}

/* However large the body is, only a piece of it is here at a time. */
static int echo(jg_http_request *request, void *arg)
{
    char buffer[16384];
    int size = jg_http_read(request, buffer, sizeof buffer), r;

    (void)arg;
    if (size < 0)
        return size; /* the server finds the status that befits it */

    r = jg_http_begin(request, 200, "application/octet-stream", JG_HTTP_NO_LENGTH);
    while (r == 0 && size > 0) {
        r = jg_http_write(request, buffer, (size_t)size);
        if (r == 0)
            size = jg_http_read(request, buffer, sizeof buffer);
    }
    return r < 0 ? r : size;
}

static int slow(jg_http_request *request, void *arg)
{
    jg_text text;
    char *end;
    long ms;
    int r = jg_http_request_query(request, "ms", &text);

    (void)arg;
    if (r < 0)
        return 400;
    ms = strtol(text.data, &end, 10);
    if (text.size == 0 || *end || ms < 0 || ms > 60000)
        return 400;
    r = jg_sleep(ms * JG_MILLISECOND); /* this request waits, and no other */
    return r < 0 ? r : jg_http_respond(request, 200, "text/plain", "slow\n", 5);
}

/* ---------------------------------------------------------------- jobs */

static jg_queue jobs; /* their numbers */
static int accepted, done;

static int set_up(void *arg)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = 100};

    (void)arg;
    return jg_queue_init(&jobs, jg_task_loop(jg_task_current()), &options);
}

static int tear_down(void *arg)
{
    (void)arg;
    printf("jobs: %d done, %d dropped\n", done, accepted - done);
    (void)jg_queue_fini(&jobs);
    return 0;
}

/* Runs as long as the application does. */
static int work(void *arg)
{
    int job, r;

    (void)arg;
    while ((r = jg_queue_get(&jobs, &job)) == 0) {
        r = jg_sleep(20 * JG_MILLISECOND); /* stands for the work */
        if (r < 0)
            break;
        done++;
    }
    return r;
}

static int post_job(jg_http_request *request, void *arg)
{
    (void)request;
    (void)arg;
    if (jg_queue_try_put(&jobs, &accepted) < 0)
        return 503; /* the queue is full: the client may come back */
    accepted++;
    return 202;
}

static int get_jobs(jg_http_request *request, void *arg)
{
    char text[64];
    int size = snprintf(text, sizeof text, "{\"accepted\": %d, \"done\": %d}\n", accepted, done);

    (void)arg;
    return jg_http_respond(request, 200, "application/json", text, (size_t)size);
}

/* ---------------------------------------------------------------- the application */

static void report(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", what, jg_strerror(error));
}

int main(int argc, char **argv)
{
    const jg_run_app_options options = {.loop = {.on_error = report}, .grace = 10 * JG_SECOND};
    char address[300];
    jg_app *app;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s [HOST:]PORT [FOLDER]\n", argv[0]);
        return 2;
    }
    snprintf(address, sizeof address, strchr(argv[1], ':') ? "%s" : "127.0.0.1:%s", argv[1]);

    check(jg_app_new(NULL, &app), "application");
    check(jg_app_context(app, set_up, tear_down, NULL), "jobs");
    check(jg_app_background(app, "worker", work, NULL), "jobs");
    check(jg_app_route(app, "GET", "/", hello, NULL), "/");
    check(jg_app_route(app, "POST", "/echo", echo, NULL), "/echo");
    check(jg_app_route(app, "GET", "/slow", slow, NULL), "/slow");
    check(jg_app_route(app, "POST", "/jobs", post_job, NULL), "/jobs");
    check(jg_app_route(app, "GET", "/jobs", get_jobs, NULL), "/jobs");
    check(jg_app_static(app, "/files", argc == 3 ? argv[2] : "."), "/files");
    check(jg_run_app(app, address, &options), argv[1]);
    jg_app_free(app);
    return 0;
}
