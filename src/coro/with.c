/* SPDX-License-Identifier: MIT
 *
 * The end of a block with a scope, where its function may return already.
 */
#include <juggle/with.h>

#include "coro/coro.h"

#include <errno.h>

void jg_with_end(jg_with *with)
{
    int status = *with->status;
    bool inside = with->scope.status < 0;
    int r;

    if (with->left)
        return;

    /* A goto or return, whose value was evaluated before: an error of a task is not in it, nor that
     * what looks like a cancellation is a timeout. If a block inside missed an error, `status` may
     * be that one, which was not returned either. */
    r = jg__with_leave(with, status);
    if (r < 0 && (inside || status >= 0 || (status == -ECANCELED && r != status)))
        jg__body_failed(r);
}
