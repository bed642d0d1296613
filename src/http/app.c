/* SPDX-License-Identifier: MIT
 *
 * Applications: what they consist of, how they begin and end, and the way of a request through
 * their middlewares to its handler.
 *
 * Entries are started in the order in which they were added and ended in reverse. What runs in the
 * background is started after all else was set up and ends before anything is torn down.
 */
#include "http/app.h"

#include "coro/coro.h"

#include <errno.h>
#include <string.h>

int jg_app_new(const jg_allocator *allocator, jg_app **ret_app)
{
    jg_app *app;

    if (!allocator)
        allocator = &jg__malloc;
    app = jg__alloc(allocator, sizeof(*app));
    if (!app)
        return -ENOMEM;

    *app = (jg_app){.allocator = *allocator};
    *ret_app = app;
    return 0;
}

void jg_app_free(jg_app *app)
{
    jg_allocator allocator;

    if (!app)
        return;

    jg__check(!app->running, "the application is running");
    allocator = app->allocator;
    while (app->first) {
        struct jg__entry *entry = app->first;

        app->first = entry->next;
        if (entry->kind == JG__ENTRY_SUB)
            jg_app_free(entry->app);
        if (entry->release)
            entry->release(app, entry->arg);
        jg__free(&allocator, entry, sizeof(*entry));
    }
    while (app->middlewares) {
        struct jg__middleware *middleware = app->middlewares;

        app->middlewares = middleware->next;
        jg__free(&allocator, middleware, sizeof(*middleware));
    }
    jg__routes_free(app);
    jg__free(&allocator, app, sizeof(*app));
}

int jg_app_route(jg_app *app, const char *methods, const char *path, jg_http_handler_fn handler,
                 void *arg)
{
    return jg__route_add(app, app, methods, "", path, handler, arg);
}

int jg_app_middleware(jg_app *app, jg_http_handler_fn handler, void *arg)
{
    struct jg__middleware *added = jg__alloc(&app->allocator, sizeof(*added));
    struct jg__middleware **last = &app->middlewares;

    if (!added)
        return -ENOMEM;

    *added = (struct jg__middleware){.handler = handler, .arg = arg};
    while (*last)
        last = &(*last)->next;
    *last = added;
    return 0;
}

int jg__app_add_entry(jg_app *app, const struct jg__entry *entry)
{
    struct jg__entry *added = jg__alloc(&app->allocator, sizeof(*added));

    if (!added)
        return -ENOMEM;

    *added = *entry;
    added->next = NULL;
    added->prev = app->last;
    if (app->last)
        app->last->next = added;
    else
        app->first = added;
    app->last = added;
    return 0;
}

int jg_app_context(jg_app *app, jg_coro_fn setup, jg_coro_fn teardown, void *arg)
{
    return jg__app_add_entry(
        app,
        &(struct jg__entry){
            .kind = JG__ENTRY_CONTEXT, .app = app, .fn = setup, .teardown = teardown, .arg = arg});
}

int jg_app_background(jg_app *app, const char *name, jg_coro_fn fn, void *arg)
{
    return jg__app_add_entry(
        app, &(struct jg__entry){
                 .kind = JG__ENTRY_BACKGROUND, .app = app, .fn = fn, .arg = arg, .name = name});
}

int jg_app_on_shutdown(jg_app *app, jg_coro_fn fn, void *arg)
{
    return jg__app_add_entry(
        app, &(struct jg__entry){.kind = JG__ENTRY_SHUTDOWN, .app = app, .fn = fn, .arg = arg});
}

int jg_app_mount(jg_app *app, const char *prefix, jg_app *sub)
{
    int r;

    if (prefix[0] != '/' || prefix[1] == 0 || sub->parent || sub == app || app->running)
        return -EINVAL;

    r = jg__app_add_entry(app, &(struct jg__entry){.kind = JG__ENTRY_SUB, .app = sub});
    if (r < 0)
        return r;

    r = jg__route_mount(app, prefix, sub);
    if (r < 0) {
        struct jg__entry *entry = app->last;

        app->last = entry->prev;
        if (app->last)
            app->last->next = NULL;
        else
            app->first = NULL;
        jg__free(&app->allocator, entry, sizeof(*entry));
        return r;
    }
    sub->parent = app;
    return 0;
}

/* ---------------------------------------------------------------- its life */

jg_scope *jg_app_scope(jg_app *app)
{
    return app->running ? &app->scope : NULL;
}

static int run_in_background(void *arg)
{
    const struct jg__entry *entry = arg;
    int r = entry->fn(entry->arg);

    if (r < 0 && r != -ECANCELED)
        jg__loop_error(entry->app->scope.loop, r, "a background task of an application failed");
    return r;
}

static int start_entry(struct jg__entry *entry)
{
    jg_spawn_options options = {.name = entry->name};

    switch (entry->kind) {
    case JG__ENTRY_CONTEXT:
        return entry->fn ? entry->fn(entry->arg) : 0;
    case JG__ENTRY_SUB:
        return jg_app_start(entry->app);
    case JG__ENTRY_BACKGROUND:
        return jg_spawn(&entry->app->scope, run_in_background, entry, &options);
    default:
        return 0;
    }
}

/* Start the entries of this kind, or all but these. */
static int start_entries(jg_app *app, bool background)
{
    int r = 0;

    for (struct jg__entry *entry = app->first; entry && r >= 0; entry = entry->next) {
        if ((entry->kind == JG__ENTRY_BACKGROUND) != background)
            continue;
        r = start_entry(entry);
        entry->started = r >= 0;
    }
    return r < 0 ? r : 0;
}

int jg_app_start(jg_app *app)
{
    int r;

    if (app->running)
        return -EALREADY;

    jg_scope_open(&app->scope, jg_task_loop(jg_task_current()), NULL,
                  &(jg_scope_options){.name = "application", .policy = JG_KEEP_GOING});
    app->running = true;
    for (struct jg__entry *entry = app->first; entry; entry = entry->next)
        entry->started = false;
    r = start_entries(app, false);
    if (r == 0)
        r = start_entries(app, true);
    if (r < 0)
        jg_app_stop(app);
    return r;
}

void jg_app_shutdown(jg_app *app)
{
    for (struct jg__entry *entry = app->first; entry; entry = entry->next) {
        if (entry->kind == JG__ENTRY_SHUTDOWN)
            (void)entry->fn(entry->arg); /* the end goes on whatever it returns */
        else if (entry->kind == JG__ENTRY_SUB && entry->started)
            jg_app_shutdown(entry->app);
    }
}

/* In a cancelled scope, too, what was set up is torn down. */
static int stop_entry(void *arg)
{
    struct jg__entry *entry = arg;

    if (entry->kind == JG__ENTRY_SUB)
        jg_app_stop(entry->app);
    else if (entry->kind == JG__ENTRY_CONTEXT && entry->teardown)
        (void)entry->teardown(entry->arg); /* nobody is left who would make use of its status */
    return 0;
}

void jg_app_stop(jg_app *app)
{
    jg_op ended;

    if (!app->running)
        return;

    jg_op_self(&ended);
    jg_scope_cancel(&app->scope);
    jg_scope_close(&app->scope, 0, &ended);
    (void)jg_await(&ended);
    for (struct jg__entry *entry = app->last; entry; entry = entry->prev) {
        if (entry->started)
            (void)jg_shield(stop_entry, entry);
        entry->started = false;
    }
    app->running = false;
}

/* ---------------------------------------------------------------- the way of a request */

/* The middleware that comes at this place, from the outermost application on. */
static const struct jg__middleware *middleware_at(const jg_app *app, int *place)
{
    const struct jg__middleware *middleware;

    if (app->parent) {
        middleware = middleware_at(app->parent, place);
        if (middleware)
            return middleware;
    }
    for (middleware = app->middlewares; middleware; middleware = middleware->next) {
        if ((*place)-- == 0)
            return middleware;
    }
    return NULL;
}

int jg_http_next(jg_http_request *request)
{
    const jg__route *route = request->route;
    const jg_app *app = route ? route->app : request->app;
    int place = request->next_middleware;
    const struct jg__middleware *middleware = middleware_at(app, &place);

    if (middleware) {
        request->next_middleware++;
        return middleware->handler(request, middleware->arg);
    }
    return route ? route->handler(request, route->arg) : jg__route_refuse(request);
}

int jg_app_handle(jg_http_request *request, void *app)
{
    request->app = app;
    request->route = NULL;
    request->next_middleware = 0;
    request->refusal = jg__route_find(app, request);
    if (request->refusal != 0)
        request->route = NULL;
    return jg_http_next(request);
}
