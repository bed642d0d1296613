#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pipeline.sh PROGRAM: the sink ends it first, then Ctrl-C does; no accepted item is lost.
set -eu
. "$(dirname "$0")/interrupt.inc"

for delay in 0 0.1; do
    interrupt "until Ctrl-C" "$delay" "$1"
    sed '/until Ctrl-C/,$d' "$scratch/output" >"$scratch/first"
    sed '1,/until Ctrl-C/d' "$scratch/output" >"$scratch/second"

    [ "$(grep -c '^[0-9]*$' "$scratch/first")" = 10 ] || fail "the sink wanted ten"
    grep -qx 29 "$scratch/first" || fail "the tenth prime is missing"
    expect_sum "$scratch/first"
    grep -q 'numbers:.*dropped [1-9]' "$scratch/first" || fail "nothing was dropped above the sink"

    expect_sum "$scratch/second"
    [ "$(grep -c 'dropped 0$' "$scratch/second")" = 2 ] || fail "Ctrl-C dropped something"
done
