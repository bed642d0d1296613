/* SPDX-License-Identifier: MIT
 *
 * A pool of stacks for one thread.
 *
 * Stacks are carved out of slabs, anonymous mappings of about 4 MiB, and never cost more memory
 * than the pages they touched. Below each lies a guard, which makes an overflow a fault. A free
 * stack keeps its pages, so that the one given back last, still in the caches, is taken next; what
 * exceeds the pool's cache gives its pages back to the system. Slabs stay until the pool ends.
 *
 *     low address                                                        high address
 *     guard | usable, growing down ............... | block of the caller | colour | guard of the
 * next
 *
 * The block at the top is the caller's, `reserve` bytes that begin with a jg__stack: control block,
 * first frames and a shallow chain of calls thus share one page. The colour is a few cache lines,
 * different from stack to stack, without which all blocks would compete for the same cache sets.
 *
 * Invariants: a stack is taken, free with its pages (on the list of its class), or cold: without
 * pages, and marked in its slab.
 */
#ifndef JG_PLATFORM_STACK_H
#define JG_PLATFORM_STACK_H

#include <juggle/base.h>

#define JG__STACK_SIZE    ((size_t)64 << 10)  /* if the caller does not say */
#define JG__STACK_CACHE   ((size_t)256 << 20) /* the same for the cache of a pool */
#define JG__STACK_MAX     ((size_t)256 << 20)
#define JG__STACK_CLASSES 17 /* 16 KiB, 32 KiB, … 1 GiB, which only sanitizers need */

struct jg__slab;

typedef struct jg__stack {
    struct jg__stack *next; /* of the same class, while free */
    struct jg__slab *slab;
    char *low; /* the lowest byte that may be used; the usable part ends where this struct begins */
    unsigned valgrind;
    uint8_t class_index;
    bool taken;
    bool guarded;
} jg__stack;

typedef struct jg__stacks {
    const jg_allocator *allocator;
    size_t reserve;
    size_t page;
    unsigned usual_class; /* of stacks of the default size */
    size_t cache;         /* how many bytes of free stacks may keep their pages */
    size_t cached;        /* and how many do */
    size_t taken;         /* stacks */
    uint64_t unguarded;   /* times that a stack was carved without its guard */
    bool measure;         /* see jg__stack_used */
    bool heavy_guards;    /* mappings as on older systems, though there is better */
    struct jg__slab *slabs;
    struct jg__stack_class {
        jg__stack *free;       /* the one given last comes first */
        struct jg__slab *cold; /* slabs that have cold stacks */
    } classes[JG__STACK_CLASSES];
} jg__stacks;

/*
 * How many guards this process may still make where each takes two of the limited number of
 * mappings; a part of these is left for others.
 */
extern long jg__guards_left;

/* An empty pool, which allocates nothing. `reserve` is at most 4 KiB. */
void jg__stacks_init(jg__stacks *stacks, const jg_allocator *allocator, size_t reserve);

/* Unmap everything. Returns how many stacks were still taken; their blocks are gone too. */
size_t jg__stacks_fini(jg__stacks *stacks);

/*
 * Take a stack of `size` bytes, block included; 0 is the default. It is rounded up to a power of
 * two, and made larger for sanitizers. What is behind the jg__stack in the block is undefined. If
 * the system has no more guards to give, the stack comes without one and is counted in `unguarded`.
 *
 * Returns 0, -ENOMEM or, for more than 256 MiB, -EINVAL.
 */
int jg__stack_take(jg__stacks *stacks, size_t size, jg__stack **ret_stack);

/* Give a stack back, on which nothing runs. */
void jg__stack_give(jg__stacks *stacks, jg__stack *stack);

static inline size_t jg__stack_size(const jg__stack *stack)
{
    return (size_t)((const char *)stack - stack->low);
}

/*
 * How deep a stack was ever used, in bytes without the block. If `measure` was not set when it was
 * taken, that includes those who had the stack before; setting it costs a system call for each
 * stack taken. A page that was swapped out counts as not used.
 */
size_t jg__stack_used(const jg__stacks *stacks, const jg__stack *stack);

/* The stack that is taken and whose guard contains `address`, or NULL. Async-signal-safe. */
jg__stack *jg__stack_overflowed(const jg__stacks *stacks, const void *address);

/* In a forked child: whoever was finding out what the system can is not here to go on. */
void jg__stacks_forked(void);

#endif
