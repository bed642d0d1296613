/* SPDX-License-Identifier: MIT
 *
 * Datagrams over loopback.
 */
#include "support.h"

#include <juggle/test_kit.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#    include <sys/syscall.h>
#endif

struct place {
    jg_loop *loop;
    jg_udp a, b;
    jg_address of_a, of_b;
};

static jg_address address_of(const char *text)
{
    jg_address address;

    test_check(jg_address_parse(text, &address) == 0);
    return address;
}

/* Two sockets, the second connected to the first. */
static void enter(struct place *place, const char *text)
{
    const jg_address any = address_of(text);

    memset(place, 0, sizeof(*place));
    place->loop = test_loop(0);
    assert_int_equal(jg_udp_open(&place->a, place->loop, &any, NULL, NULL), 0);
    assert_int_equal(jg_udp_address(&place->a, &place->of_a), 0);
    assert_int_equal(jg_udp_open(&place->b, place->loop, NULL, &place->of_a, NULL), 0);
    assert_int_equal(jg_udp_address(&place->b, &place->of_b), 0);
}

static void leave(struct place *place)
{
    jg_udp_close(&place->a);
    jg_udp_close(&place->b);
    test_loop_done(place->loop);
}

static void run(struct place *place, jg_coro_fn fn)
{
    assert_int_equal(jg_run_until_complete(place->loop, fn, place, NULL), 0);
}

static jg_datagram text_to(const jg_address *address, const char *text)
{
    jg_datagram datagram = {.data = (void *)(uintptr_t)text, .size = strlen(text)};

    if (address)
        datagram.address = *address;
    return datagram;
}

static bool is(const jg_datagram *datagram, const char *text)
{
    return datagram->size == strlen(text) && memcmp(datagram->data, text, strlen(text)) == 0;
}

static int exchange(void *arg)
{
    struct place *place = arg;
    jg_datagram question = text_to(NULL, "question"), empty = text_to(&place->of_b, "");
    jg_datagram answer = text_to(&place->of_b, "answer");
    char buf[16];
    jg_datagram got = {.data = buf, .capacity = sizeof(buf)};

    test_check(jg_udp_send(&place->b, &question, 1) == 1);
    test_check(jg_udp_receive(&place->a, &got, 1) == 1);
    test_check(is(&got, "question") && !got.truncated);
    test_check(jg_address_equal(&got.address, &place->of_b));
    test_check(jg_udp_send(&place->a, &answer, 1) == 1);
    test_check(jg_udp_send(&place->a, &empty, 1) == 1);
    test_check(jg_udp_receive(&place->b, &got, 1) == 1 && is(&got, "answer"));
    test_check(jg_address_equal(&got.address, &place->of_a));
    test_check(jg_udp_receive(&place->b, &got, 1) == 1 && is(&got, ""));
    test_check(jg_udp_receive(&place->b, &got, 0) == -EINVAL);
    test_check(jg_udp_send(&place->b, &got, 0) == -EINVAL);
    return 0;
}

static void datagrams_go_both_ways(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, exchange);
    leave(&place);
}

enum { MANY = 50 };

static int exchange_many(void *arg)
{
    struct place *place = arg;
    char bytes[MANY], got[MANY];
    jg_datagram sent[MANY], received[MANY];
    int count = 0;

    for (int i = 0; i < MANY; i++) {
        bytes[i] = (char)i;
        sent[i] = (jg_datagram){.data = &bytes[i], .size = 1};
        received[i] = (jg_datagram){.data = &got[i], .capacity = 1};
    }
    while (count < MANY) {
        int r = jg_udp_send(&place->b, sent + count, (size_t)(MANY - count));

        test_check(r > 0);
        count += r;
    }
    count = jg_udp_receive(&place->a, received, MANY);
    test_check(count > 1);
    while (count < MANY) {
        int r = jg_udp_receive(&place->a, received + count, (size_t)(MANY - count));

        test_check(r > 0);
        count += r;
    }
    for (int i = 0; i < MANY; i++) {
        test_check(got[i] == (char)i && received[i].size == 1);
        test_check(jg_address_equal(&received[i].address, &place->of_b));
    }
    return 0;
}

static void many_go_at_a_time_in_their_order(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, exchange_many);
    leave(&place);
}

static int truncate_some(void *arg)
{
    struct place *place = arg;
    jg_datagram sent[2] = {text_to(NULL, "longer than four"), text_to(NULL, "four")};
    char buf[2][4];
    jg_datagram got[2] = {{.data = buf[0], .capacity = 4}, {.data = buf[1], .capacity = 4}};

    for (size_t step = 1; step <= 2; step++) {
        test_check(jg_udp_send(&place->b, sent, 2) == 2);
        for (size_t i = 0; i < 2; i += step)
            test_check(jg_udp_receive(&place->a, got + i, step) == (int)step);
        test_check(got[0].truncated && is(&got[0], "long"));
        test_check(!got[1].truncated && is(&got[1], "four"));
    }
    return 0;
}

static void a_datagram_that_did_not_fit_says_so(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, truncate_some);
    leave(&place);
}

static int send_too_much(void *arg)
{
    static char large[JG_DATAGRAM_SIZE + 1];
    struct place *place = arg;
    jg_datagram sent[3] = {text_to(NULL, "first"), {.data = large, .size = sizeof(large)}};
    char buf[16];
    jg_datagram got = {.data = buf, .capacity = sizeof(buf)};

    test_check(jg_udp_send(&place->b, sent, 2) == 1);
    test_check(jg_udp_send(&place->b, sent + 1, 1) == -EMSGSIZE);
    test_check(jg_udp_send(&place->b, sent, 1) == 1);
    test_check(jg_udp_receive(&place->a, &got, 1) == 1 && is(&got, "first"));
    test_check(jg_udp_receive(&place->a, &got, 1) == 1 && is(&got, "first"));
    return 0;
}

static void a_datagram_that_is_too_large_stops_the_batch_before_it(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, send_too_much);
    leave(&place);
}

/* ---------------------------------------------------------------- nobody there */

static int find_nobody(void *arg)
{
    struct place *place = arg;
    jg_datagram question = text_to(NULL, "question");
    char buf[16];
    jg_datagram got = {.data = buf, .capacity = sizeof(buf)};
    const jg_scope_options limited = {.timeout = 20 * JG_MILLISECOND};
    jg_scope scope;
    int r;

    jg_udp_close(&place->a);
    test_check(jg_udp_send(&place->b, &question, 1) == 1);
    test_check(jg_udp_receive(&place->b, &got, 1) == -ECONNREFUSED);

    /* It is told once. */
    jg_scope_enter(&scope, &limited);
    r = jg_udp_receive(&place->b, &got, 1);
    test_check(jg_scope_leave(&scope, r) == -ETIMEDOUT);
    return 0;
}

static void that_nobody_is_there_is_told_once(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, find_nobody);
    leave(&place);
}

/* What Linux drops of the first is told of the second. */
static int find_nobody_for_batch(void *arg)
{
    struct place *place = arg;
    jg_datagram batch[2] = {text_to(NULL, "a"), text_to(NULL, "b")};
    char buf[16];
    jg_datagram got = {.data = buf, .capacity = sizeof(buf)};
    int r;

    jg_udp_close(&place->a);
    r = jg_udp_send(&place->b, batch, 2);
    test_check(r == 1 || r == 2);
    if (r == 1) {
        r = jg_udp_send(&place->b, batch + 1, 1);
        test_check(r == 1 || r == -ECONNREFUSED);
    }
    if (r > 0)
        test_check(jg_udp_receive(&place->b, &got, 1) == -ECONNREFUSED);
    return 0;
}

static void that_nobody_is_there_for_a_batch_is_told_when_the_rest_is_sent(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, find_nobody_for_batch);
    leave(&place);
}

#ifdef __linux__

/* An error that arrives between two system calls: these take the place of the system's. */
static int calls_before_error = -1;

static bool is_error_due(void)
{
    if (calls_before_error < 0 || calls_before_error-- > 0)
        return false;
    errno = ECONNREFUSED;
    return true;
}

#    ifdef __GLIBC__
typedef int batch_flags;
#    else
typedef unsigned batch_flags;
#    endif

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, batch_flags flags,
             struct timespec *timeout)
{
    return is_error_due() ? -1 : (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, batch_flags flags)
{
    return is_error_due() ? -1 : (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

static int meet_error_behind_batch(void *arg)
{
    struct place *place = arg;
    jg_datagram sent[MANY], received[MANY];
    char got[MANY];

    for (int i = 0; i < MANY; i++) {
        sent[i] = text_to(NULL, "x");
        received[i] = (jg_datagram){.data = &got[i], .capacity = 1};
    }
    calls_before_error = 1;
    test_check(jg_udp_send(&place->b, sent, 20) == 16);
    test_check(jg_udp_send(&place->b, sent, 4) == -ECONNREFUSED);
    test_check(jg_udp_send(&place->b, sent, 4) == 4);
    test_check(jg_udp_send(&place->b, sent, MANY - 20) == MANY - 20);

    test_check(jg_sleep(JG_MILLISECOND) == 0);
    calls_before_error = 1;
    test_check(jg_udp_receive(&place->a, received, MANY) == 16);
    test_check(jg_udp_receive(&place->a, received, MANY) == -ECONNREFUSED);
    test_check(jg_udp_receive(&place->a, received, MANY) == MANY - 16);
    return 0;
}

static void an_error_behind_a_batch_is_told_by_the_next_call(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, meet_error_behind_batch);
    leave(&place);
}

#endif

static void on_timer(void *arg)
{
    *(bool *)arg = true;
}

static void an_error_that_nobody_waits_for_does_not_turn_the_loop(void **state)
{
    struct place place;
    jg_udp_request request;
    bool late = false;
    int turns = 0, completed = 0;
    jg_timer timer;
    char buf[4];
    jg_datagram got = {.data = buf, .capacity = 4};
    jg_op op;

    (void)state;
    enter(&place, "127.0.0.1:0");
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_udp_receive_start(&place.b, &request, &got, 1, &op), 0);
    jg_op_cancel(&op);
    jg_udp_close(&place.a);
    assert_int_equal(send(jg_udp_fd(&place.b), "x", 1, 0), 1);
    jg_timer_init(&timer, on_timer, &late);
    jg_call_later(place.loop, &timer, 20 * JG_MILLISECOND);
    while (!late) {
        assert_true(jg_loop_run_once(place.loop, JG_SECOND) >= 0);
        turns++;
    }
    assert_true(turns < 6);
    assert_int_equal(jg_udp_receive_start(&place.b, &request, &got, 1, &op), 0);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 2);
    assert_int_equal(jg_op_status(&op), -ECONNREFUSED);
    leave(&place);
}

/* ---------------------------------------------------------------- waiting */

static void those_who_wait_are_served_in_their_order(void **state)
{
    struct place place;
    jg_udp_request requests[3];
    char bytes[3] = "";
    jg_datagram got[3];
    int completed = 0;
    jg_op ops[3];

    (void)state;
    enter(&place, "127.0.0.1:0");
    for (int i = 0; i < 3; i++) {
        got[i] = (jg_datagram){.data = &bytes[i], .capacity = 1};
        jg_op_init(&ops[i], place.loop, test_count_call, &completed);
        assert_int_equal(jg_udp_receive_start(&place.a, &requests[i], &got[i], 1, &ops[i]), 0);
    }
    jg_op_cancel(&ops[1]);
    assert_int_equal(send(jg_udp_fd(&place.b), "x", 1, 0), 1);
    assert_int_equal(send(jg_udp_fd(&place.b), "y", 1, 0), 1);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(completed, 3);
    assert_int_equal(jg_op_status(&ops[1]), -ECANCELED);
    assert_int_equal(bytes[0], 'x');
    assert_int_equal(bytes[2], 'y');
    leave(&place);
}

static void closing_ends_those_who_wait(void **state)
{
    struct place place;
    jg_udp_request request;
    char buf[4];
    jg_datagram got = {.data = buf, .capacity = 4};
    int completed = 0;
    jg_op op;

    (void)state;
    enter(&place, "127.0.0.1:0");
    jg_op_init(&op, place.loop, test_count_call, &completed);
    assert_int_equal(jg_udp_receive_start(&place.a, &request, &got, 1, &op), 0);
    jg_udp_close(&place.a);
    assert_int_equal(jg_udp_fd(&place.a), -EBADF);
    assert_int_equal(jg_loop_run(place.loop), 0);
    assert_int_equal(jg_op_status(&op), -ECONNABORTED);
    assert_int_equal(jg_udp_receive_start(&place.a, &request, &got, 1, &op), -EBADF);
    leave(&place);
}

/* One side floods, the other receives all that the kernel keeps, and a timer still fires. */
static int flood(void *arg)
{
    struct place *place = arg;
    const int total = test_is_slow() ? 2000 : 20000;
    char byte = 0, buf[32];
    jg_datagram sent = {.data = &byte, .size = 1}, got[32];
    int received = 0;

    for (int i = 0; i < 32; i++)
        got[i] = (jg_datagram){.data = &buf[i], .capacity = 1};
    for (int i = 0; i < total; i++) {
        test_check(jg_udp_send(&place->b, &sent, 1) == 1);
        if (i % 100 == 99) {
            while (received <= i) {
                int r = jg_udp_receive(&place->a, got, 32);

                test_check(r > 0);
                received += r;
            }
        }
    }
    return 0;
}

static void nothing_is_lost_that_the_kernel_kept(void **state)
{
    struct place place;

    (void)state;
    enter(&place, "127.0.0.1:0");
    run(&place, flood);
    leave(&place);
}

/* ---------------------------------------------------------------- options */

static void bad_options_open_nothing(void **state)
{
    const jg_address any = address_of("127.0.0.1:0"), other = address_of("[::1]:0");
    const jg_address path = address_of("/tmp/x"), none = {.size = 0};
    jg_loop *loop = test_loop(0);
    int open = test_open_descriptors();
    jg_udp udp;

    (void)state;
    assert_int_equal(jg_udp_open(&udp, loop, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(jg_udp_open(&udp, loop, &any, &other, NULL), -EINVAL);
    assert_int_equal(jg_udp_open(&udp, loop, &path, NULL, NULL), -EINVAL);
    assert_int_equal(jg_udp_open(&udp, loop, &none, NULL, NULL), -EINVAL);
    assert_int_equal(jg_udp_open(&udp, loop, &any, NULL, &(jg_udp_options){.hops = 256}), -EINVAL);
    assert_int_equal(test_open_descriptors(), open);
    test_loop_done(loop);
}

static int hear_the_group(void *arg)
{
    struct place *place = arg;
    const jg_address group = address_of("239.255.77.77:0");
    jg_address target = group;
    char buf[16];
    jg_datagram got = {.data = buf, .capacity = sizeof(buf)}, sent;

    jg_address_set_port(&target, jg_address_port(&place->of_a));
    sent = text_to(&target, "to all");
    test_check(jg_udp_join(&place->a, &group, 1) == 0);
    test_check(jg_udp_join(&place->a, &group, 1) == -EADDRINUSE);
    test_check(jg_udp_join(&place->a, &place->of_a, 1) == -EINVAL);
    if (jg_udp_send(&place->a, &sent, 1) == 1) /* there may be no route for groups */
        test_check(jg_udp_receive(&place->a, &got, 1) == 1 && is(&got, "to all"));
    test_check(jg_udp_leave(&place->a, &group, 1) == 0);
    test_check(jg_udp_leave(&place->a, &group, 1) == -EADDRNOTAVAIL);
    return 0;
}

static void a_group_is_joined_and_left(void **state)
{
    const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    const jg_address any = address_of("0.0.0.0:0");
    struct place place;

    (void)state;
    if (test_is_emulated())
        skip(); /* qemu takes the address of an interface for something else */
    enter(&place, "127.0.0.1:0");
    jg_udp_close(&place.a);
    assert_int_equal(jg_udp_open(&place.a, place.loop, &any, NULL,
                                 &(jg_udp_options){.hops = 2, .broadcast = true}),
                     0);
    assert_int_equal(jg_udp_address(&place.a, &place.of_a), 0);
    assert_int_equal(
        setsockopt(jg_udp_fd(&place.a), IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof(loopback)),
        0);
    run(&place, hear_the_group);
    leave(&place);
}

/* ---------------------------------------------------------------- disturbed */

static int ask_oneself(void *arg)
{
    const jg_address any = address_of("127.0.0.1:0");
    jg_datagram sent = text_to(NULL, "x"), got = {.data = (char[1]){0}, .capacity = 1};
    jg_udp udp;
    int r = jg_udp_open(&udp, jg_task_loop(jg_task_current()), &any, NULL, NULL);

    (void)arg;
    if (r < 0)
        return r;
    (void)jg_udp_address(&udp, &sent.address);
    for (int i = 0; i < 2 && r >= 0; i++) {
        r = jg_udp_send(&udp, &sent, 1);
        if (r >= 0)
            r = jg_udp_receive(&udp, &got, 1);
    }
    jg_udp_close(&udp);
    return r < 0 ? r : 0;
}

static void nothing_is_left_wherever_it_is_disturbed(void **state)
{
    (void)state;
    assert_int_equal(jg_test_cancel_each(ask_oneself, NULL, NULL), 0);
    assert_int_equal(jg_test_fail_each(ask_oneself, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_go_both_ways),
        cmocka_unit_test(many_go_at_a_time_in_their_order),
        cmocka_unit_test(a_datagram_that_did_not_fit_says_so),
        cmocka_unit_test(a_datagram_that_is_too_large_stops_the_batch_before_it),
        cmocka_unit_test(that_nobody_is_there_is_told_once),
        cmocka_unit_test(that_nobody_is_there_for_a_batch_is_told_when_the_rest_is_sent),
#ifdef __linux__
        cmocka_unit_test(an_error_behind_a_batch_is_told_by_the_next_call),
#endif
        cmocka_unit_test(an_error_that_nobody_waits_for_does_not_turn_the_loop),
        cmocka_unit_test(those_who_wait_are_served_in_their_order),
        cmocka_unit_test(closing_ends_those_who_wait),
        cmocka_unit_test(nothing_is_lost_that_the_kernel_kept),
        cmocka_unit_test(bad_options_open_nothing),
        cmocka_unit_test(a_group_is_joined_and_left),
        cmocka_unit_test(nothing_is_left_wherever_it_is_disturbed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
