#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rate_limit.sh PROGRAM: twelve calls begin in their order and end; never more than three are in
# flight; and none begins before its share of time has passed.
set -eu

"$1" | awk '
    / begins, / { early += $1 < 25 * begun; begun++; unordered += $4 != begun }
    / ends, / { ended++ }
    $6 > 3 { crowded++ }
    END { exit !(begun == 12 && ended == 12 && !early && !unordered && !crowded) }'
