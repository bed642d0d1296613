/* SPDX-License-Identifier: MIT
 *
 * What the servers share: the address on the command line, listening there, and how they run.
 */
#ifndef JUGGLE_EXAMPLES_SERVER_H
#define JUGGLE_EXAMPLES_SERVER_H

#include "common.h"

#include <string.h>
#include <sys/resource.h>

/*
 * The address that "[HOST:]PORT" means, HOST being 127.0.0.1 if it is not there. If it means none,
 * the program ends with status 2.
 */
static inline jg_address parse_address(char **argv, const char *argument, const char *usage)
{
    char text[JG_ADDRESS_TEXT] = "";
    bool is_port = argument && strspn(argument, "0123456789") == strlen(argument);
    jg_address address;

    if (argument && strlen(argument) < 100)
        snprintf(text, sizeof text, "%s%s", is_port ? "127.0.0.1:" : "", argument);
    if (jg_address_parse(text, &address) < 0) {
        fprintf(stderr, "usage: %s %s\n", argv[0], usage);
        exit(2);
    }
    return address;
}

/* The address in the only argument. */
static inline jg_address only_address(char **argv)
{
    return parse_address(argv, argv[1] && !argv[2] ? argv[1] : NULL, "[HOST:]PORT");
}

/* Port 0 picks a free one, which is why a server tells where it listens. */
static inline void print_listening(const jg_address *address)
{
    char text[JG_ADDRESS_TEXT];

    check(jg_address_format(address, text, sizeof text), "address");
    printf("listening on %s\n", text);
    check_errno(fflush(stdout), "stdout");
}

static inline void listen_on(jg_listener *listener, jg_loop *loop, const jg_address *address)
{
    jg_address bound;

    check(jg_listen(listener, loop, address, NULL), "listen");
    check(jg_listener_address(listener, &bound), "address");
    print_listening(&bound);
}

/* The number of descriptors is limited to 1024, as a rule, until a program asks for more. */
static inline void raise_limit(void)
{
    struct rlimit limit;

    check_errno(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* with fewer there are fewer clients, that is all */
}

/* A jg_error_fn: what no return value can tell. */
static inline void print_error(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", what, jg_strerror(error));
}

/* Run a server's main coroutine until SIGINT or SIGTERM ends it. */
static inline int run_server(jg_coro_fn fn, void *arg)
{
    int r;

    raise_limit();
    r = jg_run(fn, arg, &(jg_run_options){.loop = &(jg_loop_options){.on_error = print_error}});
    return r == -ECANCELED ? 0 : check(r, "server") < 0;
}

#endif
