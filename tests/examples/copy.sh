#!/bin/sh
# SPDX-License-Identifier: MIT
#
# copy.sh PROGRAM: what it copies, what it says when it cannot, and that nothing partial is left.
set -eu
. "$(dirname "$0")/interrupt.inc"
program=$1
cd "$scratch"

# refused TEXT SRC DST: status 1, with that text and no file.
refused() {
    status=0
    output=$("$program" "$2" "$3" 2>&1) || status=$?
    [ "$status" -eq 1 ] || fail "ended with status $status for $2 to $3"
    case $output in
    *"$1"*) ;;
    *) fail "printed «$output» instead of «$1»" ;;
    esac
}

head -c 3000001 /dev/urandom >source
chmod 640 source
umask 022
"$program" source target || fail "cannot copy"
cmp source target || fail "the copy is another one"
[ "$(ls -l target | cut -c 1-10)" = "-rw-r-----" ] || fail "the copy has another mode"
: >empty
"$program" empty target
cmp empty target || fail "what was there before is still there"

refused "copy: missing: No such file or directory" missing other
refused "copy: .: Is a directory" . other
refused "copy: nowhere/other: No such file or directory" source nowhere/other
[ ! -e other ] || fail "there is a file that nothing was copied to"
ln source again
refused "source and again are the same file" source again
cmp source again || fail "the file is damaged"

if [ -c /dev/full ]; then
    ln -s /dev/full full
    refused "copy: full: No space left on device" source full
    [ -L full ] || fail "removed what is not a file of its own"
fi
(
    trap '' XFSZ
    ulimit -f 1000
    refused "copy: partial: File too large" source partial
)
[ ! -e partial ] || fail "a partial copy is left"

# Ctrl-C in the middle of a copy that has no end.
"$program" /dev/zero endless &
process=$!
while [ ! -s endless ]; do
    kill -0 "$process" 2>/dev/null || fail "it has ended"
    sleep 0.01
done
kill -INT "$process"
status=0
wait "$process" || status=$?
process=
[ "$status" -eq 130 ] || fail "ended with status $status after Ctrl-C"
[ ! -e endless ] || fail "a partial copy is left"

# The bar is for terminals alone.
[ -z "$("$program" source target 2>&1)" ] || fail "printed something into a file"
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    script -qec "'$program' source target" /dev/null </dev/null >output
    grep -q '\[#*\] 100%' output || fail "no bar on a terminal"
fi

status=0
"$program" source 2>/dev/null || status=$?
[ "$status" -eq 2 ] || fail "ended with status $status without a target"
