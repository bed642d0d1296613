#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gather.sh PROGRAM: how each of the four ends, who is cancelled, and that nothing is early.
set -eu

"$1" | awk '
    / after [0-9]+ ms$/ { time[++n] = $(NF - 1) + 0; next }
    /^  / { line[n] = line[n] " " $1 ":" ($2 == "success" ? "ok" : /ancel/ ? "cancelled" : "error") }
    /^slow, within/ { limit = /timed out/ }
    END {
        ok = n == 4 && limit &&
            line[1] == " fast:ok slow:ok" && time[1] >= 300 &&
            line[2] == " fast:ok slow:cancelled broken:error" && time[2] >= 60 &&
            line[3] == " fast:ok slow:ok broken:error" && time[3] >= 300 &&
            line[4] == " fast:ok slow:cancelled broken:cancelled" && time[4] >= 20
        exit !ok
    }'
