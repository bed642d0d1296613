#!/bin/sh
# SPDX-License-Identifier: MIT
#
# web_server.sh PROGRAM CLIENT: what a browser would do; then an end while a request is under way.
set -eu
. "$(dirname "$0")/server.inc"
program=$1

if ! command -v curl >/dev/null; then
    echo "curl is missing"
    exit 77
fi

# get WANTED ARGUMENTS...: the body and the status, with a space between.
get() {
    wanted=$1
    shift
    got=$(curl -sS --max-time 20 -w ' %{http_code}' "$@")
    [ "$got" = "$wanted" ] || fail "$*: got «$got» instead of «$wanted»"
}

mkdir "$scratch/folder"
echo contents >"$scratch/folder/file.txt"
seq 1 100000 >"$scratch/numbers"
start "$program" 127.0.0.1:0 "$scratch/folder"
url=${address%/}

get 'Hello, World! 200' "$url/"
get 'hello 200' -d hello "$url/echo"
curl -sS --max-time 20 --data-binary "@$scratch/numbers" "$url/echo" | cmp - "$scratch/numbers" ||
    fail "the echo differs"
get 'slow
 200' "$url/slow?ms=10"
get '400 Bad Request
 400' "$url/slow?ms=x"
get '202 Accepted
 202' -X POST "$url/jobs"
get 'contents
 200' "$url/files/file.txt"
get 'onte 206' -r 1-4 "$url/files/file.txt"
get '404 Not Found
 404' --path-as-is "$url/files/../numbers"
get '404 Not Found
 404' "$url/nowhere"
get '405 Method Not Allowed
 405' -X PUT "$url/"

# What is under way when it is told to stop is answered; then it tells of the jobs.
curl -sSv --max-time 20 "$url/slow?ms=700" >"$scratch/slow" 2>"$scratch/sent" &
slow=$!
until grep -q '^> GET' "$scratch/sent"; do
    sleep 0.05
done
curl -sS --max-time 20 "$url/" >"$scratch/later" # when it is answered, what came before it was read
kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
[ "$status" -eq 0 ] || fail "ended with status $status"
wait "$slow" || fail "the request under way was lost"
[ "$(cat "$scratch/slow")" = slow ] || fail "the request under way got something else"
case $(cat <&3) in
"jobs: 1 done, 0 dropped") ;;
*) fail "the jobs were not told" ;;
esac
