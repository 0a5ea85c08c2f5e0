# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# material.sh - what the runs of faults.scenes read, made in $B once.

# snapshot NAME GUEST ARGS...: of a guest that says that it is ready
snapshot()
{
	_name=$1 _guest=$2
	shift 2
	timeout 20 "$MOTE" run --kernel "$G/$_guest.elf" --memory 32M \
		--set snapshot.when=ready --set snapshot.dir="$B/$_name" -- "$@" \
		>/dev/null 2>"$B/err" </dev/null &
	_pid=$!
	until_ok test -e "$B/$_name/manifest"
	kill "$_pid" 2>/dev/null
	wait "$_pid" 2>/dev/null
	test -e "$B/$_name/manifest"
}

make_material()
{
	snapshot hello hello exit=6 && snapshot serve serve ||
		return 1
	"$MOTE" restore "$B/hello" --set restore.resume=no \
		--set control.socket="$B/s" </dev/null >/dev/null 2>&1 &
	_pid=$!
	until_ok "$MOTE" ctl "$B/s" status
	"$MOTE" snapshot "$B/s" "$B/diff" --diff >/dev/null || return 1
	kill "$_pid"
	wait "$_pid" 2>/dev/null
	mkdir -p "$B/bundle/rootfs"
	cp "$G/hello.elf" "$B/bundle/rootfs/"
	cat >"$B/bundle/config.json" <<-END
	{"ociVersion":"1.0.2","process":{"terminal":false,"args":["/hello.elf","exit=5"],"cwd":"/"},
	"root":{"path":"rootfs"}}
	END
	head -c 65536 /dev/urandom >"$B/from"
	head -c 65536 /dev/zero >"$B/to"
}
