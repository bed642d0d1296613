/* SPDX-License-Identifier: MIT
 *
 * Queues.
 *
 * Invariants: getters wait only while the queue is empty, putters only while it is full; neither
 * while it is shut down. An op that waits is in one list and nowhere else, with the address of its
 * item as its data, so cancelling it touches nothing but the list.
 *
 * The slots are a ring that begins at `head` (FIFO), a stack (LIFO), or a binary heap, the least
 * item first, in which the number of each item stands at the end of its slot and decides between
 * equal ones (priority). A slot that is got from a full queue is the room for the next putter, so
 * only a putter that need not wait can lack memory.
 */
#include "sync/queue.h"

#include "coro/coro.h"

#include <errno.h>
#include <string.h>

#define FEWEST_SLOTS 16

static inline char *slot_at(const jg_queue *queue, size_t index)
{
    return queue->slots + index * queue->stride;
}

/* Most items are pointers, which need no call of a function. */
static inline void copy_item(const jg_queue *queue, void *to, const void *from)
{
    if (queue->item_size == sizeof(void *))
        memcpy(to, from, sizeof(void *));
    else
        memcpy(to, from, queue->item_size);
}

static inline jg_op *first_op(jg_link *waiters)
{
    return jg__has_waiters(waiters) ? jg__op_of(waiters->next) : NULL;
}

static uint64_t *number_of(const jg_queue *queue, char *slot)
{
    return (uint64_t *)(void *)(slot + queue->stride - sizeof(uint64_t));
}

static bool is_before(const jg_queue *queue, char *a, char *b)
{
    int order = queue->compare(a, b);

    return order < 0 || (order == 0 && *number_of(queue, a) < *number_of(queue, b));
}

/* Find the slot of an item that is newer than all others, moving those that come after it. */
static char *heap_insert(jg_queue *queue, const void *item)
{
    size_t hole = queue->size;

    while (hole > 0) {
        size_t parent = (hole - 1) / 2;

        if (queue->compare(item, slot_at(queue, parent)) >= 0)
            break;
        memcpy(slot_at(queue, hole), slot_at(queue, parent), queue->stride);
        hole = parent;
    }
    *number_of(queue, slot_at(queue, hole)) = queue->accepted;
    return slot_at(queue, hole);
}

/* Remove the first item: the last of them, just behind the `size` that stay, moves up. */
static void heap_remove(jg_queue *queue)
{
    char *last = slot_at(queue, queue->size);
    size_t hole = 0;

    for (;;) {
        size_t child = 2 * hole + 1;

        if (child >= queue->size)
            break;
        if (child + 1 < queue->size &&
            is_before(queue, slot_at(queue, child + 1), slot_at(queue, child)))
            child++;
        if (!is_before(queue, slot_at(queue, child), last))
            break;
        memcpy(slot_at(queue, hole), slot_at(queue, child), queue->stride);
        hole = child;
    }
    if (hole < queue->size)
        memcpy(slot_at(queue, hole), last, queue->stride);
}

static int resize(jg_queue *queue, size_t capacity)
{
    size_t older = queue->capacity - queue->head; /* items before the ring wraps, if it is full */
    char *slots;

    if (capacity > SIZE_MAX / queue->stride)
        return -ENOMEM;
    slots = jg__resize(&queue->loop->allocator, queue->slots, queue->capacity * queue->stride,
                       capacity * queue->stride);
    if (!slots)
        return -ENOMEM;

    queue->slots = slots;
    if (queue->head > 0) {
        memmove(slot_at(queue, capacity - older), slot_at(queue, queue->head),
                older * queue->stride);
        queue->head = capacity - older;
    }
    queue->capacity = capacity;
    return 0;
}

/* Make room for an item when all slots are taken. */
static int grow(jg_queue *queue)
{
    size_t capacity = queue->capacity;

    if (capacity > SIZE_MAX / 2)
        return -ENOMEM;
    capacity = capacity > 0 ? 2 * capacity : FEWEST_SLOTS;
    if (capacity > queue->limit && queue->capacity < queue->limit)
        capacity = queue->limit;
    return resize(queue, capacity);
}

static int store(jg_queue *queue, const void *item)
{
    size_t index = queue->head + queue->size;
    char *slot;

    if (queue->size == queue->capacity) {
        int r = grow(queue);

        if (r < 0)
            return r;
        index = queue->head + queue->size;
    }

    if (queue->order == JG_PRIORITY)
        slot = heap_insert(queue, item);
    else
        slot = slot_at(queue, index < queue->capacity ? index : index - queue->capacity);
    copy_item(queue, slot, item);
    queue->size++;
    if (queue->size > queue->peak)
        queue->peak = queue->size;
    return 0;
}

/* The item that is next to be got. */
static inline char *next_item(const jg_queue *queue)
{
    return slot_at(queue, queue->order == JG_LIFO ? queue->size - 1 : queue->head);
}

static void remove_next(jg_queue *queue)
{
    queue->size--;
    if (queue->order == JG_FIFO) {
        queue->head++;
        if (queue->head == queue->capacity)
            queue->head = 0;
    } else if (queue->order == JG_PRIORITY) {
        heap_remove(queue);
    }
}

/* Take an item in, from a putter whose turn it is: to the getter whose turn it is, or a slot. */
static int put_now(jg_queue *queue, const void *item)
{
    jg_op *getter = first_op(&queue->getters);

    if (getter) {
        copy_item(queue, getter->data, item);
        jg__op_complete(getter, 0);
    } else {
        int r = store(queue, item);

        if (r < 0)
            return r;
    }
    queue->accepted++;
    queue->unfinished++;
    return 0;
}

int jg__queue_put_above_limit(jg_queue *queue, const void *item)
{
    return queue->is_shut ? JG_ESHUTDOWN : put_now(queue, item);
}

int jg_queue_try_put(jg_queue *queue, const void *item)
{
    jg__check_thread(queue->loop);
    if (queue->is_shut)
        return JG_ESHUTDOWN;
    if (jg_queue_full(queue))
        return -EAGAIN;
    return put_now(queue, item);
}

/* Take the next item out, which makes room for the putter that has waited longest. */
static void get_now(jg_queue *queue, void *ret_item)
{
    jg_op *putter;

    copy_item(queue, ret_item, next_item(queue));
    remove_next(queue);
    putter = first_op(&queue->putters);
    if (putter && !jg_queue_full(queue)) {
        (void)put_now(queue, putter->data); /* there is a slot for it */
        jg__op_complete(putter, 0);
    }
}

int jg_queue_try_get(jg_queue *queue, void *ret_item)
{
    jg__check_thread(queue->loop);
    if (jg_queue_empty(queue))
        return queue->is_shut ? JG_ESHUTDOWN : -EAGAIN;

    get_now(queue, ret_item);
    return 0;
}

int jg_queue_put_start(jg_queue *queue, const void *item, jg_op *op)
{
    static const jg_provider provider = {"queue put", jg__op_cancel_listed};
    int r = jg__op_start(op, &provider, (void *)(uintptr_t)item);

    if (r < 0)
        return r;

    r = jg_queue_try_put(queue, item);
    if (r == -EAGAIN)
        jg__waiters_append(&queue->putters, op);
    else
        jg_op_complete(op, r);
    return 0;
}

int jg_queue_get_start(jg_queue *queue, void *ret_item, jg_op *op)
{
    static const jg_provider provider = {"queue get", jg__op_cancel_listed};
    int r = jg__op_start(op, &provider, ret_item);

    if (r < 0)
        return r;

    r = jg_queue_try_get(queue, ret_item);
    if (r == -EAGAIN)
        jg__waiters_append(&queue->getters, op);
    else
        jg_op_complete(op, r);
    return 0;
}

int jg_queue_put(jg_queue *queue, const void *item)
{
    if (!jg_queue_full(queue) && jg__coro_spend())
        return jg_queue_try_put(queue, item);
    return jg__await_started(jg_queue_put_start(queue, item, jg__coro_op()));
}

int jg_queue_get(jg_queue *queue, void *ret_item)
{
    if (!jg_queue_empty(queue) && jg__coro_spend())
        return jg_queue_try_get(queue, ret_item);
    return jg__await_started(jg_queue_get_start(queue, ret_item, jg__coro_op()));
}

static void finish(jg_queue *queue)
{
    queue->unfinished--;
    if (queue->unfinished == 0)
        jg__waiters_complete(&queue->joiners, 0);
}

int jg_queue_task_done(jg_queue *queue)
{
    jg__check_thread(queue->loop);
    if (queue->unfinished == 0)
        return -EINVAL;

    finish(queue);
    return 0;
}

int jg_queue_join_start(jg_queue *queue, jg_op *op)
{
    static const jg_provider provider = {"queue join", jg__op_cancel_listed};
    int r = jg_op_start(op, &provider, queue);

    if (r < 0)
        return r;

    if (queue->unfinished > 0)
        jg__waiters_append(&queue->joiners, op);
    else
        jg_op_complete(op, 0);
    return 0;
}

int jg_queue_join(jg_queue *queue)
{
    return jg__await_started(jg_queue_join_start(queue, jg__coro_op()));
}

static void tell_drop(jg_queue *queue, void *item)
{
    queue->dropped++;
    if (queue->drop)
        queue->drop(queue->drop_arg, item);
}

void jg__queue_drop(jg_queue *queue, void *item)
{
    queue->accepted++;
    tell_drop(queue, item);
}

static size_t drop_all(jg_queue *queue)
{
    size_t count = queue->size;

    while (!jg_queue_empty(queue)) {
        tell_drop(queue, next_item(queue));
        remove_next(queue);
        if (queue->unfinished > 0) /* 0: somebody was done with it too early */
            finish(queue);
    }
    return count;
}

size_t jg_queue_shutdown(jg_queue *queue, bool immediate)
{
    jg__check_thread(queue->loop);
    queue->is_shut = true;
    jg__waiters_complete(&queue->getters, JG_ESHUTDOWN);
    jg__waiters_complete(&queue->putters, JG_ESHUTDOWN);
    return immediate ? drop_all(queue) : 0;
}

static bool is_valid(const jg_queue_options *options)
{
    return options->item_size < SIZE_MAX / 2 &&
           (options->limit == 0 || options->reserve <= options->limit) &&
           options->order <= JG_PRIORITY &&
           (options->order == JG_PRIORITY) == (options->compare != NULL);
}

int jg_queue_init(jg_queue *queue, jg_loop *loop, const jg_queue_options *options)
{
    static const jg_queue_options defaults = {0};
    jg_queue made;
    int r = 0;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    if (!is_valid(options))
        return -EINVAL;

    made = (jg_queue){
        .loop = loop,
        .item_size = options->item_size > 0 ? options->item_size : sizeof(void *),
        .limit = options->limit > 0 ? options->limit : SIZE_MAX,
        .order = options->order,
        .compare = options->compare,
        .drop = options->drop,
        .drop_arg = options->drop_arg,
    };
    made.stride = made.item_size;
    if (made.order == JG_PRIORITY)
        made.stride = jg__queue_stride(made.item_size, sizeof(uint64_t));
    if (options->reserve > 0)
        r = resize(&made, options->reserve);
    if (r < 0)
        return r;

    *queue = made;
    return 0;
}

size_t jg_queue_fini(jg_queue *queue)
{
    size_t dropped;

    if (!queue->loop)
        return 0; /* zeroed memory */

    jg__check_thread(queue->loop);
    dropped = drop_all(queue);
    jg__check(!jg__has_waiters(&queue->getters) && !jg__has_waiters(&queue->putters) &&
                  !jg__has_waiters(&queue->joiners),
              "somebody waits for the queue");
    jg__free(&queue->loop->allocator, queue->slots, queue->capacity * queue->stride);
    queue->slots = NULL;
    queue->capacity = 0;
    return dropped;
}

static size_t count_waiters(const jg_link *waiters)
{
    size_t count = 0;

    if (jg__has_waiters(waiters)) {
        for (const jg_link *link = waiters->next; link != waiters; link = link->next)
            count++;
    }
    return count;
}

void jg_queue_stat(const jg_queue *queue, jg_queue_stats *ret_stats)
{
    *ret_stats = (jg_queue_stats){
        .getters = count_waiters(&queue->getters),
        .putters = count_waiters(&queue->putters),
        .peak = queue->peak,
        .unfinished = queue->unfinished,
        .accepted = queue->accepted,
        .got = queue->accepted - queue->dropped - queue->size,
        .dropped = queue->dropped,
    };
}
