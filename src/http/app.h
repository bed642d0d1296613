/* SPDX-License-Identifier: MIT
 *
 * Applications as their own modules see them: app.c has their life, route.c finds handlers, static.c
 * answers with files, run_app.c is the program around one.
 *
 * Invariants: the tree of an application has its own routes and those of all that are mounted in
 * it. What was set up is the first `set_up` of the entries, and of these the subs run.
 */
#ifndef JG_HTTP_APP_H
#define JG_HTTP_APP_H

#include "http/server.h"

#include <juggle/http_app.h>

/* One method and path. */
typedef struct jg__route {
    struct jg__route *next; /* of the same node */
    struct jg__route *next_of_app;
    jg_app *app; /* whose middlewares are around it */
    jg_http_handler_fn handler;
    void *arg;
    bool any;       /* method */
    uint8_t method; /* jg_http_method */
    const char *method_name;
    char **names; /* of captures, in their order */
    int name_count;
    char *path;  /* as it was given */
    char text[]; /* where these strings are */
} jg__route;

/* A segment of paths. */
typedef struct jg__node {
    struct jg__node **literals; /* sorted by size and text */
    int literal_count;
    struct jg__node *capture; /* of one segment */
    jg__route *routes;        /* that end here */
    jg__route *rests;         /* that take all that is left */
    size_t size;              /* of the text */
    char text[];
} jg__node;

struct jg__middleware {
    struct jg__middleware *next;
    jg_http_handler_fn handler;
    void *arg;
};

enum jg__entry_kind {
    JG__ENTRY_CONTEXT,
    JG__ENTRY_SUB,
    JG__ENTRY_BACKGROUND,
    JG__ENTRY_SHUTDOWN,
    JG__ENTRY_OWNED /* only to be released */
};

/* Something that happens in the life of an application. */
struct jg__entry {
    struct jg__entry *next, *prev;
    enum jg__entry_kind kind;
    jg_app *app; /* that it belongs to, or the sub */
    jg_coro_fn fn, teardown;
    void (*release)(jg_app *app, void *arg); /* when the application is freed; or NULL */
    void *arg;
    const char *name;
    bool started;
};

struct jg_app {
    jg_allocator allocator;
    jg_app *parent;
    jg__node *root;
    jg__route *routes; /* of its own, the last one first */
    struct jg__middleware *middlewares;
    struct jg__entry *first, *last;
    jg_scope scope; /* of what runs in the background */
    bool running;
};

/* app.c: add a copy of an entry. Returns 0 or -ENOMEM. */
int jg__app_add_entry(jg_app *app, const struct jg__entry *entry);

/* route.c */

/* Add a route that belongs to `owner`, which is mounted in `app` or is that. */
int jg__route_add(jg_app *app, jg_app *owner, const char *methods, const char *prefix,
                  const char *path, jg_http_handler_fn handler, void *arg);

/* Add all routes of an application to another one in which it is mounted. */
int jg__route_mount(jg_app *app, const char *prefix, jg_app *sub);
void jg__routes_free(jg_app *app);

/* Find what answers a request and set its route, captures and allowed methods. Returns 0, or a
   status if nothing does. */
int jg__route_find(const jg_app *app, jg_http_request *request);

/* Answer instead of a route that does not exist: with this status, and what is allowed. */
int jg__route_refuse(jg_http_request *request);

#endif
