#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio with verification in a guest, on the disk itself: sizes from 512 bytes to
# 1 MiB, random and sequential, with discard in between.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need_guest

pool_start 3
pool_volume fio 192M
guest_start fio full 384 "memx.jobs=fio-verify" "disk=$(pool_drive fio)"
guest_test fio 240 "fio verifies all it wrote, and zeros where it discarded" : pool_check
tap_done
