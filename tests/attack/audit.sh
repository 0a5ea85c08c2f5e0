#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# audit.sh BUILD [SCRIPT...] - run the suite with filters that count what is
# used of them (audit.c), then say which rules nothing used.  The tests of the
# filters themselves are left out: they make calls for the sake of it.  So does
# lab-vfio, for devices of the host.  Given scripts, those only.  The last line is "N passed, N failed, N skipped", of
# rules; a test that fails is printed and fails the whole.
set -u

build=$1
shift
MOTE_BIN=$PWD/$build/mote
MOTE_OCI=$PWD/$build/mote-oci
MOTE_GUESTS=$PWD/build/guests
MOTE_SLOW=1
MOTE_AUDIT=1 # a test that measures leaves that out
export MOTE_BIN MOTE_OCI MOTE_GUESTS MOTE_SLOW MOTE_AUDIT
log=$(mktemp -d) || exit 1
trap 'rm -rf "$log"' EXIT
bad=0

under()
{
	"$build/audit" "$log/counts" "$@" >"$log/out" 2>&1 || bad=$((bad + 1))
	grep -aE '^\[(FAIL|CRASH|TIMEOUT)|^\[----\].*:[0-9]+:|^FAIL ' "$log/out"
}

whole=no
if [ $# -eq 0 ] || [ -z "$1" ]; then
	whole=yes
	# shellcheck disable=SC2046 # words
	set -- $(ls tests/cli/*.sh tests/oci/*.sh | grep -v -E "/(crash|faults|storm).sh") # they trace, too
	under "$build/unit-tests" --jobs 2 --filter \
		'!(filter|jail|policy|demo|stress*|stage2|cli_mote)/*'
fi
for t in "$@"; do
	under "$t"
done
# Devices of the host are passed through in a lab only.
if [ "$whole" = yes ]; then
	[ -e "$build/guests" ] || ln -s ../guests "$build/guests"
	LAB_BUILD=$PWD/$build LAB_AUDIT=$PWD/$build/audit LAB_LIMIT=600 \
		make --no-print-directory lab-vfio >"$log/out" 2>&1 || bad=$((bad + 1))
	grep -aE '^\[(FAIL|CRASH|TIMEOUT)|^lab ' "$log/out"
	sed -n 's/^AUDIT //p' "$log/out" >>"$log/counts"
fi
"$build/audit" "$log/counts" >"$log/verdict"
grep -v '^ok ' "$log/verdict"
[ "$bad" -eq 0 ] || echo "audit: $bad of the suites failed"
echo "$(grep -c '^ok ' "$log/verdict") passed, $(($(grep -c '^FAIL ' "$log/verdict") + bad)) failed, $(grep -cE '^(rare|none) ' "$log/verdict") skipped"
[ "$bad" -eq 0 ] && ! grep -q '^FAIL ' "$log/verdict"
