#!/bin/sh
# SPDX-License-Identifier: MIT
#
# timers.sh TIMERS: nothing comes early, and in the right order.
set -eu

"$1" | {
    ticks=0
    stopped=
    idle=
    while read -r time unit event; do
        [ "$unit" = ms ] && [ -z "$idle" ] || exit 1
        case $event in
        tick)
            ticks=$((ticks + 1))
            [ -z "$stopped" ] && [ "$time" -ge $((ticks * 50)) ] || exit 1
            last=$time
            ;;
        once:*)
            stopped=$time
            [ "$time" -ge 225 ] || exit 1
            ;;
        idle:*)
            idle=$time
            [ "$time" -ge $((last + 100)) ] || exit 1
            ;;
        *) exit 1 ;;
        esac
    done
    [ -n "$stopped" ] && [ -n "$idle" ] && [ "$ticks" -ge 1 ]
}
