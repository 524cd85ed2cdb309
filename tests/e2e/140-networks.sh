#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Between two network namespaces: small and large MTUs, IPv6, several addresses,
# discovery by multicast, raw Ethernet, interfaces that are trusted and others.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
. "$(dirname "$0")/netns.sh"
netns_stop=daemon_kill_all

ip -n "$a" link add wa type veth peer name wb netns "$b"
for end in "$a va 1" "$b vb 2"; do
	read -r ns if n <<<"$end"
	ip netns exec "$ns" sysctl -qw "net.ipv6.conf.$if.accept_dad=0" net.core.rmem_max=8388608 \
		2>/dev/null || :
	ip -n "$ns" link set lo up
	ip -n "$ns" address add "10.77.0.$n/24" dev "$if"
	ip -n "$ns" address add "10.77.0.1$n/24" dev "$if"
	ip -n "$ns" address add "fd77::$n/64" dev "$if" nodad
	ip -n "$ns" address add "10.78.0.$n/24" dev "w${if#v}"
	ip -n "$ns" link set "w${if#v}" up
done

mtu() {
	ip -n "$a" link set va mtu "$1"
	ip -n "$b" link set vb mtu "$1"
}
# data WHAT OPTIONS...: verified data between a server in a and memx-bench in b
data() {
	local what=$1 output mix
	shift
	for mix in "--op randrw --depth 16" "--op randrw --bytes 128K --depth 4"; do
		# shellcheck disable=SC2086
		if output=$(timeout 60 ip netns exec "$b" "$tool_bench" "$@" --verify --quiet $mix \
			--range 8M --fill --seconds 0.3 v 2>&1) && [ "$(jq '.failed + .wrong' <<<"$output")" = 0 ]; then
			ok "$what, $(jq .bytes <<<"$output") bytes: $(jq -r '"\(.requests) requests, \(.mib_s) MiB/s, \(.retransmits) repeated"' <<<"$output")"
		else
			not_ok "$what" "$output"
		fi
	done
}
fresh() {	# a new volume v, on the server described by the options
	timeout 20 ip netns exec "$b" "$pool_memxctl" "$@" volume create v 64M >"$work/create.log" 2>&1 ||
		not_ok "create with $*" "$(cat "$work/create.log")"
}

"$pool_memxctl" keygen >"$work/key"
chmod 600 "$work/key"
key=(--key-file "$work/key")

for size in 1280 1500 9000; do
	mtu "$size"
	in_ns=$a daemon "mtu$size" --memory 128M "${key[@]}"
	fresh --server 10.77.0.1 "${key[@]}"
	data "IPv4, MTU $size, sealed" --server 10.77.0.1 "${key[@]}"
	daemon_end "mtu$size" KILL 3
done
for size in 1280 1500; do
	mtu "$size"
	in_ns=$a daemon "plain$size" --memory 128M --trusted-interface va
	fresh --server 10.77.0.1
	data "IPv4, MTU $size, plain" --server 10.77.0.1
	daemon_end "plain$size" KILL 3
done

# The path gets narrower while it is in use
mtu 9000
in_ns=$a daemon narrow --memory 128M --trusted-interface va
fresh --server 10.77.0.1
{ sleep 1 && mtu 1500; } &
gives 0 '"failed": 0, "wrong": 0' "the path gets narrower while it is in use" ip netns exec "$b" \
	"$tool_bench" --server 10.77.0.1 --verify --op randrw --depth 16 --range 8M --seconds 2 v
wait $! || :
gives 0 '"failed": 0, "wrong": 0' "and is used as it is then" timeout 5 ip netns exec "$b" \
	"$tool_bench" --server 10.77.0.1 --verify --fill --op randrw --depth 16 --range 8M --seconds 0.3 v
daemon_end narrow KILL 3

mtu 1500
in_ns=$a daemon six --memory 128M --trusted-interface va --listen '[fd77::1]'
fresh --server fd77::1
data "IPv6" --server '[fd77::1]:7770'
daemon_end six KILL 3

in_ns=$a daemon any --memory 128M --trusted-interface va
fresh --server 10.77.0.11
data "the second address of an interface" --server 10.77.0.11
linklocal=$(in_a ip -6 -br address show dev va scope link | awk '{ split($3, p, "/"); print p[1] }')
gives 0 "any" "IPv6 link-local" ip netns exec "$b" "$pool_memxctl" --server "[$linklocal%vb]:7770" servers
gives 6 "no memory server answered" "an interface that is not trusted is not served" \
	ip netns exec "$b" "$pool_memxctl" --server 10.78.0.1 --timeout 1 servers
gives 0 "any" "this machine is, by any of its addresses" \
	ip netns exec "$a" "$pool_memxctl" --server 10.77.0.1 --timeout 3 servers
daemon_end any KILL 3

in_ns=$a daemon cast --memory 128M --interface va "${key[@]}"
in_ns=$a daemon cast2 --memory 128M --interface va --listen 10.77.0.1:7771 "${key[@]}"
two() { [ "$(in_b "$pool_memxctl" --interface vb "${key[@]}" servers --json | jq length)" = 2 ]; }
check "servers are found by multicast" within 10 two
fresh --interface vb "${key[@]}"
data "a pool found by multicast" --interface vb "${key[@]}"
daemon_end cast KILL 3
daemon_end cast2 KILL 3

for size in 1500 9000; do
	mtu "$size"
	in_ns=$a daemon "raw$size" --memory 128M --interface raw:va --trusted-interface va
	gives 0 "eth:" "raw Ethernet: the server is found by broadcast (MTU $size)" \
		ip netns exec "$b" "$pool_memxctl" --interface raw:vb servers
	fresh --interface raw:vb
	data "raw Ethernet, MTU $size" --interface raw:vb
	daemon_end "raw$size" KILL 3
done
in_ns=$a daemon rawkey --memory 128M --interface raw:va "${key[@]}"
mac=$(in_a cat /sys/class/net/va/address)
fresh --server "eth:vb/$mac" "${key[@]}"
data "raw Ethernet, sealed, by the server's MAC" --server "eth:vb/$mac" "${key[@]}"
daemon_end rawkey KILL 3

tap_done
