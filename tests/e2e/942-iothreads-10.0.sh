#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 10.0: the fio jobs of 200 with the disk's two queues in two iothreads, so that
# requests come from another thread than the one that runs the volume.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest
. "$(dirname "$0")/qemu-10.0.sh"

qemu_10_path "$work/bin"
pool_start 3
guest_launcher=()
pool_volume fio 192M
guest_smp=2
guest_args=(-object "iothread,id=io0" -object "iothread,id=io1"
	-drive "if=none,id=disk,$(pool_drive fio)"
	-device '{"driver": "virtio-blk-pci", "drive": "disk", "serial": "disk", "num-queues": 2,
		"iothread-vq-mapping": [{"iothread": "io0"}, {"iothread": "io1"}]}')
guest_start fio full 384 "memx.jobs=fio-verify"
guest_test fio 300 "fio verifies all it wrote by two iothreads" : pool_check
tap_done
