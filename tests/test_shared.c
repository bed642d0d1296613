/* SPDX-License-Identifier: MIT
 *
 * Streams on descriptors that others use, too: terminals, pipes, sockets and files, as they come for
 * standard input and output. Their flags must stay, and no stream may block on one.
 */
#include "support.h"

#include <juggle/coro.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

/* What a test has: the descriptor that others use, and the other side of it. */
struct place {
    int fd, peer;
    int flags;
    int open_before;
};

static void place_open(struct place *place, int fd, int peer)
{
    *place = (struct place){.fd = fd, .peer = peer, .flags = fcntl(fd, F_GETFL)};
    assert_int_equal(place->flags & O_NONBLOCK, 0);
    place->open_before = test_open_descriptors();
}

static void check_flags(const struct place *place)
{
    test_check(fcntl(place->fd, F_GETFL) == place->flags);
}

static jg_stream *open_stream(const struct place *place, jg_stream *stream)
{
    jg_loop *loop = jg_task_loop(jg_task_current());

    test_check(jg_stream_open_shared(stream, loop, place->fd, NULL) == 0);
    test_check(jg_stream_fd(stream) > 2 && jg_stream_fd(stream) != place->fd);
    test_check(fcntl(jg_stream_fd(stream), F_GETFD) & FD_CLOEXEC);
    return stream;
}

static void run(jg_coro_fn fn, struct place *place)
{
    test_check(jg_run(fn, place, NULL) == 0);
    check_flags(place);
    test_check(test_open_descriptors() == place->open_before);
}

static void place_close(struct place *place)
{
    close(place->fd);
    if (place->peer >= 0)
        close(place->peer);
}

/* A pseudo-terminal that changes nothing of what goes through it. */
static void terminal(struct place *place, bool master)
{
    int fds[2] = {posix_openpt(O_RDWR | O_NOCTTY), -1};
    struct termios settings;

    assert_true(fds[0] >= 0 && grantpt(fds[0]) == 0 && unlockpt(fds[0]) == 0);
    fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
    assert_true(fds[1] >= 0 && tcgetattr(fds[1], &settings) == 0);
    settings.c_lflag &= ~(tcflag_t)ECHO;
    settings.c_oflag &= ~(tcflag_t)OPOST;
    assert_int_equal(tcsetattr(fds[1], TCSANOW, &settings), 0);
    place_open(place, fds[!master], fds[master]);
}

static void pipe_end(struct place *place, int end)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    place_open(place, fds[end], fds[!end]);
}

static void socket_end(struct place *place)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    place_open(place, fds[0], fds[1]);
}

/* ---------------------------------------------------------------- reading */

static int write_lines(void *arg)
{
    struct place *place = arg;

    test_check(write(place->peer, "one\n", 4) == 4);
    test_check(jg_sleep(20 * JG_MILLISECOND) == 0);
    test_check(write(place->peer, "two\nthree\n", 10) == 10);
    return 0;
}

static int read_lines(void *arg)
{
    struct place *place = arg;
    char line[20];
    jg_stream stream;

    open_stream(place, &stream);
    test_check(jg_stream_read_line(&stream, line, sizeof(line)) == 4);
    test_check(strcmp(line, "one\n") == 0);
    check_flags(place);
    test_check(jg_stream_read_line(&stream, line, sizeof(line)) == 4);
    test_check(strcmp(line, "two\n") == 0);
    test_check(jg_stream_read_line(&stream, line, sizeof(line)) == 6);
    test_check(strcmp(line, "three\n") == 0);
    jg_stream_abort(&stream);
    return 0;
}

static int read_while_written(void *arg)
{
    jg_job jobs[] = {{read_lines, arg, 0}, {write_lines, arg, 0}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static void lines_are_read_as_they_come(void **state)
{
    struct place place;

    (void)state;
    terminal(&place, false);
    run(read_while_written, &place);
    place_close(&place);
    terminal(&place, true);
    run(read_while_written, &place);
    place_close(&place);
    pipe_end(&place, 0);
    run(read_while_written, &place);
    place_close(&place);
    socket_end(&place);
    run(read_while_written, &place);
    place_close(&place);
}

static int read_to_the_end(void *arg)
{
    struct place *place = arg;
    char text[20];
    jg_stream stream;

    open_stream(place, &stream);
    test_check(write(place->peer, "last", 4) == 4);
    test_check(close(place->peer) == 0);
    place->peer = -1;
    test_check(jg_stream_read(&stream, text, sizeof(text)) == 4);
    test_check(jg_stream_read(&stream, text, sizeof(text)) == 0);
    test_check(jg_stream_close(&stream, JG_FOREVER) == 0);
    return 0;
}

static void the_end_of_a_pipe_is_seen(void **state)
{
    struct place place;

    (void)state;
    pipe_end(&place, 0);
    place.open_before--;
    run(read_to_the_end, &place);
    place_close(&place);
    socket_end(&place);
    place.open_before--;
    run(read_to_the_end, &place);
    place_close(&place);
}

/* ---------------------------------------------------------------- writing */

enum { MUCH = 300000 };

static int write_much(void *arg)
{
    static char data[MUCH];
    struct place *place = arg;
    size_t count;
    jg_stream stream;

    memset(data, 'x', sizeof(data));
    open_stream(place, &stream);
    test_check(jg_stream_write(&stream, "begin", 5) == 0);
    test_check(jg_stream_write_all(&stream, data, sizeof(data), &count) == 0);
    test_check(count == sizeof(data));
    check_flags(place);
    test_check(jg_stream_close(&stream, JG_FOREVER) == 0);
    return 0;
}

/* Reads slowly: whoever blocks on the other side stops this, too. */
static int read_much(void *arg)
{
    struct place *place = arg;
    char buf[5000];

    test_check(fcntl(place->peer, F_SETFL, O_NONBLOCK) == 0);
    for (int got = 0; got < MUCH + 5;) {
        ssize_t n = read(place->peer, buf, sizeof(buf));

        got += n > 0 ? (int)n : 0;
        test_check(jg_sleep(n > 0 ? 0 : 100 * JG_MICROSECOND) == 0);
    }
    return 0;
}

static int write_while_read(void *arg)
{
    jg_job jobs[] = {{write_much, arg, 0}, {read_much, arg, 0}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static void much_is_written_without_blocking(void **state)
{
    struct place place;

    (void)state;
    terminal(&place, false);
    run(write_while_read, &place);
    place_close(&place);
    pipe_end(&place, 1);
    run(write_while_read, &place);
    place_close(&place);
    socket_end(&place);
    run(write_while_read, &place);
    place_close(&place);
}

static void use_pipes_that_cannot_be_opened_again(void *arg)
{
    struct place place;

    (void)arg;
    /* A sandbox, say. */
#ifdef SYS_openat
    if (!test_deny(SYS_openat, EACCES))
        return;
#endif
#ifdef SYS_open
    test_check(test_deny(SYS_open, EACCES));
#endif
    pipe_end(&place, 0);
    place.open_before = 0;
    test_check(jg_run(read_while_written, &place, NULL) == 0);
    check_flags(&place);
    place_close(&place);
    pipe_end(&place, 1);
    test_check(jg_run(write_while_read, &place, NULL) == 0);
    check_flags(&place);
    place_close(&place);
}

static void a_pipe_that_cannot_be_opened_again_is_used_as_it_is(void **state)
{
    (void)state;
    if (test_is_slow())
        skip();
    test_in_child(use_pipes_that_cannot_be_opened_again, NULL);
}

static int write_to_nobody(void *arg)
{
    struct place *place = arg;
    jg_stream stream;

    test_check(close(place->peer) == 0);
    place->peer = -1;
    open_stream(place, &stream); /* not even to be opened again */
    test_check(jg_stream_write(&stream, "x", 1) == -EPIPE);
    jg_stream_abort(&stream);
    return 0;
}

static void a_reader_that_is_gone_is_an_error_and_no_signal(void **state)
{
    struct place place;

    (void)state;
    pipe_end(&place, 1);
    place.open_before--;
    run(write_to_nobody, &place);
    place_close(&place);
    socket_end(&place);
    place.open_before--;
    run(write_to_nobody, &place);
    place_close(&place);
}

static int drop_output(void *arg)
{
    static char data[1 << 20];
    struct place *place = arg;
    struct linger linger;
    socklen_t size = sizeof(linger);
    jg_stream stream;

    open_stream(place, &stream);
    test_check(jg_stream_write(&stream, data, sizeof(data)) == 0);
    test_check(jg_stream_queued(&stream) > 0);
    jg_stream_abort(&stream);
    test_check(getsockopt(place->fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
    test_check(linger.l_onoff == 0);
    return 0;
}

static void aborting_does_not_reset_the_connection_of_others(void **state)
{
    struct place place;

    (void)state;
    socket_end(&place);
    run(drop_output, &place);
    place_close(&place);
}

/* ---------------------------------------------------------------- files */

static int use_file(void *arg)
{
    struct place *place = arg;
    char text[100];
    jg_stream stream;

    /* After what others have written, and before what they write next. */
    test_check(write(place->fd, "shell\n", 6) == 6);
    open_stream(place, &stream);
    for (int i = 0; i < 100; i++)
        test_check(jg_stream_write(&stream, "line\n", 5) == 0);
    test_check(jg_stream_close(&stream, JG_FOREVER) == 0);
    test_check(write(place->fd, "shell\n", 6) == 6);
    test_check(lseek(place->fd, 0, SEEK_CUR) == 6 + 500 + 6);

    test_check(lseek(place->fd, 500, SEEK_SET) == 500);
    open_stream(place, &stream);
    test_check(jg_stream_read_line(&stream, text, sizeof(text)) == 1);
    test_check(jg_stream_read_line(&stream, text, sizeof(text)) == 5);
    test_check(jg_stream_read_line(&stream, text, sizeof(text)) == 6);
    test_check(jg_stream_read_line(&stream, text, sizeof(text)) == 0);
    jg_stream_abort(&stream);
    return 0;
}

static void a_file_is_used_where_others_are_in_it(void **state)
{
    char path[] = "/tmp/juggle_shared_XXXXXX";
    struct place place;

    (void)state;
    place_open(&place, mkstemp(path), -1);
    run(use_file, &place);
    place_close(&place);
    assert_int_equal(unlink(path), 0);
}

static int use_null(void *arg)
{
    struct place *place = arg;
    jg_stream stream;
    char byte;

    open_stream(place, &stream);
    test_check(jg_stream_read(&stream, &byte, 1) == 0);
    test_check(jg_stream_write(&stream, "x", 1) == 0);
    test_check(jg_stream_close(&stream, 0) == 0);
    return 0;
}

static void the_null_device_works(void **state)
{
    struct place place;

    (void)state;
    place_open(&place, open("/dev/null", O_RDWR), -1);
    run(use_null, &place);
    place_close(&place);
}

static void what_is_not_open_is_refused(void **state)
{
    jg_loop *loop = test_loop(0);
    struct test_memory *memory = test_loop_memory(loop);
    const int before = test_open_descriptors();
    jg_stream stream;
    int fds[2];

    (void)state;
    assert_int_equal(jg_stream_open_shared(&stream, loop, -1, NULL), -EBADF);
    assert_int_equal(jg_stream_open_shared(&stream, loop, 1000, NULL), -EBADF);
    assert_int_equal(pipe(fds), 0);
    memory->fail_at = memory->calls + 1;
    assert_int_equal(jg_stream_open_shared(&stream, loop, fds[0], NULL), -ENOMEM);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(test_open_descriptors(), before);
    test_loop_done(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_as_they_come),
        cmocka_unit_test(the_end_of_a_pipe_is_seen),
        cmocka_unit_test(much_is_written_without_blocking),
        cmocka_unit_test(a_pipe_that_cannot_be_opened_again_is_used_as_it_is),
        cmocka_unit_test(a_reader_that_is_gone_is_an_error_and_no_signal),
        cmocka_unit_test(aborting_does_not_reset_the_connection_of_others),
        cmocka_unit_test(a_file_is_used_where_others_are_in_it),
        cmocka_unit_test(the_null_device_works),
        cmocka_unit_test(what_is_not_open_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
