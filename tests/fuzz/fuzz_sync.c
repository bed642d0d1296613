/* SPDX-License-Identifier: MIT
 *
 * What coroutines, step tasks and callbacks do with locks, conditions, a semaphore, an event and a
 * barrier, as the bytes decide: it agrees with the model.
 */
#include "model_sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decisions decisions = decisions_of_bytes(data, size);
    bool shuffled = decide(&decisions, 2);
    jg_loop *loop = model_loop();
    static struct model model;

    model_run(&model, loop, decisions, 1000, shuffled);
    model_check(jg_loop_free(loop) == 0);
    return 0;
}
