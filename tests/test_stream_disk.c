/* SPDX-License-Identifier: MIT
 *
 * Streams on regular files, which threads read: a disk that is slow is one whose threads are all
 * busy, so that reads have to wait for them.
 */
#include "support.h"

#include <juggle/sendfile.h>
#include <juggle/test_kit.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

#define SIZE    200000
#define THREADS 16 /* of the executor */

struct place {
    jg_loop *loop;
    char path[32];
    int fd;
    jg_stream stream;
    jg_op op;
    int completed;
    char buf[64];
    int descriptors; /* before the loop was made */
    pthread_mutex_t busy;
    jg_executor_job jobs[THREADS];
    jg_op jobs_ops[THREADS];
    int counted;
};

static char content[SIZE];

/* Lines of all lengths below 1000. */
static void make_content(void)
{
    size_t at = 0;

    for (size_t length = 1; at < SIZE; length = length * 7 % 997 + 1) {
        for (size_t i = 1; i < length && at < SIZE; i++, at++)
            content[at] = (char)('a' + (at + length) % 26);
        if (at < SIZE)
            content[at++] = '\n';
    }
}

static int open_file(const struct place *place)
{
    return open(place->path, O_RDWR);
}

static void enter(struct place *place)
{
    memset(place, 0, sizeof(*place));
    strcpy(place->path, "/tmp/juggle_disk_XXXXXX");
    place->fd = mkstemp(place->path);
    assert_true(place->fd >= 0);
    assert_int_equal(write(place->fd, content, SIZE), SIZE);
    assert_int_equal(lseek(place->fd, 0, SEEK_SET), 0);
    place->descriptors = test_open_descriptors();
    place->loop = test_loop(0);
}

static void leave(struct place *place)
{
    jg_stream_abort(&place->stream);
    test_loop_done(place->loop);
    assert_int_equal(test_open_descriptors(), place->descriptors);
    close(place->fd);
    unlink(place->path);
}

static int keep_busy(void *arg)
{
    pthread_mutex_t *busy = arg;

    pthread_mutex_lock(busy);
    pthread_mutex_unlock(busy);
    return 0;
}

/* Reads have to wait from now on, until the disk is fast again. */
static void slow_down(struct place *place)
{
    assert_int_equal(pthread_mutex_init(&place->busy, NULL), 0);
    pthread_mutex_lock(&place->busy);
    for (int i = 0; i < THREADS; i++) {
        jg_op_init(&place->jobs_ops[i], place->loop, test_count_call, &place->counted);
        assert_int_equal(jg_executor_run_start(NULL, &place->jobs[i], keep_busy, &place->busy, NULL,
                                               &place->jobs_ops[i]),
                         0);
    }
}

static void speed_up(struct place *place)
{
    pthread_mutex_unlock(&place->busy);
    assert_int_equal(jg_loop_run(place->loop), 0);
    pthread_mutex_destroy(&place->busy);
}

static void start_read(struct place *place, size_t size)
{
    place->completed = 0;
    jg_op_init(&place->op, place->loop, test_count_call, &place->completed);
    assert_int_equal(jg_stream_read_start(&place->stream, place->buf, size, &place->op), 0);
}

static void turn(struct place *place, int times)
{
    for (int i = 0; i < times; i++)
        (void)jg_loop_run_once(place->loop, 0);
}

/* ---------------------------------------------------------------- content */

static int read_in_all_ways(void *arg)
{
    struct place *place = arg;
    static char buf[SIZE];
    jg_loop *loop = jg_task_loop(jg_task_current());
    const void *data;
    size_t at = 0, count;
    jg_stream stream;
    int r;

    test_check(jg_stream_open(&stream, loop, open_file(place), NULL) == 0);
    test_check(jg_stream_read(&stream, buf, 10) == 10);
    test_check(memcmp(buf, content, 10) == 0);
    at = 10;
    test_check(jg_stream_read_exactly(&stream, buf, 100000, &count) == 0);
    test_check(memcmp(buf, content + at, 100000) == 0);
    at += 100000;
    test_check(jg_stream_peek(&stream, 70000, &data) >= 70000);
    test_check(memcmp(data, content + at, 70000) == 0);
    for (int i = 0; i < 50; i++) {
        r = jg_stream_read_line(&stream, buf, 1000);
        test_check(r > 0 && memcmp(buf, content + at, (size_t)r) == 0);
        at += (size_t)r;
    }
    test_check(jg_stream_read_exactly(&stream, buf, SIZE, &count) == JG_EINCOMPLETE);
    test_check(count == SIZE - at && memcmp(buf, content + at, count) == 0);
    test_check(jg_stream_read(&stream, buf, 1) == 0 && jg_stream_at_eof(&stream));
    test_check(jg_stream_bytes_in(&stream) == SIZE);
    return jg_stream_close(&stream, 0);
}

static void a_file_is_read_in_all_ways(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_run_until_complete(place.loop, read_in_all_ways, &place, NULL), 0);
    leave(&place);
}

static int share(void *arg)
{
    struct place *place = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_stream stream;
    char buf[10];

    test_check(jg_stream_open_shared(&stream, loop, place->fd, NULL) == 0);
    test_check(jg_stream_fd(&stream) > 2 && jg_stream_fd(&stream) != place->fd);
    test_check(jg_stream_read(&stream, buf, 10) == 10);
    test_check(lseek(place->fd, 0, SEEK_CUR) == 10);
    test_check(lseek(place->fd, 1000, SEEK_SET) == 1000);
    test_check(jg_stream_read(&stream, buf, 10) == 10);
    test_check(memcmp(buf, content + 1000, 10) == 0);
    test_check(lseek(place->fd, SIZE, SEEK_SET) == SIZE);
    test_check(jg_stream_write(&stream, "end", 3) == 0);
    test_check(lseek(place->fd, 0, SEEK_CUR) == SIZE + 3);
    jg_stream_abort(&stream);
    test_check(jg_stream_fd(&stream) == -EBADF);
    return 0;
}

static void its_position_is_that_of_all_who_share_it(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_run_until_complete(place.loop, share, &place, NULL), 0);
    leave(&place);
}

static void what_cannot_be_read_is_an_error(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_stream_open(&place.stream, place.loop, open(place.path, O_WRONLY), NULL),
                     0);
    start_read(&place, 1);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(jg_op_status(&place.op), -EBADF);
    assert_int_equal(jg_stream_write(&place.stream, "x", 1), 0);
    leave(&place);
}

static int send_and_read(void *arg)
{
    struct place *place = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    const int copy = dup(place->fd), from = open_file(place);
    jg_stream stream;
    char byte;

    test_check(jg_stream_open(&stream, loop, copy, NULL) == 0);
    test_check(jg_sendfile(&stream, from, 0, 10, NULL) == 0);
    test_check(jg_stream_read(&stream, &byte, 1) == 1);
    test_check(byte == content[10]);
    jg_stream_abort(&stream);
    close(from);
    return 0;
}

static void its_flags_are_as_they_were(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_run_until_complete(place.loop, send_and_read, &place, NULL), 0);
    assert_int_equal(fcntl(place.fd, F_GETFL) & O_NONBLOCK, 0);
    leave(&place);
}

/* ---------------------------------------------------------------- a slow disk */

static void a_slow_disk_holds_up_nobody(void **state)
{
    struct place place;
    jg_call call;
    int called = 0;

    (void)state;
    enter(&place);
    slow_down(&place);
    assert_int_equal(jg_stream_open_shared(&place.stream, place.loop, place.fd, NULL), 0);
    start_read(&place, 10);
    jg_call_init(&call, test_count_call, &called);
    jg_call_soon(place.loop, &call);
    turn(&place, 5);
    assert_int_equal(called, 1);
    assert_int_equal(place.completed, 0);
    assert_int_equal(lseek(place.fd, 0, SEEK_CUR), 0);
    speed_up(&place);
    assert_int_equal(place.completed, 1);
    assert_int_equal(jg_op_status(&place.op), 10);
    assert_memory_equal(place.buf, content, 10);
    leave(&place);
}

static void a_cancelled_read_loses_nothing(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    slow_down(&place);
    assert_int_equal(jg_stream_open_shared(&place.stream, place.loop, place.fd, NULL), 0);
    start_read(&place, 10);
    jg_op_cancel(&place.op);
    turn(&place, 2);
    assert_int_equal(jg_op_status(&place.op), -ECANCELED);
    start_read(&place, 4);
    jg_op_cancel(&place.op);
    speed_up(&place);
    assert_int_equal(lseek(place.fd, 0, SEEK_CUR), 10);
    for (int i = 0; i < 10; i += place.completed * jg_op_status(&place.op)) {
        start_read(&place, 4);
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(jg_op_status(&place.op), i < 8 ? 4 : 2);
        assert_memory_equal(place.buf, content + i, (size_t)jg_op_status(&place.op));
    }
    start_read(&place, 4);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_memory_equal(place.buf, content + 10, 4);
    leave(&place);
}

static void no_byte_is_lost_whenever_a_read_is_cancelled(void **state)
{
    struct place place;
    size_t at = 0;

    (void)state;
    enter(&place);
    assert_int_equal(jg_stream_open(&place.stream, place.loop, open_file(&place), NULL), 0);
    for (int i = 0; i < (test_is_slow() ? 100 : 1000); i++) {
        int r;

        start_read(&place, 1 + (size_t)i % sizeof(place.buf));
        turn(&place, i % 4);
        if (i % 5)
            jg_op_cancel(&place.op);
        assert_int_equal(jg_loop_run(place.loop), 0);
        assert_int_equal(place.completed, 1);
        r = jg_op_status(&place.op);
        assert_true(r > 0 || r == -ECANCELED);
        if (r < 0)
            continue;
        assert_memory_equal(place.buf, content + at, (size_t)r);
        at += (size_t)r;
    }
    assert_true(at > 0);
    leave(&place);
}

static void an_end_that_a_cancelled_read_met_is_none(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    slow_down(&place);
    assert_int_equal(lseek(place.fd, 0, SEEK_END), SIZE);
    assert_int_equal(jg_stream_open_shared(&place.stream, place.loop, place.fd, NULL), 0);
    start_read(&place, 10);
    jg_op_cancel(&place.op);
    speed_up(&place);
    assert_int_equal(pwrite(place.fd, "more", 4, SIZE), 4);
    start_read(&place, 10);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(jg_op_status(&place.op), 4);
    assert_memory_equal(place.buf, "more", 4);
    leave(&place);
}

static void read_in_child(void *arg)
{
    struct place *place = arg;

    test_check(jg_loop_fork(place->loop) == 0);
    test_check(jg_loop_run(place->loop) == 0);
    test_check(place->completed == 1 && jg_op_status(&place->op) == 10);
    test_check(memcmp(place->buf, content, 10) == 0);
}

/* They share the position. */
static void a_forked_child_and_its_parent_read_what_the_other_did_not(void **state)
{
    struct place place;

    (void)state;
    if (test_is_slow())
        skip(); /* with qemu and sanitizers a child cannot start threads if its parent had some */
    enter(&place);
    slow_down(&place);
    assert_int_equal(jg_stream_open_shared(&place.stream, place.loop, place.fd, NULL), 0);
    start_read(&place, 10);
    test_in_child(read_in_child, &place);
    assert_int_equal(lseek(place.fd, 0, SEEK_CUR), 10);
    speed_up(&place);
    assert_int_equal(jg_op_status(&place.op), 10);
    assert_memory_equal(place.buf, content + 10, 10);
    leave(&place);
}

/* ---------------------------------------------------------------- the end */

static void closing_takes_a_read_back_that_was_not_begun(void **state)
{
    struct place place;
    int descriptors;

    (void)state;
    enter(&place);
    slow_down(&place);
    descriptors = test_open_descriptors();
    assert_int_equal(jg_stream_open_shared(&place.stream, place.loop, place.fd, NULL), 0);
    start_read(&place, 10);
    jg_stream_abort(&place.stream);
    turn(&place, 2);
    assert_int_equal(jg_op_status(&place.op), -ECONNABORTED);
    assert_int_equal(test_open_descriptors(), descriptors);
    speed_up(&place);
    assert_int_equal(lseek(place.fd, 0, SEEK_CUR), 0);
    leave(&place);
}

static void nothing_is_left_whenever_it_is_closed(void **state)
{
    struct place place;

    (void)state;
    for (int i = 0; i < (test_is_slow() ? 50 : 300); i++) {
        enter(&place);
        assert_int_equal(jg_stream_open(&place.stream, place.loop, open_file(&place), NULL), 0);
        start_read(&place, 10);
        turn(&place, i % 4);
        for (int k = 0; k < i / 4 % 8; k++)
            sched_yield();
        jg_stream_abort(&place.stream);
        if (i % 3)
            turn(&place, 1);
        if (i % 3 == 2)
            assert_int_equal(jg_loop_run(place.loop), 0);
        (void)jg_call_cancel(&place.op.call);
        leave(&place);
    }
}

static int read_a_file(void *arg)
{
    struct place *place = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_stream stream;
    char line[1000];
    int fd = open_file(place), r;

    r = jg_stream_open(&stream, loop, fd, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    for (int i = 0; i < 3 && r >= 0; i++)
        r = jg_stream_read_line(&stream, line, sizeof(line));
    jg_stream_abort(&stream);
    return r < 0 ? r : 0;
}

static void nothing_is_left_wherever_it_is_disturbed(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_test_cancel_each(read_a_file, &place, NULL), 0);
    assert_int_equal(jg_test_fail_each(read_a_file, &place, NULL), 0);
    leave(&place);
}

#if defined(SYS_clone3) && defined(SYS_clone)

static void run_without_threads(void *arg)
{
    struct place *place = arg;

    if (!test_deny(SYS_clone3, EAGAIN) || !test_deny(SYS_clone, EAGAIN))
        return;
    test_check(jg_run(read_in_all_ways, place, NULL) == 0);
}

static void where_there_are_no_threads_it_blocks(void **state)
{
    struct place place;

    (void)state;
    if (test_is_slow() || test_is_emulated())
        skip(); /* sanitizers do not stand a thread that cannot be started */
    enter(&place);
    test_in_child(run_without_threads, &place);
    leave(&place);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_in_all_ways),
        cmocka_unit_test(its_position_is_that_of_all_who_share_it),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(its_flags_are_as_they_were),
        cmocka_unit_test(a_slow_disk_holds_up_nobody),
        cmocka_unit_test(a_cancelled_read_loses_nothing),
        cmocka_unit_test(no_byte_is_lost_whenever_a_read_is_cancelled),
        cmocka_unit_test(an_end_that_a_cancelled_read_met_is_none),
        cmocka_unit_test(a_forked_child_and_its_parent_read_what_the_other_did_not),
        cmocka_unit_test(closing_takes_a_read_back_that_was_not_begun),
        cmocka_unit_test(nothing_is_left_whenever_it_is_closed),
        cmocka_unit_test(nothing_is_left_wherever_it_is_disturbed),
#if defined(SYS_clone3) && defined(SYS_clone)
        cmocka_unit_test(where_there_are_no_threads_it_blocks),
#endif
    };

    make_content();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
