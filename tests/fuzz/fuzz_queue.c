/* SPDX-License-Identifier: MIT
 *
 * What coroutines and step tasks do with a queue, as the bytes decide: it agrees with the model.
 */
#include "model_queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    model = (struct model){.decisions = decisions_of_bytes(data, size), .loop = model_loop()};
    a_round();
    model_check(jg_loop_free(model.loop) == 0);
    return 0;
}
