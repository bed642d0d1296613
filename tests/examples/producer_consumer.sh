#!/bin/sh
# SPDX-License-Identifier: MIT
#
# producer_consumer.sh PROGRAM: Ctrl-C at some moment, and no accepted item is lost.
set -eu
. "$(dirname "$0")/interrupt.inc"

for delay in 0 0.05 0.2; do
    interrupt "end it with Ctrl-C" "$delay" "$1"
    expect_sum "$scratch/output"
    grep -q 'at most 8 waited$' "$scratch/output" || fail "the limit was not kept, or not reached"
done
