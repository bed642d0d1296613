/* SPDX-License-Identifier: MIT
 *
 * From files to streams: by the system over sockets and pipes, in pieces over a pair in memory.
 */
#include "support.h"

#include <juggle/coro.h>
#include <juggle/sendfile.h>
#include <juggle/test_kit.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 3000000 };

enum way { SOCKET, PIPE, PAIR, WAYS };

/* A file, and two streams: what goes into `a` comes out of `b`. */
struct table {
    enum way way;
    int file;
    jg_stream a, b;
    size_t wanted; /* bytes to be read; then the reader ends */
    size_t got;
    char *bytes;
    int cut_after; /* ms */
};

static char content[SIZE];

static int open_file(void)
{
    char path[] = "/tmp/juggle_sendfile_XXXXXX";
    int fd = mkstemp(path);

    for (int i = 0; i < SIZE; i++)
        content[i] = (char)((unsigned)i * 7919 >> 8);
    test_check(fd >= 0 && unlink(path) == 0);
    test_check(write(fd, content, SIZE) == SIZE);
    return fd;
}

static int table_open(struct table *table)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    int fds[2], r;

    if (table->way == PAIR)
        return jg_test_pair(loop, &table->a, &table->b, NULL);

    if (table->way == SOCKET)
        test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    else
        test_check(pipe(fds) == 0);
    r = jg_stream_open(&table->a, loop, fds[1], NULL);
    if (r < 0) {
        close(fds[0]);
        close(fds[1]);
        return r;
    }
    return jg_stream_open(&table->b, loop, fds[0], NULL);
}

static void table_close(struct table *table)
{
    jg_stream_abort(&table->a);
    jg_stream_abort(&table->b);
}

static int read_bytes(void *arg)
{
    struct table *table = arg;
    int r = jg_stream_read_exactly(&table->b, table->bytes, table->wanted, &table->got);

    return r == JG_EINCOMPLETE ? 0 : r;
}

static void run(jg_coro_fn fn)
{
    for (enum way way = SOCKET; way < WAYS; way++) {
        struct table table = {.way = way, .file = open_file(), .bytes = malloc(2 * SIZE)};
        const int before = test_open_descriptors();

        table.wanted = 2 * SIZE;
        assert_int_equal(jg_run(fn, &table, NULL), 0);
        assert_int_equal(test_open_descriptors(), before);
        assert_int_equal(lseek(table.file, 0, SEEK_CUR), SIZE); /* its position was left alone */
        close(table.file);
        free(table.bytes);
    }
}

/* Run one that sends, and reads what comes of it. */
static int send_and_read(struct table *table, jg_coro_fn fn)
{
    jg_job jobs[] = {{fn, table, 0}, {read_bytes, table, 0}};
    int r = table_open(table);

    if (r == 0)
        r = jg_gather(jobs, 2, JG_FAIL_FAST);
    table_close(table);
    return r;
}

/* ---------------------------------------------------------------- what arrives */

static int send_in_turn(void *arg)
{
    struct table *table = arg;
    size_t count;

    test_check(jg_stream_write(&table->a, "head", 4) == 0);
    test_check(jg_sendfile(&table->a, table->file, 0, SIZE_MAX, &count) == 0 && count == SIZE);
    test_check(jg_stream_write(&table->a, "middle", 6) == 0);
    test_check(jg_sendfile(&table->a, table->file, 1000, 5, &count) == 0 && count == 5);
    test_check(jg_sendfile(&table->a, table->file, SIZE - 3, 5, &count) == 0 && count == 3);
    test_check(jg_sendfile(&table->a, table->file, SIZE + 3, 5, &count) == 0 && count == 0);
    test_check(jg_sendfile(&table->a, table->file, 0, 0, &count) == 0 && count == 0);
    test_check(jg_sendfile(&table->a, table->file, -1, 5, &count) == -EINVAL && count == 0);
    test_check(jg_stream_bytes_out(&table->a) == 4 + SIZE + 6 + 5 + 3);
    test_check(jg_stream_close(&table->a, JG_FOREVER) == 0);
    return 0;
}

static int check_order(void *arg)
{
    struct table *table = arg;
    const char *bytes = table->bytes;

    test_check(send_and_read(table, send_in_turn) == 0);
    test_check(table->got == 4 + SIZE + 6 + 5 + 3);
    test_check(memcmp(bytes, "head", 4) == 0);
    test_check(memcmp(bytes + 4, content, SIZE) == 0);
    test_check(memcmp(bytes + 4 + SIZE, "middle", 6) == 0);
    test_check(memcmp(bytes + 10 + SIZE, content + 1000, 5) == 0);
    test_check(memcmp(bytes + 15 + SIZE, content + SIZE - 3, 3) == 0);
    return 0;
}

static void parts_of_a_file_arrive_between_what_is_written(void **state)
{
    (void)state;
    run(check_order);
}

/* ---------------------------------------------------------------- errors */

static int send_from_nothing(void *arg)
{
    struct table *table = arg;
    int folder = open("/tmp", O_RDONLY | O_DIRECTORY);
    int write_only = open("/dev/null", O_WRONLY);
    size_t count = 1;

    test_check(jg_sendfile(&table->a, -1, 0, 10, &count) == -EBADF && count == 0);
    test_check(jg_sendfile(&table->a, 1000, 0, 10, &count) == -EBADF);
    test_check(jg_sendfile(&table->a, folder, 0, 10, &count) == -EISDIR);
    test_check(jg_sendfile(&table->a, write_only, 0, 10, &count) == -EBADF);
    test_check(jg_stream_write(&table->a, "still here", 10) == 0);
    test_check(jg_stream_close(&table->a, JG_FOREVER) == 0);
    test_check(jg_sendfile(&table->a, table->file, 0, 10, &count) == -EBADF);
    close(folder);
    close(write_only);
    return 0;
}

static int check_file_errors(void *arg)
{
    struct table *table = arg;

    test_check(send_and_read(table, send_from_nothing) == 0);
    test_check(table->got == 10 && memcmp(table->bytes, "still here", 10) == 0);
    return 0;
}

static void an_error_of_the_file_leaves_the_stream(void **state)
{
    (void)state;
    run(check_file_errors);
}

static int send_to_nobody(void *arg)
{
    struct table *table = arg;
    size_t count;
    int r;

    test_check(table_open(table) == 0);
    jg_stream_abort(&table->b);
    do
        r = jg_sendfile(&table->a, table->file, 0, SIZE, &count);
    while (r == 0);
    test_check(r == -EPIPE || r == -ECONNRESET); /* and no signal */
    test_check(jg_stream_write(&table->a, "x", 1) == r);
    table_close(table);
    return 0;
}

static void a_peer_that_is_gone_is_an_error(void **state)
{
    (void)state;
    run(send_to_nobody);
}

/* ---------------------------------------------------------------- being cut */

struct cut {
    struct table *table;
    jg_scope scope;
};

static int cut_when_under_way(void *arg)
{
    struct cut *cut = arg;
    int r = 0;

    while (r == 0 && jg_stream_bytes_out(&cut->table->a) == 0)
        r = jg_sleep(JG_MILLISECOND);
    test_check(r == 0);
    jg_scope_cancel(&cut->scope);
    return 0;
}

static int send_until_cut(void *arg)
{
    struct table *table = arg;
    struct cut cut = {.table = table};
    size_t count = 0;
    int r = 0;

    /* Nobody reads: it comes to a stop, and is cut there. */
    test_check(table_open(table) == 0);
    jg_scope_enter(&cut.scope, NULL);
    test_check(jg_spawn(&cut.scope, cut_when_under_way, &cut, NULL) == 0);
    r = jg_sendfile(&table->a, table->file, 0, SIZE, &count);
    test_check(r == -ECANCELED);
    test_check(jg_scope_leave(&cut.scope, r) == 0);
    test_check(count > 0 && count < SIZE);

    /* What was counted is what arrives, before what is written now. */
    test_check(jg_stream_write(&table->a, "!", 1) == 0);
    table->wanted = count + 1;
    test_check(read_bytes(table) == 0 && table->got == count + 1);
    test_check(memcmp(table->bytes, content, count) == 0 && table->bytes[count] == '!');
    table_close(table);
    return 0;
}

static void what_was_sent_before_it_was_cut_is_counted(void **state)
{
    (void)state;
    run(send_until_cut);
}

static int abort_meanwhile(void *arg)
{
    struct table *table = arg;
    jg_sending sending;
    jg_op op;

    test_check(table_open(table) == 0);
    jg_op_self(&op);
    test_check(jg_sendfile_start(&table->a, &sending, table->file, 0, SIZE, &op) == 0);
    test_check(jg_sleep(10 * JG_MILLISECOND) == 0);
    jg_stream_abort(&table->a);
    test_check(jg_await(&op) == -ECONNABORTED);
    table_close(table);
    return 0;
}

static void a_stream_may_be_aborted_meanwhile(void **state)
{
    (void)state;
    run(abort_meanwhile);
}

static int send_little(void *arg)
{
    struct table *table = arg;

    return jg_sendfile(&table->a, table->file, 5, 200000, NULL);
}

static int send_little_and_read(void *arg)
{
    return send_and_read(arg, send_little);
}

static void nothing_is_left_when_it_is_disturbed(void **state)
{
    (void)state;
    for (enum way way = SOCKET; way < WAYS; way++) {
        struct table table = {.way = way, .file = open_file(), .bytes = malloc(SIZE)};

        table.wanted = 200000;
        assert_int_equal(jg_test_cancel_each(send_little_and_read, &table, NULL), 0);
        assert_int_equal(jg_test_fail_each(send_little_and_read, &table, NULL), 0);
        close(table.file);
        free(table.bytes);
    }
}

static int look_at_flags(void *arg)
{
    struct table *table = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    int fds[2], copy;

    test_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    copy = dup(fds[0]);
    test_check(jg_stream_open(&table->a, loop, fds[0], NULL) == 0);
    test_check(jg_sendfile(&table->a, table->file, 0, 10, NULL) == 0);
    test_check(jg_stream_close(&table->a, JG_FOREVER) == 0);
    test_check(!(fcntl(copy, F_GETFL) & O_NONBLOCK));
    close(copy);
    close(fds[1]);
    return 0;
}

static void a_socket_is_blocking_afterwards_if_it_was_before(void **state)
{
    struct table table = {.file = open_file()};

    (void)state;
    assert_int_equal(jg_run(look_at_flags, &table, NULL), 0);
    close(table.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_file_arrive_between_what_is_written),
        cmocka_unit_test(an_error_of_the_file_leaves_the_stream),
        cmocka_unit_test(a_peer_that_is_gone_is_an_error),
        cmocka_unit_test(what_was_sent_before_it_was_cut_is_counted),
        cmocka_unit_test(a_stream_may_be_aborted_meanwhile),
        cmocka_unit_test(nothing_is_left_when_it_is_disturbed),
        cmocka_unit_test(a_socket_is_blocking_afterwards_if_it_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
