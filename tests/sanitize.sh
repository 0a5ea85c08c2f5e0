#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sanitize.sh asan|tsan BUILD [FILTER] - run the tests of a sanitizer build.
# A report of the sanitizer in any test fails the whole.  MOTE_SLOW makes
# the long tests shorter; MOTE_SANITIZER tells a test that it is not itself.
set -u

kind=$1 build=$2 only=${3:-}
MOTE_BIN=$PWD/$build/mote
MOTE_OCI=$PWD/$build/mote-oci
MOTE_GUESTS=$PWD/build/guests
MOTE_SLOW=1
MOTE_SANITIZER=$kind
log=$(mktemp -d) || exit 1
chmod 1777 "$log" # a test that is no longer root reports too
trap 'rm -rf "$log"' EXIT
# Reports go to files: a test whose child dies on purpose hides its output.
# Criterion's own worker leaks its protocol context; ours are not excused.
cat >"$log/lsan" <<EOF
leak:libcriterion
leak:libboxfort
leak:libprotobuf
EOF
ASAN_OPTIONS=log_path=$log/report:detect_leaks=1
UBSAN_OPTIONS=log_path=$log/report:print_stacktrace=1
LSAN_OPTIONS=suppressions=$log/lsan:print_suppressions=0
TSAN_OPTIONS=log_path=$log/report:second_deadlock_stack=1
export MOTE_BIN MOTE_OCI MOTE_GUESTS MOTE_SLOW MOTE_SANITIZER
export ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS

# The filter of the sandbox kills what a sanitizer's runtime does besides
# the policy; the filter itself is tested in a plain build.
case $kind in
asan) suites='!(filter|jail|policy|cli_mote|golden_runs|demo|oci*)/*' ;;
tsan) suites='vm_run vm_snapshot vm_paged vm_plug vm_smp vcpu hvt hvt_net virtio virtio_snapshot virtio_bad_drivers virtio_net solo5 hostile stress_kick stress_two stress_ref stress_life event ref chardev serial pl011 hvc event_device' ;;
*) exit 64 ;;
esac
[ -z "$only" ] || suites=$only
failed=0

# One program of tests and what it says at its end.
run()
{
	"$@" >"$log/out" 2>&1
	status=$?
	grep -aE '^\[(FAIL|CRASH|TIMEOUT|SKIP)|^\[----\].*:[0-9]+:|Warning' \
		"$log/out"
	grep -aE 'Synthesis:|^[0-9]+ passed' "$log/out" | tail -n 1 |
		sed "s|^|$1: |; s/\x1b\[[0-9;]*m//g"
	grep -aqE 'Tested: [1-9]|^[1-9][0-9]* passed' "$log/out" ||
		[ -n "$only" ] || status=1
	[ -z "$only" ] || ! grep -q 'no test matches' "$log/out" || status=0
	[ "$status" -eq 0 ] || failed=1
}

if [ "$kind" = asan ]; then
	run "$build/unit-tests" --jobs 2 --filter "$suites"
	[ ! -x "$build/fake-tests" ] ||
		run "$build/fake-tests" --jobs 2 --filter "${only:-*/*}"
else
	set -f
	filters=
	for s in $suites; do
		filters="$filters --filter $s"
	done
	# shellcheck disable=SC2086 # a list of options
	run "$build/run-unit-tests" --timeout 120 $filters
	[ ! -x "$build/run-fake-tests" ] ||
		run "$build/run-fake-tests" --timeout 120 ${only:+--filter "$only"}
	set +f
fi
for r in "$log"/report*; do
	[ -f "$r" ] || continue
	grep -aq 'ERROR\|WARNING\|runtime error' "$r" || continue
	head -n 40 "$r"
	failed=1
done
[ "$failed" -eq 0 ] && echo "check-$kind: clean" && exit 0
echo "check-$kind: FAILED"
exit 1
