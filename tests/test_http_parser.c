/* SPDX-License-Identifier: MIT
 *
 * The parser of HTTP heads and bodies. Each case is given whole, byte by byte and in every way to
 * cut it in two, with another request behind it that must be found exactly once, or, if the case is
 * an error, not at all.
 */
#include "support.h"

#include "http_transcript.h"
#include "http/field_names.h"

#include <string.h>

#define CANARY "GET /canary HTTP/1.1\r\nHost: c\r\n\r\n"
#define CANARY_HEAD \
    "{1.1 method=GET target=/canary path=/canary authority=c form=0 body=none keep [Host|c]}"
#define HOST         "Host: h\r\n"
#define REQUEST      "GET / HTTP/1.1\r\n" HOST
#define POST         "POST / HTTP/1.1\r\n" HOST
#define CHUNKED_POST POST "Transfer-Encoding: chunked\r\n\r\n"
#define A_GET        "{1.1 method=GET target=/ path=/ authority=h form=0 body=none keep [Host|h]};"
#define CHUNKED_HEAD                                                                 \
    "{1.1 method=POST target=/ path=/ authority=h form=0 body=chunked keep [Host|h]" \
    " [Transfer-Encoding|chunked]}"

struct a_case {
    const char *name;
    const char *bytes;
    const char *expected; /* the transcript; NULL: it begins with a head */
    int error;            /* or the error, of a case whose transcript does not matter */
    size_t size;          /* of the bytes, if they have a NUL */
};

static jg_http_field fields[8];

static struct transcript parse(bool response, const char *data, size_t size,
                               struct arrivals arrivals)
{
    static const jg_http_limits limits = {128, 512};
    jg_http_parser parser;

    if (response)
        jg_http_parser_init_response(&parser, JG_HTTP_GET, fields, 8, &limits);
    else
        jg_http_parser_init(&parser, fields, 8, &limits);
    return transcribe(&parser, data, size, arrivals);
}

static void check_split(const struct a_case *c, bool response, const char *data, size_t size,
                        struct arrivals arrivals, const struct transcript *whole)
{
    struct transcript split = parse(response, data, size, arrivals);

    if (split.hash != whole->hash)
        fail_msg("%s, by %zu and %zu: %s, but whole: %s", c->name, arrivals.first, arrivals.step,
                 split.text, whole->text);
}

static void check_case(const struct a_case *c, bool response)
{
    size_t size = c->size > 0 ? c->size : strlen(c->bytes), first;
    struct transcript whole;
    char expected[2048];
    char data[2048];

    memcpy(data, c->bytes, size);
    if (!response) {
        memcpy(data + size, CANARY, strlen(CANARY));
        size += strlen(CANARY);
    }
    if (c->error != 0)
        snprintf(expected, sizeof(expected), "!%s", jg_strerror(c->error));
    else
        snprintf(expected, sizeof(expected), "%s%s", c->expected != NULL ? c->expected : "",
                 response ? "" : CANARY_HEAD ";");
    whole = parse(response, data, size, (struct arrivals){size, size});
    if (c->error != 0 ? strstr(whole.text, expected) == NULL || strstr(whole.text, "canary")
        : c->expected != NULL
            ? strcmp(whole.text, expected) != 0
            : strncmp(whole.text, "{1.1", 4) != 0 || strstr(whole.text, expected) == NULL)
        fail_msg("%s: %s, not %s", c->name, whole.text, expected);
    check_split(c, response, data, size, (struct arrivals){0, 1}, &whole);
    for (first = 0; first <= size; first++)
        check_split(c, response, data, size, (struct arrivals){first, size}, &whole);
}

static void check_cases(const struct a_case *cases, size_t count, bool response)
{
    size_t i;

    for (i = 0; i < count; i++)
        check_case(&cases[i], response);
}

#define CHECK(cases) check_cases(cases, sizeof(cases) / sizeof((cases)[0]), false)

static void first_lines_are_accepted(void **state)
{
    static const struct a_case cases[] = {
        {"9112 3: origin-form", REQUEST "\r\n", A_GET, 0, 0},
        {"9112 2.2: one empty line before", "\r\n" REQUEST "\r\n", A_GET, 0, 0},
        {"9112 3.2.1: a query", "GET /a/b?c=d?e HTTP/1.1\r\n" HOST "\r\n",
         "{1.1 method=GET target=/a/b?c=d?e path=/a/b query=c=d?e authority=h form=0 body=none keep"
         " [Host|h]};",
         0, 0},
        {"9112 3.2.2: the target's authority wins", "GET http://a:81/x?y HTTP/1.1\r\n" HOST "\r\n",
         "{1.1 method=GET target=http://a:81/x?y path=/x query=y authority=a:81 form=1 body=none"
         " keep [Host|h]};",
         0, 0},
        {"9112 3.2.2: without a path", "GET http://a HTTP/1.1\r\n" HOST "\r\n",
         "{1.1 method=GET target=http://a authority=a form=1 body=none keep [Host|h]};", 0, 0},
        {"9112 3.2.3: authority-form", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
         "{1.1 method=CONNECT target=a:443 authority=a:443 form=2 body=none keep [Host|a:443]};", 0,
         0},
        {"9112 3.2.4: asterisk-form", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
         "{1.1 method=OPTIONS target=* authority=h form=3 body=none keep [Host|h]};", 0, 0},
        {"9110 9.1: any token is a method", "M-SEARCH! / HTTP/1.1\r\n" HOST "\r\n", NULL, 0, 0},
        {"9110 2.5: a higher minor version", "GET / HTTP/1.7\r\n" HOST "\r\n", A_GET, 0, 0},
        {"9112 3.2: HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n",
         "{1.0 method=GET target=/ path=/ form=0 body=none};", 0, 0},
        {"what browsers leave as it is", "GET /?a=|{}^`\\ HTTP/1.1\r\n" HOST "\r\n", NULL, 0, 0},
    };

    (void)state;
    CHECK(cases);
}

static void first_lines_are_refused(void **state)
{
    static const struct a_case cases[] = {
        {"9112 2.2: two empty lines", "\r\n\r\n" REQUEST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9112 2.2: a bare LF before", "\n" REQUEST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9112 2.2: a bare LF behind", "GET / HTTP/1.1\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.2: a bare CR behind", "GET / HTTP/1.1\r" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.2: space before", " GET / HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9110 9.1: no method", " / HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9110 9.1: not a token", "G(T / HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9110 9.1: a tab", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_METHOD, 0},
        {"9112 3: no target", "GET HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 3: two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3: two spaces behind", "GET /  HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 3: space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 3: space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"HTTP/0.9", "GET /\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: lower case", "GET / http/1.1\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: two digits", "GET / HTTP/1.10\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: no digit", "GET / HTTP/1.x\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: a comma", "GET / HTTP/1,1\r\n" HOST "\r\n", "", JG_EHTTP_LINE, 0},
        {"9110 15.6.6: HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", "", JG_EHTTP_VERSION, 0},
        {"9110 15.6.6: HTTP/0.1 and a bare LF", "GET / HTTP/0.1\nHost: h\n\n", "", JG_EHTTP_LINE,
         0},
        {"9110 15.6.6: HTTP/0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", "", JG_EHTTP_VERSION, 0},
        {"9113 3.4: the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "",
         JG_EHTTP_VERSION, 0},
        {"9112 3.2: no form", "GET a HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.1: a fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.1: a control", "GET /a\001b HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.1: a NUL", "GET /a\0b HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET,
         sizeof("GET /a\0b HTTP/1.1\r\n" HOST "\r\n") - 1},
        {"9112 3.2.1: not ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.2: user information", "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", "",
         JG_EHTTP_TARGET, 0},
        {"9112 3.2.2: no host", "GET http:///a HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.2: no scheme", "GET ://a/ HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.3: no port", "CONNECT a HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.3: a path", "CONNECT /a HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.3: another method", "GET a:443 HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET,
         0},
        {"9112 3.2.4: another method", "GET * HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET, 0},
        {"9112 3.2.4: more than that", "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n", "", JG_EHTTP_TARGET,
         0},
    };

    (void)state;
    CHECK(cases);
}

static void fields_are_accepted(void **state)
{
    static const struct a_case cases[] = {
        {"9112 5: no space", "GET / HTTP/1.1\r\nhost:h\r\n\r\n", NULL, 0, 0},
        {"9110 5.5: space around", "GET / HTTP/1.1\r\nHost: \t h\t \r\n\r\n", A_GET, 0, 0},
        {"9110 5.5: tabs, spaces and obs-text within", REQUEST "X: a \t b\xff\tccccccccccc\r\n\r\n",
         "{1.1 method=GET target=/ path=/ authority=h form=0 body=none keep [Host|h]"
         " [X|a \t b\xff\tccccccccccc]};",
         0, 0},
        {"9110 5.5: empty values", REQUEST "X:\r\nY: \r\n\r\n",
         "{1.1 method=GET target=/ path=/ authority=h form=0 body=none keep [Host|h] [X|] [Y|]};",
         0, 0},
        {"9110 5.6.2: all of tchar", REQUEST "!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", NULL, 0, 0},
        {"9112 3.2: an IPv6 address", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", NULL, 0,
         0},
        {"9112 3.2: an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
         "{1.1 method=GET target=/ path=/ form=0 body=none keep [Host|]};", 0, 0},
    };

    (void)state;
    CHECK(cases);
}

static void fields_are_refused(void **state)
{
    static const struct a_case cases[] = {
        {"9112 5.1: space before the colon", REQUEST "A : b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5.1: a tab before the colon", REQUEST "A\t: b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5.2: obs-fold", REQUEST "A: b\r\n c\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5.2: obs-fold with a tab", REQUEST "A: b\r\n\tc: d\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 2.2: space before the first field", "GET / HTTP/1.1\r\n " HOST "\r\n", "",
         JG_EHTTP_FIELD, 0},
        {"9112 5: no name", REQUEST ": b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5: no colon", REQUEST "A\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5: no colon but in the next line", REQUEST "A\r\nB: c\r\n\r\n", "", JG_EHTTP_FIELD,
         0},
        {"9112 5: not a token", REQUEST "A(: b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5: not ASCII", REQUEST "\xc3\xa4: b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 5: a name like a known one", REQUEST "Content\x0dLength: 3\r\n\r\n", "",
         JG_EHTTP_FIELD, 0},
        {"9110 5.5: NUL", REQUEST "A: b\0c\r\n\r\n", "", JG_EHTTP_FIELD,
         sizeof(REQUEST "A: b\0c\r\n\r\n") - 1},
        {"9110 5.5: a control", REQUEST "A: b\001c\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9110 5.5: a control far in", REQUEST "A: bbbbbbbbbbbb\037c\r\n\r\n", "", JG_EHTTP_FIELD,
         0},
        {"9110 5.5: DEL", REQUEST "A: b\177c\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9110 5.5: DEL far in", REQUEST "A: bbbbbbbbbbbb\177ccccccccc\r\n\r\n", "", JG_EHTTP_FIELD,
         0},
        {"9112 2.2: a bare CR", REQUEST "A: b\rc\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 2.2: a bare LF", REQUEST "A: b\nC: d\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 2.2: two CRs", REQUEST "A: b\r\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 2.2: a bare LF at the end", REQUEST "\n", "", JG_EHTTP_FIELD, 0},
        {"9112 2.2: a bare CR at the end", REQUEST "\rA: b\r\n\r\n", "", JG_EHTTP_FIELD, 0},
        {"9112 3.2: no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", "", JG_EHTTP_HOST, 0},
        {"9112 3.2: two Hosts", REQUEST HOST "\r\n", "", JG_EHTTP_HOST, 0},
        {"9112 3.2: two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", "",
         JG_EHTTP_HOST, 0},
        {"9112 3.2: a path", "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n", "", JG_EHTTP_HOST, 0},
        {"9112 3.2: user information", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "", JG_EHTTP_HOST, 0},
        {"9112 3.2: two names", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "", JG_EHTTP_HOST, 0},
        {"9112 3.2: a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "", JG_EHTTP_HOST,
         0},
        {"9112 3.2: a port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "", JG_EHTTP_HOST,
         0},
        {"9112 3.2: half an address", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "", JG_EHTTP_HOST, 0},
    };

    (void)state;
    CHECK(cases);
}

static void limits_are_kept(void **state)
{
    static char line[512], value[1024], many[1024];
    const struct a_case cases[] = {
        {"9110 15.5.15: a long target", line, "", JG_EHTTP_LONG_LINE, 0},
        {"6585 5: a large head", value, "", JG_EHTTP_LARGE_HEAD, 0},
        {"6585 5: many fields", many, "", JG_EHTTP_MANY_FIELDS, 0},
    };
    int i;

    (void)state;
    /* A line of 128 bytes is the longest. */
    snprintf(line, sizeof(line), "GET /%0113d HTTP/1.1\r\n" HOST "\r\n", 0);
    assert_int_equal(strchr(line, '\n') - line, 128);
    snprintf(value, sizeof(value), REQUEST "A: %0481d\r\n\r\n", 0);
    assert_int_equal(strlen(value), 513);
    strcpy(many, REQUEST);
    for (i = 0; i < 8; i++)
        strcat(many, "A: b\r\n");
    strcat(many, "\r\n");
    CHECK(cases);

    snprintf(line, sizeof(line), "GET /%0112d HTTP/1.1\r\n" HOST "\r\n", 0);
    snprintf(value, sizeof(value), REQUEST "A: %0480d\r\n\r\n", 0);
    strcpy(strstr(many, "A: b"), "A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n");
    check_case(&(struct a_case){"the longest line", line, NULL, 0, 0}, false);
    check_case(&(struct a_case){"the largest head", value, NULL, 0, 0}, false);
    check_case(&(struct a_case){"the most fields", many, NULL, 0, 0}, false);
}

static void a_line_without_an_end_meets_the_limit(void **state)
{
    char data[600];

    (void)state;
    memset(data, 'A', sizeof(data));
    assert_string_equal(parse(false, data, 127, (struct arrivals){127, 1}).text, "~part");
    assert_string_equal(parse(false, data, 128, (struct arrivals){128, 1}).text,
                        "!HTTP: first line too long");
    assert_string_equal(parse(false, data, 600, (struct arrivals){0, 1}).text,
                        "!HTTP: first line too long");
    memcpy(data, REQUEST, strlen(REQUEST));
    assert_string_equal(parse(false, data, 511, (struct arrivals){0, 1}).text, "~part");
    assert_string_equal(parse(false, data, 600, (struct arrivals){0, 1}).text,
                        "!HTTP: head too large");
}

static void the_first_line_is_a_part_of_the_head(void **state)
{
    static const jg_http_limits limits = {1000, 20};
    static const char line[] = "GET /aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n";
    jg_http_parser parser;

    (void)state;
    jg_http_parser_init(&parser, fields, 8, &limits);
    assert_int_equal(jg_http_parser_feed(&parser, line, 19), 0);
    assert_int_equal(jg_http_parser_feed(&parser, line, 20), JG_EHTTP_LONG_LINE);
    jg_http_parser_init(&parser, fields, 8, &limits);
    assert_int_equal(jg_http_parser_feed(&parser, line, strlen(line)), JG_EHTTP_LONG_LINE);
}

#define FRAMED(fields, body) POST fields "\r\n" body

static void bodies_are_framed(void **state)
{
    static const struct a_case cases[] = {
        {"9112 6.2: Content-Length", FRAMED("Content-Length: 3\r\n", "abc"),
         "{1.1 method=POST target=/ path=/ authority=h form=0 body=sized:3 keep [Host|h]"
         " [Content-Length|3]}abc;",
         0, 0},
        {"9112 6.2: none", FRAMED("Content-Length: 0\r\n", ""), NULL, 0, 0},
        {"9112 6.3: neither", FRAMED("", ""), NULL, 0, 0},
        {"9112 7.1: chunks", CHUNKED_POST "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
         CHUNKED_HEAD "abc0123456789;", 0, 0},
        {"9112 7.1: no chunk but the last", CHUNKED_POST "0\r\n\r\n", CHUNKED_HEAD ";", 0, 0},
        {"9112 7.1: zeros", CHUNKED_POST "0003\r\nabc\r\n000\r\n\r\n", CHUNKED_HEAD "abc;", 0, 0},
        {"9112 7.1: fifteen digits", CHUNKED_POST "000000000000003\r\nabc\r\n0\r\n\r\n",
         CHUNKED_HEAD "abc;", 0, 0},
        {"9112 7.1: data that looks like framing", CHUNKED_POST "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
         CHUNKED_HEAD "0\r\n\r\n\r\n;", 0, 0},
        {"9112 7.1.1: extensions",
         CHUNKED_POST "1;a;b=c ; d = \"e;\\\"\\\\f\"\r\nx\r\n0;z=\"\"\r\n\r\n", CHUNKED_HEAD "x;",
         0, 0},
        {"9112 7.1.2: trailers", CHUNKED_POST "0\r\nA: b\r\nContent-Length-X: 1\r\nC:\r\n\r\n",
         CHUNKED_HEAD ";", 0, 0},
        {"9112 7: in any case", FRAMED("transfer-ENCODING: cHUNKED\r\n", "0\r\n\r\n"), NULL, 0, 0},
    };

    (void)state;
    CHECK(cases);
}

static void ambiguous_framing_is_refused(void **state)
{
    static const struct a_case cases[] = {
        {"9112 6.1: both",
         FRAMED("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.1: both, the other way",
         FRAMED("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.3: two lengths", FRAMED("Content-Length: 5\r\nContent-Length: 6\r\n", "abcde"), "",
         JG_EHTTP_LENGTH, 0},
        {"9112 6.3: the same length twice",
         FRAMED("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9112 6.3: a list", FRAMED("Content-Length: 5,5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9112 6.3: a list with space", FRAMED("Content-Length:  5, 5\r\n", "abcde"), "",
         JG_EHTTP_LENGTH, 0},
        {"9110 8.6: +5", FRAMED("Content-Length: +5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: -5", FRAMED("Content-Length: -5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: 0x5", FRAMED("Content-Length: 0x5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: 5 5", FRAMED("Content-Length: 5 5\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: 5.0", FRAMED("Content-Length: 5.0\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: nothing", FRAMED("Content-Length:\r\n", "abcde"), "", JG_EHTTP_LENGTH, 0},
        {"9110 8.6: 2^63", FRAMED("Content-Length: 9223372036854775808\r\n", ""), "",
         JG_EHTTP_LENGTH, 0},
        {"9110 8.6: 2^64 + 5", FRAMED("Content-Length: 18446744073709551621\r\n", "abcde"), "",
         JG_EHTTP_LENGTH, 0},
        {"9112 6.3: not chunked", FRAMED("Transfer-Encoding: gzip\r\n", ""), "", JG_EHTTP_CODING,
         0},
        {"9112 6.3: chunked not last", FRAMED("Transfer-Encoding: chunked, gzip\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.1: chunked twice", FRAMED("Transfer-Encoding: chunked, chunked\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.1: chunked in two lines",
         FRAMED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.1: identity and chunked in two lines",
         FRAMED("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), "",
         JG_EHTTP_CODING, 0},
        {"9112 6.1: another coding before", FRAMED("Transfer-Encoding: gzip, chunked\r\n", ""), "",
         JG_EHTTP_UNSUPPORTED, 0},
        {"9112 7: xchunked", FRAMED("Transfer-Encoding: xchunked\r\n", ""), "", JG_EHTTP_CODING, 0},
        {"9112 7: a quoted coding", FRAMED("Transfer-Encoding: \"chunked\"\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 7: with a parameter", FRAMED("Transfer-Encoding: chunked;a=b\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 7: an empty element", FRAMED("Transfer-Encoding: ,chunked\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 7: an empty element behind", FRAMED("Transfer-Encoding: chunked,\r\n", ""), "",
         JG_EHTTP_CODING, 0},
        {"9112 7: nothing", FRAMED("Transfer-Encoding:\r\n", ""), "", JG_EHTTP_CODING, 0},
        {"9112 6.1: chunked in HTTP/1.0",
         "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", JG_EHTTP_CODING, 0},
    };

    (void)state;
    CHECK(cases);
}

static void chunks_are_refused(void **state)
{
    static const struct a_case cases[] = {
        {"9112 7.1: no size", CHUNKED_POST "\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: no digit", CHUNKED_POST "g\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: 0x3", CHUNKED_POST "0x3\r\nabc\r\n0\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: +3", CHUNKED_POST "+3\r\nabc\r\n0\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: space before", CHUNKED_POST " 3\r\nabc\r\n0\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: space behind", CHUNKED_POST "3 \r\nabc\r\n0\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: too large", CHUNKED_POST "10000000000000003\r\nabc\r\n0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: sixteen digits", CHUNKED_POST "0000000000000003\r\nabc\r\n0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: a bare LF behind the size", CHUNKED_POST "3\nabc\r\n0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: a bare CR behind the size", CHUNKED_POST "3\rabc\r\n0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: no CRLF behind the data", CHUNKED_POST "3\r\nabc0\r\n\r\n", "", JG_EHTTP_CHUNK,
         0},
        {"9112 7.1: a bare LF behind the data", CHUNKED_POST "3\r\nabc\n0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: a bare CR behind the data", CHUNKED_POST "3\r\nabc\rX0\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1: more data than told", CHUNKED_POST "3\r\nabcd\r\n0\r\n\r\n", "", JG_EHTTP_CHUNK,
         0},
        {"9112 7.1: a bare LF at the end", CHUNKED_POST "0\r\n\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1: a bare CR at the end", CHUNKED_POST "0\r\n\rX", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.1: no name", CHUNKED_POST "0;\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.1: no value", CHUNKED_POST "0;a=\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.1: a quote left open", CHUNKED_POST "0;a=\"b\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.1: behind a quote", CHUNKED_POST "0;a=\"b\"c\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.1: a bare LF in an extension", CHUNKED_POST "0;a\n\r\n\r\n", "", JG_EHTTP_CHUNK,
         0},
        {"9112 7.1.1: a bare CR in an extension", CHUNKED_POST "0;a\rb\r\n\r\n", "", JG_EHTTP_CHUNK,
         0},
        {"9110 6.5.1: Content-Length as a trailer", CHUNKED_POST "0\r\nContent-Length: 3\r\n\r\n",
         "", JG_EHTTP_CHUNK, 0},
        {"9110 6.5.1: Transfer-Encoding as a trailer",
         CHUNKED_POST "0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9110 6.5.1: Host as a trailer", CHUNKED_POST "0\r\n" HOST "\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.2: no name", CHUNKED_POST "0\r\n: b\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.2: space before the colon", CHUNKED_POST "0\r\na : b\r\n\r\n", "",
         JG_EHTTP_CHUNK, 0},
        {"9112 7.1.2: obs-fold", CHUNKED_POST "0\r\na: b\r\n c\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
        {"9112 7.1.2: a control", CHUNKED_POST "0\r\na: \001\r\n\r\n", "", JG_EHTTP_CHUNK, 0},
    };

    (void)state;
    CHECK(cases);
}

static int feed_body(jg_http_body *body, const char *data)
{
    size_t used, size = strlen(data);
    jg_text piece;
    int r;

    do {
        r = jg_http_body_feed(body, data, size, &used, &piece);
        if (r < 0)
            return r;
        data += used;
        size -= used;
    } while (r == JG_HTTP_BODY_DATA);
    return r;
}

static void extensions_and_trailers_are_bounded(void **state)
{
    jg_http_head head = {.framing = JG_HTTP_CHUNKED};
    jg_http_body body;
    int i, r = 0;

    (void)state;
    jg_http_body_init(&body, &head);
    for (i = 0; i < 1000 && r >= 0; i++)
        r = feed_body(&body, "1;abcdefghij\r\nx\r\n");
    assert_int_equal(r, JG_EHTTP_LARGE_CHUNK);
    assert_int_equal(i, 4096 / 11 + 1); /* ";" is the size's, the CR the extension's */
    assert_int_equal(feed_body(&body, "0\r\n\r\n"), JG_EHTTP_LARGE_CHUNK);

    jg_http_body_init(&body, &head);
    r = feed_body(&body, "0\r\n");
    for (i = 0; i < 10000 && r >= 0; i++)
        r = feed_body(&body, "a: b\r\n");
    assert_int_equal(r, JG_EHTTP_LARGE_CHUNK);
    assert_int_equal(i, 8192 / 6 + 1);
}

static void connections_persist_by_version_and_options(void **state)
{
    static const struct {
        const char *bytes;
        unsigned flags;
    } cases[] = {
        {REQUEST "\r\n", JG_HTTP_KEEP_ALIVE},
        {REQUEST "Connection: close\r\n\r\n", 0},
        {REQUEST "Connection: foo,\tCLOSE ,bar\r\n\r\n", 0},
        {REQUEST "Connection: closed\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {REQUEST "Connection: keep-alive\r\nConnection: close\r\n\r\n", 0},
        {"GET / HTTP/1.0\r\n\r\n", 0},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 0},
        {POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
         JG_HTTP_KEEP_ALIVE | JG_HTTP_EXPECT_CONTINUE},
        {REQUEST "Expect: 100-continue\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {POST "Expect: 200-maybe\r\nContent-Length: 1\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 0},
        {REQUEST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         JG_HTTP_KEEP_ALIVE | JG_HTTP_WANTS_UPGRADE},
        {REQUEST "Connection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n", JG_HTTP_WANTS_UPGRADE},
        {REQUEST "Upgrade: websocket\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {REQUEST "Connection: upgrade\r\n\r\n", JG_HTTP_KEEP_ALIVE},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 0},
    };
    jg_http_parser parser;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        jg_http_parser_init(&parser, fields, 8, NULL);
        assert_int_equal(jg_http_parser_feed(&parser, cases[i].bytes, strlen(cases[i].bytes)),
                         (int)strlen(cases[i].bytes));
        if (parser.head.flags != cases[i].flags)
            fail_msg("%s has flags %u", cases[i].bytes, parser.head.flags);
    }
}

static void responses_are_parsed(void **state)
{
    static const struct a_case cases[] = {
        {"9112 4: with a length",
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 N F\r\n\r\n",
         "{1.1 200 reason=OK form=0 body=sized:2 keep [Content-Length|2]}hi;"
         "{1.1 404 reason=N F form=0 body=close};",
         0, 0},
        {"9112 6.3: until the end", "HTTP/1.1 200 OK\r\n\r\nabc",
         "{1.1 200 reason=OK form=0 body=close}abc;", 0, 0},
        {"9112 4: no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
         "{1.1 200 form=0 body=none keep [Content-Length|0]};", 0, 0},
        {"9112 4: not even a space", "HTTP/1.0 200\r\n\r\n", "{1.0 200 form=0 body=close};", 0, 0},
        {"9110 15.2: interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
         "{1.1 100 reason=Continue form=0 body=none keep};{1.1 204 reason=No form=0 body=none "
         "keep};",
         0, 0},
        {"9110 15.4.5: 304 has a length but no body",
         "HTTP/1.1 304 NM\r\nContent-Length: 5\r\n\r\n",
         "{1.1 304 reason=NM form=0 body=none keep [Content-Length|5]};", 0, 0},
        {"9112 7.1: chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "{1.1 200 reason=OK form=0 body=chunked keep [Transfer-Encoding|chunked]}x;", 0, 0},
        {"9112 8: cut short", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh",
         "{1.1 200 reason=OK form=0 body=sized:2 keep [Content-Length|2]}h~cut", 0, 0},
        {"9112 4: two digits", "HTTP/1.1 20 OK\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 4: four digits", "HTTP/1.1 2000 OK\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9110 15: 099", "HTTP/1.1 099 OK\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 4: a control in the reason", "HTTP/1.1 200 O\001K\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.2: a bare LF", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "", JG_EHTTP_VERSION, 0},
        {"9112 2.3: HTTP/2, and a short line", "HTTP/2.0\r\nA: b\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.3: another protocol", "ICY 200 OK and more\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 2.2: an empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", "", JG_EHTTP_LINE, 0},
        {"9112 6.3: both",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "",
         JG_EHTTP_CODING, 0},
        {"9112 6.3: two lengths",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "", JG_EHTTP_LENGTH,
         0},
        {"9112 5.2: obs-fold", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "", JG_EHTTP_FIELD, 0},
    };

    (void)state;
    check_cases(cases, sizeof(cases) / sizeof(cases[0]), true);
}

static int framing_of(jg_http_method method, const char *response)
{
    jg_http_parser parser;

    jg_http_parser_init_response(&parser, method, fields, 8, NULL);
    assert_true(jg_http_parser_feed(&parser, response, strlen(response)) > 0);
    return parser.head.framing;
}

static void the_request_decides_on_the_responses_body(void **state)
{
    static const char sized[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    static const char refused[] = "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n";

    (void)state;
    assert_int_equal(framing_of(JG_HTTP_GET, sized), JG_HTTP_SIZED);
    assert_int_equal(framing_of(JG_HTTP_HEAD, sized), JG_HTTP_NO_BODY);
    assert_int_equal(framing_of(JG_HTTP_CONNECT, sized), JG_HTTP_NO_BODY);
    assert_int_equal(framing_of(JG_HTTP_CONNECT, refused), JG_HTTP_SIZED);
}

/* The test takes far more than a minute if bytes are looked at again and again. */
static void feeding_byte_by_byte_is_linear(void **state)
{
    static const jg_http_limits limits = {0, 1024 * 1024};
    static char request[1024 * 1024];
    jg_http_parser parser;
    size_t size;

    (void)state;
    memset(request, 'a', sizeof(request));
    memcpy(request, REQUEST "A: ", strlen(REQUEST "A: "));
    memcpy(request + sizeof(request) - 4, "\r\n\r\n", 4);
    jg_http_parser_init(&parser, fields, 8, &limits);
    for (size = 0; size < sizeof(request); size++)
        assert_true(jg_http_parser_feed(&parser, request, size) == 0);
    assert_int_equal(jg_http_parser_feed(&parser, request, size), (int)size);
}

static void fields_are_found_by_name(void **state)
{
    static const char request[] = REQUEST "Cookie: a\r\nX-Y: 1\r\ncookie: b\r\nx-y: 2\r\n\r\n";
    const jg_http_field *field;
    jg_http_parser parser;

    (void)state;
    jg_http_parser_init(&parser, fields, 8, NULL);
    assert_true(jg_http_parser_feed(&parser, request, strlen(request)) > 0);
    assert_true(jg_text_is(jg_http_head_value(&parser.head, JG_HTTP_COOKIE), "a"));
    assert_null(jg_http_head_value(&parser.head, JG_HTTP_ETAG).data);
    field = jg_http_head_find(&parser.head, "x-Y", NULL);
    assert_true(jg_text_is(jg_http_head_text(&parser.head, field->value), "1"));
    field = jg_http_head_find(&parser.head, "x-Y", field);
    assert_true(jg_text_is(jg_http_head_text(&parser.head, field->value), "2"));
    assert_null(jg_http_head_find(&parser.head, "x-Y", field));
}

/* What follows a name in memory must not matter, so it is all ones. */
static jg_http_name name_of(const char *name)
{
    char buffer[64];

    memset(buffer, 0xff, sizeof(buffer));
    memcpy(buffer, name, strlen(name));
    return jg__http_name(buffer, strlen(name));
}

static void known_names_are_recognised_in_any_case(void **state)
{
    static const char *const names[] = {
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Authorization",
        "Cache-Control",
        "Connection",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Content-Type",
        "Cookie",
        "Date",
        "ETag",
        "Expect",
        "Host",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Last-Modified",
        "Location",
        "Origin",
        "Range",
        "Referer",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Version",
        "Server",
        "Set-Cookie",
        "Transfer-Encoding",
        "Upgrade",
        "User-Agent",
    };
    char name[64];
    size_t i, k;

    (void)state;
    for (i = 0; i < JG_HTTP_NAMES; i++) {
        assert_int_equal(name_of(names[i]), i);
        for (k = 0; k < strlen(names[i]); k++) {
            static const unsigned char bits[] = {1, 2, 4, 8, 16, 32, 64, 128};
            size_t b;

            for (b = 0; b < 8; b++) {
                bool letter = names[i][k] != '-';

                strcpy(name, names[i]);
                name[k] = (char)(name[k] ^ bits[b]);
                if (name[k] == '\0')
                    continue;
                assert_int_equal(name_of(name), letter && bits[b] == 32 ? i : JG_HTTP_NAMES);
            }
        }
        for (k = strlen(names[i]) + 1; k <= 32; k++) {
            char padded[48] = {0};

            memcpy(padded, names[i], strlen(names[i]));
            assert_int_equal(jg__http_name(padded, k), JG_HTTP_NAMES);
        }
        strcat(strcpy(name, names[i]), "x");
        assert_int_equal(name_of(name), JG_HTTP_NAMES);
        for (k = strlen(names[i]) - 1; k > 0; k--) {
            name[k] = '\0';
            assert_int_equal(name_of(name),
                             strcmp(name, "Accept") == 0 ? JG_HTTP_ACCEPT : JG_HTTP_NAMES);
        }
    }
}

static void errors_have_a_status_and_a_text(void **state)
{
    int error;

    (void)state;
    assert_int_equal(jg_http_error_status(JG_EHTTP_FIELD), 400);
    assert_int_equal(jg_http_error_status(JG_EHTTP_LONG_LINE), 414);
    assert_int_equal(jg_http_error_status(JG_EHTTP_LARGE_HEAD), 431);
    assert_int_equal(jg_http_error_status(JG_EHTTP_MANY_FIELDS), 431);
    assert_int_equal(jg_http_error_status(JG_EHTTP_UNSUPPORTED), 501);
    assert_int_equal(jg_http_error_status(JG_EHTTP_VERSION), 505);
    assert_int_equal(jg_http_error_status(-EINVAL), 0);
    assert_int_equal(jg_http_error_status(0), 0);
    for (error = JG_EHTTP_LINE; error >= JG_EHTTP_TRUNCATED; error--)
        assert_memory_equal(jg_strerror(error), "HTTP: ", 6);
    assert_string_equal(jg_strerror(JG_EHTTP_TRUNCATED), "HTTP: connection ended within a message");
}

static void nothing_is_no_message(void **state)
{
    jg_http_parser parser;

    (void)state;
    jg_http_parser_init(&parser, NULL, 0, NULL);
    assert_int_equal(jg_http_parser_feed(&parser, NULL, 0), 0);
    assert_int_equal(jg_http_parser_feed(&parser, CANARY, strlen(CANARY)), JG_EHTTP_MANY_FIELDS);
}

static void errors_stay(void **state)
{
    static const char bad[] = "GET / HTTP/1.1\r\n\r\n";
    jg_http_parser parser;

    (void)state;
    jg_http_parser_init(&parser, fields, 8, NULL);
    assert_int_equal(jg_http_parser_feed(&parser, bad, strlen(bad)), JG_EHTTP_HOST);
    assert_int_equal(jg_http_parser_feed(&parser, CANARY, strlen(CANARY)), JG_EHTTP_HOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_lines_are_accepted),
        cmocka_unit_test(first_lines_are_refused),
        cmocka_unit_test(fields_are_accepted),
        cmocka_unit_test(fields_are_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_line_without_an_end_meets_the_limit),
        cmocka_unit_test(the_first_line_is_a_part_of_the_head),
        cmocka_unit_test(bodies_are_framed),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(chunks_are_refused),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(connections_persist_by_version_and_options),
        cmocka_unit_test(responses_are_parsed),
        cmocka_unit_test(the_request_decides_on_the_responses_body),
        cmocka_unit_test(feeding_byte_by_byte_is_linear),
        cmocka_unit_test(fields_are_found_by_name),
        cmocka_unit_test(known_names_are_recognised_in_any_case),
        cmocka_unit_test(errors_have_a_status_and_a_text),
        cmocka_unit_test(nothing_is_no_message),
        cmocka_unit_test(errors_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
