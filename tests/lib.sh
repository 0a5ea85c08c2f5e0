# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# lib.sh - for scripts of tests/cli and tests/oci: "ok NAME", "FAIL NAME",
# "skip NAME: reason", and a folder that goes away.

MOTE_BIN=${MOTE_BIN:-$PWD/build/mote}
MOTE_OCI=${MOTE_OCI:-$PWD/build/mote-oci}
MOTE_GUESTS=${MOTE_GUESTS:-$PWD/build/guests}
tmp=$(mktemp -d) || exit 1
failed=0

ok()
{
	echo "ok $1"
}

bad()
{
	echo "FAIL $1: $2"
	failed=1
}

# check NAME EXPECTED FOUND
check()
{
	if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "expected '$2', found '$3'"; fi
}

# has NAME NEEDLE FILE: the file holds the text
has()
{
	if grep -q -F -- "$2" "$3"; then
		ok "$1"
	else
		bad "$1" "no '$2' in: $(head -c 300 "$3" | tr '\n' '|')"
	fi
}

# Wait until a command succeeds, at most 10 s.
until_ok()
{
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

kvm_usable()
{
	[ -r /dev/kvm ] && [ -w /dev/kvm ]
}
