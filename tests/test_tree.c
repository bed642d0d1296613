/* SPDX-License-Identifier: MIT
 *
 * The live tree: what a line says of a task and of a scope, that it names the user's code and not
 * ours, and that a name is no more than text.
 */
#include "world.h"

#include <juggle/coro.h>
#include <juggle/tree.h>

#include "platform/sanitizer.h"
#include "task/task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lines of a tree, one after the other. */
struct lines {
    char text[16384];
    size_t longest;
    int count;
};

static void collect(void *arg, const char *line)
{
    struct lines *lines = arg;
    size_t length = strlen(line), used = strlen(lines->text);

    test_check(used + length + 2 < sizeof(lines->text));
    memcpy(lines->text + used, line, length);
    lines->text[used + length] = '\n';
    lines->text[used + length + 1] = '\0';
    lines->count++;
    if (length > lines->longest)
        lines->longest = length;
}

static struct lines describe(jg_scope *scope)
{
    struct lines lines = {.count = 0};

    jg_scope_describe(scope, collect, &lines);
    return lines;
}

/* Some line of the tree begins with, contains. */
#define assert_line(lines, begin)                                                                \
    do {                                                                                         \
        char wanted[256];                                                                        \
                                                                                                 \
        snprintf(wanted, sizeof(wanted), "\n%s", begin);                                         \
        if (!strstr((lines).text, wanted) && strncmp((lines).text, (begin), strlen(begin)) != 0) \
            fail_msg("no line begins with «%s» in:\n%s", begin, (lines).text);                   \
    } while (0)

#define assert_no(lines, part)                                     \
    do {                                                           \
        if (strstr((lines).text, part))                            \
            fail_msg("there is «%s» in:\n%s", part, (lines).text); \
    } while (0)

static jg_task *first_task(jg_scope *scope)
{
    return jg__container_of(scope->tasks.next, jg_task, link);
}

/* ------------------------------------------------ where each function that waits was called */

enum way { AWAIT, SLEEP, GIVE_WAY, FUTURE, LEAVE, GATHER, WAIT, WAIT_FOR, SHIELD, WAYS };

struct waiter {
    enum way way;
    jg_future future;
    volatile int after;
};

static int nap(void *arg)
{
    (void)arg;
    return jg_sleep(10 * JG_SECOND);
}

/* Leaves something to wait for in the scope that it was called in. */
__attribute__((noinline)) static int leave_a_nap(void *arg)
{
    (void)jg_sleep(JG_MILLISECOND); /* which notes another place */
    return jg_spawn(jg_task_current()->scope, nap, arg, NULL);
}

static int wait_somehow(void *arg)
{
    struct waiter *waiter = arg;
    jg_job job = {.fn = nap};
    jg_scope scope;
    jg_op op, *ops[] = {&op};
    int r = 0;

    jg_op_self(&op);
    switch (waiter->way) {
    case AWAIT:
        r = jg_future_wait_start(&waiter->future, &op);
        r = r < 0 ? r : jg_await(&op);
        break;
    case SLEEP:
        r = jg_sleep(10 * JG_SECOND);
        break;
    case GIVE_WAY:
        while (!waiter->future.done && r == 0)
            r = jg_sleep(0);
        break;
    case FUTURE:
        r = jg_future_wait(&waiter->future);
        break;
    case LEAVE:
        jg_scope_enter(&scope, NULL);
        r = jg_scope_leave(&scope, leave_a_nap(NULL));
        break;
    case GATHER:
        r = jg_gather(&job, 1, JG_FAIL_FAST);
        break;
    case WAIT:
        r = jg_future_wait_start(&waiter->future, &op);
        r = r < 0 ? r : jg_wait(ops, 1, JG_ALL_COMPLETED);
        break;
    case WAIT_FOR:
        r = jg_wait_for(leave_a_nap, NULL, 100 * JG_SECOND);
        break;
    case SHIELD:
        r = jg_shield(leave_a_nap, NULL);
        break;
    case WAYS:
        break;
    }
    waiter->after++; /* so that none of these is a tail call */
    return r;
}

static void run_for(jg_loop *loop, jg_time span)
{
    jg_timer timer;
    int over = 0;

    jg_timer_init(&timer, test_count_call, &over);
    jg_call_later(loop, &timer, span);
    while (!over)
        assert_true(jg_loop_run_once(loop, JG_FOREVER) >= 0);
}

/* An address in the body of a function, which is at most that long. */
static bool is_within(uintptr_t address, uintptr_t function, size_t size)
{
    return address - function < size;
}

static void a_coroutine_waits_at_the_call_of_the_user(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        struct waiter waiter = {.way = way};
        struct world world;
        jg_task *task;
        uintptr_t site;

        world_init(&world);
        assert_int_equal(jg_spawn(&world.root, wait_somehow, &waiter, NULL), 0);
        if (way == GIVE_WAY)
            assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
        else
            run_for(world.loop, JG_SECOND);
        task = first_task(&world.root);
        site = task->kind->site(task);
        if (!is_within(site, jg__address(wait_somehow), 4096) || site == jg__address(wait_somehow))
            fail_msg("way %d waits at %#jx, not in the function at %#jx", (int)way, (uintmax_t)site,
                     (uintmax_t)jg__address(wait_somehow));
        assert_int_equal(jg_future_set(&waiter.future, 0), 0);
        world_done(&world);
    }
}

static void a_call_that_ends_the_coroutine_is_in_its_function(void **state)
{
    struct world world;
    jg_task *task;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nap, NULL, NULL), 0);
    run_for(world.loop, JG_SECOND);
    task = first_task(&world.root);
    assert_true(is_within(task->kind->site(task), jg__address(nap), 256));
    world_done(&world);
}

/* ------------------------------------------------------------------------- lines of tasks */

/* "  task NAME: STATE at PLACE", as the tree must put it. */
static const char *task_line(const char *name, const char *what, uintptr_t place)
{
    static jg__line line;

    jg__line_init(&line);
    jg__line_add(&line, "  task %s: %s at ", name, what);
    jg__line_add_symbol(&line, place);
    return line.text;
}

static int nap_twice(void *arg)
{
    int r = jg_sleep(JG_SECOND);

    r = r < 0 ? r : jg_sleep(2 * JG_SECOND);
    *(volatile int *)arg = 1;
    return r;
}

static void a_line_tells_what_a_coroutine_waits_for_where_and_how_long(void **state)
{
    struct world world;
    struct lines lines;
    jg_task *task;
    int done = 0;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nap_twice, &done, &(jg_spawn_options){.name = "fetch"}),
                     0);
    task = first_task(&world.root);
    lines = describe(&world.root);
    assert_line(lines, task_line("fetch", "is ready", jg__address(nap_twice)));

    run_for(world.loop, JG_SECOND / 4);
    lines = describe(&world.root);
    assert_line(lines, task_line("fetch", "waits for sleep for 0.250 s", task->kind->site(task)));
    run_for(world.loop, JG_SECOND);
    lines = describe(&world.root);
    assert_line(lines, task_line("fetch", "waits for sleep for 0.250 s", task->kind->site(task)));
    world_done(&world);
}

static void time_goes_on_while_a_task_waits_within_a_turn(void **state)
{
    struct world world;
    struct lines lines;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nap, NULL, &(jg_spawn_options){.name = "nap"}), 0);
    run_for(world.loop, JG_SECOND);
    assert_int_equal(jg_test_advance(world.loop, 2500 * JG_MILLISECOND), 0);
    lines = describe(&world.root);
    assert_line(lines, "  task nap: waits for sleep for 3.500 s at ");
    world_done(&world);
}

static void a_coroutine_that_gave_way_is_ready(void **state)
{
    struct waiter waiter = {.way = GIVE_WAY};
    struct world world;
    struct lines lines;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, wait_somehow, &waiter, &(jg_spawn_options){.name = "polite"}), 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    lines = describe(&world.root);
    assert_line(lines, "  task polite: is ready at ");
    assert_int_equal(jg_future_set(&waiter.future, 0), 0);
    world_done(&world);
}

static void giving_way_does_not_read_the_clock(void **state)
{
    struct waiter waiter = {.way = GIVE_WAY};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, wait_somehow, &waiter, NULL), 0);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    assert_int_equal(jg_loop_run_once(world.loop, 0), 1);
    assert_false(world.loop->time_known);
    assert_int_equal(jg_future_set(&waiter.future, 0), 0);
    world_done(&world);
}

struct stepper {
    jg_task task;
    jg_future future;
};

static int step(jg_task *task, void *arg, int status)
{
    struct stepper *stepper = arg;

    if (stepper->future.done)
        return status;
    return jg_future_wait_start(&stepper->future, jg_task_op(task)) < 0 ? -1 : JG_PENDING;
}

static void a_task_of_steps_is_at_its_step(void **state)
{
    struct stepper stepper = {.future = {.done = false}};
    struct world world;
    struct lines lines;

    (void)state;
    world_init(&world);
    jg_task_init(&stepper.task, "steps", step, &stepper);
    assert_int_equal(jg_task_spawn(&world.root, &stepper.task, NULL), 0);
    lines = describe(&world.root);
    assert_line(lines, task_line("steps", "is ready", jg__address(step)));
    run_for(world.loop, JG_SECOND / 2);
    lines = describe(&world.root);
    assert_line(lines, task_line("steps", "waits for future for 0.500 s", jg__address(step)));
    assert_no(lines, "stack");
    assert_int_equal(jg_future_set(&stepper.future, 0), 0);
    world_done(&world);
}

static int describe_oneself(void *arg)
{
    *(struct lines *)arg = describe(jg_task_root(jg_task_current()));
    return 0;
}

static void the_task_that_asks_runs(void **state)
{
    static struct lines lines;
    const jg_spawn_options options = {.name = "observer", .stack_size = (size_t)256 << 10};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, describe_oneself, &lines, &options), 0);
    world_done(&world);
    assert_line(lines, "  task observer: runs, stack ");
}

static void a_task_without_a_name_is_called_by_its_function(void **state)
{
    struct stepper stepper = {.future = {.done = false}};
    struct world world;
    struct lines lines;
    jg__line line;

    (void)state;
    world_init(&world);
    jg_task_init(&stepper.task, NULL, step, &stepper);
    assert_int_equal(jg_task_spawn(&world.root, &stepper.task, NULL), 0);
    assert_int_equal(jg_spawn(&world.root, nap, NULL, NULL), 0);
    lines = describe(&world.root);
    for (int i = 0; i < 2; i++) {
        jg__line_init(&line);
        jg__line_add(&line, "  task ");
        jg__line_add_symbol(&line, i ? jg__address(nap) : jg__address(step));
        jg__line_add(&line, ": is ready at ");
        assert_line(lines, line.text);
    }
    assert_int_equal(jg_future_set(&stepper.future, 0), 0);
    world_done(&world);
}

static int use_20_kib(void *arg)
{
    volatile char used[20 << 10];

    for (size_t i = 0; i < sizeof(used); i++)
        used[i] = (char)(i | 1);
    (void)arg;
    return used[100] ? 0 : -1;
}

static int nap_after_deep_calls(void *arg)
{
    int r = use_20_kib(arg);

    return r < 0 ? r : jg_sleep(JG_SECOND);
}

static void a_line_tells_how_deep_the_stack_ever_was(void **state)
{
    struct world world;
    struct lines lines;
    const char *stack;
    int used, size, least = JG__FIBERS ? 64 : 16;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nap_after_deep_calls, NULL,
                              &(jg_spawn_options){.stack_size = (size_t)32 << 10}),
                     0);
    run_for(world.loop, JG_SECOND / 2);
    lines = describe(&world.root);
    stack = strstr(lines.text, ", stack ");
    assert_non_null(stack);
    assert_int_equal(sscanf(stack, ", stack %d of %d KiB", &used, &size), 2);
    assert_true(used >= 20 && used < 2 * least);
    assert_int_equal(size, 2 * least);
    world_done(&world);
}

/* ------------------------------------------------------------------------ lines of scopes */

static void a_line_tells_the_deadline_state_and_policy_of_a_scope(void **state)
{
    static const struct {
        jg_scope_options options;
        const char *line;
    } rows[] = {
        {{.name = "plain"}, "scope plain\n"},
        {{.timeout = 3 * JG_SECOND / 2}, "scope ?, 1.250 s left\n"},
        {{.name = "late", .timeout = -1}, "scope late, timed out\n"},
        {{.name = "safe", .shield = true}, "scope safe, shielded\n"},
        {{.name = "tough", .policy = JG_KEEP_GOING}, "scope tough, keeps going\n"},
        {{.name = "race", .policy = JG_FIRST_WINS}, "scope race, first wins\n"},
    };
    struct lines lines;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;
        jg_scope scope;

        world_init(&world);
        jg_scope_open(&scope, world.loop, NULL, &rows[i].options);
        assert_int_equal(jg_test_advance(world.loop, JG_SECOND / 4), 0);
        lines = describe(&scope);
        assert_string_equal(lines.text, rows[i].line);
        jg_scope_close(&scope, 0, &world.left);
        assert_int_equal(jg_loop_run(world.loop), 0);
        world_done(&world);
    }
}

struct nest {
    jg_scope outer, inner;
    struct lines lines;
};

static void describe_the_outer(void *arg)
{
    struct nest *nest = arg;

    nest->lines = describe(&nest->outer);
}

static int nest_scopes(void *arg)
{
    struct nest *nest = arg;
    jg_defer defer;
    int r;

    jg_scope_enter(&nest->outer, &(jg_scope_options){.name = "outer"});
    jg_scope_enter(&nest->inner, &(jg_scope_options){.name = "inner"});
    jg_scope_cancel(&nest->outer);
    nest->lines = describe(&nest->outer);
    assert_line(nest->lines, "scope outer of nester, cancelled\n");
    assert_line(nest->lines, "  scope inner of nester, cancelled from outside\n");
    r = jg_scope_leave(&nest->inner, 0);
    jg_scope_defer(&nest->outer, &defer, describe_the_outer, nest);
    return jg_scope_leave(&nest->outer, r);
}

static void a_line_tells_why_a_scope_stops_and_that_it_cleans_up(void **state)
{
    static struct nest nest;
    const jg_spawn_options options = {.name = "nester", .stack_size = (size_t)256 << 10};
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nest_scopes, &nest, &options), 0);
    world_done(&world);
    assert_line(nest.lines, "scope outer of nester, 10.000 s left, cleans up\n");
}

static int leave_two_naps(void *arg)
{
    jg_scope scope;
    int r;

    jg_scope_enter(&scope, &(jg_scope_options){.name = "naps"});
    r = jg_spawn(&scope, nap, NULL, NULL);
    if (r == 0)
        r = jg_spawn(&scope, nap_twice, arg, NULL);
    return jg_scope_leave(&scope, r);
}

static void who_leaves_a_scope_waits_for_so_many_tasks_of_it(void **state)
{
    struct world world;
    struct lines lines;
    int done = 0;

    (void)state;
    world_init(&world);
    assert_int_equal(
        jg_spawn(&world.root, leave_two_naps, &done, &(jg_spawn_options){.name = "boss"}), 0);
    run_for(world.loop, JG_SECOND);
    lines = describe(&world.root);
    assert_line(lines, "  task boss: waits for 2 tasks of scope naps for 1.000 s at ");
    run_for(world.loop, 4 * JG_SECOND);
    lines = describe(&world.root);
    assert_line(lines, "  task boss: waits for 1 task of scope naps for 5.000 s at ");
    world_done(&world);
}

struct closing {
    jg_scope *root, scope;
    struct lines lines;
};

static void describe_while_cleaning(void *arg)
{
    struct closing *closing = arg;

    closing->lines = describe(closing->root);
}

/* A scope whose end is an op, in the place of jg_scope_leave. */
static int close_a_scope(void *arg)
{
    struct closing *closing = arg;
    jg_task *task = jg_task_current();
    jg_defer defer;
    jg_op op;

    jg_scope_open(&closing->scope, jg_task_loop(task), task, &(jg_scope_options){.name = "inner"});
    jg_scope_defer(&closing->scope, &defer, describe_while_cleaning, closing);
    test_check(jg_spawn(&closing->scope, nap, NULL, NULL) == 0);
    jg_op_self(&op);
    jg_scope_close(&closing->scope, 0, &op);
    return jg_await(&op);
}

static void who_waits_while_a_scope_cleans_up_waits_for_its_deferred_calls(void **state)
{
    static struct closing closing;
    struct world world;

    (void)state;
    world_init(&world);
    closing.root = &world.root;
    assert_int_equal(jg_spawn(&world.root, close_a_scope, &closing,
                              &(jg_spawn_options){.name = "boss", .stack_size = 1 << 18}),
                     0);
    world_done(&world);
    assert_line(closing.lines,
                "  task boss: waits for a deferred call of scope inner for 10.000 s");
    assert_line(closing.lines, "  scope inner of boss, 10.000 s left, cleans up\n");
}

static int find_root(void *arg)
{
    *(jg_scope **)arg = jg_task_root(jg_task_current());
    return 0;
}

static int spawn_two_levels_down(void *arg)
{
    jg_scope outer, inner;
    int r;

    jg_scope_enter(&outer, NULL);
    jg_scope_enter(&inner, NULL);
    r = jg_spawn(&inner, find_root, arg, NULL);
    return jg_scope_leave(&outer, jg_scope_leave(&inner, r));
}

static void the_root_of_a_task_is_around_all_scopes(void **state)
{
    jg_scope *root = NULL;
    struct world world;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, spawn_two_levels_down, &root, NULL), 0);
    world_done(&world);
    assert_ptr_equal(root, &world.root);
}

static void lines_of_a_deep_tree_stay_whole(void **state)
{
    static jg_scope scopes[100];
    struct stepper stepper = {.future = {.done = false}};
    struct world world;
    struct lines lines;
    jg_task *task = &stepper.task;

    (void)state;
    world_init(&world);
    jg_task_init(task, "deep", step, &stepper);
    assert_int_equal(jg_task_spawn(&world.root, task, NULL), 0);
    for (int i = 0; i < 100; i++)
        jg_scope_open(&scopes[i], world.loop, task, &(jg_scope_options){.name = "level"});
    lines = describe(&world.root);
    assert_int_equal(lines.count, 102);
    assert_string_equal(lines.text + strlen(lines.text) - 20, "scope level of deep\n");
    assert_true(lines.longest < 200);
    for (int i = 99; i >= 0; i--) {
        jg_op left;

        jg_op_init(&left, world.loop, test_count_call, &(int){0});
        jg_scope_close(&scopes[i], 0, &left);
        jg_call_cancel(&left.call);
    }
    assert_int_equal(jg_future_set(&stepper.future, 0), 0);
    world_done(&world);
}

/* ---------------------------------------------------------------------------------- names */

static void names_are_shown_without_control_characters(void **state)
{
    static const struct {
        const char *name, *shown;
    } rows[] = {
        {"a\033[2J\r\nb\x7f", "a?[2J??b?"},
        {"gr\xc3\xb6\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x8e\xaa",
         "gr\xc3\xb6\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x8e\xaa"},
        {"\xc2\x9b"
         "31m \xc2\xa0",
         "??31m \xc2\xa0"},
        {"\x9b \xff \xc0\x8a \xc3", "? ? ?? ?"},
        {"\xe2\x82", "??"},
        {"\xe2\x1b[", "??["},
        {"", ""},
        {NULL, "?"},
        {"%s%n", "%s%n"},
        {"0123456789012345678901234567890123456789012345678901234567890123",
         "0123456789012345678901234567890123456789012345678901234567890123"},
        {"01234567890123456789012345678901234567890123456789012345678901234",
         "0123456789012345678901234567890123456789012345678901234567890123..."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        jg__line line;

        jg__line_init(&line);
        jg__line_add_name(&line, rows[i].name);
        assert_string_equal(line.text, rows[i].shown);
    }
}

static void names_of_tasks_and_scopes_cannot_forge_lines(void **state)
{
    struct world world;
    struct lines lines;
    jg_scope scope;

    (void)state;
    world_init(&world);
    jg_scope_open(&scope, world.loop, NULL, &(jg_scope_options){.name = "x\nscope y"});
    assert_int_equal(jg_spawn(&scope, nap, NULL, &(jg_spawn_options){.name = "\033c\nz"}), 0);
    lines = describe(&scope);
    assert_line(lines, "scope x?scope y\n");
    assert_line(lines, "  task ?c?z: is ready");
    jg_scope_close(&scope, 0, &world.left);
    assert_int_equal(jg_loop_run(world.loop), 0);
    world_done(&world);
}

static void text_that_does_not_fit_is_cut_off(void **state)
{
    jg__line line;

    (void)state;
    jg__line_init(&line);
    for (int i = 0; i < 100; i++)
        jg__line_add(&line, "%d ", 12345);
    assert_int_equal(line.length, sizeof(line.text) - 1);
    assert_int_equal(strlen(line.text), sizeof(line.text) - 1);
    jg__line_add_name(&line, "more\xc3\xb6");
    jg__line_add_time(&line, JG_SECOND);
    assert_int_equal(strlen(line.text), sizeof(line.text) - 1);
}

/* ------------------------------------------------------------------------------ addresses */

static void an_address_is_a_function_or_a_place_in_a_module_or_a_number(void **state)
{
    jg__line line;

    (void)state;
    jg__line_init(&line);
    jg__line_add_symbol(&line, 1);
    assert_string_equal(line.text, "0x1");

    jg__line_init(&line);
    jg__line_add_symbol(&line, jg__address(nap) + 1);
    assert_true(strncmp(line.text, "test_tree+0x", 12) == 0 || strncmp(line.text, "0x", 2) == 0);

    /* Of the dynamic C library, if it is that. */
    jg__line_init(&line);
    jg__line_add_symbol(&line, jg__address(rand) + 1);
    assert_true(strcmp(line.text, "rand+0x1") == 0 || strncmp(line.text, "0x", 2) == 0);
}

static void a_call_lies_before_the_place_it_returns_to(void **state)
{
    static const char code[8];

    (void)state;
    assert_true(jg__call_site(code + 4) == jg__address(code + 3));
}

/* --------------------------------------------------------------------- on request, at the end */

static void describing_does_not_allocate(void **state)
{
    struct world world;
    long calls;

    (void)state;
    world_init(&world);
    assert_int_equal(jg_spawn(&world.root, nap, NULL, NULL), 0);
    run_for(world.loop, JG_SECOND);
    calls = test_loop_memory(world.loop)->calls;
    (void)describe(&world.root);
    assert_int_equal(test_loop_memory(world.loop)->calls, calls);
    world_done(&world);
}

/* What `write` writes to standard error. */
static void with_stderr(void (*write)(void), char *ret_output, size_t size)
{
    int fds[2], saved = dup(2);
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    fflush(stderr);
    assert_int_equal(dup2(fds[1], 2), 2);
    close(fds[1]);
    write();
    assert_int_equal(dup2(saved, 2), 2);
    close(saved);
    n = read(fds[0], ret_output, size - 1);
    close(fds[0]);
    ret_output[n > 0 ? n : 0] = '\0';
}

static int ask_for_a_dump(void *arg)
{
    int r = jg_sleep(JG_MILLISECOND);

    (void)arg;
    raise(SIGUSR1);
    return r < 0 ? r : jg_sleep(JG_MILLISECOND);
}

static void run_with_dump(void)
{
    assert_int_equal(jg_run(ask_for_a_dump, NULL, &(jg_run_options){.dump_signal = SIGUSR1}), 0);
}

static void a_signal_dumps_the_tree_to_standard_error(void **state)
{
    struct lines lines = {.count = 0};

    (void)state;
    with_stderr(run_with_dump, lines.text, sizeof(lines.text));
    assert_line(lines, "scope root\n");
    assert_line(lines, "  task main: waits for sleep for ");
}

static void a_signal_that_cannot_be_caught_is_refused(void **state)
{
    (void)state;
    assert_int_equal(jg_run(ask_for_a_dump, NULL, &(jg_run_options){.dump_signal = SIGKILL}),
                     -EINVAL);
    assert_int_equal(jg_run(ask_for_a_dump, NULL, &(jg_run_options){.dump_signal = -1}), -EINVAL);
}

static void collect_report(void *arg, int error, const char *what)
{
    assert_int_equal(error, JG_EDEADLOCK);
    collect(arg, what);
}

static int wait_for_nobody(void *arg)
{
    return jg_future_wait(arg);
}

static void a_deadlock_is_reported_with_the_tree(void **state)
{
    struct lines lines = {.count = 0};
    const jg_loop_options options = {
        .on_error = collect_report,
        .on_error_arg = &lines,
        .flags = JG_LOOP_VIRTUAL_TIME,
    };
    jg_future future;

    (void)state;
    jg_future_init(&future);
    assert_int_equal(jg_run(wait_for_nobody, &future, &(jg_run_options){.loop = &options}),
                     JG_EDEADLOCK);
    assert_int_equal(lines.count, 3);
    assert_int_equal(strncmp(lines.text, "tasks are left that nothing can wake:\nscope root\n", 49),
                     0);
    assert_line(lines, "  task main: waits for future for 0.000 s at ");
    assert_no(lines, "cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_coroutine_waits_at_the_call_of_the_user),
        cmocka_unit_test(a_call_that_ends_the_coroutine_is_in_its_function),
        cmocka_unit_test(a_line_tells_what_a_coroutine_waits_for_where_and_how_long),
        cmocka_unit_test(time_goes_on_while_a_task_waits_within_a_turn),
        cmocka_unit_test(a_coroutine_that_gave_way_is_ready),
        cmocka_unit_test(giving_way_does_not_read_the_clock),
        cmocka_unit_test(a_task_of_steps_is_at_its_step),
        cmocka_unit_test(the_task_that_asks_runs),
        cmocka_unit_test(a_task_without_a_name_is_called_by_its_function),
        cmocka_unit_test(a_line_tells_how_deep_the_stack_ever_was),
        cmocka_unit_test(a_line_tells_the_deadline_state_and_policy_of_a_scope),
        cmocka_unit_test(a_line_tells_why_a_scope_stops_and_that_it_cleans_up),
        cmocka_unit_test(who_leaves_a_scope_waits_for_so_many_tasks_of_it),
        cmocka_unit_test(who_waits_while_a_scope_cleans_up_waits_for_its_deferred_calls),
        cmocka_unit_test(the_root_of_a_task_is_around_all_scopes),
        cmocka_unit_test(lines_of_a_deep_tree_stay_whole),
        cmocka_unit_test(names_are_shown_without_control_characters),
        cmocka_unit_test(names_of_tasks_and_scopes_cannot_forge_lines),
        cmocka_unit_test(text_that_does_not_fit_is_cut_off),
        cmocka_unit_test(an_address_is_a_function_or_a_place_in_a_module_or_a_number),
        cmocka_unit_test(a_call_lies_before_the_place_it_returns_to),
        cmocka_unit_test(describing_does_not_allocate),
        cmocka_unit_test(a_signal_dumps_the_tree_to_standard_error),
        cmocka_unit_test(a_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(a_deadlock_is_reported_with_the_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
