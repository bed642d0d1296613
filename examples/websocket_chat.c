/* SPDX-License-Identifier: MIT
 *
 * A chat in the browser, over WebSockets, with rooms: [HOST:]PORT
 *
 * Everybody in a room gets what one says there, from one coroutine, that of who says it. Nobody is
 * waited for: whoever is too slow to read is sent away. Ctrl-C closes all with 1001, "going away".
 */
#include "common.h"
#include "websocket_chat_page.h"

#include <string.h>

enum { MOST_TEXT = 4000, MOST_NAME = 32 };

struct member {
    struct member *next;
    jg_text name, room; /* of the request */
    jg_websocket ws;
};

static struct member *members; /* of all rooms */

static bool is_same(jg_text a, jg_text b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static int count(jg_text room)
{
    int n = 0;

    for (const struct member *m = members; m; m = m->next)
        n += is_same(m->room, room);
    return n;
}

/* Send to everybody in a room: a name, which may be empty, a line break, and the text. */
static void say(jg_text room, jg_text name, const char *text, size_t size)
{
    char line[MOST_NAME + 1 + MOST_TEXT];
    size_t length = name.size + 1 + size;

    if (length > sizeof line)
        return; /* the limit of messages sees to that */
    if (name.size > 0)
        memcpy(line, name.data, name.size);
    line[name.size] = '\n';
    memcpy(line + name.size + 1, text, size);
    for (struct member *m = members; m; m = m->next) {
        if (is_same(m->room, room) &&
            jg_websocket_try_send(&m->ws, JG_WEBSOCKET_TEXT, line, length) == -EAGAIN)
            (void)jg_websocket_shut(&m->ws, JG_WEBSOCKET_POLICY, "too slow");
    }
}

/* Somebody came or went. */
static void tell(const struct member *member, const char *what)
{
    char text[200];
    int size = snprintf(text, sizeof text, "%.*s %s; %d here", (int)member->name.size,
                        member->name.data, what, count(member->room));

    say(member->room, jg_text_of(NULL, 0), text, (size_t)size);
}

static void leave(const struct member *member)
{
    struct member **place = &members;

    while (*place != member)
        place = &(*place)->next;
    *place = member->next;
}

static int chat(jg_http_request *request, void *arg)
{
    const jg_websocket_options options = {.max_message = MOST_TEXT, .keep_alive = 20 * JG_SECOND};
    struct member member = {.room = jg_http_request_capture(request, "room")};
    jg_websocket_message message;
    int r = jg_http_request_query(request, "name", &member.name);

    (void)arg;
    if (r < 0 || member.name.size == 0 || member.name.size > MOST_NAME ||
        memchr(member.name.data, '\n', member.name.size))
        return 400;
    r = jg_websocket_accept(&member.ws, request, &options);
    if (r != 0)
        return r;

    member.next = members;
    members = &member;
    tell(&member, "came");
    while ((r = jg_websocket_receive(&member.ws, &message)) > 0) {
        if (message.type == JG_WEBSOCKET_TEXT)
            say(member.room, member.name, message.data.data, message.data.size);
    }
    leave(&member);
    tell(&member, "left");
    (void)jg_websocket_close(&member.ws, JG_WEBSOCKET_NORMAL, NULL); /* it is over anyway */
    return 0;
}

/* Those who answer with a close of theirs end by themselves, within the grace period. */
static int close_all(void *arg)
{
    (void)arg;
    for (struct member *m = members; m; m = m->next)
        (void)jg_websocket_shut(&m->ws, JG_WEBSOCKET_GOING_AWAY, "the server stops");
    return 0;
}

static int get_page(jg_http_request *request, void *arg)
{
    int r = jg_http_begin(request, 200, "text/html; charset=utf-8", JG_HTTP_NO_LENGTH);

    (void)arg;
    for (size_t i = 0; i < sizeof page / sizeof page[0] && r == 0; i++)
        r = jg_http_write(request, page[i].data, page[i].size);
    return r;
}

static void report(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", what, jg_strerror(error));
}

int main(int argc, char **argv)
{
    const jg_run_app_options options = {.loop = {.on_error = report}, .grace = 3 * JG_SECOND};
    char address[300];
    jg_app *app;

    if (argc != 2) {
        fprintf(stderr, "usage: %s [HOST:]PORT\n", argv[0]);
        return 2;
    }
    snprintf(address, sizeof address, strchr(argv[1], ':') ? "%s" : "127.0.0.1:%s", argv[1]);

    check(jg_app_new(NULL, &app), "application");
    check(jg_app_on_shutdown(app, close_all, NULL), "shutdown");
    check(jg_app_route(app, "GET", "/", get_page, NULL), "/");
    check(jg_app_route(app, "GET", "/rooms/{room}", chat, NULL), "/rooms");
    check(jg_run_app(app, address, &options), argv[1]);
    jg_app_free(app);
    return 0;
}
