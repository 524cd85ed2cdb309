# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# For end-to-end scripts that talk to a QEMU's monitor; after lib.sh.
#
#   qmp_start NAME COMMAND...    a QEMU program with "-qmp"-like socket $work/NAME.qmp
#   qmp NAME EXECUTE [ARGUMENTS] one command: prints its answer's "return" (compact
#                                JSON), or fails with its error's text
#   hmp NAME WORDS               one command of the human monitor: prints what it says,
#                                fails when that is an error
#   qmp_io NAME NODE COMMAND     qemu-io on a node, by the human monitor
#   qmp_event NAME EVENT SECONDS waits until the log has that event
#   qmp_end NAME                 quits it and waits
#   try WHAT COMMAND...          check, in this shell: for qmp_start and qmp_end
#
# Each monitor is one coprocess-like socat: its answers are appended to
# $work/NAME.answers, so that events are kept.

# try WHAT COMMAND...: as check, but in this shell: for what starts and ends QEMUs.
try() {
	local what=$1 status=0
	shift
	"$@" >"$work/try.out" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		ok "$what"
	else
		not_ok "$what" "status $status of: $*" "$(cat "$work/try.out")"
	fi
}

declare -A qmp_pid=() qmp_in=() qmp_socat=()

qmp_connect() {
	local name=$1 fd tries

	for ((tries = 0; tries < 100; tries++)); do
		[ -S "$work/$name.qmp" ] && break
		kill -0 "${qmp_pid[$name]}" 2>/dev/null || return 1
		sleep 0.1
	done
	rm -f "$work/$name.in"
	mkfifo "$work/$name.in"
	: >"$work/$name.answers"
	# Opened for both, else opening waits for the other side.
	exec {fd}<>"$work/$name.in"
	run_tied socat "OPEN:$work/$name.in,rdonly!!OPEN:$work/$name.answers,wronly,append" \
		"UNIX-CONNECT:$work/$name.qmp" 2>/dev/null
	qmp_socat[$name]=$tied_pid
	qmp_in[$name]=$fd
	qmp "$name" qmp_capabilities >/dev/null
}

# What is said on stderr is in $work/NAME.log.
qmp_start() {
	local name=$1
	shift
	rm -f "$work/$name.qmp"
	run_tied "$@" </dev/null >"$work/$name.log" 2>&1
	qmp_pid[$name]=$tied_pid
	qmp_connect "$name" && return
	echo "$name does not start: $(tail -n 3 "$work/$name.log")"
	return 1
}

qmp() {
	local name=$1 command=$2 arguments=${3:-} id answer tries
	# No counter: this runs in subshells too.
	id=$name-$RANDOM$RANDOM-$BASHPID
	printf '{"execute":"%s","id":"%s"%s}\n' "$command" "$id" \
		"${arguments:+,\"arguments\":$arguments}" >&"${qmp_in[$name]}"
	for ((tries = 0; tries < 1200; tries++)); do
		answer=$(grep -F "\"id\": \"$id\"" "$work/$name.answers") && break
		kill -0 "${qmp_pid[$name]}" 2>/dev/null || break
		sleep 0.05
	done
	if [ -z "$answer" ]; then
		echo "no answer to $command: $(tail -n 3 "$work/$name.log")"
		return 1
	fi
	answer=${answer//$'\r'/}
	if jq -e 'has("error")' <<<"$answer" >/dev/null; then
		jq -r .error.desc <<<"$answer"
		return 1
	fi
	jq -c .return <<<"$answer"
}

# The human monitor has no status: what failed is told by its words.
hmp() {
	local name=$1 answer
	shift
	answer=$(qmp "$name" human-monitor-command \
		"$(jq -cn --arg c "$*" '{"command-line": $c}')") || { echo "$answer" && return 1; }
	answer=$(jq -r . <<<"$answer" | tr -d '\r')
	echo "$answer"
	! grep -qE "^Error|^unknown command|'commit' error|^Device '.*' (not found|has no medium)" \
		<<<"$answer"
}

# qemu-io's words go to QEMU's standard output, which is the log (and must be line
# buffered: stdbuf -oL); the monitor answers when it is done.
qmp_io() {
	local before output
	before=$(wc -l <"$work/$1.log")
	output=$(hmp "$1" "qemu-io $2 \"$3\"") || { echo "$output" && return 1; }
	output=$output$(tail -n +$((before + 1)) "$work/$1.log")
	grep -qE "^(wrote|read|discard) [0-9]+/[0-9]+ bytes" <<<"$output" &&
		! grep -qiE "failed|error" <<<"$output" && return
	echo "$output"
	return 1
}

qmp_event() {
	local name=$1 event=$2 seconds=$3 deadline
	deadline=$((SECONDS + seconds))
	until grep -q "\"event\": \"$event\"" "$work/$name.answers"; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "no $event in $seconds s: $(tail -n 3 "$work/$name.log")"
			return 1
		fi
		sleep 0.1
	done
}

# Waits for process $1 to end, at most $2 seconds; kills it then, and fails.
qmp_wait_end() {
	local tries
	for ((tries = 0; tries < $2 * 10; tries++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null || :
	echo "still running after $2 s"
	return 1
}

qmp_end() {
	local name=$1 fd status=0
	[ -n "${qmp_pid[$name]:-}" ] || return 0
	printf '{"execute":"quit"}\n' >&"${qmp_in[$name]}" || :
	qmp_wait_end "${qmp_pid[$name]}" 20 || status=1
	fd=${qmp_in[$name]}
	exec {fd}>&-
	kill "${qmp_socat[$name]}" 2>/dev/null || :
	wait "${qmp_pid[$name]}" "${qmp_socat[$name]}" 2>/dev/null || :
	unset "qmp_pid[$name]" "qmp_in[$name]"
	return "$status"
}

# For e2e_at_end: whatever still runs.
qmp_end_all() {
	local name
	for name in "${!qmp_pid[@]}"; do
		kill -KILL "${qmp_pid[$name]}" "${qmp_socat[$name]:-0}" 2>/dev/null || :
	done
}
e2e_at_end=qmp_end_all
