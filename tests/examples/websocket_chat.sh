#!/bin/sh
# SPDX-License-Identifier: MIT
#
# websocket_chat.sh PROGRAM CLIENT: the page; somebody who says something, and is told when the
# program ends.
set -eu
. "$(dirname "$0")/interrupt.inc"
program=$1
client=$2

# opening ROOM: the request that opens a WebSocket.
opening() {
    printf '%s\r\n' "GET /rooms/$1 HTTP/1.1" 'Host: localhost' 'Connection: Upgrade' \
        'Upgrade: websocket' 'Sec-WebSocket-Version: 13' \
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' ''
}

expect() {
    grep -qaF "$1" "$scratch/answer" || fail "«$1» did not come"
}

begin '^listening on ' "$program" 127.0.0.1:0
address=$(sed -n 's|^listening on http://\(.*\)/$|\1|p' "$scratch/output")

printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
    "$client" "$address" talk >"$scratch/answer"
expect '</html>'
opening 'lobby' | "$client" "$address" talk >"$scratch/answer"
expect 'HTTP/1.1 400 Bad Request' # nobody without a name

# The client reads only after the end of its input, so somebody else looks whether Ann is there.
mkfifo "$scratch/input"
"$client" "$address" talk <"$scratch/input" >"$scratch/ann" &
guest=$!
exec 5>"$scratch/input"
opening 'lobby?name=Ann' >"$scratch/opening"
printf '\201\205\0\0\0\0hello' >>"$scratch/opening" # text, with a mask of zeros
cat "$scratch/opening" >&5
: >"$scratch/answer"
until grep -qaF 'Bob came; 2 here' "$scratch/answer"; do
    sleep 0.02
    opening 'lobby?name=Bob' | "$client" "$address" talk >"$scratch/answer"
done

# When it accepts no more, it has told everybody.
kill -INT "$process"
while "$client" "$address" talk </dev/null >/dev/null 2>&1; do
    sleep 0.02
done
printf '\210\202\0\0\0\0\003\351' >&5 # a close with 1001
exec 5>&-
wait "$guest" || fail "the guest was cut off"
status=0
wait "$process" || status=$?
process=
[ "$status" -eq 0 ] || fail "ended with status $status"
for text in 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' 'Ann came; 1 here' 'hello' 'Bob left; 1 here' \
    'the server stops'; do
    grep -qaF "$text" "$scratch/ann" || fail "Ann was not told «$text»"
done
