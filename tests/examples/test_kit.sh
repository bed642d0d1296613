#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_kit.sh PROGRAM: the careful code passes, and in the careless one the mistake is found.
set -eu

"$1" | awk '
    /^care/ { careless = /less/ }
    /: [0-9]+$/ { if (careless) found += $NF > 0; else { passed += $NF == 0 } }
    /cancelled at point/ { told = careless }
    END { exit !(passed == 3 && found >= 1 && told) }'
