/* SPDX-License-Identifier: MIT
 *
 * Assertions on misuse of the library: always on, one compare and branch. What the environment or a
 * peer does is never asserted on.
 */
#ifndef JG_BASE_CHECK_H
#define JG_BASE_CHECK_H

/* Print "juggle: <function>: <text>" on standard error and abort. */
_Noreturn void jg__misuse(const char *function, const char *text);

#define jg__check(condition, text) jg__check_for(__func__, condition, text)

/* The same in the name of the function that the user called. */
#define jg__check_for(function, condition, text) \
    do {                                         \
        if (__builtin_expect(!(condition), 0))   \
            jg__misuse(function, text);          \
    } while (0)

#endif
