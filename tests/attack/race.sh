#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# race.sh [SWAPS] - root starts guests whose files lie in a folder of another
# user's, who swaps each of them for a symbolic link, a hard link or a folder of
# root's, SWAPS (100000) times in all while they are opened.  Nothing of root's
# may be read, written, made or changed.
#
# Prints "ok NAME" or "FAIL NAME", and how often each outcome was.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

swaps=${1:-100000}
racer=
# shellcheck disable=SC2317 # called by trap
cleanup()
{
	[ -z "$racer" ] || kill "$racer" 2>/dev/null
	wait
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
if [ "$(id -u)" != 0 ] || ! kvm_usable; then
	echo "skip races: they need root and /dev/kvm"
	exit 0
fi
guest=$MOTE_GUESTS/hello.elf
GUEST=$guest
export GUEST
chmod 755 "$tmp"

# begin: what is root's, what is the other user's
begin()
{
	rm -rf "$tmp/root" "$tmp/his"
	mkdir -m 755 "$tmp/root" "$tmp/root/dir"
	echo "root's own" >"$tmp/root/file"
	chmod 644 "$tmp/root/file"
	cp "$guest" "$tmp/root/kernel"
	chmod 600 "$tmp/root/kernel"
	truncate -s 32K "$tmp/root/disk"
	mkdir "$tmp/his"
	chown 65534 "$tmp/his"
	state >"$tmp/before"
}

# All that is there of root's: names, modes, owners, contents, when written.
state()
{
	(cd "$tmp/root" && find . -printf '%p %m %U %n %s %T@\n' | sort &&
		find . -type f -exec cksum {} +)
}

# race NAME LURE KIND HIS OPTION...: he swaps his/NAME, which is a file, a kernel, a
# dir or nothing (mote makes it), with a KIND of link to LURE while guests are started
# with the options, until he has swapped enough.
race()
{
	name=$1 lure=$2 kind=$3 his=$4
	shift 4
	begin
	case $kind in
	symlink) setpriv --reuid 65534 --clear-groups ln -s "$lure" "$tmp/his/lure" ;;
	hardlink)
		ln "$lure" "$tmp/his/lure"
		state >"$tmp/before"
		;;
	esac
	# shellcheck disable=SC2016 # it is perl
	setpriv --reuid 65534 --regid 65534 --clear-groups perl -e '
		use strict;
		my ($dir, $name, $n, $kind) = @ARGV;
		chdir $dir or die;
		sub make {
			return if -l $name || -e $name;
			return if $kind eq "nothing";
			if ($kind eq "dir") { mkdir $name; return; }
			if ($kind eq "kernel") { system("cp", $ENV{GUEST}, $name); return; }
			open(my $f, ">", $name) or return; truncate $f, 1 << 15;
		}
		make();
		my ($a, $b) = ("$name\0", "lure\0");
		my $done = 0;
		while ($done < $n) {
			# renameat2 with RENAME_EXCHANGE; where one of them is away, by
			# mote or not made yet, the other takes its place and goes back
			if (syscall(316, -100, $a, -100, $b, 2) != 0) {
				make();
				rename("lure", $name);
				rename($name, "lure") if -l $name;
			}
			$done++;
			select(undef, undef, undef, 0.0005) if $done % 8 == 0;
		}
		open(my $f, ">", "done"); print $f $done;' \
		"$tmp/his" "$name" "$each" "$his" &
	racer=$!
	ran=0 refused=0
	while [ ! -e "$tmp/his/done" ] && kill -0 $racer 2>/dev/null; do
		[ "$his" != dir ] || # one more each time
			set -- "$@" --set snapshot.dir="$tmp/his/$name/snap$ran-$refused"
		timeout 20 "$MOTE_BIN" run "$@" </dev/null >/dev/null 2>"$tmp/err"
		case $? in
		0) ran=$((ran + 1)) ;;
		124 | 139 | 134) bad "$name: it hung or crashed" "$(cat "$tmp/err")" ;;
		*) refused=$((refused + 1)) ;;
		esac
	done
	wait $racer
	racer=
	state >"$tmp/after"
	if cmp -s "$tmp/before" "$tmp/after"; then
		ok "$name, $kind, $each swaps: $ran ran, $refused were refused, nothing of root's changed"
	else
		bad "$name, $kind" "$(diff "$tmp/before" "$tmp/after" | head -5)"
	fi
}

each=$((swaps / 10))
k="--kernel $guest"
head -c 32768 /dev/urandom >"$tmp/from"
# shellcheck disable=SC2086 # words
{
	race log "$tmp/root/file" symlink file $k --set log.file="$tmp/his/log" --set log.level=debug
	race log "$tmp/root/file" hardlink file $k --set log.file="$tmp/his/log" --set log.level=debug
	race con "$tmp/root/file" symlink file $k --set console.type=file --set console.path="$tmp/his/con"
	race con "$tmp/root/file" hardlink file $k --set console.type=file --set console.path="$tmp/his/con"
	race m "$tmp/root/file" symlink file $k --set metrics.file="$tmp/his/m"
	race sock "$tmp/root/file" symlink nothing $k --set control.socket="$tmp/his/sock" --set control.mode=0666
	race disk "$tmp/root/disk" symlink file --kernel "$MOTE_GUESTS/hvt-disk.elf" --memory 4M --disk from="$tmp/from" --set disk.from.readonly=yes --set disk.to.path="$tmp/his/disk"
	race disk "$tmp/root/disk" hardlink file --kernel "$MOTE_GUESTS/hvt-disk.elf" --memory 4M --disk from="$tmp/from" --set disk.from.readonly=yes --set disk.to.path="$tmp/his/disk"
	race d "$tmp/root/dir" symlink dir $k --set snapshot.when=exit
	race kern "$tmp/root/kernel" symlink kernel --kernel "$tmp/his/kern"
}
exit $failed
