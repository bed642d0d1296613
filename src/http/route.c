/* SPDX-License-Identifier: MIT
 *
 * Routes: a tree of the segments of paths, with the methods at its nodes.
 *
 *     "/users/{id}"    root --- "users" --- {} : GET, DELETE
 *     "/users/me"                       \-- "me" : GET
 *     "/files/{p...}"       \-- "files" : rests GET
 *
 * A search tries the literal segment, then the capture, then the rest; where a path is known
 * without the method it goes on, and remembers what is allowed. Each node stands for one place in
 * the path, so that a search looks at no node twice, whatever the path is.
 */
#include "http/app.h"

#include "http/output.h"

#include <juggle/url.h>

#include <errno.h>
#include <string.h>

#define MOST_CAPTURES 16
#define MOST_NAME     256 /* bytes of a literal segment */

/* In the order in which Allow has them. */
static const struct {
    jg_http_method method;
    const char *name;
} methods_known[] = {
    {JG_HTTP_GET, "GET"},     {JG_HTTP_HEAD, "HEAD"},       {JG_HTTP_POST, "POST"},
    {JG_HTTP_PUT, "PUT"},     {JG_HTTP_DELETE, "DELETE"},   {JG_HTTP_PATCH, "PATCH"},
    {JG_HTTP_TRACE, "TRACE"}, {JG_HTTP_OPTIONS, "OPTIONS"},
};

#define KNOWN (sizeof(methods_known) / sizeof(methods_known[0]))

/* ---------------------------------------------------------------- patterns */

enum { LITERAL, CAPTURE, REST };

/* Take the next segment of a pattern, which begins with "/". Returns what it is, or -EINVAL. */
static int next_segment(const char **pattern, jg_text *ret_text)
{
    const char *begin = *pattern + 1;
    size_t size = strcspn(begin, "/");
    int kind = CAPTURE;

    *pattern = begin + size;
    *ret_text = jg_text_of(begin, size);
    if (size == 0 || begin[0] != '{')
        return size > MOST_NAME || memchr(begin, '{', size) || memchr(begin, '}', size) ? -EINVAL
                                                                                        : LITERAL;
    if (begin[size - 1] != '}')
        return -EINVAL;
    begin++;
    size -= 2;
    if (size >= 3 && memcmp(begin + size - 3, "...", 3) == 0) {
        kind = REST;
        size -= 3;
    }
    if (size == 0 || memchr(begin, '{', size) || memchr(begin, '}', size) ||
        (kind == REST && **pattern))
        return -EINVAL;
    *ret_text = jg_text_of(begin, size);
    return kind;
}

/* How many captures there are, and how long their names are together. Returns 0 or -EINVAL. */
static int measure(const char *pattern, int *ret_count, size_t *ret_size)
{
    jg_text text;

    *ret_count = 0;
    *ret_size = 0;
    while (*pattern) {
        int kind = *pattern == '/' ? next_segment(&pattern, &text) : -EINVAL;

        if (kind < 0)
            return kind;
        if (kind != LITERAL) {
            ++*ret_count;
            *ret_size += text.size + 1;
        }
    }
    return *ret_count > MOST_CAPTURES ? -EINVAL : 0;
}

/* ---------------------------------------------------------------- nodes */

/* By size first, which tells most of them apart. */
static int compare(const jg__node *node, jg_text text)
{
    if (node->size != text.size)
        return node->size < text.size ? -1 : 1;
    return text.size > 0 ? memcmp(node->text, text.data, text.size) : 0;
}

/* The literal child of this text, or NULL; and where it is, or would be. */
static jg__node *find_literal(const jg__node *node, jg_text text, int *ret_place)
{
    int low = 0, high = node->literal_count;

    while (low < high) {
        int middle = (low + high) / 2;
        int order = compare(node->literals[middle], text);

        if (order == 0) {
            *ret_place = middle;
            return node->literals[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_place = low;
    return NULL;
}

static jg__node *make_node(const jg_app *app, jg_text text)
{
    jg__node *node = jg__alloc(&app->allocator, sizeof(*node) + text.size);

    if (node) {
        *node = (jg__node){.size = text.size};
        if (text.size > 0)
            memcpy(node->text, text.data, text.size);
    }
    return node;
}

static jg__node *add_literal(const jg_app *app, jg__node *node, jg_text text)
{
    const size_t unit = sizeof(jg__node *);
    int place, count = node->literal_count;
    jg__node *child = find_literal(node, text, &place), **literals;

    if (child)
        return child;

    child = make_node(app, text);
    if (!child)
        return NULL;
    literals = jg__resize(&app->allocator, node->literals, (size_t)count * unit,
                          (size_t)(count + 1) * unit);
    if (!literals) {
        jg__free(&app->allocator, child, sizeof(*child) + child->size);
        return NULL;
    }
    memmove(literals + place + 1, literals + place, (size_t)(count - place) * unit);
    literals[place] = child;
    node->literals = literals;
    node->literal_count++;
    return child;
}

static void free_node(const jg_app *app, jg__node *node)
{
    if (!node)
        return;
    for (int i = 0; i < node->literal_count; i++)
        free_node(app, node->literals[i]);
    free_node(app, node->capture);
    jg__free(&app->allocator, node->literals, (size_t)node->literal_count * sizeof(jg__node *));
    jg__free(&app->allocator, node, sizeof(*node) + node->size);
}

/* ---------------------------------------------------------------- adding */

/* The list in which a route of this path belongs, with the nodes that lead there; or NULL. */
static jg__route **find_place(jg_app *app, const char *path)
{
    jg__node *node;
    jg_text text;

    if (!app->root)
        app->root = make_node(app, jg_text_of(NULL, 0));
    node = app->root;
    while (node && *path) {
        switch (next_segment(&path, &text)) {
        case LITERAL:
            node = add_literal(app, node, text);
            break;
        case CAPTURE:
            if (!node->capture)
                node->capture = make_node(app, jg_text_of(NULL, 0));
            node = node->capture;
            break;
        default:
            return &node->rests;
        }
    }
    return node ? &node->routes : NULL;
}

static uint8_t method_of(jg_text name)
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (jg_text_is(name, methods_known[i].name))
            return (uint8_t)methods_known[i].method;
    }
    return JG_HTTP_OTHER;
}

static bool serves(const jg__route *route, uint8_t method, jg_text name)
{
    if (route->any)
        return true;
    return route->method == method &&
           (method != JG_HTTP_OTHER || jg_text_is(name, route->method_name));
}

static size_t route_size(int name_count, size_t text_size)
{
    return sizeof(jg__route) + (size_t)name_count * sizeof(char *) + text_size;
}

/* Bytes of the strings of a route. */
static size_t text_size_of(const jg__route *route)
{
    size_t size = strlen(route->path) + 1 + strlen(route->method_name) + 1;

    for (int i = 0; i < route->name_count; i++)
        size += strlen(route->names[i]) + 1;
    return size;
}

static char *copy_text(char **end, jg_text text)
{
    char *copy = *end;

    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    *end += text.size + 1;
    return copy;
}

/* A route for one method, in no list yet. `path` is known to be good. */
static jg__route *make_route(const jg_app *app, jg_text method, const char *prefix,
                             const char *path, int name_count, size_t names_size)
{
    const size_t prefix_size = strlen(prefix), path_size = prefix_size + strlen(path);
    jg__route *route = jg__alloc(
        &app->allocator, route_size(name_count, names_size + path_size + 1 + method.size + 1));
    char *end;
    int count = 0;

    if (!route)
        return NULL;
    *route = (jg__route){
        .any = jg_text_is(method, "*"),
        .method = method_of(method),
        .name_count = name_count,
    };
    route->names = (char **)(void *)route->text;
    end = route->text + (size_t)name_count * sizeof(char *);
    route->path = end;
    (void)copy_text(&end, jg_text_from(prefix));
    end--;
    (void)copy_text(&end, jg_text_from(path));
    route->method_name = copy_text(&end, method);
    for (path = route->path; *path;) {
        jg_text text;

        if (next_segment(&path, &text) != LITERAL)
            route->names[count++] = copy_text(&end, text);
    }
    return route;
}

static void free_route(const jg_app *app, jg__route *route)
{
    jg__free(&app->allocator, route, route_size(route->name_count, text_size_of(route)));
}

/* Take the next method of a list of them. */
static bool next_method(const char **methods, jg_text *ret_method)
{
    size_t size;

    *methods += strspn(*methods, " ");
    size = strcspn(*methods, " ");
    *ret_method = jg_text_of(*methods, size);
    *methods += size;
    return size > 0;
}

static int check_methods(const char *methods, const jg__route *routes)
{
    jg_text method;
    bool some = false;

    while (next_method(&methods, &method)) {
        const uint8_t number = method_of(method);

        some = true;
        for (const jg__route *route = routes; route; route = route->next) {
            if (route->any ? jg_text_is(method, "*") : serves(route, number, method))
                return -EEXIST;
        }
    }
    return some ? 0 : -EINVAL;
}

int jg__route_add(jg_app *app, jg_app *owner, const char *methods, const char *prefix,
                  const char *path, jg_http_handler_fn handler, void *arg)
{
    jg__route *made = NULL, **place = NULL;
    jg_text method;
    int counts[2], r;
    size_t sizes[2];

    if (path[0] != '/')
        return -EINVAL;
    r = measure(prefix, &counts[0], &sizes[0]);
    if (r == 0)
        r = measure(path, &counts[1], &sizes[1]);
    if (r == 0 && counts[0] + counts[1] > MOST_CAPTURES)
        r = -EINVAL;
    if (r < 0)
        return r;

    for (const char *p = methods; next_method(&p, &method);) {
        jg__route *route =
            make_route(app, method, prefix, path, counts[0] + counts[1], sizes[0] + sizes[1]);

        if (!route) {
            r = -ENOMEM;
            goto out;
        }
        route->app = owner;
        route->handler = handler;
        route->arg = arg;
        route->next = made;
        made = route;
    }
    place = made ? find_place(app, made->path) : NULL;
    r = made ? -ENOMEM : -EINVAL;
    if (place)
        r = check_methods(methods, *place);

out:
    while (made) {
        jg__route *route = made;

        made = route->next;
        if (r < 0) {
            free_route(app, route);
            continue;
        }
        route->next = *place;
        *place = route;
        route->next_of_app = app->routes;
        app->routes = route;
    }
    return r;
}

/* Take out the routes that were added since `before` was the last one. */
static void undo(jg_app *app, const jg__route *before)
{
    while (app->routes != before) {
        jg__route *route = app->routes;
        jg__route **place = find_place(app, route->path); /* it is there, and the first */

        app->routes = route->next_of_app;
        *place = route->next;
        free_route(app, route);
    }
}

int jg__route_mount(jg_app *app, const char *prefix, jg_app *sub)
{
    const jg__route *before = app->routes;
    int r = 0;

    for (const jg__route *route = sub->routes; route && r == 0; route = route->next_of_app)
        r = jg__route_add(app, route->app, route->method_name, prefix, route->path, route->handler,
                          route->arg);
    if (r < 0)
        undo(app, before);
    return r;
}

void jg__routes_free(jg_app *app)
{
    while (app->routes) {
        jg__route *route = app->routes;

        app->routes = route->next_of_app;
        free_route(app, route);
    }
    free_node(app, app->root);
}

/* ---------------------------------------------------------------- finding */

struct search {
    jg_http_request *request;
    uint8_t method;
    jg_text method_name;
    const jg__route *found;
    jg_text captures[MOST_CAPTURES]; /* still escaped */
    int count;                       /* of them, up to where the search is */
    uint16_t allowed;                /* 1 << method */
    bool known;                      /* the path is, with other methods */
    struct jg__output *names;        /* gets those of methods that have no bit; or NULL */
};

static void put_method(struct jg__output *output, const char *name)
{
    if (output->size > 0)
        jg__output_string(output, ", ");
    jg__output_string(output, name);
}

/* Look among the routes of a place for one that serves the method. */
static bool look(struct search *search, const jg__route *routes)
{
    const jg__route *get = NULL;

    for (const jg__route *route = routes; route; route = route->next) {
        if (serves(route, search->method, search->method_name)) {
            search->found = route;
            if (!route->any)
                return true; /* else there may be one for this method alone */
        }
        if (route->method == JG_HTTP_GET && !route->any)
            get = route;
        if (search->names && route->method == JG_HTTP_OTHER)
            put_method(search->names, route->method_name);
        search->known = true;
        search->allowed |= (uint16_t)(1u << route->method);
    }
    if (!search->found && search->method == JG_HTTP_HEAD)
        search->found = get;
    return search->found != NULL;
}

/* Whether a segment, as it is escaped, can be a literal one; then *segment is that. */
static bool unescape(jg_text *segment, char buffer[MOST_NAME])
{
    size_t size;

    if (segment->size == 0 || !memchr(segment->data, '%', segment->size))
        return true;
    if (jg_url_unescape(*segment, JG_URL_PLAIN, buffer, MOST_NAME, &size) < 0)
        return false;
    *segment = jg_text_of(buffer, size);
    return true;
}

static jg__node *find_child(const jg__node *node, jg_text segment)
{
    char buffer[MOST_NAME];
    int place;

    return unescape(&segment, buffer) ? find_literal(node, segment, &place) : NULL;
}

/* Search below a node for the rest of a path: "", or "/" and the next segment and so on. */
static bool search_below(struct search *search, const jg__node *node, jg_text path)
{
    const char *end;
    jg_text segment, rest;
    const jg__node *child;

    if (path.size == 0)
        return look(search, node->routes);

    segment = jg_text_of(path.data + 1, path.size - 1);
    end = segment.size > 0 ? memchr(segment.data, '/', segment.size) : NULL;
    rest = jg_text_of(end, 0);
    if (end) {
        rest.size = (size_t)(segment.data + segment.size - end);
        segment.size -= rest.size;
    }
    child = node->literal_count > 0 ? find_child(node, segment) : NULL;
    if (child && search_below(search, child, rest))
        return true;
    if (node->capture && segment.size > 0) {
        search->captures[search->count++] = segment;
        if (search_below(search, node->capture, rest))
            return true;
        search->count--;
    }
    if (!node->rests)
        return false;
    search->captures[search->count++] = jg_text_of(path.data + 1, path.size - 1);
    if (look(search, node->rests))
        return true;
    search->count--;
    return false;
}

/* Give the request its captures, without their escapes. Returns 0 or a status. */
static int give_captures(struct search *search)
{
    jg_http_request *request = search->request;
    struct jg__http_capture *captures;
    size_t size = (size_t)search->count * sizeof(*captures);
    char *text;

    for (int i = 0; i < search->count; i++)
        size += search->captures[i].size + 1;
    captures = jg_http_request_alloc(request, size);
    if (!captures)
        return 503;

    text = (char *)(captures + search->count);
    for (int i = 0; i < search->count; i++) {
        const size_t room = search->captures[i].size;
        size_t length = 0;

        if (jg_url_unescape(search->captures[i], JG_URL_PLAIN, text, room, &length) < 0 ||
            (length > 0 && memchr(text, 0, length)))
            return 400;
        text[length] = 0;
        captures[i].name = search->found->names[i];
        captures[i].value = jg_text_of(text, length);
        captures[i].raw = search->captures[i];
        text += room + 1;
    }
    request->captures = captures;
    request->capture_count = search->count;
    return 0;
}

static void find(struct search *search, const jg_app *app, jg_http_request *request,
                 struct jg__output *names)
{
    const jg_http_head *head = &request->parser.head;

    search->request = request;
    search->method = head->method;
    search->method_name = jg_http_head_text(head, head->method_name);
    search->found = NULL;
    search->count = 0;
    search->allowed = 0;
    search->known = false;
    search->names = names;
    if (app->root)
        (void)search_below(search, app->root, jg_http_request_path(request));
}

/* Whether there is anything that the method could be used for. */
static bool is_implemented(const jg_app *app, const struct search *search)
{
    const jg__route *route = app->routes;

    if (search->method != JG_HTTP_OTHER)
        return true;
    while (route && !serves(route, search->method, search->method_name))
        route = route->next_of_app;
    return route != NULL;
}

int jg__route_find(const jg_app *app, jg_http_request *request)
{
    const jg_http_head *head = &request->parser.head;
    struct search search;

    request->allowed = 0;
    if (head->form == JG_HTTP_ASTERISK_FORM)
        return 204;
    find(&search, app, request, NULL);
    request->allowed = search.allowed;
    if (!search.found) {
        if (!is_implemented(app, &search))
            return 501; /* RFC 9110 9.1 */
        if (!search.known)
            return 404;
        return head->method == JG_HTTP_OPTIONS ? 204 : 405;
    }
    request->route = search.found;
    return search.count > 0 ? give_captures(&search) : 0;
}

int jg__route_refuse(jg_http_request *request)
{
    const int status = request->refusal;
    unsigned allowed = request->allowed;
    char buffer[1024];
    struct jg__output output = jg__output(buffer, sizeof(buffer) - 1);
    struct search search;
    int r;

    if (status != 405 && status != 204)
        return status;

    if (allowed & 1u << JG_HTTP_GET)
        allowed |= 1u << JG_HTTP_HEAD;
    allowed |= 1u << JG_HTTP_OPTIONS;
    for (size_t i = 0; i < KNOWN; i++) {
        if (allowed & 1u << methods_known[i].method)
            put_method(&output, methods_known[i].name);
    }
    if (allowed & 1u << JG_HTTP_OTHER)
        find(&search, request->app, request, &output);
    buffer[output.size] = 0;
    r = jg_http_add_field(request, "Allow", buffer);
    return r < 0 ? r : status;
}
