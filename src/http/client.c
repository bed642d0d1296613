/* SPDX-License-Identifier: MIT
 *
 * The HTTP client: a fetch, from the first URL over redirects to the head of the response.
 *
 * Invariant: while a response has a link it is the only one who uses that. A response that has no
 * link any more was read to its end, or has failed.
 */
#include "http/client.h"

#include "base/time.h"
#include "coro/coro.h"
#include "http/chars.h"
#include "http/output.h"

#include <juggle/net.h>

#include <errno.h>
#include <string.h>

#define BLOCK          4096u /* bytes of a response's memory with its head */
#define MOST_SPARES    16
#define CONTINUE_AFTER JG_SECOND /* a body is sent although no 100 came */
#define DRAIN          65536u /* bytes of a redirect's body that are read to keep the connection */

/* ---------------------------------------------------------------- the client */

static void set_default(jg_time *time, jg_time value)
{
    if (*time == 0)
        *time = value;
}

static void set_defaults(jg_http_client_options *options)
{
    if (options->max_connections == 0)
        options->max_connections = 100;
    if (options->max_per_host == 0)
        options->max_per_host = options->max_connections;
    if (options->max_fields == 0)
        options->max_fields = 100;
    if (options->max_redirects == 0)
        options->max_redirects = 10;
    set_default(&options->connect_timeout, 30 * JG_SECOND);
    set_default(&options->idle_timeout, 60 * JG_SECOND);
    set_default(&options->total_timeout, 300 * JG_SECOND);
    set_default(&options->keep_timeout, 15 * JG_SECOND);
}

int jg_http_client_open(jg_http_client *client, jg_loop *loop,
                        const jg_http_client_options *options)
{
    jg__check_thread(loop);
    if (options && (options->max_fields > UINT16_MAX || options->connect_timeout < 0 ||
                    options->idle_timeout < 0 || options->total_timeout < 0 ||
                    options->keep_timeout < 0 || options->max_redirects < -1))
        return -EINVAL;

    *client = (jg_http_client){.loop = loop};
    if (options)
        client->options = *options;
    set_defaults(&client->options);
    jg__list_init(&client->waiting);
    jg__list_init(&client->idle);
    jg_timer_init(&client->timer, jg__http_pool_expire, client);
    return 0;
}

void jg_http_client_close(jg_http_client *client)
{
    if (!client->loop)
        return;

    jg__check_thread(client->loop);
    jg__check(client->response_count == 0, "responses of the client have yet to end");
    jg__http_pool_close(client);
    while (client->spares) {
        struct jg__http_memory *spare = client->spares;

        client->spares = spare->next;
        jg__free(&client->loop->allocator, spare, sizeof(*spare) + spare->size);
    }
    client->loop = NULL;
}

size_t jg_http_client_connections(const jg_http_client *client)
{
    return client->connection_count;
}

size_t jg_http_client_idle(const jg_http_client *client)
{
    size_t count = 0;

    for (const jg_link *at = client->idle.next; at != &client->idle; at = at->next)
        count++;
    return count;
}

/* ---------------------------------------------------------------- a response's memory */

static struct jg__http_memory *take_block(jg_http_client *client, size_t size)
{
    struct jg__http_memory *block = client->spares;

    if (size <= BLOCK - sizeof(*block)) {
        size = BLOCK - sizeof(*block);
        if (block) {
            client->spares = block->next;
            client->spare_count--;
            block->used = 0;
            return block;
        }
    }
    if (size > SIZE_MAX / 2)
        return NULL;

    block = jg__alloc(&client->loop->allocator, sizeof(*block) + size);
    if (block) {
        block->size = size;
        block->used = 0;
    }
    return block;
}

void *jg__http_memory_take(jg_http_response *response, size_t size)
{
    const size_t unit = sizeof(max_align_t);
    struct jg__http_memory *block = response->memory;
    void *memory;

    if (!block || size > block->size - block->used) {
        block = take_block(response->client, size);
        if (!block)
            return NULL;
        block->next = response->memory;
        response->memory = block;
    }
    memory = (char *)block->data + block->used;
    size = (size + unit - 1) / unit * unit;
    block->used = size < block->size - block->used ? block->used + size : block->size;
    return memory;
}

static void free_memory(jg_http_response *response)
{
    jg_http_client *client = response->client;
    const jg_allocator *allocator = &client->loop->allocator;

    jg__free(allocator, response->whole, response->whole_capacity);
    while (response->memory) {
        struct jg__http_memory *block = response->memory;

        response->memory = block->next;
        if (block->size != BLOCK - sizeof(*block) || client->spare_count == MOST_SPARES) {
            jg__free(allocator, block, sizeof(*block) + block->size);
            continue;
        }
        block->next = client->spares;
        client->spares = block;
        client->spare_count++;
    }
}

/* ---------------------------------------------------------------- requests */

const char *jg__http_method(const jg_http_response *response)
{
    const jg_http_fetch_options *what = &response->what;

    if (response->bodiless)
        return "GET";
    if (what->method)
        return what->method;
    return jg__http_has_body(response) ? "POST" : "GET";
}

bool jg__http_has_body(const jg_http_response *response)
{
    return !response->bodiless && (response->what.body || response->what.upload);
}

static bool has_method(const jg_http_response *response, const char *method)
{
    return strcmp(jg__http_method(response), method) == 0;
}

/* RFC 9110 9.2.2. */
static bool is_idempotent(const jg_http_response *response)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (has_method(response, methods[i]))
            return true;
    }
    return false;
}

static int check_options(const jg_http_fetch_options *what)
{
    const int64_t least = what->upload ? JG_HTTP_UNKNOWN_LENGTH : 0;

    if ((what->body && what->upload) || what->length < least ||
        (!what->body && !what->upload && what->length > 0) ||
        (what->body && (uint64_t)what->length > SIZE_MAX / 2))
        return -EINVAL;
    return what->method && strcmp(what->method, "CONNECT") == 0 ? -EINVAL : 0;
}

/* Take a URL over: its own copy, with a path, without a fragment. Returns 0 or an error. */
static int set_url(jg_http_response *response, jg_text text, jg_url *ret_url)
{
    struct jg__output output;
    jg_url url;
    int r = jg_url_parse(text, &url);

    if (r < 0)
        return r;
    if (!jg_text_is_nocase(url.scheme, "http") && !jg_text_is_nocase(url.scheme, "https"))
        return -EPROTONOSUPPORT;
    if (url.secure && !response->client->options.connect)
        return JG_EHTTP_NO_TLS;

    output = jg__output(jg__http_memory_take(response, text.size + 2), text.size + 2);
    if (!output.data)
        return -ENOMEM;
    jg__output_text(&output, url.scheme);
    jg__output_string(&output, "://");
    jg__output_text(&output, url.authority);
    jg__output_text(&output, url.path.size > 0 ? url.path : jg_text_of("/", 1));
    if (url.query.data) {
        jg__output_byte(&output, '?');
        jg__output_text(&output, url.query);
    }
    response->url = jg_text_of(output.data, output.size);
    return jg_url_parse(response->url, ret_url);
}

/* ---------------------------------------------------------------- an exchange */

/* Open the stream of a link. Returns 0 or an error. */
static int connect_link(jg_http_response *response)
{
    const jg_http_client *client = response->client;
    const jg_http_client_options *options = &client->options;
    const jg_time left = jg__time_until(response->deadline, jg_loop_now(client->loop));
    const jg_time timeout = left < options->connect_timeout ? left : options->connect_timeout;
    jg__http_link *link = response->link;
    const jg__http_host *host = link->host;
    jg_scope scope;
    bool cut;
    int r;

    if (left == 0)
        return JG_EHTTP_TOTAL_TIMEOUT;
    link->stream = (jg_stream){0};
    jg_scope_enter(&scope, &(jg_scope_options){.name = "http connect", .timeout = timeout});
    if (options->connect)
        r = options->connect(options->connect_arg, &link->stream, host->name, host->port,
                             host->secure);
    else if (host->secure)
        r = JG_EHTTP_NO_TLS;
    else
        r = jg_connect_name(&link->stream, host->name, host->port, NULL);
    cut = r == -ECANCELED;
    r = jg_scope_leave(&scope, r < 0 ? r : 0);
    if (r < 0)
        jg_stream_abort(&link->stream);
    if (r == -ETIMEDOUT && cut)
        return left <= options->connect_timeout ? JG_EHTTP_TOTAL_TIMEOUT : JG_EHTTP_CONNECT_TIMEOUT;
    jg__check(r < 0 || jg_stream_is_open(&link->stream), "connect has not opened the stream");
    return r;
}

/* Send the request on a link that is open, and wait for the head of the response. */
static int converse(jg_http_response *response, jg_text head)
{
    jg_http_client *client = response->client;
    jg__http_link *link = response->link;
    const bool waits = response->what.expect && jg__http_has_body(response);
    int r;

    link->before = jg_stream_bytes_in(&link->stream);
    memset(&link->upload, 0, sizeof(link->upload));
    link->upload.link = link;
    jg_http_parser_init_response(&link->parser,
                                 has_method(response, "HEAD") ? JG_HTTP_HEAD : JG_HTTP_GET,
                                 link->fields, client->options.max_fields, &client->options.limits);
    r = jg__http_send_head(response, head, waits);
    if (r == 0 && waits) {
        r = jg__http_receive_head(response, true,
                                  jg__time_add(jg_loop_time(client->loop), CONTINUE_AFTER));
        if (r == 100 || r == -EAGAIN)
            r = 0;
    }
    if (r == 0)
        r = jg__http_send_body(response);
    return r == 0 ? jg__http_receive_head(response, false, JG_FOREVER) : r;
}

/* Whether a connection that was kept turned out to be closed: nothing was answered. */
static bool was_stale(const jg_http_response *response, int error)
{
    const jg__http_link *link = response->link;

    return link && (error == JG_EHTTP_NO_RESPONSE || error == -ECONNRESET) &&
           jg_stream_bytes_in(&link->stream) == link->before;
}

/* Send the request to where it goes now. Returns the status of the response, or an error. */
static int exchange(jg_http_response *response, const jg_url *url)
{
    const bool repeatable = is_idempotent(response);
    jg__http_link *link;
    jg_text head;
    int r = jg__http_write_head(response, url, &head);

    if (r < 0)
        return r;
    r = jg__http_link_take(response, url, !repeatable, &link);
    if (r < 0)
        return r;

    response->link = link;
    response->ended = false;
    if (jg_stream_is_open(&link->stream)) {
        r = converse(response, head);
        if (!repeatable || !was_stale(response, r))
            return r;
        jg_stream_abort(&link->stream);
        jg__http_upload_stop(link);
    }
    r = connect_link(response);
    return r < 0 ? r : converse(response, head);
}

/* ---------------------------------------------------------------- redirects */

static bool is_redirect(const jg_http_response *response)
{
    const int status = response->head.status;

    return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           jg_http_head_known(&response->head, JG_HTTP_LOCATION);
}

/* Read the body of a redirect, if it is small, and drop it. What goes wrong there ends the connection
   and no more, unless time is up for all of it. */
static int drain(jg_http_response *response)
{
    char waste[4096];
    size_t size = 0;
    int r;

    do {
        r = jg_http_response_read(response, waste, sizeof(waste));
        size += r > 0 ? (size_t)r : 0;
    } while (r > 0 && size < DRAIN);
    jg__http_leave(response);
    if (r == -ECANCELED || r == JG_EHTTP_TOTAL_TIMEOUT)
        return r;
    response->error = 0;
    return 0;
}

static bool is_same_origin(const jg_url *a, const jg_url *b)
{
    if (a->secure != b->secure || a->port != b->port || a->host.size != b->host.size)
        return false;
    for (size_t i = 0; i < a->host.size; i++) {
        if (jg__lower(a->host.data[i]) != jg__lower(b->host.data[i]))
            return false;
    }
    return true;
}

/* Where the response sends us is where we go next. Returns 0 or an error. */
static int redirect(jg_http_response *response, jg_url *url)
{
    const jg_http_head *head = &response->head;
    const jg_http_field *field = jg_http_head_known(head, JG_HTTP_LOCATION);
    const jg_text location = jg_http_head_text(head, field->value);
    const size_t capacity = response->url.size + location.size + 8;
    const jg_url former = *url;
    char *text = jg__http_memory_take(response, capacity);
    size_t size;
    int r;

    if (!text)
        return -ENOMEM;
    if (jg_http_head_find(head, "Location", field) ||
        jg_url_resolve(url, location, text, capacity, &size) < 0)
        return JG_EHTTP_LOCATION;
    r = set_url(response, jg_text_of(text, size), url);
    if (r < 0)
        return r == -EINVAL || r == -EPROTONOSUPPORT ? JG_EHTTP_LOCATION : r;

    response->crossed |= !is_same_origin(&former, url);
    if ((head->status == 303 && !has_method(response, "HEAD")) ||
        ((head->status == 301 || head->status == 302) && has_method(response, "POST")))
        response->bodiless = true;
    return drain(response);
}

static int follow(jg_http_response *response, jg_url *url)
{
    const int most = response->client->options.max_redirects;

    for (int count = 0;; count++) {
        int r = exchange(response, url);

        if (r < 0 || most < 0 || !is_redirect(response))
            return r;
        r = count < most ? redirect(response, url) : JG_EHTTP_REDIRECTS;
        if (r < 0)
            return r;
    }
}

/* ---------------------------------------------------------------- responses */

int jg_http_fetch(jg_http_client *client, const char *url, const jg_http_fetch_options *options,
                  jg_http_response *response)
{
    jg_url target;
    int r;

    jg__check(client->loop != NULL, "the client is not open");
    jg__check_thread(client->loop);
    *response = (jg_http_response){.client = client, .deadline = JG_FOREVER};
    if (options)
        response->what = *options;
    if (client->options.total_timeout != JG_FOREVER)
        response->deadline = jg__time_add(jg_loop_now(client->loop), client->options.total_timeout);
    client->response_count++;

    r = check_options(&response->what);
    if (r == 0)
        r = set_url(response, jg_text_from(url), &target);
    if (r == 0)
        r = follow(response, &target);
    if (r < 0) {
        response->error = r;
        jg_http_response_end(response);
    }
    return r;
}

int jg_http_get(jg_http_client *client, const char *url, size_t limit, jg_http_response *response,
                jg_text *ret_body)
{
    int status = jg_http_fetch(client, url, NULL, response), r = 0;

    if (status < 0)
        return status;

    r = jg_http_response_read_all(response, limit, ret_body);
    if (r < 0)
        jg_http_response_end(response);
    return r < 0 ? r : status;
}

int jg_http_response_status(const jg_http_response *response)
{
    return response->head.status;
}

const jg_http_head *jg_http_response_head(const jg_http_response *response)
{
    return &response->head;
}

jg_text jg_http_response_field(const jg_http_response *response, const char *name)
{
    const jg_http_field *field = jg_http_head_find(&response->head, name, NULL);

    return field ? jg_http_head_text(&response->head, field->value) : jg_text_of(NULL, 0);
}

jg_text jg_http_response_url(const jg_http_response *response)
{
    return response->url;
}

/* Whether the server, which has answered already, wants the rest of the request nevertheless. */
static bool is_wanted(const jg_http_response *response)
{
    return response->link && response->ended && !response->error && response->link->keep &&
           response->head.status < 400 && response->link->upload.running;
}

void jg_http_response_end(jg_http_response *response)
{
    jg_http_client *client = response->client;

    if (!client)
        return;

    if (is_wanted(response))
        response->error = jg__http_await(
            response, jg_future_wait_start(&response->link->upload.done, jg__coro_op()),
            JG_FOREVER);
    jg__http_leave(response);
    free_memory(response);
    client->response_count--;
    response->client = NULL;
}
