/* SPDX-License-Identifier: MIT
 *
 * The program around an application: it listens, serves until a signal comes, and ends in order.
 *
 * With workers the parent binds the address first, so that the port is one and known, but does not
 * listen; each worker binds it as well and gets its share of the connections.
 */
#include "http/app.h"

#include "http/access_log.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/endpoint.h"
#include "platform/prefork.h"

#include <juggle/net.h>

#include <errno.h>
#include <stdio.h>

#define GRACE (60 * JG_SECOND)

struct program {
    jg_app *app;
    const jg_run_app_options *options;
    jg_address address;
    bool announces;
    jg_http_server server;
    jg_listener listener;
    jg_signal signals[2];
    jg_future stop;
    jg_op closed;
};

static void on_done(void *arg, jg_http_request *request)
{
    char line[JG__ACCESS_LINE];
    size_t size = jg__access_line(request, jg__wall_clock() / JG_SECOND, line);

    (void)arg;
    /* Nothing can be done about a log that cannot be written. */
    (void)fwrite(line, 1, size, stdout);
    (void)fflush(stdout);
}

/* ---------------------------------------------------------------- listening */

/* Tell people, and scripts, that there is somebody to connect to, and where. */
static void announce(const jg_listener *listener)
{
    char text[JG_ADDRESS_TEXT];
    jg_address address;

    if (jg_listener_address(listener, &address) < 0 ||
        jg_address_format(&address, text, sizeof(text)) < 0)
        return;
    printf(jg_address_family(&address) == JG_UNIX ? "listening on %s\n"
                                                  : "listening on http://%s/\n",
           text);
    (void)fflush(stdout); /* whoever does not hear it will miss it */
}

static int start_listening(struct program *program, jg_loop *loop)
{
    const jg_listen_options options = {
        .backlog = program->options->backlog,
        .reuse_port = program->options->workers > 1,
    };
    int r = jg_listen(&program->listener, loop, &program->address, &options);

    if (r == 0)
        r = jg_listener_start(&program->listener, jg_http_serve_fd, &program->server);
    if (r == 0 && program->announces)
        announce(&program->listener);
    return r;
}

/* ---------------------------------------------------------------- signals */

/* The first asks to end, the second not to wait for what is under way. */
static void on_signal(void *arg, int signo)
{
    struct program *program = arg;

    (void)signo;
    if (jg_future_set(&program->stop, 0) == -EALREADY)
        jg_op_cancel(&program->closed);
}

static int start_signals(struct program *program, jg_loop *loop)
{
    const int signos[2] = {jg__signal_interrupt, jg__signal_terminate};
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++)
        r = jg_signal_start(loop, &program->signals[i], signos[i]);
    return r;
}

/* ---------------------------------------------------------------- serving */

static int close_now(void *arg)
{
    struct program *program = arg;

    return jg_http_server_close(&program->server, 0);
}

/* Let what is under way end, tell the application, and wait for both. */
static void close_server(struct program *program)
{
    const jg_time grace = program->options->grace;

    jg_op_self(&program->closed);
    if (jg_http_server_close_start(&program->server, grace != 0 ? grace : GRACE,
                                   &program->closed) == 0) {
        jg_app_shutdown(program->app);
        (void)jg_await(&program->closed); /* whoever was cut is not known by now */
    } else {
        jg_app_shutdown(program->app);
        (void)jg_shield(close_now, program);
    }
}

static int serve(void *arg)
{
    struct program *program = arg;
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_http_server_options options = program->options->server;
    int r = jg_app_start(program->app);

    if (r < 0)
        return r;

    if (program->options->access_log)
        options.on_done = on_done;
    r = jg_http_server_open(&program->server, loop, jg_app_handle, program->app, &options);
    if (r == 0) {
        r = start_signals(program, loop);
        if (r == 0)
            r = start_listening(program, loop);
        if (r == 0)
            r = jg_future_wait(&program->stop);
        jg_listener_close(&program->listener);
        close_server(program);
        for (int i = 0; i < 2; i++)
            jg_signal_stop(&program->signals[i]);
    }
    jg_app_stop(program->app);
    return r == -ECANCELED ? 0 : r;
}

static int run(jg_app *app, const jg_address *address, bool announces,
               const jg_run_app_options *options)
{
    struct program program = {
        .app = app,
        .options = options,
        .address = *address,
        .announces = announces,
    };

    for (int i = 0; i < 2; i++)
        jg_signal_init(&program.signals[i], on_signal, &program);
    return jg_run(serve, &program, &(jg_run_options){.no_signals = true, .loop = &options->loop});
}

/* Hold the address without listening, and learn which port that is. Returns a descriptor or an
   error. */
static int hold(jg_address *address)
{
    int fd = jg__endpoint_open(jg_address_family(address), false), r;

    if (fd < 0)
        return fd;
    r = jg__endpoint_reuse_address(fd);
    if (r == 0)
        r = jg__endpoint_reuse_port(fd);
    if (r == 0)
        r = jg__endpoint_bind(fd, address);
    if (r == 0)
        r = jg__endpoint_local(fd, address);
    if (r < 0)
        (void)jg__fd_close(fd);
    return r < 0 ? r : fd;
}

static int run_workers(jg_app *app, jg_address *address, const jg_run_app_options *options)
{
    int fd = hold(address), which, r;

    if (fd < 0)
        return fd;
    which = jg__prefork(options->workers);
    (void)jg__fd_close(fd);
    if (which <= 0)
        return which;

    r = run(app, address, which == JG__WORKER_FIRST && !options->quiet, options);
    if (r < 0 && which == JG__WORKER_AGAIN && options->loop.on_error)
        options->loop.on_error(options->loop.on_error_arg, r, "a worker that was started again");
    jg__prefork_exit(r);
}

int jg_run_app(jg_app *app, const char *address, const jg_run_app_options *options)
{
    static const jg_run_app_options defaults = {0};
    jg_address parsed;
    int r = jg_address_parse(address, &parsed);

    if (r < 0)
        return r;
    if (!options)
        options = &defaults;
    if (options->workers > 1)
        return run_workers(app, &parsed, options);
    return run(app, &parsed, !options->quiet, options);
}
