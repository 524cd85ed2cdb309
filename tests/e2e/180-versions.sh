#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Mixed versions: the newest programs with those of each release recorded in
# tests/compat (its sources stand there, built once in build/compat): clients of
# either with servers of either and of both at once, what one wrote read by the
# other; and what is said when versions cannot talk at all.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
need xz:xz-utils

new_memxd=$pool_memxd new_memxctl=$pool_memxctl new_bench=$tool_bench
compat=$pool_top/tests/compat

# Builds $2... from the sources in folder $1, which is there as a whole or not at all.
built_in() {
	local dir=$1 missing=0 program
	shift
	for program; do
		[ -x "$dir/$program" ] || missing=1
	done
	[ "$missing" = 0 ] || make -s -j2 -C "$dir" "$@"
}

unpack_release() {	# VERSION SHA256
	local file=$compat/memx-$1.tar.xz
	[ "$(sha256sum "$file" | cut -d' ' -f1)" = "$2" ] ||
		{ echo "$file is not what tests/compat/releases says"; return 1; }
	[ ! -d "$old" ] || return 0
	mkdir -p "$old.new"
	tar -xJf "$file" -C "$old.new"
	mv "$old.new" "$old"
}

use_client() {		# old|new
	if [ "$1" = old ]; then
		pool_memxctl=$old/build/memxctl tool_bench=$old/build/memx-bench
	else
		pool_memxctl=$new_memxctl tool_bench=$new_bench
	fi
}

# Servers of: old, new, or mixed: the first one old, as in the midst of an upgrade.
start_servers() {
	local i
	use_client new
	pool_names=() pool_seeds='' pool_memory=128M
	pool_port=() pool_pid=() pool_killed=()
	for i in 1 2 3; do
		pool_memxd=$new_memxd
		[ "$1" = new ] || [ "$1$i" = mixed2 ] || [ "$1$i" = mixed3 ] ||
			pool_memxd=$old/build/memxd
		pool_server_start "s$i"
		pool_names+=("s$i")
		pool_seeds+="${pool_seeds:+ }127.0.0.1:${pool_port[s$i]}"
	done
	pool_wait_seen 3
}

# Runs memx-bench; fails unless all went well and was right.
right() {
	local output
	output=$(bench --quiet "$@" 2>&1) && [ "$(jq '.failed + .wrong' <<<"$output")" = 0 ] && return 0
	echo "$output"
	return 1
}

writes() { right --create 48M --fill --verify --op read --bytes 128K --count 384 "$1"; }
reads() { right --filled --verify --op read --bytes 128K --count 384 "$1"; }
works() { right --verify --fill --op randrw --depth 32 --count 10000 "$1"; }

lists() {		# the volume is listed, and told about, to the byte
	[ "$(ctl volume list --json | jq -r ".[] | select(.name == \"$1\") | .size_bytes")" = 50331648 ] &&
		[ "$(ctl volume info "$1" --json | jq -r .size_bytes)" = 50331648 ]
}

# What client $1 made, client $2 finds, reads, goes on with, resizes and deletes.
passed_on() {
	local v=$1-$2
	use_client "$1"
	check "$what: $1 client makes a volume, writes and reads it" writes "$v"
	use_client "$2"
	check "$what: $2 client lists it" lists "$v"
	check "$what: $2 client reads what the $1 one wrote" reads "$v"
	check "$what: $2 client writes and reads at random" works "$v"
	check "$what: $2 client makes it larger" ctl volume resize "$v" 96M
	use_client "$1"
	check "$what: $1 client takes it back" right --verify --fill --op randrw --count 2000 "$v"
	check "$what: $1 client deletes it" ctl volume delete "$v"
}

with_servers() {	# new|old|mixed WHAT
	local what="$version, $1 servers$2"
	if ! start_servers "$1" >"$work/start" 2>&1; then
		not_ok "$what start" "$(cat "$work/start")"
		pool_stop
		return
	fi
	passed_on new old
	passed_on old new
	use_client new
	check "$what: status says nothing is wrong" healthy
	pool_stop
}

with_release() {
	local servers
	for servers in new old mixed; do
		with_servers "$servers" ""
	done
	# All that a key goes through: the handshake, what is derived from it, ciphers.
	pool_with_key
	with_servers mixed " with a key"
	pool_key=()
}

healthy() {
	local output
	output=$(ctl status --json) || { echo "$output"; return 1; }
}

any=0
while read -r version commit sum; do
	case $version in ''|'#'*) continue ;; esac
	any=1
	old=$pool_top/build/compat/$version-${sum:0:12}
	if ! output=$(unpack_release "$version" "$sum" 2>&1 &&
			built_in "$old" build/memxd build/memxctl build/memx-bench 2>&1); then
		not_ok "release $version (${commit:0:12}) builds" "$output"
		continue
	fi
	ok "release $version (${commit:0:12}) builds"
	with_release
done <"$compat/releases"
[ "$any" = 1 ] || not_ok "a release is recorded in tests/compat/releases"

# A server of another major version, which no release is yet: this one's sources with
# another number.
major=$pool_top/build/compat/other-major
mkdir -p "$major"
for part in core net/posix tools tests/bench; do
	mkdir -p "$major/$part"
	cp -pu "$pool_top/$part"/* "$major/$part"/ 2>/dev/null || :
done
cp -pu "$pool_top/Makefile" "$major"
sed 's/^\(#define MX_PROTO_MAJOR[[:space:]]*\)1\b/\12/' "$pool_top/core/wire.h" >"$work/wire.h"
cmp -s "$work/wire.h" "$major/core/wire.h" || cp "$work/wire.h" "$major/core/wire.h"
if ! output=$(make -s -j2 -C "$major" build/memxd 2>&1); then
	not_ok "a server of protocol 2 builds" "$output"
	tap_done
fi
use_client new
pool_memxd=$major/build/memxd
pool_names=() pool_seeds='' pool_port=() pool_pid=()
pool_server_start other
pool_names=(other)
pool_seeds=127.0.0.1:${pool_port[other]}
gives 1 "speaks another version of the protocol
install the same release on both" "the newest client names a server of another protocol, and the remedy" \
	bench --create 16M v
gives 1 "another version of the protocol" "memxctl too" ctl volume list
check "the server's log names the client's version" grep -q "version" "$work/other.log"
pool_stop
tap_done
