/* SPDX-License-Identifier: MIT
 *
 * What a port needs of its queue.
 */
#ifndef JG_SYNC_QUEUE_H
#define JG_SYNC_QUEUE_H

#include "task/task.h"

#include <juggle/queue.h>

/* Bytes from one item to the next where each of them has `extra` bytes and is aligned for any type.
 */
static inline size_t jg__queue_stride(size_t item_size, size_t extra)
{
    const size_t alignment = _Alignof(max_align_t);

    return (item_size + extra + alignment - 1) / alignment * alignment;
}

/* Put an item whether the queue is full or not. Returns 0, JG_ESHUTDOWN or -ENOMEM. */
int jg__queue_put_above_limit(jg_queue *queue, const void *item);

/* Drop an item that was accepted for the queue but is not in it. */
void jg__queue_drop(jg_queue *queue, void *item);

#endif
