#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh [PACKAGE...] - install the Debian packages that a build and the tests
# need (or those named) and that are missing.  Without root it says what to
# install and goes on only if nothing is missing.
set -eu

want="gcc make pkg-config libseccomp-dev libcap-ng-dev libinih-dev
libjson-c-dev libfdt-dev libxxhash-dev libcriterion-dev cpio busybox-static
qemu-system-x86 seabios qemu-system-arm qemu-system-ppc qemu-system-data
gcc-aarch64-linux-gnu libc6-dev-arm64-cross
gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross
kmod xz-utils util-linux procps git podman runc containerd"
[ $# -eq 0 ] || want="$*"

missing=
for p in $want; do
	s=$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || :)
	[ "$s" = "install ok installed" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "these packages are missing; install them as root:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing"
apt-get -qq update
# shellcheck disable=SC2086 # a list of names
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
	--no-install-recommends $missing >/dev/null
