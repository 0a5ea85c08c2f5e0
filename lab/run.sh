#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh MACHINE[-SET] [GLOB...] - run mote's tests in a lab
#
# MACHINE is a folder beside this script.  It holds machine.sh (what to fetch
# and how to call QEMU), modules (what init loads) and tests (the lab's set);
# SET chooses the set in tests.SET, and GLOBs (tests/runner has the syntax)
# replace it.  To add a test to a set, add its suite or suite/name there.
#
# The last line of output is "N passed, N failed, N skipped"; the exit status
# is 0 only if some passed, none failed and none was skipped.
#
# Environment: MOTE_LAB_CACHE (what was fetched), LAB_LIMIT (seconds), LAB_CPU,
# LAB_SMP, LAB_MEM, LAB_MACHINE (where they apply), LAB_APPEND (kernel command
# line), LAB_BUILD (a folder with ready-built mote, lab-tests and guests/;
# otherwise make is called), LAB_INIT (another /init, or none).
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

name=${1:-}
[ $# -eq 0 ] || shift
machine=${name%%-*}
set_name=${name#"$machine"}
tests=$top/lab/$machine/tests${set_name:+.${set_name#-}}
if [ -z "$machine" ] || [ ! -f "$tests" ]; then
	note "usage: run.sh MACHINE[-SET] [GLOB...]"
	exit 2
fi

# No way out of this script without the closing line: with set -e whatever
# fails on the way ends here.
doing="starting"
trap 'note "$name: FAILED while $doing"; finish 0 1 0' EXIT
trap 'note "$name: interrupted"; exit 1' HUP INT TERM

# shellcheck source=/dev/null
. "$top/lab/$machine/machine.sh"
[ -z "$set_name" ] || limit=$((limit * 10))

need cpio flock timeout "${CROSS_COMPILE}gcc" "${CROSS_COMPILE}strip"
limit=${LAB_LIMIT:-$limit}
work=$top/build/lab/$name
log=$work/console.log
initrd=$work/initrd
nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' \n')
append="quiet oops=panic panic=-1 lab.nonce=$nonce ${LAB_APPEND:-}"
mkdir -p "$work"

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
		-j "$(nproc)" ${V:+"V=$V"} "$@" guests >"$work/build.log" 2>&1 || {
		tail -n 40 "$work/build.log" >&2
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
	cp "$root/bin/busybox" "$dir/bin/busybox"
	cp "$(built lab-tests)" "$dir/bin/lab-tests"
	mote=$(built mote) || note "no mote was built: the tests go without"
	[ -z "$mote" ] || cp "$mote" "$dir/bin/mote"
	guests=$(built guests) || guests=
	if [ -n "$guests" ]; then
		find "$guests" -maxdepth 1 -name '*.elf' \
			-exec cp {} "$dir/lib/mote/guests/" \;
	fi

	# The examples name their guests as ../../build/guests.
	mkdir -p "$dir/lib/mote/config" "$dir/lib/mote/build"
	cp -r "$top/config/examples" "$dir/lib/mote/config/"
	ln -s ../guests "$dir/lib/mote/build/guests"

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
		cp "$tests" "$dir/lab/tests"
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

# In the pipe the shell never sees QEMU's status, so it goes by a file.
boot()
{
	{
		boot_status=0
		machine_run || boot_status=$?
		echo "$boot_status" >"$work/status"
	} | tee "$log" | sed -un "/^LAB-START $nonce/,\$ {
		s/\r\$//
		/^LAB-VERDICT $nonce/,\$ d
		/^LAB-/!p
	}"
}

doing="waiting for its turn"
lock_machine
began=$(date +%s)
doing="fetching its parts"
machine_fetch
if [ -z "${LAB_BUILD:-}" ]; then
	doing="building mote"
	build_mote
fi
doing="packing its initramfs"
pack_root "$@"

ready=$(date +%s)
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
read -r passed failed skipped <"$work/counts" || :
if [ -n "$reason" ]; then
	grep -q "^LAB-START $nonce" "$log" || tail -n 25 "$log" >&2
	note "$name: FAILED: $reason"
	note "$name: the console is in $log"
	failed=$((${failed:-0} + 1))
elif [ "${skipped:-0}" -gt 0 ]; then
	note "$name: FAILED: its set must not hold tests that it skips"
fi
echo "lab $name: $((ended - started)) s in QEMU, $((ready - began)) s to prepare"
finish "${passed:-0}" "${failed:-0}" "${skipped:-0}"
