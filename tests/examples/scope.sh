#!/bin/sh
# SPDX-License-Identifier: MIT
#
# scope.sh PROGRAM: the release runs on success, error, timeout and Ctrl-C.
set -eu

out=$(mktemp)
trap 'rm -f "$out"' EXIT

"$1" >"$out" &
program=$!
while ! grep -q waiting "$out"; do
    kill -0 $program
    sleep 0.02
done
# A background process of a script ignores SIGINT from the start; SIGTERM does the same here.
kill -TERM $program
wait $program

[ "$(grep -c '^  released the connection' "$out")" = 4 ]
tail -n 1 "$out" | grep -q '^end: Operation cancel'
