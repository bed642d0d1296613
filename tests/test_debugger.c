/* SPDX-License-Identifier: MIT
 *
 * What debuggers start from: the table of loops, and the root scopes of a loop.
 */
#include "world.h"

#include "core/loop.h"

#define TABLE (sizeof(jg__loops) / sizeof(*jg__loops))

static int entries_of(const jg_loop *loop)
{
    int count = 0;

    for (size_t i = 0; i < TABLE; i++)
        count += jg__loops[i] == ~(uintptr_t)loop;
    return count;
}

static void a_loop_is_in_the_table_from_new_to_free(void **state)
{
    jg_loop *loops[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        loops[i] = test_loop(0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(entries_of(loops[i]), 1);
    test_loop_done(loops[1]);
    assert_int_equal(entries_of(loops[0]), 1);
    assert_int_equal(entries_of(loops[1]), 0);
    assert_int_equal(entries_of(loops[2]), 1);
    test_loop_done(loops[0]);
    test_loop_done(loops[2]);
    for (size_t i = 0; i < TABLE; i++)
        assert_int_equal(jg__loops[i], 0);
}

static void loops_beyond_the_table_work_without_an_entry(void **state)
{
    jg_loop *loop;
    int count = 0;
    jg_call call;

    (void)state;
    for (size_t i = 0; i < TABLE; i++)
        jg__loops[i] = 1;
    loop = test_loop(0);
    assert_int_equal(entries_of(loop), 0);
    jg_call_init(&call, test_count_call, &count);
    jg_call_soon(loop, &call);
    assert_int_equal(jg_loop_run(loop), 0);
    assert_int_equal(count, 1);
    test_loop_done(loop);
    for (size_t i = 0; i < TABLE; i++) {
        assert_int_equal(jg__loops[i], 1);
        jg__loops[i] = 0;
    }
}

static void a_loop_knows_its_root_scopes_until_they_are_left(void **state)
{
    struct world world;
    jg_scope other;
    jg_op left;
    int count = 0;

    (void)state;
    world_init(&world);
    assert_ptr_equal(world.loop->roots.next, &world.root.link);
    jg_scope_open(&other, world.loop, NULL, NULL);
    assert_ptr_equal(world.loop->roots.next, &world.root.link);
    assert_ptr_equal(world.loop->roots.prev, &other.link);
    jg_op_init(&left, world.loop, test_count_call, &count);
    jg_scope_close(&other, 0, &left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_int_equal(count, 1);
    assert_ptr_equal(world.loop->roots.prev, &world.root.link);
    jg_scope_close(&world.root, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    assert_true(jg__list_empty(&world.loop->roots));
    test_loop_done(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_is_in_the_table_from_new_to_free),
        cmocka_unit_test(loops_beyond_the_table_work_without_an_entry),
        cmocka_unit_test(a_loop_knows_its_root_scopes_until_they_are_left),
    };

    return cmocka_run_group_tests_name("debugger", tests, NULL, NULL);
}
