#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh BUILD - a guest from an INI file on real KVM, with a number that
# only the guest can have printed, then where the time went.  Where this
# host has no usable KVM it says why and shows the same in the x86 lab.
set -eu

build=$1
nonce=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
err=$(mktemp)
trap 'rm -f "$err"' EXIT

# KVM itself is asked; CPU flags say nothing.
echo "\$ mote run config/examples/hello.ini --timeline=- -- nonce=$nonce"
status=0
out=$("$build/mote" run config/examples/hello.ini --timeline=- -- \
	"nonce=$nonce" 2>"$err") || status=$?
case $status in
0) ;;
69 | 77) # the host lacks something, or it is not permitted
	cat "$err"
	echo "So the same runs in the x86 lab, where KVM is real (and slow):"
	lab/demo.sh "$nonce"
	exit
	;;
*)
	cat "$err" >&2
	exit 1
	;;
esac
echo "$out"
cat "$err"
case $out in
*"arguments: nonce=$nonce"*) ;;
*)
	echo "demo: the guest did not print its number" >&2
	exit 1
	;;
esac
