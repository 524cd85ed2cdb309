#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that comes back empty has lost its pages: with the default policy
# (wait for silent servers) the guest gets errors, never zeros or a hang.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest

unreadable=

on_line() {
	case $1 in
	"round 2")
		pool_server_kill s2
		pool_server_start s2
		;;
	verified*) read -r _ _ _ _ _ unreadable _ _ <<<"$1" ;;
	esac
}

pool_start 3
pool_volume back 64M
pool_volume other 16M
guest_start back full 384 \
	"memx.jobs=ack-write,ack-loss memx.count=400 memx.acked=400,400,400,400" \
	"disk=$(pool_drive back)" "other=$(pool_drive other)"
guest_test back 180 "what is read is right, and another disk works" on_line
check "what the server held shows as I/O errors (${unreadable:-no} sectors)" \
	[ "${unreadable:-0}" -gt 0 ]
tap_done
