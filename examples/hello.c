/* SPDX-License-Identifier: MIT
 *
 * Hello: a coroutine that pauses and resumes, and another one that runs meanwhile.
 */
#include "common.h"

static int count(void *arg)
{
    const char *name = arg;
    int r = 0;

    for (int i = 1; i <= 3 && r == 0; i++) {
        printf("%s %d\n", name, i);
        r = jg_sleep(10 * JG_MILLISECOND);
    }
    return r;
}

static int hello(void *arg)
{
    jg_scope scope;
    int r;

    (void)arg;
    jg_scope_enter(&scope, NULL);
    r = jg_spawn(&scope, count, "other", NULL);
    if (r == 0)
        r = count("hello");
    return jg_scope_leave(&scope, r); /* waits for the other */
}

int main(void)
{
    return check(jg_run(hello, NULL, NULL), "hello");
}
