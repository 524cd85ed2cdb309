#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# qemu-img and qemu-io on volumes: create, info, map, convert, compare, resize,
# check, bench, discard; raw and qcow2; and what is said to bad input.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need qemu-img:qemu-utils

img() {
	MEMX_SERVERS=$pool_seeds "$pool_launcher" qemu-img "$@"
}

io() {
	MEMX_SERVERS=$pool_seeds "$pool_launcher" qemu-io "$@"
}

# says PATTERN COMMAND...: succeeds and prints something like it.
says() {
	local pattern=$1 output
	shift
	output=$("$@" 2>&1) || { echo "status $?: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" && return
	echo "wanted '$pattern'; said: $output"
	return 1
}

# refuses PATTERN COMMAND...: fails within 60 seconds and says something like it.
refuses() {
	local pattern=$1 status=0 output started=$SECONDS
	shift
	output=$("$@" 2>&1) || status=$?
	if [ "$status" = 0 ] || [ $((SECONDS - started)) -gt 60 ]; then
		echo "status $status after $((SECONDS - started)) s: $output"
		return 1
	fi
	grep -qE -- "$pattern" <<<"$output" && return
	echo "wanted '$pattern'; said: $output"
	return 1
}

# map_is VOLUME "start length data..." : what qemu-img map finds, data runs only.
map_is() {
	local found
	found=$(img map -f raw --output=json "memx:$1" |
		jq -r '[.[] | select(.data) | "\(.start)+\(.length)"] | join(" ")')
	[ "$found" = "$2" ] || { echo "wanted '$2', found '$found'" && return 1; }
}

# qemu-io exits 0 when a pattern does not match: what it says counts.
pattern() {
	local output
	output=$(io "$@" 2>&1) || { echo "$output" && return 1; }
	! grep -qE "Pattern verification failed|error" <<<"$output" || { echo "$output" && return 1; }
}

pool_start 2
head -c 5000000 /dev/urandom >"$work/random"
truncate -s 64M "$work/sparse"
dd if="$work/random" of="$work/sparse" bs=4096 seek=1000 conv=notrunc status=none

check "create" img create -q -f raw memx:v1 64M
check "info says the size" says 'virtual size: 64 MiB' img info -f raw memx:v1
check "a new volume has no data" map_is v1 ''
check "a new volume reads as zeros" pattern -f raw -c 'read -P 0 0 64M' memx:v1
check "write and read back" pattern -f raw -c 'write -P 7 4k 128k' -c 'read -P 7 4k 128k' memx:v1
check "map finds it" map_is v1 '4096+131072'
check "an unaligned write spares its neighbours" pattern -f raw -c 'write -P 9 4600 700' \
	-c 'read -P 7 4k 504' -c 'read -P 9 4600 700' -c 'read -P 7 5300 1000' memx:v1
check "write zeroes" pattern -f raw -c 'write -z 8k 4k' -c 'read -P 0 8k 4k' \
	-c 'read -P 7 12k 4k' memx:v1
check "discard" pattern -f raw -c 'discard 0 64M' -c 'read -P 0 0 64M' memx:v1
check "discard leaves a hole" map_is v1 ''
check "several requests at a time" pattern -f raw -c 'aio_write -P 1 0 1M' \
	-c 'aio_write -P 2 1M 1M' -c 'aio_write -P 3 2M 3M' -c aio_flush \
	-c 'read -P 1 0 1M' -c 'read -P 2 1M 1M' -c 'read -P 3 2M 3M' memx:v1
check "the URI form" pattern -f raw -c 'read -P 2 1M 1M' "memx://${pool_seeds%% *}/v1"
check "options in the filename" pattern -f raw -c 'read -P 2 1M 1M' \
	"memx:v1?server=${pool_seeds%% *}&timeout=5"
check "options by name" pattern --image-opts -c 'read -P 2 1M 1M' \
	"driver=memx,volume=v1,server.0.host=127.0.0.1,server.0.port=${pool_seeds##*:}"

check "convert to a volume" img convert -f raw -O raw "$work/sparse" memx:copy
check "compare" img compare -f raw -F raw "$work/sparse" memx:copy
check "convert skips holes" says '^ok$' bash -c \
	'[ "$(jq "[.[] | select(.data) | .length] | add" <<<"$1")" -lt 6000000 ] && echo ok' bash \
	"$(img map -f raw --output=json memx:copy)"
check "convert from a volume" img convert -f raw -O raw memx:copy "$work/back"
check "the copy is the same" cmp "$work/sparse" "$work/back"
check "convert between volumes" img convert -n -f raw -O raw memx:copy memx:v1
check "they are the same" img compare -f raw -F raw memx:copy memx:v1
check "grow" img resize -q -f raw memx:v1 96M
check "the new part reads as zeros" pattern -f raw -c 'read -P 0 64M 32M' memx:v1
check "shrink" img resize -q -f raw --shrink memx:v1 4M
check "grow again: what was cut off is gone" bash -c '"$@"' bash \
	env MEMX_SERVERS="$pool_seeds" "$pool_launcher" qemu-img resize -q -f raw memx:v1 64M
check "and reads as zeros" pattern -f raw -c 'read -P 0 4M 60M' memx:v1
check "bench reads" says 'Run completed' img bench -f raw -c 2000 -d 16 -s 4k memx:v1
check "bench writes" says 'Run completed' img bench -f raw -w -c 2000 -d 16 -s 4k memx:v1
check "dd into a new volume" img dd -f raw -O raw bs=1M count=4 "if=$work/random" of=memx:dd

check "qcow2: create" img create -q -f qcow2 memx:q1 256M
check "qcow2: write" pattern -f qcow2 -c 'write -P 5 10M 20M' -c 'read -P 5 10M 20M' memx:q1
check "qcow2: check" says 'No errors' img check -f qcow2 memx:q1
check "qcow2: snapshot" img snapshot -c s1 memx:q1
check "qcow2: on a raw volume as backing file" \
	img create -q -f qcow2 -b memx:copy -F raw memx:q2
check "qcow2: reads through" img compare -f raw -F qcow2 "$work/sparse" memx:q2
check "qcow2: commit" img commit -q -f qcow2 memx:q2
check "qcow2: convert, compressed" img convert -c -f raw -O qcow2 "$work/sparse" memx:q3
check "qcow2: the same" img compare -f raw -F qcow2 "$work/sparse" memx:q3

check "no such volume" refuses "volume 'nosuch' is not known.*memxctl volume list" img info -f raw memx:nosuch
check "a volume that exists is not overwritten" refuses "exists" img create -f raw memx:v1 1M
check "... and lives" says 'virtual size: 64 MiB' img info -f raw memx:v1
check "size 0" refuses "size 0.*at least 512" img create -f raw memx:zero 0
check "an absurd size" refuses "memx: volume 'big':.*at most 1 PiB" img create -f raw memx:big 4E
check "no name" refuses "names no volume" img info -f raw memx:
check "a name with odd characters" \
	refuses "memx: volume '-x y': not a name; 1 to 63 letters, digits" img create -f raw "memx:-x y" 1M
check "an unknown option in the filename" refuses "unknown option 'color'.*known are" \
	img info -f raw 'memx:v1?color=red'
check "an address that is none" refuses "is not a server address" \
	img info -f raw 'memx:v1?server=:77'
check "a port that is none" refuses "UDP port, 1 to 65535" \
	img info -f raw 'memx:v1?server=127.0.0.1:99999'
check "a server nobody knows" refuses "address of \"no\.such\.host\.invalid\".*can resolve" \
	img info -f raw 'memx:v1?server=no.such.host.invalid'
silent=127.0.0.1:$(pool_free_port)
check "an address nobody listens on" refuses "asked: $silent.*is memxd running there" \
	img info -f raw "memx:v1?server=$silent&open-timeout=3"
check "key-secret without such a secret" refuses "No secret with id 'k1'" \
	img info -f raw 'memx:v1?key-secret=k1'
check "two keys" refuses "cannot be used together" \
	img info -f raw 'memx:v1?key-secret=k1&key-file=/dev/null'
check "raw without an interface" refuses "'raw' needs 'interface'" img info -f raw 'memx:v1?raw=on'
check "a timeout that is none" refuses "'timeout' is .*between 0 and 604800" \
	img info -f raw 'memx:v1?timeout=-1'
check "preallocation" refuses "preallocation mode 'full' is not supported" \
	img resize -f raw --preallocation=full memx:v1 70M
tap_done
