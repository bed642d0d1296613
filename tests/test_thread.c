/* SPDX-License-Identifier: MIT
 *
 * Loops and threads: each loop belongs to one, and says so when another uses it.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>

/* A loop of this thread, and what another one wants to do with it. */
struct foreign {
    jg_loop *loop;
    jg_call call;
    jg_timer timer;
    jg_watcher watcher;
    jg_wake wake;
    jg_signal signal;
    jg_child child;
    int count;
    void (*use)(struct foreign *foreign);
};

static void *foreign_thread(void *arg)
{
    struct foreign *foreign = arg;

    foreign->use(foreign);
    return NULL;
}

static void use_from_another_thread(void *arg)
{
    struct foreign foreign = {.use = *(void (**)(struct foreign *))arg};
    pthread_t thread;

    test_check(jg_loop_new(NULL, &foreign.loop) == 0);
    jg_call_init(&foreign.call, test_count_call, &foreign.count);
    jg_timer_init(&foreign.timer, test_count_call, &foreign.count);
    jg_watcher_init(&foreign.watcher, test_count_event, &foreign.count);
    jg_wake_init(&foreign.wake, test_count_call, &foreign.count);
    jg_signal_init(&foreign.signal, test_count_event, &foreign.count);
    jg_child_init(&foreign.child, test_count_event, &foreign.count);
    test_check(pthread_create(&thread, NULL, foreign_thread, &foreign) == 0);
    test_check(pthread_join(thread, NULL) == 0);
}

static void use_run(struct foreign *foreign)
{
    (void)jg_loop_run(foreign->loop);
}

static void use_run_once(struct foreign *foreign)
{
    (void)jg_loop_run_once(foreign->loop, 0);
}

static void use_stop(struct foreign *foreign)
{
    jg_loop_stop(foreign->loop);
}

static void use_free(struct foreign *foreign)
{
    (void)jg_loop_free(foreign->loop);
}

static void use_prepare(struct foreign *foreign)
{
    (void)jg_loop_prepare(foreign->loop);
}

static void use_call_soon(struct foreign *foreign)
{
    jg_call_soon(foreign->loop, &foreign->call);
}

static void use_call_later(struct foreign *foreign)
{
    jg_call_later(foreign->loop, &foreign->timer, 0);
}

static void use_call_every(struct foreign *foreign)
{
    (void)jg_call_every(foreign->loop, &foreign->timer, 1);
}

static void use_watcher_start(struct foreign *foreign)
{
    (void)jg_watcher_start(foreign->loop, &foreign->watcher, 0, JG_READ);
}

static void use_wake_start(struct foreign *foreign)
{
    jg_wake_start(foreign->loop, &foreign->wake);
}

static void use_signal_start(struct foreign *foreign)
{
    (void)jg_signal_start(foreign->loop, &foreign->signal, SIGUSR2);
}

static void use_child_start(struct foreign *foreign)
{
    (void)jg_child_start(foreign->loop, &foreign->child, 1);
}

static void see_nothing(void *arg, const jg_started *started)
{
    (void)arg;
    (void)started;
}

static void use_walk(struct foreign *foreign)
{
    jg_loop_walk(foreign->loop, see_nothing, NULL);
}

static void a_loop_used_by_another_thread_aborts_and_says_so(void **state)
{
    void (*const uses[])(struct foreign * foreign) = {
        use_run,          use_run_once,    use_stop,       use_free,          use_prepare,
        use_call_soon,    use_call_later,  use_call_every, use_watcher_start, use_wake_start,
        use_signal_start, use_child_start, use_walk,
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        void (*use)(struct foreign * foreign) = uses[i];

        test_expect_abort(use_from_another_thread, &use, "belongs to another thread");
    }
}

static void stop_started(struct foreign *foreign)
{
    jg_timer_stop(&foreign->timer);
}

static void stop_timer_of_another_thread(void *arg)
{
    struct foreign foreign = {.use = stop_started};
    pthread_t thread;

    (void)arg;
    test_check(jg_loop_new(NULL, &foreign.loop) == 0);
    jg_timer_init(&foreign.timer, test_count_call, &foreign.count);
    jg_call_later(foreign.loop, &foreign.timer, 1);
    test_check(pthread_create(&thread, NULL, foreign_thread, &foreign) == 0);
    test_check(pthread_join(thread, NULL) == 0);
}

static void stopping_a_timer_of_another_thread_aborts(void **state)
{
    (void)state;
    test_expect_abort(stop_timer_of_another_thread, NULL, "belongs to another thread");
}

static void free_running(void *arg)
{
    (void)jg_loop_free(arg);
}

static void free_inside_a_callback(void *arg)
{
    jg_loop *loop;
    jg_call call;

    (void)arg;
    test_check(jg_loop_new(NULL, &loop) == 0);
    jg_call_init(&call, free_running, loop);
    jg_call_soon(loop, &call);
    (void)jg_loop_run(loop);
}

static void freeing_a_loop_that_runs_aborts(void **state)
{
    (void)state;
    test_expect_abort(free_inside_a_callback, NULL, "jg_loop_free");
}

static void run_nothing(void *arg)
{
    (void)jg_loop_run(arg);
}

static void running_no_loop_aborts(void **state)
{
    (void)state;
    test_expect_abort(run_nothing, NULL, "the loop is NULL");
}

static void *adopt_and_run(void *arg)
{
    test_check(jg_loop_adopt(arg) == 0);
    test_check(jg_loop_run(arg) == 0);
    return NULL;
}

static void a_loop_made_by_one_thread_may_be_run_by_another_that_adopts_it(void **state)
{
    jg_loop *loop = test_loop(0);
    pthread_t thread;
    int count = 0;
    jg_call call;

    (void)state;
    jg_call_init(&call, test_count_call, &count);
    jg_call_soon(loop, &call);
    assert_int_equal(pthread_create(&thread, NULL, adopt_and_run, loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(jg_loop_adopt(loop), 0);
    assert_int_equal(jg_loop_run(loop), 0);
    test_loop_done(loop);
}

static void *own_loop(void *arg)
{
    jg_loop *loop = test_loop(0);
    jg_timer timer;
    int count = 0, i;

    (void)arg;
    jg_timer_init(&timer, test_count_call, &count);
    for (i = 0; i < 50; i++) {
        jg_call_later(loop, &timer, 100 * JG_MICROSECOND);
        test_check(jg_loop_run(loop) == 0);
    }
    test_check(count == 50);
    test_loop_done(loop);
    return NULL;
}

static void loops_of_several_threads_do_not_disturb_each_other(void **state)
{
    pthread_t threads[4];
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, own_loop, NULL), 0);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_used_by_another_thread_aborts_and_says_so),
        cmocka_unit_test(stopping_a_timer_of_another_thread_aborts),
        cmocka_unit_test(freeing_a_loop_that_runs_aborts),
        cmocka_unit_test(running_no_loop_aborts),
        cmocka_unit_test(a_loop_made_by_one_thread_may_be_run_by_another_that_adopts_it),
        cmocka_unit_test(loops_of_several_threads_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
