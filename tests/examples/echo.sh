#!/bin/sh
# SPDX-License-Identifier: MIT
#
# echo.sh ECHO CLIENT: it stands what the server of callbacks does.
exec "$(dirname "$0")/echo_callbacks.sh" "$@"
