/* SPDX-License-Identifier: MIT
 *
 * Virtual time: an hour-long schedule, tested in a millisecond.
 */
#include "common.h"

#include <juggle/test.h>

#include <time.h>

struct schedule {
    int minutes, quarters;
};

static int every_minute(void *arg)
{
    struct schedule *schedule = arg;
    int r = jg_sleep(60 * JG_SECOND);

    while (r == 0) {
        schedule->minutes++;
        r = jg_sleep(60 * JG_SECOND);
    }
    return r;
}

static int every_quarter(void *arg)
{
    struct schedule *schedule = arg;
    int r = jg_sleep(15 * 60 * JG_SECOND);

    while (r == 0) {
        printf("after %d minutes\n", schedule->minutes);
        schedule->quarters++;
        r = jg_sleep(15 * 60 * JG_SECOND);
    }
    return r;
}

/* Runs for an hour of its clock. */
static int run_schedule(void *arg)
{
    jg_job jobs[] = {{.fn = every_minute, .arg = arg}, {.fn = every_quarter, .arg = arg}};

    return jg_gather(jobs, 2, JG_FAIL_FAST);
}

static int hour(void *arg)
{
    int r = jg_wait_for(run_schedule, arg, 3600 * JG_SECOND + 1);

    return r == -ETIMEDOUT ? 0 : r;
}

int main(void)
{
    const jg_loop_options virtual_time = {.flags = JG_LOOP_VIRTUAL_TIME};
    const jg_run_options options = {.loop = &virtual_time};
    struct schedule schedule = {0};
    clock_t start = clock();

    check(jg_run(hour, &schedule, &options), "schedule");
    printf("%d minutes, %d quarters, %d ms of processor time\n", schedule.minutes,
           schedule.quarters, (int)((clock() - start) * 1000 / CLOCKS_PER_SEC));
    return schedule.minutes == 60 && schedule.quarters == 4 ? 0 : 1;
}
