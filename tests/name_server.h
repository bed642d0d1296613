/* SPDX-License-Identifier: MIT
 *
 * Scripted name servers on loopback, over UDP and TCP, which run on the loop of a test and do not
 * keep it running.
 */
#ifndef JUGGLE_TESTS_NAME_SERVER_H
#define JUGGLE_TESTS_NAME_SERVER_H

#include "support.h"

#include "io/dns_message.h"

/* What a server does about a name: the flags may be combined. */
enum {
    SILENT = 1 << 0,
    TRUNCATED = 1 << 1,    /* over UDP: ask again over TCP */
    WRONG_ID = 1 << 2,     /* before the right answer, one with another id */
    WRONG_NAME = 1 << 3,   /* before it, one to another question */
    WRONG_SOURCE = 1 << 4, /* before it, one from another port */
    BROKEN = 1 << 5,       /* a name that points to itself */
    NO_EDNS = 1 << 6,      /* FORMERR for queries with EDNS */
    HANG_UP = 1 << 7,      /* over TCP: before the end of the answer */
    DRIBBLE = 1 << 8,      /* over TCP: a byte at a time */
    WRONG_TYPE = 1 << 9,   /* before the right answer, one to a question for another type */
    MUTE = 1 << 10,        /* over TCP: no answer */
    LIE = 1 << 11          /* over TCP: another id */
};

struct name_rule {
    const char *name;
    int type; /* 0: both */
    int flags;
    int code;
    int count;         /* of addresses: 127.0.0.1 and up, or ::1 and up */
    const char *alias; /* the addresses are of this name, and the name is an alias of it */
};

struct name_server {
    jg_loop *loop;
    jg_address address;
    const struct name_rule *rules;
    size_t rule_count;
    int queries, stream_queries;
    jg_watcher udp, listener, stream;
    char asked[512]; /* names, in order */
};

/* The rules must stay. What no rule is about does not exist. */
void name_server_start(struct name_server *server, jg_loop *loop, const struct name_rule *rules,
                       size_t count);
void name_server_stop(struct name_server *server);

#endif
