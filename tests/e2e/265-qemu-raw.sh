#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU's driver over raw Ethernet, between two network namespaces: data, a copy with
# its holes, encryption, and what is said without an interface; and a pool that is
# found by what it announces on an interface.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need qemu-img:qemu-utils
. "$(dirname "$0")/netns.sh"

server=
stop_server() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || :
}
netns_stop=stop_server

serve() { # OPTIONS...
	run_tied ip netns exec "$a" "$pool_memxd" --name raw --memory 256M "$@" \
		>>"$work/memxd.log" 2>&1
	server=$tied_pid
}
ctl() { in_b timeout 30 "$pool_memxctl" --interface raw:vb "$@"; }
img() { in_b timeout 60 "$pool_launcher" qemu-img "$@"; }
io() {
	local output
	output=$(in_b timeout 60 "$pool_launcher" qemu-io "$@" 2>&1) &&
		! grep -qE "Pattern verification failed|error" <<<"$output" || { echo "$output" && return 1; }
}
node=driver=memx,volume=disk,interface=vb,raw=on

writes() {
	io --image-opts -c "write -P 0x5a 0 1M" -c "write -P 0xc3 20M 68k" -c "discard 512k 64k" \
		-c flush "$1"
}
reads() {
	io -r --image-opts -c "read -P 0x5a 0 512k" -c "read -P 0 512k 64k" -c "read -P 0xc3 20M 68k" \
		-c "read -P 0 32M 1M" "$1"
}
copies() {
	img convert -O raw --image-opts "$1" "$work/copy" &&
		[ "$(du -k "$work/copy" | cut -f1)" -lt 4096 ] &&
		img compare --image-opts "$1" "driver=raw,file.filename=$work/copy"
}

serve --interface raw:va --trusted-interface va
check "a volume is made over raw Ethernet" ctl volume create disk 64M
check "qemu-io writes to it" writes "$node"
check "and reads it back" reads "$node"
check "qemu-img copies it without its holes" copies "$node"
# Both are one address to the server. Back and forth, so that they run at the same time.
side_by_side() {
	local n pids=() pid failed=0
	head -c 24M /dev/urandom >"$work/random"
	for n in disk two; do
		for _ in 1 2 3; do
			img convert -n --target-image-opts "$work/random" "${node/disk/$n}" &&
				img compare --image-opts "${node/disk/$n}" "driver=raw,file.filename=$work/random" ||
				exit 1
		done &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	[ "$failed" = 0 ]
}
check "another volume beside it" ctl volume create two 24M
check "two processes write and read by one interface at a time" side_by_side
refuses_without_interface() {
	local output
	! output=$(img info --image-opts driver=memx,volume=disk,raw=on 2>&1) &&
		grep -q "'raw' needs 'interface'" <<<"$output" || { echo "$output" && return 1; }
}
check "without an interface it says what is missing" refuses_without_interface
kill -KILL "$server"
wait "$server" 2>/dev/null || :

"$pool_memxctl" keygen >"$work/key"
chmod 600 "$work/key"
serve --interface raw:va --key-file "$work/key"
check "a volume of a pool with a key" ctl --key-file "$work/key" volume create disk 64M
check "is written" writes "$node,key-file=$work/key"
check "and read" reads "$node,key-file=$work/key"
kill -KILL "$server"
wait "$server" 2>/dev/null || :

# No server is named: the interface is all that QEMU is told.
ip -n "$a" addr add 10.77.0.1/24 dev va
ip -n "$b" addr add 10.77.0.2/24 dev vb
serve --interface va --key-file "$work/key"
check "a pool that announces itself" in_b timeout 30 "$pool_memxctl" --server 10.77.0.1 \
	--key-file "$work/key" volume create disk 64M
found=driver=memx,volume=disk,interface=vb,key-file=$work/key
check "is found by interface= and written" writes "$found"
check "and read" reads "$found"
not_found() {
	local output
	! output=$(img info --image-opts "${found/interface=vb/interface=lo}" 2>&1) &&
		grep -q "no memory server answered (asked: interface lo)" <<<"$output" ||
		{ echo "$output" && return 1; }
}
check "on another interface it is not" not_found

tap_done
