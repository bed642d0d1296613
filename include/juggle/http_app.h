/* SPDX-License-Identifier: MIT
 *
 * Web applications: routes, middlewares, what is set up and torn down with them, and the program
 * around that. aiohttp: web.Application, web.run_app.
 *
 *     static int hello(jg_http_request *request, void *arg)
 *     {
 *         return jg_http_respond(request, 200, "text/plain", "hello\n", 6);
 *     }
 *
 *     jg_app_new(NULL, &app);
 *     jg_app_route(app, "GET", "/", hello, NULL);
 *     status = jg_run_app(app, "127.0.0.1:8080", NULL);
 *     jg_app_free(app);
 */
#ifndef JUGGLE_HTTP_APP_H
#define JUGGLE_HTTP_APP_H

#include <juggle/http_server.h>

JG_BEGIN_DECLS

typedef struct jg_app jg_app;

/**
 * Make an application without routes.
 *
 * allocator for what it consists of; copied; NULL: malloc.
 *
 * Returns   0 and the application, to be freed with jg_app_free; -ENOMEM.
 * Owns      nothing.
 * Thread    any; what follows belongs to the thread of the loop that it runs on.
 * Suspends  no.
 */
JG_API int jg_app_new(const jg_allocator *allocator, jg_app **ret_app);

/* Free an application that does not run, with those mounted in it; or NULL. */
JG_API void jg_app_free(jg_app *app);

/**
 * Have a handler for a path. Where several routes match, literal segments win over captures, these
 * over rests. A path that is known with other methods is answered with 405, a method of nobody's
 * with 501, GET serves HEAD as well, OPTIONS is answered with what there is, unless a route says
 * otherwise.
 *
 * methods   one or several, with spaces between: "GET POST"; "*": any.
 * path      "/users/{name}/files/{rest...}": a capture stands for a segment that is not empty, with
 *           "..." for all that is left, which may be empty and comes last.
 *
 * Returns   0; -EINVAL; -EEXIST if there is one for this method and path; -ENOMEM.
 * Owns      nothing; `arg` must outlive the application.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_app_route(jg_app *app, const char *methods, const char *path,
                        jg_http_handler_fn handler, void *arg);

/**
 * Put a handler around all others of the application: it calls jg_http_next to go on, before and
 * after which it does what it is for. The first one added is the outermost. aiohttp: middlewares.
 *
 * Returns   0; -ENOMEM.
 * Owns      nothing; `arg` must outlive the application.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_app_middleware(jg_app *app, jg_http_handler_fn handler, void *arg);

/**
 * For middlewares: go on with the next one, or with the handler.
 *
 * Returns   what that returned, as a jg_http_handler_fn; a status is not answered yet. Where no route
 *           matches, it is 404, 405 or 501.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_next(jg_http_request *request);

/**
 * Mount an application: its routes begin with `prefix`, its middlewares are around them only. It
 * starts after this one, and stops before it. aiohttp: add_subapp.
 *
 * prefix    "/admin".
 *
 * Returns   0; -EINVAL; -EEXIST; -ENOMEM.
 * Owns      `sub`, from success on; its routes are complete by then.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_app_mount(jg_app *app, const char *prefix, jg_app *sub);

/**
 * Serve the files below a directory, for GET and HEAD: with ranges, conditional requests, and types
 * by their extensions. "index.html" stands for its directory. Names that begin with a dot are not
 * found, nor what is no regular file. No path leads out of the directory, but a symbolic link does.
 *
 * prefix    "/files".
 *
 * Returns   0; as jg_app_route; an error of opening the directory.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_app_static(jg_app *app, const char *prefix, const char *directory);

/**
 * Answer a request with a file of the server's choice, as jg_app_static does.
 *
 * Returns   0, or the status to answer with, 404 say; a handler can return it. Or an error.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_http_send_file(jg_http_request *request, const char *path);

/* --------------------------------------------------------------- its life */

/**
 * Have something set up before the first request and torn down after the last, in reverse order,
 * in a coroutine. aiohttp: cleanup_ctx.
 *
 * setup     an error ends the start, and what was set up before is torn down.
 * teardown  or NULL; called if `setup` succeeded; its status is ignored.
 *
 * Returns   0; -ENOMEM.
 * Owns      nothing; `arg` must outlive the application.
 * Thread    loop.
 * Suspends  no; both may.
 */
JG_API int jg_app_context(jg_app *app, jg_coro_fn setup, jg_coro_fn teardown, void *arg);

/**
 * Have a coroutine run as long as the application does, from after the set-up on; it is cancelled
 * before the tear-down. If it fails the loop's error hook is told, and the application goes on.
 *
 * name      of the coroutine, for people; must stay, and may be NULL.
 *
 * Returns   0; -ENOMEM.
 * Owns      nothing; `arg` must outlive the application.
 * Thread    loop.
 * Suspends  no; fn may.
 */
JG_API int jg_app_background(jg_app *app, const char *name, jg_coro_fn fn, void *arg);

/**
 * Have fn(arg) called when the application begins to stop, while requests are still under way: to
 * end those that would last. aiohttp: on_shutdown.
 *
 * fn        its status is ignored.
 *
 * Returns   0; -ENOMEM.
 * Owns      nothing; `arg` must outlive the application.
 * Thread    loop.
 * Suspends  no; fn may.
 */
JG_API int jg_app_on_shutdown(jg_app *app, jg_coro_fn fn, void *arg);

/* The scope of an application that runs: for coroutines that may outlive the request they come
   from. They are cancelled when it stops. NULL if it does not run. */
JG_API jg_scope *jg_app_scope(jg_app *app);

/**
 * Start an application without jg_run_app: for tests, and next to other things on a loop. Then let
 * jg_app_handle(request, app) be the handler of a server, and, at the end, tell it to shut down,
 * close that server, and stop it.
 *
 * Returns   0; the error of a set-up, after which it does not run; -EALREADY, -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
JG_API int jg_app_start(jg_app *app);
JG_API void jg_app_shutdown(jg_app *app);
JG_API void jg_app_stop(jg_app *app);
JG_API int jg_app_handle(jg_http_request *request, void *app);

/* Zeroed memory is a valid set of options; so is NULL in its place. */
typedef struct jg_run_app_options {
    jg_loop_options loop; /* for its on_error, say, which is told what handlers fail with */
    jg_http_server_options server;
    unsigned workers; /* processes that share the port; 0 or 1: none. One that ends is started
                         again, and on_error is told why if that fails */
    jg_time grace;    /* ns for requests that are under way at the end; 0: 60 s */
    bool access_log;  /* a line a request, in the common format, on standard output */
    bool quiet;       /* does not print the URL */
    int backlog;      /* of connections that are to be accepted; 0: as many as can be */
} jg_run_app_options;

/**
 * Be a server: make a loop, start the application, listen, print the URL and serve until SIGINT or
 * SIGTERM. Then stop listening, let requests that are under way end within the grace period, and
 * stop the application. aiohttp: run_app.
 *
 * address   as jg_address_parse reads it: "127.0.0.1:8080", "[::1]:8080"; port 0 picks a free one.
 * options   or NULL.
 *
 * Returns   0 after a signal; an error of listening, or of the set-up.
 * Owns      nothing.
 * Thread    any that runs no loop.
 * Suspends  no: it blocks the thread.
 */
JG_API int jg_run_app(jg_app *app, const char *address, const jg_run_app_options *options);

JG_END_DECLS

#endif
