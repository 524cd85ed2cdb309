#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest uses xfs on a volume; fsck and checksums agree afterwards.
set -eu
. "$(dirname "$0")/lib.sh"
need_pool
need_guest

pool_start 3
pool_volume xfs 512M
guest_start xfs full 384 "memx.jobs=fs-work memx.fs=xfs" "disk=$(pool_drive xfs)"
guest_test xfs 240 "xfs holds what was written and passes fsck" : pool_check
# A second boot, so that nothing comes from the first guest's page cache.
guest_start xfs-again full 384 "memx.jobs=fs-again memx.fs=xfs" "disk=$(pool_drive xfs)"
guest_test xfs-again 120 "the same after a reboot" : pool_check
tap_done
