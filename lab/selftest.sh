#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh [MACHINE] - does a lab notice everything that can go wrong in it?
#
# First the test runner on this host, then a lab (arm64 is the fastest): each
# case goes wrong on purpose, and must end as failed with the right words.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=lab/common.sh
. "$top/lab/common.sh"
machine=${1:-arm64}
variants=$machine
# shellcheck source=/dev/null
. "$top/lab/$machine/machine.sh"
work=$top/build/lab/selftest
rm -rf "$work"
mkdir -p "$work/host" "$work/lab" "$work/no-apt" "$work/empty"
passed=0
failed=0

# compile DIR CC
compile()
{
	"$2" -O1 -Wall -Wextra -D_GNU_SOURCE -static -pthread -I"$top/tests/runner" \
		-o "$work/$1/lab-tests" "$top/lab/selftest.c" \
		"$top/tests/runner/runner.c"
}

# check WHAT STATUS LAST-LINE WORDS COMMAND...: run the command; it must end
# with this status and this line, and print the words.
check()
{
	what=$1 want=$2 last=$3 words=$4
	shift 4
	out=$work/out
	status=0
	"$@" >"$out" 2>&1 </dev/null || status=$?
	if [ "$status" = "$want" ] && [ "$(tail -n 1 "$out")" = "$last" ] &&
		grep -qF -- "$words" "$out"; then
		echo "[PASS] $what"
		passed=$((passed + 1))
		return
	fi
	echo "[FAIL] $what: status $status, expected $want, '$last', '$words'"
	sed 's/^/    /' "$out"
	failed=$((failed + 1))
}

runner()
{
	case_want=$1 case_last=$2 case_words=$3
	shift 3
	check "runner: $*" "$case_want" "$case_last" "$case_words" \
		"$work/host/lab-tests" "$@"
}

lab()
{
	case_last=$1 case_words=$2
	shift 2
	check "lab: $*" 1 "$case_last" "$case_words" \
		env LAB_BUILD="$work/lab" LAB_LIMIT="$limit" \
		LAB_VARIANT="$variant" LAB_INIT="${init:-}" \
		"$top/lab/run.sh" "$machine" "$@"
}

compile host gcc
limit=60
variant=first
first=${variants%% *}
compile lab "${CROSS_COMPILE}gcc"

one='0 passed, 1 failed, 0 skipped'
runner 0 '4 passed, 0 failed, 0 skipped' '[PASS] good::passes' good
runner 0 '1 passed, 0 failed, 0 skipped' '1 process left behind, killed' \
	good/leaves_a_process_behind
runner 1 "$one" 'numbers differ' bad/fails
runner 1 "$one" '"one" against "two"' bad/goes_on_after_an_expectation
runner 1 "$one" 'this line appears' bad/goes_on_after_an_expectation
runner 1 "$one" 'killed by SIGSEGV' bad/crashes
runner 1 "$one" 'exited with 0 before its end' bad/exits_in_the_middle
runner 1 "$one" 'exited with 0 before its end' bad/closes_everything_and_exits
runner 1 "$one" 'time limit of 1 s' bad/hangs
runner 1 "$one" 'did not die of SIGSEGV' bad/survives_what_should_kill_it
runner 1 "$one" 'not true: (arg) == (NULL)' bad/fails_in_a_thread
runner 1 "$one" 'not true: (status) == (0)' bad/fails_in_a_child
runner 1 "$one" '[FAIL] bad::fails_in_fini' bad/fails_in_fini
runner 1 '0 passed, 10 failed, 0 skipped' '[FAIL] bad::crashes' bad
runner 0 '0 passed, 0 failed, 1 skipped' 'for the reason 7' skipped
runner 1 "$one" "no test matches 'nosuch/*'" --filter 'nosuch/*'
runner 0 '3 passed, 0 failed, 0 skipped' 'good::passes' good '!good/leaves*'
runner 0 'fatal/writes_its_own_counts' 'good/passes' --list

lab '4 passed, 1 failed, 0 skipped' 'killed by SIGSEGV' good bad/crashes
lab '0 passed, 0 failed, 1 skipped' 'for the reason 7' skipped
lab "$one" "no test matches 'nosuch'" nosuch
lab "$one" 'the test program died of signal 9' fatal/kills_the_runner
lab "$one" 'died of signal 9' fatal/forges_a_verdict
lab "$one" 'died of signal 9' fatal/writes_its_own_counts
lab "$one" 'more than one verdict' fatal/forges_the_nonce
lab "$one" 'the machine stopped in the middle' fatal/crashes_the_kernel
lab "$one" 'the machine stopped in the middle' fatal/powers_off
limit=15
lab "$one" 'time limit of 15 s' fatal/stops_the_runner
limit=60
init=none
lab "$one" 'the kernel did not reach init' good
echo 'not a program' >"$work/not-a-program"
init=$work/not-a-program
lab "$one" 'the kernel did not reach init' good
init=

# Several machines: what goes wrong on one is told and does not end the rest.
variant="nosuch $first"
lab '4 passed, 1 failed, 0 skipped' 'FAILED, first on nosuch' good
variant="$first $first"
lab '0 passed, 2 failed, 0 skipped' "FAILED, first on $first" \
	fatal/kills_the_runner
variant=first

# A machine without network or with a broken mirror.
printf '#!/bin/sh\nexit 100\n' >"$work/no-apt/apt-get"
chmod +x "$work/no-apt/apt-get"
check 'lab: nothing can be fetched' 1 "$one" 'FAILED while fetching its parts' \
	env PATH="$work/no-apt:$PATH" MOTE_LAB_CACHE="$work/empty" \
	LAB_VARIANT=first LAB_BUILD="$work/lab" "$top/lab/run.sh" "$machine" good
check 'lab: the failed fetch left nothing' 0 lock lock ls "$work/empty"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
