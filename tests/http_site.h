/* SPDX-License-Identifier: MIT
 *
 * A client and servers that follow a script, with connections in memory between them: each request
 * is read and written down, each is answered with the next bytes of the script.
 */
#ifndef JUGGLE_TESTS_HTTP_SITE_H
#define JUGGLE_TESTS_HTTP_SITE_H

#include "support.h"
#include "world.h"

#include <juggle/http_client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITE_CONNECTIONS = 64, SITE_REPLIES = 8 };

/* What one connection does. */
struct site_script {
    const char *replies[SITE_REPLIES]; /* up to the first NULL */
    size_t size;                       /* of the first one; 0: strlen */
    size_t piece;                      /* bytes of a reply at a time, with pauses; 0: all */
    jg_time pause;                     /* before each piece */
    bool at_once;                      /* the first reply comes without waiting for a request */
    bool close;                        /* after the last reply */
    bool cut;      /* the same, with a reset, once the client has read what was sent */
    bool deaf;     /* bodies are not read, nor anything after the last reply */
    int refuse;    /* the connection fails with this */
    jg_time delay; /* before the connection is there */
};

struct site;

struct site_peer {
    struct site *site;
    const struct site_script *script;
    jg_stream stream, *client;
    size_t requests;
};

struct site {
    struct world world;
    jg_http_client_options options;
    jg_test_pair_options pair;
    jg_http_client client;
    jg_scope *scope; /* of the servers */
    jg_coro_fn main;
    const struct site_script *scripts; /* of the connections, in their order */
    int script_count;                  /* further ones do as the last one */
    int connections;                   /* that were made */
    char hosts[256];                   /* to which, "name:port " each */
    struct site_peer *peers[SITE_CONNECTIONS];
    size_t logged;
    char log[65536]; /* the requests, as they came */
    int result;
    void *data;
};

static inline void site_log(struct site *site, const char *data, size_t size)
{
    if (size > sizeof(site->log) - 1 - site->logged)
        size = sizeof(site->log) - 1 - site->logged;
    memcpy(site->log + site->logged, data, size);
    site->logged += size;
    site->log[site->logged] = 0;
}

/* Read a body of `size` bytes; negative: of small chunks. */
static inline int site_read_body(struct site_peer *peer, long size)
{
    char data[8192];
    int r = 1;

    if (size < 0) {
        r = jg_stream_read_until(&peer->stream, "0\r\n\r\n", 5, data, sizeof(data));
        if (r > 0)
            site_log(peer->site, data, (size_t)r);
    }
    while (size > 0 && r > 0) {
        size_t most = (size_t)size < sizeof(data) ? (size_t)size : sizeof(data);

        r = jg_stream_read(&peer->stream, data, most);
        if (r > 0)
            site_log(peer->site, data, (size_t)r);
        size -= r;
    }
    return r;
}

/* Read a request and write it down. Returns > 0 if there was one. */
static inline int site_read_request(struct site_peer *peer)
{
    char head[8192];
    const char *field;
    int r = jg_stream_read_until(&peer->stream, "\r\n\r\n", 4, head, sizeof(head) - 1);

    if (r <= 0)
        return r;
    head[r] = 0;
    peer->requests++;
    site_log(peer->site, head, (size_t)r);
    if (peer->script->deaf)
        return 1;
    field = strstr(head, "\r\nContent-Length: ");
    if (field)
        return site_read_body(peer, atol(field + 18));
    if (strstr(head, "\r\nTransfer-Encoding: "))
        return site_read_body(peer, -1);
    return 1;
}

static inline int site_answer(struct site_peer *peer, const char *reply, size_t size)
{
    const struct site_script *script = peer->script;
    size_t piece = script->piece ? script->piece : size;

    for (size_t at = 0; at < size; at += piece) {
        size_t n = piece < size - at ? piece : size - at;
        int r = 0;

        if (script->pause)
            r = jg_sleep(script->pause);
        if (r == 0)
            r = jg_stream_write(&peer->stream, reply + at, n);
        if (r == 0)
            r = jg_stream_drain(&peer->stream);
        if (r < 0)
            return r;
    }
    return 0;
}

static inline int site_serve(void *arg)
{
    struct site_peer *peer = arg;
    const struct site_script *script = peer->script;
    int r = 0;

    for (int i = 0; r == 0 && i < SITE_REPLIES && script->replies[i]; i++) {
        const char *reply = script->replies[i];

        if ((i > 0 || !script->at_once) && site_read_request(peer) <= 0)
            break;
        r = site_answer(peer, reply, i == 0 && script->size ? script->size : strlen(reply));
    }
    if (!script->close && !script->cut && !script->deaf) {
        while (r == 0 && site_read_request(peer) > 0)
            continue;
    } else if (script->deaf) {
        (void)jg_sleep(3600 * JG_SECOND);
    }
    if (script->cut && jg_sleep(JG_MILLISECOND) == 0)
        (void)jg_test_pair_fail(peer->client, JG_READ, 0, -ECONNRESET);
    jg_stream_abort(&peer->stream);
    return 0;
}

static inline int site_connect(void *arg, jg_stream *stream, const char *host, uint16_t port,
                               bool secure)
{
    struct site *site = arg;
    int index = site->connections++;
    struct site_peer *peer;
    int r;

    snprintf(site->hosts + strlen(site->hosts), sizeof(site->hosts) - strlen(site->hosts),
             "%s%s:%u ", secure ? "s/" : "", host, (unsigned)port);
    test_check(index < SITE_CONNECTIONS);
    peer = site->peers[index] = calloc(1, sizeof(*peer));
    peer->site = site;
    peer->client = stream;
    peer->script = &site->scripts[index < site->script_count ? index : site->script_count - 1];
    if (peer->script->delay) {
        r = jg_sleep(peer->script->delay);
        if (r < 0)
            return r;
    }
    if (peer->script->refuse)
        return peer->script->refuse;
    r = jg_test_pair(site->scope->loop, stream, &peer->stream, &site->pair);
    if (r < 0)
        return r;
    r = jg_spawn(site->scope, site_serve, peer, NULL);
    if (r < 0) {
        jg_stream_abort(stream);
        jg_stream_abort(&peer->stream);
    }
    return r;
}

static inline int site_main(void *arg)
{
    struct site *site = arg;

    site->options.connect = site_connect;
    site->options.connect_arg = site;
    test_check(jg_http_client_open(&site->client, site->world.loop, &site->options) == 0);
    site->result = site->main(site);
    jg_http_client_close(&site->client);
    test_check(site->client.connection_count == 0);
    jg_scope_cancel(&site->world.root);
    return 0;
}

static inline struct site *site_new(jg_coro_fn main, const struct site_script *scripts, int count)
{
    struct site *site = calloc(1, sizeof(*site));

    test_check(site);
    world_init(&site->world);
    site->scope = &site->world.root;
    site->main = main;
    site->scripts = scripts;
    site->script_count = count;
    return site;
}

static inline void site_run(struct site *site)
{
    test_check(jg_spawn(&site->world.root, site_main, site,
                        &(jg_spawn_options){.stack_size = 262144}) == 0);
    world_done(&site->world);
    for (int i = 0; i < site->connections; i++)
        free(site->peers[i]);
}

#endif
