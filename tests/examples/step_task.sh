#!/bin/sh
# SPDX-License-Identifier: MIT
#
# step_task.sh PROGRAM: the two take turns.
set -eu

expected="a 3
b 2
a 2
b 1
a 1
b 0
a 0
all done: success"
[ "$("$1" | grep -v bytes)" = "$expected" ]
