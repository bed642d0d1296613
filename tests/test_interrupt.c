/* SPDX-License-Identifier: MIT
 *
 * Wakes and signals that arrive at each single instruction of what the loop does.
 *
 * Races with the loop going to sleep have windows of a nanosecond, which a stress test may miss for
 * years. Here nothing is left to chance: the processor stops after every instruction, and in round
 * n something is sent after the n-th. This needs the trap flag of x86-64; elsewhere there is only
 * the stress in test_wake.c.
 */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#    include <ucontext.h>
#endif

/* Without optimisation there are so many instructions that it takes too long. */
#if defined(__x86_64__) && defined(REG_EFL) && defined(__OPTIMIZE__)
#    define CAN_STEP 1
#else
#    define CAN_STEP 0
#endif

static struct {
    volatile long steps, target;
    volatile bool done;
    volatile jg_time when;
    void (*interrupt)(void *arg);
    void *arg;
} stepping;

#if CAN_STEP

#    define TRAP_FLAG 0x100

/* By the linker: the bounds of the program, which contains the library. */
extern char __executable_start, etext;

static void on_step(int signo, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;

    uintptr_t at = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];

    /* Instructions of the C library do not count: what it does is done when it returns. */
    (void)signo;
    (void)info;
    if (at < (uintptr_t)&__executable_start || at >= (uintptr_t)&etext ||
        ++stepping.steps < stepping.target) {
        return;
    }
    interrupted->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    if (!stepping.done) {
        stepping.done = true;
        stepping.when = test_clock();
        stepping.interrupt(stepping.arg);
    }
}

/* Below the stack pointer is memory that belongs to the function around this: it is stepped over.
 */
static void start_stepping(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\t"
                     "orq $0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

static void stop_stepping(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\t"
                     "andq $~0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

static void catch_steps(struct sigaction *before)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_step;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTRAP, &action, before), 0);
}

#else

static void start_stepping(void)
{
}

static void stop_stepping(void)
{
}

static void catch_steps(struct sigaction *before)
{
    (void)before;
}

#endif

/* Run fn(arg) and interrupt(interrupt_arg) after its n-th instruction. Returns whether it has that
   many. */
static bool interrupted_at(long n, void (*fn)(void *arg), void *arg,
                           void (*interrupt)(void *interrupt_arg), void *interrupt_arg)
{
    struct sigaction before;
    bool reached;

    memset(&stepping, 0, sizeof(stepping));
    stepping.target = n;
    stepping.interrupt = interrupt;
    stepping.arg = interrupt_arg;
    catch_steps(&before);
    start_stepping();
    fn(arg);
    reached = stepping.done;
    stop_stepping();
#if CAN_STEP
    assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
#endif
    return reached;
}

/* The kqueue of the tests is a part of the program, but a system call to those who use it. */
static bool is_steppable(void)
{
    const char *backend = getenv("JUGGLE_BACKEND");

    return CAN_STEP && !(backend && strncmp(backend, "kqueue", strlen("kqueue")) == 0);
}

#define SKIP_UNLESS_STEPPING()                 \
    do {                                       \
        if (!is_steppable() || test_is_slow()) \
            skip();                            \
    } while (0)

/* A loop with two wakes and a signal. Each interruption is owed a callback. */
struct target {
    jg_loop *loop;
    jg_wake first, second;
    jg_signal signal;
    int firsts, seconds, signals;
    volatile bool owed;
};

static void on_first(void *arg)
{
    struct target *target = arg;

    target->firsts++;
    target->owed = false;
}

static void on_signal(void *arg, int signo)
{
    struct target *target = arg;

    (void)signo;
    target->signals++;
    target->owed = false;
}

static void target_init(struct target *target)
{
    memset(target, 0, sizeof(*target));
    target->loop = test_loop(0);
    jg_wake_init(&target->first, on_first, target);
    jg_wake_init(&target->second, test_count_call, &target->seconds);
    jg_signal_init(&target->signal, on_signal, target);
    jg_wake_start(target->loop, &target->first);
    jg_wake_start(target->loop, &target->second);
    assert_int_equal(jg_signal_start(target->loop, &target->signal, SIGUSR1), 0);
}

static void target_done(struct target *target)
{
    jg_wake_stop(&target->first);
    jg_wake_stop(&target->second);
    jg_signal_stop(&target->signal);
    test_loop_done(target->loop);
}

static void send_first(void *arg)
{
    struct target *target = arg;

    target->owed = true;
    jg_wake_send(&target->first);
}

static void raise_signal(void *arg)
{
    struct target *target = arg;

    target->owed = true;
    test_check(raise(SIGUSR1) == 0);
}

/* Long enough to tell it from a turn that is ended. */
static const jg_time SLEEP = 200 * JG_MILLISECOND;

static void turn_that_sleeps(void *arg)
{
    struct target *target = arg;

    (void)jg_loop_run_once(target->loop, SLEEP); /* what it returns is not the point */
}

static void turn(void *arg)
{
    struct target *target = arg;

    (void)jg_loop_run_once(target->loop, 0); /* what it returns is not the point */
}

/* Interrupt a turn that goes to sleep after each instruction, until the one that sleeps. */
static void interrupt_before_sleep(void (*interrupt)(void *arg))
{
    struct target target;
    long n;

    target_init(&target);
    for (n = 1;; n++) {
        jg_time begin = test_clock();
        bool reached = interrupted_at(n, turn_that_sleeps, &target, interrupt, &target);

        assert_true(reached);
        if (stepping.when - begin >= SLEEP) {
            break; /* it was after the sleep */
        }
        if (target.owed) {
            print_message("after instruction %ld\n", n);
        }
        assert_false(target.owed);
        assert_true(test_clock() - begin < SLEEP);
    }
    assert_true(n > 20);
    turn(&target);
    turn(&target);
    assert_false(target.owed);
    target_done(&target);
}

static void a_wake_sent_at_any_instruction_before_the_sleep_ends_it(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_before_sleep(send_first);
}

static void a_signal_at_any_instruction_before_the_sleep_ends_it(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_before_sleep(raise_signal);
}

/* Interrupt `fn` after each of its instructions; `prepare` comes before. Then a few turns must have
   called everything that is owed, and the second wake as often as it was sent. */
static void interrupt_everywhere(void (*prepare)(struct target *target), void (*fn)(void *arg),
                                 void (*interrupt)(void *arg))
{
    struct target target;
    bool reached = true;
    long n;

    target_init(&target);
    for (n = 1; reached; n++) {
        int i;

        target.seconds = 0;
        if (prepare) {
            prepare(&target);
        }
        reached = interrupted_at(n, fn, &target, interrupt, &target);
        for (i = 0; i < 3; i++) {
            turn(&target);
        }
        if (target.owed) {
            print_message("after instruction %ld\n", n);
        }
        assert_false(target.owed);
        assert_int_equal(target.seconds, 1);
    }
    assert_true(n > 10);
    target_done(&target);
}

static void send_second(void *arg)
{
    struct target *target = arg;

    jg_wake_send(&target->second);
}

static void a_send_may_be_interrupted_by_another_at_any_instruction(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(NULL, send_second, send_first);
}

static void sleep_and_send_second(void *arg)
{
    struct target *target = arg;

    (void)jg_loop_prepare(target->loop); /* so that the poller is woken, too */
    jg_wake_send(&target->second);
}

static void a_send_to_a_sleeping_loop_may_be_interrupted_by_another(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(NULL, sleep_and_send_second, send_first);
}

static void send_both(struct target *target)
{
    send_first(target);
    send_second(target);
}

static void a_turn_that_runs_wakes_may_be_interrupted_by_a_send_of_one_of_them(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(send_both, turn, send_first);
}

static void raise_and_send_second(struct target *target)
{
    raise_signal(target);
    send_second(target);
}

static void a_turn_that_runs_a_signal_may_be_interrupted_by_the_same(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(raise_and_send_second, turn, raise_signal);
}

static void restart_second(void *arg)
{
    struct target *target = arg;

    jg_wake_stop(&target->second);
    jg_wake_start(target->loop, &target->second);
    jg_wake_send(&target->second);
}

static void stopping_a_sent_wake_may_be_interrupted_by_a_send_of_another(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(send_both, restart_second, send_first);
}

static void watch_another_signal(void *arg)
{
    struct target *target = arg;
    jg_signal other;

    jg_signal_init(&other, on_signal, target);
    test_check(jg_signal_start(target->loop, &other, SIGUSR1) == 0);
    jg_signal_stop(&other);
}

static void send_the_second(struct target *target)
{
    send_second(target);
}

static void starting_and_stopping_a_signal_may_be_interrupted_by_the_same(void **state)
{
    (void)state;
    SKIP_UNLESS_STEPPING();
    interrupt_everywhere(send_the_second, watch_another_signal, raise_signal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_sent_at_any_instruction_before_the_sleep_ends_it),
        cmocka_unit_test(a_signal_at_any_instruction_before_the_sleep_ends_it),
        cmocka_unit_test(a_send_may_be_interrupted_by_another_at_any_instruction),
        cmocka_unit_test(a_send_to_a_sleeping_loop_may_be_interrupted_by_another),
        cmocka_unit_test(a_turn_that_runs_wakes_may_be_interrupted_by_a_send_of_one_of_them),
        cmocka_unit_test(a_turn_that_runs_a_signal_may_be_interrupted_by_the_same),
        cmocka_unit_test(stopping_a_sent_wake_may_be_interrupted_by_a_send_of_another),
        cmocka_unit_test(starting_and_stopping_a_signal_may_be_interrupted_by_the_same),
    };

    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
