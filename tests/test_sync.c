/* SPDX-License-Identifier: MIT
 *
 * All means of synchronisation together: coroutines that meet by each of them, one of which is
 * cancelled at each turn; deadlocks; and what the tree of tasks tells of those who wait.
 */
#include "support.h"
#include "waiter.h"

#include <juggle/tree.h>

#include <string.h>

enum { WORKERS = 4, PERMITS = 2 };

struct party {
    jg_event start;
    jg_semaphore permits;
    jg_lock lock;
    jg_condition changed;
    jg_barrier barrier;
    int came, absent, inside;
};

struct worker {
    struct party *party;
    jg_scope scope;
    jg_op left;
    int status;
    bool ended;
};

static int use_a_permit(struct party *party)
{
    int r = jg_semaphore_acquire(&party->permits);

    if (r < 0)
        return r;

    test_check(++party->inside <= PERMITS);
    r = jg_sleep(1);
    party->inside--;
    jg_semaphore_release(&party->permits);
    return r;
}

/* Wait until everybody has come, or will not. */
static int meet(struct party *party)
{
    int r = jg_lock_acquire(&party->lock);

    if (r < 0)
        return r;

    party->came++;
    jg_condition_notify_all(&party->changed);
    while (r == 0 && party->came + party->absent < WORKERS)
        r = jg_condition_wait(&party->changed);
    if (r < 0)
        party->came--;
    jg_lock_release(&party->lock);
    return r;
}

static int tell_others(void *arg)
{
    struct party *party = arg;

    test_check(jg_lock_acquire(&party->lock) == 0);
    party->absent++;
    jg_condition_notify_all(&party->changed);
    jg_barrier_abort(&party->barrier);
    jg_lock_release(&party->lock);
    return 0;
}

static int work(void *arg)
{
    struct worker *worker = arg;
    struct party *party = worker->party;
    int r = jg_event_wait(&party->start);

    if (r == 0)
        r = use_a_permit(party);
    if (r == 0)
        r = meet(party);
    if (r == 0)
        r = jg_barrier_wait(&party->barrier);
    if (r < 0)
        test_check(jg_shield(tell_others, party) == 0);
    return r;
}

static void worker_left(void *arg)
{
    struct worker *worker = arg;

    worker->ended = true;
}

static void worker_begin(struct worker *worker, jg_loop *loop)
{
    const jg_spawn_options options = {.ret_status = &worker->status};

    worker->status = 12345;
    jg_scope_open(&worker->scope, loop, NULL, &(jg_scope_options){.policy = JG_KEEP_GOING});
    assert_int_equal(jg_spawn(&worker->scope, work, worker, &options), 0);
    jg_op_init(&worker->left, loop, worker_left, worker);
    jg_scope_close(&worker->scope, 0, &worker->left);
}

static void party_init(struct party *party)
{
    *party = (struct party){.came = 0};
    jg_semaphore_init(&party->permits, PERMITS, PERMITS);
    jg_condition_init(&party->changed, &party->lock);
    jg_barrier_init(&party->barrier, WORKERS);
}

/* Let them meet, and cancel one after so many turns. Returns whether it had ended before. */
static bool disturb(int victim, int turns, uint64_t seed)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct worker workers[WORKERS] = {{.ended = false}};
    struct party party;
    bool before;

    jg_test_shuffle(loop, seed);
    party_init(&party);
    for (int i = 0; i < WORKERS; i++) {
        workers[i].party = &party;
        worker_begin(&workers[i], loop);
    }
    for (int turn = 0; turn < turns; turn++) {
        if (turn == 2)
            jg_event_set(&party.start);
        (void)jg_loop_run_once(loop, -1);
    }
    before = workers[victim].ended;
    jg_scope_cancel(&workers[victim].scope);
    jg_event_set(&party.start);
    settle(loop);

    for (int i = 0; i < WORKERS; i++) {
        assert_true(workers[i].ended);
        if (before)
            assert_in_range(workers[i].status, 0, WORKERS - 1);
        else if (workers[i].status < 0)
            assert_int_equal(workers[i].status, i == victim ? -ECANCELED : JG_EBROKEN);
    }
    assert_false(jg_lock_locked(&party.lock));
    assert_int_equal(jg_semaphore_value(&party.permits), PERMITS);
    assert_int_equal(jg_barrier_waiting(&party.barrier), 0);
    assert_int_equal(party.inside, 0);
    test_loop_done(loop);
    return before;
}

static void one_cancelled_at_any_turn_leaves_nothing_locked_taken_or_waiting(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (int victim = 0; victim < WORKERS; victim++) {
            int turns = 0;

            while (!disturb(victim, turns, seed))
                assert_true(turns++ < 100);
            assert_true(turns > 5);
        }
    }
}

static int lock_twice(void *arg)
{
    jg_lock lock = {.locked = false};
    int r = jg_lock_acquire(&lock);

    (void)arg;
    return r < 0 ? r : jg_lock_acquire(&lock);
}

static void a_lock_that_is_locked_twice_is_reported_as_a_deadlock(void **state)
{
    const jg_loop_options loop = {.flags = JG_LOOP_VIRTUAL_TIME};

    (void)state;
    assert_int_equal(jg_run(lock_twice, NULL, &(jg_run_options){.loop = &loop}), JG_EDEADLOCK);
}

static void note_line(void *arg, const char *line)
{
    char *text = arg;
    const char *waits = strstr(line, "waits for ");

    if (waits) {
        strncat(text, waits + strlen("waits for "),
                (size_t)(strstr(waits, " for 0.000 s at ") - waits) - strlen("waits for "));
        strcat(text, ";");
    }
}

static void the_tree_tells_what_each_waits_for(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    struct party party;
    struct worker worker = {.party = &party};
    char text[500] = "";

    (void)state;
    party_init(&party);
    assert_int_equal(jg_semaphore_try_acquire(&party.permits), 0);
    assert_int_equal(jg_semaphore_try_acquire(&party.permits), 0);
    worker_begin(&worker, loop);
    settle(loop);
    jg_scope_describe(&worker.scope, note_line, text);
    jg_event_set(&party.start);
    settle(loop);
    jg_scope_describe(&worker.scope, note_line, text);
    assert_int_equal(jg_lock_try_acquire(&party.lock), 0);
    jg_semaphore_release(&party.permits);
    settle(loop);
    jg_scope_describe(&worker.scope, note_line, text);
    jg_lock_release(&party.lock);
    settle(loop);
    jg_scope_describe(&worker.scope, note_line, text);
    assert_int_equal(jg_lock_try_acquire(&party.lock), 0);
    party.absent = WORKERS - 1;
    jg_condition_notify_all(&party.changed);
    jg_scope_describe(&worker.scope, note_line, text);
    jg_lock_release(&party.lock);
    settle(loop);
    jg_scope_describe(&worker.scope, note_line, text);
    assert_string_equal(text, "event;semaphore;lock;condition;lock of a condition;barrier;");
    jg_barrier_reset(&party.barrier);
    settle(loop);
    assert_int_equal(worker.status, JG_EBROKEN);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cancelled_at_any_turn_leaves_nothing_locked_taken_or_waiting),
        cmocka_unit_test(a_lock_that_is_locked_twice_is_reported_as_a_deadlock),
        cmocka_unit_test(the_tree_tells_what_each_waits_for),
    };

    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
