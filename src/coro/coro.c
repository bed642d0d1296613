/* SPDX-License-Identifier: MIT
 *
 * Coroutines: tasks whose step switches to a stack of their own.
 *
 * The control block lies at the top of the stack, so that a coroutine which sleeps in a few calls
 * touches one page. A coroutine runs only inside a step of its task, or handed over to by one that
 * does; it goes back to the loop, or hands over, in jg_await and jg_sleep alone, and goes back for
 * good at its end. The stack is given back after that, from the loop's.
 */
#include "coro/coro.h"

#include "platform/descriptor.h"
#include "platform/overflow.h"
#include "platform/stack.h"

#include <errno.h>

/* More than the code of begin() takes up; what follows it in this file calls nobody that waits. */
#define SIZE_OF_BEGIN 256

struct jg__coros {
    jg__part part;
    jg_loop *loop;
    jg__context context; /* of the loop, while a coroutine runs */
    jg__stacks stacks;
    jg__overflow overflow;
    bool warned; /* that a stack has no guard */
};

/* What a switch needs begins with the task, and a cache line. */
struct coro {
    jg__stack stack; /* first, for the pool */
    struct jg__coros *coros;
    jg_coro_fn fn;
    void *arg;
    int status;
    int failed; /* see jg__body_failed; else 0 */
    jg_task task;
    jg__context context;
};

_Static_assert(offsetof(struct coro, task) == JG__CACHELINE || sizeof(void *) != 8,
               "a task begins where a cache line does");

static struct coro *coro_of(jg_task *task)
{
    return jg__container_of(task, struct coro, task);
}

static void report_overflow(void *arg, jg__stack *stack)
{
    const struct coro *coro = (const struct coro *)(const void *)stack;

    (void)arg;
    jg__print_error("juggle: stack overflow in coroutine ");
    jg__print_error(coro->task.name ? coro->task.name : "without a name");
    jg__print_error("\n");
}

static struct jg__coros *coros_of(const jg_loop *loop)
{
    return (struct jg__coros *)loop->parts[JG__PART_COROS];
}

static void free_coros(jg__part *part)
{
    struct jg__coros *coros = (struct jg__coros *)part;
    const jg_allocator *allocator = &coros->loop->allocator;

    jg__overflow_unwatch(&coros->overflow);
    if (jg__stacks_fini(&coros->stacks) > 0)
        jg__loop_error(coros->loop, JG_ELEAKED, "a coroutine has not ended");
    jg__free(allocator, coros, sizeof(*coros));
}

static int adopt_coros(jg__part *part)
{
    return jg__overflow_adopt(&((struct jg__coros *)part)->overflow);
}

static int reserve_coros(jg_loop *loop)
{
    struct jg__coros *coros;
    int r;

    if (coros_of(loop))
        return 0;

    coros = jg__alloc(&loop->allocator, sizeof(*coros));
    if (!coros)
        return -ENOMEM;

    coros->loop = loop;
    coros->warned = false;
    jg__stacks_init(&coros->stacks, &loop->allocator, sizeof(struct coro));
    r = jg__overflow_watch(&coros->overflow, &coros->stacks, report_overflow, NULL);
    if (r < 0) {
        (void)jg__stacks_fini(&coros->stacks); /* none is taken */
        jg__free(&loop->allocator, coros, sizeof(*coros));
        return r;
    }

    coros->part = (jg__part){.free = free_coros, .adopt = adopt_coros};
    loop->parts[JG__PART_COROS] = &coros->part;
    return 0;
}

/* What a body ended with, given an error that it could not return, or 0. */
static int with_failure(int status, int failed)
{
    return failed < 0 && (status >= 0 || status == -ECANCELED) ? failed : status;
}

static void *begin(void *arg)
{
    struct coro *coro = arg;
    int status;

    coro->task.parked = true; /* whenever it is resumed */
    status = coro->fn(coro->arg);
    coro->status = with_failure(status, coro->failed);
    jg__check(coro->status != JG_PENDING, "a coroutine returned JG_PENDING");
    return jg__context_leave(&coro->context, &coro->coros->context);
}

int jg__coro_step(jg_task *task, void *arg, int status)
{
    struct coro *coro = coro_of(task);

    (void)arg;
    (void)status;
    jg__context_current(&coro->coros->context);
    jg__context_switch(&coro->coros->context, &coro->context);
    return coro_of(jg__current)->status; /* of the one that came back, see jg__park */
}

static void release(jg_task *task)
{
    struct coro *coro = coro_of(task);

    jg__context_done(&coro->context);
    jg__stack_give(&coro->coros->stacks, &coro->stack);
}

static void warn_unguarded(struct jg__coros *coros)
{
    if (coros->warned)
        return;

    coros->warned = true;
    jg__loop_error(
        coros->loop, -ENOMEM,
        "a stack has no guard, as will others: its overflow will not be noticed, because "
        "the process may have no more mappings (vm.max_map_count on Linux)");
}

static uintptr_t function(const jg_task *task)
{
    return jg__address(coro_of((jg_task *)task)->fn);
}

/* Where it waits, or the function that it begins with. */
static uintptr_t site(const jg_task *task)
{
    uintptr_t address = task->where ? jg__call_site(task->where) : 0;

    /* Its function left by a tail call, `return jg_sleep(…)`, which returns to ours. */
    if (address == 0 || address - jg__address(begin) < SIZE_OF_BEGIN)
        return function(task);
    return address;
}

static size_t stack_used(const jg_task *task, size_t *ret_size)
{
    const struct coro *coro = coro_of((jg_task *)task);

    /* The power of two that it was carved as, of which this block has a little. */
    *ret_size = (size_t)1 << (64 - __builtin_clzll(jg__stack_size(&coro->stack)));
    return jg__stack_used(&coro->coros->stacks, &coro->stack);
}

static const struct jg__task_kind kind = {
    .release = release,
    .function = function,
    .site = site,
    .stack_used = stack_used,
};

int jg_spawn(jg_scope *scope, jg_coro_fn fn, void *arg, const jg_spawn_options *options)
{
    static const jg_spawn_options defaults = {0};
    jg_loop *loop = scope->loop;
    jg__stack *stack;
    struct coro *coro;
    int r;

    jg__check_thread(loop);
    if (!options)
        options = &defaults;
    r = reserve_coros(loop);
    if (r == 0)
        r = jg__stack_take(&coros_of(loop)->stacks, options->stack_size, &stack);
    if (r < 0)
        return r;

    coro = (struct coro *)(void *)stack;
    jg_task_init(&coro->task, options->name, jg__coro_step, NULL);
    r = jg_task_spawn(scope, &coro->task, options->ret_status);
    if (r < 0) {
        jg__stack_give(&coros_of(loop)->stacks, stack);
        return r;
    }

    coro->task.kind = &kind;
    coro->coros = coros_of(loop);
    coro->fn = fn;
    coro->arg = arg;
    coro->status = JG_PENDING;
    coro->failed = 0;
    jg__context_make(&coro->context, stack->low, jg__stack_size(stack), begin, coro);
    if (__builtin_expect(!stack->guarded, 0))
        warn_unguarded(coro->coros);
    return 0;
}

void jg_op_self(jg_op *op)
{
    jg_task *task = jg__self(__func__);

    jg__op_of_task(op, task, task->op.loop);
}

/*
 * Go back to the loop until the call of `op` runs. If the loop would call another coroutine next,
 * go on with that at once: besides half of the switches, this saves the returns through the frames
 * of the loop, none of which the processor would have predicted. If that one is here, too, its
 * return from here is predicted as well, and often those after it.
 */
int jg__park(jg_task *task, jg_op *op)
{
    struct coro *coro = coro_of(task);
    jg_task *next;

    task->awaiting = op;
    next = jg__task_next(task->op.loop, jg__coro_step);
    if (!next)
        jg__context_switch(&coro->context, &coro->coros->context);
    else if (!next->parked)
        jg__context_switch(&coro->context, &coro_of(next)->context);
    else if (next != task)
        jg__context_hand_over(&coro->context, &coro_of(next)->context);
    return op->status;
}

/* All that an await may be. */
__attribute__((noinline)) static int await_any(jg_task *task, jg_op *op)
{
    if (jg__op_pending(op) && !(op->flags & JG__OP_SHIELDED) && jg__scope_refuses(task->scope))
        jg_op_cancel(op);
    if (jg__op_pending(op)) {
        jg__task_waits(task);
        return jg__park(task, op);
    }
    task->awaiting = NULL;
    if (task->budget > 0) {
        task->budget--;
        jg__unlink(&op->call.link);
        return op->status;
    }
    jg__loop_queue(op->loop, &op->call);
    return jg__park(task, op);
}

int jg__await(jg_task *task, jg_op *op)
{
    const jg_loop *loop = task->op.loop;

    jg__check(op->task == task, "the op is not one of the current coroutine");

    /* As most are, which then needs no frame. */
    if (jg__op_pending(op) && loop->time_known && !jg__scope_is_marked(task->scope)) {
        task->since = loop->time;
        return jg__park(task, op);
    }
    return await_any(task, op);
}

int jg_await(jg_op *op)
{
    jg_task *task = jg__self(__func__);

    jg__waits_here(task);
    return jg__await(task, op);
}

/* Let everything else that is ready run first. */
static inline int give_way(jg_task *task)
{
    jg__check_for("jg_sleep", !jg__op_pending(&task->op), "the op is pending");
    if (jg__scope_refuses(task->scope))
        return -ECANCELED;

    task->op.status = 0;
    jg__loop_queue(task->op.loop, &task->op.call);
    return jg__park(task, &task->op);
}

void jg__coro_pay(jg_task *task)
{
    if (task->budget > 0)
        task->budget--;
    else
        (void)give_way(task); /* not in a cancelled scope: there it ends soon enough */
}

/* Apart from jg_sleep, which to give way needs no frame for it. */
__attribute__((noinline)) static int sleep_for(jg_task *task, jg_time delay)
{
    jg_sleeper sleeper;
    int r = jg_sleep_start(&sleeper, delay, &task->op);

    return r < 0 ? r : jg__await(task, &task->op);
}

int jg_sleep(jg_time delay)
{
    jg_task *task = jg__self(__func__);

    jg__waits_here(task);
    return delay <= 0 ? give_way(task) : sleep_for(task, delay);
}

int jg_future_wait(jg_future *future)
{
    if (future->done && jg__coro_spend())
        return future->status;
    return jg__await_started(jg_future_wait_start(future, jg__coro_op()));
}

void jg_scope_enter(jg_scope *scope, const jg_scope_options *options)
{
    jg_task *task = jg__self(__func__);

    jg_scope_open(scope, task->op.loop, task, options);
}

void jg__body_failed(int error)
{
    jg_task *task = jg__self(__func__);
    jg_scope *scope = task->scope;
    int *failed = scope == task->home ? &coro_of(task)->failed : &scope->status;

    if (*failed == 0)
        *failed = error;
    if (scope != task->home)
        jg__scope_body_ended(scope, error);
}

int jg__scope_leave(jg_task *task, jg_scope *scope, int status)
{
    int r;

    status = with_failure(status, scope->status);
    jg__scope_body_ended(scope, status);
    while (scope->running > 0) {
        jg__scope_join(scope, &task->op);
        (void)jg__await(task, &task->op); /* when there is none, but one may have come since */
    }

    r = jg__scope_result(scope, status);
    jg__scope_clean_up(scope);
    return r;
}

int jg_scope_leave(jg_scope *scope, int status)
{
    jg_task *task = jg__self(__func__);

    jg__waits_here(task);
    return jg__scope_leave(task, scope, status);
}

jg_task_counters jg_loop_task_counters(const jg_loop *loop)
{
    const struct jg__coros *coros = coros_of(loop);
    jg_task_counters counters = {.spawned = loop->tasks_spawned, .ended = loop->tasks_ended};

    if (coros) {
        counters.unguarded = coros->stacks.unguarded;
        counters.stacks = coros->stacks.taken;
        counters.cached_bytes = coros->stacks.cached;
    }
    return counters;
}
