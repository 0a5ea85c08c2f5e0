#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# metrics.sh - mote ctl metrics and the metrics file, jailed and not; what
# bad input and a target that goes away do.
set -u
. tests/lib.sh
pid= reader=
trap '[ -z "$pid$reader" ] || kill -9 $pid $reader 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN
hello=config/examples/hello.ini
counter="--kernel $MOTE_GUESTS/counter.elf --memory 8M --name cnt"

# --- no KVM needed -----------------------------------------------------------
for bad in interval=5 interval=99ms interval=61m interval=x format=xml file=; do
	$mote check $hello --set metrics.$bad >/dev/null 2>"$tmp/err"
	check "metrics.$bad is refused" 65 $?
	has "and named (metrics.$bad)" "metrics.${bad%=*}: " "$tmp/err"
done
$mote check $hello --set metrics.interval=100ms --set metrics.format=prometheus \
	--set metrics.file=/m >"$tmp/out"
check "the least interval is taken" 0 $?
has "and described" "interval = 100ms" "$tmp/out"
$mote ctl "$tmp/s" status --prometheus 2>/dev/null
check "--prometheus goes with metrics only" 64 $?
$mote snapshot "$tmp/s" "$tmp/d" --prometheus 2>/dev/null
check "nor with mote snapshot" 64 $?
$mote ctl "$tmp/s" metrics --diff 2>/dev/null
check "--diff does not go with metrics" 64 $?
$mote ctl "$tmp/s" metrics "$tmp" 2>/dev/null
check "metrics takes no word" 64 $?

if ! kvm_usable; then
	echo "skip metrics of guests: no usable /dev/kvm"
	exit "$failed"
fi

# refused NAME CODE TEXT PATH: a run whose metrics.file is PATH
refused()
{
	$mote run $hello --set metrics.file="$4" >"$tmp/out" 2>"$tmp/err"
	check "$1" "$2" $?
	has "and named ($1)" "metrics.file: $3" "$tmp/err"
	check "the guest did not run ($1)" "" "$(cat "$tmp/out")"
}

mkdir "$tmp/dir"
mkfifo "$tmp/fifo"
ln -s nowhere "$tmp/link"
refused "a missing folder is bad input" 65 "open $tmp/no: No such file" "$tmp/no/m"
refused "a file as folder is bad input" 65 "open $mote: Not a directory" "$mote/m"
refused "a folder is no metrics file" 65 "$tmp/dir: it is a directory" "$tmp/dir"
refused "nor is what could only be one" 65 "$tmp/new/: it is a directory" "$tmp/new/"
refused "nor a fifo" 65 "$tmp/fifo: it is a fifo" "$tmp/fifo"
refused "nor a link" 65 "$tmp/link: it is a symbolic link" "$tmp/link"
refused "nor a device" 65 "/dev/null: it is a character device" /dev/null
long=$(printf '%0250d' 1)
refused "a name without room for its temporary one is refused" 65 \
	"$tmp/$long: File name too long" "$tmp/$long"
check "a refused run makes nothing" "" "$(ls "$tmp" | grep -E '^m|tmp-')"
if [ "$(id -u)" = 0 ]; then
	echo "skip a folder without rights: root may always"
else
	chmod 500 "$tmp/dir"
	refused "a folder without rights is a matter of rights" 77 "$tmp/dir/m: Permission" "$tmp/dir/m"
	chmod 700 "$tmp/dir"
fi

# number FILE NAME: the number of that name in a line of JSON
number()
{
	sed -n 's/.*"'"$2"'":\([0-9]*\)[,}].*/\1/p' "$1"
}

# well_formed FORM FILE
well_formed()
{
	perl -MJSON::PP -e '
		local $/; open(F, "<", $ARGV[1]) or exit 2; $_ = <F>;
		exit 1 unless length && substr($_, -1) eq "\n";
		if ($ARGV[0] eq "json") {
			my $o = eval { decode_json($_) } or exit 1;
			exit(defined $o->{state} && defined $o->{vm} ? 0 : 1);
		}
		for (split /\n/) {
			next if /^# (HELP|TYPE) mote_[a-z_]+ ./;
			/^mote_[a-z_]+\{vm="[^"\\]*"(,[a-z]+="[a-z_]+")?\} [0-9]+(\.[0-9]{9})?$/
				or exit 1;
		}
		exit(/^mote_state\{/m ? 0 : 1);' "$1" "$2"
}

# Read file $2, which is there, again and again until it says "ended": each
# time one whole file, and more than one of them.
read_on()
{
	perl -e '
		my ($form, $path) = @ARGV;
		my ($seen, $ino, $bad) = (0, 0, 0);
		my $ended = $form eq "json" ? qr/"state":"ended"/ : qr/state="ended"\} 1/;
		my $end = $form eq "json" ? qr/"jail_seccomp":(true|false)\}\n\z/
			: qr/layer="seccomp"\} [01]\n\z/;
		for (1 .. 200000) {
			open(my $f, "<", $path) or do { $bad++; next };
			my $i = (stat $f)[1];
			local $/; my $t = <$f>;
			$bad++ unless defined $t && $t =~ $end;
			$seen++ if $i != $ino; $ino = $i;
			last if defined $t && $t =~ $ended;
			select(undef, undef, undef, 0.001);
		}
		print "$bad torn or gone, ", $seen > 2 ? "replaced" : "not replaced ($seen)", "\n";
	' "$1" "$2"
}

for jail in yes no; do
	for form in json prometheus; do
		how="(jail $jail, $form)"
		f=$tmp/m.$form
		rm -f "$f" "$tmp/out"
		echo old >"$f"
		rm -f "$tmp/out" "$tmp/err"
		# shellcheck disable=SC2086
		$mote run $counter --set sandbox.enable=$jail --set metrics.file="$f" \
			--set metrics.format=$form --set metrics.interval=100ms \
			--set control.socket="$tmp/s" -- step_ms=5 >"$tmp/out" 2>"$tmp/err" &
		pid=$!
		until_ok grep -q 'count 3' "$tmp/out"
		until_ok well_formed "$form" "$f"
		check "the file is there and whole $how" 0 $?
		check "it is private $how" 600 "$(stat -c %a "$f")"
		rm -f "$tmp/read"
		read_on "$form" "$f" >"$tmp/read" &
		reader=$!
		first=$(stat -c %i "$f")
		again() { [ "$(stat -c %i "$f")" != "$first" ]; }
		until_ok again && first=$(stat -c %i "$f") && until_ok again
		check "it comes again and again $how" 0 $?
		$mote ctl "$tmp/s" stop >/dev/null
		wait $pid
		check "the guest ends as ever $how" 0 $?
		pid=
		until_ok test -s "$tmp/read"
		kill $reader 2>/dev/null
		wait $reader
		reader=
		check "a reader sees whole files only, the last one says ended $how" \
			"0 torn or gone, replaced" "$(cat "$tmp/read")"
		check "nothing temporary is left $how" "" "$(ls "$tmp" | grep 'tmp-')"
		check "and nothing was said $how" 1 "$(wc -l <"$tmp/err")"
	done

	# --- mote ctl metrics
	rm -f "$tmp/out" "$tmp/err"
	# shellcheck disable=SC2086
	$mote run $counter --set sandbox.enable=$jail --set control.socket="$tmp/s" \
		--set log.level=info --set log.file=/dev/full -- step_ms=5 \
		>"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok grep -q 'count 3' "$tmp/out"
	$mote ctl "$tmp/s" metrics --json >"$tmp/a"
	check "ctl metrics (jail $jail)" 0 $?
	well_formed json "$tmp/a"
	check "is JSON (jail $jail)" 0 $?
	has "with the name (jail $jail)" '"vm":"cnt","state":"running","ready":true' "$tmp/a"
	some() { [ "${1:-0}" -gt 0 ] && echo some; }
	exits=$(sed 's/.*"exits_io":\([0-9]*\),"exits_mmio":\([0-9]*\),"exits_hypercall":\([0-9]*\),.*/\1 + \2 + \3/' "$tmp/a")
	check "exits are counted (jail $jail)" some "$(some $(($exits)))"
	check "page faults are (jail $jail)" some "$(some "$(number "$tmp/a" faults_minor)")"
	check "lost log lines are (jail $jail)" some "$(some "$(number "$tmp/a" log_dropped_lines)")"
	check "no snapshot yet (jail $jail)" "0 0" \
		"$(number "$tmp/a" snapshots) $(number "$tmp/a" snapshots_failed)"
	for absent in snapshot_pause_ns snapshot_write_ns snapshot_total_ns \
		snapshot_memory_bytes snapshot_dirty_pages dirty_pages restore_ns; do
		check "$absent is absent, not zero (jail $jail)" "" "$(number "$tmp/a" $absent)"
	done
	$mote ctl "$tmp/s" metrics --prometheus >"$tmp/p"
	well_formed prometheus "$tmp/p"
	check "ctl metrics --prometheus (jail $jail)" 0 $?
	has "has the name as label (jail $jail)" 'mote_state{vm="cnt",state="running"} 1' "$tmp/p"
	$mote ctl "$tmp/s" metrics >"$tmp/h"
	has "ctl metrics for people (jail $jail)" "state: running" "$tmp/h"

	$mote ctl "$tmp/s" snapshot "$tmp/snap.$jail"
	$mote ctl "$tmp/s" snapshot "$tmp/snap.$jail" 2>/dev/null
	$mote ctl "$tmp/s" metrics --json >"$tmp/b"
	check "snapshots, taken and failed, are counted (jail $jail)" "1 1" \
		"$(number "$tmp/b" snapshots) $(number "$tmp/b" snapshots_failed)"
	for what in snapshot_pause_ns snapshot_write_ns snapshot_total_ns; do
		check "$what is there (jail $jail)" some "$(some "$(number "$tmp/b" $what)")"
	done
	# Some of it more than once, of a guest that runs.
	have=$(($(stat -c '%b * %B' "$tmp/snap.$jail/memory")))
	written=$(number "$tmp/b" snapshot_memory_bytes)
	check "so is how much was written (jail $jail)" 1 \
		$((written >= have && written < 10 * have))
	check "a full one has no changed pages (jail $jail)" "" \
		"$(number "$tmp/b" snapshot_dirty_pages)"
	n=$(grep -c . "$tmp/out")
	goes_on() { [ "$(grep -c . "$tmp/out")" -gt $((n + 10)) ]; }
	until_ok goes_on
	$mote ctl "$tmp/s" pause
	$mote ctl "$tmp/s" metrics --json >"$tmp/b"
	dirty=$(number "$tmp/b" dirty_pages)
	check "changed pages are counted (jail $jail)" some "$(some "$dirty")"
	$mote ctl "$tmp/s" snapshot "$tmp/diff.$jail" --diff
	check "a diff (jail $jail)" 0 $?
	$mote ctl "$tmp/s" metrics --json >"$tmp/b"
	check "they are what the diff holds (jail $jail)" "$dirty" \
		"$(number "$tmp/b" snapshot_dirty_pages)"
	check "and are forgotten with it (jail $jail)" 0 \
		"$(number "$tmp/b" dirty_pages)"
	check "what it wrote is its file (jail $jail)" \
		"$(stat -c %s "$tmp/diff.$jail/memory")" \
		"$(number "$tmp/b" snapshot_memory_bytes)"
	$mote ctl "$tmp/s" snapshot "$tmp/snap2.$jail"
	$mote ctl "$tmp/s" resume
	$mote ctl "$tmp/s" metrics --json >"$tmp/b"
	check "a pause that was there before is not the snapshot's (jail $jail)" "3 " \
		"$(number "$tmp/b" snapshots) $(number "$tmp/b" snapshot_pause_ns)"
	$mote ctl "$tmp/s" stop
	wait $pid
	pid=

	for how in cow copy; do
		rm -f "$tmp/m"
		rm -f "$tmp/out" "$tmp/err"
		$mote restore "$tmp/snap.$jail" --set restore.memory=$how \
			--set sandbox.enable=$jail --set metrics.file="$tmp/m" \
			--set control.socket="$tmp/s" >"$tmp/out" 2>"$tmp/err" &
		pid=$!
		until_ok "$mote" ctl "$tmp/s" stop
		wait $pid
		pid=
		has "a restore says how (jail $jail, $how)" '"restore_mode":"'$how'"' "$tmp/m"
		check "and how long (jail $jail, $how)" some "$(some "$(number "$tmp/m" restore_ns)")"
		want=some
		[ $how = cow ] || want=
		check "changed pages only where it is mapped (jail $jail, $how)" "$want" \
			"$(some "$(number "$tmp/m" dirty_pages)")"
	done

	# --- a target that goes away
	mkdir "$tmp/gone"
	rm -f "$tmp/out" "$tmp/err"
	# shellcheck disable=SC2086
	$mote run $counter --set sandbox.enable=$jail --set metrics.file="$tmp/gone/m" \
		--set metrics.interval=100ms --set control.socket="$tmp/s" -- step_ms=5 \
		>"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok test -e "$tmp/gone/m"
	# The file may be on its way while the folder goes.
	until_ok rm -r "$tmp/gone"
	until_ok grep -q "metrics.file" "$tmp/err"
	has "a folder that goes away is told (jail $jail)" \
		"mote[cnt]: warn: metrics.file: write of m: No such file" "$tmp/err"
	n=$(grep -c . "$tmp/out")
	goes_on() { [ "$(grep -c . "$tmp/out")" -gt $((n + 100)) ]; }
	until_ok goes_on
	check "the guest goes on (jail $jail)" 0 $?
	$mote ctl "$tmp/s" stop >/dev/null
	wait $pid
	check "and ends as ever (jail $jail)" 0 $?
	pid=
	check "it was told once (jail $jail)" 1 "$(grep -c metrics.file "$tmp/err")"
done

# What the saved file says of metrics is not for its clones.
$mote inspect "$tmp/snap.yes" >/dev/null
timeout 10 "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 8M \
	--set metrics.file="$tmp/m2" --set snapshot.when=ready \
	--set snapshot.dir="$tmp/snap4" -- until=3 >/dev/null 2>"$tmp/err"
check "a guest with both ends" 0 $?
has "when=ready counts as a snapshot" '"snapshots":1,' "$tmp/m2"
rm -f "$tmp/m2"
timeout 10 "$mote" restore "$tmp/snap4" >/dev/null 2>"$tmp/err"
check "its clone runs" 0 $?
check "and writes no metrics" "" "$(ls "$tmp/m2" 2>/dev/null)"
exit "$failed"
