/* SPDX-License-Identifier: MIT
 *
 * DNS messages: what is asked, whose answers are taken, aliases, and what is broken.
 */
#include "support.h"

#include "io/dns_message.h"

#include <string.h>

#define ID                        "\x12\x34"
#define GOOD                      ID "\x81\x80"
#define COUNT(questions, answers) "\0" questions "\0" answers "\0\0\0\0"
#define WWW                       "\3www\7example\3com\0"
#define ASK                       WWW "\0\1\0\1"
#define NAME                      "\xc0\x0c" /* the name asked for, by a pointer */
#define TTL                       "\0\0\0\x3c"
#define A                         "\0\1\0\1" TTL "\0\4"
#define ALIAS                     "\0\5\0\1" TTL

struct message {
    const char *bytes;
    size_t size;
    int result;
    int code;
    int count;
    uint8_t last; /* byte of the first address */
};

#define MESSAGE(bytes, ...)                   \
    {                                         \
        bytes, sizeof(bytes) - 1, __VA_ARGS__ \
    }

static const struct message messages[] = {
    MESSAGE(GOOD COUNT("\1", "\2") ASK NAME A "\1\2\3\4" NAME A "\1\2\3\5", 0, 0, 2, 4),
    MESSAGE(GOOD COUNT("\1", "\1") "\3WWW\7Example\3com\0\0\1\0\1" NAME A "\1\2\3\4", 0, 0, 1, 4),
    MESSAGE(GOOD COUNT("\1", "\0") ASK, 0, 0, 0, 0),
    MESSAGE(ID "\x81\x83" COUNT("\1", "\0") ASK, 0, JG__DNS_NXDOMAIN, 0, 0),
    MESSAGE(ID "\x81\x82" COUNT("\1", "\0") ASK, 0, JG__DNS_SERVFAIL, 0, 0),
    MESSAGE(ID "\x81\x81" COUNT("\0", "\0"), 0, JG__DNS_FORMERR, 0, 0),

    /* Errors have no addresses, even with records: SERVFAIL, NXDOMAIN, REFUSED. */
    MESSAGE(ID "\x81\x82" COUNT("\1", "\1") ASK NAME A "\1\2\3\4", 0, JG__DNS_SERVFAIL, 0, 0),
    MESSAGE(ID "\x81\x83" COUNT("\1", "\1") ASK NAME A "\1\2\3\4", 0, JG__DNS_NXDOMAIN, 0, 0),
    MESSAGE(ID "\x81\x85" COUNT("\1", "\1") ASK NAME A "\1\2\3\4", 0, 5, 0, 0),

    /* Aliases: in order, the other way round, of a name in between, in a circle. */
    MESSAGE(GOOD COUNT("\1", "\2") ASK NAME ALIAS "\0\4\1b\xc0\x10"
                                                  "\1b\xc0\x10" A "\1\2\3\4",
            0, 0, 1, 4),
    MESSAGE(GOOD COUNT("\1", "\2") ASK "\1b\xc0\x10" A "\1\2\3\4" NAME ALIAS "\0\4\1b\xc0\x10", 0,
            0, 1, 4),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\1b\xc0\x10" A "\1\2\3\4", 0, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK NAME ALIAS "\0\2" NAME, 0, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK NAME ALIAS "\0\5\1b\xc0\x10\0", 0, 0, 0, 0),

    /* Records that are none of ours: of another type, class or size. */
    MESSAGE(GOOD COUNT("\1", "\2") ASK NAME "\0\1\0\3" TTL "\0\4\1\2\3\4" NAME "\0\x1c\0\1" TTL
                                            "\0\4\1\2\3\4",
            0, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK NAME "\0\1\0\1" TTL "\0\5\1\2\3\4\5", 0, 0, 0, 0),

    /* No answers to this question: another id, no response, another operation, name, type, class,
       number of questions, or no question at all. */
    MESSAGE("\x12\x35\x81\x80" COUNT("\1", "\0") ASK, -ENOMSG, 0, 0, 0),
    MESSAGE(ID "\x01\x80" COUNT("\1", "\0") ASK, -ENOMSG, 0, 0, 0),
    MESSAGE(ID "\x89\x80" COUNT("\1", "\0") ASK, -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\0") "\3wwx\7example\3com\0\0\1\0\1", -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\0") "\3www\7example\3com\1x\0\0\1\0\1", -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\0") WWW "\0\x1c\0\1", -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\0") WWW "\0\1\0\3", -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\2", "\0") ASK ASK, -ENOMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\0", "\0"), -ENOMSG, 0, 0, 0),
    MESSAGE(ID "\x81\x80\0\1", -ENOMSG, 0, 0, 0),
    MESSAGE("", -ENOMSG, 0, 0, 0),

    /* Broken ones: cut off, pointers to themselves, forward, in a circle or into the header, and
       labels of types that do not exist. */
    MESSAGE(GOOD COUNT("\1", "\2") ASK NAME A "\1\2\3\4", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK NAME A "\1\2\3", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\xc0\x21" A "\1\2\3\4", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\xc0\x23" A "\1\2\3\4", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\1x\xc0\x21" A "\1\2\3\4", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\xc0\x00" A "\1\2\3\4", -EBADMSG, 0, 0, 0),
    MESSAGE(GOOD COUNT("\1", "\1") ASK "\x80x\0" A "\1\2\3\4", -EBADMSG, 0, 0, 0),
};

static void messages_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct message *message = &messages[i];
        jg__dns_question question;
        jg__dns_answer answer = {.code = 77, .count = -1};
        int r;

        assert_int_equal(jg__dns_ask(&question, "www.example.com", JG__DNS_A), 0);
        question.id = 0x1234;
        r = jg__dns_decode((const uint8_t *)message->bytes, message->size, &question, &answer);
        if (r != message->result)
            fail_msg("message %d: %d", (int)i, r);
        if (r < 0) {
            assert_int_equal(answer.code, 77);
            assert_int_equal(answer.count, -1);
            continue;
        }
        if (answer.code != message->code || answer.count != message->count)
            fail_msg("message %d: code %d, %d addresses", (int)i, answer.code, answer.count);
        if (answer.count > 0)
            assert_int_equal(answer.addresses[0][3], message->last);
    }
}

static void a_truncated_answer_is_told_and_not_read(void **state)
{
    static const char bytes[] = GOOD COUNT("\1", "\7") ASK NAME;
    char copy[sizeof(bytes)];
    jg__dns_question question;
    jg__dns_answer answer;

    (void)state;
    memcpy(copy, bytes, sizeof(bytes));
    copy[2] |= 0x02;
    assert_int_equal(jg__dns_ask(&question, "www.example.com.", JG__DNS_A), 0);
    question.id = 0x1234;
    assert_int_equal(jg__dns_decode((const uint8_t *)copy, sizeof(copy) - 1, &question, &answer),
                     0);
    assert_true(answer.truncated);
    assert_int_equal(answer.count, 0);
}

/* An answer with one address of ours behind so many of others. */
static int addresses_behind(int others)
{
    static const char head[] = GOOD COUNT("\1", "\0") ASK, other[] = "\1b\xc0\x10" A "\1\2\3\4";
    static const char ours[] = NAME A "\1\2\3\5";
    static char bytes[8192];
    char *end = bytes + sizeof(head) - 1;
    jg__dns_question question;
    jg__dns_answer answer;

    memcpy(bytes, head, sizeof(head));
    bytes[6] = (char)((others + 1) >> 8);
    bytes[7] = (char)(others + 1);
    for (int i = 0; i < others; i++, end += sizeof(other) - 1)
        memcpy(end, other, sizeof(other));
    memcpy(end, ours, sizeof(ours));
    end += sizeof(ours) - 1;

    assert_int_equal(jg__dns_ask(&question, "www.example.com", JG__DNS_A), 0);
    question.id = 0x1234;
    assert_int_equal(
        jg__dns_decode((const uint8_t *)bytes, (size_t)(end - bytes), &question, &answer), 0);
    return answer.count;
}

static void only_so_many_records_are_looked_at(void **state)
{
    (void)state;
    assert_int_equal(addresses_behind(JG__DNS_RECORDS - 1), 1);
    assert_int_equal(addresses_behind(JG__DNS_RECORDS), 0);
}

static void a_query_is_as_the_rfc_has_it(void **state)
{
    static const char plain[] = ID "\1\0" COUNT("\1", "\0") ASK;
    static const char extended[] = ID "\1\0\0\1\0\0\0\0\0\1" ASK "\0\0\x29\x04\xd0\0\0\0\0\0\0";
    uint8_t query[JG__DNS_QUERY];
    jg__dns_question question;

    (void)state;
    assert_int_equal(jg__dns_ask(&question, "www.Example.com", JG__DNS_A), 0);
    question.id = 0x1234;
    assert_int_equal(jg__dns_encode(&question, false, query), sizeof(plain) - 1);
    assert_memory_equal(query, plain, sizeof(plain) - 1);
    assert_int_equal(jg__dns_encode(&question, true, query), sizeof(extended) - 1);
    assert_memory_equal(query, extended, sizeof(extended) - 1);
}

static void what_is_no_name_is_not_asked_for(void **state)
{
    char name[300];
    jg__dns_question question;
    uint8_t query[JG__DNS_QUERY];

    (void)state;
    assert_int_equal(jg__dns_ask(&question, "", JG__DNS_A), -EINVAL);
    assert_int_equal(jg__dns_ask(&question, ".", JG__DNS_A), -EINVAL);
    assert_int_equal(jg__dns_ask(&question, "a..b", JG__DNS_A), -EINVAL);
    assert_int_equal(jg__dns_ask(&question, ".a", JG__DNS_A), -EINVAL);
    memset(name, 'a', sizeof(name));
    name[64] = '\0';
    assert_int_equal(jg__dns_ask(&question, name, JG__DNS_A), -EINVAL);
    name[63] = '\0';
    assert_int_equal(jg__dns_ask(&question, name, JG__DNS_A), 0);

    /* 253 characters are the most that fit on the wire. */
    memset(name, 'a', sizeof(name));
    name[63] = name[127] = name[191] = '.';
    name[254] = '\0';
    assert_int_equal(jg__dns_ask(&question, name, JG__DNS_A), -EINVAL);
    name[253] = '\0';
    assert_int_equal(jg__dns_ask(&question, name, JG__DNS_A), 0);
    assert_int_equal(question.size, JG__DNS_NAME);
    assert_in_range(jg__dns_encode(&question, true, query), 0, JG__DNS_QUERY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_taken_or_refused),
        cmocka_unit_test(a_truncated_answer_is_told_and_not_read),
        cmocka_unit_test(only_so_many_records_are_looked_at),
        cmocka_unit_test(a_query_is_as_the_rfc_has_it),
        cmocka_unit_test(what_is_no_name_is_not_asked_for),
    };

    return cmocka_run_group_tests_name("dns_message", tests, NULL, NULL);
}
