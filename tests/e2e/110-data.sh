#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Data through the client library, every read checked; memory is taken as it is
# written and given back when it is not needed any more.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools

verified() {
	local what=$1 output
	shift
	if output=$(bench --verify --quiet "$@" 2>&1) &&
		[ "$(jq '.failed + .wrong' <<<"$output")" = 0 ]; then
		ok "$what ($(jq .requests <<<"$output") requests)"
	else
		not_ok "$what" "$output"
	fi
}

pool_start 3 256M
rss_of_all() {
	local sum=0 name
	for name in s1 s2 s3; do sum=$((sum + $(resident "${pool_pid[$name]}"))); done
	echo "$sum"
}
rss_empty=$(rss_of_all)
check "an empty server of 256M takes little ($rss_empty KiB for three)" \
	[ "$rss_empty" -lt $((3 * 32 * 1024)) ]

verified "4 KiB, random, depth 32" --create 128M --op randrw --depth 32 --seconds 2 a
verified "512 bytes, depth 8" --create 8M --op randrw --bytes 512 --depth 8 --seconds 1 b
verified "3 KiB in odd pieces of memory" --create 8M --op randrw --bytes 3K --iovs 5 --depth 16 --seconds 1 c
verified "128 KiB, sequential, depth 4" --create 64M --op write --bytes 128K --depth 4 --seconds 1 d
verified "1 MiB across extents, in pieces" --create 64M --op randrw --bytes 1M --iovs 8 --depth 4 --seconds 1 e
verified "depth 256 with 16 KiB" --create 64M --op randrw --bytes 16K --depth 256 --seconds 1 f
verified "polling at the client" --create 16M --op randrw --depth 1 --poll-us 50 --seconds 1 g

bench --create 200M --op write --bytes 128K --depth 4 --count 1600 --quiet big >"$work/big.json"
rss_full=$(rss_of_all)
check "what is written is resident ($rss_full KiB, before $rss_empty KiB)" \
	[ "$rss_full" -gt $((rss_empty + 200 * 1024)) ]
for v in a b c d e f g big; do ctl volume delete "$v" >/dev/null; done
# what is kept, by each: two chunks of 2 MiB at hand, up to four more that hold one of
# the store's spare pages each, bookkeeping that was freed but not returned by malloc,
# buffers of sockets that were touched
given_back() { [ "$(rss_of_all)" -lt $((rss_empty + 3 * 16 * 1024)) ]; }
check "memory is given back after the volumes are deleted" within 20 given_back
echo "# resident: $rss_empty KiB empty, $rss_full KiB full, $(rss_of_all) KiB after deleting"
no_pages() { [ "$(ctl servers --json | jq '[.[].extents] | add')" = 0 ]; }
check "no extent is left on any server" within 10 no_pages

# The floor: of what the host has now, all but 64 MiB are to be left to it. (memxd refuses
# memory and floor of together more than the host has in all.)
read -r total available < <(awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { a = $2 } END { print t, a }' /proc/meminfo)
floor=$((available - 64 * 1024)) memory=$((total - available + 48 * 1024))
port=$(pool_free_port)
daemon floor --memory "${memory}K" --floor "${floor}K" --listen "127.0.0.1:$port"
lowered() {
	[ "$("$pool_memxctl" --server "127.0.0.1:$port" servers --json |
		jq '.[0].capacity_bytes')" -lt $((memory * 1024)) ]
}
check "a host that is short of memory is offered for less" within 5 lowered
check "and that is said" grep -q "to be left to it: offering" "$work/floor.log"
daemon_end floor TERM 3
tap_done
