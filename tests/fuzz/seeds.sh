# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# seeds.sh - sourced by what runs fuzz targets: how each is run, and files of
# the tree that are inputs already.

# options TARGET: of libFuzzer.  Short scripts are as good as long ones, and
# ten times as fast; where a run takes a microsecond, choosing is dear.
options()
{
	case $1 in
	event) echo -max_len=64 -entropic=0 ;;
	hvt) echo -max_len=64 -entropic=0 -detect_leaks=0 ;;
	console | pci) echo -max_len=128 ;;
	hpt) echo -max_len=512 -entropic=0 ;;
	state | snapshot | virtio) echo -max_len=256 ;;
	*) echo -max_len=16384 ;;
	esac
}

# seeds TARGET FOLDER BUILD
seeds()
{
	case $1 in
	ini)
		for f in config/examples/*.ini; do
			{ printf 'x'; cat "$f"; } >"$2/$(basename "$f")"
		done
		;;
	option)
		for f in config/examples/*.ini; do
			awk 'BEGIN { printf "x" }
			/^\[/ { gsub(/[][]/, ""); s = $0 }
			/^[a-z].*=/ { sub(/ *= */, "="); print s "." $0 }' \
				"$f" >"$2/$(basename "$f")"
		done
		;;
	control)
		printf 'A{"command":"status"}\n{"command":"snapshot","name":"a"}\n' \
			>"$2/status"
		;;
	manifest)
		# The target puts the first line and the last one back.
		for f in tests/golden/*/*/manifest; do
			[ ! -f "$f" ] || sed '1d;$d' "$f" \
				>"$2/$(echo "$f" | tr / _)"
		done
		;;
	image)
		# Linux, PVH and Multiboot, with a module and ACPI, 4 MiB.
		for how in 034 035 036 037 020 003; do
			for f in "$3"/guests/pc*; do
				[ ! -f "$f" ] || {
					printf "\\$how"
					cat "$f"
				} >"$2/$how-$(basename "$f")"
			done
		done
		;;
	elf | solo5)
		for f in "$3"/guests/*.elf; do
			[ ! -f "$f" ] || head -c 16384 "$f" \
				>"$2/$(basename "$f")"
		done
		;;
	esac
}
