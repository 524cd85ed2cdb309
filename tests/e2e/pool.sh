# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Some variables are shared with the sourcing script and with tests/guest/lib.sh.
# shellcheck disable=SC2154,SC2034
#
# A pool of memory servers on loopback, for sourcing by bash scripts under set -eu
# after tests/guest/lib.sh. All that is said to memxd, memxctl and QEMU's -drive
# is said in this file.
#
#   pool_start N [MEMORY]      starts s1 ... sN and waits until all are seen
#   pool_volume NAME SIZE      creates a volume
#   pool_drive NAME [OPTION..] what to put behind -drive for it
#   pool_usage                 "NAME USED READ WRITTEN" (bytes) for each server
#   pool_server_kill NAME      kill -9, pool_server_start NAME: the same port again
#   pool_check                 fails (reason in $guest_why) when a server has ended
#   pool_stop
#   pool_with_key              before pool_start: sessions are encrypted, with a new key
#
# The caller sets pool_work (logs go there). MEMX_BACKEND=nbd puts nbdkit in the
# place of the pool, to work on the guests without it.

pool_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pool_backend=${MEMX_BACKEND:-memx}
pool_memxd=${MEMXD:-$pool_top/build/memxd}
pool_memxctl=${MEMXCTL:-$pool_top/build/memxctl}
pool_launcher=${MEMX_RUN:-$pool_top/qemu-block-memx/memx-run}
pool_memory=512M
pool_key=()
pool_names=()
declare -A pool_pid=() pool_port=() pool_killed=()

# What a run needs: "" or the first thing that is missing.
pool_missing() {
	local file
	if [ "$pool_backend" = nbd ]; then
		command -v nbdkit >/dev/null || echo "nbdkit (Debian package nbdkit)"
		return 0
	fi
	for file in "$pool_memxd" "$pool_memxctl" "$pool_launcher" \
		"${MEMX_QEMU_MODULES:-$pool_top/build/qemu}/memx-preload.so"; do
		[ -e "$file" ] || { echo "$file (make all qemu-module builds it)" && return 0; }
	done
}

# A UDP port of 127.0.0.1 that nobody has bound now. Somebody else may take it
# before we do: whoever starts a server tries again then.
pool_free_port() {
	local port hex
	while :; do
		port=$((20000 + RANDOM % 12000))
		printf -v hex ':%04X ' "$port"
		grep -q "$hex" /proc/net/udp /proc/net/udp6 2>/dev/null || break
	done
	echo "$port"
}

pool_ctl() {
	MEMX_SERVERS=$pool_seeds "$pool_memxctl" "${pool_key[@]}" "$@"
}

pool_with_key() {
	(umask 077 && "$pool_memxctl" keygen >"$pool_work/key")
	pool_key=(--key-file "$pool_work/key")
}

# Starts server $1 on its port, on a free one when it has none yet.
pool_server_start() {
	local name=$1 port=${pool_port[$1]:-} try join=()
	[ "${#pool_names[@]}" = 0 ] || [ "${pool_names[0]}" = "$name" ] ||
		join=(--join "127.0.0.1:${pool_port[${pool_names[0]}]}")
	for try in 1 2 3 4 5; do
		[ -n "${pool_port[$name]:-}" ] || port=$(pool_free_port)
		run_tied "$pool_memxd" --memory "$pool_memory" --listen "127.0.0.1:$port" \
			"${pool_key[@]}" "${join[@]}" --name "$name" >>"$pool_work/$name.log" 2>&1
		pool_pid[$name]=$tied_pid
		sleep 0.3
		if kill -0 "$tied_pid" 2>/dev/null; then
			pool_port[$name]=$port
			unset "pool_killed[$name]"
			return 0
		fi
	done
	echo "server $name does not start; its log ends with:" >&2
	tail -n 5 "$pool_work/$name.log" >&2
	return 1
}

pool_seen() {
	pool_ctl servers --json 2>/dev/null | jq length 2>/dev/null || echo 0
}

# Waits until the pool shows $1 servers.
pool_wait_seen() {
	local deadline=$((SECONDS + 20))
	while [ "$(pool_seen)" != "$1" ]; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "of $1 servers $(pool_seen) are seen after 20 seconds" >&2
			pool_ctl servers >&2 || :
			return 1
		fi
		sleep 0.2
	done
}

pool_start() {
	local count=$1 name i
	pool_memory=${2:-$pool_memory}
	pool_names=()
	pool_seeds=
	[ "$pool_backend" = memx ] || return 0
	guest_launcher=("$pool_launcher")
	for ((i = 1; i <= count; i++)); do
		name=s$i
		pool_server_start "$name"
		pool_names+=("$name")
		pool_seeds+="${pool_seeds:+ }127.0.0.1:${pool_port[$name]}"
	done
	pool_wait_seen "$count"
}

pool_volume() {
	local name=$1 size=$2
	if [ "$pool_backend" = memx ]; then
		pool_ctl volume create "$name" "$size" >/dev/null
		return
	fi
	run_tied nbdkit -f -U "$pool_work/$name.sock" memory "$size" >"$pool_work/$name.log" 2>&1
	pool_names+=("$name")
	pool_pid[$name]=$tied_pid
	until [ -S "$pool_work/$name.sock" ]; do sleep 0.05; done
}

pool_drive() {
	local name=$1 spec i=0 server option
	shift
	if [ "$pool_backend" = nbd ]; then
		echo "driver=raw,file.driver=nbd,file.path=$pool_work/$name.sock,discard=unmap"
		return
	fi
	spec="driver=memx,volume=$name,discard=unmap"
	for server in "${pool_names[@]}"; do
		spec+=",server.$i.host=127.0.0.1,server.$i.port=${pool_port[$server]}"
		i=$((i + 1))
	done
	[ "${#pool_key[@]}" = 0 ] || spec+=",key-file=$pool_work/key"
	for option in "$@"; do
		spec+=",$option"
	done
	echo "$spec"
}

pool_usage() {
	[ "$pool_backend" = memx ] || return 0
	pool_ctl servers --json | jq -r \
		'sort_by(.name)[] | "\(.name) \(.used_bytes) \(.read_bytes) \(.written_bytes)"'
}

# "EXTENTS BYTES" that server $2 holds of volume $1.
pool_held() {
	pool_ctl volume info "$1" --json | jq -r --arg name "$2" \
		'[.servers[] | select(.name == $name)] | "\(map(.extents) | add // 0) \(map(.bytes) | add // 0)"'
}

pool_check() {
	local name
	for name in "${pool_names[@]}"; do
		if [ -z "${pool_killed[$name]:-}" ] && ! kill -0 "${pool_pid[$name]}" 2>/dev/null; then
			guest_why="server $name has ended: $(tail -n 1 "$pool_work/$name.log")"
			return 1
		fi
	done
}

pool_server_kill() {
	kill -KILL "${pool_pid[$1]}"
	wait "${pool_pid[$1]}" 2>/dev/null || :
	pool_killed[$1]=1
}

# A server that holds the only copy of something asks for a second SIGTERM.
pool_stop() {
	local name try
	for try in TERM TERM KILL; do
		for name in "${pool_names[@]}"; do
			kill "-$try" "${pool_pid[$name]}" 2>/dev/null || :
		done
		pool_gone 3 && break
	done
	for name in "${pool_names[@]}"; do
		wait "${pool_pid[$name]}" 2>/dev/null || :
	done
	pool_names=()
}

# Waits up to $1 tenths of a second for all servers to end.
pool_gone() {
	local name tenths
	for ((tenths = 0; tenths <= $1; tenths++)); do
		for name in "${pool_names[@]}"; do
			! kill -0 "${pool_pid[$name]}" 2>/dev/null || { sleep 0.1 && continue 2; }
		done
		return 0
	done
	return 1
}
