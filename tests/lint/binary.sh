#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# binary.sh - the stripped static mote is at most 1 MiB.
tmp=$(mktemp) || exit 1
trap 'rm -f "$tmp"' EXIT
strip -o "$tmp" "${MOTE_BIN:-build/mote}" || exit 1
size=$(stat -c %s "$tmp")
if [ "$size" -le 1048576 ]; then
	echo "ok the stripped mote is at most 1 MiB"
else
	echo "FAIL the stripped mote is at most 1 MiB: $size bytes"
fi
