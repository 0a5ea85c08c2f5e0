#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# doctor.sh - mote doctor --uapi as a user runs it: each trap once, as text
# and as JSON, and an exit code that agrees with what it says.
set -u

mote=${MOTE_BIN:-build/mote}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

check()
{
	if [ "$2" = "$3" ]; then
		echo "ok $1"
	else
		echo "FAIL $1: expected $2, got $3"
	fi
}

$mote doctor --uapi >"$tmp/text" 2>"$tmp/err"
code=$?
differs=$(grep -c '^differs ' "$tmp/text")
want=0
[ "$differs" -eq 0 ] || want=69
check "the exit code says whether one differs" "$want" "$code"
check "every line has a verdict" 0 \
	"$(grep -cvE '^(as expected|differs|absent) ' "$tmp/text")"
grep '^differs ' "$tmp/text" | sed 's/^/note: /'

$mote doctor --uapi --json >"$tmp/json" 2>/dev/null
check "as JSON there are as many" "$(wc -l <"$tmp/text")" \
	"$(grep -c '"verdict":' "$tmp/json")"
check "no trap stands twice" "" "$(grep '"name":' "$tmp/json" | sort | uniq -d)"
$mote doctor --json --uapi --bogus >/dev/null 2>&1
check "another option is a usage error" 64 $?

# Without KVM the report is the same list, and nothing of KVM's "differs".
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null &&
	[ -e /dev/kvm ]; then
	unshare -m sh -c 'mount --bind /dev/null /dev/kvm &&
		exec "$0" doctor --uapi' "$mote" >"$tmp/none" 2>/dev/null
	check "without KVM it is the same list" "$(wc -l <"$tmp/text")" \
		"$(wc -l <"$tmp/none")"
	check "without KVM no trap of KVM is answered" 0 \
		"$(grep -v '^absent ' "$tmp/none" | grep -vc PAGEMAP_SCAN)"
else
	echo "skip without KVM it is the same list: needs root"
fi
