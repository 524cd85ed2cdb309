#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The sort program of the demo sees a wrong result (run here, not in a guest).
set -eu
. "$(dirname "$0")/lib.sh"
need gcc:gcc

qsort=$work/qsort-swap
gcc -std=gnu11 -O2 -o "$qsort" "$e2e_here/../guest/qsort-swap.c"

# exits STATUS TEXT COMMAND...: ends with that status and says that.
exits() {
	local want=$1 text=$2 status=0 output
	shift 2
	output=$("$@" 2>&1) || status=$?
	echo "status $status: $output"
	[ "$status" = "$want" ] && grep -q "$text" <<<"$output"
}

for seed in 0 1 4711; do
	check "32 MiB from seed $seed are sorted" exits 0 "^sorted and checked" "$qsort" 32 "$seed"
done
check "a single MiB is sorted" exits 0 "^sorted and checked" "$qsort" 1 1
check "a changed key is found" exits 1 "^wrong: totals" "$qsort" 8 1 value
check "two keys in the wrong order are found" exits 1 "^wrong: 2 keys out of order" "$qsort" 8 1 order
check "no array is an error" exits 2 "at least 1 MiB" "$qsort" 0 1
check "a size that is no number is an error" exits 2 "must be a number" "$qsort" 12x 1
tap_done
