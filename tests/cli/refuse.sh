#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# refuse.sh - images, devices and hosts that are no good: each is refused
# with its exit code and in words that name the place, and nothing is left
# behind: no process, no file, no mount (so no namespace either).
set -u
. tests/lib.sh
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
mkdir "$tmp/in" "$tmp/w" "$tmp/bin"
chmod 755 "$tmp" "$tmp/in" "$tmp/bin"
# A program that nobody else runs, so that what is left of it shows.
cp "$MOTE_BIN" "$tmp/bin/mote"
mote=$tmp/bin/mote
hello=$MOTE_GUESTS/hello.elf
disk=$MOTE_GUESTS/hvt-disk.elf

# Processes of that program, files of the folder it may write to, mounts.
left()
{
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe" 2>/dev/null)" != "$mote" ] || echo "process ${p#/proc/}"
	done
	find "$tmp/w" "$tmp/in" | sort
	cat /proc/self/mountinfo
}

# refuse NAME CODE WORDS COMMAND...
refuse()
{
	name=$1 code=$2 words=$3
	shift 3
	left >"$tmp/before"
	TMPDIR=$tmp/w timeout 5 "$@" </dev/null >"$tmp/out" 2>"$tmp/err"
	check "$name: exit code" "$code" $?
	has "$name: in words" "$words" "$tmp/err"
	left >"$tmp/after"
	if cmp -s "$tmp/before" "$tmp/after"; then
		ok "$name: nothing is left"
	else
		bad "$name: nothing is left" "$(diff "$tmp/before" "$tmp/after" | head -n 3 | tr '\n' '|')"
	fi
}

# --- memory ----------------------------------------------------------------------
for size in 0 -1 9223372036854775808 18446744073709551616 8E 1 x ""; do
	refuse "memory '$size'" 65 "--memory: vm.memory: " "$mote" run --kernel "$hello" --memory "$size"
done

# --- devices -----------------------------------------------------------------------
truncate -s 64K "$tmp/in/from" "$tmp/in/to"
truncate -s 511 "$tmp/in/small"
mkdir "$tmp/in/dir"
mkfifo "$tmp/in/fifo"
echo "tests" >"$tmp/in/file"
for path in "$tmp/in/dir" "$tmp/in/fifo" /proc/self/mem /dev/null "$tmp/in/none" "$tmp/in/file/x"; do
	case $path in
	/proc/self/mem) words="disk.from: size: Invalid argument" ;;
	*) words="disk.from.path: " ;;
	esac
	[ -e /dev/kvm ] || [ "$path" != /proc/self/mem ] || continue
	refuse "disk ${path##*/}" 65 "$words" "$mote" run --kernel "$disk" \
		--disk from="$path" --disk to="$tmp/in/to"
done

if [ ! -e /dev/kvm ]; then
	echo "skip bad input that a VM finds: no /dev/kvm"
	exit "$failed"
fi

# --- a host without KVM, and one that does not give it ---------------------------------
if unshare -m true 2>/dev/null; then
	cat >"$tmp/nodev" <<-'EOF'
		mount --make-rprivate / && mount -t tmpfs none /dev || exit 99
		mknod /dev/null c 1 3 && chmod 666 /dev/null || exit 99
		exec "$@"
	EOF
	refuse "no /dev/kvm" 69 "open /dev/kvm: No such file or directory" \
		unshare -m sh "$tmp/nodev" "$mote" run --kernel "$hello"
else
	echo "skip a host without /dev/kvm: no mount namespace"
fi
if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
	echo "skip a user without rights: not root, or no setpriv"
elif setpriv --reuid 65534 --regid 65534 --clear-groups test -w /dev/kvm; then
	echo "skip a user without rights: /dev/kvm is open to all"
else
	cp "$hello" "$tmp/in/hello.elf"
	chmod 755 "$tmp/in/hello.elf"
	refuse "no permission on /dev/kvm" 77 "open /dev/kvm: Permission denied" \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$mote" run --kernel "$tmp/in/hello.elf"
fi

if ! kvm_usable; then
	echo "skip bad input that a VM finds: no usable /dev/kvm"
	exit "$failed"
fi

# A command whose standard input is a socket.
on_socket='use Socket; $^F = 255; socketpair(A, B, AF_UNIX, SOCK_SEQPACKET, 0);
	open(STDIN, "<&A"); exec @ARGV'

# --- devices that the guest does not have, or lacks -----------------------------------
for jail in yes no; do
	refuse "a disk of no whole sector (jail $jail)" 65 \
		"disk.x: 511 bytes" "$mote" run --kernel "$hello" \
		--disk x="$tmp/in/small" --set sandbox.enable=$jail
	refuse "a disk that is too small (jail $jail)" 65 "disk.from: 511 bytes" \
		"$mote" run --kernel "$disk" --disk from="$tmp/in/small" \
		--disk to="$tmp/in/to" --set sandbox.enable=$jail
	refuse "a disk that is not attached (jail $jail)" 65 \
		"disk.to: the guest's manifest declares it" "$mote" run \
		--kernel "$disk" --disk from="$tmp/in/from" --set sandbox.enable=$jail
	refuse "a network that is not declared (jail $jail)" 65 \
		"net.x: resource not declared" perl -e "$on_socket" "$mote" run --kernel "$disk" \
		--disk from="$tmp/in/from" --disk to="$tmp/in/to" \
		--set net.x.fd=0 --set sandbox.enable=$jail
done
refuse "an interface that is not there" 69 "net.service0.tap: none9: no such interface" \
	"$mote" run --kernel "$MOTE_GUESTS/hvt-echo.elf" --net service0=none9 --net service1=none8
refuse "a network that is none" 65 "net.x.fd: 0 is no tap and no socket" \
	"$mote" run --kernel "$hello" --set net.x.fd=0

# --- images -------------------------------------------------------------------------
# patch FROM TO OFFSET BYTES (in octal)
patch()
{
	cp "$1" "$2"
	# shellcheck disable=SC2059 # the bytes are a format
	printf "$4" | dd of="$2" bs=1 seek="$3" conv=notrunc 2>/dev/null
}

for guest in hello hvt-disk; do
	image=$MOTE_GUESTS/$guest.elf
	case $(uname -m) in
	x86_64) machine='\267' ;; # aarch64
	*) machine='\076' ;;	  # x86-64
	esac
	patch "$image" "$tmp/in/other" 18 "$machine"'\000'
	refuse "$guest for another machine" 65 "/in/other: " "$mote" run --kernel "$tmp/in/other"
	patch "$image" "$tmp/in/32" 4 '\001'
	refuse "$guest of 32 bits" 65 "/in/32: " "$mote" run --kernel "$tmp/in/32"
	patch "$image" "$tmp/in/big" 5 '\002'
	refuse "$guest, big-endian" 65 "/in/big: " "$mote" run --kernel "$tmp/in/big"
	patch "$image" "$tmp/in/magic" 0 'MZ'
	refuse "$guest without its magic" 65 "/in/magic: " "$mote" run --kernel "$tmp/in/magic"
	for size in 0 1 63 64 100; do
		head -c $size "$image" >"$tmp/in/cut"
		refuse "$guest cut to $size bytes" 65 "/in/cut: " "$mote" run --kernel "$tmp/in/cut"
	done
	rm -f "$tmp"/in/other "$tmp"/in/32 "$tmp"/in/big "$tmp"/in/magic "$tmp"/in/cut
	refuse "$guest that is not there" 65 "vm.kernel: " "$mote" run --kernel "$tmp/in/no.elf"
done
refuse "an image that is a folder" 65 "vm.kernel: " "$mote" run --kernel "$tmp/in/dir"
refuse "an image that is a fifo" 65 "vm.kernel: " "$mote" run --kernel "$tmp/in/fifo"

# Whose code it is stands in the last line: bad input, a crash, the guest's
# own, or our signal where it runs on; anything else is ours, and wrong.
verdict()
{
	line=$(tail -n 1 "$tmp/err")
	case $1:$line in
	65:mote:*) [ -n "${line#mote: }" ] ;;
	75:"mote: the guest crashed: "?*) ;;
	143:"mote: the guest was ended by signal 15") ;;
	*:"mote: the guest ended with code $1") ;;
	*:"mote: the guest asked for a reset"*) ;;
	*) return 1 ;;
	esac
}

# The seed is the number: a finding can be repeated.
for guest in hello hvt-disk; do
	wrong='' n=0 refused=0 crashed=0 ended=0 stopped=0
	left >"$tmp/before"
	while [ $n -lt "${MOTE_FLIPS:-60}" ]; do
		n=$((n + 1))
		perl -e 'local $/; srand(shift); $_ = <STDIN>;
			for my $i (1 .. 1 + rand 8) {
				# Every other one in the headers, notes and code.
				my $at = int rand($i % 2 ? length : length() < 8192 ? length : 8192);
				substr($_, $at, 1) ^= chr(1 << rand 8);
			} print' $n <"$MOTE_GUESTS/$guest.elf" >"$tmp/flipped"
		set -- --kernel "$tmp/flipped" --stop-timeout 100ms
		[ $guest = hello ] || set -- "$@" --disk from="$tmp/in/from" --disk to="$tmp/in/to"
		timeout --preserve-status -k 4 1 "$mote" run "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
		code=$?
		verdict $code || wrong="$wrong $n:$code:$(tail -n 1 "$tmp/err")"
		case $code in
		65) refused=$((refused + 1)) ;;
		75) crashed=$((crashed + 1)) ;;
		143) stopped=$((stopped + 1)) ;;
		*) ended=$((ended + 1)) ;;
		esac
	done
	check "$n times some bits of $guest flipped: $refused refused, $crashed crashed, $ended ended, $stopped stopped" \
		"" "$wrong"
	left >"$tmp/after"
	cmp -s "$tmp/before" "$tmp/after"
	check "and nothing is left ($guest)" 0 $?
done
exit "$failed"
