#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migration between two QEMUs of this machine, with a disk and a read-only disk
# on volumes, each way round: who owns the volumes when, and what is said when one
# cannot be had.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-qmp.sh"
need_memx
need qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils socat:socat

refuses() {
	local pattern=$1 status=0 output
	shift
	output=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || { echo "did not fail: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

# vm_start NAME VOLUME [OPTION...]: no guest runs in it, the monitor does its I/O.
vm_start() {
	local name=$1 volume=$2
	shift 2
	qmp_start "$name" stdbuf -oL "$pool_launcher" qemu-system-x86_64 -nodefaults \
		-display none -machine pc,accel=tcg -m 64 -name "$name" \
		-qmp "unix:$work/$name.qmp,server=on,wait=off" \
		-drive "if=none,id=d0,format=raw,file=memx:$volume" \
		-device virtio-blk-pci,drive=d0 \
		-drive "if=none,id=r0,format=raw,readonly=on,file=memx:base" \
		-device virtio-blk-pci,drive=r0 "$@"
}

status_is() {
	local i status
	for ((i = 0; i < 400; i++)); do
		status=$(qmp "$1" query-status | jq -r .status)
		[ "$status" != "$2" ] || return 0
		sleep 0.1
	done
	echo "wanted status $2, is $status: $(tail -n 3 "$work/$1.log")"
	return 1
}

migration_is() {
	local i status
	for ((i = 0; i < 600; i++)); do
		status=$(qmp "$1" query-migrate | jq -r '.status // "none"')
		[ "$status" != "$2" ] || return 0
		sleep 0.1
	done
	echo "wanted migration $2, is $status: $(tail -n 3 "$work/$1.log")"
	return 1
}

owned_by() {
	local owner
	owner=$(pool_ctl volume info "$1" --json | jq -r '.owner // empty | tostring')
	[[ $owner == *":$2"* ]] || { echo "wanted an owner of process $2; is '$owner'" && return 1; }
}

# The process behind stdbuf and the launcher is the same one: they exec.
pid_of() {
	echo "${qmp_pid[$1]}"
}

pool_start 2
export MEMX_SERVERS=$pool_seeds
for name in m1 m2 m3 base; do pool_volume $name 64M; done
check "the read-only disk's data" "$pool_launcher" qemu-io -f raw -c "write -P 9 0 1M" memx:base

# ---- there and back ----
try "source starts" vm_start a m1
check "writes" qmp_io a d0 "write -P 1 0 1M"
try "destination starts beside it" vm_start b m1 -incoming "unix:$work/b.mig"
check "the source is the owner still" owned_by m1 "$(pid_of a)"
check "... of what it only reads too" owned_by base "$(pid_of a)"
check "... can read it" qmp_io a r0 "read -P 9 0 1M"
check "... and can write" qmp_io a d0 "write -P 2 1M 1M"
check "migrate" qmp a migrate "{\"uri\":\"unix:$work/b.mig\"}"
check "... completes" migration_is a completed
check "the destination runs" status_is b running
check "... owns the volume" owned_by m1 "$(pid_of b)"
check "... and the read-only one" owned_by base "$(pid_of b)"
check "... reads that" qmp_io b r0 "read -P 9 0 1M"
check "... reads what was written" qmp_io b d0 "read -P 2 1M 1M"
check "... writes" qmp_io b d0 "write -P 3 2M 1M"
try "the source ends" qmp_end a
try "a new destination" vm_start c m1 -incoming "unix:$work/c.mig"
check "migrate back" qmp b migrate "{\"uri\":\"unix:$work/c.mig\"}"
check "... completes" migration_is b completed
check "... runs" status_is c running
check "... has all of it" qmp_io c d0 "read -P 3 2M 1M"
check "... and of the read-only one" qmp_io c r0 "read -P 9 0 1M"
try "ends" qmp_end b
try "ends" qmp_end c

# ---- a migration that fails gives the volume back ----
try "source starts" vm_start a m2
check "writes" qmp_io a d0 "write -P 4 0 1M"
check "pause before the switch-over" qmp a migrate-set-capabilities \
	'{"capabilities":[{"capability":"pause-before-switchover","state":true}]}'
try "destination starts" vm_start b m2 -incoming "unix:$work/b.mig"
check "migrate" qmp a migrate "{\"uri\":\"unix:$work/b.mig\"}"
check "... is before the switch-over" migration_is a pre-switchover
kill -KILL "$(pid_of b)"
# Until it is gone its socket takes what the source sends, and the migration completes.
wait "$(pid_of b)" 2>/dev/null || :
qmp a migrate-continue '{"state":"pre-switchover"}' >/dev/null || :
check "... fails" migration_is a failed
check "the source runs again" status_is a running
check "... writes" qmp_io a d0 "write -P 5 1M 1M"
check "... owns the volume" owned_by m2 "$(pid_of a)"
check "... owns the read-only one" owned_by base "$(pid_of a)"
check "... which it reads" qmp_io a r0 "read -P 9 0 1M"
try "ends" qmp_end b || :
try "ends" qmp_end a

# ---- the old owner cannot write behind the new one's back ----
try "source starts" vm_start a m3
try "destination starts" vm_start b m3 -incoming "unix:$work/b.mig"
check "migrate" qmp a migrate "{\"uri\":\"unix:$work/b.mig\"}"
check "... completes" migration_is a completed
check "the destination runs" status_is b running
check "... writes" qmp_io b d0 "write -P 6 0 1M"
qmp a cont >/dev/null || :
check "the source, continued all the same, cannot write" refuses "write failed" \
	qmp_io a d0 "write -P 7 0 1M"
check "... and is still there" qmp a query-status
check "the destination's data stands" qmp_io b d0 "read -P 6 0 1M"
check "... and it can write" qmp_io b d0 "write -P 8 0 1M"
check "the source cannot read what the destination has to read" refuses "read failed" \
	qmp_io a r0 "read 0 1M"
check "... which can" qmp_io b r0 "read -P 9 0 1M"
try "the destination ends" qmp_end b
sleep 1.2
check "now the source can" qmp_io a d0 "read -P 8 0 1M"
check "... and read the other" qmp_io a r0 "read -P 9 0 1M"
try "ends" qmp_end a
tap_done
