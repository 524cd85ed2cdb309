#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A QEMU rebuilt with the driver in its schema: -blockdev, blockdev-add, blockdev-create,
# query-qmp-schema, and qemu-storage-daemon's exports of a volume (NBD, FUSE,
# vhost-user-blk).
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-qmp.sh"
need_memx
need socat:socat
build=$("$e2e_here/../../qemu-block-memx/rebuild.sh" --tree 7.2 | tail -n 1)
exec 8>>"$build/../.lock"
flock -s 8
# The daemon lies one folder deeper than the modules it looks for.
export QEMU_MODULE_DIR=$build
qsd=$build/storage-daemon/qemu-storage-daemon

says() {
	local pattern=$1 output
	shift
	output=$("$@" 2>&1) || { echo "status $?: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

refuses() {
	local pattern=$1 status=0 output
	shift
	output=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || { echo "did not fail: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

same() {
	"$build/qemu-img" compare -f raw -F raw "$1" "$2"
}

# job_done NAME JOB: waits for its end; fails with its error.
job_done() {
	local i state
	for ((i = 0; i < 200; i++)); do
		state=$(qmp "$1" query-jobs | jq -r ".[] | select(.id == \"$2\") | .status + \" \" + (.error // \"\")")
		case $state in
		"concluded ") qmp "$1" job-dismiss "{\"id\":\"$2\"}" && return ;;
		concluded*) echo "$state" && return 1 ;;
		esac
		sleep 0.1
	done
	echo "job $2 does not end: $state"
	return 1
}

# A boot sector that writes itself to sector 1 by int 13h and then says what it did:
#	xor ax,ax; mov ds,ax; mov es,ax; mov ax,0301h; mov cx,2; mov dh,0; mov bx,7c00h
#	int 13h; jc end; mov si,msg; next: lodsb; test al,al; jz end; out 0e9h,al; jmp next
#	end: hlt; jmp end; msg: ...
boot_sector() {
	printf '\x31\xc0\x8e\xd8\x8e\xc0\xb8\x01\x03\xb9\x02\x00\xb6\x00\xbb\x00\x7c'
	printf '\xcd\x13\x72\x0c\xbe\x24\x7c\xac\x84\xc0\x74\x04\xe6\xe9\xeb\xf7\xf4\xeb\xfd'
	printf 'read and written\0'
	head -c 457 /dev/zero
	printf '\x55\xaa'
}

# has_said FILE WORDS: within 60 seconds.
has_said() {
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -qa "$2" "$1" || return 0
		sleep 0.1
	done
	echo "$1 has: $(cat "$1")"
	return 1
}

# The first two sectors are the boot sector.
same_sectors() {
	"$build/qemu-img" dd -f raw -O raw bs=512 count=2 "if=$1" "of=$work/sectors" &&
		cmp <(boot_sector && boot_sector) "$work/sectors"
}

pool_start 2
boot_sector >"$work/boot"
export MEMX_SERVERS=$pool_seeds
pool_volume v1 64M
pool_volume v2 64M
server="{\"host\":\"127.0.0.1\",\"port\":\"${pool_seeds##*:}\"}"
head -c 3000000 /dev/urandom >"$work/data"
truncate -s 64M "$work/data"

# ---- the emulator ----
try "starts with -blockdev" qmp_start vm stdbuf -oL "$build/qemu-system-x86_64" -nodefaults \
	-display none -S -machine pc,accel=tcg -m 64 -object iothread,id=io0 \
	-qmp "unix:$work/vm.qmp,server=on,wait=off" \
	-blockdev driver=memx,node-name=n1,volume=v1,timeout=5,discard=unmap \
	-device virtio-blk-pci,drive=n1,iothread=io0,id=vd1
check "works" qmp_io vm "-d /machine/peripheral/vd1/virtio-backend" "write -P 1 0 1M"
check "the schema has the driver" says '"volume"' qmp vm query-qmp-schema
check "blockdev-add" qmp vm blockdev-add \
	"{\"driver\":\"memx\",\"node-name\":\"n2\",\"volume\":\"v2\",\"server\":[$server],\"poll-us\":20}"
check "... device_add" qmp vm device_add '{"driver":"virtio-blk-pci","drive":"n2","id":"vd2"}'
check "... works" qmp_io vm "-d /machine/peripheral/vd2/virtio-backend" "write -P 2 0 1M"
check "its filename says where it is" says "memx:v2\\?server=127.0.0.1:${pool_seeds##*:}" \
	qmp vm query-named-block-nodes
check "an option that is none" refuses "'colour' is unexpected" \
	qmp vm blockdev-add '{"driver":"memx","volume":"v2","colour":"red"}'
check "a volume that is none" refuses "nosuch" \
	qmp vm blockdev-add '{"driver":"memx","node-name":"n3","volume":"nosuch"}'
check "blockdev-create" qmp vm blockdev-create \
	'{"job-id":"j1","options":{"driver":"memx","location":{"volume":"v3"},"size":1048576}}'
check "... ends" job_done vm j1
check "... made the volume" says 'size .*1048576' pool_ctl volume info v3
check "blockdev-create of one that exists" qmp vm blockdev-create \
	'{"job-id":"j2","options":{"driver":"memx","location":{"volume":"v3"},"size":1048576}}'
check "... fails" refuses "exists" job_done vm j2
check "a qcow2 volume by blockdev" qmp vm blockdev-add \
	'{"driver":"memx","node-name":"f3","volume":"v3"}'
check "... create" qmp vm blockdev-create \
	'{"job-id":"j3","options":{"driver":"qcow2","file":"f3","size":33554432}}'
check "... ends" job_done vm j3
check "... add" qmp vm blockdev-add '{"driver":"qcow2","node-name":"q3","file":"f3"}'
check "reopen with another option" refuses "Cannot change the option" \
	qmp vm blockdev-reopen '{"options":[{"driver":"memx","node-name":"f3","volume":"v2"}]}'
try "ends" qmp_end vm

# ---- the storage daemon ----
check "a volume to boot from" "$build/qemu-img" convert -n -f raw -O raw "$work/boot" memx:v2
try "qemu-storage-daemon starts" qmp_start sd "$qsd" \
	--chardev "socket,id=mon,path=$work/sd.qmp,server=on,wait=off" --monitor chardev=mon \
	--blockdev driver=memx,node-name=n1,volume=v1,discard=unmap \
	--blockdev driver=memx,node-name=n2,volume=v2 \
	--nbd-server "addr.type=unix,addr.path=$work/nbd,max-connections=4" \
	--export type=nbd,id=e1,node-name=n1,name=v1,writable=on
check "NBD: write" "$build/qemu-img" convert -n -f raw -O raw "$work/data" \
	"nbd+unix:///v1?socket=$work/nbd"
check "NBD: read back" same "$work/data" "nbd+unix:///v1?socket=$work/nbd"
check "vhost-user-blk: export" qmp sd block-export-add "{\"type\":\"vhost-user-blk\",\"id\":\"e2\",
	\"node-name\":\"n2\",\"writable\":true,\"addr\":{\"type\":\"unix\",\"path\":\"$work/vub\"}}"
# The firmware reads the first sector through the export and runs it; it writes itself to
# the second one, then says so on port 0xe9.
try "vhost-user-blk: a QEMU takes it" qmp_start vu env -u QEMU_MODULE_DIR qemu-system-x86_64 -nodefaults \
	-display none -machine pc,accel=tcg,memory-backend=mem -m 64 \
	-object "memory-backend-memfd,id=mem,size=64M,share=on" \
	-chardev "file,id=said,path=$work/said" -device isa-debugcon,iobase=0xe9,chardev=said \
	-chardev "socket,id=c,path=$work/vub" -device vhost-user-blk-pci,chardev=c,id=vu0 \
	-qmp "unix:$work/vu.qmp,server=on,wait=off"
check "... boots from it" has_said "$work/said" "read and written"
try "... ends" qmp_end vu
if [ -c /dev/fuse ]; then
	touch "$work/mount"
	# An NBD export does not share resizing, which a writable FUSE export wants.
	check "FUSE: the NBD export ends" qmp sd block-export-del '{"id":"e1","mode":"hard"}'
	check "FUSE: export" qmp sd block-export-add "{\"type\":\"fuse\",\"id\":\"e3\",
		\"node-name\":\"n1\",\"writable\":true,\"mountpoint\":\"$work/mount\",
		\"allow-other\":\"off\"}"
	check "FUSE: the file is the volume" cmp "$work/data" "$work/mount"
	dd if=/dev/urandom of="$work/data" bs=64k seek=40 count=20 conv=notrunc status=none
	check "FUSE: write" dd if="$work/data" of="$work/mount" bs=64k skip=40 seek=40 count=20 \
		conv=notrunc,fsync status=none
	check "FUSE: unexport" qmp sd block-export-del '{"id":"e3","mode":"hard"}'
else
	ok "FUSE # SKIP no /dev/fuse here"
fi
try "the daemon ends" qmp_end sd
check "the volume has what NBD and FUSE wrote" same "$work/data" memx:v1
check "the other has what the firmware wrote" same_sectors memx:v2
tap_done
