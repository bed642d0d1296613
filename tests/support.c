/* SPDX-License-Identifier: MIT
 *
 * What the tests share; see support.h.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#    include <linux/filter.h>
#    include <linux/seccomp.h>
#    include <sys/prctl.h>
#endif

_Noreturn void test_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}

/* Stands before each block. */
struct block {
    size_t size;
    struct test_memory *memory;
    struct block *next, *prev;
    uint64_t magic;
};

enum { BLOCK_HEAD = 48 };
_Static_assert(sizeof(struct block) <= BLOCK_HEAD, "a block's head must fit");
_Static_assert(BLOCK_HEAD % _Alignof(max_align_t) == 0, "a block must keep malloc's alignment");

static const uint64_t MAGIC = 0x6a7567676c652121;

static void *block_new(struct test_memory *memory, size_t size)
{
    struct block *block;

    memory->calls++;
    if (memory->calls == memory->fail_at) {
        return NULL;
    }
    block = malloc(BLOCK_HEAD + size);
    if (!block) {
        return NULL;
    }
    block->size = size;
    block->memory = memory;
    block->magic = MAGIC;
    block->prev = NULL;
    block->next = memory->list;
    if (block->next) {
        block->next->prev = block;
    }
    memory->list = block;
    memory->live += size;
    memory->blocks++;
    /* Nobody may count on fresh memory being zero. */
    memset((char *)block + BLOCK_HEAD, 0xa5, size);
    return (char *)block + BLOCK_HEAD;
}

static void block_free(struct test_memory *memory, void *data, size_t size)
{
    struct block *block = (struct block *)((char *)data - BLOCK_HEAD);

    test_check(block->magic == MAGIC);
    test_check(block->memory == memory);
    test_check(block->size == size);
    test_check(memory->live >= size && memory->blocks > 0);
    memory->live -= size;
    memory->blocks--;
    if (block->next) {
        block->next->prev = block->prev;
    }
    if (block->prev) {
        block->prev->next = block->next;
    } else {
        memory->list = block->next;
    }
    memset(block, 0xdd, BLOCK_HEAD + size);
    free(block);
}

static void *block_resize(void *arg, void *data, size_t old_size, size_t new_size)
{
    struct test_memory *memory = arg;
    void *moved;

    if (!data) {
        test_check(old_size == 0);
        test_check(new_size != 0);
        return block_new(memory, new_size);
    }
    if (new_size == 0) {
        block_free(memory, data, old_size);
        return NULL;
    }
    moved = block_new(memory, new_size);
    if (moved) {
        memcpy(moved, data, old_size < new_size ? old_size : new_size);
        block_free(memory, data, old_size);
    }
    return moved;
}

jg_allocator test_allocator(struct test_memory *memory)
{
    return (jg_allocator){.resize = block_resize, .arg = memory};
}

/* The loops that test_loop made, so that test_loop_done finds their memory. */
struct tested_loop {
    struct tested_loop *next;
    jg_loop *loop;
    struct test_memory memory;
};

static pthread_mutex_t tested_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tested_loop *tested;

static struct tested_loop *tested_find(jg_loop *loop, bool take)
{
    struct tested_loop **at, *found;

    pthread_mutex_lock(&tested_lock);
    for (at = &tested; *at && (*at)->loop != loop; at = &(*at)->next) {
    }
    found = *at;
    if (found && take) {
        *at = found->next;
    }
    pthread_mutex_unlock(&tested_lock);
    test_check(found);
    return found;
}

/* Errors that a test does not expect are shown; they do not fail it, as jg_loop_free's result will.
 */
static void show_error(void *arg, int error, const char *what)
{
    (void)arg;
    fprintf(stderr, "loop: %s: %s\n", what, jg_strerror(error));
}

jg_loop *test_loop_with(jg_loop_options options)
{
    struct tested_loop *entry = calloc(1, sizeof(*entry));
    jg_allocator allocator;
    int r;

    test_check(entry);
    allocator = test_allocator(&entry->memory);
    if (!options.allocator) {
        options.allocator = &allocator;
    }
    if (!options.on_error) {
        options.on_error = show_error;
    }
    r = jg_loop_new(&options, &entry->loop);
    if (r != 0) {
        fprintf(stderr, "jg_loop_new: %s\n", jg_strerror(r));
    }
    test_check(r == 0);
    pthread_mutex_lock(&tested_lock);
    entry->next = tested;
    tested = entry;
    pthread_mutex_unlock(&tested_lock);
    return entry->loop;
}

jg_loop *test_loop(unsigned flags)
{
    return test_loop_with((jg_loop_options){.flags = flags});
}

struct test_memory *test_loop_memory(jg_loop *loop)
{
    return &tested_find(loop, false)->memory;
}

void test_loop_done(jg_loop *loop)
{
    struct tested_loop *entry = tested_find(loop, true);

    test_check(jg_loop_free(loop) == 0);
    test_check(entry->memory.blocks == 0 && entry->memory.live == 0);
    free(entry);
}

void test_trace_add(struct test_trace *trace, char letter)
{
    size_t length = strlen(trace->letters);

    test_check(length + 1 < sizeof(trace->letters));
    trace->letters[length] = letter;
    trace->letters[length + 1] = '\0';
}

void test_mark_call(void *arg)
{
    struct test_mark *mark = arg;

    test_trace_add(mark->trace, mark->letter);
}

void test_count_call(void *arg)
{
    int *count = arg;

    ++*count;
}

void test_count_event(void *arg, int events_or_signal_or_status)
{
    int *count = arg;

    (void)events_or_signal_or_status;
    ++*count;
}

int test_open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd"); /* what others have is not always all */
    struct rlimit limit;
    int count = 0, fd;

    if (dir) {
        const struct dirent *entry;

        for (entry = readdir(dir); entry; entry = readdir(dir)) {
            count += entry->d_name[0] != '.';
        }
        closedir(dir);
        return count - 1; /* without the directory's own */
    }
    test_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (fd = 0; fd < 65536 && (rlim_t)fd < limit.rlim_cur; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

int test_socketpair(int fds[2])
{
    int i;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fcntl(fds[i], F_SETFD, FD_CLOEXEC), 0);
    }
    return 0;
}

int test_tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    test_check(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
               listen(listener, 1) == 0 &&
               getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    test_check(fds[0] >= 0 && connect(fds[0], (struct sockaddr *)&address, size) == 0);
    fds[1] = accept(listener, NULL, NULL);
    test_check(fds[1] >= 0 && close(listener) == 0);
    return 0;
}

int test_idle_child(void)
{
    pid_t pid = fork();

    test_check(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGALRM, SIG_DFL);
        alarm(60);
        for (;;) {
            pause();
        }
    }
    return pid;
}

jg_time test_clock(void)
{
    struct timespec now;

    test_check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (jg_time)now.tv_sec * JG_SECOND + now.tv_nsec;
}

#ifdef __has_feature
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#endif
#ifndef SANITIZED
#    define SANITIZED 0
#endif
#if SANITIZED
#    include <sanitizer/common_interface_defs.h>
#endif

void test_on_death(void (*fn)(void))
{
#if SANITIZED
    __sanitizer_set_death_callback(fn);
#else
    (void)fn;
#endif
}

bool test_is_emulated(void)
{
    return getenv("JUGGLE_TEST_VALGRIND") || getenv("JUGGLE_TEST_QEMU");
}

bool test_is_slow(void)
{
    return SANITIZED || test_is_emulated();
}

/* Run fn(arg) in a child and return its status; with `output`, also what it wrote to stderr. */
static int run_child(void (*fn)(void *arg), void *arg, char *output, size_t capacity)
{
    int ends[2] = {-1, -1}, status;
    size_t length = 0;
    pid_t pid;

    fflush(NULL);
    if (output) {
        test_check(pipe(ends) == 0);
    }
    pid = fork();
    test_check(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &no_core); /* only spares the disk */
        (void)signal(SIGABRT, SIG_DFL);
        if (output) {
            test_check(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
            close(ends[0]);
            close(ends[1]);
        }
        fn(arg);
        fflush(NULL);
        _exit(0);
    }
    if (output) {
        close(ends[1]);
        for (;;) {
            ssize_t n = read(ends[0], output + length, capacity - 1 - length);

            if (n > 0) {
                length += (size_t)n;
            } else if (n == 0 || errno != EINTR) {
                break;
            }
        }
        output[length] = '\0';
        close(ends[0]);
    }
    while (waitpid(pid, &status, 0) < 0) {
        test_check(errno == EINTR);
    }
    return status;
}

void test_in_child(void (*fn)(void *arg), void *arg)
{
    int status = run_child(fn, arg, NULL, 0);

    if (WIFSIGNALED(status)) {
        fail_msg("the child died of signal %d", WTERMSIG(status));
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void test_expect_abort(void (*fn)(void *arg), void *arg, const char *message)
{
    char output[8192];
    int status = run_child(fn, arg, output, sizeof(output));

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("the child did not abort: status %#x, stderr: %s", (unsigned)status, output);
    }
    if (!strstr(output, message)) {
        fail_msg("no \"%s\" in the child's stderr: %s", message, output);
    }
}

#ifdef __linux__

bool test_deny(unsigned number, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#endif
