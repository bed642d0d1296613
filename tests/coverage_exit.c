/* SPDX-License-Identifier: MIT
 *
 * For tests/coverage, linked into each program with -Wl,--wrap=_exit,--wrap=abort: what a process
 * ran is recorded also if it ends by one of these, as children of the tests do.
 */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>

void __gcov_dump(void);
void __gcov_reset(void);
_Noreturn void __real__exit(int status);
_Noreturn void __real_abort(void);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap_abort(void);

/* A child of vfork has the memory of its parent, which goes on counting: from 0, then. */
static void record(void)
{
    struct rlimit limit;

    /* A test may have left no room for a file. */
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    __gcov_dump();
    __gcov_reset();
}

_Noreturn void __wrap__exit(int status)
{
    record();
    __real__exit(status);
}

_Noreturn void __wrap_abort(void)
{
    record();
    __real_abort();
}
