/* SPDX-License-Identifier: MIT
 *
 * Files as answers.
 */
#include "http_table.h"

#include "core/loop.h"
#include "io/stream.h"
#include "platform/served.h"
#include "platform/socket.h"

#include <juggle/executor.h>
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

static char large[600001];

enum { HUGE = 900000 }; /* bytes, more than what may be under way */

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
    write_file("16383", large, 16383);
    write_file("16384", large, 16384);
    write_file("16385", large, 16385);
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

static int reports;

static void on_report(void *arg, int error, const char *what)
{
    (void)arg;
    (void)what;
    test_check(error == -EIO);
    reports++;
}

static bool at_root; /* the directory is served at "/", too */

static jg_app *make_app(void)
{
    static char one[128];
    jg_app *app;

    assert_int_equal(jg_app_new(NULL, &app), 0);
    snprintf(one, sizeof(one), "%s/a.txt", directory);
    assert_int_equal(jg_app_route(app, "GET POST", "/one", send_one, one), 0);
    assert_int_equal(jg_app_static(app, "/files", directory), 0);
    if (at_root)
        assert_int_equal(jg_app_static(app, "/", directory), 0);
    return app;
}

static struct table *table_of(const char *text)
{
    struct table *table = table_new(jg_app_handle, NULL);

    reports = 0;
    table->world.loop->on_error = on_report;
    table->text = text;
    return table;
}

static void run(struct table *table)
{
    jg_app *app = make_app();
    const int descriptors = test_open_descriptors();

    table->server.arg = app;
    table_run(table);
    assert_true(test_open_descriptors() <= descriptors);
    jg_app_free(app);
}

static struct table *get(const char *text)
{
    struct table *table = table_of(text);

    run(table);
    assert_int_equal(reports, 0);
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
    expect("POST /one HTTP/1.1\r\n" HOST "Range: bytes=2-4\r\n" END,
           head_of("200 OK", "10", "", "0123456789"));
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

/* Browsers take "//name" and "/\name" for the name of a host. */
static void a_slash_that_is_added_leads_to_no_other_server(void **state)
{
    (void)state;
    at_root = true;
    expect_status("/sub", 301);
    expect_status("//example.org/../sub", 404);
    expect_status("/\\example.org/../sub", 404);
    at_root = false;
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

/* ---------------------------------------------------------------- ways to send */

/* Have the system forget what is in a file, as far as it does. */
static void cool(const char *name)
{
#ifdef POSIX_FADV_DONTNEED
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
#else
    (void)name;
#endif
}

static bool was_asked_to_send; /* the stream, from a file */

static void on_done(void *arg, jg_http_request *request)
{
    (void)arg;
    was_asked_to_send = jg_http_request_stream(request)->flags & JG__STREAM_SET;
}

static void files_of_all_sizes_go_over_all_streams(void **state)
{
    static const struct {
        const char *name;
        size_t size;
        bool direct; /* over a socket */
    } files[] = {
        {"nothing.css", 0, false}, {"16383", 16383, false},        {"16384", 16384, false},
        {"16385", 16385, true},    {"large", sizeof(large), true},
    };
    char text[200];

    (void)state;
    for (int i = 0; i < 15; i++) {
        const size_t size = files[i / 3].size;
        struct table *table = table_of(text);

        snprintf(text, sizeof(text), "GET /files/%s HTTP/1.1\r\n" HOST END, files[i / 3].name);
        table->sockets = i % 3 > 0;
        if (i % 3 == 2)
            cool(files[i / 3].name);
        table->server.options.on_done = on_done;
        run(table);
        assert_int_equal(table->end, 0);
        assert_true(table->received > size);
        assert_memory_equal(table->output + table->received - size, large, size);
        assert_memory_equal(table->output + table->received - size - 4, "\r\n\r\n", 4);
        assert_int_equal(was_asked_to_send,
                         jg__socket_sends_files && table->sockets && files[i / 3].direct);
        free(table);
    }
}

static void parts_of_files_go_over_all_streams_in_turn(void **state)
{
    static const char text[] =
        "GET /files/large HTTP/1.1\r\n" HOST "Range: bytes=1000-550999\r\n" END
        "GET /files/large HTTP/1.1\r\n" HOST "Range: bytes=-3\r\n" END
        "GET /files/16384 HTTP/1.1\r\n" HOST "Range: bytes=100-102\r\n" END;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_of(text);
        char *at;

        table->sockets = i;
        run(table);
        at = strstr(table->output, "\r\n\r\n");
        assert_non_null(at);
        assert_memory_equal(at + 4, large + 1000, 550000);
        assert_memory_equal(at + 4 + 550000, "HTTP/1.1 206 ", 13);
        at = strstr(at + 4 + 550000, "\r\n\r\n");
        assert_non_null(at);
        assert_memory_equal(at + 4, large + sizeof(large) - 3, 3);
        assert_memory_equal(at + 7, "HTTP/1.1 206 ", 13);
        assert_memory_equal(table->output + table->received - 3, large + 100, 3);
        free(table);
    }
}

static void make_huge(void)
{
    char *data = calloc(1, HUGE);

    assert_non_null(data);
    write_file("huge", data, HUGE);
    free(data);
}

static void cut_huge(struct table *table)
{
    char path[128];

    (void)table;
    snprintf(path, sizeof(path), "%s/huge", directory);
    test_check(truncate(path, 1) == 0);
}

static void a_file_that_is_cut_while_it_is_sent_cuts_the_connection(void **state)
{
    static const char text[] =
        "GET /files/huge HTTP/1.1\r\n" HOST END "GET /one HTTP/1.1\r\n" HOST END;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_of(text);

        make_huge();
        table->sockets = i;
        table->keep_open = true;
        table->on_bytes = cut_huge;
        run(table);
        assert_non_null(strstr(table->output, "\r\nContent-Length: 900000\r\n"));
        assert_true(table->received < HUGE);
        assert_int_equal(reports, 1);
        free(table);
    }
}

static void a_slow_client_gets_its_file(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_of("GET /files/huge HTTP/1.1\r\n" HOST END);

        make_huge();
        table->sockets = i;
        table->most = 100000;
        table->rest = 15 * JG_SECOND; /* 9 of them; the limit is 60 s without progress */
        run(table);
        assert_int_equal(table->end, 0);
        assert_true(table->received > HUGE);
        free(table);
    }
}

/* Read no more as long as the connection is there. */
static void go_deaf(struct table *table)
{
    while (table->closed == 0)
        test_check(jg_sleep(100 * JG_SECOND) == 0);
}

static void a_client_that_takes_no_more_of_a_file_is_cut(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_of("GET /files/huge HTTP/1.1\r\n" HOST END);

        make_huge();
        table->sockets = i;
        table->keep_open = true;
        table->on_bytes = go_deaf;
        run(table);
        assert_true(table->received < HUGE);
        assert_int_equal(reports, 0); /* it is nobody's fault here */
        free(table);
    }
}

static int close_soon(void *arg)
{
    struct table *table = arg;

    test_check(jg_sleep(10 * JG_SECOND) == 0);
    test_check(jg_http_server_close(&table->server, JG_SECOND) == -ETIMEDOUT);
    return 0;
}

static void a_server_that_closes_cuts_what_it_sends(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct table *table = table_of("GET /files/huge HTTP/1.1\r\n" HOST END);

        make_huge();
        table->sockets = i;
        table->keep_open = true;
        table->on_bytes = go_deaf;
        assert_int_equal(jg_spawn(&table->world.root, close_soon, table, NULL), 0);
        run(table);
        assert_true(table->received < HUGE);
        assert_int_equal(reports, 0);
        free(table);
    }
}

/* ---------------------------------------------------------------- slow disks */

enum { THREADS = 16 };

struct disk {
    struct table *table;
    const char *path;      /* what is asked for */
    bool at_once;          /* it came, although no thread could read it */
    jg_stream ours, other; /* another connection */
    int ends[2];           /* of a pipe that all threads of the executor read from */
};

static int wait_for_disk(void *arg)
{
    const struct disk *disk = arg;
    char byte;

    return (int)read(disk->ends[0], &byte, 1);
}

static int ask_both(void *arg)
{
    static const char none[] = "GET /nothing HTTP/1.1\r\n" HOST END;
    struct disk *disk = arg;
    struct table *table = disk->table;
    jg_executor_job jobs[THREADS];
    jg_op ops[THREADS];
    char answer[1000], text[200];

    snprintf(text, sizeof(text), "GET /files/%s HTTP/1.1\r\n" HOST END, disk->path);
    for (int i = 0; i < THREADS; i++) {
        jg_op_self(&ops[i]);
        test_check(jg_executor_run_start(NULL, &jobs[i], wait_for_disk, disk, NULL, &ops[i]) == 0);
    }
    test_check(jg_stream_write(&table->client, text, strlen(text)) == 0);
    test_check(jg_sleep(JG_MILLISECOND) == 0); /* it is asked for by now */
    test_check(jg_stream_write(&disk->other, none, sizeof(none) - 1) == 0);
    test_check(jg_stream_read(&disk->other, answer, sizeof(answer)) > 0);
    test_check(memcmp(answer, "HTTP/1.1 404 ", 13) == 0);
    disk->at_once = jg_stream_bytes_out(&table->ours) > 0;

    test_check(write(disk->ends[1], answer, THREADS) == THREADS);
    for (int i = 0; i < THREADS; i++)
        test_check(jg_await(&ops[i]) == 1);
    test_check(jg_stream_read(&table->client, answer, sizeof(answer)) > 0);
    test_check(memcmp(answer, "HTTP/1.1 200 ", 13) == 0);
    jg_stream_abort(&table->client);
    jg_stream_abort(&disk->other);
    return jg_http_server_close(&table->server, JG_FOREVER);
}

/* Returns whether a file is sent while no thread can read it, and somebody else is answered. */
static bool comes_at_once(const char *path)
{
    struct table *table = table_of("");
    struct disk disk = {.table = table, .path = path};
    jg_app *app = make_app();

    assert_int_equal(pipe(disk.ends), 0);
    table->server.arg = app;
    table_connect(table);
    assert_int_equal(jg_http_serve(&table->server, &table->ours, NULL, NULL), 0);
    assert_int_equal(jg_test_pair(table->world.loop, &disk.ours, &disk.other, NULL), 0);
    assert_int_equal(jg_http_serve(&table->server, &disk.ours, NULL, NULL), 0);
    assert_int_equal(jg_spawn(&table->world.root, ask_both, &disk, NULL), 0);
    world_done(&table->world);
    assert_int_equal(table->world.result, 0);
    close(disk.ends[0]);
    close(disk.ends[1]);
    jg_app_free(app);
    free(table);
    return disk.at_once;
}

static void a_slow_disk_holds_up_nobody_else(void **state)
{
    bool at_once = true;

    (void)state;
    for (int tries = 0; at_once && tries < 100; tries++) {
        cool("16384");
        at_once = comes_at_once("16384");
    }
    assert_false(at_once);
}

static void what_is_in_memory_waits_for_no_disk(void **state)
{
    const char *name = "16384";
    jg__served file;
    char path[128], byte;
    bool at_once = false;

    (void)state;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    free(get("GET /files/16384 HTTP/1.1\r\n" HOST END));
    if (jg__served_open(-1, path, true, &file) < 0)
        skip(); /* there is no telling on this system */
    at_once = jg__served_read(file.fd, &byte, 1, 0, true) == 1;
    close(file.fd);
    if (!at_once)
        skip(); /* nor on this file system */

    at_once = false;
    for (int tries = 0; !at_once && tries < 100; tries++)
        at_once = comes_at_once(name);
    assert_true(at_once);
}

static void of_the_end_only_a_read_that_may_wait_is_sure(void **state)
{
    jg__served file;
    char path[128], byte;

    (void)state;
    snprintf(path, sizeof(path), "%s/16384", directory);
    assert_int_equal(jg__served_open(-1, path, false, &file), 0);
    assert_int_equal(jg__served_read(file.fd, &byte, 1, 16384, true), -EAGAIN);
    assert_int_equal(jg__served_read(file.fd, &byte, 1, 16384, false), 0);
    close(file.fd);
}

static void memory_that_fails_anywhere_leaves_no_descriptor(void **state)
{
    bool failed = true;

    (void)state;
    for (long fail = 1; failed; fail++) {
        const int descriptors = test_open_descriptors();
        struct table *table = table_new(jg_app_handle, NULL);
        struct test_memory *memory = test_loop_memory(table->world.loop);
        jg_app *app = make_app();

        table->world.loop->on_error = NULL;
        table->server.arg = app;
        table->text =
            "GET /files/a.txt HTTP/1.1\r\n" HOST END "GET /files/large HTTP/1.1\r\n" HOST END;
        table_connect(table);
        assert_int_equal(jg_spawn(&table->world.root, table_main, table, NULL), 0);
        memory->fail_at = memory->calls + fail;
        if (jg_http_serve(&table->server, &table->ours, table_on_closed, table) < 0)
            jg_stream_abort(&table->ours);
        table->close_status = 1;
        while (table->close_status == 1)
            (void)jg_loop_run_once(table->world.loop, JG_FOREVER);
        failed = memory->calls >= memory->fail_at;
        world_done(&table->world);
        jg_app_free(app);
        assert_true(test_open_descriptors() <= descriptors);
        if (!failed)
            assert_true(table->received > sizeof(large));
        free(table);
    }
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
        cmocka_unit_test(a_slash_that_is_added_leads_to_no_other_server),
        cmocka_unit_test(ranges_are_honoured),
        cmocka_unit_test(conditions_are_honoured),
        cmocka_unit_test(files_of_all_sizes_go_over_all_streams),
        cmocka_unit_test(parts_of_files_go_over_all_streams_in_turn),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_sent_cuts_the_connection),
        cmocka_unit_test(a_slow_client_gets_its_file),
        cmocka_unit_test(a_client_that_takes_no_more_of_a_file_is_cut),
        cmocka_unit_test(a_server_that_closes_cuts_what_it_sends),
        cmocka_unit_test(a_slow_disk_holds_up_nobody_else),
        cmocka_unit_test(what_is_in_memory_waits_for_no_disk),
        cmocka_unit_test(of_the_end_only_a_read_that_may_wait_is_sure),
        cmocka_unit_test(memory_that_fails_anywhere_leaves_no_descriptor),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
