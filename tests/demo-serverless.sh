#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo-serverless.sh BUILD [COUNT] - each request is answered by a virtual
# machine that nobody used before, and a table of what that took.
set -eu

build=$1
count=${2:-300}
mote=$build/mote
tmp=$(mktemp -d)
pool=
end()
{
	[ -z "$pool" ] || kill "$pool" 2>/dev/null || :
	wait
	rm -rf "$tmp"
}
trap end EXIT

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "demo-serverless: no usable /dev/kvm" >&2
	exit 69
fi

cat > "$tmp/serve.ini" << END
[vm]
kernel = $(realpath "$build")/guests/serve.elf
memory = 128M

[snapshot]
dir = $tmp/ready
when = ready
END
echo "1. boot a guest from an INI file until it is ready, and save it there:"
sed 's/^/   /' "$tmp/serve.ini"
"$mote" run "$tmp/serve.ini" < /dev/null > /dev/null 2>&1 &
pool=$!
until [ -d "$tmp/ready" ]; do
	kill -0 "$pool"
	sleep 0.02
done
kill "$pool"
wait "$pool" || :
pool=
"$mote" inspect "$tmp/ready" | sed -n 's/^\(memory\|vcpus\|clone identity\) =/   \1 =/p'

# serve TITLE OPTIONS...: the row of a pool that is run with these
serve()
{
	title=$1
	shift
	"$mote" pool "$tmp/ready" --listen "unix:$tmp/s" "$@" 2> "$tmp/log" &
	pool=$!
	until [ -S "$tmp/s" ]; do
		kill -0 "$pool" || { cat "$tmp/log" >&2; exit 1; }
		sleep 0.02
	done
	sleep 0.5 # the first ones are being parked
	"$build/requests" "unix:$tmp/s" "$count" "$title" > "$tmp/out"
	kill "$pool"
	wait "$pool" || :
	pool=
}

echo
echo "2. a pool of clones, each parked before its first instruction in a jail"
echo "   of its own; a connection is the console of one:"
serve "a new VM for each" --size 8
sed -n 's/^first answer: /   /p' "$tmp/out"
grep requests "$tmp/out" > "$tmp/table"
serve "one VM, rewound for each" --size 1 --rewind
grep requests "$tmp/out" >> "$tmp/table"
serve "new VMs, one process" --size 8 --in-process
grep requests "$tmp/out" >> "$tmp/table"
serve "rewound, one process" --size 1 --rewind --in-process
grep requests "$tmp/out" >> "$tmp/table"
echo
echo "3. how long a request took, from connect to the end of the answer:"
sed 's/^/   /' "$tmp/table"
