/* SPDX-License-Identifier: MIT
 *
 * Queues in random use. The seed is printed; $JUGGLE_TEST_SEED repeats it.
 */
#include "model_queue.h"
#include "support.h"

static void random_use_agrees_with_a_trivial_model(void **state)
{
    long total = test_is_emulated() ? 10000 : 100000;

    (void)state;
    model.decisions = decisions_of_seed(model_seed());
    model.loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    while (model.operations < total)
        a_round();
    assert_true(model.delivered > total / 50);
    assert_true(model.cut > total / 200);
    test_loop_done(model.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_agrees_with_a_trivial_model),
    };

    return cmocka_run_group_tests_name("model_queue", tests, NULL, NULL);
}
