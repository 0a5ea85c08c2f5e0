#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# probe.sh PROGRAM [PROBE...] - attack the jail from inside (hook.c, probes.c):
# each probe in a VM process of its own, by the VM thread and by a vCPU, with
# everything on and with one layer left out at a time.  It must be refused each
# time: by two independent layers, that is.  A probe that the list calls single
# must be refused with everything on.  "room": without seccomp, and a descriptor is
# closed first, so that what refuses is not the lack of room for one; but for
# those that the list calls room, which it alone stops then.  Without any jail at least PROBE_LIVE (60)
# of them must get through: the rest is what this host does not have.
#
# Prints what got through, and the matrix of who refuses what without seccomp
# to PROBE_MATRIX.  The last line is "N passed, N failed, N skipped".
set -u

probe=$1
shift
layers=${PROBE_LAYERS:-none seccomp room namespaces root landlock capabilities user limits mdwe fds dumpable}
roles=${PROBE_ROLES:-control vcpu}
guest=${MOTE_GUESTS:-$PWD/build/guests}/noop.elf
dir=$(mktemp -d) || exit 1
victim=
listener=
cleanup()
{
	for p in $victim $listener; do kill "$p" 2>/dev/null; done
	ipcrm -M "$key" 2>/dev/null
	ip link del "$link" 2>/dev/null
	rm -rf "$dir" /mote-probe-dev /mote-probe-file
}
key=$((0x6d6f0000 + $$))
link=mp$$
trap cleanup EXIT
trap "exit 1" HUP INT TERM
if [ "$(id -u)" != 0 ] || [ ! -w /dev/kvm ]; then
	echo "skip probes: they need root and /dev/kvm"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi

# --- what there is to reach outside
chmod 1777 "$dir"
echo secret >"$dir/secret"
chmod 600 "$dir/secret"
echo >"$dir/removable"
chown 65534:65534 "$dir/removable"
setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs sleep 3600 &
victim=$!
ip tuntap add "$link" mode tap 2>/dev/null || link=lo
perl -e '
	use Socket;
	socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)); listen(S, 9);
	socket(U, PF_UNIX, SOCK_STREAM, 0); bind(U, sockaddr_un("$ARGV[0]/socket")); listen(U, 9);
	chmod 0777, "$ARGV[0]/socket";
	socket(A, PF_UNIX, SOCK_STREAM, 0); bind(A, sockaddr_un("\0mote-probe-$$")); listen(A, 9);
	shmget($ARGV[1], 4096, 01666) // die "shmget: $!";
	open(F, ">", "$ARGV[0]/listens.new");
	print F "mote-probe-$$ ", (sockaddr_in(getsockname(S)))[0], "\n"; close F;
	rename "$ARGV[0]/listens.new", "$ARGV[0]/listens"; sleep 3600' "$dir" "$key" &
listener=$!
for _ in $(seq 100); do
	[ -e "$dir/listens" ] && break
	sleep 0.05
done
read -r abstract port <"$dir/listens" || exit 1
MOTE_PROBE_TARGET="$dir $abstract $port $key $victim $link"
export MOTE_PROBE_TARGET
exec 9<"$dir/secret"

# attack PROBE ROLE LAYER: the verdict
attack()
{
	set -- "$1" "$2" "$3" --kernel "$guest" --memory 16M
	case $3 in
	seccomp | room) set -- "$@" --set sandbox.seccomp=off ;;
	landlock) set -- "$@" --set sandbox.landlock=no ;;
	namespaces) set -- "$@" --set sandbox.namespaces=no ;;
	user) set -- "$@" --set sandbox.user=0 --set sandbox.group=0 ;;
	all)
		set -- "$@" --set sandbox.seccomp=off --set sandbox.namespaces=no \
			--set sandbox.user=0 --set sandbox.group=0 --set sandbox.landlock=no
		;;
	esac
	MOTE_PROBE=$1 MOTE_PROBE_ROLE=$2 MOTE_PROBE_WITHOUT=$3
	export MOTE_PROBE MOTE_PROBE_ROLE MOTE_PROBE_WITHOUT
	shift 3
	unshare --mount --uts --ipc timeout 20 "$probe" run "$@" </dev/null 2>&1 >/dev/null |
		sed -n "s/^probe: [a-z_]* [a-z]*: //p"
}

passed=0 failed=0 live=0 dead=
MOTE_PROBE=list "$probe" >"$dir/list"
# shellcheck disable=SC2046 # words
[ $# -gt 0 ] || set -- $(cut -d ' ' -f 1 "$dir/list")
: >"$dir/matrix"
if [ $# -gt 60 ]; then
	for name in "$@"; do
		case $(attack "$name" control all) in
		ESCAPED) live=$((live + 1)) ;;
		*) dead="$dead $name" ;;
		esac
		kill -0 $victim 2>/dev/null || {
			setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs sleep 3600 &
			MOTE_PROBE_TARGET="$dir $abstract $port $key $! $link"
			victim=$!
		}
		[ -e "$dir/removable" ] || echo >"$dir/removable"
		rm -rf "$dir"/made* "$dir/hard" "$dir/renamed"
	done
	echo "without a jail $live of $# get through; not:$dead"
	if [ "$live" -ge "${PROBE_LIVE:-60}" ]; then
		echo "ok the probes live"
		passed=1
	else
		echo "FAIL the probes do not live"
		failed=1
	fi
fi
for name in "$@"; do
	single=$(sed -n "s/^${name}[ a-z]* single: //p" "$dir/list")
	for role in $roles; do
		row='' got=''
		for layer in $layers; do
			if { [ "$layer" != none ] && [ -n "$single" ]; } ||
				{ [ "$layer" = room ] && grep -q "^$name room" "$dir/list"; }; then
				row="$row|-"
				continue
			fi
			verdict=$(attack "$name" "$role" "$layer")
			case $verdict in
			killed | refused*) ;;
			*) got="$got $layer(${verdict:-no answer})" ;;
			esac
			row="$row|${verdict#refused }"
		done
		echo "$name|$role$row|$single" >>"$dir/matrix"
		if [ -z "$got" ]; then
			echo "ok $name, $role"
			passed=$((passed + 1))
		else
			echo "FAIL $name, $role: got through without:$got"
			failed=$((failed + 1))
		fi
	done
done
[ -z "${PROBE_MATRIX:-}" ] || {
	echo "probe|thread|$(echo "$layers" | tr ' ' '|')|single"
	cat "$dir/matrix"
} >"$PROBE_MATRIX"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
