/* SPDX-License-Identifier: MIT
 *
 * One question to the name servers of a configuration: over UDP, again over TCP if the answer was
 * cut short, to one server after the other until one tells.
 *
 * Whatever fails goes through the timer, so `done` is never called inside start, and nothing is
 * nested. An attempt has a socket, a port and an id of its own; the socket is connected, so the
 * kernel drops what others send; what is not an answer to the question is not looked at further.
 */
#ifndef JG_IO_DNS_QUERY_H
#define JG_IO_DNS_QUERY_H

#include "core/loop.h"
#include "io/dns_message.h"
#include "io/resolve_config.h"

typedef struct jg__dns_query jg__dns_query;

struct jg__dns_query {
    const jg__resolve_config *config;
    jg_loop *loop;
    void (*done)(jg__dns_query *query); /* may free it */
    void *owner;                        /* the caller's */
    int status;                         /* when it is done */
    jg__dns_question question;
    jg__dns_answer answer; /* when it is done with 0 */

    jg_watcher watcher;
    jg_timer timer;
    unsigned first; /* server */
    int attempt;
    bool edns, stream;
    uint8_t message[2 + JG__DNS_QUERY]; /* the first two are its length, for a stream */
    int size, sent;
    uint8_t head[2]; /* the length of the answer */
    uint8_t *reply;  /* over a stream */
    size_t reply_size, received;
};

/*
 * Start. `query` has config, loop, done and owner; `first` is the server to begin with. Returns 0,
 * or -EINVAL for what is no name.
 */
int jg__dns_query_start(jg__dns_query *query, const char *name, uint16_t type, unsigned first);

/* Stop, without calling back. Harmless if it is done, or was never started but is zeroed. */
void jg__dns_query_stop(jg__dns_query *query);

#endif
