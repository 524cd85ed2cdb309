#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The program that checks acknowledged writes sees lost, old and foreign data
# (run here on a file, not in a guest).
set -eu
. "$(dirname "$0")/lib.sh"
need gcc:gcc

ack=$work/ack-writer
image=$work/image
gcc -std=gnu11 -O2 -o "$ack" "$e2e_here/../guest/ack-writer.c"
truncate -s 8M "$image"
"$ack" write "$image" 5 4 100 >"$work/acks" 2>"$work/errors" ||
	skip_all "the file system of $work cannot do O_DIRECT: $(head -n 1 "$work/errors")"
cp "$image" "$work/older"
"$ack" write "$image" 5 4 300 >"$work/acks"

verify() {
	"$ack" verify "$@"
}

finds() {
	local text=$1 output status=0
	shift
	output=$(verify "$@" 2>&1) || status=$?
	echo "status $status: $output"
	[ "$status" = 1 ] && grep -q "$text" <<<"$output"
}

check "each of 1200 writes is logged once" \
	[ "$(sort -u "$work/acks" | grep -c '^ack [0-3] [0-9]*$')" = 1200 ]
check "all of them are found" verify "$image" 5 4 300,300,300,300
check "a log that ends early is no loss" verify "$image" 5 4 300,17,0,299
check "a missing last write is found" finds "not the acknowledged 301" "$image" 5 4 300,300,301,300
check "an older state of the disk is found" finds "not the acknowledged" "$work/older" 5 4 300,300,300,300
check "the data of another run is found" finds "what no write put there" "$image" 6 4 300,300,300,300

cp "$image" "$work/torn"
dd if="$work/older" of="$work/torn" bs=64k seek=40 skip=40 count=1 conv=notrunc 2>/dev/null
check "one older slot is found" finds "not the acknowledged" "$work/torn" 5 4 300,300,300,300
cp "$image" "$work/foreign"
printf x | dd of="$work/foreign" bs=1 seek=$((512 * 4000 + 100)) conv=notrunc 2>/dev/null
check "one changed byte is found" finds "sector 4000 holds what no write put there" "$work/foreign" 5 4 \
	300,300,300,300
tap_done
