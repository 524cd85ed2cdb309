#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that comes back empty has lost its pages: with the default policy
# (wait for silent servers) the guest gets errors, never zeros or a hang.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest

unreadable=0
extents=0
bytes=0

on_line() {
	case $1 in
	"round 2")
		read -r extents bytes < <(pool_held back s2)
		pool_server_kill s2
		pool_server_start s2
		;;
	verified*) read -r _ _ _ _ _ unreadable _ _ <<<"$1" ;;
	esac
}

pool_start 3
pool_volume back 32M
pool_volume other 16M
guest_start back full 384 \
	"memx.jobs=ack-write,ack-loss memx.count=200 memx.acked=200,200,200,200" \
	"disk=$(pool_drive back)" "other=$(pool_drive other)"
guest_test back 240 "what is read is right, and another disk works" on_line pool_check
check "the server held a part of the volume" [ "$bytes" -gt 0 ]
check "what the server held ($bytes bytes) cannot be read ($unreadable sectors)" \
	[ "$unreadable" -ge $((bytes / 512)) ]
check "and no more than its $extents extents" [ "$unreadable" -le $((extents * 2048)) ]
tap_done
