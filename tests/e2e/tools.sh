# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034
#
# For the scripts about memxd and memxctl (1NN), sourced after lib.sh.
#
#   need_tools             skips the script when the programs are not built
#   ctl ARGUMENTS...       memxctl for the pool started last
#   bench ARGUMENTS...     memx-bench for it
#   gives CODE TEXT WHAT COMMAND...
#                          a test: COMMAND ends with exit status CODE, and what it
#                          prints contains each line of TEXT
#   daemon NAME ARGUMENTS...  a memxd in the background, its log in $work/NAME.log;
#                          ${daemon_pid[NAME]}; in_ns=NAMESPACE puts it there
#   daemon_end NAME SIGNAL SECONDS   signals it and waits: $daemon_status, "" if it
#                          has not ended by then

tool_bench=${MEMX_BENCH:-$pool_top/build/memx-bench}
pool_seeds=
declare -A daemon_pid=()

need_tools() {
	local file
	for file in "$pool_memxd" "$pool_memxctl" "$tool_bench"; do
		[ -x "$file" ] || skip_all "no $file (make builds it)"
	done
	need jq:jq ps:procps
}

ctl() { pool_ctl "$@"; }
bench() { MEMX_SERVERS=$pool_seeds "$tool_bench" "${pool_key[@]}" "$@"; }

gives() {
	local code=$1 text=$2 what=$3 output line status=0
	shift 3
	case $1 in
	ctl) set -- "$pool_memxctl" "${@:2}" ;;
	bench) set -- "$tool_bench" "${@:2}" ;;
	esac
	output=$(MEMX_SERVERS=$pool_seeds timeout 60 "$@" 2>&1) || status=$?
	if [ "$status" != "$code" ]; then
		not_ok "$what" "exit status $status instead of $code of: $*" "$output"
		return
	fi
	while IFS= read -r line; do
		if [[ "$output" != *"$line"* ]]; then
			not_ok "$what" "\"$line\" is not in the output of: $*" "$output"
			return
		fi
	done <<<"$text"
	ok "$what"
}

# equal WHAT GOT WANTED
equal() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got \"$2\", wanted \"$3\""
	fi
}

daemon() {
	local name=$1
	shift
	# shellcheck disable=SC2086
	run_tied ${in_ns:+ip netns exec "$in_ns"} "$pool_memxd" --name "$name" "$@" \
		>>"$work/$name.log" 2>&1
	daemon_pid[$name]=$tied_pid
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		grep -q "donates" "$work/$name.log" && return 0
		kill -0 "$tied_pid" 2>/dev/null || return 0
		sleep 0.1
	done
}

daemon_end() {
	local name=$1 signal=$2 tenths=$(($3 * 10)) pid=${daemon_pid[$1]}
	daemon_status=
	kill "-$signal" "$pid" 2>/dev/null || :
	for ((; tenths >= 0; tenths--)); do
		if ! kill -0 "$pid" 2>/dev/null || [ "$(ps -o stat= -p "$pid")" = Z ]; then
			daemon_status=0
			wait "$pid" 2>/dev/null || daemon_status=$?
			return 0
		fi
		sleep 0.1
	done
}

daemon_kill_all() {
	local name
	for name in "${!daemon_pid[@]}"; do
		kill -KILL "${daemon_pid[$name]}" 2>/dev/null || :
		wait "${daemon_pid[$name]}" 2>/dev/null || :
	done
}

# Resident KiB of process $1.
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# Waits up to $1 seconds until the command succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
