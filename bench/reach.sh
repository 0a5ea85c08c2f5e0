#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# reach.sh BUILD [--total] - the code that a guest can reach once the jail is
# closed: a first count from the compiler's call graph.
#
# Roots are the run loop, the device and bus handlers (called through
# tables, so the graph has no edge to them) and the VM thread's dispatch.
# Prints "LINES FILE:LINE FUNCTION" for each function, or only the total.
set -eu

build=$1
dir=$build/reach
# devices and bus: handlers of guest accesses; the rest by name
roots='vcpu_loop|vm_dispatch|mote_vm_dispatch|mote_vm_poll|locked_read|locked_write|locked_hcall|[a-z0-9_]*_(read|write|hcall)|thread_main'

rm -rf "$dir"
mkdir -p "$dir"
for f in vmm/vcpu/*.c vmm/devices/*.c vmm/memory/*.c vmm/vm.c vmm/mote.c \
	vmm/base/*.c vmm/kvm/kvm.c vmm/arch/x86_64/*.c; do
	o=$dir/$(echo "$f" | tr / _).o
	gcc -std=gnu11 -D_GNU_SOURCE '-DMOTE_VERSION="0"' -O0 -Ivmm -I. \
		-Ivmm/arch/x86_64 -I"$build/gen" -fcallgraph-info -c -o "$o" "$f" \
		2>/dev/null || {
		echo "reach: $f does not compile" >&2
		exit 1
	}
done

cat "$dir"/*.ci | awk -v roots="^($roots)\$" -v total="${2:-}" '
function base(t) { sub(/^.*:/, "", t); return t }
/^node:/ {
	match($0, /title: "[^"]*"/); t = substr($0, RSTART + 8, RLENGTH - 9)
	match($0, /label: "[^"]*"/); l = substr($0, RSTART + 8, RLENGTH - 9)
	if (split(l, part, /\\n/) >= 2 && part[2] ~ /^[^<]*\.c:[0-9]+:/)
		place[t] = part[2]
	if (base(t) ~ roots && (place[t] ~ /^vmm\/(vcpu|devices)/ ||
	    base(t) ~ /^(mote_)?vm_(dispatch|poll)$/)) todo[t] = 1
}
/^edge:/ {
	match($0, /sourcename: "[^"]*"/); s = substr($0, RSTART + 13, RLENGTH - 14)
	match($0, /targetname: "[^"]*"/); t = substr($0, RSTART + 13, RLENGTH - 14)
	edge[s] = edge[s] SUBSEP t
}
function count(p, part, line, n, from) {
	split(p, part, ":"); from = part[2]; n = 0; line = 0
	while ((getline text < part[1]) > 0) {
		line++
		if (line >= from) { n++; if (text ~ /^}/) break }
	}
	close(part[1])
	return n
}
END {
	do {
		more = 0
		for (t in todo) {
			if (t in done) continue
			done[t] = 1; more = 1
			n = split(edge[t], to, SUBSEP)
			for (i = 1; i <= n; i++) if (to[i] != "") todo[to[i]] = 1
		}
	} while (more)
	for (t in done) if (t in place) {
		n = count(place[t]); sum += n
		if (total == "") print n, place[t], base(t)
	}
	if (total != "") print sum
	else print sum, "total"
}'
