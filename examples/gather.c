/* SPDX-License-Identifier: MIT
 *
 * Gather: slow operations at once, in the time of the slowest; with one that fails, and a limit.
 */
#include "common.h"

struct request {
    const char *name;
    jg_time takes;
    int result;
};

/* Stands for a call over the network. */
static int fetch(void *arg)
{
    const struct request *request = arg;
    int r = jg_sleep(request->takes);

    return r < 0 ? r : request->result;
}

static void gather(const char *what, struct request *requests, int count, jg_policy policy)
{
    jg_loop *loop = jg_task_loop(jg_task_current());
    jg_time start = jg_loop_now(loop);
    jg_job jobs[4];
    int r;

    for (int i = 0; i < count; i++)
        jobs[i] = (jg_job){.fn = fetch, .arg = &requests[i]};
    r = jg_gather(jobs, (size_t)count, policy);

    printf("%s: %s after %d ms\n", what, jg_strerror(r),
           (int)((jg_loop_now(loop) - start) / JG_MILLISECOND));
    for (int i = 0; i < count; i++)
        printf("  %-6s %s\n", requests[i].name, jg_strerror(jobs[i].status));
}

static int demonstrate(void *arg)
{
    struct request requests[] = {
        {"fast", 20 * JG_MILLISECOND, 200},
        {"slow", 300 * JG_MILLISECOND, 200},
        {"broken", 60 * JG_MILLISECOND, -ECONNRESET},
    };
    int r;

    (void)arg;
    gather("two at once", requests, 2, JG_FAIL_FAST);
    gather("one fails, the others are cancelled", requests, 3, JG_FAIL_FAST);
    gather("one fails, the others go on", requests, 3, JG_KEEP_GOING);
    gather("the first wins", requests, 3, JG_FIRST_WINS);

    r = jg_wait_for(fetch, &requests[1], 150 * JG_MILLISECOND);
    printf("slow, within 150 ms: %s\n", jg_strerror(r));
    return 0;
}

int main(void)
{
    return check(jg_run(demonstrate, NULL, NULL), "gather");
}
