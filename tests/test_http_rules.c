/* SPDX-License-Identifier: MIT
 *
 * What RFC 9110 and 9112 demand of an origin server, by their sections: each row is the bytes of a
 * request, sent at once and byte by byte, with another request right behind it. The answers are
 * parsed as a client would. A server that goes on answers both requests, one that closes answers
 * the first alone: whatever a request says, what follows it is never taken for something else.
 */
#include "http_table.h"

#include "core/loop.h"

#include <juggle/http_app.h>
#include <juggle/http_field.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST   "Host: a\r\n"
#define END    "\r\n"
#define CANARY "GET /canary HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n\r\n"
#define SONG   "still alive"

enum { OPEN, CLOSED };

struct rule {
    const char *section, *text;
    size_t size;
    int status, then;
    const char *has;   /* a part of the answer's head, or NULL */
    const char *lacks; /* one that must not be in it, or NULL */
    const char *body;  /* of the answer, or NULL: whatever it is */
};

#define TEXT(literal) literal, sizeof(literal) - 1

/* ---------------------------------------------------------------- the site */

static int songs; /* how often the second request was answered */

static int sing(jg_http_request *request, void *arg)
{
    (void)arg;
    songs++;
    return jg_http_respond(request, 200, NULL, SONG, strlen(SONG));
}

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "hello", 5);
}

static int echo(jg_http_request *request, void *arg)
{
    jg_text body;
    int r = jg_http_read_all(request, 64, &body);

    (void)arg;
    return r < 0 ? r : jg_http_respond(request, 200, NULL, body.data, body.size);
}

static int in_chunks(jg_http_request *request, void *arg)
{
    int r = jg_http_begin(request, 200, "text/plain", JG_HTTP_NO_LENGTH);

    (void)arg;
    if (r == 0)
        r = jg_http_write(request, "one ", 4);
    return r < 0 ? r : jg_http_write(request, "two", 3);
}

/* Answer with the status that the path names, and a body where it may have one. */
static int with_status(jg_http_request *request, void *arg)
{
    int status = atoi(jg_http_request_capture(request, "n").data);

    return arg ? status : jg_http_respond(request, status, "text/plain", "hello", 5);
}

static int method(jg_http_request *request, void *arg)
{
    const jg_http_head *head = jg_http_request_head(request);
    jg_text name = jg_http_head_text(head, head->method_name);

    (void)arg;
    return jg_http_respond(request, 200, NULL, name.data, name.size);
}

static int host(jg_http_request *request, void *arg)
{
    jg_text text = jg_http_request_host(request);

    (void)arg;
    return jg_http_respond(request, 200, NULL, text.data, text.size);
}

static int bye(jg_http_request *request, void *arg)
{
    int r = jg_http_add_field(request, "Connection", "close");

    return r < 0 ? r : hello(request, arg);
}

static int offer(jg_http_request *request, void *arg)
{
    int r = jg_http_add_field(request, "Upgrade", "shout");

    (void)arg;
    return r < 0 ? r : 426;
}

static const struct {
    const char *methods, *path;
    jg_http_handler_fn handler;
    void *arg;
} routes[] = {
    {"GET", "/canary", sing, NULL},
    {"GET POST", "/", hello, NULL},
    {"POST PUT", "/echo", echo, NULL},
    {"GET", "/chunks", in_chunks, NULL},
    {"GET", "/status/{n}", with_status, NULL},
    {"GET", "/plain/{n}", with_status, "plain"},
    {"*", "/method", method, NULL},
    {"*", "/host", host, NULL},
    {"*", "/bye", bye, NULL},
    {"GET", "/offer", offer, NULL},
    {"GET PROPFIND", "/dav", hello, NULL},
    {"MKCOL", "/dav", hello, NULL},
};

static char directory[64];
static jg_app *app;

static int set_up(void **state)
{
    static const struct timespec times[2] = {{.tv_sec = 784111777}, {.tv_sec = 784111777}};
    char path[128];
    int fd;

    (void)state;
    strcpy(directory, "/tmp/juggle-rules-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/digits.txt", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);

    assert_int_equal(jg_app_new(NULL, &app), 0);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        assert_int_equal(
            jg_app_route(app, routes[i].methods, routes[i].path, routes[i].handler, routes[i].arg),
            0);
    assert_int_equal(jg_app_static(app, "/files", directory), 0);
    return 0;
}

static int tear_down(void **state)
{
    char path[128];

    (void)state;
    jg_app_free(app);
    snprintf(path, sizeof(path), "%s/digits.txt", directory);
    return unlink(path) < 0 || rmdir(directory) < 0;
}

/* ---------------------------------------------------------------- the client */

struct answer {
    int status;
    char head[2048], body[2048];
};

/* Parse the body of an answer, all of which is there. Returns its end, or NULL. */
static const char *parse_body(const jg_http_head *head, const char *at, const char *end, char *body)
{
    jg_http_body parser;
    size_t used, size = 0;
    jg_text piece;
    int r;

    jg_http_body_init(&parser, head);
    for (;;) {
        r = jg_http_body_feed(&parser, at, (size_t)(end - at), &used, &piece);
        if (r < 0)
            return NULL;
        at += used;
        if (r != JG_HTTP_BODY_DATA)
            break;
        if (size + piece.size >= sizeof(((struct answer *)0)->body))
            return NULL;
        memcpy(body + size, piece.data, piece.size);
        size += piece.size;
    }
    body[size] = 0;
    return jg_http_body_close(&parser) == 0 ? at : NULL;
}

/* Parse the final answer to a request with this method. Returns where it ends, or NULL. */
static const char *parse_answer(const char *at, const char *end, jg_http_method request_method,
                                struct answer *answer)
{
    jg_http_field fields[32];
    jg_http_parser parser;
    int r;

    do {
        jg_http_parser_init_response(&parser, request_method, fields, 32, NULL);
        r = jg_http_parser_feed(&parser, at, (size_t)(end - at));
        if (r <= 0 || (size_t)r >= sizeof(answer->head))
            return NULL;
        memcpy(answer->head, at, (size_t)r);
        answer->head[r] = 0;
        at += r;
    } while (parser.head.status < 200);
    answer->status = parser.head.status;
    return parse_body(&parser.head, at, end, answer->body);
}

static bool fails(const struct rule *rule, const struct answer *answer)
{
    return answer->status != rule->status || (rule->has && !strstr(answer->head, rule->has)) ||
           (rule->lacks && strstr(answer->head, rule->lacks)) ||
           (rule->body && strcmp(answer->body, rule->body) != 0) ||
           !strstr(answer->head, "Connection: close\r\n") != (rule->then == OPEN);
}

/* Whether what came back is what the rule says; the second request is answered once, or not. */
static bool follows(const struct rule *rule, const struct table *table)
{
    const bool is_head = strncmp(rule->text, "HEAD ", 5) == 0;
    const char *end = table->output + table->received, *at = table->output;
    struct answer answer;
    int answers = 1;

    at = parse_answer(at, end, is_head ? JG_HTTP_HEAD : JG_HTTP_GET, &answer);
    if (!at || fails(rule, &answer))
        return false;
    if (rule->then == OPEN) {
        answers++;
        at = parse_answer(at, end, JG_HTTP_GET, &answer);
        if (!at || answer.status != 200 || strcmp(answer.body, SONG) != 0)
            return false;
    }
    /* RFC 9110 6.6.1: each has a date. */
    return at == end && songs == answers - 1 && table->dates == answers && table->end == 0;
}

static void check_rule(const struct rule *rule, size_t piece)
{
    struct table *table = table_new(jg_app_handle, NULL);
    char *text = malloc(rule->size + sizeof(CANARY));

    assert_non_null(text);
    memcpy(text, rule->text, rule->size);
    memcpy(text + rule->size, CANARY, sizeof(CANARY));
    table->server.arg = app;
    table->text = text;
    table->size = rule->size + sizeof(CANARY) - 1;
    table->piece = piece;
    table->pause = piece > 0 ? JG_MILLISECOND : 0;
    songs = 0;
    table_run(table);
    if (!follows(rule, table))
        fail_msg("%s, %s: «%s» gives %d answers behind it and\n%s", rule->section,
                 piece > 0 ? "byte by byte" : "at once", text, songs, table->output);
    free(table);
    free(text);
}

static void check_rules(const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_rule(&rules[i], 0);
        check_rule(&rules[i], 1);
    }
}

#define CHECK(rules) check_rules(rules, sizeof(rules) / sizeof((rules)[0]))

/* ---------------------------------------------------------------- request lines */

static void request_lines(void **state)
{
    static const struct rule rules[] = {
        {"9112 3", TEXT("GET / HTTP/1.1\r\n" HOST END), 200, .then = OPEN, .body = "hello"},
        {"9112 2.2, an empty line first", TEXT("\r\nGET / HTTP/1.1\r\n" HOST END), 200,
         .then = OPEN},
        {"9112 2.2, a bare LF first", TEXT("\nGET / HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 2.2, a bare LF", TEXT("GET / HTTP/1.1\n" HOST END), 400, .then = CLOSED},
        {"9112 2.2, a bare CR", TEXT("GET / HTTP/1.1\r" HOST END), 400, .then = CLOSED},
        {"9112 2.2, a CR in the target", TEXT("GET /\r HTTP/1.1\r\n" HOST END), 400,
         .then = CLOSED},
        {"9112 2.2, a NUL", TEXT("GET /\0 HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 2.2, space before the first field", TEXT("GET / HTTP/1.1\r\n " HOST END), 400,
         .then = CLOSED},
        {"9112 3, a tab", TEXT("GET\t/ HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3, two spaces", TEXT("GET  / HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3, space behind", TEXT("GET / HTTP/1.1 \r\n" HOST END), 400, .then = CLOSED},
        {"9112 3, no target", TEXT("GET HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3, space in the target", TEXT("GET /a b HTTP/1.1\r\n" HOST END), 400,
         .then = CLOSED},
        {"9112 3, no version", TEXT("GET /\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3, more behind", TEXT("GET / HTTP/1.1xx" HOST END), 400, .then = CLOSED},
        {"9112 2.3, case", TEXT("GET / http/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 2.3, two digits", TEXT("GET / HTTP/1.11\r\n" HOST END), 400, .then = CLOSED},
        {"9112 2.3, another protocol", TEXT("GET / HTTPS/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9110 15.6.6, 2.0", TEXT("GET / HTTP/2.0\r\n" HOST END), 505, .then = CLOSED},
        {"9110 15.6.6, 0.9", TEXT("GET / HTTP/0.9\r\n" HOST END), 505, .then = CLOSED},
        {"9113 3.4", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, .then = CLOSED},
        {"9110 2.5, a higher minor version", TEXT("GET / HTTP/1.9\r\n" HOST END), 200, .then = OPEN,
         .has = "HTTP/1.1 "},
        {"9110 2.5, a lower one", TEXT("GET / HTTP/1.0\r\n" END), 200, .then = CLOSED,
         .has = "HTTP/1.1 "},
    };

    (void)state;
    CHECK(rules);
}

/* Which some clients send behind a body. */
static void an_empty_line_at_the_end_is_no_request(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 3; piece++) {
        struct table *table = table_new(jg_app_handle, NULL);

        table->server.arg = app;
        table->text = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc\r\n";
        table->piece = piece;
        table->pause = piece > 0 ? JG_MILLISECOND : 0;
        table_run(table);
        assert_int_equal(table->end, 0);
        table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        free(table);
    }
}

static void targets(void **state)
{
    static const struct rule rules[] = {
        {"9112 3.2.1, a query", TEXT("GET /?a=/b?c HTTP/1.1\r\n" HOST END), 200, .then = OPEN},
        {"9112 3.2.1, a fragment", TEXT("GET /#a HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3.2, no form", TEXT("GET a HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3.2.2", TEXT("GET http://b:1/host HTTP/1.1\r\n" HOST END), 200, .then = OPEN,
         .body = "b:1"},
        {"9112 3.2.2, no path", TEXT("GET http://a HTTP/1.1\r\n" HOST END), 200, .then = OPEN,
         .body = "hello"},
        {"9112 3.2.2, no path but a query", TEXT("GET http://a?b HTTP/1.1\r\n" HOST END), 200,
         .then = OPEN, .body = "hello"},
        {"9110 4.2.3, case of the scheme", TEXT("GET HTTP://a/ HTTP/1.1\r\n" HOST END), 200,
         .then = OPEN},
        {"9112 3.2.2, still a Host is needed", TEXT("GET http://a/ HTTP/1.1\r\n" END), 400,
         .then = CLOSED},
        {"9110 4.2.1, no host", TEXT("GET http:///a HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9110 4.2.4, user information", TEXT("GET http://u:p@a/ HTTP/1.1\r\n" HOST END), 400,
         .then = CLOSED},
        {"9110 9.3.6", TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n" END), 501, .then = CLOSED},
        {"9110 9.3.6, with a body",
         TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 1\r\n" END "x"), 501,
         .then = CLOSED},
        {"9110 9.3.6, no port", TEXT("CONNECT a HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9110 9.3.6, a path", TEXT("CONNECT /a HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9112 3.2.3, another method", TEXT("GET a:443 HTTP/1.1\r\n" HOST END), 400,
         .then = CLOSED},
        {"9112 3.2.4", TEXT("OPTIONS * HTTP/1.1\r\n" HOST END), 204, .then = OPEN,
         .has = "Allow: "},
        {"9112 3.2.4, another method", TEXT("GET * HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

static void long_targets(void **state)
{
    static char text[10000] = "GET /";
    struct rule rule = {"9110 15.5.15", text, 0, 414, .then = CLOSED, NULL, NULL, NULL};

    (void)state;
    memset(text + 5, 'a', 9000);
    strcpy(text + 9005, " HTTP/1.1\r\n" HOST END);
    rule.size = strlen(text);
    check_rules(&rule, 1);
}

static void methods(void **state)
{
    static const struct rule rules[] = {
        {"9110 9.1, case", TEXT("get / HTTP/1.1\r\n" HOST END), 405, .then = OPEN,
         .has = "Allow: "},
        {"9110 9.1, any token", TEXT("X!#$%&'*+-.^_`|~9 /method HTTP/1.1\r\n" HOST END), 200,
         .then = OPEN, .body = "X!#$%&'*+-.^_`|~9"},
        {"9110 9.1, no token", TEXT("G[T / HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9110 9.1, none", TEXT(" / HTTP/1.1\r\n" HOST END), 400, .then = CLOSED},
        {"9110 15.5.6", TEXT("DELETE / HTTP/1.1\r\n" HOST END), 405, .then = OPEN,
         .has = "Allow: GET, HEAD, POST, OPTIONS\r\n"},
        {"9110 15.5.6, methods of one's own", TEXT("DELETE /dav HTTP/1.1\r\n" HOST END), 405,
         .then = OPEN, .has = "Allow: GET, HEAD, OPTIONS, MKCOL, PROPFIND\r\n"},
        {"9110 15.5.6, with a body",
         TEXT("DELETE / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc"), 405, .then = OPEN},
        {"9110 9.3.7", TEXT("OPTIONS /echo HTTP/1.1\r\n" HOST END), 204, .then = OPEN,
         .has = "Allow: POST, PUT, OPTIONS\r\n"},
        {"9110 9.3.8", TEXT("TRACE / HTTP/1.1\r\n" HOST END), 405, .then = OPEN},
        {"9110 9.3.1, GET with a body",
         TEXT("GET / HTTP/1.1\r\n" HOST "Content-Length: 14\r\n" END "GET / HTTP/1.1"), 200,
         .then = OPEN, .body = "hello"},
        {"9110 15.5.5", TEXT("GET /nothing HTTP/1.1\r\n" HOST END), 404, .then = OPEN},
    };

    (void)state;
    CHECK(rules);
}

/* ---------------------------------------------------------------- fields */

static void hosts(void **state)
{
    static const struct rule rules[] = {
        {"9112 3.2, none", TEXT("GET / HTTP/1.1\r\n" END), 400, .then = CLOSED},
        {"9112 3.2, two", TEXT("GET / HTTP/1.1\r\n" HOST "Host: b\r\n" END), 400, .then = CLOSED},
        {"9112 3.2, the same twice", TEXT("GET / HTTP/1.1\r\n" HOST HOST END), 400, .then = CLOSED},
        {"9112 3.2, a list", TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n" END), 400, .then = CLOSED},
        {"9112 3.2, a path", TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n" END), 400, .then = CLOSED},
        {"9112 3.2, user information", TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n" END), 400,
         .then = CLOSED},
        {"9112 3.2, space", TEXT("GET / HTTP/1.1\r\nHost: a b\r\n" END), 400, .then = CLOSED},
        {"9112 3.2, a port that is none", TEXT("GET / HTTP/1.1\r\nHost: a:x\r\n" END), 400,
         .then = CLOSED},
        {"9110 7.2", TEXT("GET /host HTTP/1.1\r\nhOST:[::1]:80 \r\n" END), 200, .then = OPEN,
         .body = "[::1]:80"},
        {"9110 7.2, empty", TEXT("GET /host HTTP/1.1\r\nHost:\r\n" END), 200, .then = OPEN,
         .body = ""},
        {"9112 3.2, two in HTTP/1.0", TEXT("GET / HTTP/1.0\r\n" HOST HOST END), 400,
         .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

static void field_lines(void **state)
{
#define FIELD(text) TEXT("GET / HTTP/1.1\r\n" HOST text END)
    static const struct rule rules[] = {
        {"9112 5.1, space before the colon", FIELD("A : b\r\n"), 400, .then = CLOSED},
        {"9112 5.1, a tab", FIELD("A\t: b\r\n"), 400, .then = CLOSED},
        {"9112 5.1, of a field that frames", FIELD("Content-Length : 5\r\n"), 400, .then = CLOSED},
        {"9112 5.2, obs-fold", FIELD("A: b\r\n c\r\n"), 400, .then = CLOSED},
        {"9112 5.2, with a tab", FIELD("A: b\r\n\tc: d\r\n"), 400, .then = CLOSED},
        {"9112 5.2, of a field that frames", FIELD("Transfer-Encoding:\r\n chunked\r\n"), 400,
         .then = CLOSED},
        {"9112 5, no name", FIELD(": b\r\n"), 400, .then = CLOSED},
        {"9112 5, no colon", FIELD("A\r\n"), 400, .then = CLOSED},
        {"9110 5.1, no token", FIELD("A(B: c\r\n"), 400, .then = CLOSED},
        {"9110 5.1, NULs in a name", FIELD("Expect\0\0\0\0\0\0\0\0\0\0\0\0: 100-continue\r\n"), 400,
         .then = CLOSED},
        {"9110 5.1, obs-text in a name", FIELD("\xc3\xa4: c\r\n"), 400, .then = CLOSED},
        {"9110 5.5, NUL", FIELD("A: b\0c\r\n"), 400, .then = CLOSED},
        {"9110 5.5, a control", FIELD("A: b\033c\r\n"), 400, .then = CLOSED},
        {"9110 5.5, DEL", FIELD("A: b\177c\r\n"), 400, .then = CLOSED},
        {"9112 2.2, a bare CR", FIELD("A: b\rc\r\n"), 400, .then = CLOSED},
        {"9112 2.2, a bare LF", FIELD("A: b\nC: d\r\n"), 400, .then = CLOSED},
        {"9112 2.2, CR twice", FIELD("A: b\r\r\n"), 400, .then = CLOSED},
        {"9110 5.5, obs-text", FIELD("A: \xe4\xff\r\n"), 200, .then = OPEN},
        {"9110 5.6.3, space around", FIELD("A: \t b \t\r\n"), 200, .then = OPEN},
        {"9110 5.5, empty", FIELD("A:\r\nB: \r\n"), 200, .then = OPEN},
        {"9112 2.2, a bare LF at the end", TEXT("GET / HTTP/1.1\r\n" HOST "\n"), 400,
         .then = CLOSED},
        {"9112 2.2, a bare CR at the end", TEXT("GET / HTTP/1.1\r\n" HOST "\rA"), 400,
         .then = CLOSED},
        {"9110 5.3, unknown fields", FIELD("Proxy: x\r\nTE: trailers\r\nUpgrade: x\r\n"), 200,
         .then = OPEN},
    };

    (void)state;
    CHECK(rules);
}

static void large_heads(void **state)
{
    static char text[40000] = "GET / HTTP/1.1\r\n" HOST;
    struct rule rule = {"9110 5.4", text, 0, 431, .then = CLOSED, NULL, NULL, NULL};
    char *end = text + strlen(text);

    (void)state;
    for (int i = 0; i < 101; i++)
        end += sprintf(end, "A%d: b\r\n", i);
    strcpy(end, END);
    rule.size = strlen(text);
    check_rules(&rule, 1);

    end = text + strlen("GET / HTTP/1.1\r\n" HOST);
    end += sprintf(end, "A: ");
    memset(end, 'b', 33000);
    strcpy(end + 33000, "\r\n" END);
    rule.size = strlen(text);
    check_rule(&rule, 0);
    check_rule(&rule, 1000);
}

/* ---------------------------------------------------------------- framing */

#define SIZED(fields, body) TEXT("POST /echo HTTP/1.1\r\n" HOST fields END body)
#define CHUNKED(body)       SIZED("Transfer-Encoding: chunked\r\n", body)

static void lengths(void **state)
{
    static const struct rule rules[] = {
        {"9112 6.2", SIZED("Content-Length: 5\r\n", "abcde"), 200, .then = OPEN, .body = "abcde"},
        {"9112 6.2, zeros", SIZED("Content-Length: 0005\r\n", "abcde"), 200, .then = OPEN,
         .body = "abcde"},
        {"9112 6.2, none", SIZED("Content-Length: 0\r\n", ""), 200, .then = OPEN, .body = ""},
        {"9112 6.3, neither", SIZED("", ""), 200, .then = OPEN, .body = ""},
        {"9112 6.2, a body like a request",
         SIZED("Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"), 200, .then = OPEN,
         .body = "GET / HTTP/1.1\r\n\r\n"},
        {"9112 2.2, CRLF behind it", SIZED("Content-Length: 3\r\n", "abc\r\n"), 200, .then = OPEN,
         .body = "abc"},
        {"9112 6.3, two", SIZED("Content-Length: 5\r\nContent-Length: 6\r\n", "abcde"), 400,
         .then = CLOSED},
        {"9112 6.3, twice", SIZED("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), 400,
         .then = CLOSED},
        {"9112 6.3, a list", SIZED("Content-Length: 5, 5\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, a sign", SIZED("Content-Length: +5\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, negative", SIZED("Content-Length: -5\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, hexadecimal", SIZED("Content-Length: 0x5\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, words", SIZED("Content-Length: 5 5\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, nothing", SIZED("Content-Length:\r\n", "abcde"), 400, .then = CLOSED},
        {"9110 8.6, more than 64 bits", SIZED("Content-Length: 18446744073709551621\r\n", "abcde"),
         400, .then = CLOSED},
        {"9110 15.5.14", SIZED("Content-Length: 65\r\n", "abcde"), 413, .then = CLOSED},
        {"9112 6.2, HTTP/1.0",
         TEXT("POST /echo HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n" END "abc"),
         200, .then = OPEN, .has = "Connection: keep-alive\r\n", .body = "abc"},
    };

    (void)state;
    CHECK(rules);
}

static void codings(void **state)
{
    static const struct rule rules[] = {
        {"9112 6.1", CHUNKED("3\r\nabc\r\n0\r\n\r\n"), 200, .then = OPEN, .body = "abc"},
        {"9112 7, case", SIZED("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), 200,
         .then = OPEN, .body = "a"},
        {"9112 6.1, both",
         SIZED("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 6.1, the other way",
         SIZED("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "3\r\nabc\r\n0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 6.1, HTTP/1.0",
         TEXT("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n" END
              "0\r\n\r\n"),
         400, .then = CLOSED},
        {"9112 6.1, one that is not known", SIZED("Transfer-Encoding: gzip, chunked\r\n", ""), 501,
         .then = CLOSED},
        {"9112 6.3, not chunked", SIZED("Transfer-Encoding: gzip\r\n", ""), 400, .then = CLOSED},
        {"9112 6.3, not last", SIZED("Transfer-Encoding: chunked, gzip\r\n", ""), 400,
         .then = CLOSED},
        {"9112 6.3, identity", SIZED("Transfer-Encoding: identity\r\n", ""), 400, .then = CLOSED},
        {"9112 6.3, chunked and identity", SIZED("Transfer-Encoding: chunked, identity\r\n", ""),
         400, .then = CLOSED},
        {"9112 6.1, twice", SIZED("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 6.1, in two lines",
         SIZED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 6.1, nothing", SIZED("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7, like chunked", SIZED("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7, a control before it", SIZED("Transfer-Encoding: \013chunked\r\n", "0\r\n\r\n"),
         400, .then = CLOSED},
        {"9112 7, quoted", SIZED("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7, a parameter", SIZED("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400,
         .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

static void chunks(void **state)
{
    static const struct rule rules[] = {
        {"9112 7.1", CHUNKED("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), 200, .then = OPEN,
         .body = "abc0123456789"},
        {"9112 7.1, none", CHUNKED("0\r\n\r\n"), 200, .then = OPEN, .body = ""},
        {"9112 7.1, zeros", CHUNKED("003\r\nabc\r\n000\r\n\r\n"), 200, .then = OPEN, .body = "abc"},
        {"9112 7.1, data like framing", CHUNKED("7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"), 200, .then = OPEN,
         .body = "0\r\n\r\nGE"},
        {"9112 7.1.1", CHUNKED("3;a;b=c;d=\"e;\\\"\"\r\nabc\r\n0;f\r\n\r\n"), 200, .then = OPEN,
         .body = "abc"},
        {"9112 7.1.2", CHUNKED("3\r\nabc\r\n0\r\nA: b\r\nC:\r\n\r\n"), 200, .then = OPEN,
         .body = "abc"},
        {"9112 7.1, no digit", CHUNKED("\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, nothing", CHUNKED("\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, nothing but an extension", CHUNKED(";a\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, not hexadecimal", CHUNKED("g\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, 0x", CHUNKED("0x3\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, a sign", CHUNKED("-3\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, space before", CHUNKED(" 3\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, space behind", CHUNKED("3 \r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, too large", CHUNKED("fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7.1, LF behind the size", CHUNKED("3\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, CR behind the size", CHUNKED("3\rabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, LF behind the data", CHUNKED("3\r\nabc\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, LF twice behind the data", CHUNKED("3\r\nabc\n\n0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7.1, nothing behind the data", CHUNKED("3\r\nabc0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, more data", CHUNKED("3\r\nabcd\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, less data", CHUNKED("4\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1, LF at the end", CHUNKED("3\r\nabc\r\n0\r\n\n"), 400, .then = CLOSED},
        {"9112 7.1.1, LF in an extension", CHUNKED("3;a\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1.1, LF in quotes", CHUNKED("3;a=\"\n\"\r\nabc\r\n0\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7.1.1, no name", CHUNKED("3;\r\nabc\r\n0\r\n\r\n"), 400, .then = CLOSED},
        {"9110 6.5.1, a length", CHUNKED("0\r\nContent-Length: 5\r\n\r\n"), 400, .then = CLOSED},
        {"9110 6.5.1, a coding", CHUNKED("0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
         .then = CLOSED},
        {"9112 7.1.2, obs-fold", CHUNKED("0\r\nA: b\r\n c\r\n\r\n"), 400, .then = CLOSED},
        {"9112 7.1.2, no field", CHUNKED("0\r\nGET / HTTP/1.1\r\n\r\n"), 400, .then = CLOSED},
        {"9110 15.5.14",
         CHUNKED("41\r\n01234567890123456789012345678901234567890123456789012345678901234\r\n"
                 "0\r\n\r\n"),
         413, .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

/* What the handler does not read ends where it says it does, all the same. */
static void bodies_that_nobody_reads(void **state)
{
#define UNREAD(fields, body) TEXT("POST / HTTP/1.1\r\n" HOST fields END body)
    static const struct rule rules[] = {
        {"9112 9.3", UNREAD("Content-Length: 5\r\n", "abcde"), 200, .then = OPEN, .body = "hello"},
        {"9112 9.3, chunks",
         UNREAD("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nA: b\r\n\r\n"), 200,
         .then = OPEN},
        {"9112 9.3, too much", UNREAD("Content-Length: 65537\r\n", "abcde"), 200, .then = CLOSED},
        {"9112 9.3, of 404",
         TEXT("POST /nothing HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "abcde"), 404,
         .then = OPEN},
        {"9112 9.3, and it closes",
         TEXT("POST /bye HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "abcde"), 200,
         .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

/* ---------------------------------------------------------------- connections, expectations */

static void connection_options(void **state)
{
#define OPTION(version, text) TEXT("GET / HTTP/" version "\r\n" HOST text END)
    static const struct rule rules[] = {
        {"9112 9.3", OPTION("1.1", ""), 200, .then = OPEN, .lacks = "Connection:"},
        {"9112 9.6", OPTION("1.1", "Connection: close\r\n"), 200, .then = CLOSED},
        {"9110 7.6.1, case", OPTION("1.1", "Connection: CLOSE\r\n"), 200, .then = CLOSED},
        {"9110 7.6.1, a list", OPTION("1.1", "Connection: a, ,close ,b\r\n"), 200, .then = CLOSED},
        {"9110 7.6.1, lines", OPTION("1.1", "Connection: a\r\nConnection: close\r\n"), 200,
         .then = CLOSED},
        {"9112 9.3, close wins", OPTION("1.1", "Connection: keep-alive, close\r\n"), 200,
         .then = CLOSED},
        {"9110 7.6.1, another word", OPTION("1.1", "Connection: closed\r\n"), 200, .then = OPEN},
        {"9112 9.3, HTTP/1.0", OPTION("1.0", ""), 200, .then = CLOSED},
        {"9112 9.3, HTTP/1.0 keeps", OPTION("1.0", "Connection: Keep-Alive\r\n"), 200, .then = OPEN,
         .has = "Connection: keep-alive\r\n"},
        {"9112 9.6, the server's", TEXT("GET /bye HTTP/1.1\r\n" HOST END), 200, .then = CLOSED},
        {"9110 7.8, no such protocol", OPTION("1.1", "Connection: upgrade\r\nUpgrade: shout/1\r\n"),
         200, .then = OPEN, .lacks = "Upgrade"},
        {"9110 7.8, without the option", OPTION("1.1", "Upgrade: shout\r\n"), 200, .then = OPEN},
        {"9110 7.8, HTTP/1.0",
         OPTION("1.0", "Connection: upgrade, keep-alive\r\nUpgrade: shout\r\n"), 200, .then = OPEN},
        {"9110 7.8, a sender has the option", TEXT("GET /offer HTTP/1.1\r\n" HOST END), 426,
         .then = OPEN, .has = "Connection: upgrade\r\n"},
        {"9110 10.1.4", OPTION("1.1", "Connection: TE\r\nTE: trailers, gzip;q=0.5\r\n"), 200,
         .then = OPEN},
    };

    (void)state;
    CHECK(rules);
}

static void expectations(void **state)
{
#define EXPECT(value) SIZED("Expect: " value "\r\nContent-Length: 3\r\n", "abc")
    static const struct rule rules[] = {
        {"9110 10.1.1", EXPECT("100-continue"), 200, .then = OPEN, .body = "abc"},
        {"9110 10.1.1, case", EXPECT("100-Continue"), 200, .then = OPEN, .body = "abc"},
        {"9110 10.1.1, chunks",
         SIZED("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
         200, .then = OPEN, .body = "a"},
        {"9110 10.1.1, another", EXPECT("200-ok"), 417, .then = CLOSED},
        {"9110 10.1.1, no body", SIZED("Expect: 100-continue\r\n", ""), 200, .then = OPEN,
         .body = ""},
        {"9110 10.1.1, HTTP/1.0",
         TEXT("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" END "abc"),
         200, .then = CLOSED, .body = "abc"},
        {"9110 10.1.1, too large", SIZED("Expect: 100-continue\r\nContent-Length: 65\r\n", ""), 413,
         .then = CLOSED},
        {"9110 10.1.1, answered without it",
         TEXT("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n" END), 200,
         .then = CLOSED},
    };

    (void)state;
    CHECK(rules);
}

/* Run a request whose body, 3 bytes, follows after a second. */
static struct table *late_body(const char *text)
{
    struct table *table = table_new(jg_app_handle, NULL);

    table->server.arg = app;
    table->text = text;
    table->piece = strlen(text) - 3;
    table->pause = JG_SECOND;
    table_run(table);
    return table;
}

static void _100_comes_before_the_body_and_only_to_those_who_wait(void **state)
{
    struct table *table = late_body("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                                    "Content-Length: 3\r\n" END "abc");

    (void)state;
    assert_true(table->began_at < JG_SECOND);
    table_expect(table, "HTTP/1.1 100 Continue\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    free(table);

    table = late_body("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc");
    assert_true(table->began_at >= JG_SECOND);
    table_expect(table, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    free(table);

    /* RFC 9110 10.1.1: an HTTP/1.0 client must not see a 1xx. */
    table = late_body("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\n"
                      "Content-Length: 3\r\n" END "abc");
    assert_null(strstr(table->output, " 100 "));
    free(table);
}

/* ---------------------------------------------------------------- answers */

static void bodies_of_answers(void **state)
{
#define ASK(method, path) TEXT(method " " path " HTTP/1.1\r\n" HOST END)
    static const struct rule rules[] = {
        {"9110 9.3.2", ASK("HEAD", "/"), 200, .then = OPEN, .has = "Content-Length: 5\r\n",
         .body = ""},
        {"9110 9.3.2, chunks", ASK("HEAD", "/chunks"), 200, .then = OPEN, .body = ""},
        {"9110 9.3.2, errors", ASK("HEAD", "/nothing"), 404, .then = OPEN, .body = ""},
        {"9110 9.3.2, a status", ASK("HEAD", "/plain/503"), 503, .then = OPEN, .body = ""},
        {"9110 15.3.5", ASK("GET", "/status/204"), 204, .then = OPEN, .lacks = "Content-Length",
         .body = ""},
        {"9110 15.3.5, a status", ASK("GET", "/plain/204"), 204, .then = OPEN,
         .lacks = "Content-Length", .body = ""},
        {"9110 15.3.6", ASK("GET", "/status/205"), 205, .then = OPEN,
         .has = "Content-Length: 0\r\n", .body = ""},
        {"9110 15.3.6, a status", ASK("GET", "/plain/205"), 205, .then = OPEN,
         .has = "Content-Length: 0\r\n", .body = ""},
        {"9110 15.4.5", ASK("GET", "/status/304"), 304, .then = OPEN, .lacks = "Transfer-Encoding",
         .body = ""},
        {"9112 7.1", ASK("GET", "/chunks"), 200, .then = OPEN,
         .has = "Transfer-Encoding: chunked\r\n", .lacks = "Content-Length", .body = "one two"},
        {"9112 6.1, HTTP/1.0", TEXT("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n" END), 200,
         .then = CLOSED, .lacks = "Transfer-Encoding", .body = "one two"},
        {"9112 6.1, HEAD of HTTP/1.0", TEXT("HEAD /chunks HTTP/1.0\r\n" END), 200, .then = CLOSED,
         .lacks = "Transfer-Encoding", .body = ""},
    };

    (void)state;
    CHECK(rules);
}

#define DATE     "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER    "Sun, 06 Nov 1994 08:49:38 GMT"
#define BEFORE   "Sun, 06 Nov 1994 08:49:36 GMT"
#define AS(text) TEXT("GET /files/digits.txt HTTP/1.1\r\n" HOST text "\r\n" END)
#define ALL      "0123456789"

static void ranges(void **state)
{
    static const struct rule rules[] = {
        {"9110 14.3", AS("A: b"), 200, .then = OPEN, .has = "Accept-Ranges: bytes\r\n",
         .body = ALL},
        {"9110 14.1.2", AS("Range: bytes=2-4"), 206, .then = OPEN,
         .has = "Content-Range: bytes 2-4/10\r\n", .body = "234"},
        {"9110 14.1.2, from", AS("Range: bytes=7-"), 206, .then = OPEN,
         .has = "Content-Range: bytes 7-9/10\r\n", .body = "789"},
        {"9110 14.1.2, the last", AS("Range: bytes=-2"), 206, .then = OPEN, .body = "89"},
        {"9110 14.1.2, the last, and more", AS("Range: bytes=-99"), 206, .then = OPEN, .body = ALL},
        {"9110 14.1.2, beyond", AS("Range: bytes=8-99"), 206, .then = OPEN,
         .has = "Content-Range: bytes 8-9/10\r\n", .body = "89"},
        {"9110 14.1.2, huge", AS("Range: bytes=9-99999999999999999999999"), 206, .then = OPEN,
         .body = "9"},
        {"9110 14.1, case of the unit", AS("Range: BYTES=0-0"), 206, .then = OPEN, .body = "0"},
        {"9110 14.4, out of reach", AS("Range: bytes=10-"), 416, .then = OPEN,
         .has = "Content-Range: bytes */10\r\n"},
        {"9110 14.1.2, none of the last", AS("Range: bytes=-0"), 416, .then = OPEN},
        {"9110 14.2, the other way", AS("Range: bytes=4-2"), 200, .then = OPEN, .body = ALL},
        {"9110 14.2, another unit", AS("Range: lines=0-1"), 200, .then = OPEN, .body = ALL},
        {"9110 14.2, nonsense", AS("Range: bytes=a-b"), 200, .then = OPEN, .body = ALL},
        {"9110 14.2, negative", AS("Range: bytes=-2-4"), 200, .then = OPEN, .body = ALL},
        {"9110 14.2, for GET alone",
         TEXT("HEAD /files/digits.txt HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\n" END), 200,
         .then = OPEN, .has = "Content-Length: 10\r\n"},
        {"9110 13.1.5", AS("Range: bytes=0-1\r\nIf-Range: " DATE), 206, .then = OPEN, .body = "01"},
        {"9110 13.1.5, another date", AS("Range: bytes=0-1\r\nIf-Range: " LATER), 200, .then = OPEN,
         .body = ALL},
        {"9110 13.1.5, another tag", AS("Range: bytes=0-1\r\nIf-Range: \"a\""), 200, .then = OPEN,
         .body = ALL},
        {"9110 13.1.5, a weak tag", AS("Range: bytes=0-1\r\nIf-Range: W/\"a\""), 200, .then = OPEN,
         .body = ALL},
        {"9110 13.1.5, without a range", AS("If-Range: \"a\""), 200, .then = OPEN, .body = ALL},
        {"9110 13.2.2, a condition first", AS("Range: bytes=0-1\r\nIf-None-Match: *"), 304,
         .then = OPEN},
    };

    (void)state;
    CHECK(rules);
}

static void conditions(void **state)
{
    static const struct rule rules[] = {
        {"9110 8.8", AS("A: b"), 200, .then = OPEN, .has = "Last-Modified: " DATE "\r\n"},
        {"9110 8.8.3", AS("A: b"), 200, .then = OPEN, .has = "ETag: \""},
        {"9110 13.1.1", AS("If-Match: \"a\", \"b\""), 412, .then = OPEN, .lacks = "ETag",
         .body = "412 Precondition Failed\n"},
        {"9110 13.1.1, any", AS("If-Match: *"), 200, .then = OPEN},
        {"9110 13.1.2, any", AS("If-None-Match: *"), 304, .then = OPEN, .has = "ETag: \"",
         .body = ""},
        {"9110 13.1.2, another", AS("If-None-Match: \"a\""), 200, .then = OPEN, .body = ALL},
        {"9110 13.1.3", AS("If-Modified-Since: " DATE), 304, .then = OPEN, .body = ""},
        {"9110 13.1.3, later", AS("If-Modified-Since: " LATER), 304, .then = OPEN},
        {"9110 13.1.3, before", AS("If-Modified-Since: " BEFORE), 200, .then = OPEN, .body = ALL},
        {"9110 13.1.3, no date", AS("If-Modified-Since: now"), 200, .then = OPEN, .body = ALL},
        {"9110 13.1.3, not with tags", AS("If-Modified-Since: " DATE "\r\nIf-None-Match: \"a\""),
         200, .then = OPEN, .body = ALL},
        {"9110 5.6.7, RFC 850", AS("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"), 304,
         .then = OPEN},
        {"9110 5.6.7, asctime", AS("If-Modified-Since: Sun Nov  6 08:49:37 1994"), 304,
         .then = OPEN},
        {"9110 13.1.4", AS("If-Unmodified-Since: " BEFORE), 412, .then = OPEN},
        {"9110 13.1.4, as it is", AS("If-Unmodified-Since: " DATE), 200, .then = OPEN, .body = ALL},
        {"9110 13.1.4, not with tags", AS("If-Unmodified-Since: " BEFORE "\r\nIf-Match: *"), 200,
         .then = OPEN, .body = ALL},
        {"9110 13.2.2, in order", AS("If-Match: \"a\"\r\nIf-None-Match: *"), 412, .then = OPEN},
        {"9110 13.2.1, not for 404",
         TEXT("GET /files/nothing HTTP/1.1\r\n" HOST "If-Match: \"a\"\r\n" END), 404, .then = OPEN},
        {"9110 13.1.2, HEAD",
         TEXT("HEAD /files/digits.txt HTTP/1.1\r\n" HOST "If-None-Match: *\r\n" END), 304,
         .then = OPEN},
    };

    (void)state;
    CHECK(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines),
        cmocka_unit_test(an_empty_line_at_the_end_is_no_request),
        cmocka_unit_test(targets),
        cmocka_unit_test(long_targets),
        cmocka_unit_test(methods),
        cmocka_unit_test(hosts),
        cmocka_unit_test(field_lines),
        cmocka_unit_test(large_heads),
        cmocka_unit_test(lengths),
        cmocka_unit_test(codings),
        cmocka_unit_test(chunks),
        cmocka_unit_test(bodies_that_nobody_reads),
        cmocka_unit_test(connection_options),
        cmocka_unit_test(expectations),
        cmocka_unit_test(_100_comes_before_the_body_and_only_to_those_who_wait),
        cmocka_unit_test(bodies_of_answers),
        cmocka_unit_test(ranges),
        cmocka_unit_test(conditions),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
