#!/bin/sh
# SPDX-License-Identifier: MIT
#
# resolve.sh PROGRAM: what needs no network, in the order of the arguments; and what is no name.
set -eu

fail() {
    echo "$0: $*" >&2
    exit 1
}

expected="192.0.2.1 192.0.2.1:0
2001:db8::1 [2001:db8::1]:0
192.0.2.7 192.0.2.7:0"
output=$("$1" 192.0.2.1 2001:db8::1 192.0.2.7)
[ "$output" = "$expected" ] || fail "printed «$output»"

"$1" localhost | grep -qx 'localhost 127\.0\.0\.1:0' || fail "localhost is not 127.0.0.1"

status=0
output=$("$1" 192.0.2.1 not..a.name 192.0.2.2 2>&1) || status=$?
[ "$status" -eq 1 ] || fail "ended with status $status when a name is none"
case $output in
*"not..a.name: Invalid argument"*) ;;
*) fail "printed «$output»" ;;
esac
[ "$(echo "$output" | grep -c '^192')" -eq 2 ] || fail "the others were lost: «$output»"

status=0
"$1" 2>/dev/null || status=$?
[ "$status" -eq 2 ] || fail "ended with status $status without arguments"
