#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# soak.sh BUILD SECONDS - soak.c, in a folder that goes away; what is left of
# it, or of its processes, is a failure too.
set -u

build=$1 seconds=$2
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	echo "skip soak: no usable /dev/kvm"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/d" && cp "$build/mote" "$tmp/mote" || exit 1 # which may be built anew meanwhile
"$build/soak" "$seconds" "$tmp/mote" "$build/guests" "$tmp/d"
