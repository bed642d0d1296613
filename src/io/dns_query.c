/* SPDX-License-Identifier: MIT */
#include "io/dns_query.h"

#include "platform/descriptor.h"
#include "platform/dial.h"
#include "platform/entropy.h"

#include <errno.h>
#include <string.h>

/* Close what the current attempt has. */
static void hang_up(jg__dns_query *query)
{
    if (jg_handle_started(&query->watcher.handle))
        (void)jg_watcher_close(&query->watcher); /* there is nothing to lose */
    jg__free(&query->loop->allocator, query->reply, query->reply_size);
    query->reply = NULL;
    query->reply_size = query->received = 0;
}

static void finish(jg__dns_query *query, int status)
{
    hang_up(query);
    jg_timer_stop(&query->timer);
    query->status = status;
    query->done(query);
}

/* The current attempt is over: the timer goes on to the next. */
static void give_up(jg__dns_query *query, int status)
{
    hang_up(query);
    query->status = status;
    jg_call_later(query->loop, &query->timer, 0);
}

static int connect_to_server(jg__dns_query *query)
{
    const jg__resolve_config *config = query->config;
    const unsigned count = (unsigned)config->server_count;
    const jg_address *server = &config->servers[(query->first + (unsigned)query->attempt) % count];
    const unsigned events = query->stream ? JG_WRITE : JG_READ;
    int fd = jg__dial(server, query->stream);
    int r;

    if (fd < 0)
        return fd;

    r = jg_watcher_start(query->loop, &query->watcher, fd, events);
    if (r < 0)
        jg__fd_close(fd);
    return r;
}

/* Begin an attempt, with the server that is next, over UDP or TCP. */
static void begin(jg__dns_query *query, bool stream)
{
    int r;

    hang_up(query);
    query->stream = stream;
    query->sent = 0;
    r = jg__entropy(&query->question.id, sizeof(query->question.id));
    if (r == 0)
        r = connect_to_server(query);
    if (r == 0) {
        query->size = 2 + jg__dns_encode(&query->question, query->edns, query->message + 2);
        query->message[0] = (uint8_t)((query->size - 2) >> 8);
        query->message[1] = (uint8_t)(query->size - 2);
        if (!stream)
            r = jg__dial_send(query->watcher.handle.number, query->message + 2,
                              (size_t)query->size - 2);
    }
    if (r < 0)
        give_up(query, r == -EAGAIN || r == -EWOULDBLOCK ? JG_ETRYAGAIN : r);
    else
        jg_call_later(query->loop, &query->timer, query->config->timeout);
}

static void on_timer(void *arg)
{
    jg__dns_query *query = arg;

    if (jg_handle_started(&query->watcher.handle))
        query->status = JG_ETRYAGAIN; /* the time is up; else it failed before */
    if (++query->attempt >= query->config->attempts * query->config->server_count)
        finish(query, query->status);
    else
        begin(query, false);
}

static void handle_answer(jg__dns_query *query)
{
    const jg__dns_answer *answer = &query->answer;

    if (answer->truncated && query->stream)
        give_up(query, JG_ENAMEFAIL);
    else if (answer->truncated)
        begin(query, true);
    else if (answer->code == JG__DNS_NOERROR)
        finish(query, answer->count > 0 ? 0 : JG_ENOADDRESS);
    else if (answer->code == JG__DNS_NXDOMAIN)
        finish(query, JG_ENONAME);
    else if (answer->code == JG__DNS_SERVFAIL)
        give_up(query, JG_ETRYAGAIN);
    else if (query->edns && (answer->code == JG__DNS_FORMERR || answer->code == JG__DNS_NOTIMP)) {
        query->edns = false;
        begin(query, query->stream);
    } else
        give_up(query, JG_ENAMEFAIL);
}

static void handle_message(jg__dns_query *query, const uint8_t *message, size_t size)
{
    int r = jg__dns_decode(message, size, &query->question, &query->answer);

    if (r == 0)
        handle_answer(query);
    else if (r == -EBADMSG || query->stream)
        give_up(query, JG_ENAMEFAIL);
    /* Else it is somebody's guess, or an answer that comes late: the right one may follow. */
}

static void receive_datagram(jg__dns_query *query)
{
    uint8_t message[4096]; /* more than we announce */
    int r = jg__dial_receive(query->watcher.handle.number, message, sizeof(message));

    if (r >= 0)
        handle_message(query, message, (size_t)r);
    else if (r != -EAGAIN && r != -EWOULDBLOCK)
        give_up(query, r == -ECONNREFUSED ? JG_ETRYAGAIN : r);
}

static void send_stream(jg__dns_query *query)
{
    int r = jg__dial_send(query->watcher.handle.number, query->message + query->sent,
                          (size_t)(query->size - query->sent));

    if (r == -EAGAIN || r == -EWOULDBLOCK)
        return;
    if (r < 0) {
        give_up(query, JG_ETRYAGAIN);
        return;
    }
    query->sent += r;
    if (query->sent == query->size)
        (void)jg_watcher_modify(&query->watcher, JG_READ); /* it is started, the event valid */
}

/* Make room for the answer when its length is known. */
static int reserve_reply(jg__dns_query *query)
{
    const size_t size = (size_t)(query->head[0] << 8 | query->head[1]);

    if (size == 0)
        return JG_ENAMEFAIL;
    query->reply = jg__alloc(&query->loop->allocator, size);
    if (!query->reply)
        return -ENOMEM;
    query->reply_size = size;
    return 0;
}

/* `received` counts the two bytes of the length as well. */
static void receive_stream(jg__dns_query *query)
{
    const size_t head = sizeof(query->head);
    const bool in_head = query->received < head;
    uint8_t *to = in_head ? query->head + query->received : query->reply + query->received - head;
    const size_t room = (in_head ? head : head + query->reply_size) - query->received;
    int r = jg__dial_receive(query->watcher.handle.number, to, room);

    if (r == -EAGAIN || r == -EWOULDBLOCK)
        return;
    if (r > 0) {
        query->received += (size_t)r;
        if (query->received == head)
            r = reserve_reply(query);
        else if (query->received == head + query->reply_size && !in_head) {
            handle_message(query, query->reply, query->reply_size);
            return;
        }
    } else
        r = JG_ETRYAGAIN; /* it hung up */
    if (r < 0)
        give_up(query, r);
}

static void on_event(void *arg, int events)
{
    jg__dns_query *query = arg;

    if (events < 0) {
        if (events != -EBADF) /* then the number may be somebody else's */
            jg__fd_close(query->watcher.handle.number);
        give_up(query, events);
    } else if (!query->stream)
        receive_datagram(query);
    else if (events & JG_WRITE)
        send_stream(query);
    else
        receive_stream(query);
}

int jg__dns_query_start(jg__dns_query *query, const char *name, uint16_t type, unsigned first)
{
    int r = jg__dns_ask(&query->question, name, type);

    if (r < 0)
        return r;

    query->attempt = 0;
    query->first = first;
    query->edns = true;
    query->answer.count = 0;
    jg_watcher_init(&query->watcher, on_event, query);
    jg_timer_init(&query->timer, on_timer, query);
    begin(query, false);
    return 0;
}

void jg__dns_query_stop(jg__dns_query *query)
{
    if (!query->loop)
        return;
    hang_up(query);
    jg_timer_stop(&query->timer);
}
