#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of a memory server: the guest gets I/O errors for what it held and the
# right data for the rest, and can use what lies elsewhere.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest

unreadable=
killed=0

# After the guest's first round over the whole disk one server goes.
on_line() {
	case $1 in
	"round 2")
		pool_server_kill s2
		killed=1
		;;
	verified*)
		read -r _ _ _ _ _ unreadable _ _ <<<"$1"
		[ "$killed" = 1 ] || first_unreadable=$unreadable
		;;
	esac
}

# Bytes of the volume that server $1 holds.
held_by() {
	pool_ctl volume info loss --json |
		jq -r --arg name "$1" '[.servers[] | select(.name == $name) | .bytes] | add // 0'
}

pool_start 3
pool_volume loss 64M
guest_start write full 384 "memx.jobs=ack-write memx.count=400" "disk=$(pool_drive loss)"
guest_test write 120 "a guest writes to three servers" : pool_check
held=$(held_by s2)
check "the server to kill holds a part of the volume" [ "$held" -gt 0 ]
pool_volume other 16M
guest_start loss full 384 "memx.jobs=ack-loss memx.acked=400,400,400,400" \
	"disk=$(pool_drive loss timeout=3)" "other=$(pool_drive other timeout=3)"
guest_test loss 180 "what is read is right, and a new disk works without the lost server" on_line
check "before the loss all was readable" [ "${first_unreadable:-}" = 0 ]
check "the loss shows as I/O errors (${unreadable:-no} sectors)" [ "${unreadable:-0}" -gt 0 ]
check "no more than the lost server's part ($((held / 512)) sectors) is unreadable" \
	[ "${unreadable:-0}" -le $((held / 512)) ]
tap_done
