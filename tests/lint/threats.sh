#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# threats.sh [write] - is the table of docs/THREATS.md what the filters are made
# of, and does each test that the page names exist?
# shellcheck disable=SC2016 # backquotes of the page
set -u

failed=0
say() {
	echo "$1"
	case $1 in FAIL*) failed=1 ;; esac
}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
doc=docs/THREATS.md

${MAKE:-make} -s build/gen/policy.md >/dev/null || exit 1
awk '/^<!-- generated/ { print; print ""; while ((getline line < "build/gen/policy.md") > 0) print line; print ""; on = 1 }
	/^<!-- end/ { on = 0 } !on' "$doc" | awk '!(/^<!-- generated/ && seen++)' >"$tmp/new"
if [ "${1:-}" = write ]; then
	cp "$tmp/new" "$doc"
elif cmp -s "$tmp/new" "$doc"; then
	say "ok docs/THREATS.md has the table of the filters"
else
	say "FAIL docs/THREATS.md: its table is not policy.c's: run tests/lint/threats.sh write"
fi

# suite/name or suite/*, probes by name or prefix, scripts.
absent=
for t in $(grep -o '`[a-z_]*/[a-z_*.]*`' "$doc" | tr -d '`' | sort -u); do
	case $t in
	cli/*) [ -x "tests/$t" ] || absent="$absent $t" ;;
	vmm/*) ;;
	*/\*) grep -rqs "^Test(${t%/\*}," tests || absent="$absent $t" ;;
	*) grep -rqs "^Test(${t%/*}, ${t#*/})" tests || absent="$absent $t" ;;
	esac
done
sed -n '/^## Layers/,/^## Roles/p' "$doc" | grep -E '^\|.*probe|^\| `' | grep -o '`[a-z]*_[a-z_*]*`\|`keyring`\|`vsock`' |
	tr -d '`' | sort -u >"$tmp/probes"
while read -r p; do
	grep -q "PROBE(${p%\*}\|OPENS(${p%\*}" tests/attack/probes.c || absent="$absent $p"
done <"$tmp/probes"
if [ -n "$absent" ]; then
	say "FAIL docs/THREATS.md names what does not exist:$absent"
else
	say "ok docs/THREATS.md names tests and probes that exist"
fi
exit $failed
