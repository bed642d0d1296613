/* SPDX-License-Identifier: MIT
 *
 * Switching between flows of control.
 */
#include "support.h"

#include "base/alloc.h"
#include "platform/context.h"
#include "platform/stack.h"

#include <stdio.h>

/* Where the C library has what the compiler's unwinder needs, even if linked statically. */
#ifdef __GLIBC__
#    include <unwind.h>
#endif

#define NOINLINE __attribute__((noinline, noclone))
#if defined(__clang__)
#    undef NOINLINE
#    define NOINLINE __attribute__((noinline))
#endif

/* A flow that belongs to the test; it lies on top of its own stack. */
struct flow {
    jg__stack stack;
    jg__context context;
    jg__context *back; /* where it switches to */
    void (*body)(struct flow *flow);
    void *arg;
    int step;
    bool over;
};

static jg__stacks stacks; /* exists while there are flows */
static jg__context thread;

static void *run_body(void *arg)
{
    struct flow *flow = arg;

    flow->body(flow);
    flow->over = true;
    return jg__context_leave(&flow->context, flow->back);
}

static void make(struct flow *flow)
{
    jg__context_make(&flow->context, flow->stack.low, jg__stack_size(&flow->stack), run_body, flow);
    flow->step = 0;
    flow->over = false;
}

static struct flow *new_flow(void (*body)(struct flow *flow), void *arg)
{
    struct flow *flow;
    jg__stack *stack;

    if (stacks.taken == 0) {
        jg__stacks_init(&stacks, &jg__malloc, sizeof(struct flow));
        jg__context_current(&thread);
    }
    assert_int_equal(jg__stack_take(&stacks, 0, &stack), 0);
    flow = (struct flow *)(void *)stack;
    flow->body = body;
    flow->arg = arg;
    flow->back = &thread;
    make(flow);
    return flow;
}

static void resume(struct flow *flow)
{
    jg__context_switch(&thread, &flow->context);
}

static void suspend(struct flow *flow)
{
    flow->step++;
    jg__context_switch(&flow->context, flow->back);
}

static void end(struct flow *flow)
{
    jg__context_done(&flow->context);
    jg__stack_give(&stacks, &flow->stack);
    if (stacks.taken == 0)
        jg__stacks_fini(&stacks);
}

static void count_to_three(struct flow *flow)
{
    int i;

    for (i = 0; i < 3; i++)
        suspend(flow);
}

static void a_flow_goes_on_where_it_was_suspended(void **state)
{
    struct flow *flow = new_flow(count_to_three, NULL);
    int i;

    (void)state;
    assert_int_equal(flow->step, 0);
    for (i = 1; i <= 3; i++) {
        resume(flow);
        assert_int_equal(flow->step, i);
        assert_false(flow->over);
    }
    resume(flow);
    assert_true(flow->over);
    end(flow);
}

static void note_argument(struct flow *flow)
{
    *(struct flow **)flow->arg = flow;
}

static void a_flow_gets_its_argument(void **state)
{
    struct flow *seen = NULL;
    struct flow *flow = new_flow(note_argument, &seen);

    (void)state;
    resume(flow);
    assert_ptr_equal(seen, flow);
    end(flow);
}

static void a_flow_that_never_ran_may_be_given_up(void **state)
{
    (void)state;
    end(new_flow(count_to_three, NULL));
}

static void pass_to_next(struct flow *flow)
{
    struct flow *next = flow->arg;

    suspend(flow);
    if (next)
        jg__context_switch(&flow->context, &next->context);
}

static void flows_switch_to_each_other_without_the_thread(void **state)
{
    struct flow *last = new_flow(pass_to_next, NULL);
    struct flow *middle = new_flow(pass_to_next, last);
    struct flow *first = new_flow(pass_to_next, middle);

    (void)state;
    resume(last);
    resume(middle);
    resume(first);
    resume(first);
    assert_true(last->over);
    assert_false(middle->over);
    assert_false(first->over);
    resume(middle);
    resume(first);
    assert_true(middle->over && first->over);
    end(first);
    end(middle);
    end(last);
}

static void many_flows_keep_apart(void **state)
{
    struct flow *flows[500];
    int i, round;

    (void)state;
    for (i = 0; i < 500; i++)
        flows[i] = new_flow(count_to_three, NULL);
    for (round = 0; round < 4; round++) {
        for (i = 0; i < 500; i++)
            resume(flows[(i * 7 + round) % 500]);
    }
    for (i = 0; i < 500; i++) {
        assert_true(flows[i]->over);
        end(flows[i]);
    }
}

static void a_stack_serves_one_flow_after_the_other(void **state)
{
    int count = test_is_slow() ? 100 : 10000;
    struct flow *flow = new_flow(count_to_three, NULL);
    int i;

    (void)state;
    for (i = 0; i < count; i++) {
        while (!flow->over)
            resume(flow);
        jg__context_done(&flow->context);
        make(flow);
    }
    end(flow);
}

/* More values than there are registers, which live on across calls of `pause`. */
static NOINLINE double churn(long seed, void (*pause)(struct flow *flow), struct flow *flow)
{
    long a = seed, b = a * 3 + 1, c = b ^ 5, d = c + a, e = d * 7, f = e - b, g = f ^ c, h = g + 1;
    double p = 0.5 * (double)seed, q = p + 1, r = q * 1.5, s = r - 2, t = s * 0.5, u = t + 3;
    double v = u * 0.25, w = v + p, x = w - q, y = x * 0.5;
    int i;

    for (i = 0; i < 50; i++) {
        pause(flow);
        a += b ^ c;
        b += c ^ d;
        c += d ^ e;
        d += e ^ f;
        e += f ^ g;
        f += g ^ h;
        g += h ^ a;
        h = (h + a) % 1000003;
        a %= 1009;
        b %= 2003;
        c %= 3001;
        d %= 4001;
        e %= 5003;
        f %= 6007;
        g %= 7001;
        p = p * 0.5 + q;
        q = q * 0.5 + r;
        r = r * 0.5 + s;
        s = s * 0.5 + t;
        t = t * 0.5 + u;
        u = u * 0.5 + v;
        v = v * 0.5 + w;
        w = w * 0.5 + x;
        x = x * 0.5 + y;
        y = y * 0.25 + 1;
    }
    return (double)(a + b + c + d + e + f + g + h) + p + q + r + s + t + u + v + w + x + y;
}

static void do_not_pause(struct flow *flow)
{
    (void)flow;
}

struct churning {
    long seed;
    double result;
};

static void churn_in_flow(struct flow *flow)
{
    struct churning *churning = flow->arg;

    churning->result = churn(churning->seed, suspend, flow);
}

/* The thread churns too: each of its pauses lets all others have a step. */
static void resume_all(struct flow *list)
{
    struct flow *const *flows = list->arg;

    for (; *flows; flows++)
        resume(*flows);
}

static void a_switch_keeps_the_registers_of_either_side(void **state)
{
    struct churning churning[3] = {{.seed = 11}, {.seed = 222}, {.seed = 3333}};
    struct flow *flows[4] = {NULL};
    struct flow list = {.arg = flows};
    double result;
    int i;

    (void)state;
    for (i = 0; i < 3; i++)
        flows[i] = new_flow(churn_in_flow, &churning[i]);
    result = churn(44444, resume_all, &list);
    for (i = 0; i < 3; i++) {
        resume(flows[i]);
        assert_true(flows[i]->over);
        assert_true(churning[i].result == churn(churning[i].seed, do_not_pause, NULL));
        end(flows[i]);
    }
    assert_true(result == churn(44444, do_not_pause, NULL));
}

struct alignment {
    uintptr_t frame, local;
    char text[64];
};

static void look_at_alignment(struct flow *flow)
{
    struct alignment *alignment = flow->arg;
    _Alignas(16) volatile char local[16] = {0};

    alignment->frame = (uintptr_t)__builtin_frame_address(0);
    alignment->local = (uintptr_t)local;
    snprintf(alignment->text, sizeof(alignment->text), "%.3f %Lg", 2.5, (long double)0.25);
}

static void a_flow_starts_on_an_aligned_stack_of_any_alignment(void **state)
{
    struct alignment alignment;
    size_t less;

    (void)state;
    for (less = 0; less < 48; less++) {
        struct flow *flow = new_flow(look_at_alignment, &alignment);

        jg__context_done(&flow->context);
        jg__context_make(&flow->context, flow->stack.low, jg__stack_size(&flow->stack) - less,
                         run_body, flow);
        resume(flow);
        assert_true(flow->over);
        assert_int_equal(alignment.frame % 16, 0);
        assert_int_equal(alignment.local % 16, 0);
        assert_string_equal(alignment.text, "2.500 0.25");
        end(flow);
    }
}

struct trace {
    int count;
    uintptr_t last;
};

#ifdef __GLIBC__

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
    struct trace *trace = arg;

    /* A frame without an address is how the end looks to some unwinders. */
    if (_Unwind_GetIP(context)) {
        trace->count++;
        trace->last = _Unwind_GetIP(context);
    }
    return trace->count < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void take_trace(struct trace *trace)
{
    _Unwind_Backtrace(add_frame, trace);
}

#else

static void take_trace(struct trace *trace)
{
    (void)trace;
}

#endif

static NOINLINE int trace_at_depth(struct trace *trace, int depth)
{
    int below = 0;

    if (depth > 0)
        below = trace_at_depth(trace, depth - 1) + 1;
    else
        take_trace(trace);
    __asm__ volatile("" : "+r"(below) : : "memory"); /* no loop, please */
    return below;
}

static void trace_in_flow(struct flow *flow)
{
    test_check(trace_at_depth(flow->arg, 5) == 5);
}

static void a_backtrace_ends_where_the_flow_began(void **state)
{
    struct trace trace = {0};
    struct flow *flow;

    (void)state;
    trace_at_depth(&trace, 5);
    if (trace.count < 8)
        skip(); /* no unwinder, or no tables for it, which some platforms have only on request */
    trace = (struct trace){0};
    flow = new_flow(trace_in_flow, &trace);
    resume(flow);
    end(flow);
    assert_in_range(trace.count, 8, 20);
#ifndef JG_CONTEXT_UCONTEXT
    {
        extern const char jg__context_begin[];

        assert_in_range(trace.last, (uintptr_t)jg__context_begin,
                        (uintptr_t)jg__context_begin + 32);
    }
#endif
}

/* The word of a suspended flow's frame that holds its program counter, as context.h says. */
#if defined(JG__CONTEXT_X86_64)
#    define PC 6
#elif defined(JG__CONTEXT_AARCH64) && !defined(__ARM_FEATURE_PAC_DEFAULT)
#    define PC 1
#elif defined(JG__CONTEXT_RISCV64)
#    define PC 0
#else
#    define PC -1
#endif

static NOINLINE void park(struct flow *flow)
{
    jg__context_switch(&flow->context, flow->back);
    flow->step++;
}

static void a_suspended_flow_tells_where_it_is(void **state)
{
    struct flow *flow;
    uintptr_t pc;

    (void)state;
    if (PC < 0)
        skip(); /* it is signed, or somewhere in a ucontext_t */
    flow = new_flow(park, NULL);
    resume(flow);
    pc = ((uintptr_t *)flow->context.sp)[PC];

    /* In park, or in an inline function that was not inlined. */
    assert_in_range(pc, (uintptr_t)park - 65536, (uintptr_t)park + 65536);
    assert_true((char *)flow->context.sp > flow->stack.low);
    assert_true((char *)flow->context.sp < (char *)flow);
    resume(flow);
    end(flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_goes_on_where_it_was_suspended),
        cmocka_unit_test(a_flow_gets_its_argument),
        cmocka_unit_test(a_flow_that_never_ran_may_be_given_up),
        cmocka_unit_test(flows_switch_to_each_other_without_the_thread),
        cmocka_unit_test(many_flows_keep_apart),
        cmocka_unit_test(a_stack_serves_one_flow_after_the_other),
        cmocka_unit_test(a_switch_keeps_the_registers_of_either_side),
        cmocka_unit_test(a_flow_starts_on_an_aligned_stack_of_any_alignment),
        cmocka_unit_test(a_backtrace_ends_where_the_flow_began),
        cmocka_unit_test(a_suspended_flow_tells_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
