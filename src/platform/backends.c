/* SPDX-License-Identifier: MIT */
#include "platform/poller.h"

#include <stddef.h>

const jg__poller_ops *const jg__poller_all[] = {
#ifdef __linux__
    &jg__epoll_ops,
#endif
#ifdef JG__HAS_KQUEUE
    &jg__kqueue_ops,
#endif
    &jg__poll_ops,   &jg__script_ops, NULL,
};
