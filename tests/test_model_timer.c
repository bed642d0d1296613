/* SPDX-License-Identifier: MIT
 *
 * Random operations on timers, compared with a model that is correct by being trivial. The seed is
 * printed; $JUGGLE_TEST_SEED repeats it.
 */
#include "support.h"

#include <stdlib.h>
#include <time.h>

static const jg_time YEAR = 365 * 86400 * JG_SECOND;

/*
 * The model: an array of what each timer is set to. A turn's timers are those due when it begins,
 * by deadline and then by the order of setting, less those that were stopped or set anew before
 * their turn came.
 */
enum { MODEL_TIMERS = 64 };

struct model;

struct model_timer {
    struct model *model;
    jg_timer timer;
    bool set;
    jg_time deadline;
    uint64_t order; /* of setting */
};

struct model {
    jg_loop *loop;
    uint64_t random, order;
    long operations, fired;
    struct model_timer timers[MODEL_TIMERS];
    struct {
        int index;
        uint64_t order;
    } due[MODEL_TIMERS]; /* of this turn */
    int due_count, due_next;
};

static uint64_t model_random(struct model *model, uint64_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % below;
}

/* From 0 ns to nine years, every order of magnitude as likely as the others. */
static jg_time model_span(struct model *model)
{
    uint64_t bits = model_random(model, 59);

    return (jg_time)(model->random & ((UINT64_C(1) << bits) - 1));
}

static void model_set(struct model *model, int index, jg_time deadline, bool relative)
{
    struct model_timer *timer = &model->timers[index];

    timer->set = true;
    timer->deadline = deadline;
    timer->order = ++model->order;
    if (relative) {
        jg_call_later(model->loop, &timer->timer, deadline - jg_loop_now(model->loop));
    } else {
        jg_call_at(model->loop, &timer->timer, deadline);
    }
}

static void model_stop(struct model *model, int index)
{
    model->timers[index].set = false;
    jg_timer_stop(&model->timers[index].timer);
}

static void model_operation(struct model *model)
{
    int index = (int)model_random(model, MODEL_TIMERS);
    int other = (int)model_random(model, MODEL_TIMERS);
    const struct model_timer *timer = &model->timers[index];
    jg_time now = jg_loop_now(model->loop);
    bool relative = model_random(model, 2);

    model->operations++;
    assert_int_equal(jg_handle_started(&timer->timer.handle), timer->set);
    switch (model_random(model, 8)) {
    case 0:
    case 1:
        model_set(model, index, now + model_span(model), relative);
        break;
    case 2: /* the same as another one's */
        model_set(model, index, model->timers[other].set ? model->timers[other].deadline : now,
                  false);
        break;
    case 3: /* extend */
        if (timer->set && timer->deadline < JG_FOREVER / 2) {
            model_set(model, index, timer->deadline + model_span(model), relative);
        }
        break;
    case 4: /* shorten */
        if (timer->set && timer->deadline > now) {
            jg_time left = timer->deadline - now;

            model_set(model, index, now + (jg_time)model_random(model, (uint64_t)left), relative);
        }
        break;
    case 5: /* overdue */
        model_set(model, index, now - (jg_time)model_random(model, 1000), relative);
        break;
    case 6:
        model_stop(model, index);
        break;
    case 7:
        if (model_random(model, 10) == 0) {
            model_set(model, index, JG_FOREVER, relative && now > 0);
        }
        break;
    }
}

static void model_fired(void *arg)
{
    struct model_timer *timer = arg;
    struct model *model = timer->model;
    int index = (int)(timer - model->timers);

    /* Pass over those that were stopped or set anew in this turn. */
    while (model->due_next < model->due_count) {
        int next = model->due[model->due_next].index;

        if (model->timers[next].set &&
            model->timers[next].order == model->due[model->due_next].order) {
            break;
        }
        model->due_next++;
    }
    assert_true(model->due_next < model->due_count);
    assert_int_equal(model->due[model->due_next].index, index);
    model->due_next++;
    model->fired++;
    timer->set = false;
    while (model_random(model, 3) == 0) {
        model_operation(model);
    }
}

static bool model_before(const struct model_timer *a, const struct model_timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

/* What falls due at `now`, in order. */
static void model_collect(struct model *model, jg_time now)
{
    int i, at;

    model->due_count = 0;
    model->due_next = 0;
    for (i = 0; i < MODEL_TIMERS; i++) {
        const struct model_timer *timer = &model->timers[i];

        if (!timer->set || timer->deadline > now) {
            continue;
        }
        at = model->due_count++;
        while (at > 0 && model_before(timer, &model->timers[model->due[at - 1].index])) {
            model->due[at] = model->due[at - 1];
            at--;
        }
        model->due[at].index = i;
        model->due[at].order = timer->order;
    }
}

static jg_time model_earliest(const struct model *model)
{
    jg_time earliest = JG_FOREVER;
    int i;

    for (i = 0; i < MODEL_TIMERS; i++) {
        if (model->timers[i].set && model->timers[i].deadline < earliest) {
            earliest = model->timers[i].deadline;
        }
    }
    return earliest;
}

static void model_turn(struct model *model, jg_time expected_now, jg_time timeout)
{
    int i;

    model_collect(model, expected_now);
    assert_true(jg_loop_run_once(model->loop, timeout) >= 0);
    assert_int_equal(jg_loop_time(model->loop), expected_now);
    for (i = model->due_next; i < model->due_count; i++) {
        const struct model_timer *timer = &model->timers[model->due[i].index];

        assert_false(timer->set && timer->order == model->due[i].order);
    }
}

static void model_step(struct model *model)
{
    jg_time now = jg_loop_now(model->loop), earliest = model_earliest(model), delta;

    switch (model_random(model, 4)) {
    case 0:
        delta = model_span(model) >> model_random(model, 24);
        assert_int_equal(jg_test_advance(model->loop, delta), 0);
        model_turn(model, now + delta, 0);
        break;
    case 1: /* to just before, exactly or just after the first deadline */
        if (earliest > now && earliest < JG_FOREVER) {
            delta = earliest - now + (jg_time)model_random(model, 3) - 1;
            assert_int_equal(jg_test_advance(model->loop, delta), 0);
            model_turn(model, now + delta, 0);
        }
        break;
    case 2: /* sleep until the first deadline */
        if (earliest < JG_FOREVER) {
            model_turn(model, earliest > now ? earliest : now, JG_FOREVER);
        }
        break;
    case 3:
        model_turn(model, now, 0);
        break;
    }
}

static uint64_t random_seed(void)
{
    const char *given = getenv("JUGGLE_TEST_SEED");

    return given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
}

static void random_operations_agree_with_a_trivial_model(void **state)
{
    static struct model model;
    long total = test_is_emulated() ? 20000 : 200000;
    uint64_t seed = random_seed();
    int i;

    (void)state;
    print_message("JUGGLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    model.random = seed | 1;
    while (model.operations < total) {
        model.loop = test_loop(JG_LOOP_VIRTUAL_TIME);
        for (i = 0; i < MODEL_TIMERS; i++) {
            model.timers[i].model = &model;
            model.timers[i].set = false;
            jg_timer_init(&model.timers[i].timer, model_fired, &model.timers[i]);
        }
        /* A new loop now and then, well before the end of time. */
        while (model.operations < total && jg_loop_now(model.loop) < 150 * YEAR) {
            model_operation(&model);
            if (model_random(&model, 3) == 0) {
                model_step(&model);
            }
        }
        for (i = 0; i < MODEL_TIMERS; i++) {
            model_stop(&model, i);
        }
        assert_int_equal(test_loop_memory(model.loop)->fail_at, 0);
        test_loop_done(model.loop);
    }
    assert_true(model.fired > total / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_trivial_model),
    };

    return cmocka_run_group_tests_name("model_timer", tests, NULL, NULL);
}
