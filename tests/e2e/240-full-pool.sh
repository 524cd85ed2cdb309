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
	guest_qmp fill query-status | jq -r .return.status 2>/dev/null || :
}

# The first pause brings the third server. The guest is told to go on at each:
# the driver needs a moment to hear of a new server, as it would of any.
on_tick() {
	pool_check || return 1
	[ "$(status)" = io-error ] || return 0
	if [ "$paused" = 0 ]; then
		pool_memory=256M
		pool_server_start s3
		pool_names+=(s3)
		pool_wait_seen 3
	fi
	paused=$((paused + 1))
	guest_qmp fill cont >/dev/null
}

pool_start 2 64M
pool_volume fill 256M
guest_start fill full 384 "memx.jobs=fill memx.mib=192" "disk=$(pool_drive fill)"
guest_test fill 240 "the guest writes more than two servers hold" : on_tick
check "it was paused while the pool was full" [ "$paused" -gt 0 ]
tap_done
