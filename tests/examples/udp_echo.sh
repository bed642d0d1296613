#!/bin/sh
# SPDX-License-Identifier: MIT
#
# udp_echo.sh UDP_ECHO CLIENT: datagrams of every size come back.
set -eu
. "$(dirname "$0")/server.inc"
program=$1
client=$2

for backend in ${JUGGLE_BACKEND:-epoll poll}; do
    export JUGGLE_BACKEND="$backend"
    start "$program" 0
    for size in 0 1 1000 65507; do
        "$client" "$address" udp 100 "$size" || fail "datagrams of $size bytes"
    done
    stop TERM
done
