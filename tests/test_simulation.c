/* SPDX-License-Identifier: MIT
 *
 * A simulated service: clients send jobs and echoes by lines over connections in memory, sessions
 * put the jobs into a queue, workers do them, and anybody may be cancelled, be slow or lose the
 * connection. See simulation.h.
 *
 * Whatever happens: a job that was accepted is done once or told of as dropped, one that was not is
 * not done; no request is answered twice, and all that came over an undisturbed connection are
 * answered; every scope is joined, and nothing is left.
 */
#include "simulation.h"

enum { CLIENTS = 6, REQUESTS = 8, JOBS = CLIENTS * REQUESTS, WORKERS = 3, MOST_ECHO = 300 };

struct world;

struct job {
    struct connection *connection;
    int number; /* of the request */
    jg_time work;
    int accepted, done, dropped;
    jg_future finished;
};

struct request {
    bool is_echo;
    size_t size; /* of an echo */
    jg_time work;
    int sent, answered;
};

struct connection {
    struct world *world;
    int number;
    bool disturbed; /* something happened to it, so that requests may be lost */
    bool opened;
    jg_stream client, server;
    jg_lock writing; /* of answers */
    jg_scope *session;
    int count;
    struct request requests[REQUESTS];
};

/* A worker that is a task of steps. */
struct stepper {
    struct world *world;
    jg_task task;
    jg_sleeper sleeper;
    struct job *job; /* that it does */
    bool waits;      /* for a job */
};

struct world {
    struct simulation *sim;
    jg_queue accept, jobs;
    jg_semaphore permits;
    jg_scope *sessions;
    jg_timer heart;
    jg_time beat;
    int connection_count, job_count;
    struct connection connections[CLIENTS];
    struct job job_list[JOBS];
    struct stepper stepper;
};

static void note(struct connection *connection, const char *what, int status)
{
    simulation_note(connection->world->sim, what, connection->number, status);
}

static unsigned chosen(struct connection *connection, unsigned below)
{
    return simulation_random(connection->world->sim, below);
}

static char payload_byte(int number, size_t at)
{
    return (char)('a' + ((size_t)number * 7 + at * 11) % 26);
}

/* Read a line in one of the ways there are; without its end, as a string. Returns its length and
   one, 0 at the end of file, or an error. */
static int read_line(struct connection *connection, jg_stream *stream, char *line, size_t size)
{
    const void *data;
    const char *end = NULL;
    size_t least = 1;
    int r = 1;

    switch (chosen(connection, 3)) {
    case 0:
        r = jg_stream_read_line(stream, line, size);
        break;
    case 1:
        r = jg_stream_read_until(stream, "\n", 1, line, size);
        break;
    default:
        while (!end && r > 0) {
            r = jg_stream_peek(stream, least, &data);
            if (r < (int)least)
                return r < 0 ? r : 0;
            end = memchr(data, '\n', (size_t)r);
            least = (size_t)r + 1;
        }
        if (r < 0)
            return r;
        r = (int)(end - (const char *)data) + 1;
        test_check((size_t)r <= size);
        memcpy(line, data, (size_t)r);
        jg_stream_consume(stream, (size_t)r);
    }
    if (r > 0) {
        if (line[r - 1] != '\n') /* cut short */
            return 0;
        line[r - 1] = 0;
    }
    return r == JG_EINCOMPLETE ? 0 : r;
}

/* Read what is echoed, and look whether it is. */
static int read_payload(jg_stream *stream, int number, size_t size, char *payload)
{
    size_t count = 12345;
    int r = jg_stream_read_exactly(stream, payload, size, &count);

    test_check(r == 0 ? count == size : count < size || r == -ECANCELED);
    for (size_t i = 0; i < count; i++)
        test_check(payload[i] == payload_byte(number, i));
    return r;
}

static int send_with_payload(struct connection *connection, jg_stream *stream, const char *head,
                             int number, size_t size)
{
    char data[MOST_ECHO];
    const struct iovec pieces[] = {{(void *)(uintptr_t)head, strlen(head)}, {data, size}};
    size_t sent = 12345;
    int r;

    for (size_t i = 0; i < size; i++)
        data[i] = payload_byte(number, i);
    if (chosen(connection, 2)) {
        r = jg_stream_writev(stream, pieces, 2);
    } else {
        r = jg_stream_write(stream, head, strlen(head));
        if (r == 0)
            r = jg_stream_write_all(stream, data, size, &sent);
        test_check(r < 0 || sent == size);
    }
    return r == 0 ? jg_stream_drain(stream) : r;
}

/* ------------------------------------------------------------- workers */

static void finish(struct world *world, struct job *job, int status)
{
    simulation_note(world->sim, "finish", (int)(job - world->job_list), status);
    test_check(job->done == 0 && job->dropped == 0);
    job->done++;
    test_check(jg_future_set(&job->finished, status < 0 ? -EINTR : 0) == 0);
    test_check(jg_queue_task_done(&world->jobs) == 0);
}

static void drop_job(void *arg, void *item)
{
    struct world *world = arg;
    struct job *job;

    memcpy(&job, item, sizeof(job));
    simulation_note(world->sim, "drop", (int)(job - world->job_list), 0);
    test_check(job->done == 0 && job->dropped == 0);
    job->dropped++;
    test_check(jg_future_set(&job->finished, JG_ESHUTDOWN) == 0);
}

static int do_job(struct world *world, struct job *job)
{
    const enum planted planted = world->sim->planted;
    int r = jg_semaphore_acquire(&world->permits);

    if (r == 0) {
        r = jg_sleep(job->work);
        if (planted != PLANTED_WAIT || simulation_chance(world->sim, 2))
            jg_semaphore_release(&world->permits);
    }
    finish(world, job, r);
    if (planted == PLANTED_TWICE && simulation_chance(world->sim, 4))
        finish(world, job, r);
    return r;
}

static int work(void *arg)
{
    struct world *world = arg;
    struct job *job;
    int r;

    do {
        r = jg_queue_get(&world->jobs, &job);
        if (r == 0)
            r = do_job(world, job);
    } while (r == 0);
    return r == JG_ESHUTDOWN ? 1 : r;
}

static int step(jg_task *task, void *arg, int status)
{
    struct stepper *stepper = arg;
    struct world *world = stepper->world;
    int r;

    if (stepper->waits) {
        stepper->waits = false;
        if (status < 0)
            return status == JG_ESHUTDOWN ? 1 : status;
        r = jg_sleep_start(&stepper->sleeper, stepper->job->work, jg_task_op(task));
        if (r == 0)
            return JG_PENDING;
        finish(world, stepper->job, r);
        return r;
    }
    if (stepper->job)
        finish(world, stepper->job, status);
    stepper->job = NULL;
    r = jg_queue_get_start(&world->jobs, &stepper->job, jg_task_op(task));
    stepper->waits = r == 0;
    return r == 0 ? JG_PENDING : r;
}

static int work_in_steps(void *arg)
{
    struct world *world = arg;
    struct stepper *stepper = &world->stepper;
    int status = -ECANCELED;
    jg_scope scope;

    *stepper = (struct stepper){.world = world};
    jg_task_init(&stepper->task, "stepper", step, stepper);
    jg_scope_enter(&scope, &(jg_scope_options){.policy = JG_KEEP_GOING});
    (void)jg_task_spawn(&scope, &stepper->task, &status);
    (void)jg_scope_leave(&scope, 0);
    return status;
}

/* One who is cancelled has a successor, until there is nothing more to do. */
static int worker(struct world *world, jg_coro_fn fn)
{
    bool cut = false;

    while (simulation_exposed(world->sim, fn, world, NULL, &cut) != 1)
        (void)jg_sleep(0);
    return 0;
}

static int coroutine_worker(void *arg)
{
    return worker(arg, work);
}

static int step_worker(void *arg)
{
    return worker(arg, work_in_steps);
}

/* ------------------------------------------------------------ sessions */

static int answer(struct connection *connection, char kind, int number, int status, size_t size)
{
    char head[40];
    int r = jg_lock_acquire(&connection->writing);

    if (r < 0)
        return r;
    snprintf(head, sizeof(head), "%c %d %d\n", kind, number, kind == 'E' ? (int)size : status);
    r = send_with_payload(connection, &connection->server, head, number, size);
    jg_lock_release(&connection->writing);
    return r;
}

static int handle_job(void *arg)
{
    struct job *job = arg;
    struct connection *connection = job->connection;
    struct world *world = connection->world;
    int r = jg_queue_put(&world->jobs, &job);

    note(connection, "put", r);
    if (r == 0) {
        job->accepted++;
        r = jg_future_wait(&job->finished);
    }
    if (r == -ECANCELED)
        return r;
    test_check(r == 0 || r == -EINTR || r == JG_ESHUTDOWN);
    test_check(!world->sim->calm || r == 0);
    if (world->sim->planted == PLANTED_SILENCE && simulation_chance(world->sim, 4))
        return 0;
    return answer(connection, 'D', job->number, r, 0);
}

static int handle(struct connection *connection, jg_scope *scope, const char *line)
{
    struct world *world = connection->world;
    char payload[MOST_ECHO];
    int number, amount, r;
    struct job *job;

    if (sscanf(line + 1, "%d %d", &number, &amount) != 2)
        return -EPROTO;
    if (line[0] == 'E') {
        r = read_payload(&connection->server, number, (size_t)amount, payload);
        return r < 0 ? r : answer(connection, 'E', number, 0, (size_t)amount);
    }
    test_check(line[0] == 'J' && world->job_count < JOBS);
    job = &world->job_list[world->job_count++];
    *job = (struct job){.connection = connection, .number = number, .work = amount};
    return jg_spawn(scope, handle_job, job, &(jg_spawn_options){.name = "job"});
}

/* Take requests until the client has no more of them, and end when all are answered. */
static int converse(void *arg)
{
    struct connection *connection = arg;
    const bool hurry = !connection->world->sim->calm && chosen(connection, 4) == 0;
    const jg_time idle = (jg_time)chosen(connection, 100) * JG_MILLISECOND;
    jg_scope scope;
    char line[64];
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "requests"});
    do {
        if (hurry)
            jg_scope_reschedule(&scope, jg_loop_time(scope.loop) + idle);
        r = read_line(connection, &connection->server, line, sizeof(line));
        note(connection, "request", r);
        if (r > 0 && line[0] == 'Q')
            break;
        if (r > 0)
            r = handle(connection, &scope, line);
        else if (r == 0)
            break;
    } while (r == 0);
    r = jg_scope_leave(&scope, r < 0 ? r : 0);
    if (r < 0)
        connection->disturbed |= r == -ETIMEDOUT;
    return r;
}

static int session(void *arg)
{
    struct connection *connection = arg;
    struct simulation *sim = connection->world->sim;
    int r = simulation_exposed(sim, converse, connection, NULL, &connection->disturbed);

    note(connection, "session", r);
    test_check(r == 0 || connection->disturbed);
    if (sim->planted == PLANTED_LEAK && simulation_chance(sim, 4))
        return 0;
    if (connection->disturbed && chosen(connection, 2)) {
        jg_stream_abort(&connection->server);
    } else {
        r = jg_stream_close(&connection->server, 20 * JG_SECOND);
        test_check(r == 0 || connection->disturbed);
    }
    return 0;
}

static int accept_some(void *arg)
{
    struct world *world = arg;
    struct connection *connection;
    int r;

    while ((r = jg_queue_get(&world->accept, &connection)) == 0) {
        note(connection, "accept", 0);
        r = jg_spawn(world->sessions, session, connection, &(jg_spawn_options){.name = "session"});
        test_check(r == 0);
    }
    return r == JG_ESHUTDOWN ? 1 : r;
}

static int acceptor(void *arg)
{
    return worker(arg, accept_some);
}

/* ------------------------------------------------------------- clients */

static int send_requests(void *arg)
{
    struct connection *connection = arg;
    char head[40];
    int r = 0;

    for (int i = 0; i < connection->count && r == 0; i++) {
        struct request *request = &connection->requests[i];

        snprintf(head, sizeof(head), "%c %d %d\n", request->is_echo ? 'E' : 'J', i,
                 request->is_echo ? (int)request->size : (int)request->work);
        request->sent++;
        r = send_with_payload(connection, &connection->client, head, i, request->size);
        if (r == 0 && chosen(connection, 3) == 0)
            r = jg_sleep(simulation_span(connection->world->sim));
        note(connection, "sent", r);
    }
    if (r == 0 && chosen(connection, 2))
        r = jg_stream_shut(&connection->client);
    else if (r == 0)
        r = jg_stream_write(&connection->client, "Q\n", 2);
    return r;
}

static int receive_answers(void *arg)
{
    struct connection *connection = arg;
    const bool calm = connection->world->sim->calm;
    char line[64], payload[MOST_ECHO];
    int r;

    while ((r = read_line(connection, &connection->client, line, sizeof(line))) > 0) {
        int number = -1, amount = -1;
        struct request *request;

        test_check(sscanf(line + 1, "%d %d", &number, &amount) == 2);
        test_check(number >= 0 && number < connection->count);
        request = &connection->requests[number];
        test_check(request->sent == 1 && request->answered == 0);
        test_check(line[0] == (request->is_echo ? 'E' : 'D'));
        test_check(!calm || request->is_echo || amount == 0);
        if (request->is_echo) {
            test_check((size_t)amount == request->size);
            r = read_payload(&connection->client, number, request->size, payload);
            if (r < 0)
                break;
        }
        request->answered++;
        note(connection, "answer", amount);
        if (chosen(connection, 4) == 0 && jg_sleep(simulation_span(connection->world->sim)) < 0)
            return -ECANCELED;
    }
    return r;
}

static int talk(void *arg)
{
    struct connection *connection = arg;
    struct world *world = connection->world;
    jg_job jobs[] = {{.fn = send_requests, .arg = arg}, {.fn = receive_answers, .arg = arg}};
    int r = jg_sleep(simulation_span(world->sim));

    if (r < 0)
        return r;
    test_check(simulation_connect(world->sim, &connection->client, &connection->server) == 0);
    connection->opened = true;
    connection->disturbed |= simulation_break(world->sim, &connection->client, &connection->server);
    r = jg_queue_put(&world->accept, &connection);
    if (r < 0) {
        jg_stream_abort(&connection->server);
        return r;
    }
    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static int client(void *arg)
{
    struct connection *connection = arg;
    struct world *world = connection->world;
    jg_scope_options options = {.name = "client"};
    int r;

    if (!world->sim->calm) /* one direction may fail without the other end learning of it */
        options.timeout = 20 * JG_SECOND;
    if (!world->sim->calm && chosen(connection, 4) == 0) {
        options.timeout = 1 + simulation_span(world->sim);
        connection->disturbed = true;
    }
    r = simulation_exposed(world->sim, talk, connection, &options, &connection->disturbed);
    note(connection, "client", r);
    test_check(r == 0 || connection->disturbed);
    if (connection->opened && chosen(connection, 2))
        jg_stream_abort(&connection->client);
    else if (connection->opened)
        (void)jg_stream_close(&connection->client, JG_SECOND);
    return 0;
}

/* ----------------------------------------------------------- the whole */

/* What must hold at any moment. */
static void beat(void *arg)
{
    struct world *world = arg;
    jg_queue_stats stats;

    test_check(jg_loop_time(world->sim->loop) >= world->beat);
    jg_queue_stat(&world->jobs, &stats);
    test_check(stats.accepted == stats.got + stats.dropped + jg_queue_size(&world->jobs));
    test_check(jg_queue_size(&world->jobs) <= jg_queue_limit(&world->jobs));
    test_check(stats.getters == 0 || jg_queue_empty(&world->jobs));
    test_check(stats.putters == 0 || jg_queue_full(&world->jobs));
    test_check(jg_semaphore_value(&world->permits) <= 2);
    world->beat = jg_loop_time(world->sim->loop) + 1 + simulation_span(world->sim);
    jg_call_at(world->sim->loop, &world->heart, world->beat);
}

static int shut_early(void *arg)
{
    struct world *world = arg;

    if (!world->sim->calm && simulation_chance(world->sim, 6) &&
        jg_sleep(simulation_span(world->sim)) == 0)
        (void)jg_queue_shutdown(&world->jobs, simulation_chance(world->sim, 2));
    return 0;
}

static void open_world(struct world *world)
{
    struct simulation *sim = world->sim;
    const jg_queue_options jobs = {.limit = 1 + simulation_random(sim, 6),
                                   .order = simulation_chance(sim, 3) ? JG_LIFO : JG_FIFO,
                                   .drop = drop_job,
                                   .drop_arg = world};

    test_check(jg_queue_init(&world->accept, sim->loop, &(jg_queue_options){.limit = 2}) == 0);
    test_check(jg_queue_init(&world->jobs, sim->loop, &jobs) == 0);
    jg_semaphore_init(&world->permits, 2, 2);
    jg_timer_init(&world->heart, beat, world);
    beat(world);
    jg_handle_unref(&world->heart.handle); /* so that those who wait for each other are found out */

    world->connection_count = 1 + (int)simulation_random(sim, CLIENTS);
    for (int i = 0; i < world->connection_count; i++) {
        struct connection *connection = &world->connections[i];

        *connection = (struct connection){.world = world, .number = i};
        connection->count = (int)simulation_random(sim, REQUESTS + 1);
        for (int k = 0; k < connection->count; k++) {
            struct request *request = &connection->requests[k];

            request->is_echo = simulation_chance(sim, 3);
            request->size = request->is_echo ? simulation_random(sim, MOST_ECHO) : 0;
            request->work = simulation_span(sim);
        }
    }
}

static void close_world(struct world *world)
{
    jg_timer_stop(&world->heart);
    test_check(jg_queue_fini(&world->accept) == 0);
    test_check(jg_queue_fini(&world->jobs) == 0);
    test_check(jg_semaphore_value(&world->permits) == 2);
    for (int i = 0; i < world->job_count; i++) {
        const struct job *job = &world->job_list[i];

        test_check(job->done + job->dropped == job->accepted);
    }
    for (int i = 0; i < world->connection_count; i++) {
        const struct connection *connection = &world->connections[i];

        for (int k = 0; k < connection->count && !connection->disturbed; k++)
            test_check(connection->requests[k].answered == 1);
    }
}

static int run_world(void *arg)
{
    const jg_scope_options services_options = {.name = "services", .policy = JG_KEEP_GOING};
    const jg_scope_options sessions_options = {.name = "sessions", .policy = JG_KEEP_GOING};
    const jg_scope_options clients_options = {.name = "clients", .policy = JG_KEEP_GOING};
    jg_scope services, sessions, clients;
    struct world *world = arg;

    open_world(world);
    jg_scope_enter(&services, &services_options);
    test_check(jg_spawn(&services, simulation_disturb, world->sim, NULL) == 0);
    test_check(jg_spawn(&services, shut_early, world, NULL) == 0);
    for (int i = 0; i < WORKERS; i++)
        test_check(jg_spawn(&services, i == 0 ? step_worker : coroutine_worker, world,
                            &(jg_spawn_options){.name = "worker"}) == 0);
    jg_scope_enter(&sessions, &sessions_options);
    world->sessions = &sessions;
    test_check(jg_spawn(&sessions, acceptor, world, NULL) == 0);

    jg_scope_enter(&clients, &clients_options);
    for (int i = 0; i < world->connection_count; i++)
        test_check(jg_spawn(&clients, client, &world->connections[i],
                            &(jg_spawn_options){.name = "client"}) == 0);
    test_check(jg_scope_leave(&clients, 0) == 0);

    (void)jg_queue_shutdown(&world->accept, false);
    test_check(jg_scope_leave(&sessions, 0) == 0);
    test_check(jg_queue_join(&world->jobs) == 0);
    (void)jg_queue_shutdown(&world->jobs, false);
    test_check(jg_scope_leave(&services, 0) == 0);
    close_world(world);
    return 0;
}

static void run(struct simulation *sim)
{
    static struct world world;

    world = (struct world){.sim = sim};
    simulation_run(sim, run_world, &world);
}

/* ------------------------------------------------------------- the tests */

static void promises_hold_whatever_happens(void **state)
{
    (void)state;
    simulation_try_all(run, test_is_emulated() ? 100 : test_is_slow() ? 1000 : 5000);
}

static void a_seed_always_does_the_same(void **state)
{
    (void)state;
    if (simulation_is_chosen())
        skip();
    simulation_compare(run, 30);
}

static void run_with_a_mistake(void *arg)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct simulation sim = {.seed = seed, .planted = *(enum planted *)arg};

        simulation_try(run, &sim);
    }
}

static void a_mistake_is_found_and_its_seed_told(void **state)
{
    (void)state;
    if (simulation_is_chosen())
        skip();
    for (enum planted planted = PLANTED_TWICE; planted <= PLANTED_WAIT; planted++)
        test_expect_abort(run_with_a_mistake, &planted, "JUGGLE_TEST_SEED=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(promises_hold_whatever_happens, simulation_teardown),
        cmocka_unit_test(a_seed_always_does_the_same),
        cmocka_unit_test(a_mistake_is_found_and_its_seed_told),
    };

    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
