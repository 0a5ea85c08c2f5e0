#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fetch-deb.sh [-s SUITE] ARCH DIR PACKAGE... - unpack Debian packages in DIR
#
# Works as any user and for any architecture: apt gets a state and a cache of
# its own, so neither the machine's lists nor dpkg's architectures change.
# The packages come from the Debian sources that this machine already has; -s
# asks for another suite of the same mirror.  A kernel metapackage is followed
# to the kernel of the day.  Dependencies are not followed.
#
# DIR must not exist.  It appears complete or not at all.
set -eu

suite=
if [ "${1:-}" = -s ]; then
	suite=$2
	shift 2
fi
if [ $# -lt 3 ]; then
	echo "usage: fetch-deb.sh [-s SUITE] ARCH DIR PACKAGE..." >&2
	exit 2
fi
arch=$1
dir=$2
shift 2

for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || {
		echo "fetch-deb: needs $tool (a Debian machine)" >&2
		exit 1
	}
done

mkdir -p "$(dirname "$dir")"
# What a killed run left behind.
find "$(dirname "$dir")" -maxdepth 1 -name '*.tmp-*' -mmin +120 \
	-exec rm -rf {} +
tmp=$(mktemp -d "$dir.tmp-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$tmp"
mkdir -p "$tmp/apt/lists/partial" "$tmp/apt/cache/archives/partial" \
	"$tmp/apt/parts" "$tmp/root"
: >"$tmp/apt/status"

# URI, suite and component of each Debian source of this machine.  Third-party
# sources are of no use here, and often have no other architecture.
debian_sources()
{
	apt-get indextargets \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' |
		awk '$1 ~ /debian/ && $3 == "main"' | sort -u
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] && signed="signed-by=$keyring" || signed=
sources=$(debian_sources)
if [ -n "$suite" ]; then
	# Security updates live elsewhere; the plain archive has all suites.
	sources=$(echo "$sources" | awk -v s="$suite" \
		'$1 !~ /security/ { print $1, s, $3; exit }')
fi
if [ -z "$sources" ]; then
	echo "fetch-deb: apt on this machine has no Debian source" >&2
	exit 1
fi
echo "$sources" | while read -r uri release component; do
	echo "deb [${signed:+$signed }arch=$arch] $uri $release $component"
done >"$tmp/apt/sources.list"

# Read after the machine's own configuration, so its proxy stays in force and
# its hooks, which are meant for root, do not.
cat >"$tmp/apt/apt.conf" <<-END
	#clear APT::Architectures;
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	APT::Architecture "$arch";
	APT::Architectures { "$arch"; };
	APT::Sandbox::User "";
	Acquire::Languages "none";
	Acquire::Retries "3";
	Acquire::http::Timeout "30";
	Acquire::https::Timeout "30";
	Dir::State "$tmp/apt";
	Dir::State::lists "$tmp/apt/lists";
	Dir::State::status "$tmp/apt/status";
	Dir::Cache "$tmp/apt/cache";
	Dir::Etc::sourcelist "$tmp/apt/sources.list";
	Dir::Etc::sourceparts "$tmp/apt/parts";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "$tmp/apt/parts";
	END

# One source of several may be out of step for a moment (a mirror being
# updated): that is no reason to give up as long as the packages are found.
apt-get -c "$tmp/apt/apt.conf" -qq update >&2 ||
	echo "fetch-deb: not all sources of $arch could be read; going on" >&2

# The kernel of the day behind a metapackage.  Newer ones take two steps:
# linux-image-arm64, linux-image-VERSION, then linux-binary- and
# linux-modules-VERSION.
follow()
{
	next=$(apt-cache -c "$tmp/apt/apt.conf" depends "$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-\(image\|binary\|modules\)-[0-9].*\)/\1/p')
	echo "${next:-$1}"
}

for pkg; do
	for step in $(follow "$pkg"); do
		for real in $(follow "$step"); do
			(cd "$tmp/apt/cache" &&
				apt-get -c "$tmp/apt/apt.conf" -qq download \
					"$real" >&2) || {
				echo "fetch-deb: cannot fetch $real for $arch" >&2
				exit 1
			}
		done
	done
done

for deb in "$tmp"/apt/cache/*.deb; do
	dpkg-deb -x "$deb" "$tmp/root"
	basename "$deb"
done >"$tmp/root/.packages"
rm -rf "$tmp/root/usr/share/doc" "$tmp/root/usr/share/man"

# Another run may have been faster; what it made is as good.
[ -d "$dir" ] || mv -T "$tmp/root" "$dir" 2>/dev/null || [ -d "$dir" ]
