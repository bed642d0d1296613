#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fetch.sh PROGRAM CLIENT SERVER: pages come in the order they were asked for, at once and not one
# after the other; errors have their names, and the status tells.
set -eu
. "$(dirname "$0")/server.inc"

start "$3" 127.0.0.1:0
url=${address%/}

expect() {
    [ "$1" = "$2" ] || fail "got «$1», expected «$2»"
}

expect "$("$1" "$url/ext/sleep/300" "$url/" "$url/ext/sleep/301" "$url/missing" "$url/ext/stream/70000" \
    2>"$scratch/summary")" "200 13 $url/ext/sleep/300
200 13 $url/
200 13 $url/ext/sleep/301
404 14 $url/missing
200 70000 $url/ext/stream/70000"
tail -n 1 "$scratch/summary" | awk '$1 != 5 || $2 != "URLs" || $4 < 301 || $11 < 601 { exit 1 }' ||
    fail "the summary was «$(cat "$scratch/summary")»"

status=0
output=$("$1" -t 1 "$url/ext/sleep/1500" "$url/" http://127.0.0.1:1/ ftp://a/ https://127.0.0.1/ \
    2>/dev/null) || status=$?
expect "$output" "error timeout $url/ext/sleep/1500
200 13 $url/
error refused http://127.0.0.1:1/
error bad-scheme ftp://a/
error no-tls https://127.0.0.1/"
expect "$status" 1
stop TERM
