#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same fio jobs over encrypted sessions; without the key there is no disk.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need_guest

pool_with_key
pool_start 3
pool_volume fio 192M
guest_start fio full 384 "memx.jobs=fio-verify" "disk=$(pool_drive fio)"
guest_test fio 240 "fio verifies all it wrote over encrypted sessions" : pool_check

pool_key=()
guest_start keyless full 384 "memx.jobs=fio-verify" "disk=$(pool_drive fio open-timeout=5)"
if guest_wait keyless 60; then
	not_ok "without the key QEMU does not start" "it ran all jobs"
else
	check "without the key QEMU does not start" grep -q "^QEMU ended with status 1.*key" <<<"$guest_why"
	echo "# $guest_why"
fi
tap_done
