#!/bin/sh
# SPDX-License-Identifier: MIT
#
# chat.sh CHAT CLIENT: lines go to the others in the room, whoever is slow.
set -eu
. "$(dirname "$0")/server.inc"
program=$1
client=$2

export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"

test_rooms() {
    start "$program" 0
    "$client" "$address" script <<'END' || fail "the rooms"
1>kitchen
1<welcome
2>kitchen
2<welcome
3>garden
3<welcome
4>garden
4<welcome
1>the soup is ready
2<the soup is ready
3>it rains
4<it rains
2>thanks
1<thanks
2.
5>kitchen
5<welcome
1>who is there
5<who is there
5>me
1<me
END
    stop TERM
}

# The first one never reads what the second tells the third.
test_slow_reader() {
    start "$program" 0
    before=$(peak)
    awk 'BEGIN {
        for (i = 1; i <= 3; i++)
            printf "%d>room\n%d<welcome\n", i, i
        while (length(text) < 500)
            text = text "x"
        for (i = 0; i < 24000; i++)
            printf "2>%d %s\n3<%d %s\n", i, text, i, text
    }' | "$client" "$address" script || fail "a slow reader was noticed"
    growth=$(($(peak) - before))
    [ "$growth" -le 8192 ] || fail "a slow reader cost $growth KiB"
    stop INT
}

for backend in ${JUGGLE_BACKEND:-epoll poll}; do
    export JUGGLE_BACKEND="$backend"
    test_rooms
    test_slow_reader
done
