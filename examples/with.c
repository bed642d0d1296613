/* SPDX-License-Identifier: MIT
 *
 * With: scopes and releases that end with their block, for gcc and clang. Compare scope.c, which
 * is for every compiler.
 */
#include "common.h"

#include <juggle/with.h>

static void release(void *arg)
{
    printf("  released %s\n", (const char *)arg);
}

static int fetch(void *arg)
{
    jg_time time = *(const jg_time *)arg;

    return time > 0 ? jg_sleep(time) : -EIO;
}

/* Fetch two things at once over a connection, within 50 ms, or the first alone. */
static int fetch_both(jg_time first, jg_time second)
{
    int r;

    JG_WITH_SCOPE (scope, &r, .timeout = 50 * JG_MILLISECOND) {
        JG_DEFER(release, "the connection");

        r = jg_spawn(scope, fetch, &first, NULL);
        if (r < 0)
            break;
        if (second == 0)
            return JG_LEAVE(scope, 0);
        r = jg_spawn(scope, fetch, &second, NULL);
    }
    return r;
}

static int demonstrate(void *arg)
{
    (void)arg;
    printf("both: %s\n", jg_strerror(fetch_both(10 * JG_MILLISECOND, 20 * JG_MILLISECOND)));
    printf("one: %s\n", jg_strerror(fetch_both(10 * JG_MILLISECOND, 0)));
    printf("error: %s\n", jg_strerror(fetch_both(10 * JG_MILLISECOND, -1)));
    printf("timeout: %s\n", jg_strerror(fetch_both(10 * JG_MILLISECOND, JG_SECOND)));
    return 0;
}

int main(void)
{
    return check(jg_run(demonstrate, NULL, NULL), "with");
}
