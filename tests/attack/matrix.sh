#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# matrix.sh DIR - docs/PROBES.md from DIR/matrix and DIR/probe.log.
set -eu

cat <<END
# Who refuses what

Made by \`make probe-doc\` on $(uname -srm), KVM as \`mote doctor\` says it. Each row is a probe of
\`tests/attack/probes.c\`, made by that thread of a VM process whose jail is closed. "killed": its seccomp filter ended the
process; an errno: the call was made and the kernel refused it. Columns: everything on; without the filters; the same after a
descriptor was closed, which leaves room for another ("-": the lack of room is the second layer); without each of the
other layers ($(sed -n '1s/^probe|thread|none|seccomp|room|\(.*\)|single$/\1/p' "$1/matrix" | sed 's/|/, /g')), where
only what is not "killed" is told. A probe with a reason is stopped by one layer alone.

END
grep '^without a jail' "$1/probe.log" | sed 's/^w/W/; s/; not:/. Not (what this host lacks, or what fails for root too):/; s/$/./' | fold -s -w 118
cat <<'END'

| probe | thread | everything on | without seccomp | and with room | without one of the others |
|---|---|---|---|---|---|
END
awk -F'|' 'NR == 1 { for (i = 3; i < NF; i++) layer[i] = $i; n = NF; next }
	{
		reason = $NF; rest = ""
		for (i = 6; i < NF; i++)
			if ($i != "killed")
				rest = rest (rest == "" ? "" : ", ") layer[i] ": " $i
		if (reason != "") { rest = reason }
		else if (rest == "") rest = "killed each time"
		printf "| %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, rest
	}' "$1/matrix"
