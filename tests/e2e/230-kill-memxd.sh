#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of a memory server: the guest gets I/O errors for what it held and the
# right data for the rest, and can use what lies elsewhere.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest

unreadable=0
first_unreadable=

# After the guest's first round over the whole disk one server goes.
on_line() {
	case $1 in
	"round 2") pool_server_kill s2 ;;
	verified*)
		read -r _ _ _ _ _ unreadable _ _ <<<"$1"
		: "${first_unreadable:=$unreadable}"
		;;
	esac
}

pool_start 3
pool_volume loss 32M
guest_start write full 384 "memx.jobs=ack-write memx.count=200" "disk=$(pool_drive loss)"
guest_test write 120 "a guest writes to three servers" : pool_check
read -r extents bytes < <(pool_held loss s2)
check "the server to kill holds a part of the volume" [ "$bytes" -gt 0 ]
pool_volume other 16M
guest_start loss full 384 "memx.jobs=ack-loss memx.acked=200,200,200,200" \
	"disk=$(pool_drive loss timeout=3)" "other=$(pool_drive other timeout=3)"
guest_test loss 400 "what is read is right, and a new disk works without the lost server" \
	on_line pool_check
check "before the loss all was readable" [ "$first_unreadable" = 0 ]
check "what the server held ($bytes bytes) cannot be read ($unreadable sectors)" \
	[ "$unreadable" -ge $((bytes / 512)) ]
check "and no more than its $extents extents" [ "$unreadable" -le $((extents * 2048)) ]
tap_done
