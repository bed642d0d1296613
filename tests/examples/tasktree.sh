#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tasktree.sh PROGRAM: who is in which scope, and waits for what, where and for how long; also when
# a signal asks.
set -eu
scratch=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill -KILL "$process" || :; rm -rf "$scratch"' EXIT

# expect FILE PATTERN...: for each there is a line that is just that.
expect() {
    file=$1
    shift
    for line; do
        grep -qEx -e "$line" "$file" || {
            printf 'There is no line «%s» in:\n' "$line" >&2
            cat "$file" >&2
            exit 1
        }
    done
}

stack='stack [0-9]+ of [0-9]+ KiB'
place="at [^ ]*, $stack"
"$1" >"$scratch/output"
expect "$scratch/output" 'scope root' "    task observer: runs, $stack"

mkfifo "$scratch/pipe"
"$1" 50 >"$scratch/pipe" 2>"$scratch/dump" &
process=$!
exec 3<"$scratch/pipe"
read -r line <&3
[ "$line" = '-- after 20 ms' ]
kill -QUIT "$process"
for i in 1 2 3 4 5 6 7 8 9 10; do
    ! grep -q 'long nap' "$scratch/dump" || break
    sleep 0.$i
done
expect "$scratch/dump" \
    'scope root' \
    "  task main: waits for [12] tasks? of scope demonstration for [0-9]+\.[0-9]+ s $place" \
    '  scope demonstration of main' \
    "    task worker: waits for [12] tasks? of scope work for [0-9]+\.[0-9]+ s $place" \
    '    scope work of worker, 5[0-9]\.[0-9]+ s left' \
    "      task long nap: waits for sleep for [0-9]+\.[0-9]+ s $place"
kill -TERM "$process"
wait "$process" || [ $? -eq 1 ] # it was cancelled, and says so
process=
