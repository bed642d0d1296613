/* SPDX-License-Identifier: MIT
 *
 * The HTTP client, the HTTP server and WebSockets against each other, over connections in memory,
 * with a queue of jobs behind the server; anybody may be cancelled, be slow or lose the connection.
 * See simulation.h.
 *
 * Whatever happens: a response that arrives is the whole one and the right one; a request that must
 * not be repeated is handled once at most, any other twice; what is not disturbed succeeds; nothing
 * is left on either side.
 */
#include "simulation.h"

#include <juggle/http_app.h>
#include <juggle/http_client.h>
#include <juggle/queue.h>
#include <juggle/websocket.h>

enum { USERS = 4, REQUESTS = 5, ALL = USERS * REQUESTS, MOST_BODY = 700, MESSAGES = 4 };

enum kind { DATA, ECHO, JOB, MOVED, REFUSED, CHAT, KINDS };

struct world;

/* What one user wants; it goes by its number, in the query. */
struct request {
    struct world *world;
    enum kind kind;
    int number;
    size_t size;
    bool chunked;   /* the body, both ways */
    bool disturbed; /* cancelled, here or at the server: it need not succeed */
    int handled, done;
    jg_future finished; /* the job */
};

struct user {
    struct world *world;
    struct request requests[REQUESTS];
    int count;
};

/* The server's end of a connection. */
struct peer {
    struct world *world;
    jg_stream stream;
};

struct world {
    struct simulation *sim;
    jg_http_client client;
    jg_http_server server;
    jg_app *app;
    jg_queue jobs;
    int peers, user_count;
    bool closing; /* the server is */
    struct user users[USERS];
};

static char byte_at(int number, size_t at)
{
    return (char)('a' + ((size_t)number * 7 + at * 11) % 26);
}

static void fill(const struct request *request, char *data)
{
    for (size_t i = 0; i < request->size; i++)
        data[i] = byte_at(request->number, i);
}

static void check_bytes(const struct request *request, size_t at, const char *data, size_t size)
{
    test_check(at + size <= request->size);
    for (size_t i = 0; i < size; i++)
        test_check(data[i] == byte_at(request->number, at + i));
}

static unsigned chosen(const struct request *request, unsigned below)
{
    return simulation_random(request->world->sim, below);
}

static int pause_maybe(const struct request *request)
{
    return chosen(request, 3) ? 0 : jg_sleep(simulation_span(request->world->sim));
}

/* ------------------------------------------------------------ handlers */

/* What a request is about; it is handled now. */
static struct request *subject(jg_http_request *http, void *arg)
{
    struct world *world = arg;
    struct request *request;
    jg_text number;
    int value;

    test_check(jg_http_request_query(http, "n", &number) == 0);
    value = atoi(number.data);
    test_check(value >= 0 && value < ALL);
    request = &world->users[value / REQUESTS].requests[value % REQUESTS];
    test_check(request->number == value);
    request->handled++;
    simulation_note(world->sim, "handle", value, (int)request->kind);
    return request;
}

static int give_data(jg_http_request *http, void *arg)
{
    const struct request *request = subject(http, arg);
    char data[MOST_BODY];
    size_t at = 0;
    int r = jg_http_begin(http, 200, "text/plain",
                          request->chunked ? JG_HTTP_NO_LENGTH : (int64_t)request->size);

    fill(request, data);
    while (r == 0 && at < request->size) {
        size_t part = 1 + chosen(request, (unsigned)(request->size - at));

        r = jg_http_write(http, data + at, part);
        at += part;
        if (r == 0)
            r = pause_maybe(request);
    }
    return r;
}

static int give_back(jg_http_request *http, void *arg)
{
    const struct request *request = subject(http, arg);
    char data[MOST_BODY];
    size_t size = 0;
    jg_text whole;
    int r;

    if (chosen(request, 2)) {
        r = jg_http_read_all(http, MOST_BODY, &whole);
        if (r < 0)
            return r;
        check_bytes(request, 0, whole.data, whole.size);
        test_check(whole.size == request->size);
        return jg_http_respond(http, 200, NULL, whole.data, whole.size);
    }
    while ((r = jg_http_read(http, data + size, 1 + chosen(request, 100))) > 0) {
        check_bytes(request, size, data + size, (size_t)r);
        size += (size_t)r;
        r = pause_maybe(request);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    test_check(size == request->size);
    return jg_http_respond(http, 200, NULL, data, size);
}

static int queue_job(jg_http_request *http, void *arg)
{
    struct request *request = subject(http, arg);
    int r = jg_queue_put(&request->world->jobs, &request);

    if (r == 0)
        r = jg_future_wait(&request->finished);
    return r < 0 ? r : jg_http_respond(http, 200, NULL, NULL, 0);
}

static int move(jg_http_request *http, void *arg)
{
    const struct request *request = subject(http, arg);
    char location[32];
    int r;

    snprintf(location, sizeof(location), "/data?n=%d", request->number);
    r = jg_http_add_field(http, "Location", location);
    return r < 0 ? r : 307;
}

static int refuse(jg_http_request *http, void *arg)
{
    (void)subject(http, arg);
    return 403;
}

static int chat(jg_http_request *http, void *arg)
{
    const struct request *request = subject(http, arg);
    jg_websocket_message message;
    jg_websocket ws;
    int r = jg_websocket_accept(&ws, http, NULL);

    if (r != 0)
        return r;
    while ((r = jg_websocket_receive(&ws, &message)) > 0) {
        check_bytes(request, 0, message.data.data, message.data.size);
        (void)pause_maybe(request);
        if (jg_websocket_send(&ws, message.type, message.data.data, message.data.size) < 0)
            break;
    }
    (void)jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL);
    return 0;
}

static int go_on(void *arg)
{
    return jg_http_next(arg);
}

/* Around all handlers: they may be cancelled, and then the server answers, or cuts the connection. */
static int middleware(jg_http_request *http, void *arg)
{
    struct world *world = arg;
    bool cut = false;
    int r = simulation_exposed(world->sim, go_on, http, NULL, &cut);

    simulation_note(world->sim, "handled", jg_http_request_status(http), r);
    if (cut) {
        struct request *request = subject(http, arg);

        request->handled--;
        request->disturbed = true;
        r = 503;
        if (jg_http_request_status(http) > 0) { /* whoever comes next on the connection loses it */
            r = -ECANCELED;
            world->sim->faults++;
        }
    }
    return r;
}

static int work(void *arg)
{
    struct world *world = arg;
    struct request *request;
    int r;

    while ((r = jg_queue_get(&world->jobs, &request)) == 0) {
        r = jg_sleep(simulation_span(world->sim));
        request->done++;
        if (world->sim->planted == PLANTED_TWICE && simulation_chance(world->sim, 4))
            request->done++;
        test_check(jg_future_set(&request->finished, 0) == 0);
        test_check(jg_queue_task_done(&world->jobs) == 0);
        if (r < 0)
            break;
    }
    return r == JG_ESHUTDOWN ? 1 : r;
}

static int worker(void *arg)
{
    struct world *world = arg;
    bool cut = false;

    while (simulation_exposed(world->sim, work, world, NULL, &cut) != 1)
        (void)jg_sleep(0);
    return 0;
}

/* ------------------------------------------------------------- connecting */

static void on_closed(void *arg)
{
    struct peer *peer = arg;

    peer->world->peers--;
    free(peer);
}

static int connect_stream(struct world *world, jg_stream *stream)
{
    struct peer *peer;
    int r = jg_sleep(simulation_span(world->sim));

    if (r < 0)
        return r;
    if (world->closing) /* who listens has stopped before */
        return -ECONNREFUSED;
    if (!world->sim->calm && simulation_chance(world->sim, 12)) {
        world->sim->faults++;
        return -ECONNREFUSED;
    }

    peer = calloc(1, sizeof(*peer));
    test_check(peer);
    peer->world = world;
    test_check(simulation_connect(world->sim, stream, &peer->stream) == 0);
    (void)simulation_break(world->sim, stream, &peer->stream);
    test_check(jg_http_serve(&world->server, &peer->stream, on_closed, peer) == 0);
    world->peers++;
    return 0;
}

static int on_connect(void *arg, jg_stream *stream, const char *host, uint16_t port, bool secure)
{
    test_check(strlen(host) == 1 && port == 80 && !secure);
    return connect_stream(arg, stream);
}

/* ------------------------------------------------------------- fetching */

static int upload(jg_http_upload *http, void *arg)
{
    const struct request *request = arg;
    char data[MOST_BODY];
    size_t at = 0;
    int r = 0;

    fill(request, data);
    while (r == 0 && at < request->size) {
        size_t part = 1 + chosen(request, (unsigned)(request->size - at));

        r = jg_http_upload_write(http, data + at, part);
        at += part;
        if (r == 0)
            r = pause_maybe(request);
    }
    return r;
}

/* Read a body. Returns its size, or an error. */
static int read_body(const struct request *request, jg_http_response *response, size_t expected)
{
    char data[100];
    size_t size = 0;
    jg_text whole;
    int r;

    if (chosen(request, 2)) {
        r = jg_http_response_read_all(response, MOST_BODY, &whole);
        if (r < 0)
            return r;
        size = whole.size;
        if (expected > 0)
            check_bytes(request, 0, whole.data, whole.size);
    } else {
        while ((r = jg_http_response_read(response, data, 1 + chosen(request, 100))) > 0) {
            if (expected > 0)
                check_bytes(request, size, data, (size_t)r);
            size += (size_t)r;
            r = pause_maybe(request);
            if (r < 0)
                return r;
        }
        if (r < 0)
            return r;
    }
    test_check(expected == 0 || size == expected);
    return (int)size;
}

static int fetch(void *arg)
{
    static const char *const paths[KINDS] = {"data", "echo", "job", "moved", "refused", "chat"};
    struct request *request = arg;
    struct world *world = request->world;
    jg_http_fetch_options options = {0};
    size_t expected = request->size;
    jg_http_response response;
    char url[64], body[MOST_BODY];
    int r, status;

    snprintf(url, sizeof(url), "http://%c/%s?n=%d", "abc"[chosen(request, 3)], paths[request->kind],
             request -> number);
    if (request->kind == ECHO) {
        options.method = chosen(request, 2) ? "PUT" : "POST";
        options.length = request->chunked ? JG_HTTP_UNKNOWN_LENGTH : (int64_t)request->size;
        options.expect = chosen(request, 4) == 0;
        options.upload = request->chunked || chosen(request, 2) ? upload : NULL;
        options.upload_arg = request;
        fill(request, body);
        if (!options.upload)
            options.body = body;
    } else if (request->kind == JOB) {
        options.method = "POST";
        expected = 0;
    }

    status = jg_http_fetch(&world->client, url, &options, &response);
    simulation_note(world->sim, "fetch", request->number, status);
    if (status < 0)
        return status;
    if (status == 200 && chosen(request, 8) == 0) { /* not interested any more */
        jg_http_response_end(&response);
        return 0;
    }
    r = read_body(request, &response, status == 200 ? expected : 0);
    simulation_note(world->sim, "body", request->number, r);
    jg_http_response_end(&response);
    if (r < 0)
        return r;
    return status == 200 || (status == 403 && request->kind == REFUSED) ? 0 : -status;
}

/* ------------------------------------------------------------- chatting */

static int converse(struct request *request, jg_websocket *ws)
{
    char data[MOST_BODY];
    jg_websocket_message message;
    int count = 1 + (int)chosen(request, MESSAGES), r = 0;

    fill(request, data);
    for (int i = 0; r == 0 && i < count; i++) {
        size_t size = chosen(request, (unsigned)request->size + 1);

        r = jg_websocket_send(ws, JG_WEBSOCKET_TEXT, data, size);
        if (r == 0)
            r = jg_websocket_receive(ws, &message);
        simulation_note(request->world->sim, "message", request->number, r);
        if (r == 0)
            r = -EPROTO;
        if (r > 0) {
            test_check(message.type == JG_WEBSOCKET_TEXT && message.data.size == size);
            check_bytes(request, 0, message.data.data, size);
            r = pause_maybe(request);
        }
    }
    return r;
}

static int talk(void *arg)
{
    struct request *request = arg;
    struct world *world = request->world;
    jg_stream stream;
    jg_websocket ws;
    char url[64];
    int r = connect_stream(world, &stream), end;

    if (r < 0)
        return r;
    snprintf(url, sizeof(url), "ws://a/chat?n=%d", request->number);
    r = jg_websocket_connect(&ws, &stream, url, NULL);
    simulation_note(world->sim, "websocket", request->number, r);
    if (r != 0) {
        jg_stream_abort(&stream);
        return r < 0 ? r : -r;
    }
    r = converse(request, &ws);
    end = jg_websocket_close(&ws, JG_WEBSOCKET_NORMAL, NULL);
    (void)jg_stream_close(&stream, JG_SECOND);
    return r < 0 ? r : end;
}

/* A request succeeds unless something happened to it, to the server or to some connection. */
static void want(struct request *request)
{
    struct world *world = request->world;
    jg_scope_options options = {.timeout = 600 * JG_SECOND};
    int r;

    if (!world->sim->calm && chosen(request, 6) == 0) {
        options.timeout = 1 + simulation_span(world->sim);
        request->disturbed = true;
    }
    r = simulation_exposed(world->sim, request->kind == CHAT ? talk : fetch, request, &options,
                           &request->disturbed);
    simulation_note(world->sim, "wanted", request->number, r);
    test_check(r == 0 || request->disturbed || world->closing || world->sim->faults > 0);
    test_check(request->handled <= 2 + (request->kind == MOVED) * 2);
    test_check(request->handled <= 1 || request->kind != JOB);
    test_check(request->done <= 1);
}

static int user(void *arg)
{
    struct user *user = arg;

    for (int i = 0; i < user->count; i++) {
        want(&user->requests[i]);
        (void)jg_sleep(simulation_span(user->world->sim));
    }
    return 0;
}

/* ----------------------------------------------------------- the whole */

static void open_users(struct world *world)
{
    struct simulation *sim = world->sim;

    world->user_count = 1 + (int)simulation_random(sim, USERS);
    for (int i = 0; i < world->user_count; i++) {
        struct user *user = &world->users[i];

        user->world = world;
        user->count = 1 + (int)simulation_random(sim, REQUESTS);
        for (int k = 0; k < user->count; k++) {
            struct request *request = &user->requests[k];

            *request = (struct request){.world = world,
                                        .kind = (enum kind)simulation_random(sim, KINDS),
                                        .number = i * REQUESTS + k,
                                        .size = 1 + simulation_random(sim, MOST_BODY),
                                        .chunked = simulation_chance(sim, 2)};
        }
    }
}

static void open_world(struct world *world)
{
    struct simulation *sim = world->sim;
    const jg_http_client_options client = {.max_connections = 1 + simulation_random(sim, 4),
                                           .max_per_host = simulation_random(sim, 3),
                                           .keep_timeout = 1 + simulation_span(sim),
                                           .connect = on_connect,
                                           .connect_arg = world};
    const struct {
        const char *methods, *path;
        jg_http_handler_fn handler;
    } routes[] = {
        {"GET", "/data", give_data}, {"PUT POST", "/echo", give_back}, {"POST", "/job", queue_job},
        {"*", "/moved", move},       {"*", "/refused", refuse},        {"GET", "/chat", chat},
    };

    test_check(jg_app_new(NULL, &world->app) == 0);
    test_check(jg_app_middleware(world->app, middleware, world) == 0);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        test_check(jg_app_route(world->app, routes[i].methods, routes[i].path, routes[i].handler,
                                world) == 0);
    test_check(jg_http_server_open(&world->server, sim->loop, jg_app_handle, world->app, NULL) ==
               0);
    test_check(jg_http_client_open(&world->client, sim->loop, &client) == 0);
    test_check(jg_queue_init(&world->jobs, sim->loop, &(jg_queue_options){.limit = 2}) == 0);
    open_users(world);
}

static int close_early(void *arg)
{
    struct world *world = arg;
    int r;

    if (world->sim->calm || !simulation_chance(world->sim, 6) ||
        jg_sleep(simulation_span(world->sim)) < 0 || world->closing)
        return 0;
    world->closing = true;
    r = jg_http_server_close(&world->server, simulation_span(world->sim));
    simulation_note(world->sim, "closed early", 0, r);
    test_check(r == 0 || r == -ETIMEDOUT);
    return 0;
}

static void close_world(struct world *world)
{
    int r;

    test_check(world->client.response_count == 0);
    jg_http_client_close(&world->client);
    test_check(jg_http_client_connections(&world->client) == 0);
    if (!world->closing) {
        world->closing = true;
        r = jg_http_server_close(&world->server, simulation_span(world->sim));
        test_check(r == 0 || r == -ETIMEDOUT);
    }
}

static int run_world(void *arg)
{
    const jg_scope_options keep_going = {.policy = JG_KEEP_GOING};
    jg_scope services, users;
    struct world *world = arg;

    open_world(world);
    jg_scope_enter(&services, &keep_going);
    test_check(jg_spawn(&services, simulation_disturb, world->sim, NULL) == 0);
    test_check(jg_spawn(&services, close_early, world, NULL) == 0);
    for (int i = 0; i < 2; i++)
        test_check(jg_spawn(&services, worker, world, NULL) == 0);

    jg_scope_enter(&users, &keep_going);
    for (int i = 0; i < world->user_count; i++)
        test_check(jg_spawn(&users, user, &world->users[i], NULL) == 0);
    test_check(jg_scope_leave(&users, 0) == 0);

    close_world(world);
    test_check(jg_queue_join(&world->jobs) == 0);
    (void)jg_queue_shutdown(&world->jobs, false);
    test_check(jg_scope_leave(&services, 0) == 0);

    test_check(jg_queue_fini(&world->jobs) == 0);
    test_check(jg_http_server_connections(&world->server) == 0);
    test_check(world->peers == 0);
    jg_app_free(world->app);
    return 0;
}

static void run(struct simulation *sim)
{
    static struct world world;

    world = (struct world){.sim = sim};
    simulation_run(sim, run_world, &world);
}

/* ------------------------------------------------------------- the tests */

static void promises_hold_whatever_happens(void **state)
{
    (void)state;
    simulation_try_all(run, test_is_emulated() ? 50 : test_is_slow() ? 500 : 3000);
}

static void a_seed_always_does_the_same(void **state)
{
    (void)state;
    if (simulation_is_chosen())
        skip();
    simulation_compare(run, 30);
}

static void run_with_a_mistake(void *arg)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct simulation sim = {.seed = seed, .planted = *(enum planted *)arg};

        simulation_try(run, &sim);
    }
}

static void a_mistake_is_found_and_its_seed_told(void **state)
{
    enum planted planted = PLANTED_TWICE;

    (void)state;
    if (simulation_is_chosen())
        skip();
    test_expect_abort(run_with_a_mistake, &planted, "JUGGLE_TEST_SEED=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(promises_hold_whatever_happens, simulation_teardown),
        cmocka_unit_test(a_seed_always_does_the_same),
        cmocka_unit_test(a_mistake_is_found_and_its_seed_told),
    };

    return cmocka_run_group_tests_name("simulation_http", tests, NULL, NULL);
}
