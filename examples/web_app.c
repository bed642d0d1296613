/* SPDX-License-Identifier: MIT
 *
 * The demonstration: a web application that shows itself at work: [[HOST:]PORT]
 *
 * It fetches from three slow servers, one after another and all at once, and tells what both took.
 * Then it serves a page, at 127.0.0.1:8080 by default, which shows its tasks and how late the loop
 * is, live, while jobs go through a queue to workers; the page adds jobs, and fetches again. Ctrl-C
 * drops jobs that wait, gives those under way two seconds, and ends.
 */
#include "web_app_api.h"
#include "web_app_page.h"

#include <stdarg.h>
#include <string.h>

enum { WORKERS = 4, LIMIT = 100, SAMPLE_MS = 20, EVENT_MS = 250, MOST_WATCHERS = 50 };

static jg_queue jobs; /* their numbers */
static int accepted, done, dropped, running;
static jg_time late, latest; /* of the loop: at the last sample, and at most since the last event */
static int watchers;         /* pages that are told */
static bool stopping;

/* ---------------------------------------------------------------- jobs */

/* Stands for waiting for a database, say, and then computing something. */
static int step(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    const int number = *(const int *)arg;
    int r = jg_sleep((300 + number * 37 % 400) * JG_MILLISECOND);

    for (int i = 0; i < 20 && r == 0; i++) {
        jg_time end = jg_loop_now(loop) + 200 * JG_MICROSECOND;

        while (jg_loop_now(loop) < end)
            continue;
        r = jg_sleep(0); /* everything else that is ready has its turn */
    }
    return r;
}

/* A job is two steps at once and a third after them, in a scope of its own with a time limit. */
static int do_job(int number)
{
    const jg_spawn_options query = {.name = "query the database"},
                           thumbnail = {.name = "make a thumbnail"};
    int numbers[3] = {number, number + 3, number + 7}, r;
    char name[32];
    jg_scope scope;

    snprintf(name, sizeof name, "job %d", number);
    jg_scope_enter(&scope, &(jg_scope_options){.name = name, .timeout = 30 * JG_SECOND});
    r = jg_spawn(&scope, step, &numbers[0], &query);
    if (r == 0)
        r = jg_spawn(&scope, step, &numbers[1], &thumbnail);
    r = jg_scope_leave(&scope, r);
    return r < 0 ? r : step(&numbers[2]);
}

static int work(void *arg)
{
    int number, r;

    (void)arg;
    while ((r = jg_queue_get(&jobs, &number)) == 0) {
        running++;
        r = do_job(number);
        running--;
        done += r == 0;
        dropped += r < 0;
        (void)jg_queue_task_done(&jobs); /* it was got above */
    }
    return r == JG_ESHUTDOWN ? 0 : r;
}

/* How much later than it should does a task of this loop get its turn? */
static int measure(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    const jg_time pause = SAMPLE_MS * JG_MILLISECOND;
    jg_time due = jg_loop_now(loop) + pause;

    (void)arg;
    while (jg_sleep(pause) == 0) {
        late = jg_loop_now(loop) - due;
        latest = late > latest ? late : latest;
        due = jg_loop_now(loop) + pause;
    }
    return -ECANCELED;
}

/* ---------------------------------------------------------------- text */

struct text {
    char data[16384];
    size_t size;
};

/* What has no room is left out. */
static void put(struct text *text, const char *format, ...)
{
    const size_t room = sizeof text->data - text->size;
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(text->data + text->size, room, format, args);
    va_end(args);
    if (size > 0 && (size_t)size < room)
        text->size += (size_t)size;
    text->data[text->size] = 0;
}

/* A line of the tree as a string of JSON, as long as there is room for all that follows, too. */
static void put_line(void *arg, const char *line)
{
    struct text *text = arg;

    if (sizeof text->data - text->size < 2 * strlen(line) + 300)
        return;
    put(text, "%s\"", text->data[text->size - 1] == '[' ? "" : ",");
    for (; *line; line++)
        put(text, *line == '"' || *line == '\\' ? "\\%c" : "%c", *line < ' ' ? '?' : *line);
    put(text, "\"");
}

static int respond(jg_http_request *request, int status, const struct text *text)
{
    return jg_http_respond(request, status, "application/json", text->data, text->size);
}

/* ---------------------------------------------------------------- what the page asks for */

static int get_page(jg_http_request *request, void *arg)
{
    int r = jg_http_add_field(request, "Content-Security-Policy",
                              "default-src 'none'; style-src 'unsafe-inline'; "
                              "script-src 'unsafe-inline'; connect-src 'self'; img-src data:");

    (void)arg;
    if (r == 0)
        r = jg_http_begin(request, 200, "text/html; charset=utf-8", JG_HTTP_NO_LENGTH);
    for (size_t i = 0; i < sizeof page / sizeof page[0] && r == 0; i++)
        r = jg_http_write(request, page[i].data, page[i].size);
    return r;
}

/* The state of things. The trees are that of the application, and that of requests. */
static void describe(struct text *text, jg_scope *application)
{
    text->size = 0;
    put(text,
        "{\"accepted\":%d,\"waiting\":%zu,\"running\":%d,\"done\":%d,\"dropped\":%d,\"limit\":%d,"
        "\"late_us\":%d,\"latest_us\":%d,\"watchers\":%d,\"tree\":[",
        accepted, jg_queue_size(&jobs), running, done, dropped, LIMIT, (int)(late / JG_MICROSECOND),
        (int)(latest / JG_MICROSECOND), watchers);
    jg_scope_describe(application, put_line, text);
    jg_scope_describe(jg_task_root(jg_task_current()), put_line, text);
    put(text, "]}");
}

/* Tell a page, four times a second, until it goes away or the application stops. */
static int get_events(jg_http_request *request, void *arg)
{
    struct text *text = jg_http_request_alloc(request, sizeof *text);
    int r = 0;

    if (!text)
        return -ENOMEM;
    if (watchers == MOST_WATCHERS)
        return 503;
    watchers++;
    while (r == 0 && !stopping) {
        describe(text, jg_app_scope(arg));
        latest = late;
        r = jg_http_send_event(request, NULL, text->data, NULL);
        if (r == 0)
            r = jg_sleep(EVENT_MS * JG_MILLISECOND);
    }
    watchers--;
    return 0; /* a page that is gone is no error */
}

/* A number in the query, from 1 up to `most`; 0: there is none. */
static int number_of(jg_http_request *request, const char *name, int most)
{
    jg_text text;
    long value;

    if (jg_http_request_query(request, name, &text) < 0)
        return 0;
    value = strtol(text.data, NULL, 10);
    return value >= 1 && value <= most ? (int)value : 0;
}

static int post_jobs(jg_http_request *request, void *arg)
{
    int count = number_of(request, "count", LIMIT), added = 0, number;
    struct text text = {.size = 0};

    (void)arg;
    if (count == 0)
        return 400;
    for (number = accepted; added < count && jg_queue_try_put(&jobs, &number) == 0; number++)
        added++;
    accepted += added;
    put(&text, "{\"added\":%d,\"refused\":%d}\n", added, count - added);
    return respond(request, added > 0 ? 202 : 503, &text);
}

static int post_fetch(jg_http_request *request, void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    bool at_once = number_of(request, "at_once", 1) == 1;
    jg_time started = jg_loop_now(loop);
    struct text text = {.size = 0};
    struct fetch fetches[APIS];
    int r = fetch_all(fetches, at_once);

    (void)arg;
    if (r < 0)
        return r == -ECANCELED ? r : 502;
    put(&text, "{\"total_ms\":%d,\"calls\":[",
        (int)((jg_loop_now(loop) - started) / JG_MILLISECOND));
    for (int i = 0; i < APIS; i++)
        put(&text, "%s{\"name\":\"%s\",\"status\":%d,\"from_ms\":%d,\"to_ms\":%d}",
            i > 0 ? "," : "", fetches[i].api->name, fetches[i].status,
            (int)((fetches[i].started - started) / JG_MILLISECOND),
            (int)((fetches[i].ended - started) / JG_MILLISECOND));
    put(&text, "]}\n");
    return respond(request, 200, &text);
}

/* What one must not do on a loop, to see what it does to everything else. */
static int post_block(jg_http_request *request, void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_time end = jg_loop_now(loop) + 200 * JG_MILLISECOND;

    (void)request;
    (void)arg;
    while (jg_loop_now(loop) < end)
        continue;
    return 204;
}

/* ---------------------------------------------------------------- beginning and end */

static int compare(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    struct fetch fetches[APIS];

    (void)arg;
    for (int at_once = 0; at_once < 2; at_once++) {
        jg_time started = jg_loop_now(loop);
        int r = fetch_all(fetches, at_once);

        if (r < 0)
            return r;
        printf("three slow answers, %s: %d ms\n", at_once ? "all at once" : "one after another",
               (int)((jg_loop_now(loop) - started) / JG_MILLISECOND));
        check_errno(fflush(stdout), "stdout");
    }
    return 0;
}

static int open_queue(void *arg)
{
    const jg_queue_options options = {.item_size = sizeof(int), .limit = LIMIT};

    (void)arg;
    return jg_queue_init(&jobs, jg_task_loop(jg_task_current()), &options);
}

static int wait_for_jobs(void *arg)
{
    return jg_queue_join(arg);
}

static int shut_down(void *arg)
{
    (void)arg;
    stopping = true;
    dropped += (int)jg_queue_shutdown(&jobs, true);
    return jg_wait_for(wait_for_jobs, &jobs, 2 * JG_SECOND);
}

static int close_queue(void *arg)
{
    (void)arg;
    (void)jg_queue_fini(&jobs); /* which is empty by now */
    printf("jobs: accepted %d, done %d, dropped %d\n", accepted, done, dropped);
    return 0;
}

static void report(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", what, jg_strerror(error));
}

int main(int argc, char **argv)
{
    const jg_run_app_options options = {.loop = {.on_error = report}, .grace = 5 * JG_SECOND};
    const char *place = argc == 2 ? argv[1] : "8080";
    char address[300];
    jg_app *app;

    if (argc > 2) {
        fprintf(stderr, "usage: %s [[HOST:]PORT]\n", argv[0]);
        return 2;
    }
    snprintf(address, sizeof address, strchr(place, ':') ? "%s" : "127.0.0.1:%s", place);

    check(jg_app_new(NULL, &app), "application");
    for (int i = 0; i < APIS; i++)
        check(jg_app_context(app, api_start, api_stop, &apis[i]), apis[i].name);
    check(jg_app_context(app, api_open_client, api_close_client, NULL), "client");
    check(jg_app_context(app, open_queue, close_queue, NULL), "jobs");
    for (int i = 0; i < WORKERS; i++)
        check(jg_app_background(app, "worker", work, NULL), "worker");
    check(jg_app_background(app, "measure lateness", measure, NULL), "measure");
    check(jg_app_background(app, "compare", compare, NULL), "compare");
    check(jg_app_on_shutdown(app, shut_down, NULL), "shutdown");
    check(jg_app_route(app, "GET", "/", get_page, NULL), "/");
    check(jg_app_route(app, "GET", "/events", get_events, app), "/events");
    check(jg_app_route(app, "POST", "/jobs", post_jobs, NULL), "/jobs");
    check(jg_app_route(app, "POST", "/fetch", post_fetch, NULL), "/fetch");
    check(jg_app_route(app, "POST", "/block", post_block, NULL), "/block");
    check(jg_run_app(app, address, &options), place);
    jg_app_free(app);
    return 0;
}
