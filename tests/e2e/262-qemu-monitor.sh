#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A stock QEMU with volumes, by its monitor: hotplug, iothreads, resize, snapshot,
# mirror, reopening, a second owner, an owner cut off by force, NBD exports, and
# servers that are silent: errors, a job cancelled, requests that wait and end well
# when the servers are back, and a quick end of QEMU.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-qmp.sh"
need_memx
need qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils socat:socat

img() {
	"$pool_launcher" qemu-img "$@"
}

# pattern FILE COMMAND...: qemu-io, which exits 0 when a pattern does not match. FILE is
# a volume's, or an NBD export's, which the launcher is not in the way of. Where nothing
# is written it is opened for reading.
pattern() {
	local file=$1 output c commands=()
	shift
	[[ $* == *write* ]] || commands=(-r)
	for c in "$@"; do commands+=(-c "$c"); done
	output=$("$pool_launcher" qemu-io -f raw "${commands[@]}" "$file" 2>&1) ||
		{ echo "$output" && return 1; }
	! grep -qE "Pattern verification failed|error|failed" <<<"$output" ||
		{ echo "$output" && return 1; }
}

# Waits until nobody owns volume $1.
given_back() {
	local i owner
	for ((i = 0; i < 50; i++)); do
		owner=$(pool_ctl volume info "$1" --json | jq -c .owner)
		[ "$owner" != null ] || return 0
		sleep 0.1
	done
	echo "volume $1 still has an owner: $owner"
	return 1
}

# ended NAME FROM COUNT SECONDS: within so long that many asynchronous requests have
# ended, all of them well, by QEMU's log after line FROM.
ended() {
	local name=$1 from=$2 count=$3 i new=
	for ((i = 0; i <= $4 * 10; i++)); do
		new=$(tail -n "+$((from + 1))" "$work/$name.log" | grep -E "^(read|wrote) |failed" || :)
		! grep -q failed <<<"$new" || break
		[ "$(grep -c . <<<"$new")" -lt "$count" ] || return 0
		sleep 0.1
	done
	echo "of $count requests: $new"
	return 1
}

servers() {
	local name
	for name in "${pool_names[@]}"; do kill "-$1" "${pool_pid[$name]}"; done
}

# A machine without a guest: the monitor drives the disks.
vm_start() {
	local name=$1
	shift
	qmp_start "$name" stdbuf -oL "$pool_launcher" qemu-system-x86_64 -nodefaults -display none -S \
		-machine pc,accel=tcg -m 64 -name "$name" \
		-qmp "unix:$work/$name.qmp,server=on,wait=off" \
		-object iothread,id=io0 -object iothread,id=io1 -device virtio-scsi-pci,id=scsi0 "$@"
}

# refuses PATTERN COMMAND...: fails and says something like it.
refuses() {
	local pattern=$1 status=0 output
	shift
	output=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || { echo "did not fail: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

says() {
	local pattern=$1 output
	shift
	output=$("$@" 2>&1) || { echo "status $?: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

pool_start 2
export MEMX_SERVERS=$pool_seeds
for name in d0 d1 d2 target cut; do pool_volume $name 64M; done

try "starts with a volume by -drive in an iothread" vm_start vm \
	-drive "if=none,id=d0,$(pool_drive d0)" -device virtio-blk-pci,drive=d0,iothread=io0
check "writes" qmp_io vm d0 "write -P 1 0 1M"
check "reads" qmp_io vm d0 "read -P 1 0 1M"
check "hotplug: drive_add" says OK hmp vm "drive_add 0 if=none,id=d1,format=raw,file=memx:d1"
check "hotplug: device_add" qmp vm device_add \
	'{"driver":"scsi-hd","drive":"d1","bus":"scsi0.0","id":"sd1"}'
check "the new disk works" qmp_io vm d1 "write -P 2 0 2M"
check "unplug" qmp vm device_del '{"id":"sd1"}'
check "... gives the volume back" given_back d1
check "a read-only disk" says OK hmp vm "drive_add 0 if=none,id=d1r,format=raw,readonly=on,file=memx:d1"
check "... cannot be written" refuses "Operation not permitted|read.only" qmp_io vm d1r "write -P 4 2M 64k"
check "... is reopened for writing" hmp vm 'qemu-io d1r "reopen -w"'
check "... is written" qmp_io vm d1r "write -P 4 2M 64k"
check "... has what was there" qmp_io vm d1r "read -P 2 0 2M"
check "... is removed" hmp vm "drive_del d1r"
check "... gives the volume back" given_back d1
check "... which has both" pattern memx:d1 "read -P 2 0 2M" "read -P 4 2M 64k"
check "plug another, in the other iothread" says OK hmp vm "drive_add 0 if=none,id=d2,format=raw,file=memx:d2"
check "... device_add" qmp vm device_add \
	'{"driver":"virtio-blk-pci","drive":"d2","iothread":"io1","id":"vd2","bus":"pci.0"}'
check "... write" qmp_io vm d2 "write -P 3 1M 3M"
check "grow a disk" qmp vm block_resize '{"device":"d0","size":134217728}'
check "the new part is there" qmp_io vm d0 "read -P 0 100M 1M"
check "a volume in use is refused to another, with the owner's name" \
	refuses "'d0' is in use by .*qemu-system" img bench -w -f raw -c 1 memx:d0
check "its size can be asked all the same" says '"virtual-size": 134217728' \
	img info --output=json --image-opts driver=memx,volume=d0
check "mirror to another volume" qmp vm drive-mirror \
	'{"device":"d2","target":"memx:target","format":"raw","sync":"full","mode":"existing"}'
check "... is ready" qmp_event vm BLOCK_JOB_READY 60
check "... completes" qmp vm block-job-complete '{"device":"d2"}'
check "... has completed" qmp_event vm BLOCK_JOB_COMPLETED 60
check "the disk is the copy now" qmp_io vm d2 "read -P 3 1M 3M"
check "the volume it left is free" img bench -f raw -w -c 10 memx:d2
check "snapshot into a qcow2 volume" qmp vm blockdev-snapshot-sync \
	'{"device":"d2","snapshot-file":"memx:snap","format":"qcow2"}'
check "... write above it" qmp_io vm d2 "write -P 9 0 64k"
check "... commit it" hmp vm "commit d2"
check "-blockdev needs the schema" refuses "does not accept value 'memx'" \
	qmp vm blockdev-add '{"driver":"memx","node-name":"n1","volume":"d1"}'
check "export by NBD" qmp vm nbd-server-start \
	"{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"$work/nbd\"}}}"
check "... add" qmp vm nbd-server-add '{"device":"d2","writable":false}'
check "... the data is there" pattern "nbd+unix:///d2?socket=$work/nbd" \
	"read -P 9 0 64k" "read -P 3 1M 3M"
try "ends" qmp_end vm
check "what was committed is in the volume" pattern memx:target "read -P 9 0 64k" "read -P 3 1M 3M"
check "and has given its volumes back" img bench -f raw -w -c 10 memx:d0

try "qemu-nbd serves a volume" "$pool_launcher" qemu-nbd --fork -t -e 2 \
	--pid-file="$work/nbd.pid" -k "$work/nbd2" -f raw memx:d2
check "... read and written" pattern "nbd+unix:///?socket=$work/nbd2" "read -P 3 1M 3M" \
	"write -P 5 1M 1M"
kill "$(cat "$work/nbd.pid")" 2>/dev/null || :
check "... and gives the volume back" given_back d2
check "... with what was written" pattern memx:d2 "read -P 5 1M 1M" "read -P 3 2M 2M"

# An owner that is cut off.
truncate -s 64M "$work/local"
try "starts again" vm_start vm2 -drive "if=none,id=d0,$(pool_drive d0)" \
	-device virtio-blk-pci,drive=d0 \
	-drive "if=none,id=d1,$(pool_drive d1 timeout=2)" -device virtio-blk-pci,drive=d1 \
	-drive "if=none,id=cut,$(pool_drive cut)" -device virtio-blk-pci,drive=cut \
	-drive "if=none,id=local,format=raw,file=$work/local"
check "an owner writes" qmp_io vm2 cut "write -P 6 0 128k"
check "force=on takes its volume" pattern "memx:cut?force=on" "read -P 6 0 128k" "write -P 7 0 64k"
check "... which it cannot write any more" refuses 'write failed' qmp_io vm2 cut "write -P 8 0 128k"
check "... nor read" refuses 'read failed' qmp_io vm2 cut "read 0 64k"
check "... and the new data stand" pattern memx:cut "read -P 7 0 64k" "read -P 6 64k 64k"

# Servers that stop answering: requests wait, a job that is cancelled and the end do not.
check "writes" qmp_io vm2 d0 "write -P 7 0 64k"
check "writes" qmp_io vm2 d1 "write -P 7 0 64k"
check "mirror to a volume" qmp vm2 drive-mirror \
	'{"device":"local","target":"memx:target","format":"raw","sync":"full","mode":"existing"}'
check "... is ready" qmp_event vm2 BLOCK_JOB_READY 60
servers STOP
check "timeout=2: an error" refuses 'read failed: Connection timed out' qmp_io vm2 d1 "read 0 64k"
check "the mirror's source writes" qmp_io vm2 local "write -P 1 0 1M"
sleep 1
check "the mirror is cancelled by force" qmp vm2 block-job-cancel '{"device":"local","force":true}'
check "... and ends" qmp_event vm2 BLOCK_JOB_CANCELLED 15
from=$(wc -l <"$work/vm2.log")
check "a read is begun" hmp vm2 'qemu-io d0 "aio_read -P 7 0 64k"'
check "... and a write" hmp vm2 'qemu-io d0 "aio_write -P 8 64k 64k"'
check "... which wait" refuses "of 1 requests: *$" ended vm2 "$from" 1 3
servers CONT
check "... and end well when the servers are back" ended vm2 "$from" 2 30
check "... as written" qmp_io vm2 d0 "read -P 8 64k 64k"
check "the disk with timeout=2 works again" qmp_io vm2 d1 "read -P 7 0 64k"
servers STOP
hmp vm2 'qemu-io d0 "aio_read 0 64k"' >/dev/null
try "QEMU ends although a request waits for ever" qmp_end vm2
servers CONT
# A mirror asks its source what is data first; it has not been read before.
try "starts again" vm_start vm3 -drive "if=none,id=d2,$(pool_drive d2)"
servers STOP
check "a job that begins with silent servers" qmp vm3 drive-mirror \
	"{\"device\":\"d2\",\"target\":\"$work/local\",\"format\":\"raw\",\"sync\":\"full\",\"mode\":\"existing\"}"
sleep 1
try "QEMU ends although the job waits for ever" qmp_end vm3
servers CONT
tap_done
