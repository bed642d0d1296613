/* SPDX-License-Identifier: MIT
 *
 * Communicating with processes: input, both outputs and the end at once, each with an op of its
 * own; and running them from start to end.
 *
 * `left` counts these ops, and the whole completes with the last one of them: so nothing touches
 * the caller's memory later. `status` is the first error, else how the process ended.
 */
#include <juggle/process.h>

#include "base/alloc.h"
#include "coro/coro.h"

#include <errno.h>

#define GRACE    (5 * JG_SECOND)
#define SMALLEST 4096 /* bytes of memory for output */

typedef jg_process_communication communication;

void jg_process_result_fini(jg_process_result *result)
{
    struct jg_process_text *const texts[] = {&result->output, &result->errors};

    for (int i = 0; i < 2; i++) {
        if (texts[i]->data)
            jg__free(&result->allocator, texts[i]->data, texts[i]->capacity);
        *texts[i] = (struct jg_process_text){0};
    }
}

static void one_less(communication *c)
{
    if (--c->left > 0)
        return;

    jg_timer_stop(&c->timer);
    if (c->owner)
        jg_process_close(c->process);
    jg_op_complete(c->op, c->status);
}

static void cancel_pipes(communication *c)
{
    jg_op_cancel(&c->writer);
    jg_op_cancel(&c->output);
    jg_op_cancel(&c->errors);
}

static void on_late(void *arg)
{
    communication *c = arg;

    (void)jg_process_kill(c->process); /* it may have ended by now */
}

/*
 * End it early. Who only communicates goes away. Who owns the process has it end, and reads on
 * meanwhile: what has yet to be told is told now.
 */
static void end(communication *c)
{
    if (!c->owner) {
        cancel_pipes(c);
        jg_op_cancel(&c->waiter);
    } else if (!jg_op_pending(&c->waiter)) {
        cancel_pipes(c);
    } else if (!c->ending) {
        c->ending = true;
        (void)jg_process_terminate(c->process); /* it may have ended by now */
        if (c->grace > 0)
            jg_call_later(c->process->loop, &c->timer, c->grace);
        else
            on_late(c);
    }
}

static void fail(communication *c, int error)
{
    if (c->status >= 0)
        c->status = error;
    end(c);
}

static void cancel(jg_op *op)
{
    communication *c = op->data;

    if (c->owner && jg_op_pending(&c->waiter))
        fail(c, -ECANCELED);
    else
        end(c); /* the error is that of what this cuts, if anything */
}

static void on_end(void *arg)
{
    communication *c = arg;
    int r = jg_op_status(&c->waiter);

    if (r < 0)
        fail(c, r);
    else if (c->status >= 0)
        c->status = r;
    if (c->ending)
        cancel_pipes(c); /* others may hold their ends */
    one_less(c);
}

/* ------------------------------------------------------------- the pipes */

static void on_written(void *arg)
{
    communication *c = arg;
    int r = jg_op_status(&c->writer);

    /* It need not read all of it. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        fail(c, r);
    jg_stream_abort(&c->process->input); /* nothing is queued any more */
    one_less(c);
}

static void start_writing(communication *c, const void *data, size_t size)
{
    jg_stream *input = &c->process->input;
    int r;

    if (!jg_stream_is_open(input))
        return;
    if (size == 0 && jg_stream_queued(input) == 0) {
        jg_stream_abort(input);
        return;
    }
    r = jg_stream_write_all_start(input, &c->writing, data, size, &c->writer);
    if (r == 0)
        c->left++;
    else if (r == -EPIPE)
        jg_stream_abort(input);
    else
        fail(c, r);
}

/* Have room for one byte at least, and a 0. There is one byte more than the limit allows, to see
 * whether the output goes beyond it. */
static int make_room(const communication *c, struct jg_process_text *text)
{
    const size_t limit = c->process->limit, most = limit > SIZE_MAX - 2 ? limit : limit + 2;
    size_t capacity = text->capacity > most / 2 ? most : text->capacity * 2;
    char *moved;

    if (text->size > limit) {
        text->size = limit;
        return -EMSGSIZE;
    }
    if (text->size + 1 < text->capacity)
        return 0;

    if (capacity < SMALLEST)
        capacity = SMALLEST < most ? SMALLEST : most;
    moved = jg__resize(&c->result->allocator, text->data, text->capacity, capacity);
    if (!moved)
        return -ENOMEM;
    text->data = moved;
    text->capacity = capacity;
    return 0;
}

static int read_more(communication *c, jg_stream *stream, struct jg_process_text *text, jg_op *op)
{
    int r = make_room(c, text);

    if (text->data)
        text->data[text->size] = '\0';
    if (r < 0)
        return r;
    return jg_stream_read_start(stream, text->data + text->size, text->capacity - text->size - 1,
                                op);
}

static void go_on_reading(communication *c, jg_stream *stream, struct jg_process_text *text,
                          jg_op *op)
{
    int r = jg_op_status(op);

    if (r > 0) {
        text->size += (size_t)r;
        r = read_more(c, stream, text, op);
        if (r == 0)
            return;
    }
    if (r < 0)
        fail(c, r);
    one_less(c);
}

static void on_output(void *arg)
{
    communication *c = arg;

    go_on_reading(c, &c->process->output, &c->result->output, &c->output);
}

static void on_errors(void *arg)
{
    communication *c = arg;

    go_on_reading(c, &c->process->errors, &c->result->errors, &c->errors);
}

static void start_reading(communication *c, jg_stream *stream, struct jg_process_text *text,
                          jg_op *op)
{
    int r;

    if (!jg_stream_is_open(stream))
        return;

    r = read_more(c, stream, text, op);
    if (r == 0)
        c->left++;
    else
        fail(c, r);
}

/* ------------------------------------------------------------- the whole */

static void init(communication *c, jg_process *process, jg_process_result *result, jg_op *op)
{
    jg_loop *loop = op->loop;

    *result = (jg_process_result){.allocator = loop->allocator};
    *c = (communication){.process = process, .result = result, .op = op};
    jg_op_init(&c->writer, loop, on_written, c);
    jg_op_init(&c->output, loop, on_output, c);
    jg_op_init(&c->errors, loop, on_errors, c);
    jg_op_init(&c->waiter, loop, on_end, c);
    jg_timer_init(&c->timer, on_late, c);
}

/* The process is there, and the op of the whole started. */
static void begin(communication *c, const void *data, size_t size)
{
    c->left = 1;
    (void)jg_process_wait_start(c->process, &c->waiter); /* it runs or has ended: that works */
    start_writing(c, data, size);
    start_reading(c, &c->process->output, &c->result->output, &c->output);
    start_reading(c, &c->process->errors, &c->result->errors, &c->errors);
}

int jg_process_communicate_start(jg_process *process, jg_process_communication *c, const void *data,
                                 size_t size, jg_process_result *ret_result, jg_op *op)
{
    static const jg_provider provider = {"communicate", cancel};
    int r;

    init(c, process, ret_result, op);
    if (!process->running && !process->ended)
        return -ECHILD;
    r = jg_op_start(op, &provider, c);
    if (r == 0)
        begin(c, data, size);
    return r;
}

int jg_process_communicate(jg_process *process, const void *data, size_t size,
                           jg_process_result *ret_result)
{
    jg_process_communication c;

    return jg__await_started(
        jg_process_communicate_start(process, &c, data, size, ret_result, jg__coro_op()));
}

int jg_process_run_start(jg_process_running *running, const char *const argv[],
                         const jg_process_options *options, const void *data, size_t size,
                         jg_process_result *ret_result, jg_op *op)
{
    static const jg_provider provider = {"process run", cancel};
    communication *c = &running->communication;
    int r;

    init(c, &running->process, ret_result, op);
    c->owner = true;
    c->grace = options && options->grace ? options->grace : GRACE;
    r = jg_op_start(op, &provider, c);
    if (r < 0)
        return r;

    r = jg_process_spawn(&running->process, op->loop, argv, options);
    if (r < 0)
        jg_op_complete(op, r);
    else
        begin(c, data, size);
    return 0;
}

int jg_process_run(const char *const argv[], const jg_process_options *options, const void *data,
                   size_t size, jg_process_result *ret_result)
{
    jg_process_running running;

    return jg__await_started(
        jg_process_run_start(&running, argv, options, data, size, ret_result, jg__coro_op()));
}
