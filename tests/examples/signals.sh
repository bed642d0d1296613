#!/bin/sh
# SPDX-License-Identifier: MIT
#
# signals.sh SIGNALS: each signal and the end of the child are told of; SIGINT and SIGTERM end it.
set -eu
scratch=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill -KILL "$process" || :; rm -rf "$scratch"' EXIT

fail() {
    echo "$0: $*" >&2
    exit 1
}

# expect LINE: the next line that the example prints.
expect() {
    read -r line <&3 || fail "ended instead of «$1»"
    [ "$line" = "$1" ] || fail "printed «$line» instead of «$1»"
}

mkfifo "$scratch/output"
for last in INT TERM; do
    "$1" >"$scratch/output" &
    process=$!
    exec 3<"$scratch/output"
    read -r line <&3
    case $line in
    "process "*" waits for SIGUSR1 and SIGHUP; SIGINT and SIGTERM end it") ;;
    *) fail "printed «$line» first" ;;
    esac
    expect "the child ended with status 3"
    for signal in USR1 HUP "$last"; do
        kill -"$signal" "$process"
        expect "got SIG$signal"
    done
    wait "$process" || fail "ended by SIG$last with status $?"
    process=
done
