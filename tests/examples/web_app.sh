#!/bin/sh
# SPDX-License-Identifier: MIT
#
# web_app.sh PROGRAM CLIENT: the page, jobs, slow servers and events; Ctrl-C while a page is told and
# jobs are under way.
set -eu
. "$(dirname "$0")/interrupt.inc"
program=$1
client=$2

# ask METHOD TARGET: the head and the body of the response.
ask() {
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" "$2" |
        "$client" "$address" talk >"$scratch/answer" || fail "$1 $2: no answer"
}

# expect TEXT: it is in the answer.
expect() {
    grep -qF "$1" "$scratch/answer" || {
        sed 's/^/    answer: /' "$scratch/answer" | head -n 20 >&2
        fail "«$1» is not in the answer"
    }
}

begin 'all at once: ' "$program" 127.0.0.1:0
address=$(sed -n 's|^listening on http://\(.*\)/$|\1|p' "$scratch/output")
[ -n "$address" ] || fail "it told no address"

ask GET /
expect 'HTTP/1.1 200 OK'
expect '<title>juggle at work</title>'
expect '</html>'
ask POST '/jobs?count=3'
expect 'HTTP/1.1 202 Accepted'
expect '{"added":3,"refused":0}'
ask POST '/jobs?count=0'
expect 'HTTP/1.1 400 Bad Request'
ask POST '/jobs'
expect 'HTTP/1.1 400 Bad Request'
ask GET '/jobs'
expect 'HTTP/1.1 405 Method Not Allowed'
ask POST '/fetch?at_once=1'
expect '"name":"reviews","status":200,'
ask POST '/block'
expect 'HTTP/1.1 204 No Content'

# All the room that there is, and more: what is refused is told, and not accepted.
ask POST '/jobs?count=100'
ask POST '/jobs?count=100'
expect '"refused":'

# A page that is told until the end.
printf 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n' |
    "$client" "$address" talk >"$scratch/answer" &
page=$!
while ! grep -q '"tree"' "$scratch/answer"; do
    sleep 0.02
done
end
wait "$page" || fail "the events were cut off"
expect 'Content-Type: text/event-stream'
expect '"scope application, keeps going"'
expect 'task worker: '
expect_sum "$scratch/output"
grep -q 'dropped [1-9]' "$scratch/output" || fail "it did a hundred jobs in time"
