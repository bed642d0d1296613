#!/bin/sh
# SPDX-License-Identifier: MIT
#
# with.sh PROGRAM: each way out of the block releases, and has the status that it should.
set -eu

out=$("$1")
[ "$(echo "$out" | grep -c '^  released the connection')" = 4 ]
echo "$out" | grep -q '^both: success'
echo "$out" | grep -q '^one: success'
echo "$out" | grep -qi '^error: i.*error'
echo "$out" | grep -qi '^timeout: .*time'
