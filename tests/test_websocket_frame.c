/* SPDX-License-Identifier: MIT
 *
 * WebSocket frames and the opening handshake. Frames are given whole, byte by byte and in every way
 * to cut them in two.
 */
#include "support.h"

#include "http/frame.h"
#include "http/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct log {
    char text[512];
};

static void add(struct log *log, const char *format, ...)
{
    size_t size = strlen(log->text);
    va_list args;

    va_start(args, format);
    vsnprintf(log->text + size, sizeof(log->text) - size, format, args);
    va_end(args);
}

/* Log an event. The pieces of a message join; what is long is told by its size. */
static void add_event(struct log *log, const struct jg__frame_event *event, size_t *message)
{
    switch (event->opcode) {
    case JG__FRAME_CLOSE:
        add(log, "[close %u %.*s]", event->close_code, (int)event->data.size, event->data.data);
        break;
    case JG__FRAME_PING:
    case JG__FRAME_PONG:
        add(log, "[%s %.*s]", event->opcode == JG__FRAME_PING ? "ping" : "pong",
            event->data.size > 20 ? 20 : (int)event->data.size, event->data.data);
        break;
    default:
        *message += event->data.size;
        if (event->data.size <= 20)
            add(log, "%.*s", (int)event->data.size, event->data.data);
        if (event->final) {
            add(log, "<%s %zu>", event->opcode == JG__FRAME_TEXT ? "text" : "binary", *message);
            *message = 0;
        }
    }
}

static struct log run(bool masked, const char *data, size_t size, size_t first, size_t step)
{
    struct jg__frame_decoder decoder;
    struct jg__frame_event event;
    struct log log = {""};
    size_t at = 0, arrived = first, used, message = 0;
    int r;

    jg__frame_decoder_init(&decoder, masked, 70000);
    for (;;) {
        char *copy = malloc(arrived - at + 1);

        memcpy(copy, data + at, arrived - at);
        r = jg__frame_feed(&decoder, copy, arrived - at, &used, &event);
        if (r > 0)
            add_event(&log, &event, &message);
        free(copy);
        if (r < 0) {
            add(&log, "!%u", decoder.close_code);
            return log;
        }
        at += used;
        if (r > 0)
            continue;
        if (arrived == size)
            return log;
        arrived = size - arrived < step ? size : arrived + step;
    }
}

static void check_frames(bool masked, const char *data, size_t size, const char *expected)
{
    size_t first;

    assert_string_equal(run(masked, data, size, size, 1).text, expected);
    assert_string_equal(run(masked, data, size, 0, 1).text, expected);
    for (first = 0; first < size; first++)
        assert_string_equal(run(masked, data, size, first, size).text, expected);
}

/* Frames of a server, which are not masked; the literal's NUL is not sent. */
#define FROM_SERVER(data, expected) check_frames(false, data, sizeof(data) - 1, expected)
#define FROM_CLIENT(data, expected) check_frames(true, data, sizeof(data) - 1, expected)

static void the_examples_of_the_rfc_are_decoded(void **state)
{
    (void)state;
    FROM_SERVER("\x81\x05Hello", "Hello<text 5>");
    FROM_CLIENT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "Hello<text 5>");
    FROM_SERVER("\x01\x03Hel\x80\x02lo", "Hello<text 5>");
    FROM_SERVER("\x89\x05Hello", "[ping Hello]");
    FROM_CLIENT("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "[pong Hello]");
}

static void control_frames_come_between_fragments(void **state)
{
    (void)state;
    FROM_SERVER("\x02\x01"
                "a\x89\x01"
                "b\x00\x00\x8a\x00\x80\x01"
                "c",
                "a[ping b][pong ]c<binary 2>");
    FROM_SERVER("\x81\x00\x82\x00", "<text 0><binary 0>");
    FROM_SERVER("\x01\x00\x80\x00", "<text 0>");
}

static void lengths_have_three_forms(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    char *data = calloc(1, 70014), expected[32];
    size_t i, head, size;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        head = jg__frame_head((uint8_t *)data, JG__FRAME_BINARY, true, sizes[i], NULL);
        assert_int_equal(head, sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10);
        size = head + sizes[i];
        memset(data + head, 'x', sizes[i]);
        snprintf(expected, sizeof(expected), "%s<binary %zu>", sizes[i] == 1 ? "x" : "", sizes[i]);
        assert_string_equal(run(false, data, size, size, 1).text, expected);
        assert_string_equal(run(false, data, size, 1, size).text, expected);
    }
    free(data);
}

static void rules_that_are_broken_end_it(void **state)
{
    (void)state;
    FROM_SERVER("\xc1\x00", "!1002");                 /* 5.2: RSV1 */
    FROM_SERVER("\xa1\x00", "!1002");                 /* RSV2 */
    FROM_SERVER("\x91\x00", "!1002");                 /* RSV3 */
    FROM_SERVER("\x83\x00", "!1002");                 /* an unknown opcode */
    FROM_SERVER("\x8b\x00", "!1002");                 /* an unknown control opcode */
    FROM_CLIENT("\x81\x05Hello", "!1002");            /* 5.1: not masked */
    FROM_SERVER("\x81\x85\x37\xfa\x21\x3d", "!1002"); /* masked */
    FROM_SERVER("\x81\x7e\x00\x7dx", "!1002");        /* 5.2: not the shortest length */
    FROM_SERVER("\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "!1002");
    FROM_SERVER("\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "!1002"); /* its top bit */
    FROM_SERVER("\x80\x00", "!1002");                                 /* 5.4: nothing to continue */
    FROM_SERVER("\x01\x00\x81\x00", "!1002");     /* a message within a message */
    FROM_SERVER("\x09\x00", "!1002");             /* 5.5: a fragmented control frame */
    FROM_SERVER("\x89\x7e\x00\x7e", "!1002");     /* a large one */
    FROM_SERVER("\x88\x01x", "!1002");            /* 5.5.1: half a code */
    FROM_SERVER("\x88\x02\x03\xe7", "!1002");     /* 7.4: 999 */
    FROM_SERVER("\x88\x02\x03\xec", "!1002");     /* 1004 */
    FROM_SERVER("\x88\x02\x03\xed", "!1002");     /* 1005 */
    FROM_SERVER("\x88\x02\x03\xee", "!1002");     /* 1006 */
    FROM_SERVER("\x88\x02\x03\xf7", "!1002");     /* 1015 */
    FROM_SERVER("\x88\x02\x13\x88", "!1002");     /* 5000 */
    FROM_SERVER("\x88\x03\x03\xe8\xff", "!1007"); /* 5.5.1: a reason that is no text */
    FROM_SERVER("\x88\x03\x03\xe8\xc3", "!1007"); /* and one that is cut */
    FROM_SERVER("\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x71", "!1009");           /* 70001 bytes */
    FROM_SERVER("\x02\x01x\x80\x7f\x00\x00\x00\x00\x00\x01\x11\x70", "x!1009"); /* in fragments */
}

static void nothing_counts_behind_close(void **state)
{
    (void)state;
    FROM_SERVER("\x88\x00\x81\x01x", "[close 1005 ]");
    FROM_SERVER("\x88\x05\x03\xe8"
                "bye\xff\xff\xff",
                "[close 1000 bye]");
    FROM_SERVER("\x88\x02\x0f\xa0", "[close 4000 ]");
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    FROM_SERVER("\x81\x02\xc3\xa4", "\xc3\xa4<text 2>");
    FROM_SERVER("\x81\x01\xff", "!1007");
    FROM_SERVER("\x82\x01\xff", "\xff<binary 1>");
    /* A character may be cut by a frame, but not by the end. */
    check_frames(false, "\x01\x01\xc3\x80\x01\xa4", 6, "\xc3\xa4<text 2>");
    assert_string_equal(run(false, "\x81\x01\xc3", 3, 3, 1).text, "!1007");
    assert_string_equal(run(false, "\x01\x01\xc3\x80\x00", 5, 5, 1).text, "\xc3!1007");
}

static bool is_utf8(const char *data, size_t size)
{
    struct jg__utf8 utf8 = {0, 0, 0};

    return jg__utf8_feed(&utf8, jg_text_of(data, size)) && utf8.left == 0;
}

static void utf8_is_verified(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xc3"
        "a",
        "\xe2\x82"
        "a",
        "aaaaaaaa\x80",
        "aaaaaaa\xff"
        "aaaaaaa",
    };
    size_t i, size;
    unsigned code;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_utf8(bad[i], strlen(bad[i])));
    for (code = 0; code <= 0x110000; code++) {
        char text[16] = "aaaaaaaaaaaa";
        char *p = text + code % 9;

        if (code < 0x80) {
            p[0] = (char)code;
        } else if (code < 0x800) {
            p[0] = (char)(0xc0 | code >> 6);
            p[1] = (char)(0x80 | (code & 63));
        } else if (code < 0x10000) {
            p[0] = (char)(0xe0 | code >> 12);
            p[1] = (char)(0x80 | (code >> 6 & 63));
            p[2] = (char)(0x80 | (code & 63));
        } else {
            p[0] = (char)(0xf0 | code >> 18);
            p[1] = (char)(0x80 | (code >> 12 & 63));
            p[2] = (char)(0x80 | (code >> 6 & 63));
            p[3] = (char)(0x80 | (code & 63));
        }
        size = 12;
        assert_int_equal(is_utf8(text, size), code < 0x110000 && (code < 0xd800 || code > 0xdfff));
    }
}

static void masking_twice_changes_nothing(void **state)
{
    static const uint8_t mask[4] = {0x12, 0xff, 0x00, 0xa5};
    char data[64], masked[64];
    size_t size, i;
    unsigned phase;

    (void)state;
    for (size = 0; size < 40; size++) {
        for (phase = 0; phase < 4; phase++) {
            for (i = 0; i < sizeof(data); i++)
                data[i] = masked[i] = (char)(i * 7);
            jg__frame_mask(masked + 3, size, mask, phase);
            for (i = 0; i < sizeof(data); i++) {
                bool inside = i >= 3 && i < 3 + size;

                assert_int_equal((uint8_t)(masked[i] ^ data[i]),
                                 inside ? mask[(i - 3 + phase) % 4] : 0);
            }
        }
    }
}

static void heads_of_frames_are_written(void **state)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t head[JG__FRAME_HEAD_SIZE];

    (void)state;
    assert_int_equal(jg__frame_head(head, JG__FRAME_TEXT, false, 5, mask), 6);
    assert_memory_equal(head, "\x01\x85\x01\x02\x03\x04", 6);
    assert_int_equal(jg__frame_head(head, JG__FRAME_BINARY, true, 0x1234567890, mask), 14);
    assert_memory_equal(head, "\x82\xff\x00\x00\x00\x12\x34\x56\x78\x90\x01\x02\x03\x04", 14);
}

static void sha1_is_that_of_the_standard(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *digest;
    } cases[] = {
        {"", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"a", 1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba"},
    };
    char text[1024], hex[41];
    uint8_t digest[20];
    size_t i, k;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text[0] = '\0';
        for (k = 0; k < cases[i].count; k++)
            strcat(text, cases[i].text);
        jg__sha1(text, strlen(text), digest);
        for (k = 0; k < 20; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, cases[i].digest);
    }
}

/* RFC 4648 10 */
static void base64_is_that_of_the_rfc(void **state)
{
    static const char *const texts[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    char text[16];
    size_t i;

    (void)state;
    for (i = 0; i < 7; i++) {
        jg__base64((const uint8_t *)"foobar", i, text);
        assert_string_equal(text, texts[i]);
    }
}

static jg_http_parser parser;
static jg_http_field fields[16];

static const jg_http_head *head_of(bool response, const char *data)
{
    if (response)
        jg_http_parser_init_response(&parser, JG_HTTP_GET, fields, 16, NULL);
    else
        jg_http_parser_init(&parser, fields, 16, NULL);
    assert_true(jg_http_parser_feed(&parser, data, strlen(data)) > 0);
    return &parser.head;
}

#define OPENING "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static void the_opening_handshake_is_answered(void **state)
{
    char accept[JG__WEBSOCKET_ACCEPT_SIZE];

    (void)state;
    assert_int_equal(jg__websocket_request(head_of(false, OPENING KEY VERSION "\r\n"), accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(jg__websocket_request(head_of(false, OPENING VERSION "\r\n"), accept), 400);
    assert_int_equal(jg__websocket_request(head_of(false, OPENING KEY "\r\n"), accept), 426);
    assert_int_equal(jg__websocket_request(
                         head_of(false, OPENING KEY "Sec-WebSocket-Version: 8\r\n\r\n"), accept),
                     426);
    assert_int_equal(
        jg__websocket_request(head_of(false, OPENING VERSION "Sec-WebSocket-Key: "
                                                             "dGhlIHNhbXBsZSBub25jZR==\r\n\r\n"),
                              accept),
        400);
    assert_int_equal(
        jg__websocket_request(head_of(false, "GET / HTTP/1.1\r\nHost: h\r\n" KEY VERSION "\r\n"),
                              accept),
        400);
}

static void the_answer_is_verified(void **state)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    const char *answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
                         "Connection: upgrade\r\n"
                         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    (void)state;
    assert_true(jg__websocket_response(head_of(true, answer), key));
    assert_false(jg__websocket_response(head_of(true, answer), "AAAAAAAAAAAAAAAAAAAAAA=="));
    assert_false(jg__websocket_response(head_of(true, "HTTP/1.1 200 OK\r\n\r\n"), key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_decoded),
        cmocka_unit_test(control_frames_come_between_fragments),
        cmocka_unit_test(lengths_have_three_forms),
        cmocka_unit_test(rules_that_are_broken_end_it),
        cmocka_unit_test(nothing_counts_behind_close),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(utf8_is_verified),
        cmocka_unit_test(masking_twice_changes_nothing),
        cmocka_unit_test(heads_of_frames_are_written),
        cmocka_unit_test(sha1_is_that_of_the_standard),
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(the_opening_handshake_is_answered),
        cmocka_unit_test(the_answer_is_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
