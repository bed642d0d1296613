/* SPDX-License-Identifier: MIT
 *
 * One who waits for something, in each form there is: as a plain callback, as a step task, or as a
 * coroutine. For tests of facts that hold for all of them.
 */
#ifndef JG_TESTS_WAITER_H
#define JG_TESTS_WAITER_H

#include "support.h"

#include <ctype.h>

enum form { CALLBACK, STEP, COROUTINE, FORMS };

struct waiter {
    /* To be set. */
    int (*start)(void *object, jg_op *op);
    int (*wait)(void *object);
    void *object;
    void (*then)(struct waiter *waiter); /* after the wait, however it ended; or NULL */
    struct test_trace *trace;            /* or NULL */
    char letter;                         /* in upper case if the wait failed */

    int status; /* of the wait; 12345 before its end */
    int next;   /* of a task: the status of its next await */
    enum form form;
    bool left; /* its scope, if it has one */
    jg_op op, leaving;
    jg_scope scope;
    jg_task task;
};

static inline void waiter_end(struct waiter *waiter, int status)
{
    test_check(waiter->status == 12345);
    waiter->status = status;
    if (waiter->trace)
        test_trace_add(waiter->trace,
                       (char)(status < 0 ? toupper(waiter->letter) : waiter->letter));
    if (waiter->then)
        waiter->then(waiter);
}

static inline void waiter_called(void *arg)
{
    struct waiter *waiter = arg;

    waiter_end(waiter, jg_op_status(&waiter->op));
}

static inline int waiter_step(jg_task *task, void *arg, int status)
{
    struct waiter *waiter = arg;
    jg_future set = {.done = true};

    if (!waiter->op.loop) {
        waiter->op.loop = jg_task_loop(task); /* notes that it has begun */
        status = waiter->start(waiter->object, jg_task_op(task));
        if (status == 0)
            return JG_PENDING;
    }
    waiter_end(waiter, status);
    waiter->next = jg_future_wait_start(&set, jg_task_op(task));
    return 0;
}

static inline int waiter_coro(void *arg)
{
    struct waiter *waiter = arg;
    jg_future set = {.done = true};

    waiter_end(waiter, waiter->wait(waiter->object));
    waiter->next = jg_future_wait(&set);
    return 0;
}

static inline void waiter_left(void *arg)
{
    struct waiter *waiter = arg;

    waiter->left = true;
}

/* Begin to wait: a callback does so at once, tasks in the next turn. */
static inline void waiter_begin(struct waiter *waiter, jg_loop *loop, enum form form)
{
    waiter->form = form;
    waiter->status = waiter->next = 12345;
    waiter->op.loop = NULL;
    waiter->left = false;
    if (form == CALLBACK) {
        jg_op_init(&waiter->op, loop, waiter_called, waiter);
        assert_int_equal(waiter->start(waiter->object, &waiter->op), 0);
        return;
    }

    jg_scope_open(&waiter->scope, loop, NULL, NULL);
    if (form == STEP) {
        jg_task_init(&waiter->task, "waiter", waiter_step, waiter);
        assert_int_equal(jg_task_spawn(&waiter->scope, &waiter->task, NULL), 0);
    } else {
        assert_int_equal(jg_spawn(&waiter->scope, waiter_coro, waiter, NULL), 0);
    }
    jg_op_init(&waiter->leaving, loop, waiter_left, waiter);
    jg_scope_close(&waiter->scope, 0, &waiter->leaving);
}

static inline void waiter_cancel(struct waiter *waiter)
{
    if (waiter->form == CALLBACK)
        jg_op_cancel(&waiter->op);
    else
        jg_scope_cancel(&waiter->scope);
}

/* Whether somebody was cancelled with a result in hand: a task learns of it at its next await. */
static inline bool waiter_delivered(const struct waiter *waiter, int status)
{
    return waiter->status == status && (waiter->form == CALLBACK || waiter->next == -ECANCELED);
}

/* Run what can run without waiting for anybody. */
static inline void settle(jg_loop *loop)
{
    assert_int_equal(jg_loop_run(loop), 0);
}

/* Several who wait, with the letters a, b, c and so on, on a loop of their own. */
struct crowd {
    jg_loop *loop;
    struct test_trace trace;
    struct waiter waiters[5];
    int count;
};

static inline struct waiter *crowd_add(struct crowd *crowd, const struct waiter *model,
                                       enum form form)
{
    struct waiter *waiter = &crowd->waiters[crowd->count];

    *waiter = *model;
    waiter->trace = &crowd->trace;
    waiter->letter = (char)('a' + crowd->count++);
    waiter_begin(waiter, crowd->loop, form);
    return waiter;
}

/* They have begun to wait, which nobody gets anything from as yet. */
static inline void crowd_init(struct crowd *crowd, const struct waiter *model, int count,
                              enum form form)
{
    *crowd = (struct crowd){.loop = test_loop(JG_LOOP_VIRTUAL_TIME)};
    for (int i = 0; i < count; i++)
        (void)crowd_add(crowd, model, form);
    settle(crowd->loop);
    assert_string_equal(crowd->trace.letters, "");
}

/* Everyone has ended, in this order. */
static inline void crowd_done(struct crowd *crowd, const char *trace)
{
    settle(crowd->loop);
    assert_string_equal(crowd->trace.letters, trace);
    for (int i = 0; i < crowd->count; i++) {
        assert_int_not_equal(crowd->waiters[i].status, 12345);
        assert_true(crowd->waiters[i].form == CALLBACK || crowd->waiters[i].left);
    }
    test_loop_done(crowd->loop);
}

#endif
