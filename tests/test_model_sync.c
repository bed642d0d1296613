/* SPDX-License-Identifier: MIT
 *
 * Locks, conditions, semaphores, events and barriers in random use. The seed is printed;
 * $JUGGLE_TEST_SEED repeats it.
 */
#include "model_sync.h"
#include "support.h"

static void random_operations_agree_with_a_trivial_model(void **state)
{
    const long total = test_is_slow() ? 10000 : 100000;
    const uint64_t seed = model_seed();
    static struct model model;

    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);

        model_run(&model, loop, decisions_of_seed(seed + i * 1000003), total, i % 2);
        for (enum thing thing = LOCK; thing < THINGS; thing++) {
            assert_true(model.waits[thing] > total / 100);
            assert_true(model.cut[thing] > total / 1000);
        }
        test_loop_done(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_trivial_model),
    };

    return cmocka_run_group_tests_name("model_sync", tests, NULL, NULL);
}
