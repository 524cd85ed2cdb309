#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU and a pool with a key: by a secret, by a file, the key of one volume, and what
# is said to the wrong one.
set -eu
. "$(dirname "$0")/lib.sh"
need_memx
need qemu-img:qemu-utils

img() {
	"$pool_launcher" qemu-img "$@"
}

io() {
	local output
	output=$("$pool_launcher" qemu-io "$@" 2>&1) || { echo "$output" && return 1; }
	! grep -qE "Pattern verification failed|error" <<<"$output" || { echo "$output" && return 1; }
}

refuses() {
	local pattern=$1 status=0 output started=$SECONDS
	shift
	output=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || { echo "did not fail: $output" && return 1; }
	[ $((SECONDS - started)) -lt 40 ] || { echo "after $((SECONDS - started)) s: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" || { echo "wanted '$pattern'; said: $output" && return 1; }
}

key_server() {
	local port
	port=$(pool_free_port)
	run_tied "$pool_memxd" --memory 256M --listen "127.0.0.1:$port" --name s1 \
		--key-file "$work/key" >"$work/s1.log" 2>&1
	pool_names=(s1)
	pool_pid[s1]=$tied_pid
	pool_seeds=127.0.0.1:$port
	for _ in {1..50}; do
		pool_ctl --key-file "$work/key" servers >/dev/null 2>&1 && return
		sleep 0.1
	done
	tail -n 3 "$work/s1.log"
	return 1
}

umask 077
"$pool_memxctl" keygen >"$work/key"
"$pool_memxctl" keygen >"$work/other"
key_server
export MEMX_SERVERS=$pool_seeds
secret=(--object "secret,id=k,file=$work/key")

check "create with a key file" img create -q -f raw "memx:v1?key-file=$work/key" 16M
check "create another" img create -q -f raw "memx:v2?key-file=$work/key" 16M
check "write with a key file" io -f raw -c "write -P 1 0 1M" "memx:v1?key-file=$work/key"
check "read with a secret" io "${secret[@]}" --image-opts -c "read -P 1 0 1M" \
	driver=memx,volume=v1,key-secret=k
check "a secret named in the filename" io "${secret[@]}" -f raw -c "read -P 1 0 1M" \
	"memx:v1?key-secret=k"
pool_ctl --key-file "$work/key" volume key v1 >"$work/v1.key"
check "the key of the volume opens it" io --object "secret,id=k,file=$work/v1.key" --image-opts \
	-c "read -P 1 0 1M" -c "write -P 2 0 1M" driver=memx,volume=v1,key-secret=k
check "... and no other, and that is said" refuses "v2.*key is another volume's" "$pool_launcher" qemu-io \
	--object "secret,id=k,file=$work/v1.key" --image-opts -c "read 0 1M" \
	driver=memx,volume=v2,key-secret=k
check "another key is refused" refuses "does not accept the key" \
	img info -f raw "memx:v1?key-file=$work/other"
check "no key is refused" refuses "wants a key" img info -f raw memx:v1
check "a key file there is not" refuses "no key file" img info -f raw "memx:v1?key-file=$work/none"
echo "12345" >"$work/short"
check "a secret that is no key" refuses "64 hex digits" "$pool_launcher" qemu-io \
	--object "secret,id=k,file=$work/short" --image-opts -c "read 0 1M" \
	driver=memx,volume=v1,key-secret=k
tap_done
