/* SPDX-License-Identifier: MIT
 *
 * A user's program: it runs a callback, and checks that the library it got has the version that
 * the package promised.
 */
#include <juggle.h>

#include <stdio.h>
#include <string.h>

static void ring(void *arg)
{
    *(int *)arg += 1;
}

int main(int argc, char **argv)
{
    jg_loop *loop;
    jg_call call;
    int rung = 0;

    if (argc < 2 || strcmp(jg_version(), argv[1]) != 0) {
        fprintf(stderr, "the version of the library is %s\n", jg_version());
        return 1;
    }
    if (jg_loop_new(NULL, &loop) < 0)
        return 1;

    jg_call_init(&call, ring, &rung);
    jg_call_soon(loop, &call);
    if (jg_loop_run(loop) < 0 || jg_loop_free(loop) != 0)
        return 1;

    return rung == 1 ? 0 : 1;
}
