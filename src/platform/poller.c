/* SPDX-License-Identifier: MIT */
#include "platform/poller.h"

#include <stdlib.h>
#include <string.h>

const jg__poller_ops *jg__poller_find(const char *name)
{
    if (!name)
        name = getenv("JUGGLE_BACKEND");
    if (!name || !*name)
        return jg__poller_all[0];

    for (size_t i = 0; jg__poller_all[i]; i++) {
        if (strcmp(jg__poller_all[i]->name, name) == 0)
            return jg__poller_all[i];
    }
    return NULL;
}
