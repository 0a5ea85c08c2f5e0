#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# layers.sh - includes go down the table of docs/ARCHITECTURE.md, never up.
# Prints a line "ok NAME" or "FAIL NAME: what" for each folder.
set -u

git ls-files --cached --others --exclude-standard 'vmm/*.[ch]' 'config/*.[ch]' 'cli/*.[ch]' 'launch/*.[ch]' 'oci/*.[ch]' 'tools/*.[ch]' |
	xargs awk '
# Which layer a file belongs to; "" for what has no rule.
function layer(f) {
	if (f ~ /^base\// || f ~ /mote_err/) return 0
	if (f ~ /^(kvm|sandbox)\// || f ~ /^config\// ||
	    f ~ /^snapshot\/(stream|manifest)\./) return 1
	if (f ~ /^memory\//) return 2
	if (f ~ /^arch\// || f ~ /^arch_types\.h$/) return 3
	if (f ~ /^(vcpu|devices)\//) return 4
	if (f ~ /^(vm|build|build_hvt|build_virtio|core)\.[ch]$/) return 5
	if (f ~ /^doctor(_uapi|_machine)?\.[ch]$/) return 5
	if (f ~ /^snapshot\//) return 6
	if (f ~ /^(mote|pool)\.[ch]$/) return 7
	if (f ~ /^launch\//) return 8
	if (f ~ /^(cli|oci|tools)\//) return 9
	return ""
}
function folder(f) { sub(/\/[^\/]*$/, "", f); return f }
FNR == 1 {
	me = FILENAME; sub(/^vmm\//, "", me)
	mine = layer(me); dir = folder(FILENAME); seen[dir] = 1
	if (mine == "") bad[dir] = bad[dir] " " FILENAME ":no-layer"
}
/^#[ \t]*include "/ {
	split($0, q, "\""); to = q[2]; theirs = layer(to)
	where = " " FILENAME ":" FNR ":" to
	if (theirs == "") next # generated, or beside the file
	if (theirs > mine) { bad[dir] = bad[dir] where; next }
	# Two that never see each other, and the two that see only the API.
	if (me ~ /^vcpu\// && to ~ /^devices\//) bad[dir] = bad[dir] where
	if (me ~ /^devices\// && to ~ /^vcpu\//) bad[dir] = bad[dir] where
	if (mine >= 8 && theirs > 0 && theirs < 7) bad[dir] = bad[dir] where
	if (me ~ /^cli\// && to ~ /^oci\//) bad[dir] = bad[dir] where
	if (me ~ /^oci\// && to ~ /^cli\//) bad[dir] = bad[dir] where
	# Layer 1 folders know one outside thing each.
	if (mine == 1 && theirs == 1 && folder(me) != folder(to) &&
	    me !~ /^sandbox\/gen_/) bad[dir] = bad[dir] where
}
# Architectures are chosen when linking; the preprocessor does not choose.
/^#[ \t]*(if|ifdef|elif).*(__x86_64__|__aarch64__|__powerpc)/ {
	if (me !~ /^(arch|sandbox)\//)
		bad[dir] = bad[dir] " " FILENAME ":" FNR ":arch-ifdef"
}
END {
	for (d in seen)
		if (d in bad) print "FAIL layers of " d ":" bad[d]
		else print "ok layers of " d
}' | sort
