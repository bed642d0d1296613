/* SPDX-License-Identifier: MIT
 *
 * The connections of an HTTP client.
 *
 * What is given back goes to the one who has waited longest among those who may have it: as it is,
 * to one who wants the same host, or closed, as the right to make another one. Nobody overtakes.
 * Giving allocates nothing, since the memory of a link is what is handed over.
 *
 * A link that is idle is read from, without a buffer of its own: whatever comes, be it the end, is
 * not asked for, and the link is closed.
 */
#include "http/client.h"

#include <juggle/transport.h>

#include "base/time.h"
#include "coro/coro.h"
#include "http/chars.h"

#include <errno.h>
#include <string.h>

/* Who waits for a link of a host. */
struct waiter {
    jg_http_client *client;
    jg__http_host *host;
    jg__http_link *link; /* that was handed over */
    uint64_t turn;       /* smaller ones come first */
};

static size_t link_size(const jg_http_client *client)
{
    return sizeof(jg__http_link) + client->options.max_fields * sizeof(jg_http_field);
}

/* ---------------------------------------------------------------- hosts */

static uint32_t hash_of(const jg_url *url)
{
    uint32_t hash = 2166136261u ^ url->port;

    for (size_t i = 0; i < url->host.size; i++)
        hash = (hash ^ (uint8_t)jg__lower(url->host.data[i])) * 16777619u;
    return hash;
}

static jg__http_host **bucket_of(jg_http_client *client, uint32_t hash)
{
    const size_t count = sizeof(client->hosts) / sizeof(client->hosts[0]);

    return &client->hosts[(hash ^ hash >> 16) % count];
}

static bool is_host(const jg__http_host *host, const jg_url *url, uint32_t hash)
{
    return host->hash == hash && host->port == url->port && host->secure == url->secure &&
           jg_text_is_nocase(url->host, host->name);
}

/* Find a host, or make it. Returns NULL if there is no memory. */
static jg__http_host *host_of(jg_http_client *client, const jg_url *url)
{
    const uint32_t hash = hash_of(url);
    jg__http_host **bucket = bucket_of(client, hash), *host = *bucket;

    while (host && !is_host(host, url, hash))
        host = host->next;
    if (host)
        return host;

    host = jg__alloc(&client->loop->allocator, sizeof(*host) + url->host.size + 1);
    if (!host)
        return NULL;
    *host = (jg__http_host){
        .next = *bucket,
        .hash = hash,
        .port = url->port,
        .secure = url->secure,
        .size = url->host.size,
    };
    jg__list_init(&host->idle);
    for (size_t i = 0; i < host->size; i++)
        host->name[i] = jg__lower(url->host.data[i]);
    host->name[host->size] = 0;
    *bucket = host;
    return host;
}

/* Free a host that nobody has use for. */
static void forget_if_unused(jg_http_client *client, jg__http_host *host)
{
    jg__http_host **place = bucket_of(client, host->hash);

    if (host->count > 0 || jg__has_waiters(&host->waiters))
        return;
    while (*place != host)
        place = &(*place)->next;
    *place = host->next;
    jg__free(&client->loop->allocator, host, sizeof(*host) + host->size + 1);
}

/* ---------------------------------------------------------------- links */

static void free_link(jg__http_link *link)
{
    jg_http_client *client = link->client;
    jg__http_host *host = link->host;

    client->connection_count--;
    host->count--;
    jg__free(&client->loop->allocator, link, link_size(client));
    forget_if_unused(client, host);
}

/* Let a link that is closed be one of another host. */
static void move_link(jg__http_link *link, jg__http_host *host)
{
    jg__http_host *former = link->host;

    host->count++;
    link->host = host;
    former->count--;
    forget_if_unused(link->client, former);
}

/* Take a link out of those that are idle. It is closed unless it can be used. */
static void wake_link(jg__http_link *link)
{
    jg__unlink(&link->place);
    jg__unlink(&link->sibling);
    if (!jg_op_pending(&link->watch))
        jg_stream_abort(&link->stream); /* something came, which is yet to be told */
    jg_op_cancel(&link->watch);
    jg__unlink(&link->watch.call.link);
}

static jg__http_link *first_idle(const jg_http_client *client)
{
    if (jg__list_empty(&client->idle))
        return NULL;
    return jg__container_of(client->idle.next, jg__http_link, place);
}

static void close_idle(jg__http_link *link)
{
    wake_link(link);
    jg_stream_abort(&link->stream);
    free_link(link);
}

static void on_watch(void *arg)
{
    close_idle(arg);
}

void jg__http_pool_expire(void *arg)
{
    jg_http_client *client = arg;
    const jg_time now = jg_loop_time(client->loop);
    jg__http_link *link = first_idle(client);

    while (link && link->until <= now) {
        close_idle(link);
        link = first_idle(client);
    }
    if (link && link->until != JG_FOREVER)
        jg_call_at(client->loop, &client->timer, link->until);
}

void jg__http_pool_close(jg_http_client *client)
{
    jg_timer_stop(&client->timer);
    while (first_idle(client))
        close_idle(first_idle(client));
}

/* Keep an open link for others, if nothing came on it. */
static void become_idle(jg__http_link *link)
{
    jg_http_client *client = link->client;
    jg_loop *loop = client->loop;

    jg_op_init(&link->watch, loop, on_watch, link);
    if (jg_stream_peek_start(&link->stream, 1, &link->input, &link->watch) < 0 ||
        !jg_op_pending(&link->watch)) {
        jg__unlink(&link->watch.call.link);
        jg_stream_abort(&link->stream);
        free_link(link);
        return;
    }
    link->until = client->options.keep_timeout == JG_FOREVER
                      ? JG_FOREVER
                      : jg__time_add(jg_loop_time(loop), client->options.keep_timeout);
    jg__list_append(&client->idle, &link->place);
    jg__list_append(&link->host->idle, &link->sibling);
    if (link->until != JG_FOREVER && !jg_handle_started(&client->timer.handle))
        jg_call_at(loop, &client->timer, link->until);
}

/* ---------------------------------------------------------------- giving */

static struct waiter *first_waiter(const jg__http_host *host)
{
    return jg__op_of(host->waiters.next)->data;
}

/* A waiter was served or has given up. */
static void note_waiter_left(jg_http_client *client, jg__http_host *host)
{
    if (jg__has_waiters(&host->waiters))
        return;
    jg__unlink(&host->place);
    forget_if_unused(client, host);
}

/* Who is to have a link, if anybody: who came first of those that may. */
static jg__http_host *next_host(const jg__http_link *link)
{
    const jg_http_client *client = link->client;
    jg__http_host *next = NULL;

    for (jg_link *at = client->waiting.next; at != &client->waiting; at = at->next) {
        jg__http_host *host = jg__container_of(at, jg__http_host, place);

        if ((host == link->host || host->count < client->options.max_per_host) &&
            (!next || first_waiter(host)->turn < first_waiter(next)->turn))
            next = host;
    }
    return next;
}

void jg__http_link_give(jg__http_link *link, bool clean)
{
    jg__http_host *host = next_host(link);
    jg_op *op;

    if (!clean || (host && host != link->host))
        jg_stream_abort(&link->stream);
    if (!host) {
        if (clean)
            become_idle(link);
        else
            free_link(link);
        return;
    }

    if (host != link->host)
        move_link(link, host);
    op = jg__op_of(host->waiters.next);
    first_waiter(host)->link = link;
    jg_op_complete(op, 0);
    note_waiter_left(link->client, host);
}

/* ---------------------------------------------------------------- taking */

static void cancel_wait(jg_op *op)
{
    const struct waiter *waiter = op->data;

    jg_op_complete(op, -ECANCELED);
    note_waiter_left(waiter->client, waiter->host);
}

static int start_wait(struct waiter *waiter, jg_op *op)
{
    static const jg_provider provider = {"http connection", cancel_wait};
    jg_http_client *client = waiter->client;
    jg__http_host *host = waiter->host;
    int r = jg_op_start(op, &provider, waiter);

    if (r < 0) {
        forget_if_unused(client, host);
        return r;
    }

    waiter->turn = client->waits++;
    jg__waiters_append(&host->waiters, op);
    if (!jg__linked(&host->place))
        jg__list_append(&client->waiting, &host->place);
    return 0;
}

/* Make a link, of one that is idle if need be. Returns 0; -EAGAIN if there may be no more; -ENOMEM.
 */
static int make_link(jg_http_client *client, jg__http_host *host, jg__http_link **ret_link)
{
    jg__http_link *link;

    if (host->count == client->options.max_per_host)
        return -EAGAIN;
    if (client->connection_count == client->options.max_connections) {
        link = first_idle(client);
        if (!link)
            return -EAGAIN;
        wake_link(link);
        jg_stream_abort(&link->stream);
        move_link(link, host);
        *ret_link = link;
        return 0;
    }

    link = jg__alloc(&client->loop->allocator, link_size(client));
    if (!link)
        return -ENOMEM;
    memset(link, 0, sizeof(*link));
    link->client = client;
    link->host = host;
    host->count++;
    client->connection_count++;
    *ret_link = link;
    return 0;
}

/* Take the link that became idle last: it is the least likely to have been closed. */
static jg__http_link *take_idle(jg__http_host *host, bool careful)
{
    jg__http_link *link;

    if (jg__list_empty(&host->idle))
        return NULL;

    link = jg__container_of(host->idle.prev, jg__http_link, sibling);
    if (careful && jg_op_pending(&link->watch))
        jg_stream_ready(&link->stream, JG_READ);
    wake_link(link);
    return link;
}

int jg__http_link_take(jg_http_response *response, const jg_url *url, bool careful,
                       jg__http_link **ret_link)
{
    jg_http_client *client = response->client;
    struct waiter waiter = {.client = client, .host = host_of(client, url)};
    int r = -EAGAIN;

    if (!waiter.host)
        return -ENOMEM;

    if (!jg__has_waiters(&waiter.host->waiters)) {
        *ret_link = take_idle(waiter.host, careful);
        if (*ret_link)
            return 0;
        r = make_link(client, waiter.host, ret_link);
    }
    if (r != -EAGAIN) {
        forget_if_unused(client, waiter.host);
        return r;
    }

    r = jg__http_await(response, start_wait(&waiter, jg__coro_op()), JG_FOREVER);
    if (r == 0)
        *ret_link = waiter.link;
    return r;
}
