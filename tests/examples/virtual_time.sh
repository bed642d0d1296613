#!/bin/sh
# SPDX-License-Identifier: MIT
#
# virtual_time.sh PROGRAM: it checks its schedule itself.
set -eu

"$1" | grep -q '^60 minutes, 4 quarters'
