#!/bin/sh
# SPDX-License-Identifier: MIT
#
# threads.sh THREADS: every result arrives, and the loop is not held up by the work.
set -eu

expected='1 of 8 jobs are done
2 of 8 jobs are done
3 of 8 jobs are done
4 of 8 jobs are done
5 of 8 jobs are done
6 of 8 jobs are done
7 of 8 jobs are done
8 of 8 jobs are done
2262 primes are below 20000
4203 primes are below 40000
6057 primes are below 60000
7837 primes are below 80000
9592 primes are below 100000
11301 primes are below 120000
13010 primes are below 140000
14683 primes are below 160000
the loop ticked meanwhile'

output=$("$1")
[ "$output" = "$expected" ] || {
    echo "$output" >&2
    exit 1
}
