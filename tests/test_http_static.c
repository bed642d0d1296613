/* SPDX-License-Identifier: MIT
 *
 * Files as answers.
 */
#include "http_table.h"

#include "core/loop.h"

#include <juggle/http_app.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define END  "\r\n"

static char directory[64];

static void write_file(const char *name, const char *data, size_t size)
{
    char path[128];
    struct timespec times[2] = {{.tv_sec = 784111777}, {.tv_sec = 784111777}};
    int fd;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make_directory(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static char large[300001];

static int set_up(void **state)
{
    char path[128];

    (void)state;
    strcpy(directory, "/tmp/juggle-static-XXXXXX");
    assert_non_null(mkdtemp(directory));
    make_directory("sub");
    make_directory("empty");
    make_directory(".hidden");
    write_file("a.txt", "0123456789", 10);
    write_file("nothing.css", "", 0);
    write_file("a b.html", "space", 5);
    write_file("sub/index.html", "index", 5);
    write_file(".secret", "secret", 6);
    write_file(".hidden/x", "secret", 6);
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)('a' + i % 23);
    write_file("large", large, sizeof(large));
    snprintf(path, sizeof(path), "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", directory);
    return system(command);
}

static int send_one(jg_http_request *request, void *arg)
{
    return jg_http_send_file(request, arg);
}

static struct table *get(const char *text)
{
    static char one[128];
    struct table *table = table_new(jg_app_handle, NULL);
    jg_app *app;
    int descriptors;

    assert_int_equal(jg_app_new(NULL, &app), 0);
    snprintf(one, sizeof(one), "%s/a.txt", directory);
    assert_int_equal(jg_app_route(app, "GET", "/one", send_one, one), 0);
    assert_int_equal(jg_app_static(app, "/files", directory), 0);
    table->server.arg = app;
    table->text = text;
    descriptors = test_open_descriptors();
    table_run(table);
    assert_true(test_open_descriptors() <= descriptors);
    jg_app_free(app);
    return table;
}

static void expect(const char *text, const char *output)
{
    struct table *table = get(text);

    table_expect(table, output);
    free(table);
}

/* Only the status. */
static void expect_status(const char *path, int status)
{
    char text[256], line[32];
    struct table *table;

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST END, path);
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    table = get(text);
    if (strncmp(table->output, line, strlen(line)) != 0)
        fprintf(stderr, "%s: %.20s\n", path, table->output);
    assert_memory_equal(table->output, line, strlen(line));
    free(table);
}

/* The entity-tag of a.txt, quotes included. */
static const char *etag(void)
{
    static char value[64];
    struct table *table = get("HEAD /files/a.txt HTTP/1.1\r\n" HOST END);
    char *begin = strstr(table->output, "ETag: ");

    assert_non_null(begin);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(begin + 6, "\r"), begin + 6);
    free(table);
    return value;
}

static char *head_of(const char *status, const char *size, const char *more, const char *body)
{
    static char text[1024];

    snprintf(text, sizeof(text),
             "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %s\r\n"
             "ETag: %s\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n"
             "%s\r\n%s",
             status, size, etag(), more, body);
    return text;
}

static void files_are_sent(void **state)
{
    struct table *table;

    (void)state;
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST END, head_of("200 OK", "10", "", "0123456789"));
    expect("GET /one HTTP/1.1\r\n" HOST END, head_of("200 OK", "10", "", "0123456789"));
    expect("HEAD /files/a.txt HTTP/1.1\r\n" HOST END, head_of("200 OK", "10", "", ""));
    table = get("GET /files/large HTTP/1.1\r\n" HOST END);
    assert_true(table->received > sizeof(large));
    assert_memory_equal(table->output + table->received - sizeof(large), large, sizeof(large));
    free(table);
    expect_status("/files/nothing.css", 200);
    expect_status("/files/a%20b.html", 200);
    expect_status("/files/sub/", 200);
}

static void what_is_not_there_is_not_found(void **state)
{
    static const char *const paths[] = {
        "/files/",
        "/files/b.txt",
        "/files/empty/",
        "/files/pipe",
        "/files/.secret",
        "/files/.hidden/x",
        "/files/a.txt/",
        "/files/a.txt/x",
        "/files/%2e%2e/x",
        "/files/../x",
        "/files/%2fetc/passwd",
        "/files//etc/passwd",
        "/files/sub/..%2f..%2fetc/passwd",
        "/files/%2esecret",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect_status(paths[i], 404);
    expect_status("/files/a.txt%00.html", 400);
    expect_status("/files/../../../../../../../../../etc/passwd", 404);
}

static void a_directory_needs_its_slash(void **state)
{
    (void)state;
    expect("GET /files/sub?a=b HTTP/1.1\r\n" HOST END,
           "HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 22\r\nLocation: /files/sub/?a=b\r\n\r\n301 Moved Permanently\n");
}

static void ranges_are_honoured(void **state)
{
    (void)state;
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=2-4\r\n" END,
           head_of("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "234"));
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=-3\r\n" END,
           head_of("206 Partial Content", "3", "Content-Range: bytes 7-9/10\r\n", "789"));
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=8-99\r\n" END,
           head_of("206 Partial Content", "2", "Content-Range: bytes 8-9/10\r\n", "89"));
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=1-2,4-5\r\n" END,
           head_of("200 OK", "10", "", "0123456789"));
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=10-\r\n" END,
           "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 26\r\nContent-Range: bytes */10\r\n\r\n416 Range Not Satisfiable\n");
}

static void conditions_are_honoured(void **state)
{
    char text[512], expected[512];

    (void)state;
    snprintf(text, sizeof(text), "GET /files/a.txt HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n" END,
             etag());
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 304 Not Modified\r\nETag: %s\r\n"
             "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n\r\n",
             etag());
    expect(text, expected);
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST
           "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" END,
           expected);
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "If-None-Match: \"x\"\r\n" END,
           head_of("200 OK", "10", "", "0123456789"));
    expect("GET /files/a.txt HTTP/1.1\r\n" HOST "If-Match: \"x\"\r\n" END,
           "HTTP/1.1 412 Precondition Failed\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 24\r\n\r\n412 Precondition Failed\n");
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    jg_app *app;

    (void)state;
    assert_int_equal(jg_app_new(NULL, &app), 0);
    assert_int_equal(jg_app_static(app, "/files", "/nowhere/at/all"), -ENOENT);
    assert_int_equal(jg_app_static(app, "files", "/"), -EINVAL);
    jg_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_sent),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_directory_needs_its_slash),
        cmocka_unit_test(ranges_are_honoured),
        cmocka_unit_test(conditions_are_honoured),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
