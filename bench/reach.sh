#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# reach.sh BUILD [--total|--all] - the functions that a guest can reach once
# the jail is closed, each with its lines of code, and their sum; --all: and
# those of the VM thread, which answers the control socket and saves.
#
# Roots are the threads that then run: a vCPU's and the pager's; with --all
# also the VM thread's loop and the end of the run (launch/vmproc.c, after
# mote_jail_lock).  Each function and each table is a section of its own; what
# a reached one refers to is reached, whether it is called or only pointed at,
# as a linker does it that leaves out what nobody needs.  So a call by a
# pointer counts with all that could be behind it: what the caller's own code
# and tables name.  What was given away before is not seen there, so that is
# a root too: the tables of all models (their probe as well, which does not run
# any more), and every function whose address is taken where a machine is
# built.
#
# What it can't see: code of libc, json-c and libinih; which of the roots a
# configuration never has; pointers that code of an architecture would hand
# out.  Lines are those that are neither blank nor comment, as in
# tests/lint/sizes.sh; of code at -O0, so that nothing is lost by inlining.
#
# Prints "LINES FILE:LINE FUNCTION" for each function, or only the total.
set -eu

build=$1
dir=$build/reach
threads='vcpu/vcpu.c:thread_main memory/pager.c:thread_main'
builders='vmm/build.c vmm/build_hvt.c vmm/devices/*.c vmm/devices/*/*.c
vmm/memory/*.c vmm/vcpu/*.c vmm/snapshot/snapshot.c'
if [ "${2:-}" = --all ]; then
	threads="$threads launch/vmproc.c:loop launch/vmproc.c:take_result
launch/vmproc.c:write_core"
	builders="$builders vmm/vm.c launch/vmproc.c launch/session.c"
fi

rm -rf "$dir"
mkdir -p "$dir"
for f in $(make -s --no-print-directory ARCH=x86_64 print-sources) launch/*.c; do
	o=$dir/$(echo "$f" | tr / @).o
	echo "gcc -std=gnu11 -D_GNU_SOURCE '-DMOTE_VERSION=\"0\"' -O0 -Ivmm \
-I. -Ivmm/arch/x86_64 -I$build/gen -ffunction-sections -fdata-sections \
-fno-pic -fcallgraph-info -c -o $o $f 2>/dev/null || echo $f"
done | xargs -d '\n' -n 1 -P 2 sh -c >"$dir/failed"
if [ -s "$dir/failed" ]; then
	echo "reach: these do not compile: $(cat "$dir/failed")" >&2
	exit 1
fi

# "def FILE SECTION SYMBOL GLOBAL", "ref FILE FROM-SECTION TO": TO is a symbol
# of any file or a section of this one.
for o in "$dir"/*.o; do
	f=$(basename "$o" .o | tr @ /)
	LC_ALL=C objdump -t "$o" | awk -v f="$f" '
	$NF ~ /^[A-Za-z_]/ && / [gl] / && NF >= 5 {
		for (i = 1; i <= NF; i++)
			if ($i ~ /^\.(text|data|rodata|bss)/)
				print "def", f, $i, $NF, ($2 == "g")
	}'
	LC_ALL=C objdump -r "$o" | awk -v f="$f" '
	/^RELOCATION RECORDS FOR/ {
		from = $4; gsub(/[\[\]:]/, "", from)
	}
	/R_X86_64/ && from ~ /^\.(text|data|rodata)/ {
		to = $3; sub(/[+-]0x.*/, "", to)
		print "ref", f, from, to, $2 !~ /P(C|LT)32/
	}'
done >"$dir/graph"

cat "$dir"/*.ci | awk '
/^node:/ {
	match($0, /label: "[^"]*"/); l = substr($0, RSTART + 8, RLENGTH - 9)
	if (split(l, part, /\\n/) >= 2 && part[2] ~ /^[^<]*\.[ch]:[0-9]+:/) {
		split(part[2], at, ":")
		print "place", part[1], at[1], at[2]
	}
}' | sort -u >"$dir/places"

# shellcheck disable=SC2086 # lists
awk -v threads="$(printf "%s " $threads)" -v builders=" $(printf "%s " $builders)" \
	-v total="$([ "${2:-}" != --total ] || echo 1)" '
# A node is FILE SUBSEP SECTION.
$1 == "def" {
	node = $2 SUBSEP $3
	name[node] = $4
	if ($5) global[$4] = node
	else local[$2, $4] = node
	next
}
$1 == "ref" { refs++; rf[refs] = $2; rs[refs] = $3; rt[refs] = $4; rp[refs] = $5; next }
$1 == "place" { place[$3, $2] = $4; next }
function resolve(file, to) {
	if (to ~ /^\./) return file SUBSEP to
	if ((file, to) in local) return local[file, to]
	return (to in global) ? global[to] : ""
}
function reach(n) {
	if (n == "" || n in seen) return
	seen[n] = 1
	todo[++todos] = n
}
function lines(file, from,  n, at, text, comment) {
	n = at = comment = 0
	while ((getline text < file) > 0)
		if (++at >= from) {
			if (text ~ /^[ \t]*\/\*/) comment = 1
			if (!comment && text !~ /^[ \t]*$/) n++
			if (text ~ /\*\//) comment = 0
			if (text ~ /^}/) break
		}
	close(file)
	return n
}
END {
	for (i = 1; i <= refs; i++) {
		from = rf[i] SUBSEP rs[i]
		to = resolve(rf[i], rt[i])
		if (to == "") continue
		edge[from] = edge[from] "\n" to
		# Pointed at, not called: by a table, or by code that builds.
		split(to, part, SUBSEP)
		if (rp[i] && part[2] ~ /^\.text/ &&
		    index(builders, " " rf[i] " ")) reach(to)
	}
	n = split(threads, root, " ")
	for (i = 1; i <= n; i++) {
		split(root[i], part, ":")
		file = part[1] ~ /^launch/ ? part[1] : "vmm/" part[1]
		node = file SUBSEP ".text." part[2]
		if (!(node in name)) {
			print "reach: no function " root[i] >"/dev/stderr"
			exit 1
		}
		reach(node)
	}
	for (i = 1; i <= todos; i++) {
		m = split(edge[todo[i]], next_one, "\n")
		for (k = 2; k <= m; k++) reach(next_one[k])
	}
	for (i = 1; i <= todos; i++) {
		split(todo[i], part, SUBSEP)
		if (part[2] !~ /^\.text/ || !((part[1], name[todo[i]]) in place))
			continue
		at = place[part[1], name[todo[i]]]
		n = lines(part[1], at)
		sum += n
		if (total == "") print n, part[1] ":" at, name[todo[i]]
	}
	if (total != "") print sum
	else print sum, "total"
}' "$dir/places" "$dir/graph"
