#!/bin/sh
# SPDX-License-Identifier: MIT
#
# embed_poll.sh EMBED_POLL: both loops get what is theirs, whichever end comes first.
set -eu
scratch=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill -KILL "$process" || :; rm -rf "$scratch"' EXIT
unset JUGGLE_BACKEND

fail() {
    echo "$0: $*" >&2
    exit 1
}

# Standard input ends first.
output=$(echo hello | "$1")
expected='juggle: tick 1
juggle: tick 2
juggle: tick 3
poll: 6 bytes of input
poll: end of input'
[ "$(echo "$output" | sort)" = "$expected" ] || fail "printed «$output»"

# Standard input stays open; a signal, which is juggle's, ends the program.
mkfifo "$scratch/input" "$scratch/output"
"$1" <"$scratch/input" >"$scratch/output" &
process=$!
exec 4>"$scratch/input" 3<"$scratch/output"
read -r line <&3
[ "$line" = "juggle: tick 1" ] || fail "printed «$line» first"
kill -INT "$process"
wait "$process" || fail "ended by SIGINT with status $?"
process=
output=$(cat <&3)
case $output in
*"juggle: signal 2, so that is it") ;;
*) fail "printed «$output» after SIGINT" ;;
esac

# A backend without a descriptor to watch cannot be embedded: that is said, not ignored.
status=0
JUGGLE_BACKEND=poll "$1" </dev/null 2>"$scratch/error" >&2 || status=$?
[ "$status" -eq 1 ] || fail "with the backend poll it ended with status $status"
