/* SPDX-License-Identifier: MIT
 *
 * Descriptors that are passed over Unix sockets, and who the peer is.
 */
#include "support.h"

#include <juggle/test_kit.h>

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    jg_loop *loop;
    int fds[2];
    jg_stream a, b;
    jg_passing of_a, of_b;
    int descriptors;
};

static void enter(struct place *place)
{
    memset(place, 0, sizeof(*place));
    place->loop = test_loop(0);
    place->descriptors = test_open_descriptors();
    test_socketpair(place->fds);
    assert_int_equal(jg_stream_open(&place->a, place->loop, place->fds[0], NULL), 0);
    assert_int_equal(jg_stream_open(&place->b, place->loop, place->fds[1], NULL), 0);
    assert_int_equal(jg_passing_open(&place->of_a, &place->a), 0);
    assert_int_equal(jg_passing_open(&place->of_b, &place->b), 0);
}

static void leave(struct place *place)
{
    jg_stream_abort(&place->a);
    jg_stream_abort(&place->b);
    assert_int_equal(test_open_descriptors(), place->descriptors);
    test_loop_done(place->loop);
}

static void run(struct place *place, jg_coro_fn fn)
{
    assert_int_equal(jg_run_until_complete(place->loop, fn, place, NULL), 0);
}

/* A pipe: what is passed is told apart by what comes out of it. */
static int pipe_with(char byte, int *ret_reader)
{
    int fds[2];

    test_check(pipe(fds) == 0);
    test_check(write(fds[1], &byte, 1) == 1);
    close(fds[1]);
    *ret_reader = fds[0];
    return fds[0];
}

static char first_byte(int fd)
{
    char byte = 0;

    test_check(read(fd, &byte, 1) == 1);
    close(fd);
    return byte;
}

static int pass(void *arg)
{
    struct place *place = arg;
    char buf[16];
    int fd;

    test_check(jg_stream_fd(&place->a) == place->fds[0]);
    test_check(jg_passing_receive(&place->of_b) == -EAGAIN);
    test_check(jg_stream_write(&place->a, "none", 4) == 0);
    test_check(jg_stream_read(&place->b, buf, sizeof(buf)) == 4);
    test_check(jg_passing_receive(&place->of_b) == -EAGAIN);
    for (char c = 'a'; c < 'd'; c++)
        test_check(jg_passing_send(&place->of_a, pipe_with(c, &fd)) == 0);
    test_check(jg_stream_write(&place->a, "three", 5) == 0);
    test_check(jg_sleep(0) == 0);
    test_check(fcntl(fd, F_GETFD) == -1);
    test_check(jg_passing_send(&place->of_a, pipe_with('d', &fd)) == 0);
    test_check(jg_stream_write(&place->a, "one", 3) == 0);
    test_check(jg_stream_read_exactly(&place->b, buf, 8, &(size_t){0}) == 0);
    test_check(memcmp(buf, "threeone", 8) == 0);
    for (char c = 'a'; c <= 'd'; c++) {
        fd = jg_passing_receive(&place->of_b);
        test_check(fd > 2 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
        test_check(first_byte(fd) == c);
    }
    test_check(jg_passing_receive(&place->of_b) == -EAGAIN);
    test_check(jg_stream_write(&place->b, "back", 4) == 0);
    test_check(jg_stream_read(&place->a, buf, sizeof(buf)) == 4);
    return 0;
}

static void descriptors_come_in_their_order_with_the_bytes(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, pass);
    leave(&place);
}

static int leave_some(void *arg)
{
    struct place *place = arg;
    int fd, r = 0;

    for (int i = 0; i < 3; i++)
        test_check(jg_passing_send(&place->of_a, pipe_with('x', &fd)) == 0);
    test_check(jg_stream_write(&place->a, "x", 1) == 0);
    test_check(jg_stream_read(&place->b, (char[1]){0}, 1) == 1);
    for (int i = 0; i <= JG_PASSING_MOST && r == 0; i++) {
        r = jg_passing_send(&place->of_a, pipe_with('x', &fd));
        test_check((r == 0) == (i < JG_PASSING_MOST));
    }
    test_check(r == -ENOBUFS);
    close(fd);
    test_check(jg_passing_send(&place->of_a, -1) == -EBADF);
    jg_stream_abort(&place->a);
    test_check(jg_passing_send(&place->of_a, 0) == -EBADF);
    return 0;
}

static void what_nobody_took_is_closed_with_the_stream(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, leave_some);
    leave(&place);
}

static int send_too_many(void *arg)
{
    struct place *place = arg;
    int fd, r = 0;

    for (int message = 0; message < 2; message++) {
        for (int i = 0; i < JG_PASSING_MOST - message * 10; i++)
            test_check(jg_passing_send(&place->of_a, pipe_with('x', &fd)) == 0);
        test_check(jg_stream_write_all(&place->a, "x", 1, NULL) == 0);
        r = jg_stream_read(&place->b, (char[1]){0}, 1);
        test_check(r == (message == 0 ? 1 : -EMSGSIZE));
        for (int i = 0; i < 12 && message == 0; i++)
            close(jg_passing_receive(&place->of_b));
    }
    test_check(jg_stream_read(&place->b, (char[1]){0}, 1) == -EMSGSIZE);
    test_check(first_byte(jg_passing_receive(&place->of_b)) == 'x');
    return 0;
}

static void too_many_are_an_error_and_leak_nothing(void **state)
{
    struct place place;

    (void)state;
    if (test_is_emulated())
        skip(); /* qemu does not say that descriptors were left out */
    enter(&place);
    run(&place, send_too_many);
    leave(&place);
}

static int receive_without_room(void *arg)
{
    struct place *place = arg;
    struct rlimit limits;
    rlim_t before;
    int fd, top;

    for (int i = 0; i < 5; i++)
        test_check(jg_passing_send(&place->of_a, pipe_with('x', &fd)) == 0);
    test_check(jg_stream_write_all(&place->a, "x", 1, NULL) == 0);
    test_check(getrlimit(RLIMIT_NOFILE, &limits) == 0);
    before = limits.rlim_cur;
    top = dup(0);
    close(top);
    limits.rlim_cur = (rlim_t)top + 2; /* room for a few at most, and not for all */
    test_check(setrlimit(RLIMIT_NOFILE, &limits) == 0);
    fd = jg_stream_read(&place->b, (char[1]){0}, 1);
    limits.rlim_cur = before;
    test_check(setrlimit(RLIMIT_NOFILE, &limits) == 0);
    test_check(fd == -EMSGSIZE);
    return 0;
}

static void descriptors_that_could_not_be_had_leak_nothing(void **state)
{
    struct place place;

    (void)state;
    if (test_is_slow())
        skip(); /* Valgrind keeps the limit to itself */
    enter(&place);
    run(&place, receive_without_room);
    leave(&place);
}

static int send_late(void *arg)
{
    struct place *place = arg;
    static char data[1 << 20];
    jg_stream_writing writing;
    size_t size;
    jg_op op;
    int fd;

    jg_op_self(&op);
    test_check(jg_stream_write_all_start(&place->a, &writing, data, sizeof(data), &op) == 0);
    test_check(jg_op_pending(&op));
    test_check(jg_passing_send(&place->of_a, pipe_with('x', &fd)) == 0);
    test_check(jg_stream_write(&place->a, "end", 3) == 0);
    test_check(jg_stream_read_exactly(&place->b, data, sizeof(data), &size) == 0);
    test_check(jg_stream_read_exactly(&place->b, data, 3, &size) == 0);
    test_check(memcmp(data, "end", 3) == 0);
    test_check(first_byte(jg_passing_receive(&place->of_b)) == 'x');
    return jg_await(&op);
}

static void one_that_has_to_wait_is_there_with_its_bytes(void **state)
{
    struct place place;

    (void)state;
    enter(&place);
    run(&place, send_late);
    leave(&place);
}

static void other_streams_do_not_pass_descriptors(void **state)
{
    struct place place;
    jg_passing passing;
    jg_stream stream;
    int fds[2], completed = 0;
    jg_op op;
    char byte;

    (void)state;
    enter(&place);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(jg_stream_open(&stream, place.loop, fds[0], NULL), 0);
    assert_int_equal(jg_passing_open(&passing, &stream), -EINVAL);
    jg_stream_abort(&stream);
    assert_int_equal(jg_passing_open(&passing, &stream), -EBADF);
    close(fds[1]);
    assert_int_equal(jg_stream_open(&stream, place.loop, socket(AF_INET, SOCK_STREAM, 0), NULL), 0);
    assert_int_equal(jg_passing_open(&passing, &stream), -EINVAL);
    jg_stream_abort(&stream);
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_stream_read_start(&place.a, &byte, 1, &op), 0);
    assert_int_equal(jg_passing_open(&place.of_a, &place.a), -EBUSY);
    jg_op_cancel(&op);
    assert_int_equal(jg_loop_run(place.loop), 0);
    leave(&place);
}

static void a_peer_has_credentials(void **state)
{
    jg_credentials credentials;
    struct place place;

    (void)state;
    enter(&place);
    assert_int_equal(jg_stream_credentials(&place.a, &credentials), 0);
    assert_true(credentials.pid == getpid() || credentials.pid == -1);
    assert_int_equal(credentials.uid, getuid());
    assert_int_equal(credentials.gid, getgid());
    jg_stream_abort(&place.a);
    assert_int_equal(jg_stream_credentials(&place.a, &credentials), -EBADF);
    leave(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_come_in_their_order_with_the_bytes),
        cmocka_unit_test(what_nobody_took_is_closed_with_the_stream),
        cmocka_unit_test(too_many_are_an_error_and_leak_nothing),
        cmocka_unit_test(descriptors_that_could_not_be_had_leak_nothing),
        cmocka_unit_test(one_that_has_to_wait_is_there_with_its_bytes),
        cmocka_unit_test(other_streams_do_not_pass_descriptors),
        cmocka_unit_test(a_peer_has_credentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
