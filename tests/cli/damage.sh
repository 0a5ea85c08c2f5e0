#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# damage.sh - one bit of a snapshot's memory is another one: mote verify and,
# under eager verification, mote restore refuse it, and the guest says nothing.
# MOTE_LONG (make test-long): a thousand times.
set -u
. tests/lib.sh
trap 'rm -rf "$tmp"' EXIT
if [ "$(uname -m)" != x86_64 ]; then
	echo "skip damage by the command line: the golden snapshot is of x86_64"
	exit 0
fi
times=20
[ -z "${MOTE_LONG:-}" ] || times=1000
cp -r tests/golden/x86_64/counter-1 "$tmp/snap"
s=$tmp/snap

# flip N: a bit of the memory; the seed is the number, so twice is as before
flip()
{
	perl -e 'srand(shift); open(my $f, "+<", shift) or die;
		my $at = int rand(-s $f); seek($f, $at, 0); read($f, my $b, 1);
		seek($f, $at, 0); print $f chr(ord($b) ^ 1 << rand 8)' "$1" "$s/memory"
}

wrong='' n=0
while [ $n -lt $times ]; do
	n=$((n + 1))
	flip $n
	for how in verify "restore --set restore.verify=eager"; do
		# shellcheck disable=SC2086 # words
		timeout 5 "$MOTE_BIN" ${how%% *} "$s" ${how#"${how%% *}"} >"$tmp/out" 2>"$tmp/err" </dev/null
		code=$?
		[ $code -eq 65 ] && [ ! -s "$tmp/out" ] &&
			grep -q 'memory: offset 0 to 2097152: digest does not match' "$tmp/err" ||
			wrong="$wrong $n:${how%% *}:$code:$(head -c 200 "$tmp/err")"
		# What the host lacks is told before anything else.
		[ -e /dev/kvm ] || break
	done
	flip $n
done
check "$n times one bit of the memory: refused each time, in words, unseen by the guest" "" "$wrong"
"$MOTE_BIN" verify "$s" >/dev/null
check "put back, it is sound" 0 $?
exit "$failed"
