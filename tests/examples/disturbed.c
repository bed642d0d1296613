/* SPDX-License-Identifier: MIT
 *
 * What an example is linked with instead of jg_run: its main coroutine is run by the test kit, in
 * every way, and the program ends.
 */
#include <juggle/test_kit.h>

#include <stdio.h>
#include <stdlib.h>

int disturbed_run(jg_coro_fn fn, void *arg, const jg_run_options *options);

int disturbed_run(jg_coro_fn fn, void *arg, const jg_run_options *options)
{
    jg_test_options kit = {.seeds = 20};

    if (options)
        kit.stack_size = options->stack_size;
    if (!freopen("/dev/null", "w", stdout))
        exit(1);
    exit(jg_test_cancel_each(fn, arg, &kit) != 0 || jg_test_fail_each(fn, arg, &kit) != 0 ||
         jg_test_shuffle_each(fn, arg, &kit) != 0);
}
