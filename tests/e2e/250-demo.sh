#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The demo, with a smaller array: that it succeeds, that it fails when it
# should, and that nothing is left running on any way out.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio depmod:kmod \
	mke2fs:e2fsprogs jq:jq setpriv:util-linux

demo=$pool_top/tools/demo
size=(--ram 128 --array 160 --files 1)
log=$work/demo.log
demo_pid=
# Not the place where a person's own demo is noted.
export MEMX_DEMO_KEPT=$work/kept

# Whatever happens to this script, no demo outlives it.
end_demos() {
	local pid
	for pid in $(demo_pids ""); do kill -KILL "$pid" 2>/dev/null || :; done
}
e2e_at_end=end_demos

# at_console COMMAND: its output in the guest that was left running.
at_console() {
	local socket
	socket=$(sed -n 's/.*unix-connect:\(.*\)$/\1/p' "$log")
	# QEMU drops what it has not passed on when the other side closes.
	{ sleep 1 && printf '\r%s\r' "$1" && sleep 3; } | socat - "unix-connect:$socket"
}

# All that a demo starts has this in its environment.
started_by_demo() {
	grep -lzx "MEMX_DEMO_MARK=$work" /proc/[0-9]*/environ 2>/dev/null | sed 's,/environ$,,'
}

# Processes of the demo whose program is called $1 ("" for all of them).
demo_pids() {
	local proc
	for proc in $(started_by_demo); do
		[ -z "$1" ] || [ "$(cat "$proc/comm" 2>/dev/null)" = "${1:0:15}" ] || continue
		echo "${proc#/proc/}"
	done
}

kill_last() {
	local pid
	pid=$(demo_pids "$1" | tail -n 1)
	[ -z "$pid" ] || kill -KILL "$pid"
}

# A job of its own, as at a terminal: SIGINT to its group is Ctrl-C.
demo_start() {
	: >"$log"
	set -m
	TMPDIR=$work MEMX_DEMO_MARK=$work "$demo" "$@" >"$log" 2>&1 &
	demo_pid=$!
	set +m
}

# Waits until the demo's output holds $1.
demo_says() {
	local deadline=$((SECONDS + 300))
	until grep -q "$1" "$log"; do
		kill -0 "$demo_pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# ends STATUS TEXT: the demo ends so within ten minutes ("fail": any but 0).
ends() {
	local want=$1 text=$2 status=0 deadline=$((SECONDS + 600))
	while kill -0 "$demo_pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
	if kill -0 "$demo_pid" 2>/dev/null; then
		kill -KILL -- "-$demo_pid"
		echo "no end after 600 seconds"
	fi
	wait "$demo_pid" 2>/dev/null || status=$?
	echo "status $status; the output ends with:"
	tail -n 12 "$log"
	if [ "$want" = fail ]; then
		[ "$status" != 0 ] && [ "$status" -lt 128 ] || return 1
	else
		[ "$status" = "$want" ] || return 1
	fi
	grep -q "$text" "$log"
}

# test_end WHAT STATUS TEXT: as check does, but in this shell, whose child the demo is.
test_end() {
	if ends "$2" "$3" >"$work/end.log" 2>&1; then
		ok "$1"
	else
		not_ok "$1" "$(cat "$work/end.log")"
	fi
}

# After a kill -9 of the demo what it asked memxctl just then ends by itself, when that has
# found out that the servers have gone.
nothing_left() {
	local pids tenths
	for ((tenths = 0; tenths < 300; tenths++)); do
		pids=$(demo_pids "")
		[ -n "$pids" ] || return 0
		sleep 0.1
	done
	for pid in $pids; do tr '\0' ' ' <"/proc/$pid/cmdline" && echo; done
	return 1
}

demo_start "${size[@]}"
test_end "the demo succeeds" 0 "^All is as it should be"
check "nothing is left running" nothing_left
check "its folder is gone" bash -c "! ls -d '$work'/memx-demo.*"

# A server that goes: nbdkit stands for it when there is no memxd.
server=memxd
[ "$pool_backend" = memx ] || server=nbdkit
demo_start "${size[@]}"
demo_says "guest: sorting" || :
kill_last "$server"
test_end "it fails when a server goes" fail "FAILED.*server .* has ended"
check "nothing is left running" nothing_left

demo_start "${size[@]}"
demo_says "guest: sorting" || :
kill_last qemu-system-x86_64
test_end "it fails when QEMU goes" fail "FAILED.*QEMU ended with status 137"
check "nothing is left running" nothing_left

demo_start "${size[@]}"
demo_says "guest: writing" || :
kill -INT -- "-$demo_pid"
test_end "Ctrl-C ends it" 130 "interrupted"
check "nothing is left running" nothing_left

# Nobody can clean up after kill -9 of the demo; the kernel does.
demo_start "${size[@]}"
demo_says "guest: writing" || :
kill -KILL "$demo_pid"
test_end "kill -9 ends it" 137 "guest: writing"
check "nothing is left running" nothing_left

demo_start "${size[@]}" --keep
test_end "with --keep it succeeds" 0 "left running"
check "the guest is left running" [ -n "$(demo_pids qemu-system-x86_64)" ]
check "the servers are left running" [ -n "$(demo_pids "$server")" ]
if command -v socat >/dev/null; then
	# shellcheck disable=SC2016  # the guest expands it
	check "its console answers as the demo says" \
		grep -q "files: 3$" <(at_console 'echo files: $((1 + 2))' | tr -d '\r')
else
	ok "its console answers as the demo says # SKIP socat is not installed"
fi
demo_start --keep
test_end "a second --keep is refused" 2 "earlier demo is still running"
demo_start --stop
test_end "--stop ends it" 0 "ended"
check "nothing is left running" nothing_left

demo_start --ram 64
test_end "too little RAM is refused" 2 'a number from 112 on'
demo_start --array lots
test_end "a size that is no number is refused" 2 '"lots"; it must be a number'
demo_start --array 128
test_end "an array that fits into RAM is refused" 2 "must be larger than the guest's RAM"
demo_start --foo
test_end "an unknown option is refused" 2 '"--foo" is not an option'
tap_done
