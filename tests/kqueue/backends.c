/* SPDX-License-Identifier: MIT
 *
 * The backends of the tests, in the place of those of src/platform/backends.c: the same, and the
 * kqueue backend in two shapes.
 */
#include "platform/poller.h"

extern const jg__poller_ops jg__kqueue_netbsd_ops;

const jg__poller_ops *const jg__poller_all[] = {
#ifdef __linux__ /* not if it is to be as on NetBSD */
    &jg__epoll_ops,
#endif
    &jg__kqueue_ops, &jg__kqueue_netbsd_ops, &jg__poll_ops, &jg__script_ops, NULL,
};
