/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void jg__misuse(const char *function, const char *text)
{
    fprintf(stderr, "juggle: %s: %s\n", function, text);
    abort();
}
