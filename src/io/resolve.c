/* SPDX-License-Identifier: MIT
 *
 * Looking up names: what is known at once, else by our own queries or by the system's functions.
 *
 * A lookup is memory of the loop, from start until its op completes. Its queries are pending, or an
 * inner op of the executor is; what the executor's thread writes to is a block of its own, of
 * malloc, so that it can be abandoned with the thread.
 */
#include <juggle/resolve.h>

#include "coro/coro.h"
#include "io/dns_query.h"
#include "io/executor.h"
#include "io/resolve_config.h"
#include "platform/address.h"
#include "platform/dial.h"
#include "platform/entropy.h"
#include "platform/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOST_SIZE 256
#define MOST      ((size_t)2 * JG__DNS_ADDRESSES)

/* When one family is known, what a server that does not answer for the other may cost. */
#define PATIENCE (300 * JG_MILLISECOND)

/* What the executor's thread works on. */
struct look_up {
    jg_executor_job job;
    char host[HOST_SIZE];
    uint16_t port;
    jg_family family;
    jg_address addresses[MOST];
};

struct lookup {
    jg_loop *loop;
    jg_op *op;
    jg_address *addresses;
    size_t room;
    char host[HOST_SIZE];
    uint16_t port;
    jg_family family;

    jg__resolve_config config;
    unsigned first; /* server */
    int candidate;  /* of the names that the search list makes */
    bool exists;    /* a candidate does, but has no address */
    jg__dns_query v6, v4;
    int pending; /* of the two */
    jg_timer patience;

    jg_op inner; /* of the executor */
    struct look_up *look_up;
};

/* ------------------------------------------------------------ addresses */

static const jg_address *find_family(const jg_address *from, size_t count, jg_family family)
{
    for (size_t i = 0; i < count; i++) {
        if (jg_address_family(&from[i]) == family)
            return &from[i];
    }
    return NULL;
}

/* Give out addresses such that the families take turns. Returns how many there was room for. */
static int give(const jg_address *from, size_t count, jg_address *addresses, size_t room)
{
    const jg_address *v6 = find_family(from, count, JG_IPV6);
    const jg_address *v4 = find_family(from, count, JG_IPV4);
    size_t given = 0;
    bool turn_of_v6 = true;

    if (v6 && v4)
        turn_of_v6 = jg__is_routable(v6) || !jg__is_routable(v4);
    while (given < room && (v6 || v4)) {
        const jg_address **next = (turn_of_v6 && v6) || !v4 ? &v6 : &v4;
        const jg_address *one = *next;

        addresses[given++] = *one;
        *next = find_family(one + 1, (size_t)(from + count - one - 1), jg_address_family(one));
        turn_of_v6 = !turn_of_v6;
    }
    return (int)given;
}

/* -------------------------------------------------------------- the end */

static void free_lookup(struct lookup *lookup)
{
    jg__free(&lookup->loop->allocator, lookup, sizeof(*lookup));
}

static void finish(struct lookup *lookup, int status)
{
    jg__dns_query_stop(&lookup->v6);
    jg__dns_query_stop(&lookup->v4);
    jg_timer_stop(&lookup->patience);
    jg_op_complete(lookup->op, status);
    free_lookup(lookup);
}

static void cancel(jg_op *op)
{
    struct lookup *lookup = op->data;

    if (lookup->look_up)
        jg_op_cancel(&lookup->inner);
    else
        finish(lookup, -ECANCELED);
}

/* ---------------------------------------------------------- our queries */

/* The next name to ask for. Returns false if there is none. */
static bool next_candidate(struct lookup *lookup, char *name, size_t size)
{
    const size_t length = strlen(lookup->host);
    const bool absolute = lookup->host[length - 1] == '.';
    const int suffixes = absolute ? 0 : lookup->config.search_count;
    const int number = lookup->candidate++;
    int dots = 0;
    int suffix;

    for (size_t i = 0; i < length; i++)
        dots += lookup->host[i] == '.';

    /* With dots enough the name as it is comes first, else last. */
    suffix = dots >= lookup->config.ndots ? number - 1 : number;
    if (number > suffixes)
        return false;
    if (suffix < 0 || suffix >= suffixes)
        snprintf(name, size, "%s", lookup->host);
    else
        snprintf(name, size, "%s.%s", lookup->host, lookup->config.search[suffix]);
    return true;
}

static void on_query_done(jg__dns_query *query);

static void start_query(struct lookup *lookup, jg__dns_query *query, const char *name,
                        uint16_t type)
{
    *query = (jg__dns_query){
        .config = &lookup->config,
        .loop = lookup->loop,
        .done = on_query_done,
        .owner = lookup,
        .status = JG_ENONAME, /* if it is no name: the search list made it too long */
    };
    if (jg__dns_query_start(query, name, type, lookup->first) == 0)
        lookup->pending++;
}

/* Ask for the next candidate that can be asked for. */
static void ask(struct lookup *lookup)
{
    char name[2 * HOST_SIZE];

    while (lookup->pending == 0) {
        if (!next_candidate(lookup, name, sizeof(name))) {
            finish(lookup, lookup->exists ? JG_ENOADDRESS : JG_ENONAME);
            return;
        }
        lookup->v6.status = lookup->v4.status = JG_ENONAME;
        if (lookup->family != JG_IPV4)
            start_query(lookup, &lookup->v6, name, JG__DNS_AAAA);
        if (lookup->family != JG_IPV6)
            start_query(lookup, &lookup->v4, name, JG__DNS_A);
    }
}

/* Give out what the queries found. */
static void answer(struct lookup *lookup)
{
    jg_address found[MOST];
    size_t count = 0;

    for (int i = 0; i < lookup->v6.answer.count; i++)
        jg__address_ipv6(lookup->v6.answer.addresses[i], 0, lookup->port, &found[count++]);
    for (int i = 0; i < lookup->v4.answer.count; i++)
        jg__address_ipv4(lookup->v4.answer.addresses[i], lookup->port, &found[count++]);
    finish(lookup, give(found, count, lookup->addresses, lookup->room));
}

static void on_patience_lost(void *arg)
{
    answer(arg);
}

static bool is_absent(int status)
{
    return status == JG_ENONAME || status == JG_ENOADDRESS;
}

static void on_query_done(jg__dns_query *query)
{
    struct lookup *lookup = query->owner;
    const int v6 = lookup->v6.status, v4 = lookup->v4.status;

    lookup->pending--;
    if (lookup->pending > 0) {
        if (query->status == 0)
            jg_call_later(lookup->loop, &lookup->patience, PATIENCE);
        return;
    }

    /* A name that might exist after all must not become another one of the search list. */
    if (v6 == 0 || v4 == 0)
        answer(lookup);
    else if (!is_absent(v6) || !is_absent(v4))
        finish(lookup, is_absent(v4) ? v6 : v4);
    else {
        lookup->exists |= v6 == JG_ENOADDRESS || v4 == JG_ENOADDRESS;
        ask(lookup);
    }
}

static int read_config(struct lookup *lookup, const jg_resolve_options *options)
{
    const char *path = options->config ? options->config : "/etc/resolv.conf";
    jg__resolve_config *config = &lookup->config;
    jg__text text;
    int r = jg__text_read(&lookup->loop->allocator, path, &text);

    if (r < 0)
        return r;

    jg__resolve_config_parse(&text, config);
    jg__text_free(&lookup->loop->allocator, &text);
    if (options->server_count > 0) {
        const size_t size = options->server_count * sizeof(options->servers[0]);

        memcpy(config->servers, options->servers, size);
        config->server_count = (int)options->server_count;
    }
    return config->rotate ? jg__entropy(&lookup->first, sizeof(lookup->first)) : 0;
}

/* ------------------------------------------------------------ the system */

static int run_look_up(void *arg)
{
    struct look_up *look_up = arg;

    return jg__names_look_up(look_up->host, look_up->family, look_up->port, look_up->addresses,
                             MOST);
}

static void free_look_up(void *arg)
{
    jg__free(&jg__malloc, arg, sizeof(struct look_up));
}

static void on_looked_up(void *arg)
{
    struct lookup *lookup = arg;
    struct look_up *look_up = lookup->look_up;
    int r = jg_op_status(&lookup->inner);

    if (r > 0)
        r = give(look_up->addresses, (size_t)r, lookup->addresses, lookup->room);
    if (r != -ECANCELED)
        free_look_up(look_up); /* else it is the executor's */
    finish(lookup, r);
}

static int start_look_up(struct lookup *lookup)
{
    struct look_up *look_up;
    jg_executor *executor;
    int r = jg__executor_own(lookup->loop, JG__EXECUTOR_NAMES, &executor);

    if (r < 0)
        return r;

    look_up = jg__alloc(&jg__malloc, sizeof(*look_up));
    if (!look_up)
        return -ENOMEM;

    memcpy(look_up->host, lookup->host, sizeof(look_up->host));
    look_up->port = lookup->port;
    look_up->family = lookup->family;
    jg_op_init(&lookup->inner, lookup->loop, on_looked_up, lookup);
    r = jg_executor_run_start(executor, &look_up->job, run_look_up, look_up, free_look_up,
                              &lookup->inner);
    if (r < 0)
        free_look_up(look_up);
    else
        lookup->look_up = look_up;
    return r;
}

/* ---------------------------------------------------------------- start */

/* Whether `host` is a name that can be asked for: letters, digits, hyphens, underscores, dots. */
static bool is_name(const char *host)
{
    jg__dns_question question;

    for (const char *at = host; *at; at++) {
        const char c = *at;

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '_' && c != '.')
            return false;
    }
    return jg__dns_ask(&question, host, JG__DNS_A) == 0;
}

static bool ends_in(const char *host, const char *last_label)
{
    const size_t length = strlen(host), last = strlen(last_label);
    const size_t dot = length > 0 && host[length - 1] == '.';
    const size_t rest = length - dot > last ? length - dot - last : 0;

    return jg__names_equal(host + rest, length - rest, last_label, last) &&
           (rest == 0 || host[rest - 1] == '.');
}

/* Addresses that need no asking. Returns how many there are, 0 for none, or an error. */
static int find_at_once(jg_loop *loop, const char *host, uint16_t port,
                        const jg_resolve_options *options, jg_address found[MOST])
{
    const char *path = options->hosts ? options->hosts : "/etc/hosts";
    static const uint8_t loopback_v6[16] = {[15] = 1};
    static const uint8_t loopback_v4[4] = {127, 0, 0, 1};
    jg__text text;
    size_t count;
    int r = jg__address_numeric(host, port, &found[0]);

    if (r == 0)
        return 1;
    if (r != -EINVAL)
        return r;
    if (!is_name(host))
        return -EINVAL;

    r = jg__text_read(&loop->allocator, path, &text);
    if (r < 0)
        return r;
    count = jg__hosts_find(&text, host, options->family, port, found, MOST);
    jg__text_free(&loop->allocator, &text);

    /* RFC 6761, section 6.3: nobody else is to be asked. */
    if (count == 0 && ends_in(host, "localhost")) {
        jg__address_ipv6(loopback_v6, 0, port, &found[count++]);
        jg__address_ipv4(loopback_v4, port, &found[count++]);
    }
    return (int)count;
}

static int choose_way(jg_loop *loop, const char *host, jg_resolve_way *way)
{
    jg__text text;
    int r;

    if (*way != JG_RESOLVE_DEFAULT)
        return 0;

    r = jg__text_read(&loop->allocator, "/etc/nsswitch.conf", &text);
    if (r < 0)
        return r;
    *way = jg__nsswitch_is_plain(&text, jg__has_resolv_conf) && !ends_in(host, "local")
               ? JG_RESOLVE_DNS
               : JG_RESOLVE_SYSTEM;
    jg__text_free(&loop->allocator, &text);
    return 0;
}

/* Remove what is of another family. Returns how many are left. */
static int keep_family(jg_address *found, int count, jg_family family)
{
    int kept = 0;

    for (int i = 0; i < count; i++) {
        if (family == JG_FAMILY_NONE || jg_address_family(&found[i]) == family)
            found[kept++] = found[i];
    }
    return kept;
}

static bool is_valid(const char *host, const jg_resolve_options *options, size_t room)
{
    return room > 0 && strlen(host) < HOST_SIZE && options->family <= JG_IPV6 &&
           options->way <= JG_RESOLVE_SYSTEM && options->server_count <= JG__SERVERS;
}

/* Complete an op with what needed no asking. */
static int start_with(jg_op *op, int status)
{
    static const jg_provider provider = {"resolve", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, NULL);

    if (r == 0)
        jg_op_complete(op, status);
    return r;
}

/* Ask others. What fails from here on is the status of the op. */
static int start_asking(struct lookup *lookup, const jg_resolve_options *options)
{
    static const jg_provider provider = {"resolve", cancel};
    jg_resolve_way way = options->server_count > 0 ? JG_RESOLVE_DNS : options->way;
    int r = choose_way(lookup->loop, lookup->host, &way);

    if (r == 0 && way == JG_RESOLVE_DNS)
        r = read_config(lookup, options);
    if (r == 0)
        r = jg_op_start(lookup->op, &provider, lookup);
    if (r < 0)
        return r;

    if (way == JG_RESOLVE_DNS) {
        ask(lookup);
        return 0;
    }
    r = start_look_up(lookup);
    if (r < 0)
        finish(lookup, r);
    return 0;
}

int jg_resolve_start(const char *host, uint16_t port, const jg_resolve_options *options,
                     jg_address *addresses, size_t room, jg_op *op)
{
    static const jg_resolve_options defaults = {0};
    jg_address found[MOST];
    struct lookup *lookup;
    int r;

    jg__check_thread(op->loop);
    if (!options)
        options = &defaults;
    if (!is_valid(host, options, room))
        return -EINVAL;

    r = find_at_once(op->loop, host, port, options, found);
    if (r < 0)
        return r;
    if (r > 0) {
        r = keep_family(found, r, options->family);
        return start_with(op, r ? give(found, (size_t)r, addresses, room) : JG_ENOADDRESS);
    }

    lookup = jg__alloc(&op->loop->allocator, sizeof(*lookup));
    if (!lookup)
        return -ENOMEM;

    *lookup = (struct lookup){
        .loop = op->loop,
        .op = op,
        .addresses = addresses,
        .room = room,
        .port = port,
        .family = options->family,
    };
    memcpy(lookup->host, host, strlen(host));
    jg_timer_init(&lookup->patience, on_patience_lost, lookup);
    r = start_asking(lookup, options);
    if (r < 0)
        free_lookup(lookup);
    return r;
}

int jg_resolve(const char *host, uint16_t port, const jg_resolve_options *options,
               jg_address *addresses, size_t room)
{
    return jg__await_started(jg_resolve_start(host, port, options, addresses, room, jg__coro_op()));
}
