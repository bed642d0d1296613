/* SPDX-License-Identifier: MIT
 *
 * Scopes and releases that end with a block, however it is left: at its end, or by break, continue,
 * goto or return. For gcc and clang, in C; <juggle.h> does not include it, and nothing needs it:
 * jg_scope_enter and jg_scope_leave do the same everywhere.
 *
 *     int fetch_both(void *arg)
 *     {
 *         int r;
 *
 *         JG_WITH_SCOPE (scope, &r, .timeout = 5 * JG_SECOND) {
 *             r = jg_spawn(scope, fetch, &first, NULL);
 *             if (r < 0)
 *                 break;
 *             if (one_is_enough)
 *                 return JG_LEAVE(scope, 0);
 *             r = jg_spawn(scope, fetch, &second, NULL);
 *         }
 *         return r;
 *     }
 *
 * What the tasks and the deferred calls of a scope use is declared before the block: the variables
 * of the block itself are gone when its scope is left.
 *
 * A plain `return value` has evaluated its value before the scope is left, and cannot return what
 * leaving it results in: that a task failed, or the time was up. So say JG_LEAVE. Where that is
 * forgotten no error is lost, but it comes up elsewhere: see JG_WITH_SCOPE. In C++ this header is
 * empty.
 */
#ifndef JUGGLE_WITH_H
#define JUGGLE_WITH_H

#ifndef __cplusplus

#    ifndef __GNUC__
#        error "<juggle/with.h> is for gcc and clang; see jg_scope_enter and jg_scope_leave"
#    endif

#    include <juggle/coro.h>

/**
 * Run the block that follows in a scope of its own. asyncio: async with TaskGroup(), timeout().
 *
 * name      a jg_scope * in the block, and the name of the scope for people.
 * status    (after it) an int *. Set to 0 first. What the block leaves there is what the body of
 *           the scope ended with, as for jg_scope_leave; it is set to what that returned.
 * ...       options as in jg_scope_options, but for the name: `.timeout = JG_SECOND`, say.
 *
 * A block that is left by a plain return, or by goto, leaves the scope with the status that is
 * stored, too. If that is no error, or -ECANCELED, and leaving the scope results in another error,
 * the body around fails with it: the scope that is the innermost one then is cancelled, unless it
 * keeps going, and ends with that error; if the coroutine has entered none, it ends with the error.
 *
 * Thread    loop.
 * Suspends  yes, where the block is left.
 */
#    define JG_WITH_SCOPE(name, ...)                                                     \
        for (jg_with name##_with                                                         \
             __attribute__((__cleanup__(jg_with_end))) = JG__WITH(#name, __VA_ARGS__, ); \
             !name##_with.entered; (void)JG_LEAVE(name, *name##_with.status))            \
            for (jg_scope *name = jg__with_enter(&name##_with); name != NULL; name = NULL)

/**
 * Leave the scope of a JG_WITH_SCOPE now, before the block is left, so that its result can be
 * returned: `return JG_LEAVE(scope, value)`. From two of them: JG_LEAVE(outer, JG_LEAVE(inner, r)).
 *
 * value     what the body of the scope ended with.
 *
 * Returns   what jg_scope_leave returns; the status of the JG_WITH_SCOPE is set to the same.
 * Owns      nothing.
 * Thread    loop.
 * Suspends  yes.
 */
#    define JG_LEAVE(name, value) jg__with_leave(&name##_with, (value))

/**
 * Call fn(arg) at the end of the enclosing block, however it is left, after those that come later
 * in it: what one acquires there, one releases here. It is called as any function is: in a scope
 * that is cancelled it must not wait, and tasks of scopes further out may still run. What waits, or
 * is used by tasks, is for jg_scope_defer.
 *
 * fn        a jg_call_fn.
 *
 * Thread    any.
 * Suspends  if fn does.
 */
#    define JG_DEFER(fn, arg)                               \
        jg__deferred JG__WITH_JOIN(jg__deferred_, __LINE__) \
            __attribute__((__cleanup__(jg__deferred_run), __unused__)) = {(fn), (arg)}

/* What follows is not for direct use. */

typedef struct jg_with {
    jg_scope scope;
    jg_scope_options options;
    int *status;
    bool entered;
    bool left;
} jg_with;

typedef struct jg__deferred {
    jg_call_fn fn;
    void *arg;
} jg__deferred;

/* The block was left. */
JG_API void jg_with_end(jg_with *with);

#    define JG__WITH(scope_name, to_status, ...)                                 \
        {                                                                        \
            .status = (to_status), .options = {.name = scope_name, __VA_ARGS__ } \
        }
#    define JG__WITH_JOIN(a, b)  JG__WITH_JOIN_(a, b)
#    define JG__WITH_JOIN_(a, b) a##b

static inline jg_scope *jg__with_enter(jg_with *with)
{
    with->entered = true;
    *with->status = 0;
    jg_scope_enter(&with->scope, &with->options);
    return &with->scope;
}

static inline int jg__with_leave(jg_with *with, int status)
{
    if (!with->left) {
        with->left = true;
        *with->status = jg_scope_leave(&with->scope, status);
    }
    return *with->status;
}

static inline void jg__deferred_run(const jg__deferred *deferred)
{
    deferred->fn(deferred->arg);
}

#endif

#endif
