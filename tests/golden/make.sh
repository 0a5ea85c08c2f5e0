#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# make.sh BUILD [LAB] - make golden snapshots: a counter that was paused, and
# (on this host) a diff to it, as tests/golden/ARCH/counter-N.  LAB (x86, arm64,
# ppc64): of that lab's machine, by its console (print.c); of ppc64 also with a
# radix tree (counter-radix-N) and XIVE (counter-xive-N).  What is there is
# never written again: the snapshots of an old format must be read for ever.
set -eu

build=$1 lab=${2:-}
mote=$PWD/$build/mote
work=$(mktemp -d)
pid=
trap 'kill $pid 2>/dev/null || :; rm -rf "$work"' EXIT

case $lab in
"" | x86) arch=x86_64 ;;
ppc64) arch=ppc64le ;;
*) arch=$lab ;;
esac
to=$PWD/tests/golden/$arch
mkdir -p "$to"
# next NAME: the first number that is free
next()
{
	n=1
	while [ -e "$to/$1-$n" ]; do n=$((n + 1)); done
	echo "$n"
}
n=$(next counter)

from_host()
{
	# The manifest names the image as it is called: by no path of this host.
	(cd "$build/guests" && exec "$mote" run --kernel counter.elf --memory 2M \
		--set control.socket="$work/s" -- step_ms=10) >"$work/out" 2>&1 &
	pid=$!
	for _ in $(seq 200); do
		! grep -q 'count 3' "$work/out" || break
		sleep 0.05
	done
	"$mote" snapshot "$work/s" "$work/counter-$n"
	"$mote" snapshot "$work/s" "$work/counter-$n-diff" --diff
	"$mote" ctl "$work/s" stop
	wait "$pid"
	pid=
	# What a KVM that answers the same everywhere gives: its bytes are known.
	mkdir "$work/fake-$n"
	MOTE_GOLDEN_FAKE=$work/fake-$n "$build/fake-tests" \
		--filter 'fake_format/*' >"$work/out" 2>&1 || cat "$work/out"
}

from_lab()
{
	LAB_VARIANT=first make --no-print-directory "lab-$lab" \
		LAB_TESTS='golden_print/*' >"$work/printed" ||
		{ cat "$work/printed"; exit 1; }
	for name in $(sed -n 's/^GOLDEN \([a-z-]*\) .*/\1/p' "$work/printed" | sort -u); do
		made="$made $name-$(next "$name")"
		mkdir "$work/$name-$(next "$name")"
		perl -ne 'BEGIN { $name = shift; $dir = shift }
			next unless /^GOLDEN $name (manifest|state|memory) (\S+) (\S+)/;
			$f{$1} //= do { open(my $h, "+>", "$dir/$1") or die $!; $h };
			if ($2 eq "size") { truncate($f{$1}, $3) or die $! }
			else { seek($f{$1}, $2, 0); print { $f{$1} } pack("H*", $3) }' \
			"$name" "$work/$name-$(next "$name")" "$work/printed"
	done
}

made="counter-$n counter-$n-diff fake-$n"
if [ -n "$lab" ]; then
	made=
	from_lab
else
	from_host
fi
for s in $made; do
	[ -d "$work/$s" ] || continue
	"$mote" verify "$work/$s"
	cp -r "$work/$s" "$to"
	echo "made $s of $arch: add it to git"
done
