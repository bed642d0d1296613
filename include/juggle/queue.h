/* SPDX-License-Identifier: MIT
 *
 * Queues: items from those who have them to those who want them, and a way in for other threads.
 *
 * Items are values of one size, copied in and out. Pointers are the values of the default size:
 *
 *     struct job *job = …;
 *     r = jg_queue_put(&queue, &job);      the address of the pointer, as of any other value
 *     r = jg_queue_get(&queue, &job);
 *
 * The rules:
 *   - An item goes straight to the getter that has waited longest; the room that it leaves goes to
 *     the putter that has waited longest. Nobody overtakes those who wait, the try_ functions
 *     included.
 *   - An item that was handed over is delivered, even if its getter is cancelled before it runs. A
 *     getter that was cancelled before holds nothing; the item of a putter that was cancelled
 *     before was not put.
 *   - What is accepted is got, or told of as dropped.
 *
 * Memory comes from the loop's allocator as items are stored, doubling up to the limit. It is kept
 * for items to come until the queue goes. A queue that hands over each item at once has none.
 */
#ifndef JUGGLE_QUEUE_H
#define JUGGLE_QUEUE_H

#include <juggle/op.h>
#include <juggle/timer.h>
#include <juggle/wake.h>

JG_BEGIN_DECLS

typedef enum jg_queue_order {
    JG_FIFO,    /* asyncio: Queue */
    JG_LIFO,    /* asyncio: LifoQueue */
    JG_PRIORITY /* the least item first, equal ones in the order they came. PriorityQueue */
} jg_queue_order;

/* Zeroed memory is a valid set of options; so is NULL in its place: pointers, FIFO, no limit. */
typedef struct jg_queue_options {
    size_t item_size; /* bytes; 0: of a pointer */
    size_t limit;     /* items that wait to be got; 0: as many as there is memory for */
    size_t reserve;   /* items to have memory for from the start; with `limit` no put lacks it */
    jg_queue_order order;
    int (*compare)(const void *a, const void *b); /* for JG_PRIORITY, as for qsort */
    void (*drop)(void *arg, void *item); /* told of dropped items; must leave the queue alone */
    void *drop_arg;
} jg_queue_options;

typedef struct jg_queue {
    jg_loop *loop;
    jg_link getters, putters, joiners;
    char *slots;
    size_t capacity, stride; /* of the slots: their number, and the bytes from one to the next */
    size_t head, size;       /* the items that are in them */
    size_t item_size, limit;
    jg_queue_order order;
    bool is_shut;
    int (*compare)(const void *a, const void *b);
    void (*drop)(void *arg, void *item);
    void *drop_arg;
    size_t unfinished, peak;
    uint64_t accepted, dropped;
} jg_queue;

/**
 * Prepare a queue. A limit of 0 is none, as asyncio has it; there is no queue of no room at all.
 *
 * options   or NULL. Items are aligned for any type of C, in compare and drop, too.
 *
 * Returns   0; -EINVAL for more reserve than limit, an unknown order, or a compare function that is
 *           missing or not wanted; -ENOMEM.
 * Owns      nothing; `queue` must stay until jg_queue_fini.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_queue_init(jg_queue *queue, jg_loop *loop, const jg_queue_options *options);

/**
 * End a queue that nobody waits for, or do nothing with zeroed memory. Items that are in it are
 * dropped.
 *
 * Returns   how many that were; 0 is a clean end.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API size_t jg_queue_fini(jg_queue *queue);

/**
 * Put an item, as soon as there is room. asyncio: put.
 *
 * item      item_size bytes; must stay until the op completed.
 *
 * Returns   0, or -ECANCELED as jg_op_start. The op's status: 0, and the item was put; or, and it
 *           was not, JG_ESHUTDOWN, -ENOMEM, -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no; jg_queue_put yes, and it returns the op's status.
 */
JG_API int jg_queue_put_start(jg_queue *queue, const void *item, jg_op *op);
JG_API int jg_queue_put(jg_queue *queue, const void *item);

/**
 * Get an item, as soon as there is one. asyncio: get.
 *
 * ret_item  item_size bytes, set when the op completes with 0; must stay until the op completed.
 *
 * Returns   0, or -ECANCELED as jg_op_start. The op's status: 0; JG_ESHUTDOWN if the queue was shut
 *           down and nothing is left in it; -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no; jg_queue_get yes, and it returns the op's status.
 */
JG_API int jg_queue_get_start(jg_queue *queue, void *ret_item, jg_op *op);
JG_API int jg_queue_get(jg_queue *queue, void *ret_item);

/**
 * Put or get an item only if that needs no wait. asyncio: put_nowait, get_nowait.
 *
 * Returns   0; -EAGAIN if the queue is full, or empty; JG_ESHUTDOWN; of put, -ENOMEM.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_queue_try_put(jg_queue *queue, const void *item);
JG_API int jg_queue_try_get(jg_queue *queue, void *ret_item);

/**
 * Tell that an item that was got is dealt with. asyncio: task_done.
 *
 * Returns   0; -EINVAL if that was told of every item already.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_queue_task_done(jg_queue *queue);

/**
 * Wait until every item that was put is dealt with: got and told of by jg_queue_task_done, or
 * dropped. asyncio: join.
 *
 * Returns   0, or -ECANCELED as jg_op_start; the op's status is 0 or -ECANCELED.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no; jg_queue_join yes, and it returns the op's status.
 */
JG_API int jg_queue_join_start(jg_queue *queue, jg_op *op);
JG_API int jg_queue_join(jg_queue *queue);

/**
 * Let nothing more in. Putters that wait, and whoever puts from now on, get JG_ESHUTDOWN; getters
 * do when the queue is empty. May be called again, to drop what the first time left to be got.
 * asyncio: Queue.shutdown.
 *
 * immediate  drop the items that are in the queue, in the order they would be got.
 *
 * Returns   how many items were dropped.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API size_t jg_queue_shutdown(jg_queue *queue, bool immediate);

/* How many items are in the queue. asyncio: qsize. */
static inline size_t jg_queue_size(const jg_queue *queue)
{
    return queue->size;
}

/* How many may be; SIZE_MAX is no limit. asyncio: maxsize. */
static inline size_t jg_queue_limit(const jg_queue *queue)
{
    return queue->limit;
}

static inline bool jg_queue_empty(const jg_queue *queue)
{
    return queue->size == 0;
}

static inline bool jg_queue_full(const jg_queue *queue)
{
    return queue->size >= queue->limit;
}

typedef struct jg_queue_stats {
    size_t getters, putters; /* that wait */
    size_t peak;             /* the most items that ever were in the queue */
    size_t unfinished;       /* items that jg_queue_join waits for */
    uint64_t accepted;       /* items put, ever */
    uint64_t got, dropped;   /* of those; the rest are in the queue */
} jg_queue_stats;

/* What went on in a queue. Takes time in proportion to those who wait. */
JG_API void jg_queue_stat(const jg_queue *queue, jg_queue_stats *ret_stats);

/* --------------------------------------------------------------- other threads */

/* A way into a queue from other threads: a ring of slots between them and the loop. */
typedef struct jg_queue_port {
    jg_wake wake; /* first */
    jg_queue *queue;
    jg_op put; /* of the oldest item, while the queue is full */
    bool putting;
    jg_timer retry; /* while there is no memory */
    char *slots;
    size_t size, stride;
    size_t head; /* the loop's end */
    size_t tail; /* the senders' end */
    int shut;
} jg_queue_port;

/**
 * Open a way into a queue. It keeps the loop alive, since an item may come: jg_handle_unref(
 * &port->wake.handle) changes that.
 *
 * slots     items that it holds while they are on the way; rounded up to a power of two.
 *
 * Returns   0; -EINVAL for no slots; -ENOMEM.
 * Owns      nothing; `port` must stay until it is closed, and `queue` as long.
 * Thread    loop.
 * Suspends  no.
 */
JG_API int jg_queue_port_open(jg_queue_port *port, jg_queue *queue, size_t slots);

/**
 * Put an item from another thread. Items of one thread keep their order. While the queue is full
 * they wait in the port. asyncio: call_soon_threadsafe(queue.put_nowait, item).
 *
 * port      open, and not being closed at the same time.
 *
 * Returns   0, and the item is accepted; -EAGAIN if the port is full; JG_ESHUTDOWN if the queue was
 *           shut down. An item accepted that meets a queue that is shut down is dropped there.
 * Owns      nothing.
 * Thread    any; also from a signal handler.
 * Suspends  no; it does not block either.
 */
JG_API int jg_queue_port_send(jg_queue_port *port, const void *item);

/**
 * Close a port. No thread may be in jg_queue_port_send, or call it any more. What is still on the
 * way goes to the queue first, even above its limit; it is dropped only if the queue is shut down
 * or there is no memory. So to lose nothing: end the threads, close the port, shut down the queue.
 *
 * Returns   nothing; it cannot fail. Harmless if the port is closed.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  no.
 */
JG_API void jg_queue_port_close(jg_queue_port *port);

JG_END_DECLS

#endif
