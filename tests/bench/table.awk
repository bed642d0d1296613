# SPDX-License-Identifier: MIT
#
# From the lines bench=… lib=… n=… value=… unit=… of one round or several: tables of the medians and
# of the ratios to the floor and to libev, or nginx, then the medians as lines of the same kind. A ratio is the
# median over the rounds of the ratio within a round.

# The median of list[1] … list[n], which becomes sorted.
function median(list, n,    i, j, value) {
    for (i = 2; i <= n; i++) {
        value = list[i]
        for (j = i - 1; j > 0 && list[j] > value; j--)
            list[j + 1] = list[j]
        list[j + 1] = value
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function middle(what, lib,    i, list) {
    for (i = 1; i <= count[what, lib]; i++)
        list[i] = value[what, lib, i]
    return median(list, count[what, lib])
}
function ratio(what, lib, base,    i, list) {
    if (count[what, base] != count[what, lib])
        return "-"
    for (i = 1; i <= count[what, lib]; i++)
        list[i] = value[what, base, i] ? value[what, lib, i] / value[what, base, i] : 0
    return sprintf("%.2f", median(list, count[what, lib]))
}
{
    for (i = 1; i <= NF; i++) {
        at = index($i, "=")
        field[substr($i, 1, at - 1)] = substr($i, at + 1)
    }
    what = field["bench"] " n=" field["n"]
    lib = field["lib"]
    if (!(what in unit)) {
        unit[what] = field["unit"]
        whats[++last] = what
    }
    if (!((what, lib) in count))
        libs[what] = libs[what] " " lib
    value[what, lib, ++count[what, lib]] = field["value"]
}
END {
    for (i = 1; i <= last; i++) {
        what = whats[i]
        peer = (what, "nginx") in count ? "nginx" : "libev"
        printf "\n%-24s %12s %9s %9s\n", what, unit[what], "/ floor", "/ " peer
        n = split(libs[what], names, " ")
        for (j = 1; j <= n; j++)
            printf "  %-22s %12.2f %9s %9s\n", names[j], middle(what, names[j]),
                   ratio(what, names[j], "floor"), ratio(what, names[j], peer)
    }
    print ""
    for (i = 1; i <= last; i++) {
        what = whats[i]
        n = split(libs[what], names, " ")
        split(what, part, " ")
        for (j = 1; j <= n; j++)
            printf "bench=%s lib=%s %s value=%.2f unit=%s\n", part[1], names[j], part[2],
                   middle(what, names[j]), unit[what]
    }
}
