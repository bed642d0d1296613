/* SPDX-License-Identifier: MIT
 *
 * What every public header of juggle shares: the export macro, the version, time, memory and
 * error codes. It depends on nothing but the C library.
 *
 * How the headers are to be read: times are in ns and sizes in bytes, a count is one of elements.
 * `options` may be NULL, which stands for zeroed ones, the defaults. Strings end with a NUL. The
 * description of a function ends with four lines:
 *
 *     Returns   >= 0 is success, a negative value an error, with nothing done. What a parameter
 *               ret_… points to is then as it was, unless the description says otherwise.
 *     Owns      what is the function's from now on, and what of yours must stay until when.
 *     Thread    who may call it: the thread of the «loop», «any», also a «signal» handler.
 *     Suspends  «yes»: it may pause its caller, which must be a coroutine; see coro.h.
 *
 * A function with a line or two in their place does not suspend and keeps nothing, but for what it
 * prepares, and cannot fail unless they say so. It belongs to the loop's thread if it is about an
 * object of a loop, and to any thread if it is about a value: an address, a text, a head of HTTP.
 */
#ifndef JUGGLE_BASE_H
#define JUGGLE_BASE_H

#include <errno.h> /* errors are made of its numbers */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(JG_SHARED) && defined(__GNUC__)
#    define JG_API __attribute__((visibility("default")))
#else
#    define JG_API
#endif

#ifdef __cplusplus
#    define JG_BEGIN_DECLS extern "C" {
#    define JG_END_DECLS   }
#else
#    define JG_BEGIN_DECLS
#    define JG_END_DECLS
#endif

JG_BEGIN_DECLS

#define JG_VERSION_MAJOR 0
#define JG_VERSION_MINOR 1
#define JG_VERSION_PATCH 0

/**
 * The version of the library that is linked in, as "MAJOR.MINOR.PATCH"; the macros above are the
 * version of the headers.
 *
 * Returns   a constant string.
 * Owns      nothing.
 * Thread    any.
 * Suspends  no.
 */
JG_API const char *jg_version(void);

/*
 * Time is nanoseconds: of a span, or since an arbitrary fixed point of the monotonic clock, which
 * does not jump when the wall clock is set and does not run while the machine is suspended.
 * Arithmetic saturates at JG_FOREVER, a deadline that never comes.
 */
typedef int64_t jg_time;

#define JG_NANOSECOND  ((jg_time)1)
#define JG_MICROSECOND (1000 * JG_NANOSECOND)
#define JG_MILLISECOND (1000 * JG_MICROSECOND)
#define JG_SECOND      (1000 * JG_MILLISECOND)
#define JG_FOREVER     ((jg_time)INT64_MAX)

/*
 * Where memory comes from. One function does all: `block` NULL allocates `new_size` bytes,
 * `new_size` 0 frees and returns NULL, anything else moves the block as realloc does, and NULL
 * then means that nothing changed. `old_size` is the size that was asked for. Memory needs the
 * alignment of malloc. The library calls it from the thread of the loop it was given to.
 */
typedef struct jg_allocator {
    void *(*resize)(void *arg, void *block, size_t old_size, size_t new_size);
    void *arg;
} jg_allocator;

/*
 * Errors are negative: -errno, or one of these few. They lie below every errno. HTTP has codes of its
 * own, in http_parser.h and http_client.h.
 */
enum {
    JG_EFORKED = -4096,     /* the loop was made by the parent of this process; see jg_loop_fork */
    JG_ELEAKED = -4097,     /* reported to the error hook: started when its loop was freed */
    JG_EDEADLOCK = -4098,   /* tasks are left that nothing can wake */
    JG_EBROKEN = -4099,     /* the barrier was reset or aborted */
    JG_EINCOMPLETE = -4100, /* the end of file came before what was asked for */
    JG_ESHUTDOWN = -4101,   /* the queue was shut down */
    JG_ESLOW = -4102,       /* reported to the error hook: a callback took long */
    JG_ENONAME = -4103,     /* there is no such name */
    JG_ENOADDRESS = -4104,  /* the name has no address of the wanted family */
    JG_ETRYAGAIN = -4105,   /* no name server could tell: later one may */
    JG_ENAMEFAIL = -4106    /* the name servers refuse, or do not make sense */
};

/**
 * The text of an error: of the codes above and, through the C library, of -errno.
 *
 * error     what a function of this library returned; values >= 0 are "success".
 *
 * Returns   a string that stays valid: for ever for our own codes, else as for strerror.
 * Owns      nothing.
 * Thread    any, as strerror.
 * Suspends  no.
 */
JG_API const char *jg_strerror(int error);

JG_END_DECLS

#endif
