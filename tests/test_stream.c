/* SPDX-License-Identifier: MIT
 *
 * Reading from streams, and how they end, over pairs in memory and in virtual time. Writing, over a
 * transport of the test's own, is in test_stream_write.c; descriptors are in test_descriptor.c.
 */
#include "support.h"
#include "world.h"

#include <juggle/coro.h>

#include <stdio.h>
#include <string.h>

/* Two connected streams. Each test runs coroutines that are given the table. */
struct table {
    struct world world;
    jg_stream a, b;
    const char *text; /* for one side to send */
    size_t split;     /* after so many bytes of it there is a pause */
};

static void table_open(struct table *table, jg_test_pair_options options)
{
    *table = (struct table){.text = ""};
    world_init(&table->world);
    assert_int_equal(jg_test_pair(table->world.loop, &table->a, &table->b, &options), 0);
}

static void spawn(struct table *table, jg_coro_fn fn)
{
    assert_int_equal(jg_spawn(&table->world.root, fn, table, NULL), 0);
}

static void table_close(struct table *table)
{
    jg_scope_close(&table->world.root, 0, &table->world.left);
    assert_int_equal(jg_loop_run(table->world.loop), 0);
    assert_int_not_equal(table->world.result, 12345);
    jg_stream_abort(&table->a);
    jg_stream_abort(&table->b);
    test_loop_done(table->world.loop);
}

/* Run one coroutine at each end; `left` may be NULL. */
static void run_with(struct table *table, jg_coro_fn left, jg_coro_fn right)
{
    if (left)
        spawn(table, left);
    spawn(table, right);
    table_close(table);
    assert_int_equal(table->world.result, 0);
}

static void run(jg_test_pair_options options, const char *text, jg_coro_fn left, jg_coro_fn right)
{
    struct table table;

    table_open(&table, options);
    table.text = text;
    run_with(&table, left, right);
}

/* Sends the text in two parts, then ends. */
static int send_text(void *arg)
{
    struct table *table = arg;
    size_t length = strlen(table->text);
    size_t split = table->split < length ? table->split : length;

    test_check(jg_stream_write(&table->a, table->text, split) == 0);
    if (split < length) {
        test_check(jg_sleep(JG_SECOND) == 0);
        test_check(jg_stream_write(&table->a, table->text + split, length - split) == 0);
    }
    test_check(jg_stream_shut(&table->a) == 0);
    return 0;
}

/* ---------------------------------------------------------------- reading */

static int read_to_the_end(void *arg)
{
    struct table *table = arg;
    char buf[16];

    test_check(jg_stream_read(&table->b, buf, 0) == 0);
    test_check(!jg_stream_at_eof(&table->b));
    test_check(jg_stream_read(&table->b, buf, sizeof(buf)) == 5);
    test_check(memcmp(buf, "hello", 5) == 0);
    for (int i = 0; i < 3; i++)
        test_check(jg_stream_read(&table->b, buf, sizeof(buf)) == 0);
    test_check(jg_stream_at_eof(&table->b));
    test_check(jg_stream_bytes_in(&table->b) == 5 && jg_stream_bytes_out(&table->a) == 5);
    return 0;
}

static void a_read_returns_what_there_is_and_0_at_the_end(void **state)
{
    (void)state;
    run((jg_test_pair_options){.delay = 0}, "hello", send_text, read_to_the_end);
}

static int read_every_way(void *arg)
{
    struct table *table = arg;
    jg_stream *stream = &table->b;
    const void *data;
    char buf[64];
    size_t count;
    int r;

    test_check(jg_stream_read_line(stream, buf, sizeof(buf)) == 9);
    test_check(strcmp(buf, "line one\n") == 0);
    test_check(jg_stream_read_until(stream, "\r\n\r\n", 4, buf, sizeof(buf)) == 20);
    test_check(memcmp(buf, "head: x\r\nmore: \r\r\n\r\n", 20) == 0);
    test_check(jg_stream_read_exactly(stream, buf, 0, &count) == 0 && count == 0);
    test_check(jg_stream_read_exactly(stream, buf, 7, &count) == 0 && count == 7);
    test_check(memcmp(buf, "seven77", 7) == 0);
    r = jg_stream_peek(stream, 6, &data);
    test_check(r >= 6 && memcmp(data, "peeked", 6) == 0);
    test_check((size_t)r == jg_stream_buffered(stream));
    jg_stream_consume(stream, 5);
    r = jg_stream_peek(stream, 1, &data);
    test_check(r >= 1 && *(const char *)data == 'd');
    jg_stream_consume(stream, 1);
    test_check(jg_stream_read_exactly(stream, buf, 50, &count) == JG_EINCOMPLETE && count == 4);
    test_check(memcmp(buf, "rest", 4) == 0);
    test_check(jg_stream_read_line(stream, buf, sizeof(buf)) == 0);
    test_check(jg_stream_read_until(stream, "x", 1, buf, sizeof(buf)) == 0);
    test_check(jg_stream_peek(stream, 1, &data) == 0);
    test_check(jg_stream_read_exactly(stream, buf, 1, &count) == JG_EINCOMPLETE && count == 0);
    return 0;
}

static void every_way_to_read_works_with_input_split_anywhere(void **state)
{
    const char *text = "line one\nhead: x\r\nmore: \r\r\n\r\nseven77peekedrest";

    (void)state;
    for (size_t split = 0; split <= strlen(text); split++) {
        for (size_t piece = 0; piece < 12; piece++) {
            struct table table;

            table_open(&table,
                       (jg_test_pair_options){.piece = piece, .delay = (jg_time)(split % 3) * 10});
            table.text = text;
            table.split = split;
            run_with(&table, send_text, read_every_way);
        }
    }
}

static int overrun_until(void *arg)
{
    struct table *table = arg;
    char buf[64];

    /* The separator is too far away. */
    test_check(jg_stream_read_until(&table->b, "|", 1, buf, 3) == -EMSGSIZE);
    test_check(jg_stream_read_until(&table->b, "|", 1, buf, 5) == -EMSGSIZE);
    test_check(jg_stream_read_line(&table->b, buf, 6) == -EMSGSIZE);
    test_check(jg_stream_buffered(&table->b) >= 5);
    test_check(jg_stream_read_until(&table->b, "|", 1, buf, 6) == 6);
    test_check(memcmp(buf, "12345|", 6) == 0);
    /* The end comes before it. */
    test_check(jg_stream_read_until(&table->b, "|", 1, buf, 64) == JG_EINCOMPLETE);
    test_check(jg_stream_buffered(&table->b) == 3 && !jg_stream_at_eof(&table->b));
    test_check(jg_stream_read(&table->b, buf, 64) == 3 && memcmp(buf, "678", 3) == 0);
    test_check(jg_stream_read(&table->b, buf, 64) == 0);
    return 0;
}

static void a_separator_too_far_away_leaves_what_came(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 10; piece++)
        run((jg_test_pair_options){.piece = piece}, "12345|678", send_text, overrun_until);
}

static int read_lines(void *arg)
{
    struct table *table = arg;
    char buf[5];

    test_check(jg_stream_read_line(&table->b, buf, 1) == -EINVAL);
    test_check(jg_stream_read_line(&table->b, buf, 5) == 4 && strcmp(buf, "abc\n") == 0);
    test_check(jg_stream_read_line(&table->b, buf, 5) == 1 && strcmp(buf, "\n") == 0);
    test_check(jg_stream_read_line(&table->b, buf, 5) == 4 && strcmp(buf, "last") == 0);
    test_check(jg_stream_read_line(&table->b, buf, 5) == 0);
    return 0;
}

static void the_last_line_need_not_end(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 12; piece++)
        run((jg_test_pair_options){.piece = piece}, "abc\n\nlast", send_text, read_lines);
}

static int peek_at_all(void *arg)
{
    struct table *table = arg;
    const void *data = NULL;

    test_check(jg_stream_peek(&table->b, 0, &data) == 0 && data == NULL);
    test_check(jg_stream_peek(&table->b, ((size_t)1 << 30) + 1, &data) == -EINVAL);
    test_check(jg_stream_peek(&table->b, 100, &data) == 5);
    test_check(memcmp(data, "hello", 5) == 0);
    test_check(jg_stream_peek(&table->b, 0, &data) == 5);
    jg_stream_consume(&table->b, 5);
    test_check(jg_stream_buffered(&table->b) == 0 && jg_stream_at_eof(&table->b));
    return 0;
}

static void a_peek_that_the_end_cuts_short_returns_less(void **state)
{
    (void)state;
    run((jg_test_pair_options){.piece = 2}, "hello", send_text, peek_at_all);
}

static int send_much(void *arg)
{
    struct table *table = arg;
    static char block[100000];
    size_t sent;

    for (int i = 0; i < (int)sizeof(block); i++)
        block[i] = (char)(i % 251);
    for (int i = 0; i < 5; i++)
        test_check(jg_stream_write_all(&table->a, block, sizeof(block), &sent) == 0 &&
                   sent == sizeof(block));
    test_check(jg_stream_shut(&table->a) == 0);
    return 0;
}

static int receive_much(void *arg)
{
    struct table *table = arg;
    static char block[100000];
    const void *data;
    size_t count;
    int r;

    /* By looking, in steps that are no divisors of anything, then directly. */
    for (int i = 0; i < 200000;) {
        int step = 1 + i % 7777;

        r = jg_stream_peek(&table->b, (size_t)step, &data);
        test_check(r >= step);
        for (int j = 0; j < step; j++)
            test_check(((const char *)data)[j] == (char)((i + j) % 100000 % 251));
        jg_stream_consume(&table->b, (size_t)step);
        i += step;
        if (i + 7777 > 200000) {
            test_check(jg_stream_read_exactly(&table->b, block, (size_t)(200000 - i), &count) == 0);
            break;
        }
    }
    for (int i = 0; i < 3; i++) {
        test_check(jg_stream_read_exactly(&table->b, block, sizeof(block), &count) == 0);
        for (int j = 0; j < (int)sizeof(block); j++)
            test_check(block[j] == (char)(j % 251));
    }
    test_check(jg_stream_read(&table->b, block, sizeof(block)) == 0);
    return 0;
}

static void much_goes_through_in_order(void **state)
{
    static const size_t pieces[] = {0, 999, 4096, 40000, 100000};

    (void)state;
    for (int i = 0; i < 5; i++)
        run((jg_test_pair_options){.piece = pieces[i], .capacity = i == 4 ? 1000000 : 0}, "",
            send_much, receive_much);
}

static int never(void *arg)
{
    struct table *table = arg;
    char byte;

    return jg_stream_read(&table->b, &byte, 1);
}

static int read_as_second(void *arg)
{
    struct table *table = arg;
    const void *data;
    char byte;
    size_t count;

    test_check(jg_stream_read(&table->b, &byte, 1) == -EBUSY);
    test_check(jg_stream_read_until(&table->b, "x", 1, &byte, 1) == -EBUSY);
    test_check(jg_stream_read_exactly(&table->b, &byte, 1, &count) == -EBUSY);
    test_check(jg_stream_peek(&table->b, 1, &data) == -EBUSY);
    test_check(jg_stream_read_until(&table->a, "", 0, &byte, 1) == -EINVAL);
    test_check(jg_stream_read_until(&table->a, "", 256, &byte, 1) == -EINVAL);
    jg_scope_cancel(&table->world.root);
    return 0;
}

static void a_second_read_is_refused(void **state)
{
    struct table table;

    (void)state;
    table_open(&table, (jg_test_pair_options){.delay = 0});
    spawn(&table, never);
    spawn(&table, read_as_second);
    table_close(&table);
}

/* ---------------------------------------------------------------- cancelling reads */

enum { KINDS = 5 };

static int read_kind(jg_stream *stream, int kind, char *buf, size_t size, size_t *ret_count)
{
    const void *data;

    *ret_count = 0;
    switch (kind) {
    case 0:
        return jg_stream_read(stream, buf, size);
    case 1:
        return jg_stream_read_exactly(stream, buf, size, ret_count);
    case 2:
        return jg_stream_read_until(stream, "|", 1, buf, size);
    case 3:
        return jg_stream_read_line(stream, buf, size);
    default:
        return jg_stream_peek(stream, size, &data);
    }
}

static int cancel_reads(void *arg)
{
    struct table *table = arg;
    char all[64] = "", buf[64];
    size_t got = 0, count;
    jg_scope scope;
    int r;

    /* A byte comes every 10 ns; each read but the first kind asks for more than ever comes. */
    for (int i = 0; i < 10; i++) {
        const jg_scope_options options = {.timeout = 25};

        jg_scope_enter(&scope, &options);
        r = read_kind(&table->b, (i + (int)table->split) % KINDS, buf, sizeof(buf), &count);
        if (r > 0)
            count = (size_t)r;
        (void)jg_scope_leave(&scope, r < 0 ? r : 0);
        memcpy(all + got, buf, count);
        got += count;
    }
    test_check(jg_stream_read_exactly(&table->b, all + got, sizeof(all) - got, &count) ==
               JG_EINCOMPLETE);
    test_check(got + count == strlen(table->text));
    test_check(memcmp(all, table->text, got + count) == 0);
    return 0;
}

static void a_cancelled_read_loses_no_byte(void **state)
{
    (void)state;
    for (size_t first = 0; first < KINDS; first++) {
        struct table table;

        table_open(&table, (jg_test_pair_options){.piece = 1, .delay = 10});
        table.text = "abcdefghijklmnopqrstuvwxyz0123456789";
        table.split = first;
        spawn(&table, send_text);
        run_with(&table, NULL, cancel_reads);
    }
}

/* ---------------------------------------------------------------- errors of reading */

static int read_until_error(void *arg)
{
    struct table *table = arg;
    char buf[16];
    size_t count;

    test_check(jg_stream_read_exactly(&table->b, buf, 2, &count) == 0);
    test_check(jg_stream_read_exactly(&table->b, buf, 16, &count) == -EIO && count == 3);
    test_check(memcmp(buf, "cde", 3) == 0);
    for (int i = 0; i < 3; i++)
        test_check(jg_stream_read(&table->b, buf, 16) == -EIO);
    test_check(jg_stream_read_line(&table->b, buf, 16) == -EIO);
    test_check(!jg_stream_at_eof(&table->b));
    return 0;
}

static void what_came_before_an_error_is_read_first(void **state)
{
    struct table table;

    (void)state;
    table_open(&table, (jg_test_pair_options){.piece = 2});
    table.text = "abcdefgh";
    assert_int_equal(jg_test_pair_fail(&table.b, JG_READ, 5, -EIO), 0);
    run_with(&table, send_text, read_until_error);
}

static int wait_for_failure(void *arg)
{
    struct table *table = arg;
    char byte;

    test_check(jg_stream_read(&table->b, &byte, 1) == -ETIMEDOUT);
    return 0;
}

static int fail_later(void *arg)
{
    struct table *table = arg;

    test_check(jg_sleep(10) == 0);
    test_check(jg_test_pair_fail(&table->b, JG_READ, 0, -ETIMEDOUT) == 0);
    test_check(jg_test_pair_fail(&table->b, JG_WRITE, 0, 0) == -EINVAL);
    test_check(jg_test_pair_fail(&table->b, JG_READ, 0, 1) == -EINVAL);
    test_check(jg_test_pair_fail(&table->b, 0, 0, -EIO) == -EINVAL);
    return 0;
}

static void a_read_that_waits_is_told_of_an_error(void **state)
{
    (void)state;
    run((jg_test_pair_options){.delay = 0}, "", fail_later, wait_for_failure);
}

static int read_alone(void *arg)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_stream a, b;
    char byte;
    int r;

    (void)arg;
    test_check(jg_test_pair(loop, &a, &b, NULL) == 0);
    r = jg_stream_read(&b, &byte, 1);
    jg_stream_abort(&a);
    jg_stream_abort(&b);
    return r;
}

static void two_ends_that_wait_for_each_other_are_a_deadlock(void **state)
{
    (void)state;
    assert_int_equal(jg_run(read_alone, NULL, NULL), JG_EDEADLOCK);
}

/* ---------------------------------------------------------------- the end */

static int abort_soon(void *arg)
{
    struct table *table = arg;

    test_check(jg_sleep(10) == 0);
    jg_stream_abort(&table->b);
    test_check(!jg_stream_is_open(&table->b));
    jg_stream_abort(&table->b);
    memset(&table->b, 0, sizeof(table->b)); /* the memory is ours */
    return 0;
}

static int read_aborted(void *arg)
{
    struct table *table = arg;
    char buf[8];
    size_t count;

    test_check(jg_stream_read_exactly(&table->b, buf, 8, &count) == -ECONNABORTED);
    test_check(count == 5);
    test_check(jg_stream_read(&table->b, buf, 8) == -EBADF);
    test_check(jg_stream_write(&table->b, buf, 8) == -EBADF);
    test_check(jg_stream_write_all(&table->b, buf, 8, &count) == -EBADF && count == 0);
    test_check(jg_stream_drain(&table->b) == -EBADF);
    test_check(jg_stream_shut(&table->b) == -EBADF);
    test_check(jg_stream_close(&table->b, 0) == -EBADF);
    test_check(jg_stream_fd(&table->b) == -EBADF);
    return 0;
}

static void aborting_ends_what_is_pending(void **state)
{
    struct table table;

    (void)state;
    table_open(&table, (jg_test_pair_options){.delay = 0});
    assert_int_equal(jg_stream_write(&table.a, "12345", 5), 0);
    run_with(&table, abort_soon, read_aborted);
}

static int fill_and_close(void *arg)
{
    struct table *table = arg;
    static const char block[1000];
    jg_time begin = jg_loop_now(table->world.loop);

    for (int i = 0; i < 5; i++)
        test_check(jg_stream_write(&table->a, block, sizeof(block)) == 0);
    test_check(jg_stream_queued(&table->a) > 0);
    test_check(jg_stream_close(&table->a, (jg_time)table->split) ==
               (table->split < 5000 ? -ETIMEDOUT : 0));
    test_check(!jg_stream_is_open(&table->a));
    if (table->split < 5000)
        test_check(jg_loop_now(table->world.loop) - begin == (jg_time)table->split);
    memset(&table->a, 0, sizeof(table->a));
    return 0;
}

static int read_slowly(void *arg)
{
    struct table *table = arg;
    size_t count = 0;
    char buf[100];
    int r;

    do {
        test_check(jg_sleep(100) == 0);
        r = jg_stream_read(&table->b, buf, sizeof(buf));
        if (r > 0)
            count += (size_t)r;
    } while (r > 0);
    if (table->split < 5000)
        test_check(r == -ECONNRESET && count < 5000);
    else
        test_check(r == 0 && count == 5000);
    return 0;
}

static void closing_sends_what_is_queued_within_its_time(void **state)
{
    static const size_t timeouts[] = {0, 1, 2000, 6000, (size_t)JG_FOREVER};

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct table table;

        table_open(&table, (jg_test_pair_options){.capacity = 500});
        table.split = timeouts[i];
        run_with(&table, fill_and_close, read_slowly);
    }
}

struct closing {
    struct table *table;
    jg_op op;
    jg_stream_closing closing;
    int completions;
};

static void on_closed(void *arg)
{
    struct closing *closing = arg;

    closing->completions++;
    memset(&closing->table->a, 0xff, sizeof(closing->table->a));
    closing->table->a = (jg_stream){.transport = NULL};
}

/* What ends a close that waits: 0 cancelling it, 1 aborting the stream, 2 an error of writing, 3
   that the peer reads. */
static int end_close(void *arg)
{
    struct table *table = arg;
    struct closing closing = {.table = table};
    static const char block[1000];
    static const int statuses[] = {-ECANCELED, -ECONNABORTED, -EPIPE, 0};
    char byte;

    jg_op_init(&closing.op, table->world.loop, on_closed, &closing);
    test_check(jg_stream_write(&table->a, block, sizeof(block)) == 0);
    test_check(jg_stream_close_start(&table->a, &closing.closing, JG_SECOND, &closing.op) == 0);
    test_check(jg_stream_close(&table->a, 0) == -EALREADY);
    test_check(jg_stream_write(&table->a, block, 1) == -EPIPE);
    test_check(jg_stream_read(&table->a, &byte, 1) == -EBADF);
    test_check(!jg_stream_is_open(&table->a));
    test_check(jg_sleep(10) == 0);
    test_check(jg_op_pending(&closing.op));
    if (table->split == 0)
        jg_op_cancel(&closing.op);
    else if (table->split == 1)
        jg_stream_abort(&table->a);
    else if (table->split == 2)
        jg_stream_abort(&table->b);
    else
        while (jg_op_pending(&closing.op))
            test_check(jg_stream_read(&table->b, &byte, 1) == 1);
    test_check(jg_sleep(10) == 0);
    test_check(closing.completions == 1);
    test_check(jg_op_status(&closing.op) == statuses[table->split]);
    return 0;
}

static void a_close_ends_once_whatever_ends_it(void **state)
{
    (void)state;
    for (size_t how = 0; how < 4; how++) {
        struct table table;

        table_open(&table, (jg_test_pair_options){.capacity = 500});
        table.split = how;
        run_with(&table, NULL, end_close);
    }
}

static int close_cancelled(void *arg)
{
    struct table *table = arg;
    const jg_scope_options options = {.timeout = -1};
    jg_scope scope;
    int r;

    test_check(jg_stream_write(&table->a, "12345", 5) == 0);
    jg_scope_enter(&scope, &options);
    r = jg_stream_close(&table->a, JG_SECOND);
    test_check(r == -ECANCELED && !jg_stream_is_open(&table->a));
    (void)jg_scope_leave(&scope, r);
    return 0;
}

static void closing_in_a_cancelled_scope_closes(void **state)
{
    (void)state;
    run((jg_test_pair_options){.delay = 0}, "", NULL, close_cancelled);
}

static int talk_after_half_close(void *arg)
{
    struct table *table = arg;
    char buf[16];

    test_check(jg_stream_shut(&table->b) == 0);
    test_check(jg_stream_shut(&table->b) == 0);
    test_check(jg_stream_write(&table->b, "x", 1) == -EPIPE);
    test_check(jg_stream_read(&table->b, buf, 16) == 5);
    test_check(jg_stream_read(&table->a, buf, 16) == 0);
    test_check(jg_stream_write(&table->a, "more", 4) == 0);
    test_check(jg_stream_read(&table->b, buf, 16) == 4);
    test_check(jg_stream_close(&table->b, 0) == 0);
    test_check(jg_stream_close(&table->a, 0) == 0);
    return 0;
}

static void half_a_stream_lives_on(void **state)
{
    struct table table;

    (void)state;
    table_open(&table, (jg_test_pair_options){.delay = 0});
    assert_int_equal(jg_stream_write(&table.a, "hello", 5), 0);
    run_with(&table, NULL, talk_after_half_close);
}

/* ---------------------------------------------------------------- anything may fail */

/* A conversation in which either side ends after the first error. */
static int say(void *arg)
{
    struct table *table = arg;
    static char block[3000];
    size_t count;
    int r = jg_stream_write(&table->a, "hello\n", 6);

    if (r == 0)
        r = jg_stream_write(&table->a, block, sizeof(block));
    if (r == 0)
        r = jg_stream_write_all(&table->a, block, sizeof(block), &count);
    if (r == 0)
        r = jg_stream_drain(&table->a);
    if (r == 0)
        r = jg_stream_read_exactly(&table->a, block, 3, &count);
    if (r < 0)
        jg_stream_abort(&table->a);
    else
        r = jg_stream_close(&table->a, JG_SECOND);
    return r;
}

static int answer(void *arg)
{
    struct table *table = arg;
    static char block[3000];
    const void *data;
    size_t count;
    int r = jg_stream_read_line(&table->b, block, sizeof(block));

    if (r >= 0)
        r = jg_stream_peek(&table->b, 2000, &data);
    if (r >= 0)
        r = jg_stream_read_exactly(&table->b, block, 3000, &count);
    if (r >= 0)
        r = jg_stream_read_exactly(&table->b, block, 3000, &count);
    if (r == 0)
        r = jg_stream_write(&table->b, "bye", 3);
    if (r < 0)
        jg_stream_abort(&table->b);
    else
        r = jg_stream_close(&table->b, JG_SECOND);
    return r < 0 ? r : 0;
}

static void any_allocation_may_fail(void **state)
{
    long calls = 1;

    (void)state;
    for (long fail_at = 0; fail_at <= calls; fail_at++) {
        const jg_test_pair_options options = {.capacity = 700, .piece = 500};
        struct table table = {.text = ""};
        struct test_memory *memory;
        int r;

        world_init(&table.world);
        memory = test_loop_memory(table.world.loop);
        memory->fail_at = fail_at ? memory->calls + fail_at : 0;
        calls = -memory->calls;
        r = jg_test_pair(table.world.loop, &table.a, &table.b, &options);
        if (r == 0)
            r = jg_spawn(&table.world.root, say, &table, NULL);
        if (r == 0)
            r = jg_spawn(&table.world.root, answer, &table, NULL);
        assert_true(r == 0 || r == -ENOMEM);
        if (r < 0)
            jg_scope_cancel(&table.world.root);
        jg_scope_close(&table.world.root, 0, &table.world.left);
        assert_int_equal(jg_loop_run(table.world.loop), 0);
        assert_int_not_equal(table.world.result, 12345);
        if (fail_at == 0)
            assert_int_equal(table.world.result, 0);
        calls += memory->calls;
        memory->fail_at = 0;
        jg_stream_abort(&table.a);
        jg_stream_abort(&table.b);
        test_loop_done(table.world.loop);
    }
}

static void a_conversation_may_be_cancelled_at_any_time(void **state)
{
    (void)state;
    for (jg_time when = 0; when < 400; when++) {
        struct table table;

        table_open(&table, (jg_test_pair_options){.capacity = 700, .piece = 300, .delay = 10});
        spawn(&table, say);
        spawn(&table, answer);
        while (jg_loop_now(table.world.loop) < when && jg_loop_run_once(table.world.loop, -1) > 0)
            ;
        jg_scope_cancel(&table.world.root);
        table_close(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_returns_what_there_is_and_0_at_the_end),
        cmocka_unit_test(every_way_to_read_works_with_input_split_anywhere),
        cmocka_unit_test(a_separator_too_far_away_leaves_what_came),
        cmocka_unit_test(the_last_line_need_not_end),
        cmocka_unit_test(a_peek_that_the_end_cuts_short_returns_less),
        cmocka_unit_test(much_goes_through_in_order),
        cmocka_unit_test(a_second_read_is_refused),
        cmocka_unit_test(a_cancelled_read_loses_no_byte),
        cmocka_unit_test(what_came_before_an_error_is_read_first),
        cmocka_unit_test(a_read_that_waits_is_told_of_an_error),
        cmocka_unit_test(two_ends_that_wait_for_each_other_are_a_deadlock),
        cmocka_unit_test(aborting_ends_what_is_pending),
        cmocka_unit_test(closing_sends_what_is_queued_within_its_time),
        cmocka_unit_test(a_close_ends_once_whatever_ends_it),
        cmocka_unit_test(closing_in_a_cancelled_scope_closes),
        cmocka_unit_test(half_a_stream_lives_on),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_conversation_may_be_cancelled_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
