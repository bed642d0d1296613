#!/bin/sh
# SPDX-License-Identifier: MIT
#
# workers.sh HTTP_SERVER: workers share the port, are started again when they die, end in order with
# their parent, and tell it if they cannot work.
set -eu
. "$(dirname "$0")/../examples/server.inc"
program=$1

if ! command -v curl >/dev/null || ! command -v pgrep >/dev/null; then
    echo "curl or pgrep is missing"
    exit 77
fi

count_is() {
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        [ "$(pgrep -P "$server" | wc -l)" -ne "$1" ] || return 0
        sleep 0.1
    done
    fail "there are not $1 workers"
}

ask() {
    for i in 1 2 3 4 5 6 7 8 9 10; do
        got=$(curl -sS --max-time 10 "$address") || fail "nobody answers"
        [ "$got" = "Hello, World!" ] || fail "got «$got»"
    done
}

# One of them is killed, another exits in a handler; others come in their places.
start "$program" 127.0.0.1:0 --workers 3
count_is 3
ask
victim=$(pgrep -P "$server" | head -n 1)
kill -KILL "$victim"
while pgrep -P "$server" | grep -qx "$victim"; do
    sleep 0.1
done
count_is 3
ask
workers=$(pgrep -P "$server" | sort)
! curl -sS --max-time 10 "${address}ext/exit/3" 2>"$scratch/errors" || fail "who exited answered"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    now=$(pgrep -P "$server" | sort)
    [ "$now" = "$workers" ] || [ "$(echo "$now" | wc -l)" -ne 3 ] || break
    sleep 0.1
done
[ "$now" != "$workers" ] || fail "nobody exited"
count_is 3
ask
curl -sSv --max-time 10 "${address}ext/drip/700" >"$scratch/slow" 2>"$scratch/asked" &
slow=$!
until grep -q '^< HTTP' "$scratch/asked"; do
    sleep 0.05
done
stop TERM
wait "$slow" || fail "a request under way was lost"
[ "$(cat "$scratch/slow")" = "Hello, World!" ] || fail "the request under way got something else"

# One process alone: a port in use, addresses that are none.
start "$program" 127.0.0.1:0
port=${address%/}
port=${port##*:}
for bad in "127.0.0.1:$port" nonsense 127.0.0.1: 127.0.0.1:99999 localhost:80 :80; do
    ! "$program" "$bad" 2>"$scratch/errors" || fail "$bad was taken"
done
! "$program" "127.0.0.1:$port" --workers 2 2>"$scratch/errors" || fail "the port was shared"
ask
stop INT

# Those that cannot even begin are not tried again and again.
! "$program" 127.0.0.1:0 --workers 2 --fail 2>"$scratch/errors" || fail "it ended well"
grep -qE '(I/O|Input/output) error' "$scratch/errors" || fail "got «$(cat "$scratch/errors")»"
