/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/stack.h"

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/check.h"
#include "platform/sanitizer.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#    define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#    define MAP_NORESERVE 0
#endif
/* On FreeBSD it means something else: a mapping that grows. */
#if !defined(MAP_STACK) || defined(__FreeBSD__) || defined(__DragonFly__)
#    undef MAP_STACK
#    define MAP_STACK 0
#endif

#define MIN_SHIFT   14
#define SLAB_SIZE   ((size_t)4 << 20)
#define SLAB_STACKS 64 /* at most: the bits of a word */

/* Large enough to stop a function whose frame has a path or a page in it, and costs no memory. */
#define GUARD_SIZE ((size_t)16 << 10)

#define COLOURS 16

/* For what is rare in functions that are not. */
#define RARE __attribute__((noinline, cold))

/* Instrumented frames are several times larger. */
#define SANITIZED_SHIFT (JG__FIBERS ? 2 : 0)

struct jg__slab {
    struct jg__slab *next;      /* of the pool */
    struct jg__slab *next_cold; /* of the class */
    char *low;
    size_t stack_size; /* without the guard */
    size_t guard_size;
    unsigned class_index;
    unsigned count;
    unsigned mapped_guards; /* made by mprotect */
    uint64_t cold;          /* bit by index */
    uint64_t guarded;
};

long jg__guards_left;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned probed;

#ifdef __linux__

static bool light_guards; /* made by madvise, without mappings of their own */

#    ifndef MADV_GUARD_INSTALL
#        define MADV_GUARD_INSTALL 102
#    endif

static long max_mappings(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    long count;

    if (!file || fscanf(file, "%ld", &count) != 1)
        count = 65530;
    if (file)
        fclose(file);
    return count;
}

/*
 * Since Linux 6.13. Whether it works is found out by a system call that writes into the guard:
 * emulators accept any advice and do nothing. AddressSanitizer's search for leaks reads all that is
 * mapped, so there a guard must be visible in the list of mappings.
 */
static bool probe_light_guards(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *low;
    bool works;

    if (JG__ASAN)
        return false;

    low = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED)
        return false;

    works = madvise(low, page, MADV_GUARD_INSTALL) == 0 &&
            mincore(low, page, (unsigned char *)low) < 0 && errno == EFAULT;
    munmap(low, page);
    return works;
}

static void probe(void)
{
    long mappings = max_mappings();

    light_guards = probe_light_guards();
    jg__guards_left = (mappings - mappings / 16) / 2;
}

static bool make_light_guard(char *low, size_t size)
{
    return light_guards && madvise(low, size, MADV_GUARD_INSTALL) == 0;
}

#else

static void probe(void)
{
    jg__guards_left = LONG_MAX;
}

static bool make_light_guard(char *low, size_t size)
{
    (void)low;
    (void)size;
    return false;
}

#endif

/* Whether pages that are dropped read as zero. */
#ifdef __linux__
static const bool pages_become_zero = true;
#else
static const bool pages_become_zero = false;
#endif

/* Tell the system that pages are not needed until they are written again. */
static void drop_pages(void *low, size_t size)
{
#ifdef __linux__
    (void)madvise(low, size, MADV_DONTNEED);
#elif defined(MADV_FREE)
    (void)madvise(low, size, MADV_FREE);
#else
    (void)low;
    (void)size;
#endif
}

/* Ask which pages are resident. False: there is no telling. */
static bool ask_resident(char *low, size_t size, unsigned char *ret_resident)
{
#ifdef __OpenBSD__
    (void)low;
    (void)size;
    (void)ret_resident;
    return false;
#else
    return mincore(low, size, (void *)ret_resident) == 0;
#endif
}

static char *map_slab(size_t size)
{
    void *low = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (low == MAP_FAILED)
        return NULL;

#ifdef MADV_NOHUGEPAGE
    (void)madvise(low, size, MADV_NOHUGEPAGE); /* unknown to kernels without huge pages */
#endif
    return low;
}

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static char *guard_of(const struct jg__slab *slab, unsigned index)
{
    return slab->low + index * (slab->guard_size + slab->stack_size);
}

static jg__stack *stack_of(const jg__stacks *stacks, const struct jg__slab *slab, unsigned index)
{
    char *top = guard_of(slab, index) + slab->guard_size + slab->stack_size;

    return (jg__stack *)(void *)(top - index % COLOURS * JG__CACHELINE - stacks->reserve);
}

static unsigned index_of(const struct jg__slab *slab, const void *address)
{
    size_t offset = (size_t)((const char *)address - slab->low);

    return (unsigned)(offset / (slab->guard_size + slab->stack_size));
}

static unsigned class_of(const jg__stacks *stacks, size_t size)
{
    size_t least = stacks->page > (size_t)1 << MIN_SHIFT ? stacks->page : (size_t)1 << MIN_SHIFT;
    unsigned shift;

    if (size < least)
        size = least;
    shift = 64 - (unsigned)__builtin_clzll(size - 1);
    return shift - MIN_SHIFT + SANITIZED_SHIFT;
}

static void probe_once(void)
{
    probe();
    jg__store(&probed, 1);
}

void jg__stacks_init(jg__stacks *stacks, const jg_allocator *allocator, size_t reserve)
{
    jg__check(reserve >= sizeof(jg__stack) && reserve <= ((size_t)1 << MIN_SHIFT) / 4,
              "the block of a stack is too small or too large");

    pthread_once(&once, probe_once);
    *stacks = (jg__stacks){
        .allocator = allocator,
        .reserve = round_up(reserve, JG__CACHELINE),
        .page = (size_t)sysconf(_SC_PAGESIZE),
        .cache = JG__STACK_CACHE,
    };
    stacks->usual_class = class_of(stacks, JG__STACK_SIZE);
}

void jg__stacks_forked(void)
{
    static const pthread_once_t anew = PTHREAD_ONCE_INIT;

    if (!jg__load(&probed))
        once = anew;
}

static size_t size_of(unsigned class_index)
{
    return (size_t)1 << (class_index + MIN_SHIFT);
}

static int add_slab(jg__stacks *stacks, unsigned class_index)
{
    struct jg__slab *slab = jg__alloc(stacks->allocator, sizeof(*slab));
    size_t stride, count;

    if (!slab)
        return -ENOMEM;

    *slab = (struct jg__slab){.class_index = class_index};
    slab->stack_size = size_of(class_index);
    slab->guard_size = round_up(GUARD_SIZE, stacks->page);
    stride = slab->guard_size + slab->stack_size;
    count = SLAB_SIZE / stride;
    slab->count = count == 0 ? 1 : count > SLAB_STACKS ? SLAB_STACKS : (unsigned)count;
    slab->cold = UINT64_MAX >> (64 - slab->count);
    slab->low = map_slab(slab->count * stride);
    if (!slab->low) {
        jg__free(stacks->allocator, slab, sizeof(*slab));
        return -ENOMEM;
    }

    slab->next_cold = stacks->classes[class_index].cold;
    stacks->classes[class_index].cold = slab;
    slab->next = stacks->slabs;
    jg__store(&stacks->slabs, slab); /* jg__stack_overflowed may be looking */
    jg__roots_add(slab->low, slab->count * stride);
    return 0;
}

static void free_slab(jg__stacks *stacks, struct jg__slab *slab)
{
    size_t size = slab->count * (slab->guard_size + slab->stack_size);

    jg__roots_remove(slab->low, size);
    jg__memory_unpoison(slab->low, size);
    if (munmap(slab->low, size) < 0)
        drop_pages(slab->low, size); /* it would split a mapping, and there are too many */
    jg__fetch_add(&jg__guards_left, (long)slab->mapped_guards);
    jg__free(stacks->allocator, slab, sizeof(*slab));
}

size_t jg__stacks_fini(jg__stacks *stacks)
{
    struct jg__slab *slab, *next;

    for (unsigned i = 0; i < JG__STACK_CLASSES; i++) {
        for (jg__stack *stack = stacks->classes[i].free; stack; stack = stack->next)
            jg__valgrind_stack_gone(stack->valgrind);
        stacks->classes[i] = (struct jg__stack_class){0};
    }

    slab = stacks->slabs;
    stacks->slabs = NULL;
    stacks->cached = 0;
    for (; slab; slab = next) {
        next = slab->next;
        free_slab(stacks, slab);
    }
    return stacks->taken;
}

static bool make_guard(const jg__stacks *stacks, struct jg__slab *slab, char *low)
{
    if (!stacks->heavy_guards && make_light_guard(low, slab->guard_size))
        return true;

    if (jg__fetch_sub(&jg__guards_left, 1) > 0 && mprotect(low, slab->guard_size, PROT_NONE) == 0) {
        slab->mapped_guards++;
        return true;
    }
    jg__fetch_add(&jg__guards_left, 1);
    return false;
}

/* Make a stack of a slab that has cold ones. */
static jg__stack *warm(jg__stacks *stacks, struct jg__slab *slab)
{
    unsigned index = 63 - (unsigned)__builtin_clzll(slab->cold);
    uint64_t bit = (uint64_t)1 << index;
    jg__stack *stack = stack_of(stacks, slab, index);

    if (!(slab->guarded & bit)) {
        if (make_guard(stacks, slab, guard_of(slab, index)))
            slab->guarded |= bit;
        else
            stacks->unguarded++;
    }

    slab->cold &= ~bit;
    if (!slab->cold)
        stacks->classes[slab->class_index].cold = slab->next_cold;

    stack->slab = slab;
    stack->low = guard_of(slab, index) + slab->guard_size;
    stack->valgrind = jg__valgrind_stack(stack->low, stack->low + slab->stack_size - 1);
    stack->class_index = (uint8_t)slab->class_index;
    stack->guarded = (slab->guarded & bit) != 0;
    return stack;
}

/* The opposite: let go of the pages. */
RARE static void cool(jg__stacks *stacks, jg__stack *stack)
{
    struct jg__slab *slab = stack->slab;
    unsigned index = index_of(slab, stack);

    jg__valgrind_stack_gone(stack->valgrind);
    if (!slab->cold) {
        struct jg__slab **list = &stacks->classes[slab->class_index].cold;

        slab->next_cold = *list;
        *list = slab;
    }
    slab->cold |= (uint64_t)1 << index;
    drop_pages(guard_of(slab, index) + slab->guard_size, slab->stack_size);
}

/* Make the usable part zero, touching no more than the page it shares with the block. */
RARE static void clean(const jg__stacks *stacks, jg__stack *stack)
{
    size_t size = jg__stack_size(stack);
    size_t partial = pages_become_zero ? (uintptr_t)stack % stacks->page : size;

    drop_pages(stack->low, size - partial);
    jg__valgrind_fresh((char *)stack - partial, partial);
    memset((char *)stack - partial, 0, partial);
}

/* A stack of a class that has none which is free. */
RARE static int take_cold(jg__stacks *stacks, unsigned class_index, jg__stack **ret_stack)
{
    int r;

    if (!stacks->classes[class_index].cold) {
        r = add_slab(stacks, class_index);
        if (r < 0)
            return r;
    }
    *ret_stack = warm(stacks, stacks->classes[class_index].cold);
    return 0;
}

int jg__stack_take(jg__stacks *stacks, size_t size, jg__stack **ret_stack)
{
    unsigned class_index;
    jg__stack *stack;
    int r;

    if (size > JG__STACK_MAX)
        return -EINVAL;

    class_index = size == 0 ? stacks->usual_class : class_of(stacks, size);
    stack = stacks->classes[class_index].free;
    if (stack) {
        stacks->classes[class_index].free = stack->next;
        stacks->cached -= size_of(class_index);
    } else {
        r = take_cold(stacks, class_index, &stack);
        if (r < 0)
            return r;
    }

    jg__memory_unpoison(stack->low, jg__stack_size(stack) + stacks->reserve);
    if (stacks->measure)
        clean(stacks, stack);
    stack->taken = true;
    stacks->taken++;
    *ret_stack = stack;
    return 0;
}

void jg__stack_give(jg__stacks *stacks, jg__stack *stack)
{
    struct jg__stack_class *class = &stacks->classes[stack->class_index];
    size_t size = size_of(stack->class_index);

    stack->taken = false;
    stacks->taken--;
    if (JG__ASAN) {
        jg__memory_unpoison(stack->low, jg__stack_size(stack));
        clean(stacks, stack); /* of pointers, which would hide leaks */
    }
    jg__memory_poison(stack->low, jg__stack_size(stack));
    jg__memory_poison(stack + 1, stacks->reserve - sizeof(*stack));

    if (stacks->cached + size > stacks->cache) {
        cool(stacks, stack);
        return;
    }
    stacks->cached += size;
    stack->next = class->free;
    class->free = stack;
}

/* The first page from `low` on that is resident, or `high` or more if none is. */
static char *next_resident(const jg__stacks *stacks, char *low, char *high)
{
    unsigned char resident[128];

    while (low < high) {
        size_t pages = ((size_t)(high - low) + stacks->page - 1) / stacks->page;

        if (pages > sizeof(resident))
            pages = sizeof(resident);
        if (!ask_resident(low, pages * stacks->page, resident))
            return low;
        for (size_t i = 0; i < pages; i++) {
            if (resident[i] & 1)
                return low + i * stacks->page;
        }
        low += pages * stacks->page;
    }
    return high;
}

/* The first word that is not zero in a page that ends at `high`, or before; or NULL. */
JG__UNSANITIZED static char *first_used(char *page, const char *high)
{
    for (; page < high; page += sizeof(uintptr_t)) {
        if (*(const uintptr_t *)(const void *)page)
            return page;
    }
    return NULL;
}

size_t jg__stack_used(const jg__stacks *stacks, const jg__stack *stack)
{
    char *high = stack->low + jg__stack_size(stack);
    char *page = next_resident(stacks, stack->low, high);
    char *used = NULL;

    jg__valgrind_quiet();
    while (!used && page < high) {
        char *next = page + stacks->page;

        used = first_used(page, next < high ? next : high);
        page = next_resident(stacks, next, high);
    }
    jg__valgrind_strict();
    return used ? (size_t)(high - used) : 0;
}

JG__UNSANITIZED jg__stack *jg__stack_overflowed(const jg__stacks *stacks, const void *address)
{
    const char *byte = address;

    for (const struct jg__slab *slab = jg__load(&stacks->slabs); slab; slab = slab->next) {
        size_t stride = slab->guard_size + slab->stack_size;
        jg__stack *stack;
        unsigned index;

        if (byte < slab->low || byte >= slab->low + slab->count * stride)
            continue;

        index = index_of(slab, byte);
        if (byte >= guard_of(slab, index) + slab->guard_size)
            return NULL;
        stack = stack_of(stacks, slab, index);
        return stack->taken && stack->guarded ? stack : NULL;
    }
    return NULL;
}
