/* SPDX-License-Identifier: MIT
 *
 * Ports: the way into a queue from other threads.
 *
 * A ring of slots, each with a number that says whose turn it is: the position that may be written
 * there; one more when the item is written; the position one round later when it is taken out. A
 * sender claims a position by moving `tail`, writes, and sets the number; the loop follows with
 * `head`. Nobody waits for anybody: where a sender was interrupted between claim and number the
 * loop stops, and goes on when that sender wakes it. With less than two slots "written" and "one
 * round later" would be the same.
 *
 * Why nothing is left lying: each sender sends the wake after it has set the number. A wake that it
 * was merged with runs later than that, and looks at every slot from `head` on.
 */
#include "sync/queue.h"

#include <errno.h>
#include <string.h>

#define RETRY_AFTER (10 * JG_MILLISECOND)

/* The item of a slot lies behind its number, aligned for any type. */
#define ITEM_OFFSET _Alignof(max_align_t)

static char *slot_at(const jg_queue_port *port, size_t position)
{
    return port->slots + (position & (port->size - 1)) * port->stride;
}

static size_t *number_of(char *slot)
{
    return (size_t *)(void *)slot;
}

int jg_queue_port_send(jg_queue_port *port, const void *item)
{
    size_t position = jg__load_relaxed(&port->tail);
    char *slot;

    if (jg__load_relaxed(&port->shut))
        return JG_ESHUTDOWN;

    for (;;) {
        ptrdiff_t ahead;

        slot = slot_at(port, position);
        ahead = (ptrdiff_t)(jg__load(number_of(slot)) - position);
        if (ahead < 0)
            return -EAGAIN; /* what was sent one round before is still there */
        if (ahead > 0)
            position = jg__load_relaxed(&port->tail);
        else if (jg__compare_exchange(&port->tail, &position, position + 1))
            break;
    }

    memcpy(slot + ITEM_OFFSET, item, port->queue->item_size);
    jg__store(number_of(slot), position + 1);
    jg_wake_send(&port->wake);
    return 0;
}

/* The oldest item on the way, or NULL. */
static void *oldest(jg_queue_port *port)
{
    char *slot = slot_at(port, port->head);

    return jg__load(number_of(slot)) == port->head + 1 ? slot + ITEM_OFFSET : NULL;
}

static void release_oldest(jg_queue_port *port)
{
    jg__store(number_of(slot_at(port, port->head)), port->head + port->size);
    port->head++;
}

/* Move items to the queue, one round at most, since senders may be as fast as this. */
static void pump(void *arg)
{
    jg_queue_port *port = arg;
    void *item;

    for (size_t i = 0; i < port->size && !port->putting && (item = oldest(port)); i++) {
        int r = jg_queue_try_put(port->queue, item);

        if (r == -ENOMEM) {
            jg_call_later(port->queue->loop, &port->retry, RETRY_AFTER);
            return;
        }
        if (r == -EAGAIN) {
            port->putting = true;
            (void)jg_queue_put_start(port->queue, item, &port->put); /* no scope refuses it */
            return;
        }
        if (r == JG_ESHUTDOWN) {
            jg__store_relaxed(&port->shut, 1);
            jg__queue_drop(port->queue, item);
        }
        release_oldest(port);
    }
}

/* The item that waited for room was put, or the queue was shut down, as pump will find. */
static void on_put(void *arg)
{
    jg_queue_port *port = arg;

    port->putting = false;
    if (jg_op_status(&port->put) == 0)
        release_oldest(port);
    pump(port);
}

int jg_queue_port_open(jg_queue_port *port, jg_queue *queue, size_t slots)
{
    jg_loop *loop = queue->loop;
    size_t stride = jg__queue_stride(queue->item_size, ITEM_OFFSET);
    size_t size = 2;
    char *memory;

    jg__check_thread(loop);
    if (slots == 0)
        return -EINVAL;
    while (size < slots && size <= SIZE_MAX / 4)
        size *= 2;
    if (size < slots || size > SIZE_MAX / stride)
        return -ENOMEM;
    memory = jg__alloc(&loop->allocator, size * stride);
    if (!memory)
        return -ENOMEM;

    *port = (jg_queue_port){.queue = queue, .slots = memory, .size = size, .stride = stride};
    for (size_t position = 0; position < size; position++)
        *number_of(slot_at(port, position)) = position;
    jg_op_init(&port->put, loop, on_put, port);
    jg_timer_init(&port->retry, pump, port);
    jg_wake_init(&port->wake, pump, port);
    jg_wake_start(loop, &port->wake);
    return 0;
}

void jg_queue_port_close(jg_queue_port *port)
{
    jg_queue *queue = port->queue;
    void *item;

    if (!port->slots)
        return;

    jg_wake_stop(&port->wake);
    jg_timer_stop(&port->retry);
    if (port->putting) {
        jg_op_cancel(&port->put);
        (void)jg_call_cancel(&port->put.call); /* this is its completion */
        if (jg_op_status(&port->put) == 0)
            release_oldest(port);
    }
    while ((item = oldest(port))) {
        if (jg__queue_put_above_limit(queue, item) < 0)
            jg__queue_drop(queue, item);
        release_oldest(port);
    }
    jg__free(&queue->loop->allocator, port->slots, port->size * port->stride);
    port->slots = NULL;
}
