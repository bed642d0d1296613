/* SPDX-License-Identifier: MIT
 *
 * A root scope on a loop of its own with virtual time, for tests of tasks.
 */
#ifndef JG_TESTS_WORLD_H
#define JG_TESTS_WORLD_H

#include "support.h"

#include <juggle/task.h>

struct world {
    jg_loop *loop;
    jg_scope root;
    jg_op left;
    int result; /* of leaving the root scope; 12345 before */
};

static inline void world_left(void *arg)
{
    struct world *world = arg;

    world->result = jg_op_status(&world->left);
}

static inline void world_init(struct world *world)
{
    *world = (struct world){.loop = test_loop(JG_LOOP_VIRTUAL_TIME), .result = 12345};
    jg_scope_open(&world->root, world->loop, NULL, NULL);
    jg_op_init(&world->left, world->loop, world_left, world);
}

/* Leave the root scope, run what is left, and free the loop. */
static inline void world_done(struct world *world)
{
    jg_scope_close(&world->root, 0, &world->left);
    assert_int_equal(jg_loop_run(world->loop), 0);
    assert_int_not_equal(world->result, 12345);
    test_loop_done(world->loop);
}

#endif
