/* SPDX-License-Identifier: MIT
 *
 * The test kit of the loop: see <juggle/test.h>.
 */
#include "base/time.h"
#include "core/loop.h"
#include "platform/script.h"

#include <juggle/test.h>

#include <errno.h>

int jg_test_advance(jg_loop *loop, jg_time delta)
{
    jg__check_thread(loop);
    if (!loop->clock.is_virtual || delta < 0)
        return -EINVAL;

    loop->clock.virtual_now = jg__time_add(loop->clock.virtual_now, delta);
    return 0;
}

int jg_test_script(jg_loop *loop, jg_time when, int fd, int events)
{
    jg__check_thread(loop);
    if (loop->poller->ops != &jg__script_ops || fd < 0 || events == 0 ||
        (events > 0 && events & ~JG__EVENTS_ALL))
        return -EINVAL;
    return jg__script_announce(loop->poller, when, fd, events);
}
