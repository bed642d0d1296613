#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tcp_proxy.sh TCP_PROXY CLIENT: in front of the echo server next to it nobody notices the proxy.
set -eu
. "$(dirname "$0")/server.inc"
program=$1
client=$2
echo=$(dirname "$program")/echo

export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"

expect_echo() {
    "$client" "$address" echo "$@" || fail "echo $* failed"
}

# The echo server takes the place of the holder, which is ended at the end, too.
start_target() {
    mkfifo "$scratch/target"
    "$echo" 0 >"$scratch/target" 2>/dev/null &
    holder=$!
    read -r line <"$scratch/target" || fail "there is no target"
    rm "$scratch/target"
    target=${line#listening on }
}

test_arguments() {
    for arguments in "" "0" "0 1 2" "x 127.0.0.1:1" "0 127.0.0.1"; do
        status=0
        "$program" $arguments >"$scratch/usage" 2>&1 || status=$?
        [ "$status" -eq 2 ] || fail "status $status for the arguments «$arguments»"
    done
}

test_arguments
for backend in ${JUGGLE_BACKEND:-epoll poll}; do
    export JUGGLE_BACKEND="$backend"
    start_target
    start "$program" 0 "$target"
    expect_echo 1 1 1
    expect_echo 50 20 1000
    expect_echo 3 4 65536

    # The end that the client says reaches the target, and what comes after it comes back.
    [ "$(printf x | "$client" "$address" talk)" = x ] || fail "a byte before the end was lost"
    [ -z "$(printf '' | "$client" "$address" talk)" ] || fail "something came back for nothing"

    # Whoever does not read is waited for, without keeping what others send.
    before=$(peak)
    "$client" "$address" slow 67108864 >/dev/null || fail "the slow reader failed"
    growth=$(($(peak) - before))
    [ "$growth" -le 8192 ] || fail "a slow reader cost $growth KiB"

    "$client" "$address" reset 67108864 || fail "the reset failed"
    expect_echo 1 1 1

    # Without a target there is an end at once.
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || :
    holder=
    [ -z "$(printf x | "$client" "$address" talk 2>/dev/null)" ] || fail "nobody answered"
    stop INT
done
