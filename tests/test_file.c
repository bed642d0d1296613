/* SPDX-License-Identifier: MIT
 *
 * Files: what is written is read, at offsets and at the position; the errors of the system; and
 * that each descriptor is closed, also in cancelled scopes.
 */
#include "support.h"

#include "platform/disk.h"

#include <juggle/coro.h>
#include <juggle/file.h>
#include <juggle/test_kit.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A scratch directory, with paths in it. */
static char directory[64];

static const char *in(const char *name)
{
    static char paths[4][128];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", directory, name);
    return paths[next];
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/juggle_file_XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void run(jg_coro_fn fn)
{
    assert_int_equal(jg_run(fn, NULL, NULL), 0);
}

static int write_and_read(void *arg)
{
    char buffer[16] = "";
    int fd = jg_file_open(in("a"), O_RDWR | O_CREAT, 0600);

    (void)arg;
    test_check(fd > 2);
    test_check(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    test_check(jg_file_write(fd, "hello, world", 12, 0) == 12);
    test_check(jg_file_write(fd, "J", 1, 7) == 1);
    test_check(jg_file_read(fd, buffer, 5, 7) == 5);
    test_check(memcmp(buffer, "Jorld", 5) == 0);
    test_check(jg_file_read(fd, buffer, 10, 9) == 3); /* the end */
    test_check(jg_file_read(fd, buffer, 10, 12) == 0);
    test_check(jg_file_read(fd, buffer, 10, 1000) == 0);
    test_check(jg_file_read(fd, buffer, 0, 0) == 0);
    test_check(jg_file_write(fd, buffer, 0, 0) == 0);
    test_check(jg_file_sync(fd) == 0);
    test_check(jg_file_truncate(fd, 3) == 0);
    test_check(jg_file_read(fd, buffer, 10, 0) == 3);
    test_check(jg_file_close(fd) == 0);
    test_check(fcntl(fd, F_GETFD) < 0);
    test_check(jg_file_unlink(in("a")) == 0);
    return 0;
}

static void what_is_written_at_an_offset_is_read_there(void **state)
{
    (void)state;
    run(write_and_read);
}

static int use_position(void *arg)
{
    char buffer[16] = "";
    int fd = jg_file_open(in("b"), O_RDWR | O_CREAT | O_APPEND, 0600);

    (void)arg;
    test_check(jg_file_write(fd, "abc", 3, JG_FILE_POSITION) == 3);
    test_check(jg_file_write(fd, "def", 3, JG_FILE_POSITION) == 3);
    test_check(lseek(fd, 1, SEEK_SET) == 1);
    test_check(jg_file_read(fd, buffer, 2, JG_FILE_POSITION) == 2);
    test_check(jg_file_read(fd, buffer + 2, 10, JG_FILE_POSITION) == 3);
    test_check(memcmp(buffer, "bcdef", 5) == 0);
    test_check(jg_file_read(fd, buffer, 10, JG_FILE_POSITION) == 0);
    test_check(jg_file_read(fd, buffer, 10, -2) == -EINVAL);
    test_check(jg_file_write(fd, buffer, 10, INT64_MIN) == -EINVAL);
    test_check(jg_file_close(fd) == 0);
    test_check(jg_file_unlink(in("b")) == 0);
    return 0;
}

static void the_position_moves_and_appending_goes_to_the_end(void **state)
{
    (void)state;
    run(use_position);
}

static int use_far_offset(void *arg)
{
    const int64_t far = ((int64_t)5 << 30) + 1;
    jg_file_info info;
    char byte = 0;
    int fd = jg_file_open(in("c"), O_RDWR | O_CREAT, 0600);

    (void)arg;
    test_check(jg_file_write(fd, "x", 1, far) == 1);
    test_check(jg_file_read(fd, &byte, 1, far) == 1 && byte == 'x');
    test_check(jg_file_stat(fd, NULL, &info) == 0 && info.size == far + 1);
    test_check(jg_file_close(fd) == 0);
    test_check(jg_file_unlink(in("c")) == 0);
    return 0;
}

static void offsets_have_64_bits(void **state)
{
    (void)state;
    run(use_far_offset);
}

static int look_at_file(void *arg)
{
    jg_file_info by_path, by_fd, old;
    int fd = jg_file_open(in("d"), O_WRONLY | O_CREAT | O_EXCL, 0640);

    (void)arg;
    test_check(jg_file_write(fd, "12345", 5, 0) == 5);
    test_check(jg_file_stat(-1, in("d"), &by_path) == 0);
    test_check(jg_file_stat(fd, NULL, &by_fd) == 0);
    test_check(by_path.size == 5 && by_fd.size == 5);
    test_check(by_path.inode == by_fd.inode && by_path.device == by_fd.device);
    test_check(by_path.modified == by_fd.modified);
    test_check(llabs((long long)(by_fd.modified / JG_SECOND - time(NULL))) < 100);
    test_check(S_ISREG(by_fd.mode) && (by_fd.mode & 07) == 0);
    test_check(jg_file_rename(in("d"), in("e")) == 0);
    old = by_path;
    test_check(jg_file_stat(-1, in("d"), &by_path) == -ENOENT);
    test_check(old.size == by_path.size && old.inode == by_path.inode); /* untouched */
    test_check(jg_file_stat(-1, in("e"), &by_path) == 0 && by_path.inode == by_fd.inode);
    test_check(jg_file_close(fd) == 0);
    test_check(jg_file_unlink(in("e")) == 0);
    return 0;
}

static void a_file_is_looked_at_by_path_and_by_descriptor(void **state)
{
    (void)state;
    run(look_at_file);
}

static void the_times_of_files_end_with_the_range_of_nanoseconds(void **state)
{
    const int64_t most = INT64_MAX / JG_SECOND;
    const struct {
        int64_t seconds, expected;
    } times[] = {
        {0, 1},
        {-1, -JG_SECOND + 1},
        {most - 1, (most - 1) * JG_SECOND + 1},
        {most, INT64_MAX},
        {most + 1, INT64_MAX},
        {INT64_MAX, INT64_MAX},
        {-most, -most * JG_SECOND + 1},
        {-most - 1, INT64_MIN},
        {INT64_MIN, INT64_MIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        const struct timespec time = {.tv_sec = (time_t)times[i].seconds, .tv_nsec = 1};

        if (time.tv_sec == times[i].seconds) /* there are systems with fewer bits */
            assert_int_equal(jg__disk_time(&time), times[i].expected);
    }
}

static int look_at_future(void *arg)
{
    const struct timespec times[2] = {{.tv_sec = 9999999999}, {.tv_sec = 9999999999}};
    jg_file_info info;
    int fd = jg_file_open(in("f"), O_WRONLY | O_CREAT | O_EXCL, 0600);

    (void)arg;
    test_check(futimens(fd, times) == 0);
    test_check(jg_file_stat(fd, NULL, &info) == 0);
    test_check(info.modified > (int64_t)time(NULL) * JG_SECOND);
    test_check(jg_file_close(fd) == 0);
    test_check(jg_file_unlink(in("f")) == 0);
    return 0;
}

static void a_file_of_a_far_future_is_no_old_one(void **state)
{
    (void)state;
    run(look_at_future);
}

static int fail_all(void *arg)
{
    jg_file_info info;
    char byte;

    (void)arg;
    test_check(jg_file_open(in("none"), O_RDONLY, 0) == -ENOENT);
    test_check(jg_file_open(directory, O_WRONLY, 0) == -EISDIR);
    test_check(jg_file_read(-1, &byte, 1, 0) == -EBADF);
    test_check(jg_file_write(-1, &byte, 1, JG_FILE_POSITION) == -EBADF);
    test_check(jg_file_stat(-1, NULL, &info) == -EBADF);
    test_check(jg_file_sync(-1) == -EBADF);
    test_check(jg_file_truncate(-1, 0) == -EBADF || jg_file_truncate(-1, 0) == -EINVAL);
    test_check(jg_file_rename(in("none"), in("other")) == -ENOENT);
    test_check(jg_file_unlink(in("none")) == -ENOENT);
    return 0;
}

static void errors_are_those_of_the_system(void **state)
{
    (void)state;
    run(fail_all);
}

static int write_to_full_device(void *arg)
{
    int fd = jg_file_open("/dev/full", O_WRONLY, 0);

    (void)arg;
    if (fd < 0)
        return 0;
    test_check(jg_file_write(fd, "x", 1, JG_FILE_POSITION) == -ENOSPC);
    return jg_file_close(fd);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    run(write_to_full_device);
}

static int close_cancelled(void *arg)
{
    jg_scope scope;
    int fd = jg_file_open(in("f"), O_WRONLY | O_CREAT, 0600);

    (void)arg;
    test_check(fd >= 0);
    jg_scope_enter(&scope, NULL);
    jg_scope_cancel(&scope);
    test_check(jg_file_write(fd, "x", 1, 0) == -ECANCELED);
    test_check(jg_file_open(in("g"), O_WRONLY | O_CREAT, 0600) == -ECANCELED);
    test_check(jg_file_close(fd) == 0);
    test_check(fcntl(fd, F_GETFD) < 0);
    (void)jg_scope_leave(&scope, 0);
    test_check(jg_file_unlink(in("f")) == 0);
    test_check(jg_file_unlink(in("g")) == -ENOENT);
    return 0;
}

static void closing_closes_also_in_a_cancelled_scope(void **state)
{
    int before = test_open_descriptors();

    (void)state;
    run(close_cancelled);
    assert_int_equal(test_open_descriptors(), before);
}

static void the_start_forms_complete_ops(void **state)
{
    jg_loop *loop = test_loop(JG_LOOP_VIRTUAL_TIME);
    jg_file_request request;
    jg_file_info info;
    char buffer[8];
    int calls = 0, fd;
    jg_op op;

    (void)state;
    jg_op_init(&op, loop, test_count_call, &calls);
#define RUN(call, expected)                 \
    assert_int_equal(call, 0);              \
    assert_int_equal(jg_loop_run(loop), 0); \
    assert_int_equal(jg_op_status(&op), expected)

    assert_int_equal(jg_file_open_start(&request, in("h"), O_RDWR | O_CREAT | O_TRUNC, 0600, &op),
                     0);
    assert_int_equal(jg_loop_run(loop), 0);
    fd = jg_op_status(&op);
    assert_true(fd > 2);
    RUN(jg_file_write_start(&request, fd, "data", 4, 0, &op), 4);
    RUN(jg_file_read_start(&request, fd, buffer, 8, 1, &op), 3);
    RUN(jg_file_sync_start(&request, fd, &op), 0);
    RUN(jg_file_truncate_start(&request, fd, 2, &op), 0);
    RUN(jg_file_stat_start(&request, fd, NULL, &info, &op), 0);
    assert_int_equal(info.size, 2);
    RUN(jg_file_rename_start(&request, in("h"), in("i"), &op), 0);
    RUN(jg_file_unlink_start(&request, in("i"), &op), 0);
    RUN(jg_file_close_start(&request, fd, &op), 0);
    assert_int_equal(calls, 9);
    assert_int_equal(jg_file_read_start(&request, fd, buffer, 8, -3, &op), -EINVAL);
    assert_int_equal(jg_file_write_start(&request, fd, buffer, 8, -3, &op), -EINVAL);
#undef RUN
    test_loop_done(loop);
}

/* As a user would write it: what was opened is closed, whatever happens in between. */
static int copy_and_look(void *arg)
{
    char buffer[4] = "";
    int fd = jg_file_open(in("k"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    int r;

    (void)arg;
    if (fd < 0)
        return fd;

    r = jg_file_write(fd, "abcd", 4, 0);
    if (r == 4)
        r = jg_file_read(fd, buffer, 4, 0);
    if (r == 4)
        r = jg_file_sync(fd);
    (void)jg_file_close(fd);
    return r;
}

static void cancelled_or_out_of_memory_at_any_point_no_descriptor_is_lost(void **state)
{
    (void)state;
    assert_int_equal(jg_test_cancel_each(copy_and_look, NULL, NULL), 0);
    assert_int_equal(jg_test_fail_each(copy_and_look, NULL, NULL), 0);
    assert_int_equal(unlink(in("k")), 0);
}

static int write_beyond_limit(void *arg)
{
    const struct rlimit limit = {10, 10};
    int fd = jg_file_open(in("j"), O_RDWR | O_CREAT, 0600);

    (void)arg;
    test_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    test_check(jg_file_write(fd, "0123456789abcdef", 16, 0) == 10);
    test_check(jg_file_write(fd, "abcdef", 6, 10) == -EFBIG); /* and no signal */
    test_check(jg_file_close(fd) == 0);
    return jg_file_unlink(in("j"));
}

static void run_beyond_limit(void *arg)
{
    (void)arg;
    test_check(jg_run(write_beyond_limit, NULL, NULL) == 0);
}

static void a_write_that_is_cut_short_tells_how_much_and_the_next_one_why(void **state)
{
    (void)state;
    test_in_child(run_beyond_limit, NULL);
}

/* A pipe takes some of a write and then blocks, which blocks nobody else. */
static int read_pipe_slowly(void *arg)
{
    const int *fds = arg;
    char buffer[10000];
    size_t total = 0;

    while (total < 200000) {
        int r = jg_file_read(fds[0], buffer, sizeof(buffer), JG_FILE_POSITION);

        test_check(r > 0);
        total += (size_t)r;
    }
    return 0;
}

static int write_pipe(void *arg)
{
    static char data[200000];
    const int *fds = arg;

    test_check(jg_file_write(fds[1], data, sizeof(data), JG_FILE_POSITION) == sizeof(data));
    return 0;
}

static int pass_through_pipe(void *arg)
{
    int fds[2];
    jg_job jobs[] = {{write_pipe, fds, 0}, {read_pipe_slowly, fds, 0}};

    (void)arg;
    test_check(pipe(fds) == 0);
    test_check(jg_gather(jobs, 2, JG_FAIL_FAST) == 0);
    test_check(jg_file_close(fds[0]) == 0);
    test_check(jg_file_write(fds[1], "x", 1, JG_FILE_POSITION) == -EPIPE); /* and no signal */
    return jg_file_close(fds[1]);
}

static void a_write_that_blocks_lets_the_reader_run(void **state)
{
    (void)state;
    run(pass_through_pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_at_an_offset_is_read_there),
        cmocka_unit_test(the_position_moves_and_appending_goes_to_the_end),
        cmocka_unit_test(offsets_have_64_bits),
        cmocka_unit_test(a_file_is_looked_at_by_path_and_by_descriptor),
        cmocka_unit_test(the_times_of_files_end_with_the_range_of_nanoseconds),
        cmocka_unit_test(a_file_of_a_far_future_is_no_old_one),
        cmocka_unit_test(errors_are_those_of_the_system),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(closing_closes_also_in_a_cancelled_scope),
        cmocka_unit_test(the_start_forms_complete_ops),
        cmocka_unit_test(cancelled_or_out_of_memory_at_any_point_no_descriptor_is_lost),
        cmocka_unit_test(a_write_that_is_cut_short_tells_how_much_and_the_next_one_why),
        cmocka_unit_test(a_write_that_blocks_lets_the_reader_run),
    };

    return cmocka_run_group_tests_name("file", tests, make_directory, remove_directory);
}
