# SPDX-License-Identifier: MIT
#
# Shared by examples/run, tests/run and tests/matrix, which set $root to the top of the source tree
# and source this file: finding out what is missing on this machine, installing it, building.

missing_packages=
missing_things=

# need PACKAGE THING TEST... notes that PACKAGE is missing unless the command TEST... succeeds.
need() {
    need_package=$1 need_thing=$2
    shift 2
    case ", $missing_things," in
    *", $need_thing,"*) return ;;
    esac
    "$@" >/dev/null 2>&1 && return
    missing_packages="$missing_packages $need_package"
    missing_things="${missing_things:+$missing_things, }$need_thing"
}

need_command() {
    need "$1" "$2" command -v "$2"
}

compiles() {
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
        "$@" -x c - -o /dev/null
}

need_build_tools() {
    need "gcc libc6-dev" "a C compiler (cc)" compiles "${CC:-cc}"
    need_command cmake cmake
    need_command make make
}

need_test_tools() {
    need_build_tools
    need_command pkg-config pkg-config
    need libcmocka-dev cmocka pkg-config --exists cmocka
}

# As root, or through sudo, or not at all.
may_install() {
    command -v apt-get >/dev/null 2>&1 || return
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        return 1
    fi
}

# Install what need() noted, or say what it is and give up.
install_missing() {
    [ -n "$missing_packages" ] || return 0
    if ! may_install; then
        echo "Missing: $missing_things." >&2
        echo "Nothing can be installed from here: that takes apt-get, and root or sudo." >&2
        echo "The Debian packages are:$missing_packages" >&2
        exit 1
    fi
    echo "Installing with apt-get:$missing_packages" >&2
    install_log=$(mktemp)
    # The package names are words: they are not quoted on purpose.
    if ! { $as_root apt-get update &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            $missing_packages; } >"$install_log" 2>&1; then
        cat "$install_log" >&2
        rm -f "$install_log"
        echo "apt-get could not install what is missing: $missing_things." >&2
        exit 1
    fi
    rm -f "$install_log"
    missing_packages= missing_things=
}

# Warnings are errors in CI alone: newer compilers have new ones.
werror=OFF
[ "${CI:-}" != true ] || werror=ON
processors=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || processors=1
