#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same fio jobs with the disk in an iothread, two queues and two CPUs.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need_guest

guest_smp=2
guest_args=(-object "iothread,id=io0")
guest_disk_props=",iothread=io0,num-queues=2"
pool_start 3
pool_volume fio 192M
guest_start fio full 384 "memx.jobs=fio-verify" "disk=$(pool_drive fio)"
guest_test fio 300 "fio verifies all it wrote in an iothread" : pool_check
tap_done
