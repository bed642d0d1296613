#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hello.sh PROGRAM: the two take turns.
set -eu

expected="hello 1
other 1
hello 2
other 2
hello 3
other 3"
[ "$("$1" | grep -v bytes)" = "$expected" ]
