/* SPDX-License-Identifier: MIT
 *
 * A server and a client with a connection in memory between them, in virtual time: bytes in, bytes
 * out.
 */
#ifndef JUGGLE_TESTS_HTTP_TABLE_H
#define JUGGLE_TESTS_HTTP_TABLE_H

#include "support.h"
#include "world.h"

#include <juggle/coro.h>
#include <juggle/http_server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    struct world world;
    jg_http_server server;
    jg_stream ours, client; /* the server's end, and the client's */
    jg_test_pair_options pair;
    const char *text; /* what the client sends */
    size_t size;      /* of that; 0: strlen */
    size_t piece;     /* bytes at a time, with a pause after each; 0: all at once */
    jg_time pause;
    bool keep_open;                        /* the client does not end its side */
    bool deaf;                             /* nor read, for the first ten minutes */
    bool sockets;                          /* between them, in place of memory */
    size_t most;                           /* bytes that it reads at a time; 0: any number */
    jg_time rest;                          /* before each read */
    void (*on_bytes)(struct table *table); /* some were received; or NULL */
    jg_time stay;                          /* that the client is there after the end */
    jg_time grace;                         /* of the close, at the end */
    int closed;                            /* calls of on_closed */
    jg_time closed_at;
    int close_status;
    jg_time began_at; /* when the client saw the first byte */
    jg_time ended_at; /* and the end */
    int end;          /* 0: a regular end of the connection, or an error */
    int dates;        /* how many Date fields there were */
    size_t received;
    char output[1 << 20];
};

static inline void table_on_closed(void *arg)
{
    struct table *table = arg;

    table->closed++;
    table->closed_at = jg_loop_now(table->world.loop);
}

static inline int table_send(void *arg)
{
    struct table *table = arg;
    size_t size = table->size ? table->size : strlen(table->text);
    size_t piece = table->piece ? table->piece : size;

    for (size_t at = 0; at < size; at += piece) {
        size_t n = piece < size - at ? piece : size - at;

        if (jg_stream_write(&table->client, table->text + at, n) < 0 ||
            jg_stream_drain(&table->client) < 0)
            return 0;
        if (table->pause && jg_sleep(table->pause) < 0)
            return 0;
    }
    if (!table->keep_open)
        (void)jg_stream_shut(&table->client);
    return 0;
}

static inline int table_receive(void *arg)
{
    struct table *table = arg;
    int r;

    if (table->deaf)
        (void)jg_sleep(600 * JG_SECOND);
    do {
        char waste[4096];
        size_t room = sizeof(table->output) - 1 - table->received;
        bool full = room < sizeof(waste);

        if (table->most > 0 && room > table->most)
            room = table->most;
        if (table->rest > 0)
            (void)jg_sleep(table->rest);
        r = jg_stream_read(&table->client, full ? waste : table->output + table->received,
                           full ? sizeof(waste) : room);
        if (r > 0 && table->received == 0)
            table->began_at = jg_loop_now(table->world.loop);
        if (r > 0 && !full)
            table->received += (size_t)r;
        if (r > 0 && table->on_bytes)
            table->on_bytes(table);
    } while (r > 0);
    table->end = r;
    table->ended_at = jg_loop_now(table->world.loop);
    table->output[table->received] = 0;
    return 0;
}

static inline int table_main(void *arg)
{
    struct table *table = arg;
    jg_job jobs[2] = {{.fn = table_send, .arg = table}, {.fn = table_receive, .arg = table}};

    test_check(jg_gather(jobs, 2, JG_KEEP_GOING) == 0);
    (void)jg_sleep(table->stay);
    jg_stream_abort(&table->client);
    table->close_status = jg_http_server_close(&table->server, table->grace);
    return 0;
}

/* Cut out the Date fields, which are there and look like dates. */
static inline void table_cut_dates(struct table *table)
{
    char *date;

    for (date = table->output; (date = strstr(date, "\r\nDate: ")) != NULL;) {
        test_check(strlen(date) >= 39 && memcmp(date + 33, " GMT\r\n", 6) == 0);
        memmove(date, date + 37, strlen(date + 37) + 1);
        table->received -= 37;
        table->dates++;
    }
}

static inline struct table *table_new(jg_http_handler_fn handler,
                                      const jg_http_server_options *options)
{
    struct table *table = calloc(1, sizeof(*table));

    test_check(table);
    world_init(&table->world);
    table->text = "";
    table->grace = JG_FOREVER;
    test_check(jg_http_server_open(&table->server, table->world.loop, handler, table, options) ==
               0);
    return table;
}

static inline void table_connect(struct table *table)
{
    jg_loop *loop = table->world.loop;
    int fds[2];

    if (!table->sockets) {
        test_check(jg_test_pair(loop, &table->ours, &table->client, &table->pair) == 0);
        return;
    }
    test_check(test_socketpair(fds) == 0);
    test_check(jg_stream_open(&table->ours, loop, fds[0], &table->pair.stream) == 0);
    test_check(jg_stream_open(&table->client, loop, fds[1], &table->pair.stream) == 0);
}

/* Let the client send and receive until the connection ends, then close the server. */
static inline void table_run(struct table *table)
{
    table_connect(table);
    test_check(jg_http_serve(&table->server, &table->ours, table_on_closed, table) == 0);
    test_check(jg_spawn(&table->world.root, table_main, table, NULL) == 0);
    world_done(&table->world);
    test_check(table->closed == 1);
    table_cut_dates(table);
}

/* Expect this output, without its Date fields. */
static inline void table_expect(struct table *table, const char *output)
{
    if (strcmp(table->output, output) != 0)
        fprintf(stderr, "got:\n%s\nexpected:\n%s\n", table->output, output);
    assert_string_equal(table->output, output);
}

#endif
