/* SPDX-License-Identifier: MIT
 *
 * What AddressSanitizer, ThreadSanitizer and Valgrind must be told about stacks of our own, so that
 * they follow a switch instead of taking it for corruption. In a build without sanitizers the
 * functions here are empty; those for Valgrind are a few instructions that do nothing outside it,
 * and exist only where its header was found.
 *
 * A fiber is what the sanitizers call a flow of control with a stack.
 */
#ifndef JG_PLATFORM_SANITIZER_H
#define JG_PLATFORM_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#    define JG__ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#    define JG__TSAN 1
#endif
#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define JG__ASAN 1
#    endif
#    if __has_feature(thread_sanitizer)
#        define JG__TSAN 1
#    endif
#endif
#ifndef JG__ASAN
#    define JG__ASAN 0
#endif
#ifndef JG__TSAN
#    define JG__TSAN 0
#endif

#if JG__ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#    include <sanitizer/lsan_interface.h>
#endif
#if JG__TSAN
#    include <sanitizer/tsan_interface.h>
#endif

#if defined(__has_include)
#    if __has_include(<valgrind/memcheck.h>)
#        include <valgrind/memcheck.h>
#        define JG__VALGRIND 1
#    endif
#endif
#ifndef JG__VALGRIND
#    define JG__VALGRIND 0
#endif

/* For functions that look at stacks of others. */
#if JG__ASAN
#    define JG__UNSANITIZED __attribute__((no_sanitize("address"), noinline))
#elif JG__TSAN
#    define JG__UNSANITIZED __attribute__((no_sanitize("thread"), noinline))
#else
#    define JG__UNSANITIZED
#endif

#define JG__FIBERS (JG__ASAN || JG__TSAN)

#if JG__FIBERS

typedef struct jg__fiber {
#    if JG__ASAN
    const void *low; /* NULL: the stack of the thread, before its bounds are known */
    size_t size;
    void *fake;             /* where locals are kept to find uses after a return */
    struct jg__fiber *from; /* what switched to this one last */
#    else
    void *handle;
#    endif
} jg__fiber;

/* The flow of control that is running. */
static inline void jg__fiber_current(jg__fiber *fiber)
{
    *fiber = (jg__fiber){0};
#    if JG__TSAN
    fiber->handle = __tsan_get_current_fiber();
#    endif
}

static inline void jg__fiber_make(jg__fiber *fiber, void *low, size_t size)
{
#    if JG__ASAN
    *fiber = (jg__fiber){.low = low, .size = size};
    __asan_unpoison_memory_region(low, size); /* frames that never returned */
#    else
    (void)low;
    (void)size;
    fiber->handle = __tsan_create_fiber(0);
#    endif
}

#    if JG__TSAN
/*
 * ThreadSanitizer runs the handler of a signal when the fiber that was interrupted next calls the C
 * library. One that waits or has ended does not, so no signal comes between the first of these, which
 * is such a call, and the second, in the next fiber.
 */
void jg__signals_hold(void);
void jg__signals_let_go(void);
#    endif

/*
 * Before a switch. `last`: `from` will not run again. Part of its caller, because the sanitizer
 * keeps count of the functions that each fiber is in.
 */
__attribute__((always_inline)) static inline void jg__fiber_depart(jg__fiber *from, jg__fiber *to,
                                                                   bool last)
{
#    if JG__ASAN
    to->from = from;
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->low, to->size);
#    else
    (void)from;
    (void)last;
    jg__signals_hold();
    __tsan_switch_to_fiber(to->handle, 0);
#    endif
}

/* After a switch, in what was switched to. */
__attribute__((always_inline)) static inline void jg__fiber_arrive(jg__fiber *fiber)
{
#    if JG__ASAN
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(fiber->fake, &low, &size);
    if (!fiber->from->low) {
        fiber->from->low = low;
        fiber->from->size = size;
    }
#    else
    jg__signals_let_go();
    /* Keeps the swap from becoming a tail call, which is made after the function is left. */
    __asm__ volatile("" : : "r"(fiber) : "memory");
#    endif
}

/* It will not run again, and does not now. */
static inline void jg__fiber_done(jg__fiber *fiber)
{
#    if JG__TSAN
    __tsan_destroy_fiber(fiber->handle);
#    else
    (void)fiber;
#    endif
}

#endif

/* Whether memory may be used; AddressSanitizer alone is told. */
static inline void jg__memory_poison(void *low, size_t size)
{
    (void)low, (void)size;
#if JG__ASAN
    __asan_poison_memory_region(low, size);
#endif
}

static inline void jg__memory_unpoison(void *low, size_t size)
{
    (void)low, (void)size;
#if JG__ASAN
    __asan_unpoison_memory_region(low, size);
#endif
}

/* Memory to look for pointers in before a block is called leaked. */
static inline void jg__roots_add(void *low, size_t size)
{
    (void)low, (void)size;
#if JG__ASAN
    __lsan_register_root_region(low, size);
#endif
}

static inline void jg__roots_remove(void *low, size_t size)
{
    (void)low, (void)size;
#if JG__ASAN
    __lsan_unregister_root_region(low, size);
#endif
}

/*
 * A stack, so that moving the stack pointer there is not taken for a huge frame. Returns its number
 * for the other function.
 */
static inline unsigned jg__valgrind_stack(void *low, void *high)
{
    unsigned number = 0;

    (void)low, (void)high;
#if JG__VALGRIND
    number = VALGRIND_STACK_REGISTER(low, high);
#endif
    return number;
}

static inline void jg__valgrind_stack_gone(unsigned number)
{
    (void)number;
#if JG__VALGRIND
    VALGRIND_STACK_DEREGISTER(number);
#endif
}

/* Memory that was below a stack pointer, but may be written now. */
static inline void jg__valgrind_fresh(void *low, size_t size)
{
    (void)low, (void)size;
#if JG__VALGRIND
    (void)VALGRIND_MAKE_MEM_UNDEFINED(low, size);
#endif
}

/* Between these two, memory below a stack pointer may be read. */
static inline void jg__valgrind_quiet(void)
{
#if JG__VALGRIND
    VALGRIND_DISABLE_ERROR_REPORTING;
#endif
}

static inline void jg__valgrind_strict(void)
{
#if JG__VALGRIND
    VALGRIND_ENABLE_ERROR_REPORTING;
#endif
}

#endif
