#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest fills the pool: QEMU pauses it (werror=enospc is its default), another
# server joins, the guest goes on and finds all it wrote.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest
need socat:socat

paused=0

status() {
	guest_qmp fill query-status | jq -r .return.status
}

on_tick() {
	pool_check || return 1
	[ "$paused" = 0 ] && [ "$(status)" = io-error ] || return 0
	paused=1
	pool_memory=256M
	pool_server_start s3
	pool_names+=(s3)
	pool_wait_seen 3
	guest_qmp fill cont >/dev/null
}

pool_start 2 64M
pool_volume fill 256M
guest_start fill full 384 "memx.jobs=fill memx.mib=192" "disk=$(pool_drive fill)"
guest_test fill 240 "the guest writes more than two servers hold" : on_tick
check "it was paused while the pool was full" [ "$paused" = 1 ]
tap_done
