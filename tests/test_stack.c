/* SPDX-License-Identifier: MIT
 *
 * The pool of stacks: sizes, reuse, guards and their limits, memory, and overflows.
 */
#include "support.h"

#include "base/alloc.h"
#include "platform/context.h"
#include "platform/overflow.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1024)

/* What the tests keep on top of a stack. */
struct block {
    jg__stack stack;
    jg__context context;
    const char *name;
    size_t depth; /* to use, in bytes */
    jg__context *back;
};

static void init(jg__stacks *stacks)
{
    jg__stacks_init(stacks, &jg__malloc, sizeof(struct block));
}

static jg__stack *take(jg__stacks *stacks, size_t size)
{
    jg__stack *stack;

    assert_int_equal(jg__stack_take(stacks, size, &stack), 0);
    return stack;
}

static void all_of_a_stack_and_its_block_may_be_written(void **state)
{
    jg__stack *stack[3];
    jg__stacks stacks;
    int i;

    (void)state;
    init(&stacks);
    for (i = 0; i < 3; i++) {
        stack[i] = take(&stacks, 0);
        memset(stack[i]->low, i, jg__stack_size(stack[i]));
        memset(stack[i] + 1, i, sizeof(struct block) - sizeof(jg__stack));
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(stack[i]->low[0], i);
        assert_int_equal(((char *)stack[i])[-1], i);
        assert_int_equal(((char *)stack[i])[sizeof(struct block) - 1], i);
        jg__stack_give(&stacks, stack[i]);
    }
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static void sizes_are_rounded_up_to_powers_of_two(void **state)
{
    const struct {
        size_t asked, got;
    } sizes[] = {
        {0, 64 * KIB},
        {1, 16 * KIB},
        {16 * KIB, 16 * KIB},
        {16 * KIB + 1, 32 * KIB},
        {65 * KIB, 128 * KIB},
        {1024 * KIB, 1024 * KIB},
        {9 * 1024 * KIB, 16 * 1024 * KIB},
    };
    jg__stacks stacks;
    size_t i;

    (void)state;
    init(&stacks);
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        jg__stack *stack = take(&stacks, sizes[i].asked);
        size_t got = sizes[i].got << (JG__FIBERS ? 2 : 0);

        /* The block and the colour are a part of it. */
        assert_in_range(jg__stack_size(stack) + stacks.reserve, got - 1024, got);
        memset(stack->low, 1, 64);
        jg__stack_give(&stacks, stack);
    }
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static void a_stack_too_large_is_refused(void **state)
{
    jg__stacks stacks;
    jg__stack *stack = NULL;

    (void)state;
    init(&stacks);
    assert_int_equal(jg__stack_take(&stacks, JG__STACK_MAX + 1, &stack), -EINVAL);
    assert_int_equal(jg__stack_take(&stacks, SIZE_MAX, &stack), -EINVAL);
    assert_null(stack);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static void the_stack_given_last_is_taken_first(void **state)
{
    jg__stacks stacks;
    jg__stack *a, *b, *other;

    (void)state;
    init(&stacks);
    a = take(&stacks, 0);
    b = take(&stacks, 0);
    other = take(&stacks, 16 * KIB);
    jg__stack_give(&stacks, a);
    jg__stack_give(&stacks, b);
    jg__stack_give(&stacks, other);
    assert_ptr_equal(take(&stacks, 0), b);
    assert_ptr_equal(take(&stacks, 0), a);
    assert_ptr_equal(take(&stacks, 16 * KIB), other);
    assert_int_equal(jg__stacks_fini(&stacks), 3);
}

static void stacks_that_were_taken_are_counted_at_the_end(void **state)
{
    jg__stacks stacks;

    (void)state;
    init(&stacks);
    take(&stacks, 0);
    jg__stack_give(&stacks, take(&stacks, 16 * KIB));
    take(&stacks, 16 * KIB);
    assert_int_equal(jg__stacks_fini(&stacks), 2);
}

static void a_pool_in_steady_state_does_not_allocate(void **state)
{
    struct test_memory memory = {0};
    jg_allocator allocator = test_allocator(&memory);
    jg__stack *stack[100];
    jg__stacks stacks;
    long calls;
    int i, round;

    (void)state;
    jg__stacks_init(&stacks, &allocator, sizeof(struct block));
    assert_int_equal(memory.calls, 0);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 100; i++)
            stack[i] = take(&stacks, 0);
        for (i = 0; i < 100; i++)
            jg__stack_give(&stacks, stack[i]);
        if (round == 0)
            calls = memory.calls;
    }
    assert_int_equal(memory.calls, calls);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
    assert_int_equal(memory.blocks, 0);
}

static void without_memory_a_stack_is_refused_and_nothing_is_lost(void **state)
{
    struct test_memory memory = {.fail_at = 1};
    jg_allocator allocator = test_allocator(&memory);
    jg__stack *stack = NULL;
    jg__stacks stacks;

    (void)state;
    jg__stacks_init(&stacks, &allocator, sizeof(struct block));
    assert_int_equal(jg__stack_take(&stacks, 0, &stack), -ENOMEM);
    assert_null(stack);
    assert_int_equal(jg__stack_take(&stacks, 0, &stack), 0);
    jg__stack_give(&stacks, stack);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
    assert_int_equal(memory.blocks, 0);
}

static void take_beyond_the_address_space(void *arg)
{
    const struct rlimit limit = {.rlim_cur = 512 * 1024 * KIB, .rlim_max = 512 * 1024 * KIB};
    struct test_memory memory = {0};
    jg_allocator allocator = test_allocator(&memory);
    jg__stack *stack, *small;
    jg__stacks stacks;
    int i;

    (void)arg;
    test_check(setrlimit(RLIMIT_AS, &limit) == 0);
    jg__stacks_init(&stacks, &allocator, sizeof(struct block));
    for (i = 0; i < 10 && jg__stack_take(&stacks, JG__STACK_MAX, &stack) == 0; i++)
        ;
    test_check(i < 10);
    test_check(memory.blocks == (size_t)i);
    test_check(jg__stack_take(&stacks, 16 * KIB, &small) == 0);
    jg__stack_give(&stacks, small);
    test_check(jg__stacks_fini(&stacks) == (size_t)i);
}

static void without_address_space_a_stack_is_refused_and_nothing_is_lost(void **state)
{
    (void)state;
    if (JG__FIBERS || test_is_slow() || test_is_emulated())
        skip(); /* whose own memory does not fit */
    test_in_child(take_beyond_the_address_space, NULL);
}

/* How many of the pages from `low` on are resident. */
static size_t resident(char *low, size_t pages)
{
    unsigned char vector[256];
    size_t i, count = 0;

    assert_in_range(pages, 1, sizeof(vector));
    assert_int_equal(mincore(low, pages * (size_t)sysconf(_SC_PAGESIZE), (void *)vector), 0);
    for (i = 0; i < pages; i++)
        count += vector[i] & 1;
    return count;
}

static void what_exceeds_the_cache_gives_its_memory_back(void **state)
{
    jg__stack *kept, *dropped;
    char *kept_low, *dropped_low;
    jg__stacks stacks;
    size_t size, pages; /* whole ones */

    (void)state;
    if (test_is_emulated())
        skip(); /* the system may not hear of it */
    init(&stacks);
    kept = take(&stacks, 0);
    dropped = take(&stacks, 0);
    stacks.cache = jg__stack_size(dropped) + 2 * KIB;
    pages = jg__stack_size(dropped) / (size_t)sysconf(_SC_PAGESIZE);
    size = pages * (size_t)sysconf(_SC_PAGESIZE);
    kept_low = kept->low;
    dropped_low = dropped->low;
    memset(kept_low, 1, size);
    memset(dropped_low, 1, size);
    assert_int_equal(resident(dropped_low, pages), pages);
    jg__stack_give(&stacks, kept);
    jg__stack_give(&stacks, dropped);
    assert_int_equal(resident(kept_low, pages), JG__ASAN ? 0 : pages); /* cleaned of pointers */
#ifdef __linux__
    assert_int_equal(resident(dropped_low, pages), 0); /* others take it when they need it */
#endif

    /* Both can be had again. */
    assert_ptr_equal(take(&stacks, 0), kept);
    assert_ptr_equal(take(&stacks, 0), dropped);
    memset(dropped_low, 1, size);
    jg__stack_give(&stacks, dropped);
    jg__stack_give(&stacks, kept);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static void a_pool_without_a_cache_works(void **state)
{
    jg__stack *stack[70];
    jg__stacks stacks;
    int i, round;

    (void)state;
    init(&stacks);
    stacks.cache = 0;
    for (round = 0; round < 2; round++) {
        for (i = 0; i < 70; i++) {
            stack[i] = take(&stacks, 16 * KIB);
            *stack[i]->low = 1;
        }
        for (i = 0; i < 70; i++)
            jg__stack_give(&stacks, stack[(i + 30) % 70]);
    }
    assert_int_equal(stacks.cached, 0);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

/* Use at least `depth` bytes of stack. */
static __attribute__((noinline)) void use(size_t depth)
{
    char frame[1024];

    memset(frame, 1, sizeof(frame));
    __asm__ volatile("" : : "r"(frame) : "memory");
    if (depth > sizeof(frame))
        use(depth - sizeof(frame));
    __asm__ volatile("" : : "r"(frame) : "memory");
}

static void *use_block(void *arg)
{
    struct block *block = arg;

    use(block->depth);
    return jg__context_leave(&block->context, block->back);
}

/* Run a flow that uses `depth` bytes of its stack, at least. */
static void use_stack(jg__stack *stack, size_t depth)
{
    struct block *block = (struct block *)(void *)stack;
    jg__context thread;

    block->depth = depth;
    block->back = &thread;
    jg__context_current(&thread);
    jg__context_make(&block->context, stack->low, jg__stack_size(stack), use_block, block);
    jg__context_switch(&thread, &block->context);
    jg__context_done(&block->context);
}

static void how_much_of_a_stack_was_used_can_be_measured(void **state)
{
    jg__stacks stacks;
    jg__stack *stack;

    (void)state;
    if (JG__ASAN)
        skip(); /* locals are elsewhere */
    init(&stacks);
    stacks.measure = true;
    stack = take(&stacks, 0);
    assert_int_equal(jg__stack_used(&stacks, stack), 0);
    use_stack(stack, 20 * KIB);
    assert_in_range(jg__stack_used(&stacks, stack), 20 * KIB, 30 * KIB);
    jg__stack_give(&stacks, stack);

    /* The next one has used nothing yet. */
    assert_ptr_equal(take(&stacks, 0), stack);
    assert_int_equal(jg__stack_used(&stacks, stack), 0);
    use_stack(stack, 1 * KIB);
    assert_in_range(jg__stack_used(&stacks, stack), 1 * KIB, 10 * KIB);
    jg__stack_give(&stacks, stack);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static void without_measuring_earlier_users_count_as_well(void **state)
{
    jg__stacks stacks;
    jg__stack *stack;

    (void)state;
    if (JG__ASAN)
        skip();
    init(&stacks);
    stack = take(&stacks, 0);
    use_stack(stack, 20 * KIB);
    jg__stack_give(&stacks, stack);
    assert_ptr_equal(take(&stacks, 0), stack);
    use_stack(stack, 1 * KIB);
    assert_in_range(jg__stack_used(&stacks, stack), 20 * KIB, 30 * KIB);
    jg__stack_give(&stacks, stack);
    assert_int_equal(jg__stacks_fini(&stacks), 0);
}

static int report_fd; /* of such a child: its stderr is for others */

/* Run fn(arg) in a forked child. Returns its wait status, and what it printed. */
static int run_child(void (*fn)(void *arg), void *arg, char *ret_output, size_t size)
{
    const struct rlimit no_core = {0};
    size_t length = 0;
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        report_fd = fds[1];
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL); /* cmocka, and the sanitizers, have their own */
        signal(SIGBUS, SIG_DFL);
        fn(arg);
        _exit(0);
    }
    close(fds[1]);
    while ((n = read(fds[0], ret_output + length, size - 1 - length)) > 0)
        length += (size_t)n;
    ret_output[length] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool died_of_a_fault(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

JG__UNSANITIZED static void write_byte(char *byte)
{
    *(volatile char *)byte = 1;
}

static void write_below(void *arg)
{
    jg__stack *stack = arg;

    write_byte(stack->low - 1);
}

static void write_far_below(void *arg)
{
    jg__stack *stack = arg;

    write_byte(stack->low - 16 * KIB);
}

static void below_a_stack_nothing_may_be_written(void **state)
{
    char output[1024];
    jg__stacks stacks;
    jg__stack *stack;

    (void)state;
    init(&stacks);
    take(&stacks, 0);
    stack = take(&stacks, 0);
    assert_true(stack->guarded);
    assert_true(died_of_a_fault(run_child(write_below, stack, output, sizeof(output))));
    assert_true(died_of_a_fault(run_child(write_far_below, stack, output, sizeof(output))));
    assert_int_equal(stacks.unguarded, 0);
    assert_int_equal(jg__stacks_fini(&stacks), 2);
}

static void a_guard_outlives_the_memory_of_its_stack(void **state)
{
    char output[1024];
    jg__stacks stacks;
    jg__stack *stack;

    (void)state;
    init(&stacks);
    stacks.cache = 0;
    stack = take(&stacks, 0);
    jg__stack_give(&stacks, stack);
    assert_ptr_equal(take(&stacks, 0), stack);
    assert_true(stack->guarded);
    assert_true(died_of_a_fault(run_child(write_below, stack, output, sizeof(output))));
    assert_int_equal(jg__stacks_fini(&stacks), 1);
}

static void when_the_guards_run_out_stacks_come_without(void **state)
{
    jg__stack *stack[5];
    jg__stacks stacks;
    char output[1024];
    long left;
    int i;

    (void)state;
    init(&stacks);
    left = jg__guards_left;
    stacks.heavy_guards = true;
    jg__guards_left = 3;
    for (i = 0; i < 5; i++)
        stack[i] = take(&stacks, 0);
    assert_true(stack[0]->guarded && stack[1]->guarded && stack[2]->guarded);
    assert_false(stack[3]->guarded || stack[4]->guarded);
    assert_int_equal(stacks.unguarded, 2);
    memset(stack[4]->low, 1, jg__stack_size(stack[4]));
    assert_true(died_of_a_fault(run_child(write_below, stack[0], output, sizeof(output))));
    assert_int_equal(jg__stacks_fini(&stacks), 5);
    assert_int_equal(jg__guards_left, 3);
    jg__guards_left = left;
}

/* Use up the mappings of the process, but for a few. */
static void exhaust_mappings(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), i, count = 200000;
    char *low =
        mmap(NULL, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    test_check(low != MAP_FAILED);
    for (i = 1; i < count && mprotect(low + i * page, page, PROT_READ) == 0; i += 2)
        ;
    test_check(i < count);
    munmap(low, 20 * page);
}

static void take_when_mappings_are_exhausted(void *arg)
{
    jg__stack *stack[200];
    jg__stacks stacks;
    int i, taken;

    (void)arg;
    init(&stacks);
    stacks.heavy_guards = true;
    test_check(jg__stack_take(&stacks, 0, &stack[0]) == 0);
    exhaust_mappings();
    for (taken = 1; taken < 200 && jg__stack_take(&stacks, 0, &stack[taken]) == 0; taken++)
        memset(stack[taken]->low, 1, jg__stack_size(stack[taken]));
    test_check(taken >= 50);
    test_check(stacks.unguarded > 0);
    for (i = 0; i < taken; i++)
        jg__stack_give(&stacks, stack[i]);
    test_check(jg__stacks_fini(&stacks) == 0);
}

static void when_mappings_run_out_stacks_come_without_guards(void **state)
{
    (void)state;
    if (JG__FIBERS || test_is_slow() || test_is_emulated())
        skip(); /* they need mappings themselves */
    test_in_child(take_when_mappings_are_exhausted, NULL);
}

#ifdef __linux__

static size_t lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t lines = 0;
    int c;

    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_stack_costs_a_page_and_little_more(void **state)
{
    enum { COUNT = 10000 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before, after, mappings, i;
    jg__stacks stacks;
    bool light;

    (void)state;
    if (JG__FIBERS || test_is_slow() || test_is_emulated())
        skip(); /* they have bookkeeping of their own */
    init(&stacks);
    take(&stacks, 0);
    before = resident_bytes();
    mappings = lines_of("/proc/self/maps");
    for (i = 0; i < COUNT; i++)
        use_stack(take(&stacks, 0), 0);
    after = resident_bytes();
    mappings = lines_of("/proc/self/maps") - mappings;
    light = mappings < COUNT;
    assert_true(after - before <= COUNT * (page + page / 8));
    if (light)
        assert_in_range(mappings, 0, COUNT / 50);
    assert_int_equal(stacks.unguarded, 0);
    assert_int_equal(jg__stacks_fini(&stacks), COUNT + 1);
}

#endif

static void print(const char *text)
{
    (void)!write(report_fd, text, strlen(text));
}

static void print_overflow(void *arg, jg__stack *stack)
{
    print(arg);
    print(((struct block *)(void *)stack)->name);
}

static void overflow(void *arg)
{
    static jg__overflow watch;
    jg__stacks stacks;
    jg__stack *stack[3];
    int i;

    (void)arg;
    init(&stacks);
    test_check(jg__overflow_watch(&watch, &stacks, print_overflow, "overflow of ") == 0);
    for (i = 0; i < 3; i++) {
        static const char *const names[] = {"one", "two", "three"};

        test_check(jg__stack_take(&stacks, 0, &stack[i]) == 0);
        ((struct block *)(void *)stack[i])->name = names[i];
    }
    use_stack(stack[1], 1024 * KIB);
}

static void an_overflow_is_told_and_ends_the_process(void **state)
{
    char output[4096];
    int status;

    (void)state;
    status = run_child(overflow, NULL, output, sizeof(output));
    assert_string_equal(output, "overflow of two");
    assert_true(died_of_a_fault(status));
}

static void on_fault_plain(int signo)
{
    print(signo == SIGSEGV || signo == SIGBUS ? "previous" : "?");
    _exit(3);
}

static void overflow_with_previous_handler(void *arg)
{
    struct sigaction action = {.sa_handler = on_fault_plain, .sa_flags = SA_ONSTACK};

    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    overflow(arg);
}

static void an_overflow_that_was_told_goes_to_the_handler_before(void **state)
{
    char output[4096];
    int status;

    (void)state;
    status = run_child(overflow_with_previous_handler, NULL, output, sizeof(output));
    assert_string_equal(output, "overflow of twoprevious");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* What else may fault, or be sent, while overflows are watched. */
static void fault(void *arg)
{
    static jg__overflow watch;
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = on_fault_plain};
    const char *what = arg;
    jg__stacks stacks;
    jg__stack *stack;

    if (strchr(what, 'h')) {
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
    }
    if (strchr(what, 'i'))
        signal(SIGSEGV, SIG_IGN);
    init(&stacks);
    test_check(jg__stack_take(&stacks, 0, &stack) == 0);
    test_check(jg__overflow_watch(&watch, &stacks, print_overflow, "overflow of ") == 0);
    if (strchr(what, 'g'))
        jg__stack_give(&stacks, stack);
    if (strchr(what, 'u'))
        jg__overflow_unwatch(&watch);
    if (strchr(what, 'k'))
        kill(getpid(), SIGSEGV);
    else if (strchr(what, 'g') || strchr(what, 'u'))
        write_byte(stack->low - 1);
    else
        write_byte(page);
    print("survived");
}

static void other_faults_go_to_the_handler_before(void **state)
{
    /* h: there is one. i: the signal is ignored. k: it is sent. g: a guard without a user. u: no
       more watching. */
    const struct {
        const char *what, *output;
        bool dies;
    } cases[] = {
        {"", "", true},
        {"k", "", true},
        {"g", "", true},
        {"u", "", true},
        {"i", "", true},
        {"ik", "survived", false},
        {"h", "previous", false},
        {"hk", "previous", false},
        {"hg", "previous", false},
        {"hu", "previous", false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char what[8], output[4096];
        int status;

        strcpy(what, cases[i].what);
        status = run_child(fault, what, output, sizeof(output));
        assert_string_equal(output, cases[i].output);
        assert_int_equal(died_of_a_fault(status), cases[i].dies);
    }
}

struct adoption {
    jg__stacks stacks;
    jg__stack *stack;
    jg__overflow watch;
};

static void *overflow_adopted(void *arg)
{
    struct adoption *adoption = arg;

    test_check(jg__overflow_adopt(&adoption->watch) == 0);
    use_stack(adoption->stack, 1024 * KIB);
    return NULL;
}

static void overflow_in_a_thread(void *arg)
{
    struct adoption *adoption = arg;
    pthread_t other;

    test_check(jg__overflow_watch(&adoption->watch, &adoption->stacks, print_overflow, "by ") == 0);
    test_check(pthread_create(&other, NULL, overflow_adopted, adoption) == 0);
    pthread_join(other, NULL);
}

static void a_thread_that_adopts_a_pool_is_watched(void **state)
{
    struct adoption adoption;
    char output[4096];
    int status;

    (void)state;
    init(&adoption.stacks);
    adoption.stack = take(&adoption.stacks, 0);
    ((struct block *)(void *)adoption.stack)->name = "adopted";
    status = run_child(overflow_in_a_thread, &adoption, output, sizeof(output));
    assert_string_equal(output, "by adopted");
    assert_true(died_of_a_fault(status));
    assert_int_equal(jg__stacks_fini(&adoption.stacks), 1);
}

static void *watch_and_unwatch(void *arg)
{
    int i;

    (void)arg;
    for (i = 0; i < 20; i++) {
        jg__overflow watch;
        jg__stacks stacks;
        jg__stack *stack;

        init(&stacks);
        test_check(jg__overflow_watch(&watch, &stacks, print_overflow, "") == 0);
        test_check(jg__stack_take(&stacks, 0, &stack) == 0);
        use_stack(stack, 0);
        jg__stack_give(&stacks, stack);
        jg__overflow_unwatch(&watch);
        test_check(jg__stacks_fini(&stacks) == 0);
    }
    return NULL;
}

static void threads_have_pools_of_their_own(void **state)
{
    pthread_t threads[4];
    struct sigaction before, after;
    int i;

    (void)state;
    sigaction(SIGSEGV, NULL, &before);
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, watch_and_unwatch, NULL), 0);
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sigaction(SIGSEGV, NULL, &after);
    assert_true(before.sa_handler == after.sa_handler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_stack_and_its_block_may_be_written),
        cmocka_unit_test(sizes_are_rounded_up_to_powers_of_two),
        cmocka_unit_test(a_stack_too_large_is_refused),
        cmocka_unit_test(the_stack_given_last_is_taken_first),
        cmocka_unit_test(stacks_that_were_taken_are_counted_at_the_end),
        cmocka_unit_test(a_pool_in_steady_state_does_not_allocate),
        cmocka_unit_test(without_memory_a_stack_is_refused_and_nothing_is_lost),
        cmocka_unit_test(without_address_space_a_stack_is_refused_and_nothing_is_lost),
        cmocka_unit_test(what_exceeds_the_cache_gives_its_memory_back),
        cmocka_unit_test(a_pool_without_a_cache_works),
        cmocka_unit_test(how_much_of_a_stack_was_used_can_be_measured),
        cmocka_unit_test(without_measuring_earlier_users_count_as_well),
        cmocka_unit_test(below_a_stack_nothing_may_be_written),
        cmocka_unit_test(a_guard_outlives_the_memory_of_its_stack),
        cmocka_unit_test(when_the_guards_run_out_stacks_come_without),
        cmocka_unit_test(when_mappings_run_out_stacks_come_without_guards),
#ifdef __linux__
        cmocka_unit_test(a_stack_costs_a_page_and_little_more),
#endif
        cmocka_unit_test(an_overflow_is_told_and_ends_the_process),
        cmocka_unit_test(an_overflow_that_was_told_goes_to_the_handler_before),
        cmocka_unit_test(other_faults_go_to_the_handler_before),
        cmocka_unit_test(a_thread_that_adopts_a_pool_is_watched),
        cmocka_unit_test(threads_have_pools_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
