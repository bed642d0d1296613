#!/bin/sh
# SPDX-License-Identifier: MIT
#
# echo_callbacks.sh ECHO_CALLBACKS CLIENT: what a server has to stand, on each backend.
set -eu
. "$(dirname "$0")/server.inc"
program=$1
client=$2

# Allocators of sanitizers keep freed memory for a while, which would look as if the server did.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"

expect_usage_error() {
    status=0
    "$program" "$@" >"$scratch/usage" 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "status $status instead of 2 for the arguments «$*»"
    grep -q '^usage: ' "$scratch/usage" || fail "no usage line for the arguments «$*»"
}

expect_echo() {
    "$client" "$address" echo "$@" || fail "echo $* failed"
}

test_arguments() {
    expect_usage_error
    expect_usage_error 127.0.0.1:0 more
    expect_usage_error port
    expect_usage_error 127.0.0.1:
    expect_usage_error 127.0.0.1:65536
    expect_usage_error 127.0.0.1:-1
    expect_usage_error [::1:0
}

test_echo() {
    start "$program" 0
    case $address in
    127.0.0.1:*) ;;
    *) fail "listens on $address" ;;
    esac
    expect_echo 1 1 1
    expect_echo 50 20 1000
    expect_echo 3 4 65536
    stop TERM
}

test_ipv6() {
    [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6 || return 0
    start "$program" '[::1]:0'
    expect_echo 1 1 1
    stop TERM
}

# A client that has sent all it had still gets all of it back.
test_half_close() {
    start "$program" 127.0.0.1:0
    [ "$(printf x | "$client" "$address" talk)" = x ] || fail "a byte before the end was lost"
    [ -z "$(printf '' | "$client" "$address" talk)" ] || fail "something came back for nothing"
    stop INT
}

# 64 MiB that are read slowly must not be kept by the server.
test_slow_reader() {
    start "$program" 127.0.0.1:0
    expect_echo 1 1 1000
    before=$(peak)
    "$client" "$address" slow 67108864 >/dev/null || fail "the slow reader failed"
    growth=$(($(peak) - before))
    [ -n "${JUGGLE_TEST_VALGRIND:-}" ] || [ "$growth" -le 8192 ] ||
        fail "a slow reader cost $growth KiB"
    stop TERM
}

test_reset() {
    start "$program" 127.0.0.1:0
    "$client" "$address" reset 1000
    "$client" "$address" reset 67108864
    expect_echo 1 1 1
    stop TERM
}

# Out of descriptors it neither ends nor tries over and over, and goes on when there are some.
test_descriptor_limit() {
    start sh -c 'ulimit -n 48 && exec "$0" 127.0.0.1:0' "$program"
    hold "$client" 80
    while ! grep -q '^accept' "$scratch/errors"; do
        sleep 0.1
    done
    sleep 0.3
    tries=$(grep -c '^accept' "$scratch/errors") || :
    [ "$tries" -le 30 ] || fail "accept failed $tries times"
    release
    expect_echo 1 1 1
    stop TERM
}

test_end_with_clients() {
    start "$program" 127.0.0.1:0
    hold "$client" 20
    expect_echo 1 1 1
    stop "$1"
    release
}

test_arguments
for backend in ${JUGGLE_BACKEND:-epoll poll}; do
    export JUGGLE_BACKEND="$backend"
    test_echo
    test_ipv6
    test_half_close
    test_slow_reader
    test_reset
    test_descriptor_limit
    test_end_with_clients INT
    test_end_with_clients TERM
done
