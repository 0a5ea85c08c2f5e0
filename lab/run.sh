#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# shellcheck disable=SC2034,SC2154,SC2317 # what machine.sh sets, reads, calls
#
# run.sh MACHINE[-SET] [GLOB...] - run mote's tests in a lab
#
# MACHINE is a folder beside this script.  It holds machine.sh (what to fetch
# and how to call QEMU), modules (what init loads) and tests (the lab's set);
# SET chooses the set in tests.SET, and GLOBs (tests/runner has the syntax)
# replace it.  To add a test to a set, add its suite or suite/name there.
#
# A set may boot several machines in turn: machine.sh names them in $variants
# and sets up each in machine_variant, where it may also choose another list
# of tests ($list) or leave tests out ($without).  Each boot has a time limit
# and a verdict of its own, and one that fails does not keep the others from
# running.
#
# The last line of output is "N passed, N failed, N skipped" over all of them;
# the exit status is 0 only if each passed some, none failed and none was
# skipped.
#
# Environment: MOTE_LAB_CACHE (what was fetched), LAB_LIMIT (seconds a boot),
# LAB_AUDIT (tests/attack/audit.sh), LAB_VARIANT (names of the machines to boot, or "first"), LAB_SMP, LAB_MEM,
# LAB_CPU, LAB_MACHINE (where they apply), LAB_APPEND (kernel command line),
# LAB_BUILD (a folder with ready-built mote, lab-tests and guests/; otherwise
# make is called), LAB_INIT (another /init, or none).  With LAB_CPU,
# LAB_MACHINE or LAB_APPEND only the first machine is booted, changed so.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=lab/common.sh
. "$top/lab/common.sh"

finish()
{
	trap - EXIT
	echo "$1 passed, $2 failed, $3 skipped"
	[ "$2" -eq 0 ] && [ "$3" -eq 0 ] && [ "$1" -gt 0 ] && exit 0
	exit 1
}

# A machine's own files for a set may be added to the initramfs in $1.
machine_pack()
{
	:
}

# A lab of one machine has one variant, named as the lab.
machine_variant()
{
	[ "$1" = "$machine" ]
}

name=${1:-}
[ $# -eq 0 ] || shift
machine=${name%%-*}
set_name=${name#"$machine"}
set_name=${set_name#-}
list=tests${set_name:+.$set_name}
if [ -z "$machine" ] || [ ! -f "$top/lab/$machine/$list" ]; then
	note "usage: run.sh MACHINE[-SET] [GLOB...]"
	exit 2
fi

# No way out of this script without the closing line: with set -e whatever
# fails on the way ends here.
doing="starting"
trap 'note "$name: FAILED while $doing"; finish 0 1 0' EXIT
trap 'note "$name: interrupted"; exit 1' HUP INT TERM

variants=$machine
# shellcheck source=/dev/null
. "$top/lab/$machine/machine.sh"
if [ -n "${LAB_CPU:-}${LAB_MACHINE:-}${LAB_APPEND:-}" ] ||
	[ "${LAB_VARIANT:-}" = first ]; then
	variants=${variants%% *}
elif [ -n "${LAB_VARIANT:-}" ]; then
	variants=$LAB_VARIANT
fi

need cpio flock timeout "${CROSS_COMPILE}gcc" "${CROSS_COMPILE}strip"
out=$top/build/lab/$name
mkdir -p "$out"

build_mote()
{
	if [ "$build" = build/lab-x86 ]; then
		set -- build/mote build/lab-x86/lab-tests
	else
		sysroot=$("$top/lab/sysroot.sh" "$ARCH")
		set -- "ARCH=$ARCH" "CROSS_COMPILE=$CROSS_COMPILE" \
			"SYSROOT=$sysroot" "$build/mote" "$build/lab-tests"
	fi
	# The flags of an outer make (its job server, -k, -n) are not ours.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u ARCH -u CROSS_COMPILE \
		-u SYSROOT make -C "$top" --no-print-directory \
		-j "$(nproc)" ${V:+"V=$V"} "$@" guests >"$out/build.log" 2>&1 || {
		tail -n 40 "$out/build.log" >&2
		return 1
	}
}

# Where a built file is: beside lab-tests, or (x86) in the plain build folder.
built()
{
	if [ -n "${LAB_BUILD:-}" ]; then
		set -- "$LAB_BUILD/$1"
	elif [ "$build" = build/lab-x86 ] && [ "$1" != lab-tests ]; then
		set -- "$top/build/$1"
	else
		set -- "$top/$build/$1"
	fi
	[ -e "$1" ] && echo "$1"
}

pack_root()
{
	dir=$work/root
	rm -rf "$dir"
	mkdir -p "$dir/bin" "$dir/dev" "$dir/etc" "$dir/lab" "$dir/proc" \
		"$dir/run" "$dir/sys" "$dir/tmp" "$dir/lib/mote/guests"
	printf 'root:x:0:0::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' \
		>"$dir/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/etc/group"

	case ${LAB_INIT:-} in
	none) ;;
	"")
		"${CROSS_COMPILE}gcc" -O2 -Wall -D_GNU_SOURCE -static -o "$dir/init" \
			"$top/lab/init.c"
		;;
	*) cp "$LAB_INIT" "$dir/init" ;;
	esac
	cp "${tools:-$root}/bin/busybox" "$dir/bin/busybox"
	cp "$(built lab-tests)" "$dir/bin/lab-tests"
	if [ -n "${LAB_AUDIT:-}" ]; then
		mv "$dir/bin/lab-tests" "$dir/bin/audited"
		cp "$LAB_AUDIT" "$dir/bin/lab-tests"
	fi
	mote=$(built mote) || note "no mote was built: the tests go without"
	[ -z "$mote" ] || cp "$mote" "$dir/bin/mote"
	guests=$(built guests) || guests=
	if [ -n "$guests" ]; then
		find "$guests" -maxdepth 1 \( -name '*.elf' -o -name '*.img' \) \
			-exec cp {} "$dir/lib/mote/guests/" \;
	fi

	# The examples name their guests as ../../build/guests.
	mkdir -p "$dir/lib/mote/config" "$dir/lib/mote/build"
	cp -r "$top/config/examples" "$dir/lib/mote/config/"
	ln -s ../guests "$dir/lib/mote/build/guests"
	ln -s lib/mote/config "$dir/config"

	# Tests look for golden snapshots from where they run.
	mkdir -p "$dir/tests/golden"
	cp -r "$top"/tests/golden/*/ "$dir/tests/golden"

	: >"$dir/lab/modules"
	# shellcheck disable=SC2086 # the parameters of a module are words
	sed 's/#.*//; /^ *$/d' "$top/lab/$machine/modules" |
		while read -r line; do
			pack_module "$root" "$dir/lab" $line || exit 1
		done
	if [ $# -gt 0 ]; then
		printf '%s\n' --counts /run/counts "$@" >"$dir/lab/args"
	else
		cp "$top/lab/$machine/$list" "$dir/lab/tests"
		set -f # globs of the runner, not of the shell
		for word in ${without:-}; do
			echo "!$word"
		done >>"$dir/lab/tests"
		set +f
		printf '%s\n' --counts /run/counts --tests /lab/tests \
			>"$dir/lab/args"
	fi
	machine_pack "$dir"
	pack "$dir" "$initrd"
}

# Called by the machine with QEMU's command line.  In the foreground, so that
# an interrupt from the terminal reaches QEMU.
run_qemu()
{
	timeout --foreground -k 5 "$limit" "$@" </dev/null 2>&1
}

# In the pipe the shell never sees QEMU's status, so it goes by a file.  The
# test program's own closing line is left out: there is one for all machines.
boot()
{
	{
		boot_status=0
		machine_run || boot_status=$?
		echo "$boot_status" >"$work/status"
	} | tee "$log" | sed -un "/^LAB-START $nonce/,\$ {
		s/\r\$//
		/^LAB-VERDICT $nonce/,\$ d
		/^[0-9]* passed, [0-9]* failed, [0-9]* skipped\$/d
		/^LAB-/!p
	}"
}

# One machine, from fetching its parts to "PASSED FAILED SKIPPED" in its
# folder.  For a subshell, so that what fails on the way ends just this one.
one_machine()
{
	trap 'note "$label: FAILED while $doing"; echo 0 1 0 >"$work/result"' EXIT
	began=$(date +%s)
	doing="starting: there is no such machine"
	machine_variant "$variant"
	[ -z "$set_name" ] || limit=$((limit * 10))
	limit=${LAB_LIMIT:-$limit}
	doing="fetching its parts"
	machine_fetch
	doing="packing its initramfs"
	pack_root "$@"
	doing="running"
	started=$(date +%s)
	boot
	ended=$(date +%s)

	status=$(cat "$work/status")
	reason=$(judge "$log" "$nonce" 2>&1 >"$work/counts") || :
	case $status in
	0) ;;
	124 | 137) reason="time limit of $limit s${reason:+; $reason}" ;;
	*) reason="QEMU ended with status $status${reason:+; $reason}" ;;
	esac
	passed=0 failed=0 skipped=0
	read -r passed failed skipped <"$work/counts" || :
	if [ -n "$reason" ]; then
		grep -q "^LAB-START $nonce" "$log" || tail -n 25 "$log" >&2
		note "$label: FAILED: $reason"
		note "$label: the console is in $log"
		failed=$((${failed:-0} + 1))
	elif [ "${skipped:-0}" -gt 0 ]; then
		note "$label: FAILED: its set must not hold tests that it skips"
	fi
	# A machine that ran no test has shown nothing.
	[ "${passed:-0}${failed:-0}${skipped:-0}" != 000 ] || failed=1
	trap - EXIT
	echo "lab $label: $((ended - started)) s in QEMU," \
		"$((started - began)) s to prepare:" \
		"${passed:-0} passed, ${failed:-0} failed, ${skipped:-0} skipped"
	echo "${passed:-0} ${failed:-0} ${skipped:-0}" >"$work/result"
}

doing="waiting for its turn"
lock_machine
if [ -z "${LAB_BUILD:-}" ]; then
	doing="building mote"
	build_mote
fi

doing="running its machines"
total_p=0 total_f=0 total_s=0
bad=
all_began=$(date +%s)
for variant in $variants; do
	label=$name
	[ "$variant" = "$machine" ] || label="$name $variant"
	work=$out/$variant
	log=$work/console.log
	initrd=$work/initrd
	nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' \n')
	append="quiet oops=panic panic=-1 lab.nonce=$nonce ${LAB_APPEND:-}"
	mkdir -p "$work"
	rm -f "$work/result"

	[ "$variants" = "$variant" ] || echo "-- lab $label"
	# In a condition the subshell would go on after a failure.
	set +e
	(
		set -e
		one_machine "$@"
	)
	set -e
	p=0 f=1 s=0
	[ ! -s "$work/result" ] || read -r p f s <"$work/result"
	[ "$f$s" = 00 ] || bad=${bad:-$variant}
	total_p=$((total_p + p)) total_f=$((total_f + f)) total_s=$((total_s + s))
done
if [ "$variants" != "$variant" ]; then
	echo "lab $name: $(($(date +%s) - all_began)) s in all for $variants"
	[ -z "$bad" ] || note "$name: FAILED, first on $bad"
fi
finish "$total_p" "$total_f" "$total_s"
