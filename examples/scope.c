/* SPDX-License-Identifier: MIT
 *
 * Scope: something acquired is released, on success, error, timeout and Ctrl-C alike.
 */
#include "common.h"

#include <string.h>

static void release(void *arg)
{
    /* What releases may wait, too: cancellation does not reach it. */
    int r = jg_sleep(10 * JG_MILLISECOND);

    printf("  released %s (%s)\n", (const char *)arg, jg_strerror(r));
}

/* With a connection: run fn, then release it. */
static int with_connection(jg_coro_fn fn, jg_time timeout)
{
    jg_scope scope;
    jg_defer defer;

    jg_scope_enter(&scope, &(jg_scope_options){.timeout = timeout});
    jg_scope_defer(&scope, &defer, release, "the connection");
    return jg_scope_leave(&scope, fn(NULL));
}

static int succeed(void *arg)
{
    (void)arg;
    return jg_sleep(20 * JG_MILLISECOND);
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int wait_long(void *arg)
{
    (void)arg;
    printf("  waiting; end it with Ctrl-C\n");
    fflush(stdout);
    return jg_sleep(30 * JG_SECOND);
}

static int demonstrate(void *arg)
{
    bool wait = *(bool *)arg;
    int r;

    printf("success: %s\n", jg_strerror(with_connection(succeed, 0)));
    printf("error: %s\n", jg_strerror(with_connection(fail, 0)));
    printf("timeout: %s\n", jg_strerror(with_connection(succeed, 5 * JG_MILLISECOND)));
    if (wait) {
        r = with_connection(wait_long, 0);
        printf("end: %s\n", jg_strerror(r));
    }
    return 0;
}

int main(int argc, char **argv)
{
    bool wait = !(argc > 1 && strcmp(argv[1], "--no-wait") == 0);

    return check(jg_run(demonstrate, &wait, NULL), "scope");
}
