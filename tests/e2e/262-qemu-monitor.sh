#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A stock QEMU with volumes, by its monitor: hotplug, iothreads, resize, snapshot,
# mirror, reopening, secrets, a second owner, an NBD export, and a quick end when
# the servers are silent.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-qmp.sh"
need_memx
need qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils socat:socat

img() {
	"$pool_launcher" qemu-img "$@"
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
for name in d0 d1 d2 target; do pool_volume $name 64M; done

try "starts with a volume by -drive in an iothread" vm_start vm \
	-drive "if=none,id=d0,$(pool_drive d0)" -device virtio-blk-pci,drive=d0,iothread=io0
check "writes" qmp_io vm d0 "write -P 1 0 1M"
check "reads" qmp_io vm d0 "read -P 1 0 1M"
check "hotplug: drive_add" says OK hmp vm "drive_add 0 if=none,id=d1,format=raw,file=memx:d1"
check "hotplug: device_add" qmp vm device_add \
	'{"driver":"scsi-hd","drive":"d1","bus":"scsi0.0","id":"sd1"}'
check "the new disk works" qmp_io vm d1 "write -P 2 0 2M"
check "unplug" qmp vm device_del '{"id":"sd1"}'
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
check "... the data is there" says 'Images are identical' img compare -f raw -F raw \
	"nbd+unix:///d2?socket=$work/nbd" "nbd+unix:///d2?socket=$work/nbd"
try "ends" qmp_end vm
check "and has given its volumes back" img bench -f raw -w -c 10 memx:d0

try "qemu-nbd serves a volume" "$pool_launcher" qemu-nbd --fork -t -e 2 \
	--pid-file="$work/nbd.pid" -k "$work/nbd2" -f raw memx:d2
check "... read back" says 'Images are identical' bash -c '"$1" qemu-img compare -f raw -F raw \
	"nbd+unix:///?socket=$2" "nbd+unix:///?socket=$2"' bash "$pool_launcher" "$work/nbd2"
kill "$(cat "$work/nbd.pid")" 2>/dev/null || :

# Servers that stop answering: requests wait, and the end does not.
try "starts again" vm_start vm2 -drive "if=none,id=d0,$(pool_drive d0)" \
	-device virtio-blk-pci,drive=d0 \
	-drive "if=none,id=d1,$(pool_drive d1 timeout=2)" -device virtio-blk-pci,drive=d1
qmp_io vm2 d0 "write -P 7 0 64k" >/dev/null
qmp_io vm2 d1 "write -P 7 0 64k" >/dev/null
for name in "${pool_names[@]}"; do kill -STOP "${pool_pid[$name]}"; done
check "timeout=2: an error" refuses 'read failed: Connection timed out' qmp_io vm2 d1 "read 0 64k"
hmp vm2 'qemu-io d0 "aio_read 0 64k"' >/dev/null
try "QEMU ends although a request waits for ever" qmp_end vm2
for name in "${pool_names[@]}"; do kill -CONT "${pool_pid[$name]}"; done
tap_done
