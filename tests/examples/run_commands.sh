#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_commands.sh PROGRAM: whole lines with the number of their command, the exit status, at most K
# at a time, commands from the standard input; and Ctrl-C.
set -eu
. "$(dirname "$0")/interrupt.inc"
program=$1

expect() {
    [ "$1" = "$2" ] || fail "printed «$2» instead of «$1»"
}

expect_status() {
    [ "$1" -eq "$2" ] || fail "ended with status $2 instead of $1"
}

# Lines are whole, also the last one without its end, and long ones.
output=$("$program" 'echo a; echo b' 'printf c' 'true' 'head -c 10000 /dev/zero | tr "\0" x') ||
    fail "ended with status $?"
expect "1: a
1: b
2: c" "$(echo "$output" | sed '/^4: /d' | sort)"
expect 10000 "$(echo "$output" | sed -n 's/^4: //p' | tr -d '\n' | wc -c | tr -d ' ')"
output=$("$program" -j 3 'seq 5000' 'seq 5000' 'seq 5000')
expect "15000" "$(echo "$output" | grep -c '^[123]: [0-9]*$')"

# Errors of commands.
status=0
output=$("$program" 'exit 3' 'echo out; echo err >&2' 'kill -9 $$' no_such_command 2>&1) || status=$?
expect_status 1 "$status"
for line in '1: exit status 3' '2: out' '2: err' '3: ended by signal 9' '4: exit status 127'; do
    echo "$output" | grep -qxF "$line" || fail "no «$line» in «$output»"
done

# From the standard input: a pipe, a file, nothing.
output=$(printf 'echo one\necho two' | "$program" -j 1)
expect "1: one
2: two" "$output"
printf 'echo one\nfalse\n' >"$scratch/commands"
status=0
output=$("$program" <"$scratch/commands" 2>/dev/null) || status=$?
expect_status 1 "$status"
expect "1: one" "$output"
expect "" "$("$program" </dev/null)"

# One at a time: none begins before the one before it has ended.
output=$("$program" -j 1 'echo b; sleep 0.05; echo e' 'echo b; sleep 0.05; echo e' 'echo b; echo e')
expect "b e b e b e " "$(echo "$output" | sed 's/.*: //' | tr '\n' ' ')"

# Many at a time, and more commands than that.
output=$(seq 300 | sed 's/^/echo /' | "$program" -j 50)
expect 300 "$(echo "$output" | awk -F': ' '$1 == $2' | wc -l | tr -d ' ')"

# A reader that is gone.
status=0
"$program" 'yes' 2>"$scratch/errors" | head -n 2 >/dev/null || status=$?

# Ctrl-C: nothing that was started is there any more.
begin "started" "$program" -j 2 'sh -c "sleep 77 & echo \$! >'"$scratch"'/pid; echo started; wait"' \
    'sleep 77'
kill -INT "$process"
status=0
wait "$process" || status=$?
process=
expect_status 130 "$status"
pid=$(cat "$scratch/pid")
tries=0
while kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "what a command had started is still there"
    sleep 0.05
done

status=0
"$program" -j 0 true 2>/dev/null || status=$?
expect_status 2 "$status"
