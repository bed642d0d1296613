#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tasktree.sh PROGRAM: who is in which scope, and waits for what.
set -eu

out=$("$1")
for line in \
    'scope root' \
    '  task main: waits for tasks of a scope' \
    '  scope demonstration of main' \
    '    task observer: runs' \
    '    task worker: waits for tasks of a scope' \
    '      task short nap: waits for sleep'; do
    printf '%s\n' "$out" | grep -qFx -e "$line" || {
        printf 'There is no line «%s» in:\n%s\n' "$line" "$out" >&2
        exit 1
    }
done
printf '%s\n' "$out" | grep -q '^    scope work of worker, 0\.9[0-9]* s left$'
