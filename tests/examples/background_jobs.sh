#!/bin/sh
# SPDX-License-Identifier: MIT
#
# background_jobs.sh PROGRAM CLIENT: more clients than it has room for, then Ctrl-C: what was
# accepted is done, or told of as dropped.
set -eu
. "$(dirname "$0")/interrupt.inc"
program=$1
client=$2

start() {
    begin "^listening on " "$program" 127.0.0.1:0
    address=$(sed -n 's/^listening on //p' "$scratch/output")
}

finish() {
    end
    grep -q '^the front was late by ' "$scratch/output" || fail "no latency was told"
    expect_sum "$scratch/output"
}

# One client after the other: as many jobs as were answered with "accepted".
test_answers() {
    start
    : >"$scratch/answers"
    for i in 1 2 3 4 5 6 7 8 9 10; do
        "$client" "$address" talk </dev/null >>"$scratch/answers" || fail "a client failed"
    done
    finish
    accepted=$(grep -cx accepted "$scratch/answers") || :
    grep -q "^accepted $accepted," "$scratch/output" || fail "$accepted clients were accepted"
}

# Clients all at once, more than there is room for: the jobs that are left when all have their answer
# outlast the time they get.
test_overload() {
    start
    "$client" "$address" crowd 300 || fail "the clients failed"
    finish
    grep -q 'dropped [1-9]' "$scratch/output" || fail "it did all that in time"
}

test_answers
test_overload
