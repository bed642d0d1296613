/* SPDX-License-Identifier: MIT
 *
 * The program around an application: it listens, serves until a signal comes, and ends in order.
 *
 * With workers the parent binds the address first, so that the port is one and known, but does not
 * listen; each worker binds it as well and gets its share of the connections.
 */
#include "http/app.h"

#include "http/access_log.h"
#include "platform/bind.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/prefork.h"

#include <errno.h>
#include <stdio.h>

#define GRACE        (60 * JG_SECOND)
#define BACKLOG      1024
#define ACCEPTS      64                     /* connections accepted in a turn */
#define ACCEPT_PAUSE (100 * JG_MILLISECOND) /* without descriptors to accept with */

struct program {
    jg_app *app;
    const jg_run_app_options *options;
    int fd; /* that is bound; -1 once it is the listener's */
    bool announces;
    jg_http_server server;
    jg_watcher listener;
    jg_timer pause;
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

static void on_connection(void *arg, int events)
{
    struct program *program = arg;
    jg_loop *loop = program->server.loop;

    if (events < 0) {
        jg__loop_error(loop, events, "the listening socket of an application failed");
        (void)jg_future_set(&program->stop, events);
        return;
    }
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = jg__bind_accept(program->listener.handle.number);

        if (fd == -EAGAIN)
            return;
        if (fd < 0) {
            jg__loop_error(loop, fd, "a connection could not be accepted");
            (void)jg_watcher_modify(&program->listener, 0); /* fewer events cannot fail */
            jg_call_later(loop, &program->pause, ACCEPT_PAUSE);
            return;
        }
        if (jg_http_serve_fd(&program->server, fd) < 0)
            (void)jg__fd_close(fd);
    }
}

static void on_pause_over(void *arg)
{
    struct program *program = arg;
    int r = jg_watcher_modify(&program->listener, JG_READ);

    if (r < 0)
        on_connection(program, r);
}

/* Tell people, and scripts, that there is somebody to connect to, and where. */
static void announce(int fd)
{
    char text[JG_ADDRESS_TEXT];
    jg_address address;

    if (jg__bind_own(fd, &address) < 0 || jg_address_format(&address, text, sizeof(text)) < 0)
        return;
    printf(jg_address_family(&address) == JG_UNIX ? "listening on %s\n"
                                                  : "listening on http://%s/\n",
           text);
    (void)fflush(stdout); /* whoever does not hear it will miss it */
}

static int start_listening(struct program *program, jg_loop *loop)
{
    const int backlog = program->options->backlog;
    int r = jg__bind_listen(program->fd, backlog > 0 ? backlog : BACKLOG);

    if (r < 0)
        return r;
    r = jg_watcher_start(loop, &program->listener, program->fd, JG_READ);
    if (r < 0)
        return r;
    if (program->announces)
        announce(program->fd);
    program->fd = -1;
    return 0;
}

static void stop_listening(struct program *program)
{
    jg_timer_stop(&program->pause);
    if (jg_handle_started(&program->listener.handle))
        (void)jg_watcher_close(&program->listener); /* whatever it returns, it is gone */
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
        stop_listening(program);
        close_server(program);
        for (int i = 0; i < 2; i++)
            jg_signal_stop(&program->signals[i]);
    }
    jg_app_stop(program->app);
    return r == -ECANCELED ? 0 : r;
}

static int run(jg_app *app, int fd, bool announces, const jg_run_app_options *options)
{
    struct program program = {.app = app, .options = options, .fd = fd, .announces = announces};
    int r;

    jg_watcher_init(&program.listener, on_connection, &program);
    jg_timer_init(&program.pause, on_pause_over, &program);
    for (int i = 0; i < 2; i++)
        jg_signal_init(&program.signals[i], on_signal, &program);
    r = jg_run(serve, &program, &(jg_run_options){.no_signals = true, .loop = &options->loop});
    if (program.fd >= 0)
        (void)jg__fd_close(program.fd);
    return r;
}

static int run_workers(jg_app *app, int fd, const jg_run_app_options *options)
{
    jg_address address;
    int place, own, r = jg__bind_own(fd, &address);

    place = r < 0 ? r : jg__prefork(options->workers);
    (void)jg__fd_close(fd);
    if (place <= 0)
        return place;
    own = jg__bind(&address, true);
    jg__prefork_exit(own < 0 ? own : run(app, own, place == 1 && !options->quiet, options));
}

int jg_run_app(jg_app *app, const char *address, const jg_run_app_options *options)
{
    static const jg_run_app_options defaults = {0};
    jg_address parsed;
    int fd, r = jg_address_parse(address, &parsed);

    if (!options)
        options = &defaults;
    if (r < 0)
        return r;
    fd = jg__bind(&parsed, options->workers > 1);
    if (fd < 0)
        return fd;
    if (options->workers > 1)
        return run_workers(app, fd, options);
    return run(app, fd, !options->quiet, options);
}
