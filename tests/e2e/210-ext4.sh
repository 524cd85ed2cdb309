#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest uses ext4 on a volume; fsck and checksums agree afterwards.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need_guest

pool_start 3
pool_volume ext4 512M
guest_start ext4 full 384 "memx.jobs=fs-work memx.fs=ext4" "disk=$(pool_drive ext4)"
guest_test ext4 240 "ext4 holds what was written and passes fsck" : pool_check
# A second boot, so that nothing comes from the first guest's page cache.
guest_start ext4-again full 384 "memx.jobs=fs-again memx.fs=ext4" "disk=$(pool_drive ext4)"
guest_test ext4-again 120 "the same after a reboot" : pool_check
tap_done
