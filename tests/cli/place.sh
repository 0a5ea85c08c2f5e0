#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# place.sh - where the VM process runs and what it may use: [sandbox] netns,
# [limits] cgroup, open_files, file_size, threads, and which layers of the jail
# ctl and the metrics name.  Namespaces and cgroups are real ones made here.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

ns=mote-test-$$
made=
pid=
# shellcheck disable=SC2317 # called by trap
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	wait
	for d in $made; do rmdir "$d"; done
	ip netns del "$ns" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT

if ! kvm_usable; then
	echo "skip place: no usable /dev/kvm"
	exit 0
fi
counter=$MOTE_GUESTS/counter.elf

# start OPTION...: a guest that counts; $vm is the process that runs it.
start()
{
	rm -f "$tmp/out" "$tmp/err"
	"$MOTE_BIN" run --kernel "$counter" --set control.socket="$tmp/s" "$@" \
		-- step_ms=5 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok grep -q 'count 1' "$tmp/out" || {
		bad "start $*" "$(cat "$tmp/err")"
		return 1
	}
	vm=$(pgrep -P $pid)
	vm=${vm:-$pid}
}

stop()
{
	"$MOTE_BIN" ctl "$tmp/s" stop >/dev/null
	wait $pid
	check "it ends as ever ($1)" 0 $?
	pid=
}

# refuses NAME STATUS TEXT OPTION...
refuses()
{
	name=$1 status=$2 text=$3
	shift 3
	timeout 20 "$MOTE_BIN" run --kernel "$counter" "$@" </dev/null >/dev/null 2>"$tmp/err"
	check "$name: status" "$status" $?
	has "$name: says so" "$text" "$tmp/err"
}

# --- bad ones
refuses "a file is no network namespace" 65 \
	"sandbox.netns: /etc/passwd: expected a network namespace" --set sandbox.netns=/etc/passwd
refuses "nor is another namespace" 65 \
	"sandbox.netns: /proc/self/ns/uts: expected a network namespace" --set sandbox.netns=/proc/self/ns/uts
refuses "an absent one" 65 "sandbox.netns: open $tmp/no: No such file" --set sandbox.netns="$tmp/no"
refuses "without a jail" 65 "sandbox.netns: set, expected only with sandbox.enable = yes" \
	--set sandbox.netns=/proc/self/ns/net --set sandbox.enable=no
refuses "a directory is no cgroup" 65 \
	"limits.cgroup: $tmp: expected a directory of a cgroup file system" --set limits.cgroup="$tmp"
refuses "nor is a word" 65 'limits.cgroup: "x": expected an absolute path' --set limits.cgroup=x

# --- a prepared network namespace
if [ "$(id -u)" != 0 ] || ! ip netns add "$ns" 2>"$tmp/err"; then
	echo "skip a prepared network namespace: $(head -1 "$tmp/err" 2>/dev/null || echo not root)"
elif start --set sandbox.netns="/run/netns/$ns"; then
	check "the VM process is in the prepared network namespace" \
		"net:[$(stat -Lc %i "/run/netns/$ns")]" "$(readlink "/proc/$vm/ns/net")"
	check "the launcher stays where it was" "$(readlink /proc/self/ns/net)" \
		"$(readlink "/proc/$pid/ns/net")"
	stop netns
	if start; then
		[ "$(readlink "/proc/$vm/ns/net")" != "$(readlink /proc/self/ns/net)" ]
		check "without the key it gets one of its own" 0 $?
		stop "no netns"
	fi
fi

# --- cgroups, of both versions where both are mounted
list=
# shellcheck disable=SC2013 # words
for dir in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
	case ,$(awk -v d="$dir" '$2 == d { print $4 }' /proc/mounts), in
	*,cpuset,* | *,devices,*) continue ;; # what is new there is of no use yet
	esac
	mkdir "$dir/$ns" 2>/dev/null || continue
	made="$made $dir/$ns"
	list=$list${list:+:}$dir/$ns
done
if [ -z "$list" ]; then
	echo "skip cgroups: none can be made here"
else
	for jail in yes no; do
		start --set limits.cgroup="$list" --set sandbox.enable=$jail || continue
		absent=
		for d in $made; do
			grep -qx "$vm" "$d/cgroup.procs" || absent="$absent $d"
		done
		check "it is in each cgroup (jail $jail)" "" "$absent"
		stop "cgroup, jail $jail"
		for d in $made; do
			[ ! -s "$d/cgroup.procs" ] || bad "nobody is left in $d" "$(cat "$d/cgroup.procs")"
		done
	done
	for d in $made; do
		[ -e "$d/pids.max" ] || continue
		echo 1 >"$d/pids.max"
		refuses "a limit of the cgroup holds" 71 "Resource temporarily unavailable" \
			--set limits.cgroup="$d" --set vm.vcpus=2
		break
	done
fi

# --- limits
limit() { awk -v n="$1" 'index($0, n) == 1 { print $(NF - 2) + 0, $(NF - 1) + 0 }' "/proc/$vm/limits"; }
for jail in yes no; do
	start --set limits.open_files=40 --set limits.file_size=1M --set limits.threads=300 \
		--set sandbox.enable=$jail || continue
	check "limit of files' size (jail $jail)" "1048576 1048576" "$(limit 'Max file size')"
	check "limit of threads (jail $jail)" "300 300" "$(limit 'Max processes')"
	set -- $(limit 'Max open files')
	[ "${1:-99}" -le 40 ] && [ "${2:-99}" -le 40 ]
	check "limit of open files (jail $jail)" 0 $?
	stop "limits, jail $jail"
done
refuses "a limit that no machine can live with" 71 "Too many open files" \
	--set limits.open_files=16 --set vm.vcpus=16

# --- layers
layers() { sed -n 's/.*"jail":\[\([^]]*\)\].*/\1/p' "$1" | tr -d '" '; }
for how in "" "landlock" "seccomp"; do
	case $how in
	landlock) set -- --set sandbox.landlock=no ;;
	seccomp) set -- --set sandbox.seccomp=off ;;
	*) set -- --set metrics.file="$tmp/m" --set metrics.format=prometheus ;;
	esac
	start "$@" || continue
	"$MOTE_BIN" ctl "$tmp/s" status --json >"$tmp/status"
	all=$(layers "$tmp/status")
	for layer in fds root limits capabilities no_new_privs user namespaces seccomp; do
		case ,$all, in
		*,$layer,*) found=on ;;
		*) found=off ;;
		esac
		want=on
		[ "$layer" != "$how" ] || want=off
		[ "$layer" != user ] || [ "$(id -u)" = 0 ] || want=$found
		check "layer $layer in ctl status (without: ${how:-nothing})" $want $found
	done
	[ "$how" != landlock ] || check "landlock left out" "" \
		"$(echo ",$all," | grep -o ',landlock,')"
	if [ -z "$how" ]; then
		until_ok test -s "$tmp/m"
		check "the metrics name the same layers" "$(echo "$all" | tr , '\n' | sort)" \
			"$(sed -n 's/^mote_jail_layer{.*layer="\(.*\)"} 1$/\1/p' "$tmp/m" | sort)"
	fi
	stop "layers without ${how:-nothing}"
done
exit $failed
