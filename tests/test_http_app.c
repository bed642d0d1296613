/* SPDX-License-Identifier: MIT
 *
 * Applications: routes, middlewares, and what is set up and torn down.
 */
#include "http_table.h"

#include "core/loop.h"

#include <juggle/http_app.h>

#define HOST "Host: a\r\n"
#define END  "\r\n"

/* Says its name and captures. */
static int say(jg_http_request *request, void *arg)
{
    static const char *const names[] = {"id", "name", "rest"};
    char text[256];
    size_t size = (size_t)snprintf(text, sizeof(text), "%s", (const char *)arg);

    for (size_t i = 0; i < 3; i++) {
        jg_text value = jg_http_request_capture(request, names[i]);

        if (value.data)
            size +=
                (size_t)snprintf(text + size, sizeof(text) - size, " %s=%s", names[i], value.data);
    }
    return jg_http_respond(request, 200, NULL, text, size);
}

static int fail_at_app;

static int main_of_app(void *arg)
{
    struct table *table = arg;
    jg_app *app = table->server.arg;
    int r = jg_app_start(app);

    if (r < 0) {
        fail_at_app = r;
        jg_stream_abort(&table->client);
        return jg_http_server_close(&table->server, 0);
    }
    test_check(jg_app_start(app) == -EALREADY);
    (void)table_main(table);
    jg_app_shutdown(app);
    jg_app_stop(app);
    return 0;
}

/* Run an application, with what a client sends. */
static struct table *run_app(jg_app *app, const char *text)
{
    struct table *table = table_new(jg_app_handle, NULL);

    fail_at_app = 0;
    table->server.arg = app;
    table->text = text;
    assert_int_equal(jg_test_pair(table->world.loop, &table->ours, &table->client, NULL), 0);
    assert_int_equal(jg_http_serve(&table->server, &table->ours, NULL, NULL), 0);
    assert_int_equal(jg_spawn(&table->world.root, main_of_app, table, NULL), 0);
    world_done(&table->world);
    table_cut_dates(table);
    return table;
}

static struct test_memory memory;

static jg_app *new_app(void)
{
    jg_allocator allocator = test_allocator(&memory);
    jg_app *app;

    assert_int_equal(jg_app_new(&allocator, &app), 0);
    return app;
}

static void free_app(jg_app *app)
{
    jg_app_free(app);
    assert_int_equal(memory.blocks, 0);
}

/* What GET of a path gives, as "STATUS BODY". */
static void expect(jg_app *app, const char *request_line, const char *expected)
{
    char text[512], got[512];
    struct table *table;
    const char *body;

    snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST END, request_line);
    table = run_app(app, text);
    body = strstr(table->output, "\r\n\r\n");
    assert_non_null(body);
    snprintf(got, sizeof(got), "%.3s %s", table->output + 9, body + 4);
    assert_string_equal(got, expected);
    free(table);
}

static void route(jg_app *app, const char *methods, const char *path, const char *text)
{
    assert_int_equal(jg_app_route(app, methods, path, say, (void *)(uintptr_t)text), 0);
}

/* ---------------------------------------------------------------- routes */

static void paths_lead_to_their_handlers(void **state)
{
    jg_app *app = new_app();

    (void)state;
    route(app, "GET", "/", "root");
    route(app, "GET", "/users", "users");
    route(app, "GET", "/users/", "slash");
    route(app, "GET", "/users/me", "me");
    route(app, "GET", "/users/{id}", "user");
    route(app, "GET", "/users/{id}/files/{name}", "file");
    route(app, "GET", "/files/{rest...}", "files");
    route(app, "GET", "/files/index", "index");
    route(app, "GET", "/try/{id}/x", "x");
    route(app, "GET", "/try/{rest...}", "try");
    expect(app, "GET /", "200 root");
    expect(app, "GET /users", "200 users");
    expect(app, "GET /users/", "200 slash");
    expect(app, "GET /users/me", "200 me");
    expect(app, "GET /users/m%65", "200 me");
    expect(app, "GET /users/mee", "200 user id=mee");
    expect(app, "GET /users/a%20b%2Fc", "200 user id=a b/c");
    expect(app, "GET /users/7/files/x?name=y", "200 file id=7 name=x");
    expect(app, "GET /users/me/files/x", "200 file id=me name=x");
    expect(app, "GET /files/", "200 files rest=");
    expect(app, "GET /files/a/b%2e/c", "200 files rest=a/b./c");
    expect(app, "GET /files/index", "200 index");
    expect(app, "GET /files/index/x", "200 files rest=index/x");
    expect(app, "GET /try/1/x", "200 x id=1");
    expect(app, "GET /try/1/y", "200 try rest=1/y");
    expect(app, "GET http://a", "200 root");
    expect(app, "GET /nowhere", "404 404 Not Found\n");
    expect(app, "GET /users/7/files/", "404 404 Not Found\n");
    expect(app, "GET /users//files/x", "404 404 Not Found\n");
    expect(app, "GET /users/%zz", "400 400 Bad Request\n");
    expect(app, "GET /users/%00", "400 400 Bad Request\n");
    free_app(app);
}

static void bad_routes_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "/{",
        "/{}",
        "/a{b}",
        "/{a}b",
        "/{...}",
        "/{a...}/b",
        "/{a{b}}",
        "/}",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}"};
    jg_app *app = new_app();

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(jg_app_route(app, "GET", bad[i], say, "x"), -EINVAL);
    assert_int_equal(jg_app_route(app, "", "/", say, "x"), -EINVAL);
    route(app, "GET POST", "/{a}", "x");
    assert_int_equal(jg_app_route(app, "PUT POST", "/{b}", say, "x"), -EEXIST);
    route(app, "PUT", "/{b}", "x");
    route(app, "*", "/{b}", "any");
    assert_int_equal(jg_app_route(app, "*", "/{b}", say, "x"), -EEXIST);
    expect(app, "GET /1", "200 x");
    expect(app, "DELETE /1", "200 any");
    free_app(app);
}

static void methods_are_told(void **state)
{
    jg_app *app = new_app();
    struct table *table;

    (void)state;
    route(app, "GET DELETE", "/a", "a");
    route(app, "PUT", "/{name}", "put");
    route(app, "PURGE", "/a", "purged");
    expect(app, "PUT /a", "200 put name=a");
    expect(app, "PURGE /a", "200 purged");
    expect(app, "PURGE /b", "405 405 Method Not Allowed\n");
    expect(app, "PURGE /b/c", "404 404 Not Found\n");
    expect(app, "OTHER /a", "501 501 Not Implemented\n");
    expect(app, "OTHER /b/c", "501 501 Not Implemented\n");
    expect(app, "get /a", "501 501 Not Implemented\n");
    table = run_app(app, "POST /a HTTP/1.1\r\n" HOST END "OPTIONS /a HTTP/1.1\r\n" HOST END
                         "HEAD /a HTTP/1.1\r\n" HOST END "OPTIONS * HTTP/1.1\r\n" HOST END);
    table_expect(table,
                 "HTTP/1.1 405 Method Not Allowed\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 23\r\n"
                 "Allow: GET, HEAD, PUT, DELETE, OPTIONS, PURGE\r\n\r\n405 Method Not Allowed\n"
                 "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, PUT, DELETE, OPTIONS, PURGE\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
                 "HTTP/1.1 204 No Content\r\nAllow: OPTIONS\r\n\r\n");
    free(table);
    route(app, "*", "/any/thing", "any");
    expect(app, "OTHER /any/thing", "200 any");
    expect(app, "OTHER /a", "405 405 Method Not Allowed\n");
    free_app(app);
}

/* ---------------------------------------------------------------- middlewares */

static struct test_trace trace;

/* Notes when it is entered and left; its letter is `arg`. */
static int around(jg_http_request *request, void *arg)
{
    const char *letters = arg;
    int r;

    test_trace_add(&trace, letters[0]);
    r = jg_http_next(request);
    test_trace_add(&trace, letters[1]);
    return r;
}

static int deny(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_text_is(jg_http_request_path(request), "/secret") ? 403 : jg_http_next(request);
}

/* Gives statuses a page. */
static int pages(jg_http_request *request, void *arg)
{
    int r = jg_http_next(request);

    (void)arg;
    return r == 404 ? jg_http_respond(request, 404, NULL, "lost", 4) : r;
}

static void middlewares_are_around_handlers(void **state)
{
    jg_app *app = new_app(), *sub = new_app();

    (void)state;
    memset(&trace, 0, sizeof(trace));
    route(app, "GET", "/", "root");
    route(app, "GET", "/secret", "secret");
    route(sub, "GET", "/", "sub");
    route(sub, "GET", "/{id}", "sub");
    assert_int_equal(jg_app_middleware(app, around, "aA"), 0);
    assert_int_equal(jg_app_middleware(app, pages, NULL), 0);
    assert_int_equal(jg_app_middleware(app, deny, NULL), 0);
    assert_int_equal(jg_app_middleware(sub, around, "bB"), 0);
    assert_int_equal(jg_app_mount(app, "/sub/{name}", sub), 0);
    assert_int_equal(jg_app_mount(app, "/other", sub), -EINVAL);
    expect(app, "GET /", "200 root");
    assert_string_equal(trace.letters, "aA");
    expect(app, "GET /sub/x/7", "200 sub id=7 name=x");
    assert_string_equal(trace.letters, "aAabBA");
    expect(app, "GET /secret", "403 403 Forbidden\n");
    expect(app, "GET /sub/x/7/8", "404 lost");
    free_app(app);
}

/* ---------------------------------------------------------------- its life */

static int note(void *arg)
{
    const char *letter = arg;

    test_trace_add(&trace, *letter);
    (void)jg_sleep(JG_MILLISECOND);
    return 0;
}

static int refuse(void *arg)
{
    (void)arg;
    return -EPERM;
}

static int background_status;

static int work(void *arg)
{
    note(arg);
    background_status = jg_sleep(JG_FOREVER);
    return background_status;
}

static void what_is_set_up_is_torn_down_in_reverse(void **state)
{
    jg_app *app = new_app(), *sub = new_app();

    (void)state;
    memset(&trace, 0, sizeof(trace));
    background_status = 0;
    route(app, "GET", "/", "root");
    assert_int_equal(jg_app_background(app, "work", work, "w"), 0);
    assert_int_equal(jg_app_context(app, note, note, "a"), 0);
    assert_int_equal(jg_app_on_shutdown(app, note, "s"), 0);
    assert_int_equal(jg_app_context(sub, note, note, "x"), 0);
    assert_int_equal(jg_app_mount(app, "/sub", sub), 0);
    assert_int_equal(jg_app_context(app, note, NULL, "b"), 0);
    assert_null(jg_app_scope(app));
    expect(app, "GET /", "200 root");
    assert_string_equal(trace.letters, "axbwsxa");
    assert_int_equal(background_status, -ECANCELED);
    free_app(app);
}

static void a_set_up_that_fails_is_undone(void **state)
{
    jg_app *app = new_app();

    (void)state;
    memset(&trace, 0, sizeof(trace));
    assert_int_equal(jg_app_context(app, note, note, "a"), 0);
    assert_int_equal(jg_app_context(app, refuse, note, "f"), 0);
    assert_int_equal(jg_app_context(app, note, note, "b"), 0);
    free(run_app(app, ""));
    assert_int_equal(fail_at_app, -EPERM);
    assert_string_equal(trace.letters, "aa");
    free_app(app);
}

static void memory_that_fails_leaves_an_application_as_it_was(void **state)
{
    (void)state;
    for (long fail_at = 1;; fail_at++) {
        jg_app *app = new_app(), *sub = new_app();
        bool failed;
        int r;

        route(app, "GET", "/a/{id}", "a");
        route(sub, "GET POST", "/b/{name}", "b");
        route(sub, "GET", "/c", "c");
        memory.fail_at = memory.calls + fail_at;
        if (jg_app_middleware(app, deny, NULL) == 0 && jg_app_context(app, note, note, "a") == 0 &&
            jg_app_route(app, "PUT GET", "/d/{x}/{y...}", say, "d") == 0)
            r = jg_app_mount(app, "/sub", sub);
        else
            r = -ENOMEM;
        failed = memory.calls >= memory.fail_at;
        assert_int_equal(r, failed ? -ENOMEM : 0);
        memory.fail_at = 0;
        expect(app, "GET /a/1", "200 a id=1");
        if (failed) {
            expect(app, "GET /sub/c", "404 404 Not Found\n");
            jg_app_free(sub);
        }
        free_app(app);
        if (!failed)
            break;
    }
}

static void memory_that_fails_while_it_runs_loses_nothing(void **state)
{
    bool failed = true;

    (void)state;
    memset(&trace, 0, sizeof(trace));
    for (long fail_at = 1; failed; fail_at++) {
        jg_app *app = new_app();
        struct table *table = table_new(jg_app_handle, NULL);
        struct test_memory *loops = test_loop_memory(table->world.loop);

        route(app, "GET", "/{id}/{name}", "a");
        assert_int_equal(jg_app_background(app, "work", refuse, NULL), 0);
        table->server.arg = app;
        table->text = "GET /0123456789/%41 HTTP/1.1\r\n" HOST END "GET /x HTTP/1.1\r\n" HOST END
                      "GET /1/2?a=b HTTP/1.1\r\n" HOST END;
        table->pair.piece = 10;
        table->grace = JG_SECOND;
        table->world.loop->on_error = NULL;
        assert_int_equal(
            jg_test_pair(table->world.loop, &table->ours, &table->client, &table->pair), 0);
        assert_int_equal(jg_http_serve(&table->server, &table->ours, NULL, NULL), 0);
        assert_int_equal(jg_spawn(&table->world.root, main_of_app, table, NULL), 0);
        table->close_status = 1;
        loops->fail_at = loops->calls + fail_at;
        while (table->close_status == 1 || jg_app_scope(app))
            assert_true(jg_loop_run_once(table->world.loop, JG_FOREVER) >= 0);
        failed = loops->calls >= loops->fail_at;
        loops->fail_at = 0;
        world_done(&table->world);
        free(table);
        free_app(app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_to_their_handlers),
        cmocka_unit_test(bad_routes_are_refused),
        cmocka_unit_test(methods_are_told),
        cmocka_unit_test(middlewares_are_around_handlers),
        cmocka_unit_test(what_is_set_up_is_torn_down_in_reverse),
        cmocka_unit_test(a_set_up_that_fails_is_undone),
        cmocka_unit_test(memory_that_fails_leaves_an_application_as_it_was),
        cmocka_unit_test(memory_that_fails_while_it_runs_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
