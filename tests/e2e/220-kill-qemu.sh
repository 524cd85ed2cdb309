#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of QEMU while a guest writes; a new QEMU attaches the volume and finds
# every write that was acknowledged: three times, each on a volume of its own.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need_guest

acked=(0 0 0 0)
kill_at=0

# Lines of the report: "ack WORKER NUMBER".
note_ack() {
	local word worker number
	read -r word worker number <<<"$1"
	[ "$word" != ack ] || acked[worker]=$number
}

total_acked() {
	echo $((acked[0] + acked[1] + acked[2] + acked[3]))
}

# Ends the wait once enough writes were acknowledged.
enough() {
	pool_check || return 1
	[ "$(total_acked)" -lt "$kill_at" ] || { guest_why=enough && return 1; }
}

pool_start 3
for round in 1 2 3; do
	pool_volume "kill$round" 64M
	kill_at=$((400 * round))
	acked=(0 0 0 0)
	guest_start "write$round" full 384 "memx.jobs=ack-write memx.seed=$round" \
		"disk=$(pool_drive "kill$round")"
	# guest_wait ends the guest by kill -9 when enough() fails.
	guest_wait "write$round" 120 note_ack enough || :
	if [ "$guest_why" != enough ]; then
		not_ok "round $round: QEMU killed in the middle of writes" "$guest_why"
		continue
	fi
	# Lines that came between the last look and the kill.
	while read -r line; do note_ack "$line"; done <"$work/write$round/report"
	ok "round $round: QEMU killed after $(total_acked) acknowledged writes"
	guest_start "verify$round" full 384 \
		"memx.jobs=ack-verify memx.seed=$round memx.acked=$(IFS=, && echo "${acked[*]}")" \
		"disk=$(pool_drive "kill$round")"
	guest_test "verify$round" 120 "round $round: every acknowledged write is there" : pool_check
done
tap_done
