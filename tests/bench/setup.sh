# SPDX-License-Identifier: MIT
#
# Shared by tests/bench/run and tests/bench/counts, which set $root: what the benchmarks need, how
# they are built, and going through the libraries.
. "$root/tests/setup.sh"

all_libraries="floor juggle libuv libev libevent go nginx"

has_header() {
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" | "${CC:-cc}" -x c - -fsyntax-only
}

# What the benchmarks of a library take is installed if it can be, else that library is left out.
install_benchmark_needs() {
    need_build_tools
    install_missing
    may_install || return 0
    need_command pkg-config pkg-config
    need libuv1-dev libuv pkg-config --exists libuv
    need libev-dev libev has_header ev.h
    need libevent-dev libevent pkg-config --exists libevent_core
    if [ "${http:-}" ]; then
        need_command wrk wrk
        need_command nginx-light nginx
    fi
    install_missing
}

# build_benchmarks DIRECTORY sets $bin to where the programs are.
build_benchmarks() {
    mkdir -p "$1"
    if ! { cmake -S "$root" -B "$1" -DJUGGLE_BENCH=ON -DJUGGLE_TESTS=OFF -DJUGGLE_EXAMPLES=OFF \
        -DCMAKE_BUILD_TYPE=Release "-DCMAKE_C_FLAGS_RELEASE=-O2 -g -DNDEBUG" &&
        cmake --build "$1" --parallel "$processors" &&
        { ! grep -q '^bench_go:.*[^D]$' "$1/CMakeCache.txt" ||
            cmake --build "$1" --target coro_go; }; } >"$1/build.log" 2>&1; then
        cat "$1/build.log" >&2
        exit 1
    fi
    bin=$1/tests/bench
    for library in $libraries; do
        [ -x "$bin/bench_$library" ] || [ -x "$bin/coro_$library" ] ||
            [ -x "$bin/http_$library" ] ||
            echo "There is no benchmark of $library here." >&2
    done
}

# of LIBRARY[-VARIANT]... calls measure with $name, $library and $variant set, for those that were
# built and are in $libraries. Their programs are called $family and then the library.
family=bench
of() {
    for name; do
        library=${name%%-*} variant=
        [ "$library" = "$name" ] || variant=${name#*-}
        case " $libraries " in
        *" $library "*) ;;
        *) continue ;;
        esac
        [ ! -x "$bin/${family}_$library" ] || measure
    done
}
