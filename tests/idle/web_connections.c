/* SPDX-License-Identifier: MIT
 *
 * web_connections COUNT: what a web server pays for keep-alive connections that are idle, in bytes of
 * resident memory for each; half as many as descriptors are allowed if COUNT is more.
 *
 * Each connection had its request answered. Prints a line bench=… and ends with 1 if it is more than
 * promised.
 */
#include <juggle.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTION_BYTES = 1024, WARM_UP = 100, OTHERS = 50 };

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static long resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    check(file && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm cannot be read");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static long allowed(void)
{
    struct rlimit limit;

    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "there is no limit of descriptors");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit of descriptors cannot be raised");
    return limit.rlim_cur > 1000000 ? 500000 : (long)limit.rlim_cur / 2 - OTHERS;
}

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "Hello, World!", 13);
}

/* Connect, ask, and have the answer. */
static void connect_one(jg_loop *loop, jg_http_server *server)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char answer[1000];
    int fds[2];
    ssize_t n;

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "there are too few descriptors");
    check(jg_http_serve_fd(server, fds[0], NULL) == 0, "a connection cannot be served");
    n = send(fds[1], request, sizeof(request) - 1, 0);
    check(n == sizeof(request) - 1, "the request cannot be sent");
    do {
        check(jg_loop_run_once(loop, JG_FOREVER) >= 0, "the loop fails");
        n = recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT);
    } while (n < 0 && errno == EAGAIN);
    check(n > 15 && memcmp(answer, "HTTP/1.1 200 OK", 15) == 0, "another answer came");
}

int main(int argc, char **argv)
{
    const long most = allowed();
    long count = argc > 1 ? atol(argv[1]) : 10000, before, each;
    jg_http_server server;
    jg_loop *loop;

    if (count + WARM_UP > most)
        count = most - WARM_UP;
    check(count >= 100, "that is not enough");
    check(jg_loop_new(NULL, &loop) == 0, "there is no loop");
    check(jg_http_server_open(&server, loop, hello, NULL, NULL) == 0, "there is no server");
    for (long i = 0; i < WARM_UP; i++)
        connect_one(loop, &server);
    before = resident();
    for (long i = 0; i < count; i++)
        connect_one(loop, &server);
    each = (resident() - before) / count;
    check(jg_http_server_connections(&server) == (size_t)(WARM_UP + count),
          "some connections were closed");
    printf("bench=idle_http_connections lib=juggle n=%ld value=%ld unit=bytes\n", count, each);
    check(each <= CONNECTION_BYTES, "that is too much");
    return 0;
}
