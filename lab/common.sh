# SPDX-License-Identifier: Apache-2.0
#
# common.sh - what all labs share; sourced, never run.  The caller has set
# -eu, and $top to the top of the source tree.
# shellcheck shell=sh disable=SC2154

# Print to the user; stdout is for results.
note()
{
	echo "lab: $*" >&2
}

lab_cache()
{
	if [ -n "${MOTE_LAB_CACHE:-}" ]; then
		echo "$MOTE_LAB_CACHE"
	elif [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/mote-lab"
	else
		note "neither MOTE_LAB_CACHE nor HOME is set"
		return 1
	fi
}

need()
{
	for need_tool; do
		command -v "$need_tool" >/dev/null || {
			note "$need_tool is not installed"
			return 1
		}
	done
}

# fetch NAME [-s SUITE] ARCH PACKAGE...: prints the folder of the unpacked
# packages, fetched if they are not there yet.  The folder's name depends on
# what is asked for, so a changed list is fetched anew.
fetch()
{
	fetch_name=$1
	shift
	fetch_dir=$(lab_cache)/$fetch_name-$(echo "$*" | cksum | cut -d' ' -f1)
	if [ ! -d "$fetch_dir" ]; then
		note "fetching $*"
		if [ "$1" = -s ]; then
			fetch_suite="-s $2"
			shift 2
		else
			fetch_suite=
		fi
		fetch_arch=$1
		shift
		# shellcheck disable=SC2086 # two words or none
		"$top/lab/fetch-deb.sh" $fetch_suite "$fetch_arch" \
			"$fetch_dir" "$@" || return 1
	fi
	echo "$fetch_dir"
}

# find_module ROOT NAME: prints the file; - and _ are the same in a name.
find_module()
{
	find "$1"/lib/modules "$1"/usr/lib/modules -name \
		"$(echo "$2" | sed 's/[-_]/[-_]/g').ko*" 2>/dev/null | head -n 1
}

# is_builtin ROOT NAME
is_builtin()
{
	cat "$1"/lib/modules/*/modules.builtin \
		"$1"/usr/lib/modules/*/modules.builtin 2>/dev/null |
		tr _ - | grep -q "/$(echo "$2" | tr _ -)\.ko\$"
}

# pack_module ROOT DIR NAME [PARAMETER...]: copy a module and, before it, what
# it depends on, and add them to the list that init loads from.
pack_module()
{
	# The recursion below runs in a subshell: these are its own.
	pm_root=$1 pm_dir=$2 pm_name=$3
	shift 3
	[ ! -e "$pm_dir/$pm_name.ko" ] || return 0
	pm_file=$(find_module "$pm_root" "$pm_name")
	if [ -z "$pm_file" ]; then
		is_builtin "$pm_root" "$pm_name" && return 0
		note "the kernel has no module $pm_name"
		return 1
	fi
	case $pm_file in
	*.xz) xz -dc "$pm_file" >"$pm_dir/$pm_name.ko" ;;
	*) cp "$pm_file" "$pm_dir/$pm_name.ko" ;;
	esac
	# .modinfo is a row of NUL-ended NAME=VALUE strings.
	for pm_dep in $(tr '\0' '\n' <"$pm_dir/$pm_name.ko" |
		sed -n 's/^depends=//p' | tr , ' '); do
		(pack_module "$pm_root" "$pm_dir" "$pm_dep") || return 1
	done
	"${CROSS_COMPILE}strip" -g "$pm_dir/$pm_name.ko"
	echo "$pm_name.ko${*:+ $*}" >>"$pm_dir/modules"
}

# pack DIR OUT: an initramfs owned by root, whoever packs it.
pack()
{
	(cd "$1" && find . -print0 | LC_ALL=C sort -z |
		cpio -0 -o -H newc -R 0:0 --quiet) >"$2"
}

# pack_linux DIR ROOT KERNEL: the kernel of the lab once more in DIR, as a guest
# of mote, and an initrd with a shell, linux-init and modules for it.  The
# folder inner is beside the other files of this machine.
pack_linux()
{
	inner=$work/inner
	rm -rf "$inner"
	mkdir -p "$1" "$inner/bin" "$inner/dev" "$inner/proc" "$inner/sys" \
		"$inner/modules"
	cp "$3" "$1/vmlinuz"
	cp "$2/bin/busybox" "$inner/bin/busybox"
	cp "$top/lab/linux-init" "$inner/init"
	chmod 755 "$inner/init"
	for pl_module in ${linux_modules:-}; do
		(pack_module "$2" "$inner/modules" "$pl_module") || return 1
	done
	pack "$inner" "$1/initrd"
}

# Only one lab at a time: two on a small machine take turns and run into their
# time limits, and they build in the same folder.  The lock is held until the
# caller exits.
lock_machine()
{
	mkdir -p "$(lab_cache)"
	exec 9>"$(lab_cache)/lock"
	flock -n 9 || {
		note "waiting for another lab to end"
		flock 9
	}
}

# judge LOG NONCE: prints "PASSED FAILED SKIPPED", or says why there is no
# verdict and fails.
judge()
{
	awk -v nonce="$2" '
		{ sub(/\r$/, "") }
		$1 == "LAB-START" && $2 == nonce { started++ }
		$1 == "LAB-NO-VERDICT" { why = substr($0, 16) }
		$1 == "LAB-VERDICT" && $2 == nonce && NF == 5 &&
		$3 $4 $5 ~ /^[0-9]+$/ { n++; counts = $3 " " $4 " " $5 }
		END {
			if (started == 1 && n == 1) {
				print counts
				exit 0
			}
			if (n > 1)
				why = "more than one verdict"
			else if (started > 1)
				why = "init ran more than once"
			else if (!started)
				why = "the kernel did not reach init"
			else if (why == "")
				why = "the machine stopped in the middle"
			print "no verdict: " why > "/dev/stderr"
			exit 1
		}' "$1"
}
